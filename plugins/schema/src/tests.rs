//! What is found in objects of Kubernetes' own and of custom kinds, where, and how it is said. That the API server says the
//! same is shown by the suite `kube_schema`.

use serde_json::{Value, json};
use weir_plugin::tree::MemoryTree;

use super::*;

mod builtin;
mod crds;
mod custom;

/// What is found: code, pointer, message.
fn look(
    objects: &[Value],
    config: &Value,
    files: &[(&str, &str)],
) -> Vec<(String, String, String)> {
    findings(objects, config, files)
        .unwrap()
        .into_iter()
        .map(|f| (f.code, f.path.unwrap_or_default(), f.message))
        .collect()
}

fn findings(
    objects: &[Value],
    config: &Value,
    files: &[(&str, &str)],
) -> Result<Vec<Finding>, Diagnostics> {
    let objects: Vec<Object> = objects
        .iter()
        .map(|object| Object::from_json(object.to_string()).unwrap())
        .collect();
    let params = Params::new("shop", "apps/shop").with_config(config.to_string());
    validate(
        &objects,
        &params,
        &MemoryTree::new(files.iter().map(|(p, t)| (*p, *t))),
    )
}

/// The only finding of one object.
fn only(object: Value) -> (String, String, String) {
    let mut found = look(&[object], &json!({}), &[]);
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

fn nothing(object: Value) {
    assert_eq!(
        look(std::slice::from_ref(&object), &json!({}), &[]),
        [],
        "{object}"
    );
}

#[test]
fn each_check_can_be_a_warning_or_off() {
    let object = json!({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"dta":{}});
    let level = |way: &str| {
        let config = json!({"checks":{"unknown-field": way}});
        findings(std::slice::from_ref(&object), &config, &[])
            .unwrap()
            .first()
            .map(|f| f.level)
    };
    assert_eq!(level("error"), Some(Level::Error));
    assert_eq!(level("warning"), Some(Level::Warning));
    assert_eq!(level("off"), None);
}

#[test]
fn a_config_that_nobody_knows_is_refused() {
    for (config, said) in [
        (
            json!({"checks":{"unknown-feild":"off"}}),
            "did you mean `unknown-field`?",
        ),
        (
            json!({"checks":{"unknown-field":"of"}}),
            "did you mean `off`?",
        ),
        (json!({"crd":[]}), "did you mean `crds`?"),
    ] {
        let error = findings(&[], &config, &[]).unwrap_err().to_string();
        assert!(
            error.contains("bad-config") && error.contains(said),
            "{error}"
        );
    }
}

#[test]
fn another_version_of_the_target_is_said_once() {
    let map = Object::from_json(r#"{"apiVersion":"v1","kind":"ConfigMap"}"#).unwrap();
    let run = |version: &str| {
        let mut params = Params::new("shop", "");
        params.target.kubernetes = version.to_owned();
        validate(&[map.clone(), map.clone()], &params, &MemoryTree::default()).unwrap()
    };
    let own = weir_kubernetes::version();
    assert_eq!(run(own), []);
    assert_eq!(run(&format!("{}.99", own.rsplit_once('.').unwrap().0)), []);
    let found = run("1.20.3");
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].level, found[0].code.as_str()),
        (Level::Info, "other-version")
    );
    assert!(found[0].message.ends_with("the target is 1.20.3"));
}

#[test]
fn more_findings_than_anyone_reads_are_cut() {
    let fields: serde_json::Map<String, Value> =
        (0..500).map(|n| (format!("x{n}"), json!(1))).collect();
    let mut object = json!({"apiVersion":"v1","kind":"ConfigMap"});
    object.as_object_mut().unwrap().extend(fields);
    let found = look(&[object], &json!({}), &[]);
    assert_eq!(found.len(), MOST_FINDINGS + 1);
    assert!(found.last().unwrap().2.starts_with("and 300 more errors"));
}

#[test]
fn a_kind_that_nobody_defines_is_said_once_and_stops_no_app_however_many_there_are() {
    let monitor = |n: usize| json!({"apiVersion":"monitoring.coreos.com/v1","kind":"ServiceMonitor","metadata":{"name":format!("m{n}")}});
    let mut objects: Vec<Value> = (0..500).map(monitor).collect();
    objects.push(json!({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"},"x":1}));
    let found = look(&objects, &json!({}), &[]);
    let codes: Vec<&str> = found.iter().map(|finding| finding.0.as_str()).collect();
    assert_eq!(codes, ["unknown-kind", "unknown-field"]);
}
