//! Turns: how many things run at once over all repositories. Whose turn it is says [`weir_core::turns`]; here is who
//! waits for it.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use weir_core::turns::{Asker, Lane, Ticket, TurnLimits, TurnQueue};

/// How long a run may show no sign of life until it counts as hanging, and others get its turn.
const STILL: Duration = Duration::from_secs(2);

/// The turns of all repositories for one kind of work. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Turns {
    at_once: usize,
    askers: Arc<AtomicU64>,
    ended: Arc<AtomicBool>,
    desk: Arc<Mutex<Desk>>,
}

/// The queue, and how those who wait in it hear that it is their turn.
#[derive(Debug)]
struct Desk {
    queue: TurnQueue,
    waiting: BTreeMap<Ticket, oneshot::Sender<()>>,
    closed: bool,
}

/// One asker's way to the turns: it may ask for as many as it likes, and gets no more of them than others who ask.
/// Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct OwnTurns(Arc<Own>);

#[derive(Debug)]
struct Own {
    asker: Asker,
    turns: Turns,
}

/// The right to run, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    turns: Turns,
    ticket: Ticket,
    // Its asker is remembered as long as it has turns.
    _own: OwnTurns,
}

/// Where a run shows that it is alive. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Pulse(Arc<Beats>);

#[derive(Debug)]
struct Beats {
    count: AtomicU64,
    hangs: AtomicBool,
    turns: Turns,
    ticket: Ticket,
}

impl Turns {
    /// So many at once; at least one.
    pub(crate) fn new(at_once: usize) -> Turns {
        let limits = TurnLimits::of(at_once);
        Turns {
            at_once: limits.at_once,
            askers: Arc::default(),
            ended: Arc::default(),
            desk: Arc::new(Mutex::new(Desk {
                queue: TurnQueue::new(limits),
                waiting: BTreeMap::new(),
                closed: false,
            })),
        }
    }

    /// How many at once.
    pub(crate) fn at_once(&self) -> usize {
        self.at_once
    }

    /// A way to the turns for one who asks, such as a repository.
    pub(crate) fn own(&self) -> OwnTurns {
        OwnTurns(Arc::new(Own {
            asker: self.askers.fetch_add(1, Ordering::Relaxed),
            turns: self.clone(),
        }))
    }

    /// No more turns: whoever waits hears it at once, whoever has one keeps it.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
        let mut desk = self.desk();
        desk.closed = true;
        desk.waiting.clear();
    }

    /// Whether there are no more turns: what has one and may take long looks at this.
    pub(crate) fn ended(&self) -> Arc<AtomicBool> {
        self.ended.clone()
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the queue, and tells those whose turn it is then.
    fn change(&self, change: impl FnOnce(&mut TurnQueue)) {
        let mut desk = self.desk();
        change(&mut desk.queue);
        desk.call();
    }
}

impl Desk {
    fn call(&mut self) {
        if self.closed {
            return;
        }
        for ticket in self.queue.grant() {
            if let Some(waits) = self.waiting.remove(&ticket) {
                // One that waits no more gives its turn back by itself.
                let _ = waits.send(());
            }
        }
    }
}

impl OwnTurns {
    /// A turn, in a lane where there is one; `None` when there are no more.
    pub(crate) async fn take(&self, lane: Option<Lane>) -> Option<Turn> {
        let turns = &self.0.turns;
        let (call, called) = oneshot::channel();
        let turn = {
            let mut desk = turns.desk();
            if desk.closed {
                return None;
            }
            let ticket = desk.queue.ask(self.0.asker, lane);
            desk.waiting.insert(ticket, call);
            desk.call();
            Turn {
                turns: turns.clone(),
                ticket,
                _own: self.clone(),
            }
        };
        called.await.ok()?;
        Some(turn)
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.turns.desk().queue.forget(self.asker);
    }
}

