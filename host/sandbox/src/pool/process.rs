//! One worker as its host sees it: how it is started, what it holds, and what its end means.

use std::collections::BTreeSet;
use std::io::{self, Read as _};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use weir_confine::Confinement;
use weir_core::digest::Digest;

use super::Shipped;
use crate::Role;
use crate::channel::{Channel, Handed};
use crate::compile::OUT_OF_MEMORY;
use crate::config::WorkerLimits;
use crate::error::Failure;
use crate::wire::{Reply, Request, Unfit};
use crate::worker::confinement;

/// What is kept of what a worker writes to its standard error, in bytes.
const STDERR: u64 = 4 << 10;
/// What a worker may say at once besides what a call gives, in bytes: why code does not fit.
const SHORT: u64 = 1 << 20;
/// How long a process that has closed its socket may take to be gone.
const GONE: Duration = Duration::from_secs(1);

/// A worker.
pub(super) struct Worker {
    child: Child,
    channel: Channel,
    stderr: Option<ChildStderr>,
    /// What confines it, once it has said so.
    confined: Option<Confinement>,
    /// The code that it has.
    held: BTreeSet<(Digest, Role)>,
    started: Instant,
    calls: u32,
    worked: Duration,
}

/// Why talking to a worker ended.
#[derive(Debug)]
pub(super) enum Lost {
    /// It is gone.
    Gone,
    /// Its time is over.
    Late,
    /// It said or did what no worker of ours does.
    Stray(String),
    /// This host could not.
    Host(String),
}

/// What the end of a worker means.
#[derive(Debug)]
pub(super) enum Ended {
    /// It was killed by this signal, which none of its limits sends.
    Killed(String),
    /// Anything else, which is the call's failure.
    Failed(Failure),
}

impl From<io::Error> for Lost {
    fn from(e: io::Error) -> Lost {
        match e.kind() {
            io::ErrorKind::TimedOut => Lost::Late,
            io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::UnexpectedEof => Lost::Gone,
            _ => Lost::Stray(e.to_string()),
        }
    }
}

impl Ended {
    pub(super) fn into_failure(self) -> Failure {
        match self {
            Ended::Failed(failure) => failure,
            Ended::Killed(signal) => Failure::Host {
                what: format!(
                    "its process was ended by {signal}, which none of its limits sends, and so was the next one: most likely the machine or the container has no memory left: give it more, or run fewer things beside it; it is tried again"
                ),
            },
        }
    }
}

