//! Files that carry the digest of their own content, so that one flipped bit is found without any other file.
//!
//! A sealed file is one JSON document, `{"digest":"sha256:…","content":…}` and a newline. The digest is over
//! the exact bytes of the content, so nothing depends on how JSON is written again.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use weir_core::digest::Digest;

/// The format of every file in a ledger. A host reads this and older ones, and refuses newer ones.
pub(crate) const VERSION: u32 = 1;

const BEFORE: &str = "{\"digest\":\"";
const BETWEEN: &str = "\",\"content\":";
const AFTER: &str = "}\n";

/// The bytes of a sealed file.
pub(crate) fn seal<T: Serialize>(content: &T) -> Result<Vec<u8>, serde_json::Error> {
    let content = serde_json::to_vec(content)?;
    let digest = Digest::of(&content).to_string();
    let mut out = Vec::with_capacity(content.len() + digest.len() + 32);
    for part in [
        BEFORE.as_bytes(),
        digest.as_bytes(),
        BETWEEN.as_bytes(),
        &content,
        AFTER.as_bytes(),
    ] {
        out.extend_from_slice(part);
    }
    Ok(out)
}

/// Why a sealed file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// It is whole, and of a format that this host does not know.
    Newer(u32),
    /// It is not what was written: how.
    Damaged(String),
}

/// The content of a sealed file, which has a `version` of at most [`VERSION`].
pub(crate) fn open<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Flaw> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let damaged = |why: String| Flaw::Damaged(why);
    let (digest, content) = split(bytes)
        .ok_or_else(|| damaged("it is cut short or is no file of the ledger".into()))?;
    let found = Digest::of(content);
    if found != digest {
        return Err(damaged(format!(
            "its content has the digest {found}, and its head says {digest}"
        )));
    }
    let not_understood = |e| damaged(format!("its content is intact but not understood: {e}"));
    let Versioned { version } = serde_json::from_slice(content).map_err(not_understood)?;
    if version > VERSION {
        return Err(Flaw::Newer(version));
    }
    serde_json::from_slice(content).map_err(not_understood)
}

impl std::fmt::Display for Flaw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Flaw::Newer(version) => write!(
                f,
                "it has format {version}, and this Weir knows up to {VERSION}: use a newer Weir"
            ),
            Flaw::Damaged(why) => f.write_str(why),
        }
    }
}

fn split(bytes: &[u8]) -> Option<(Digest, &[u8])> {
    let rest = bytes.strip_prefix(BEFORE.as_bytes())?;
    let (digest, rest) = rest.split_at_checked("sha256:".len() + 64)?;
    let digest = std::str::from_utf8(digest).ok()?.parse().ok()?;
    let content = rest
        .strip_prefix(BETWEEN.as_bytes())?
        .strip_suffix(AFTER.as_bytes())?;
    Some((digest, content))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_sealed_file_is_json_and_reads_back() {
        let content = json!({"version": 1, "records": ["a", "b"]});
        let bytes = seal(&content).unwrap();
        let json: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(json["content"], content);
        assert_eq!(open::<Value>(&bytes), Ok(content));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_found() {
        let bytes = seal(&json!({"version": 1, "records": ["stake", "record"]})).unwrap();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut bad = bytes.clone();
                bad[at] ^= 1 << bit;
                assert!(
                    matches!(open::<Value>(&bad), Err(Flaw::Damaged(_))),
                    "bit {bit} of byte {at}"
                );
            }
            assert!(
                matches!(open::<Value>(&bytes[..at]), Err(Flaw::Damaged(_))),
                "cut to {at} bytes"
            );
        }
    }

    #[test]
    fn a_newer_format_is_told_from_damage_even_where_it_is_not_understood() {
        let bytes = seal(&json!({"version": VERSION + 1, "records": "another form"})).unwrap();
        assert_eq!(open::<Vec<u8>>(&bytes), Err(Flaw::Newer(VERSION + 1)));
    }
}
