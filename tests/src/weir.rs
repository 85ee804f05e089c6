//! The real `weir` process: run to its end, or kept running as a service whose every line a test can wait for.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use crate::places;

mod engines;
mod serving;

pub use serving::{Line, Serving, Stream};

/// Longer than any single command of a suite takes, on any machine.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A machine for `weir`: its own home, state, cache and temporary folder, and nothing of the user's environment.
///
/// Several commands of one value see the same state, as several commands of
/// one user do. Everything is gone with the value.
#[derive(Debug)]
pub struct Weir {
    home: TempDir,
    binary: PathBuf,
    variables: BTreeMap<OsString, OsString>,
    umask: Option<u32>,
    current_dir: Option<PathBuf>,
    disk: Option<Disk>,
}

/// A disk of a process's own, in memory.
#[derive(Debug, Clone)]
struct Disk {
    at: PathBuf,
    kib: u64,
    taken: u64,
}

impl Weir {
    /// A fresh machine.
    ///
    /// # Errors
    /// The binary or the plugins are not built (the text says how to), or no room.
    pub fn new() -> Result<Weir> {
        let home = tempfile::Builder::new().prefix("weir-home-").tempdir()?;
        let mut variables = BTreeMap::new();
        for (variable, folder) in [
            ("HOME", "home"),
            ("XDG_STATE_HOME", "state"),
            ("XDG_CACHE_HOME", "cache"),
            ("XDG_CONFIG_HOME", "config"),
            ("TMPDIR", "tmp"),
        ] {
            let path = home.path().join(folder);
            fs::create_dir(&path)?;
            variables.insert(variable.into(), path.into());
        }
        variables.insert("WEIR_PLUGIN_DIR".into(), places::plugin_dir()?.into());
        if let Some(path) = std::env::var_os("PATH") {
            variables.insert("PATH".into(), path);
        }
        let mut weir = Weir {
            home,
            binary: places::weir_binary()?,
            variables,
            umask: None,
            current_dir: None,
            disk: None,
        };
        weir.variable("TZ", "UTC").variable("LANG", "C.UTF-8");
        Ok(weir)
    }

    /// Sets an environment variable for every later command.
    pub fn variable(&mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Weir {
        self.variables
            .insert(name.as_ref().to_owned(), value.as_ref().to_owned());
        self
    }

    /// Another build of Weir from now on, of the same program.
    ///
    /// # Errors
    /// It cannot be copied.
    pub fn another_build(&mut self) -> Result<()> {
        let again = self.binary.file_name().is_some_and(|n| n == "weir-2");
        let copy = self.path(if again { "weir-3" } else { "weir-2" });
        fs::copy(&self.binary, &copy)?;
        self.binary = copy;
        Ok(())
    }

    /// Removes an environment variable again.
    pub fn without_variable(&mut self, name: impl AsRef<OsStr>) -> &mut Weir {
        self.variables.remove(name.as_ref());
        self
    }

    /// The time zone of every later command; `UTC` without.
    pub fn timezone(&mut self, zone: &str) -> &mut Weir {
        self.variable("TZ", zone)
    }

    /// The locale of every later command; `C.UTF-8` without.
    pub fn locale(&mut self, locale: &str) -> &mut Weir {
        self.variable("LANG", locale).variable("LC_ALL", locale)
    }

    /// The umask of every later command; the test runner's without.
    pub fn umask(&mut self, umask: u32) -> &mut Weir {
        self.umask = Some(umask);
        self
    }

    /// The work directory of every later command; the machine's home without.
    pub fn current_dir(&mut self, dir: impl Into<PathBuf>) -> &mut Weir {
        self.current_dir = Some(dir.into());
        self
    }

    /// Each later command has a disk of its own at this folder, of so many KiB, of which so many are taken already by
    /// the file `taken` in it. It goes with the process; [`Serving::sees`] leads to it.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn small_disk(&mut self, at: &Path, kib: u64, taken: u64) -> Result<&mut Weir> {
        fs::create_dir_all(at)?;
        self.disk = Some(Disk {
            at: at.to_owned(),
            kib,
            taken,
        });
        Ok(self)
    }

