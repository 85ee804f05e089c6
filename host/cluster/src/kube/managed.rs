//! Fields as managed-fields entries and conflicts name them: which are ours, which came back, and how to leave one out: pure.

use std::collections::BTreeSet;

use kube::core::ObjectMeta;
use serde_json::{Map, Value};

use super::body::our_entry;

/// The deepest that an entry is followed.
const MAX_DEPTH: usize = 64;
/// The most fields of one entry that are told apart.
const MAX_FIELDS: usize = 10_000;

/// The fields that we have on an object, as its managed fields say (Kubernetes' `FieldsV1`).
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Ours(Value);

impl Ours {
    /// Of an entry's fields.
    pub(super) fn from_fields(fields: Value) -> Ours {
        Ours(fields)
    }

    /// Of an object's metadata.
    pub(super) fn of(metadata: &ObjectMeta) -> Ours {
        let entry = our_entry(metadata);
        let fields = entry.and_then(|e| e.fields_v1.as_ref());
        Ours(fields.map_or(Value::Null, |fields| fields.0.clone()))
    }

    /// Whether the field of a JSON pointer, or something below it, is ours. Which item a place in a list means, this
    /// body tells.
    pub(super) fn has(&self, pointer: &str, body: &Value) -> bool {
        let (mut at, mut value) = (&self.0, Some(body));
        for part in pointer.split('/').skip(1) {
            let name = part.replace("~1", "/").replace("~0", "~");
            let below = match value {
                Some(Value::Array(items)) => {
                    let item = name.parse().ok().and_then(|n: usize| items.get(n));
                    value = item;
                    item.and_then(|item| item_in(at, item))
                }
                _ => {
                    value = value.and_then(|value| value.get(&name));
                    at.get(format!("f:{name}"))
                }
            };
            match below {
                Some(below) => at = below,
                None => return false,
            }
        }
        true
    }

    /// The fields that these have and the former ones had not, as people write them: `spec.replicas`.
    pub(super) fn beyond(&self, former: &Ours) -> BTreeSet<String> {
        let (now, before) = (self.paths(), former.paths());
        now.difference(&before).cloned().collect()
    }

    fn paths(&self) -> BTreeSet<String> {
        let mut out = BTreeSet::new();
        gather(&self.0, &mut String::new(), 0, &mut out);
        out
    }
}

/// Whether nothing is below a place of an entry.
pub(super) fn is_leaf(fields: &Value) -> bool {
    fields
        .as_object()
        .is_none_or(|map| map.keys().all(|key| key == "."))
}

/// Adds an entry's fields to others.
pub(super) fn join(fields: &mut Value, more: &Value) {
    if let (Value::Object(map), Value::Object(more)) = (&mut *fields, more) {
        for (key, below) in more {
            match map.get_mut(key) {
                Some(at) => join(at, below),
                None => {
                    map.insert(key.clone(), below.clone());
                }
            }
        }
    }
}

/// Takes fields that another entry has out of these; what is then empty goes, too.
pub(super) fn subtract(fields: &mut Value, less: &Value) {
    let (Value::Object(map), Value::Object(less)) = (&mut *fields, less) else {
        return;
    };
    for (key, below) in less {
        let Some(at) = map.get_mut(key) else { continue };
        if is_leaf(at) {
            map.remove(key);
            continue;
        }
        subtract(at, below);
        if is_leaf(at) {
            map.remove(key);
        }
    }
}

/// What an entry says of a list's item.
pub(super) fn item_in<'a>(fields: &'a Value, item: &Value) -> Option<&'a Value> {
    let is_it = |key: &str| match key.split_once(':') {
        Some(("k", keys)) => serde_json::from_str::<Map<String, Value>>(keys)
            .is_ok_and(|keys| keys.iter().all(|(k, v)| item.get(k) == Some(v))),
        Some(("v", value)) => serde_json::from_str::<Value>(value).is_ok_and(|v| v == *item),
        _ => false,
    };
    let mut all = fields.as_object()?.iter();
    all.find(|(key, _)| is_it(key)).map(|(_, fields)| fields)
}

/// All leaves below a place.
fn gather(fields: &Value, path: &mut String, depth: usize, out: &mut BTreeSet<String>) {
    let below = fields.as_object().map(|map| {
        let named = map.iter().filter(|(key, _)| *key != ".");
        named.collect::<Vec<_>>()
    });
    let below = below.unwrap_or_default();
    if out.len() >= MAX_FIELDS {
        return;
    }
    if below.is_empty() || depth >= MAX_DEPTH {
        if !path.is_empty() {
            out.insert(path.clone());
        }
        return;
    }
    for (key, fields) in below {
        let length = path.len();
        match key.split_once(':') {
            Some(("f", name)) if path.is_empty() => path.push_str(name),
            Some(("f", name)) => {
                path.push('.');
                path.push_str(name);
            }
            Some((_, item)) => {
                path.push('[');
                path.push_str(item);
                path.push(']');
            }
            None => {}
        }
        gather(fields, path, depth + 1, out);
        path.truncate(length);
    }
}

