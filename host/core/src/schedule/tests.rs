//! The schedule as tables of events and commands, in told time.

use super::*;

mod carried;
mod many;
mod settle;
mod unready;

const SETTINGS: Settings = Settings {
    interval: 1000,
    parallel: 4,
    backoff: 100,
    backoff_ceiling: 10_000,
};

fn commit(n: u8) -> CommitId {
    CommitId::from_bytes([n; 20])
}
fn app(name: &str) -> AppName {
    name.parse().unwrap()
}
fn node(name: &str, after: &[&str]) -> Node {
    Node {
        app: app(name),
        after: after.iter().map(|n| app(n)).collect(),
        behind: Vec::new(),
        settle: None,
        lane: lane("a"),
        same: false,
    }
}
fn lane(place: &str) -> Lane {
    let (place, part) = (place.into(), "".into());
    Lane { place, part }
}
fn sync(name: &str, n: u8) -> Command {
    Command::Sync(app(name), commit(n))
}

/// A schedule that has prepared commit 1 with these apps; the commands are those of the last event.
fn prepared(nodes: Vec<Node>) -> (Schedule, Vec<Command>) {
    let mut s = Schedule::new(SETTINGS, 7);
    assert_eq!(s.on(0, Event::Tick), [Command::Fetch]);
    assert_eq!(
        s.on(1, Event::Fetched(Ok(commit(1)))),
        [Command::Prepare(commit(1))]
    );
    let commands = s.on(2, Event::Prepared(commit(1), Ok(nodes)));
    (s, commands)
}

#[test]
fn never_runs_one_app_twice_at_once() {
    let (mut s, commands) = prepared(vec![node("a", &[])]);
    assert_eq!(commands, [sync("a", 1)]);
    let due = s.wake_at(3).unwrap();
    assert_eq!(s.on(due, Event::Tick), [Command::Fetch]);
    assert_eq!(s.on(due, Event::Fetched(Ok(commit(1)))), []);
    assert_eq!(
        s.on(due, Event::Synced(app("a"), commit(1), Ok(()))),
        [sync("a", 1)]
    );
}

#[test]
fn a_request_during_a_fetch_causes_exactly_one_more() {
    let mut s = Schedule::new(SETTINGS, 7);
    assert_eq!(s.on(0, Event::Tick), [Command::Fetch]);
    assert_eq!(s.on(1, Event::Requested), []);
    assert_eq!(s.on(2, Event::Requested), []);
    assert_eq!(
        s.on(3, Event::Fetched(Ok(commit(1)))),
        [Command::Fetch, Command::Prepare(commit(1))]
    );
    assert_eq!(s.on(4, Event::Fetched(Ok(commit(1)))), []);
}

#[test]
fn the_latest_commit_wins() {
    let (mut s, _) = prepared(vec![node("a", &[]), node("b", &["a"])]);
    s.on(3, Event::Requested);
    assert_eq!(
        s.on(4, Event::Fetched(Ok(commit(2)))),
        [Command::Prepare(commit(2))]
    );
    assert_eq!(
        s.on(5, Event::Synced(app("a"), commit(1), Ok(()))),
        [],
        "b waits for commit 2"
    );
    let nodes = vec![node("a", &[]), node("b", &["a"])];
    assert_eq!(
        s.on(6, Event::Prepared(commit(2), Ok(nodes))),
        [sync("a", 2)]
    );
    assert_eq!(
        s.on(7, Event::Synced(app("a"), commit(2), Ok(()))),
        [sync("b", 2)]
    );
}

#[test]
fn an_app_waits_for_those_before_it() {
    let (mut s, commands) = prepared(vec![node("a", &[]), node("b", &["a"])]);
    assert_eq!(commands, [sync("a", 1)]);
    assert_eq!(
        s.on(3, Event::Synced(app("a"), commit(1), Err(Retry::OnChange))),
        []
    );
    let due = s.wake_at(3).unwrap();
    s.on(due, Event::Tick);
    assert_eq!(
        s.on(due, Event::Fetched(Ok(commit(1)))),
        [sync("a", 1)],
        "a poll tries again"
    );
    assert_eq!(
        s.on(due, Event::Synced(app("a"), commit(1), Ok(()))),
        [sync("b", 1)]
    );
}

