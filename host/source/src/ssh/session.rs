//! One run of ssh: its pipes read and written in short turns, so that a stop, the deadline and silence are heard.

use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use super::heard::{Ended, Heard};
use super::host_key::HostKeyProblem;
use super::known_hosts::KnownHosts;
use crate::error::SourceError;
use crate::exchange::Exchange;
use crate::http::guard::{Answer, Guard};
use crate::url::SshUrl;

/// How long one turn waits.
const TURN: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 250_000_000,
};
/// How long ssh may take to end once nothing more is wanted of it.
const LEAVE: Duration = Duration::from_secs(2);

/// Bytes of a request that tell what its answer is.
const ASKED: usize = 256;

/// What the end of ssh is held against.
pub(super) struct Facts {
    pub(super) url: SshUrl,
    pub(super) key: PathBuf,
    pub(super) known_hosts: PathBuf,
    pub(super) known: KnownHosts,
    /// How long the server may say nothing.
    pub(super) silence: Duration,
}

/// ssh while it runs. Dropped, it is over.
pub(super) struct Session<'a> {
    exchange: Rc<Exchange<'a>>,
    facts: Facts,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: ChildStdout,
    /// Gone once it has ended.
    stderr: Option<ChildStderr>,
    heard: Heard,
    /// Checks the answer to what was asked last.
    guard: Guard,
    /// What is asked and not answered yet, as far as it tells what the answer is.
    asked: Vec<u8>,
    /// Bytes of the server's answers so far.
    received: u64,
    over: bool,
}

