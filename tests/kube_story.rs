//! The whole story on a real API server: a merge is applied, a bad one does not settle and is undone, and the ledger says who, what, when and why.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use weir_tests::Ran;
use weir_tests::control_plane::{ControlPlane, wait};
use weir_tests::scene::{SOON, Scene, map};

/// One app with a Deployment that is waited for.
fn scene(settle: &str) -> Scene<'static> {
    let mut scene = Scene::new(ControlPlane::shared().unwrap(), "story").unwrap();
    let namespace = &scene.namespace;
    let manifest = format!(
        "version: 1\napps:\n- {{ name: web, path: web, settle: {settle}, target: {{ namespace: {namespace} }} }}\n"
    );
    scene.repo.write("weir.yaml", manifest).unwrap();
    scene
        .push("web/deployment.yaml", &deployment("web:1", ""))
        .unwrap();
    scene
}

/// A Deployment of this image; with a selector that no node has it never runs.
fn deployment(image: &str, selector: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{ name: web }}\nspec:\n  replicas: 1\n  \
         selector: {{ matchLabels: {{ app: web }} }}\n  strategy: {{ type: Recreate }}\n  template:\n    \
         metadata: {{ labels: {{ app: web }} }}\n    \
         spec: {{ {selector} terminationGracePeriodSeconds: 1, containers: [{{ name: web, image: 'registry.test/{image}' }}] }}\n"
    )
}

const NOWHERE: &str = "nodeSelector: { nowhere: here },";

fn image(scene: &Scene<'_>) -> String {
    let found = scene
        .kubectl
        .json(&["get", "deployment", "web", "--namespace", &scene.namespace]);
    let containers = &found.unwrap()["spec"]["template"]["spec"]["containers"];
    containers[0]["image"].as_str().unwrap().to_owned()
}

fn app(scene: &Scene<'_>) -> Value {
    let text = scene.weir.run(["apps", "-o", "json"]).unwrap();
    let all: Value = serde_json::from_str(&text.success().unwrap()).unwrap();
    all[0]["apps"][0].clone()
}

fn trace(scene: &Scene<'_>, object: &str) -> Ran {
    scene
        .weir
        .run(["trace", object, "-n", &scene.namespace])
        .unwrap()
}

/// The files of the ledger, without the lock.
fn files(scene: &Scene<'_>) -> Vec<PathBuf> {
    let mut left = vec![scene.weir.state_dir().join("ledger")];
    let mut files = Vec::new();
    while let Some(dir) = left.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => left.push(path),
                false => files.push(path),
            }
        }
    }
    files.retain(|path| !path.ends_with("lock") && !path.ends_with("ledger.json"));
    files.sort();
    files
}

