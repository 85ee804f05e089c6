//! What one fetch may take, whichever way it goes: time, bytes and the stop; and the true reason of a failure.

use std::cell::{Cell, RefCell};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::error::SourceError;
use crate::source::{FetchLimits, FetchProgress};

/// One fetch on its way.
pub(crate) struct Exchange<'a> {
    /// The repository's URL, fit for error texts.
    url: String,
    stop: &'a AtomicBool,
    progress: &'a dyn Fn(FetchProgress),
    /// The end of the whole fetch.
    until: Instant,
    /// Bytes left over all answers, after decompression.
    left: Cell<u64>,
    limit: u64,
    /// Why the exchange failed: gix's own errors do not tell refused credentials from a dead server.
    failure: RefCell<Option<SourceError>>,
}

impl<'a> Exchange<'a> {
    pub(crate) fn begin(
        url: String,
        limits: FetchLimits,
        stop: &'a AtomicBool,
        progress: &'a dyn Fn(FetchProgress),
    ) -> Exchange<'a> {
        progress(FetchProgress::Connecting);
        Exchange {
            url,
            stop,
            progress,
            until: Instant::now() + limits.deadline,
            left: Cell::new(limits.response_bytes),
            limit: limits.response_bytes,
            failure: RefCell::default(),
        }
    }

    /// When the fetch has to be over.
    pub(crate) fn until(&self) -> Instant {
        self.until
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
        let Some(rest) = self.left.get().checked_sub(bytes as u64) else {
            let which = format!("response_bytes of {} bytes in one fetch", self.limit);
            return Err(self.fail(SourceError::Limit {
                url: self.url.clone(),
                which,
            }));
        };
        self.left.set(rest);
        if bytes > 0 {
            (self.progress)(FetchProgress::Receiving {
                bytes: self.limit - rest,
            });
        }
        Ok(())
    }
}
