//! What is sent for an object, and what is made of the metadata that comes back.

use std::collections::BTreeMap;

use weir_core::live::Owner;
use weir_core::name::MAX_NAME;
use weir_core::object::Origin;

use super::*;

fn claim() -> Claim {
    Claim {
        ledger: "1f00".to_owned(),
        repository: "shop".parse().unwrap(),
        app: "web".parse().unwrap(),
    }
}

/// A config map with this metadata besides its name.
fn map(metadata: Value) -> Object {
    let mut body = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "v"},
    });
    for (key, value) in metadata.as_object().unwrap() {
        body["metadata"][key] = value.clone();
    }
    let origin = Origin {
        path: "a.yaml".to_owned(),
        line: 1,
    };
    Object::new(body, origin).unwrap()
}

fn placed(namespace: Option<&str>) -> ResourceId {
    ResourceId {
        group: String::new(),
        kind: "ConfigMap".to_owned(),
        namespace: namespace.map(|n| n.parse().unwrap()),
        name: "a".to_owned(),
    }
}

/// What is sent for a config map with this metadata, placed in `prod`, when nothing has to hold.
fn sent(metadata: Value) -> Value {
    to_apply(
        &claim(),
        &map(metadata).body(),
        &placed(Some("prod")),
        Precondition::default(),
    )
}

#[test]
fn an_object_is_sent_as_rendered_with_whose_it_is() {
    assert_eq!(
        sent(json!({"namespace": "prod"})),
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "data": {"k": "v"},
            "metadata": {
                "name": "a",
                "namespace": "prod",
                "annotations": {"weir.dev/owner": "1f00/shop/web:/ConfigMap/prod/a"},
                "labels": {"weir.dev/app": "web", "weir.dev/repository": "shop"},
            },
        })
    );
}

#[test]
fn what_is_sent_is_read_back_as_ours() {
    for namespace in [None, Some("prod")] {
        let id = placed(namespace);
        let body = to_apply(
            &claim(),
            &map(json!({})).body(),
            &id,
            Precondition::default(),
        );
        let metadata: ObjectMeta = serde_json::from_value(body["metadata"].clone()).unwrap();
        assert_eq!(seen(&claim(), &id, &metadata).owner, Owner::Us);
    }
}

#[test]
fn labels_and_annotations_that_are_there_stay_and_are_never_ours_to_claim() {
    let body = sent(json!({
        "labels": {"tier": "front", "weir.dev/app": "other"},
        "annotations": {"note": "x", "weir.dev/owner": "2e11/blog/web:/ConfigMap/prod/a"},
    }));
    assert_eq!(
        body["metadata"]["labels"],
        json!({"tier": "front", "weir.dev/app": "web", "weir.dev/repository": "shop"})
    );
    assert_eq!(
        body["metadata"]["annotations"],
        json!({"note": "x", "weir.dev/owner": "1f00/shop/web:/ConfigMap/prod/a"})
    );
}

#[test]
fn an_empty_entry_counts_as_none_and_a_wrong_one_is_left_for_the_server_to_refuse() {
    let body = sent(json!({"labels": null, "annotations": null}));
    assert_eq!(body["metadata"]["labels"]["weir.dev/app"], "web");
    assert!(body["metadata"]["annotations"]["weir.dev/owner"].is_string());
    for wrong in [json!("front"), json!(["front"]), json!(1), json!(false)] {
        let body = sent(json!({"labels": wrong, "annotations": wrong}));
        assert_eq!(body["metadata"]["labels"], wrong);
        assert_eq!(body["metadata"]["annotations"], wrong);
    }
}

