//! Packs as no git writes them, object by object, and the lines of the protocol around them.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use weir_core::digest::ObjectId;

use crate::object;

pub(super) const COMMIT: u8 = 1;
pub(super) const TREE: u8 = 2;
pub(super) const BLOB: u8 = 3;
pub(super) const OFS: u8 = 6;
const REF: u8 = 7;

/// A pack that is written as a test says.
pub(super) struct Pack {
    pub(super) bytes: Vec<u8>,
    count: u32,
}

pub(super) fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A delta that makes `size` bytes of a base of `base` bytes by copying from its start again and again.
pub(super) fn delta(base: u64, size: u64) -> Vec<u8> {
    let mut bytes = [sizes(base), sizes(size)].concat();
    let mut left = size;
    while left > 0 {
        let part = left.min(base).min(0xff_ffff);
        let [a, b, c, ..] = part.to_le_bytes();
        bytes.extend([0x80 | 0x70, a, b, c]);
        left -= part;
    }
    bytes
}

pub(super) fn sizes(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(value & 0x7f).unwrap();
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

impl Pack {
    pub(super) fn new() -> Pack {
        let mut bytes = b"PACK".to_vec();
        bytes.extend(2u32.to_be_bytes());
        bytes.extend(0u32.to_be_bytes());
        Pack { bytes, count: 0 }
    }

    /// The head of an object of this kind, which says that it has this size.
    pub(super) fn head(&mut self, kind: u8, size: u64) -> u64 {
        let at = self.bytes.len() as u64;
        self.count += 1;
        let mut rest = size >> 4;
        let mut byte = kind << 4 | u8::try_from(size & 15).unwrap();
        while rest > 0 {
            self.bytes.push(byte | 0x80);
            byte = u8::try_from(rest & 0x7f).unwrap();
            rest >>= 7;
        }
        self.bytes.push(byte);
        at
    }

    pub(super) fn object(&mut self, kind: u8, data: &[u8]) -> u64 {
        let at = self.head(kind, data.len() as u64);
        self.bytes.extend(zlib(data));
        at
    }

    /// A delta whose base lies so many bytes before it.
    pub(super) fn ofs(&mut self, distance: u64, data: &[u8]) -> u64 {
        let at = self.head(OFS, data.len() as u64);
        let mut digits = vec![u8::try_from(distance & 0x7f).unwrap()];
        let mut rest = distance >> 7;
        while rest > 0 {
            rest -= 1;
            digits.push(0x80 | u8::try_from(rest & 0x7f).unwrap());
            rest >>= 7;
        }
        self.bytes.extend(digits.iter().rev());
        self.bytes.extend(zlib(data));
        at
    }

    pub(super) fn on(&mut self, base: u64, data: &[u8]) -> u64 {
        let at = self.bytes.len() as u64;
        self.ofs(at - base, data)
    }

    pub(super) fn by_id(&mut self, id: ObjectId, data: &[u8]) -> u64 {
        let at = self.head(REF, data.len() as u64);
        self.bytes.extend(id.as_bytes());
        self.bytes.extend(zlib(data));
        at
    }

    /// With its count and its hash.
    pub(super) fn done(self) -> Vec<u8> {
        let count = self.count;
        self.counted(count)
    }

    pub(super) fn counted(mut self, count: u32) -> Vec<u8> {
        self.bytes[8..12].copy_from_slice(&count.to_be_bytes());
        let hash = object::hash(&[&self.bytes]).unwrap();
        self.bytes.extend(hash.as_bytes());
        self.bytes
    }
}

/// Lines of Git's protocol.
pub(super) fn line(payload: &[u8]) -> Vec<u8> {
    let mut line = format!("{:04x}", payload.len() + 4).into_bytes();
    line.extend(payload);
    line
}

pub(super) fn band(band: u8, payload: &[u8]) -> Vec<u8> {
    line(&[&[band], payload].concat())
}

/// What a server of protocol 2 answers with: the pack in sideband 1.
pub(super) fn answer(pack: &[u8]) -> Vec<u8> {
    let mut body = line(b"packfile\n");
    for part in pack.chunks(60_000) {
        body.extend(band(1, part));
    }
    body.extend(b"0000");
    body
}
