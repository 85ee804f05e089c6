//! Which commits of a repository are followed: the host's policy, and the verdict about a commit over facts that others gathered.
//!
//! Nothing here is guessed: a fact that could not be found out holds the commit. Who may sign is never read from the
//! commit that is judged, but from the host, or from the last commit that was accepted.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::digest::{BlobId, CommitId, Digest, ObjectId};
use crate::name::RepoPath;

mod judge;
mod pattern;
mod words;
pub use judge::judge;
pub use pattern::{PathPattern, PatternError};

#[cfg(test)]
mod tests;

/// What a host wants of the commits of one repository.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CommitPolicy {
    /// Commits have to be signed.
    pub signatures: Option<Signatures>,
    /// A commit has to come after the last one that was accepted.
    pub fast_forward_only: bool,
    /// Paths that only some may change.
    pub protected: Vec<Protected>,
}

/// Which commits have to be signed, and where it is said by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signatures {
    /// Which.
    pub check: Check,
    /// The file of the repository that lists the signers, where the host does not list them itself.
    pub signers_in: Option<SignersIn>,
}

/// A list of signers in the repository. Each commit that changes it has to be signed by one of those that it listed before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignersIn {
    /// Where it lies.
    pub path: RepoPath,
    /// The digest of the first one, where the host has no list to begin with.
    pub first: Option<Digest>,
}

/// Which commits have to be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Check {
    /// The one that is followed.
    #[default]
    Head,
    /// Each one since the last that was accepted.
    Every,
}

/// Paths that only some may change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protected {
    /// Which. Each one means all below it, too.
    pub paths: Vec<PathPattern>,
}

impl Protected {
    /// Whether a path is one of them.
    pub fn has(&self, path: &RepoPath) -> bool {
        self.paths.iter().any(|pattern| pattern.matches(path))
    }
}

impl CommitPolicy {
    /// Whether the commits between the last accepted one and a new one have to be looked at.
    pub fn looks_between(&self) -> bool {
        let every = |s: &Signatures| s.check == Check::Every || s.signers_in.is_some();
        self.signatures.as_ref().is_some_and(every) || !self.protected.is_empty()
    }

    /// Whether what lies at this path is looked at.
    pub fn watches(&self, path: &RepoPath) -> bool {
        self.signers_in().is_some_and(|at| at.path == *path)
            || self.protected.iter().any(|entry| entry.has(path))
    }

    /// The list of signers in the repository, where there is one.
    pub fn signers_in(&self) -> Option<&SignersIn> {
        self.signatures.as_ref()?.signers_in.as_ref()
    }

    /// Whether a commit that was accepted under another policy is one to go on from under this one.
    pub fn stands_on(&self, trusted: &Trusted) -> bool {
        self.signatures.is_none() || trusted.signer.is_some()
    }
}

/// Who signed a commit, as the list of keys names the key that did.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Signer {
    /// The principals of `allowed_signers`, or the user id of an OpenPGP key.
    pub name: String,
    /// The key: `SHA256:...` for SSH, the fingerprint for OpenPGP.
    pub key: String,
}

impl fmt::Display for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.key)
    }
}

/// A commit that a host's policy accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trusted {
    /// Which.
    pub commit: CommitId,
    /// Who signed it, where the policy asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<Signer>,
}

/// Why a commit's signature does not count.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unsigned {
    /// It has none.
    Nothing,
    /// It has several, or more than one `gpgsig`.
    Several,
    /// It is neither an SSH nor an OpenPGP signature: what it is.
    Format(String),
    /// It cannot be read: why.
    Malformed(String),
    /// It was made for something else than Git: the namespace.
    Namespace(String),
    /// It is not one of these bytes: they were changed, or it was made for another commit.
    OtherBytes,
    /// The key is on no list: which.
    UnknownKey(String),
    /// The key is listed, and not for this: why.
    NotFor(String),
    /// The key did not count yet, or counts no more, at the time that the commit or the signature says.
    OutOfTime(String),
    /// The key was revoked.
    Revoked(String),
    /// The digest or the key is too weak to prove anything.
    Weak(String),
    /// There is no list that could say it: why.
    NoList(String),
    /// It was not looked at.
    NotLookedAt,
}

/// Which list of signers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ListId {
    /// The host's own.
    Host,
    /// The repository's, as it is in this blob, beside the host's OpenPGP keys.
    File(BlobId),
    /// That of one entry of the protected paths, by its place.
    Entry(usize),
}