impl Worker {
    /// Starts one. It says by itself when it is ready.
    pub(super) fn start(program: &Path, args: &[String]) -> io::Result<Worker> {
        let (ours, theirs) = UnixStream::pair()?;
        #[expect(
            clippy::disallowed_methods,
            reason = "our own binary, as a worker that runs plugins"
        )]
        let mut command = Command::new(program);
        let mut child = command
            .arg0("weir")
            .args(args)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        Ok(Worker {
            stderr: child.stderr.take(),
            child,
            channel: Channel::new(ours),
            confined: None,
            held: BTreeSet::new(),
            started: Instant::now(),
            calls: 0,
            worked: Duration::ZERO,
        })
    }

    /// Waits until it has said that it is ready.
    pub(super) fn greeted(&mut self, limits: &WorkerLimits) -> Result<(), Lost> {
        if self.confined.is_some() {
            return Ok(());
        }
        match self.next(SHORT, Instant::now() + limits.start)? {
            Reply::Ready(report) => {
                self.confined = Some(confinement(report, limits));
                Ok(())
            }
            _ => Err(Lost::Stray("it did not say first that it is ready".into())),
        }
    }

    /// What confines it.
    pub(super) fn confined(&self) -> Confinement {
        self.confined.clone().unwrap_or_default()
    }

    /// Hands code over, where it does not have it yet.
    pub(super) fn load(
        &mut self,
        code: &Shipped,
        limits: &WorkerLimits,
    ) -> Result<Result<(), Unfit>, Lost> {
        if self.holds(code) {
            return Ok(Ok(()));
        }
        let request = Request::Load(code.digest, code.role);
        let until = Instant::now() + limits.start;
        match self.ask(&request, Some(code.fd()), until)? {
            Reply::Loaded(Ok(())) => {
                self.held.insert(code.key());
                Ok(Ok(()))
            }
            Reply::Loaded(Err(unfit)) => Ok(Err(unfit)),
            _ => Err(Lost::Stray("it did not say what became of code".into())),
        }
    }

    /// Says something short, and takes the answer.
    pub(super) fn ask(
        &self,
        request: &Request,
        file: Option<BorrowedFd<'_>>,
        until: Instant,
    ) -> Result<Reply, Lost> {
        self.channel.send(&request.encode(), file, Some(until))?;
        self.next(SHORT, until)
    }

    /// The next thing that it says, of so many bytes at most.
    pub(super) fn next(&self, most: u64, until: Instant) -> Result<Reply, Lost> {
        let frame = self.channel.take(most, Handed::Dropped, Some(until))?;
        let frame = frame.ok_or(Lost::Gone)?;
        Reply::decode(&frame.bytes).map_err(|e| Lost::Stray(e.to_string()))
    }

    pub(super) fn channel(&self) -> &Channel {
        &self.channel
    }

    pub(super) fn holds(&self, code: &Shipped) -> bool {
        self.held.contains(&code.key())
    }

    pub(super) fn holds_only(&self, code: &Shipped) -> bool {
        self.holds(code) && self.held.len() == 1
    }

    pub(super) fn holds_nothing(&self) -> bool {
        self.held.is_empty()
    }

    pub(super) fn has_room(&self, limits: &WorkerLimits) -> bool {
        self.held.len() < limits.plugins
    }

    /// Whether it has ended, whoever ended it.
    pub(super) fn is_gone(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Whether it has been there for too long to get another call.
    pub(super) fn is_old(&self, limits: &WorkerLimits) -> bool {
        self.started.elapsed() > limits.life
    }

    /// Counts one call; whether another one may come.
    pub(super) fn is_young(&mut self, took: Duration, limits: &WorkerLimits) -> bool {
        self.calls += 1;
        self.worked += took;
        self.calls < limits.calls && self.worked < limits.work
    }

    /// Ends it, and says what its end means.
    pub(super) fn ended(mut self, lost: Lost, limits: &WorkerLimits) -> Ended {
        match lost {
            Lost::Late => Ended::Failed(Failure::Time),
            Lost::Stray(what) => Ended::Failed(Failure::Stray { what }),
            Lost::Host(what) => Ended::Failed(Failure::Host { what }),
            Lost::Gone => match self.status() {
                Ok(status) => {
                    let words = self.words();
                    meaning(status, &words, limits)
                }
                Err(e) => Ended::Failed(Failure::Host {
                    what: format!("nobody knows how its process ended: {e}"),
                }),
            },
        }
    }

    /// How it ended. One that only closed its socket is killed.
    fn status(&mut self) -> io::Result<ExitStatus> {
        wait_until_gone(&self.child, GONE);
        self.child.kill()?;
        self.child.wait()
    }

    /// The end of what it wrote to its standard error. It is gone, so this ends.
    fn words(&mut self) -> String {
        let mut text = Vec::new();
        if let Some(stderr) = self.stderr.take() {
            // What cannot be read is not told, and nothing else.
            let _ = stderr.take(STDERR).read_to_end(&mut text);
        }
        String::from_utf8_lossy(&text).trim().to_owned()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Both fail only when it has been waited for already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until a process is gone, or for so long.
#[cfg(target_os = "linux")]
fn wait_until_gone(child: &Child, most: Duration) {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::process::{Pid, PidfdFlags, pidfd_open};
    let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) else {
        return;
    };
    // Without such files there is no waiting: it is killed at once.
    let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else {
        return;
    };
    let Ok(time) = Timespec::try_from(most) else {
        return;
    };
    let _ = poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&time));
}

#[cfg(not(target_os = "linux"))]
fn wait_until_gone(_: &Child, _: Duration) {}

/// What a worker's end means. Its own words come before its signal: an allocation that fails aborts, too.
fn meaning(status: ExitStatus, words: &str, limits: &WorkerLimits) -> Ended {
    if OUT_OF_MEMORY.iter().any(|sign| words.contains(sign)) {
        return Ended::Failed(Failure::Process {
            limit: "the memory in bytes",
            value: limits.data_bytes.to_string(),
        });
    }
    let stray = |what: &str| {
        let words = match words {
            "" => String::new(),
            words => format!(" ({words})"),
        };
        Ended::Failed(Failure::Stray {
            what: format!("{what}{words}"),
        })
    };
    // The numbers are those of POSIX on every Unix that we build for, but for SIGSYS, which is Linux's.
    match status.signal() {
        Some(24) => Ended::Failed(Failure::Process {
            limit: "the processor time in seconds",
            value: limits.cpu_seconds.to_string(),
        }),
        Some(31) => stray("it made a system call that ends a process (SIGSYS)"),
        Some(4) => stray("it crashed (SIGILL)"),
        Some(6) => stray("it gave up (SIGABRT)"),
        Some(7) => stray("it crashed (SIGBUS)"),
        Some(11) => stray("it crashed (SIGSEGV)"),
        Some(9) => Ended::Killed("SIGKILL".to_owned()),
        Some(number) => Ended::Killed(format!("signal {number}")),
        None => stray(&format!("it ended by itself, with {status}")),
    }
}
