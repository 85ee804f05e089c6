//! Fairness for every order of requests, ends and hanging runs.

use proptest::prelude::*;

use super::*;

fn lane(place: u8, part: u8) -> Lane {
    Lane {
        place: place.to_string().into(),
        part: part.to_string().into(),
    }
}

/// What can happen. The numbers choose among those that run or wait at that time.
#[derive(Debug, Clone)]
enum Act {
    Ask(Asker, u8, u8),
    End(usize),
    GiveUp(usize),
    Hang(usize),
    GoOn(usize),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        5 => (0..4_u64, 0..2_u8, 0..2_u8).prop_map(|(who, place, part)| Act::Ask(who, place, part)),
        4 => any::<usize>().prop_map(Act::End),
        1 => any::<usize>().prop_map(Act::GiveUp),
        2 => any::<usize>().prop_map(Act::Hang),
        1 => any::<usize>().prop_map(Act::GoOn),
    ]
}

/// A queue with what the test knows of it.
struct World {
    queue: TurnQueue,
    waits: Vec<(Ticket, Asker, Lane)>,
    runs: Vec<(Ticket, Asker, Lane)>,
    hang: BTreeSet<Ticket>,
    /// How often an asker was passed by another one since it last had a turn or began to wait.
    passed: BTreeMap<(Asker, Asker), usize>,
}

impl World {
    fn new(at_once: usize) -> World {
        World {
            queue: TurnQueue::new(TurnLimits::of(at_once)),
            waits: Vec::new(),
            runs: Vec::new(),
            hang: BTreeSet::new(),
            passed: BTreeMap::new(),
        }
    }

    fn is_open(&self, lane: &Lane) -> bool {
        self.queue.is_open(Some(lane))
    }

    fn act(&mut self, act: &Act) {
        let nth =
            |all: &[(Ticket, Asker, Lane)], n: usize| (!all.is_empty()).then(|| n % all.len());
        match act {
            Act::Ask(who, place, part) => {
                let lane = lane(*place, *part);
                let ticket = self.queue.ask(*who, Some(lane.clone()));
                self.waits.push((ticket, *who, lane));
            }
            Act::End(n) => {
                let Some(n) = nth(&self.runs, *n) else { return };
                let (ticket, ..) = self.runs.remove(n);
                self.hang.remove(&ticket);
                self.queue.end(ticket);
            }
            Act::GiveUp(n) => {
                let Some(n) = nth(&self.waits, *n) else {
                    return;
                };
                let (ticket, who, _) = self.waits.remove(n);
                self.queue.end(ticket);
                if !self.waits.iter().any(|(_, other, _)| *other == who) {
                    self.passed.retain(|(passed, _), _| *passed != who);
                }
            }
            Act::Hang(n) => {
                let Some(n) = nth(&self.runs, *n) else { return };
                let ticket = self.runs[n].0;
                assert_eq!(self.queue.hang(ticket), self.hang.insert(ticket));
            }
            Act::GoOn(n) => {
                let Some(n) = nth(&self.runs, *n) else { return };
                let ticket = self.runs[n].0;
                self.hang.remove(&ticket);
                self.queue.go_on(ticket);
            }
        }
    }

    /// Grants what is due, and checks each grant.
    fn grant(&mut self, limits: TurnLimits) -> Result<(), TestCaseError> {
        loop {
            // Who may be passed: somebody of theirs could begin in an open lane.
            let ready = self.waits.iter().filter(|(.., l)| self.is_open(l));
            let ready: BTreeSet<Asker> = ready.map(|(_, who, _)| *who).collect();
            self.passed.retain(|(who, _), _| ready.contains(who));
            let Some(ticket) = self.queue.grant_one() else {
                break;
            };
            let at = self.waits.iter().position(|(t, ..)| *t == ticket).unwrap();
            let (_, who, lane) = self.waits.remove(at);
            self.passed.retain(|(passed, _), _| *passed != who);
            for other in ready.iter().filter(|other| **other != who) {
                let times = self.passed.entry((*other, who)).or_default();
                *times += 1;
                prop_assert!(*times <= 1, "{other} was passed twice by {who}");
            }
            self.runs.push((ticket, who, lane));
        }
        let going = self.runs.len() - self.hang.len();
        let blocked = self.waits.iter().all(|(.., lane)| !self.is_open(lane));
        prop_assert!(
            going >= limits.at_once || blocked,
            "a turn is free and somebody may have it"
        );
        Ok(())
    }
}

