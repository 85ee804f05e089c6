//! What the fold makes of records that come in an order that nobody planned.

use super::*;
use crate::object::ResourceId;
use crate::plan::Counts;
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
