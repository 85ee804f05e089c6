//! Whose turn it is, among many who each ask for many: pure, so that its fairness can be shown for every order of events.
//!
//! - Whoever waits is passed by at most one run of each other asker.
//! - A run that shows no sign of life for a while *hangs*: it gives its turn back and keeps its place in its lane, so that
//!   whoever lands elsewhere does not wait for it.
//! - A lane in which the last run that ended hung, or one hangs, is let in by a share only; whoever begins there may hang as well.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Where runs land that may wait for the same thing: a namespace of a cluster, a directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lane {
    /// The cluster or the directory.
    pub place: Arc<str>,
    /// The part of it; empty where there is none.
    pub part: Arc<str>,
}

/// How many may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TurnLimits {
    /// At once, those that hang left out.
    pub at_once: usize,
    /// At once in a lane where runs hang.
    pub share: usize,
    /// That hang in one place, over all of its lanes: then nobody begins there.
    pub hanging: usize,
}

impl TurnLimits {
    /// The limits that go with so many at once: half of them for a lane where runs hang, four times as many that hang
    /// in one place.
    pub fn of(at_once: usize) -> TurnLimits {
        let at_once = at_once.max(1);
        TurnLimits {
            at_once,
            share: (at_once / 2).max(1),
            hanging: at_once.saturating_mul(4),
        }
    }
}

/// One request for a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

/// Whoever asks for turns, such as a repository.
pub type Asker = u64;

/// Who waits, who runs, who hangs. One owner changes it, and hands on what [`TurnQueue::grant`] gives.
#[derive(Debug)]
pub struct TurnQueue {
    limits: TurnLimits,
    tickets: u64,
    /// Who waits, each with its tickets in the order in which they were asked for.
    waiting: BTreeMap<Asker, BTreeMap<Ticket, Option<Lane>>>,
    askers: BTreeMap<Ticket, Asker>,
    /// The ticket count when each asker last got a turn.
    granted: BTreeMap<Asker, u64>,
    grants: u64,
    running: BTreeMap<Ticket, Running>,
    going: usize,
    lanes: BTreeMap<Lane, usize>,
    /// How many hang in each place.
    hanging: BTreeMap<Arc<str>, usize>,
    /// Lanes of which the last news is that a run hangs.
    suspects: BTreeSet<Lane>,
}

#[derive(Debug)]
struct Running {
    lane: Option<Lane>,
    hangs: bool,
    hung: bool,
}

impl TurnQueue {
    /// Nobody waits yet.
    pub fn new(limits: TurnLimits) -> TurnQueue {
        TurnQueue {
            limits,
            tickets: 0,
            waiting: BTreeMap::new(),
            askers: BTreeMap::new(),
            granted: BTreeMap::new(),
            grants: 0,
            running: BTreeMap::new(),
            going: 0,
            lanes: BTreeMap::new(),
            hanging: BTreeMap::new(),
            suspects: BTreeSet::new(),
        }
    }

    /// Somebody wants a turn, in a lane where there is one.
    pub fn ask(&mut self, asker: Asker, lane: Option<Lane>) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.askers.insert(ticket, asker);
        self.waiting.entry(asker).or_default().insert(ticket, lane);
        ticket
    }

    /// Who may begin now.
    pub fn grant(&mut self) -> Vec<Ticket> {
        std::iter::from_fn(|| self.grant_one()).collect()
    }

    fn grant_one(&mut self) -> Option<Ticket> {
        if self.going >= self.limits.at_once {
            return None;
        }
        let (asker, ticket) = self.next()?;
        let lane = self.leave(asker, ticket).flatten();
        self.grants += 1;
        self.granted.insert(asker, self.grants);
        if let Some(lane) = &lane {
            *self.lanes.entry(lane.clone()).or_default() += 1;
        }
        let (hangs, hung) = (false, false);
        self.running.insert(ticket, Running { lane, hangs, hung });
        self.going += 1;
        Some(ticket)
    }

    /// A run ended, or its request was given up.
    pub fn end(&mut self, ticket: Ticket) {
        if let Some(asker) = self.askers.get(&ticket).copied() {
            self.leave(asker, ticket);
        }
        self.go_on(ticket);
        let Some(run) = self.running.remove(&ticket) else {
            return;
        };
        self.going -= 1;
        let Some(lane) = run.lane else { return };
        if !run.hung {
            self.suspects.remove(&lane);
        }
        count_down(&mut self.lanes, &lane);
    }

    /// A run shows no sign of life: others may have its turn. Whether it had one.
    pub fn hang(&mut self, ticket: Ticket) -> bool {
        let Some(run) = self.running.get_mut(&ticket).filter(|run| !run.hangs) else {
            return false;
        };
        (run.hangs, run.hung) = (true, true);
        self.going -= 1;
        if let Some(lane) = &run.lane {
            *self.hanging.entry(lane.place.clone()).or_default() += 1;
            self.suspects.insert(lane.clone());
        }
        true
    }

    /// A run that hung goes on. Its turn is counted again at once, and others begin that much later.
    pub fn go_on(&mut self, ticket: Ticket) {
        let Some(run) = self.running.get_mut(&ticket).filter(|run| run.hangs) else {
            return;
        };
        run.hangs = false;
        self.going += 1;
        if let Some(lane) = &run.lane {
            count_down(&mut self.hanging, &lane.place);
        }
    }

    /// An asker asks no more.
    pub fn forget(&mut self, asker: Asker) {
        self.granted.remove(&asker);
    }

    /// Of those who have somebody in an open lane, the one who got a turn longest ago; of those who had none yet, the
    /// one who asked first.
    fn next(&self) -> Option<(Asker, Ticket)> {
        let first = |(asker, tickets): (&Asker, &BTreeMap<Ticket, Option<Lane>>)| {
            let mut tickets = tickets.iter();
            let open = tickets.find(|(_, lane)| self.is_open(lane.as_ref()));
            open.map(|(ticket, _)| (*asker, *ticket))
        };
        let all = self.waiting.iter().filter_map(first);
        all.min_by_key(|(asker, ticket)| {
            let last = self.granted.get(asker).copied();
            (last.unwrap_or_default(), *ticket)
        })
    }

    fn is_open(&self, lane: Option<&Lane>) -> bool {
        let Some(lane) = lane else { return true };
        let runs = self.lanes.get(lane).copied().unwrap_or_default();
        let hang = self.hanging.get(&lane.place).copied().unwrap_or_default();
        hang < self.limits.hanging && (runs < self.limits.share || !self.suspects.contains(lane))
    }

    /// Takes a request out of those that wait.
    fn leave(&mut self, asker: Asker, ticket: Ticket) -> Option<Option<Lane>> {
        self.askers.remove(&ticket);
        let own = self.waiting.get_mut(&asker)?;
        let lane = own.remove(&ticket);
        if own.is_empty() {
            self.waiting.remove(&asker);
        }
        lane
    }
}

/// One less; nothing where it was the last.
fn count_down<K: Ord>(counts: &mut BTreeMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests;