proptest! {
    #[test]
    fn whoever_waits_is_passed_by_at_most_one_run_of_each_other(
        at_once in 1..4_usize,
        acts in prop::collection::vec(act(), 1..120),
    ) {
        let mut world = World::new(at_once);
        for act in &acts {
            world.act(act);
            world.grant(TurnLimits::of(at_once))?;
        }
    }

    #[test]
    fn no_more_run_than_may_and_no_more_begin_where_runs_hang_than_the_share(
        at_once in 1..9_usize,
        acts in prop::collection::vec(act(), 1..120),
    ) {
        let limits = TurnLimits::of(at_once);
        let mut world = World::new(at_once);
        for act in &acts {
            world.act(act);
            let (before, suspects) = (world.runs.len(), world.queue.suspects.clone());
            world.grant(limits)?;
            for (_, _, lane) in &world.runs[before..] {
                let runs = world.runs.iter().filter(|(.., l)| l == lane).count();
                prop_assert!(!suspects.contains(lane) || runs <= limits.share, "{runs} in {lane:?}");
            }
            if world.runs.len() > before {
                prop_assert!(world.runs.len() - world.hang.len() <= at_once);
            }
        }
    }

    #[test]
    fn at_the_end_nothing_is_remembered_but_who_had_turns(
        acts in prop::collection::vec(act(), 1..80),
    ) {
        let mut world = World::new(2);
        for act in &acts {
            world.act(act);
            world.grant(TurnLimits::of(2))?;
        }
        for (ticket, ..) in world.waits.iter().chain(&world.runs) {
            world.queue.end(*ticket);
        }
        for asker in 0..4 {
            world.queue.forget(asker);
        }
        let queue = &world.queue;
        prop_assert_eq!((queue.going, queue.running.len(), queue.askers.len()), (0, 0, 0));
        prop_assert!(queue.waiting.is_empty() && queue.lanes.is_empty() && queue.hanging.is_empty());
        prop_assert!(queue.granted.is_empty());
    }
}

#[test]
fn ten_thousand_of_one_delay_another_by_the_one_run_under_way() {
    let mut queue = TurnQueue::new(TurnLimits::of(1));
    for _ in 0..10_000 {
        queue.ask(1, None);
    }
    let first = queue.grant();
    let other = queue.ask(2, None);
    assert_eq!(queue.grant(), []);
    queue.end(first[0]);
    assert_eq!(queue.grant(), [other]);
}

#[test]
fn runs_that_hang_in_one_lane_hold_no_turn_and_let_in_a_share_there() {
    let limits = TurnLimits::of(4);
    let mut queue = TurnQueue::new(limits);
    let (stuck, good) = (lane(1, 1), lane(1, 2));
    for _ in 0..100 {
        queue.ask(1, Some(stuck.clone()));
    }
    let hanging = queue.grant();
    assert_eq!(hanging.len(), limits.at_once);
    let other = queue.ask(2, Some(good));
    assert_eq!(queue.grant(), []);
    for ticket in &hanging {
        assert!(queue.hang(*ticket));
    }
    assert_eq!(queue.grant(), [other], "and nobody else where they hang");
    // They end: one that ends having hung opens the lane for a share, not for all.
    for ticket in &hanging {
        queue.end(*ticket);
    }
    assert_eq!(queue.grant().len(), limits.share);
}

#[test]
fn a_lane_in_which_a_run_ends_well_is_open_again() {
    let limits = TurnLimits::of(4);
    let mut queue = TurnQueue::new(limits);
    for _ in 0..10 {
        queue.ask(1, Some(lane(1, 1)));
    }
    let hanging = queue.grant();
    for ticket in &hanging {
        queue.hang(*ticket);
        queue.end(*ticket);
    }
    let probes = queue.grant();
    assert_eq!(probes.len(), limits.share);
    queue.end(probes[0]);
    assert_eq!(queue.grant().len(), limits.at_once - probes.len() + 1);
}

#[test]
fn a_place_in_which_very_many_hang_lets_nobody_in_any_more() {
    let limits = TurnLimits::of(2);
    let mut queue = TurnQueue::new(limits);
    for part in 0..100 {
        queue.ask(1, Some(lane(1, part)));
    }
    let mut hang = 0;
    loop {
        let begun = queue.grant();
        if begun.is_empty() {
            break;
        }
        for ticket in begun {
            hang += 1;
            queue.hang(ticket);
        }
    }
    assert!(
        (limits.hanging..limits.hanging + limits.at_once).contains(&hang),
        "{hang}"
    );
    queue.ask(2, Some(lane(2, 0)));
    assert_eq!(queue.grant().len(), 1, "another place is open");
}
