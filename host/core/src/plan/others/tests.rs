//! What is looked up by object is what the plain definition finds, after whatever records.

use proptest::prelude::*;

use super::*;
use crate::digest::Digest;
use crate::inventory::Inventory;
use crate::live::Written;
use crate::name::TargetName;
use crate::plan::Counts;
use crate::record::SyncRecord;
use crate::stake::{Ended, Outcome, Stake};

const APPS: [&str; 4] = ["a", "b", "c", "d"];
const OBJECTS: u8 = 5;

fn app(n: usize) -> AppName {
    APPS[n % APPS.len()].parse().unwrap()
}

fn id(n: u8) -> ResourceId {
    ResourceId {
        group: String::new(),
        kind: "ConfigMap".to_owned(),
        namespace: None,
        name: format!("o{n}"),
    }
}

fn ids(of: &[u8]) -> Vec<ResourceId> {
    of.iter().map(|n| id(*n)).collect()
}

fn stake(writes: &[u8], taken: &[(u8, usize)], found: &[u8]) -> Event {
    let digest = Digest::of(b"x");
    let with = |ids: Vec<ResourceId>| ids.into_iter().map(|id| (id, digest)).collect();
    Event::Staked(Stake {
        commit: None,
        target: TargetName::default_target(),
        output: digest,
        writes: with(ids(writes)),
        prunes: Vec::new(),
        taken: taken.iter().map(|(n, from)| (id(*n), app(*from))).collect(),
        found: with(ids(found)),
    })
}

fn synced(written: &[u8], pruned: &[u8]) -> Event {
    let ended = |n: &u8, ended| Outcome { id: id(*n), ended };
    let written = written
        .iter()
        .map(|n| ended(n, Ended::Updated(Written::content(Digest::of(b"x")))));
    let pruned = pruned.iter().map(|n| ended(n, Ended::Pruned));
    Event::Synced(SyncRecord {
        commit: None,
        output: Digest::of(b"x"),
        plugins: BTreeMap::new(),
        target: TargetName::default_target(),
        prune_on_removal: false,
        outcomes: written.chain(pruned).collect(),
        counts: Counts::default(),
        kept: Vec::new(),
        drifted: Vec::new(),
        bytes: None,
        made: None,
        changed: Vec::new(),
        problem: None,
        micros: BTreeMap::new(),
    })
}

fn event() -> impl Strategy<Value = Event> {
    let some = || prop::collection::vec(0..OBJECTS, 0..4);
    let taken = prop::collection::vec((0..OBJECTS, 0..APPS.len()), 0..3);
    prop_oneof![
        4 => (some(), taken, some()).prop_map(|(w, t, f)| stake(&w, &t, &f)),
        3 => (some(), some()).prop_map(|(w, p)| synced(&w, &p)),
        1 => Just(Event::Removed),
        1 => Just(Event::Held { why: "x".to_owned(), hold: None }),
    ]
}

/// What each app wants; some could not be rendered, some are not at this commit.
fn desired() -> impl Strategy<Value = Desired> {
    let ids = prop::collection::btree_set((0..OBJECTS).prop_map(id), 0..4);
    let wants = prop::option::weighted(0.8, prop::option::weighted(0.8, ids));
    prop::collection::vec(wants, APPS.len()).prop_map(|all| {
        let all = all.into_iter().enumerate();
        all.filter_map(|(n, wants)| Some((app(n), wants?.map(Arc::new))))
            .collect()
    })
}

proptest! {
    #[test]
    fn what_is_looked_up_by_object_is_what_the_plain_definition_finds(
        events in prop::collection::vec((0..APPS.len(), event()), 0..12),
        desired in desired(),
        here in prop::collection::vec(any::<bool>(), APPS.len()),
    ) {
        let (mut status, mut holders) = (Status::default(), ByObject::default());
        for (n, event) in events {
            let record = Record { app: Some(app(n)), event };
            let mut plain = status.clone();
            plain.fold(1, 7, &record);
            holders.fold(&mut status, 1, 7, &record);
            prop_assert_eq!(&plain, &status);
            prop_assert_eq!(&holders, &ByObject::holding(&status));
        }
        let here = |name: &AppName| APPS.iter().position(|a| *a == name.as_str()).is_some_and(|n| here[n]);
        let inventories: BTreeMap<AppName, &Inventory> = status.apps.iter()
            .filter(|(name, _)| here(name))
            .map(|(name, app)| (name.clone(), &app.inventory))
            .collect();
        let wanted_here = desired.iter().filter(|(name, _)| here(name));
        let wanted_here: Desired = wanted_here.map(|(name, ids)| (name.clone(), ids.clone())).collect();
        let wants = ByObject::wanting(&desired);
        let unrendered: BTreeSet<AppName> = desired.iter().filter(|(_, ids)| ids.is_none()).map(|(name, _)| name.clone()).collect();
        let neighbours = Neighbours { status: &status, holders: &holders, desired: &desired, wants: &wants, unrendered: &unrendered };
        let all: Vec<ResourceId> = (0..OBJECTS).map(id).collect();
        for n in 0..APPS.len() {
            let plain = Others::of(&app(n), &inventories, &wanted_here);
            let found = neighbours.others(&app(n), &all, here);
            prop_assert_eq!(format!("{:?}", plain), format!("{:?}", found));
        }
    }
}

proptest! {
    #[test]
    fn what_is_told_of_one_app_is_what_all_of_them_come_to(before in desired(), after in desired()) {
        let mut wants = ByObject::wanting(&before);
        for n in 0..APPS.len() {
            let of = |all: &Desired| all.get(&app(n)).cloned().flatten();
            wants.wants_now(&app(n), of(&before).as_ref(), of(&after).as_ref());
        }
        prop_assert_eq!(wants, ByObject::wanting(&after));
    }
}

#[test]
fn only_the_objects_that_are_asked_for_are_looked_up() {
    let (mut status, mut holders) = (Status::default(), ByObject::default());
    for n in 0..APPS.len() {
        let event = stake(&[u8::try_from(n).unwrap()], &[], &[]);
        holders.fold(
            &mut status,
            1,
            0,
            &Record {
                app: Some(app(n)),
                event,
            },
        );
    }
    let (desired, wants) = (Desired::default(), ByObject::default());
    let neighbours = Neighbours {
        status: &status,
        holders: &holders,
        desired: &desired,
        wants: &wants,
        unrendered: &BTreeSet::new(),
    };
    let others = neighbours.others(&app(0), &[id(0), id(2)], |_| true);
    assert_eq!(others.holds.keys().collect::<Vec<_>>(), [&id(2)]);
}
