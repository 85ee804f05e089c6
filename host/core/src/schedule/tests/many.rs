//! Very many apps: what an event costs, lanes that hold up nobody else, and that nobody is forgotten.

use proptest::prelude::*;

use super::*;

/// A repository as large as one may be.
const MANY: usize = 10_000;

fn many(n: usize) -> Vec<Node> {
    (0..n).map(|n| node(&format!("app-{n:05}"), &[])).collect()
}

fn named(name: &str, place: &str, after: &[&str]) -> Node {
    Node {
        lane: lane(place),
        ..node(name, after)
    }
}

#[test]
fn the_end_of_a_run_costs_a_look_at_the_next_app_and_not_at_ten_thousand() {
    let (mut s, commands) = prepared(many(MANY));
    assert_eq!(commands.len(), SETTINGS.parallel);
    let before = s.waits.looked;
    let mut running: Vec<AppName> = names(commands);
    for now in 3..903 {
        let app = running.remove(0);
        let next = s.on(now, Event::Synced(app, commit(1), Ok(())));
        assert_eq!(next.len(), 1);
        running.extend(names(next));
        s.wake_at(now);
        assert_eq!(s.on(now, Event::Tick), []);
    }
    let looked = s.waits.looked - before;
    assert!(looked <= 900, "{looked} looks at apps in 900 ends of runs");
}

#[test]
fn a_drift_and_an_app_that_others_wait_for_cost_what_they_change() {
    let mut nodes = vec![node("base", &[])];
    nodes.extend(many(MANY).into_iter().map(|n| Node {
        after: vec![app("base")],
        ..n
    }));
    let (mut s, commands) = prepared(nodes);
    assert_eq!(commands, [sync("base", 1)]);
    let before = s.waits.looked;
    for now in 3..103 {
        s.on(now, drifted("app-00001", &["x"]));
        s.on(now, Event::Tick);
    }
    let looked = s.waits.looked - before;
    assert!(looked <= 300, "{looked} looks at apps in 100 drifts");
    let begun = s.on(200, Event::Synced(app("base"), commit(1), Ok(())));
    assert_eq!(begun.len(), SETTINGS.parallel);
}

#[test]
fn a_lane_that_is_full_holds_up_no_other_one() {
    let mut nodes: Vec<Node> = many(100);
    nodes.push(named("other", "b", &[]));
    let (mut s, commands) = prepared(nodes);
    assert_eq!(commands.len(), SETTINGS.parallel + 1, "{commands:?}");
    assert!(commands.contains(&sync("other", 1)));
    assert_eq!(s.lane(&app("other")), Some(lane("b")));
    // Nothing of the first lane ends, and the other one goes on.
    s.on(3, Event::Synced(app("other"), commit(1), Ok(())));
    assert_eq!(s.on(4, drifted("other", &["x"])), [sync("other", 1)]);
}

#[test]
fn who_waits_longest_in_a_lane_begins_first() {
    let (mut s, commands) = prepared(many(6));
    let running = names(commands);
    s.on(
        3,
        Event::Synced(running[0].clone(), commit(1), Err(Retry::OnChange)),
    );
    s.on(4, drifted(running[0].as_str(), &["x"]));
    let next = s.on(5, Event::Synced(running[1].clone(), commit(1), Ok(())));
    assert_eq!(
        next,
        [sync("app-00005", 1)],
        "it is behind in the order of names, and waits longer"
    );
}

fn names(commands: Vec<Command>) -> Vec<AppName> {
    let app = |command| match command {
        Command::Sync(app, _) => Some(app),
        _ => None,
    };
    commands.into_iter().filter_map(app).collect()
}

/// What can happen to a few apps in two lanes. The numbers choose among them.
#[derive(Debug, Clone)]
enum Act {
    Pass(u64),
    Commit(Vec<(usize, usize)>),
    Poll,
    Drift(usize),
    End(usize, bool),
}

const FEW: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

