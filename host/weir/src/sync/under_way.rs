//! Runs under way: a run of a newer commit waits for those of older ones that still have to do with the same objects. Otherwise what it takes over would be written, or deleted, by whoever had it before.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use weir_core::name::AppName;

use crate::prepare::Prepared;

/// The runs of one repository, in the order in which they began.
#[derive(Default)]
pub(super) struct UnderWay {
    runs: Mutex<Runs>,
    ended: Notify,
}

#[derive(Default)]
struct Runs {
    begun: u64,
    all: BTreeMap<u64, (AppName, Arc<Prepared>)>,
}

/// A run under way, until this is dropped.
pub(super) struct Begun<'a> {
    all: &'a UnderWay,
    number: u64,
}

impl UnderWay {
    /// A run of an app begins.
    pub(super) fn begin(&self, app: &AppName, prepared: &Arc<Prepared>) -> Begun<'_> {
        let mut runs = self.runs();
        runs.begun += 1;
        let number = runs.begun;
        runs.all.insert(number, (app.clone(), prepared.clone()));
        Begun { all: self, number }
    }

    fn runs(&self) -> MutexGuard<'_, Runs> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Begun<'_> {
    /// Waits until no run is under way that began before with another commit and is in the way. Nobody waits for one
    /// that began later, so that nobody waits for ever.
    pub(super) async fn alone(&self, in_the_way: impl Fn(&AppName, &Prepared) -> bool) {
        loop {
            let mut ended = pin!(self.all.ended.notified());
            // From here on no end is missed.
            ended.as_mut().enable();
            if !self.is_held_up(&in_the_way) {
                return;
            }
            ended.await;
        }
    }

    fn is_held_up(&self, in_the_way: impl Fn(&AppName, &Prepared) -> bool) -> bool {
        let runs = self.all.runs();
        let own = runs.all.get(&self.number).map(|(_, prepared)| prepared);
        let mut before = runs.all.range(..self.number);
        before.any(|(_, (app, prepared))| {
            own.is_none_or(|own| !Arc::ptr_eq(own, prepared)) && in_the_way(app, prepared)
        })
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        self.all.runs().all.remove(&self.number);
        self.all.ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit() -> Arc<Prepared> {
        Arc::new(Prepared::default())
    }

    fn app(name: &str) -> AppName {
        name.parse().unwrap()
    }

    fn any(_: &AppName, _: &Prepared) -> bool {
        true
    }

    #[tokio::test]
    async fn a_run_of_a_newer_commit_waits_for_the_end_of_an_older_one_that_has_its_objects() {
        let all = UnderWay::default();
        let (older, newer) = (commit(), commit());
        let giver = all.begin(&app("giver"), &older);
        let taker = all.begin(&app("taker"), &newer);
        {
            let mut other = pin!(taker.alone(|app, _| app.as_str() == "another"));
            assert!(
                futures::poll!(other.as_mut()).is_ready(),
                "it is not in the way"
            );
        }
        let mut waits = pin!(taker.alone(any));
        assert!(futures::poll!(waits.as_mut()).is_pending());
        drop(giver);
        waits.await;
    }

    #[tokio::test]
    async fn runs_of_one_commit_and_runs_that_began_later_are_not_waited_for() {
        let all = UnderWay::default();
        let (older, newer) = (commit(), commit());
        let first = all.begin(&app("first"), &older);
        let second = all.begin(&app("second"), &older);
        let _later = all.begin(&app("later"), &newer);
        second.alone(any).await;
        first.alone(any).await;
    }
}
