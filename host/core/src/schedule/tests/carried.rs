//! Commits that change few of many apps: who is carried, who runs, and in which order.

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::*;

fn same(name: &str, after: &[&str]) -> Node {
    Node {
        same: true,
        ..node(name, after)
    }
}

fn carry(from: u8, to: u8, apps: &[&str], others: &[&str]) -> Command {
    let named = |names: &[&str]| names.iter().map(|n| app(n)).collect();
    Command::Carry(Carry {
        from: commit(from),
        to: commit(to),
        apps: named(apps),
        others: named(others),
    })
}

/// Commit 2 with these apps arrives; what is to be done then.
fn second(s: &mut Schedule, nodes: Vec<Node>) -> Vec<Command> {
    s.on(4, Event::Requested);
    s.on(5, Event::Fetched(Ok(commit(2))));
    s.on(6, Event::Prepared(commit(2), Ok(nodes)))
}

#[test]
fn an_app_that_a_commit_does_not_change_is_not_looked_at_for_it() {
    let mut s = synced_both();
    let commands = second(&mut s, vec![node("a", &[]), same("b", &[])]);
    assert_eq!(commands, [sync("a", 2), carry(1, 2, &["b"], &["a"])]);
    assert_eq!(s.on(7, Event::Synced(app("a"), commit(2), Ok(()))), []);
    // The same commit again: the target may be another by now.
    s.on(8, Event::Requested);
    let looks = s.on(9, Event::Fetched(Ok(commit(2))));
    assert_eq!(looks, [sync("a", 2), sync("b", 2)]);
}

#[test]
fn nobody_is_carried_who_failed_or_runs_or_waits_or_comes_after_others_now() {
    type Way = fn(&mut Schedule) -> Node;
    let ways: [(&str, Way); 6] = [
        ("failed", |s| {
            s.on(4, drifted("b", &["x"]));
            s.on(4, Event::Synced(app("b"), commit(1), Err(Retry::OnChange)));
            same("b", &[])
        }),
        ("runs", |s| {
            s.on(4, drifted("b", &["x"]));
            same("b", &[])
        }),
        ("is not the same", |_| node("b", &[])),
        ("comes after another", |_| same("b", &["a"])),
        ("is waited for", |_| Node {
            settle: Some(9),
            ..same("b", &[])
        }),
        ("lands elsewhere", |_| Node {
            lane: lane("z"),
            ..same("b", &[])
        }),
    ];
    for (what, way) in ways {
        let mut s = synced_both();
        let b = way(&mut s);
        let commands = second(&mut s, vec![same("a", &[]), b]);
        assert!(
            commands.contains(&carry(1, 2, &["a"], &["b"])),
            "{what}: {commands:?}"
        );
    }
}

#[test]
fn what_comes_after_an_app_that_was_carried_waits_for_what_that_one_comes_after() {
    let nodes = |change: fn(&str, &[&str]) -> Node| {
        vec![node("a", &[]), change("b", &["a"]), node("c", &["b"])]
    };
    let (mut s, _) = prepared(nodes(node));
    for name in ["a", "b", "c"] {
        s.on(3, Event::Synced(app(name), commit(1), Ok(())));
    }
    let commands = second(&mut s, nodes(same));
    assert_eq!(commands, [sync("a", 2), carry(1, 2, &["b"], &["a", "c"])]);
    let then = s.on(7, Event::Synced(app("a"), commit(2), Ok(())));
    assert_eq!(then, [sync("c", 2)], "b is carried and does not run");
}

#[test]
fn what_was_carried_and_drifts_runs_at_the_new_commit() {
    let mut s = synced_both();
    second(&mut s, vec![same("a", &[]), same("b", &[])]);
    assert_eq!(s.on(7, drifted("b", &["x"])), [sync("b", 2)]);
}

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

/// What can happen. The numbers choose among the apps and the runs.
#[derive(Debug, Clone)]
enum Act {
    /// A commit, and which apps it leaves alone.
    Commit(Vec<bool>),
    Drift(usize),
    End(usize, bool),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        2 => prop::collection::vec(prop::bool::weighted(0.7), NAMES.len()).prop_map(Act::Commit),
        1 => (0..NAMES.len()).prop_map(Act::Drift),
        8 => (any::<usize>(), prop::bool::weighted(0.8)).prop_map(|(n, well)| Act::End(n, well)),
    ]
}

/// The schedule, and what somebody who only listens knows.
struct Heard {
    schedule: Schedule,
    after: BTreeMap<AppName, Vec<AppName>>,
    current: u8,
    /// The apps of the commit that are not done: neither synced nor carried.
    open: BTreeSet<AppName>,
    /// Those that are wanted again, or run.
    busy: BTreeSet<AppName>,
    running: Vec<(AppName, CommitId)>,
    /// Those that did not run at this commit, since they were carried to it.
    carried: BTreeSet<AppName>,
}

