//! What lies outside the repository and is pinned in `weir.lock`: references, known by their exact text, and their pins.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::{CommitId, Digest, ObjectId};
use crate::name::RepoPath;

mod parse;
#[cfg(test)]
mod tests;

pub use parse::is_loopback;
pub(crate) use parse::{registry_host, registry_name};

/// Where renders see externals: each one in a folder below, called by its escaped reference. Nothing of the
/// repository may lie there.
pub const EXTERNALS_DIR: &str = ".weir/external";
/// The longest reference, in bytes. Escaped it is still a path.
pub const MAX_REFERENCE: usize = 1024;
/// How many externals one repository may have.
pub const MAX_EXTERNALS: usize = 256;

/// A chart or another repository, by its exact text: two texts are two references, whatever they mean.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reference {
    text: String,
    kind: ReferenceKind,
}

/// What a reference stands for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReferenceKind {
    /// `oci://HOST/PATH?version=V`: a Helm chart in an OCI registry.
    Oci {
        /// The registry: a host, and a port if any.
        host: HostPort,
        /// The name of the repository in it.
        path: String,
        /// An exact version or a constraint; empty for the newest stable one.
        version: String,
    },
    /// `helm+https://HOST/PATH?chart=NAME&version=V`: a Helm chart in a chart repository.
    Chart {
        /// Scheme, host and path of the folder that `index.yaml` lies in, without a slash at the end.
        url: WebUrl,
        /// The chart's name there.
        chart: String,
        /// An exact version or a constraint; empty for the newest stable one.
        version: String,
    },
    /// `git+https://HOST/PATH?ref=REF`: all files of a commit of another repository.
    Git {
        /// The repository.
        url: WebUrl,
        /// A branch, a tag, a full ref name or a commit id; empty for `HEAD`.
        revision: String,
    },
}

/// A host as it is written in a URL, in lower case, and its port where one is written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPort {
    /// A name or an address, an IPv6 one in brackets.
    pub host: String,
    /// The port, where it is written.
    pub port: Option<u16>,
}

/// An `http` or `https` URL without user, query and fragment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WebUrl {
    /// Whether it is https.
    pub tls: bool,
    /// Where it is.
    pub host: HostPort,
    /// The path: empty, or from its slash on.
    pub path: String,
}

/// Why a text is no reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("external {text:?}: {why}; expected {}", Reference::EXPECTED)]
pub struct ReferenceError {
    /// The text, cut to a readable length.
    pub text: String,
    /// What is wrong.
    pub why: String,
}

impl Reference {
    /// The forms, for error texts.
    pub const EXPECTED: &str = "oci://HOST/PATH?version=V, helm+https://HOST/PATH?chart=NAME&version=V or git+https://HOST/PATH?ref=REF";

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What it stands for.
    pub fn kind(&self) -> &ReferenceKind {
        &self.kind
    }

    /// Its folder's name below [`EXTERNALS_DIR`]: all bytes but letters, digits and `._~+=@-` as `%XX`.
    pub fn escaped(&self) -> String {
        escape(&self.text)
    }

    /// Its folder.
    pub fn dir(&self) -> RepoPath {
        let path = format!("{EXTERNALS_DIR}/{}", self.escaped());
        // A reference has at most MAX_REFERENCE bytes, and no escaped one is `.` or `..`.
        path.parse().unwrap_or_default()
    }

    /// The reference behind a folder's name.
    ///
    /// # Errors
    /// When the name is not what [`Reference::escaped`] makes of a reference.
    pub fn unescaped(name: &str) -> Result<Reference, ReferenceError> {
        let wrong = |why: &str| ReferenceError {
            text: name.chars().take(200).collect(),
            why: why.to_owned(),
        };
        let text = parse::percent_decoded(name)
            .ok_or_else(|| wrong("the name of its folder is not escaped as %XX"))?;
        if escape(&text) != name {
            return Err(wrong(
                "the name of its folder is escaped in another way than Weir does it",
            ));
        }
        text.parse()
    }
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"._~+=@-".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

impl FromStr for Reference {
    type Err = ReferenceError;
    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        match parse::kind(text) {
            Ok(kind) => Ok(Reference {
                text: text.to_owned(),
                kind,
            }),
            Err(why) => Err(ReferenceError {
                text: text.chars().take(200).collect(),
                why,
            }),
        }
    }
}

