//! What can be wrong with keys and signatures.

use std::path::PathBuf;

use weir_core::fault::{Blame, Fault, Retry};
use weir_core::receipt::{KeyId, ReceiptError};

/// Why the folder of keys is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// The system said no.
    #[error("{}: {why}", path.display())]
    Io {
        /// What was touched.
        path: PathBuf,
        /// What it said.
        why: String,
    },
    /// Somebody else can get at it.
    #[error("{}: {why}", path.display())]
    Exposed {
        /// The file or the folder.
        path: PathBuf,
        /// Who, and what to do.
        why: String,
    },
    /// Its text is no key.
    #[error("{}: {why}", path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// No key of that id is here.
    #[error("no key {0} is here: `weir keys list` shows those that are")]
    Unknown(KeyId),
    /// No key was made yet.
    #[error("no key was made yet: the first sync makes one, and `weir keys rotate` does")]
    None,
    /// The receipt cannot be made.
    #[error(transparent)]
    Receipt(#[from] ReceiptError),
}

/// Why a signed receipt is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// It is signed with a key that nobody here trusts.
    #[error(
        "it is signed with key {id}, which is not trusted here: if that is the signing host's key, import it with `weir keys import FILE.pem` or give it with --key FILE.pem"
    )]
    UnknownKey {
        /// The key's id.
        id: KeyId,
    },
    /// The signature is not that key's over these bytes.
    #[error(
        "its signature is not one of key {id} over what it says: it was changed, or it is forged"
    )]
    BadSignature {
        /// The key's id.
        id: KeyId,
    },
    /// What is signed is no receipt.
    #[error(transparent)]
    Receipt(#[from] ReceiptError),
    /// The keys cannot be looked at.
    #[error(transparent)]
    Keys(#[from] KeysError),
}

impl Blame for KeysError {
    fn fault(&self) -> Fault {
        Fault::Host
    }
    fn retry(&self) -> Retry {
        Retry::Backoff
    }
}

impl Blame for CheckError {
    fn fault(&self) -> Fault {
        Fault::Host
    }
    fn retry(&self) -> Retry {
        Retry::OnChange
    }
}
