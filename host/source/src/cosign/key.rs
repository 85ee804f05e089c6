//! Keys of P-256 in PEM: public ones to check with, private ones to sign with, in the forms of openssl and of cosign.

use std::fmt;

use p256::ecdsa::signature::{Signer as _, Verifier as _};
use p256::ecdsa::{DerSignature, Signature, VerifyingKey};
use p256::pkcs8::{DecodePrivateKey as _, DecodePublicKey as _, EncodePublicKey as _};
use weir_core::digest::Digest;
use weir_core::fault::{Blame, Fault, Retry};
use zeroize::Zeroizing;

use super::encrypted;

/// The largest file of a key, in bytes.
const MAX_FILE: usize = 16 << 10;
const PUBLIC: &str = "PUBLIC KEY";
const PKCS8: &str = "PRIVATE KEY";
const SEC1: &str = "EC PRIVATE KEY";
/// What openssl writes before a key of that form; the key says the same.
const PARAMETERS: &str = "-----END EC PARAMETERS-----";
/// What cosign writes, and what its first versions wrote.
const COSIGN: [&str; 2] = [
    "ENCRYPTED SIGSTORE PRIVATE KEY",
    "ENCRYPTED COSIGN PRIVATE KEY",
];

/// A key that signatures are held against.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    key: VerifyingKey,
    id: Digest,
}

/// A key that signs. It is overwritten when it goes, and has no text form.
pub struct SigningKey(p256::ecdsa::SigningKey);

/// What an encrypted key is opened with. It is overwritten when it goes, and has no text form.
pub struct KeyPassword(Vec<Zeroizing<Vec<u8>>>);

/// Why a text is no key. No text of these holds anything of a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is larger than a key is.
    #[error("it has more than {limit} bytes, which no key has: expected one key in PEM")]
    TooLarge {
        /// Bytes.
        limit: usize,
    },
    /// It is no PEM.
    #[error(
        "it is no PEM text: expected `-----BEGIN {expected}-----`, base64 and `-----END {expected}-----`"
    )]
    NotPem {
        /// What it should hold.
        expected: &'static str,
    },
    /// It is PEM of something else.
    #[error("it holds {found:?}: expected {expected}")]
    Label {
        /// What it holds.
        found: String,
        /// What it should hold.
        expected: &'static str,
    },
    /// It is a key of another kind.
    #[error(
        "it is no ECDSA key of P-256: expected one as `cosign generate-key-pair` or `openssl ecparam -name prime256v1 -genkey -noout` makes them"
    )]
    NotP256,
    /// An encrypted key that is not of the form that cosign writes.
    #[error(
        "the encrypted key cannot be read: {why}; expected one as `cosign generate-key-pair` makes it"
    )]
    Form {
        /// What is wrong.
        why: String,
    },
    /// An encrypted key that asks for more work than is done.
    #[error(
        "the encrypted key asks for scrypt with {asked}, at most {most} is done: make the key with `cosign generate-key-pair`"
    )]
    Work {
        /// What it asks for.
        asked: String,
        /// What is done.
        most: &'static str,
    },
    /// An encrypted key, and no password.
    #[error(
        "it is encrypted: give its password in the variable COSIGN_PASSWORD, or in a file with --password-file"
    )]
    NoPassword,
    /// An encrypted key, and another one's password.
    #[error("the password does not open it: give the one that it was made with")]
    WrongPassword,
}

impl Blame for KeyError {
    fn fault(&self) -> Fault {
        Fault::Host
    }

    fn retry(&self) -> Retry {
        Retry::OnChange
    }
}

impl PublicKey {
    /// A key from the PEM text of `cosign public-key` or `openssl ec -pubout`.
    ///
    /// # Errors
    /// It is no PEM, or no key of P-256.
    pub fn from_pem(text: &[u8]) -> Result<PublicKey, KeyError> {
        let (label, der) = pem(text, PUBLIC)?;
        if label != PUBLIC {
            let expected = "a PUBLIC KEY; of a private one `cosign public-key --key FILE` makes it";
            return Err(KeyError::Label {
                found: label,
                expected,
            });
        }
        let key = VerifyingKey::from_public_key_der(&der).map_err(|_| KeyError::NotP256)?;
        PublicKey::of(key)
    }