/// Takes the field of a JSON pointer (RFC 6901) out of an object.
pub(super) fn remove_pointer(body: &mut Value, pointer: &str) {
    let Some((parent, last)) = pointer.rsplit_once('/') else {
        return;
    };
    let name = last.replace("~1", "/").replace("~0", "~");
    match body.pointer_mut(parent) {
        Some(Value::Object(map)) => {
            map.remove(&name);
        }
        Some(Value::Array(items)) => {
            if let Some(n) = name.parse().ok().filter(|n| *n < items.len()) {
                items.remove(n);
            }
        }
        _ => {}
    }
}

/// Takes a field out of an object that a conflict names, such as
/// `.spec.template.spec.containers[name="web"].image`; whether it was there. A name may have dots in it: which is
/// meant, the object tells.
pub(super) fn remove_path(body: &mut Value, path: &str) -> bool {
    remove_at(body, path, 0)
}

fn remove_at(at: &mut Value, path: &str, depth: usize) -> bool {
    if depth >= MAX_DEPTH {
        return false;
    }
    if let Some(rest) = path.strip_prefix('.') {
        let Value::Object(map) = at else { return false };
        let ends = |name: &&String| {
            let after = rest.strip_prefix(name.as_str());
            after.is_some_and(|after| after.is_empty() || after.starts_with(['.', '[']))
        };
        let mut names: Vec<String> = map.keys().filter(ends).cloned().collect();
        // The longest first: `a.b` before `a` where both are there.
        names.sort_by_key(|name| std::cmp::Reverse(name.len()));
        return names.into_iter().any(|name| {
            let after = rest.strip_prefix(name.as_str()).unwrap_or_default();
            match after {
                "" => map.remove(&name).is_some(),
                after => map
                    .get_mut(&name)
                    .is_some_and(|below| remove_at(below, after, depth + 1)),
            }
        });
    }
    let Some((item, after)) = item_of(path) else {
        return false;
    };
    let Value::Array(items) = at else {
        return false;
    };
    let Some(n) = items.iter().position(|value| is_item(value, item)) else {
        return false;
    };
    match (after, items.get_mut(n)) {
        ("", _) => {
            items.remove(n);
            true
        }
        (after, Some(below)) => remove_at(below, after, depth + 1),
        _ => false,
    }
}

/// The first `[…]` of a path, and what comes behind it. A bracket within quotes does not count.
fn item_of(path: &str) -> Option<(&str, &str)> {
    let inner = path.strip_prefix('[')?;
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in inner.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ']' if !quoted => return Some((inner.get(..at)?, inner.get(at + 1..)?)),
            _ => {}
        }
    }
    None
}

