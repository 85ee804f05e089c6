//! Child processes: their output is shown, their failure names the command.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// A command to run in a folder.
pub(crate) struct Run(Command);

/// The same cargo that runs this task, in the workspace.
pub(crate) fn cargo(dir: &Path) -> Run {
    cargo_tool(
        std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()),
        dir,
    )
}

/// A program that runs cargo in turn, in a folder.
pub(crate) fn cargo_tool(name: impl AsRef<OsStr>, dir: &Path) -> Run {
    let mut run = program(name, dir);
    // What `cargo run` sets for this task would look like a changed environment
    // to build scripts (ring's watches it) and rebuild them each time.
    for (name, _) in std::env::vars_os() {
        if is_of_cargo_run(&name) {
            run.0.env_remove(name);
        }
    }
    run
}

/// A program from PATH, in a folder.
#[expect(
    clippy::disallowed_methods,
    reason = "developer tasks run cargo, git, rustup and go; this is their one door"
)]
pub(crate) fn program(name: impl AsRef<OsStr>, dir: &Path) -> Run {
    let mut command = Command::new(name);
    command.current_dir(dir);
    Run(command)
}

impl Run {
    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Run {
        self.0.arg(argument);
        self
    }

    pub(crate) fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Run {
        self.0.args(arguments);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Run {
        self.0.env(name, value);
        self
    }

    /// Runs it with this terminal; an exit code other than 0 is an error.
    pub(crate) fn run(mut self) -> Result<()> {
        let status = self.0.status().with_context(|| self.cannot_start())?;
        self.success(status)
    }

    /// Runs it and returns what it printed; its errors go to this terminal.
    pub(crate) fn output(mut self) -> Result<String> {
        self.0.stderr(Stdio::inherit());
        let output = self.0.output().with_context(|| self.cannot_start())?;
        self.success(output.status)?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// What it prints, where it starts and does well.
    pub(crate) fn quiet(mut self) -> Option<String> {
        self.0.stdin(Stdio::null()).stderr(Stdio::null());
        let output = self.0.output().ok()?;
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        output.status.success().then_some(said)
    }

    /// Whether it ends well, with nothing shown.
    pub(crate) fn succeeds(mut self) -> bool {
        self.0
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        self.0.status().is_ok_and(|status| status.success())
    }

    /// Runs it with each line of its output given to `see` as well as shown; returns whether it ended well.
    pub(crate) fn lines(mut self, mut see: impl FnMut(&str)) -> Result<bool> {
        let mut child = self
            .0
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| self.cannot_start())?;
        let output = child.stdout.take().context("stdout is piped")?;
        for line in BufReader::new(output).split(b'\n') {
            let line = String::from_utf8_lossy(&line?).into_owned();
            println!("{line}");
            see(&line);
        }
        Ok(child.wait()?.success())
    }

    /// Runs it quietly for at most `bound`; `Err` says why it did not end well.
    pub(crate) fn within(mut self, bound: Duration) -> Result<()> {
        self.0
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut child = self.0.spawn().with_context(|| self.cannot_start())?;
        let started = Instant::now();
        loop {
            if let Some(status) = child.try_wait()? {
                return self.success(status);
            }
            if started.elapsed() > bound {
                child.kill()?;
                child.wait()?;
                bail!("{} did not end within {} s", self.text(), bound.as_secs());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Starts it beside this task.
    pub(crate) fn spawn(mut self) -> Result<Child> {
        self.0.spawn().with_context(|| self.cannot_start())
    }

    /// Starts it beside this task with its output in a file.
    pub(crate) fn spawn_into(mut self, log: &Path) -> Result<Child> {
        let file =
            std::fs::File::create(log).with_context(|| format!("making {}", log.display()))?;
        self.0
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file);
        self.spawn()
    }

    /// Becomes the command: same process, same terminal, its exit code. Returns only when that fails.
    pub(crate) fn become_it(mut self) -> Result<()> {
        use std::os::unix::process::CommandExt as _;
        let error = self.0.exec();
        Err(error).with_context(|| self.cannot_start())
    }

    fn success(&self, status: ExitStatus) -> Result<()> {
        if !status.success() {
            bail!("`{}` failed ({status})", self.text());
        }
        Ok(())
    }

    fn cannot_start(&self) -> String {
        format!(
            "`{}` cannot be started: is it installed and in PATH?",
            self.0.get_program().display()
        )
    }

    fn text(&self) -> String {
        let mut words = vec![
            Path::new(self.0.get_program())
                .file_name()
                .unwrap_or_default()
                .to_owned(),
        ];
        words.extend(self.0.get_args().map(OsString::from));
        words.join(OsStr::new(" ")).to_string_lossy().into_owned()
    }
}

fn is_of_cargo_run(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
        || matches!(
            name.as_ref(),
            "CARGO_CRATE_NAME" | "CARGO_PRIMARY_PACKAGE" | "OUT_DIR"
        )
}
