//! What marks rely on: whose entry in an object's managed fields moves when, and that a write for another object is refused.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use weir_tests::control_plane::{Answer, ControlPlane, wait};
use weir_tests::duo::Duo;

/// Longer than a few runs take.
const SOON: Duration = Duration::from_secs(60);

fn map(value: &str) -> String {
    format!(
        "//- a.yaml\n{{ apiVersion: v1, kind: ConfigMap, metadata: {{ name: a }}, data: {{ value: {value} }} }}\n"
    )
}

fn duo() -> Duo<'static> {
    Duo::new(ControlPlane::shared().unwrap(), "marks", &map("one")).unwrap()
}

/// The object, with its managed fields.
fn live(duo: &Duo<'_>) -> Value {
    let words = [
        "get",
        "configmap",
        "a",
        "--show-managed-fields",
        "-o",
        "json",
    ];
    serde_json::from_str(&duo.kubectl(&words).unwrap()).unwrap()
}

/// Weir's entry.
fn entry(object: &Value) -> &Value {
    let entries = object["metadata"]["managedFields"].as_array().unwrap();
    let ours = entries
        .iter()
        .find(|e| e["manager"] == "weir" && e["operation"] == "Apply");
    ours.unwrap()
}

/// An entry's time has whole seconds: what is written from now on has another one.
fn next_second() {
    let now = || {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs()
    };
    let then = now();
    wait::until(Duration::from_secs(5), "the next second", || {
        Ok((now() > then).then_some(()))
    })
    .unwrap();
}

/// The object as Weir applied it, applied by hand under Weir's name with another value.
fn apply_as_weir(duo: &Duo<'_>, change: impl FnOnce(&mut Value)) -> Answer {
    let live = live(duo);
    let metadata = &live["metadata"];
    let mut body = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "data": live["data"],
        "metadata": {
            "name": "a", "namespace": duo.namespace,
            "labels": metadata["labels"], "annotations": metadata["annotations"],
        },
    });
    change(&mut body);
    let words = [
        "apply",
        "--server-side",
        "--field-manager=weir",
        "--filename=-",
    ];
    duo.plane
        .admin()
        .run_with(&words, &body.to_string())
        .unwrap()
}

#[test]
fn an_apply_that_changes_nothing_leaves_the_entry_and_the_version() {
    let mut duo = duo();
    // Written, and killed before that was recorded: the next sync has to apply once more. Which app comes first
    // is chance.
    duo.weir.variable("FAILPOINTS", "after-write=return");
    wait::until(SOON, "a killed run has written the map", || {
        assert_eq!(duo.sync()?.code, None);
        Ok(duo.kubectl(&["get", "configmap", "a"]).ok())
    })
    .unwrap();
    duo.weir.without_variable("FAILPOINTS");
    let before = live(&duo);
    next_second();
    duo.succeeds().unwrap();
    assert_eq!(live(&duo), before);
    let same = apply_as_weir(&duo, |_| {});
    assert!(same.ok, "{same:?}");
    assert_eq!(live(&duo), before);
}

#[test]
fn an_apply_that_changes_something_moves_the_entry_and_the_version() {
    let mut duo = duo();
    duo.succeeds().unwrap();
    let before = live(&duo);
    next_second();
    duo.push(&map("two")).unwrap();
    duo.succeeds().unwrap();
    let after = live(&duo);
    assert_ne!(entry(&after)["time"], entry(&before)["time"]);
    assert_eq!(entry(&after)["fieldsV1"], entry(&before)["fieldsV1"]);
    assert_ne!(
        after["metadata"]["resourceVersion"],
        before["metadata"]["resourceVersion"]
    );
}

#[test]
fn an_apply_by_hand_under_weirs_own_name_is_drift_and_put_back() {
    let duo = duo();
    duo.succeeds().unwrap();
    next_second();
    let by_hand = apply_as_weir(&duo, |body| body["data"]["value"] = json!("by hand"));
    assert!(by_hand.ok, "{by_hand:?}");
    assert_eq!(live(&duo)["data"]["value"], "by hand");
    duo.succeeds().unwrap();
    assert_eq!(live(&duo)["data"]["value"], "one");
}

#[test]
fn an_apply_for_another_object_of_the_name_is_refused() {
    let duo = duo();
    duo.succeeds().unwrap();
    let before = live(&duo);
    let uid = json!("00000000-0000-4000-8000-000000000000");
    let other = apply_as_weir(&duo, |body| body["metadata"]["uid"] = uid.clone());
    let refused =
        "metadata.uid: Invalid value: \"00000000-0000-4000-8000-000000000000\": field is immutable";
    assert!(!other.ok && other.stderr.contains(refused), "{other:?}");
    assert_eq!(live(&duo), before);
    // One that is gone is not made anew.
    let gone = apply_as_weir(&duo, |body| {
        body["metadata"]["name"] = json!("gone");
        body["metadata"]["uid"] = uid.clone();
    });
    assert!(!gone.ok && gone.stderr.contains("uid mismatch"), "{gone:?}");
    assert!(duo.kubectl(&["get", "configmap", "gone"]).is_err());
}
