//! Which objects a part of a config is about: `select`, the same in every bundled plugin.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::Object;

/// Which objects are meant: all conditions that are given must hold, and none means all objects.
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct Select {
    /// Kinds.
    pub kinds: BTreeSet<String>,
    /// Names.
    pub names: BTreeSet<String>,
    /// Labels with their values.
    pub labels: BTreeMap<String, String>,
}

impl Select {
    /// Whether an object is meant.
    #[must_use]
    pub fn matches(&self, object: &Object) -> bool {
        (self.kinds.is_empty() || self.kinds.contains(object.kind()))
            && (self.names.is_empty() || self.names.contains(object.name()))
            && self
                .labels
                .iter()
                .all(|(key, value)| object.label(key) == Some(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OBJECT: &str =
        r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","labels":{"tier":"web"}}}"#;

    fn matches(select: &str) -> bool {
        let select: Select = serde_json::from_str(select).unwrap();
        select.matches(&Object::from_json(OBJECT).unwrap())
    }

    #[test]
    fn all_conditions_that_are_given_must_hold() {
        for fits in [
            "{}",
            r#"{"kinds":["Secret","ConfigMap"]}"#,
            r#"{"names":["a"],"labels":{"tier":"web"}}"#,
        ] {
            assert!(matches(fits), "{fits}");
        }
        for differs in [
            r#"{"kinds":["Secret"]}"#,
            r#"{"names":["b"],"labels":{"tier":"web"}}"#,
            r#"{"labels":{"tier":"db"}}"#,
            r#"{"labels":{"other":"web"}}"#,
        ] {
            assert!(!matches(differs), "{differs}");
        }
    }

    #[test]
    fn a_condition_that_nobody_knows_is_refused() {
        let error = serde_json::from_str::<Select>(r#"{"kind":["Secret"]}"#).unwrap_err();
        assert!(error.to_string().contains("unknown field `kind`"));
    }
}
