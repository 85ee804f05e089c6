//! The files that a guest may ask for: of a view in this process, or of the host over a socket.

use weir_core::tree::{DirEntry, ReadError, ReadSet, View};

use crate::bindings::tree::FsError;
use crate::error::Failure;
use crate::worker::Asking;

/// Where a guest's questions about files go.
pub(crate) enum Files {
    /// Nowhere: the view went with the thread that had it.
    Gone,
    /// To this view.
    Here(Box<View>),
    /// To the host that this worker is of.
    Asked(Asking),
}

/// Why a question about files has no answer.
pub(crate) enum Refusal {
    /// The guest may hear this, and go on.
    Told(FsError),
    /// The call ends.
    Stop(Failure),
}

impl From<ReadError> for Refusal {
    fn from(error: ReadError) -> Refusal {
        match error {
            ReadError::NotFound(_) => Refusal::Told(FsError::NotFound),
            ReadError::NotADirectory(_) => Refusal::Told(FsError::NotADirectory),
            ReadError::IsADirectory(_) => Refusal::Told(FsError::IsADirectory),
            ReadError::InvalidPath(_) => Refusal::Told(FsError::InvalidPath),
            other => Refusal::Stop(Failure::Read(other)),
        }
    }
}

impl Files {
    /// The entries of a directory.
    pub(crate) fn entries(&mut self, dir: &str) -> Result<Vec<DirEntry>, Refusal> {
        match self {
            Files::Gone => Err(gone()),
            Files::Here(view) => Ok(view.entries(dir)?),
            Files::Asked(asking) => asking.entries(dir),
        }
    }

    /// One file, whole.
    pub(crate) fn read(&mut self, path: &str) -> Result<Vec<u8>, Refusal> {
        match self {
            Files::Gone => Err(gone()),
            Files::Here(view) => Ok(view.read(path)?.to_vec()),
            Files::Asked(asking) => asking.read(path),
        }
    }

    /// What was read, as far as this process knows it.
    pub(crate) fn into_read_set(self) -> ReadSet {
        match self {
            Files::Here(view) => view.into_read_set(),
            Files::Gone | Files::Asked(_) => ReadSet::default(),
        }
    }
}

/// Nothing runs on such files.
fn gone() -> Refusal {
    Refusal::Stop(Failure::Host {
        what: "the files of this call are gone".to_owned(),
    })
}
