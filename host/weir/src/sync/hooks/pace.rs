//! How a run that waits for a hook gives way to others.

use std::time::Duration;

use tokio::sync::watch;
use weir_core::digest::CommitId;

use crate::turns::{Turn, Turns};

/// How a run gives way while it waits for a hook: its turn is somebody else's then, and a newer commit or a stop ends the
/// wait.
pub(crate) struct Pace {
    turns: Turns,
    turn: Option<Turn>,
    /// The commit that is prepared last; nothing when the host stops.
    newest: watch::Receiver<Option<CommitId>>,
}

impl Pace {
    /// For a run that has its turn.
    pub(crate) fn new(turns: Turns, turn: Turn, newest: watch::Receiver<Option<CommitId>>) -> Pace {
        Pace {
            turns,
            turn: Some(turn),
            newest,
        }
    }

    /// Somebody else may run now.
    pub(super) fn rest(&mut self) {
        self.turn = None;
    }

    /// Its turn again; where there are no more, the host stops, and what is left is quick.
    pub(super) async fn resume(&mut self) {
        self.turn = self.turns.take().await;
    }

    /// Waits a little; false when nobody wants this commit any more.
    pub(super) async fn pause(&mut self, time: Duration, commit: Option<CommitId>) -> bool {
        let left = self.newest.wait_for(|newest| *newest != commit);
        tokio::time::timeout(time, left).await.is_err()
    }
}
