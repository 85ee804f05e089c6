//! Turns: how many things run at once over all repositories, first come first served, and each repository
//! with a few of its own in the queue, so that one with a thousand apps is not a thousand places long there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The turns of all repositories for one kind of work. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Turns {
    all: Arc<Semaphore>,
    at_once: usize,
    ended: Arc<AtomicBool>,
}

/// One repository's way to the turns of all.
#[derive(Debug, Clone)]
pub(crate) struct OwnTurns {
    own: Arc<Semaphore>,
    all: Turns,
}

/// The right to run, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    _shared: OwnedSemaphorePermit,
    _own: Option<OwnedSemaphorePermit>,
}

impl Turns {
    /// So many at once; at least one.
    pub(crate) fn new(at_once: usize) -> Turns {
        let at_once = at_once.max(1);
        let all = Arc::new(Semaphore::new(at_once));
        Turns {
            all,
            at_once,
            ended: Arc::default(),
        }
    }

    /// How many at once.
    pub(crate) fn at_once(&self) -> usize {
        self.at_once
    }

    /// A turn, for a caller that asks for few at a time; `None` when there are no more.
    pub(crate) async fn take(&self) -> Option<Turn> {
        let shared = self.all.clone().acquire_owned().await.ok()?;
        Some(Turn {
            _shared: shared,
            _own: None,
        })
    }

    /// A way to the turns for someone who asks for many: as many of them wait here as can run at once, and
    /// the others behind them.
    pub(crate) fn own(&self) -> OwnTurns {
        OwnTurns {
            own: Arc::new(Semaphore::new(self.at_once)),
            all: self.clone(),
        }
    }

    /// No more turns: whoever waits hears it at once, whoever has one keeps it.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
        self.all.close();
    }

    /// Whether there are no more turns: what has one and may take long looks at this.
    pub(crate) fn ended(&self) -> Arc<AtomicBool> {
        self.ended.clone()
    }
}

impl OwnTurns {
    /// A turn; `None` when there are no more.
    pub(crate) async fn take(&self) -> Option<Turn> {
        let own = self.own.clone().acquire_owned().await.ok()?;
        let turn = self.all.take().await?;
        Some(Turn {
            _own: Some(own),
            ..turn
        })
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn one_that_comes_behind_a_thousand_of_another_waits_for_a_few() {
        let turns = Turns::new(2);
        let (send, mut order) = mpsc::unbounded_channel();
        let ask = |turns: OwnTurns, who: &'static str| {
            let send = send.clone();
            tokio::spawn(async move {
                let turn = turns.take().await;
                send.send(who).unwrap();
                // Others run before the turn is given back.
                tokio::task::yield_now().await;
                drop(turn);
            })
        };
        let many = turns.own();
        for _ in 0..1000 {
            ask(many.clone(), "many");
        }
        // All of them ask before the other one does.
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        ask(turns.own(), "one");
        drop(send);
        let mut place = 0;
        let mut seen = 0;
        while let Some(who) = order.recv().await {
            seen += 1;
            if who == "one" {
                place = seen;
            }
        }
        assert_eq!(seen, 1001);
        assert!(place < 20, "its turn was number {place} of 1001");
    }

    #[tokio::test]
    async fn the_end_is_heard_by_whoever_waits_and_takes_no_turn_away() {
        let turns = Turns::new(1);
        let turn = turns.take().await;
        assert!(turn.is_some());
        let own = turns.own();
        let mut waiting = std::pin::pin!(own.take());
        assert!(futures::poll!(waiting.as_mut()).is_pending());
        turns.end();
        assert!(waiting.await.is_none());
        assert!(turns.take().await.is_none());
    }
}
