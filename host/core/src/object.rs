//! One Kubernetes object with a known identity and one canonical text: the YAML that people see is the
//! bytes that digests are of.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Deserializer, Value};

use crate::digest::Digest;
use crate::name::Namespace;
use crate::yaml;

/// The longest object name, in bytes (a DNS subdomain, RFC 1123; RBAC names may be longer but not in etcd's keys).
pub const MAX_OBJECT_NAME: usize = 253;

/// What each value begins with that SOPS encrypted.
const ENCRYPTED: &str = "ENC[AES256_GCM,";
/// What our own annotations and labels begin with.
const OURS: &str = "weir.dev/";

/// What an object is, whatever version of its API it is written in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ResourceId {
    /// The API group; empty for the core group.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// The kind, such as `Deployment`.
    pub kind: String,
    /// The namespace; `None` for cluster-scoped kinds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Namespace>,
    /// The name.
    pub name: String,
}

impl fmt::Display for ResourceId {
    /// `Deployment.apps shop/web`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind)?;
        if !self.group.is_empty() {
            write!(f, ".{}", self.group)?;
        }
        match &self.namespace {
            Some(namespace) => write!(f, " {namespace}/{}", self.name),
            None => write!(f, " {}", self.name),
        }
    }
}

/// The file that an object came from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Origin {
    /// The path as the renderer told it.
    pub path: String,
    /// The line where the object starts, from 1; 0 where it is not known.
    pub line: u32,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            f.write_str(&self.path)
        } else {
            write!(f, "{}:{}", self.path, self.line)
        }
    }
}

/// One object. Cheap to clone. Its `Debug` shows what it is, never what it holds: it may be a Secret.
#[derive(Clone, PartialEq)]
pub struct Object(Arc<Whole>);

/// All of an object. Whoever holds the object shares it: the objects of a large app are held in several lists, and for
/// as long as the app is followed. So the fields lie here as JSON text, which takes less than a tree of them.
struct Whole {
    id: ResourceId,
    api_version: Box<str>,
    ours: Ours,
    json: Box<RawValue>,
    text: Box<str>,
    digest: Digest,
    origin: Origin,
}

/// The keys of ours that an object carries: what is asked of each object at each look at its app.
#[derive(Debug, Clone, Default)]
struct Ours {
    annotations: Vec<(String, Option<String>)>,
    labels: Vec<String>,
}

impl Ours {
    fn of(body: &Value) -> Ours {
        let map = |field: &str| {
            let map = body.get("metadata").and_then(|m| m.get(field));
            let map = map.and_then(Value::as_object).into_iter().flatten();
            map.filter(|(key, _)| key.starts_with(OURS))
        };
        let text = |value: &Value| value.as_str().map(str::to_owned);
        Ours {
            annotations: map("annotations")
                .map(|(key, value)| (key.clone(), text(value)))
                .collect(),
            labels: map("labels").map(|(key, _)| key.clone()).collect(),
        }
    }
}

impl PartialEq for Whole {
    /// All else follows from the fields.
    fn eq(&self, other: &Whole) -> bool {
        (self.digest, &self.origin, self.json.get())
            == (other.digest, &other.origin, other.json.get())
    }
}

/// Why a value is not an object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{origin}: {message}")]
pub struct ObjectError {
    /// Where the value came from.
    pub origin: Origin,
    /// What is missing or wrong.
    pub message: String,
}

impl Object {
    /// An object from its JSON form.
    ///
    /// # Errors
    /// When it is not a map, or has no usable `apiVersion`, `kind` or `metadata.name`.
    pub fn new(body: Value, origin: Origin) -> Result<Object, ObjectError> {
        let (id, api_version) = match identify(&body) {
            Ok(known) => known,
            Err(message) => return Err(ObjectError { origin, message }),
        };
        // Maps of text and numbers that are some: nothing in a value cannot be said in JSON.
        let json = serde_json::value::to_raw_value(&body).map_err(|e| ObjectError {
            origin: origin.clone(),
            message: format!("{}: {e}", id.kind),
        })?;
        let text = yaml::emit(&body).into_boxed_str();
        Ok(Object(Arc::new(Whole {
            id,
            api_version: api_version.into(),
            ours: Ours::of(&body),
            json,
            digest: Digest::of(text.as_bytes()),
            text,
            origin,
        })))
    }

