//! Apps that come `after` others on a real cluster: they begin when those are healthy, and not before; who takes too long is named.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use serde_json::Value;
use weir_tests::Serving;
use weir_tests::control_plane::{ControlPlane, wait};
use weir_tests::scene::{SOON, Scene};

/// Longer than the test: nothing is looked at because a poll says so.
const NEVER: &str = "1h";

/// App `db`, a Deployment that runs where the gate is open, and `web` after it.
fn scene(settle: &str) -> Scene<'static> {
    let mut scene = Scene::new(ControlPlane::shared().unwrap(), "after").unwrap();
    let namespace = &scene.namespace;
    let manifest = format!(
        "version: 1\napps:\n\
         - {{ name: db, path: db, {settle} target: {{ namespace: {namespace} }} }}\n\
         - {{ name: web, path: web, after: [db], target: {{ namespace: {namespace} }} }}\n"
    );
    let gate = format!("nodeSelector: {{ gate-{namespace}: open }}");
    scene.repo.write("weir.yaml", manifest).unwrap();
    scene.push("db/db.yaml", &deployment(&gate)).unwrap();
    scene
}

fn deployment(spec: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{ name: db }}\nspec:\n  replicas: 2\n  \
         selector: {{ matchLabels: {{ app: db }} }}\n  template:\n    metadata: {{ labels: {{ app: db }} }}\n    \
         spec: {{ {spec}, containers: [{{ name: db, image: 'registry.test/db:1' }}] }}\n"
    )
}

/// A Deployment that runs anywhere.
fn mended() -> String {
    deployment("terminationGracePeriodSeconds: 1")
}

/// The one node gets what the Deployment waits for.
fn open_the_gate(scene: &Scene<'_>) {
    let label = format!("gate-{}=open", scene.namespace);
    scene
        .kubectl
        .text(&["label", "node", "fake", &label])
        .unwrap();
}

fn words<'a>(command: &'a str, url: &'a str) -> Vec<&'a str> {
    vec![command, "--repo", url, "--target", "kube:"]
}

fn start(scene: &Scene<'_>, command: &str) -> Serving {
    let url = scene.server.url("work");
    let mut words = words(command, &url);
    if command == "serve" {
        words.extend(["--interval", NEVER, "--listen", "127.0.0.1:0"]);
    }
    scene.weir.start(words).unwrap()
}

fn web_is_there(scene: &Scene<'_>) -> bool {
    scene.map("a").is_ok()
}

fn web_comes(scene: &Scene<'_>) {
    wait::until(SOON, "web is there", || {
        Ok(web_is_there(scene).then_some(()))
    })
    .unwrap();
}

/// An app as `weir apps` shows it.
fn app(scene: &Scene<'_>, name: &str) -> Value {
    let text = scene.weir.run(["apps", "-o", "json"]).unwrap();
    let all: Value = serde_json::from_str(&text.success().unwrap()).unwrap();
    let apps = all[0]["apps"].as_array().unwrap().clone();
    apps.into_iter().find(|a| a["name"] == name).unwrap()
}

/// What the ledger says of the health of `db`, newest first: the problem, or the word.
fn kept(scene: &Scene<'_>) -> Vec<String> {
    let text = scene.weir.run(["history", "db", "-o", "json"]).unwrap();
    let all: Value = serde_json::from_str(&text.success().unwrap()).unwrap();
    let records = all[0]["records"].as_array().unwrap();
    let events = records.iter().map(|r| &r["event"]);
    let settled = events.filter(|e| e["type"] == "settled");
    settled
        .map(|e| match e["problem"]["message"].as_str() {
            Some(message) => message.to_owned(),
            None => format!("{} healthy", e["health"]["healthy"]),
        })
        .collect()
}

