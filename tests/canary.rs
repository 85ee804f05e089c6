//! The determinism canary: each render runs twice, on two engines; where both come to the same nobody notices, and
//! where they do not, the plugin is named and nothing of it is used.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::fs;

use weir_tests::scene::map;
use weir_tests::told::{stop, wait_app};
use weir_tests::weir::{PATIENCE, http_get, text};
use weir_tests::{Listing, Ran, Repo, Weir, places};

/// An app whose plugin shows what its clock says, and one that shows nothing of the kind.
const MANIFEST: &str = "version: 1\n\
    plugins:\n\
    \x20 clock: { source: 'file:plugins/clock.wasm' }\n\
    \x20 metadata: { source: 'bundled:metadata' }\n\
    apps:\n\
    - { name: bad, path: a, render: { plugin: clock } }\n\
    - { name: good, path: a, transform: [{ plugin: metadata, config: { labels: { team: shop } } }] }\n";

/// Has the clock of the second run be a day off: as if the host's own clock leaked into the sandbox.
const LEAK: (&str, &str) = ("FAILPOINTS", "canary-clock=return(86400)");

struct Scene {
    repo: Repo,
    weir: Weir,
}

impl Scene {
    fn new() -> Scene {
        let mut repo = Repo::empty().unwrap();
        let guest = places::guest_dir().unwrap().join("wants-clock.wasm");
        repo.write("plugins/clock.wasm", fs::read(guest).unwrap())
            .unwrap();
        repo.write("weir.yaml", MANIFEST).unwrap();
        repo.write("a/map.yaml", map("a", "one")).unwrap();
        repo.commit("first").unwrap();
        let weir = Weir::new().unwrap();
        let path = repo.path();
        let lock = ["lock", "--repo", text(&path).unwrap()];
        weir.run(lock).unwrap().success().unwrap();
        repo.commit("lock").unwrap();
        Scene { repo, weir }
    }

    fn run(&self, words: &[&str]) -> Ran {
        let repo = self.repo.path();
        let (command, more) = words.split_first().unwrap();
        let start = [command, "--repo", text(&repo).unwrap()];
        self.weir.run(start.iter().chain(more).copied()).unwrap()
    }

    fn kept(&self) -> usize {
        let files = fs::read_dir(self.weir.cache_dir().join("renders")).unwrap();
        let names = files.map(|file| file.unwrap().path());
        names
            .filter(|path| path.extension().is_some_and(|end| end == "render"))
            .count()
    }
}

#[test]
fn two_runs_on_two_engines_come_to_the_same_bytes_as_one_and_are_kept() {
    let scene = Scene::new();
    let twice = scene.run(&["render", "--canary", "100"]).success().unwrap();
    assert_eq!(scene.kept(), 2);
    fs::remove_dir_all(scene.weir.cache_dir().join("renders")).unwrap();
    assert_eq!(scene.run(&["render"]).success().unwrap(), twice);
    // Nothing of the second engine is left.
    let left = fs::read_dir(scene.weir.cache_dir().join("canary"))
        .unwrap()
        .count();
    assert_eq!(left, 0);
}

#[test]
fn a_plugin_that_differs_is_named_with_what_differs_and_nothing_of_it_is_kept() {
    let mut scene = Scene::new();
    scene.weir.variable(LEAK.0, LEAK.1);
    let said = scene
        .run(&["render", "--canary", "100"])
        .code(1)
        .unwrap()
        .stderr;
    let guest = fs::read(scene.repo.path().join("plugins/clock.wasm")).unwrap();
    let digest = weir_core::digest::Digest::of(&guest);
    let begin = format!(
        "app `bad`: plugin `clock` (sha256:{}) is not deterministic: of two runs with the same inputs, it gave ConfigMap default/saw with data.saw: \"wall ",
        digest.short()
    );
    assert!(
        said.contains(&begin) && said.contains(", and then \"wall "),
        "{said}"
    );
    assert!(
        said.contains("report it to the plugin's author") && !said.contains("good"),
        "{said}"
    );
    assert_eq!(scene.kept(), 1, "the good app's");
    // The other one is made again, and found out again.
    let again = scene
        .run(&["render", "bad", "--canary", "100"])
        .code(1)
        .unwrap()
        .stderr;
    assert!(again.contains("is not deterministic"), "{again}");
    // Where none runs twice, nobody sees it.
    scene.run(&["render", "--canary", "0"]).success().unwrap();
}

#[test]
fn a_run_that_fails_where_the_other_did_well_is_told_with_its_error() {
    let mut scene = Scene::new();
    scene.weir.variable("FAILPOINTS", "canary-fuel=return(10)");
    let said = scene
        .run(&["render", "good", "--canary", "100"])
        .code(1)
        .unwrap()
        .stderr;
    assert!(
        said.contains("app `good`: plugin `yaml` (sha256:")
            && said.contains("it did well, and then failed: app `good`: plugin `yaml`")
            && said.contains("ran out of fuel"),
        "{said}"
    );
    assert_eq!(scene.kept(), 0);
}