/// What lies at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Content {
    /// Nothing.
    Absent,
    /// A file, a link or a submodule.
    There {
        /// Git's mode of it.
        mode: u32,
        /// Its blob.
        id: ObjectId,
    },
}

impl Content {
    /// The blob of a regular file.
    pub fn file(&self) -> Option<BlobId> {
        match self {
            Content::There {
                mode: 0o100_644 | 0o100_755,
                id,
            } => Some(*id),
            _ => None,
        }
    }
}

/// One commit of those that came since the last accepted one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brought {
    /// Which.
    pub commit: CommitId,
    /// What its signature is worth, by the list that is asked.
    pub signed: BTreeMap<ListId, Result<Signer, Unsigned>>,
    /// What lies at watched paths where it is not as in each of its parents.
    pub changes: BTreeMap<RepoPath, Content>,
}

impl Brought {
    fn by(&self, list: &ListId) -> Result<&Signer, Unsigned> {
        match self.signed.get(list) {
            Some(Ok(signer)) => Ok(signer),
            Some(Err(why)) => Err(why.clone()),
            None => Err(Unsigned::NotLookedAt),
        }
    }
}

/// What lay at a path, and what does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Before.
    pub from: Content,
    /// Now.
    pub to: Content,
}

/// One step of the followed line: a commit, and the commits that came with it, such as those of the branch that it merged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Watched paths that are not as at the step before.
    pub changed: BTreeMap<RepoPath, Change>,
    /// The commits that came with it.
    pub others: Vec<Brought>,
    /// The commit itself.
    pub commit: Brought,
}

impl Step {
    fn all(&self) -> impl Iterator<Item = &Brought> {
        self.others.iter().chain([&self.commit])
    }
}

/// How a commit stands to the last accepted one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Relation {
    /// None was accepted before.
    First,
    /// It comes after it.
    After(CommitId),
    /// It came before it: somebody pushed an older one.
    Before(CommitId),
    /// Neither: history was rewritten.
    Beside(CommitId),
    /// That could not be found out: why.
    Unknown(CommitId, String),
}

impl Relation {
    /// The last accepted one.
    pub fn base(&self) -> Option<CommitId> {
        match self {
            Relation::First => None,
            Relation::After(base)
            | Relation::Before(base)
            | Relation::Beside(base)
            | Relation::Unknown(base, _) => Some(*base),
        }
    }
}

/// The list of signers that counts at the last accepted commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begin {
    /// Which.
    pub list: ListId,
    /// What lies at the path of the repository's own list there.
    pub content: Content,
}

/// What was found out about a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// How it stands to the last accepted one.
    pub relation: Relation,
    /// Whose signatures count to begin with, where any have to; why none can.
    pub begin: Result<Begin, Refusal>,
    /// The steps since the last accepted one, the oldest first, the commit itself last; why they are not known.
    pub steps: Result<Vec<Step>, String>,
    /// The repository's own lists, each by its blob: why one cannot be used.
    pub lists: BTreeMap<BlobId, Result<(), String>>,
}

/// Whether a commit is followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is; who signed it, where that was asked.
    Accepted(Option<Signer>),
    /// It is not: the last accepted one stays.
    Refused(Refusal),
}

/// Why a commit is not followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It goes back to an older commit, or aside, and only what comes after the last accepted one is followed.
    NotAfter {
        /// The last accepted one.
        from: CommitId,
        /// It is an older one.
        older: bool,
    },
    /// What it takes to judge it could not be found out.
    Unknown(String),
    /// A commit that has to be signed is not.
    Unsigned {
        /// Which.
        commit: CommitId,
        /// Why its signature does not count.
        why: Unsigned,
    },
    /// A protected path was changed by somebody who may not.
    Protected {
        /// The path.
        path: RepoPath,
        /// The commits that did, of which none counts, and why not.
        by: Vec<(CommitId, Unsigned)>,
    },
    /// The list of signers that it brings could never be used.
    BadList {
        /// The list's path.
        path: RepoPath,
        /// What is wrong with it.
        why: String,
    },
    /// Its first list of signers is not the one that the host was told.
    OtherFirst {
        /// The list's path.
        path: RepoPath,
        /// The digest that the host was told.
        wanted: Digest,
    },
}

/// A commit that is not followed, as the ledger keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Which.
    pub commit: CommitId,
    /// `Name <address>`, as the commit says.
    pub author: String,
    /// `Name <address>`, as the commit says.
    pub committer: String,
    /// The first line of its message.
    pub subject: String,
    /// One word for why.
    pub kind: String,
    /// For a person.
    pub why: String,
    /// The commit that stays followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stays: Option<CommitId>,
}
