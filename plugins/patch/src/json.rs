//! JSON patches: the operations of RFC 6902.

use serde::Deserialize;
use serde_json::{Number, Value};

/// The most operations of one patch, as in Kubernetes' API server.
pub(crate) const MOST_OPERATIONS: usize = 10_000;
/// The most that the copies of one patch add to one object, in bytes of JSON, as in Kubernetes' API server.
pub(crate) const MOST_COPIED: usize = 3 << 20;

/// One operation.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum Operation {
    Add { path: Pointer, value: Value },
    Remove { path: Pointer },
    Replace { path: Pointer, value: Value },
    Move { from: Pointer, path: Pointer },
    Copy { from: Pointer, path: Pointer },
    Test { path: Pointer, value: Value },
}

/// A place by RFC 6901: its parts, unescaped.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Pointer(Vec<String>);

impl TryFrom<String> for Pointer {
    type Error = String;

    fn try_from(text: String) -> Result<Pointer, String> {
        if text.is_empty() {
            return Ok(Pointer(Vec::new()));
        }
        let Some(parts) = text.strip_prefix('/') else {
            return Err(format!(
                "{text:?} is no JSON pointer: it begins with `/`, such as /spec/replicas"
            ));
        };
        let part = |part: &str| {
            let mut rest = part;
            while let Some((_, after)) = rest.split_once('~') {
                if !after.starts_with(['0', '1']) {
                    return Err(format!(
                        "{text:?}: a `~` is written `~0`, and a `/` inside a key `~1`"
                    ));
                }
                rest = after;
            }
            Ok(part.replace("~1", "/").replace("~0", "~"))
        };
        parts
            .split('/')
            .map(part)
            .collect::<Result<_, _>>()
            .map(Pointer)
    }
}

impl Operation {
    /// What the operation is called, with its place.
    pub(crate) fn name(&self) -> String {
        let (word, path) = match self {
            Operation::Add { path, .. } => ("add", path),
            Operation::Remove { path } => ("remove", path),
            Operation::Replace { path, .. } => ("replace", path),
            Operation::Move { path, .. } => ("move", path),
            Operation::Copy { path, .. } => ("copy", path),
            Operation::Test { path, .. } => ("test", path),
        };
        format!("{word} {}", path.text(path.0.len()))
    }

    /// Makes the operation on a whole object. `copied` counts what its copies added, in bytes of JSON.
    pub(crate) fn make(&self, whole: &mut Value, copied: &mut usize) -> Result<(), String> {
        match self {
            Operation::Add { path, value } => path.add(whole, value.clone()),
            Operation::Remove { path } => path.remove(whole).map(|_| ()),
            Operation::Replace { path, value } => {
                *path.at(whole, path.0.len())? = value.clone();
                Ok(())
            }
            Operation::Move { from, path } => {
                if path.0.len() > from.0.len() && path.0.starts_with(&from.0) {
                    return Err("a value cannot be moved into itself".into());
                }
                let value = from.remove(whole)?;
                path.add(whole, value)
            }
            Operation::Copy { from, path } => {
                let value = from.at(whole, from.0.len())?;
                *copied = copied.saturating_add(value.to_string().len());
                if *copied > MOST_COPIED {
                    return Err(format!(
                        "the copies of this patch add more than {} MiB to one object",
                        MOST_COPIED >> 20
                    ));
                }
                let value = value.clone();
                path.add(whole, value)
            }
            Operation::Test { path, value } => {
                let there = path.at(whole, path.0.len())?;
                if same(there, value) {
                    Ok(())
                } else {
                    Err(format!(
                        "it is {}, and {} was expected",
                        shown(there),
                        shown(value)
                    ))
                }
            }
        }
    }
}

impl Pointer {
    /// The first parts, as they are written.
    fn text(&self, parts: usize) -> String {
        let parts = self.0.iter().take(parts);
        parts
            .map(|part| format!("/{}", part.replace('~', "~0").replace('/', "~1")))
            .collect()
    }

