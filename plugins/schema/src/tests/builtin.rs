//! Objects of Kubernetes' own kinds.

use super::*;

fn deployment(spec: Value) -> Value {
    json!({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},"spec":spec})
}

/// A Deployment that is sound but for its container.
fn container(more: Value) -> Value {
    let mut container = json!({"name":"app"});
    container
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    deployment(json!({"selector":{},"template":{"spec":{"containers":[container]}}}))
}

const CONTAINER: &str = "/spec/template/spec/containers/0";

#[test]
fn sound_objects_pass() {
    nothing(container(json!({
        "image":"web:1","args":["a"],"env":[{"name":"A","value":"1"},{"name":"B","valueFrom":{"fieldRef":{"fieldPath":"x"}}}],
        "ports":[{"containerPort":80},{"containerPort":80,"protocol":"UDP"}],
        "resources":{"limits":{"memory":"1Gi","cpu":1,"x":0.5},"requests":{"cpu":"500m","y":"1e3"}},
        "livenessProbe":{"httpGet":{"port":"http"},"periodSeconds":5},"imagePullPolicy":"Always",
        "securityContext":{"runAsUser":4294967296_i64}
    })));
    nothing(
        json!({"apiVersion":"v1","kind":"Secret","metadata":{"name":"s","creationTimestamp":null},"data":{"a":"YQ=="},"stringData":{"b":"c"}}),
    );
    nothing(
        json!({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"s","labels":null,"creationTimestamp":"2026-01-31T12:00:00.5+01:00"},"data":null}),
    );
    nothing(
        json!({"apiVersion":"policy/v1","kind":"PodDisruptionBudget","metadata":{"name":"p"},"spec":{"minAvailable":"50%"}}),
    );
    nothing(
        json!({"apiVersion":"v1","kind":"Service","metadata":{"name":"s"},"spec":{"ports":[{"port":80,"targetPort":"http"}],"type":""}}),
    );
}

