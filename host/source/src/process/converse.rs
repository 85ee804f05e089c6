//! One process that is talked to until it says what came of its work: the same whatever the work is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::failure::text;
use super::talk::{Lost, Talk};
use super::words::{Request, Word};
use super::{FetchProcess, TIMES};
use crate::source::FetchProgress;

/// What it takes to talk to one.
pub(super) struct Conversation<'a> {
    pub(super) process: &'a FetchProcess,
    /// The time that the work may take.
    pub(super) deadline: Duration,
    pub(super) stop: &'a Arc<AtomicBool>,
    pub(super) progress: &'a dyn Fn(FetchProgress),
    /// What is fetched, as logs call it.
    pub(super) name: &'a str,
}

impl Conversation<'_> {
    /// Has a process do what is asked for. `ready` is called when it has given up its rights, `last` with the word that ends it.
    pub(super) fn held<T>(
        &self,
        request: &Request,
        ready: &dyn Fn(),
        last: impl FnOnce(Word) -> Result<T, Lost>,
    ) -> Result<T, Lost> {
        let mut talk = Talk::start(self.process, request, self.deadline, self.stop)?;
        loop {
            match talk.next()? {
                Word::Ready(_) => ready(),
                Word::Progress(how) => (self.progress)(how.into()),
                Word::Note(note) => note.repeat(self.name),
                Word::Unconfined(missing) => return Err(Lost::Unconfined(text(&missing))),
                word => return last(word),
            }
        }
    }

    /// Whether it is begun once more, after so many times: where somebody else killed the process.
    pub(super) fn goes_on(&self, lost: &Lost, begun: usize) -> bool {
        let Lost::Killed(signal) = lost else {
            return false;
        };
        if begun >= TIMES || self.stop.load(Ordering::Relaxed) {
            return false;
        }
        let url = self.name;
        tracing::warn!(%url, "the process of a fetch was ended by {signal}, which none of its limits sends: the fetch begins once more");
        true
    }
}
