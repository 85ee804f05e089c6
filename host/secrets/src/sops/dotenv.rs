//! Dotenv files as SOPS reads and writes them: a line for each value, the metadata in lines of its own.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::cipher::Clear;
use super::metadata::FLAT;
use super::token::Kind;
use super::tree::{Leaf, Scalar};
use super::{number, tree};
use crate::limits::SecretLimits;

/// A line that is no metadata.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Line {
    /// What follows the `#`.
    Comment(String),
    /// A key, whose value is the next leaf.
    Value(String),
}

/// A file's lines, the values of those that have one, and the metadata without its prefix.
pub(super) struct Lines {
    pub(super) lines: Vec<Line>,
    pub(super) leaves: Vec<Leaf>,
    pub(super) metadata: BTreeMap<String, String>,
}

/// Reads a file.
pub(super) fn read(text: &str, limits: SecretLimits) -> Result<Lines, String> {
    let mut out = Lines {
        lines: Vec::new(),
        leaves: Vec::new(),
        metadata: BTreeMap::new(),
    };
    for (n, line) in text.split('\n').enumerate() {
        if line.is_empty() {
            continue;
        }
        if n >= limits.values {
            return Err("it has more lines than Weir reads of one file".to_owned());
        }
        if let Some(comment) = line.strip_prefix('#') {
            out.lines.push(Line::Comment(comment.to_owned()));
            continue;
        }
        let Some((key, value)) = line.split_once('=') else {
            return Err(format!("line {}: expected KEY=VALUE", n + 1));
        };
        let value = unescaped(value);
        if let Some(key) = key.strip_prefix(FLAT) {
            out.metadata.insert(key.to_owned(), value);
            continue;
        }
        out.lines.push(Line::Value(key.to_owned()));
        out.leaves.push(Leaf {
            path: vec![key.into()],
            scalar: Scalar::Text(value),
        });
    }
    Ok(out)
}

/// A line's value, with the line ends that stand in it as `\n`.
pub(crate) fn unescaped(value: &str) -> String {
    value.replace("\\n", "\n")
}

/// A value in the clear, as a line of the decrypted file has it.
pub(crate) fn line_of(clear: &Clear) -> Result<Zeroizing<Vec<u8>>, &'static str> {
    const NOT_ITS_TYPE: &str = "is not what its type says";
    let text = match clear.kind {
        Kind::Int => clear.int().ok_or(NOT_ITS_TYPE)?.to_string(),
        Kind::Bool => clear.bool().ok_or(NOT_ITS_TYPE)?.to_string(),
        Kind::Float => number::plain(clear.float().ok_or(NOT_ITS_TYPE)?),
        Kind::Text | Kind::Time | Kind::Comment => return Ok(escaped(clear.bytes())),
    };
    Ok(Zeroizing::new(text.into_bytes()))
}

fn escaped(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(bytes.len()));
    for byte in bytes {
        match byte {
            b'\n' => out.extend_from_slice(b"\\n"),
            byte => out.push(*byte),
        }
    }
    out
}

/// The file with its values opened, as `sops --decrypt` prints it. `comments` are those that are opened, by line.
pub(super) fn write(
    lines: &[Line],
    leaves: &[Leaf],
    clear: &[Option<Clear>],
    comments: &BTreeMap<usize, Clear>,
) -> Result<Zeroizing<Vec<u8>>, &'static str> {
    let mut out = Zeroizing::new(Vec::new());
    let mut values = leaves.iter().zip(clear);
    for (n, line) in lines.iter().enumerate() {
        match line {
            Line::Comment(comment) => {
                out.push(b'#');
                match comments.get(&n) {
                    Some(clear) => out.extend_from_slice(clear.bytes()),
                    None => out.extend_from_slice(comment.as_bytes()),
                }
            }
            Line::Value(key) => {
                out.extend_from_slice(key.as_bytes());
                out.push(b'=');
                match values.next() {
                    Some((_, Some(clear))) => out.extend_from_slice(&line_of(clear)?),
                    Some((leaf, None)) => {
                        let text = leaf.scalar.text().unwrap_or_default();
                        out.extend_from_slice(&escaped(text.as_bytes()));
                    }
                    None => {}
                }
            }
        }
        out.push(b'\n');
    }
    Ok(out)
}

/// The place that comments of such a file are encrypted at: its top.
pub(super) fn comments_place() -> String {
    tree::place::<&str>(&[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_comes_back_as_it_was_without_its_metadata() {
        let text = "# a note\n\nA=1\nB=two\\nlines\nC=a=b\nsops_mac=x\nD=\nsops_version=3\n";
        let read = read(text, SecretLimits::HOST).unwrap();
        assert_eq!(read.metadata.len(), 2);
        assert_eq!(read.metadata["mac"], "x");
        assert_eq!(read.leaves[1].scalar, Scalar::Text("two\nlines".to_owned()));
        let clear = vec![None; read.leaves.len()];
        let written = write(&read.lines, &read.leaves, &clear, &BTreeMap::new()).unwrap();
        let written = std::str::from_utf8(&written).unwrap();
        assert_eq!(written, "# a note\nA=1\nB=two\\nlines\nC=a=b\nD=\n");
    }

    #[test]
    fn a_line_without_a_value_is_named() {
        let error = read("A=1\nhunter2\n", SecretLimits::HOST).err().unwrap();
        assert_eq!(error, "line 2: expected KEY=VALUE");
    }
}
