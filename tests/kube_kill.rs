//! `kill -9` in the middle of syncs of 300 objects to a real API server, 50 times: every object that carries our annotation is in the ledger, and the next sync ends in the right state.
//!
//! Half of the kills and more come at a random time from outside, the rest at a named step. What is random comes from a
//! seed (`WEIR_KILL_SEED`), except when exactly a kill from outside hits.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use weir_core::inventory::Holding;
use weir_core::object::ResourceId;
use weir_core::owner::ANNOTATION;
use weir_core::status::Status;
use weir_ledger::{Ledger, LedgerLimits};
use weir_tests::control_plane::{ControlPlane, Kubectl, With};
use weir_tests::weir::PATIENCE;
use weir_tests::{Repo, Serving, Weir, invariants};

/// What Git wants at any time.
const OBJECTS: usize = 300;
/// All objects that there may be: what a commit deletes, a later one may bring back.
const POOL: usize = 360;
/// What one commit deletes and adds.
const TURNOVER: usize = 20;
/// What one commit moves to another app.
const MOVES: usize = 10;
const APPS: [&str; 3] = ["one", "two", "three"];
/// Kills from outside at a random time, and kills at a named step at a random time of passing it.
const KILLS: (usize, usize) = (30, 20);
/// Runs after which the kills must have happened: some runs end before they are hit.
const RUNS: usize = 150;
const SIGKILL: i32 = 9;
const SEED: u64 = 0x5eed_0300;

/// Where a run is killed from within, and how often that is passed at least by a run of a new commit.
const STEPS: [(&str, u64); 8] = [
    ("after-write", 200),
    ("before-write", 200),
    ("after-write", 200),
    ("before-prune", 5),
    ("after-prune", 5),
    ("after-stake", APPS.len() as u64),
    ("applied", APPS.len() as u64),
    ("after-record", APPS.len() as u64),
];

/// SplitMix64: the same numbers on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn pick(&mut self, from: &[usize]) -> usize {
        from[usize::try_from(self.below(from.len() as u64)).unwrap()]
    }
}

/// What Git says of one object of the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wanted {
    app: usize,
    value: u64,
}

/// An object as it is in the cluster, by its place `GROUP/KIND/NAMESPACE/NAME`.
#[derive(Debug, Clone)]
struct Found {
    app: String,
    uid: String,
    value: Option<u64>,
}

struct Scene {
    plane: ControlPlane,
    kubectl: Kubectl,
    namespaces: [String; 2],
    repo: Repo,
    weir: Weir,
    random: Random,
    wanted: BTreeMap<usize, Wanted>,
    /// The uids of what is wanted without a break: nothing of it may ever be deleted on the way.
    uids: BTreeMap<String, String>,
}

impl Scene {
    fn new(seed: u64) -> Scene {
        let plane = ControlPlane::start(With::ApiServer).unwrap();
        let kubectl = plane.admin();
        let namespaces = ["a", "b"].map(|prefix| plane.namespace(prefix).unwrap());
        let repo = Repo::empty().unwrap();
        let apps: String = APPS
            .iter()
            .map(|app| format!("  - {{ name: {app}, path: {app}.yaml }}\n"))
            .collect();
        repo.write("weir.yaml", format!("version: 1\napps:\n{apps}"))
            .unwrap();
        let mut weir = Weir::new().unwrap();
        weir.variable("KUBECONFIG", kubectl.kubeconfig());
        let mut scene = Scene {
            plane,
            kubectl,
            namespaces,
            repo,
            weir,
            random: Random(seed),
            wanted: BTreeMap::new(),
            uids: BTreeMap::new(),
        };
        scene.add(OBJECTS);
        scene.commit();
        scene
    }

    /// Wants so many more objects of the pool, each in an app by chance.
    fn add(&mut self, count: usize) {
        for _ in 0..count {
            let free: Vec<usize> = (0..POOL).filter(|n| !self.wanted.contains_key(n)).collect();
            let object = self.random.pick(&free);
            let wanted = Wanted {
                app: self.random.pick(&[0, 1, 2]),
                value: self.random.next(),
            };
            self.wanted.insert(object, wanted);
        }
    }

