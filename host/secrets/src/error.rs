//! Why an object that is encrypted, or should be, does not go to a cluster: which, what of it, whose fault, what to do.

use std::fmt;

use weir_core::fault::{Blame, Fault, Retry};
use weir_core::object::{Object, Origin, ResourceId};
use weir_core::reveal::NotRevealed;

use crate::sops::{MetadataError, NoDataKey, OpenError, ReadError};

/// What people are told to encrypt of a Secret.
const ONLY_VALUES: &str = "sops --encrypt --encrypted-regex '^(data|stringData)$'";
/// Objects whose trouble is told in one text.
const TOLD: usize = 5;

/// What is wrong with one object. No value is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealError {
    /// Which.
    pub object: Box<ResourceId>,
    /// The file that the renderer says it is from.
    pub origin: Origin,
    /// The part of it that is a file of its own, such as `data.config.yaml`, or the source file.
    pub part: Option<String>,
    /// What is wrong.
    pub trouble: Trouble,
}

/// What is wrong with an encrypted object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// Ciphertext where nothing decrypts it.
    #[error(
        "`{0}` is encrypted with SOPS, and Weir decrypts only what lies below data and stringData of a Secret: put it there, and encrypt with {ONLY_VALUES}"
    )]
    Elsewhere(String),
    /// An object that is no Secret says that SOPS encrypted it.
    #[error(
        "it has a `sops` block, and Weir decrypts Secrets only: make it one, or take the block away (sops --decrypt)"
    )]
    NoSecret,
    /// A value without the metadata that says how to open it.
    #[error(
        "`{0}` is encrypted with SOPS, and the `sops` block that says for whom is not in the object. Encrypt each Secret as a document of its own; a value that was copied out of an encrypted file cannot be opened"
    )]
    Unclaimed(String),
    /// A value that is no text.
    #[error("`{0}` is no text once it is decrypted: quote it before it is encrypted")]
    NoText(String),
    /// The metadata.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// A file in it.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The host's keys could not be read.
    #[error("it is encrypted, and {0}")]
    NoKeys(NotRevealed),
    /// There is no key for it.
    #[error(transparent)]
    Key(#[from] NoDataKey),
    /// It is not as it was encrypted.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Its source is not among the files that were read.
    #[error(
        "its MAC cannot be checked: no file that the app read has the `sops` block that the object has. Let it come from an encrypted file of the repository, unchanged"
    )]
    NoSource,
    /// The source's name means another format than what was found.
    #[error(
        "the file {0} is JSON by its name, and holds what SOPS makes of a binary file: `sops --decrypt` and Weir would come to different bytes. Name it otherwise, or give it more keys than `data`"
    )]
    TwoFormats(String),
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.object, self.origin)?;
        if let Some(part) = &self.part {
            write!(f, ", {part}")?;
        }
        write!(f, ": {}", self.trouble)
    }
}

impl std::error::Error for SealError {}

impl SealError {
    pub(crate) fn of(object: &Object, trouble: impl Into<Trouble>) -> SealError {
        SealError {
            object: Box::new(object.id().clone()),
            origin: object.origin().clone(),
            part: None,
            trouble: trouble.into(),
        }
    }

    pub(crate) fn in_part(mut self, part: impl Into<String>) -> SealError {
        self.part = Some(part.into());
        self
    }
}

impl Blame for SealError {
    fn fault(&self) -> Fault {
        match &self.trouble {
            Trouble::NoKeys(why) => why.fault,
            Trouble::Key(key) if key.is_the_hosts() => Fault::Host,
            _ => Fault::Repository,
        }
    }

    fn retry(&self) -> Retry {
        match &self.trouble {
            Trouble::NoKeys(why) => why.retry,
            // The right key may come to the host any time.
            Trouble::Key(key) if key.is_the_hosts() => Retry::Backoff,
            _ => Retry::OnChange,
        }
    }
}

/// What is wrong with an app's objects: at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealErrors(Vec<SealError>);

impl SealErrors {
    /// These errors; nothing where there are none.
    pub(crate) fn of(errors: Vec<SealError>) -> Result<(), SealErrors> {
        match errors.is_empty() {
            true => Ok(()),
            false => Err(SealErrors(errors)),
        }
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &SealError> {
        self.0.iter()
    }
}

impl fmt::Display for SealErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, error) in self.0.iter().take(TOLD).enumerate() {
            if n > 0 {
                f.write_str("; ")?;
            }
            error.fmt(f)?;
        }
        match self.0.len().saturating_sub(TOLD) {
            0 => Ok(()),
            more => write!(f, "; and {more} objects more"),
        }
    }
}

impl std::error::Error for SealErrors {}

impl Blame for SealErrors {
    fn fault(&self) -> Fault {
        let all = || self.0.iter().map(Blame::fault);
        all()
            .find(|f| *f == Fault::Repository)
            .unwrap_or(Fault::Host)
    }

    fn retry(&self) -> Retry {
        // What the repository has to mend comes with a commit, whatever the host does.
        match self.fault() {
            Fault::Repository => Retry::OnChange,
            _ => Retry::Backoff,
        }
    }
}
