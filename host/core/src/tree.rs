//! One commit's files as an immutable value: path to mode and blob id. Never a checkout.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::digest::{BlobId, CommitId, ObjectId};
use crate::name::RepoPath;

mod dir;
mod externals;
#[cfg(test)]
pub(crate) mod made_up;
mod reads;
mod view;
mod watch;
use dir::Below;
pub use dir::{Change, Dir, DirSize, Item, There};
pub use externals::{Externals, Unavailable};
pub use reads::{Answer, Question, ReadSet};
pub use view::{DirEntry, ReadError, View};
pub use watch::Watch;

/// How large a tree may be. Required wherever a tree is made.
#[derive(Debug, Clone, Copy, serde::Serialize, serde::Deserialize)]
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

/// One commit's files. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Tree {
    commit: Option<CommitId>,
    root: Arc<Dir>,
}

impl PartialEq for Tree {
    fn eq(&self, other: &Tree) -> bool {
        self.commit == other.commit && self.entries().eq(other.entries())
    }
}

impl Eq for Tree {}

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
        let root = Dir::grouped(entries.into_iter().collect(), 0);
        Ok(Tree::of(commit, Arc::new(root)))
    }

    /// The id that Git has for it, where it comes from a commit.
    pub fn id(&self) -> Option<ObjectId> {
        self.root.id()
    }

    /// A tree with this root.
    pub fn of(commit: Option<CommitId>, root: Arc<Dir>) -> Tree {
        Tree { commit, root }
    }

    /// The commit, where this is one.
    pub fn commit(&self) -> Option<CommitId> {
        self.commit
    }

    /// The directory that all else lies in.
    pub fn root(&self) -> &Arc<Dir> {
        &self.root
    }

    /// What lies at exactly this path, links not followed.
    pub fn get(&self, path: &RepoPath) -> Option<&Entry> {
        match self.item(path)? {
            Item::Entry(entry) => Some(entry),
            Item::Dir(_) => None,
        }
    }

    /// Whether something lies below this path, links not followed.
    pub fn is_dir(&self, path: &RepoPath) -> bool {
        path.is_root() || self.item(path).is_some_and(Item::is_dir)
    }

    /// The directory at a path, where there is one.
    pub fn dir(&self, path: &RepoPath) -> Option<&Dir> {
        if path.is_root() {
            return Some(&self.root);
        }
        match self.item(path)? {
            Item::Dir(dir) => Some(dir),
            Item::Entry(_) => None,
        }
    }

    fn item(&self, path: &RepoPath) -> Option<&Item> {
        let mut parts = path.parts();
        let mut item = self.root.get(parts.next()?)?;
        for part in parts {
            let Item::Dir(dir) = item else {
                return None;
            };
            item = dir.get(part)?;
        }
        Some(item)
    }

    /// All entries below a directory at any depth, in order of path.
    pub fn below(&self, dir: &RepoPath) -> impl Iterator<Item = (&RepoPath, &Entry)> {
        self.dir(dir).map(Below::of).unwrap_or_default()
    }

    /// All entries, in order of path.
    pub fn entries(&self) -> impl Iterator<Item = (&RepoPath, &Entry)> {
        Below::of(&self.root)
    }

    /// What lies elsewhere or is something else in a later tree. Directories that have the same id are not looked into.
    pub fn changes(&self, later: &Tree) -> Vec<Change> {
        let mut out = Vec::new();
        if !self.root.is_surely(&later.root) {
            dir::differ(Some(&self.root), Some(&later.root), &mut out);
        }
        out
    }

    /// How many entries.
    pub fn len(&self) -> usize {
        self.root.leaves()
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
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
