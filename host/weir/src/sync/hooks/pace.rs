//! How a run that waits for a hook gives way to others.

use std::time::Duration;

use tokio::sync::watch;
use weir_core::digest::CommitId;

use crate::turns::Pulse;

/// How a run gives way while it waits for a hook: its turn is somebody else's then, and a newer commit or a stop ends the
/// wait.
pub(crate) struct Pace {
    pulse: Pulse,
    /// The commit that is prepared last; nothing when the host stops.
    newest: watch::Receiver<Option<CommitId>>,
}

impl Pace {
    /// For a run that has its turn.
    pub(crate) fn new(pulse: Pulse, newest: watch::Receiver<Option<CommitId>>) -> Pace {
        Pace { pulse, newest }
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

    /// Waits a little; false when nobody wants this commit any more.
    pub(super) async fn pause(&mut self, time: Duration, commit: Option<CommitId>) -> bool {
        let left = self.newest.wait_for(|newest| *newest != commit);
        tokio::time::timeout(time, left).await.is_err()
    }
}
