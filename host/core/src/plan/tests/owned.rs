//! The same rules on a made-up cluster: objects carry their owner, have uids, are edited, stripped, copied and
//! made again by strangers between runs that are killed anywhere.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use crate::digest::Digest;
use crate::inventory::{Holding, Inventory};
use crate::live::{Live, Mark, Owner, Seen, Uid, Version, Written};
use crate::name::AppName;
use crate::object::{Object, Origin, ResourceId};
use crate::plan::{Others, Plan, Step, plan};
use crate::record::{Event, Record, SyncRecord};
use crate::stake::{Ended, Outcome, Stake};
use crate::status::Status;

/// Objects in play.
const NAMES: u8 = 4;

/// Whose name an object carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    Nobody,
    App(usize),
    Foreign,
}

/// One live object. `edits` counts what strangers did to fields of ours.
#[derive(Debug, Clone, PartialEq)]
struct Thing {
    uid: u32,
    content: Digest,
    edits: u32,
    owner: Name,
}

#[derive(Debug, Default)]
struct Cluster {
    things: BTreeMap<u8, Thing>,
    uids: u32,
    edits: u32,
}

/// What happens between and in runs.
#[derive(Debug, Clone)]
enum Act {
    /// An app syncs what it wants then; so many of its steps happen, and the outcome is told or not.
    Sync {
        app: usize,
        wants: [Option<u8>; NAMES as usize],
        steps: usize,
        told: bool,
    },
    /// Somebody changes a field of ours.
    Edit(u8),
    /// Somebody takes the annotation off.
    Strip(u8),
    /// Somebody deletes it.
    Delete(u8),
    /// Somebody makes it, or replaces it by a new one of that name.
    Make(u8, bool),
}

fn act() -> impl Strategy<Value = Act> {
    let name = 0..NAMES;
    let wants = prop::array::uniform4(prop::option::weighted(0.6, 0..3_u8));
    prop_oneof![
        6 => (0..2_usize, wants, 0..6_usize, any::<bool>())
            .prop_map(|(app, wants, steps, told)| Act::Sync { app, wants, steps, told }),
        1 => name.clone().prop_map(Act::Edit),
        1 => name.clone().prop_map(Act::Strip),
        1 => name.clone().prop_map(Act::Delete),
        1 => (name, any::<bool>()).prop_map(|(n, foreign)| Act::Make(n, foreign)),
    ]
}

fn app(n: usize) -> AppName {
    ["web", "db"][n].parse().unwrap()
}

fn object(name: u8, content: u8) -> Object {
    let body = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "data": {"v": content},
        "metadata": {"name": format!("o{name}"), "namespace": "shop"},
    });
    let (path, line) = ("a.yaml".into(), 1);
    Object::new(body, Origin { path, line }).unwrap()
}

fn id(name: u8) -> ResourceId {
    object(name, 0).id().clone()
}

fn name_of(id: &ResourceId) -> u8 {
    id.name[1..].parse().unwrap()
}

impl Thing {
    fn mark(&self) -> Mark {
        Mark {
            uid: Some(Uid(self.uid.to_string().into())),
            // As in a cluster, the entry tells that fields were taken and given, not what they hold.
            state: Digest::of(format!("{} {:?}", self.edits, self.owner).as_bytes()),
        }
    }
}

impl Cluster {
    fn live(&self, reader: usize) -> BTreeMap<ResourceId, Live> {
        let see = |n| match self.things.get(&n) {
            None => Live::Absent,
            Some(thing) => Live::Present(Seen {
                version: Version(format!("{}/{:?}", thing.uid, thing)),
                mark: thing.mark(),
                owner: match thing.owner {
                    Name::Nobody => Owner::Nobody,
                    Name::App(n) if n == reader => Owner::Us,
                    Name::App(n) => Owner::App(app(n)),
                    Name::Foreign => Owner::Foreign("a stranger".to_owned()),
                },
                leaving: None,
                keep: false,
            }),
        };
        (0..NAMES).map(|n| (id(n), see(n))).collect()
    }

    /// Server-side apply as an app.
    fn write(&mut self, by: usize, object: &Object) -> Written {
        let n = name_of(object.id());
        let uids = &mut self.uids;
        let thing = self.things.entry(n).or_insert_with(|| {
            *uids += 1;
            Thing {
                uid: *uids,
                content: object.digest(),
                edits: 0,
                owner: Name::App(by),
            }
        });
        if thing.content != object.digest() || thing.owner != Name::App(by) {
            self.edits += 1;
            thing.edits = self.edits;
        }
        (thing.content, thing.owner) = (object.digest(), Name::App(by));
        let (content, mark) = (object.digest(), thing.mark());
        Written { content, mark }
    }

