//! Rollback through the real binary: the kept bytes of a record are applied at once, what was bad stays refused, and Git is followed again when it says something else.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use weir_tests::scene::map;
use weir_tests::weir::Serving;
use weir_tests::{GitServer, Ran, Repo, Weir};

const SOON: Duration = Duration::from_secs(60);
const MANIFEST: &str = "version: 1\napps:\n\
    - { name: web, path: web, target: { namespace: shop } }\n\
    - { name: db, path: db, target: { namespace: shop } }\n";

/// Two apps behind a Git server, in a directory.
struct Scene {
    repo: Repo,
    server: GitServer,
    weir: Weir,
}

impl Scene {
    /// Synced three times: `web` is `one`, `two`, then `bad`.
    fn new() -> Scene {
        let mut repo = Repo::empty().unwrap();
        repo.write("weir.yaml", MANIFEST).unwrap();
        repo.write("db/map.yaml", map("db", "one")).unwrap();
        repo.write("web/map.yaml", map("web", "one")).unwrap();
        repo.commit("one").unwrap();
        let server = GitServer::of(&repo).unwrap();
        let weir = Weir::new().unwrap();
        let mut scene = Scene { repo, server, weir };
        scene.sync().code(0).unwrap();
        for value in ["two", "bad"] {
            scene.push("web/map.yaml", &map("web", value));
            scene.sync().code(0).unwrap();
        }
        assert_eq!(scene.web(), "bad");
        scene
    }

    fn push(&mut self, path: &str, content: &str) {
        self.repo.write(path, content).unwrap();
        self.repo.commit(path).unwrap();
    }

    fn words(&self, command: &str) -> Vec<String> {
        let target = format!("dir:{}", self.weir.path("live").display());
        let url = self.server.url("work");
        let words = [command, "--repo", &url, "--target", &target];
        words.map(str::to_owned).to_vec()
    }

    fn sync(&self) -> Ran {
        self.weir.run(self.words("sync")).unwrap()
    }

    fn serve(&self) -> Serving {
        let mut words = self.words("serve");
        words.extend(["--interval", "1h", "--listen", "127.0.0.1:0"].map(str::to_owned));
        self.weir.start(words).unwrap()
    }

    fn rollback(&self, app: &str, to: &str) -> Ran {
        let words = ["rollback", app, "--to", to, "--yes", "--why", "it is bad"];
        self.weir.run(words).unwrap()
    }

    fn resume(&self) -> Ran {
        self.weir.run(["resume", "web", "--yes"]).unwrap()
    }

    fn value(&self, name: &str) -> String {
        let file = self.weir.path(&format!("live/shop/configmap/{name}.yaml"));
        let text = fs::read_to_string(file).unwrap();
        let mut lines = text.lines();
        let value = lines.find_map(|line| line.strip_prefix("  value: "));
        value.unwrap().to_owned()
    }

    fn web(&self) -> String {
        self.value("web")
    }

    fn app(&self) -> Value {
        let apps = self.weir.run(["apps", "-o", "json"]).unwrap();
        let apps: Value = serde_json::from_str(&apps.success().unwrap()).unwrap();
        let apps = apps[0]["apps"].as_array().unwrap().clone();
        apps.into_iter().find(|app| app["name"] == "web").unwrap()
    }

    /// The records of `web`, newest first.
    fn records(&self) -> Vec<Value> {
        let text = self.weir.run(["history", "web", "-o", "json"]).unwrap();
        let all: Value = serde_json::from_str(&text.success().unwrap()).unwrap();
        all[0]["records"].as_array().unwrap().clone()
    }

    /// The whole syncs among them.
    fn syncs(&self) -> Vec<Value> {
        let all = self.records().into_iter();
        all.filter(|r| r["event"]["type"] == "synced").collect()
    }

    /// The file with the kept bytes of the sync before the last one.
    fn previous(&self) -> PathBuf {
        let syncs = self.syncs();
        let digest = syncs[1]["event"]["bytes"].as_str().unwrap();
        let hex = digest.strip_prefix("sha256:").unwrap();
        let blobs = self.weir.state_dir().join("ledger/blob");
        blobs.join(&hex[..2]).join(hex)
    }
}

