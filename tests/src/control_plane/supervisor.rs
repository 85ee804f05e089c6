//! The shell that is the parent of all processes of one control plane, and ends them when whoever holds it is gone.
//!
//! A Rust static is never dropped and a killed test drops nothing at all, so
//! cleaning up is not left to the test process: the supervisor reads a pipe
//! that only that process holds. When the pipe ends, it kills its children,
//! waits for them and removes their folder.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::fs::OFlags;

use super::wait;

const SCRIPT: &str = include_str!("supervisor.sh");
/// Longer than a shell takes to begin or to end, on any machine.
const SHELL: Duration = Duration::from_secs(30);

/// The supervisor of one folder.
pub(super) struct Supervisor {
    folder: PathBuf,
    orders: Orders,
}

/// How orders reach it.
enum Orders {
    /// A pipe that nobody else holds: its end is the supervisor's end.
    Held {
        pipe: Option<ChildStdin>,
        shell: Child,
    },
    /// A FIFO in the folder: the supervisor outlives this process.
    Detached(File),
}

impl Supervisor {
    /// Starts one for an existing folder, held by this process.
    ///
    /// # Errors
    /// No shell.
    pub(super) fn held(folder: &Path) -> Result<Supervisor> {
        let mut shell = shell(folder)
            .stdin(Stdio::piped())
            .spawn()
            .context("starting sh")?;
        let pipe = Some(shell.stdin.take().context("stdin is piped")?);
        Ok(Supervisor {
            folder: folder.to_path_buf(),
            orders: Orders::Held { pipe, shell },
        })
    }

    /// Starts one that outlives this process and its terminal.
    ///
    /// # Errors
    /// No shell, or it does not begin.
    pub(super) fn detached(folder: &Path) -> Result<Supervisor> {
        let mut shell = shell(folder)
            .arg("detached")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("starting sh")?;
        wait::until(SHELL, "the supervisor reads its orders", || {
            if let Some(status) = shell.try_wait()? {
                bail!("the supervisor of {} ended ({status})", folder.display());
            }
            Supervisor::of(folder)
        })
    }

    /// The detached supervisor of a folder; `None` when there is none.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub(super) fn of(folder: &Path) -> Result<Option<Supervisor>> {
        // Without a reader, opening a FIFO for writing fails instead of waiting: nobody is there.
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let opened = OpenOptions::new()
            .write(true)
            .custom_flags(flags)
            .open(folder.join("orders"));
        match opened {
            Ok(fifo) => Ok(Some(Supervisor {
                folder: folder.to_path_buf(),
                orders: Orders::Detached(fifo),
            })),
            Err(error)
                if error.kind() == std::io::ErrorKind::NotFound
                    || error.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error()) =>
            {
                Ok(None)
            }
            Err(error) => {
                Err(error).with_context(|| format!("opening {}/orders", folder.display()))
            }
        }
    }

    /// Starts a program with its output in `NAME.log`; returns when its process is there.
    ///
    /// # Errors
    /// The supervisor is gone.
    pub(super) fn start(&mut self, name: &str, program: &Path, arguments: &[String]) -> Result<()> {
        let words: Vec<String> = std::iter::once(program.display().to_string())
            .chain(arguments.iter().cloned())
            .map(|word| quoted(&word))
            .collect();
        fs::write(
            self.folder.join(format!("{name}.sh")),
            format!("exec {}\n", words.join(" ")),
        )?;
        self.order(&format!("start {name}\n"))?;
        wait::until(SHELL, &format!("{name} is started"), || {
            Ok(self.pid(name)?.map(drop))
        })
    }

    /// Kills a program; returns when it is gone.
    ///
    /// # Errors
    /// The supervisor is gone.
    pub(super) fn stop(&mut self, name: &str) -> Result<()> {
        self.order(&format!("stop {name}\n"))?;
        wait::until(SHELL, &format!("{name} is stopped"), || {
            Ok(self.pid(name)?.is_none().then_some(()))
        })
    }

    /// Whether a started program still runs.
    ///
    /// # Errors
    /// No `ps`.
    pub(super) fn runs(&self, name: &str) -> Result<bool> {
        Ok(match self.pid(name)? {
            Some(pid) => is_running(pid)?,
            None => false,
        })
    }

    /// The process id of a started program.
    ///
    /// # Errors
    /// Its file does not hold one.
    pub(super) fn pid(&self, name: &str) -> Result<Option<u32>> {
        match fs::read_to_string(self.folder.join(format!("{name}.pid"))) {
            Ok(text) => Ok(Some(text.trim().parse().context("a process id")?)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).context("reading a process id"),
        }
    }

    /// Ends everything; returns when all processes and the folder are gone.
    ///
    /// # Errors
    /// They are not, in time.
    pub(super) fn end(mut self) -> Result<()> {
        self.order("end\n")?;
        wait::until(SHELL, "the control plane's folder is gone", || {
            Ok((!self.folder.exists()).then_some(()))
        })
    }

    fn order(&mut self, line: &str) -> Result<()> {
        let pipe: &mut dyn Write = match &mut self.orders {
            Orders::Held { pipe, .. } => pipe.as_mut().context("the pipe is closed")?,
            Orders::Detached(fifo) => fifo,
        };
        pipe.write_all(line.as_bytes())
            .with_context(|| format!("the supervisor of {} is gone", self.folder.display()))
    }
}

impl Drop for Supervisor {
    /// Lets go of a held one and waits until everything is gone; a detached one goes on.
    fn drop(&mut self) {
        if let Orders::Held { pipe, shell } = &mut self.orders {
            drop(pipe.take());
            let _ = shell.wait();
        }
    }
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Supervisor({})", self.folder.display())
    }
}

/// Whether a process with this id is there and has not ended.
///
/// # Errors
/// No `ps`.
#[expect(
    clippy::disallowed_methods,
    reason = "the rig looks at processes that are not its children"
)]
pub fn is_running(pid: u32) -> Result<bool> {
    let output = Command::new("ps")
        .args(["-o", "stat=", "-p", &pid.to_string()])
        .output()
        .context("starting ps (Debian's package procps)")?;
    let state = String::from_utf8_lossy(&output.stdout);
    Ok(!state.trim().is_empty() && !state.trim().starts_with('Z'))
}

#[expect(clippy::disallowed_methods, reason = "the rig's supervisor is a shell")]
fn shell(folder: &Path) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell
        .args(["-c", SCRIPT, "weir-control-plane"])
        .arg(folder)
        // A group of its own: an interrupt at the terminal ends the holder, and by that this.
        .process_group(0);
    shell
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}
