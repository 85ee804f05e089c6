//! What a confined process must not be able to do, tried for real: `doctor` and the tests ask it.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Something that a confined process must not be able to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// Read a file that everybody may read.
    Read,
    /// Make a file where everybody may make one.
    Write,
    /// Open a connection to this machine.
    Connect,
    /// Start a program.
    Start,
    /// Read the memory of the process that started it.
    Memory,
    /// Send a signal to the process that started it.
    Signal,
}

/// How an attempt was refused; the kernel's word for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused(pub String);

impl Probe {
    /// All of them.
    pub const ALL: [Probe; 6] = [
        Probe::Read,
        Probe::Write,
        Probe::Connect,
        Probe::Start,
        Probe::Memory,
        Probe::Signal,
    ];

    /// Tries it. `Err` says that it was done, which is bad.
    ///
    /// # Errors
    /// It was not refused: what came of it.
    pub fn attempt(self) -> Result<Refused, String> {
        match self.done() {
            Ok(what) => Err(what),
            // The connection was made, or refused by the other side: this process was let through.
            Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => {
                Err("it reached this machine's network".to_owned())
            }
            Err(e) => Ok(Refused(e.to_string())),
        }
    }

    fn done(self) -> io::Result<String> {
        let parent = rustix::process::getppid();
        match self {
            Probe::Read => {
                let bytes = std::fs::read("/etc/passwd")?;
                Ok(format!("it read {} bytes of /etc/passwd", bytes.len()))
            }
            Probe::Write => {
                let name = format!(".weir-probe-{}", std::process::id());
                let path = std::path::Path::new("/tmp").join(name);
                std::fs::write(&path, b"weir")?;
                std::fs::remove_file(&path)?;
                Ok("it made a file in /tmp".to_owned())
            }
            Probe::Connect => {
                // The port of `discard`, where nobody listens.
                let to = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
                TcpStream::connect_timeout(&to, Duration::from_secs(1))?;
                Ok("it opened a connection".to_owned())
            }
            Probe::Start => {
                #[expect(
                    clippy::disallowed_methods,
                    reason = "an attempt that has to fail, at what starts no other program than this one"
                )]
                let mut command = Command::new("/proc/self/exe");
                let command = command.arg("--version").stdin(Stdio::null());
                command.stdout(Stdio::null()).stderr(Stdio::null());
                command.status()?;
                Ok("it started a program".to_owned())
            }
            Probe::Memory => {
                let parent = parent.ok_or(io::ErrorKind::NotFound)?;
                std::fs::File::open(format!("/proc/{}/mem", parent.as_raw_nonzero()))?;
                Ok("it opened the memory of the process that started it".to_owned())
            }
            Probe::Signal => {
                let parent = parent.ok_or(io::ErrorKind::NotFound)?;
                rustix::process::test_kill_process(parent)?;
                Ok("it may send signals to the process that started it".to_owned())
            }
        }
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Probe::Read => "reading a file",
            Probe::Write => "making a file",
            Probe::Connect => "opening a connection",
            Probe::Start => "starting a program",
            Probe::Memory => "reading the host's memory",
            Probe::Signal => "signalling the host",
        })
    }
}
