//! The target `kube:` on a real API server: what is in Git is there, whose it is stands on it, nothing else is touched.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::collections::BTreeSet;

use serde_json::Value;
use weir_tests::Weir;
use weir_tests::control_plane::ControlPlane;
use weir_tests::scene::{Scene, map};

/// A scene on the plane that all tests of this suite share.
fn scene() -> Scene<'static> {
    Scene::new(ControlPlane::shared().unwrap(), "sync").unwrap()
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|n| (*n).to_owned()).collect()
}

/// What stands in the manager's entry of an object.
fn entry(object: &Value) -> Value {
    let entries = object["metadata"]["managedFields"].as_array().unwrap();
    entries
        .iter()
        .find(|e| e["manager"] == "weir")
        .unwrap()
        .clone()
}

#[test]
fn what_is_in_git_is_in_the_cluster_and_what_leaves_git_leaves_it() {
    let mut scene = scene();
    scene.synced().unwrap();
    assert_eq!(scene.names().unwrap(), names(&["a", "b"]));
    let first = scene.map("a").unwrap();
    assert_eq!(first["data"]["value"], "one");
    let owner = first["metadata"]["annotations"]["weir.dev/owner"]
        .as_str()
        .unwrap();
    let place = format!("/web:/ConfigMap/{}/a", scene.namespace);
    assert!(owner.ends_with(&place), "{owner}");

    scene.push("web/a.yaml", &map("a", "two")).unwrap();
    scene.synced().unwrap();
    assert_eq!(scene.map("a").unwrap()["data"]["value"], "two");
    assert_eq!(
        scene.map("a").unwrap()["metadata"]["uid"],
        first["metadata"]["uid"]
    );

    scene.repo.remove("web/b.yaml").unwrap();
    scene.repo.commit("b leaves").unwrap();
    scene.synced().unwrap();
    assert_eq!(scene.names().unwrap(), names(&["a"]));
}

#[test]
fn the_readmes_way_to_look_at_an_app_shows_its_objects() {
    let scene = scene();
    scene.synced().unwrap();
    let readme = std::fs::read_to_string(weir_tests::places::root().join("README.md")).unwrap();
    let way = "get deploy,svc,cm,secret,job -A -l weir.dev/app=web";
    assert!(readme.contains(&format!("kubectl {way}\n")));
    let words: Vec<&str> = way.split(' ').collect();
    let shown = scene.kubectl.text(&words).unwrap();
    let mut here = shown
        .lines()
        .filter(|line| line.starts_with(&scene.namespace));
    assert!(here.any(|line| line.contains("configmap/a")), "{shown}");
}

#[test]
fn a_second_sync_writes_nothing() {
    let scene = scene();
    scene.synced().unwrap();
    let mark = scene.plane.audit().mark().unwrap();
    scene.synced().unwrap();
    let entries = scene.plane.audit().since(mark).unwrap();
    let here = entries.iter().filter(|e| e.namespace == scene.namespace);
    let writes: Vec<_> = here
        .filter(|e| !matches!(e.verb.as_str(), "get" | "list" | "watch"))
        .collect();
    assert!(writes.is_empty(), "{writes:?}");
}

#[test]
fn what_somebody_changed_or_deleted_by_hand_is_put_back() {
    let scene = scene();
    scene.synced().unwrap();
    scene
        .edit(&[
            "patch",
            "configmap",
            "a",
            "--patch",
            r#"{"data":{"value":"by hand"}}"#,
        ])
        .unwrap();
    scene.edit(&["delete", "configmap", "b"]).unwrap();
    scene.synced().unwrap();
    assert_eq!(scene.map("a").unwrap()["data"]["value"], "one");
    assert_eq!(scene.names().unwrap(), names(&["a", "b"]));
}

#[test]
fn a_field_that_git_does_not_set_stays_somebody_elses_and_is_no_drift() {
    let scene = scene();
    scene.synced().unwrap();
    let before = entry(&scene.map("a").unwrap());
    scene
        .edit(&[
            "patch",
            "configmap",
            "a",
            "--patch",
            r#"{"data":{"other":"theirs"}}"#,
        ])
        .unwrap();
    let said = scene.synced().unwrap();
    assert!(!said.contains("ConfigMap"), "{said}");
    assert_eq!(scene.map("a").unwrap()["data"]["other"], "theirs");
    assert_eq!(entry(&scene.map("a").unwrap()), before);
}

#[test]
fn what_somebody_else_made_is_neither_changed_nor_deleted() {
    let mut scene = scene();
    scene
        .edit(&["create", "configmap", "a", "--from-literal=value=theirs"])
        .unwrap();
    let said = scene.sync(&[]).unwrap().code(1).unwrap().stderr;
    let expected = format!(
        "ConfigMap {}/a: something is already there that Weir did not make",
        scene.namespace
    );
    assert!(said.contains(&expected), "{said}");
    assert_eq!(scene.map("a").unwrap()["data"]["value"], "theirs");
    scene.repo.remove("web/a.yaml").unwrap();
    scene.repo.commit("a leaves").unwrap();
    scene.synced().unwrap();
    assert_eq!(scene.map("a").unwrap()["data"]["value"], "theirs");
}

#[test]
fn an_object_of_another_ledger_is_refused_and_its_owner_named() {
    let scene = scene();
    scene.synced().unwrap();
    let mut other = Weir::new().unwrap();
    other.variable("KUBECONFIG", scene.kubectl.kubeconfig());
    let url = scene.server.url("work");
    let said = other
        .run(["sync", "--repo", &url, "--target", "kube:"])
        .unwrap()
        .code(1)
        .unwrap()
        .stderr;
    assert!(
        said.contains("app web of repository") && said.contains("on another host"),
        "{said}"
    );
}