    fn of(key: VerifyingKey) -> Result<PublicKey, KeyError> {
        let der = key.to_public_key_der().map_err(|_| KeyError::NotP256)?;
        Ok(PublicKey {
            id: Digest::of(der.as_bytes()),
            key,
        })
    }

    /// What it is known by: the SHA-256 digest of its DER form (SubjectPublicKeyInfo).
    pub fn id(&self) -> Digest {
        self.id
    }

    /// Whether it made a signature over these bytes.
    pub(super) fn made(&self, bytes: &[u8], signature: &Signature) -> bool {
        self.key.verify(bytes, signature).is_ok()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id)
    }
}

impl SigningKey {
    /// A key from PEM: cosign's own encrypted form, PKCS#8 or SEC 1. The password is asked for where the key is encrypted.
    ///
    /// # Errors
    /// It is no PEM, no key of P-256, or the password does not open it.
    pub fn from_pem(text: &[u8], password: Option<&KeyPassword>) -> Result<SigningKey, KeyError> {
        let (label, der) = pem(text, PKCS8)?;
        let der = Zeroizing::new(der);
        let secret = match label.as_str() {
            PKCS8 => p256::SecretKey::from_pkcs8_der(&der),
            SEC1 => return SigningKey::of(p256::SecretKey::from_sec1_der(&der)),
            label if COSIGN.contains(&label) => {
                let plain = opened(&der, password.ok_or(KeyError::NoPassword)?)?;
                p256::SecretKey::from_pkcs8_der(&plain)
            }
            _ => {
                return Err(KeyError::Label {
                    found: label,
                    expected: "a PRIVATE KEY, an EC PRIVATE KEY, or an ENCRYPTED SIGSTORE PRIVATE KEY of cosign",
                });
            }
        };
        SigningKey::of(secret)
    }

    fn of<E>(secret: Result<p256::SecretKey, E>) -> Result<SigningKey, KeyError> {
        let secret = secret.map_err(|_| KeyError::NotP256)?;
        Ok(SigningKey(p256::ecdsa::SigningKey::from(&secret)))
    }

    /// What its signatures are held against.
    ///
    /// # Errors
    /// Never for a key that was read.
    pub fn public(&self) -> Result<PublicKey, KeyError> {
        PublicKey::of(*self.0.verifying_key())
    }

    /// A signature in DER; the same each time (RFC 6979).
    pub(super) fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        let signature: DerSignature = self.0.sign(bytes);
        signature.as_bytes().to_vec()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl KeyPassword {
    /// Just this text.
    pub fn new(text: Zeroizing<Vec<u8>>) -> KeyPassword {
        KeyPassword(vec![text])
    }

    /// What a file holds: that, or without the line end that an editor brings along.
    pub fn of_file(text: Zeroizing<Vec<u8>>) -> KeyPassword {
        let line = text.strip_suffix(b"\n");
        let line = line.map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let line = line.map(|line| Zeroizing::new(line.to_vec()));
        KeyPassword(line.into_iter().chain([text]).collect())
    }
}

impl fmt::Debug for KeyPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// An encrypted key in its plain form, where one of the passwords opens it.
fn opened(sealed: &[u8], password: &KeyPassword) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let mut result = Err(KeyError::NoPassword);
    for password in &password.0 {
        result = encrypted::open(sealed, password);
        if !matches!(result, Err(KeyError::WrongPassword)) {
            break;
        }
    }
    result
}

/// The label and the bytes of the one PEM text.
fn pem(text: &[u8], expected: &'static str) -> Result<(String, Vec<u8>), KeyError> {
    if text.len() > MAX_FILE {
        return Err(KeyError::TooLarge { limit: MAX_FILE });
    }
    let end = PARAMETERS.as_bytes();
    let after = text.windows(end.len()).position(|part| part == end);
    let text = after.map_or(text, |at| &text[at + end.len()..]);
    // What a person's editor leaves around it is not part of it.
    let (label, bytes) =
        pem_rfc7468::decode_vec(text.trim_ascii()).map_err(|_| KeyError::NotPem { expected })?;
    Ok((label.to_owned(), bytes))
}
