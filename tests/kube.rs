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

/// The lines of the README's way to a person's own cluster, but for those that build.
fn readmes_way() -> String {
    let readme = std::fs::read_to_string(weir_tests::places::root().join("README.md")).unwrap();
    let (_, rest) = readme
        .split_once("```sh\ncargo quickstart --check")
        .unwrap();
    let (way, _) = rest.split_once("```").unwrap();
    way.lines()
        .skip(2)
        .map(|line| format!("{line}\n"))
        .collect()
}

#[test]
fn the_readmes_way_to_ones_own_cluster_goes_to_its_end() {
    let scene = scene();
    scene.weir.begin_with_engines().unwrap();
    let folder = scene.weir.path("shop");
    // Namespaces are the cluster's, and other tests use it too.
    let namespace = &scene.namespace;
    let way = readmes_way()
        .replace("/tmp/shop", folder.to_str().unwrap())
        .replace("namespace shop", &format!("namespace {namespace}"))
        .replace("kubectl create", "kubectl get")
        .replace("-A -l", &format!("--namespace {namespace} -l"))
        .replace("weir serve", "weir serve --listen 127.0.0.1:0")
        .replace(
            "git init",
            &format!("sed -i 's/namespace: shop/namespace: {namespace}/' weir.yaml && git init"),
        );
    let script = format!("trap 'kill %1; wait' EXIT\n{way}");
    let ran = scene
        .weir
        .shell(&script, &[scene.kubectl.binary()])
        .unwrap();
    let said = ran.code(0).unwrap().stdout;
    for expected in [
        "deployment.apps/web",
        "service/web condition met",
        "deployment.apps/web condition met",
        "Revert",
    ] {
        assert!(said.contains(expected), "no {expected}: {said}");
    }
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
    scene.set_by_hand("a", "by hand").unwrap();
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
