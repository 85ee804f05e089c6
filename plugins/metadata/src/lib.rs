//! The bundled `metadata` transformer: labels, annotations, a namespace and a name prefix, by selector.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use weir_plugin::{Diagnostics, Object, Params, Select};

/// What an app may say: what to set, and on which objects.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
struct Config {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    namespace: Option<String>,
    name_prefix: String,
    select: Select,
}

/// Kinds whose names others are bound to: a CRD's is `PLURAL.GROUP`, an API service's `VERSION.GROUP`, and a namespace's
/// stands in each object that lives in it.
const NAMED: [(&str, &str); 3] = [
    ("apiextensions.k8s.io", "CustomResourceDefinition"),
    ("apiregistration.k8s.io", "APIService"),
    ("", "Namespace"),
];

/// Fields that name another object, with the kind that they name: in the field itself, or in its `name`.
const REFERENCES: [(&str, &str); 12] = [
    ("configMap", "ConfigMap"),
    ("configMapRef", "ConfigMap"),
    ("configMapKeyRef", "ConfigMap"),
    ("secret", "Secret"),
    ("secretRef", "Secret"),
    ("secretKeyRef", "Secret"),
    ("secretName", "Secret"),
    ("imagePullSecrets", "Secret"),
    ("claimName", "PersistentVolumeClaim"),
    ("serviceAccountName", "ServiceAccount"),
    ("service", "Service"),
    ("serviceName", "Service"),
];

weir_plugin::transformer!(transform);

/// Sets what the configuration says on every selected object.
///
/// # Errors
/// A bad configuration, or an object whose metadata is not of Kubernetes' form.
pub fn transform(mut objects: Vec<Object>, params: &Params) -> Result<Vec<Object>, Diagnostics> {
    let config: Config = params.config()?;
    let mut renamed: BTreeMap<(String, String), String> = BTreeMap::new();
    for object in &mut objects {
        if !config.select.matches(object) {
            continue;
        }
        for (key, value) in &config.labels {
            object.set_label(key, value)?;
        }
        for (key, value) in &config.annotations {
            object.set_annotation(key, value)?;
        }
        if let Some(namespace) = &config.namespace
            && weir_kubernetes::kind(object.api_version(), object.kind())
                .is_none_or(|kind| kind.namespaced)
        {
            object.set_namespace(namespace)?;
        }
        if !config.name_prefix.is_empty() && !NAMED.contains(&(object.group(), object.kind())) {
            let name = format!("{}{}", config.name_prefix, object.name());
            renamed.insert(
                (object.kind().to_owned(), object.name().to_owned()),
                name.clone(),
            );
            object.set_name(&name)?;
        }
    }
    if !renamed.is_empty() {
        for object in &mut objects {
            if let Some(spec) = object.pointer_mut("/spec") {
                follow(spec, &renamed);
            }
        }
    }
    Ok(objects)
}

/// Gives references to renamed objects their new names. The depth is that of the host's JSON.
fn follow(value: &mut Value, renamed: &BTreeMap<(String, String), String>) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| follow(item, renamed)),
        Value::Object(map) => {
            for (key, inner) in map {
                if let Some((_, kind)) = REFERENCES.iter().find(|(field, _)| field == key) {
                    rename(inner, kind, renamed);
                }
                follow(inner, renamed);
            }
        }
        _ => {}
    }
}

fn rename(value: &mut Value, kind: &str, renamed: &BTreeMap<(String, String), String>) {
    match value {
        Value::String(name) => {
            if let Some(new) = renamed.get(&(kind.to_owned(), name.clone())) {
                name.clone_from(new);
            }
        }
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| rename(item, kind, renamed)),
        Value::Object(map) => {
            if let Some(name @ Value::String(_)) = map.get_mut("name") {
                rename(name, kind, renamed);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(config: &str, objects: &[&str]) -> Result<Vec<Object>, Diagnostics> {
        let objects = objects
            .iter()
            .map(|o| Object::from_json(o).unwrap())
            .collect();
        transform(
            objects,
            &Params::new("shop", "apps/shop").with_config(config),
        )
    }

    const MAP: &str =
        r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","labels":{"tier":"web"}}}"#;
    const ROLE: &str = r#"{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{"name":"r"}}"#;

    #[test]
    fn labels_annotations_and_a_namespace_are_set() {
        let config = r#"{"labels":{"team":"shop"},"annotations":{"note":"x"},"namespace":"n"}"#;
        let out = run(config, &[MAP, ROLE]).unwrap();
        assert_eq!(out[0].label("team"), Some("shop"));
        assert_eq!(out[0].label("tier"), Some("web"));
        assert_eq!(out[0].annotation("note"), Some("x"));
        assert_eq!(out[0].namespace(), Some("n"));
        assert_eq!(
            out[1].namespace(),
            None,
            "a ClusterRole lives in no namespace"
        );
    }

    #[test]
    fn only_selected_objects_are_touched() {
        for select in [
            r#"{"kinds":["ClusterRole"]}"#,
            r#"{"names":["r"]}"#,
            r#"{"labels":{"tier":"db"}}"#,
        ] {
            let out = run(
                &format!(r#"{{"labels":{{"x":"y"}},"select":{select}}}"#),
                &[MAP],
            )
            .unwrap();
            assert_eq!(out[0].label("x"), None, "{select}");
        }
    }

    #[test]
    fn a_prefix_takes_references_along() {
        let pod = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{
            "volumes":[{"configMap":{"name":"a"}},{"configMap":{"name":"other"}}],
            "containers":[{"envFrom":[{"configMapRef":{"name":"a"}}]}]}}"#;
        let out = run(r#"{"namePrefix":"dev-"}"#, &[MAP, pod]).unwrap();
        assert_eq!(out[0].name(), "dev-a");
        let text = String::from_utf8(out[1].to_json()).unwrap();
        assert_eq!(text.matches("\"dev-a\"").count(), 2, "{text}");
        assert!(text.contains("\"other\""));
    }

    #[test]
    fn a_kind_lives_in_a_namespace_by_its_group_too() {
        let azure = r#"{"apiVersion":"servicebus.azure.com/v1","kind":"Namespace","metadata":{"name":"a"}}"#;
        let policy = r#"{"apiVersion":"admissionregistration.k8s.io/v1","kind":"ValidatingAdmissionPolicy","metadata":{"name":"p"}}"#;
        let out = run(r#"{"namespace":"n"}"#, &[azure, policy]).unwrap();
        assert_eq!(out[0].namespace(), Some("n"));
        assert_eq!(out[1].namespace(), None);
    }

    #[test]
    fn a_name_that_others_are_bound_to_gets_no_prefix() {
        let crd = r#"{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"widgets.example.com"}}"#;
        let space = r#"{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"n"}}"#;
        let service = r#"{"apiVersion":"v1","kind":"Service","metadata":{"name":"db"}}"#;
        let set = r#"{"apiVersion":"apps/v1","kind":"StatefulSet","metadata":{"name":"db"},"spec":{"serviceName":"db"}}"#;
        let out = run(r#"{"namePrefix":"dev-"}"#, &[crd, space, service, set]).unwrap();
        let names: Vec<&str> = out.iter().map(Object::name).collect();
        assert_eq!(names, ["widgets.example.com", "n", "dev-db", "dev-db"]);
        assert_eq!(out[3].get("spec").unwrap()["serviceName"], "dev-db");
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_it() {
        let error = run(r#"{"lables":{}}"#, &[MAP]).unwrap_err();
        assert!(format!("{:?}", error.as_slice()).contains("lables"));
    }
}
