//! Items that stand twice in a list that Kubernetes keeps as a set or a map: server-side apply refuses it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::look::{At, Code, Look};

/// Says of each item that one before it is the same by these keys; without keys whole items are compared.
pub(crate) fn check<'k>(
    look: &mut Look<'_>,
    items: &[Value],
    keys: impl Iterator<Item = (&'k str, Option<&'k str>)>,
    at: &At<'_>,
) {
    if items.len() < 2 {
        return;
    }
    let keys: Vec<_> = keys.collect();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for (index, item) in items.iter().enumerate() {
        let Some(own) = own(item, &keys) else {
            continue;
        };
        if let Some(first) = seen.get(&own) {
            let message = format!("{} has {own} twice: items {first} and {index}", at.name());
            look.say(Code::DuplicateItem, &At::Item(at, index), &message);
        } else {
            seen.insert(own, index);
        }
    }
}

/// What tells an item from others; nothing where it has none of the keys, which is another mistake.
fn own(item: &Value, keys: &[(&str, Option<&str>)]) -> Option<String> {
    if keys.is_empty() {
        return Some(item.to_string());
    }
    let mut own = Vec::new();
    let mut has_one = false;
    for (key, default) in keys {
        let value = item.get(*key).filter(|value| !value.is_null());
        has_one |= value.is_some();
        let text = match (value, default) {
            (Some(value), _) => value.to_string(),
            (None, Some(default)) => format!("{default:?}"),
            (None, None) => continue,
        };
        own.push(format!("{key} {text}"));
    }
    has_one.then(|| own.join(" and "))
}
