//! Names and paths, parsed once: a value of these types is known to be well-formed.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest name, in bytes: that of a DNS label, which Kubernetes names are (RFC 1123).
pub const MAX_NAME: usize = 63;
/// The longest path in a tree, in bytes.
pub const MAX_PATH: usize = 4096;

/// Why a text is not a name or a path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {text:?}: {why}")]
pub struct NameError {
    /// What it was to be: "app name", "path".
    pub what: &'static str,
    /// The text as given, cut to a readable length.
    pub text: String,
    /// What is expected instead.
    pub why: &'static str,
}

impl NameError {
    fn new(what: &'static str, text: &str, why: &'static str) -> Self {
        let text = text.chars().take(80).collect();
        NameError { what, text, why }
    }
}

const LABEL_RULE: &str =
    "expected 1 to 63 of a-z, 0-9 and -, starting and ending with a letter or digit";

fn is_label(s: &str) -> bool {
    let edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    s.len() <= MAX_NAME
        && edge(s.as_bytes().first())
        && edge(s.as_bytes().last())
        && s.bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl FromStr for $type {
            type Err = NameError;
            fn from_str(s: &str) -> Result<Self, NameError> {
                let valid: fn(&str) -> bool = $valid;
                if valid(s) { Ok($type(s.to_owned())) } else { Err(NameError::new($what, s, LABEL_RULE)) }
            }
        }
        impl TryFrom<String> for $type {
            type Error = NameError;
            fn try_from(s: String) -> Result<Self, NameError> {
                s.parse()
            }
        }
        impl From<$type> for String {
            fn from(n: $type) -> String {
                n.0
            }
        }
        impl Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// An app: `shop`, or `shop.prod` where one entry of the manifest lands in several targets.
    AppName, "app name",
    |s| match s.split_once('.') {
        None => is_label(s),
        Some((app, target)) => is_label(app) && is_label(target),
    }
}
name! {
    /// A plugin as the manifest calls it.
    PluginName, "plugin name", is_label
}
name! {
    /// A target as the manifest calls it. The host binds it to a place.
    TargetName, "target name", is_label
}
name! {
    /// A repository as this host calls it: `shop`, or `team.shop` where it is the one `shop` of a namespace `team`.
    RepositoryName, "repository name",
    // A label's value in a cluster, too.
    |s| s.len() <= MAX_NAME && match s.split_once('.') {
        None => is_label(s),
        Some((namespace, name)) => is_label(namespace) && is_label(name),
    }
}
name! {
    /// A Kubernetes namespace.
    Namespace, "namespace", is_label
}

impl TargetName {
    /// The target of an app that names none.
    pub fn default_target() -> Self {
        TargetName("default".into())
    }
}

/// A path in a tree: relative, `/` between parts, no empty part, `.`, `..`, `\` or NUL. Empty is the root.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepoPath(String);

impl RepoPath {
    /// The root of the tree.
    pub fn root() -> Self {
        RepoPath(String::new())
    }

    /// The text, without a leading or trailing slash; empty for the root.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The parts, from the root down; none for the root itself.
    pub fn parts(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/').filter(|p| !p.is_empty())
    }

    /// The last part; `None` for the root.
    pub fn name(&self) -> Option<&str> {
        self.parts().next_back()
    }

    /// The directory that this lies in; `None` for the root.
    pub fn parent(&self) -> Option<RepoPath> {
        if self.is_root() {
            return None;
        }
        Some(RepoPath(
            self.0
                .rsplit_once('/')
                .map_or(String::new(), |(dir, _)| dir.to_owned()),
        ))
    }

    /// This path with one more part.
    ///
    /// # Errors
    /// When the part is not a legal name.
    pub fn join(&self, part: &str) -> Result<RepoPath, NameError> {
        if self.is_root() {
            part.parse()
        } else {
            format!("{}/{part}", self.0).parse()
        }
    }

    /// Whether this is `dir` or lies below it.
    pub fn is_within(&self, dir: &RepoPath) -> bool {
        self.below(dir).is_some()
    }

