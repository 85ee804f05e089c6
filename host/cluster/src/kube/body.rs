//! From a rendered object to what is sent, and from what the API server says to what was seen: pure.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::core::{ObjectMeta, PartialObjectMeta};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};
use weir_core::digest::Digest;
use weir_core::live::{Mark, Seen, Uid, Version, Written};
use weir_core::object::{Object, ResourceId};
use weir_core::owner::{ANNOTATION, APP_LABEL, Claim, REPOSITORY_LABEL};
use weir_core::plan::{PRUNE_ANNOTATION, may_prune};
use weir_core::reveal::Revealed;

/// The field manager that Weir applies as.
pub(super) const MANAGER: &str = "weir";

/// What must hold for a write to happen.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Precondition<'a> {
    /// It is still this object.
    pub(super) uid: Option<&'a Uid>,
    /// It is still in this state.
    pub(super) version: Option<&'a Version>,
}

/// A body on its way to the API server. Written as JSON it is the request; it has no other text, and is wiped when it
/// is sent.
pub(super) struct Sent(Revealed);

impl Sent {
    pub(super) fn new(body: Value) -> Sent {
        Sent(Revealed::new(body))
    }
}

impl Serialize for Sent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.expose().serialize(serializer)
    }
}

impl fmt::Debug for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sent")
    }
}

/// The body of a server-side apply: an object as rendered, with whose it is written on it.
pub(super) fn to_apply(
    claim: &Claim,
    body: &Value,
    id: &ResourceId,
    only_if: Precondition<'_>,
) -> Value {
    let mut body = body.clone();
    // The state is never ours to say, and a server would take it as a wish.
    if let Value::Object(map) = &mut body {
        map.remove("status");
    }
    let Some(Value::Object(metadata)) = body.get_mut("metadata") else {
        return body;
    };
    match &id.namespace {
        Some(namespace) => metadata.insert("namespace".to_owned(), json!(namespace.as_str())),
        None => metadata.remove("namespace"),
    };
    put(metadata, "annotations", ANNOTATION, &claim.on(id));
    put(metadata, "labels", APP_LABEL, claim.app.as_str());
    put(
        metadata,
        "labels",
        REPOSITORY_LABEL,
        claim.repository.as_str(),
    );
    // The server's own, as they come with objects that were copied out of a cluster.
    for field in [
        "managedFields",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "selfLink",
    ] {
        metadata.remove(field);
    }
    let mut precondition = |field: &str, value: Option<&str>| match value {
        Some(value) => metadata.insert(field.to_owned(), json!(value)),
        None => metadata.remove(field),
    };
    precondition("uid", only_if.uid.map(|uid| &*uid.0));
    precondition("resourceVersion", only_if.version.map(|v| v.0.as_str()));
    body
}

fn put(metadata: &mut Map<String, Value>, field: &str, key: &str, value: &str) {
    let entry = metadata.entry(field.to_owned()).or_insert(Value::Null);
    // What is no map stays, for the server to refuse: replacing it would hide the mistake.
    if entry.is_null() {
        *entry = Value::Object(Map::new());
    }
    if let Value::Object(map) = entry {
        map.insert(key.to_owned(), json!(value));
    }
}

/// What was seen of an object.
pub(super) fn seen(claim: &Claim, id: &ResourceId, metadata: &ObjectMeta) -> Seen {
    let annotations = metadata.annotations.as_ref();
    Seen {
        version: Version(metadata.resource_version.clone().unwrap_or_default()),
        mark: mark(metadata),
        owner: claim.read(
            id,
            annotations
                .and_then(|a| a.get(ANNOTATION))
                .map(String::as_str),
        ),
        leaving: metadata
            .deletion_timestamp
            .is_some()
            .then(|| waits_for(metadata)),
        keep: says_keep(metadata),
    }
}

/// Whether an object says that it must not be pruned. What says something else than yes or no is kept, too.
pub(super) fn says_keep(metadata: &ObjectMeta) -> bool {
    let annotations = metadata.annotations.as_ref();
    let prune = annotations.and_then(|all| all.get(PRUNE_ANNOTATION));
    may_prune(prune.map(String::as_str)) != Ok(true)
}

/// What a write left behind.
pub(super) fn written<K>(object: &Object, answer: &PartialObjectMeta<K>) -> Written {
    Written {
        content: object.digest(),
        mark: mark(&answer.metadata),
    }
}

/// The object's uid, and a digest of our entry in its managed fields. The entry names the fields that are
/// ours and when they last changed: an edit by anybody else takes fields out of it, an apply of ours that
/// changes nothing leaves it as it is, and what others do to their own fields does not touch it.
pub(super) fn mark(metadata: &ObjectMeta) -> Mark {
    let ours = our_entry(metadata);
    let mut state = Digest::builder();
    if let Some(entry) = ours {
        state.part(entry.api_version.as_deref().unwrap_or_default().as_bytes());
        let time = entry.time.as_ref().map(|t| t.0.to_string());
        state.part(time.unwrap_or_default().as_bytes());
        let fields = entry.fields_v1.as_ref().map(|f| f.0.to_string());
        state.part(fields.unwrap_or_default().as_bytes());
    }
    Mark {
        uid: metadata.uid.as_deref().map(|uid| Uid(uid.into())),
        state: state.finish(),
    }
}

/// Our own entry in an object's managed fields.
pub(super) fn our_entry(metadata: &ObjectMeta) -> Option<&ManagedFieldsEntry> {
    let entries = metadata.managed_fields.as_deref().unwrap_or_default();
    entries.iter().find(|e| {
        e.manager.as_deref() == Some(MANAGER)
            && e.operation.as_deref() == Some("Apply")
            && e.subresource.as_deref().unwrap_or_default().is_empty()
    })
}

/// What a delete waits for.
pub(super) fn waits_for(metadata: &ObjectMeta) -> String {
    match metadata.finalizers.as_deref() {
        Some(finalizers) if !finalizers.is_empty() => {
            format!("its finalizers: {}", finalizers.join(", "))
        }
        _ => "its grace period".to_owned(),
    }
}

#[cfg(test)]
mod tests;