#[test]
fn no_more_than_allowed_run_at_once() {
    let names = ["a", "b", "c", "d", "e", "f"];
    let (mut s, commands) = prepared(names.iter().map(|n| node(n, &[])).collect());
    assert_eq!(commands.len(), SETTINGS.parallel);
    assert_eq!(
        s.on(3, Event::Synced(app("a"), commit(1), Ok(()))),
        [sync("e", 1)]
    );
}

#[test]
fn backoff_grows_and_has_a_ceiling() {
    let mut s = Schedule::new(SETTINGS, 7);
    let mut now = 0;
    let mut longest = 0;
    for _ in 0..50 {
        assert_eq!(s.on(now, Event::Tick), [Command::Fetch]);
        assert_eq!(s.on(now, Event::Fetched(Err(Retry::Backoff))), []);
        let wait = s.wake_at(now).unwrap() - now;
        assert!(
            (SETTINGS.backoff..=SETTINGS.backoff_ceiling).contains(&wait),
            "{wait}"
        );
        longest = longest.max(wait);
        now += wait;
    }
    assert!(longest > SETTINGS.backoff_ceiling / 2);
}

#[test]
fn a_failed_fetch_leaves_what_is_synced_alone() {
    let (mut s, _) = prepared(vec![node("a", &[])]);
    s.on(3, Event::Synced(app("a"), commit(1), Ok(())));
    let due = s.wake_at(3).unwrap();
    assert_eq!(s.on(due, Event::Tick), [Command::Fetch]);
    assert_eq!(s.on(due, Event::Fetched(Err(Retry::OnChange))), []);
}

#[test]
fn stopping_starts_nothing_and_waits_for_what_runs() {
    let (mut s, _) = prepared(vec![node("a", &[]), node("b", &["a"])]);
    assert_eq!(s.on(3, Event::Stopping), []);
    assert_eq!(s.on(4, Event::Requested), []);
    assert_eq!(
        s.on(5, Event::Synced(app("a"), commit(1), Ok(()))),
        [Command::Stopped]
    );
    assert_eq!(s.on(6, Event::Tick), [], "said once");
    assert_eq!(s.wake_at(6), None);
}

#[test]
fn an_app_that_left_is_run_no_more() {
    let (mut s, _) = prepared(vec![node("a", &[]), node("b", &[])]);
    s.on(3, Event::Synced(app("a"), commit(1), Ok(())));
    s.on(3, Event::Synced(app("b"), commit(1), Ok(())));
    s.on(4, Event::Requested);
    s.on(5, Event::Fetched(Ok(commit(2))));
    assert_eq!(
        s.on(6, Event::Prepared(commit(2), Ok(vec![node("b", &[])]))),
        [sync("b", 2)]
    );
}

/// Commit 1 was refused at time 2.
fn refused() -> Schedule {
    let mut s = Schedule::new(SETTINGS, 7);
    s.on(0, Event::Tick);
    s.on(1, Event::Fetched(Ok(commit(1))));
    assert_eq!(
        s.on(2, Event::Prepared(commit(1), Err(Retry::OnChange))),
        []
    );
    s
}

/// All that polls of commit 1 cause up to a point in time, fetches left out.
fn polls(s: &mut Schedule, from: Now, until: Now) -> Vec<Command> {
    let (mut now, mut out) = (from, Vec::new());
    while let Some(due) = s.wake_at(now).filter(|due| *due < until) {
        now = due;
        if s.on(now, Event::Tick) == [Command::Fetch] {
            out.extend(s.on(now, Event::Fetched(Ok(commit(1)))));
        }
    }
    out
}

#[test]
fn a_refused_commit_is_not_prepared_again_at_each_poll_but_after_a_long_while() {
    let mut s = refused();
    assert_eq!(polls(&mut s, 2, RECHECK), [], "polls find the same commit");
    let until = RECHECK + 2 + 3 * SETTINGS.interval;
    assert_eq!(
        polls(&mut s, RECHECK, until),
        [Command::Prepare(commit(1))],
        "the host may have got a plugin since"
    );
    assert_eq!(
        s.on(until, Event::Prepared(commit(1), Err(Retry::OnChange))),
        []
    );
    assert_eq!(
        polls(&mut s, until, until + RECHECK / 2),
        [],
        "refused again, left alone again"
    );
}