#[test]
fn the_longest_names_still_make_labels_that_kubernetes_takes() {
    let claim = Claim {
        repository: "r".repeat(MAX_NAME).parse().unwrap(),
        app: "a".repeat(MAX_NAME).parse().unwrap(),
        ..claim()
    };
    let body = to_apply(
        &claim,
        &map(json!({})).body(),
        &placed(None),
        Precondition::default(),
    );
    // The limit of a label's value, by Kubernetes' own rule.
    for label in [APP_LABEL, REPOSITORY_LABEL] {
        assert_eq!(
            body["metadata"]["labels"][label].as_str().map(str::len),
            Some(63)
        );
    }
}

#[test]
fn the_namespace_is_where_the_cluster_has_the_object() {
    let namespace = |rendered: Value, placed_in: Option<&str>| {
        let id = placed(placed_in);
        let body = to_apply(
            &claim(),
            &map(rendered).body(),
            &id,
            Precondition::default(),
        );
        let owner = body["metadata"]["annotations"]["weir.dev/owner"].clone();
        assert_eq!(owner, claim().on(&id), "the owner names the place");
        body["metadata"].get("namespace").cloned()
    };
    assert_eq!(
        namespace(json!({}), Some("default")),
        Some(json!("default"))
    );
    assert_eq!(
        namespace(json!({"namespace": "prod"}), Some("prod")),
        Some(json!("prod"))
    );
    assert_eq!(
        namespace(json!({"namespace": "prod"}), None),
        None,
        "a kind without namespaces"
    );
}

#[test]
fn what_only_the_server_says_is_not_sent() {
    let origin = Origin {
        path: "a.yaml".to_owned(),
        line: 1,
    };
    let copied = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "status": {"phase": "Active"},
        "metadata": {
            "name": "a", "namespace": "prod", "finalizers": ["example.com/f"],
            "uid": "u", "resourceVersion": "7", "generation": 3, "selfLink": "/x",
            "creationTimestamp": "2026-01-01T00:00:00Z", "managedFields": [{"manager": "kubectl"}],
            "deletionTimestamp": "2026-01-01T00:00:00Z", "deletionGracePeriodSeconds": 30,
        },
    });
    let object = Object::new(copied, origin).unwrap();
    let body = to_apply(
        &claim(),
        &object.body(),
        &placed(Some("prod")),
        Precondition::default(),
    );
    let keys: Vec<&String> = body["metadata"].as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        ["annotations", "finalizers", "labels", "name", "namespace"]
    );
    assert!(body.get("status").is_none());
}

