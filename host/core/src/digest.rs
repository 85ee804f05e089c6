//! Digests: SHA-256 in the OCI form for everything of Weir's, and Git's object ids.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A text is not a digest or an object id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?}: expected {1}")]
pub struct DigestError(String, &'static str);

macro_rules! hex_id {
    ($(#[$doc:meta])* $type:ident, $bytes:literal, $prefix:literal, $short:literal, $rule:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type([u8; $bytes]);

        impl $type {
            /// A value from its bytes.
            pub const fn from_bytes(bytes: [u8; $bytes]) -> Self {
                $type(bytes)
            }
            /// The bytes.
            pub fn as_bytes(&self) -> &[u8; $bytes] {
                &self.0
            }
            /// The hex digits alone.
            pub fn hex(&self) -> String {
                hex::encode(self.0)
            }
            /// The first hex digits, for people.
            pub fn short(&self) -> String {
                hex::encode(&self.0[..$short / 2])
            }
        }
        impl FromStr for $type {
            type Err = DigestError;
            fn from_str(s: &str) -> Result<Self, DigestError> {
                let mut bytes = [0; $bytes];
                s.strip_prefix($prefix)
                    .filter(|hex| !hex.bytes().any(|b| b.is_ascii_uppercase()))
                    .and_then(|hex| hex::decode_to_slice(hex, &mut bytes).ok())
                    .map(|()| $type(bytes))
                    .ok_or_else(|| DigestError(s.chars().take(100).collect(), $rule))
            }
        }
        impl TryFrom<String> for $type {
            type Error = DigestError;
            fn try_from(s: String) -> Result<Self, DigestError> {
                s.parse()
            }
        }
        impl From<$type> for String {
            fn from(d: $type) -> String {
                d.to_string()
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), hex::encode(self.0))
            }
        }
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

hex_id! {
    /// A SHA-256 digest; as text `sha256:` and 64 hex digits (OCI image specification, "Digests").
    Digest, 32, "sha256:", 12, "sha256: and 64 lower-case hex digits"
}
hex_id! {
    /// A Git object id (SHA-1): 40 hex digits.
    ObjectId, 20, "", 10, "40 lower-case hex digits"
}

/// The id of a commit.
pub type CommitId = ObjectId;
/// The id of a blob.
pub type BlobId = ObjectId;

impl Digest {
    /// The digest of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Digest(Sha256::digest(bytes).into())
    }

    /// A digest that is fed piece by piece.
    pub fn builder() -> DigestBuilder {
        DigestBuilder(Sha256::new())
    }
}

/// A SHA-256 digest under way.
#[derive(Clone)]
pub struct DigestBuilder(Sha256);

impl DigestBuilder {
    /// Adds bytes with their length before them, so that no two lists of parts give one digest.
    pub fn part(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.update((bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
        self
    }

    /// Adds bytes just as they are: for one long text that comes in pieces.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.update(bytes);
        self
    }

    /// The digest of all that was added.
    pub fn finish(&self) -> Digest {
        Digest(self.0.clone().finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_reads_back_as_it_was_written() {
        let d = Digest::of(b"weir");
        assert_eq!(d.to_string().parse(), Ok(d));
        assert!(
            d.hex().parse::<Digest>().is_err(),
            "the algorithm is part of it"
        );
        assert!(d.to_string().to_uppercase().parse::<Digest>().is_err());
        assert!("é".repeat(20).parse::<ObjectId>().is_err());
    }

    #[test]
    fn parts_cannot_run_into_each_other() {
        let two = |a: &[u8], b: &[u8]| Digest::builder().part(a).part(b).finish();
        assert_ne!(two(b"ab", b"c"), two(b"a", b"bc"));
    }
}