#[test]
fn a_new_commit_or_a_request_tries_a_refused_one_at_once() {
    let mut s = refused();
    assert_eq!(s.on(3, Event::Requested), [Command::Fetch]);
    assert_eq!(
        s.on(4, Event::Fetched(Ok(commit(1)))),
        [Command::Prepare(commit(1))]
    );
    s.on(5, Event::Prepared(commit(1), Err(Retry::OnChange)));
    let due = s.wake_at(5).unwrap();
    assert_eq!(s.on(due, Event::Tick), [Command::Fetch]);
    assert_eq!(
        s.on(due, Event::Fetched(Ok(commit(2)))),
        [Command::Prepare(commit(2))]
    );
}

#[test]
fn a_commit_that_is_refused_after_a_newer_one_came_holds_nothing_up() {
    let mut s = Schedule::new(SETTINGS, 7);
    s.on(0, Event::Tick);
    s.on(1, Event::Fetched(Ok(commit(1))));
    s.on(2, Event::Requested);
    assert_eq!(s.on(3, Event::Fetched(Ok(commit(2)))), []);
    assert_eq!(
        s.on(4, Event::Prepared(commit(1), Err(Retry::OnChange))),
        [Command::Prepare(commit(2))]
    );
}

/// Commit 1 is synced in both apps at time 3.
fn synced_both() -> Schedule {
    let (mut s, _) = prepared(vec![node("a", &[]), node("b", &[])]);
    for name in ["a", "b"] {
        s.on(3, Event::Synced(app(name), commit(1), Ok(())));
    }
    s
}

/// Objects of an app were changed.
fn drifted(name: &str, objects: &[&str]) -> Event {
    let id = |name: &&str| ResourceId {
        group: String::new(),
        kind: "ConfigMap".to_owned(),
        namespace: None,
        name: (*name).to_owned(),
    };
    Event::Drifted(app(name), objects.iter().map(id).collect())
}

#[test]
fn drift_is_looked_at_at_once_and_only_in_the_app_that_drifted() {
    let mut s = synced_both();
    assert_eq!(s.on(4, drifted("a", &["x"])), [sync("a", 1)]);
    assert_eq!(s.on(5, drifted("unknown", &["x"])), []);
}

#[test]
fn drift_during_a_run_causes_exactly_one_more() {
    let mut s = synced_both();
    s.on(4, drifted("a", &["x"]));
    for now in 5..9 {
        assert_eq!(s.on(now, drifted("a", &["y"])), []);
    }
    let again = s.on(9, Event::Synced(app("a"), commit(1), Ok(())));
    assert_eq!(again, [sync("a", 1)]);
    assert_eq!(s.on(10, Event::Synced(app("a"), commit(1), Ok(()))), []);
}

#[test]
fn whoever_changes_back_each_heal_is_not_raced() {
    let mut s = synced_both();
    let mut now = 4;
    for _ in 0..DRIFTS_AT_ONCE {
        assert_eq!(s.on(now, drifted("a", &["x"])), [sync("a", 1)]);
        s.on(now + 1, Event::Synced(app("a"), commit(1), Ok(())));
        now += 2;
    }
    assert_eq!(s.on(now, drifted("a", &["x"])), []);
    let waits = s.apps.get(&app("a")).unwrap().work.not_before - now;
    assert!(waits >= SETTINGS.backoff, "{waits}");
    // Left alone for a while, it is looked at at once again.
    now += waits;
    assert!(s.on(now, Event::Tick).contains(&sync("a", 1)));
    s.on(now, Event::Synced(app("a"), commit(1), Ok(())));
    now += QUIET;
    assert!(s.on(now, drifted("a", &["x"])).contains(&sync("a", 1)));
}

#[test]
fn an_object_that_is_fought_over_holds_no_other_one_up() {
    let mut s = synced_both();
    for now in 4..4 + u64::from(DRIFTS_AT_ONCE) {
        s.on(now, drifted("a", &["x"]));
        s.on(now, Event::Synced(app("a"), commit(1), Ok(())));
        s.on(now, Event::Synced(app("a"), commit(1), Ok(())));
    }
    assert_eq!(s.on(20, drifted("a", &["x"])), []);
    assert_eq!(s.on(21, drifted("a", &["y"])), [sync("a", 1)]);
}

#[test]
fn drift_does_not_hurry_an_app_that_waits_after_a_failure() {
    let (mut s, _) = prepared(vec![node("a", &[])]);
    s.on(3, Event::Synced(app("a"), commit(1), Err(Retry::Backoff)));
    assert_eq!(s.on(4, drifted("a", &["x"])), []);
}