impl<'a> Session<'a> {
    /// # Errors
    /// A pipe that is not there.
    pub(super) fn of(
        mut child: Child,
        exchange: Rc<Exchange<'a>>,
        facts: Facts,
    ) -> io::Result<Session<'a>> {
        let missing = || io::Error::other("ssh was started without a pipe");
        let stdin = child.stdin.take().ok_or_else(missing)?;
        let stdout = child.stdout.take().ok_or_else(missing)?;
        let stderr = child.stderr.take().ok_or_else(missing)?;
        // A pipe that is full would hold a write up for as long as the server likes.
        let flags = fcntl_getfl(&stdin)?;
        fcntl_setfl(&stdin, flags | OFlags::NONBLOCK)?;
        // It begins with what it can do.
        let guard = exchange.guard(Answer::Refs);
        Ok(Session {
            exchange,
            facts,
            child,
            stdin: Some(stdin),
            stdout,
            stderr: Some(stderr),
            heard: Heard::default(),
            guard,
            asked: Vec::new(),
            received: 0,
            over: false,
        })
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() || self.over {
            return Ok(0);
        }
        self.wait(Want::Read)?;
        let read = self.stdout.read(buf)?;
        if read == 0 {
            return match self.ended() {
                None => Ok(0),
                Some(error) => Err(self.exchange.fail(error)),
            };
        }
        self.received += read as u64;
        self.exchange.count(read)?;
        if !self.asked.is_empty() {
            self.guard = self.exchange.guard(Answer::to(&self.asked));
            self.asked.clear();
        }
        let fed = self.guard.feed(&buf[..read]);
        fed.map_err(|why| self.exchange.refused(why))?;
        Ok(read)
    }

    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        loop {
            // gix says goodbye even where it was told that all is over.
            if self.over || self.exchange.has_failed() {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            self.wait(Want::Write)?;
            let Some(stdin) = &mut self.stdin else {
                return Err(io::ErrorKind::BrokenPipe.into());
            };
            match stdin.write(buf) {
                Ok(written) => {
                    let room = ASKED.saturating_sub(self.asked.len()).min(written);
                    self.asked.extend_from_slice(&buf[..room]);
                    return Ok(written);
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                // Nobody reads it any more: why, ssh says as it ends.
                Err(e) if e.kind() == io::ErrorKind::BrokenPipe => {
                    let error = self.ended().unwrap_or_else(|| {
                        let why = "the server ended the connection before it was asked";
                        self.exchange.unreachable(why)
                    });
                    return Err(self.exchange.fail(error));
                }
                other => return other,
            }
        }
    }

    /// Waits until the pipe can be used, and takes in what ssh says meanwhile.
    fn wait(&mut self, want: Want) -> io::Result<()> {
        let mut quiet = Instant::now();
        loop {
            let exchange = self.exchange.clone();
            if exchange.is_stopped() {
                return Err(exchange.fail(exchange.stopped()));
            }
            if Instant::now() >= exchange.until() {
                let why = "the fetch took longer than its deadline";
                return Err(exchange.fail(exchange.unreachable(why)));
            }
            if quiet.elapsed() >= self.facts.silence {
                let seconds = self.facts.silence.as_secs_f32();
                let why = format!("the server said nothing for {seconds} s");
                return Err(exchange.fail(exchange.unreachable(why)));
            }
            let ready = self.turn(want)?;
            if ready.pipe {
                return Ok(());
            }
            if ready.said {
                quiet = Instant::now();
            }
        }
    }

    /// One turn of waiting for a pipe and for what ssh says.
    fn turn(&mut self, want: Want) -> io::Result<Ready> {
        let ready = self.ready(want)?;
        if ready.said {
            self.listen()?;
        }
        Ok(ready)
    }

    fn ready(&self, want: Want) -> io::Result<Ready> {
        let pipe = match (want, &self.stdin) {
            (Want::Read, _) => Some(PollFd::new(&self.stdout, PollFlags::IN)),
            (Want::Write, Some(stdin)) => Some(PollFd::new(stdin, PollFlags::OUT)),
            _ => None,
        };
        let stderr = self.stderr.as_ref();
        let said = stderr.map(|stderr| PollFd::new(stderr, PollFlags::IN));
        let has_pipe = pipe.is_some();
        let mut fds: Vec<PollFd<'_>> = pipe.into_iter().chain(said).collect();
        match poll(&mut fds, Some(&TURN)) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(Ready::default()),
            Err(e) => return Err(e.into()),
        }
        let mut ready = fds.iter().map(|fd| !fd.revents().is_empty());
        Ok(Ready {
            pipe: has_pipe && ready.next().unwrap_or(false),
            said: ready.next().unwrap_or(false),
        })
    }

    /// Takes in what ssh has said; it has said something, or has ended.
    fn listen(&mut self) -> io::Result<()> {
        let Some(stderr) = &mut self.stderr else {
            return Ok(());
        };
        let mut buf = [0; 4096];
        match stderr.read(&mut buf) {
            Ok(0) => self.stderr = None,
            Ok(read) => self.heard.hear(&buf[..read]),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
        Ok(())
    }

    /// Lets ssh end and says what went wrong, if anything did.
    fn ended(&mut self) -> Option<SourceError> {
        let code = self.leave();
        self.over = true;
        self.heard.end();
        if code == Some(0) && self.received > 0 {
            return None;
        }
        Some(self.meant(self.heard.ended(code)))
    }

    /// Closes what we say, hears the rest, and waits for the end; where that does not come, makes it.
    fn leave(&mut self) -> Option<i32> {
        self.stdin = None;
        let until = Instant::now() + LEAVE;
        while self.stderr.is_some() && Instant::now() < until && !self.exchange.is_stopped() {
            if self.turn(Want::Nothing).is_err() {
                break;
            }
        }
        if self.stderr.is_some() {
            let _ = self.child.kill();
        }
        self.child.wait().ok()?.code()
    }

    fn meant(&self, ended: Ended) -> SourceError {
        let Facts {
            url,
            key,
            known_hosts,
            known,
            ..
        } = &self.facts;
        let url_text = url.to_string();
        match ended {
            Ended::HostKey {
                shown,
                is_certificate,
                revoked,
            } => {
                let file = known_hosts.clone();
                let problem = if revoked {
                    match HostKeyProblem::of(
                        known,
                        file.clone(),
                        url,
                        shown.clone(),
                        is_certificate,
                    ) {
                        revoked @ HostKeyProblem::Revoked { .. } => revoked,
                        // Signed with a revoked key.
                        _ => HostKeyProblem::Revoked {
                            file,
                            line: None,
                            shown,
                        },
                    }
                } else {
                    HostKeyProblem::of(known, file, url, shown, is_certificate)
                };
                SourceError::HostKey {
                    url: url_text,
                    problem: Box::new(problem),
                }
            }
            Ended::KeyRefused => SourceError::KeyRefused {
                url: url_text,
                user: url.user().to_owned(),
                file: key.clone(),
            },
            Ended::BadKey(why) => SourceError::BadKey {
                file: key.clone(),
                why: format!("ssh cannot use it: {why}"),
            },
            Ended::Program(why) => SourceError::SshProgram { why },
            Ended::Unreachable(why) => self.exchange.unreachable(why),
            Ended::Server { said, .. } if self.received > 0 => {
                let why = if said.is_empty() {
                    said
                } else {
                    format!(": {said}")
                };
                self.exchange
                    .unreachable(format!("the answer broke off{why}"))
            }
            Ended::Server {
                said,
                not_found: true,
            } => SourceError::NotFound {
                url: url_text,
                why: format!(
                    "the server says: {said} (many servers also say so to those who may not see it): check the path, and \
                     what the key may read"
                ),
            },
            Ended::Server { said, .. } => SourceError::NotFound {
                url: url_text,
                why: format!(
                    "the server let us in, but did not answer as a Git server{}: check user and path",
                    if said.is_empty() {
                        said
                    } else {
                        format!(" ({said})")
                    }
                ),
            },
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Want {
    Read,
    Write,
    Nothing,
}

#[derive(Default)]
struct Ready {
    pipe: bool,
    said: bool,
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        if !self.over {
            // Where it went wrong nothing is waited for.
            if self.exchange.has_failed() {
                let _ = self.child.kill();
            }
            self.leave();
        }
    }
}

/// What the server says.
pub(super) struct Answers<'a>(pub(super) Rc<RefCell<Session<'a>>>);

impl Read for Answers<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.borrow_mut().read(buf)
    }
}

/// What the server is asked.
pub(super) struct Questions<'a>(pub(super) Rc<RefCell<Session<'a>>>);

impl Write for Questions<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
