//! The blast-radius guard through the real binary: what would delete much is held, a person's yes is to just that, and nothing else passes on it.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::path::PathBuf;

use serde_json::Value;
use weir_tests::weir::PATIENCE;
use weir_tests::{Listing, Ran, Repo, Weir};

const OBJECTS: usize = 20;
const MANIFEST: &str = "version: 1\napps:\n  - { name: web, path: web }\n";

/// One app of twenty maps that was synced into a directory.
struct Scene {
    repo: Repo,
    weir: Weir,
    live: PathBuf,
}

fn map(name: &str, value: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: {name}, namespace: shop }}\ndata: {{ value: {value} }}\n"
    )
}

fn maps(numbers: impl IntoIterator<Item = usize>) -> String {
    let all = numbers.into_iter();
    all.map(|n| map(&format!("map-{n:02}"), "one")).collect()
}

impl Scene {
    fn new() -> Scene {
        let mut repo = Repo::empty().unwrap();
        repo.write("weir.yaml", MANIFEST).unwrap();
        repo.write("web/maps.yaml", maps(0..OBJECTS)).unwrap();
        repo.commit("Twenty").unwrap();
        let weir = Weir::new().unwrap();
        let live = weir.path("live");
        let scene = Scene { repo, weir, live };
        scene.sync().code(0).unwrap();
        assert_eq!(scene.files(), OBJECTS);
        scene
    }

    fn push(&mut self, path: &str, content: &str) {
        self.repo.write(path, content).unwrap();
        self.repo.commit("change").unwrap();
    }

    fn sync(&self) -> Ran {
        let target = format!("dir:{}", self.live.display());
        let repo = self.repo.path();
        self.weir
            .run([
                "sync",
                "--repo",
                repo.to_str().unwrap(),
                "--target",
                &target,
            ])
            .unwrap()
    }

    fn approve(&self, more: &[&str]) -> Ran {
        self.weir
            .run(["approve", "web"].iter().chain(more))
            .unwrap()
    }

    fn files(&self) -> usize {
        Listing::read(&self.live).unwrap().paths().len()
    }

    fn app(&self) -> Value {
        let apps = self.weir.run(["apps", "-o", "json"]).unwrap();
        let apps: Value = serde_json::from_str(&apps.success().unwrap()).unwrap();
        apps[0]["apps"][0].clone()
    }

    /// The hold that a held sync names.
    fn hold(&self) -> String {
        let text = self.sync().code(4).unwrap().stderr;
        let (_, after) = text.split_once("weir approve web --hold ").unwrap();
        let id = after.split_whitespace().next().unwrap();
        id.to_owned()
    }
}

#[test]
fn a_commit_that_deletes_much_is_held_and_nothing_of_it_is_applied() {
    let mut scene = Scene::new();
    let kept = maps(0..5);
    scene.push("web/maps.yaml", &format!("{kept}{}", map("new", "one")));
    let before = Listing::read(&scene.live).unwrap();
    let ran = scene.sync().code(4).unwrap();
    assert!(
        ran.stderr.contains(
            "held: app web: this would delete 15 of its 20 objects: ConfigMap shop/map-05,"
        ),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("weir approve web --hold "));
    assert_eq!(Listing::read(&scene.live).unwrap(), before);
    let app = scene.app();
    assert_eq!(
        (&app["state"], &app["objects"]),
        (&"held".into(), &20.into())
    );
    // Asked again, it is said no second time, and is held all the same.
    scene.sync().code(4).unwrap();
    // Put back, it goes on by itself.
    scene.push("web/maps.yaml", &maps(0..OBJECTS));
    scene.sync().code(0).unwrap();
    assert_eq!(scene.app()["state"], "synced");
}

#[test]
fn an_approval_lets_just_these_deletes_happen_and_says_whose_it_is() {
    let mut scene = Scene::new();
    scene.push("web/maps.yaml", &maps(0..5));
    let hold = scene.hold();
    let unsure = scene.approve(&[]).code(2).unwrap();
    assert!(
        unsure.stdout.contains("- ConfigMap shop/map-19"),
        "{}",
        unsure.stdout
    );
    assert!(
        unsure.stderr.contains(&format!("give --hold {hold}")),
        "{}",
        unsure.stderr
    );
    for wrong in ["00000000", &hold[..4], ""] {
        scene.approve(&["--hold", wrong]).code(2).unwrap();
    }
    scene.sync().code(4).unwrap();
    let why = ["--hold", &hold, "--why", "the old shop closes"];
    let said = scene.approve(&why).code(0).unwrap().stdout;
    assert!(said.contains("the next sync does it"), "{said}");
    scene.sync().code(0).unwrap();
    assert_eq!(scene.files(), 5);
    let history = scene
        .weir
        .run(["history", "web"])
        .unwrap()
        .success()
        .unwrap();
    let line = history.lines().find(|l| l.contains("decided")).unwrap();
    assert!(
        line.contains("15 deletes may happen (by ") && line.ends_with("the old shop closes"),
        "{line}"
    );
    let idle = scene.approve(&["--yes"]).code(1).unwrap().stderr;
    assert!(idle.contains("app web is not held"), "{idle}");
}

