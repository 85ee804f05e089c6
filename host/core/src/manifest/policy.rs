//! An app's policy as typed, and as meant: what is healed, forced, and left to others.

use schemars::JsonSchema;
use serde::Deserialize;

use super::place::{Errors, Place, quote};
use super::raw::RawApp;
use crate::policy::{Ignore, MAX_IGNORED_FIELDS, MAX_IGNORES, Policy};

/// Fields that others may set once the object is there. At least `fields` or `manager` is given.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("anyOf" = [{ "required": ["fields"] }, { "required": ["manager"] }]))]
pub(super) struct RawIgnore {
    /// Only in objects of this API group; empty for the core group. Left out: of every group.
    group: Option<String>,
    /// Only in objects of this kind. Left out: of every kind.
    kind: Option<String>,
    /// Only in the object of this name. Left out: of every name.
    name: Option<String>,
    /// JSON pointers, such as `/spec/replicas`: set when the object is made, then left to whoever changes them.
    #[serde(default)]
    fields: Vec<String>,
    /// A field manager, such as `kube-controller-manager`: what it changes is left to it.
    manager: Option<String>,
}

/// Fields that say what an object is, or whose: nobody else may set them.
const OURS: [&str; 6] = [
    "/apiVersion",
    "/kind",
    "/metadata/name",
    "/metadata/namespace",
    "/metadata/labels/weir.dev~1",
    "/metadata/annotations/weir.dev~1",
];

/// An entry's policy; what is wrong with it goes to the errors.
pub(super) fn policy(raw: &RawApp, place: Place<'_>, errors: &mut Errors<'_>) -> Policy {
    let rules = place.key("ignore");
    if raw.ignore.len() > MAX_IGNORES {
        let message = format!("{} rules: expected at most {MAX_IGNORES}", raw.ignore.len());
        errors.push(rules.mark(), message);
    }
    let each = raw.ignore.iter().take(MAX_IGNORES).enumerate();
    Policy {
        heal: raw.heal,
        conflicts: raw.conflicts,
        ignore: each
            .map(|(n, rule)| ignore(rule, rules.index(n), errors))
            .collect(),
    }
}

fn ignore(raw: &RawIgnore, place: Place<'_>, errors: &mut Errors<'_>) -> Ignore {
    if raw.fields.is_empty() && raw.manager.is_none() {
        let message = "expected fields: [/POINTER], or manager: NAME, or both";
        errors.push(place.mark(), message);
    }
    if raw.fields.len() > MAX_IGNORED_FIELDS {
        let message = format!(
            "{} fields: expected at most {MAX_IGNORED_FIELDS}",
            raw.fields.len()
        );
        errors.push(place.key("fields").mark(), message);
    }
    for (n, field) in raw.fields.iter().take(MAX_IGNORED_FIELDS).enumerate() {
        let mark = place.key("fields").index(n).mark();
        if !is_pointer(field) {
            let message = format!(
                "{}: expected a JSON pointer, such as /spec/replicas; `/` in a name is ~1 and `~` is ~0",
                quote(field)
            );
            errors.push(mark, message);
        } else if OURS.iter().any(|ours| covers(field, ours)) {
            let message = format!(
                "{}: it says what the object is, or whose, and cannot be left to others",
                quote(field)
            );
            errors.push(mark, message);
        }
    }
    if raw
        .manager
        .as_deref()
        .is_some_and(|m| m.is_empty() || m == "weir")
    {
        let message = "expected the name of another field manager than weir";
        errors.push(place.key("manager").mark(), message);
    }
    Ignore {
        group: raw.group.clone(),
        kind: raw.kind.clone(),
        name: raw.name.clone(),
        fields: raw.fields.clone(),
        manager: raw.manager.clone(),
    }
}

/// Whether a text is a JSON pointer to something within an object (RFC 6901).
fn is_pointer(text: &str) -> bool {
    let escapes = text.split('~').skip(1);
    text.len() > 1
        && text.starts_with('/')
        && escapes.into_iter().all(|rest| rest.starts_with(['0', '1']))
}

/// Whether a rule's field is one of ours, or above or below it.
fn covers(field: &str, ours: &str) -> bool {
    let below = |text: &str, of: &str| {
        text.strip_prefix(of)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || of.ends_with("~1"))
    };
    below(field, ours) || below(ours, field)
}
