//! What is replaced, what is never touched, and how what is wrong is told.

use serde_json::json;
use weir_plugin::tree::MemoryTree;

use super::*;

fn run(config: Value, objects: &[Value], files: &[(&str, &str)]) -> Result<Vec<Value>, String> {
    let objects = objects
        .iter()
        .map(|o| Object::from_json(o.to_string()).unwrap());
    let params = Params::new("shop", "apps/shop").with_config(config.to_string());
    let tree = MemoryTree::new(files.iter().map(|(path, text)| (*path, *text)));
    let out = transform(objects.collect(), &params, &tree).map_err(|error| error.to_string())?;
    Ok(out.into_iter().map(Value::from).collect())
}

fn object(spec: Value) -> Value {
    json!({"apiVersion":"v1","kind":"Thing","metadata":{"name":"t"},"spec":spec})
}

fn values() -> Value {
    json!({"NAME":"web","COUNT":3,"ON":true,"LIST":[1,"b"],"MAP":{"a":"b"},"RATIO":0.5,"a.b-c_d":"dots","MARKER":"${weir:NAME}"})
}

/// What one text becomes.
fn one(text: &str) -> Value {
    let out = run(json!({ "values": values() }), &[object(json!(text))], &[]).unwrap();
    out[0]["spec"].clone()
}

fn wrong(text: &str) -> String {
    run(
        json!({ "values": values() }),
        &[object(json!({"a/b":[text]}))],
        &[],
    )
    .unwrap_err()
}

#[test]
fn a_marker_that_is_the_whole_value_takes_its_type() {
    assert_eq!(one("${weir:NAME}"), json!("web"));
    assert_eq!(one("${weir:COUNT}"), json!(3));
    assert_eq!(one("${weir:ON}"), json!(true));
    assert_eq!(one("${weir:LIST}"), json!([1, "b"]));
    assert_eq!(one("${weir:MAP}"), json!({"a":"b"}));
    assert_eq!(one("${weir:a.b-c_d}"), json!("dots"));
}

#[test]
fn a_marker_in_a_text_is_text() {
    assert_eq!(
        one("${weir:NAME}-${weir:COUNT}.${weir:ON}/${weir:RATIO}"),
        "web-3.true/0.5"
    );
    assert_eq!(one("${weir:COUNT|text}"), json!("3"));
    assert_eq!(one(" ${weir:COUNT}"), json!(" 3"));
    assert_eq!(one("a\n${weir:NAME}\nb"), "a\nweb\nb");
}

#[test]
fn what_is_no_marker_is_never_touched() {
    for text in [
        "$HOME",
        "${HOME}",
        "${NAME}",
        "$NAME",
        "$(NAME)",
        "{{ .NAME }}",
        "${weir}",
        "${ weir:NAME}",
        "$weir:NAME",
        "${weird:NAME}",
        "#!/bin/sh\nfor x in $@; do echo ${x:-none} ${#x} $$ $((1+1)); done",
        "${WEIR:NAME}",
        "%NAME%",
        "{weir:NAME}",
    ] {
        assert_eq!(one(text), json!(text));
    }
}

#[test]
fn two_dollars_stand_for_the_marker_itself() {
    assert_eq!(one("$${weir:NAME}"), "${weir:NAME}");
    assert_eq!(one("a $${weir:NAME} ${weir:NAME}"), "a ${weir:NAME} web");
    assert_eq!(one("$$${weir:NAME}"), "$${weir:NAME}");
    assert_eq!(one("$${weir:no name"), "${weir:no name");
    assert_eq!(one("$$"), "$$");
}

#[test]
fn what_a_value_holds_is_not_looked_at_again() {
    assert_eq!(one("${weir:MARKER}"), "${weir:NAME}");
    assert_eq!(one("x${weir:MARKER}"), "x${weir:NAME}");
}

#[test]
fn every_place_of_an_object_is_looked_at() {
    let given = json!({"apiVersion":"v1","kind":"Thing","metadata":{"name":"${weir:NAME}","labels":{"a":"${weir:NAME}"}},
        "spec":[{"x":{"y":["${weir:COUNT}"]}}]});
    let out = run(json!({ "values": values() }), &[given], &[]).unwrap();
    assert_eq!(
        out[0]["metadata"],
        json!({"name":"web","labels":{"a":"web"}})
    );
    assert_eq!(out[0]["spec"], json!([{"x":{"y":[3]}}]));
}

