//! A whole SOPS file, of whichever format: read, opened with its data key, its MAC compared, written in the clear.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sha2::{Digest as _, Sha512};
use zeroize::Zeroizing;

use super::cipher::{Clear, DataKey};
use super::dotenv::{self, Line};
use super::json;
use super::metadata::{FLAT, Metadata, MetadataError};
use super::rules::Verdict;
use super::token::{Kind, Token, holds_token};
use super::tree::{self, Leaf, Node, Path, Scalar, place, shown};
use super::yaml::{self, Stream};
use crate::limits::SecretLimits;

/// What the MAC begins with where it is of encrypted values only: SHA-256 of `sops`.
const ONLY_ENCRYPTED: [u8; 32] = [
    0x8a, 0x3f, 0xd2, 0xad, 0x54, 0xce, 0x66, 0x52, 0x7b, 0x10, 0x34, 0xf3, 0xd1, 0x47, 0xbe, 0x0b,
    0x0b, 0x97, 0x5b, 0x3b, 0xf4, 0x4f, 0x72, 0xc6, 0xfd, 0xad, 0xec, 0x81, 0x76, 0xf2, 0x7d, 0x69,
];
/// The one key of a binary file.
const BINARY: &str = "data";

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// YAML.
    Yaml,
    /// JSON.
    Json,
    /// Lines of `KEY=VALUE`.
    Dotenv,
    /// Anything, in an envelope of JSON.
    Binary,
}

/// A SOPS file.
#[derive(Debug)]
pub struct File {
    /// What it says of itself.
    pub metadata: Metadata,
    leaves: Vec<Leaf>,
    form: Form,
    limits: SecretLimits,
}

#[derive(Debug)]
enum Form {
    Yaml(Stream),
    Json(Vec<(String, Node)>),
    Binary,
    Dotenv(Vec<Line>),
}

/// Why a file that SOPS has to do with cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// What it says of itself is wrong.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// It is not as SOPS writes it.
    #[error("it is no file that sops wrote: {0}")]
    Form(String),
    /// A format that Weir does not read.
    #[error(
        "it is an INI file, which Weir does not decrypt: use YAML, JSON, dotenv or a binary file"
    )]
    Ini,
    /// It is too large.
    #[error("it has more than {0} bytes, which is the limit of an encrypted file")]
    TooLarge(usize),
}

/// Why a file cannot be opened with its data key. No value is in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// A value is plain.
    #[error(
        "it is partly encrypted: `{0}` is plain, and by the file's own rule it is encrypted. Encrypt it (sops --encrypt), or edit it with sops"
    )]
    Plain(String),
    /// A value is encrypted.
    #[error(
        "it is partly encrypted: `{0}` is encrypted, and by the file's own rule it is plain. Edit the file with sops"
    )]
    Encrypted(String),
    /// A value is not what was encrypted.
    #[error(
        "the value of `{0}` was changed after it was encrypted, or comes from another place or another file. Take it from Git's history, or encrypt it anew"
    )]
    Changed(String),
    /// A value has no such form.
    #[error("the value of `{key}` is no encrypted value: {why}")]
    Form {
        /// Where.
        key: String,
        /// What of it is wrong.
        why: &'static str,
    },
    /// The MAC is not the one of these values.
    #[error(
        "its MAC does not match: {0}. A value was added, removed, moved or changed without sops. Look at what changed it; when it is meant, edit the file with sops (sops edit) so that it is signed anew"
    )]
    Mac(&'static str),
    /// What was opened cannot be written.
    #[error("it is decrypted and cannot be written as its format: {0}")]
    Write(String),
}

/// An opened file. It has no text form.
pub(crate) struct Opened<'f> {
    file: &'f File,
    key: &'f DataKey,
    clear: Vec<Option<Clear>>,
}

impl File {
    /// Reads a file; nothing where SOPS has nothing to do with it.
    ///
    /// # Errors
    /// When it is one of SOPS' and cannot be read.
    pub fn read(bytes: &[u8], limits: SecretLimits) -> Result<Option<File>, ReadError> {
        let Some((text, format)) = recognised(bytes) else {
            return Ok(None);
        };
        if bytes.len() > limits.file {
            return Err(ReadError::TooLarge(limits.file));
        }
        let file = match format.ok_or(ReadError::Ini)? {
            Format::Yaml => File::yaml(text, limits)?,
            Format::Dotenv => File::dotenv(text, limits)?,
            Format::Json | Format::Binary => match json::read(text, limits) {
                Ok(map) => return File::json(map, limits),
                // YAML in flow style begins with a brace as well.
                Err(why) if has_line(text, "sops:") => {
                    let yaml = File::yaml(text, limits);
                    yaml.map_err(|_| ReadError::Form(why))?
                }
                Err(why) => return Err(ReadError::Form(why)),
            },
        };
        Ok(Some(file))
    }

