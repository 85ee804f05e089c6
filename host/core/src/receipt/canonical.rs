//! JSON of which there is one text: keys sorted, no spaces, whatever order a map keeps.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// The text of a map.
pub(super) fn json(map: &Map<String, Value>) -> String {
    let mut out = String::new();
    object(map, &mut out);
    out
}

fn object(map: &Map<String, Value>, out: &mut String) {
    let sorted: BTreeMap<&String, &Value> = map.iter().collect();
    out.push('{');
    for (n, (key, value)) in sorted.into_iter().enumerate() {
        if n > 0 {
            out.push(',');
        }
        out.push_str(&Value::from(key.as_str()).to_string());
        out.push(':');
        any(value, out);
    }
    out.push('}');
}

fn any(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => object(map, out),
        Value::Array(items) => {
            out.push('[');
            for (n, item) in items.iter().enumerate() {
                if n > 0 {
                    out.push(',');
                }
                any(item, out);
            }
            out.push(']');
        }
        plain => out.push_str(&plain.to_string()),
    }
}
