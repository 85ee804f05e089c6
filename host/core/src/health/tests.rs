//! Tests of health: a table for each kind, each row a live body and what an operator reads.

mod general;
mod kinds;
mod pods;
mod properties;
mod workloads;

use serde_json::{Value, json};

use super::assess;

/// Each body is assessed as its row says.
#[track_caller]
fn table(rows: impl IntoIterator<Item = (Value, &'static str)>) {
    for (body, expected) in rows {
        assert_eq!(assess(&body).to_string(), expected, "{body}");
    }
}

/// A live object of generation 2.
fn live(version: &str, kind: &str, spec: Value, status: Value) -> Value {
    json!({
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": "web", "namespace": "shop", "generation": 2},
        "spec": spec,
        "status": status,
    })
}

fn condition(kind: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({"type": kind, "status": status, "reason": reason, "message": message})
}

/// `base` with the fields of `over`; null takes one away.
fn with(base: &Value, over: Value) -> Value {
    let mut merged = base.clone();
    for (name, value) in over.as_object().unwrap() {
        merged[name] = value.clone();
    }
    merged
}
