//! The encrypted files that an app was rendered from: a rendered Secret has lost the order and the neighbours that a MAC
//! is of, and its source has them.

use std::collections::BTreeMap;

use weir_core::name::RepoPath;
use weir_core::object::Object;

use crate::error::{SealError, Trouble};
use crate::form::Form;
use crate::keys::Keys;
use crate::limits::SecretLimits;
use crate::sops::{File, Format, Metadata, ReadError};

/// The most values of all encrypted files of an app together, in files.
const FILES: usize = 8;

/// The encrypted files of an app, by their MAC as it stands in them. Those that have the same are copies, and each has to be
/// as it was encrypted.
#[derive(Debug)]
pub struct Sources {
    files: BTreeMap<String, Vec<Source>>,
    /// How many values further files may have.
    left: usize,
    limits: SecretLimits,
}

#[derive(Debug)]
struct Source {
    path: RepoPath,
    file: File,
}

impl Sources {
    /// None yet.
    pub fn new(limits: SecretLimits) -> Sources {
        Sources {
            files: BTreeMap::new(),
            left: limits.values.saturating_mul(FILES),
            limits,
        }
    }

    /// Keeps a file where SOPS encrypted it. One that cannot be read, or is too much beside the others, is nobody's source.
    pub fn add(&mut self, path: &RepoPath, bytes: &[u8]) {
        let read: Result<Option<File>, ReadError> = File::read(bytes, self.limits);
        if let Ok(Some(file)) = read {
            let Some(left) = self.left.checked_sub(file.values()) else {
                return;
            };
            self.left = left;
            let path = path.clone();
            let mac = file.metadata.mac.clone();
            self.files
                .entry(mac)
                .or_default()
                .push(Source { path, file });
        }
    }

    /// These files, none of them compared yet.
    pub(crate) fn unchecked<'s>(&'s self, keys: &'s Keys) -> Unchecked<'s> {
        Unchecked {
            sources: self,
            keys,
            known: BTreeMap::new(),
        }
    }
}

/// Files that are compared once each, however many objects come from them.
pub(crate) struct Unchecked<'s> {
    sources: &'s Sources,
    keys: &'s Keys,
    known: BTreeMap<&'s str, Result<(), (RepoPath, Trouble)>>,
}

impl Unchecked<'_> {
    /// Whether the source of an encrypted object is as it was encrypted.
    pub(crate) fn source_of(&mut self, object: &Object, form: &Form) -> Result<(), SealError> {
        match form {
            Form::Manifest(metadata, _) => self.compare(object, metadata),
            Form::Made(whole, dotenv) => {
                for part in whole {
                    self.has_one_format(object, &part.file)
                        .map_err(|e| e.in_part(part.name()))?;
                }
                match dotenv {
                    Some((metadata, _)) => self.compare(object, metadata),
                    None => Ok(()),
                }
            }
        }
    }

    fn compare(&mut self, object: &Object, metadata: &Metadata) -> Result<(), SealError> {
        let found = self.sources.files.get_key_value(&metadata.mac);
        let Some((mac, sources)) = found else {
            return Err(SealError::of(object, Trouble::NoSource));
        };
        let keys = self.keys;
        let opens = |source: &Source| -> Result<(), Trouble> {
            let key = source.file.metadata.data_key(keys)?;
            source.file.open(&key)?;
            Ok(())
        };
        let known = self.known.entry(mac).or_insert_with(|| {
            sources
                .iter()
                .try_for_each(|source| opens(source).map_err(|e| (source.path.clone(), e)))
        });
        let wrong = |(path, trouble): (RepoPath, Trouble)| {
            SealError::of(object, trouble).in_part(format!("source file {path}"))
        };
        known.clone().map_err(wrong)
    }

    /// A file within a Secret has its MAC with it. Only its name is left behind, which says what `sops` would take it for.
    fn has_one_format(&self, object: &Object, file: &File) -> Result<(), SealError> {
        let sources = self.sources.files.get(&file.metadata.mac);
        let mut sources = sources
            .filter(|_| file.format() == Format::Binary)
            .into_iter()
            .flatten();
        match sources.find(|source| source.path.as_str().ends_with(".json")) {
            Some(source) => {
                let name = source.path.to_string();
                Err(SealError::of(object, Trouble::TwoFormats(name)))
            }
            None => Ok(()),
        }
    }
}