    /// What it is.
    pub fn id(&self) -> &ResourceId {
        &self.0.id
    }
    /// Its `apiVersion`, such as `apps/v1`.
    pub fn api_version(&self) -> &str {
        &self.0.api_version
    }
    /// An annotation of ours, `weir.dev/...`, where it is text. Of other annotations nothing is known here.
    pub fn annotation(&self, name: &str) -> Option<&str> {
        let mut all = self.0.ours.annotations.iter();
        all.find_map(|(key, value)| value.as_deref().filter(|_| key == name))
    }
    /// The names of all annotations of ours, text or not.
    pub fn annotations(&self) -> impl Iterator<Item = &str> {
        self.0.ours.annotations.iter().map(|(key, _)| key.as_str())
    }
    /// The names of all labels of ours.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.0.ours.labels.iter().map(String::as_str)
    }
    /// Its fields as they are held: JSON text.
    pub fn json(&self) -> &RawValue {
        &self.0.json
    }
    /// Its fields, read anew from the text at each call: some microseconds. Whoever only hands them on takes
    /// [`Object::json`].
    pub fn body(&self) -> Value {
        let mut reader = Deserializer::from_str(self.0.json.get());
        // What made the value had a bound of its own, and it may be larger than this reader's.
        reader.disable_recursion_limit();
        let read = Value::deserialize(&mut reader);
        #[expect(
            clippy::expect_used,
            reason = "never nothing in its place: an object without fields could be applied"
        )]
        read.expect("the text was written from a value when the object was made")
    }
    /// Its canonical YAML, ending with a newline.
    pub fn text(&self) -> &str {
        &self.0.text
    }
    /// The digest of its canonical YAML.
    pub fn digest(&self) -> Digest {
        self.0.digest
    }
    /// Where it came from.
    pub fn origin(&self) -> &Origin {
        &self.0.origin
    }
    /// The same object, said to come from elsewhere.
    #[must_use]
    pub fn with_origin(self, origin: Origin) -> Object {
        if self.0.origin == origin {
            return self;
        }
        Object(Arc::new(Whole {
            id: self.0.id.clone(),
            api_version: self.0.api_version.clone(),
            ours: self.0.ours.clone(),
            json: self.0.json.clone(),
            text: self.0.text.clone(),
            digest: self.0.digest,
            origin,
        }))
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Object({} {})", self.id(), self.digest().short())
    }
}

