//! Packs as no git writes them, and the answers of a server that sends them.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use flate2::Compression;
use flate2::write::ZlibEncoder;

use crate::server::Impostor;

/// The kind of a blob.
pub const BLOB: u8 = 3;
const OFS: u8 = 6;

/// A pack that is written as a test says.
#[derive(Debug, Clone)]
pub struct Pack {
    bytes: Vec<u8>,
    count: u32,
}

impl Default for Pack {
    fn default() -> Pack {
        let bytes = [&b"PACK"[..], &2u32.to_be_bytes(), &0u32.to_be_bytes()].concat();
        Pack { bytes, count: 0 }
    }
}

impl Pack {
    /// The head of an object that says that it has this size, and compressed bytes.
    ///
    /// # Errors
    /// None: they are compressed in memory.
    pub fn object(&mut self, kind: u8, size: u64, data: &[u8]) -> Result<u64> {
        let at = self.head(kind, size);
        self.bytes.extend(zlib(data)?);
        Ok(at)
    }

    /// A delta of what begins at `base`, which makes `size` bytes of its `of` by copying.
    ///
    /// # Errors
    /// As [`Pack::object`].
    pub fn delta(&mut self, base: u64, of: u64, size: u64) -> Result<u64> {
        let mut data = [varint(of), varint(size)].concat();
        let mut left = size;
        while left > 0 {
            let part = left.min(of).min(0xff_ffff);
            let [a, b, c, ..] = part.to_le_bytes();
            data.extend([0xf0, a, b, c]);
            left -= part;
        }
        let at = self.head(OFS, data.len() as u64);
        let distance = at - base;
        let mut digits = vec![low_bits(distance)];
        let mut rest = distance >> 7;
        while rest > 0 {
            rest -= 1;
            digits.push(0x80 | low_bits(rest));
            rest >>= 7;
        }
        self.bytes.extend(digits.iter().rev());
        self.bytes.extend(zlib(&data)?);
        Ok(at)
    }

    /// All of it, with this many objects in its head, and with its hash.
    ///
    /// # Errors
    /// No `sha1sum`.
    pub fn counted(mut self, count: u32) -> Result<Vec<u8>> {
        self.bytes[8..12].copy_from_slice(&count.to_be_bytes());
        let hash = sha1(&self.bytes)?;
        self.bytes.extend(hash);
        Ok(self.bytes)
    }

    /// The same, and it is true.
    ///
    /// # Errors
    /// As [`Pack::counted`].
    pub fn done(self) -> Result<Vec<u8>> {
        let count = self.count;
        self.counted(count)
    }

    fn head(&mut self, kind: u8, size: u64) -> u64 {
        let at = self.bytes.len() as u64;
        self.count += 1;
        let mut byte = kind << 4 | u8::try_from(size & 15).unwrap_or_default();
        let mut rest = size >> 4;
        while rest > 0 {
            self.bytes.push(byte | 0x80);
            byte = low_bits(rest);
            rest >>= 7;
        }
        self.bytes.push(byte);
        at
    }
}

/// One line of Git's protocol.
#[must_use]
pub fn line(payload: &[u8]) -> Vec<u8> {
    let mut line = format!("{:04x}", payload.len() + 4).into_bytes();
    line.extend(payload);
    line
}

/// One line in a sideband.
#[must_use]
pub fn band(band: u8, payload: &[u8]) -> Vec<u8> {
    line(&[&[band], payload].concat())
}

/// A server that answers each request for a pack with these lines, and then with that without end.
#[must_use]
pub fn impostor(lines: &[Vec<u8>], again: Vec<u8>) -> Impostor {
    Impostor {
        to: "command=fetch",
        body: Arc::new([line(b"packfile\n"), lines.concat()].concat()),
        again: Arc::new(again),
    }
}

/// A server that answers each request for a pack with this one.
#[must_use]
pub fn sends(pack: &[u8]) -> Impostor {
    let mut lines: Vec<Vec<u8>> = pack.chunks(60_000).map(|part| band(1, part)).collect();
    lines.push(b"0000".to_vec());
    impostor(&lines, Vec::new())
}

fn low_bits(value: u64) -> u8 {
    u8::try_from(value & 0x7f).unwrap_or_default()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 0x7f {
        bytes.push(low_bits(value) | 0x80);
        value >>= 7;
    }
    bytes.push(low_bits(value));
    bytes
}

fn zlib(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the rig has no SHA-1 of its own, every machine has coreutils"
)]
fn sha1(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut child = Command::new("sha1sum")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting sha1sum (coreutils)")?;
    let mut input = child.stdin.take().context("stdin is piped")?;
    input.write_all(bytes)?;
    drop(input);
    let output = child.wait_with_output()?;
    let text = String::from_utf8(output.stdout)?;
    hex::decode(text.get(..40).context("40 digits")?).context("sha1sum's answer")
}
