//! The operations of RFC 6902, and the refusals that it asks for.

use super::*;

fn operate(operations: Value) -> Value {
    patched(json!({"select":{"kinds":["Deployment"]},"json":operations}))
}

fn fails(operations: Value) -> String {
    refused(json!({"select":{"kinds":["Deployment"]},"json":operations}))
}

#[test]
fn each_operation_does_what_the_rfc_says() {
    let out = operate(json!([
        {"op":"add","path":"/metadata/annotations","value":{"a/b":"c"}},
        {"op":"replace","path":"/metadata/annotations/a~1b","value":"d"},
        {"op":"test","path":"/spec/replicas","value":1.0},
        {"op":"remove","path":"/spec/replicas"},
        {"op":"copy","from":"/metadata/name","path":"/metadata/labels/name"},
        {"op":"move","from":"/metadata/labels/tier","path":"/metadata/labels/level"},
        {"op":"add","path":"/spec/template/spec/containers/0/args/-","value":"-z"},
        {"op":"add","path":"/spec/template/spec/containers/0/args/0","value":"-0"},
        {"op":"remove","path":"/spec/template/spec/containers/1"}
    ]));
    assert_eq!(out["metadata"]["annotations"], json!({"a/b":"d"}));
    assert_eq!(
        out["metadata"]["labels"],
        json!({"name":"web","level":"web"})
    );
    assert_eq!(out["spec"].get("replicas"), None);
    let containers = &out["spec"]["template"]["spec"]["containers"];
    assert_eq!(containers[0]["args"], json!(["-0", "-a", "-z"]));
    assert_eq!(containers.as_array().unwrap().len(), 1);
}

#[test]
fn add_replaces_what_is_there_and_null_is_a_value() {
    let out = operate(json!([{"op":"add","path":"/spec/replicas","value":null}]));
    assert_eq!(out["spec"]["replicas"], Value::Null);
}

#[test]
fn an_object_that_is_not_as_expected_is_named_with_the_place_and_what_is_there() {
    let containers = "/spec/template/spec/containers";
    for (operation, said) in [
        (
            json!({"op":"replace","path":"/spec/replica","value":1}),
            "there is no \"replica\" in /spec, which has: replicas, template",
        ),
        (
            json!({"op":"remove","path":"/data"}),
            "in the object, which has: apiVersion, kind, metadata, spec",
        ),
        (
            json!({"op":"add","path":"/data/a","value":1}),
            "there is no \"data\"",
        ),
        (
            json!({"op":"remove","path":format!("{containers}/2")}),
            "there is no item \"2\" in /spec/template/spec/containers, a list of 2",
        ),
        (
            json!({"op":"remove","path":format!("{containers}/-")}),
            "no item \"-\"",
        ),
        (
            json!({"op":"remove","path":format!("{containers}/01")}),
            "no item \"01\"",
        ),
        (
            json!({"op":"add","path":format!("{containers}/3"),"value":{}}),
            "give 0 to 2",
        ),
        (
            json!({"op":"add","path":format!("{containers}/x"),"value":{}}),
            "\"x\" is no place",
        ),
        (
            json!({"op":"add","path":"/kind/x","value":{}}),
            "/kind is \"Deployment\", which nothing can be added to",
        ),
        (
            json!({"op":"replace","path":"/kind/x","value":{}}),
            "holds no \"x\"",
        ),
        (
            json!({"op":"test","path":"/spec/replicas","value":2}),
            "it is 1, and 2 was expected",
        ),
        (
            json!({"op":"test","path":"/spec/replicas","value":"1"}),
            "it is 1, and \"1\" was expected",
        ),
        (
            json!({"op":"move","from":"/spec","path":"/spec/template"}),
            "into itself",
        ),
        (
            json!({"op":"copy","from":"/no","path":"/spec"}),
            "there is no \"no\"",
        ),
        (
            json!({"op":"remove","path":""}),
            "the whole object cannot be removed",
        ),
        (
            json!({"op":"replace","path":"","value":[]}),
            "it would no longer be an object",
        ),
    ] {
        let error = fails(json!([{"op":"test","path":"/kind","value":"Deployment"}, operation]));
        assert!(
            error.contains("patch-failed: config.patches[0]: Deployment web: "),
            "{error}"
        );
        assert!(error.contains(said), "{operation}: {error}");
    }
    let error = fails(json!([{"op":"remove","path":"/a~1b"}]));
    assert!(error.contains("operation 0 (remove /a~1b)"), "{error}");
}

#[test]
fn operations_that_say_too_little_or_too_much_are_refused() {
    for (operation, said) in [
        (json!({"op":"add","path":"/a"}), "missing field `value`"),
        (json!({"op":"move","path":"/a"}), "missing field `from`"),
        (json!({"op":"merge","path":"/a"}), "unknown variant `merge`"),
        (json!({"path":"/a"}), "missing field `op`"),
        (
            json!({"op":"remove","path":"/a","vlaue":1}),
            "unknown field `vlaue`",
        ),
        (json!({"op":"remove","path":"spec"}), "it begins with `/`"),
        (
            json!({"op":"remove","path":"/a~2"}),
            "a `~` is written `~0`",
        ),
        (json!({"op":"remove","path":"/a~"}), "a `~` is written `~0`"),
    ] {
        let error = fails(json!([operation]));
        assert!(
            error.contains("bad-config") && error.contains(said),
            "{operation}: {error}"
        );
    }
}

#[test]
fn values_are_the_same_by_what_they_mean() {
    let same = |path: &str, value: Value| operate(json!([{"op":"test","path":path,"value":value}]));
    same("/metadata/labels", json!({"tier":"web"}));
    same(
        "/spec/template/spec/containers/0/ports",
        json!([{"containerPort":80.0}]),
    );
    let error = fails(json!([{"op":"test","path":"/metadata/labels","value":{}}]));
    assert!(
        error.contains("it is {\"tier\":\"web\"}, and {} was expected"),
        "{error}"
    );
}

#[test]
fn large_whole_numbers_that_differ_are_not_the_same() {
    let message = fails(json!([
        {"op":"add","path":"/spec/id","value":9_007_199_254_740_992_u64},
        {"op":"test","path":"/spec/id","value":9_007_199_254_740_993_u64}
    ]));
    assert!(message.contains("operation 1"), "{message}");
    operate(json!([
        {"op":"add","path":"/spec/id","value":5},
        {"op":"test","path":"/spec/id","value":5.0}
    ]));
}

#[test]
fn copies_that_double_an_object_again_and_again_end_at_a_limit() {
    let twice = |n: usize| json!({"op":"copy","from":"/spec","path":format!("/spec/x{n}")});
    let operations: Vec<Value> = (0..40).map(twice).collect();
    let message = fails(json!(operations));
    assert!(message.contains("more than 3 MiB"), "{message}");
    let many = vec![json!({"op":"test","path":"/spec/replicas","value":1}); 10_001];
    let message = fails(json!(many));
    assert!(message.contains("10001 operations"), "{message}");
}
