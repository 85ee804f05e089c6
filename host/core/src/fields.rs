//! Two states of one object, field by field. A Secret's values become [`Masked`] as they are read: nothing that
//! comes out of here can print one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::digest::Digest;
use crate::object::ResourceId;
use crate::owner::{ANNOTATION, APP_LABEL, REPOSITORY_LABEL};

/// The deepest that an object is followed; what lies below is one value.
const MAX_DEPTH: usize = 64;
/// Holds a whole object as text, a Secret's values included.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Fields of `metadata` that are the server's own.
const SERVERS: [&str; 8] = [
    "managedFields",
    "resourceVersion",
    "generation",
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "selfLink",
];

/// What the hashes of one comparison are keyed with. Made of random bytes that are kept nowhere, so that a hash
/// says nothing to whoever sees it.
pub struct MaskKey([u8; 32]);

impl MaskKey {
    /// From 32 random bytes.
    pub fn new(random: [u8; 32]) -> MaskKey {
        MaskKey(random)
    }

    fn mask(&self, value: &Value) -> Masked {
        let text = value.to_string();
        Masked(
            Digest::builder()
                .part(&self.0)
                .part(text.as_bytes())
                .finish(),
        )
    }
}

impl fmt::Debug for MaskKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MaskKey")
    }
}

/// A value that may not be shown: equal to another one of the same comparison or not, and no more.
#[derive(Clone, PartialEq, Eq)]
pub struct Masked(Digest);

impl fmt::Debug for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// A field's value as it may be shown.
#[derive(Debug, Clone, PartialEq)]
pub enum Shown {
    /// As it is.
    Plain(Value),
    /// A Secret's.
    Secret(Masked),
}

impl fmt::Display for Shown {
    /// JSON, or `(secret)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Shown::Plain(value) => value.fmt(f),
            Shown::Secret(_) => f.write_str("(secret)"),
        }
    }
}

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Shown::Plain(value) => value.serialize(serializer),
            Shown::Secret(_) => serializer.serialize_str("(secret)"),
        }
    }
}

/// An object's fields by path, such as `spec.template.spec.containers[name=web].image`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fields(BTreeMap<String, Shown>);

/// One field that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FieldChange {
    /// Where it is.
    pub path: String,
    /// What it was; `None` where it was not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Shown>,
    /// What it becomes; `None` where it goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Shown>,
}

impl fmt::Display for FieldChange {
    /// `~ spec.replicas: 2 -> 3`, `+ data.new: "x"`, `- data.old: "y"`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = &self.path;
        match (&self.before, &self.after) {
            (Some(Shown::Secret(_)), Some(Shown::Secret(_))) => {
                write!(f, "~ {path}: (secret, before) -> (secret, after)")
            }
            (Some(before), Some(after)) => write!(f, "~ {path}: {before} -> {after}"),
            (None, Some(after)) => write!(f, "+ {path}: {after}"),
            (Some(before), None) => write!(f, "- {path}: {before}"),
            (None, None) => f.write_str(path),
        }
    }
}

impl Fields {
    /// The fields of an object's body, without those that are the server's or Weir's own.
    pub fn of(id: &ResourceId, body: &Value, key: &MaskKey) -> Fields {
        let secret = id.group.is_empty() && id.kind == "Secret";
        let mut reader = Reader {
            key,
            out: BTreeMap::new(),
        };
        for (name, value) in body.as_object().into_iter().flatten() {
            match name.as_str() {
                "status" => {}
                "metadata" => reader.metadata(value, secret),
                "data" | "stringData" if secret => reader.values(name, value),
                _ => reader.read(name, value, 1),
            }
        }
        Fields(reader.out)
    }

    /// What differs between two states, by path.
    pub fn changes(&self, after: &Fields) -> Vec<FieldChange> {
        let paths: BTreeSet<&String> = self.0.keys().chain(after.0.keys()).collect();
        let changes = paths.into_iter().map(|path| FieldChange {
            path: path.clone(),
            before: self.0.get(path).cloned(),
            after: after.0.get(path).cloned(),
        });
        changes.filter(|c| c.before != c.after).collect()
    }
}

/// Reads fields out of a body.
struct Reader<'k> {
    key: &'k MaskKey,
    out: BTreeMap<String, Shown>,
}

impl Reader<'_> {
    fn metadata(&mut self, metadata: &Value, secret: bool) {
        for (name, value) in metadata.as_object().into_iter().flatten() {
            if SERVERS.contains(&name.as_str()) {
                continue;
            }
            let own: &[&str] = match name.as_str() {
                "annotations" => &[ANNOTATION],
                "labels" => &[APP_LABEL, REPOSITORY_LABEL],
                _ => &[],
            };
            let path = format!("metadata.{name}");
            match value.as_object() {
                Some(map) if name == "annotations" || name == "labels" => {
                    for (key, value) in map.iter().filter(|(key, _)| !own.contains(&key.as_str())) {
                        let path = join(&path, key);
                        if secret && key == LAST_APPLIED {
                            self.mask(path, value);
                        } else {
                            self.read(&path, value, 3);
                        }
                    }
                }
                _ => self.read(&path, value, 2),
            }
        }
    }

    /// A Secret's values: each by its key. What is no map is one value.
    fn values(&mut self, name: &str, values: &Value) {
        match values.as_object() {
            Some(map) => {
                for (key, value) in map {
                    self.mask(join(name, key), value);
                }
            }
            None => self.mask(name.to_owned(), values),
        }
    }

    fn mask(&mut self, path: String, value: &Value) {
        self.out.insert(path, Shown::Secret(self.key.mask(value)));
    }

    fn read(&mut self, path: &str, value: &Value, depth: usize) {
        match value {
            Value::Object(map) if !map.is_empty() && depth < MAX_DEPTH => {
                for (key, value) in map {
                    self.read(&join(path, key), value, depth + 1);
                }
            }
            Value::Array(items) if !items.is_empty() && depth < MAX_DEPTH => {
                let names = names(items);
                for (index, item) in items.iter().enumerate() {
                    let path = match names.as_ref().and_then(|names| names.get(index)) {
                        Some(name) => format!("{path}[name={name}]"),
                        None => format!("{path}[{index}]"),
                    };
                    self.read(&path, item, depth + 1);
                }
            }
            _ => {
                self.out
                    .insert(path.to_owned(), Shown::Plain(value.clone()));
            }
        }
    }
}

/// The names of a list's items, where each has one of its own.
fn names(items: &[Value]) -> Option<Vec<&str>> {
    let all: Option<Vec<&str>> = items.iter().map(|i| i.get("name")?.as_str()).collect();
    let all = all?;
    let distinct: BTreeSet<&&str> = all.iter().collect();
    (distinct.len() == all.len()).then_some(all)
}

/// A key under a path; one that holds other characters than names do is quoted.
fn join(path: &str, key: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !key.is_empty() && key.chars().all(plain) {
        format!("{path}.{key}")
    } else {
        format!("{path}[{key:?}]")
    }
}

#[cfg(test)]
mod tests;
