//! Who waits for whose health, as tables and on made-up repositories.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::*;

const WITHIN: u64 = 600;

/// An app that is waited for.
fn waited(name: &str, after: &[&str]) -> Node {
    Node {
        settle: Some(WITHIN),
        ..node(name, after)
    }
}
fn settle(name: &str, n: u8) -> Command {
    Command::Settle(app(name), commit(n))
}
fn synced(name: &str, n: u8) -> Event {
    Event::Synced(app(name), commit(n), Ok(()))
}
fn settled(name: &str, n: u8) -> Event {
    Event::Settled(app(name), commit(n))
}

#[test]
fn an_app_begins_when_those_before_it_are_healthy() {
    let (mut s, commands) = prepared(vec![waited("a", &[]), node("b", &["a"])]);
    assert_eq!(commands, [sync("a", 1)]);
    assert_eq!(s.on(3, synced("a", 1)), [settle("a", 1)]);
    assert!(s.is_settling());
    assert_eq!(s.on(4, Event::Tick), [], "synced is not healthy");
    assert_eq!(s.on(5, settled("a", 1)), [sync("b", 1)]);
    assert!(!s.is_settling());
}

#[test]
fn an_app_that_nobody_waits_for_is_not_looked_after() {
    let (mut s, _) = prepared(vec![node("a", &[])]);
    assert_eq!(s.on(3, synced("a", 1)), []);
    assert!(!s.is_settling());
}

#[test]
fn an_app_that_takes_too_long_is_said_once_and_goes_on_when_it_is_healthy_after_all() {
    let (mut s, _) = prepared(vec![waited("a", &[]), node("b", &["a"])]);
    s.on(3, synced("a", 1));
    let due = s.wake_at(3).unwrap();
    assert_eq!(due, 3 + WITHIN, "earlier than the next poll");
    assert_eq!(s.on(due, Event::Tick), [Command::Late(app("a"), commit(1))]);
    assert!(!s.is_settling(), "nobody waits for its time any more");
    assert_eq!(s.on(due + 1, Event::Tick), []);
    // A look at it changes nothing, and its time does not begin anew.
    let poll = s.wake_at(due + 1).unwrap();
    assert_eq!(s.on(poll, Event::Tick), [Command::Fetch]);
    let looked = s.on(poll, Event::Fetched(Ok(commit(1))));
    assert_eq!(looked, [sync("a", 1)], "b is not looked at");
    assert_eq!(s.on(poll + 1, synced("a", 1)), []);
    assert_eq!(s.on(poll + 2, settled("a", 1)), [sync("b", 1)]);
}

#[test]
fn a_newer_commit_ends_the_wait() {
    let (mut s, _) = prepared(vec![waited("a", &[]), node("b", &["a"])]);
    s.on(3, synced("a", 1));
    s.on(4, Event::Requested);
    s.on(5, Event::Fetched(Ok(commit(2))));
    let nodes = vec![waited("a", &[]), node("b", &["a"])];
    let commands = s.on(6, Event::Prepared(commit(2), Ok(nodes)));
    assert_eq!(commands, [sync("a", 2)]);
    assert!(!s.is_settling());
    assert_eq!(s.on(7, settled("a", 1)), [], "it is of the older commit");
    assert_eq!(s.on(8, synced("a", 2)), [settle("a", 2)]);
    assert_eq!(s.on(9, settled("a", 2)), [sync("b", 2)]);
}

#[test]
fn a_commit_that_cannot_be_read_does_not_end_the_wait() {
    let (mut s, _) = prepared(vec![waited("a", &[]), node("b", &["a"])]);
    s.on(3, synced("a", 1));
    s.on(4, Event::Requested);
    s.on(5, Event::Fetched(Ok(commit(2))));
    s.on(6, Event::Prepared(commit(2), Err(Retry::OnChange)));
    assert_eq!(s.on(7, settled("a", 1)), [sync("b", 1)]);
}

#[test]
fn an_app_that_fails_after_it_was_healthy_is_waited_for_anew() {
    let (mut s, _) = prepared(vec![waited("a", &[]), node("b", &["a"])]);
    s.on(3, synced("a", 1));
    s.on(4, settled("a", 1));
    s.on(5, synced("b", 1));
    assert_eq!(s.on(6, drifted("a", &["x"])), [sync("a", 1)]);
    s.on(7, Event::Synced(app("a"), commit(1), Err(Retry::OnChange)));
    assert_eq!(s.on(8, drifted("b", &["y"])), []);
    assert_eq!(s.on(9, drifted("a", &["x"])), [sync("a", 1)]);
    assert_eq!(s.on(10, synced("a", 1)), [settle("a", 1)]);
    assert_eq!(s.on(11, settled("a", 1)), [sync("b", 1)]);
}

#[test]
fn what_heals_an_app_that_was_healthy_holds_nobody_up() {
    let (mut s, _) = prepared(vec![waited("a", &[]), node("b", &["a"])]);
    s.on(3, synced("a", 1));
    s.on(4, settled("a", 1));
    s.on(5, synced("b", 1));
    s.on(6, drifted("a", &["x"]));
    assert_eq!(s.on(7, drifted("b", &["y"])), [sync("b", 1)]);
    assert_eq!(s.on(8, synced("a", 1)), []);
    assert!(!s.is_settling());
}

#[test]
fn an_app_that_leaves_goes_behind_those_that_take_from_it_healthy_or_not() {
    let leaves = Node {
        behind: vec![app("a")],
        ..node("b", &[])
    };
    let (mut s, commands) = prepared(vec![waited("a", &[]), leaves]);
    assert_eq!(commands, [sync("a", 1)]);
    assert_eq!(s.on(3, synced("a", 1)), [settle("a", 1), sync("b", 1)]);
}

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

