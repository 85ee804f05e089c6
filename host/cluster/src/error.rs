//! What can go wrong at a target: each text names the path, what was expected and what to do.

use std::io;
use std::path::PathBuf;

use weir_core::allow::NotAllowed;
use weir_core::fault::{Blame, Fault, Retry};

use crate::kube::KubeError;

/// Why a target did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// The target's root is something else than a directory.
    #[error("the target {} is {found}, expected a directory: move it away, or name another directory", root.display())]
    Root {
        /// The root.
        root: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// Another process is applying to the same directory.
    #[error("another process is writing to {}: let only one Weir write there", root.display())]
    Busy {
        /// The root.
        root: PathBuf,
    },
    /// Something is in the way that Weir did not make. It was not touched.
    #[error("{} is {found}, expected {expected}: Weir leaves it alone, move it away", path.display())]
    Foreign {
        /// The path.
        path: PathBuf,
        /// What is there.
        found: &'static str,
        /// What would be there if it were Weir's.
        expected: &'static str,
    },
    /// A file appeared where there was none when the plan was made. It was not touched.
    #[error("{} was made by someone else in the meantime: Weir leaves it alone and looks again", path.display())]
    Taken {
        /// The path.
        path: PathBuf,
    },
    /// A file is no longer what was seen when the plan was made. It was not touched.
    #[error("{} was changed or removed in the meantime: Weir leaves it alone and looks again", path.display())]
    Changed {
        /// The path.
        path: PathBuf,
    },
    /// A file is larger than Weir reads.
    #[error("{} has {size} bytes, and at most {limit} are read: move it away", path.display())]
    TooLarge {
        /// The path.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The cluster.
    #[error(transparent)]
    Kube(#[from] KubeError),
    /// The host does not let the repository have all that it renders.
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
    /// A run ended without an answer: a defect.
    #[error("{what} ended early: {why}")]
    Ended {
        /// What ended.
        what: &'static str,
        /// Why.
        why: String,
    },
    /// The operating system refused.
    #[error("cannot {act} {}{}", path.display(), hint(source))]
    Io {
        /// What was tried: "write", "read".
        act: &'static str,
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl TargetError {
    /// The text with what the system said, in one line.
    pub fn full(&self) -> String {
        match self {
            TargetError::Io { source, .. } => format!("{self}: {source}"),
            _ => self.to_string(),
        }
    }
}

impl Blame for TargetError {
    fn fault(&self) -> Fault {
        match self {
            TargetError::Kube(e) => e.fault(),
            TargetError::NotAllowed(e) => e.fault(),
            TargetError::Ended { .. } => Fault::Host,
            _ => Fault::Target,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            TargetError::Kube(e) => e.retry(),
            TargetError::NotAllowed(e) => e.retry(),
            // Each of these is put right at the target, which tells nobody: look again.
            _ => Retry::Backoff,
        }
    }
}

fn hint(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            " (the disk is full: free some space)"
        }
        io::ErrorKind::PermissionDenied => " (let the user that runs Weir read and write there)",
        io::ErrorKind::ReadOnlyFilesystem => " (it is mounted read-only)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_says_what_to_do() {
        let source = io::Error::from(io::ErrorKind::StorageFull);
        let error = TargetError::Io {
            act: "write",
            path: "/live/a.yaml".into(),
            source,
        };
        assert!(
            error
                .full()
                .contains("cannot write /live/a.yaml (the disk is full: free some space)"),
            "{}",
            error.full()
        );
        assert_eq!(
            (error.fault(), error.retry()),
            (Fault::Target, Retry::Backoff)
        );
    }
}