#[test]
fn an_unknown_field_is_found_with_the_nearest_name() {
    let (code, at, message) = only(container(json!({"imagePullPolice":"Always"})));
    assert_eq!(
        (code.as_str(), at),
        ("unknown-field", format!("{CONTAINER}/imagePullPolice"))
    );
    assert_eq!(
        message,
        "Deployment web: containers[0] has no field `imagePullPolice`; did you mean `imagePullPolicy`?"
    );
    let (_, at, message) =
        only(json!({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"spec":{}}));
    assert_eq!(at, "/spec");
    assert!(
        message.contains("ConfigMap has no field `spec`; it has: apiVersion, binaryData, data"),
        "{message}"
    );
    let (_, at, _) =
        only(json!({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","label":{}}}));
    assert_eq!(at, "/metadata/label");
    // By its case, too, as the API server has it.
    let (_, _, message) = only(container(json!({"Image":"a"})));
    assert!(message.contains("did you mean `image`?"), "{message}");
}

#[test]
fn a_wrong_type_says_what_is_there_and_what_must_be() {
    for (field, value, said) in [
        ("args", json!("a"), "args is text, and must be a list"),
        (
            "args",
            json!([1]),
            "args[0] is the number 1, and must be text; put it in quotes",
        ),
        (
            "tty",
            json!("true"),
            "tty is text, and must be true or false; take the quotes away",
        ),
        (
            "image",
            json!(true),
            "image is the boolean true, and must be text; put it in quotes",
        ),
        (
            "resources",
            json!([]),
            "resources is a list, and must be a map",
        ),
        (
            "securityContext",
            json!({"runAsUser":"7"}),
            "runAsUser is text, and must be a whole number; take the quotes away",
        ),
        (
            "securityContext",
            json!({"runAsUser":1.5}),
            "runAsUser is the number 1.5, and must be a whole number",
        ),
        (
            "livenessProbe",
            json!({"httpGet":{"port":true}}),
            "port is the boolean true, and must be a whole number or text",
        ),
        (
            "livenessProbe",
            json!({"httpGet":{"port":1.5}}),
            "must be a whole number or text",
        ),
        (
            "resources",
            json!({"limits":{"cpu":true}}),
            "must be a quantity such as 500m or 1Gi",
        ),
        ("resources", json!({"limits":{"cpu":{}}}), "cpu is a map"),
        ("env", json!({"A":"1"}), "env is a map, and must be a list"),
        ("env", json!(["A=1"]), "env[0] is text, and must be a map"),
    ] {
        let (code, at, message) = only(container(json!({ field: value })));
        assert_eq!(code, "wrong-type", "{message}");
        assert!(at.starts_with(&format!("{CONTAINER}/{field}")), "{at}");
        assert!(message.contains(said), "{message}");
    }
    let (_, at, message) =
        only(json!({"apiVersion":"v1","kind":"ConfigMap","metadata":{"labels":{"a/b":1}}}));
    assert_eq!(at, "/metadata/labels/a~1b");
    assert!(message.contains("put it in quotes"), "{message}");
}

#[test]
fn a_bad_value_says_which_are_good() {
    for (field, value, said) in [
        (
            "imagePullPolicy",
            json!("always"),
            "did you mean `Always`? It is one of: Always, IfNotPresent, Never",
        ),
        (
            "terminationMessagePolicy",
            json!("x"),
            "it must be one of: FallbackToLogsOnError, File",
        ),
        (
            "resources",
            json!({"limits":{"memory":"1GB"}}),
            "it is no quantity",
        ),
        (
            "resources",
            json!({"limits":{"memory":"one"}}),
            "it is no quantity",
        ),
        (
            "resources",
            json!({"limits":{"memory":"1.2.3"}}),
            "it is no quantity",
        ),
        (
            "ports",
            json!([{"containerPort":3_000_000_000_u64}]),
            "it does not fit into 32 bits",
        ),
        (
            "securityContext",
            json!({"runAsUser":u64::MAX}),
            "it does not fit into 64 bits",
        ),
    ] {
        let (code, at, message) = only(container(json!({ field: value })));
        assert_eq!(code, "bad-value", "{message}");
        assert!(
            at.starts_with(&format!("{CONTAINER}/{field}")) && message.contains(said),
            "{message}"
        );
    }
    let (code, at, _) = only(json!({"apiVersion":"v1","kind":"Secret","data":{"a":"plain text"}}));
    assert_eq!((code.as_str(), at.as_str()), ("bad-value", "/data/a"));
    for time in [
        "2026-01-31",
        "2026-02-30T00:00:00Z",
        "2026-01-31T24:00:00Z",
        "2026-01-31T12:00:00",
        "2026-01-31 12:00:00Z",
        "",
    ] {
        let (code, at, _) = only(
            json!({"apiVersion":"v1","kind":"ConfigMap","metadata":{"creationTimestamp":time}}),
        );
        assert_eq!(
            (code.as_str(), at.as_str()),
            ("bad-value", "/metadata/creationTimestamp"),
            "{time}"
        );
    }
}

#[test]
fn a_field_that_is_needed_is_named_at_its_owner() {
    let found = look(&[deployment(json!({"replicas":1}))], &json!({}), &[]);
    let said: Vec<_> = found
        .iter()
        .map(|(code, at, _)| (code.as_str(), at.as_str()))
        .collect();
    assert_eq!(
        said,
        [("missing-field", "/spec"), ("missing-field", "/spec")]
    );
    assert!(
        found[0].2.ends_with("spec needs `selector`")
            && found[1].2.ends_with("spec needs `template`")
    );
    let (_, at, message) = only(container(json!({"name":null})));
    assert_eq!(at, CONTAINER);
    assert!(message.ends_with("containers[0] needs `name`"), "{message}");
    let (code, _, _) = only(json!({"apiVersion":"","kind":"X"}));
    assert_eq!(code, "missing-field");
}

#[test]
fn an_item_that_stands_twice_is_found_by_its_keys() {
    let (code, at, message) = only(container(
        json!({"env":[{"name":"A"},{"name":"B"},{"name":"A","value":"2"}]}),
    ));
    assert_eq!(
        (code.as_str(), at),
        ("duplicate-item", format!("{CONTAINER}/env/2"))
    );
    assert!(
        message.ends_with("env has name \"A\" twice: items 0 and 2"),
        "{message}"
    );
    let (_, at, _) = only(container(
        json!({"ports":[{"containerPort":80},{"containerPort":80,"protocol":"TCP"}]}),
    ));
    assert_eq!(
        at,
        format!("{CONTAINER}/ports/1"),
        "left out, the protocol is TCP"
    );
    let (_, at, _) =
        only(json!({"apiVersion":"v1","kind":"ConfigMap","metadata":{"finalizers":["a","b","a"]}}));
    assert_eq!(at, "/metadata/finalizers/2");
}

#[test]
fn a_kind_that_kubernetes_does_not_have_is_named_with_where_it_is() {
    for (version, kind, said) in [
        (
            "extensions/v1beta1",
            "Deployment",
            "has no Deployment in extensions/v1beta1; it is in apps/v1",
        ),
        ("apps/v1", "Deploymnet", "did you mean Deployment?"),
        ("v2", "Pod", "it is in v1"),
        ("apps/v1", "Zebra", "has no Zebra in apps/v1"),
        (
            "networking.k8s.io/v1beta1",
            "Ingress",
            "it is in networking.k8s.io/v1",
        ),
        ("networking.k8s.io/v1", "Ingres", "did you mean Ingress?"),
    ] {
        let (code, at, message) =
            only(json!({"apiVersion":version,"kind":kind,"metadata":{"name":"x"}}));
        assert_eq!((code.as_str(), at.as_str()), ("no-such-kind", ""));
        assert!(message.contains(said), "{message}");
    }
}

#[test]
fn a_crd_is_checked_itself_with_the_schemas_inside_it() {
    let crd = |schema: Value| {
        json!({"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"things.x.y"},
            "spec":{"group":"x.y","scope":"Namespaced","names":{"kind":"Thing","plural":"things"},
                "versions":[{"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":schema}}]}})
    };
    nothing(crd(
        json!({"type":"object","properties":{"a":{"type":"array","items":{"type":"string","default":"x"}},"b":{"additionalProperties":true}}}),
    ));
    let inside = "/spec/versions/0/schema/openAPIV3Schema/properties";
    for (schema, at) in [
        (json!({"properties":{"a":{"tpye":"string"}}}), "/a/tpye"),
        (
            json!({"properties":{"a":{"items":{"tpye":"string"}}}}),
            "/a/items/tpye",
        ),
        (
            json!({"properties":{"a":{"additionalProperties":{"tpye":"x"}}}}),
            "/a/additionalProperties/tpye",
        ),
        (
            json!({"properties":{"a":{"additionalProperties":"x"}}}),
            "/a/additionalProperties",
        ),
    ] {
        let (_, found, _) = only(crd(schema));
        assert_eq!(found, format!("{inside}{at}"));
    }
}

#[test]
fn odd_shapes_are_no_panic() {
    for spec in [
        json!(7),
        json!([]),
        json!(null),
        json!({"template":7,"selector":[]}),
        json!({"":{}}),
    ] {
        look(&[deployment(spec)], &json!({}), &[]);
    }
    look(
        &[
            json!({"apiVersion":7,"kind":null}),
            json!({}),
            json!({"apiVersion":"/","kind":"/"}),
        ],
        &json!({}),
        &[],
    );
}
