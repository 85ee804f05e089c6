//! A commit as it is carried from one machine to another: its objects, each of which has to hash to its id.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gix::objs::Kind;
use weir_core::digest::{CommitId, ObjectId};
use weir_core::external::{GitKind, GitObject};
use weir_core::tree::{Entry, MemoryBlobs, Snapshot, TreeLimits};

use crate::error::SourceError;
use crate::object::{self, ObjectError};
use crate::snapshot::{self, Objects};

/// Keeps what a walk reads.
struct Recorder<'a> {
    repo: &'a gix::Repository,
    seen: RefCell<BTreeMap<ObjectId, GitObject>>,
}

impl Objects for Recorder<'_> {
    fn read(&self, id: ObjectId, kind: Kind) -> Result<Vec<u8>, ObjectError> {
        let bytes = object::read(self.repo, id, kind)?;
        if let Some(kind) = from_gix(kind) {
            let bytes = bytes.clone();
            let object = GitObject { kind, id, bytes };
            self.seen.borrow_mut().insert(id, object);
        }
        Ok(bytes)
    }

    fn blob_size(&self, id: ObjectId) -> Result<u64, ObjectError> {
        object::blob_size(self.repo, id)
    }
}

/// A commit with all its trees and blobs, of at most `most` bytes.
///
/// # Errors
/// As [`snapshot::tree`]; `Limit` where it is more.
pub(crate) fn objects(
    repo: &gix::Repository,
    url: &str,
    commit: CommitId,
    limits: TreeLimits,
    most: u64,
) -> Result<Vec<GitObject>, SourceError> {
    let recorder = Recorder {
        repo,
        seen: RefCell::default(),
    };
    // The walk holds the sum of all files to the limits.
    let tree = snapshot::tree(&recorder, url, commit, limits, None)?;
    let files: BTreeSet<ObjectId> = tree
        .entries()
        .filter_map(|(_, entry)| file(entry))
        .collect();
    for id in files {
        let read = recorder.read(id, Kind::Blob);
        read.map_err(|e| damaged(url, e.text(id)))?;
    }
    let objects: Vec<GitObject> = recorder.seen.into_inner().into_values().collect();
    let bytes: u64 = objects.iter().map(|object| object.bytes.len() as u64).sum();
    if bytes > most {
        return Err(SourceError::Limit {
            url: url.to_owned(),
            which: format!("of {most} bytes in one commit that is carried"),
        });
    }
    Ok(objects)
}

/// Objects in memory, by kind and id.
struct Carried<'a>(BTreeMap<ObjectId, &'a GitObject>);

impl Objects for Carried<'_> {
    fn read(&self, id: ObjectId, kind: Kind) -> Result<Vec<u8>, ObjectError> {
        let object = self.0.get(&id).ok_or(ObjectError::Missing)?;
        if to_gix(object.kind) == kind {
            Ok(object.bytes.clone())
        } else {
            let found = object.kind.as_str();
            let why = format!("it is a {found}, expected a {kind}");
            Err(ObjectError::Damaged(why))
        }
    }

    fn blob_size(&self, id: ObjectId) -> Result<u64, ObjectError> {
        let object = self.0.get(&id).ok_or(ObjectError::Missing)?;
        Ok(object.bytes.len() as u64)
    }
}

/// The files of a commit, of carried objects alone. Every one of them has to hash to its id, whether it is needed or not.
///
/// # Errors
/// As [`snapshot::tree`].
pub(crate) fn snapshot(
    url: &str,
    commit: CommitId,
    objects: &[GitObject],
    limits: TreeLimits,
) -> Result<Snapshot, SourceError> {
    let mut carried = Carried(BTreeMap::new());
    for object in objects {
        let id = object.id;
        let why = match object::id_of(to_gix(object.kind), &object.bytes) {
            Ok(hash) if hash == object::to_gix(id) => {
                carried.0.insert(id, object);
                continue;
            }
            Ok(_) => ObjectError::Damaged("its bytes do not match its id".into()),
            Err(e) => e,
        };
        return Err(damaged(url, why.text(id)));
    }
    let tree = snapshot::tree(&carried, url, commit, limits, None)?;
    let mut blobs = MemoryBlobs::default();
    for (_, entry) in tree.entries() {
        if let Some(id) = file(entry) {
            let bytes = carried.read(id, Kind::Blob);
            blobs.insert(id, bytes.map_err(|e| damaged(url, e.text(id)))?);
        }
    }
    Ok(Snapshot {
        tree: Arc::new(tree),
        blobs: Arc::new(blobs),
        limits,
        externals: Default::default(),
    })
}

fn file(entry: &Entry) -> Option<ObjectId> {
    match entry {
        Entry::File { id, .. } => Some(*id),
        Entry::Symlink { .. } | Entry::Submodule { .. } => None,
    }
}

fn damaged(url: &str, why: String) -> SourceError {
    SourceError::Damaged {
        url: url.to_owned(),
        why,
    }
}

fn from_gix(kind: Kind) -> Option<GitKind> {
    match kind {
        Kind::Commit => Some(GitKind::Commit),
        Kind::Tree => Some(GitKind::Tree),
        Kind::Blob => Some(GitKind::Blob),
        Kind::Tag => None,
    }
}

fn to_gix(kind: GitKind) -> Kind {
    match kind {
        GitKind::Commit => Kind::Commit,
        GitKind::Tree => Kind::Tree,
        GitKind::Blob => Kind::Blob,
    }
}