fn act() -> impl Strategy<Value = Act> {
    let apps = prop::collection::vec((0..FEW.len(), 0..FEW.len()), 1..8);
    prop_oneof![
        3 => (1..400_u64).prop_map(Act::Pass),
        1 => apps.prop_map(Act::Commit),
        1 => Just(Act::Poll),
        2 => (0..FEW.len()).prop_map(Act::Drift),
        6 => (any::<usize>(), any::<bool>()).prop_map(|(n, well)| Act::End(n, well)),
    ]
}

/// Apps, each after one of a smaller name or after none.
fn nodes(pairs: &[(usize, usize)]) -> Vec<Node> {
    let all: BTreeMap<usize, usize> = pairs.iter().copied().collect();
    let after = |n: usize, before: usize| match before < n && all.contains_key(&before) {
        true => vec![FEW[before]],
        false => vec![],
    };
    let place = |n: usize| if n.is_multiple_of(2) { "a" } else { "b" };
    all.iter()
        .map(|(n, before)| named(FEW[*n], place(*n), &after(*n, *before)))
        .collect()
}

/// Nobody waits who could begin, and nobody begins who may not.
fn nobody_is_forgotten(s: &Schedule, now: Now, running: &[(AppName, CommitId)]) {
    let in_lane = |lane: &Lane| {
        let runs = running
            .iter()
            .filter(|(app, _)| s.waits.running.get(app) == Some(lane));
        runs.count()
    };
    for (name, app) in s
        .apps
        .iter()
        .filter(|(_, app)| app.listed && app.work.is_due(now))
    {
        let Some(commit) = s.prepared.filter(|_| !s.prepare.running) else {
            continue;
        };
        let may = app.after.iter().all(|dep| s.is_synced(dep, commit));
        let full = in_lane(app.lane.as_ref().unwrap()) >= s.settings.parallel;
        assert!(
            !may || full,
            "{name} waits at {now} and nothing holds it up"
        );
    }
    let due = s.apps.values().filter(|a| a.listed).map(|a| &a.work);
    let due = due
        .filter(|w| w.wanted && !w.running && w.not_before > now)
        .map(|w| w.not_before);
    let others = [&s.fetch, &s.prepare].into_iter();
    let others = others.filter(|w| w.wanted && !w.running && w.not_before > now);
    let due = due.chain(others.map(|w| w.not_before)).min();
    assert_eq!(s.wake_at(now), due);
}

proptest! {
    #[test]
    fn nobody_waits_who_could_begin_whatever_happens(acts in prop::collection::vec(act(), 1..60)) {
        let settings = Settings { parallel: 2, ..SETTINGS };
        let mut s = Schedule::new(settings, 7);
        let (mut now, mut commits) = (0, 1);
        let mut running: Vec<(AppName, CommitId)> = Vec::new();
        s.on(0, Event::Tick);
        s.on(0, Event::Fetched(Ok(commit(1))));
        s.on(0, Event::Prepared(commit(1), Err(Retry::OnChange)));
        for act in acts {
            let mut said = Vec::new();
            match act {
                Act::Pass(time) => now += time,
                Act::Commit(apps) => {
                    commits += 1;
                    said.extend(s.on(now, Event::Requested));
                    said.extend(s.on(now, Event::Fetched(Ok(commit(commits)))));
                    said.extend(s.on(now, Event::Prepared(commit(commits), Ok(nodes(&apps)))));
                }
                Act::Poll => {
                    said.extend(s.on(now, Event::Requested));
                    said.extend(s.on(now, Event::Fetched(Ok(commit(commits)))));
                }
                Act::Drift(n) => said.extend(s.on(now, drifted(FEW[n], &["x"]))),
                Act::End(n, well) if !running.is_empty() => {
                    let (app, commit) = running.remove(n % running.len());
                    let result = if well { Ok(()) } else { Err(Retry::Backoff) };
                    said.extend(s.on(now, Event::Synced(app, commit, result)));
                }
                Act::End(..) => {}
            }
            said.extend(s.on(now, Event::Tick));
            for command in said {
                if let Command::Sync(app, commit) = command {
                    prop_assert!(running.iter().all(|(other, _)| *other != app), "{} runs twice", app);
                    running.push((app, commit));
                }
            }
            nobody_is_forgotten(&s, now, &running);
        }
    }
}
