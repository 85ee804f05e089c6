//! How an app's objects are kept as Git says where others change them: what is healed, forced, and left to others.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::object::{Object, ResourceId};

/// The annotation that lets an object be deleted and made anew (`"true"`) where a field that cannot be changed did.
pub const RECREATE_ANNOTATION: &str = "weir.dev/recreate";
/// The most rules of one app about what is left to others.
pub const MAX_IGNORES: usize = 100;
/// The most fields of one such rule.
pub const MAX_IGNORED_FIELDS: usize = 100;

/// What happens to changes that someone else made at a target.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Heal {
    /// They are undone.
    #[default]
    Enforce,
    /// They are said, and stay.
    Report,
}

/// What happens where another manager has a field that Git sets to another value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Conflicts {
    /// The object is not written, and the manager and the field are named.
    #[default]
    Refuse,
    /// The field is taken from the other manager.
    Force,
}

/// Fields that others may set: by where they are, or by who set them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Ignore {
    /// Only in objects of this group; empty for the core group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Only in objects of this kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Only in the object of this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// These fields and what is below them: JSON pointers (RFC 6901).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
    /// All fields that this manager has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manager: Option<String>,
}

impl Ignore {
    /// Whether the rule is about this object.
    pub fn is_about(&self, id: &ResourceId) -> bool {
        let is = |rule: &Option<String>, text: &str| rule.as_deref().is_none_or(|r| r == text);
        is(&self.group, &id.group) && is(&self.kind, &id.kind) && is(&self.name, &id.name)
    }
}

/// How an app's objects are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// Changes by others.
    pub heal: Heal,
    /// Fields that others have.
    pub conflicts: Conflicts,
    /// Fields that are left to others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<Ignore>,
}

impl Policy {
    /// What an app has that says nothing of it.
    pub const PLAIN: Policy = Policy {
        heal: Heal::Enforce,
        conflicts: Conflicts::Refuse,
        ignore: Vec::new(),
    };

    /// The fields of this object that are left to others once it is there.
    pub fn fields<'a>(&'a self, id: &'a ResourceId) -> impl Iterator<Item = &'a str> {
        let about = self.ignore.iter().filter(|rule| rule.is_about(id));
        about.flat_map(|rule| rule.fields.iter().map(String::as_str))
    }

    /// Whether fields of this object that this manager has are left to it.
    pub fn leaves_to(&self, id: &ResourceId, manager: &str) -> bool {
        let mut about = self.ignore.iter().filter(|rule| rule.is_about(id));
        about.any(|rule| rule.manager.as_deref() == Some(manager))
    }
}

/// Whether an object may be deleted and made anew.
///
/// # Errors
/// The annotation's text, where it is neither `true` nor `false`.
pub fn may_recreate(object: &Object) -> Result<bool, &str> {
    match object.annotation(RECREATE_ANNOTATION) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => Err(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(group: &str, kind: &str, name: &str) -> ResourceId {
        ResourceId {
            group: group.to_owned(),
            kind: kind.to_owned(),
            namespace: None,
            name: name.to_owned(),
        }
    }

    #[test]
    fn a_rule_is_about_what_it_names_and_all_that_it_does_not_name() {
        let replicas = Ignore {
            group: Some("apps".to_owned()),
            kind: Some("Deployment".to_owned()),
            fields: vec!["/spec/replicas".to_owned()],
            ..Ignore::default()
        };
        let scaler = Ignore {
            name: Some("web".to_owned()),
            manager: Some("scaler".to_owned()),
            ..Ignore::default()
        };
        let policy = Policy {
            ignore: vec![replicas, scaler],
            ..Policy::default()
        };
        for (group, kind, name, fields, left) in [
            ("apps", "Deployment", "web", 1, true),
            ("apps", "Deployment", "db", 1, false),
            ("apps", "StatefulSet", "db", 0, false),
            ("example.com", "Deployment", "db", 0, false),
            ("", "ConfigMap", "web", 0, true),
        ] {
            let id = id(group, kind, name);
            assert_eq!(policy.fields(&id).count(), fields, "{id}");
            assert_eq!(policy.leaves_to(&id, "scaler"), left, "{id}");
            assert!(!policy.leaves_to(&id, "other"), "{id}");
        }
    }
}
