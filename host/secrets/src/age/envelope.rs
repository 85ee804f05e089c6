//! One age file: its armor, its header with a stanza for each recipient, its payload.
//!
//! ```text
//! armor ─→ header (stanzas, MAC) + payload    stanza ─X25519, HKDF, ChaCha20-Poly1305→ file key
//! file key ─HMAC→ the header is whole         file key ─HKDF, ChaCha20-Poly1305→ what was encrypted
//! ```

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use chacha20poly1305::aead::{Aead as _, KeyInit as _};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use hkdf::Hkdf;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::Identity;

const BEGIN: &str = "-----BEGIN AGE ENCRYPTED FILE-----";
const END: &str = "-----END AGE ENCRYPTED FILE-----";
const VERSION: &[u8] = b"age-encryption.org/v1";
/// Characters of one full line of a stanza's body.
const LINE: usize = 64;
/// Bytes of a file key, wrapped.
const WRAPPED: usize = 32;
/// Bytes of a payload's own nonce.
const NONCE: usize = 16;
/// Bytes of one chunk of a payload with its tag. A data key is far smaller than that.
const CHUNK: usize = (64 << 10) + 16;
/// Bytes of an armored file, at most: a header for one recipient and one data key are 400.
const ARMORED: usize = 16 << 10;
/// Stanzas of one header, at most.
const STANZAS: usize = 64;

/// What came of an age file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unsealed {
    /// What was encrypted.
    Opened(Zeroizing<Vec<u8>>),
    /// It is for other keys.
    NotForUs,
    /// It is no age file, or was changed: why.
    Broken(&'static str),
}

/// Opens an armored age file with whichever of these keys it is for.
pub(crate) fn unseal(armored: &str, identities: &[Identity]) -> Unsealed {
    match open(armored, identities) {
        Ok(Some(bytes)) => Unsealed::Opened(bytes),
        Ok(None) => Unsealed::NotForUs,
        Err(why) => Unsealed::Broken(why),
    }
}

type Secret = Zeroizing<Vec<u8>>;

fn open(armored: &str, identities: &[Identity]) -> Result<Option<Secret>, &'static str> {
    let file = dearmored(armored)?;
    let header = Header::read(&file)?;
    for stanza in &header.stanzas {
        for identity in identities {
            if let Some(file_key) = unwrapped(stanza, identity) {
                header.check(&file_key)?;
                return payload(header.rest, &file_key).map(Some);
            }
        }
    }
    Ok(None)
}

/// The file in an armor. Line ends may be of any kind: it stood in YAML, in JSON or in one line of a dotenv file.
fn dearmored(text: &str) -> Result<Vec<u8>, &'static str> {
    if text.len() > ARMORED {
        return Err("it is larger than a data key's is");
    }
    let text = text.trim();
    let inner = text.strip_prefix(BEGIN).and_then(|t| t.strip_suffix(END));
    let inner = inner.ok_or("it has no `BEGIN AGE ENCRYPTED FILE`")?;
    let mut base64 = String::with_capacity(inner.len());
    base64.extend(inner.lines().map(str::trim));
    STANDARD
        .decode(base64)
        .map_err(|_| "what it has between BEGIN and END is no base64")
}

/// The file key's wrapping for one recipient.
struct Stanza {
    share: [u8; 32],
    body: [u8; WRAPPED],
}

struct Header<'f> {
    /// Those for X25519 keys.
    stanzas: Vec<Stanza>,
    /// What the MAC is of.
    covered: &'f [u8],
    mac: Vec<u8>,
    /// What follows the header.
    rest: &'f [u8],
}

