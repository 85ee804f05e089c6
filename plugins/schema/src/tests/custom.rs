//! Structural schemas of CRDs.

use super::*;

/// What is found in `spec`, whose schema is given.
fn check(schema: Value, spec: Value) -> Vec<(String, String, String)> {
    let root = json!({"type":"object","properties":{"spec":schema}});
    check_whole(root, json!({ "spec": spec }))
}

fn check_whole(schema: Value, more: Value) -> Vec<(String, String, String)> {
    let crd = json!({"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"t"},
        "spec":{"group":"x.y","scope":"Cluster","names":{"kind":"Thing","plural":"things"},
            "versions":[{"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":schema}}]}});
    let mut object = json!({"apiVersion":"x.y/v1","kind":"Thing","metadata":{"name":"t"}});
    object
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    look(&[crd, object], &json!({}), &[])
}

fn passes(schema: Value, spec: Value) {
    assert_eq!(check(schema.clone(), spec.clone()), [], "{schema} {spec}");
}

/// Exactly one finding, of this code, at this place, with these words.
fn finds(schema: Value, spec: Value, code: &str, at: &str, said: &str) {
    let found = check(schema.clone(), spec.clone());
    assert_eq!(found.len(), 1, "{schema} {spec}: {found:?}");
    assert_eq!(
        (found[0].0.as_str(), found[0].1.as_str()),
        (code, at),
        "{found:?}"
    );
    assert!(found[0].2.contains(said), "{}", found[0].2);
}

#[test]
fn a_field_that_the_schema_does_not_name_is_unknown() {
    let schema = json!({"type":"object","properties":{"size":{"type":"integer"},"in":{"type":"object","properties":{"a":{"type":"string"}}}}});
    passes(schema.clone(), json!({"size":1,"in":{"a":"x"}}));
    finds(
        schema.clone(),
        json!({"sise":1}),
        "unknown-field",
        "/spec/sise",
        "did you mean `size`?",
    );
    finds(
        schema.clone(),
        json!({"in":{"b":1}}),
        "unknown-field",
        "/spec/in/b",
        "in has no field `b`",
    );
    let list = json!({"type":"array","items":schema});
    finds(
        list,
        json!([{"size":1},{"x":1}]),
        "unknown-field",
        "/spec/1/x",
        "spec[1] has no field `x`",
    );
    finds(
        json!({"type":"object"}),
        json!({"x":1}),
        "unknown-field",
        "/spec/x",
        "it has none",
    );
    let found = check_whole(json!({"type":"object","properties":{}}), json!({"spek":1}));
    assert_eq!(found[0].1, "/spek");
}

#[test]
fn unknown_fields_are_kept_where_the_schema_says_so_and_named_ones_still_checked() {
    let keep = "x-kubernetes-preserve-unknown-fields";
    let schema = json!({"type":"object",keep:true,"properties":{"a":{"type":"object","properties":{"b":{"type":"string"}}}}});
    passes(schema.clone(), json!({"any":{"thing":[1]},"a":{"b":"x"}}));
    finds(
        schema.clone(),
        json!({"a":{"c":1}}),
        "unknown-field",
        "/spec/a/c",
        "did you mean",
    );
    finds(
        schema,
        json!({"a":{"b":1}}),
        "wrong-type",
        "/spec/a/b",
        "must be text",
    );
    passes(json!({ keep: true }), json!([1, "a", {"b":null}]));
    let map = json!({"type":"object","additionalProperties":{"type":"integer"}});
    passes(map.clone(), json!({"any":1,"other":2}));
    finds(
        map,
        json!({"any":"1"}),
        "wrong-type",
        "/spec/any",
        "take the quotes away",
    );
    passes(
        json!({"type":"object","additionalProperties":true}),
        json!({"any":1}),
    );
}

#[test]
fn types_are_held() {
    for (kind, good, bad) in [
        ("string", json!("a"), json!(1)),
        ("integer", json!(1), json!(1.5)),
        ("integer", json!(1.0), json!("1")),
        ("number", json!(1.5), json!("1.5")),
        ("boolean", json!(true), json!("true")),
        ("array", json!([]), json!({})),
    ] {
        passes(json!({ "type": kind }), good);
        finds(
            json!({ "type": kind }),
            bad,
            "wrong-type",
            "/spec",
            "must be",
        );
    }
    let int_or_string =
        json!({"x-kubernetes-int-or-string":true,"anyOf":[{"type":"integer"},{"type":"string"}]});
    passes(int_or_string.clone(), json!(80));
    passes(int_or_string.clone(), json!("http"));
    finds(
        int_or_string.clone(),
        json!(true),
        "wrong-type",
        "/spec",
        "a whole number or text",
    );
    finds(
        int_or_string,
        json!(1.5),
        "wrong-type",
        "/spec",
        "a whole number or text",
    );
}

