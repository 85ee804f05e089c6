//! What `weir schema` prints, held against the files that Weir reads and writes.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what is wrong by failing"
)]

use std::path::Path;

use serde_json::Value;
use weir_tests::{Repo, Weir};

fn json(weir: &Weir, arguments: &[&str]) -> Value {
    let text = weir.run(arguments).unwrap().success().unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn the_schemas_name_every_key_and_refuse_others() {
    let weir = Weir::new().unwrap();
    for (file, keys) in [
        (
            "manifest",
            &[
                "version",
                "plugins",
                "defaults",
                "targets",
                "externals",
                "apps",
            ][..],
        ),
        ("lock", &["version", "plugins", "targets", "externals"][..]),
    ] {
        let schema = json(&weir, &["schema", file]);
        let named: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
        assert_eq!(named.len(), keys.len(), "{file}: {named:?}");
        for key in keys {
            assert!(schema["properties"].get(key).is_some(), "{file}: {key}");
        }
        assert_eq!(schema["additionalProperties"], false, "{file}");
        assert!(
            schema["required"]
                .as_array()
                .unwrap()
                .contains(&"version".into()),
            "{file}: {schema}"
        );
    }
}

/// Whether a value conforms, by the keywords of JSON Schema draft 7 that the two schemas use.
fn conforms(root: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    let Some(schema) = schema.as_object() else {
        let fits = schema.as_bool() != Some(false);
        return fits.then_some(()).ok_or(format!("{value}: not allowed"));
    };
    let all = |key: &str| schema.get(key).and_then(Value::as_array);
    let fits = |one: &&Value| conforms(root, one, value).is_ok();
    let is = |kind: &Value| match kind.as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_u64() || value.is_i64(),
        Some("null") => value.is_null(),
        _ => panic!("{kind}: a type that this check does not know"),
    };
    for (key, rule) in schema {
        let well = match key.as_str() {
            "$ref" => {
                let to = rule.as_str().unwrap().trim_start_matches('#');
                conforms(root, root.pointer(to).unwrap(), value)?;
                true
            }
            "type" => rule
                .as_array()
                .map_or_else(|| is(rule), |kinds| kinds.iter().any(is)),
            "const" => value == rule,
            "allOf" => all("allOf").unwrap().iter().all(|s| fits(&s)),
            "anyOf" => all("anyOf").unwrap().iter().any(|s| fits(&s)),
            "oneOf" => all("oneOf").unwrap().iter().filter(fits).count() == 1,
            "required" => value.as_object().is_none_or(|v| {
                let named = rule.as_array().unwrap().iter();
                named
                    .into_iter()
                    .all(|k| v.contains_key(k.as_str().unwrap()))
            }),
            "pattern" => {
                assert_eq!(rule, "^(bundled:|file:|oci://).");
                let text = value.as_str().unwrap_or("bundled:x");
                ["bundled:", "file:", "oci://"]
                    .iter()
                    .any(|p| text.len() > p.len() && text.starts_with(p))
            }
            "minimum" => value.as_i64().is_none_or(|v| v >= rule.as_i64().unwrap()),
            "items" => {
                let mut items = value.as_array().into_iter().flatten();
                items.try_for_each(|v| conforms(root, rule, v))?;
                true
            }
            "properties" | "additionalProperties" => {
                let known = schema.get("properties").and_then(Value::as_object);
                for (name, v) in value.as_object().into_iter().flatten() {
                    let own = known.and_then(|k| k.get(name));
                    let extra = (key == "additionalProperties" && own.is_none()).then_some(rule);
                    let rule = if key == "properties" { own } else { extra };
                    conforms(root, rule.unwrap_or(&Value::Bool(true)), v)
                        .map_err(|e| format!("{name}: {e}"))?;
                }
                true
            }
            "$schema" | "definitions" | "description" | "title" | "default" | "format" => true,
            _ => panic!("{key}: a keyword that this check does not know"),
        };
        if !well {
            return Err(format!("{value} breaks {key}: {rule}"));
        }
    }
    Ok(())
}

fn yaml(text: &[u8]) -> Value {
    let nodes = weir_core::yaml::parse(text, &weir_core::yaml::Budget::HOST).unwrap();
    nodes[0].to_json()
}

#[test]
fn the_examples_and_what_lock_writes_conform_to_the_schemas_and_bad_ones_do_not() {
    let weir = Weir::new().unwrap();
    weir.begin_with_engines().unwrap();
    let manifest = json(&weir, &["schema", "manifest"]);
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    for example in ["quickstart", "multi-app"] {
        let dir = examples.join(example);
        let value = yaml(&std::fs::read(dir.join("weir.yaml")).unwrap());
        conforms(&manifest, &manifest, &value).unwrap_or_else(|e| panic!("{example}: {e}"));
        let repo = Repo::from_dir(&dir, &[]).unwrap();
        let path = repo.path();
        weir.run(["lock", "--repo", path.to_str().unwrap()])
            .unwrap()
            .success()
            .unwrap();
        let lock = json(&weir, &["schema", "lock"]);
        let value = yaml(&std::fs::read(repo.path().join("weir.lock")).unwrap());
        conforms(&lock, &lock, &value).unwrap_or_else(|e| panic!("{example}: {e}"));
        assert!(
            conforms(
                &lock,
                &lock,
                &serde_json::json!({ "version": 1, "pins": {} })
            )
            .is_err()
        );
    }
    for bad in [
        "apps: []",
        "{ version: 2, apps: [] }",
        "{ version: 1, apps: [{ name: a, path: a, tagret: {} }] }",
        "{ version: 1, apps: [{ name: a }] }",
        "{ version: 1, apps: [{ name: a, path: a, each: b }] }",
        "{ version: 1, apps: [{ name: a, path: a, remove: never }] }",
        "{ version: 1, apps: [{ name: a, path: [a] }] }",
        "{ version: 1, apps: [], plugins: { p: { source: \"http://x\" } } }",
    ] {
        let result = conforms(&manifest, &manifest, &yaml(bad.as_bytes()));
        assert!(result.is_err(), "{bad} conforms");
    }
}
