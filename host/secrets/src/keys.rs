//! The age keys of a host: read from files as `age-keygen` writes them, or from what a Secret holds.

use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use weir_core::fault::{Blame, Fault, Retry};
use weir_core::reveal::Hidden;
use zeroize::Zeroizing;

use crate::age::{Identity, NotAKey, Recipient};
use crate::limits::SecretLimits;

/// What the keys of a Secret end with that are read, as Flux has it.
pub const SECRET_KEYS: &str = ".agekey";

/// Keys, none of them printable.
#[derive(Debug, Clone, Default)]
pub struct Keys(Vec<Identity>);

/// Why keys cannot be read. No text of a key is in it.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The file cannot be opened or read.
    #[error("age key file {}: {why}", path.display())]
    Unread {
        /// The file.
        path: PathBuf,
        /// What the system said, and what to do.
        why: String,
    },
    /// Others on this machine may read it.
    #[error(
        "age key file {} may be read or changed by others (mode {mode:03o}): chmod 600 {} (in a pod: defaultMode: 0400), so that its keys are Weir's alone", path.display(), path.display()
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// What it holds is not keys.
    #[error("{place}, line {line} {why}")]
    NotAKey {
        /// Which file, or which Secret and key.
        place: Place,
        /// The line, from 1.
        line: usize,
        /// Why.
        why: NotAKey,
    },
    /// It holds none.
    #[error("{place} holds no key: expected lines AGE-SECRET-KEY-1..., as age-keygen writes them")]
    None {
        /// Which.
        place: Place,
    },
    /// It is larger than a key file is.
    #[error("{place} is larger than {limit} bytes, and is no key file")]
    TooLarge {
        /// Which.
        place: Place,
        /// The limit.
        limit: usize,
    },
    /// There are more keys than are tried.
    #[error("{place} brings more than {limit} keys: leave old ones out")]
    TooMany {
        /// Which.
        place: Place,
        /// The limit.
        limit: usize,
    },
    /// A Secret without keys.
    #[error(
        "Secret {name} holds no age key: expected a key of its data whose name ends with {SECRET_KEYS}"
    )]
    NoneInSecret {
        /// Namespace and name.
        name: String,
    },
}

/// Where keys come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A file.
    File(PathBuf),
    /// A Secret, by namespace and name, and the key of its data.
    Secret(String, String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File(path) => write!(f, "age key file {}", path.display()),
            Place::Secret(name, key) => write!(f, "Secret {name}, key {key}"),
        }
    }
}

impl Blame for KeysError {
    fn fault(&self) -> Fault {
        Fault::Host
    }
    fn retry(&self) -> Retry {
        // A file or a Secret that is put right tells nobody.
        Retry::Backoff
    }
}

impl Keys {
    /// No keys.
    pub fn none() -> Keys {
        Keys::default()
    }

    /// Their public halves.
    pub fn recipients(&self) -> Vec<Recipient> {
        self.0.iter().map(Identity::recipient).collect()
    }

    pub(crate) fn identities(&self) -> &[Identity] {
        &self.0
    }

    /// Adds the keys of a file. It blocks.
    ///
    /// # Errors
    /// When it cannot be read, others may read it, or it holds something else.
    pub fn add_file(&mut self, path: &Path, limits: SecretLimits) -> Result<(), KeysError> {
        let text = read(path, limits)?;
        self.add(&Place::File(path.to_owned()), &text, limits)
    }

    /// Adds the keys of a Secret: each value whose key ends with [`SECRET_KEYS`].
    ///
    /// # Errors
    /// When there is none, or one holds something else.
    pub fn add_secret(
        &mut self,
        name: &str,
        data: &[(String, Hidden)],
        limits: SecretLimits,
    ) -> Result<(), KeysError> {
        let mut any = false;
        for (key, value) in data.iter().filter(|(key, _)| key.ends_with(SECRET_KEYS)) {
            any = true;
            let place = Place::Secret(name.to_owned(), key.clone());
            self.add(&place, value.expose(), limits)?;
        }
        match any {
            true => Ok(()),
            false => Err(KeysError::NoneInSecret {
                name: name.to_owned(),
            }),
        }
    }

    pub(crate) fn add(
        &mut self,
        place: &Place,
        text: &[u8],
        limits: SecretLimits,
    ) -> Result<(), KeysError> {
        if text.len() > limits.key_file {
            return Err(KeysError::TooLarge {
                place: place.clone(),
                limit: limits.key_file,
            });
        }
        let wrong = |line: usize, why: NotAKey| KeysError::NotAKey {
            place: place.clone(),
            line,
            why,
        };
        let before = self.0.len();
        for (n, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let malformed = || wrong(n + 1, NotAKey::Malformed);
            let line = std::str::from_utf8(line).map_err(|_| malformed())?.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let identity: Identity = line.parse().map_err(|why| wrong(n + 1, why))?;
            if self.0.iter().any(|k| k.recipient() == identity.recipient()) {
                continue;
            }
            if self.0.len() == limits.keys {
                return Err(KeysError::TooMany {
                    place: place.clone(),
                    limit: limits.keys,
                });
            }
            self.0.push(identity);
        }
        let is_empty = self.0.len() == before && !self.has_any(text);
        match is_empty {
            true => Err(KeysError::None {
                place: place.clone(),
            }),
            false => Ok(()),
        }
    }

    /// Whether a text that brought nothing new holds keys that are known.
    fn has_any(&self, text: &[u8]) -> bool {
        let lines = text.split(|byte| *byte == b'\n');
        let mut lines = lines.filter_map(|line| std::str::from_utf8(line).ok());
        lines.any(|line| line.trim().parse::<Identity>().is_ok())
    }
}

/// A file's bytes. Its mode is that of what was opened, whatever lies at the path by then.
fn read(path: &Path, limits: SecretLimits) -> Result<Zeroizing<Vec<u8>>, KeysError> {
    let unread = |why: String| KeysError::Unread {
        path: path.to_owned(),
        why,
    };
    // Without waiting, where it is a pipe that nobody writes to.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let opened = rustix::fs::open(path, flags, Mode::empty());
    let file = std::fs::File::from(opened.map_err(|e| unread(refused(e.into())))?);
    let found = file.metadata().map_err(|e| unread(e.to_string()))?;
    if !found.is_file() {
        return Err(unread(
            "is no file: expected one that age-keygen wrote".to_owned(),
        ));
    }
    let mode = std::os::unix::fs::PermissionsExt::mode(&found.permissions()) & 0o777;
    // A pod's volume with an fsGroup is the group's to read.
    if mode & 0o027 != 0 {
        let path = path.to_owned();
        return Err(KeysError::Open { path, mode });
    }
    let most = limits.key_file as u64 + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(limits.key_file.min(4096)));
    let read = file.take(most).read_to_end(&mut bytes);
    read.map_err(|e| unread(e.to_string()))?;
    Ok(bytes)
}

fn refused(error: std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => {
            "is not there: put it there, or name another one. Weir looks again".to_owned()
        }
        std::io::ErrorKind::PermissionDenied => {
            "may not be read by the user that runs Weir: chown it to that user".to_owned()
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