/// What a value is, and its `apiVersion`.
fn identify(body: &Value) -> Result<(ResourceId, String), String> {
    let Value::Object(map) = body else {
        return Err(format!(
            "expected a Kubernetes object (a map), found {}",
            type_name(body)
        ));
    };
    let text = |value: Option<&Value>, field: &str| match value {
        Some(Value::String(s)) if s.starts_with(ENCRYPTED) => Err(format!(
            "`{field}` is encrypted with SOPS, and has to be readable: encrypt the values of a Secret only (sops --encrypt --encrypted-regex '^(data|stringData)$')"
        )),
        Some(Value::String(s)) if !s.is_empty() => Ok(s.clone()),
        Some(Value::String(_)) | None | Some(Value::Null) => Err(format!("`{field}` is missing")),
        Some(other) => Err(format!("`{field}` is {}, expected text", type_name(other))),
    };
    let api_version = text(map.get("apiVersion"), "apiVersion")?;
    let kind = text(map.get("kind"), "kind")?;
    let metadata = match map.get("metadata") {
        Some(Value::Object(metadata)) => metadata,
        _ => return Err(format!("{kind}: `metadata` is missing")),
    };
    let name = match text(metadata.get("name"), "metadata.name") {
        Err(_) if metadata.contains_key("generateName") => Err(
            "`metadata.generateName` makes a new object at each sync: give it a `metadata.name`"
                .to_owned(),
        ),
        other => other,
    }
    .map_err(|e| format!("{kind}: {e}"))?;
    // Kubernetes' own rule for every name: usable as one part of a path (ValidatePathSegmentName).
    if name == "."
        || name == ".."
        || name.contains(['/', '%', '\0'])
        || name.len() > MAX_OBJECT_NAME
    {
        return Err(format!(
            "{kind}: `metadata.name` may not be `.`, `..`, hold `/` or `%`, or pass {MAX_OBJECT_NAME} bytes"
        ));
    }
    let legal = |s: &str| {
        s.len() <= MAX_OBJECT_NAME
            && s.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
    };
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    if !legal(group) || !legal(&kind) || kind.starts_with('.') || group.starts_with('.') {
        return Err(format!(
            "`apiVersion` {api_version:?} and `kind` {kind:?} are not of Kubernetes' form, such as apps/v1 and Deployment"
        ));
    }
    let namespace = match metadata.get("namespace") {
        None | Some(Value::Null) => None,
        value => Some(
            text(value, "metadata.namespace")?
                .parse::<Namespace>()
                .map_err(|e| format!("{kind} {name}: {e}"))?,
        ),
    };
    let id = ResourceId {
        group: group.to_owned(),
        kind,
        namespace,
        name,
    };
    Ok((id, api_version))
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::Budget;
    use serde_json::json;

    fn origin() -> Origin {
        Origin {
            path: "a.yaml".into(),
            line: 3,
        }
    }

    #[test]
    fn identity_leaves_the_version_out() {
        let make = |v: &str| {
            Object::new(json!({"apiVersion": v, "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"}}), origin())
                .unwrap()
        };
        assert_eq!(make("apps/v1").id(), make("apps/v1beta1").id());
        assert_eq!(make("apps/v1").id().to_string(), "Deployment.apps shop/web");
    }

    #[test]
    fn what_is_missing_is_named_with_its_place() {
        for (body, expected) in [
            (
                json!([]),
                "a.yaml:3: expected a Kubernetes object (a map), found a list",
            ),
            (json!({"kind": "A"}), "a.yaml:3: `apiVersion` is missing"),
            (json!({"apiVersion": "v1"}), "a.yaml:3: `kind` is missing"),
            (
                json!({"apiVersion": "v1", "kind": 1}),
                "a.yaml:3: `kind` is a number, expected text",
            ),
            (
                json!({"apiVersion": "v1", "kind": "A"}),
                "a.yaml:3: A: `metadata` is missing",
            ),
            (
                json!({"apiVersion": "v1", "kind": "A", "metadata": {}}),
                "a.yaml:3: A: `metadata.name` is missing",
            ),
        ] {
            assert_eq!(
                Object::new(body, origin()).unwrap_err().to_string(),
                expected
            );
        }
        for bad in ["..", "a/b", "a%2e"] {
            assert!(
                Object::new(
                    json!({"apiVersion": "v1", "kind": "A", "metadata": {"name": bad}}),
                    origin()
                )
                .is_err()
            );
        }
        let kind = json!({"apiVersion": "v1", "kind": "../A", "metadata": {"name": "a"}});
        assert!(Object::new(kind, origin()).is_err());
    }

    #[test]
    fn an_object_whose_identity_is_encrypted_is_told_how_to_encrypt() {
        let token = "ENC[AES256_GCM,data:aa==,iv:aa==,tag:aa==,type:str]";
        for (path, body) in [
            (
                "apiVersion",
                json!({"apiVersion": token, "kind": token, "metadata": {"name": token}}),
            ),
            (
                "metadata.name",
                json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": token}}),
            ),
            (
                "metadata.namespace",
                json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a", "namespace": token}}),
            ),
        ] {
            let error = Object::new(body, origin()).unwrap_err().to_string();
            let expected = format!("`{path}` is encrypted with SOPS");
            assert!(error.contains(&expected), "{error}");
            assert!(
                error.contains("--encrypted-regex '^(data|stringData)$'"),
                "{error}"
            );
        }
    }

    #[test]
    fn fields_are_read_back_as_they_were_given() {
        let mut deep = json!({"n": [0.1, 1e300, -0.0, 5e-324, u64::MAX, i64::MIN, 1.0]});
        for _ in 0..Budget::HOST.depth {
            deep = json!({ "d": deep });
        }
        let body = json!({"apiVersion": "v1", "kind": "A", "metadata": {"name": "a"}, "spec": deep, "t": "\u{0}\"\u{2028}"});
        let object = Object::new(body.clone(), origin()).unwrap();
        assert_eq!(object.body(), body);
        assert_eq!(
            serde_json::to_string(object.json()).unwrap(),
            body.to_string()
        );
        assert_eq!(yaml::emit(&object.body()), object.text());
    }

    #[test]
    fn of_annotations_and_labels_just_ours_are_told() {
        let body = json!({"apiVersion": "v1", "kind": "A", "metadata": {"name": "a",
            "annotations": {"weir.dev/wave": "1", "weir.dev/odd": 2, "other": "x"}, "labels": {"weir.dev/app": "a", "app": "a"}}});
        let object = Object::new(body, origin()).unwrap();
        assert_eq!(object.annotation("weir.dev/wave"), Some("1"));
        assert_eq!(object.annotation("weir.dev/odd"), None);
        assert_eq!(object.annotation("other"), None);
        let names: Vec<&str> = object.annotations().collect();
        assert_eq!(names, ["weir.dev/odd", "weir.dev/wave"]);
        assert_eq!(object.labels().collect::<Vec<_>>(), ["weir.dev/app"]);
        assert_eq!(object.api_version(), "v1");
    }

    #[test]
    fn debug_never_shows_what_an_object_holds() {
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"p": "hunter2"}});
        assert!(!format!("{:?}", Object::new(secret, origin()).unwrap()).contains("hunter2"));
    }
}