#[test]
fn a_sync_with_a_canary_fails_the_one_app_and_writes_the_other() {
    let mut scene = Scene::new();
    scene.weir.variable(LEAK.0, LEAK.1);
    let live = scene.weir.path("live");
    let target = format!("dir:{}", live.display());
    let words = ["sync", "--target", &target, "--canary", "100"];
    let said = scene.run(&words).code(1).unwrap().stderr;
    assert!(said.contains("is not deterministic"), "{said}");
    let written = format!("{:?}", Listing::read(&live).unwrap());
    assert!(
        !written.contains("saw") && written.contains("configmap"),
        "{written}"
    );
}

#[test]
fn a_host_counts_what_its_canary_saw() {
    let mut scene = Scene::new();
    scene.weir.variable(LEAK.0, LEAK.1);
    let file = scene.weir.path("host.yaml");
    let live = scene.weir.path("live");
    let host = format!(
        "version: 1\nlisten: 127.0.0.1:0\ncanary: 100\nrepositories: [{{ url: {}, interval: 1h, targets: {{ default: 'dir:{}' }} }}]\n",
        scene.repo.path().display(),
        live.display()
    );
    fs::write(&file, host).unwrap();
    let mut host = scene
        .weir
        .start(["serve", "--config", text(&file).unwrap()])
        .unwrap();
    let line = host.wait_for_text("says how apps stand", PATIENCE).unwrap();
    let address = line
        .split("http://")
        .nth(1)
        .unwrap()
        .split('/')
        .next()
        .unwrap()
        .to_owned();
    wait_app(&mut host, "bad", "is not deterministic", PATIENCE).unwrap();
    let (_, metrics) = http_get(&address, "/metrics").unwrap();
    for line in [
        "weir_canary_total{outcome=\"different\"} 1",
        "weir_canary_total{outcome=\"equal\"} 1",
    ] {
        assert!(metrics.lines().any(|l| l == line), "{metrics}");
    }
    stop(host, PATIENCE).unwrap();
}

#[test]
fn a_share_that_is_no_percentage_is_refused() {
    let scene = Scene::new();
    let said = scene
        .run(&["render", "--canary", "101"])
        .code(2)
        .unwrap()
        .stderr;
    assert!(
        said.contains("--canary") && said.contains("0..=100"),
        "{said}"
    );
    let file = scene.weir.path("host.yaml");
    fs::write(
        &file,
        "version: 1\ncanary: 200\nrepositories: [{ url: ., targets: { default: 'dir:x' } }]\n",
    )
    .unwrap();
    let refused = scene
        .weir
        .run(["serve", "--config", text(&file).unwrap()])
        .unwrap();
    let said = refused.code(2).unwrap().stderr;
    assert!(
        said.contains("host.yaml:2:9: expected a number of percent from 0 to 100"),
        "{said}"
    );
}

/// Has each first run's clock be a day off.
const OTHER_BYTES: (&str, &str) = ("FAILPOINTS", "render-clock=return(86400)");

impl Scene {
    fn sync(&self) -> Ran {
        let target = format!("dir:{}", self.weir.path("live").display());
        self.run(&["sync", "--target", &target])
    }

    fn live(&self) -> Listing {
        Listing::read(&self.weir.path("live")).unwrap()
    }
}

#[test]
fn another_build_of_weir_that_makes_other_bytes_of_the_same_is_held_until_a_person_says_yes() {
    let mut scene = Scene::new();
    scene.sync().code(0).unwrap();
    let before = scene.live();
    // Another build that makes the same renders all again, and nobody is asked.
    scene.weir.another_build().unwrap();
    scene.sync().code(0).unwrap();
    scene.weir.variable(OTHER_BYTES.0, OTHER_BYTES.1);
    fs::remove_dir_all(scene.weir.cache_dir().join("renders")).unwrap();
    scene.weir.another_build().unwrap();
    let said = scene.sync().code(4).unwrap().stderr;
    assert!(
        said.contains("app bad: nothing that it is made of changed, and this version of Weir makes other bytes of it"),
        "{said}"
    );
    assert_eq!(scene.live(), before);
    let shown = scene.weir.run(["approve", "bad", "--yes"]).unwrap();
    let shown = shown.success().unwrap();
    assert!(
        shown.contains("would get ") && shown.contains("though nothing that it is made of changed"),
        "{shown}"
    );
    scene.sync().code(0).unwrap();
    assert_ne!(scene.live(), before);
    scene.sync().code(0).unwrap();
}

#[test]
fn other_bytes_of_the_same_from_the_same_build_are_refused_and_the_plugin_named() {
    let mut scene = Scene::new();
    scene.sync().code(0).unwrap();
    let before = scene.live();
    scene.weir.variable(OTHER_BYTES.0, OTHER_BYTES.1);
    fs::remove_dir_all(scene.weir.cache_dir().join("renders")).unwrap();
    let said = scene.sync().code(1).unwrap().stderr;
    assert!(
        said.contains("one of its plugins is not deterministic: clock (sha256:"),
        "{said}"
    );
    assert_eq!(scene.live(), before);
}