#[test]
fn an_unrelated_commit_neither_voids_an_approval_nor_escapes_a_hold() {
    let mut scene = Scene::new();
    scene.push("web/maps.yaml", &maps(0..5));
    let hold = scene.hold();
    scene.push("README.md", "unrelated");
    assert_eq!(scene.hold(), hold);
    scene.approve(&["--hold", &hold]).code(0).unwrap();
    // One more delete, and one other output: two other questions.
    scene.push("web/maps.yaml", &maps(0..4));
    let more = scene.hold();
    assert_ne!(more, hold);
    scene.approve(&["--hold", &hold]).code(2).unwrap();
    // What was approved comes again, by another commit.
    scene.push("web/maps.yaml", &maps(0..5));
    scene.sync().code(0).unwrap();
    assert_eq!(scene.files(), 5);
}

#[test]
fn an_approval_is_used_up_by_the_sync_that_it_was_for() {
    let mut scene = Scene::new();
    scene.push("web/maps.yaml", &maps(0..5));
    let hold = scene.hold();
    scene.approve(&["--hold", &hold]).code(0).unwrap();
    scene.sync().code(0).unwrap();
    scene.push("web/maps.yaml", &maps(0..OBJECTS));
    scene.sync().code(0).unwrap();
    scene.push("web/maps.yaml", &maps(0..5));
    assert_eq!(scene.hold(), hold, "the same question, asked anew");
    assert_eq!(scene.files(), OBJECTS);
}

#[test]
fn a_running_host_does_at_once_what_is_approved() {
    let mut scene = Scene::new();
    let (repo, target) = (scene.repo.path(), format!("dir:{}", scene.live.display()));
    let mut host = scene
        .weir
        .start([
            "serve",
            "--repo",
            repo.to_str().unwrap(),
            "--target",
            &target,
            "--interval",
            "1h",
            "--listen",
            "127.0.0.1:0",
        ])
        .unwrap();
    host.wait_for_text("says how apps stand", PATIENCE).unwrap();
    scene.push("web/maps.yaml", &maps(0..5));
    scene.weir.run(["refresh"]).unwrap().code(0).unwrap();
    let line = host
        .wait_for_text("weir approve web --hold ", PATIENCE)
        .unwrap();
    let (_, id) = line.split_once("--hold ").unwrap();
    let id = id.split_whitespace().next().unwrap();
    let other = scene.approve(&["--hold", "0123456789"]).code(2).unwrap();
    assert!(other.stderr.contains(id), "{}", other.stderr);
    let said = scene.approve(&["--hold", id]).code(0).unwrap().stdout;
    assert!(said.contains("the host does it now"), "{said}");
    host.wait_for_text("15 pruned", PATIENCE).unwrap();
    assert_eq!(scene.files(), 5);
    assert_eq!(host.terminate(PATIENCE).unwrap(), Some(0));
}

#[test]
fn a_namespace_is_held_alone_and_an_app_that_leaves_goes_once_it_is_approved() {
    let mut scene = Scene::new();
    let namespace = "---\napiVersion: v1\nkind: Namespace\nmetadata: { name: shop }\n";
    scene.push("web/namespace.yaml", namespace);
    scene.sync().code(0).unwrap();
    scene.repo.remove("web/namespace.yaml").unwrap();
    scene.repo.commit("no namespace").unwrap();
    let held = scene.sync().code(4).unwrap().stderr;
    assert!(
        held.contains("would delete what takes more with it than itself: Namespace shop"),
        "{held}"
    );
    scene.push("weir.yaml", "version: 1\napps: []\n");
    let hold = scene.hold();
    let shown = scene.approve(&["--hold", &hold]).code(0).unwrap().stdout;
    assert!(
        shown.contains("left the manifest and still has 21 objects")
            && shown.contains("! Namespace shop"),
        "{shown}"
    );
    scene.sync().code(0).unwrap();
    assert_eq!(scene.files(), 0);
    assert_eq!(scene.app(), Value::Null);
}