#[test]
fn an_app_goes_back_to_a_record_and_no_unrelated_commit_brings_the_bad_output_back() {
    let mut scene = Scene::new();
    let first = scene.syncs().pop().unwrap();
    let seq = first["seq"].to_string();
    let said = scene.rollback("web", &seq).success().unwrap();
    assert!(
        said.contains(&format!("goes back to record {seq}")),
        "{said}"
    );
    // Where no host runs the next sync does it, and says that a person has to go on.
    scene.sync().code(4).unwrap();
    assert_eq!(scene.web(), "one");
    let app = scene.app();
    assert_eq!(app["state"], "pinned");
    assert_eq!(app["output"], first["event"]["output"]);
    // The same commit, and an unrelated one: the bad output is not applied, and the other app goes on.
    scene.sync().code(4).unwrap();
    scene.push("db/map.yaml", &map("db", "two"));
    scene.sync().code(4).unwrap();
    assert_eq!(
        (scene.web().as_str(), scene.value("db").as_str()),
        ("one", "two")
    );
    // What was synced before the bad one was never refused: it is another output.
    scene.push("web/map.yaml", &map("web", "mended"));
    scene.sync().code(0).unwrap();
    assert_eq!(scene.web(), "mended");
    assert_eq!(scene.app()["state"], "synced");
    let history = scene
        .weir
        .run(["history", "web"])
        .unwrap()
        .success()
        .unwrap();
    for part in [
        "goes back to record",
        ": it is bad",
        "follows Git again (by weir): it renders to something else than what was refused",
    ] {
        assert!(history.contains(part), "{part}: {history}");
    }
}

#[test]
fn a_revert_in_git_to_what_it_was_rolled_back_to_ends_the_pin() {
    let mut scene = Scene::new();
    scene.rollback("web", "previous").success().unwrap();
    scene.sync().code(4).unwrap();
    assert_eq!(scene.web(), "two");
    scene.push("web/map.yaml", &map("web", "two"));
    scene.sync().code(0).unwrap();
    assert_eq!(
        (scene.web().as_str(), &scene.app()["state"]),
        ("two", &"synced".into())
    );
    // From then on the bad one is a change like any other.
    scene.push("web/map.yaml", &map("web", "bad"));
    scene.sync().code(0).unwrap();
    assert_eq!(scene.web(), "bad");
}

#[test]
fn whoever_resumes_gets_what_git_has() {
    let scene = Scene::new();
    let said = scene.resume().code(1).unwrap().stderr;
    assert!(
        said.contains("app web is not pinned: it follows Git already"),
        "{said}"
    );
    scene.rollback("web", "previous").success().unwrap();
    scene.sync().code(4).unwrap();
    assert_eq!(scene.web(), "two");
    let said = scene.resume().success().unwrap();
    assert!(
        said.contains("what Git has may be what was refused"),
        "{said}"
    );
    scene.sync().code(0).unwrap();
    assert_eq!(
        (scene.web().as_str(), &scene.app()["state"]),
        ("bad", &"synced".into())
    );
}

#[test]
fn a_running_host_goes_back_and_forth_at_once_without_a_fetch() {
    let mut scene = Scene::new();
    scene.push("db/map.yaml", &map("db", "two"));
    let mut host = scene.serve();
    host.wait_for_text("synced to", SOON).unwrap();
    let before = scene.server.requests().len();
    let said = scene.rollback("web", "previous").success().unwrap();
    assert!(said.contains("the host does it now"), "{said}");
    host.wait_for_text("pinned: it was rolled back", SOON)
        .unwrap();
    assert_eq!(scene.web(), "two");
    scene.resume().success().unwrap();
    host.wait_for_text("synced to", SOON).unwrap();
    assert_eq!(scene.web(), "bad");
    let after = scene.server.requests().len();
    assert_eq!(after, before, "Git was not asked");
    host.terminate(SOON).unwrap();
}

