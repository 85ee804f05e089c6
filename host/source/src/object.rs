//! Objects read from the database by id, with their bytes checked against it: gix does not.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use gix::objs::Kind;
use weir_core::digest::{BlobId, ObjectId};
use weir_core::tree::{BlobError, Blobs};

/// Why one object could not be read.
#[derive(Debug)]
pub(crate) enum ObjectError {
    Missing,
    /// Not the bytes or not the kind that the id stands for.
    Damaged(String),
    Unreadable(String),
}

impl ObjectError {
    pub(crate) fn text(&self, id: ObjectId) -> String {
        match self {
            ObjectError::Missing => format!("object {id} is missing"),
            ObjectError::Damaged(why) => format!("object {id}: {why}"),
            ObjectError::Unreadable(why) => format!("object {id} cannot be read: {why}"),
        }
    }
}

pub(crate) fn to_gix(id: ObjectId) -> gix::ObjectId {
    gix::ObjectId::Sha1(*id.as_bytes())
}

pub(crate) fn from_gix(id: &gix::oid) -> Option<ObjectId> {
    id.as_bytes().try_into().ok().map(ObjectId::from_bytes)
}

/// All causes of an error of gix's, in one line.
pub(crate) fn causes(error: &gix::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(e) = source {
        let next = e.to_string();
        if !next.is_empty() && !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        source = e.source();
    }
    crate::error::printable(&text)
}

/// The bytes of an object of this kind, whose hash is its id.
pub(crate) fn read(
    repo: &gix::Repository,
    id: ObjectId,
    kind: Kind,
) -> Result<Vec<u8>, ObjectError> {
    let object = match repo.try_find_object(to_gix(id)) {
        Ok(Some(object)) => object.detach(),
        Ok(None) => return Err(ObjectError::Missing),
        Err(e) => return Err(unreadable(&e)),
    };
    if object.kind != kind {
        return Err(ObjectError::Damaged(format!(
            "it is a {}, expected a {kind}",
            object.kind
        )));
    }
    // A collision attack on SHA-1 is an error here, too.
    match gix::objs::compute_hash(gix::hash::Kind::Sha1, kind, &object.data) {
        Ok(hash) if hash == to_gix(id) => Ok(object.data),
        Ok(_) => Err(ObjectError::Damaged("its bytes do not match its id".into())),
        Err(e) => Err(ObjectError::Damaged(causes(&e))),
    }
}

/// The size of a blob, from its header alone.
pub(crate) fn blob_size(repo: &gix::Repository, id: ObjectId) -> Result<u64, ObjectError> {
    match repo.try_find_header(to_gix(id)) {
        Ok(Some(header)) if header.kind() == Kind::Blob => Ok(header.size()),
        Ok(Some(header)) => Err(ObjectError::Damaged(format!(
            "it is a {}, expected a blob",
            header.kind()
        ))),
        Ok(None) => Err(ObjectError::Missing),
        Err(e) => Err(unreadable(&e)),
    }
}

fn unreadable(error: &gix::Error) -> ObjectError {
    if error.is_corrupted() {
        ObjectError::Damaged(causes(error))
    } else {
        ObjectError::Unreadable(causes(error))
    }
}

/// How many idle database handles are kept.
const POOL: usize = 16;

/// The blobs of one repository. Handles of gix cannot be shared between threads: each read borrows one.
pub(crate) struct OdbBlobs {
    repo: gix::ThreadSafeRepository,
    idle: Mutex<Vec<gix::Repository>>,
    largest: u64,
    damaged: Arc<AtomicBool>,
}

impl OdbBlobs {
    /// `largest`: no blob of more bytes is read. `damaged` is set where one is missing or wrong.
    pub(crate) fn new(
        repo: gix::ThreadSafeRepository,
        largest: u64,
        damaged: Arc<AtomicBool>,
    ) -> Self {
        OdbBlobs {
            repo,
            idle: Mutex::default(),
            largest,
            damaged,
        }
    }

    fn with<T>(&self, read: impl FnOnce(&gix::Repository) -> T) -> T {
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let handle = idle.unwrap_or_else(|| self.repo.to_thread_local());
        let result = read(&handle);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < POOL {
            idle.push(handle);
        }
        result
    }
}

impl Blobs for OdbBlobs {
    fn read(&self, id: BlobId) -> Result<Arc<[u8]>, BlobError> {
        let bytes = self.with(|repo| match blob_size(repo, id)? {
            size if size > self.largest => Err(ObjectError::Unreadable(format!(
                "it has {size} bytes, the limit for one file is {}",
                self.largest
            ))),
            _ => read(repo, id, Kind::Blob),
        });
        if let Err(ObjectError::Missing | ObjectError::Damaged(_)) = bytes {
            self.damaged.store(true, Ordering::Relaxed);
        }
        bytes.map(Arc::from).map_err(|e| match e {
            ObjectError::Missing => BlobError::Missing(id),
            ObjectError::Damaged(_) => BlobError::Damaged(id),
            ObjectError::Unreadable(why) => BlobError::Unreadable(id, why),
        })
    }
}