impl<'f> Header<'f> {
    fn read(file: &'f [u8]) -> Result<Header<'f>, &'static str> {
        let mut lines = Lines { file, at: 0 };
        if lines.next() != Some(VERSION) {
            return Err("it is of no version of age that Weir reads");
        }
        let mut stanzas = Vec::new();
        let mut seen = 0;
        loop {
            let begun = lines.at;
            let line = lines.next().ok_or("its header has no end")?;
            if let Some(mac) = line.strip_prefix(b"--- ") {
                let mac = STANDARD_NO_PAD.decode(mac);
                return Ok(Header {
                    stanzas,
                    covered: file.get(..begun + 3).unwrap_or_default(),
                    mac: mac.map_err(|_| "its header's MAC is no base64")?,
                    rest: file.get(lines.at..).unwrap_or_default(),
                });
            }
            seen += 1;
            if seen > STANZAS {
                return Err("it has more recipients than a data key has");
            }
            let arguments = line.strip_prefix(b"-> ").ok_or("its header is cut")?;
            let body = lines.body()?;
            stanzas.extend(x25519(arguments, &body)?);
        }
    }

    fn check(&self, file_key: &[u8]) -> Result<(), &'static str> {
        let key = derived(file_key, &[], b"header");
        let mut mac =
            <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(&*key).map_err(|_| "no MAC")?;
        mac.update(self.covered);
        mac.verify_slice(&self.mac)
            .map_err(|_| "its header was changed")
    }
}

/// Reads lines, and knows where it stands.
struct Lines<'f> {
    file: &'f [u8],
    at: usize,
}

impl<'f> Iterator for Lines<'f> {
    type Item = &'f [u8];

    fn next(&mut self) -> Option<&'f [u8]> {
        let rest = self.file.get(self.at..)?;
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        self.at += end + 1;
        rest.get(..end)
    }
}

impl Lines<'_> {
    /// A stanza's body: full lines, then one that is not full.
    fn body(&mut self) -> Result<Vec<u8>, &'static str> {
        let mut text = Vec::new();
        for line in self.by_ref() {
            text.extend_from_slice(line);
            if line.len() < LINE {
                return STANDARD_NO_PAD
                    .decode(&text)
                    .map_err(|_| "its header holds what is no base64");
            }
            if line.len() > LINE {
                break;
            }
        }
        Err("its header is cut")
    }
}

/// An X25519 stanza; nothing where it is of another kind.
fn x25519(arguments: &[u8], body: &[u8]) -> Result<Option<Stanza>, &'static str> {
    let Some(share) = arguments.strip_prefix(b"X25519 ") else {
        return Ok(None);
    };
    let share = STANDARD_NO_PAD.decode(share).ok();
    let share = share.and_then(|share| share.try_into().ok());
    let body = body.try_into().ok();
    match (share, body) {
        (Some(share), Some(body)) => Ok(Some(Stanza { share, body })),
        _ => Err("a recipient's part of its header is no such"),
    }
}

/// The file key, where the stanza is for this key.
fn unwrapped(stanza: &Stanza, identity: &Identity) -> Option<Secret> {
    let shared = identity.shared(stanza.share)?;
    let mut salt = stanza.share.to_vec();
    salt.extend_from_slice(identity.recipient().as_bytes());
    let key = derived(&*shared, &salt, b"age-encryption.org/v1/X25519");
    let opened = decrypted(&key, &[0; 12], &stanza.body)?;
    (opened.len() == 16).then_some(opened)
}

/// A payload of one chunk.
fn payload(rest: &[u8], file_key: &[u8]) -> Result<Secret, &'static str> {
    let (nonce, chunk) = rest.split_at_checked(NONCE).ok_or("its payload is cut")?;
    if chunk.len() > CHUNK {
        return Err("its payload is larger than a data key");
    }
    let key = derived(file_key, nonce, b"payload");
    // The first chunk, and the last one.
    let mut counter = [0; 12];
    counter[11] = 1;
    decrypted(&key, &counter, chunk).ok_or("its payload was changed")
}

fn derived(secret: &[u8], salt: &[u8], info: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    // 32 bytes are always to be had of SHA-256; a key of zeros would open nothing.
    let _ = Hkdf::<Sha256>::new(Some(salt), secret).expand(info, &mut *key);
    key
}

fn decrypted(key: &[u8; 32], nonce: &[u8; 12], sealed: &[u8]) -> Option<Secret> {
    let cipher = ChaCha20Poly1305::new_from_slice(key).ok()?;
    let opened = cipher.decrypt(&Nonce::from(*nonce), sealed).ok()?;
    Some(Zeroizing::new(opened))
}

#[cfg(test)]
mod tests;
