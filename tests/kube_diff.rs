//! `weir diff --live` against a real API server: field by field, nothing written, no value of a Secret anywhere.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use serde_json::Value;
use weir_tests::Ran;
use weir_tests::control_plane::ControlPlane;
use weir_tests::scene::{Scene, map};

/// What nobody may see: plain and as base64.
const VALUES: [&str; 4] = ["hunter2", "aHVudGVyMg==", "sesame!!", "c2VzYW1lISE="];

fn scene() -> Scene<'static> {
    Scene::new(ControlPlane::shared().unwrap(), "diff").unwrap()
}

fn diff(scene: &Scene<'_>, flags: &[&str]) -> Ran {
    let url = scene.server.url("work");
    let diff = ["diff", "--live", "--repo", &url, "--target", "kube:"];
    scene.weir.run(diff.iter().chain(flags)).unwrap()
}

/// What it prints for people, without the namespace's own number.
fn text(scene: &Scene<'_>) -> String {
    let ran = diff(scene, &[]).code(0).unwrap();
    ran.stdout.replace(&scene.namespace, "NS")
}

fn secret(value: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{ name: s }}\nstringData: {{ pass: {value}, user: ada }}\n"
    )
}

#[test]
fn right_after_a_sync_nothing_differs() {
    let scene = scene();
    scene.synced().unwrap();
    assert_eq!(text(&scene), "0 created, 0 updated, 0 pruned\n");
    diff(&scene, &["--exit-code"]).code(0).unwrap();
}

#[test]
fn each_field_that_a_sync_would_change_is_shown_and_nothing_is_written() {
    let mut scene = scene();
    scene.synced().unwrap();
    let patch = r#"{"data":{"value":"by hand","other":"theirs"}}"#;
    scene
        .edit(&["patch", "configmap", "a", "--patch", patch])
        .unwrap();
    scene.push("web/c.yaml", &map("c", "new")).unwrap();
    scene.repo.remove("web/b.yaml").unwrap();
    scene.repo.commit("b leaves").unwrap();
    let mark = scene.plane.audit().mark().unwrap();
    let shown = text(&scene);
    assert!(
        shown.starts_with(
            "updated ConfigMap NS/a (app web)\n  ~ data.value: \"by hand\" -> \"one\"\n  ! "
        ),
        "{shown}"
    );
    assert!(
        shown.contains("kubectl"),
        "whose the field is by now: {shown}"
    );
    assert!(
        shown.ends_with(
            "pruned ConfigMap NS/b (app web)\n\
             created ConfigMap NS/c (app web)\n\
             \u{20} + apiVersion: \"v1\"\n\
             \u{20} + data.value: \"new\"\n\
             \u{20} + kind: \"ConfigMap\"\n\
             \u{20} + metadata.name: \"c\"\n\
             \u{20} + metadata.namespace: \"NS\"\n\
             1 created, 1 updated, 1 pruned\n"
        ),
        "{shown}"
    );
    diff(&scene, &["--exit-code"]).code(3).unwrap();
    let asked = scene.plane.audit().since(mark).unwrap();
    let wrote = asked.iter().filter(|e| {
        let reads = matches!(e.verb.as_str(), "get" | "list");
        e.namespace == scene.namespace && !reads && !e.uri.contains("dryRun=All")
    });
    assert_eq!(wrote.count(), 0, "{asked:?}");
    assert_eq!(scene.map("a").unwrap()["data"]["value"], "by hand");
}

#[test]
fn a_secret_shows_which_values_differ_and_none_of_them() {
    let mut scene = scene();
    scene.push("web/s.yaml", &secret("hunter2")).unwrap();
    let created = diff(&scene, &["--output", "json"]).code(0).unwrap();
    scene.synced().unwrap();
    scene.push("web/s.yaml", &secret("sesame!!")).unwrap();
    let shown = text(&scene);
    assert!(
        shown.starts_with(
            "updated Secret NS/s (app web)\n  ~ data.pass: (secret, before) -> (secret, after)\n"
        ),
        "{shown}"
    );
    assert!(!shown.contains("data.user"), "it is equal: {shown}");
    let json = diff(&scene, &["--output", "json"]).code(0).unwrap();
    for said in [
        &created.stdout,
        &created.stderr,
        &shown,
        &json.stdout,
        &json.stderr,
    ] {
        for value in VALUES {
            assert!(!said.contains(value), "{value} is in {said}");
        }
    }
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json[0]["change"], "updated");
    assert_eq!(json[0]["object"]["kind"], "Secret");
    assert_eq!(json[0]["fields"][0]["path"], "data.pass");
    assert_eq!(json[0]["fields"][0]["before"], "(secret)");
}

#[test]
fn what_comes_with_the_commit_is_not_missed() {
    let mut scene = scene();
    let (group, later) = (
        format!("{}.example.test", scene.namespace),
        format!("{}-later", scene.namespace),
    );
    let definition = format!(
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {{ name: widgets.{group} }}\n\
         spec:\n  group: {group}\n  scope: Namespaced\n  names: {{ kind: Widget, plural: widgets }}\n\
         \u{20} versions: [{{ name: v1, served: true, storage: true, schema: {{ openAPIV3Schema: {{ type: object }} }} }}]\n\
         ---\napiVersion: {group}/v1\nkind: Widget\nmetadata: {{ name: w }}\n\
         ---\napiVersion: v1\nkind: Namespace\nmetadata: {{ name: {later} }}\n\
         ---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: first, namespace: {later} }}\n"
    );
    scene.push("web/all.yaml", &definition).unwrap();
    let shown = text(&scene);
    assert!(
        shown.ends_with("6 created, 0 updated, 0 pruned\n"),
        "{shown}"
    );
    assert!(!shown.contains("  ! "), "{shown}");
}

#[test]
fn what_a_sync_would_stop_at_is_said_at_its_object() {
    let mut scene = scene();
    scene
        .edit(&["create", "configmap", "a", "--from-literal=value=theirs"])
        .unwrap();
    scene
        .push("web/b.yaml", &map("b", "one").replace(" data:", " dota:"))
        .unwrap();
    scene
        .push(
            "web/c.yaml",
            "apiVersion: no.example.test/v1\nkind: Nothing\nmetadata: { name: c }\n",
        )
        .unwrap();
    // With a ledger: it is one's own sync that would stop.
    scene.sync(&[]).unwrap().code(1).unwrap();
    let shown = text(&scene);
    for expected in [
        "updated ConfigMap NS/a (app web)\n  ~ data.value: \"theirs\" -> \"one\"\n  ! Weir did not make it",
        "unchanged ConfigMap NS/b (app web)\n  ! the API server refuses it as invalid: ",
        "unchanged Nothing.no.example.test NS/c (app web)\n  ! the cluster has no kind Nothing",
    ] {
        assert!(shown.contains(expected), "no {expected:?} in {shown}");
    }
}

#[test]
fn whoever_may_not_look_is_told_what_is_missing() {
    let mut scene = scene();
    let user = scene.plane.user("sightless", None).unwrap();
    scene.weir.variable("KUBECONFIG", user.kubeconfig());
    let shown = text(&scene);
    assert!(
        shown.contains("sightless") && shown.contains("get") && shown.contains("configmaps"),
        "{shown}"
    );
    diff(&scene, &["--exit-code"]).code(3).unwrap();
}
