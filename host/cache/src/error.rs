//! Why the folder cannot be used, and whether that is for want of room.

use std::io;
use std::path::PathBuf;

/// The folder cannot be used: why, and what to do.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}: {why}", dir.display())]
pub struct CacheError {
    /// The folder.
    pub dir: PathBuf,
    /// Why.
    pub why: String,
    /// The disk has no room: it may have some later, and what would be kept is made each time until then.
    pub is_full: bool,
}

/// Whether an error says that a disk has no room, or no more room for this user.
pub fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}
