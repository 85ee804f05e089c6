//! A process that reads objects on its stdin and writes them changed, as an exec plugin does.

use std::io::Write as _;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::super::measure;

/// How it is started, and what it is called in the table.
pub(super) struct Process {
    pub(super) name: String,
    pub(super) program: Vec<String>,
}

impl Process {
    /// Runs it to its end: the objects that it gives.
    ///
    /// # Errors
    /// It is not there, fails, or writes no JSON.
    pub(super) fn run(&self, stdin: &[u8]) -> Result<Vec<Value>> {
        let ended = self.start(stdin)?.wait_with_output()?;
        ensure!(ended.status.success(), "{}: {}", self.name, ended.status);
        Ok(serde_json::from_slice(&ended.stdout)?)
    }

    /// Runs it to its end: the most that was resident, in bytes. What it takes in its last microseconds is not seen.
    ///
    /// # Errors
    /// It is not there, or has ended before anybody looked.
    pub(super) fn peak(&self, stdin: &[u8]) -> Result<f64> {
        let child = self.start(stdin)?;
        let pid = i32::try_from(child.id())?;
        let mut most = None;
        // A process that has ended has no memory to tell, waited for or not.
        while let Ok((_, peak)) = measure::memory(pid) {
            // A program that is only being started has none yet.
            most = Some(peak.max(most.unwrap_or(0.0)));
        }
        let ended = child.wait_with_output()?;
        ensure!(ended.status.success(), "{}: {}", self.name, ended.status);
        most.with_context(|| format!("{} ended before anybody looked", self.name))
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a process is what the rows are held against"
    )]
    fn start(&self, stdin: &[u8]) -> Result<Child> {
        let (program, arguments) = self.program.split_first().context("a program")?;
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {program}"))?;
        // Less than a pipe holds, so that writing never waits for reading.
        child
            .stdin
            .take()
            .context("a pipe was asked for")?
            .write_all(stdin)?;
        Ok(child)
    }
}
