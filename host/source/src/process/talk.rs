//! One process that fetches, as its host sees it: started, told, heard in short turns, ended with all that it has started.

use std::io::{self, Read as _, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::{Pid, Signal, kill_process_group};

use super::failure::text;
use super::words::{LINE, Progress, REQUEST, Request, Word};
use super::{FetchProcess, FetcherLimits, ProcessEnd};

/// How long one turn waits.
const TURN: Duration = Duration::from_millis(50);
/// What is taken at once.
const PART: usize = 16 << 10;
/// All that one process may say, in bytes: it says a few times a second how far it is.
const ALL: usize = 4 << 20;
/// How often a process begins to ask its server: for the fetch, and for a clone that is made anew.
const EXCHANGES: usize = 2;
/// How long a process that has closed its standard output may take to be gone.
const GONE: Duration = Duration::from_secs(1);
/// What is kept of its standard error, in bytes.
const STDERR: u64 = 4 << 10;
/// How a process says that it got no memory.
const OUT_OF_MEMORY: [&str; 2] = ["Cannot allocate memory", "memory allocation of"];

/// Why talking to a process ended.
#[derive(Debug)]
pub(super) enum Lost {
    /// It did not start.
    Start(String),
    /// It was told to stop.
    Stopped,
    /// It said or did what no process of ours does.
    Stray(String),
    /// It said nothing for so long.
    Silent(Duration),
    /// It met a limit.
    Limit(String),
    /// It was killed by this signal, which none of its limits sends.
    Killed(String),
    /// It is not confined as it has to be: the kernel lacks this.
    Unconfined(String),
}

/// What the loss of a process means to who waits for what it does.
pub(super) enum Loss {
    /// It was told to stop.
    Stopped,
    /// It met this limit.
    Limit(String),
    /// It ended so.
    Ended(ProcessEnd),
}

impl Lost {
    pub(super) fn means(self) -> Loss {
        Loss::Ended(match self {
            Lost::Stopped => return Loss::Stopped,
            Lost::Limit(which) => return Loss::Limit(which),
            Lost::Stray(what) => ProcessEnd::Strayed(what),
            Lost::Silent(time) => ProcessEnd::Silent(time),
            Lost::Killed(signal) => ProcessEnd::Killed(signal),
            Lost::Start(why) => ProcessEnd::NotStarted(why),
            Lost::Unconfined(missing) => ProcessEnd::Unconfined(missing),
        })
    }
}

/// A process that is talked to. Dropped, it and what it has started are gone.
pub(super) struct Talk<'a> {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: ChildStdout,
    /// What it is not told yet.
    untold: Vec<u8>,
    /// What it has said and was not heard yet.
    said: Vec<u8>,
    left: usize,
    exchanges: usize,
    until: Instant,
    patience: Duration,
    deadline: Duration,
    limits: FetcherLimits,
    stop: &'a Arc<AtomicBool>,
    stopping: bool,
}