    /// The value behind the first `length` parts.
    fn at<'v>(&self, whole: &'v mut Value, length: usize) -> Result<&'v mut Value, String> {
        let mut here = whole;
        for (index, part) in self.0.iter().enumerate().take(length) {
            if !has(here, part) {
                return Err(missing(here, part, &self.text(index)));
            }
            here = match here {
                Value::Object(map) => map.get_mut(part),
                Value::Array(items) => position(part).and_then(|at| items.get_mut(at)),
                _ => None,
            }
            .ok_or_else(String::new)?;
        }
        Ok(here)
    }

    fn add(&self, whole: &mut Value, value: Value) -> Result<(), String> {
        let Some((last, before)) = self.0.split_last() else {
            *whole = value;
            return Ok(());
        };
        let place = self.text(before.len());
        match self.at(whole, before.len())? {
            Value::Object(map) => {
                map.insert(last.clone(), value);
                Ok(())
            }
            Value::Array(items) => {
                let length = items.len();
                let at = if last == "-" {
                    Some(length)
                } else {
                    position(last)
                };
                match at.filter(|at| *at <= length) {
                    Some(at) => items.insert(at, value),
                    None => {
                        return Err(format!(
                            "{last:?} is no place in {place}, a list of {length}: give 0 to {length}, or `-` for its end"
                        ));
                    }
                }
                Ok(())
            }
            other => Err(format!(
                "{} is {}, which nothing can be added to",
                name(&place),
                shown(other)
            )),
        }
    }

    fn remove(&self, whole: &mut Value) -> Result<Value, String> {
        let Some((last, before)) = self.0.split_last() else {
            return Err("the whole object cannot be removed".into());
        };
        let parent = self.at(whole, before.len())?;
        if !has(parent, last) {
            return Err(missing(parent, last, &self.text(before.len())));
        }
        match parent {
            Value::Object(map) => map.remove(last),
            Value::Array(items) => position(last).map(|at| items.remove(at)),
            _ => None,
        }
        .ok_or_else(String::new)
    }
}

fn has(here: &Value, part: &str) -> bool {
    match here {
        Value::Object(map) => map.contains_key(part),
        Value::Array(items) => position(part).is_some_and(|at| at < items.len()),
        _ => false,
    }
}

/// An index as RFC 6901 writes it: no sign, no leading zero.
fn position(part: &str) -> Option<usize> {
    let plain = part.bytes().all(|b| b.is_ascii_digit()) && (part == "0" || !part.starts_with('0'));
    plain.then(|| part.parse().ok()).flatten()
}

/// Numbers are equal by their value: RFC 6902, 4.6.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(a), Value::Number(b)) => same_number(a, b),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(k, v)| b.get(k).is_some_and(|o| same(v, o)))
        }
        _ => one == other,
    }
}

/// Whole numbers are compared as such: as floats, large ones that differ are equal.
fn same_number(one: &Number, other: &Number) -> bool {
    let whole = |number: &Number| number.is_i64() || number.is_u64();
    one == other || (!(whole(one) && whole(other)) && one.as_f64() == other.as_f64())
}

/// What is said where a part leads to nothing: what is there instead.
fn missing(here: &Value, part: &str, place: &str) -> String {
    let place = name(place);
    match here {
        Value::Object(map) => {
            const SHOWN: usize = 12;
            let mut keys: Vec<&str> = map.keys().map(String::as_str).take(SHOWN).collect();
            if map.len() > SHOWN {
                keys.push("...");
            }
            format!(
                "there is no {part:?} in {place}, which has: {}",
                keys.join(", ")
            )
        }
        Value::Array(items) => format!(
            "there is no item {part:?} in {place}, a list of {}",
            items.len()
        ),
        other => format!("{place} is {}, which holds no {part:?}", shown(other)),
    }
}

fn name(place: &str) -> &str {
    if place.is_empty() {
        "the object"
    } else {
        place
    }
}

/// A value in a message, cut where it is long.
pub(crate) fn shown(value: &Value) -> String {
    const LONGEST: usize = 60;
    let text = value.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text,
    }
}
