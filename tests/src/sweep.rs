//! Looks for secrets that have left their place: each as it is, in base64, in hex and as part of other base64, in files, archives and Git objects.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use aho_corasick::AhoCorasick;
use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use flate2::read::{MultiGzDecoder, ZlibDecoder};

/// Bytes of one packed thing that are unpacked to look into it.
const UNPACKED: u64 = 64 << 20;
/// A form that is shorter would be found everywhere.
const SHORTEST: usize = 8;

/// Texts that nothing may say, and how each may look.
pub struct Sweep {
    forms: AhoCorasick,
    /// Whose form it is: the name of the secret and of the form.
    names: Vec<(String, &'static str)>,
}

impl Sweep {
    /// Looks for these: names, and the texts that nothing may say.
    ///
    /// # Errors
    /// A secret is so short that it would be found everywhere.
    pub fn of<N: Into<String>, S: AsRef<[u8]>>(
        secrets: impl IntoIterator<Item = (N, S)>,
    ) -> Result<Sweep> {
        let (mut forms, mut names) = (Vec::new(), Vec::new());
        for (name, secret) in secrets {
            let (name, secret) = (name.into(), secret.as_ref());
            anyhow::ensure!(
                secret.len() >= SHORTEST + 4,
                "{name} is too short to be looked for"
            );
            for (form, bytes) in looks(secret) {
                forms.push(bytes);
                names.push((name.clone(), form));
            }
        }
        let forms = AhoCorasick::new(forms).context("building the search")?;
        Ok(Sweep { forms, names })
    }

    /// Which secrets are in some bytes, and how they look there.
    pub fn find(&self, bytes: &[u8]) -> BTreeSet<(String, &'static str)> {
        let found = self.forms.find_overlapping_iter(bytes);
        found
            .map(|m| self.names[m.pattern().as_usize()].clone())
            .collect()
    }

    /// Which secrets are in the files below a folder, by file; what is packed is looked into.
    ///
    /// # Errors
    /// Something cannot be read.
    pub fn find_below(
        &self,
        dir: &Path,
    ) -> Result<BTreeMap<PathBuf, BTreeSet<(String, &'static str)>>> {
        let mut found = BTreeMap::new();
        let mut dirs = vec![dir.to_owned()];
        while let Some(dir) = dirs.pop() {
            for item in fs::read_dir(&dir).with_context(|| format!("reading {}", dir.display()))? {
                let item = item?;
                let (path, kind) = (item.path(), item.file_type()?);
                if kind.is_dir() {
                    dirs.push(path);
                } else if kind.is_file() {
                    let bytes =
                        fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
                    let mut here = self.find(&bytes);
                    here.extend(unpacked(&bytes).iter().flat_map(|inner| self.find(inner)));
                    // A name may say it, too.
                    here.extend(self.find(path.as_os_str().as_encoded_bytes()));
                    if !here.is_empty() {
                        found.insert(path, here);
                    }
                }
            }
        }
        Ok(found)
    }
}

/// How a secret may look.
fn looks(secret: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let hex = hex::encode(secret);
    let mut all = vec![
        ("plain", secret.to_vec()),
        ("hex", hex.to_uppercase().into_bytes()),
        ("hex", hex.into_bytes()),
        ("reversed", secret.iter().rev().copied().collect()),
    ];
    // What a Secret's `data` holds, encoded once more.
    let twice = STANDARD.encode(secret).into_bytes();
    for (form, bytes) in [("base64", secret), ("base64 of base64", &twice)] {
        for engine in [STANDARD, URL_SAFE] {
            all.extend(inside(&engine, bytes).map(|inside| (form, inside)));
        }
    }
    all.retain(|(_, bytes)| bytes.len() >= SHORTEST);
    all.sort();
    all.dedup_by(|one, other| one.1 == other.1);
    all
}

/// The part of an encoding that is the same whatever stands before and after: at each of the three places that a byte may have.
fn inside(engine: &base64::engine::GeneralPurpose, secret: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (0..3).map(|before| {
        let mut padded = vec![0; before];
        padded.extend_from_slice(secret);
        let whole = engine.encode(&padded);
        // Characters that bytes before or after have a part in are cut off.
        let from = (before * 8).div_ceil(6);
        let to = padded.len() * 8 / 6;
        whole.as_bytes()[from..to].to_vec()
    })
}

/// What is inside: a zlib stream (Git's objects), a gzip stream, or a pack's entries one after the other.
fn unpacked(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let mut take = |reader: &mut dyn std::io::Read| {
        let mut out = Vec::new();
        if reader.take(UNPACKED).read_to_end(&mut out).is_ok() || !out.is_empty() {
            all.push(out);
        }
    };
    match bytes {
        [0x1f, 0x8b, ..] => take(&mut MultiGzDecoder::new(bytes)),
        [0x78, ..] => take(&mut ZlibDecoder::new(bytes)),
        [b'P', b'A', b'C', b'K', ..] => {
            // Each entry is a zlib stream somewhere: all places that begin like one are tried.
            for at in (12..bytes.len().saturating_sub(2)).filter(|&at| bytes[at] == 0x78) {
                if (u16::from(bytes[at]) * 256 + u16::from(bytes[at + 1])) % 31 == 0 {
                    take(&mut ZlibDecoder::new(&bytes[at..]));
                }
            }
        }
        _ => {}
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    const SECRET: &str = "canary-0451-of-a-test";

    fn sweep() -> Sweep {
        Sweep::of([("it", SECRET)]).unwrap()
    }

    fn forms(bytes: &[u8]) -> Vec<&'static str> {
        sweep()
            .find(bytes)
            .into_iter()
            .map(|(_, form)| form)
            .collect()
    }

    #[test]
    fn a_secret_is_found_in_each_form_wherever_it_stands() {
        assert_eq!(forms(format!("a {SECRET} b").as_bytes()), ["plain"]);
        assert_eq!(forms(hex::encode(format!("x{SECRET}")).as_bytes()), ["hex"]);
        for before in ["", "a", "ab", "user:", "{\"password\":\""] {
            for after in ["", "z", "\"}", "\n\n"] {
                let text = format!("{before}{SECRET}{after}");
                assert_eq!(
                    forms(STANDARD.encode(&text).as_bytes()),
                    ["base64"],
                    "{text}"
                );
                let twice = STANDARD.encode(STANDARD.encode(SECRET) + after);
                assert!(
                    forms(twice.as_bytes()).contains(&"base64 of base64"),
                    "{text}"
                );
            }
        }
        assert!(forms(b"canary-0451-of-another").is_empty());
    }

    #[test]
    fn what_is_packed_is_looked_into() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("below")).unwrap();
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gz.write_all(SECRET.repeat(9).as_bytes()).unwrap();
        fs::write(dir.path().join("below/a.tgz"), gz.finish().unwrap()).unwrap();
        let mut object = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        object.write_all(SECRET.repeat(9).as_bytes()).unwrap();
        let object = object.finish().unwrap();
        fs::write(dir.path().join("object"), &object).unwrap();
        let mut pack = b"PACK\0\0\0\x02\0\0\0\x01\x9f\x01".to_vec();
        pack.extend_from_slice(&object);
        fs::write(dir.path().join("a.pack"), pack).unwrap();
        fs::write(dir.path().join("clean"), b"nothing").unwrap();
        let found = sweep().find_below(dir.path()).unwrap();
        let mut names: Vec<_> = found
            .keys()
            .map(|f| f.file_name().unwrap().to_str().unwrap())
            .collect();
        names.sort_unstable();
        assert_eq!(names, ["a.pack", "a.tgz", "object"], "{found:?}");
    }
}