    /// Nearly all objects change, some move, some go, others come.
    fn change(&mut self) {
        for _ in 0..TURNOVER {
            let all: Vec<usize> = self.wanted.keys().copied().collect();
            let gone = self.random.pick(&all);
            self.wanted.remove(&gone);
            self.uids.remove(&self.place(gone));
        }
        let stay: Vec<usize> = self.wanted.keys().copied().collect();
        for object in &stay {
            if self.random.below(20) > 0 {
                self.wanted.get_mut(object).unwrap().value = self.random.next();
            }
        }
        for _ in 0..MOVES {
            let object = self.random.pick(&stay);
            let wanted = self.wanted.get_mut(&object).unwrap();
            wanted.app = (wanted.app + 1) % APPS.len();
        }
        self.add(TURNOVER);
        self.commit();
    }

    fn commit(&mut self) {
        for (app, name) in APPS.iter().enumerate() {
            let of_app = self.wanted.iter().filter(|(_, w)| w.app == app);
            let text: String = of_app
                .map(|(n, w)| format!("---\n{}\n", self.object(*n, w.value)))
                .collect();
            self.repo.write(&format!("{name}.yaml"), text).unwrap();
        }
        self.repo.commit("Change").unwrap();
    }

    fn namespace(&self, n: usize) -> &str {
        &self.namespaces[n % 2]
    }

    fn place(&self, n: usize) -> String {
        let (group, kind) = kind(n);
        format!("{group}/{kind}/{}/object-{n}", self.namespace(n))
    }

    fn object(&self, n: usize, value: u64) -> Value {
        let (group, kind) = kind(n);
        let metadata = json!({ "name": format!("object-{n}"), "namespace": self.namespace(n) });
        let mut object = json!({ "apiVersion": "v1", "kind": kind, "metadata": metadata });
        let value = value.to_string();
        match kind {
            "Secret" => object["data"] = json!({ "value": STANDARD.encode(value) }),
            "ServiceAccount" => {
                object["metadata"]["annotations"] = json!({ "example.test/value": value });
            }
            "Role" => {
                object["apiVersion"] = json!(format!("{group}/v1"));
                object["rules"] = json!([{
                    "apiGroups": [""], "resources": ["pods"], "verbs": ["get"], "resourceNames": [value],
                }]);
            }
            _ => object["data"] = json!({ "value": value }),
        }
        object
    }

    fn start(&self) -> Serving {
        let path = self.repo.path();
        let words = [
            "sync",
            "--repo",
            path.to_str().unwrap(),
            "--target",
            "kube:",
        ];
        self.weir.start(words).unwrap()
    }

    /// A sync that nothing disturbs, and how long it took.
    fn sync(&self) -> Duration {
        let begin = Instant::now();
        let mut run = self.start();
        let code = run.wait(PATIENCE).unwrap();
        assert_eq!(code, Some(0), "{}", run.transcript());
        begin.elapsed()
    }

    /// A sync that is killed at a named step, when this was passed so many times; whether it was.
    fn killed_at(&mut self, step: &str, passes: u64) -> bool {
        let armed = format!("{step}={passes}*off->return");
        self.weir.variable("FAILPOINTS", armed);
        let mut run = self.start();
        self.weir.without_variable("FAILPOINTS");
        run.wait(PATIENCE).unwrap();
        died(&mut run)
    }

    /// A sync that is killed from outside; whether it was, before it had ended.
    fn killed_after(&self, time: Duration) -> bool {
        let mut run = self.start();
        run.kill_after(time).unwrap();
        died(&mut run)
    }

    /// Everything in the namespaces, of the kinds that we use.
    fn live(&self) -> Vec<Value> {
        let kinds = "configmap,secret,serviceaccount,role";
        let all = self.kubectl.json(&["get", kinds, "-A"]).unwrap();
        let items = all["items"].as_array().unwrap().iter();
        let here = items.filter(|i| {
            let namespace = i["metadata"]["namespace"].as_str().unwrap();
            self.namespaces.iter().any(|n| n == namespace)
        });
        here.cloned().collect()
    }

    fn ledger(&self) -> Status {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let dir = self.weir.state_dir().join("ledger");
        runtime.block_on(async {
            let reader = Ledger::open_read(&dir, LedgerLimits::HOST).await.unwrap();
            let names = reader.repositories().await.unwrap();
            reader.load(&names[0]).await.unwrap()
        })
    }