#[test]
fn only_selected_objects_are_changed_and_one_can_say_no() {
    let marked = object(json!("${weir:NAME}"));
    let config = json!({"values":values(),"select":{"kinds":["Other"]}});
    assert_eq!(
        run(config, std::slice::from_ref(&marked), &[]).unwrap()[0],
        marked
    );
    let switched = |way: &str| {
        let mut object = marked.clone();
        object["metadata"]["annotations"] = json!({ SWITCH: way });
        run(json!({ "values": values() }), &[object], &[])
    };
    assert_eq!(switched("disabled").unwrap()[0]["spec"], "${weir:NAME}");
    assert_eq!(switched("enabled").unwrap()[0]["spec"], "web");
    let error = switched("off").unwrap_err();
    assert!(
        error.contains("Thing t: the annotation weir.dev/substitute is \"off\""),
        "{error}"
    );
}

#[test]
fn values_come_from_files_too_and_the_config_wins() {
    let files = [
        (
            "apps/shop/values.yaml",
            "A: base\nB: base\nC: base\nPORT: 0x10\n",
        ),
        ("env/prod.yaml", "B: prod\nC: prod\n"),
    ];
    let config = json!({"files":["values.yaml","/env/prod.yaml"],"values":{"C":"config"}});
    let out = run(
        config,
        &[object(json!("${weir:A} ${weir:B} ${weir:C} ${weir:PORT}"))],
        &files,
    )
    .unwrap();
    assert_eq!(out[0]["spec"], "base prod config 16");
}

#[test]
fn a_name_that_nobody_gave_is_an_error_with_object_place_and_the_nearest() {
    let error = wrong("x ${weir:NAMES} y");
    assert!(
        error.starts_with(
            "unknown-value: Thing t: /spec/a~1b/0: there is no value `NAMES`: did you mean `NAME`?"
        ),
        "{error}"
    );
    let error = wrong("${weir:SOMETHING}");
    assert!(error.contains("add it to `values` or a file"), "{error}");
}

#[test]
fn a_marker_that_is_none_is_an_error_with_object_and_place() {
    for (text, said) in [
        ("${weir:NAME", "without its `}`"),
        ("${weir:}", "names no value"),
        ("${weir:A B}", "names no value"),
        ("${weir:1A}", "names no value"),
        ("${weir:NAME|number}", "only `text` is known"),
        ("${weir:${weir:NAME}}", "names no value"),
        ("${weir: NAME}", "names no value"),
    ] {
        let error = wrong(text);
        assert!(
            error.starts_with("bad-marker: Thing t: /spec/a~1b/0: ") && error.contains(said),
            "{text}: {error}"
        );
    }
    for text in ["a${weir:LIST}", "${weir:MAP|text}"] {
        let error = wrong(text);
        assert!(
            error.starts_with("not-text: Thing t: /spec/a~1b/0: ")
                && error.contains("can only stand alone"),
            "{error}"
        );
    }
    let key = object(json!({"${weir:NAME}":1}));
    let error = run(json!({ "values": values() }), &[key], &[]).unwrap_err();
    assert!(
        error.contains("bad-marker: Thing t: /spec/${weir:NAME}: a marker in a key"),
        "{error}"
    );
}

#[test]
fn all_mistakes_are_said_at_once_up_to_a_bound() {
    let spec: Vec<String> = (0..30).map(|n| format!("${{weir:X{n}}}")).collect();
    let error = run(json!({}), &[object(json!(spec))], &[]).unwrap_err();
    assert_eq!(error.matches("there is no value").count(), MOST_SAID);
    assert!(error.ends_with("and 10 more"), "{error}");
}

#[test]
fn values_that_are_none_are_refused_where_they_stand() {
    for (config, said) in [
        (
            json!({"values":{"A B":1}}),
            "bad-config: config.values: \"A B\" is no name",
        ),
        (
            json!({"values":{"A":null}}),
            "bad-config: config.values: `A` is null",
        ),
        (json!({"value":{}}), "did you mean `values`?"),
        (
            json!({"files":["list.yaml"]}),
            "apps/shop/list.yaml:1: bad-values: a file of values is a map",
        ),
        (
            json!({"files":["name.yaml"]}),
            "apps/shop/name.yaml:2: bad-values: \"1\" is no name",
        ),
        (
            json!({"files":["null.yaml"]}),
            "apps/shop/null.yaml:1: bad-values: `A` is null",
        ),
        (
            json!({"files":["broken.yaml"]}),
            "apps/shop/broken.yaml:2: bad-yaml",
        ),
        (
            json!({"files":["gone.yaml"]}),
            "apps/shop/gone.yaml: no-such-path",
        ),
        (json!({"files":["/../x"]}), "leads out of the repository"),
    ] {
        let files = [
            ("apps/shop/list.yaml", "- a\n"),
            ("apps/shop/name.yaml", "\n1: a\n"),
            ("apps/shop/null.yaml", "A:\n"),
            ("apps/shop/broken.yaml", "A: 1\nA: 2\n"),
        ];
        let error = run(config.clone(), &[], &files).unwrap_err();
        assert!(error.contains(said), "{config}: {error}");
    }
}
