//! Who a target's requests run as and what a repository may have there: `as` and `allow` of the host's file.
//!
//! A key that stands there without a value is refused: it is a value that went missing, and never means all.

use std::fmt;
use std::path::Path;

use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use weir_cluster::kube::Account;
use weir_core::allow::{Allow, KindPattern, NamespacePattern};
use weir_core::manifest::{Errors, Place};
use weir_core::name::{RepositoryName, TargetName};

use super::parsed::Parsed;
use super::{Bound, TargetPlace};

/// The most patterns of one list.
const MAX_PATTERNS: usize = 1_000;

/// A target: its place alone, or a map.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
pub(super) enum RawTarget {
    /// A place, such as `dir:PATH` or `kube:CONTEXT`.
    Place(#[schemars(with = "String")] Parsed<TargetPlace>),
    /// More than a place.
    More(Box<RawBound>),
}

/// A target's place, the account that is used there, and what may land there.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RawBound {
    /// A place, such as `dir:PATH` or `kube:CONTEXT`.
    #[schemars(with = "String")]
    place: Parsed<TargetPlace>,
    /// The service account of the cluster that objects are read and written as: `NAMESPACE/NAME`. Left out: this
    /// host's own account.
    #[serde(rename = "as", default, deserialize_with = "given")]
    #[schemars(with = "String")]
    account: Option<Parsed<Account>>,
    /// What the repository may have there. Left out: all that the repository's own `allow` has.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "RawAllow")]
    allow: Option<RawAllow>,
}

/// What a repository may have.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RawAllow {
    /// Namespaces by name, or with a `*` at the end all that begin so. Left out: all.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Vec<String>")]
    namespaces: Option<Vec<Parsed<NamespacePattern>>>,
    /// Kinds of objects in a namespace: `GROUP/KIND` (such as `core/ConfigMap`), `GROUP/*` or `*`. Left out: all.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Vec<String>")]
    kinds: Option<Vec<Parsed<KindPattern>>>,
    /// Kinds of objects in no namespace, in the same form: `[]` for none, `['*']` for all.
    #[schemars(with = "Vec<String>")]
    cluster_kinds: Vec<Parsed<KindPattern>>,
}

/// What Repository resources of the cluster may have at most.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RawCluster {
    /// Namespaces and kinds, in addition to what a Repository itself allows. Left out: all that its service account may.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "RawAllow")]
    allow: Option<RawAllow>,
}

/// What is given, which is no null.
pub(super) fn given<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

impl<'de> Deserialize<'de> for RawTarget {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOrMap)
    }
}

/// Reads a [`RawTarget`].
struct TextOrMap;

impl<'de> Visitor<'de> for TextOrMap {
    type Value = RawTarget;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a place such as 'kube:', or a map with place, as and allow")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<RawTarget, E> {
        let place = text.parse().map_err(E::custom)?;
        Ok(RawTarget::Place(Parsed(place)))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawTarget, A::Error> {
        // The map's own errors, with their places.
        let bound = RawBound::deserialize(MapAccessDeserializer::new(map))?;
        Ok(RawTarget::More(Box::new(bound)))
    }
}

impl RawTarget {
    /// As meant; what is wrong with it goes to the errors.
    pub(super) fn meant(
        self,
        name: &TargetName,
        repository: &RepositoryName,
        at: Place<'_>,
        base: &Path,
        errors: &mut Errors<'_>,
    ) -> Bound {
        let raw = match self {
            RawTarget::Place(place) => return Bound::to(place.0.based_at(base)),
            RawTarget::More(raw) => *raw,
        };
        if raw.account.is_some() && matches!(raw.place.0, TargetPlace::Dir(_)) {
            let message = "a directory has no service accounts: leave `as` out";
            errors.push(at.name("as"), message);
        }
        let said_by = format!("`allow` of target {name} of repository {repository}");
        let allow = raw
            .allow
            .map(|allow| allow.meant(said_by, at.key("allow"), errors));
        Bound {
            place: raw.place.0.based_at(base),
            account: raw.account.map(|account| account.0),
            allow,
        }
    }
}

impl RawCluster {
    /// As meant; what is wrong with it goes to the errors.
    pub(super) fn meant(self, at: Place<'_>, errors: &mut Errors<'_>) -> Option<Allow> {
        let said_by = "`cluster.allow` of this host".to_owned();
        let allow = self.allow?;
        Some(allow.meant(said_by, at.key("allow"), errors))
    }
}

impl RawAllow {
    /// As meant; what is wrong with it goes to the errors.
    pub(super) fn meant(self, said_by: String, at: Place<'_>, errors: &mut Errors<'_>) -> Allow {
        fn all<P>(list: Vec<Parsed<P>>) -> Vec<P> {
            list.into_iter().map(|pattern| pattern.0).collect()
        }
        for (key, count) in [
            ("namespaces", self.namespaces.as_ref().map_or(0, Vec::len)),
            ("kinds", self.kinds.as_ref().map_or(0, Vec::len)),
            ("cluster-kinds", self.cluster_kinds.len()),
        ] {
            if let Err(message) = check_patterns(count) {
                errors.push(at.key(key).mark(), message);
            }
        }
        Allow {
            said_by,
            namespaces: self.namespaces.map(all),
            kinds: self.kinds.map(all),
            cluster_kinds: all(self.cluster_kinds),
        }
    }
}

/// Whether one list may have so many patterns.
pub(crate) fn check_patterns(count: usize) -> Result<(), String> {
    match count {
        0..=MAX_PATTERNS => Ok(()),
        _ => Err(format!("{count} items: expected at most {MAX_PATTERNS}")),
    }
}

#[cfg(test)]
#[path = "tenancy_tests.rs"]
mod tests;