#[test]
fn what_says_that_it_must_not_be_pruned_stays_and_stays_known() {
    let mut scene = Scene::new();
    let protected = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: { name: safe, namespace: shop, annotations: { weir.dev/prune: \"false\" } }\n";
    scene.push("web/safe.yaml", protected);
    scene.sync().code(0).unwrap();
    scene.repo.remove("web/safe.yaml").unwrap();
    scene.repo.commit("without it").unwrap();
    scene.sync().code(0).unwrap();
    assert_eq!(scene.files(), OBJECTS + 1);
    let app = scene.app();
    assert_eq!((&app["objects"], &app["kept"]), (&21.into(), &1.into()));
    let quiet = scene.sync().code(0).unwrap().stderr;
    assert!(
        quiet.contains("nothing to change") || !quiet.contains("synced to"),
        "{quiet}"
    );
    // The app goes, too: what is kept keeps it.
    scene.push(
        "weir.yaml",
        &MANIFEST.replace("path: web }", "path: web, remove: prune }"),
    );
    scene.sync().code(0).unwrap();
    scene.push("weir.yaml", "version: 1\napps: []\n");
    let held = scene.sync().code(4).unwrap().stderr;
    assert!(
        held.contains("these stay") && held.contains("ConfigMap shop/safe"),
        "{held}"
    );
    assert_eq!(scene.files(), 1);
    let file = Listing::read(&scene.live).unwrap();
    let file = scene.live.join(file.paths()[0]);
    std::fs::remove_file(file).unwrap();
    scene.sync().code(0).unwrap();
    assert_eq!(scene.app(), Value::Null);
}

#[test]
fn what_nobody_can_approve_is_said_with_the_way_out() {
    let scene = Scene::new();
    let unknown = scene
        .weir
        .run(["approve", "webb"])
        .unwrap()
        .code(2)
        .unwrap();
    assert!(
        unknown.stderr.contains("knows no app webb; it has: web"),
        "{}",
        unknown.stderr
    );
    let elsewhere = ["approve", "web", "--repository", "other"];
    let elsewhere = scene.weir.run(elsewhere).unwrap().code(2).unwrap();
    assert!(
        elsewhere
            .stderr
            .contains("repository other is not in the ledger"),
        "{}",
        elsewhere.stderr
    );
}

#[test]
fn what_moves_to_an_app_that_cannot_be_rendered_is_not_deleted_on_the_way() {
    let mut scene = Scene::new();
    // One commit: an object moves to a new app, and that one has a mistake in it.
    let two = "version: 1\napps:\n  - { name: web, path: web }\n  - { name: db, path: db }\n";
    scene.repo.write("weir.yaml", two).unwrap();
    scene.repo.write("web/maps.yaml", maps(1..OBJECTS)).unwrap();
    scene.repo.write("db/map.yaml", maps(0..1)).unwrap();
    scene.push("db/other.yaml", "kind: [");
    let failed = scene.sync().code(1).unwrap().stderr;
    assert!(
        failed.contains("app db, which cannot be rendered at this commit, may want it"),
        "{failed}"
    );
    assert_eq!(scene.files(), OBJECTS);
    // Mended, it is taken over as it is.
    scene.repo.remove("db/other.yaml").unwrap();
    scene.repo.commit("mended").unwrap();
    let synced = scene.sync().code(0).unwrap().stderr;
    assert!(!synced.contains("- ConfigMap"), "{synced}");
    assert_eq!(scene.files(), OBJECTS);
}

#[test]
fn a_yes_to_an_app_that_leaves_stands_for_what_is_kept_and_for_nothing_later() {
    let mut scene = Scene::new();
    let protected = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: { name: safe, namespace: shop, annotations: { weir.dev/prune: \"false\" } }\n";
    scene.push("web/safe.yaml", protected);
    scene.sync().code(0).unwrap();
    scene.push("weir.yaml", "version: 1\napps: []\n");
    let hold = scene.hold();
    scene.approve(&["--hold", &hold]).code(0).unwrap();
    for _ in 0..2 {
        let held = scene.sync().code(4).unwrap().stderr;
        assert!(
            held.contains("these stay") && !held.contains("weir approve"),
            "{held}"
        );
        assert_eq!(scene.files(), 1);
    }
    // It comes back with more, and leaves again: that is another question.
    scene.push("weir.yaml", MANIFEST);
    scene.sync().code(0).unwrap();
    scene.push("weir.yaml", "version: 1\napps: []\n");
    scene.hold();
    assert_eq!(scene.files(), OBJECTS + 1);
}