    /// A folder of this machine that nothing else uses, for targets and files.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Where `weir` keeps its state without `--state`.
    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        self.home.path().join("state/weir")
    }

    /// Where `weir` keeps its caches without `--cache`.
    #[must_use]
    pub fn cache_dir(&self) -> PathBuf {
        self.home.path().join("cache/weir")
    }

    /// Runs one command to its end.
    ///
    /// # Errors
    /// It cannot be started, or is still running after [`PATIENCE`] (then it is killed and the error has what it printed).
    /// An exit code other than 0 is no error here: see [`Ran`].
    pub fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Result<Ran> {
        let mut serving = self.start(arguments)?;
        let status = serving.wait(PATIENCE)?;
        Ok(Ran {
            code: status,
            stdout: serving.stdout(),
            stderr: serving.stderr(),
        })
    }

    /// Starts one command that keeps running, such as `serve`.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Serving> {
        let mut command = self.command();
        command.args(arguments);
        Serving::start(command)
    }

    /// Runs a script as a person would, in the workspace's folder, with this machine's `weir` and these programs on
    /// the path. It ends at the first command that fails.
    ///
    /// # Errors
    /// It cannot be started, or runs longer than [`PATIENCE`].
    #[expect(
        clippy::disallowed_methods,
        reason = "the rig runs what a person would"
    )]
    pub fn shell(&self, script: &str, programs: &[&Path]) -> Result<Ran> {
        let programs = [self.binary.as_path()]
            .into_iter()
            .chain(programs.iter().copied());
        let mut path = std::env::join_paths(programs.filter_map(Path::parent))?;
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        let mut command = Command::new("bash");
        command
            .args(["-euo", "pipefail", "-c", script])
            .current_dir(places::root())
            .env_clear()
            .envs(&self.variables)
            .env("PATH", path);
        for who in ["AUTHOR", "COMMITTER"] {
            command
                .env(format!("GIT_{who}_NAME"), "Ada Writer")
                .env(format!("GIT_{who}_EMAIL"), "ada@example.test");
        }
        let mut serving = Serving::start(command)?;
        let code = serving.wait(PATIENCE)?;
        Ok(Ran {
            code,
            stdout: serving.stdout(),
            stderr: serving.stderr(),
        })
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the rig runs the binary under test"
    )]
    fn command(&self) -> Command {
        let mut command = match (&self.disk, self.umask) {
            (Some(disk), _) => {
                // A namespace of its own, in which the shell mounts the disk and becomes weir: the same process id.
                let mut apart = Command::new("unshare");
                if !rustix::process::geteuid().is_root() {
                    apart.args(["--user", "--map-root-user"]);
                }
                let mount = "mount -t tmpfs -o \"size=$2k,mode=0700\" none \"$1\" \
                     && { test \"$3\" = 0 || dd if=/dev/zero of=\"$1/taken\" bs=1024 count=\"$3\" status=none; } \
                     && shift 3 && exec \"$@\"";
                apart
                    .args(["--mount", "/bin/sh", "-c", mount, "sh"])
                    .arg(&disk.at)
                    .args([disk.kib.to_string(), disk.taken.to_string()])
                    .arg(&self.binary);
                apart
            }
            (None, None) => Command::new(&self.binary),
            // The shell sets the umask and becomes weir: the same process id, no unsafe code.
            (None, Some(umask)) => {
                let mut shell = Command::new("/bin/sh");
                shell
                    .arg("-c")
                    .arg(format!("umask {umask:04o} && exec \"$0\" \"$@\""))
                    .arg(&self.binary);
                shell
            }
        };
        let dir = self
            .current_dir
            .clone()
            .unwrap_or_else(|| self.home.path().join("home"));
        command
            .env_clear()
            .envs(&self.variables)
            .current_dir(dir)
            .stdin(Stdio::null());
        command
    }
}

/// A command that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it printed for programs and people.
    pub stdout: String,
    /// What it logged.
    pub stderr: String,
}

impl Ran {
    /// The standard output of a command that must have succeeded.
    ///
    /// # Errors
    /// Its exit code is not 0; the text has everything that it printed.
    pub fn success(self) -> Result<String> {
        self.code(0).map(|ran| ran.stdout)
    }

    /// The same value, when the exit code is the expected one.
    ///
    /// # Errors
    /// It is another; the text has everything that it printed.
    pub fn code(self, expected: i32) -> Result<Ran> {
        if self.code == Some(expected) {
            return Ok(self);
        }
        anyhow::bail!(
            "weir ended with {:?}, {expected} was expected\n--- stdout\n{}--- stderr\n{}",
            self.code,
            self.stdout,
            self.stderr
        )
    }
}

/// One HTTP GET over a fresh connection: the status and the body.
///
/// # Errors
/// Nobody listens there, or the answer is not HTTP.
pub fn http_get(address: &str, path: &str) -> Result<(u16, String)> {
    use std::io::{Read as _, Write as _};
    let address = address.trim_start_matches("http://");
    let mut stream = std::net::TcpStream::connect(address)
        .with_context(|| format!("connecting to {address}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(
        format!("GET {path} HTTP/1.0\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes(),
    )?;
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .with_context(|| format!("reading {path}"))?;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .context("an answer without headers")?;
    let status = head
        .split(' ')
        .nth(1)
        .context("an answer without a status")?
        .parse()
        .context("a status")?;
    Ok((status, body.to_owned()))
}

/// The path as text, for an argument.
///
/// # Errors
/// It is not UTF-8.
pub fn text(path: &Path) -> Result<&str> {
    path.to_str()
        .with_context(|| format!("{} is not UTF-8", path.display()))
}
