//! Keys and files for tests, made as age and SOPS make them, the same at each run.

use aes_gcm::aead::consts::U32;
use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use aes_gcm::aes::Aes256;
use aes_gcm::{AesGcm, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use chacha20poly1305::ChaCha20Poly1305;
use hkdf::Hkdf;
use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256, Sha512};
use weir_core::object::{Object, Origin};
use x25519_dalek::{PublicKey, StaticSecret};

use crate::age::Identity;
use crate::keys::{Keys, Place};
use crate::limits::SecretLimits;

pub(crate) const LIMITS: SecretLimits = SecretLimits::HOST;
/// When all files were encrypted.
pub(crate) const TIME: &str = "2026-01-02T03:04:05Z";
/// What all values are encrypted with.
pub(crate) const DATA_KEY: [u8; 32] = [9; 32];

/// A secret key, as its file has it.
pub(crate) fn secret(n: u8) -> String {
    let prefix = bech32::Hrp::parse("age-secret-key-").unwrap();
    let text = bech32::encode_upper::<bech32::Bech32>(prefix, &[n; 32]);
    text.unwrap()
}

/// A key.
pub(crate) fn identity(n: u8) -> Identity {
    secret(n).parse().unwrap()
}

/// Keys of a host.
pub(crate) fn keys(all: &[u8]) -> Keys {
    let mut keys = Keys::none();
    for n in all {
        let place = Place::File("keys".into());
        keys.add(&place, secret(*n).as_bytes(), LIMITS).unwrap();
    }
    keys
}

fn derived(secret: &[u8], salt: &[u8], info: &[u8]) -> [u8; 32] {
    let mut key = [0; 32];
    Hkdf::<Sha256>::new(Some(salt), secret)
        .expand(info, &mut key)
        .unwrap();
    key
}

fn chacha(key: &[u8; 32], nonce: [u8; 12], text: &[u8]) -> Vec<u8> {
    let cipher = ChaCha20Poly1305::new_from_slice(key).unwrap();
    cipher
        .encrypt(&chacha20poly1305::Nonce::from(nonce), text)
        .unwrap()
}

/// The bytes of an age file for a key, and stanzas of other kinds before its own.
pub(crate) fn age_file(n: u8, text: &[u8], before: &str) -> Vec<u8> {
    let file_key = [5; 16];
    let ephemeral = StaticSecret::from([77; 32]);
    let share = PublicKey::from(&ephemeral).to_bytes();
    let theirs = *PublicKey::from(&StaticSecret::from([n; 32])).as_bytes();
    let shared = ephemeral
        .diffie_hellman(&PublicKey::from(theirs))
        .to_bytes();
    let salt = [share, theirs].concat();
    let wrap = derived(&shared, &salt, b"age-encryption.org/v1/X25519");
    let body = chacha(&wrap, [0; 12], &file_key);
    let mut file = format!(
        "age-encryption.org/v1\n{before}-> X25519 {}\n{}\n---",
        STANDARD_NO_PAD.encode(share),
        STANDARD_NO_PAD.encode(body)
    );
    let key = derived(&file_key, &[], b"header");
    let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(&key).unwrap();
    mac.update(file.as_bytes());
    let mac = STANDARD_NO_PAD.encode(mac.finalize().into_bytes());
    file.push_str(&format!(" {mac}\n"));
    let nonce = [3; 16];
    let mut counter = [0; 12];
    counter[11] = 1;
    let payload = chacha(&derived(&file_key, &nonce, b"payload"), counter, text);
    [file.as_bytes(), &nonce, &payload].concat()
}

/// The same in its armor.
pub(crate) fn armored(file: &[u8]) -> String {
    let text = STANDARD.encode(file);
    let lines: Vec<&str> = (0..text.len())
        .step_by(64)
        .map(|at| &text[at..(at + 64).min(text.len())])
        .collect();
    format!(
        "-----BEGIN AGE ENCRYPTED FILE-----\n{}\n-----END AGE ENCRYPTED FILE-----\n",
        lines.join("\n")
    )
}

/// An encrypted value.
pub(crate) fn token(place: &str, kind: &str, text: &str) -> String {
    let cipher = AesGcm::<Aes256, U32>::new_from_slice(&DATA_KEY).unwrap();
    // A nonce of its own for each value, as a MAC has to have.
    let nonce: [u8; 32] = Sha256::digest(format!("{place}{text}")).into();
    let payload = Payload {
        msg: text.as_bytes(),
        aad: place.as_bytes(),
    };
    let sealed = cipher.encrypt(&Nonce::<U32>::from(nonce), payload).unwrap();
    let (data, tag) = sealed.split_at(sealed.len() - 16);
    format!(
        "ENC[AES256_GCM,data:{},iv:{},tag:{},type:{kind}]",
        STANDARD.encode(data),
        STANDARD.encode(nonce),
        STANDARD.encode(tag)
    )
}

/// The MAC of values, as they count for it.
pub(crate) fn mac(values: &[&str]) -> String {
    let mut hash = Sha512::new();
    for value in values {
        hash.update(value);
    }
    let hex: String = hash.finalize().iter().map(|b| format!("{b:02X}")).collect();
    token(TIME, "str", &hex)
}

/// The metadata of a file for a key, as JSON; `more` stands in it.
pub(crate) fn block(n: u8, mac: &str, more: &str) -> String {
    let enc = armored(&age_file(n, &DATA_KEY, ""));
    format!(
        "{{\"age\": [{{\"recipient\": \"{}\", \"enc\": {}}}], \"lastmodified\": \"{TIME}\", \"mac\": \"{mac}\", {more}\"version\": \"3.13.2\"}}",
        identity(n).recipient(),
        serde_json::Value::from(enc)
    )
}

/// An object of `web/a.yaml`.
pub(crate) fn object(body: serde_json::Value) -> Object {
    let origin = Origin {
        path: "web/a.yaml".into(),
        line: 1,
    };
    Object::new(body, origin).unwrap()
}
