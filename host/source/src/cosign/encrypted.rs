//! cosign's encrypted private keys: JSON with scrypt's parameters and a NaCl secretbox (XSalsa20 and Poly1305), opened within bounds.

use poly1305::Poly1305;
use salsa20::XSalsa20;
use salsa20::cipher::{KeyIvInit as _, StreamCipher as _};
use serde::Deserialize;
use zeroize::{Zeroize as _, Zeroizing};

use super::decode;
use super::key::KeyError;
use crate::error::printable;

/// The most memory that scrypt takes for a key, in bytes: 128 times `N` times `r`. cosign's keys take 64 MiB.
const MAX_MEMORY: u64 = 256 << 20;
/// The most of scrypt's `p`, how often that is done. cosign's keys say 1.
const MAX_TIMES: u32 = 4;
/// The same for people.
const MOST: &str = "256 MiB of memory and p=4";
const KEY: usize = 32;
const NONCE: usize = 24;
const TAG: usize = 16;
const SALT: std::ops::RangeInclusive<usize> = 8..=64;

#[derive(Deserialize)]
struct Sealed {
    kdf: Kdf,
    cipher: Cipher,
    ciphertext: String,
}

#[derive(Deserialize)]
struct Kdf {
    name: String,
    params: Params,
    salt: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE")]
struct Params {
    n: u64,
    #[serde(rename = "r")]
    r: u32,
    #[serde(rename = "p")]
    p: u32,
}

#[derive(Deserialize)]
struct Cipher {
    name: String,
    nonce: String,
}

/// The key in its plain form (PKCS#8, DER).
pub(super) fn open(sealed: &[u8], password: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let form = |why: &str| KeyError::Form {
        why: why.to_owned(),
    };
    let sealed: Sealed = serde_json::from_slice(sealed).map_err(|e| KeyError::Form {
        why: printable(&e.to_string()),
    })?;
    if sealed.kdf.name != "scrypt" || sealed.cipher.name != "nacl/secretbox" {
        return Err(form(
            "it is sealed by something else than scrypt and nacl/secretbox",
        ));
    }
    let params = bounded(&sealed.kdf.params)?;
    let bytes = |text: &str, what: &str| decode(text).ok_or_else(|| form(what));
    let salt = bytes(&sealed.kdf.salt, "its salt is no base64")?;
    if !SALT.contains(&salt.len()) {
        return Err(form("its salt is too short or too long"));
    }
    let nonce = bytes(&sealed.cipher.nonce, "its nonce is no base64")?;
    let nonce: [u8; NONCE] = nonce
        .try_into()
        .map_err(|_| form("its nonce has not 24 bytes"))?;
    let text = bytes(&sealed.ciphertext, "its ciphertext is no base64")?;
    let mut key = Zeroizing::new([0_u8; KEY]);
    scrypt::scrypt(password, &salt, &params, key.as_mut())
        .map_err(|_| form("scrypt does not take its parameters"))?;
    unbox(&key, nonce, &text)
}

/// scrypt's parameters, where they ask for no more than is done.
fn bounded(asked: &Params) -> Result<scrypt::Params, KeyError> {
    let too_much = || KeyError::Work {
        asked: format!("N={}, r={}, p={}", asked.n, asked.r, asked.p),
        most: MOST,
    };
    let memory = asked.n.checked_mul(u64::from(asked.r));
    let memory = memory.and_then(|n| n.checked_mul(128));
    let is_bounded = memory.is_some_and(|memory| memory <= MAX_MEMORY) && asked.p <= MAX_TIMES;
    if !is_bounded {
        return Err(too_much());
    }
    let wrong = || KeyError::Form {
        why: "N has to be a power of two above 1, and r and p above 0".to_owned(),
    };
    if !asked.n.is_power_of_two() || asked.n < 2 {
        return Err(wrong());
    }
    let log = u8::try_from(asked.n.trailing_zeros()).map_err(|_| wrong())?;
    scrypt::Params::new(log, asked.r, asked.p).map_err(|_| wrong())
}

/// Opens a secretbox: the first 32 bytes of the key stream are Poly1305's key, what follows is over the text.
fn unbox(
    key: &[u8; KEY],
    nonce: [u8; NONCE],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    use poly1305::universal_hash::KeyInit as _;
    let (tag, text) = sealed.split_at_checked(TAG).ok_or_else(|| KeyError::Form {
        why: "its ciphertext is too short".to_owned(),
    })?;
    let mut stream = XSalsa20::new(&(*key).into(), &nonce.into());
    let mut mac_key = [0_u8; KEY];
    stream.apply_keystream(&mut mac_key);
    let found = Poly1305::new(&mac_key.into()).compute_unpadded(text);
    mac_key.zeroize();
    // Without a branch on what differs.
    let differs = found.iter().zip(tag).fold(0, |d, (a, b)| d | (a ^ b));
    if differs != 0 {
        return Err(KeyError::WrongPassword);
    }
    let mut plain = Zeroizing::new(text.to_vec());
    stream.apply_keystream(&mut plain);
    Ok(plain)
}
