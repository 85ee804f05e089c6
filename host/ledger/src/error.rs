//! What can go wrong with a ledger, sorted by what the caller does about it.

use std::error::Error as StdError;
use std::path::PathBuf;
use std::sync::Arc;

use weir_core::fault::{Blame, Fault, Retry};
use weir_core::name::RepositoryName;

use crate::s3::Trouble;

/// Why the ledger did not do what it was asked to.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LedgerError {
    /// Another process has it open.
    #[error(
        "the ledger {} is in use by {}: stop that one, or give this one another --state",
        dir.display(),
        holder.map_or("another process".to_owned(), |pid| format!("process {pid}"))
    )]
    Locked {
        /// The directory of the lock.
        dir: PathBuf,
        /// The process that holds it, when it could be read.
        holder: Option<u32>,
    },
    /// The place exists but cannot serve as a ledger.
    #[error("the ledger {} cannot be used: {why}", dir.display())]
    Refused {
        /// The ledger's directory, or its `s3://` URL.
        dir: PathBuf,
        /// What was found, what was expected, what to do.
        why: String,
    },
    /// The store did not do a thing that it should be able to do: the disk is full, or it cannot be reached.
    #[error("cannot {act} in the ledger {}{}", place.display(), advice(source.as_ref()))]
    Store {
        /// What was tried: "write", "read", "list".
        act: &'static str,
        /// The file or directory, or an object's `s3://` URL.
        place: PathBuf,
        /// What the store said.
        source: Arc<dyn StdError + Send + Sync>,
    },
    /// A file is not what was written, or is gone. Nothing that depends on it is returned.
    #[error(
        "the ledger's file {} is damaged: {why}. Restore it from a backup; `weir doctor` checks the whole ledger",
        file.display()
    )]
    Damaged {
        /// The file.
        file: PathBuf,
        /// The batch's number, where it is one.
        seq: Option<u64>,
        /// What was found and what was expected.
        why: String,
    },
    /// Someone else wrote the batch that was next: this process does not write to that chain any more.
    #[error(
        "the ledger's chain of {repository} was written by another host (batch {seq}), so this one has stopped there and applies nothing more: stop one of the two and start the other again"
    )]
    Fenced {
        /// The repository.
        repository: RepositoryName,
        /// The batch's number.
        seq: u64,
    },
    /// More was given than one batch may hold.
    #[error(
        "one write to the ledger has {size} {unit}, and at most {limit} are allowed: split the app"
    )]
    TooLarge {
        /// What is counted: "records" or "bytes".
        unit: &'static str,
        /// How many there are.
        size: usize,
        /// How many there may be.
        limit: usize,
    },
    /// The ledger is shutting down: whether the write was done is known after a restart.
    #[error("the ledger is stopping: start again and look what was written")]
    Stopping,
}

impl Blame for LedgerError {
    fn fault(&self) -> Fault {
        match self {
            LedgerError::TooLarge { .. } => Fault::Repository,
            _ => Fault::Host,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            LedgerError::Locked { .. } | LedgerError::Store { .. } | LedgerError::Stopping => {
                Retry::Backoff
            }
            LedgerError::Refused { .. }
            | LedgerError::Damaged { .. }
            | LedgerError::Fenced { .. }
            | LedgerError::TooLarge { .. } => Retry::OnChange,
        }
    }
}

/// The way out of the failures that operators meet most.
fn advice(error: &(dyn StdError + 'static)) -> &'static str {
    if let Some(trouble) = Trouble::of(error) {
        return trouble.advice();
    }
    let mut next = Some(error);
    while let Some(error) = next {
        let kind = error
            .downcast_ref::<std::io::Error>()
            .map(std::io::Error::kind);
        if kind == Some(std::io::ErrorKind::StorageFull) {
            return ": the disk is full, free some space; nothing was lost";
        }
        next = error.source();
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_named_and_worth_another_try() {
        let io = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let source = object_store::Error::Generic {
            store: "LocalFileSystem",
            source: Box::new(io),
        };
        let error = LedgerError::Store {
            act: "write",
            place: "/state/x".into(),
            source: Arc::new(source),
        };
        assert!(error.to_string().contains("the disk is full"), "{error}");
        assert_eq!(
            (error.fault(), error.retry()),
            (Fault::Host, Retry::Backoff)
        );
    }

    #[test]
    fn a_damaged_ledger_waits_for_a_person() {
        let error = LedgerError::Damaged {
            file: "/state/x".into(),
            seq: Some(3),
            why: "cut short".into(),
        };
        assert_eq!(error.retry(), Retry::OnChange);
        assert!(
            error.to_string().contains("/state/x") && error.to_string().contains("weir doctor")
        );
    }
}
