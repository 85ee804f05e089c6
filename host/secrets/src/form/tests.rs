//! Objects that are encrypted, plain, or neither.

use serde_json::json;

use super::*;
use crate::made_up::{LIMITS, block, mac, object, token};

fn sops() -> Value {
    serde_json::from_str(&block(
        1,
        &mac(&["x"]),
        "\"encrypted_regex\": \"^(data|stringData)$\", ",
    ))
    .unwrap()
}

fn of(body: Value) -> Result<Option<Form>, String> {
    form(&object(body), LIMITS).map_err(|e| e.to_string())
}

fn secret(more: Value) -> Value {
    let mut body = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "shop"}});
    for (key, value) in more.as_object().unwrap() {
        body[key] = value.clone();
    }
    body
}

#[test]
fn what_is_not_encrypted_is_left_alone() {
    for body in [
        secret(json!({"data": {"a": "aGk="}, "stringData": {"b": "c"}})),
        secret(json!({"data": {"sops_notes": "aGk="}})),
        secret(json!({"data": null, "stringData": {"a": null}})),
        secret(json!({"data": {"a": "no base64 !!"}})),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"a": "ENC[AES256_GCM,data:...]"}}),
    ] {
        assert!(of(body).unwrap().is_none());
    }
}

#[test]
fn an_encrypted_manifest_has_its_values_and_its_metadata() {
    let value = token("stringData:a:", "str", "x");
    let form = of(secret(
        json!({"stringData": {"a": value, "b": ""}, "sops": sops()}),
    ))
    .unwrap();
    let Some(Form::Manifest(_, values)) = form else {
        panic!("{form:?}")
    };
    assert_eq!(values.len(), 1);
    assert_eq!(values[0].name(), "stringData.a");
}

#[test]
fn files_and_lines_that_became_a_secret_are_found_in_base64_of_any_width() {
    let file = format!(
        "a: {}\nsops: {}\n",
        token("a:", "str", "x"),
        block(1, &mac(&["x"]), "")
    );
    let wide = encoded(file.as_bytes());
    let lines: Vec<&str> = (0..wide.len())
        .step_by(70)
        .map(|at| &wide[at..(at + 70).min(wide.len())])
        .collect();
    for text in [wide.clone(), lines.join("\n"), lines.join("\n") + "\n"] {
        let form = of(secret(json!({"data": {"a.yaml": text, "plain": "aGk="}}))).unwrap();
        let Some(Form::Made(whole, None)) = form else {
            panic!("{form:?}")
        };
        assert_eq!((whole.len(), whole[0].key.as_str()), (1, "a.yaml"));
    }
    let form = of(secret(json!({"stringData": {"a.yaml": file}}))).unwrap();
    assert!(matches!(form, Some(Form::Made(whole, None)) if whole.len() == 1));
}

#[test]
fn ciphertext_where_nothing_opens_it_is_an_error_that_names_object_file_and_place() {
    let value = token("data:a:", "str", "x");
    let based = encoded(value.as_bytes());
    for (body, expected) in [
        (
            secret(json!({"metadata": {"name": "s", "labels": {"a": value}}, "sops": sops()})),
            "`metadata.labels.a` is encrypted",
        ),
        (
            secret(json!({"type": value, "sops": sops()})),
            "`type` is encrypted",
        ),
        (
            secret(json!({value.clone(): "a", "sops": sops()})),
            "]` is encrypted with SOPS, and Weir decrypts only",
        ),
        (
            secret(json!({"stringData": {value.clone(): "a"}})),
            "`stringData.ENC[AES256_GCM,",
        ),
        (
            secret(json!({"stringData": {"a": value}})),
            "`stringData.a` is encrypted with SOPS, and the `sops` block",
        ),
        (
            secret(json!({"data": {"a": value}})),
            "`data.a` is encrypted with SOPS, and the `sops` block",
        ),
        (
            secret(json!({"data": {"a": based}})),
            "`data.a` is encrypted with SOPS, and the `sops` block",
        ),
        (
            secret(json!({"stringData": {"a": "plain"}, "sops": sops()})),
            "`stringData.a` is plain",
        ),
        (
            secret(json!({"stringData": {"a": 5}, "sops": sops()})),
            "`stringData.a` is plain",
        ),
        (
            secret(json!({"stringData": {"a": value}, "sops": "x"})),
            "its `sops` block is no map",
        ),
        (
            secret(json!({"stringData": {"a": "ENC[AES256_GCM,x]"}, "sops": sops()})),
            "`stringData.a` is no encrypted value",
        ),
        (
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "s", "namespace": "shop"}, "sops": sops()}),
            "it has a `sops` block, and Weir decrypts Secrets only",
        ),
        (
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "s", "namespace": "shop"}, "data": {"a": {"b": ["", value]}}}),
            "`data.a.b` is encrypted with SOPS",
        ),
        (
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "s", "namespace": "shop"}, "binaryData": {"a": based}}),
            "`binaryData.a` is encrypted with SOPS",
        ),
    ] {
        let kind = body["kind"].as_str().unwrap().to_owned();
        let body = match body["metadata"].get("namespace") {
            Some(_) => body,
            None => {
                let mut body = body;
                body["metadata"]["namespace"] = json!("shop");
                body
            }
        };
        let error = of(body).unwrap_err();
        let begins = format!("{kind} shop/s (web/a.yaml:1)");
        assert!(
            error.starts_with(&begins) && error.contains(expected),
            "{expected}: {error}"
        );
    }
}

#[test]
fn all_objects_in_trouble_are_named_at_once_but_not_without_end() {
    let value = token("a:", "str", "x");
    let objects: Vec<_> = (0..20)
        .map(|n| {
            object(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("m{n}")}, "data": {"a": value}}))
        })
        .collect();
    let error = sealed(&objects, LIMITS).unwrap_err();
    assert_eq!(error.iter().count(), 20);
    let text = error.to_string();
    assert!(
        text.contains("ConfigMap m4 ") && !text.contains("ConfigMap m5 "),
        "{text}"
    );
    assert!(text.ends_with("and 15 objects more"), "{text}");
}