    fn yaml(text: &str, limits: SecretLimits) -> Result<File, ReadError> {
        let read = yaml::read(text, limits);
        let (stream, leaves, metadata) = read.map_err(ReadError::Form)?;
        Ok(File {
            metadata: Metadata::read(&metadata, limits)?,
            leaves,
            form: Form::Yaml(stream),
            limits,
        })
    }

    fn dotenv(text: &str, limits: SecretLimits) -> Result<File, ReadError> {
        let read = dotenv::read(text, limits).map_err(ReadError::Form)?;
        Ok(File {
            metadata: Metadata::read_flat(&read.metadata, limits)?,
            leaves: read.leaves,
            form: Form::Dotenv(read.lines),
            limits,
        })
    }

    fn json(mut map: Vec<(String, Node)>, limits: SecretLimits) -> Result<Option<File>, ReadError> {
        let Some(at) = map.iter().position(|(key, _)| key == "sops") else {
            return Ok(None);
        };
        let (_, metadata) = map.remove(at);
        if map.iter().any(|(key, _)| key == "sops") {
            return Err(ReadError::Form("it has the key `sops` twice".to_owned()));
        }
        let metadata = Metadata::read(&json::to_value(&metadata), limits)?;
        let mut leaves = Vec::new();
        let mut keys = limits.keys_of_places();
        tree::leaves(&map, &mut Path::new(), &mut keys, &mut leaves).map_err(ReadError::Form)?;
        let is_binary = matches!(
            &map[..],
            [(key, Node::Scalar(Scalar::Text(_)))] if key == BINARY
        );
        Ok(Some(File {
            metadata,
            leaves,
            form: if is_binary {
                Form::Binary
            } else {
                Form::Json(map)
            },
            limits,
        }))
    }

    /// How many values it has.
    pub(crate) fn values(&self) -> usize {
        self.leaves.len()
    }

    /// How it is written.
    pub fn format(&self) -> Format {
        match self.form {
            Form::Yaml(_) => Format::Yaml,
            Form::Json(_) => Format::Json,
            Form::Binary => Format::Binary,
            Form::Dotenv(_) => Format::Dotenv,
        }
    }

    /// Opens all of it, and compares its MAC.
    ///
    /// # Errors
    /// When something of it is not as it was encrypted.
    pub(crate) fn open<'f>(&'f self, key: &'f DataKey) -> Result<Opened<'f>, OpenError> {
        let mut mac = Sha512::new();
        if self.metadata.mac_only_encrypted {
            mac.update(ONLY_ENCRYPTED);
        }
        let mut clear = Vec::with_capacity(self.leaves.len());
        for leaf in &self.leaves {
            let opened = self.leaf(leaf, key)?;
            match &opened {
                Some(opened) => {
                    let bytes = opened.mac_bytes();
                    mac.update(bytes.ok_or_else(|| OpenError::Form {
                        key: shown(&leaf.path),
                        why: "decrypted, it is not what its type says",
                    })?);
                }
                None if self.metadata.mac_only_encrypted => {}
                None => mac.update(leaf.scalar.mac_bytes()),
            }
            clear.push(opened);
        }
        self.compare(key, &mac.finalize())?;
        Ok(Opened {
            file: self,
            key,
            clear,
        })
    }

    /// A value in the clear; nothing where it is plain, and may be.
    fn leaf(&self, leaf: &Leaf, key: &DataKey) -> Result<Option<Clear>, OpenError> {
        let path: Vec<&str> = leaf.path.iter().map(|key| &**key).collect();
        let says = self.metadata.rule.says(&path);
        // What is no text was never encrypted.
        let text = leaf.scalar.text().unwrap_or("plain");
        match says.of(text) {
            Verdict::Stays => Ok(None),
            Verdict::ShouldBeEncrypted => Err(OpenError::Plain(shown(&path))),
            Verdict::ShouldBePlain => Err(OpenError::Encrypted(shown(&path))),
            Verdict::Open => {
                let token = Token::read(text).map_err(|why| OpenError::Form {
                    key: shown(&path),
                    why,
                })?;
                let clear = key.open(&token, &place(&path));
                clear
                    .map(Some)
                    .ok_or_else(|| OpenError::Changed(shown(&path)))
            }
        }
    }