    /// What is left of this path below `dir`; `None` when it does not lie within.
    pub fn below(&self, dir: &RepoPath) -> Option<&str> {
        if dir.is_root() {
            return Some(&self.0);
        }
        let rest = self.0.strip_prefix(&dir.0)?;
        if rest.is_empty() {
            Some(rest)
        } else {
            rest.strip_prefix('/')
        }
    }
}

impl FromStr for RepoPath {
    type Err = NameError;
    fn from_str(s: &str) -> Result<Self, NameError> {
        let s = s.strip_suffix('/').filter(|s| !s.is_empty()).unwrap_or(s);
        let s = if s == "." { "" } else { s };
        let legal = |part: &str| {
            !part.is_empty() && part != "." && part != ".." && !part.contains(['\\', '\0'])
        };
        if s.len() > MAX_PATH {
            Err(NameError::new("path", s, "expected at most 4096 bytes"))
        } else if s.is_empty() || s.split('/').all(legal) {
            Ok(RepoPath(s.to_owned()))
        } else {
            Err(NameError::new(
                "path",
                s,
                "expected a path inside the repository: relative, with /, without empty parts, . or ..",
            ))
        }
    }
}

impl Borrow<str> for RepoPath {
    fn borrow(&self) -> &str {
        &self.0
    }
}
impl TryFrom<String> for RepoPath {
    type Error = NameError;
    fn try_from(s: String) -> Result<Self, NameError> {
        s.parse()
    }
}
impl From<RepoPath> for String {
    fn from(p: RepoPath) -> String {
        p.0
    }
}
impl fmt::Display for RepoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_root() { "." } else { &self.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_dns_labels() {
        for good in ["a", "shop", "shop-2", "0a"] {
            assert!(good.parse::<PluginName>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "-a",
            "a-",
            "A",
            "a_b",
            "a/b",
            "..",
            "a.b.c",
            &"a".repeat(64),
        ] {
            assert!(bad.parse::<PluginName>().is_err(), "{bad}");
        }
        assert!("shop.prod".parse::<AppName>().is_ok());
        assert!("shop.prod.eu".parse::<AppName>().is_err());
    }

    #[test]
    fn a_repository_of_a_namespace_has_a_name_that_is_no_other_ones() {
        let name = |s: &str| s.parse::<RepositoryName>();
        assert_eq!(name("team.shop").unwrap().as_str(), "team.shop");
        let longest = format!("{}.{}", "a".repeat(31), "b".repeat(31));
        assert_eq!(longest.len(), MAX_NAME);
        assert!(name(&longest).is_ok());
        // Neither part has a dot: no other namespace and name come to the same text.
        for bad in ["a.b.c", "a.", ".b", "a..b", "A.b", &format!("{longest}b")] {
            assert!(name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn paths_cannot_leave_the_tree() {
        for bad in [
            "/",
            "/etc/passwd",
            "../x",
            "a/../b",
            "a//b",
            "a/./b",
            "a\\b",
            "a\0b",
            "..",
        ] {
            assert!(bad.parse::<RepoPath>().is_err(), "{bad:?}");
        }
        assert_eq!("a/b/".parse::<RepoPath>().unwrap().as_str(), "a/b");
        assert!(".".parse::<RepoPath>().unwrap().is_root());
    }

    #[test]
    fn within_compares_whole_parts() {
        let p = |s: &str| s.parse::<RepoPath>().unwrap();
        assert!(p("apps/shop/x").is_within(&p("apps/shop")));
        assert!(!p("apps/shop2").is_within(&p("apps/shop")));
        assert_eq!(p("apps/shop/x/y").below(&p("apps/shop")), Some("x/y"));
        assert_eq!(p("apps/shop").parent(), Some(p("apps")));
        assert_eq!(p("apps").parent(), Some(RepoPath::root()));
        assert_eq!(RepoPath::root().parent(), None);
    }
}
