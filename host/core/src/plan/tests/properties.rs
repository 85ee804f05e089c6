//! Rules that hold for every repository, every target and every order of input, on made-up ones.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::btree_map;
use proptest::option;
use proptest::prelude::*;
use serde_json::json;

use crate::digest::Digest;
use crate::inventory::{Holding, Inventory};
use crate::live::{Live, Written};
use crate::name::AppName;
use crate::object::{Object, Origin, ResourceId};
use crate::plan::{Others, Plan, Step, plan, wave};
use crate::record::{Event, Record, SyncRecord};
use crate::stake::{Ended, Outcome, Stake};
use crate::status::Status;

/// Kinds of several waves.
const KINDS: [(&str, &str); 5] = [
    ("v1", "Namespace"),
    ("v1", "ConfigMap"),
    ("v1", "Secret"),
    ("apps/v1", "Deployment"),
    ("networking.k8s.io/v1", "Ingress"),
];
/// A value that only Secrets hold, and nothing may print.
const CANARY: &str = "canary-7f3a";

/// What there is at one place: who wants what there, who holds it and how, and what lies there. A number is
/// a content; the three of them being equal is what sync is for.
#[derive(Debug, Clone)]
struct Place {
    wanted: Option<u8>,
    held: Option<(bool, u8)>,
    live: Option<Option<u8>>,
    other_holds: Option<(bool, u8)>,
    other_wants: bool,
}

#[derive(Debug, Clone)]
struct World(BTreeMap<(usize, u8), Place>);

fn place() -> impl Strategy<Value = Place> {
    let content = 0..3_u8;
    let held = option::of((any::<bool>(), content.clone()));
    let live = prop_oneof![
        1 => Just(None),
        9 => option::of(content.clone()).prop_map(Some),
    ];
    (
        option::of(content.clone()),
        held,
        live,
        option::weighted(0.2, (any::<bool>(), content)),
        prop::bool::weighted(0.2),
    )
        .prop_map(|(wanted, held, live, other_holds, other_wants)| Place {
            wanted,
            // One object is in one inventory: a stake takes it out of the other.
            other_holds: other_holds.filter(|_| held.is_none()),
            held,
            live,
            other_wants,
        })
}

fn world() -> impl Strategy<Value = World> {
    btree_map((0..KINDS.len(), 0..4_u8), place(), 0..12).prop_map(World)
}

fn object(key: (usize, u8), content: u8) -> Object {
    let (api, kind) = KINDS[key.0];
    let namespace = (kind != "Namespace").then_some("shop");
    let value = format!("{CANARY}-{content}");
    let body = json!({
        "apiVersion": api, "kind": kind,
        "metadata": {"name": format!("o{}", key.1), "namespace": namespace},
        "stringData": {"v": value},
    });
    let origin = Origin {
        path: "a.yaml".into(),
        line: 1,
    };
    Object::new(body, origin).unwrap()
}

fn content(key: (usize, u8), n: u8) -> Digest {
    object(key, n).digest()
}

fn holding(key: (usize, u8), (confirmed, n): (bool, u8)) -> Holding {
    if confirmed {
        Holding::Confirmed(Written::content(content(key, n)))
    } else {
        Holding::Intended(content(key, n))
    }
}

fn app() -> AppName {
    "web".parse().unwrap()
}

impl World {
    fn desired(&self) -> Vec<Object> {
        let wanted = self.0.iter().filter_map(|(k, p)| Some((*k, p.wanted?)));
        wanted.map(|(k, n)| object(k, n)).collect()
    }

    fn inventory(&self) -> Inventory {
        let held = self.0.iter().filter_map(|(k, p)| Some((*k, p.held?)));
        let list: Vec<_> = held
            .map(|(k, h)| (object(k, 0).id().clone(), holding(k, h)))
            .collect();
        Inventory::from(list)
    }

    fn live(&self) -> BTreeMap<ResourceId, Live> {
        let live = |k: (usize, u8), p: &Place| match p.live {
            None => Live::Unknown("the disk is away".to_owned()),
            Some(None) => Live::Absent,
            Some(Some(n)) => super::shown(content(k, n)),
        };
        let all = self.0.iter();
        all.map(|(k, p)| (object(*k, 0).id().clone(), live(*k, p)))
            .collect()
    }

    fn others(&self) -> Others {
        let other: AppName = "other".parse().unwrap();
        let held = self
            .0
            .iter()
            .filter_map(|(k, p)| Some((object(*k, 0).id().clone(), holding(*k, p.other_holds?))));
        let inventory = Inventory::from(held.collect::<Vec<_>>());
        let wants: BTreeSet<ResourceId> = self
            .0
            .iter()
            .filter(|(_, p)| p.other_wants)
            .map(|(k, _)| object(*k, 0).id().clone())
            .collect();
        Others::of(
            &app(),
            &[(other.clone(), &inventory)].into(),
            &[(other, Some(std::sync::Arc::new(wants)))]
                .into_iter()
                .collect(),
        )
    }

