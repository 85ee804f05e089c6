//! Helm's and Kustomize's own libraries in a running native process (`tests/parity/native`), asked one line of JSON at a time.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::places;

/// A process with both libraries.
#[derive(Debug)]
pub struct Native {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// Its home folder, in which it finds nothing of the machine's.
    _home: TempDir,
}

impl Native {
    /// Starts it. It has no program to run and no network to ask: a tree that wants either is refused at once.
    ///
    /// # Errors
    /// It is not built.
    pub fn start() -> Result<Native> {
        let home = tempfile::Builder::new().prefix("weir-native-").tempdir()?;
        let program = places::native()?.join("native");
        let mut child = command(&program, &home)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        let input = child.stdin.take().context("it has an input")?;
        let output = BufReader::new(child.stdout.take().context("it has an output")?);
        Ok(Native {
            child,
            input,
            output,
            _home: home,
        })
    }

    /// The answer to one request, both as `tests/parity/native/main.go` has them.
    ///
    /// # Errors
    /// It broke off, which is no answer.
    pub fn ask(&mut self, request: &Value) -> Result<Value> {
        writeln!(self.input, "{request}")?;
        self.input.flush()?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        ensure!(!line.is_empty(), "it ended without an answer");
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        // It has nothing to save.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One of the native programs, with nothing of this machine's settings, network or other programs.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "the tools themselves are what Weir is held against"
)]
pub fn command(program: &std::path::Path, home: &TempDir) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", "")
        .env("HOME", home.path())
        .env("TMPDIR", home.path())
        .env("HTTP_PROXY", "http://127.0.0.1:1")
        .env("HTTPS_PROXY", "http://127.0.0.1:1")
        .current_dir(home.path())
        .stdin(Stdio::null())
        // Warnings about deprecated fields, by the hundred.
        .stderr(Stdio::null());
    command
}
