//! The objects of the spine's thirty apps, as a repository has them.

use serde_json::{Value, json};

/// Whether a condition of an object is true.
pub(crate) fn has(object: &Value, condition: &str) -> bool {
    let conditions = object["status"]["conditions"].as_array();
    conditions.is_some_and(|all| {
        all.iter()
            .any(|c| c["type"] == condition && c["status"] == "True")
    })
}

/// Which object it is, for people.
pub(crate) fn title(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let metadata = &object["metadata"];
    let (namespace, name) = (text(&metadata["namespace"]), text(&metadata["name"]));
    format!("{} {namespace}/{name}", text(&object["kind"]))
}

/// An object with these other fields.
pub(crate) fn object(
    api: &str,
    kind: &str,
    name: &str,
    namespace: Option<&str>,
    rest: Value,
) -> Value {
    let mut object = json!({ "apiVersion": api, "kind": kind, "metadata": { "name": name } });
    if let Some(namespace) = namespace {
        object["metadata"]["namespace"] = json!(namespace);
    }
    for (field, value) in rest.as_object().unwrap() {
        object[field] = value.clone();
    }
    object
}

/// A config map with one value.
pub(crate) fn map(name: &str, namespace: &str, value: &str) -> Value {
    object(
        "v1",
        "ConfigMap",
        name,
        Some(namespace),
        json!({ "data": { "value": value } }),
    )
}

/// A Secret with one value.
pub(crate) fn secret(name: &str, namespace: &str) -> Value {
    let rest = json!({ "type": "Opaque", "stringData": { "password": "hunter2" } });
    object("v1", "Secret", name, Some(namespace), rest)
}

/// A container of a version.
pub(crate) fn pod(name: &str, version: u32) -> Value {
    let limits = json!({ "cpu": "100m", "memory": "64Mi" });
    json!({
        "name": "main", "image": format!("registry.example/{name}:1.0.{version}"), "resources": { "limits": limits },
    })
}

/// Two replicas of a container of a version.
pub(crate) fn deployment(name: &str, namespace: &str, version: u32) -> Value {
    let labels = json!({ "run": name });
    let template =
        json!({ "metadata": { "labels": labels }, "spec": { "containers": [pod(name, version)] } });
    let spec =
        json!({ "replicas": 2, "selector": { "matchLabels": labels }, "template": template });
    object(
        "apps/v1",
        "Deployment",
        name,
        Some(namespace),
        json!({ "spec": spec }),
    )
}

/// One run of a container.
pub(crate) fn job(name: &str, namespace: &str) -> Value {
    let pod = json!({ "restartPolicy": "Never", "containers": [pod(name, 1)] });
    let spec = json!({ "template": { "spec": pod } });
    object(
        "batch/v1",
        "Job",
        name,
        Some(namespace),
        json!({ "spec": spec }),
    )
}
