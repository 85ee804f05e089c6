//! One program of the author's toolchain: started in the plugin's folder, with its words on stderr.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

use weir_core::fault::Fault;

use super::failed;
use crate::error::Error;

/// A program, and how to get it where it is missing.
pub(super) struct Tool<'a> {
    /// Where it is run.
    pub(super) dir: &'a Path,
    /// Its name for people.
    pub(super) name: &'a str,
    /// What to do where it does not start.
    pub(super) get: &'a str,
    command: Command,
}

impl<'a> Tool<'a> {
    /// A program from the path, or of a path.
    pub(super) fn new(dir: &'a Path, name: &'a str, get: &'a str) -> Tool<'a> {
        Tool::at(Path::new(name), dir, name, get)
    }

    /// A program of this path, with a name for people.
    pub(super) fn at(program: &Path, dir: &'a Path, name: &'a str, get: &'a str) -> Tool<'a> {
        #[expect(
            clippy::disallowed_methods,
            reason = "the author's toolchain, in `weir plugin build` only"
        )]
        let mut command = Command::new(program);
        command.current_dir(dir).stdin(Stdio::null());
        Tool {
            dir,
            name,
            get,
            command,
        }
    }

    pub(super) fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.command.args(args);
        self
    }

    pub(super) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs it to its end: what it says for people goes to stderr, and stdout stays ours.
    pub(super) fn run(mut self) -> Result<(), Error> {
        let output = self.command.stdout(Stdio::null()).stderr(Stdio::inherit());
        let status = output.status().map_err(|e| self.missing(&e))?;
        self.ended(status.success())
    }

    /// Runs it to its end, and gives what it wrote to its standard output.
    pub(super) fn output(mut self) -> Result<Vec<u8>, Error> {
        let output = self.command.stderr(Stdio::inherit()).output();
        let output = output.map_err(|e| self.missing(&e))?;
        self.ended(output.status.success())?;
        Ok(output.stdout)
    }

    /// What it wrote to its standard output, and nothing to see where it fails; `None` where it does not start.
    pub(super) fn quiet(mut self) -> Option<String> {
        let output = self.command.stderr(Stdio::null()).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        output.status.success().then_some(text)
    }

    fn missing(&self, error: &std::io::Error) -> Error {
        let why = format!("`{}` does not start: {error}: {}", self.name, self.get);
        failed(self.dir, Fault::Host, why)
    }

    fn ended(&self, well: bool) -> Result<(), Error> {
        if well {
            return Ok(());
        }
        let why = format!("`{}` failed; it says why above", self.name);
        Err(failed(self.dir, Fault::Plugin, why))
    }
}

/// What a program left in a file.
pub(super) fn made(dir: &Path, file: &Path, name: &str) -> Result<Vec<u8>, Error> {
    std::fs::read(file).map_err(|e| {
        let why = format!("the output of `{name}`: {}: {e}", file.display());
        failed(dir, Fault::Host, why)
    })
}

/// A folder for what a program writes, gone with the value.
pub(super) fn scratch() -> Result<tempfile::TempDir, Error> {
    let made = tempfile::Builder::new()
        .prefix("weir-plugin-build-")
        .tempdir();
    made.map_err(|e| Error::host("plugin", format!("a temporary folder: {e}")))
}
