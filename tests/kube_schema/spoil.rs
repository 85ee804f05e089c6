//! Objects with one thing wrong: each field of a sound one, in each of several ways.

use serde_json::{Value, json};

/// An object with one change.
pub(crate) struct Spoilt {
    pub(crate) way: &'static str,
    /// Where, as a JSON pointer.
    pub(crate) at: String,
    pub(crate) object: Value,
}

/// Not spoilt: without them an object is none that could be asked about.
const IDENTITY: [&str; 4] = ["/apiVersion", "/kind", "/metadata", "/metadata/name"];

pub(crate) fn all(object: &Value) -> Vec<Spoilt> {
    let mut places = Vec::new();
    collect(object, String::new(), &mut places);
    let mut spoilt = Vec::new();
    for at in places.iter().filter(|at| !IDENTITY.contains(&at.as_str())) {
        let value = object.pointer(at).unwrap();
        spoilt.push(changed(object, at, "misspelt", |map, key| {
            let value = map.remove(key).unwrap();
            map.insert(format!("{key}X"), value);
        }));
        spoilt.push(changed(object, at, "left-out", |map, key| {
            map.remove(key);
        }));
        let other = match value {
            Value::String(_) => json!(7),
            Value::Number(_) => json!("seven"),
            Value::Bool(_) => json!("yes"),
            Value::Array(_) => json!({}),
            _ => json!([]),
        };
        spoilt.push(changed(object, at, "other-type", |map, key| {
            map.insert(key.to_owned(), other);
        }));
        if value.is_string() {
            spoilt.push(changed(object, at, "other-text", |map, key| {
                map.insert(key.to_owned(), json!("Other"));
            }));
        }
        if let Value::Array(items) = value {
            let doubled = [items.as_slice(), items.as_slice()].concat();
            spoilt.push(changed(object, at, "doubled", |map, key| {
                map.insert(key.to_owned(), json!(doubled));
            }));
        }
        spoilt.push(changed(object, at, "null", |map, key| {
            map.insert(key.to_owned(), Value::Null);
        }));
    }
    spoilt
}

/// The places of all fields.
fn collect(value: &Value, at: String, places: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                let at = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
                places.push(at.clone());
                collect(inner, at, places);
            }
        }
        Value::Array(items) => {
            for (index, inner) in items.iter().enumerate() {
                collect(inner, format!("{at}/{index}"), places);
            }
        }
        _ => {}
    }
}

fn changed(
    object: &Value,
    at: &str,
    way: &'static str,
    change: impl FnOnce(&mut serde_json::Map<String, Value>, &str),
) -> Spoilt {
    let mut object = object.clone();
    let (above, key) = at.rsplit_once('/').unwrap();
    let key = key.replace("~1", "/").replace("~0", "~");
    change(
        object.pointer_mut(above).unwrap().as_object_mut().unwrap(),
        &key,
    );
    Spoilt {
        way,
        at: at.to_owned(),
        object,
    }
}
