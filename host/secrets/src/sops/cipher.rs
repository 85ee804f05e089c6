//! A file's data key, what it opens, and what a value was.

use std::fmt;

use aes_gcm::aead::consts::U32;
use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use aes_gcm::aes::Aes256;
use aes_gcm::{AesGcm, Nonce};
use zeroize::Zeroizing;

use super::number;
use super::token::{Kind, Token};

/// AES-256-GCM with the nonces of 32 bytes that SOPS makes.
type Cipher = AesGcm<Aes256, U32>;

/// What all values of one SOPS file are encrypted with. It has no text form.
#[derive(Clone)]
pub struct DataKey(Zeroizing<[u8; 32]>);

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey")
    }
}

/// A value in the clear. It has no text form.
#[derive(Clone)]
pub(crate) struct Clear {
    pub(crate) kind: Kind,
    bytes: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Clear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clear")
    }
}

impl DataKey {
    /// A key of these bytes; nothing where they are too many or too few.
    pub fn new(bytes: &[u8]) -> Option<DataKey> {
        let bytes: [u8; 32] = bytes.try_into().ok()?;
        Some(DataKey(Zeroizing::new(bytes)))
    }

    /// Opens a value at its place; nothing where it is not of this key and this place, or was changed.
    pub(crate) fn open(&self, token: &Token, place: &str) -> Option<Clear> {
        let cipher = Cipher::new_from_slice(&*self.0).ok()?;
        let payload = Payload {
            msg: &token.sealed,
            aad: place.as_bytes(),
        };
        let opened = cipher.decrypt(&Nonce::<U32>::from(token.nonce), payload);
        let bytes = Zeroizing::new(opened.ok()?);
        Some(Clear {
            kind: token.kind,
            bytes,
        })
    }
}

impl Clear {
    /// The bytes as they were encrypted.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The same, where they are text.
    pub(crate) fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.bytes).ok()
    }

    /// The same, where it was text before it was encrypted.
    pub(crate) fn as_text(&self) -> Option<&str> {
        (self.kind == Kind::Text).then(|| self.text()).flatten()
    }

    /// A number, as Go reads it.
    pub(crate) fn int(&self) -> Option<i64> {
        self.text()?.parse().ok()
    }

    /// A number with a fraction, as Go reads it.
    pub(crate) fn float(&self) -> Option<f64> {
        self.text()?.parse().ok()
    }

    /// Yes or no, as Go reads it.
    pub(crate) fn bool(&self) -> Option<bool> {
        match self.text()? {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
            _ => None,
        }
    }

    /// What the file's MAC is made of for this value; nothing where it is not what its type says.
    pub(crate) fn mac_bytes(&self) -> Option<Zeroizing<Vec<u8>>> {
        let text = match self.kind {
            Kind::Text | Kind::Time => return Some(self.bytes.clone()),
            Kind::Comment => return Some(Zeroizing::default()),
            Kind::Int => self.int()?.to_string(),
            Kind::Float => number::plain(self.float()?),
            Kind::Bool => number::title(self.bool()?).to_owned(),
        };
        Some(Zeroizing::new(text.into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(key: &DataKey, place: &str, text: &[u8]) -> Token {
        let cipher = Cipher::new_from_slice(&*key.0).unwrap();
        let nonce = [7; 32];
        let payload = Payload {
            msg: text,
            aad: place.as_bytes(),
        };
        let sealed = cipher.encrypt(&Nonce::<U32>::from(nonce), payload).unwrap();
        Token {
            sealed,
            nonce,
            kind: Kind::Text,
        }
    }

    #[test]
    fn a_value_opens_at_its_own_place_and_with_its_own_key_only() {
        let key = DataKey::new(&[1; 32]).unwrap();
        let token = sealed(&key, "data:password:", b"hunter2");
        let opened = key.open(&token, "data:password:").unwrap();
        assert_eq!(opened.bytes(), b"hunter2");
        assert!(key.open(&token, "data:user:").is_none());
        let other = DataKey::new(&[2; 32]).unwrap();
        assert!(other.open(&token, "data:password:").is_none());
        let mut changed = token.clone();
        changed.sealed[0] ^= 1;
        assert!(key.open(&changed, "data:password:").is_none());
        let mut changed = token;
        changed.nonce[0] ^= 1;
        assert!(key.open(&changed, "data:password:").is_none());
    }

    #[test]
    fn a_key_and_a_value_are_never_printed() {
        let key = DataKey::new(b"hunter2.hunter2.hunter2.hunter2.").unwrap();
        let clear = key.open(&sealed(&key, "", b"hunter2"), "").unwrap();
        let shown = format!("{key:?} {key:#?} {clear:?} {clear:#?}");
        assert_eq!(shown, "DataKey DataKey Clear Clear");
        assert!(DataKey::new(&[0; 31]).is_none() && DataKey::new(&[0; 33]).is_none());
    }

    #[test]
    fn a_value_counts_for_the_mac_as_go_writes_its_type() {
        let clear = |kind, text: &str| Clear {
            kind,
            bytes: Zeroizing::new(text.as_bytes().to_vec()),
        };
        for (kind, text, expected) in [
            (Kind::Text, "True", Some("True")),
            (Kind::Int, "-12", Some("-12")),
            (Kind::Int, "1.5", None),
            (Kind::Float, "0.10", Some("0.1")),
            (Kind::Float, "1e21", Some("1000000000000000000000")),
            (Kind::Bool, "true", Some("True")),
            (Kind::Bool, "0", Some("False")),
            (Kind::Bool, "maybe", None),
            (Kind::Comment, " a note", Some("")),
        ] {
            let bytes = clear(kind, text).mac_bytes();
            let found = bytes.as_ref().map(|b| std::str::from_utf8(b).unwrap());
            assert_eq!(found, expected, "{kind:?} {text}");
        }
    }
}