    /// What must hold at any time: what carries our annotation is in the ledger, and what is wanted all the time
    /// is the same object all the time.
    fn nothing_is_orphaned_or_replaced(&mut self, context: &str) {
        let (found, held) = (ours(&self.live()), self.ledger());
        let held: BTreeSet<String> = held
            .apps
            .values()
            .flat_map(|app| app.inventory.iter().map(|(id, _)| place_of(id)))
            .collect();
        let orphans: Vec<&String> = found.keys().filter(|p| !held.contains(*p)).collect();
        assert!(orphans.is_empty(), "{context}: orphans: {orphans:?}");
        let places: Vec<String> = self.wanted.keys().map(|n| self.place(*n)).collect();
        for place in places {
            let uid = found.get(&place).map(|found| &found.uid);
            match (self.uids.get(&place), uid) {
                (Some(before), now) => {
                    assert_eq!(Some(before), now, "{context}: {place} was deleted");
                }
                (None, Some(now)) => drop(self.uids.insert(place, now.clone())),
                (None, None) => {}
            }
        }
    }

    /// What must hold after a whole sync: the objects that carry our annotation, the ledger's inventory and what
    /// Git wants are the same, to the app and the content.
    fn all_is_as_git_wants(&self, context: &str) {
        let found = ours(&self.live());
        let wanted: BTreeMap<String, (String, Option<u64>)> = self
            .wanted
            .iter()
            .map(|(n, w)| (self.place(*n), (APPS[w.app].to_owned(), Some(w.value))))
            .collect();
        let live: BTreeMap<String, (String, Option<u64>)> = found
            .iter()
            .map(|(place, found)| (place.clone(), (found.app.clone(), found.value)))
            .collect();
        assert_eq!(live.len(), OBJECTS, "{context}");
        assert_eq!(differing(&wanted, &live), [""; 0], "{context}: the cluster");
        let mut held = BTreeMap::new();
        for (app, status) in &self.ledger().apps {
            for (id, holding) in status.inventory.iter() {
                let sure = matches!(holding, Holding::Confirmed(_));
                let twice = held.insert(place_of(id), (app.to_string(), sure));
                assert_eq!(twice, None, "{context}: {id} is held twice");
            }
        }
        let wanted: BTreeMap<String, (String, bool)> = wanted
            .into_iter()
            .map(|(place, (app, _))| (place, (app, true)))
            .collect();
        assert_eq!(differing(&wanted, &held), [""; 0], "{context}: the ledger");
    }

    /// Objects of somebody else beside ours: one with our label, and one as a controller derives it from ours,
    /// with our annotation on it.
    fn strangers(&self) -> Vec<Value> {
        let live = self.live();
        let is_ours = |i: &&Value| place_and_app(i).is_some();
        let annotation = live.iter().find(is_ours).unwrap()["metadata"]["annotations"][ANNOTATION]
            .as_str()
            .unwrap()
            .to_owned();
        for namespace in &self.namespaces {
            let labels = json!({ "weir.dev/app": APPS[0] });
            let annotations = json!({ ANNOTATION: annotation });
            for metadata in [
                json!({ "name": "theirs", "namespace": namespace, "labels": labels }),
                json!({ "name": "derived", "namespace": namespace, "annotations": annotations }),
            ] {
                let object =
                    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata });
                self.kubectl.apply(&object.to_string()).unwrap();
            }
        }
        not_ours(self.live())
    }
}

/// The group and the kind of an object of the pool: mostly maps.
fn kind(n: usize) -> (&'static str, &'static str) {
    match n % 10 {
        1 => ("", "Secret"),
        2 => ("", "ServiceAccount"),
        3 => ("rbac.authorization.k8s.io", "Role"),
        _ => ("", "ConfigMap"),
    }
}

/// Whether a run died by SIGKILL. One that was not hit must have done all.
fn died(run: &mut Serving) -> bool {
    let died = run.ended_by_signal().unwrap() == Some(SIGKILL);
    let ended = run.wait(PATIENCE).unwrap();
    assert!(died || ended == Some(0), "{}", run.transcript());
    died
}

fn place_of(id: &ResourceId) -> String {
    let namespace = id.namespace.as_ref().map_or("", |n| n.as_str());
    format!("{}/{}/{namespace}/{}", id.group, id.kind, id.name)
}

/// The place of an object that carries our annotation, and the app that stands there. A copy of another object's is
/// no annotation of ours.
fn place_and_app(object: &Value) -> Option<(String, String)> {
    let metadata = &object["metadata"];
    let text = metadata["annotations"][ANNOTATION].as_str()?;
    let (claim, place) = text.split_once(':').unwrap();
    let api = object["apiVersion"].as_str().unwrap();
    let group = api.split_once('/').map_or("", |(group, _)| group);
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    let actual = [
        group.to_owned(),
        word(&object["kind"]),
        word(&metadata["namespace"]),
        word(&metadata["name"]),
    ];
    let app = claim.rsplit('/').next().unwrap();
    (place == actual.join("/")).then(|| (place.to_owned(), app.to_owned()))
}

