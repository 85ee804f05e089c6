//! What one fetch may take, whichever way it goes: time, bytes and the stop; and the true reason of a failure.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use weir_core::digest::ObjectId;

use crate::error::SourceError;
use crate::fetch::alarm::Alarm;
use crate::http::guard::{Answer, Guard, Most};
use crate::http::pack::{Known, Refusal};
use crate::object;
use crate::source::{FetchLimits, FetchProgress};

/// One fetch on its way.
pub(crate) struct Exchange<'a> {
    /// The repository's URL, fit for error texts.
    url: String,
    stop: &'a AtomicBool,
    progress: &'a dyn Fn(FetchProgress),
    /// The end of the whole fetch.
    until: Instant,
    /// Rings at the end, too, where no byte is waited for.
    alarm: Alarm,
    /// Bytes left over all answers, after decompression.
    left: Cell<u64>,
    /// The same of all but packs.
    talk: Rc<RefCell<u64>>,
    /// The limits that both began with, and those on a pack.
    limits: FetchLimits,
    /// What is here already, which a pack may build on.
    here: RefCell<Option<gix::Repository>>,
    /// Why the exchange failed: gix's own errors do not tell refused credentials from a dead server.
    failure: RefCell<Option<SourceError>>,
    /// A pack was taken into the clone, whatever it is worth.
    taken: Cell<bool>,
}

impl<'a> Exchange<'a> {
    /// # Errors
    /// The system has no thread for the alarm.
    pub(crate) fn begin(
        url: String,
        limits: FetchLimits,
        stop: &'a Arc<AtomicBool>,
        progress: &'a dyn Fn(FetchProgress),
    ) -> Result<Exchange<'a>, SourceError> {
        progress(FetchProgress::Connecting);
        let until = Instant::now() + limits.deadline;
        let alarm = Alarm::set(stop, until)
            .map_err(|e| SourceError::host("beginning a fetch: no thread", e))?;
        Ok(Exchange {
            url,
            stop,
            progress,
            until,
            alarm,
            left: Cell::new(limits.response_bytes),
            talk: Rc::new(RefCell::new(limits.talk_bytes)),
            limits,
            here: RefCell::default(),
            failure: RefCell::default(),
            taken: Cell::default(),
        })
    }

    /// When the fetch has to be over.
    pub(crate) fn until(&self) -> Instant {
        self.until
    }

    /// True once the fetch has to end: it was stopped, or its time is over.
    pub(crate) fn rings(&self) -> &AtomicBool {
        self.alarm.rings()
    }

    /// Whether it had to end.
    pub(crate) fn has_rung(&self) -> bool {
        self.alarm.has_rung()
    }

    /// A pack that comes may build on what this has.
    pub(crate) fn builds_on(&self, repo: &gix::Repository) {
        *self.here.borrow_mut() = Some(repo.clone());
    }

    /// A pack was taken into the clone.
    pub(crate) fn has_taken(&self) {
        self.taken.set(true);
    }

    /// Whether a pack was taken into the clone, whatever it is worth.
    pub(crate) fn is_taken(&self) -> bool {
        self.taken.get()
    }

    /// What checks an answer as it streams past.
    pub(crate) fn guard(&self, answer: Answer) -> Guard {
        let FetchLimits {
            talk_bytes,
            object_bytes,
            pack,
            ..
        } = self.limits;
        let most = Most {
            talk_bytes,
            object_bytes,
            pack,
        };
        let known = self.here.borrow().clone().map(|repo| -> Known {
            Box::new(move |id| object::is_there(&repo, ObjectId::from_bytes(*id)))
        });
        Guard::new(answer, self.talk.clone(), most, known)
    }

    /// The request is sent, or about to be.
    pub(crate) fn waits(&self) {
        (self.progress)(FetchProgress::Waiting);
    }

    /// Keeps the reason and gives gix something to fail with.
    pub(crate) fn fail(&self, error: SourceError) -> io::Error {
        let text = error.to_string();
        self.failure.borrow_mut().get_or_insert(error);
        io::Error::other(text)
    }

    /// The same for an answer that is not taken.
    pub(crate) fn refused(&self, why: Refusal) -> io::Error {
        let url = self.url.clone();
        self.fail(match why {
            Refusal::Limit(which) => SourceError::Limit { url, which },
            Refusal::Said(text) => self.unreachable(format!("the server gave up: {text}")),
            Refusal::Malformed(why) => SourceError::Damaged {
                url,
                why: format!("{why}; the last good state stays, the next fetch clones anew"),
            },
        })
    }

    /// The first reason that was kept.
    pub(crate) fn failure(&self) -> Option<SourceError> {
        self.failure.take()
    }

    /// Whether a reason was kept and not yet taken.
    pub(crate) fn has_failed(&self) -> bool {
        self.failure.borrow().is_some()
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    pub(crate) fn stopped(&self) -> SourceError {
        SourceError::Stopped {
            url: self.url.clone(),
        }
    }

    pub(crate) fn unreachable(&self, why: impl Into<String>) -> SourceError {
        SourceError::Unreachable {
            url: self.url.clone(),
            why: why.into(),
        }
    }

    /// Bytes have come.
    pub(crate) fn count(&self, bytes: usize) -> io::Result<()> {
        let limit = self.limits.response_bytes;
        let Some(rest) = self.left.get().checked_sub(bytes as u64) else {
            let which = format!("response_bytes of {limit} bytes in one fetch");
            return Err(self.fail(SourceError::Limit {
                url: self.url.clone(),
                which,
            }));
        };
        self.left.set(rest);
        if bytes > 0 {
            (self.progress)(FetchProgress::Receiving {
                bytes: limit - rest,
            });
        }
        Ok(())
    }
}