impl TryFrom<String> for Reference {
    type Error = ReferenceError;
    fn try_from(text: String) -> Result<Self, ReferenceError> {
        text.parse()
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> String {
        reference.text
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.host),
            None => f.write_str(&self.host),
        }
    }
}

impl fmt::Display for WebUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.host, self.path)
    }
}

/// What `weir.lock` pins for one external.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawLockedExternal", into = "RawLockedExternal")]
pub enum LockedExternal {
    /// A chart: its archive, byte by byte.
    Chart {
        /// The version that was chosen.
        version: String,
        /// The digest of the archive; in an OCI registry that of the layer.
        digest: Digest,
        /// The archive's size in bytes.
        size: u64,
    },
    /// Another repository: a commit.
    Commit(CommitId),
}

impl LockedExternal {
    /// Whether this pins what the reference stands for.
    pub fn fits(&self, reference: &Reference) -> bool {
        matches!(self, LockedExternal::Commit(_))
            == matches!(reference.kind, ReferenceKind::Git { .. })
    }
}

impl fmt::Display for LockedExternal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LockedExternal::Chart {
                version, digest, ..
            } => write!(f, "{version}  {digest}"),
            LockedExternal::Commit(commit) => write!(f, "{commit}"),
        }
    }
}

/// An external's pin: of a chart `version`, `digest` and `size`, of a repository `commit`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "LockedExternal", extend("oneOf" = [{ "required": ["version", "digest", "size"] }, { "required": ["commit"] }]))]
pub(crate) struct RawLockedExternal {
    /// The version of the chart that was chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// The digest of the chart's archive; in an OCI registry that of the layer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    digest: Option<Digest>,
    /// The archive's size in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    /// The commit of the other repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    commit: Option<CommitId>,
}

impl TryFrom<RawLockedExternal> for LockedExternal {
    type Error = String;
    fn try_from(raw: RawLockedExternal) -> Result<Self, String> {
        match (raw.version, raw.digest, raw.size, raw.commit) {
            (Some(version), Some(digest), Some(size), None) => Ok(LockedExternal::Chart {
                version,
                digest,
                size,
            }),
            (None, None, None, Some(commit)) => Ok(LockedExternal::Commit(commit)),
            _ => Err(
                "an external's pin: expected version, digest and size (a chart), or commit (a repository)"
                    .to_owned(),
            ),
        }
    }
}

impl From<LockedExternal> for RawLockedExternal {
    fn from(locked: LockedExternal) -> RawLockedExternal {
        match locked {
            LockedExternal::Chart {
                version,
                digest,
                size,
            } => RawLockedExternal {
                version: Some(version),
                digest: Some(digest),
                size: Some(size),
                commit: None,
            },
            LockedExternal::Commit(commit) => RawLockedExternal {
                commit: Some(commit),
                ..RawLockedExternal::default()
            },
        }
    }
}

/// What is behind a pin, as it is carried from one machine to another. Its digests are the pin's own, so that it needs no
/// trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Carried {
    /// A chart's archive.
    Archive(Vec<u8>),
    /// A commit of another repository with its trees and blobs.
    Objects(Vec<GitObject>),
}

/// One object of Git's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitObject {
    /// What kind it is.
    pub kind: GitKind,
    /// Its id.
    pub id: ObjectId,
    /// Its bytes, without Git's head.
    pub bytes: Vec<u8>,
}

/// What kind of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum GitKind {
    /// A commit.
    Commit,
    /// A directory.
    Tree,
    /// A file or a link's text.
    Blob,
}

impl GitKind {
    /// Git's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            GitKind::Commit => "commit",
            GitKind::Tree => "tree",
            GitKind::Blob => "blob",
        }
    }

    /// The kind of Git's word.
    pub fn of(word: &str) -> Option<GitKind> {
        let all = [GitKind::Commit, GitKind::Tree, GitKind::Blob];
        all.into_iter().find(|kind| kind.as_str() == word)
    }
}