#[test]
fn a_sync_waits_for_the_deployment_before_it_writes_the_next_app() {
    let scene = scene("");
    let mut sync = start(&scene, "sync");
    sync.wait_for_text("waiting at most 10m until it is healthy", SOON)
        .unwrap();
    assert!(!web_is_there(&scene), "db is not healthy yet");
    open_the_gate(&scene);
    assert_eq!(sync.wait(SOON).unwrap(), Some(0), "{}", sync.transcript());
    assert!(web_is_there(&scene));
    assert_eq!(kept(&scene), ["1 healthy"]);
    assert_eq!(app(&scene, "db")["health"]["state"], "healthy");
    let shown = scene
        .weir
        .run(["history", "db"])
        .unwrap()
        .success()
        .unwrap();
    assert!(
        shown.contains("settled") && shown.contains("healthy: all 1 objects"),
        "{shown}"
    );
    // Nothing changed since: nothing is waited for, and nothing is said again.
    let said = scene.synced().unwrap();
    assert!(!said.contains("waiting at most"), "{said}");
    assert_eq!(kept(&scene).len(), 1);
}

#[test]
fn a_host_that_stays_lets_the_next_app_begin_when_its_watch_says_so() {
    let scene = scene("");
    let mut serving = start(&scene, "serve");
    serving
        .wait_for_text("waiting at most 10m until it is healthy", SOON)
        .unwrap();
    assert!(!web_is_there(&scene), "db is not healthy yet");
    open_the_gate(&scene);
    web_comes(&scene);
    assert_eq!(serving.terminate(SOON).unwrap(), Some(0));
}

#[test]
fn an_app_that_takes_too_long_has_failed_and_what_comes_after_it_does_not_begin() {
    let mut scene = scene("settle: { within: 1s },");
    let said = scene.sync(&[]).unwrap().code(1).unwrap().stderr;
    let object = format!("Deployment.apps {}/db: progressing: ", scene.namespace);
    for text in [
        "not healthy within 1s",
        &object,
        "was not synced: an app that it comes after",
    ] {
        assert!(said.contains(text), "{text}: {said}");
    }
    assert!(!web_is_there(&scene));
    let shown = app(&scene, "db");
    assert_eq!(
        (&shown["state"], &shown["health"]["state"]),
        (&"failed".into(), &"progressing".into())
    );
    assert!(
        shown["message"].as_str().unwrap().contains(&object),
        "{shown}"
    );
    // It is tried again, and recorded once.
    scene.sync(&[]).unwrap().code(1).unwrap();
    assert_eq!(kept(&scene).len(), 1, "{:?}", kept(&scene));
    scene.push("db/db.yaml", &mended()).unwrap();
    scene.synced().unwrap();
    assert!(web_is_there(&scene));
    assert_eq!(app(&scene, "db")["state"], "synced");
    assert_eq!(kept(&scene)[0], "1 healthy");
}

#[test]
fn an_app_that_becomes_healthy_after_all_is_recorded_and_what_waits_goes_on() {
    let scene = scene("settle: { within: 1s },");
    let mut serving = start(&scene, "serve");
    serving
        .wait_for_text("not healthy within 1s", SOON)
        .unwrap();
    assert_eq!(app(&scene, "db")["state"], "failed");
    assert!(!web_is_there(&scene));
    open_the_gate(&scene);
    web_comes(&scene);
    assert_eq!(serving.terminate(SOON).unwrap(), Some(0));
    assert_eq!(app(&scene, "db")["state"], "synced");
    let kept = kept(&scene);
    assert_eq!((kept.len(), kept[0].as_str()), (2, "1 healthy"), "{kept:?}");
}

#[test]
fn a_commit_that_mends_it_ends_the_wait_and_goes_through_at_once() {
    let mut scene = scene("settle: { within: 1h },");
    let mut serving = start(&scene, "serve");
    serving
        .wait_for_text("waiting at most 1h until it is healthy", SOON)
        .unwrap();
    scene.push("db/db.yaml", &mended()).unwrap();
    scene.weir.run(["refresh"]).unwrap().code(0).unwrap();
    web_comes(&scene);
    assert_eq!(serving.terminate(SOON).unwrap(), Some(0));
    assert_eq!(kept(&scene), ["1 healthy"]);
}

#[test]
fn a_host_that_was_killed_while_it_waited_waits_again() {
    let scene = scene("");
    let mut serving = start(&scene, "serve");
    serving.wait_for_text("until it is healthy", SOON).unwrap();
    serving.kill().unwrap();
    let mut again = start(&scene, "serve");
    again.wait_for_text("until it is healthy", SOON).unwrap();
    assert!(!web_is_there(&scene));
    open_the_gate(&scene);
    web_comes(&scene);
    assert_eq!(again.terminate(SOON).unwrap(), Some(0));
}
