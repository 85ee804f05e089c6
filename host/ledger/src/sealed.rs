//! Files that carry the digest of their own content, so that one flipped bit is found without any other file.
//!
//! A sealed file is one JSON document, `{"digest":"sha256:…","content":…}` and a newline. The digest is over
//! the exact bytes of the content, so nothing depends on how JSON is written again.

use serde::Serialize;
use serde::de::DeserializeOwned;
use weir_core::digest::Digest;

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

/// The content of a sealed file, or what is wrong with it.
pub(crate) fn open<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let (digest, content) = split(bytes).ok_or("it is cut short or is no file of the ledger")?;
    let found = Digest::of(content);
    if found != digest {
        return Err(format!(
            "its content has the digest {found}, and its head says {digest}"
        ));
    }
    serde_json::from_slice(content)
        .map_err(|e| format!("its content is intact but not understood: {e}"))
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
    use super::*;

    #[test]
    fn a_sealed_file_is_json_and_reads_back() {
        let bytes = seal(&vec!["a", "b"]).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(json["content"], serde_json::json!(["a", "b"]));
        assert_eq!(
            open::<Vec<String>>(&bytes),
            Ok(vec!["a".to_owned(), "b".to_owned()])
        );
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_found() {
        let bytes = seal(&vec!["stake", "record"]).unwrap();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut bad = bytes.clone();
                bad[at] ^= 1 << bit;
                assert!(open::<Vec<String>>(&bad).is_err(), "bit {bit} of byte {at}");
            }
            assert!(
                open::<Vec<String>>(&bytes[..at]).is_err(),
                "cut to {at} bytes"
            );
        }
    }
}
