//! Fields in entries, in conflicts and in objects: found, joined, left out.

use super::*;
use serde_json::json;

fn ours(fields: Value) -> Ours {
    Ours::from_fields(fields, Vec::new())
}

#[test]
fn a_field_is_ours_where_our_entry_has_it_or_something_below() {
    let ours = ours(json!({
        "f:metadata": {"f:annotations": {"f:a/b": {}}, "f:finalizers": {"v:\"x/y\"": {}}},
        "f:spec": {"f:replicas": {}, "f:containers": {"k:{\"name\":\"web\"}": {"f:image": {}}}},
    }));
    let body = json!({
        "metadata": {"finalizers": ["x/y", "z"]},
        "spec": {"containers": [{"name": "web", "args": []}, {"name": "db"}]},
    });
    for (pointer, expected) in [
        ("/spec/replicas", true),
        ("/spec", true),
        ("/spec/paused", false),
        ("/metadata/annotations/a~1b", true),
        ("/metadata/annotations/a", false),
        ("/spec/containers/0/image", true),
        ("/spec/containers/0/args", false),
        ("/spec/containers/1/image", false),
        ("/spec/containers/2/image", false),
        ("/metadata/finalizers/0", true),
        ("/metadata/finalizers/1", false),
        ("/status", false),
    ] {
        let left = ours.left_to_others(pointer, &body);
        assert_eq!(left.is_none(), expected, "{pointer}");
    }
    assert!(Ours::default().left_to_others("/spec", &body).is_some());
}

#[test]
fn what_is_had_as_a_whole_is_ours_or_anothers_as_a_whole() {
    let body = json!({"spec": {"rules": [{"host": "a"}], "tls": [{"secretName": "t"}], "labels": {"a": "1"}}, "data": {"value": "1"}});
    let fields = Ours::from_fields(
        json!({"f:spec": {"f:rules": {}, "f:labels": {".": {}}}, "f:data": {}}),
        vec![
            json!({"f:spec": {"f:tls": {}}, "f:status": {}}),
            json!({"f:data": {"f:value": {}}}),
        ],
    );
    for (pointer, left) in [
        ("/spec/rules/0/host", None),
        ("/spec/rules", None),
        ("/spec/tls/0/secretName", Some("/spec/tls")),
        ("/spec/tls", Some("/spec/tls")),
        // A map of which we have only that it is there.
        ("/spec/labels/a", Some("/spec/labels/a")),
        ("/spec/labels", None),
        // One whose only key another took.
        ("/data/value", Some("/data/value")),
    ] {
        assert_eq!(
            fields.left_to_others(pointer, &body).as_deref(),
            left,
            "{pointer}"
        );
    }
}

#[test]
fn places_in_a_list_are_taken_out_from_behind() {
    let mut body = json!({"ports": [{"port": 0}, {"port": 1}, {"port": 2}, {"port": 3}]});
    let pointers = ["/ports/0", "/ports/2", "/ports/0/port", "/ports/10"];
    remove_pointers(&mut body, pointers.map(str::to_owned).to_vec());
    assert_eq!(body, json!({"ports": [{"port": 1}, {"port": 3}]}));
}

#[test]
fn what_came_back_is_named_as_people_write_it() {
    let before = ours(json!({"f:data": {"f:a": {}}, "f:spec": {}}));
    let now = ours(json!({
        "f:data": {"f:a": {}, "f:b": {}, ".": {}},
        "f:spec": {"f:ports": {"k:{\"port\":80}": {".": {}, "f:name": {}}}},
    }));
    let beyond: Vec<String> = now.beyond(&before).into_iter().collect();
    assert_eq!(beyond, ["data.b", "spec.ports[{\"port\":80}].name"]);
    assert!(now.beyond(&now).is_empty());
}

#[test]
fn entries_are_joined_and_subtracted_field_by_field() {
    let mut fields =
        json!({"f:data": {"f:a": {}}, "f:spec": {"k:{\"n\":1}": {".": {}, "f:x": {}}}});
    let other = json!({"f:data": {"f:b": {}}, "f:spec": {"k:{\"n\":1}": {"f:y": {}}}});
    let before = fields.clone();
    join(&mut fields, &other);
    assert_eq!(
        fields,
        json!({"f:data": {"f:a": {}, "f:b": {}}, "f:spec": {"k:{\"n\":1}": {".": {}, "f:x": {}, "f:y": {}}}})
    );
    subtract(&mut fields, &before);
    assert_eq!(
        fields,
        json!({"f:data": {"f:b": {}}, "f:spec": {"k:{\"n\":1}": {"f:y": {}}}})
    );
    subtract(&mut fields, &other);
    assert_eq!(fields, json!({}));
    subtract(&mut fields, &other);
    assert_eq!(fields, json!({}));
}

fn object() -> Value {
    json!({
        "metadata": {"labels": {"a.b/c": "1", "a": "2"}, "finalizers": ["x/y", "z"]},
        "spec": {"replicas": 3, "template": {"containers": [
            {"name": "web", "image": "web:1", "ports": [{"port": 80, "protocol": "TCP"}, {"port": 81, "protocol": "TCP"}]},
            {"name": "side]car", "image": "side:1"},
        ]}},
    })
}

#[test]
fn a_conflicts_field_is_found_and_taken_out() {
    for (path, pointer) in [
        (".spec.replicas", "/spec/replicas"),
        (".metadata.labels.a.b/c", "/metadata/labels/a.b~1c"),
        (".metadata.labels.a", "/metadata/labels/a"),
        (
            ".spec.template.containers[name=\"web\"].image",
            "/spec/template/containers/0/image",
        ),
        (
            ".spec.template.containers[name=\"side]car\"].image",
            "/spec/template/containers/1/image",
        ),
        (
            ".spec.template.containers[name=\"web\"].ports[port=81,protocol=\"TCP\"]",
            "/spec/template/containers/0/ports/1",
        ),
        (".metadata.finalizers[=\"z\"]", "/metadata/finalizers/1"),
    ] {
        let (mut by_path, mut by_pointer) = (object(), object());
        assert!(remove_path(&mut by_path, path), "{path}");
        remove_pointer(&mut by_pointer, pointer);
        assert_eq!(by_path, by_pointer, "{path}");
        assert_ne!(by_path, object(), "{path}");
    }
}

#[test]
fn a_path_that_leads_nowhere_changes_nothing() {
    for path in [
        "",
        ".",
        "spec",
        ".spec.paused",
        ".spec.template.containers[name=\"db\"].image",
        ".spec.template.containers[0].image",
        ".spec.replicas[=1]",
        ".spec[",
        ".spec.template.containers[name]",
        ".spec.template.containers[name=web].image",
        "[=1]",
    ] {
        let mut body = object();
        assert!(!remove_path(&mut body, path), "{path}");
        assert_eq!(body, object(), "{path}");
    }
    for pointer in [
        "",
        "/",
        "/spec/paused",
        "/spec/replicas/x",
        "/metadata/finalizers/9",
        "/metadata/finalizers/-",
    ] {
        let mut body = object();
        remove_pointer(&mut body, pointer);
        assert_eq!(body, object(), "{pointer}");
    }
}
