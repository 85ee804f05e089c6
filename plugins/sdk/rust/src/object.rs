//! One Kubernetes object: a JSON object with the usual fields at hand.

use std::fmt;
use std::ops::{Deref, DerefMut};

use serde_json::{Map, Value};

use crate::Diagnostic;

/// One Kubernetes object. It is a map of JSON values, which can be used
/// directly, with names for what every object has.
#[derive(Debug, Clone, PartialEq)]
pub struct Object(Map<String, Value>);

impl Object {
    /// Parses one object.
    ///
    /// # Errors
    /// `bad-object` where the bytes are not one JSON object.
    pub fn from_json(json: impl AsRef<[u8]>) -> Result<Self, Diagnostic> {
        serde_json::from_slice(json.as_ref())
            .map(Self)
            .map_err(|error| {
                Diagnostic::error(
                    "bad-object",
                    format!("an object that is no JSON object: {error}"),
                )
            })
    }

    /// The object as JSON.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(&self.0).expect("a map with string keys is always JSON")
    }

    /// `apiVersion`, empty where there is none.
    #[must_use]
    pub fn api_version(&self) -> &str {
        self.text("apiVersion")
    }

    /// The API group, empty for the core group.
    #[must_use]
    pub fn group(&self) -> &str {
        self.api_version()
            .rsplit_once('/')
            .map_or("", |(group, _)| group)
    }

    /// `kind`, empty where there is none.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.text("kind")
    }

    /// `metadata.name`, empty where there is none.
    #[must_use]
    pub fn name(&self) -> &str {
        self.metadata("name").unwrap_or_default()
    }

    /// `metadata.namespace`.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        self.metadata("namespace")
    }

    /// The value of one label.
    #[must_use]
    pub fn label(&self, key: &str) -> Option<&str> {
        self.0.get("metadata")?.get("labels")?.get(key)?.as_str()
    }

    /// The value of one annotation.
    #[must_use]
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.0
            .get("metadata")?
            .get("annotations")?
            .get(key)?
            .as_str()
    }

    /// Sets a label; an older value is overwritten.
    ///
    /// # Errors
    /// `bad-object` where `metadata` or its labels are not an object.
    pub fn set_label(&mut self, key: &str, value: &str) -> Result<(), Diagnostic> {
        self.map_at(&["metadata", "labels"])?
            .insert(key.into(), value.into());
        Ok(())
    }

    /// Sets an annotation; an older value is overwritten.
    ///
    /// # Errors
    /// `bad-object` where `metadata` or its annotations are not an object.
    pub fn set_annotation(&mut self, key: &str, value: &str) -> Result<(), Diagnostic> {
        self.map_at(&["metadata", "annotations"])?
            .insert(key.into(), value.into());
        Ok(())
    }

    /// Sets `metadata.name`.
    ///
    /// # Errors
    /// `bad-object` where `metadata` is not an object.
    pub fn set_name(&mut self, name: &str) -> Result<(), Diagnostic> {
        self.map_at(&["metadata"])?
            .insert("name".into(), name.into());
        Ok(())
    }

    /// Sets `metadata.namespace`.
    ///
    /// # Errors
    /// `bad-object` where `metadata` is not an object.
    pub fn set_namespace(&mut self, namespace: &str) -> Result<(), Diagnostic> {
        self.map_at(&["metadata"])?
            .insert("namespace".into(), namespace.into());
        Ok(())
    }

    /// The map at the end of `keys`; what is missing or null on the way is made.
    ///
    /// # Errors
    /// `bad-object` with the object and the path where something else is there.
    pub fn map_at(&mut self, keys: &[&str]) -> Result<&mut Map<String, Value>, Diagnostic> {
        let id = self.id();
        let mut here = &mut self.0;
        for (depth, key) in keys.iter().enumerate() {
            let slot = here.entry(*key).or_insert(Value::Null);
            if slot.is_null() {
                *slot = Value::Object(Map::new());
            }
            here = slot.as_object_mut().ok_or_else(|| {
                let place = keys[..=depth].join(".");
                Diagnostic::error("bad-object", format!("{id}: {place} must be an object"))
            })?;
        }
        Ok(here)
    }

    /// The value at a JSON pointer (RFC 6901).
    #[must_use]
    pub fn pointer(&self, pointer: &str) -> Option<&Value> {
        let (key, rest) = split_pointer(pointer)?;
        self.0.get(&key)?.pointer(rest)
    }

    /// The value at a JSON pointer (RFC 6901), to change.
    #[must_use]
    pub fn pointer_mut(&mut self, pointer: &str) -> Option<&mut Value> {
        let (key, rest) = split_pointer(pointer)?;
        self.0.get_mut(&key)?.pointer_mut(rest)
    }

    /// Kind, namespace and name, for messages: `Deployment shop/web`.
    #[must_use]
    pub fn id(&self) -> String {
        self.to_string()
    }

    fn text(&self, key: &str) -> &str {
        self.0.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    fn metadata(&self, key: &str) -> Option<&str> {
        self.0.get("metadata")?.get(key)?.as_str()
    }
}