fn ours(live: &[Value]) -> BTreeMap<String, Found> {
    let found = |object: &Value| {
        let (place, app) = place_and_app(object)?;
        let uid = object["metadata"]["uid"].as_str().unwrap().to_owned();
        let value = value_of(object);
        Some((place, Found { app, uid, value }))
    };
    live.iter().filter_map(found).collect()
}

fn not_ours(live: Vec<Value>) -> Vec<Value> {
    live.into_iter()
        .filter(|object| place_and_app(object).is_none())
        .collect()
}

/// What [`Scene::object`] put into an object.
fn value_of(object: &Value) -> Option<u64> {
    let text = match object["kind"].as_str()? {
        "Secret" => {
            String::from_utf8(STANDARD.decode(object["data"]["value"].as_str()?).ok()?).ok()?
        }
        "ServiceAccount" => object["metadata"]["annotations"]["example.test/value"]
            .as_str()?
            .to_owned(),
        "Role" => object["rules"][0]["resourceNames"][0].as_str()?.to_owned(),
        _ => object["data"]["value"].as_str()?.to_owned(),
    };
    text.parse().ok()
}

/// The places where two sides differ, with what each has.
fn differing<V: PartialEq + std::fmt::Debug>(
    wanted: &BTreeMap<String, V>,
    is: &BTreeMap<String, V>,
) -> Vec<String> {
    let places: BTreeSet<&String> = wanted.keys().chain(is.keys()).collect();
    let places = places.into_iter().filter(|p| wanted.get(*p) != is.get(*p));
    places
        .map(|p| format!("{p}: wanted {:?}, is {:?}", wanted.get(p), is.get(p)))
        .collect()
}

#[test]
fn killed_fifty_times_at_random_in_syncs_of_300_objects_it_ends_in_the_right_state_with_no_orphan()
{
    let seed = std::env::var("WEIR_KILL_SEED").map_or(SEED, |text| text.parse().unwrap());
    println!("WEIR_KILL_SEED={seed}");
    let mut scene = Scene::new(seed);
    scene.sync();
    scene.all_is_as_git_wants("at first");
    let strangers = scene.strangers();
    scene.change();
    // The longest that a kill from outside waits.
    let whole = scene.sync();
    let (mut outside, mut inside, mut runs) = (0, 0, 0);
    let mut unfinished = false;
    while (outside, inside) != KILLS {
        runs += 1;
        assert!(runs <= RUNS, "{outside} and {inside} kills in {RUNS} runs");
        // The next run is of the same commit, or of the next one.
        let again = unfinished && scene.random.below(2) == 0;
        if !again {
            scene.change();
        }
        let left = (KILLS.0 - outside, KILLS.1 - inside);
        let is_outside = scene.random.below((left.0 + left.1) as u64) < left.0 as u64;
        let context;
        if is_outside {
            let time = whole * u32::try_from(scene.random.below(100)).unwrap() / 100;
            context = format!("seed {seed}, run {runs}: killed after {time:?}, again: {again}");
            unfinished = scene.killed_after(time);
            outside += usize::from(unfinished);
        } else {
            let all: Vec<usize> = (0..STEPS.len()).collect();
            let (step, passed) = STEPS[scene.random.pick(&all)];
            let passes = scene.random.below(passed);
            context = format!("seed {seed}, run {runs}: {step} after {passes}, again: {again}");
            unfinished = scene.killed_at(step, passes);
            assert!(
                unfinished || again || passed < 10,
                "{context}: it did not die"
            );
            inside += usize::from(unfinished);
        }
        scene.nothing_is_orphaned_or_replaced(&context);
        if !unfinished || scene.random.below(4) == 0 {
            scene.sync();
            scene.all_is_as_git_wants(&context);
            scene.nothing_is_orphaned_or_replaced(&context);
            unfinished = false;
        }
    }
    scene.sync();
    scene.all_is_as_git_wants("at last");
    assert_eq!(not_ours(scene.live()), strangers, "what is somebody else's");
    invariants::healthy(&scene.weir).unwrap();
    drop(scene.plane);
}