impl Turn {
    /// Runs something that may hang: where it shows no sign of life for a while, others have this turn until it does.
    pub(crate) async fn run<T, F: Future<Output = T>>(self, work: impl FnOnce(Pulse) -> F) -> T {
        let pulse = Pulse(Arc::new(Beats {
            count: AtomicU64::new(0),
            hangs: AtomicBool::new(false),
            turns: self.turns.clone(),
            ticket: self.ticket,
        }));
        let mut work = pin!(work(pulse.clone()));
        let mut before = 0;
        loop {
            if let Ok(done) = tokio::time::timeout(STILL, &mut work).await {
                return done;
            }
            let now = pulse.0.count.load(Ordering::Relaxed);
            if now == before {
                self.turns.change(|queue| {
                    queue.hang(self.ticket);
                });
                // After it: a sign of life between the two is not the last one of a run that goes on.
                pulse.0.hangs.store(true, Ordering::Relaxed);
            }
            before = now;
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.turns.desk().waiting.remove(&self.ticket);
        self.turns.change(|queue| queue.end(self.ticket));
    }
}

impl Pulse {
    /// The run waits for something that may take long: others have its turn until its next sign of life.
    pub(crate) fn rest(&self) {
        let beats = &self.0;
        beats.turns.change(|queue| {
            queue.hang(beats.ticket);
        });
        beats.hangs.store(true, Ordering::Relaxed);
    }

    /// A sign of life.
    pub(crate) fn beat(&self) {
        let beats = &self.0;
        beats.count.fetch_add(1, Ordering::Relaxed);
        if beats.hangs.swap(false, Ordering::Relaxed) {
            beats.turns.change(|queue| queue.go_on(beats.ticket));
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    fn lane(place: &str) -> Option<Lane> {
        let (place, part) = (place.into(), "".into());
        Some(Lane { place, part })
    }

    #[tokio::test]
    async fn one_that_comes_behind_a_thousand_of_another_waits_for_those_under_way() {
        let turns = Turns::new(2);
        let (send, mut order) = mpsc::unbounded_channel();
        let ask = |turns: OwnTurns, who: &'static str| {
            let send = send.clone();
            tokio::spawn(async move {
                let turn = turns.take(None).await;
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
        let own = turns.own();
        let turn = own.take(None).await;
        assert!(turn.is_some());
        let mut waiting = pin!(own.take(None));
        assert!(futures::poll!(waiting.as_mut()).is_pending());
        turns.end();
        assert!(waiting.await.is_none());
        drop(turn);
        assert!(own.take(None).await.is_none());
    }

    #[tokio::test]
    async fn one_that_waits_no_more_holds_no_turn() {
        let turns = Turns::new(1);
        let own = turns.own();
        let turn = own.take(None).await.unwrap();
        {
            let mut gives_up = pin!(own.take(None));
            assert!(futures::poll!(gives_up.as_mut()).is_pending());
        }
        drop(turn);
        assert!(own.take(None).await.is_some());
        assert!(own.take(None).await.is_some(), "it was given back");
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_that_hangs_gives_its_turn_to_others_and_has_it_again_when_it_goes_on() {
        let turns = Turns::new(1);
        let (stuck, good) = (turns.own(), turns.own());
        let turn = stuck.take(lane("stuck")).await.unwrap();
        let (wake, woken) = oneshot::channel::<()>();
        let run = tokio::spawn(turn.run(|pulse| async move {
            woken.await.unwrap();
            pulse.beat();
            std::future::pending::<()>().await;
        }));
        let other = good.take(lane("good")).await.unwrap();
        {
            let mut more = pin!(stuck.take(lane("stuck")));
            assert!(futures::poll!(more.as_mut()).is_pending());
        }
        wake.send(()).unwrap();
        tokio::task::yield_now().await;
        drop(other);
        let mut next = pin!(good.take(lane("good")));
        assert!(
            futures::poll!(next.as_mut()).is_pending(),
            "it has its turn again"
        );
        run.abort();
        assert!(next.await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_that_shows_signs_of_life_keeps_its_turn() {
        let turns = Turns::new(1);
        let (slow, other) = (turns.own(), turns.own());
        let turn = slow.take(lane("a")).await.unwrap();
        let run = tokio::spawn(turn.run(|pulse| async move {
            for _ in 0..20 {
                tokio::time::sleep(STILL / 2).await;
                pulse.beat();
            }
        }));
        let begin = tokio::time::Instant::now();
        assert!(other.take(lane("b")).await.is_some());
        assert!(begin.elapsed() >= STILL * 10, "{:?}", begin.elapsed());
        run.await.unwrap();
    }
}
