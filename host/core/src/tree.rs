//! One commit's files as an immutable value: path to mode and blob id. Never a checkout.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use crate::digest::{BlobId, CommitId, ObjectId};
use crate::name::RepoPath;

mod externals;
mod reads;
mod view;
pub use externals::{Externals, Unavailable};
pub use reads::{Answer, Question, ReadSet};
pub use view::{DirEntry, ReadError, View};

/// How large a tree may be. Required wherever a tree is made.
#[derive(Debug, Clone, Copy)]
pub struct TreeLimits {
    /// Files, links and submodules, at most.
    pub files: usize,
    /// The sum of all blob sizes, in bytes, at most.
    pub bytes: u64,
    /// One blob, in bytes, at most. A larger file is in the tree but cannot be read.
    pub file_bytes: u64,
    /// Directories inside each other, at most.
    pub depth: usize,
}

impl TreeLimits {
    /// What a host allows that was told nothing else.
    pub const HOST: TreeLimits = TreeLimits {
        files: 200_000,
        bytes: 4 << 30,
        file_bytes: 64 << 20,
        depth: 64,
    };
}

/// What lies at a path. Directories are implied by the paths below them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A regular file.
    File {
        /// Its blob.
        id: BlobId,
        /// Its size in bytes.
        size: u64,
        /// Git mode 100755.
        executable: bool,
    },
    /// A symbolic link, as data: its target is text, resolved inside the tree only.
    Symlink {
        /// Its blob.
        id: BlobId,
        /// The text of the link.
        target: String,
    },
    /// A submodule (mode 160000). Reading or listing it is an error that names it.
    Submodule {
        /// The commit that it points at.
        id: CommitId,
    },
}

/// One commit's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    commit: Option<CommitId>,
    root: Option<ObjectId>,
    entries: BTreeMap<RepoPath, Entry>,
}

impl Tree {
    /// A tree of these entries; `commit` is `None` for a work tree that is not committed.
    ///
    /// # Errors
    /// The first path that lies below another entry: a file that is a directory too.
    pub fn new(
        commit: Option<CommitId>,
        entries: BTreeMap<RepoPath, Entry>,
    ) -> Result<Tree, RepoPath> {
        for path in entries.keys() {
            let mut dir = path.parent();
            while let Some(d) = dir {
                if entries.contains_key(&d) {
                    return Err(path.clone());
                }
                dir = d.parent();
            }
        }
        Ok(Tree {
            commit,
            root: None,
            entries,
        })
    }

    /// The same, with the id that Git has for it.
    #[must_use]
    pub fn rooted(self, root: ObjectId) -> Tree {
        Tree {
            root: Some(root),
            ..self
        }
    }

    /// The id that Git has for the tree, where it comes from a commit.
    pub fn root(&self) -> Option<ObjectId> {
        self.root
    }

    /// The commit, where this is one.
    pub fn commit(&self) -> Option<CommitId> {
        self.commit
    }

    /// What lies at exactly this path, links not followed.
    pub fn get(&self, path: &RepoPath) -> Option<&Entry> {
        self.entries.get(path)
    }

    /// Whether something lies below this path, links not followed.
    pub fn is_dir(&self, path: &RepoPath) -> bool {
        path.is_root() || self.below(path).next().is_some()
    }

    /// All entries below a directory at any depth, in order of path.
    pub fn below(&self, dir: &RepoPath) -> impl Iterator<Item = (&RepoPath, &Entry)> {
        // Between "a" and "a/x" may sort "a-b": start at the first path that can begin with "a/".
        let prefix = if dir.is_root() {
            String::new()
        } else {
            format!("{}/", dir.as_str())
        };
        self.entries
            .range::<str, _>((Bound::Included(prefix.as_str()), Bound::Unbounded))
            .take_while(move |(path, _)| path.as_str().starts_with(&prefix))
    }

    /// All entries, in order of path.
    pub fn entries(&self) -> impl Iterator<Item = (&RepoPath, &Entry)> {
        self.entries.iter()
    }

    /// How many entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// Why a blob could not be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BlobError {
    /// The object is not there.
    #[error("object {0} is missing from the object database")]
    Missing(BlobId),
    /// The bytes do not hash to the id.
    #[error("object {0} is damaged: its bytes do not match its id")]
    Damaged(BlobId),
    /// The object database cannot be read.
    #[error("object {0} could not be read: {1}")]
    Unreadable(BlobId, String),
}

/// Reads blobs by id, and checks that the bytes hash to it. The one seam between a tree and the object database.
pub trait Blobs: Send + Sync {
    /// The bytes of a blob.
    ///
    /// # Errors
    /// When it is missing, damaged or unreadable. Never empty bytes instead.
    fn read(&self, id: BlobId) -> Result<Arc<[u8]>, BlobError>;
}

/// A commit's tree with the means to read its blobs.
#[derive(Clone)]
pub struct Snapshot {
    /// The files.
    pub tree: Arc<Tree>,
    /// Their bytes.
    pub blobs: Arc<dyn Blobs>,
    /// The limits that the tree was made under.
    pub limits: TreeLimits,
    /// What lies outside the repository and is shown with it.
    pub externals: Externals,
}

impl Snapshot {
    /// The same files with these externals.
    #[must_use]
    pub fn with_externals(&self, externals: Externals) -> Snapshot {
        Snapshot {
            externals,
            ..self.clone()
        }
    }
}

/// Blobs held in memory: for work trees that are not committed, and for tests.
#[derive(Debug, Default)]
pub struct MemoryBlobs(BTreeMap<BlobId, Arc<[u8]>>);

impl MemoryBlobs {
    /// Keeps the bytes under an id that the caller computed.
    pub fn insert(&mut self, id: BlobId, bytes: impl Into<Arc<[u8]>>) {
        self.0.insert(id, bytes.into());
    }
}

impl Blobs for MemoryBlobs {
    fn read(&self, id: BlobId) -> Result<Arc<[u8]>, BlobError> {
        self.0.get(&id).cloned().ok_or(BlobError::Missing(id))
    }
}