    fn compare(&self, key: &DataKey, found: &[u8]) -> Result<(), OpenError> {
        let Metadata {
            mac, lastmodified, ..
        } = &self.metadata;
        let token = Token::read(mac);
        let token = token.map_err(|_| OpenError::Mac("it is no encrypted value"))?;
        let said = key.open(&token, lastmodified);
        let said = said.ok_or(OpenError::Mac(
            "it, or `lastmodified`, was changed, or it comes from another file",
        ))?;
        let mut hex = String::with_capacity(2 * found.len());
        for byte in found {
            // Writing to a string cannot fail.
            let _ = write!(hex, "{byte:02X}");
        }
        match said.bytes() == hex.as_bytes() {
            true => Ok(()),
            false => Err(OpenError::Mac("it is of other values")),
        }
    }
}

impl Opened<'_> {
    /// The file as `sops --decrypt` prints it.
    ///
    /// # Errors
    /// When its format cannot hold what was opened.
    pub(crate) fn write(&self) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let File { leaves, form, .. } = self.file;
        let wrong = |why: &str| OpenError::Write(why.to_owned());
        match form {
            Form::Binary => match &self.clear[..] {
                [Some(clear)] => Ok(Zeroizing::new(clear.bytes().to_vec())),
                // What is empty is not encrypted, and what the file's rule leaves plain stands in it as it is.
                _ => {
                    let plain = leaves.first().and_then(|leaf| leaf.scalar.text());
                    Ok(Zeroizing::new(
                        plain.unwrap_or_default().as_bytes().to_vec(),
                    ))
                }
            },
            Form::Json(map) => json::write(map, &self.clear).map_err(wrong),
            Form::Dotenv(lines) => {
                let comments = self.comments(lines);
                dotenv::write(lines, leaves, &self.clear, &comments).map_err(wrong)
            }
            Form::Yaml(stream) => {
                let written = stream.write(leaves, &self.clear, self.key);
                let written = written.map_err(OpenError::Write)?;
                self.same(&written)?;
                Ok(written)
            }
        }
    }

    fn comments(&self, lines: &[Line]) -> BTreeMap<usize, Clear> {
        let place = dotenv::comments_place();
        let opened = lines.iter().enumerate().filter_map(|(n, line)| match line {
            Line::Comment(text) => {
                let token = Token::read(text).ok()?;
                Some((n, self.key.open(&token, &place)?))
            }
            Line::Value(_) => None,
        });
        opened.collect()
    }

    /// Whether YAML that was written holds what was opened: what was exchanged in a text is read once more.
    fn same(&self, written: &[u8]) -> Result<(), OpenError> {
        let is_same = std::str::from_utf8(written).is_ok_and(|text| {
            let leaves = yaml::leaves(text, self.file.limits);
            // What was an item and is a comment now is no value any more.
            let is_value =
                |clear: &Option<Clear>| clear.as_ref().is_none_or(|c| c.kind != Kind::Comment);
            let all = self.clear.iter().zip(&self.file.leaves);
            let all: Vec<_> = all.filter(|(clear, _)| is_value(clear)).collect();
            leaves.is_ok_and(|leaves| {
                leaves.len() == all.len()
                    && all.iter().zip(&leaves).all(|((clear, before), now)| {
                        let expected = match clear {
                            Some(clear) => clear.mac_bytes(),
                            None => Some(before.scalar.mac_bytes()),
                        };
                        before.path == now.path && expected == Some(now.scalar.mac_bytes())
                    })
            })
        });
        match is_same {
            true => Ok(()),
            false => Err(OpenError::Write(
                "one of its values cannot be written in its place. Encrypt the file as a binary one (sops --input-type binary)".to_owned(),
            )),
        }
    }
}

/// A file that SOPS has to do with, by how it looks; no format for one that Weir does not read.
fn recognised(bytes: &[u8]) -> Option<(&str, Option<Format>)> {
    let text = std::str::from_utf8(bytes).ok()?;
    // The MAC is one.
    if !holds_token(text) {
        return None;
    }
    if text.trim_start().starts_with('{') {
        return Some((text, Some(Format::Json)));
    }
    let flat = format!("{FLAT}mac=");
    if has_line(text, "sops:") {
        Some((text, Some(Format::Yaml)))
    } else if has_line(text, &flat) {
        Some((text, Some(Format::Dotenv)))
    } else if has_line(text, "[sops]") {
        Some((text, None))
    } else {
        None
    }
}

fn has_line(text: &str, start: &str) -> bool {
    text.lines().any(|line| line.starts_with(start))
}

#[cfg(test)]
mod tests;
