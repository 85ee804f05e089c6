//! What the fold makes of records that come in an order that nobody planned.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::object::ResourceId;
use crate::plan::Counts;
use crate::record::{Carried, Which};
use crate::stake::Outcome;

fn app(name: &str) -> AppName {
    name.parse().unwrap()
}

fn id() -> ResourceId {
    ResourceId {
        group: String::new(),
        kind: "ConfigMap".to_owned(),
        namespace: None,
        name: "moves".to_owned(),
    }
}

fn staked(name: &str, taken: Vec<(ResourceId, AppName)>) -> Record {
    let digest = Digest::of(name.as_bytes());
    Record {
        app: Some(app(name)),
        event: Event::Staked(Stake {
            commit: None,
            target: TargetName::default_target(),
            output: digest,
            writes: vec![(id(), digest)],
            prunes: Vec::new(),
            taken,
            found: Vec::new(),
        }),
    }
}

fn updated(name: &str) -> Record {
    let digest = Digest::of(name.as_bytes());
    Record {
        app: Some(app(name)),
        event: Event::Synced(SyncRecord {
            commit: None,
            output: digest,
            plugins: BTreeMap::new(),
            target: TargetName::default_target(),
            prune_on_removal: false,
            outcomes: vec![Outcome {
                id: id(),
                ended: Ended::Updated(Written::content(digest)),
            }],
            counts: Counts::default(),
            kept: Vec::new(),
            drifted: Vec::new(),
            bytes: None,
            made: None,
            changed: Vec::new(),
            problem: None,
            micros: BTreeMap::new(),
        }),
    }
}

#[test]
fn what_another_app_took_during_a_run_is_not_held_again_when_that_run_ends() {
    let mut status = Status::default();
    let takes = staked("taker", vec![(id(), app("giver"))]);
    for record in [
        staked("giver", vec![]),
        takes,
        updated("giver"),
        updated("taker"),
    ] {
        status.fold(1, 0, &record);
        let holders = status
            .apps
            .values()
            .filter(|a| a.inventory.get(&id()).is_some());
        assert_eq!(holders.count(), 1, "{record:?}");
    }
    assert!(status.apps[&app("giver")].inventory.is_empty());
}

const APPS: [&str; 5] = ["a", "b", "c", "d", "e"];

fn commit(n: u8) -> CommitId {
    CommitId::from_bytes([n; 20])
}

/// An app that stands somehow at one of two commits.
fn stands() -> impl Strategy<Value = AppStatus> {
    let state = prop::sample::select(vec![
        State::Synced,
        State::Failed,
        State::Held,
        State::Pending,
        State::Drifted,
        State::Pinned,
    ]);
    let state = prop_oneof![3 => Just(State::Synced), 1 => state];
    let problem = Problem {
        stage: "apply".to_owned(),
        fault: crate::fault::Fault::Target,
        message: "x".to_owned(),
    };
    let problem = prop::option::weighted(0.2, Just(problem));
    let at = prop::option::weighted(0.9, (1_u8..3).prop_map(commit));
    (state, problem, at).prop_map(|(state, problem, commit)| AppStatus {
        state,
        problem,
        commit,
        ..AppStatus::default()
    })
}

