//! Views, and what is said of them.

use weir_api::{HealthView, PublicUrl};
use weir_core::digest::{CommitId, Digest};

use super::*;

const ABOUT: About<'_> = About {
    generation: Some(2),
    now: "now",
};

fn app(state: State) -> AppView {
    AppView {
        name: "web".parse().unwrap(),
        target: None,
        state,
        commit: Some(CommitId::from_bytes([1; 20])),
        objects: 3,
        kept: 0,
        output: None,
        drifted: Vec::new(),
        message: None,
        health: None,
        since: 0,
        hold: None,
        record: Some(7),
    }
}

fn repository(apps: Vec<AppView>) -> RepositoryView {
    RepositoryView {
        name: "team.shop".parse().unwrap(),
        url: PublicUrl::of("https://h/x"),
        reference: "main".to_owned(),
        suspended: false,
        commit: Some(CommitId::from_bytes([1; 20])),
        refused: None,
        fault: None,
        message: None,
        apps,
        is_known: true,
        waiting: Some(0),
        fetched: Some(60),
    }
}

fn healthy(state: &'static str) -> Option<HealthView> {
    Some(HealthView {
        state,
        healthy: 1,
        objects: 3,
        message: Some("why".to_owned()),
    })
}

#[test]
fn an_app_is_ready_when_it_is_as_git_says_and_healthy_where_that_is_known() {
    for (state, health, ready, reason) in [
        (State::Synced, None, Some(true), "Synced"),
        (State::Synced, healthy("healthy"), Some(true), "Synced"),
        (State::Synced, healthy("suspended"), Some(true), "Synced"),
        (
            State::Synced,
            healthy("progressing"),
            Some(false),
            "Progressing",
        ),
        (State::Synced, healthy("failed"), Some(false), "Unhealthy"),
        (State::Drifted, None, Some(true), "Drifted"),
        (State::Pinned, None, Some(true), "Pinned"),
        (State::Failed, healthy("healthy"), Some(false), "Failed"),
        (State::Held, None, Some(false), "Held"),
        (State::Pending, None, None, "Pending"),
    ] {
        let standing = of_app(&AppView {
            health,
            ..app(state)
        });
        assert_eq!(
            (standing.ready, standing.reason),
            (ready, reason),
            "{state:?}"
        );
    }
}

#[test]
fn a_repository_stands_as_its_worst_app_does() {
    for (states, ready, reason, text) in [
        (&[][..], Some(true), "Synced", "0 of 0 ready"),
        (&[State::Synced], Some(true), "Synced", "1 of 1 ready"),
        (
            &[State::Synced, State::Pending],
            None,
            "Progressing",
            "1 of 2 ready",
        ),
        (
            &[State::Synced, State::Held],
            Some(false),
            "AppsHeld",
            "1 of 2 ready, 1 held",
        ),
        (
            &[State::Failed, State::Held],
            Some(false),
            "AppsFailed",
            "0 of 2 ready, 1 failed, 1 held",
        ),
    ] {
        let view = repository(states.iter().map(|state| app(*state)).collect());
        let standing = of_repository(Some(&view), None);
        assert_eq!(
            (standing.ready, standing.reason),
            (ready, reason),
            "{states:?}"
        );
        assert!(standing.message.ends_with(text), "{}", standing.message);
    }
}

#[test]
fn what_is_wrong_before_anything_is_followed_comes_first_and_unknown_is_not_ready() {
    let trouble = Trouble {
        reason: "InvalidSpec",
        message: "why".to_owned(),
        is_tried_again: false,
    };
    let view = repository(vec![app(State::Synced)]);
    let standing = of_repository(Some(&view), Some(&trouble));
    assert_eq!(
        (standing.ready, standing.course),
        (Some(false), Course::Stuck)
    );
    assert_eq!(of_repository(None, None).ready, None);
    let unknown = RepositoryView {
        is_known: false,
        ..view
    };
    assert_eq!(of_repository(Some(&unknown), None).reason, "Starting");
}

#[test]
fn a_fetch_that_finds_nothing_new_changes_no_status() {
    let view = repository(vec![app(State::Synced)]);
    let first = repository_status(Some(&view), None, None, &RepositoryStatus::default(), ABOUT);
    assert_eq!(
        first.last_fetch_time.as_deref(),
        Some("1970-01-01T00:01:00Z")
    );
    let later = RepositoryView {
        fetched: Some(120),
        ..view
    };
    let about = About {
        now: "later",
        ..ABOUT
    };
    assert_eq!(
        repository_status(Some(&later), None, None, &first, about),
        first
    );
    let commit = Some(CommitId::from_bytes([2; 20]));
    let moved = RepositoryView {
        commit,
        apps: vec![AppView {
            commit,
            ..app(State::Synced)
        }],
        ..later
    };
    let now = repository_status(Some(&moved), None, None, &first, about);
    assert_eq!(now.last_fetch_time.as_deref(), Some("1970-01-01T00:02:00Z"));
    assert_eq!(
        now.conditions[0].last_transition_time, "now",
        "it was ready all the time"
    );
}

#[test]
fn what_was_said_before_the_ledger_is_asked_stays() {
    let view = repository(vec![app(State::Synced)]);
    let first = repository_status(Some(&view), None, None, &RepositoryStatus::default(), ABOUT);
    let unknown = RepositoryView {
        is_known: false,
        commit: None,
        apps: vec![],
        ..view
    };
    let now = repository_status(Some(&unknown), None, None, &first, ABOUT);
    assert_eq!((now.commit, now.apps), (first.commit, 1));
}

#[test]
fn an_event_is_said_once_for_each_thing_that_is_news() {
    let status = |app: &AppView, before: &AppStatus| app_status(app, None, before, ABOUT);
    let synced = status(&app(State::Synced), &AppStatus::default());
    let note = app_note(&AppStatus::default(), &synced).unwrap();
    assert_eq!((note.reason, note.is_warning), ("Synced", false));
    assert_eq!(app_note(&synced, &synced), None);
    let held = |hold: &[u8]| AppView {
        hold: Some(Digest::of(hold)),
        ..app(State::Held)
    };
    let one = status(&held(b"1"), &synced);
    assert!(app_note(&synced, &one).unwrap().is_warning);
    assert_eq!(app_note(&one, &one), None);
    let other = status(&held(b"2"), &one);
    assert_eq!(app_note(&one, &other).unwrap().reason, "Held");
    let pending = status(&app(State::Pending), &other);
    assert_eq!(app_note(&other, &pending), None);
}
