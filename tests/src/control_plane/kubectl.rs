//! `kubectl` with one kubeconfig and nothing of the machine's.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// A user of one control plane.
#[derive(Debug, Clone)]
pub struct Kubectl {
    pub(super) binary: PathBuf,
    pub(super) kubeconfig: PathBuf,
    /// Where it keeps its caches.
    pub(super) home: PathBuf,
}

/// A `kubectl` that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Whether its exit code is 0.
    pub ok: bool,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

impl Kubectl {
    /// The kubeconfig that it uses: holds its certificates, needs no other file.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The program.
    #[must_use]
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// Runs it; that the server refuses is no error here.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn run(&self, arguments: &[&str]) -> Result<Answer> {
        self.run_with(arguments, "")
    }

    /// What it prints.
    ///
    /// # Errors
    /// Its exit code is not 0; the text has what it said.
    pub fn text(&self, arguments: &[&str]) -> Result<String> {
        self.run(arguments)?.success(arguments)
    }

    /// What it prints, as JSON (`-o json` is added).
    ///
    /// # Errors
    /// Its exit code is not 0, or that is no JSON.
    pub fn json(&self, arguments: &[&str]) -> Result<serde_json::Value> {
        let text = self.text(&[arguments, &["-o", "json"]].concat())?;
        serde_json::from_str(&text).with_context(|| format!("kubectl printed no JSON: {text}"))
    }

    /// `kubectl apply --server-side` of a YAML stream.
    ///
    /// # Errors
    /// Its exit code is not 0.
    pub fn apply(&self, yaml: &str) -> Result<String> {
        let arguments = ["apply", "--server-side", "--filename=-"];
        self.run_with(&arguments, yaml)?.success(&arguments)
    }

    /// Runs it with a text at its standard input.
    ///
    /// # Errors
    /// It cannot be started.
    #[expect(clippy::disallowed_methods, reason = "the rig's client is kubectl")]
    pub fn run_with(&self, arguments: &[&str], input: &str) -> Result<Answer> {
        let mut child = Command::new(&self.binary)
            .args(arguments)
            .env_clear()
            .env("KUBECONFIG", &self.kubeconfig)
            .env("HOME", &self.home)
            .current_dir(&self.home)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {}", self.binary.display()))?;
        if let Some(mut pipe) = child.stdin.take() {
            // One that ends early says why itself.
            let _ = pipe.write_all(input.as_bytes());
        }
        let output = child.wait_with_output()?;
        Ok(Answer {
            ok: output.status.success(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }
}

impl Answer {
    fn success(self, arguments: &[&str]) -> Result<String> {
        if !self.ok {
            bail!(
                "kubectl {} failed: {}{}",
                arguments.join(" "),
                self.stdout,
                self.stderr
            );
        }
        Ok(self.stdout)
    }
}
