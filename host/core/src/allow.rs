//! What a repository may have in a target, as the operator of the host says it: which namespaces, which kinds, and
//! which kinds that live in no namespace.
//!
//! An object is judged as the target has it: where its kind lives in no namespace, none that its file names counts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use crate::fault::{Blame, Fault, Retry};
use crate::object::{Object, Origin, ResourceId};

/// What the group without a name is called in a pattern.
const CORE: &str = "core";
/// The most objects that one error names, and the most patterns that it lists.
const SHOWN: usize = 10;
/// The longest namespace, in bytes (RFC 1123).
const MAX_NAMESPACE: usize = 63;
/// The longest group or kind, in bytes.
const MAX_PART: usize = 253;

/// Namespaces: one by its name, or with a `*` at the end all whose name begins so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamespacePattern {
    /// The one of this name.
    Exact(String),
    /// All that begin so; empty for all.
    Beginning(String),
}

/// Kinds: `GROUP/KIND`, `GROUP/*` or `*`. The group without a name is called `core`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KindPattern {
    /// All.
    All,
    /// All of one group, which is empty for the core group.
    Group(String),
    /// One kind of one group.
    One {
        /// The group; empty for the core group.
        group: String,
        /// The kind.
        kind: String,
    },
}

/// What one place of the host's file lets a repository have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allow {
    /// Which place, for a person, such as "`allow` of repository shop".
    pub said_by: String,
    /// The namespaces; `None` for all. A Namespace counts as an object of the namespace that it makes.
    pub namespaces: Option<Vec<NamespacePattern>>,
    /// The kinds of objects in a namespace; `None` for all.
    pub kinds: Option<Vec<KindPattern>>,
    /// The kinds of objects in no namespace.
    pub cluster_kinds: Vec<KindPattern>,
}

/// All that the host says about one target: an object has to be allowed by each. Empty where it says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules(Vec<Allow>);

/// The rule that an object breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Outside {
    /// Its namespace.
    #[error("namespace {namespace} is not among those of {said_by} (namespaces: {allowed})")]
    Namespace {
        /// The namespace that it is in, or makes.
        namespace: String,
        /// Who says it.
        said_by: String,
        /// What is allowed.
        allowed: String,
    },
    /// Its kind.
    #[error("kind {kind} is not among those of {said_by} (kinds: {allowed})")]
    Kind {
        /// The kind as a pattern names it.
        kind: String,
        /// Who says it.
        said_by: String,
        /// What is allowed.
        allowed: String,
    },
    /// Its kind lives in no namespace.
    #[error(
        "kind {kind} lives in no namespace and is not among those of {said_by} (cluster-kinds: {allowed})"
    )]
    ClusterKind {
        /// The kind as a pattern names it.
        kind: String,
        /// Who says it.
        said_by: String,
        /// What is allowed.
        allowed: String,
    },
}

/// Objects of a render that the repository may not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAllowed(Vec<(Origin, ResourceId, Outside)>);

impl FromStr for NamespacePattern {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        let (name, star) = match s.strip_suffix('*') {
            Some(beginning) => (beginning, true),
            None => (s, false),
        };
        let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let whole = star || (!name.is_empty() && !name.ends_with('-'));
        if name.len() > MAX_NAMESPACE || !name.bytes().all(legal) || name.starts_with('-') || !whole
        {
            return Err(format!(
                "{}: expected a namespace, such as shop, with a * at its end for all that begin so, such as shop-*",
                quoted(s)
            ));
        }
        Ok(match star {
            true => NamespacePattern::Beginning(name.to_owned()),
            false => NamespacePattern::Exact(name.to_owned()),
        })
    }
}

impl fmt::Display for NamespacePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NamespacePattern::Exact(name) => f.write_str(name),
            NamespacePattern::Beginning(beginning) => write!(f, "{beginning}*"),
        }
    }
}

impl NamespacePattern {
    fn has(&self, namespace: &str) -> bool {
        match self {
            NamespacePattern::Exact(name) => name == namespace,
            NamespacePattern::Beginning(beginning) => namespace.starts_with(beginning.as_str()),
        }
    }
}

impl FromStr for KindPattern {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        let wrong = |hint: &str| {
            Err(format!(
                "{}: expected GROUP/KIND, such as apps/Deployment or core/ConfigMap, GROUP/* or *{hint}",
                quoted(s)
            ))
        };
        if s == "*" {
            return Ok(KindPattern::All);
        }
        let Some((group, kind)) = s.split_once('/') else {
            return wrong("");
        };
        let legal_group =
            |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b);
        let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
        let bytes = group.as_bytes();
        if group.len() > MAX_PART
            || !bytes.iter().copied().all(legal_group)
            || !edge(bytes.first())
            || !edge(bytes.last())
        {
            return wrong("");
        }
        let group = if group == CORE { "" } else { group }.to_owned();
        if kind == "*" {
            return Ok(KindPattern::Group(group));
        }
        let legal_kind = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        if kind.len() > MAX_PART || kind.is_empty() || !kind.bytes().all(legal_kind) {
            // `apps/v1/Deployment`, and `*` in the middle of a word.
            return wrong("");
        }
        if !kind.starts_with(|c: char| c.is_ascii_uppercase()) {
            return wrong("; a kind begins with a capital letter, as in its file");
        }
        let kind = kind.to_owned();
        Ok(KindPattern::One { group, kind })
    }
}

