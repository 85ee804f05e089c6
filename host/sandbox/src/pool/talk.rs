//! What is said during one call: the call, the questions about files with their answers, and what came of it.

use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use weir_core::grant::Limits;
use weir_core::tree::View;

use super::process::{Lost, Worker};
use crate::answer::Gave;
use crate::channel::Channel;
use crate::config::WorkerLimits;
use crate::error::Failure;
use crate::files::{Files, Refusal};
use crate::run::LIFT_OVERHEAD;
use crate::state::ENTRY_COST;
use crate::values::Usage;
use crate::wire::{Reply, Request, entries_request, file_request};

/// What a worker says of a call besides what the guest gave, in bytes: the log, and the numbers.
const REPORT: u64 = 8 << 20;

/// One call's conversation.
pub(super) struct Talk<'a> {
    worker: &'a Worker,
    limits: &'a Limits,
    until: Instant,
    questions: u64,
    answered: u64,
    /// Why a question was not answered: the call's end, whatever the worker says of it.
    stopped: Option<Failure>,
}

impl<'a> Talk<'a> {
    pub(super) fn new(worker: &'a Worker, limits: &'a Limits, own: &WorkerLimits) -> Talk<'a> {
        Talk {
            worker,
            limits,
            until: Instant::now() + limits.time.duration() + own.grace,
            questions: 0,
            answered: 0,
            stopped: None,
        }
    }

    /// Has a call run, and answers its questions.
    pub(super) fn run(
        mut self,
        request: &[u8],
        files: &mut Files,
    ) -> Result<(Usage, Result<Gave, Failure>), Lost> {
        let most = self.limits.output.0.saturating_add(LIFT_OVERHEAD + REPORT);
        self.send(request)?;
        loop {
            match self.worker.next(most, self.until)? {
                Reply::Ran(usage, gave) => {
                    let gave = match self.stopped {
                        Some(failure) => Err(failure),
                        None => *gave,
                    };
                    return Ok((believed(usage, self.limits), gave));
                }
                Reply::Entries(dir) => {
                    let view = self.asked(files)?;
                    let answer = view.entries(&dir).map_err(Refusal::from);
                    let cost = |list: &Vec<weir_core::tree::DirEntry>| {
                        list.iter().map(|e| e.name.len() as u64 + ENTRY_COST).sum()
                    };
                    self.answered += answer.as_ref().map_or(0, cost);
                    let frame = self.told(answer, |answer| entries_request(&answer));
                    self.send(&frame)?;
                }
                Reply::File(path) => {
                    let view = self.asked(files)?;
                    let answer = view.read(&path).map_err(Refusal::from);
                    self.answered += answer.as_ref().map_or(0, |bytes| bytes.len() as u64);
                    let frame = self.told(answer, |answer| {
                        file_request(answer.as_deref().map_err(|e| *e))
                    });
                    self.send(&frame)?;
                }
                Reply::Ready(_) | Reply::Loaded(_) | Reply::Tried(_) => {
                    return Err(Lost::Stray("it said what nobody asked".into()));
                }
            }
        }
    }

    fn send(&self, frame: &[u8]) -> Result<(), Lost> {
        Ok(self.worker.channel().send(frame, None, Some(self.until))?)
    }

    /// Counts a question. A worker of ours ends a call by itself before it asks more than that.
    fn asked<'v>(&mut self, files: &'v mut Files) -> Result<&'v mut View, Lost> {
        self.questions += 1;
        let too_much =
            self.questions > self.limits.host_calls || self.answered > self.limits.output.0;
        match files {
            _ if too_much || self.stopped.is_some() => {
                Err(Lost::Stray("it asked for more files than it may".into()))
            }
            Files::Here(view) => Ok(view),
            Files::Gone | Files::Asked(_) => {
                Err(Lost::Host("the files of this call are gone".into()))
            }
        }
    }

    /// What the worker is told of an answer.
    fn told<T>(
        &mut self,
        answer: Result<T, Refusal>,
        frame: impl FnOnce(Result<T, crate::bindings::tree::FsError>) -> Vec<u8>,
    ) -> Vec<u8> {
        match answer {
            Ok(answer) => frame(Ok(answer)),
            Err(Refusal::Told(error)) => frame(Err(error)),
            Err(Refusal::Stop(failure)) => {
                self.stopped = Some(failure);
                Request::Stop.encode()
            }
        }
    }
}

/// What a worker says of its spending, where that can be: no more than it may spend.
fn believed(usage: Usage, limits: &Limits) -> Usage {
    Usage {
        fuel: usage.fuel.min(limits.fuel.0),
        memory: usage.memory.min(limits.memory.0),
        host_calls: usage.host_calls.min(limits.host_calls),
        ..usage
    }
}

/// How whoever waits for a call tells the thread that talks to its worker that nobody waits any more.
#[derive(Clone, Default)]
pub(super) struct Told(Arc<Mutex<Line>>);

#[derive(Default)]
struct Line {
    is_stopped: bool,
    stream: Option<UnixStream>,
}

/// Tells it when it is dropped.
pub(super) struct Stopping(Told);

impl Told {
    pub(super) fn stopping(&self) -> Stopping {
        Stopping(self.clone())
    }

    /// From now on this is the conversation that would be ended.
    pub(super) fn listen(&self, channel: &Channel) -> Result<(), Lost> {
        let mut line = self.line();
        if line.is_stopped {
            return Err(Lost::Host("nobody waits for it any more".into()));
        }
        let stream = channel.stream().try_clone();
        line.stream = Some(stream.map_err(|e| Lost::Host(e.to_string()))?);
        Ok(())
    }

    /// The conversation is over.
    pub(super) fn deafen(&self) {
        self.line().stream = None;
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.line().is_stopped
    }

    fn line(&self) -> std::sync::MutexGuard<'_, Line> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Stopping {
    fn drop(&mut self) {
        let mut line = self.0.line();
        line.is_stopped = true;
        if let Some(stream) = line.stream.take() {
            // Gone already: then nobody is talking.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}
