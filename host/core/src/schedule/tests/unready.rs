//! Apps that could not be rendered for now: their commit is prepared again, ever later, until it can be or another comes.

use super::*;

const PREPARE: Command = Command::Prepare(CommitId::from_bytes([1; 20]));

/// A schedule whose prepared commit has an app that could not be rendered for now, and synced another one.
fn unready() -> Schedule {
    let (mut s, _) = prepared(vec![node("a", &[]), node("b", &[])]);
    assert_eq!(s.on(2, Event::Unready), []);
    s.on(3, Event::Synced(app("a"), commit(1), Ok(())));
    s.on(3, Event::Synced(app("b"), commit(1), Err(Retry::Backoff)));
    s
}

/// Goes on in time until the commit is prepared once more; when that was.
fn until_prepared(s: &mut Schedule, mut now: Now) -> Now {
    for _ in 0..1000 {
        now = s.wake_at(now).unwrap();
        for command in s.on(now, Event::Tick) {
            match command {
                Command::Fetch => drop(s.on(now, Event::Fetched(Ok(commit(1))))),
                Command::Prepare(_) => return now,
                Command::Sync(name, at) => {
                    drop(s.on(now, Event::Synced(name, at, Err(Retry::OnChange))));
                }
                _ => {}
            }
        }
    }
    unreachable!("the commit is never prepared again");
}

#[test]
fn a_commit_with_an_app_that_could_not_be_rendered_for_now_is_prepared_again_ever_later() {
    let mut s = unready();
    let (mut now, mut longest) = (3, 0);
    for _ in 0..40 {
        let then = until_prepared(&mut s, now);
        longest = longest.max(then - now);
        assert!(then - now <= SETTINGS.backoff_ceiling + SETTINGS.interval * 2);
        let nodes = vec![node("a", &[]), node("b", &[])];
        s.on(then, Event::Prepared(commit(1), Ok(nodes)));
        s.on(then, Event::Unready);
        now = then;
    }
    assert!(longest > SETTINGS.backoff * 10, "{longest}");
}

#[test]
fn what_can_be_rendered_at_last_is_synced_and_the_commit_is_prepared_no_more() {
    let mut s = unready();
    let now = until_prepared(&mut s, 3);
    let nodes = vec![node("a", &[]), node("b", &[])];
    let commands = s.on(now, Event::Prepared(commit(1), Ok(nodes)));
    assert_eq!(commands, [sync("a", 1), sync("b", 1)]);
    for name in ["a", "b"] {
        s.on(now, Event::Synced(app(name), commit(1), Ok(())));
    }
    let due = s.wake_at(now).unwrap();
    assert_eq!(s.on(due, Event::Tick), [Command::Fetch]);
    let commands = s.on(due, Event::Fetched(Ok(commit(1))));
    assert!(!commands.contains(&PREPARE), "{commands:?}");
}

#[test]
fn whoever_asks_for_a_refresh_need_not_wait_for_it() {
    let mut s = unready();
    assert_eq!(s.on(4, Event::Requested), [Command::Fetch, PREPARE]);
}

#[test]
fn another_commit_takes_its_place_at_once() {
    let mut s = unready();
    s.on(4, Event::Requested);
    s.on(5, Event::Prepared(commit(1), Ok(vec![node("a", &[])])));
    s.on(5, Event::Unready);
    assert_eq!(
        s.on(6, Event::Fetched(Ok(commit(2)))),
        [Command::Prepare(commit(2))]
    );
}

#[test]
fn what_is_not_made_anew_goes_on_as_it_does_while_the_commit_is_prepared_again() {
    let same = |name: &str| Node {
        same: true,
        ..node(name, &[])
    };
    let (mut s, _) = prepared(vec![node("a", &[]), node("b", &[]), node("c", &[])]);
    assert_eq!(s.on(2, Event::Unready), []);
    // One that Git alone can mend, one that is under way, and the one that cannot be rendered for now.
    s.on(3, Event::Synced(app("a"), commit(1), Err(Retry::OnChange)));
    s.on(3, Event::Synced(app("c"), commit(1), Err(Retry::OnChange)));
    let mut now = 3;
    for _ in 0..5 {
        let mut prepares = false;
        while !prepares {
            now = s.wake_at(now).unwrap();
            for command in s.on(now, Event::Tick) {
                prepares |= command == PREPARE;
                assert!(prepares || command == Command::Fetch, "{command:?}");
            }
        }
        let nodes = vec![same("a"), same("b"), node("c", &[])];
        let commands = s.on(now, Event::Prepared(commit(1), Ok(nodes)));
        assert_eq!(commands, [sync("c", 1)], "nobody else");
        s.on(now, Event::Unready);
        s.on(
            now,
            Event::Synced(app("c"), commit(1), Err(Retry::OnChange)),
        );
    }
    // What was under way ends as it would have.
    s.on(now, Event::Synced(app("b"), commit(1), Ok(())));
    let commands = s.on(now, Event::Fetched(Ok(commit(1))));
    assert!(commands.contains(&sync("b", 1)), "{commands:?}");
}
