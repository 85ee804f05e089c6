//! The objects that there may be: each has a number, and from that a kind, a namespace, a name and a place where its value stands.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::core::ApiResource;
use serde_json::{Value, json};

use crate::control_plane::connection;
use crate::invariants::cluster::Place;

/// All objects that may be in the cluster: what a commit deletes, a later one may bring back.
pub(super) const POOL: usize = 110;
/// How many more may be in the directory. Their numbers follow.
pub(super) const FILES: usize = 14;

/// Where values of service accounts stand.
const VALUE: &str = "example.test/value";

/// The kinds that are used, as the API server calls them.
pub(super) fn kinds() -> Vec<ApiResource> {
    [0, 1, 2, 3].into_iter().map(resource).collect()
}

/// The kind of an object of the pool.
pub(super) fn resource(n: usize) -> ApiResource {
    let (group, kind) = kind(n);
    connection::kind(group, "v1", kind)
}

/// The group and the kind of an object: mostly maps, and in the directory nothing else.
fn kind(n: usize) -> (&'static str, &'static str) {
    if n >= POOL {
        return ("", "ConfigMap");
    }
    match n % 10 {
        1 => ("", "Secret"),
        2 => ("", "ServiceAccount"),
        3 => ("rbac.authorization.k8s.io", "Role"),
        _ => ("", "ConfigMap"),
    }
}

/// Its name.
pub(super) fn name(n: usize) -> String {
    format!("object-{n}")
}

/// Its place in the cluster.
pub(super) fn place(n: usize, namespace: &str) -> Place {
    let (group, kind) = kind(n);
    format!("{group}/{kind}/{namespace}/{}", name(n))
}

/// The object as Git has it.
pub(super) fn object(n: usize, namespace: &str, value: u64) -> Value {
    let (group, kind) = kind(n);
    let metadata = json!({ "name": name(n), "namespace": namespace });
    let mut object = json!({ "apiVersion": "v1", "kind": kind, "metadata": metadata });
    if !group.is_empty() {
        object["apiVersion"] = json!(format!("{group}/v1"));
    }
    merge(&mut object, value_patch(n, &value.to_string()));
    object
}

/// What sets its value.
pub(super) fn value_patch(n: usize, value: &str) -> Value {
    match kind(n).1 {
        "Secret" => json!({ "data": { "value": STANDARD.encode(value) } }),
        "ServiceAccount" => json!({ "metadata": { "annotations": { VALUE: value } } }),
        "Role" => json!({ "rules": [{
            "apiGroups": [""], "resources": ["pods"], "verbs": ["get"], "resourceNames": [value],
        }] }),
        _ => json!({ "data": { "value": value } }),
    }
}

/// The value that is there.
pub(super) fn value_of(object: &Value) -> Option<u64> {
    let text = match object["kind"].as_str()? {
        "Secret" => {
            let bytes = STANDARD.decode(object["data"]["value"].as_str()?).ok()?;
            String::from_utf8(bytes).ok()?
        }
        "ServiceAccount" => object["metadata"]["annotations"][VALUE]
            .as_str()?
            .to_owned(),
        "Role" => object["rules"][0]["resourceNames"][0].as_str()?.to_owned(),
        _ => object["data"]["value"].as_str()?.to_owned(),
    };
    text.parse().ok()
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}
