//! How an app's objects are kept where others change them, on a real API server: healed, reported, forced, left to others, made anew, and held before much is deleted.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use serde_json::{Value, json};
use weir_tests::control_plane::{ControlPlane, With, wait};
use weir_tests::scene::{SOON, Scene, map};

/// Longer than the test: nothing is looked at because a poll says so.
const NEVER: &str = "1h";

fn scene() -> Scene<'static> {
    Scene::new(ControlPlane::shared().unwrap(), "heal").unwrap()
}

/// A scene whose app says more in the manifest.
fn saying(more: &str) -> Scene<'static> {
    let mut scene = scene();
    let manifest = format!(
        "version: 1\napps: [{{ name: web, path: web, target: {{ namespace: {} }}, {more} }}]\n",
        scene.namespace
    );
    scene.push("weir.yaml", &manifest).unwrap();
    scene
}

fn value(scene: &Scene<'_>, name: &str) -> Value {
    scene.map(name).unwrap()["data"]["value"].clone()
}

fn app(scene: &Scene<'_>) -> Value {
    let apps = scene.weir.run(["apps", "-o", "json"]).unwrap();
    let apps: Value = serde_json::from_str(&apps.success().unwrap()).unwrap();
    apps[0]["apps"][0].clone()
}

#[test]
fn what_an_app_only_reports_stays_as_somebody_made_it_and_is_named() {
    let mut scene = saying("heal: report");
    let mut host = scene.serve(NEVER).unwrap();
    scene.set_by_hand("a", "by hand").unwrap();
    host.wait_for_text("drifted: others changed", SOON).unwrap();
    scene.edit(&["delete", "configmap", "b"]).unwrap();
    wait::until(SOON, "both are named", || {
        let app = app(&scene);
        let both = app["drifted"].as_array().is_some_and(|d| d.len() == 2);
        Ok((both && app["state"] == "drifted").then_some(()))
    })
    .unwrap();
    assert_eq!(value(&scene, "a"), "by hand");
    assert_eq!(scene.names().unwrap().len(), 1);
    // A commit of something else goes through beside it; a commit of the same object makes it anew.
    scene.push("web/c.yaml", &map("c", "one")).unwrap();
    scene.push("web/b.yaml", &map("b", "two")).unwrap();
    scene.weir.run(["refresh"]).unwrap().code(0).unwrap();
    host.wait_for_text("+ ConfigMap", SOON).unwrap();
    wait::until(SOON, "what Git changed is there", || {
        Ok((scene.names().unwrap().len() == 3).then_some(()))
    })
    .unwrap();
    assert_eq!(value(&scene, "a"), "by hand");
}

#[test]
fn a_field_that_another_manager_has_is_named_and_taken_only_where_the_app_says_so() {
    let mut scene = scene();
    scene.synced().unwrap();
    scene.apply_as("their-tool", &map("a", "theirs")).unwrap();
    scene.push("web/a.yaml", &map("a", "two")).unwrap();
    let refused = scene.sync(&[]).unwrap().code(1).unwrap().stderr;
    assert!(
        refused.contains(".data.value") && refused.contains("their-tool"),
        "{refused}"
    );
    assert_eq!(value(&scene, "a"), "theirs");
    let manifest = format!(
        "version: 1\napps: [{{ name: web, path: web, target: {{ namespace: {} }}, conflicts: force }}]\n",
        scene.namespace
    );
    scene.push("weir.yaml", &manifest).unwrap();
    scene.synced().unwrap();
    assert_eq!(value(&scene, "a"), "two");
}

#[test]
fn a_field_that_is_left_to_others_is_set_once_and_never_again() {
    let mut scene = saying("ignore: [{ kind: ConfigMap, name: a, fields: [/data/value] }]");
    let host = scene.serve(NEVER).unwrap();
    assert_eq!(value(&scene, "a"), "one");
    scene.set_by_hand("a", "by hand").unwrap();
    // Another field of the same object still is Git's.
    let more = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: a, labels: { from: git } }\ndata: { value: two }\n";
    scene.push("web/a.yaml", more).unwrap();
    scene.weir.run(["refresh"]).unwrap().code(0).unwrap();
    wait::until(SOON, "the label is there", || {
        let map = scene.map("a").unwrap();
        Ok((map["metadata"]["labels"]["from"] == "git").then_some(()))
    })
    .unwrap();
    assert_eq!(value(&scene, "a"), "by hand");
    let difference = [
        "diff",
        "--live",
        "--repo",
        &scene.server.url("work"),
        "--target",
        "kube:",
        "--exit-code",
    ];
    let difference = scene.weir.run(difference).unwrap();
    assert_eq!(
        difference.code(0).unwrap().stdout,
        "0 created, 0 updated, 0 pruned\n"
    );
    assert_eq!(app(&scene)["state"], "synced");
    drop(host);
}

#[test]
fn what_a_manager_that_the_app_names_has_is_left_to_it() {
    let mut scene = saying("ignore: [{ manager: their-tool }]");
    scene.synced().unwrap();
    scene.apply_as("their-tool", &map("a", "theirs")).unwrap();
    scene.push("web/a.yaml", &map("a", "two")).unwrap();
    scene.push("web/b.yaml", &map("b", "two")).unwrap();
    scene.synced().unwrap();
    assert_eq!(
        (value(&scene, "a"), value(&scene, "b")),
        (json!("theirs"), json!("two"))
    );
    let quiet = scene.synced().unwrap();
    assert!(!quiet.contains("updated"), "{quiet}");
}

