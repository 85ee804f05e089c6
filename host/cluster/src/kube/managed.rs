//! Fields as managed-fields entries and conflicts name them: which are ours, which came back, and how to leave one out: pure.

use std::collections::BTreeSet;

use kube::core::ObjectMeta;
use serde_json::{Map, Value};

use super::body::our_entry;

/// The deepest that an entry is followed.
const MAX_DEPTH: usize = 64;
/// The most fields of one entry that are told apart.
const MAX_FIELDS: usize = 10_000;

/// The fields that we have on an object, and those of others, as its managed fields say (Kubernetes' `FieldsV1`).
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Ours {
    ours: Value,
    others: Vec<Value>,
}

impl Ours {
    /// Of entries' fields.
    pub(super) fn from_fields(ours: Value, others: Vec<Value>) -> Ours {
        Ours { ours, others }
    }

    /// Of an object's metadata.
    pub(super) fn of(metadata: &ObjectMeta) -> Ours {
        let entry = our_entry(metadata);
        let ours = entry.and_then(|e| e.fields_v1.as_ref());
        let all = metadata.managed_fields.as_deref().unwrap_or_default();
        let others = all
            .iter()
            .filter(|e| !entry.is_some_and(|ours| std::ptr::eq(ours, *e)));
        Ours {
            ours: ours.map_or(Value::Null, |fields| fields.0.clone()),
            others: others
                .filter_map(|e| Some(e.fields_v1.as_ref()?.0.clone()))
                .collect(),
        }
    }

    /// What to take out of a body so that the field of a JSON pointer is left to others: nothing where it is ours, the
    /// field, or all of the value that another has as a whole. Which item a place in a list means, the body tells.
    pub(super) fn left_to_others(&self, pointer: &str, body: &Value) -> Option<String> {
        let length = pointer.split('/').skip(1).count();
        let ours = places(&self.ours, pointer, body);
        if ours.len() == length || self.is_whole(&ours, pointer, body) {
            return None;
        }
        for other in &self.others {
            let theirs = places(other, pointer, body);
            if theirs.len() < length && self.is_whole(&theirs, pointer, body) {
                let parts: Vec<&str> = pointer.split('/').take(theirs.len() + 1).collect();
                return Some(parts.join("/"));
            }
        }
        Some(pointer.to_owned())
    }

    /// Whether the last of these places is a list or a map that is had as a whole: nothing is below it in any entry. A
    /// map whose keys others took looks the same in ours, but not in theirs.
    fn is_whole(&self, places_in_one: &[&Value], pointer: &str, body: &Value) -> bool {
        let Some(last) = places_in_one.len().checked_sub(1) else {
            return false;
        };
        let empty = |place: &Value| place.as_object().is_some_and(Map::is_empty);
        let mut all = self.others.iter().chain([&self.ours]);
        all.all(|entry| {
            let places = places(entry, pointer, body);
            places.get(last).is_none_or(|place| empty(place))
        })
    }

    /// The fields that these have and the former ones had not, as people write them: `spec.replicas`.
    pub(super) fn beyond(&self, former: &Ours) -> BTreeSet<String> {
        let (now, before) = (self.paths(), former.paths());
        now.difference(&before).cloned().collect()
    }

    fn paths(&self) -> BTreeSet<String> {
        let mut out = BTreeSet::new();
        gather(&self.ours, &mut String::new(), 0, &mut out);
        out
    }
}

/// The places of an entry along a pointer, as far as it has them.
fn places<'a>(fields: &'a Value, pointer: &str, body: &Value) -> Vec<&'a Value> {
    let (mut at, mut value) = (fields, Some(body));
    let mut out = Vec::new();
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
        let Some(below) = below else { break };
        out.push(below);
        at = below;
    }
    out
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

/// Takes the fields of JSON pointers, as they are now, out of an object: the last of a list first, so that none of them
/// comes to mean another item.
pub(super) fn remove_pointers(body: &mut Value, mut pointers: Vec<String>) {
    let parts = |pointer: &str| -> Vec<(Option<usize>, String)> {
        let parts = pointer.split('/');
        parts
            .map(|part| (part.parse().ok(), part.to_owned()))
            .collect()
    };
    pointers.sort_by_cached_key(|pointer| std::cmp::Reverse(parts(pointer)));
    for pointer in &pointers {
        remove_pointer(body, pointer);
    }
}

/// Takes the field of a JSON pointer (RFC 6901) out of an object.
fn remove_pointer(body: &mut Value, pointer: &str) {
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
mod tests;