impl<'a> Talk<'a> {
    /// Starts one. It may first have to wait for another one that fetches into the same clone, which has a deadline too.
    pub(super) fn start(
        process: &FetchProcess,
        request: &Request,
        deadline: Duration,
        stop: &'a Arc<AtomicBool>,
    ) -> Result<Talk<'a>, Lost> {
        let mut untold = serde_json::to_vec(request)
            .map_err(|e| Lost::Start(format!("it cannot be told what to do: {e}")))?;
        untold.push(b'\n');
        if untold.len() > REQUEST {
            return Err(Lost::Start("it would have to be told too much".into()));
        }
        let failed = |e: io::Error| Lost::Start(e.to_string());
        let mut child = spawned(process).map_err(failed)?;
        let missing = || Lost::Start("it was started without a pipe".into());
        let pipes = (child.stdin.take(), child.stdout.take());
        let limits = process.limits;
        let patience = limits.start.saturating_add(deadline);
        let (Some(stdin), Some(stdout)) = pipes else {
            return Err(missing());
        };
        let talk = Talk {
            child,
            stdin: Some(stdin),
            stdout,
            untold,
            said: Vec::new(),
            left: ALL,
            exchanges: 0,
            until: Instant::now() + patience,
            patience,
            deadline,
            limits,
            stop,
            stopping: false,
        };
        // A process that does not listen must not hold its host up.
        if let Some(stdin) = &talk.stdin {
            let flags = fcntl_getfl(stdin).map_err(|e| failed(e.into()))?;
            fcntl_setfl(stdin, flags | OFlags::NONBLOCK).map_err(|e| failed(e.into()))?;
        }
        Ok(talk)
    }

    /// The next thing that it says.
    pub(super) fn next(&mut self) -> Result<Word, Lost> {
        loop {
            if let Some(end) = self.said.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.said.drain(..=end).collect();
                return self.word(&line);
            }
            if self.said.len() > LINE {
                let what = format!("it said more than {LINE} bytes at once");
                return Err(Lost::Stray(what));
            }
            self.turn()?;
        }
    }

    fn word(&mut self, line: &[u8]) -> Result<Word, Lost> {
        let word = serde_json::from_slice(line).map_err(|_| {
            let begins = line.get(..line.len().min(60)).unwrap_or_default();
            let begins = text(&String::from_utf8_lossy(begins));
            Lost::Stray(format!(
                "it said what is not understood: {}",
                begins.trim_end_matches('\u{fffd}')
            ))
        })?;
        if let Word::Progress(Progress::Connecting) = &word {
            self.exchanges += 1;
            if self.exchanges > EXCHANGES {
                let what = "it began more often than there is anything to ask";
                return Err(Lost::Stray(what.into()));
            }
            self.patience = self.deadline.saturating_add(self.limits.grace);
            self.until = Instant::now() + self.patience;
        }
        Ok(word)
    }

    /// One turn of waiting: for what it says, and until it takes what it is told.
    fn turn(&mut self) -> Result<(), Lost> {
        let now = Instant::now();
        if self.stop.load(Ordering::Relaxed) && !self.stopping {
            // It hears that nobody talks to it any more.
            self.stopping = true;
            self.stdin = None;
            self.until = now + self.limits.stop;
        }
        if now >= self.until {
            return Err(match self.stopping {
                true => Lost::Stopped,
                false => Lost::Silent(self.patience),
            });
        }
        let failed = |e: io::Error| Lost::Start(format!("it cannot be talked to: {e}"));
        let wait = TURN.min(self.until - now);
        let wait = Timespec::try_from(wait).map_err(|e| failed(io::Error::other(e)))?;
        let tells = self.stdin.as_ref().filter(|_| !self.untold.is_empty());
        let mut fds = vec![PollFd::new(&self.stdout, PollFlags::IN)];
        fds.extend(tells.map(|stdin| PollFd::new(stdin, PollFlags::OUT)));
        match poll(&mut fds, Some(&wait)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(failed(e.into())),
        }
        let mut ready = fds.iter().map(|fd| !fd.revents().is_empty());
        let (says, listens) = (ready.next() == Some(true), ready.next() == Some(true));
        if listens {
            self.tell();
        }
        match says {
            true => self.hear(),
            false => Ok(()),
        }
    }

    fn tell(&mut self) {
        let Some(stdin) = &mut self.stdin else { return };
        match stdin.write(&self.untold) {
            Ok(told) => drop(self.untold.drain(..told)),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            // It does not listen any more: what that means, its end says.
            Err(_) => self.untold.clear(),
        }
    }

    fn hear(&mut self) -> Result<(), Lost> {
        let mut part = [0; PART];
        match self.stdout.read(&mut part) {
            Ok(0) => Err(self.ended()),
            Ok(read) => {
                self.left = self.left.checked_sub(read).ok_or_else(|| {
                    Lost::Stray(format!("it said more than {ALL} bytes in one fetch"))
                })?;
                self.said.extend_from_slice(&part[..read]);
                Ok(())
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(e) => Err(Lost::Start(format!("it cannot be heard: {e}"))),
        }
    }

    /// What its end means, before it has said what came of the fetch.
    fn ended(&mut self) -> Lost {
        let until = Instant::now() + GONE;
        let status = loop {
            match self.child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if Instant::now() < until => std::thread::yield_now(),
                Ok(None) => return Lost::Stray("it closed its standard output and stayed".into()),
                Err(e) => return Lost::Start(format!("nobody knows how it ended: {e}")),
            }
        };
        if self.stopping {
            return Lost::Stopped;
        }
        let mut words = Vec::new();
        if let Some(stderr) = self.child.stderr.take() {
            // What it has started may have it open still: only what is there is read.
            let flags = fcntl_getfl(&stderr).map(|flags| flags | OFlags::NONBLOCK);
            if flags.and_then(|flags| fcntl_setfl(&stderr, flags)).is_ok() {
                // What cannot be read is not told, and nothing else.
                let _ = stderr.take(STDERR).read_to_end(&mut words);
            }
        }
        let words = text(String::from_utf8_lossy(&words).trim());
        meaning(status, &words, &self.limits)
    }
}

impl Drop for Talk<'_> {
    fn drop(&mut self) {
        let group = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(group) = group {
            // Its number is its own until it is waited for. All of it is gone already, or goes now.
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a process, in a group of its own, that sees nothing of this one.
fn spawned(process: &FetchProcess) -> io::Result<Child> {
    #[expect(
        clippy::disallowed_methods,
        reason = "our own binary, as a process that fetches"
    )]
    let mut command = Command::new(&process.program);
    command
        .arg0("weir")
        .args(&process.args)
        .env_clear()
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
}

/// What the end of a process means. Its own words come before its signal: an allocation that fails aborts, too.
fn meaning(status: ExitStatus, words: &str, limits: &FetcherLimits) -> Lost {
    if OUT_OF_MEMORY.iter().any(|sign| words.contains(sign)) {
        let bytes = limits.data_bytes;
        return Lost::Limit(format!(
            "memory of {bytes} bytes of the process that fetches"
        ));
    }
    let stray = |what: &str| {
        Lost::Stray(match words {
            "" => what.to_owned(),
            words => format!("{what} ({words})"),
        })
    };
    // The numbers are those of POSIX on every Unix that we build for, but for SIGSYS, which is Linux's.
    match status.signal() {
        Some(24) => Lost::Limit(format!(
            "processor time of {} s of the process that fetches",
            limits.cpu_seconds
        )),
        Some(25) => Lost::Limit(format!(
            "files of {} bytes of the process that fetches",
            limits.file_bytes
        )),
        Some(31) => stray("it made a system call that ends a process (SIGSYS)"),
        Some(4) => stray("it crashed (SIGILL)"),
        Some(6) => stray("it gave up (SIGABRT)"),
        Some(7) => stray("it crashed (SIGBUS)"),
        Some(11) => stray("it crashed (SIGSEGV)"),
        Some(9) => Lost::Killed("SIGKILL".to_owned()),
        Some(number) => Lost::Killed(format!("signal {number}")),
        None => stray(&format!(
            "it ended by itself, with {status}, and did not say what came of the fetch"
        )),
    }
}
