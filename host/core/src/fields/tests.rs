//! Fields, their paths, and that no value of a Secret comes out.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn id(group: &str, kind: &str) -> ResourceId {
    ResourceId {
        group: group.to_owned(),
        kind: kind.to_owned(),
        namespace: None,
        name: "a".to_owned(),
    }
}

fn changes(kind: &str, before: &Value, after: &Value) -> Vec<String> {
    let (id, key) = (id("", kind), MaskKey::new([7; 32]));
    let changes = Fields::of(&id, before, &key).changes(&Fields::of(&id, after, &key));
    changes.iter().map(ToString::to_string).collect()
}

#[test]
fn each_field_that_differs_is_named_by_its_path() {
    let before = json!({
        "spec": {"replicas": 2, "old": [], "template": {"spec": {"containers": [
            {"name": "web", "image": "web:1", "args": ["a", "b"]}, {"name": "log", "image": "log:1"},
        ]}}},
        "metadata": {"labels": {"app.kubernetes.io/name": "web"}},
    });
    let after = json!({
        "spec": {"replicas": 3, "template": {"spec": {"containers": [
            {"name": "log", "image": "log:1"}, {"name": "web", "image": "web:2", "args": ["a", "c"]},
        ]}}},
        "metadata": {"labels": {"app.kubernetes.io/name": "web", "team": "shop"}},
    });
    assert_eq!(
        changes("Thing", &before, &after),
        [
            r#"+ metadata.labels.team: "shop""#,
            "- spec.old: []",
            "~ spec.replicas: 2 -> 3",
            r#"~ spec.template.spec.containers[name=web].args[1]: "b" -> "c""#,
            r#"~ spec.template.spec.containers[name=web].image: "web:1" -> "web:2""#,
        ]
    );
}

#[test]
fn keys_with_other_characters_are_quoted_and_items_without_names_counted() {
    let before = json!({"data": {"a.b": "1"}, "list": [{"name": "x"}, {"name": "x", "v": 1}]});
    let after = json!({"data": {"a.b": "2"}, "list": [{"name": "x"}, {"name": "x", "v": 2}]});
    assert_eq!(
        changes("Thing", &before, &after),
        [r#"~ data["a.b"]: "1" -> "2""#, "~ list[1].v: 1 -> 2"]
    );
}

#[test]
fn what_is_the_servers_or_weirs_own_is_no_difference() {
    let before = json!({"metadata": {
        "uid": "1", "resourceVersion": "1", "generation": 1, "managedFields": [1], "creationTimestamp": "x",
        "annotations": {ANNOTATION: "x"}, "labels": {APP_LABEL: "a", REPOSITORY_LABEL: "b"},
    }, "status": {"ready": true}});
    assert_eq!(changes("Thing", &before, &json!({"metadata": {}})), [""; 0]);
}

#[test]
fn a_secret_shows_which_values_differ_and_none_of_them() {
    let before = json!({"data": {"a": "b25l", "same": "eA==", "gone": "eQ=="}, "type": "Opaque",
        "metadata": {"annotations": {LAST_APPLIED: "b25l"}}});
    let after = json!({"data": {"a": "dHdv", "same": "eA==", "new": "eg=="}, "type": "Opaque",
        "metadata": {"annotations": {LAST_APPLIED: "dHdv"}}});
    assert_eq!(
        changes("Secret", &before, &after),
        [
            "~ data.a: (secret, before) -> (secret, after)",
            "- data.gone: (secret)",
            "+ data.new: (secret)",
            &format!(
                "~ metadata.annotations[{LAST_APPLIED:?}]: (secret, before) -> (secret, after)"
            ),
        ]
    );
}

#[test]
fn a_mask_differs_with_its_key_so_that_it_can_be_looked_up_nowhere() {
    let mask = |key| MaskKey::new([key; 32]).mask(&json!("hunter2"));
    assert_eq!(mask(1), mask(1));
    assert_ne!(mask(1), mask(2));
}

#[test]
fn an_object_of_any_depth_is_read() {
    let mut deep = json!("end");
    for _ in 0..100 {
        deep = json!({ "a": [deep] });
    }
    assert_eq!(changes("Thing", &json!({}), &json!({ "x": deep })).len(), 1);
}

proptest! {
    #[test]
    fn no_value_of_a_secret_is_ever_printed(
        values in prop::collection::btree_map("[a-z]{1,4}", "[A-Z0-9]{6,12}", 0..4),
        others in prop::collection::btree_map("[a-z]{1,4}", "[A-Z0-9]{6,12}", 0..4),
        whole in "[A-Z0-9]{6,12}",
    ) {
        let key = MaskKey::new([3; 32]);
        let of = |data: &Value| {
            let body = json!({"data": data, "stringData": whole, "metadata": {"annotations": {LAST_APPLIED: whole}}});
            Fields::of(&id("", "Secret"), &body, &key)
        };
        let (before, after) = (of(&json!(values)), of(&json!(others)));
        let changes = before.changes(&after);
        let mut said = format!("{before:?}{after:?}{changes:?}{}", serde_json::to_string(&changes).unwrap());
        for change in &changes {
            said.push_str(&change.to_string());
        }
        for value in values.values().chain(others.values()).chain([&whole]) {
            prop_assert!(!said.contains(value.as_str()), "{said}");
        }
    }
}