    fn disturb(&mut self, act: &Act) {
        self.edits += 1;
        match act {
            Act::Edit(n) => {
                if let Some(thing) = self.things.get_mut(n) {
                    thing.content = Digest::of(format!("edit {}", self.edits).as_bytes());
                    thing.edits = self.edits;
                }
            }
            Act::Strip(n) => {
                if let Some(thing) = self.things.get_mut(n).filter(|t| t.owner != Name::Foreign) {
                    thing.owner = Name::Nobody;
                    thing.edits = self.edits;
                }
            }
            Act::Delete(n) => {
                self.things.remove(n);
            }
            Act::Make(n, foreign) => {
                self.uids += 1;
                let owner = if *foreign {
                    Name::Foreign
                } else {
                    Name::Nobody
                };
                let (uid, edits) = (self.uids, self.edits);
                let content = Digest::of(b"a stranger's");
                self.things.insert(
                    *n,
                    Thing {
                        uid,
                        content,
                        edits,
                        owner,
                    },
                );
            }
            Act::Sync { .. } => {}
        }
    }
}

/// The cluster, the ledger's fold and what each app wants.
#[derive(Default)]
struct World {
    cluster: Cluster,
    status: Status,
    wants: [[Option<u8>; NAMES as usize]; 2],
}

impl World {
    fn desired(&self, n: usize) -> Vec<Object> {
        let wanted = self.wants[n].iter().enumerate();
        wanted
            .filter_map(|(n, content)| Some(object(u8::try_from(n).unwrap(), (*content)?)))
            .collect()
    }

    fn plan(&self, n: usize) -> Plan {
        let empty = Inventory::default();
        let inventory = |n| {
            self.status
                .apps
                .get(&app(n))
                .map_or(&empty, |a| &a.inventory)
        };
        let ids = |n| {
            Some(std::sync::Arc::new(
                self.desired(n).iter().map(|o| o.id().clone()).collect(),
            ))
        };
        let others = Others::of(
            &app(n),
            &[(app(0), inventory(0)), (app(1), inventory(1))].into(),
            &[(app(0), ids(0)), (app(1), ids(1))].into_iter().collect(),
        );
        plan(
            &self.desired(n),
            inventory(n),
            &self.cluster.live(n),
            &others,
        )
    }

    fn fold(&mut self, n: usize, event: Event) {
        let app = Some(app(n));
        self.status.fold(1, 0, &Record { app, event });
    }