proptest! {
    #[test]
    fn who_is_carried_is_at_the_new_commit_and_nobody_else_is(
        apps in prop::collection::vec(stands(), APPS.len()),
        carried in prop::collection::vec(any::<bool>(), APPS.len()),
    ) {
        let apps: BTreeMap<AppName, AppStatus> = APPS.iter().map(|n| app(n)).zip(apps).collect();
        let before = Status { apps, ..Status::default() };
        // Only those who stand well are carried.
        let stands = before.apps.iter().zip(&carried);
        let carried: BTreeSet<AppName> = stands
            .filter(|((_, a), is)| **is && a.stands_at(Some(commit(1)))).map(|((name, _), _)| name.clone()).collect();
        let others: BTreeSet<AppName> = before.apps.keys().filter(|n| !carried.contains(*n)).cloned().collect();
        let Some(record) = Carried::of(commit(1), commit(9), carried.clone(), others) else {
            prop_assert!(carried.is_empty());
            return Ok(());
        };
        let list = match &record.apps { Which::But(list) | Which::Only(list) => list.len() };
        prop_assert!(list <= APPS.len() / 2 + 1, "the longer list: {record:?}");
        let record = Record { app: None, event: Event::Carried(record) };
        let text = serde_json::to_string(&record).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Record>(&text).unwrap(), &record);
        let mut after = before.clone();
        // Told twice, as after a retry, it is the same.
        after.fold(1, 7, &record);
        let once = after.clone();
        after.fold(2, 8, &record);
        prop_assert_eq!(&after, &once);
        for (name, app) in &after.apps {
            let expected = match carried.contains(name) {
                true => Some(commit(9)),
                false => before.apps[name].commit,
            };
            prop_assert_eq!(app.commit, expected, "{}", name);
            prop_assert_eq!(&AppStatus { commit: None, ..app.clone() }, &AppStatus { commit: None, ..before.apps[name].clone() });
        }
    }
}

fn of_ref(event: Event) -> Record {
    Record { app: None, event }
}

/// A commit that was followed: accepted by a policy where it says so, and signed.
fn followed(n: u8, accepted: bool) -> Record {
    let signer = accepted.then(|| crate::commit_policy::Signer {
        name: "ann@e".to_owned(),
        key: "SHA256:ann".to_owned(),
    });
    of_ref(Event::Commit(CommitRecord {
        commit: CommitId::from_bytes([n; 20]),
        movement: crate::record::Movement::First,
        author: String::new(),
        committer: String::new(),
        merger: None,
        committed: 0,
        subject: String::new(),
        signer,
        accepted,
    }))
}

fn refused(n: u8) -> Record {
    of_ref(Event::Refused(Refused {
        commit: CommitId::from_bytes([n; 20]),
        author: String::new(),
        committer: String::new(),
        subject: String::new(),
        kind: "unsigned".to_owned(),
        why: "it is not signed".to_owned(),
        stays: None,
    }))
}

#[test]
fn what_was_accepted_last_stays_known_and_a_refusal_is_forgotten_with_the_next_commit() {
    let mut status = Status::default();
    let known = |status: &Status| {
        let commit = |n: Option<CommitId>| n.map(|id| id.as_bytes()[0]);
        (
            commit(status.head.as_ref().map(|head| head.commit)),
            commit(status.trusted.as_ref().map(|trusted| trusted.commit)),
            commit(status.refused.as_ref().map(|refused| refused.commit)),
        )
    };
    for (record, expected) in [
        (followed(1, false), (Some(1), None, None)),
        (refused(2), (Some(1), None, Some(2))),
        (followed(3, true), (Some(3), Some(3), None)),
        (refused(4), (Some(3), Some(3), Some(4))),
        // The host asks for nothing any more: what it follows was accepted by nobody.
        (followed(4, false), (Some(4), Some(3), None)),
    ] {
        status.fold(1, 0, &record);
        assert_eq!(known(&status), expected, "{record:?}");
        let text = serde_json::to_string(&status).unwrap();
        assert_eq!(serde_json::from_str::<Status>(&text).unwrap(), status);
    }
    let signer = status.trusted.and_then(|trusted| trusted.signer).unwrap();
    assert_eq!(signer.to_string(), "ann@e (SHA256:ann)");
}

#[test]
fn records_from_before_there_were_signers_read_as_they_were() {
    let text = r#"{"event":{"type":"commit","commit":"0101010101010101010101010101010101010101","move":"first","author":"a","committer":"a","committed":0,"subject":"s"}}"#;
    let record: Record = serde_json::from_str(text).unwrap();
    let Event::Commit(commit) = &record.event else {
        panic!("{record:?}")
    };
    assert_eq!((&commit.signer, commit.accepted), (&None, false));
    assert_eq!(serde_json::to_string(&record).unwrap(), text);
}