/// Apps where each may come after those before it in [`NAMES`].
fn nodes(after: &[Vec<bool>]) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    for (n, name) in NAMES.iter().enumerate() {
        let before = NAMES.iter().take(n).zip(&after[n]);
        let before: Vec<&str> = before.filter(|(_, is)| **is).map(|(b, _)| *b).collect();
        nodes.push(node(name, &before));
    }
    let waited: BTreeSet<AppName> = nodes.iter().flat_map(|n| n.after.clone()).collect();
    for node in &mut nodes {
        node.settle = waited.contains(&node.app).then_some(WITHIN);
    }
    nodes
}

/// A schedule, and what it was told of the commit that is prepared.
struct Told {
    schedule: Schedule,
    nodes: Vec<Node>,
    current: u8,
    running: Vec<(AppName, u8)>,
    synced: BTreeSet<AppName>,
    healthy: BTreeSet<AppName>,
    /// How many apps with something before them began.
    began: usize,
}

impl Told {
    fn on(&mut self, now: Now, event: Event) -> Result<Vec<Command>, TestCaseError> {
        let commands = self.schedule.on(now, event);
        self.look(&commands)?;
        Ok(commands)
    }

    fn look(&mut self, commands: &[Command]) -> Result<(), TestCaseError> {
        for command in commands {
            match command {
                Command::Sync(name, of) => {
                    prop_assert_eq!(*of, commit(self.current));
                    let node = self.nodes.iter().find(|n| n.app == *name).unwrap();
                    for before in &node.after {
                        prop_assert!(
                            self.synced.contains(before),
                            "{name}: {before} is not synced"
                        );
                        prop_assert!(
                            self.healthy.contains(before),
                            "{name}: {before} was not healthy"
                        );
                    }
                    self.began += usize::from(!node.after.is_empty());
                    prop_assert!(self.running.iter().all(|(other, _)| other != name));
                    self.running.push((name.clone(), self.current));
                }
                Command::Settle(name, of) | Command::Late(name, of) => {
                    prop_assert_eq!(*of, commit(self.current));
                    prop_assert!(self.synced.contains(name), "{name} is not synced");
                    prop_assert!(self.nodes.iter().any(|n| n.after.contains(name)));
                }
                Command::Fetch | Command::Prepare(_) | Command::Carry(_) | Command::Stopped => {}
            }
        }
        Ok(())
    }

    fn ended(&mut self, now: Now, name: AppName, ok: bool) -> Result<(), TestCaseError> {
        let Some(at) = self.running.iter().position(|(other, _)| *other == name) else {
            return Ok(());
        };
        let (_, of) = self.running.remove(at);
        if !ok {
            self.synced.remove(&name);
            self.healthy.remove(&name);
        } else if of == self.current {
            self.synced.insert(name.clone());
        }
        let result = if ok { Ok(()) } else { Err(Retry::Backoff) };
        self.on(now, Event::Synced(name, commit(of), result))
            .map(drop)
    }

    fn next_commit(&mut self, now: Now) -> Result<(), TestCaseError> {
        self.on(now, Event::Requested)?;
        let next = commit(self.current + 1);
        let fetched = self.on(now, Event::Fetched(Ok(next)))?;
        if fetched.contains(&Command::Prepare(next)) {
            self.current += 1;
            self.synced.clear();
            self.healthy.clear();
            let nodes = self.nodes.clone();
            self.on(now, Event::Prepared(next, Ok(nodes)))?;
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn nothing_begins_before_all_that_it_comes_after_were_synced_and_healthy_at_its_commit(
        after in prop::collection::vec(prop::collection::vec(any::<bool>(), 5), 5),
        happens in prop::collection::vec((0..8_u8, 0..5_usize, 1..400_u64), 1..120),
    ) {
        let nodes = nodes(&after);
        let (schedule, commands) = prepared(nodes.clone());
        let mut told = Told {
            schedule,
            nodes,
            current: 1,
            running: Vec::new(),
            synced: BTreeSet::new(),
            healthy: BTreeSet::new(),
            began: 0,
        };
        told.look(&commands)?;
        let mut now = 2;
        for (what, n, passes) in happens {
            now += passes;
            let name = app(NAMES[n]);
            match what {
                0..=2 => told.ended(now, name, true)?,
                3 => told.ended(now, name, false)?,
                4 | 5 => {
                    if told.synced.contains(&name) {
                        told.healthy.insert(name.clone());
                    }
                    let of = commit(told.current);
                    told.on(now, Event::Settled(name, of)).map(drop)?;
                }
                6 => told.on(now, drifted(NAMES[n], &["x"])).map(drop)?,
                _ if n == 0 => told.next_commit(now)?,
                _ => told.on(now, Event::Tick).map(drop)?,
            }
        }
        // In the end everybody comes to its turn.
        let mut rounds = 0;
        while told.running.iter().any(|(_, of)| *of != told.current)
            || NAMES.iter().any(|name| !told.synced.contains(&app(name)))
        {
            rounds += 1;
            prop_assert!(rounds < 200, "stuck: {:?}", told.schedule);
            now += 20_000;
            for name in NAMES {
                told.ended(now, app(name), true)?;
                if told.synced.contains(&app(name)) {
                    told.healthy.insert(app(name));
                    let of = commit(told.current);
                    told.on(now, Event::Settled(app(name), of)).map(drop)?;
                }
            }
            let tick = told.on(now, Event::Tick)?;
            if tick.contains(&Command::Fetch) {
                let of = commit(told.current);
                told.on(now, Event::Fetched(Ok(of))).map(drop)?;
            }
        }
        prop_assert!(told.began > 0 || told.nodes.iter().all(|n| n.after.is_empty()));
    }
}
