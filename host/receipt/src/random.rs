//! The secret that stable random bytes are made from: 32 bytes in a file that only its host can read.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use hmac::{Hmac, KeyInit as _, Mac as _};
use rustix::fs::{Mode, OFlags};
use sha2::Sha256;
use weir_core::digest::Digest;
use weir_core::random::{SecretId, Seed, Whose};
use zeroize::{Zeroize as _, Zeroizing};

use crate::error::KeysError;
use crate::folder::Folder;

/// The file in the folder of keys.
const NAME: &str = "random.secret";
/// The bytes of a secret.
const BYTES: usize = 32;
/// The longest file that is read, in bytes: the digits of a secret and the end of a line.
const MAX_FILE: u64 = 2 * BYTES as u64 + 2;
/// The form of a secret's id.
const ID_FORM: &[u8] = b"weir-stable-random-secret-id-1";
/// What a file holds.
const EXPECTED: &str = "expected 64 hex digits, such as `openssl rand -hex 32` prints";

/// The secret. It cannot be printed, and its memory is overwritten when it goes.
pub struct RandomSecret(Zeroizing<[u8; BYTES]>);

impl RandomSecret {
    /// A new one, from the system's random bytes.
    ///
    /// # Errors
    /// The system has none.
    pub fn generate() -> Result<RandomSecret, String> {
        let mut bytes = Zeroizing::new([0; BYTES]);
        getrandom::fill(bytes.as_mut()).map_err(|e| format!("no random bytes: {e}"))?;
        Ok(RandomSecret(bytes))
    }

    /// Reads 64 hex digits, with an end of line behind them or without.
    ///
    /// # Errors
    /// What was expected; never what was there.
    pub fn read(text: &str) -> Result<RandomSecret, String> {
        let digits = text.strip_suffix('\n').unwrap_or(text);
        let digits = digits.strip_suffix('\r').unwrap_or(digits);
        let mut bytes = Zeroizing::new([0; BYTES]);
        match hex::decode_to_slice(digits, bytes.as_mut()) {
            Ok(()) => Ok(RandomSecret(bytes)),
            Err(_) => Err(format!("it is no secret for random bytes: {EXPECTED}")),
        }
    }

    fn text(&self) -> Zeroizing<String> {
        let mut digits = Zeroizing::new([0; 2 * BYTES]);
        let mut text = Zeroizing::new(String::with_capacity(2 * BYTES + 1));
        // A slice of twice the length holds the digits.
        if hex::encode_to_slice(self.0.as_slice(), digits.as_mut()).is_ok() {
            text.extend(digits.iter().copied().map(char::from));
        }
        text.push('\n');
        text
    }

    /// What stands for it in receipts and for people.
    pub fn id(&self) -> SecretId {
        Digest::builder()
            .part(ID_FORM)
            .part(self.0.as_slice())
            .finish()
    }

    /// The seed of a stream: HMAC-SHA256 under the secret of whose it is.
    ///
    /// # Errors
    /// Never, with a key of this length.
    pub fn seed(&self, whose: &Whose<'_>) -> Result<Seed, String> {
        let mac = Hmac::<Sha256>::new_from_slice(self.0.as_slice());
        let mut mac = mac.map_err(|e| e.to_string())?;
        mac.update(&whose.text());
        let mut bytes: [u8; 32] = mac.finalize().into_bytes().into();
        let seed = Seed::new(bytes);
        bytes.zeroize();
        Ok(seed)
    }
}

impl fmt::Debug for RandomSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RandomSecret({})", self.id().short())
    }
}

/// Where a host's secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretAt {
    /// With the keys below a state: made where it is needed and not there.
    Below(PathBuf),
    /// In this file, which several hosts may share: never made, since each of them would make another one.
    File(PathBuf),
}

impl SecretAt {
    /// The file.
    pub fn path(&self) -> PathBuf {
        match self {
            SecretAt::Below(state) => dir(state).join(NAME),
            SecretAt::File(file) => file.clone(),
        }
    }

    /// The secret; `None` where there is none yet. Nothing is made.
    ///
    /// # Errors
    /// [`KeysError`]: others can read it, it is none, or a file that was named is not there.
    pub fn find(&self) -> Result<Option<RandomSecret>, KeysError> {
        match self {
            SecretAt::Below(state) => match Folder::open(&dir(state))? {
                Some(_) => read(&self.path(), Mode::RWXG | Mode::RWXO, "0600"),
                None => Ok(None),
            },
            SecretAt::File(file) => {
                // A pod's volume with an fsGroup is the group's to read.
                let others = Mode::WGRP | Mode::XGRP | Mode::RWXO;
                let found = read(file, others, "0600, or 0440 for a group of Weir's own")?;
                found.map(Some).ok_or_else(|| missing(file))
            }
        }
    }

    /// The secret, made where there is none and it may be made. Of two processes that make one at once the first counts.
    ///
    /// # Errors
    /// As [`SecretAt::find`].
    pub fn need(&self) -> Result<RandomSecret, KeysError> {
        if let Some(secret) = self.find()? {
            return Ok(secret);
        }
        let no_key = |why: String| KeysError::NoKey {
            path: self.path(),
            why,
        };
        let SecretAt::Below(state) = self else {
            return Err(missing(&self.path()));
        };
        let folder = Folder::open_or_make(&dir(state))?;
        let secret = RandomSecret::generate().map_err(no_key)?;
        folder.create(NAME, &secret.text())?;
        let found = self.find()?;
        found.ok_or_else(|| no_key("it was there and is gone".to_owned()))
    }
}

fn dir(state: &Path) -> PathBuf {
    state.join("keys")
}

/// The secret of a file; `None` where there is none. Its mode is that of what was opened, whatever lies there by then.
fn read(path: &Path, others: Mode, mode: &str) -> Result<Option<RandomSecret>, KeysError> {
    let io = |why: String| KeysError::Io {
        path: path.to_owned(),
        why,
    };
    // Without waiting, where it is a pipe that nobody writes to.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let fd = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(fd) => fd,
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(e) => return Err(io(std::io::Error::from(e).to_string())),
    };
    let stat = rustix::fs::fstat(&fd).map_err(|e| io(e.to_string()))?;
    let no_key = |why: String| KeysError::NoKey {
        path: path.to_owned(),
        why,
    };
    if rustix::fs::FileType::from_raw_mode(stat.st_mode) != rustix::fs::FileType::RegularFile {
        return Err(no_key(format!("it is no plain file: {EXPECTED}")));
    }
    if Mode::from_raw_mode(stat.st_mode).intersects(others) {
        return Err(KeysError::Exposed {
            path: path.to_owned(),
            why: format!(
                "others have access to it, who could work out every password that was made from it: set its mode to {mode}, and if somebody may have read it, replace it, which replaces those passwords"
            ),
        });
    }
    let mut text = Zeroizing::new(String::with_capacity(128));
    let read = File::from(fd).take(MAX_FILE + 1).read_to_string(&mut text);
    read.map_err(|e| no_key(format!("{e}: {EXPECTED}")))?;
    if text.len() as u64 > MAX_FILE {
        return Err(no_key(format!(
            "it has more than {MAX_FILE} bytes: {EXPECTED}"
        )));
    }
    RandomSecret::read(&text).map(Some).map_err(no_key)
}

fn missing(path: &Path) -> KeysError {
    KeysError::Io {
        path: path.to_owned(),
        why: format!("it is not there, and a secret that was named is never made: {EXPECTED}"),
    }
}

#[cfg(test)]
#[path = "random_tests.rs"]
mod tests;