#[test]
fn a_rollback_needs_no_git_no_plugin_and_no_cache() {
    let mut scene = Scene::new();
    scene.server.down().unwrap();
    fs::remove_dir_all(scene.weir.cache_dir()).unwrap();
    scene.rollback("web", "previous").success().unwrap();
    let empty = scene.weir.path("no-plugins");
    fs::create_dir(&empty).unwrap();
    scene.weir.variable("WEIR_PLUGIN_DIR", &empty);
    let said = scene.sync().code(1).unwrap().stderr;
    assert_eq!(scene.web(), "two", "{said}");
    assert_eq!(scene.value("db"), "one", "no other app is touched");
    assert!(said.contains("pinned: it was rolled back"), "{said}");
    assert_eq!(scene.app()["state"], "pinned");
    // Git is back: nothing changes by that.
    let plugins = weir_tests::places::plugin_dir().unwrap();
    scene.weir.variable("WEIR_PLUGIN_DIR", plugins);
    scene.server.up().unwrap();
    scene.sync().code(4).unwrap();
    assert_eq!(scene.web(), "two");
}

#[test]
fn a_rollback_needs_no_commit_that_can_be_read() {
    let mut scene = Scene::new();
    scene.push("weir.yaml", "version: 1\napps: broken\n");
    scene.rollback("web", "previous").success().unwrap();
    let said = scene.sync();
    assert_ne!(said.code, Some(0), "{}", said.stderr);
    assert_eq!(scene.web(), "two", "{}", said.stderr);
    assert_eq!(scene.app()["state"], "pinned");
    // With a manifest again nothing changes by that.
    scene.push("weir.yaml", MANIFEST);
    scene.sync().code(4).unwrap();
    assert_eq!(scene.web(), "two");
}

#[test]
fn an_app_that_leaves_the_manifest_is_pinned_no_more() {
    let mut scene = Scene::new();
    scene.rollback("web", "previous").success().unwrap();
    scene.sync().code(4).unwrap();
    let lines = MANIFEST.lines().filter(|line| !line.contains("name: web"));
    scene.push("weir.yaml", &lines.collect::<Vec<_>>().join("\n"));
    let said = scene.sync().code(4).unwrap().stderr;
    assert!(
        said.contains("it left the manifest and still has 1 objects"),
        "{said}"
    );
    assert_eq!(scene.web(), "two", "nothing of it goes without a person");
    // Git is away: what left is not brought anywhere.
    scene.server.down().unwrap();
    scene.sync().code(1).unwrap();
    assert_eq!(scene.app()["state"], "held");
}

#[test]
fn what_was_half_applied_can_be_left_behind() {
    let mut scene = Scene::new();
    scene.push("web/map.yaml", &map("web", "worse"));
    scene.weir.variable("FAILPOINTS", "after-write=return");
    let killed = scene.sync();
    assert_eq!(killed.code, None, "{}", killed.stderr);
    scene.weir.without_variable("FAILPOINTS");
    assert_eq!(scene.web(), "worse");
    // The last whole sync is what it goes back to; what was tried since is refused.
    let last = scene.syncs();
    let last = last
        .iter()
        .find(|r| r["event"]["problem"].is_null())
        .unwrap();
    scene
        .rollback("web", &last["seq"].to_string())
        .success()
        .unwrap();
    scene.sync().code(4).unwrap();
    assert_eq!(
        (scene.web().as_str(), &scene.app()["state"]),
        ("bad", &"pinned".into())
    );
}

#[test]
fn killed_at_any_step_a_rollback_is_finished_by_the_next_run_and_a_resume_too() {
    let mut scene = Scene::new();
    for step in [
        "prepared",
        "before-stake",
        "after-stake",
        "after-write",
        "applied",
        "after-record",
    ] {
        for (words, value, code) in [
            (["rollback", "web", "--to", "previous"].as_slice(), "two", 4),
            (&["resume", "web"], "bad", 0),
        ] {
            let words = words.iter().chain(&["--yes"]);
            scene.weir.run(words).unwrap().code(0).unwrap();
            scene.weir.variable("FAILPOINTS", format!("{step}=return"));
            let killed = scene.sync();
            assert_eq!(killed.code, None, "{step}: {}", killed.stderr);
            scene.weir.without_variable("FAILPOINTS");
            scene.sync().code(code).unwrap();
            assert_eq!(scene.web(), value, "{step}");
            scene
                .weir
                .run(["audit", "verify"])
                .unwrap()
                .code(0)
                .unwrap();
        }
    }
}

