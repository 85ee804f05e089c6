//! Plugins from an OCI registry through the real binary: locked, fetched by digest, kept, and taken by a running host. The
//! registry is a real one.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::fs;

use weir_tests::charts::sha256;
use weir_tests::registry::Registry;
use weir_tests::scene::SOON;
use weir_tests::told::{stop, wait_app};

/// A repository and machines.
#[path = "plugin_oci/scene.rs"]
mod scene;

use scene::{Scene, says, versions};

const LABEL: &str = "team: red";

fn source(registry: &Registry, rest: &str) -> String {
    format!("oci://{}/team/labels{rest}", registry.host())
}

#[test]
fn a_plugin_is_locked_by_its_manifest_and_rendered_on_with_the_registry_gone() {
    let registry = Registry::start().unwrap();
    let [_, labels] = versions();
    let manifest = registry.push_plugin("team/labels", "1", &labels).unwrap();
    let source = source(&registry, ":1");
    let mut scene = Scene::new(&source);
    says(
        &scene.fails("render", &["--worktree", "web"], 1),
        &["team", &source, "needs a weir.lock", "run `weir lock`"],
    );
    let lock = scene.lock();
    says(
        &lock,
        &[
            &source,
            &format!("sha256:{}", sha256(&labels)),
            &format!("manifest: sha256:{manifest}"),
            &format!("size: {}", labels.len()),
        ],
    );
    says(&scene.web(), &[LABEL]);
    // Another machine has the same by the lock alone.
    scene.another_machine();
    says(&scene.web(), &[LABEL]);
    drop(registry);
    scene.forget_cache();
    says(&scene.web(), &[LABEL]);
    scene.run("lock", &[]).success().unwrap();
    assert_eq!(
        scene.locked(),
        lock,
        "a pin that is there is asked of nobody"
    );
    // A machine that never saw it says what is missing, to the app that calls it.
    scene.another_machine();
    let said = scene.fails("render", &["--worktree", "web"], 1);
    says(
        &said,
        &["app `web`", "plugin `team`", &source, "cannot be reached"],
    );
    let plain = scene.run("render", &["--worktree", "plain"]);
    says(&plain.success().unwrap(), &["name: plain"]);
    assert!(!scene.keeps(&labels));
}

#[test]
fn a_tag_that_moved_changes_nothing_until_update_and_is_told_by_check() {
    let registry = Registry::start().unwrap();
    let [first, second] = versions();
    let old = registry.push_plugin("team/labels", "1", &first).unwrap();
    let source = source(&registry, ":1");
    let mut scene = Scene::new(&source);
    let lock = scene.lock();
    scene.run("lock", &["--check"]).success().unwrap();
    let new = registry.push_plugin("team/labels", "1", &second).unwrap();
    let told = scene.run("lock", &["--check"]).code(3).unwrap().stdout;
    says(
        &told,
        &["plugin team", "the tag 1", &old, &new, "weir lock --update"],
    );
    assert_eq!(scene.lock(), lock);
    // What is pinned is fetched by its digest, wherever the tag is by now.
    scene.another_machine();
    assert!(!scene.web().contains(LABEL));
    scene.run("lock", &["--update"]).success().unwrap();
    says(&scene.locked(), &[&new]);
    says(&scene.web(), &[LABEL]);
    scene.run("lock", &["--check"]).success().unwrap();
}

#[test]
fn a_digest_in_a_reference_counts_and_a_tag_beside_it_does_not() {
    let registry = Registry::start().unwrap();
    let [first, second] = versions();
    let old = registry.push_plugin("team/labels", "1", &first).unwrap();
    registry.push_plugin("team/labels", "1", &second).unwrap();
    for rest in [format!("@sha256:{old}"), format!(":1@sha256:{old}")] {
        let scene = Scene::new(&source(&registry, &rest));
        says(&scene.lock(), &[&format!("manifest: sha256:{old}")]);
        assert!(!scene.web().contains(LABEL));
        scene.run("lock", &["--check"]).success().unwrap();
        scene.run("lock", &["--update"]).success().unwrap();
        says(&scene.locked(), &[&old]);
    }
}

