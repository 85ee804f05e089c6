//! Keys as values: a public one with its id, a private one that cannot be printed.

use std::collections::BTreeMap;
use std::fmt;

use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, DecodePublicKey as _, EncodePrivateKey as _};
use ed25519_dalek::pkcs8::{EncodePublicKey as _, KeypairBytes};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use weir_core::digest::Digest;
use weir_core::receipt::{Envelope, KeyId, Receipt, ReceiptError};
use zeroize::Zeroizing;

use crate::error::CheckError;

/// An ed25519 public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    id: KeyId,
    pem: String,
    key: VerifyingKey,
}

impl PublicKey {
    /// Reads a public key (SubjectPublicKeyInfo in PEM, as `openssl pkey -pubout` writes it).
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn read(pem: &str) -> Result<PublicKey, String> {
        if pem.contains("PRIVATE KEY") {
            return Err("it is a private key: give the public one".to_owned());
        }
        let key = VerifyingKey::from_public_key_pem(pem)
            .map_err(|e| format!("it is no ed25519 public key in PEM: {e}"))?;
        PublicKey::of(key).ok_or_else(|| "it has no PEM form".to_owned())
    }

    fn of(key: VerifyingKey) -> Option<PublicKey> {
        if key.is_weak() {
            return None;
        }
        let der = key.to_public_key_der().ok()?;
        Some(PublicKey {
            id: Digest::of(der.as_bytes()),
            pem: key.to_public_key_pem(LineEnding::LF).ok()?,
            key,
        })
    }

    /// The digest of its SubjectPublicKeyInfo in DER.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// Its text, lines ended by a newline.
    pub fn pem(&self) -> &str {
        &self.pem
    }
}

/// The key that signs. It cannot be printed, and its memory is overwritten when it goes.
pub(crate) struct PrivateKey {
    key: SigningKey,
    public: PublicKey,
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({})", self.public.id.short())
    }
}

impl PrivateKey {
    /// A new one, from the system's random bytes.
    pub(crate) fn generate() -> Result<PrivateKey, String> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut()).map_err(|e| format!("no random bytes: {e}"))?;
        PrivateKey::of(SigningKey::from_bytes(&seed))
    }

    /// Reads PKCS#8 in PEM.
    pub(crate) fn read(pem: &str) -> Result<PrivateKey, String> {
        // What is wrong is not said in the key's own words: they would be a secret's.
        let key = SigningKey::from_pkcs8_pem(pem);
        PrivateKey::of(key.map_err(|_| "it is no ed25519 private key in PKCS#8 PEM".to_owned())?)
    }

    fn of(key: SigningKey) -> Result<PrivateKey, String> {
        let public = PublicKey::of(key.verifying_key());
        let public = public.ok_or_else(|| "its public key has no PEM form".to_owned())?;
        Ok(PrivateKey { key, public })
    }

    /// PKCS#8 in PEM, of the first version, which all tools read.
    pub(crate) fn pem(&self) -> Result<Zeroizing<String>, String> {
        let bytes = KeypairBytes {
            secret_key: self.key.to_bytes(),
            public_key: None,
        };
        let pem = bytes.to_pkcs8_pem(LineEnding::LF);
        pem.map_err(|_| "the new key has no PEM form".to_owned())
    }

    pub(crate) fn public(&self) -> &PublicKey {
        &self.public
    }

    /// A receipt, signed.
    pub(crate) fn sign(&self, receipt: &Receipt) -> Result<Envelope, ReceiptError> {
        let unsigned = Envelope::new(receipt.to_bytes()?, self.public.id, [0; 64]);
        let signature = self.key.sign(&unsigned.signed_bytes());
        Ok(unsigned.with_signature(signature.to_bytes()))
    }
}

/// Public keys that are trusted, by id.
#[derive(Debug, Clone, Default)]
pub struct Trusted(BTreeMap<KeyId, PublicKey>);

impl FromIterator<PublicKey> for Trusted {
    fn from_iter<I: IntoIterator<Item = PublicKey>>(keys: I) -> Trusted {
        let keys = keys.into_iter();
        Trusted(keys.map(|key| (key.id, key)).collect())
    }
}

impl Trusted {
    /// What a signed receipt says, once its signature is that of a trusted key.
    ///
    /// # Errors
    /// [`CheckError`].
    pub fn check(&self, envelope: &Envelope) -> Result<Receipt, CheckError> {
        let id = envelope.key();
        let key = self.0.get(&id).ok_or(CheckError::UnknownKey { id })?;
        let signature = Signature::from_bytes(envelope.signature());
        // Strict: of one key and one text there is no second signature, and no key that signs everything.
        let good = key.key.verify_strict(&envelope.signed_bytes(), &signature);
        good.map_err(|_| CheckError::BadSignature { id })?;
        Ok(envelope.unchecked()?)
    }

    /// The key of an id, where it is trusted.
    pub fn get(&self, id: KeyId) -> Option<&PublicKey> {
        self.0.get(&id)
    }
}
