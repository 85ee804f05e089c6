//! What each kind of patch does, for which objects, and how what is wrong is told.

use serde_json::json;
use weir_plugin::tree::MemoryTree;

use super::*;

mod merging;
mod operations;

const DEPLOYMENT: &str = r#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web","labels":{"tier":"web"}},
    "spec":{"replicas":1,"template":{"spec":{"containers":[
        {"name":"app","image":"web:1","args":["-a"],"env":[{"name":"A","value":"1"}],"ports":[{"containerPort":80}]},
        {"name":"side","image":"side:1"}]}}}}"#;
const MAP: &str =
    r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"settings"},"data":{"a":"1"}}"#;

fn run(config: Value, files: &[(&str, &str)]) -> Result<Vec<Value>, String> {
    let objects = [DEPLOYMENT, MAP].map(|json| Object::from_json(json).unwrap());
    let params = Params::new("shop", "apps/shop").with_config(config.to_string());
    let tree = MemoryTree::new(files.iter().map(|(path, text)| (*path, *text)));
    let objects = transform(objects.to_vec(), &params, &tree).map_err(|error| error.to_string())?;
    Ok(objects.into_iter().map(Value::from).collect())
}

/// The Deployment after one patch.
fn patched(patch: Value) -> Value {
    run(json!({ "patches": [patch] }), &[]).unwrap().remove(0)
}

fn refused(patch: Value) -> String {
    run(json!({ "patches": [patch] }), &[]).unwrap_err()
}

#[test]
fn a_merge_patch_is_for_the_object_that_it_names() {
    let out = run(
        json!({"patches":[{"merge":{"kind":"ConfigMap","metadata":{"name":"settings"},"data":{"a":"2","b":"3"}}}]}),
        &[],
    )
    .unwrap();
    assert_eq!(out[1]["data"], json!({"a":"2","b":"3"}));
    assert_eq!(out[0], serde_json::from_str::<Value>(DEPLOYMENT).unwrap());
}

#[test]
fn with_a_selector_a_merge_patch_changes_no_identity() {
    let merge = json!({"apiVersion":"v9","kind":"Any","metadata":{"name":"any","namespace":"n","labels":{"x":"y"}}});
    for select in [
        json!({"kinds":["Deployment"]}),
        json!({"labels":{"tier":"web"}}),
        json!({"names":["web"]}),
    ] {
        let out = patched(json!({"select": select, "merge": merge}));
        assert_eq!(
            out["metadata"],
            json!({"name":"web","labels":{"tier":"web","x":"y"}})
        );
        assert_eq!(
            (&out["kind"], &out["apiVersion"]),
            (&json!("Deployment"), &json!("apps/v1"))
        );
    }
}

#[test]
fn a_namespace_in_a_patch_is_that_of_the_object_or_of_the_app() {
    let config = json!({"patches":[{"merge":{"kind":"ConfigMap","metadata":{"name":"settings","namespace":"shop"},"data":{"b":"2"}}}]});
    let run = |namespace: Option<&str>| {
        let mut params = Params::new("shop", "").with_config(config.to_string());
        params.namespace = namespace.map(str::to_owned);
        let objects = vec![Object::from_json(MAP).unwrap()];
        transform(objects, &params, &MemoryTree::default())
    };
    let out = run(Some("shop")).unwrap();
    assert_eq!(out[0].namespace(), None, "a patch moves nothing");
    assert_eq!(out[0].pointer("/data/b"), Some(&json!("2")));
    assert_eq!(
        run(Some("other")).unwrap_err().as_slice()[0].code,
        "patch-unmatched"
    );
    assert!(run(None).is_err());
}

#[test]
fn patches_are_made_in_their_order() {
    let first =
        json!({"select":{"names":["settings"]},"json":[{"op":"add","path":"/data/b","value":"x"}]});
    let second = json!({"select":{"names":["settings"]},"json":[{"op":"replace","path":"/data/b","value":"y"}]});
    let out = run(json!({"patches":[first, second]}), &[]).unwrap();
    assert_eq!(out[1]["data"]["b"], "y");
    let error = run(json!({"patches":[second, first]}), &[]).unwrap_err();
    assert!(error.contains("config.patches[0]"), "{error}");
}