    /// Does the first steps of a plan, and tells the ledger or dies before that.
    fn run(&mut self, n: usize, plan: &Plan, steps: usize, told: bool) {
        let target = crate::name::TargetName::default_target();
        let output = Digest::of(b"");
        self.fold(n, Event::Staked(Stake::of(plan, &target, None, output)));
        let mut outcomes = Vec::new();
        for step in plan.steps().take(steps) {
            let id = step.id().clone();
            let ended = match step {
                Step::Create(object) => Ended::Created(self.cluster.write(n, object)),
                Step::Update { object, .. } => Ended::Updated(self.cluster.write(n, object)),
                Step::Confirm(object) => panic!("{object:?} was confirmed unseen"),
                Step::Prune { id, .. } => {
                    self.cluster.things.remove(&name_of(id));
                    Ended::Pruned
                }
                Step::Forget(_) => Ended::Forgotten,
            };
            outcomes.push(Outcome { id, ended });
        }
        if told {
            let sync = SyncRecord {
                commit: None,
                output,
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
            self.fold(n, Event::Synced(sync));
        }
    }

    fn act(&mut self, act: &Act) {
        let Act::Sync {
            app,
            wants,
            steps,
            told,
        } = act
        else {
            return self.cluster.disturb(act);
        };
        self.wants[*app] = *wants;
        let plan = self.plan(*app);
        self.check(*app, &plan);
        self.run(*app, &plan, *steps, *told);
    }

    /// What no plan may ever do.
    fn check(&self, n: usize, plan: &Plan) {
        for step in plan.steps() {
            let thing = self.cluster.things.get(&name_of(step.id()));
            match step {
                Step::Create(_) => assert!(thing.is_none(), "{step:?} over {thing:?}"),
                Step::Update { .. } | Step::Prune { .. } => {
                    let thing = thing.unwrap();
                    let held = |by: fn(&Holding, &Mark) -> bool| {
                        let mut held = self.status.apps.values();
                        held.any(|a| {
                            a.inventory
                                .get(step.id())
                                .is_some_and(|h| by(h, &thing.mark()))
                        })
                    };
                    let ours = match thing.owner {
                        Name::App(by) => by == n || held(|_, _| true),
                        Name::Nobody => held(Holding::is_of),
                        Name::Foreign => false,
                    };
                    assert!(ours, "{step:?} of {thing:?}");
                }
                Step::Confirm(_) => panic!("{step:?}"),
                Step::Forget(_) => {}
            }
            if matches!(step, Step::Prune { .. }) {
                let wanted = self
                    .wants
                    .iter()
                    .any(|w| w[usize::from(name_of(step.id()))].is_some());
                assert!(!wanted && plan.refused().is_empty(), "{step:?}");
            }
        }
    }

    /// Every object that carries an app's name is in some inventory: nothing is orphaned.
    fn orphans(&self) -> Vec<u8> {
        let tracked = |n: u8| {
            self.status
                .apps
                .values()
                .any(|a| a.inventory.get(&id(n)).is_some())
        };
        let ours = self
            .cluster
            .things
            .iter()
            .filter(|(_, t)| matches!(t.owner, Name::App(_)));
        ours.map(|(n, _)| *n).filter(|n| !tracked(*n)).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_between_killed_runs_no_object_of_ours_is_orphaned(acts in prop::collection::vec(act(), 1..12)) {
        let mut world = World::default();
        for act in &acts {
            world.act(act);
            prop_assert!(world.orphans().is_empty(), "{:?} after {act:?}", world.orphans());
            for n in 0..NAMES {
                let holders = world.status.apps.values().filter(|a| a.inventory.get(&id(n)).is_some()).count();
                prop_assert!(holders <= 1, "o{n} is in two inventories");
            }
        }
    }

    #[test]
    fn a_whole_run_that_nothing_refuses_leaves_what_git_says_and_nothing_to_do(acts in prop::collection::vec(act(), 1..12)) {
        let mut world = World::default();
        for act in &acts {
            world.act(act);
        }
        for n in 0..2 {
            let plan = world.plan(n);
            if !plan.refused().is_empty() {
                continue;
            }
            world.run(n, &plan, usize::MAX, true);
            let again = world.plan(n);
            prop_assert!(again.is_empty() && again.refused().is_empty(), "{again:?}");
            for object in world.desired(n) {
                let thing = &world.cluster.things[&name_of(object.id())];
                prop_assert_eq!((thing.content, thing.owner), (object.digest(), Name::App(n)));
            }
        }
    }

    #[test]
    fn an_edit_of_our_fields_alone_is_healed_and_said_to_be_one(content in 0..3_u8, strip in any::<bool>()) {
        let mut world = World { wants: [[Some(content), None, None, None], [None; 4]], ..World::default() };
        let plan = world.plan(0);
        world.run(0, &plan, usize::MAX, true);
        prop_assert!(world.plan(0).is_empty());
        world.cluster.disturb(&if strip { Act::Strip(0) } else { Act::Edit(0) });
        let plan = world.plan(0);
        let healed = matches!(plan.steps().next(), Some(Step::Update { heal: true, .. }));
        prop_assert!(healed, "{plan:?}");
        // A newer commit is no healing: it may want what the edit changed.
        world.wants[0][0] = Some((content + 1) % 3);
        let plan = world.plan(0);
        let updated = matches!(plan.steps().next(), Some(Step::Update { heal: false, .. }));
        prop_assert!(updated, "{plan:?}");
    }
}

#[test]
fn an_object_that_is_being_deleted_is_waited_for_and_not_written() {
    let wanted = object(0, 1);
    let live = Live::Present(Seen {
        version: Version("1".to_owned()),
        mark: Mark::of_content(wanted.digest()),
        owner: Owner::Us,
        leaving: Some("finalizer example.com/wait".to_owned()),
        keep: false,
    });
    let live = [(wanted.id().clone(), live)].into();
    let plan = plan(
        std::slice::from_ref(&wanted),
        &Inventory::default(),
        &live,
        &Others::default(),
    );
    assert!(plan.is_empty());
    let (_, why) = &plan.refused()[0];
    assert!(
        why.to_string().contains("finalizer example.com/wait"),
        "{why}"
    );
    assert_eq!(
        crate::fault::Blame::retry(why),
        crate::fault::Retry::Backoff
    );
}
