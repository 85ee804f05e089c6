//! Signatures of plugins, as cosign makes and reads them with keys: over a manifest's digest, kept beside it in the registry.
//!
//! Two forms are read: cosign's classic one (a text that names the digest, `Simple`), and the one of cosign 3, a Sigstore bundle
//! with an in-toto statement (`Statement`). The first one is written, which all versions of cosign read; cosign 3 looks at it where
//! there is no bundle, or where it is told `--new-bundle-format=false`. No certificate and no transparency log counts: a signature is worth what its key is.

use p256::ecdsa::Signature;
use serde::{Deserialize, Serialize};
use weir_core::digest::Digest;
use weir_core::fault::{Blame, Fault, Retry};

mod claim;
mod encrypted;
mod key;
mod remote;
#[cfg(test)]
mod tests;

pub use key::{KeyError, KeyPassword, PublicKey, SigningKey};
pub use remote::AddedSignature;
pub(crate) use remote::{COUNT, SIZE, signatures};

/// The most signatures of one manifest that are looked at.
pub const MAX_SIGNATURES: usize = 50;
/// The largest text that is signed, in bytes.
pub const MAX_PAYLOAD: u64 = 64 << 10;
/// The longest signature as text, in bytes: one of P-256 has about 96.
const MAX_SIGNATURE: usize = 1 << 10;

/// What was signed, in which form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SignedForm {
    /// cosign's own text, and the signature is over its bytes.
    Simple,
    /// An in-toto statement, and the signature is over it and its type (DSSE).
    Statement,
    /// It cannot be read; the payload says why. So that one that is broken does not stand in the way of a good one.
    Unreadable,
}

/// A signature beside a manifest. Nothing is known of it until [`Signed::verify`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// In which form.
    pub form: SignedForm,
    /// What was signed.
    pub payload: String,
    /// The signature in base64.
    pub signature: String,
}

/// Why a signature does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Nobody signed it.
    #[error(
        "{manifest} has no signature: have it signed with `weir plugin sign` or `cosign sign --key`"
    )]
    None {
        /// The manifest.
        manifest: Digest,
    },
    /// No key was given to hold it against.
    #[error("no key is given that could have signed {manifest}: give the signer's public key")]
    NoKey {
        /// The manifest.
        manifest: Digest,
    },
    /// None of the keys made it, or what was signed was changed since.
    #[error(
        "a signature of {manifest} is by none of the {keys} keys, or what it is over was changed: give the signer's public key, or have it signed with a key that is trusted"
    )]
    WrongKey {
        /// The manifest.
        manifest: Digest,
        /// How many keys were tried.
        keys: usize,
    },
    /// It is over another manifest.
    #[error(
        "a signature beside {manifest} is over {found}: somebody put it where it does not belong; sign {manifest} itself"
    )]
    AnotherManifest {
        /// The manifest.
        manifest: Digest,
        /// What was signed.
        found: String,
    },
    /// It is over something else than a signature of an image says.
    #[error(
        "a signature of {manifest} says {found:?}, expected {expected:?}: it was made for something else"
    )]
    AnotherType {
        /// The manifest.
        manifest: Digest,
        /// What it says.
        found: String,
        /// What it has to say.
        expected: &'static str,
    },
    /// It is none.
    #[error("a signature of {manifest} cannot be read: {why}; have it signed again")]
    Unreadable {
        /// The manifest.
        manifest: Digest,
        /// What is wrong with it.
        why: String,
    },
    /// Each of them was refused.
    #[error("none of the {count} signatures of {manifest} counts: {first}")]
    Several {
        /// The manifest.
        manifest: Digest,
        /// How many there are.
        count: usize,
        /// Why one of them does not count.
        first: Box<SignatureError>,
    },
}

impl SignatureError {
    /// One word for metrics and logs.
    pub fn kind(&self) -> &'static str {
        match self {
            SignatureError::None { .. } => "not-signed",
            SignatureError::NoKey { .. } => "no-key",
            SignatureError::WrongKey { .. } => "wrong-signer",
            SignatureError::AnotherManifest { .. } => "another-manifest",
            SignatureError::AnotherType { .. } => "another-type",
            SignatureError::Unreadable { .. } => "unreadable",
            SignatureError::Several { first, .. } => first.kind(),
        }
    }
}

impl Blame for SignatureError {
    fn fault(&self) -> Fault {
        Fault::Repository
    }