#[test]
fn five_heals_of_one_field_are_enough_and_the_next_is_not_raced_but_named() {
    let scene = scene();
    let mut host = scene.serve(NEVER).unwrap();
    for n in 0..5 {
        scene.set_by_hand("a", &format!("by hand {n}")).unwrap();
        host.wait_for_text("~ ConfigMap", SOON).unwrap();
        wait::until(SOON, "healed", || {
            Ok((value(&scene, "a") == "one").then_some(()))
        })
        .unwrap();
    }
    scene.set_by_hand("a", "the sixth").unwrap();
    let named = host.wait_for_text("changed back each time", SOON).unwrap();
    assert!(
        named.contains(
            "data.value (which kubectl-patch had set) was healed 5 times within 10 minutes"
        ),
        "{named}"
    );
    assert_eq!(value(&scene, "a"), "the sixth");
    assert_eq!(app(&scene)["state"], "failed");
}

#[test]
fn a_field_that_cannot_be_changed_is_an_error_unless_the_object_may_be_made_anew() {
    let mut scene = scene();
    let immutable = |value: &str, annotation: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: a, annotations: {{ {annotation} }} }}\nimmutable: true\ndata: {{ value: {value} }}\n"
        )
    };
    scene.push("web/a.yaml", &immutable("one", "")).unwrap();
    scene.synced().unwrap();
    let uid = |scene: &Scene<'_>| scene.map("a").unwrap()["metadata"]["uid"].clone();
    let first = uid(&scene);
    scene.push("web/a.yaml", &immutable("two", "")).unwrap();
    let refused = scene.sync(&[]).unwrap().code(1).unwrap().stderr;
    assert!(
        refused.contains("cannot be changed") && refused.contains("weir.dev/recreate"),
        "{refused}"
    );
    assert_eq!(
        (value(&scene, "a"), uid(&scene)),
        (json!("one"), first.clone())
    );
    let anew = "weir.dev/recreate: \"true\"";
    scene.push("web/a.yaml", &immutable("two", anew)).unwrap();
    scene.synced().unwrap();
    assert_eq!(value(&scene, "a"), "two");
    assert_ne!(uid(&scene), first);
    // What is ours stays ours: nothing to do, and it goes with its file.
    let quiet = scene.synced().unwrap();
    assert!(!quiet.contains("updated"), "{quiet}");
    scene.repo.remove("web/a.yaml").unwrap();
    scene.repo.commit("without a").unwrap();
    scene.synced().unwrap();
    assert_eq!(scene.names().unwrap(), ["b".to_owned()].into());
}

#[test]
fn a_namespace_goes_from_a_cluster_only_with_a_persons_yes() {
    let plane = ControlPlane::start(With::Rollouts).unwrap();
    let mut scene = Scene::new(&plane, "heal").unwrap();
    let name = format!("{}-extra", scene.namespace);
    let namespace = format!("apiVersion: v1\nkind: Namespace\nmetadata: {{ name: {name} }}\n");
    scene.push("web/namespace.yaml", &namespace).unwrap();
    let mut host = scene.serve(NEVER).unwrap();
    scene.repo.remove("web/namespace.yaml").unwrap();
    scene.repo.commit("without it").unwrap();
    scene.weir.run(["refresh"]).unwrap().code(0).unwrap();
    let held = host
        .wait_for_text("weir approve web --hold ", SOON)
        .unwrap();
    assert!(held.contains(&format!("Namespace {name}")), "{held}");
    let there = || scene.kubectl.run(&["get", "namespace", &name]).unwrap().ok;
    assert!(there());
    let (_, id) = held.split_once("--hold ").unwrap();
    let id = id.split_whitespace().next().unwrap();
    let approve = ["approve", "web", "--hold", id, "--why", "it is empty"];
    scene.weir.run(approve).unwrap().code(0).unwrap();
    host.wait_for_text("- Namespace", SOON).unwrap();
    wait::until(SOON, "the namespace is gone", || {
        Ok((!there()).then_some(()))
    })
    .unwrap();
}

#[test]
fn each_of_two_changes_within_a_second_is_said_and_counted() {
    let mut scene = scene();
    let mut host = scene.serve(NEVER).unwrap();
    for value in ["two", "three", "four"] {
        scene.push("web/a.yaml", &map("a", value)).unwrap();
        scene.weir.run(["refresh"]).unwrap().code(0).unwrap();
        host.wait_for_text("1 updated, 0 pruned, 1 unchanged", SOON)
            .unwrap();
    }
    assert_eq!(value(&scene, "a"), "four");
}

#[test]
fn a_very_large_object_is_applied_put_back_and_pruned_like_any_other() {
    let mut scene = scene();
    // A ConfigMap takes a mebibyte of data; what etcd takes of other kinds is a half more.
    let large = |letter: &str| map("large", &letter.repeat(1_040_000));
    let length = |scene: &Scene<'_>| value(scene, "large").as_str().map(str::len);
    scene.push("web/large.yaml", &large("x")).unwrap();
    scene.synced().unwrap();
    assert_eq!(length(&scene), Some(1_040_000));
    scene.set_by_hand("large", "small").unwrap();
    scene.synced().unwrap();
    assert_eq!(length(&scene), Some(1_040_000));
    scene.push("web/large.yaml", &large("y")).unwrap();
    scene.synced().unwrap();
    assert!(value(&scene, "large").as_str().unwrap().starts_with('y'));
    scene.repo.remove("web/large.yaml").unwrap();
    scene.push("web/c.yaml", &map("c", "one")).unwrap();
    let said = scene.synced().unwrap();
    assert!(said.contains("1 pruned"), "{said}");
    // What no API server takes is said before anything is sent.
    scene
        .push("web/large.yaml", &map("large", &"x".repeat(1_600_000)))
        .unwrap();
    let refused = scene.sync(&[]).unwrap().code(1).unwrap().stderr;
    assert!(refused.contains("limit: object bytes"), "{refused}");
}