/// Whether a list's value is the one that `name="web",port=80`, or `="value"`, names.
fn is_item(value: &Value, item: &str) -> bool {
    if let Some(text) = item.strip_prefix('=') {
        return serde_json::from_str::<Value>(text).is_ok_and(|wanted| wanted == *value);
    }
    let mut rest = item;
    while !rest.is_empty() {
        let Some((key, text)) = rest.split_once('=') else {
            return false;
        };
        let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
        let Some(Ok(wanted)) = values.next() else {
            return false;
        };
        if value.get(key) != Some(&wanted) {
            return false;
        }
        let used = values.byte_offset();
        rest = text.get(used..).unwrap_or_default().trim_start_matches(',');
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn ours(fields: Value) -> Ours {
        Ours(fields)
    }

    #[test]
    fn a_field_is_ours_where_our_entry_has_it_or_something_below() {
        let ours = ours(json!({
            "f:metadata": {"f:annotations": {"f:a/b": {}}, "f:finalizers": {"v:\"x/y\"": {}}},
            "f:spec": {"f:replicas": {}, "f:containers": {"k:{\"name\":\"web\"}": {"f:image": {}}}},
        }));
        let body = json!({
            "metadata": {"finalizers": ["x/y", "z"]},
            "spec": {"containers": [{"name": "web", "args": []}, {"name": "db"}]},
        });
        for (pointer, expected) in [
            ("/spec/replicas", true),
            ("/spec", true),
            ("/spec/paused", false),
            ("/metadata/annotations/a~1b", true),
            ("/metadata/annotations/a", false),
            ("/spec/containers/0/image", true),
            ("/spec/containers/0/args", false),
            ("/spec/containers/1/image", false),
            ("/spec/containers/2/image", false),
            ("/metadata/finalizers/0", true),
            ("/metadata/finalizers/1", false),
            ("/status", false),
        ] {
            assert_eq!(ours.has(pointer, &body), expected, "{pointer}");
        }
        assert!(!Ours::default().has("/spec", &body));
    }

    #[test]
    fn what_came_back_is_named_as_people_write_it() {
        let before = ours(json!({"f:data": {"f:a": {}}, "f:spec": {}}));
        let now = ours(json!({
            "f:data": {"f:a": {}, "f:b": {}, ".": {}},
            "f:spec": {"f:ports": {"k:{\"port\":80}": {".": {}, "f:name": {}}}},
        }));
        let beyond: Vec<String> = now.beyond(&before).into_iter().collect();
        assert_eq!(beyond, ["data.b", "spec.ports[{\"port\":80}].name"]);
        assert!(now.beyond(&now).is_empty());
    }

    #[test]
    fn entries_are_joined_and_subtracted_field_by_field() {
        let mut fields =
            json!({"f:data": {"f:a": {}}, "f:spec": {"k:{\"n\":1}": {".": {}, "f:x": {}}}});
        let other = json!({"f:data": {"f:b": {}}, "f:spec": {"k:{\"n\":1}": {"f:y": {}}}});
        let before = fields.clone();
        join(&mut fields, &other);
        assert_eq!(
            fields,
            json!({"f:data": {"f:a": {}, "f:b": {}}, "f:spec": {"k:{\"n\":1}": {".": {}, "f:x": {}, "f:y": {}}}})
        );
        subtract(&mut fields, &before);
        assert_eq!(
            fields,
            json!({"f:data": {"f:b": {}}, "f:spec": {"k:{\"n\":1}": {"f:y": {}}}})
        );
        subtract(&mut fields, &other);
        assert_eq!(fields, json!({}));
        subtract(&mut fields, &other);
        assert_eq!(fields, json!({}));
    }

    fn object() -> Value {
        json!({
            "metadata": {"labels": {"a.b/c": "1", "a": "2"}, "finalizers": ["x/y", "z"]},
            "spec": {"replicas": 3, "template": {"containers": [
                {"name": "web", "image": "web:1", "ports": [{"port": 80, "protocol": "TCP"}, {"port": 81, "protocol": "TCP"}]},
                {"name": "side]car", "image": "side:1"},
            ]}},
        })
    }

    #[test]
    fn a_conflicts_field_is_found_and_taken_out() {
        for (path, pointer) in [
            (".spec.replicas", "/spec/replicas"),
            (".metadata.labels.a.b/c", "/metadata/labels/a.b~1c"),
            (".metadata.labels.a", "/metadata/labels/a"),
            (
                ".spec.template.containers[name=\"web\"].image",
                "/spec/template/containers/0/image",
            ),
            (
                ".spec.template.containers[name=\"side]car\"].image",
                "/spec/template/containers/1/image",
            ),
            (
                ".spec.template.containers[name=\"web\"].ports[port=81,protocol=\"TCP\"]",
                "/spec/template/containers/0/ports/1",
            ),
            (".metadata.finalizers[=\"z\"]", "/metadata/finalizers/1"),
        ] {
            let (mut by_path, mut by_pointer) = (object(), object());
            assert!(remove_path(&mut by_path, path), "{path}");
            remove_pointer(&mut by_pointer, pointer);
            assert_eq!(by_path, by_pointer, "{path}");
            assert_ne!(by_path, object(), "{path}");
        }
    }

    #[test]
    fn a_path_that_leads_nowhere_changes_nothing() {
        for path in [
            "",
            ".",
            "spec",
            ".spec.paused",
            ".spec.template.containers[name=\"db\"].image",
            ".spec.template.containers[0].image",
            ".spec.replicas[=1]",
            ".spec[",
            ".spec.template.containers[name]",
            ".spec.template.containers[name=web].image",
            "[=1]",
        ] {
            let mut body = object();
            assert!(!remove_path(&mut body, path), "{path}");
            assert_eq!(body, object(), "{path}");
        }
        for pointer in [
            "",
            "/",
            "/spec/paused",
            "/spec/replicas/x",
            "/metadata/finalizers/9",
            "/metadata/finalizers/-",
        ] {
            let mut body = object();
            remove_pointer(&mut body, pointer);
            assert_eq!(body, object(), "{pointer}");
        }
    }
}