#[test]
fn a_merge_is_applied_a_bad_one_is_undone_and_the_ledger_answers_who_what_when_and_why() {
    let mut scene = scene("{ within: 20s }");
    // Somebody writes it, somebody else merges it.
    scene
        .repo
        .git(["checkout", "--quiet", "-b", "feature"])
        .unwrap();
    scene
        .repo
        .write("web/deployment.yaml", deployment("web:2", ""))
        .unwrap();
    scene.repo.git(["add", "--all"]).unwrap();
    scene
        .repo
        .git([
            "commit",
            "--quiet",
            "--author",
            "Ada <ada@shop.test>",
            "--message",
            "web: version 2",
        ])
        .unwrap();
    scene.repo.git(["checkout", "--quiet", "main"]).unwrap();
    scene
        .repo
        .git([
            "merge",
            "--quiet",
            "--no-ff",
            "--message",
            "Merge version 2",
            "feature",
        ])
        .unwrap();
    let good = scene.repo.head().unwrap();
    let mut host = scene.serve("1h").unwrap();
    host.wait_for_text("healthy: all", SOON).unwrap();
    assert_eq!(image(&scene), "registry.test/web:2");

    // A bad one follows and does not settle.
    scene
        .push("web/deployment.yaml", &deployment("web:3", NOWHERE))
        .unwrap();
    scene.weir.run(["refresh"]).unwrap().code(0).unwrap();
    host.wait_for_text("it is synced and was not healthy within 20s", SOON)
        .unwrap();
    assert_eq!(image(&scene), "registry.test/web:3");

    // A person goes back, at once.
    let words = [
        "rollback",
        "web",
        "--to",
        "last-healthy",
        "--yes",
        "--why",
        "version 3 does not start",
    ];
    scene.weir.run(words).unwrap().code(0).unwrap();
    host.wait_for_text("pinned: it was rolled back", SOON)
        .unwrap();
    assert_eq!(image(&scene), "registry.test/web:2");
    wait::until(SOON, "it is healthy again", || {
        Ok((app(&scene)["health"]["state"] == "healthy").then_some(()))
    })
    .unwrap();

    // An unrelated commit does not bring it back.
    scene.push("README.md", "hello").unwrap();
    scene.weir.run(["refresh"]).unwrap().code(0).unwrap();
    scene.weir.run(["refresh"]).unwrap().code(0).unwrap();
    assert_eq!(image(&scene), "registry.test/web:2");
    assert_eq!(
        host.terminate(SOON).unwrap(),
        Some(0),
        "{}",
        host.transcript()
    );

    // Who, what, when and why, for one live object.
    let said = trace(&scene, "deployment/web").success().unwrap();
    for part in [
        "Deployment.apps ",
        "  app         web of repository work-",
        ", which is pinned",
        ", updated: spec.template.spec.containers[name=web].image, spec.template.spec.nodeSelector.nowhere",
        &format!("commit      {good} Merge version 2"),
        "merged by   ",
        "file        web/deployment.yaml:1",
        "plugins     yaml sha256:",
        "decision    rolled back to record ",
        ": version 3 does not start",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let said = trace(&scene, "configmap/nobody").code(2).unwrap().stderr;
    assert!(
        said.contains("no app holds configmap/nobody in namespace "),
        "{said}"
    );

    // All of it as JSON lines, in order, with who is behind each sync.
    let lines = scene
        .weir
        .run(["audit", "export", "--since", "1h"])
        .unwrap()
        .success()
        .unwrap();
    let lines: Vec<Value> = lines
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    let kinds: Vec<&str> = lines
        .iter()
        .map(|l| l["event"]["type"].as_str().unwrap())
        .collect();
    let at = |kind: &str| kinds.iter().position(|k| *k == kind).unwrap();
    assert!(
        at("commit") < at("staked") && at("staked") < at("synced") && at("synced") < at("decided"),
        "{kinds:?}"
    );
    let synced = lines
        .iter()
        .rev()
        .find(|l| l["event"]["type"] == "synced")
        .unwrap();
    assert_eq!(synced["of"]["subject"], "Merge version 2");

    // The store is whole; a single bit in any of its files is found.
    let ok = scene
        .weir
        .run(["audit", "verify"])
        .unwrap()
        .success()
        .unwrap();
    assert!(
        ok.contains("every link proved") && ok.contains("0 are not"),
        "{ok}"
    );
    for file in files(&scene) {
        let bytes = fs::read(&file).unwrap();
        let mut bad = bytes.clone();
        let middle = bad.len() / 2;
        bad[middle] ^= 1;
        fs::write(&file, bad).unwrap();
        let ran = scene
            .weir
            .run(["audit", "verify"])
            .unwrap()
            .code(1)
            .unwrap();
        assert!(
            ran.stdout.contains("WRONG"),
            "{}: {}",
            file.display(),
            ran.stdout
        );
        fs::write(&file, bytes).unwrap();
    }
    let gone = files(&scene)
        .into_iter()
        .find(|f| f.to_string_lossy().contains("/blob/"))
        .unwrap();
    fs::remove_file(gone).unwrap();
    let ran = scene
        .weir
        .run(["audit", "verify"])
        .unwrap()
        .code(1)
        .unwrap();
    assert!(ran.stdout.contains("is not there"), "{}", ran.stdout);
}

#[test]
fn an_app_whose_policy_says_so_goes_back_by_itself_when_it_does_not_settle_and_stays_there() {
    let mut scene = scene("{ within: 15s, on-failure: rollback }");
    let mut host = scene.serve("1h").unwrap();
    host.wait_for_text("healthy: all", SOON).unwrap();
    scene
        .push("web/deployment.yaml", &deployment("web:2", NOWHERE))
        .unwrap();
    scene.push("web/new.yaml", &map("new", "x")).unwrap();
    scene.weir.run(["refresh"]).unwrap().code(0).unwrap();
    host.wait_for_text("on-failure: rollback: it goes back to record", SOON)
        .unwrap();
    host.wait_for_text("pinned: it was rolled back", SOON)
        .unwrap();
    assert_eq!(image(&scene), "registry.test/web:1");
    assert!(
        scene.map("new").is_err(),
        "what came with the bad output went with it"
    );
    // The next unrelated commit carries the same bad output: it is not tried again.
    scene.push("README.md", "hello").unwrap();
    scene.weir.run(["refresh"]).unwrap().code(0).unwrap();
    scene.weir.run(["refresh"]).unwrap().code(0).unwrap();
    assert_eq!(image(&scene), "registry.test/web:1");
    assert_eq!(app(&scene)["state"], "pinned");
    // One that renders to something else is.
    scene
        .push("web/deployment.yaml", &deployment("web:3", ""))
        .unwrap();
    scene.weir.run(["refresh"]).unwrap().code(0).unwrap();
    host.wait_for_text("the rollback ends", SOON).unwrap();
    host.wait_for_text("synced to", SOON).unwrap();
    assert_eq!(image(&scene), "registry.test/web:3");
    assert_eq!(
        host.terminate(SOON).unwrap(),
        Some(0),
        "{}",
        host.transcript()
    );
    let history = scene
        .weir
        .run(["history", "web"])
        .unwrap()
        .success()
        .unwrap();
    assert!(
        history.contains(
            "(by weir (on-failure: rollback)): app web: it is synced and was not healthy within 15s"
        ),
        "{history}"
    );
}