#[test]
fn a_precondition_travels_as_uid_and_resource_version_and_never_comes_from_the_repository() {
    let (uid, version) = (Uid("u-1".into()), Version("41".to_owned()));
    let object = map(json!({"uid": "theirs", "resourceVersion": "1"}));
    let sent = |uid, version| {
        let body = to_apply(
            &claim(),
            &object.body(),
            &placed(None),
            Precondition { uid, version },
        );
        let field = |field: &str| {
            body["metadata"]
                .get(field)
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        (field("uid"), field("resourceVersion"))
    };
    let text = |s: &str| Some(s.to_owned());
    assert_eq!(sent(None, None), (None, None));
    assert_eq!(sent(Some(&uid), None), (text("u-1"), None));
    assert_eq!(sent(Some(&uid), Some(&version)), (text("u-1"), text("41")));
}

/// One entry of the managed fields, as the server writes it.
fn entry(manager: &str, operation: &str, field: &str) -> Value {
    json!({
        "manager": manager, "operation": operation, "apiVersion": "v1", "time": "2026-01-01T00:00:00Z",
        "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {field: {}}},
    })
}

fn metadata(managed: Value) -> ObjectMeta {
    serde_json::from_value(json!({
        "name": "a", "namespace": "prod", "uid": "u-1", "resourceVersion": "7", "managedFields": managed,
    }))
    .unwrap()
}

#[test]
fn a_mark_stays_while_only_others_fields_change() {
    let ours = entry("weir", "Apply", "f:k");
    let before = mark(&metadata(json!([ours])));
    for others in [
        json!([entry("kubectl-edit", "Update", "f:x"), ours]),
        json!([ours, entry("kube-controller-manager", "Update", "f:y")]),
        json!([entry("weir", "Update", "f:z"), ours]),
        json!([{"manager": "weir", "operation": "Apply", "subresource": "status", "apiVersion": "v1"}, ours]),
    ] {
        let mut metadata = metadata(others.clone());
        metadata.resource_version = Some("8".to_owned());
        assert_eq!(mark(&metadata), before, "{others}");
    }
}

#[test]
fn a_mark_changes_with_our_fields_their_time_their_version_and_with_the_object() {
    let ours = entry("weir", "Apply", "f:k");
    let before = mark(&metadata(json!([ours])));
    let with = |key: &str, value: Value| {
        let mut changed = ours.clone();
        changed[key] = value;
        mark(&metadata(json!([changed])))
    };
    let anew = ObjectMeta {
        uid: Some("u-2".to_owned()),
        ..metadata(json!([ours]))
    };
    for (what, after) in [
        ("a field was taken", with("fieldsV1", json!({"f:data": {}}))),
        ("another time", with("time", json!("2026-01-01T00:00:01Z"))),
        ("another version", with("apiVersion", json!("v2"))),
        ("all fields were taken", mark(&metadata(json!([])))),
        ("it was made anew", mark(&anew)),
    ] {
        assert_ne!(after, before, "{what}");
    }
}

#[test]
fn metadata_without_anything_is_nobodys_and_has_a_mark() {
    let seen = seen(&claim(), &placed(Some("prod")), &ObjectMeta::default());
    assert_eq!(seen.owner, Owner::Nobody);
    assert_eq!((seen.version, seen.leaving), (Version(String::new()), None));
    assert_eq!(seen.mark, mark(&ObjectMeta::default()));
    assert_eq!(seen.mark.uid, None);
}

#[test]
fn whose_an_object_is_is_read_from_its_annotation_and_for_its_own_place_only() {
    let owner = |annotation: &str, namespace: &str| {
        let annotations = BTreeMap::from([(ANNOTATION.to_owned(), annotation.to_owned())]);
        let metadata = ObjectMeta {
            annotations: Some(annotations),
            ..ObjectMeta::default()
        };
        seen(&claim(), &placed(Some(namespace)), &metadata).owner
    };
    let ours = claim().on(&placed(Some("prod")));
    assert_eq!(owner(&ours, "prod"), Owner::Us);
    assert_eq!(owner(&ours, "test"), Owner::Nobody);
    assert!(matches!(owner("yes", "prod"), Owner::Foreign(_)));
}

#[test]
fn an_object_that_is_being_deleted_says_what_that_waits_for() {
    let leaving = |metadata: Value| {
        let metadata: ObjectMeta = serde_json::from_value(metadata).unwrap();
        seen(&claim(), &placed(None), &metadata).leaving
    };
    let at = "2026-01-01T00:00:00Z";
    assert_eq!(
        leaving(json!({"finalizers": ["a/b"]})),
        None,
        "it is not being deleted"
    );
    for (metadata, expected) in [
        (json!({"deletionTimestamp": at}), "its grace period"),
        (
            json!({"deletionTimestamp": at, "finalizers": []}),
            "its grace period",
        ),
        (
            json!({"deletionTimestamp": at, "finalizers": ["a/b", "c/d"]}),
            "its finalizers: a/b, c/d",
        ),
    ] {
        assert_eq!(leaving(metadata).as_deref(), Some(expected));
    }
}

#[test]
fn what_was_written_is_the_rendered_content_and_the_answers_mark() {
    let object = map(json!({}));
    let answer = PartialObjectMeta::<()> {
        metadata: metadata(json!([entry("weir", "Apply", "f:k")])),
        ..Default::default()
    };
    let left = written(&object, &answer);
    assert_eq!(left.content, object.digest());
    assert_eq!(left.mark, mark(&answer.metadata));
}