#[test]
fn null_is_a_value_only_where_the_schema_takes_it() {
    let schema = |more: Value| {
        let mut field = json!({"type":"string"});
        field
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        json!({"type":"object","properties":{"a":field},"required":["a"]})
    };
    passes(schema(json!({"nullable":true})), json!({"a":null}));
    passes(schema(json!({"default":"x"})), json!({"a":null}));
    passes(schema(json!({"default":"x"})), json!({}));
    finds(
        schema(json!({})),
        json!({"a":null}),
        "wrong-type",
        "/spec/a",
        "a is null, and must be text",
    );
    finds(
        schema(json!({})),
        json!({}),
        "missing-field",
        "/spec",
        "spec needs `a`",
    );
}

/// Each bound: a schema, a value that keeps it, one that breaks it, and what is said of that one.
type Bound = (Value, Value, Value, &'static str);

fn hold(bounds: impl IntoIterator<Item = Bound>) {
    for (schema, good, bad, said) in bounds {
        passes(schema.clone(), good);
        finds(schema, bad, "bad-value", "/spec", said);
    }
}

#[test]
fn bounds_of_texts_are_held() {
    hold([
        (
            json!({"type":"string","enum":["a","b"]}),
            json!("a"),
            json!("A"),
            "did you mean `a`?",
        ),
        (
            json!({"type":"string","minLength":2}),
            json!("äö"),
            json!("ä"),
            "at least 2",
        ),
        (
            json!({"type":"string","maxLength":2}),
            json!("äö"),
            json!("abc"),
            "at most 2",
        ),
        (
            json!({"type":"string","pattern":"^a+$"}),
            json!("aa"),
            json!("ab"),
            "it must match ^a+$",
        ),
        (
            json!({"type":"string","pattern":"b"}),
            json!("abc"),
            json!("ac"),
            "it must match b",
        ),
    ]);
    passes(json!({"type":"string","pattern":"(?<=a)b"}), json!("x"));
}

#[test]
fn bounds_of_numbers_are_held() {
    hold([
        (
            json!({"type":"integer","enum":[1,2]}),
            json!(1),
            json!(3),
            "one of: 1, 2",
        ),
        (
            json!({"type":"integer","minimum":1}),
            json!(1),
            json!(0),
            "at least 1",
        ),
        (
            json!({"type":"integer","minimum":1,"exclusiveMinimum":true}),
            json!(2),
            json!(1),
            "more than 1",
        ),
        (
            json!({"type":"number","maximum":1.5}),
            json!(1.5),
            json!(2),
            "at most 1.5",
        ),
        (
            json!({"type":"number","maximum":1,"exclusiveMaximum":true}),
            json!(0.9),
            json!(1),
            "less than 1",
        ),
        (
            json!({"type":"number","multipleOf":0.1}),
            json!(0.3),
            json!(0.35),
            "a multiple of 0.1",
        ),
        (
            json!({"type":"integer","format":"int32"}),
            json!(1),
            json!(3_000_000_000_u64),
            "its format",
        ),
    ]);
}

#[test]
fn bounds_of_lists_and_maps_are_held() {
    hold([
        (
            json!({"type":"array","items":{"type":"string"},"minItems":1}),
            json!(["a"]),
            json!([]),
            "needs at least 1",
        ),
        (
            json!({"type":"array","items":{"type":"string"},"maxItems":1}),
            json!(["a"]),
            json!(["a", "b"]),
            "at most 1",
        ),
        (
            json!({"type":"object","additionalProperties":true,"minProperties":1}),
            json!({"a":1}),
            json!({}),
            "at least 1",
        ),
        (
            json!({"type":"object","additionalProperties":true,"maxProperties":0}),
            json!({}),
            json!({"a":1}),
            "at most 0",
        ),
    ]);
}

#[test]
fn formats_are_held() {
    hold([
        (
            json!({"type":"string","format":"date-time"}),
            json!("2026-01-31T12:00:00Z"),
            json!("today"),
            "the format date-time",
        ),
        (
            json!({"type":"string","format":"date"}),
            json!("2024-02-29"),
            json!("2023-02-29"),
            "the format date",
        ),
        (
            json!({"type":"string","format":"ipv4"}),
            json!("10.0.0.1"),
            json!("10.0.0.256"),
            "the format ipv4",
        ),
        (
            json!({"type":"string","format":"ipv6"}),
            json!("::1"),
            json!("1"),
            "the format ipv6",
        ),
        (
            json!({"type":"string","format":"byte"}),
            json!("YQ=="),
            json!("a b"),
            "the format byte",
        ),
    ]);
    // As the API server reads them.
    for (format, text) in [
        ("date-time", "2026-01-31t12:00:00z"),
        ("date-time", "2026-01-31T12:00:00+24:00"),
        ("ipv4", "::ffff:10.0.0.1"),
        ("byte", "YWF="),
        ("of-our-own", "x"),
    ] {
        passes(json!({"type":"string","format":format}), json!(text));
    }
}

#[test]
fn lists_that_are_sets_or_maps_hold_nothing_twice() {
    let set = json!({"type":"array","items":{"type":"string"},"x-kubernetes-list-type":"set"});
    passes(set.clone(), json!(["a", "b"]));
    finds(
        set,
        json!(["a", "b", "a"]),
        "duplicate-item",
        "/spec/2",
        "twice: items 0 and 2",
    );
    let map = json!({"type":"array","x-kubernetes-list-type":"map","x-kubernetes-list-map-keys":["name","proto"],
        "items":{"type":"object","required":["name"],"properties":{"name":{"type":"string"},"proto":{"type":"string","default":"TCP"}}}});
    passes(
        map.clone(),
        json!([{"name":"a"},{"name":"a","proto":"UDP"}]),
    );
    finds(
        map,
        json!([{"name":"a"},{"name":"a","proto":"TCP"}]),
        "duplicate-item",
        "/spec/1",
        "name \"a\" and proto \"TCP\"",
    );
}

#[test]
fn junctions_look_at_values() {
    let properties = json!({"a":{"type":"string"},"b":{"type":"string"}});
    let of = |key: &str, ways: Value| json!({"type":"object","properties":properties, key:ways});
    let either = json!([{"required":["a"]},{"required":["b"]}]);
    passes(of("anyOf", either.clone()), json!({"a":"x","b":"y"}));
    finds(
        of("anyOf", either.clone()),
        json!({}),
        "bad-value",
        "/spec",
        "as none of 2 ways have it; of the first: Thing t: spec needs `a`",
    );
    passes(of("oneOf", either.clone()), json!({"b":"y"}));
    finds(
        of("oneOf", either.clone()),
        json!({"a":"x","b":"y"}),
        "bad-value",
        "/spec",
        "as 2 of 2 ways",
    );
    finds(
        of("allOf", either),
        json!({"b":"y"}),
        "missing-field",
        "/spec",
        "needs `a`",
    );
    passes(of("not", json!({"required":["a"]})), json!({"b":"y"}));
    finds(
        of("not", json!({"required":["a"]})),
        json!({"a":"x"}),
        "bad-value",
        "/spec",
        "its CRD excludes",
    );
    let inner = json!([{"properties":{"a":{"enum":["x"]}}}]);
    finds(
        of("allOf", inner),
        json!({"a":"y"}),
        "bad-value",
        "/spec/a",
        "one of: x",
    );
}

#[test]
fn an_embedded_object_is_an_object() {
    let schema = json!({"type":"object","x-kubernetes-embedded-resource":true,"properties":{"spec":{"type":"object"}}});
    passes(
        schema.clone(),
        json!({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{}}),
    );
    finds(
        schema.clone(),
        json!({"kind":"Pod"}),
        "missing-field",
        "/spec",
        "spec needs `apiVersion`",
    );
    finds(
        schema.clone(),
        json!({"apiVersion":"v1","kind":1}),
        "wrong-type",
        "/spec/kind",
        "kind is the number 1",
    );
    finds(
        schema.clone(),
        json!({"apiVersion":"v1","kind":"Pod","metadata":{"lables":{}}}),
        "unknown-field",
        "/spec/metadata/lables",
        "labels",
    );
    finds(
        schema,
        json!({"apiVersion":"v1","kind":"Pod","data":{}}),
        "unknown-field",
        "/spec/data",
        "it has: spec, apiVersion, kind, metadata",
    );
}

#[test]
fn the_metadata_of_a_custom_object_is_kubernetes_own() {
    let schema = json!({"type":"object","properties":{"metadata":{"type":"object","properties":{"name":{"type":"string","maxLength":3}}}}});
    assert_eq!(
        check_whole(
            schema.clone(),
            json!({"metadata":{"name":"abc","labels":{"a":"b"}}})
        ),
        []
    );
    let found = check_whole(schema.clone(), json!({"metadata":{"name":"abcd"}}));
    assert_eq!((found.len(), found[0].1.as_str()), (1, "/metadata/name"));
    let found = check_whole(schema.clone(), json!({"metadata":{"labels":{"a":1}}}));
    assert_eq!(
        (found.len(), found[0].1.as_str()),
        (1, "/metadata/labels/a")
    );
    let found = check_whole(schema, json!({"metadata":{"lables":{}}}));
    assert_eq!((found.len(), found[0].0.as_str()), (1, "unknown-field"));
}

#[test]
fn odd_schemas_are_no_panic() {
    for schema in [
        json!(7),
        json!({"properties":7,"required":7,"enum":7,"allOf":7}),
        json!({"properties":{"a":7},"items":7}),
        json!({"type":7,"pattern":7,"x-kubernetes-list-type":"map"}),
        json!({"type":"string","pattern":"("}),
    ] {
        for spec in [
            json!({"a":1}),
            json!([1, 1]),
            json!("a"),
            json!(1),
            json!(null),
        ] {
            check(schema.clone(), spec);
        }
    }
}