/// The first key of a pointer, unescaped, and the rest.
fn split_pointer(pointer: &str) -> Option<(String, &str)> {
    let path = pointer.strip_prefix('/')?;
    let (key, rest) = path.find('/').map_or((path, ""), |at| path.split_at(at));
    Some((key.replace("~1", "/").replace("~0", "~"), rest))
}

impl From<Map<String, Value>> for Object {
    fn from(map: Map<String, Value>) -> Self {
        Self(map)
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Self {
        Self::Object(object.0)
    }
}

impl Deref for Object {
    type Target = Map<String, Value>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Object {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} ",
            if self.kind().is_empty() {
                "(no kind)"
            } else {
                self.kind()
            }
        )?;
        if let Some(namespace) = self.namespace() {
            write!(f, "{namespace}/")?;
        }
        f.write_str(if self.name().is_empty() {
            "(no name)"
        } else {
            self.name()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment() -> Object {
        let json = r#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web","namespace":"shop",
            "labels":{"a/b":"c"},"annotations":null},"spec":{"x":[{"y~/z":7}]}}"#;
        Object::from_json(json).unwrap()
    }

    #[test]
    fn the_usual_fields_are_at_hand() {
        let object = deployment();
        assert_eq!(
            (object.api_version(), object.group(), object.kind()),
            ("apps/v1", "apps", "Deployment")
        );
        assert_eq!(
            (object.name(), object.namespace(), object.label("a/b")),
            ("web", Some("shop"), Some("c"))
        );
        assert_eq!(object.to_string(), "Deployment shop/web");
    }

    #[test]
    fn what_is_missing_is_empty_and_never_a_panic() {
        let object = Object::from_json(r#"{"metadata":[]}"#).unwrap();
        assert_eq!(
            (
                object.kind(),
                object.name(),
                object.namespace(),
                object.group()
            ),
            ("", "", None, "")
        );
        assert_eq!(object.to_string(), "(no kind) (no name)");
    }

    #[test]
    fn setting_a_label_makes_the_map_and_overwrites() {
        let mut object = deployment();
        object.set_label("a/b", "new").unwrap();
        object.set_annotation("note", "x").unwrap();
        assert_eq!(
            (object.label("a/b"), object.annotation("note")),
            (Some("new"), Some("x"))
        );
    }

    #[test]
    fn setting_a_label_where_there_is_no_map_names_object_and_place() {
        let mut object =
            Object::from_json(r#"{"kind":"X","metadata":{"name":"n","labels":[1]}}"#).unwrap();
        let error = object.set_label("a", "b").unwrap_err();
        assert_eq!(
            error.to_string(),
            "bad-object: X n: metadata.labels must be an object"
        );
    }

    #[test]
    fn pointers_follow_rfc_6901() {
        let mut object = deployment();
        assert_eq!(object.pointer("/spec/x/0/y~0~1z"), Some(&Value::from(7)));
        assert_eq!(object.pointer("/spec/none"), None);
        assert_eq!(object.pointer("spec"), None);
        *object.pointer_mut("/metadata/labels/a~1b").unwrap() = "d".into();
        assert_eq!(object.label("a/b"), Some("d"));
    }

    #[test]
    fn what_is_no_json_object_is_refused() {
        for bad in ["[]", "1", "", "{", "{\"a\":\"\u{0}\"}", "{} {}"] {
            assert_eq!(
                Object::from_json(bad).unwrap_err().code,
                "bad-object",
                "{bad}"
            );
        }
        assert_eq!(
            Object::from_json([b'{', b'"', 0xff, b'"', b':', b'1', b'}'])
                .unwrap_err()
                .code,
            "bad-object"
        );
    }
}
