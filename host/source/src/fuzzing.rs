//! What a fuzzer is let at: the walk of a tree and the unpacking of a chart, without any server or database.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use gix::objs::Kind;
use weir_core::digest::ObjectId;
use weir_core::tree::{Snapshot, Tree, TreeLimits};

use crate::error::SourceError;
use crate::external::{About, ExternalError, ExternalLimits, unpacked};
use crate::object::ObjectError;
use crate::snapshot::{self, Objects};

/// Small, so that each limit is met.
const TREE: TreeLimits = TreeLimits {
    files: 2_000,
    bytes: 1 << 20,
    file_bytes: 1 << 16,
    depth: 16,
};

/// As [`TREE`].
const CHART: ExternalLimits = ExternalLimits {
    archive_bytes: 1 << 20,
    unpacked_bytes: 4 << 20,
    ratio_free: 1 << 20,
    files: 500,
    ..ExternalLimits::HOST
};

/// A database in which an id's first byte says which object is meant, whatever it is asked as.
struct Given<'a>(&'a [&'a [u8]]);

impl Given<'_> {
    fn find(&self, id: ObjectId) -> Result<&[u8], ObjectError> {
        let at = usize::from(id.as_bytes()[0]);
        self.0.get(at).copied().ok_or(ObjectError::Missing)
    }
}

impl Objects for Given<'_> {
    fn read(&self, id: ObjectId, kind: Kind) -> Result<Vec<u8>, ObjectError> {
        match kind {
            Kind::Commit => Ok(format!("tree {:040}\n", 0).into_bytes()),
            _ => self.find(id).map(<[u8]>::to_vec),
        }
    }
    fn blob_size(&self, id: ObjectId) -> Result<u64, ObjectError> {
        self.find(id).map(|bytes| bytes.len() as u64)
    }
}

/// The tree whose root is the first of these objects.
///
/// # Errors
/// As for any commit.
pub fn tree(objects: &[&[u8]]) -> Result<Tree, SourceError> {
    let commit = ObjectId::from_bytes([0xff; 20]);
    snapshot::tree(&Given(objects), "https://git.example/a", commit, TREE, None)
}

/// The files of a chart's archive.
///
/// # Errors
/// As for any archive.
pub fn chart(archive: &[u8]) -> Result<Snapshot, ExternalError> {
    unpacked(About("oci://registry.example/a:1.0.0"), archive, &CHART)
}

/// The files of a chart's archive whose tar is given.
///
/// # Errors
/// As for any archive.
pub fn chart_of_tar(tar: &[u8]) -> Result<Snapshot, ExternalError> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::none());
    // Into memory: neither can fail.
    let _ = packed.write_all(tar);
    chart(&packed.finish().unwrap_or_default())
}
