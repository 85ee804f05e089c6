//! The secrets of a repository's webhook as the keys that they stand for. They have no text form and are wiped when they go.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::Forge;

/// The most secrets of one repository at once: the one that is used, and those that are on their way in and out.
pub const MAX_SECRETS: usize = 4;
/// The most bytes of a secret.
pub const SECRET_BYTES: usize = 1024;
/// The fewest bytes: a shorter one can be found by trying.
const LEAST_BYTES: usize = 16;
/// What a signing token begins with; what follows is the key in base64.
const SIGNING: &[u8] = b"whsec_";

/// How deliveries for a repository are verified.
pub struct Keys {
    forge: Forge,
    keys: Vec<Key>,
}

pub(super) enum Key {
    /// What an HMAC is made with.
    Mac(Zeroizing<Vec<u8>>),
    /// Sent as it is.
    Token(Zeroizing<Vec<u8>>),
}

/// Why a secret is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Somebody could find it.
    #[error(
        "it has {0} bytes: expected at least {LEAST_BYTES}, such as `openssl rand -hex 32` makes"
    )]
    Short(usize),
    /// No forge takes one like it.
    #[error("it has more than {SECRET_BYTES} bytes")]
    Long,
    /// More than one line, or no text.
    #[error("expected one line of text")]
    Lines,
    /// A signing token whose key is not one.
    #[error("it begins with `whsec_`, and what follows is not base64")]
    Encoding,
}

impl Keys {
    /// None yet.
    pub fn of(forge: Forge) -> Keys {
        let keys = Vec::new();
        Keys { forge, keys }
    }

    /// Takes a secret as its file has it: one line. Beyond [`MAX_SECRETS`] it is passed over.
    ///
    /// # Errors
    /// It is none.
    pub fn add(&mut self, secret: &[u8]) -> Result<(), KeyError> {
        let line = secret.strip_suffix(b"\n").unwrap_or(secret);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.len() > SECRET_BYTES {
            return Err(KeyError::Long);
        }
        if line.iter().any(u8::is_ascii_control) {
            return Err(KeyError::Lines);
        }
        let encoded = match self.forge {
            Forge::Gitlab | Forge::Generic => line.strip_prefix(SIGNING),
            Forge::Github | Forge::Gitea => None,
        };
        let bytes = Zeroizing::new(match encoded {
            Some(text) => STANDARD.decode(text).map_err(|_| KeyError::Encoding)?,
            None => line.to_vec(),
        });
        if bytes.len() < LEAST_BYTES {
            return Err(KeyError::Short(bytes.len()));
        }
        let is_token = self.forge == Forge::Gitlab && encoded.is_none();
        if self.keys.len() < MAX_SECRETS {
            self.keys.push(match is_token {
                true => Key::Token(bytes),
                false => Key::Mac(bytes),
            });
        }
        Ok(())
    }

    /// Whose form deliveries have.
    pub fn forge(&self) -> Forge {
        self.forge
    }

    pub(super) fn all(&self) -> &[Key] {
        &self.keys
    }
}
