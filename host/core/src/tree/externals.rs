//! What lies outside the repository, as its views see it: each external a snapshot of its own below the reserved folder.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use super::Snapshot;
use crate::external::{MAX_EXTERNALS, Reference};
use crate::fault::{Fault, Retry};

/// How many names are kept of those that were asked for: a plugin may ask without end.
const MAX_ASKED: usize = 4 * MAX_EXTERNALS;

/// The externals that are shown, and the ones that were asked for. Clones share both.
#[derive(Clone, Default)]
pub struct Externals {
    shown: Arc<BTreeMap<String, Result<Snapshot, Unavailable>>>,
    asked: Arc<Mutex<BTreeSet<String>>>,
}

/// Why an external that is locked cannot be shown. Only a call that looks at it fails.
#[derive(Debug, Clone)]
pub struct Unavailable {
    /// For a person; it names the reference.
    pub why: Arc<str>,
    /// Who has to act.
    pub fault: Fault,
    /// When to try again.
    pub retry: Retry,
}

impl Externals {
    /// These, by reference.
    pub fn new(
        shown: impl IntoIterator<Item = (Reference, Result<Snapshot, Unavailable>)>,
    ) -> Externals {
        let shown = shown.into_iter();
        Externals {
            shown: Arc::new(shown.map(|(r, s)| (r.escaped(), s)).collect()),
            asked: Arc::default(),
        }
    }

    /// The folders' names, escaped, that views were asked for so far: shown or not.
    pub fn asked(&self) -> BTreeSet<String> {
        self.asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// What is shown under an escaped name. The question is kept.
    pub(super) fn look(&self, name: &str) -> Option<&Result<Snapshot, Unavailable>> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.len() < MAX_ASKED && !asked.contains(name) {
            asked.insert(name.to_owned());
        }
        drop(asked);
        self.shown.get(name)
    }
}
