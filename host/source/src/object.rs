//! Objects read from the database by id, with their bytes checked against it: gix does not.

use std::error::Error as StdError;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use gix::objs::Kind;
use weir_core::digest::{BlobId, ObjectId};
use weir_core::tree::{BlobError, Blobs};

use crate::cache::Reading;

/// Why one object could not be read.
#[derive(Debug)]
pub(crate) enum ObjectError {
    Missing,
    /// Not the bytes or not the kind that the id stands for.
    Damaged(String),
    /// Its bytes were made to collide under SHA-1.
    Collision,
    Unreadable(String),
}

impl ObjectError {
    pub(crate) fn text(&self, id: ObjectId) -> String {
        match self {
            ObjectError::Missing => format!("object {id} is missing"),
            ObjectError::Damaged(why) => format!("object {id}: {why}"),
            ObjectError::Collision => {
                format!("object {id}: its bytes were made to collide under SHA-1")
            }
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
    let mut source = StdError::source(error);
    while let Some(e) = source {
        let next = e.to_string();
        if !next.is_empty() && !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        source = e.source();
    }
    crate::error::printable(&text)
}

/// What the system said, where that is what an error of gix's is about.
pub(crate) fn system_error(error: &gix::Error) -> Option<io::Error> {
    error.iter_errors().find_map(said_by_the_system)
}

fn said_by_the_system(error: &(dyn StdError + 'static)) -> Option<io::Error> {
    let mut next = Some(error);
    while let Some(e) = next {
        if let Some(io) = e.downcast_ref::<io::Error>() {
            if let Some(code) = io.raw_os_error() {
                return Some(io::Error::from_raw_os_error(code));
            }
            // One that names a path hides what the system said, but for its kind.
            if matches!(
                io.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
            ) {
                return Some(io::Error::from(io.kind()));
            }
            // An error that carries another one is not its source.
            let inner = io.get_ref().map(|inner| inner as &(dyn StdError + 'static));
            if let Some(said) = inner.and_then(said_by_the_system) {
                return Some(said);
            }
        }
        next = e.source();
    }
    None
}

/// Whether an error of gix's is that bytes were made to collide: its hasher finds that, and no class of errors tells it.
pub(crate) fn is_collision(error: &gix::Error) -> bool {
    causes(error).contains("SHA-1 collision attack")
}

/// Calls into gix with files of a disk or bytes of a server: one that panics over them is an error like any other.
pub(crate) fn walled<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|panic| {
        let said = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("without a word");
        format!(
            "the reader of Git's files gave up ({})",
            crate::error::printable(said)
        )
    })
}

/// The id of an object of these bytes. A collision attack on SHA-1 is an error.
pub(crate) fn id_of(kind: Kind, bytes: &[u8]) -> Result<gix::ObjectId, ObjectError> {
    let header = gix::objs::encode::loose_header(kind, bytes.len() as u64);
    hash(&[header.as_slice(), bytes])
}

/// The hash of bytes in parts, as everything here is hashed.
pub(crate) fn hash(parts: &[&[u8]]) -> Result<gix::ObjectId, ObjectError> {
    let mut hasher = gix::hash::hasher(gix::hash::Kind::Sha1);
    for part in parts {
        hasher.update(part);
    }
    // What the hasher detects is the only thing that can go wrong.
    hasher.try_finalize().map_err(|_| ObjectError::Collision)
}

/// The bytes of an object of this kind, whose hash is its id.
pub(crate) fn read(
    repo: &gix::Repository,
    id: ObjectId,
    kind: Kind,
) -> Result<Vec<u8>, ObjectError> {
    let found = walled(|| {
        repo.try_find_object(to_gix(id))
            .map(|object| object.map(gix::Object::detach))
    });
    let object = match found.map_err(ObjectError::Damaged)? {
        Ok(Some(object)) => object,
        Ok(None) => return Err(ObjectError::Missing),
        Err(e) => return Err(unreadable(&e)),
    };
    if object.kind != kind {
        return Err(ObjectError::Damaged(format!(
            "it is a {}, expected a {kind}",
            object.kind
        )));
    }
    if id_of(kind, &object.data)? == to_gix(id) {
        Ok(object.data)
    } else {
        Err(ObjectError::Damaged("its bytes do not match its id".into()))
    }
}

/// The size of a blob, from its header alone.
pub(crate) fn blob_size(repo: &gix::Repository, id: ObjectId) -> Result<u64, ObjectError> {
    let found = walled(|| repo.try_find_header(to_gix(id))).map_err(ObjectError::Damaged)?;
    match found {
        Ok(Some(header)) if header.kind() == Kind::Blob => Ok(header.size()),
        Ok(Some(header)) => Err(ObjectError::Damaged(format!(
            "it is a {}, expected a blob",
            header.kind()
        ))),
        Ok(None) => Err(ObjectError::Missing),
        Err(e) => Err(unreadable(&e)),
    }
}

/// Whether an object is there, whatever it holds.
pub(crate) fn is_there(repo: &gix::Repository, id: ObjectId) -> bool {
    walled(|| repo.has_object(to_gix(id))).unwrap_or(false)
}

/// Files that can be read and make no sense are damaged; the system's own errors and limits are not.
fn unreadable(error: &gix::Error) -> ObjectError {
    let why = causes(error);
    if is_collision(error) {
        ObjectError::Collision
    } else if error.is_corrupted() || is_of_the_files(error) {
        ObjectError::Damaged(why)
    } else {
        ObjectError::Unreadable(why)
    }
}

fn is_of_the_files(error: &gix::Error) -> bool {
    match system_error(error) {
        Some(said) => said.kind() == io::ErrorKind::NotFound,
        None => !error.is_resource_exhausted(),
    }
}

/// How many idle database handles are kept.
const POOL: usize = 16;

/// The blobs of one repository. Handles of gix cannot be shared between threads: each read borrows one.
pub(crate) struct OdbBlobs {
    reading: Reading,
    idle: Mutex<Vec<gix::Repository>>,
    largest: u64,
}

impl OdbBlobs {
    /// `largest`: no blob of more bytes is read. Where one is missing or wrong, that is said of the clone.
    pub(crate) fn new(reading: Reading, largest: u64) -> Self {
        OdbBlobs {
            reading,
            idle: Mutex::default(),
            largest,
        }
    }

    fn with<T>(&self, read: impl FnOnce(&gix::Repository) -> T) -> T {
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let handle = idle.unwrap_or_else(|| self.reading.handle());
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
        if let Err(e @ (ObjectError::Missing | ObjectError::Damaged(_))) = &bytes {
            self.reading.damaged(&e.text(id));
        }
        bytes.map(Arc::from).map_err(|e| match e {
            ObjectError::Missing => BlobError::Missing(id),
            ObjectError::Damaged(_) => BlobError::Damaged(id),
            ObjectError::Collision => {
                let why = "its bytes were made to collide under SHA-1: this is an attack";
                BlobError::Unreadable(id, why.into())
            }
            ObjectError::Unreadable(why) => BlobError::Unreadable(id, why),
        })
    }
}