impl Heard {
    fn on(
        &mut self,
        now: Now,
        event: Event,
        leaves: &BTreeSet<AppName>,
    ) -> Result<(), TestCaseError> {
        let done_before =
            |it: &Heard, app: &AppName| !it.open.contains(app) && !it.busy.contains(app);
        let commands = self.schedule.on(now, event);
        for command in &commands {
            if let Command::Carry(carry) = command {
                prop_assert_eq!(carry.to, commit(self.current));
                prop_assert_eq!(carry.from, commit(self.current - 1));
                for app in &carry.apps {
                    prop_assert!(leaves.contains(app), "{app} was changed");
                    prop_assert!(done_before(self, app), "{app} was not done");
                }
                prop_assert_eq!(carry.apps.len() + carry.others.len(), NAMES.len());
                self.open = carry.others.clone();
                self.carried = carry.apps.clone();
            }
        }
        for command in commands {
            if let Command::Sync(name, of) = command {
                prop_assert_eq!(of, commit(self.current));
                prop_assert!(self.running.iter().all(|(other, _)| *other != name));
                let mut before: Vec<AppName> = self.after[&name].clone();
                while let Some(first) = before.pop() {
                    prop_assert!(!self.open.contains(&first), "{name} began before {first}");
                    if self.carried.contains(&first) {
                        before.extend(self.after[&first].clone());
                    }
                }
                self.carried.remove(&name);
                self.busy.insert(name.clone());
                self.running.push((name, of));
            }
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn who_is_carried_was_done_and_whoever_begins_comes_after_all_that_is_done(
        edges in prop::collection::vec(prop::collection::vec(prop::bool::weighted(0.3), NAMES.len()), NAMES.len()),
        acts in prop::collection::vec(act(), 1..60),
    ) {
        let after: BTreeMap<AppName, Vec<AppName>> = NAMES.iter().enumerate().map(|(n, name)| {
            let before = NAMES.iter().take(n).zip(&edges[n]).filter(|(_, is)| **is);
            (app(name), before.map(|(name, _)| app(name)).collect())
        }).collect();
        let all: BTreeSet<AppName> = after.keys().cloned().collect();
        let nodes = |leaves: &BTreeSet<AppName>| after.iter().map(|(name, after)| Node {
            app: name.clone(), after: after.clone(), same: leaves.contains(name), ..node("x", &[])
        }).collect::<Vec<_>>();
        let mut it = Heard {
            schedule: Schedule::new(Settings { parallel: 2, ..SETTINGS }, 7), after: after.clone(), current: 1,
            open: all.clone(), busy: BTreeSet::new(), running: Vec::new(), carried: BTreeSet::new(),
        };
        let none = BTreeSet::new();
        it.on(0, Event::Tick, &none)?;
        it.on(0, Event::Fetched(Ok(commit(1))), &none)?;
        it.on(0, Event::Prepared(commit(1), Ok(nodes(&none))), &none)?;
        let mut now = 0;
        // In the end all that is left comes to its end, again and again where it fails.
        let ends = std::iter::repeat_n(Act::End(0, true), 40);
        for act in acts.into_iter().chain(ends) {
            now += SETTINGS.backoff_ceiling / 100;
            match act {
                Act::Commit(leaves) if it.current < 200 => {
                    let leaves = NAMES.iter().zip(leaves).filter(|(_, is)| *is).map(|(n, _)| app(n)).collect();
                    it.on(now, Event::Requested, &none)?;
                    it.current += 1;
                    let was_open = std::mem::replace(&mut it.open, all.clone());
                    it.schedule.on(now, Event::Fetched(Ok(commit(it.current))));
                    it.open = was_open;
                    let busy = it.schedule.apps.iter().filter(|(_, a)| a.work.wanted || a.work.running);
                    it.busy = busy.map(|(name, _)| name.clone()).collect();
                    let before = it.open.clone();
                    let event = Event::Prepared(commit(it.current), Ok(nodes(&leaves)));
                    // Where nobody is carried all are open.
                    let nobody = all.iter().all(|a| !leaves.contains(a) || before.contains(a) || it.busy.contains(a));
                    if nobody {
                        it.open = all.clone();
                        it.carried.clear();
                    }
                    it.on(now, event, &leaves)?;
                }
                Act::Commit(_) => {}
                Act::Drift(n) => it.on(now, drifted(NAMES[n], &["x"]), &none)?,
                Act::End(n, well) if !it.running.is_empty() => {
                    let (name, of) = it.running.remove(n % it.running.len());
                    it.busy.remove(&name);
                    match well {
                        true if of == commit(it.current) => drop(it.open.remove(&name)),
                        true => {}
                        false => drop(it.open.insert(name.clone())),
                    }
                    let result = if well { Ok(()) } else { Err(Retry::Backoff) };
                    it.on(now, Event::Synced(name, of, result), &none)?;
                }
                Act::End(..) => {
                    now += SETTINGS.backoff_ceiling;
                    it.on(now, Event::Tick, &none)?;
                }
            }
        }
        prop_assert!(it.open.is_empty(), "{:?} were forgotten", it.open);
    }
}
