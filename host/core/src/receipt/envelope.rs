//! A signed statement as DSSE has it (secure-systems-lab/dsse, version 1): a payload, its type, one signature.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::{MAX_STATEMENT, Receipt, ReceiptError, not_understood, within};
use crate::digest::Digest;

/// What the payload is.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// The longest envelope that is read, in bytes: the payload in base64, and room for the rest.
pub const MAX_ENVELOPE: usize = MAX_STATEMENT / 3 * 4 + 1024;

/// The digest of a public key's SubjectPublicKeyInfo in DER.
pub type KeyId = Digest;

/// A statement and a signature of it, which nobody has checked yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Raw", into = "Raw")]
pub struct Envelope {
    payload: Vec<u8>,
    key: KeyId,
    signature: [u8; 64],
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Raw {
    payload: String,
    payload_type: String,
    signatures: Vec<RawSignature>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSignature {
    keyid: KeyId,
    sig: String,
}

impl Envelope {
    /// A statement with a signature of [`Envelope::signed_bytes`].
    pub fn new(payload: Vec<u8>, key: KeyId, signature: [u8; 64]) -> Envelope {
        Envelope {
            payload,
            key,
            signature,
        }
    }

    /// The same with another signature.
    #[must_use]
    pub fn with_signature(self, signature: [u8; 64]) -> Envelope {
        Envelope { signature, ..self }
    }

    /// Reads an envelope: just the line that [`Envelope::to_line`] gives, with or without its end.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn read(bytes: &[u8]) -> Result<Envelope, ReceiptError> {
        within(bytes.len(), MAX_ENVELOPE)?;
        let envelope: Envelope = serde_json::from_slice(bytes).map_err(|e| not_understood(&e))?;
        let line = envelope.to_line()?;
        let same =
            bytes == line.as_bytes() || line.strip_suffix('\n').map(str::as_bytes) == Some(bytes);
        if !same {
            return Err(ReceiptError::NotUnderstood(
                "its bytes are not those that Weir writes of what it says: was it formatted anew?"
                    .to_owned(),
            ));
        }
        Ok(envelope)
    }

    /// The envelope as one line.
    ///
    /// # Errors
    /// When something of it has no JSON form.
    pub fn to_line(&self) -> Result<String, ReceiptError> {
        let mut line = serde_json::to_string(self).map_err(|e| not_understood(&e))?;
        line.push('\n');
        Ok(line)
    }

    /// The statement, as it says itself.
    ///
    /// # Errors
    /// When the payload is no receipt.
    pub fn unchecked(&self) -> Result<Receipt, ReceiptError> {
        Receipt::read(&self.payload)
    }

    /// The key that it says that it is signed with.
    pub fn key(&self) -> KeyId {
        self.key
    }

    /// The signature.
    pub fn signature(&self) -> &[u8; 64] {
        &self.signature
    }

    /// What is signed.
    pub fn signed_bytes(&self) -> Vec<u8> {
        pae(PAYLOAD_TYPE, &self.payload)
    }
}

/// DSSE's pre-authentication encoding.
pub(super) fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!(
        "DSSEv1 {} {payload_type} {} ",
        payload_type.len(),
        payload.len()
    );
    [head.as_bytes(), payload].concat()
}

impl TryFrom<Raw> for Envelope {
    type Error = String;
    fn try_from(raw: Raw) -> Result<Envelope, String> {
        if raw.payload_type != PAYLOAD_TYPE {
            let found: String = raw.payload_type.chars().take(200).collect();
            return Err(format!("payloadType is {found:?}, expected {PAYLOAD_TYPE}"));
        }
        let [signature] = &raw.signatures[..] else {
            let found = raw.signatures.len();
            return Err(format!("{found} signatures, expected one"));
        };
        let payload = STANDARD.decode(&raw.payload);
        let sig = STANDARD.decode(&signature.sig);
        let sig = sig.map_err(|e| format!("sig: {e}"))?;
        Ok(Envelope {
            payload: payload.map_err(|e| format!("payload: {e}"))?,
            key: signature.keyid,
            signature: <[u8; 64]>::try_from(sig.as_slice())
                .map_err(|_| format!("sig: {} bytes, expected 64", sig.len()))?,
        })
    }
}

impl From<Envelope> for Raw {
    fn from(envelope: Envelope) -> Raw {
        Raw {
            payload: STANDARD.encode(&envelope.payload),
            payload_type: PAYLOAD_TYPE.to_owned(),
            signatures: vec![RawSignature {
                keyid: envelope.key,
                sig: STANDARD.encode(envelope.signature),
            }],
        }
    }
}