impl fmt::Display for KindPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KindPattern::All => f.write_str("*"),
            KindPattern::Group(group) => write!(f, "{}/*", named(group)),
            KindPattern::One { group, kind } => write!(f, "{}/{kind}", named(group)),
        }
    }
}

impl KindPattern {
    fn has(&self, id: &ResourceId) -> bool {
        match self {
            KindPattern::All => true,
            KindPattern::Group(group) => *group == id.group,
            KindPattern::One { group, kind } => *group == id.group && *kind == id.kind,
        }
    }
}

fn named(group: &str) -> &str {
    if group.is_empty() { CORE } else { group }
}

/// A text as typed, in quotes and cut to a readable length.
fn quoted(text: &str) -> String {
    format!("{:?}", text.chars().take(80).collect::<String>())
}

/// Patterns for a person.
fn list<P: fmt::Display>(patterns: &[P]) -> String {
    let mut text: Vec<String> = patterns.iter().take(SHOWN).map(P::to_string).collect();
    match patterns.len() {
        0 => text.push("none".to_owned()),
        all if all > SHOWN => text.push(format!("and {} more", all - SHOWN)),
        _ => {}
    }
    text.join(", ")
}

impl Allow {
    /// Whether an object may be there, by where the target has it.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn check(&self, id: &ResourceId) -> Result<(), Outside> {
        let kind = || format!("{}/{}", named(&id.group), id.kind);
        let said_by = || self.said_by.clone();
        match (&id.namespace, &self.kinds) {
            (None, _) if !self.cluster_kinds.iter().any(|p| p.has(id)) => {
                return Err(Outside::ClusterKind {
                    kind: kind(),
                    said_by: said_by(),
                    allowed: list(&self.cluster_kinds),
                });
            }
            (Some(_), Some(kinds)) if !kinds.iter().any(|p| p.has(id)) => {
                return Err(Outside::Kind {
                    kind: kind(),
                    said_by: said_by(),
                    allowed: list(kinds),
                });
            }
            _ => {}
        }
        // Whoever may write a Namespace chooses its labels, and so what its pods may do.
        let makes = id.group.is_empty() && id.kind == "Namespace";
        let namespace = match &id.namespace {
            Some(namespace) => Some(namespace.as_str()),
            None => makes.then_some(id.name.as_str()),
        };
        match (namespace, &self.namespaces) {
            (Some(namespace), Some(all)) if !all.iter().any(|p| p.has(namespace)) => {
                Err(Outside::Namespace {
                    namespace: namespace.to_owned(),
                    said_by: said_by(),
                    allowed: list(all),
                })
            }
            _ => Ok(()),
        }
    }
}

impl Rules {
    /// These together.
    pub fn new(rules: impl IntoIterator<Item = Allow>) -> Rules {
        Rules(rules.into_iter().collect())
    }

    /// Whether nothing is said, so that all is allowed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an object may be there, by where the target has it.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn check(&self, id: &ResourceId) -> Result<(), Outside> {
        self.0.iter().try_for_each(|allow| allow.check(id))
    }

    /// Whether a whole render may pass. `placed` says where the target has objects that it does not have where the
    /// render says.
    ///
    /// # Errors
    /// When one object may not: all that may not.
    pub fn admit(
        &self,
        objects: &[Object],
        placed: &BTreeMap<ResourceId, ResourceId>,
    ) -> Result<(), NotAllowed> {
        let mut outside: Vec<_> = objects
            .iter()
            .filter_map(|object| {
                let id = placed.get(object.id()).unwrap_or(object.id());
                let broken = self.check(id).err()?;
                Some((object.origin().clone(), object.id().clone(), broken))
            })
            .collect();
        outside.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
        match outside.is_empty() {
            true => Ok(()),
            false => Err(NotAllowed(outside)),
        }
    }

    /// Which of these are outside, and why: held since a time when they were allowed.
    pub fn outside(
        &self,
        held: &BTreeSet<ResourceId>,
        placed: &BTreeMap<ResourceId, ResourceId>,
    ) -> BTreeMap<ResourceId, Outside> {
        let broken = |id: &ResourceId| {
            let broken = self.check(placed.get(id).unwrap_or(id)).err()?;
            Some((id.clone(), broken))
        };
        held.iter().filter_map(broken).collect()
    }
}

impl fmt::Display for NotAllowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (origin, id, broken)) in self.0.iter().take(SHOWN).enumerate() {
            match n {
                0 => write!(
                    f,
                    "{origin}: {id}: {broken}; nothing of the app is applied: take it out of the repository, or have the host's operator allow it"
                )?,
                _ => write!(f, "\n{origin}: {id}: {broken}")?,
            }
        }
        match self.0.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, "\n... and {more} more"),
        }
    }
}

impl std::error::Error for NotAllowed {}

impl Blame for NotAllowed {
    fn fault(&self) -> Fault {
        Fault::Repository
    }
    fn retry(&self) -> Retry {
        Retry::OnChange
    }
}

#[cfg(test)]
mod tests;
