//! The whole story on a real API server: a merge is applied, a bad one does not settle and is undone, and the ledger says who, what, when and why.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use weir_tests::control_plane::{ControlPlane, wait};
use weir_tests::scene::{SOON, Scene, map};
use weir_tests::weir::text;
use weir_tests::{Ran, Weir};

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

/// Somebody writes version 2 on a branch, somebody else merges it; the merge's commit.
fn merge(scene: &mut Scene<'_>) -> String {
    let repo = &scene.repo;
    repo.git(["checkout", "--quiet", "-b", "feature"]).unwrap();
    repo.write("web/deployment.yaml", deployment("web:2", ""))
        .unwrap();
    repo.git(["add", "--all"]).unwrap();
    let commit = ["commit", "--quiet", "--author", "Ada <ada@shop.test>"];
    repo.git(commit.iter().chain(&["--message", "web: version 2"]))
        .unwrap();
    repo.git(["checkout", "--quiet", "main"]).unwrap();
    let merge = ["merge", "--quiet", "--no-ff", "--message"];
    repo.git(merge.iter().chain(&["Merge version 2", "feature"]))
        .unwrap();
    repo.head().unwrap()
}

/// A host looks at the repository now, and again, so that what the first look found is done.
fn refresh(scene: &Scene<'_>, times: usize) {
    for _ in 0..times {
        scene.weir.run(["refresh"]).unwrap().code(0).unwrap();
    }
}

/// Who, what, when and why, for one live object.
fn answers(scene: &Scene<'_>, good: &str) {
    let said = trace(scene, "deployment/web").success().unwrap();
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
    let ran = trace(scene, "configmap/nobody").code(2).unwrap();
    let said = ran.stderr;
    assert!(
        said.contains("no app holds configmap/nobody in namespace "),
        "{said}"
    );
}

/// All of it as JSON lines, in order, with who is behind each sync.
fn lines(scene: &Scene<'_>) {
    let export = scene.weir.run(["audit", "export", "--since", "1h"]);
    let text = export.unwrap().success().unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    let lines: Vec<Value> = lines.collect();
    let kind = |line: &Value| line["event"]["type"].as_str().unwrap().to_owned();
    let kinds: Vec<String> = lines.iter().map(kind).collect();
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
}

/// Somebody with nothing but the repository, the receipt and the public key proves the bytes.
fn a_stranger_proves(scene: &Scene<'_>) {
    let (receipt, key) = (scene.weir.path("receipt.json"), scene.weir.path("key.pem"));
    let (receipt, key) = (text(&receipt).unwrap(), text(&key).unwrap());
    let export = ["receipts", "export", "--app", "web", "--out", receipt];
    scene.weir.run(export).unwrap().code(0).unwrap();
    let public = scene.weir.run(["keys", "export"]).unwrap();
    fs::write(key, public.success().unwrap()).unwrap();
    let stranger = Weir::new().unwrap();
    let url = scene.server.url("work");
    let verify = ["verify", receipt, "--repo", &url, "--key", key];
    let said = stranger.run(verify.iter().chain(&["--ref", "main"]));
    let said = said.unwrap().code(0).unwrap().stdout;
    assert!(said.contains("equal: work-"), "{said}");
}

/// The store is whole; a single bit in any of its files is found, and so is one that is gone.
fn the_store_is_whole(scene: &Scene<'_>) {
    let verify = || scene.weir.run(["audit", "verify"]).unwrap();
    let ok = verify().success().unwrap();
    assert!(
        ok.contains("every link proved") && ok.contains("0 are not"),
        "{ok}"
    );
    for file in files(scene) {
        let bytes = fs::read(&file).unwrap();
        let mut bad = bytes.clone();
        let middle = bad.len() / 2;
        bad[middle] ^= 1;
        fs::write(&file, bad).unwrap();
        let ran = verify().code(1).unwrap();
        let (file, text) = (file.display(), &ran.stdout);
        assert!(text.contains("WRONG"), "{file}: {text}");
        fs::write(file.to_string(), bytes).unwrap();
    }
    let blob = |file: &PathBuf| file.to_string_lossy().contains("/blob/");
    fs::remove_file(files(scene).into_iter().find(blob).unwrap()).unwrap();
    let ran = verify().code(1).unwrap();
    assert!(ran.stdout.contains("is not there"), "{}", ran.stdout);
}

#[test]
fn a_merge_is_applied_a_bad_one_is_undone_and_the_ledger_answers_who_what_when_and_why() {
    let mut scene = scene("{ within: 20s }");
    let good = merge(&mut scene);
    let mut host = scene.serve("1h").unwrap();
    host.wait_for_text("healthy: all", SOON).unwrap();
    assert_eq!(image(&scene), "registry.test/web:2");

    // A bad one follows and does not settle.
    scene
        .push("web/deployment.yaml", &deployment("web:3", NOWHERE))
        .unwrap();
    refresh(&scene, 1);
    host.wait_for_text("it is synced and was not healthy within 20s", SOON)
        .unwrap();
    assert_eq!(image(&scene), "registry.test/web:3");

    // A person goes back, at once.
    let back = ["rollback", "web", "--to", "last-healthy", "--yes", "--why"];
    let back = back.iter().chain(&["version 3 does not start"]);
    scene.weir.run(back).unwrap().code(0).unwrap();
    host.wait_for_text("pinned: it was rolled back", SOON)
        .unwrap();
    assert_eq!(image(&scene), "registry.test/web:2");
    wait::until(SOON, "it is healthy again", || {
        Ok((app(&scene)["health"]["state"] == "healthy").then_some(()))
    })
    .unwrap();

    // An unrelated commit does not bring it back.
    scene.push("README.md", "hello").unwrap();
    refresh(&scene, 2);
    assert_eq!(image(&scene), "registry.test/web:2");
    let ended = host.terminate(SOON).unwrap();
    assert_eq!(ended, Some(0), "{}", host.transcript());

    answers(&scene, &good);
    lines(&scene);
    a_stranger_proves(&scene);
    the_store_is_whole(&scene);
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