#[test]
fn a_running_host_takes_a_plugin_and_its_next_version_without_a_restart() {
    let registry = Registry::start().unwrap();
    let [first, second] = versions();
    registry.push_plugin("team/labels", "1", &first).unwrap();
    registry.push_plugin("team/labels", "2", &second).unwrap();
    let mut scene = Scene::new("bundled:metadata");
    let manifest = fs::read_to_string(scene.repo.path().join("weir.yaml")).unwrap();
    let plain = manifest.replace(", transform: [{ plugin: team, config: { team: red } }]", "");
    scene.repo.write("weir.yaml", plain).unwrap();
    scene.lock();
    scene.repo.commit("without the plugin").unwrap();
    // Locked on another machine than the host's.
    let host = scene.host(&registry.host(), "");
    let mut serving = scene.weir.start(["serve", "--config", &host]).unwrap();
    wait_app(&mut serving, "web", "synced to", SOON).unwrap();
    let author = Scene {
        weir: weir_tests::Weir::new().unwrap(),
        repo: scene.repo,
    };
    for (tag, component, has_label) in [("1", &first, false), ("2", &second, true)] {
        author.takes(&source(&registry, &format!(":{tag}")));
        // The objects differ each time, so that a sync is seen.
        author
            .repo
            .write("web/map.yaml", weir_tests::scene::map("web", tag))
            .unwrap();
        author.lock();
        author.repo.git(["add", "--all"]).unwrap();
        author
            .repo
            .git(["commit", "--quiet", "--message", tag])
            .unwrap();
        scene.weir.run(["refresh"]).unwrap().success().unwrap();
        wait_app(&mut serving, "web", "synced to", SOON).unwrap();
        let file = scene.weir.path("live/shop/configmap/web.yaml");
        let landed = fs::read_to_string(file).unwrap();
        assert_eq!(landed.contains(LABEL), has_label, "{tag}: {landed}");
        let kept = scene.weir.state_dir().join("plugins/registries");
        assert!(kept.join(format!("{}.wasm", sha256(component))).exists());
    }
    // What it has, it goes on with, also after a restart.
    drop(registry);
    stop(serving, SOON).unwrap();
    fs::remove_dir_all(scene.weir.cache_dir()).unwrap();
    author
        .repo
        .write("web/map.yaml", weir_tests::scene::map("web", "3"))
        .unwrap();
    author
        .repo
        .git(["commit", "--quiet", "--all", "--message", "3"])
        .unwrap();
    let mut serving = scene.weir.start(["serve", "--config", &host]).unwrap();
    wait_app(&mut serving, "web", "synced to", SOON).unwrap();
    let landed = fs::read_to_string(scene.weir.path("live/shop/configmap/web.yaml")).unwrap();
    says(&landed, &[LABEL, "value: 3"]);
    stop(serving, SOON).unwrap();
}

#[test]
fn what_was_changed_on_this_host_is_fetched_anew_and_never_run() {
    let registry = Registry::start().unwrap();
    let [first, second] = versions();
    registry.push_plugin("team/labels", "1", &first).unwrap();
    let source = source(&registry, ":1");
    let scene = Scene::new(&source);
    scene.lock();
    let kept = scene.kept().join(format!("{}.wasm", sha256(&first)));
    fs::write(&kept, &second).unwrap();
    scene.forget_cache();
    let ran = scene.run("render", &["--worktree", "web"]).code(0).unwrap();
    assert!(!ran.stdout.contains(LABEL), "{}", ran.stdout);
    says(&ran.stderr, &["is not the component that its name says"]);
    assert_eq!(fs::read(&kept).unwrap(), first);
    drop(registry);
    fs::write(&kept, &second).unwrap();
    scene.forget_cache();
    let said = scene.fails("render", &["--worktree", "web"], 1);
    says(&said, &["app `web`", &source, "cannot be reached"]);
}

#[test]
fn sync_diff_and_impact_take_what_is_locked() {
    let registry = Registry::start().unwrap();
    let [first, second] = versions();
    registry.push_plugin("team/labels", "1", &first).unwrap();
    registry.push_plugin("team/labels", "2", &second).unwrap();
    let mut scene = Scene::new(&source(&registry, ":1"));
    scene.lock();
    scene.repo.commit("one").unwrap();
    scene.takes(&source(&registry, ":2"));
    scene.lock();
    scene.repo.commit("two").unwrap();
    scene.another_machine();
    let told = scene
        .run("impact", &["--from", "HEAD~1"])
        .success()
        .unwrap();
    says(&told, &["web", "team"]);
    let target = format!("dir:{}", scene.live().display());
    let words = ["--ref", "main", "--target", &target];
    scene.run("sync", &words).success().unwrap();
    says(&scene.landed("web"), &[LABEL]);
    assert!(!scene.landed("plain").contains(LABEL));
    let same = [
        "--live",
        "--exit-code",
        "--ref",
        "main",
        "--target",
        &target,
    ];
    scene.run("diff", &same).success().unwrap();
}

#[test]
fn a_registry_that_wants_a_token_gets_one_for_pulling() {
    let tokens = weir_tests::charts::FileServer::start().unwrap();
    tokens.file("/token", r#"{"token":"abc.def"}"#);
    tokens.require(weir_tests::Auth::Basic {
        user: "ann".to_owned(),
        password: "hunter2".to_owned(),
    });
    let realm = format!("http://{}/token", tokens.host());
    let registry = Registry::with_tokens(&realm).unwrap();
    let [_, labels] = versions();
    registry.push_plugin("team/labels", "1", &labels).unwrap();
    let scene = Scene::new(&source(&registry, ":1"));
    let said = scene.fails("lock", &[], 1);
    says(
        &said,
        &["plugin `team`", "refused access (401)", &tokens.host()],
    );
    scene.file("password", "hunter2");
    let access = format!(
        "version: 1\naccess: [{{ host: '{}', auth: {{ username: ann, password-file: password }} }}]\n",
        tokens.host()
    );
    let file = scene.file("externals.yaml", &access);
    let ran = scene.run("lock", &["--externals", &file, "--log", "trace"]);
    let ran = ran.code(0).unwrap();
    assert!(!format!("{}{}", ran.stdout, ran.stderr).contains("hunter2"));
    says(&scene.web(), &[LABEL]);
}
