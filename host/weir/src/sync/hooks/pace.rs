//! How a run that waits for a hook gives way to others.

use std::time::Duration;

use tokio::sync::watch;

use crate::turns::Pulse;

/// How a run gives way while it waits for a hook: its turn is somebody else's then, and a newer commit, a rollback or a stop ends the
/// wait.
pub(crate) struct Pace {
    pulse: Pulse,
    /// The number of what was prepared last; nothing when the host stops.
    newest: watch::Receiver<Option<u64>>,
    /// That of what this run is of.
    own: Option<u64>,
}

impl Pace {
    /// For a run that has its turn.
    pub(crate) fn new(
        pulse: Pulse,
        newest: watch::Receiver<Option<u64>>,
        own: Option<u64>,
    ) -> Pace {
        Pace { pulse, newest, own }
    }

    /// Where it shows that it is alive.
    pub(in crate::sync) fn pulse(&self) -> Pulse {
        self.pulse.clone()
    }

    /// Somebody else may run now.
    pub(super) fn rest(&self) {
        self.pulse.rest();
    }

    /// It goes on.
    pub(super) fn resume(&self) {
        self.pulse.beat();
    }

    /// Waits a little; false when nobody wants this any more: there is a newer commit, or the app was rolled back.
    pub(super) async fn pause(&mut self, time: Duration) -> bool {
        let own = self.own;
        let left = self.newest.wait_for(|newest| *newest != own);
        tokio::time::timeout(time, left).await.is_err()
    }
}