    fn plan(&self) -> Plan {
        plan(
            &self.desired(),
            &self.inventory(),
            &self.live(),
            &self.others(),
        )
    }

    /// The status that the ledger would fold to before this run.
    fn status(&self) -> Status {
        let mut status = Status::default();
        status.apps.entry(app()).or_default().inventory = self.inventory();
        let other = "other".parse().unwrap();
        let theirs = self
            .others()
            .holds
            .iter()
            .map(|(id, held)| (id.clone(), held.holding.clone()))
            .collect::<Vec<_>>();
        status.apps.entry(other).or_default().inventory = Inventory::from(theirs);
        status
    }

    fn key_of(&self, id: &ResourceId) -> (usize, u8) {
        let found = self.0.keys().find(|k| object(**k, 0).id() == id);
        *found.unwrap()
    }

    fn at(&self, id: &ResourceId) -> &Place {
        &self.0[&self.key_of(id)]
    }
}

fn record(event: Event) -> Record {
    Record {
        app: Some(app()),
        event,
    }
}

/// Does the plan's steps up to a number on a made-up target, and folds what is known then; `told` says
/// whether anybody learned of it.
fn run(world: &World, plan: &Plan, steps: usize, told: bool) -> (World, Status) {
    let (mut world, mut status) = (world.clone(), world.status());
    let target = crate::name::TargetName::default_target();
    let stake = Stake::of(plan, &target, None, Digest::of(b""));
    status.fold(1, 0, &record(Event::Staked(stake)));
    let mut outcomes = Vec::new();
    for step in plan.steps().take(steps) {
        let id = step.id().clone();
        let key = world.key_of(&id);
        let place = world.0.get_mut(&key).unwrap();
        let wanted = place.wanted;
        let ended = match step {
            Step::Create(o) => {
                place.live = Some(wanted);
                Ended::Created(Written::content(o.digest()))
            }
            Step::Update { object, .. } => {
                place.live = Some(wanted);
                Ended::Updated(Written::content(object.digest()))
            }
            Step::Confirm(o) => Ended::Confirmed(Written::content(o.digest())),
            Step::Prune { .. } => {
                place.live = Some(None);
                Ended::Pruned
            }
            Step::Forget(_) => Ended::Forgotten,
        };
        outcomes.push(Outcome { id, ended });
    }
    if told {
        let sync = SyncRecord {
            commit: None,
            output: Digest::of(b""),
            plugins: BTreeMap::new(),
            target,
            prune_on_removal: false,
            outcomes,
            counts: plan.counts(),
            kept: Vec::new(),
            drifted: Vec::new(),
            bytes: None,
            made: None,
            changed: Vec::new(),
            problem: None,
            micros: BTreeMap::new(),
        };
        status.fold(1, 1, &record(Event::Synced(sync)));
    }
    // What the ledger says now is what the next run starts from.
    let (own, other): (AppName, AppName) = (app(), "other".parse().unwrap());
    for (key, place) in &mut world.0 {
        let id = object(*key, 0).id().clone();
        let held = |name: &AppName| {
            let holding = status.apps.get(name).and_then(|a| a.inventory.get(&id))?;
            let number = |d: Digest| (0..3).find(|n| content(*key, *n) == d).unwrap();
            Some(match holding {
                Holding::Confirmed(w) => (true, number(w.content)),
                Holding::Intended(d) => (false, number(*d)),
            })
        };
        (place.held, place.other_holds) = (held(&own), held(&other));
    }
    (world, status)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_input_changes_no_step(world in world()) {
        let mut turned = world.desired();
        turned.reverse();
        let other = plan(&turned, &world.inventory(), &world.live(), &world.others());
        let ids = |plan: &Plan, waves: fn(&Plan) -> &[super::super::Wave]| -> Vec<BTreeSet<ResourceId>> {
            waves(plan).iter().map(|w| w.iter().map(|s| s.id().clone()).collect()).collect()
        };
        let plan = world.plan();
        prop_assert_eq!(ids(&plan, Plan::apply), ids(&other, Plan::apply));
        prop_assert_eq!(ids(&plan, Plan::prune), ids(&other, Plan::prune));
        let refused = |p: &Plan| p.refused().iter().map(|(id, _)| id.clone()).collect::<BTreeSet<_>>();
        prop_assert_eq!(refused(&plan), refused(&other));
    }

    #[test]
    fn waves_rise_as_they_are_applied_and_fall_as_they_are_pruned(world in world()) {
        let plan = world.plan();
        let level = |w: &super::super::Wave| wave(w[0].id());
        prop_assert!(plan.apply().windows(2).all(|w| level(&w[0]) < level(&w[1])));
        prop_assert!(plan.prune().windows(2).all(|w| level(&w[0]) > level(&w[1])));
        for w in plan.apply().iter().chain(plan.prune()) {
            prop_assert!(w.iter().all(|s| wave(s.id()) == level(w)));
        }
    }

    #[test]
    fn a_prune_is_of_what_is_held_and_wanted_by_nobody(world in world()) {
        let (plan, inventory) = (world.plan(), world.inventory());
        for step in plan.prune().iter().flatten() {
            let place = world.at(step.id());
            prop_assert!(inventory.get(step.id()).is_some(), "{step:?}");
            prop_assert!(place.wanted.is_none() && !place.other_wants, "{step:?}");
        }
    }

    #[test]
    fn with_one_object_refused_nothing_is_deleted(world in world()) {
        let plan = world.plan();
        let deletes = plan.prune().iter().flatten().any(|s| matches!(s, Step::Prune { .. }));
        let refused_while_applying = plan.refused().iter().any(|(id, _)| world.at(id).wanted.is_some());
        prop_assert!(!(deletes && refused_while_applying));
    }

    #[test]
    fn what_could_not_be_read_is_neither_written_nor_deleted(world in world()) {
        for step in world.plan().steps() {
            prop_assert!(world.at(step.id()).live.is_some(), "{step:?}");
        }
    }

    #[test]
    fn what_weir_did_not_make_is_not_touched(world in world()) {
        for step in world.plan().steps() {
            let place = world.at(step.id());
            let Some(Some(live)) = place.live else { continue };
            let ours = |held: Option<(bool, u8)>| held.is_some_and(|(confirmed, n)| confirmed || n == live);
            if matches!(step, Step::Update { .. } | Step::Confirm(_) | Step::Prune { .. }) {
                prop_assert!(ours(place.held) || ours(place.other_holds), "{step:?} {place:?}");
            }
            prop_assert!(!matches!(step, Step::Create(_)), "{step:?} over {place:?}");
        }
    }

    #[test]
    fn after_a_whole_run_there_is_nothing_left_to_do(world in world()) {
        let plan = world.plan();
        prop_assume!(plan.refused().is_empty());
        let (after, _) = run(&world, &plan, usize::MAX, true);
        let again = after.plan();
        prop_assert!(again.is_empty(), "{:?}", again.steps().collect::<Vec<_>>());
        prop_assert!(again.refused().is_empty(), "{:?}", again.refused());
        for place in after.0.values() {
            if let Some(wanted) = place.wanted {
                prop_assert_eq!(place.live, Some(Some(wanted)));
            }
        }
    }

    #[test]
    fn a_run_killed_after_any_step_is_finished_by_the_next(world in world(), steps in 0..12_usize) {
        let plan = world.plan();
        prop_assume!(plan.refused().is_empty());
        let (killed, _) = run(&world, &plan, steps, false);
        let rest = killed.plan();
        prop_assert!(rest.refused().is_empty(), "{:?}", rest.refused());
        let (after, _) = run(&killed, &rest, usize::MAX, true);
        prop_assert!(after.plan().is_empty());
        let (whole, _) = run(&world, &plan, usize::MAX, true);
        for (key, place) in &whole.0 {
            prop_assert_eq!(&after.0[key].live, &place.live, "{:?}", key);
        }
    }

    #[test]
    fn nothing_of_ours_is_ever_untracked(world in world(), steps in 0..12_usize, told in any::<bool>()) {
        let plan = world.plan();
        let (after, status) = run(&world, &plan, steps, told);
        let tracked = |id: &ResourceId| status.apps.values().any(|a| a.inventory.get(id).is_some());
        for step in plan.steps().take(steps) {
            let there = matches!(after.at(step.id()).live, Some(Some(_)));
            let ours = matches!(step, Step::Create(_) | Step::Update { .. } | Step::Confirm(_));
            prop_assert!(!(there && ours) || tracked(step.id()), "{step:?} is an orphan");
        }
        for (id, _) in world.inventory().iter() {
            let pruned = told && plan.steps().take(steps).any(|s| s.id() == id && matches!(s, Step::Prune { .. } | Step::Forget(_)));
            prop_assert!(pruned || tracked(id), "{id} left the inventory without a confirmed delete");
        }
        let owners = |id: &ResourceId| status.apps.values().filter(|a| a.inventory.get(id).is_some()).count();
        for key in after.0.keys() {
            prop_assert!(owners(object(*key, 0).id()) <= 1);
        }
    }

    #[test]
    fn no_printed_form_of_a_plan_holds_what_objects_hold(world in world()) {
        let plan = world.plan();
        let target = crate::name::TargetName::default_target();
        let stake = Stake::of(&plan, &target, None, Digest::of(b""));
        let shown = format!("{plan:?}{:?}{stake:?}{}", plan.refused(), serde_json::to_string(&stake).unwrap());
        prop_assert!(!shown.contains(CANARY), "{shown}");
    }
}
