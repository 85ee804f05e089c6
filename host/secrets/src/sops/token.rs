//! One encrypted value: `ENC[AES256_GCM,data:...,iv:...,tag:...,type:...]`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What every encrypted value begins with.
const START: &str = "ENC[AES256_GCM,";
/// Bytes of SOPS' nonces.
pub(super) const NONCE: usize = 32;
/// Bytes of a tag of AES-GCM.
const TAG: usize = 16;

/// An encrypted value, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// What was encrypted, with its tag behind it.
    pub(super) sealed: Vec<u8>,
    pub(super) nonce: [u8; NONCE],
    pub(super) kind: Kind,
}

/// What a value was before it was encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Int,
    Float,
    Bool,
    Time,
    Comment,
}

/// Whether a text is meant as an encrypted value, well-formed or not.
pub(super) fn is_token(text: &str) -> bool {
    text.starts_with(START)
}

/// Whether a whole encrypted value stands somewhere in a text. A sentence about them holds none.
pub fn holds_token(text: &str) -> bool {
    let mut rest = text;
    while let Some(at) = rest.find(START) {
        rest = rest.get(at + START.len()..).unwrap_or_default();
        if parts(rest).is_some() {
            return true;
        }
    }
    false
}

/// The four parts behind [`START`].
fn parts(text: &str) -> Option<([&str; 4], &str)> {
    let (data, rest) = part(text, "data:", ',')?;
    let (iv, rest) = part(rest, "iv:", ',')?;
    let (tag, rest) = part(rest, "tag:", ',')?;
    let (kind, rest) = part(rest, "type:", ']')?;
    Some(([data, iv, tag, kind], rest))
}

fn part<'t>(text: &'t str, name: &str, end: char) -> Option<(&'t str, &'t str)> {
    let text = text.strip_prefix(name)?;
    let (value, rest) = text.split_once(end)?;
    let base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    (!value.is_empty() && value.bytes().all(base64)).then_some((value, rest))
}

impl Token {
    /// Reads one.
    ///
    /// # Errors
    /// What of it is wrong, without its text.
    pub fn read(text: &str) -> Result<Token, &'static str> {
        let inner = text.strip_prefix(START);
        let inner = inner.ok_or("it does not begin with ENC[AES256_GCM,")?;
        let ([data, iv, tag, kind], rest) = parts(inner)
            .ok_or("it is not of the form ENC[AES256_GCM,data:..,iv:..,tag:..,type:..]")?;
        if !rest.is_empty() {
            return Err("something follows it");
        }
        let bytes = |part| {
            STANDARD
                .decode(part)
                .map_err(|_| "a part of it is no base64")
        };
        let mut sealed = bytes(data)?;
        let nonce = bytes(iv)?.try_into();
        let nonce = nonce.map_err(|_| "its iv has not the 32 bytes that sops gives it")?;
        let tag = bytes(tag)?;
        if tag.len() != TAG {
            return Err("its tag has not 16 bytes");
        }
        sealed.extend_from_slice(&tag);
        let kind = match kind {
            "str" | "bytes" => Kind::Text,
            "int" => Kind::Int,
            "float" => Kind::Float,
            "bool" => Kind::Bool,
            "time" => Kind::Time,
            "comment" => Kind::Comment,
            _ => return Err("its type is none that Weir knows"),
        };
        Ok(Token {
            sealed,
            nonce,
            kind,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Made by `sops`.
    const REAL: &str = "ENC[AES256_GCM,data:CwE4O1s=,iv:2k3KCFCMLzLSTBNMDOmIfmWGEi6OqBqQNdrqtwRn9hU=,tag:bDDjJfXp6sZCGJGJCLD3Qg==,type:str]";

    #[test]
    fn a_real_value_is_taken_apart() {
        let token = Token::read(REAL).unwrap();
        assert_eq!(token.kind, Kind::Text);
        assert_eq!(token.sealed.len(), 5 + TAG);
        assert!(is_token(REAL) && holds_token(REAL));
        assert!(holds_token(&format!("a: {REAL}\nb: c\n")));
    }

    #[test]
    fn a_text_about_values_is_none() {
        for text in [
            "",
            "ENC[AES256_GCM,",
            "values such as ENC[AES256_GCM,data:...,iv:...,tag:...,type:str] are decrypted",
            "ENC[AES256_GCM,data:,iv:,tag:,type:]",
            "ENC[PKCS7,MIIBiQ]",
        ] {
            assert!(!holds_token(text), "{text}");
            assert!(Token::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_value_is_said_without_its_text() {
        for (from, to) in [
            ("CwE4O1s=", "CwE4O1s"),
            ("2k3KCFCM", ""),
            ("bDDjJfXp", ""),
            ("type:str", "type:map"),
            ("type:str]", "type:str] and more"),
        ] {
            let error = Token::read(&REAL.replace(from, to)).unwrap_err();
            assert!(!error.contains("CwE4O"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_reader(text in "(ENC\\[AES256_GCM,)?(data:)?[A-Za-z0-9+/=]{0,40}(,iv:)?[A-Za-z0-9=]{0,50}(,tag:)?.{0,40}(,type:str\\])?") {
            let _ = Token::read(&text);
            let _ = holds_token(&text);
        }
    }
}