#[test]
fn a_record_that_is_none_of_the_apps_or_has_nothing_to_go_back_from_is_refused_with_those_that_there_are()
 {
    let scene = Scene::new();
    let now = scene.syncs()[0]["seq"].to_string();
    for (to, code, text) in [
        (
            "999",
            2,
            "record 999 is no whole sync of app web. It can go back to: ",
        ),
        (
            "yesterday",
            2,
            "expected the number of a record, such as 12, or previous, or last-healthy",
        ),
        (
            "last-healthy",
            2,
            "was ever known to be healthy: name a record with --to N, or --to previous",
        ),
        (&now, 1, "there is nothing to go back from"),
    ] {
        let ran = scene.rollback("web", to).code(code).unwrap();
        assert!(ran.stderr.contains(text), "{to}: {}", ran.stderr);
    }
    let ran = scene.rollback("nobody", "previous").code(2).unwrap();
    assert!(
        ran.stderr.contains("knows no app nobody; it has: db, web"),
        "{}",
        ran.stderr
    );
    scene.sync().code(0).unwrap();
    assert_eq!(scene.web(), "bad", "nothing of it was kept");
}

#[test]
fn kept_bytes_that_were_changed_are_never_applied() {
    let scene = Scene::new();
    let file = scene.previous();
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("two", "foo")).unwrap();
    let ran = scene.rollback("web", "previous").code(1).unwrap();
    assert!(
        ran.stderr.contains("its bytes have the digest"),
        "{}",
        ran.stderr
    );
    // Damaged only after it was decided: the app fails and stays as it is.
    fs::write(&file, &text).unwrap();
    scene.rollback("web", "previous").success().unwrap();
    fs::remove_file(&file).unwrap();
    let ran = scene.sync().code(1).unwrap();
    assert!(
        ran.stderr.contains("the ledger has no blob"),
        "{}",
        ran.stderr
    );
    assert_eq!(scene.web(), "bad");
    scene.resume().success().unwrap();
    scene.sync().code(0).unwrap();
}

#[test]
fn a_record_says_which_fields_it_changed_and_its_bytes_are_what_render_prints() {
    let scene = Scene::new();
    let newest = scene.syncs()[0]["event"].clone();
    assert_eq!(
        newest["changed"][0]["fields"],
        serde_json::json!(["data.value"])
    );
    let rendered = scene
        .weir
        .run([
            "render",
            "web",
            "--repo",
            &scene.server.url("work"),
            "--ref",
            "main",
        ])
        .unwrap()
        .success()
        .unwrap();
    let digest = weir_core::digest::Digest::of(rendered.as_bytes());
    assert_eq!(newest["output"], digest.to_string());
}

#[test]
fn while_an_app_is_pinned_what_is_edited_by_hand_is_put_back_to_where_it_was_rolled_back() {
    let scene = Scene::new();
    scene.rollback("web", "previous").success().unwrap();
    scene.sync().code(4).unwrap();
    let file = scene.weir.path("live/shop/configmap/web.yaml");
    fs::write(&file, map("web", "hand")).unwrap();
    scene.sync().code(4).unwrap();
    assert_eq!(scene.web(), "two");
    assert_eq!(scene.app()["state"], "pinned");
}

#[test]
fn kept_bytes_that_could_not_be_read_for_a_while_are_applied_by_the_same_host_when_they_can() {
    let scene = Scene::new();
    let file = scene.previous();
    let aside = scene.weir.path("aside");
    scene.rollback("web", "previous").success().unwrap();
    fs::rename(&file, &aside).unwrap();
    let mut host = scene.serve();
    host.wait_for_text("the ledger has no blob", SOON).unwrap();
    assert_eq!(scene.web(), "bad");
    // No commit, no decision and no restart: only the next try.
    fs::rename(&aside, &file).unwrap();
    host.wait_for_text("pinned: it was rolled back", SOON)
        .unwrap();
    assert_eq!(scene.web(), "two");
    host.terminate(SOON).unwrap();
}