    // Somebody may sign it later, without a new commit.
    fn retry(&self) -> Retry {
        match self {
            SignatureError::NoKey { .. } => Retry::OnChange,
            _ => Retry::Backoff,
        }
    }
}

impl Signed {
    /// Which of the keys made it for this manifest.
    ///
    /// # Errors
    /// It is not by any of them, or over something else.
    pub fn verify(&self, keys: &[PublicKey], manifest: Digest) -> Result<usize, SignatureError> {
        let unreadable = |why: String| SignatureError::Unreadable { manifest, why };
        if self.form == SignedForm::Unreadable {
            return Err(unreadable(self.payload.clone()));
        }
        if keys.is_empty() {
            return Err(SignatureError::NoKey { manifest });
        }
        if self.payload.len() as u64 > MAX_PAYLOAD {
            let why = format!("it is over more than {MAX_PAYLOAD} bytes");
            return Err(unreadable(why));
        }
        let signature = parsed(&self.signature).map_err(|why| unreadable(why.to_owned()))?;
        let signed = match self.form {
            SignedForm::Statement => claim::pae(self.payload.as_bytes()),
            SignedForm::Simple | SignedForm::Unreadable => self.payload.as_bytes().to_vec(),
        };
        // Nothing of what is signed is read before it is known who signed it.
        let by = keys.iter().position(|key| key.made(&signed, &signature));
        let by = by.ok_or(SignatureError::WrongKey {
            manifest,
            keys: keys.len(),
        })?;
        claim::check(self.form, &self.payload, manifest)?;
        Ok(by)
    }
}

/// Which of the keys signed a manifest, where one did, and with which signature: the first one that counts is enough.
///
/// # Errors
/// There is none, or none counts; the text has the reason of the one that came closest.
pub fn signer<'s>(
    keys: &[PublicKey],
    manifest: Digest,
    signatures: &'s [Signed],
) -> Result<(usize, &'s Signed), SignatureError> {
    let mut refused: Vec<SignatureError> = Vec::new();
    for signed in signatures.iter().take(MAX_SIGNATURES) {
        match signed.verify(keys, manifest) {
            Ok(key) => return Ok((key, signed)),
            Err(error) => refused.push(error),
        }
    }
    let count = refused.len();
    // By a key that is trusted and yet not good: that says more than a stranger's signature, and that more than what is none.
    let distance = |e: &SignatureError| match e {
        SignatureError::AnotherManifest { .. } | SignatureError::AnotherType { .. } => 0,
        SignatureError::WrongKey { .. } => 1,
        _ => 2,
    };
    let nearest = refused.iter().enumerate();
    let nearest = nearest.min_by_key(|(_, e)| distance(e));
    let nearest = nearest.map_or(0, |(at, _)| at);
    match (count, refused.into_iter().nth(nearest)) {
        (_, None) => Err(SignatureError::None { manifest }),
        (1, Some(only)) => Err(only),
        (count, Some(first)) => Err(SignatureError::Several {
            manifest,
            count,
            first: Box::new(first),
        }),
    }
}

/// The same of one signature in cosign's classic form: which of the keys made it.
///
/// # Errors
/// As [`Signed::verify`].
pub fn verify(
    keys: &[PublicKey],
    manifest: Digest,
    payload: &[u8],
    signature_base64: &str,
) -> Result<usize, SignatureError> {
    let payload = std::str::from_utf8(payload).map_err(|_| SignatureError::Unreadable {
        manifest,
        why: "what it is over is no text".to_owned(),
    })?;
    let signed = Signed {
        form: SignedForm::Simple,
        payload: payload.to_owned(),
        signature: signature_base64.to_owned(),
    };
    signed.verify(keys, manifest)
}

/// Signs a manifest in cosign's classic form. The same key makes the same signature each time.
pub fn sign(key: &SigningKey, repository: &str, manifest: Digest) -> Signed {
    let payload = claim::simple(repository, manifest);
    Signed {
        form: SignedForm::Simple,
        signature: encode(&key.sign(payload.as_bytes())),
        payload,
    }
}

fn parsed(base64: &str) -> Result<Signature, &'static str> {
    if base64.len() > MAX_SIGNATURE {
        return Err("it is too long for one of P-256");
    }
    let der = decode(base64).ok_or("it is no base64")?;
    Signature::from_der(&der).map_err(|_| "it is no ECDSA signature of P-256")
}

fn decode(base64: &str) -> Option<Vec<u8>> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD
        .decode(base64.trim_end())
        .ok()
}

fn encode(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
