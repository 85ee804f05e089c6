//! Where the CRD of a custom object is looked for.

use super::*;

const CRD: &str = "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.example.test}
spec:
  group: example.test
  names: {kind: Thing, plural: things}
  scope: Namespaced
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {size: {type: integer}}}}}}}
  - {name: v0, served: false, storage: false, schema: {openAPIV3Schema: {type: object}}}
  - {name: v2, served: true, storage: false}
";

fn thing(version: &str, spec: Value) -> Value {
    json!({"apiVersion":format!("example.test/{version}"),"kind":"Thing","metadata":{"name":"t"},"spec":spec})
}

fn crd() -> Value {
    yaml_of(CRD)
}

fn yaml_of(text: &str) -> Value {
    weir_plugin::yaml::parse("x", text.as_bytes())
        .unwrap()
        .remove(0)
        .value
}

fn bad() -> Value {
    thing("v1", json!({"size":"big"}))
}

const FOUND: &str = "/spec/size";

#[test]
fn a_crd_among_the_apps_objects_is_used_wherever_it_stands() {
    for objects in [[crd(), bad()], [bad(), crd()]] {
        let found = look(&objects, &json!({}), &[]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(
            (found[0].0.as_str(), found[0].1.as_str()),
            ("wrong-type", FOUND)
        );
    }
    assert_eq!(
        look(&[crd(), thing("v1", json!({"size":1}))], &json!({}), &[]),
        []
    );
}

#[test]
fn a_crd_in_a_file_is_found_by_path_and_by_glob() {
    let files = [
        (
            "apps/shop/crds/a.yaml",
            "kind: Other\n---\n# CustomResourceDefinition of a Thing in example.test\nkind: No\n",
        ),
        ("apps/shop/crds/b.yaml", CRD),
        ("vendor/x/crds/c.yaml", CRD),
        ("vendor/readme.md", CRD),
    ];
    for globs in [
        json!(["crds/b.yaml"]),
        json!(["crds/*.yaml"]),
        json!(["./crds/a.yaml", "crds/b.yaml"]),
        json!(["/vendor/**/*.yaml"]),
        json!(["/vendor/*/crds/*"]),
        json!(["../../vendor/x/crds/c.yaml"]),
    ] {
        let found = look(&[bad()], &json!({ "crds": globs }), &files);
        assert_eq!(found.len(), 1, "{globs}: {found:?}");
        assert_eq!(found[0].1, FOUND, "{globs}");
    }
    let found = look(&[bad()], &json!({"crds":["crds/a.yaml"]}), &files);
    assert_eq!(found[0].0, "unknown-kind");
}

#[test]
fn files_are_only_read_where_an_object_needs_them() {
    let config = json!({"crds":["gone.yaml"]});
    let map = json!({"apiVersion":"v1","kind":"ConfigMap"});
    assert_eq!(
        look(&[map, crd(), thing("v1", json!({}))], &config, &[]),
        []
    );
    let error = findings(&[bad()], &config, &[]).unwrap_err().to_string();
    assert!(
        error.contains("apps/shop/gone.yaml: no-such-path"),
        "{error}"
    );
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_with_its_line() {
    let files = [(
        "apps/shop/a.yaml",
        "kind: CustomResourceDefinition\n# example.test Thing\nkind: x\n",
    )];
    let error = findings(&[bad()], &json!({"crds":["a.yaml"]}), &files)
        .unwrap_err()
        .to_string();
    assert!(error.contains("apps/shop/a.yaml:3: bad-yaml"), "{error}");
    for (glob, said) in [
        ("none/*.yaml", "no-such-path"),
        ("*.json", "config.crds[0]: \"*.json\" matches no"),
        ("/../x.yaml", "leads out"),
    ] {
        let error = findings(&[bad()], &json!({ "crds": [glob] }), &files)
            .unwrap_err()
            .to_string();
        assert!(error.contains(said), "{glob}: {error}");
    }
}

#[test]
fn the_apps_own_crd_wins_over_a_file() {
    let other = CRD.replace("type: integer", "type: string");
    let files = [("apps/shop/a.yaml", other.as_str())];
    let config = json!({"crds":["a.yaml"]});
    assert_eq!(look(&[bad()], &config, &files), []);
    assert_eq!(look(&[crd(), bad()], &config, &files).len(), 1);
}

#[test]
fn a_version_that_is_not_served_is_no_kind_and_one_without_a_schema_takes_all() {
    for version in ["v0", "v9"] {
        let found = look(&[crd(), thing(version, json!({}))], &json!({}), &[]);
        assert_eq!(found[0].0, "no-such-kind");
        assert!(
            found[0]
                .2
                .ends_with(&format!("serves no version {version}; it serves: v1, v2")),
            "{}",
            found[0].2
        );
    }
    assert_eq!(
        look(&[crd(), thing("v2", json!({"any":1}))], &json!({}), &[]),
        []
    );
}

#[test]
fn a_kind_without_a_crd_is_a_warning_that_says_what_was_looked_for() {
    let found = findings(&[bad()], &json!({}), &[]).unwrap();
    assert_eq!(
        (found[0].level, found[0].code.as_str()),
        (Level::Warning, "unknown-kind")
    );
    assert!(
        found[0]
            .message
            .contains("no CRD of the app or of `crds` defines Thing there"),
        "{}",
        found[0].message
    );
    let found = findings(&[bad()], &json!({"checks":{"unknown-kind":"error"}}), &[]).unwrap();
    assert_eq!(found[0].level, Level::Error);
}

#[test]
fn odd_crds_are_no_panic() {
    for spec in [
        json!(7),
        json!({}),
        json!({"group":"example.test","names":{"kind":"Thing"},"versions":7}),
        json!({"group":"example.test","names":{"kind":"Thing"},"versions":[7, {"name":"v1","served":true,"schema":7}]}),
    ] {
        let mut odd = crd();
        odd["spec"] = spec;
        look(&[odd, bad()], &json!({}), &[]);
    }
}