#[test]
fn files_hold_operations_or_objects_to_merge() {
    let files = [
        (
            "apps/shop/ops.yaml",
            "- {op: replace, path: /spec/replicas, value: 3}\n",
        ),
        (
            "patches/both.yaml",
            "kind: ConfigMap\nmetadata: {name: settings}\ndata: {a: \"2\"}\n---\nkind: Deployment\nmetadata: {name: web}\nspec: {paused: on}\n",
        ),
    ];
    let config = json!({"patches":[
        {"select":{"kinds":["Deployment"]},"file":"ops.yaml"},
        {"file":"/patches/both.yaml"}]});
    let out = run(config, &files).unwrap();
    assert_eq!(out[0]["spec"]["replicas"], 3);
    assert_eq!(out[0]["spec"]["paused"], true, "as Kubernetes reads YAML");
    assert_eq!(out[1]["data"]["a"], "2");
}

#[test]
fn what_is_wrong_in_a_file_is_said_with_file_and_line() {
    let files = [
        ("apps/shop/none.yaml", "# nothing\n"),
        ("apps/shop/text.yaml", "\n\nonly text\n"),
        (
            "apps/shop/word.yaml",
            "- {op: replace, path: /a, value: 1}\n- {op: replce, path: /a}\n",
        ),
        ("apps/shop/value.yaml", "- {op: replace, path: /a}\n"),
        ("apps/shop/broken.yaml", "a: [\n"),
        ("apps/shop/who.yaml", "---\nspec: {}\n"),
        (
            "apps/shop/gone.yaml",
            "kind: Secret\nmetadata: {name: gone}\n",
        ),
        ("apps/shop/odd.yaml", "kind: [x]\n"),
    ];
    for (file, said) in [
        (
            "none.yaml",
            "apps/shop/none.yaml: bad-patch: the file holds no patch",
        ),
        (
            "text.yaml",
            "apps/shop/text.yaml:3: bad-patch: config.patches[0]: a patch is a list",
        ),
        (
            "word.yaml",
            "apps/shop/word.yaml:1: bad-patch: config.patches[0]: operation [1]",
        ),
        ("value.yaml", "missing field `value`"),
        ("broken.yaml", "apps/shop/broken.yaml:"),
        (
            "who.yaml",
            "apps/shop/who.yaml:2: bad-patch: config.patches[0]: it is not said which object it is for",
        ),
        (
            "gone.yaml",
            "apps/shop/gone.yaml:1: patch-unmatched: config.patches[0]: there is no Secret gone in the render",
        ),
        ("odd.yaml", "`kind` must be text"),
        ("missing.yaml", "apps/shop/missing.yaml: no-such-path"),
        ("../../../x.yaml", "leads out of the repository"),
    ] {
        let select = file.contains("word") || file.contains("value");
        let mut patch = json!({ "file": file });
        if select {
            patch["select"] = json!({});
        }
        let error = run(json!({ "patches": [patch] }), &files).unwrap_err();
        assert!(error.contains(said), "{file}: {error}");
    }
}

#[test]
fn a_patch_for_no_object_is_an_error_unless_said_otherwise() {
    let patch = json!({"select":{"kinds":["Secret"]},"merge":{"data":{}}});
    let error = run(json!({ "patches": [patch] }), &[]).unwrap_err();
    assert!(
        error.contains("patch-unmatched: config.patches[0]: no object is as its `select` says"),
        "{error}"
    );
    for way in ["warning", "ignore"] {
        let out = run(json!({ "patches": [patch], "unmatched": way }), &[]).unwrap();
        assert_eq!(out.len(), 2);
    }
}

#[test]
fn a_config_that_does_not_say_one_thing_is_refused() {
    for (patch, said) in [
        (json!({}), "exactly one of `json`"),
        (
            json!({"select":{},"json":[],"merge":{}}),
            "exactly one of `json`",
        ),
        (json!({"json":[]}), "add `select`"),
        (
            json!({"merge":{"spec":{}}}),
            "give the patch `kind` and `metadata.name`",
        ),
        (json!({"slect":{}}), "unknown field `slect`"),
        (
            json!({"select":{"kind":["x"]},"merge":{}}),
            "did you mean `kinds`?",
        ),
        (json!({"select":{},"merge":[]}), "invalid type"),
    ] {
        let error = refused(patch.clone());
        assert!(
            error.contains("patches[0]") && error.contains(said),
            "{patch}: {error}"
        );
    }
    let error = run(json!({"unmatched":"warn"}), &[]).unwrap_err();
    assert!(error.contains("did you mean `warning`?"), "{error}");
}

#[test]
fn without_patches_objects_go_through() {
    assert_eq!(run(json!({}), &[]).unwrap().len(), 2);
}
