//! A pack as it streams past: what it says of itself has to be so, and what it would unfold to is held to limits before anything is unfolded.
//!
//! gix bounds one allocation. It does not bound how many bases of deltas it keeps at once, how deep deltas lie on each
//! other, or how much all of them are together; each of these is a bomb that a pack of some kilobytes can be.

use std::collections::HashMap;

use flate2::{Decompress, FlushDecompress, Status};

mod limits;

pub use limits::PackLimits;

/// Why an answer is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It is not what Git's protocol or the format of packs says.
    Malformed(String),
    /// It is more than a limit, which is named with its value.
    Limit(String),
    /// The server says why it gives none.
    Said(String),
}

/// Whether an object of this id is here already.
pub(crate) type Known = Box<dyn Fn(&[u8; ID]) -> bool>;

const ID: usize = 20;
const HEADER: usize = 12;
/// The first bytes of a delta have both of its sizes, of ten bytes at most each.
const SIZES: usize = 20;
/// An object that is no delta.
const NO_BASE: u32 = u32::MAX;

/// An object of the pack.
struct Entry {
    offset: u64,
    /// Bytes of the whole object.
    size: u64,
    /// Where its base is in the list.
    base: u32,
    depth: u32,
    /// How many deltas are on it, at most two.
    on_it: u8,
}

/// Checks one pack.
pub(crate) struct Pack {
    limits: PackLimits,
    object_bytes: u64,
    known: Option<Known>,
    /// Bytes so far.
    at: u64,
    state: State,
    left: u32,
    entries: Vec<Entry>,
    /// Bases that are named by their id: how large they are, and whether several deltas name one.
    bases: HashMap<[u8; ID], (u64, bool)>,
    inner_refs: u32,
    resolved: u64,
    inflate: Decompress,
    out: Box<[u8]>,
}

enum State {
    Header {
        bytes: [u8; HEADER],
        have: usize,
    },
    Kind,
    Size {
        head: Head,
        shift: u32,
    },
    Distance {
        head: Head,
        value: Option<u64>,
    },
    Base {
        head: Head,
        id: [u8; ID],
        have: usize,
    },
    Data {
        head: Head,
        data: Data,
    },
    Trailer {
        left: usize,
    },
    Done,
}

/// What stands before the bytes of an object.
#[derive(Clone, Copy)]
struct Head {
    offset: u64,
    kind: u8,
    size: u64,
    base: Base,
}

#[derive(Clone, Copy)]
enum Base {
    None,
    At(u32),
    Id([u8; ID]),
}

/// What has come out of an object's compressed bytes.
struct Data {
    length: u64,
    start: [u8; SIZES],
    have: usize,
}

impl Pack {
    pub(crate) fn new(limits: PackLimits, object_bytes: u64, known: Option<Known>) -> Pack {
        Pack {
            limits,
            object_bytes,
            known,
            at: 0,
            state: State::Header {
                bytes: [0; HEADER],
                have: 0,
            },
            left: 0,
            entries: Vec::new(),
            bases: HashMap::new(),
            inner_refs: 0,
            resolved: 0,
            inflate: Decompress::new(true),
            out: vec![0; 32 << 10].into_boxed_slice(),
        }
    }

    /// The next bytes of the pack.
    ///
    /// # Errors
    /// The pack is malformed, or passes a limit.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) -> Result<(), Refusal> {
        while let Some(first) = bytes.first().copied() {
            let taken = match std::mem::replace(&mut self.state, State::Done) {
                State::Header {
                    bytes: mut header,
                    have,
                } => {
                    let taken = (HEADER - have).min(bytes.len());
                    header[have..have + taken].copy_from_slice(&bytes[..taken]);
                    self.state = self.header(header, have + taken)?;
                    taken
                }
                State::Kind => {
                    self.state = self.kind(first)?;
                    1
                }
                State::Size { mut head, shift } => {
                    if shift > 57 {
                        return Err(malformed("an object's size has more than 64 bits"));
                    }
                    head.size |= u64::from(first & 0x7f) << shift;
                    self.state = if first & 0x80 == 0 {
                        self.after_size(head)?
                    } else {
                        State::Size {
                            head,
                            shift: shift + 7,
                        }
                    };
                    1
                }
                State::Distance { head, value } => {
                    self.state = self.distance(head, value, first)?;
                    1
                }
                State::Base { head, mut id, have } => {
                    let taken = (ID - have).min(bytes.len());
                    id[have..have + taken].copy_from_slice(&bytes[..taken]);
                    self.state = if have + taken == ID {
                        let base = Base::Id(id);
                        self.begin_data(Head { base, ..head })
                    } else {
                        State::Base {
                            head,
                            id,
                            have: have + taken,
                        }
                    };
                    taken
                }
                State::Data { head, mut data } => {
                    let (taken, is_whole) = self.unpack(&head, &mut data, bytes)?;
                    self.state = if is_whole {
                        self.object(head, &data)?
                    } else {
                        State::Data { head, data }
                    };
                    taken
                }
                State::Trailer { left } => {
                    let taken = left.min(bytes.len());
                    if taken < left {
                        self.state = State::Trailer { left: left - taken };
                    }
                    taken
                }
                State::Done => return Err(malformed("more bytes come after the pack's end")),
            };
            self.at += taken as u64;
            bytes = &bytes[taken..];
        }
        Ok(())
    }

    fn header(&mut self, header: [u8; HEADER], have: usize) -> Result<State, Refusal> {
        if have < HEADER {
            return Ok(State::Header {
                bytes: header,
                have,
            });
        }
        let word = |at: usize| {
            u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
        };
        if !header.starts_with(b"PACK") || !matches!(word(4), 2 | 3) {
            return Err(malformed("it is no pack of version 2 or 3"));
        }
        self.left = word(8);
        if self.left > self.limits.objects {
            return Err(Refusal::Limit(format!(
                "objects of {} objects in one pack (this one has {})",
                self.limits.objects, self.left
            )));
        }
        Ok(self.next_object())
    }

    fn next_object(&self) -> State {
        if self.left == 0 {
            State::Trailer { left: ID }
        } else {
            State::Kind
        }
    }

    /// The first byte of an object: its kind, and the lowest bits of its size.
    fn kind(&mut self, byte: u8) -> Result<State, Refusal> {
        let head = Head {
            offset: self.at,
            kind: (byte >> 4) & 7,
            size: u64::from(byte & 15),
            base: Base::None,
        };
        if matches!(head.kind, 0 | 5) {
            return Err(malformed(&format!(
                "an object is of kind {}, which there is none of",
                head.kind
            )));
        }
        if byte & 0x80 == 0 {
            self.after_size(head)
        } else {
            Ok(State::Size { head, shift: 4 })
        }
    }

    fn after_size(&mut self, head: Head) -> Result<State, Refusal> {
        self.fits(head.size)?;
        Ok(match head.kind {
            6 => State::Distance { head, value: None },
            7 => State::Base {
                head,
                id: [0; ID],
                have: 0,
            },
            _ => self.begin_data(head),
        })
    }

    fn fits(&self, size: u64) -> Result<(), Refusal> {
        if size > self.object_bytes {
            return Err(Refusal::Limit(format!(
                "object_bytes of {} bytes for one object (one has {size})",
                self.object_bytes
            )));
        }
        Ok(())
    }

    /// How far before a delta its base begins.
    fn distance(&mut self, head: Head, value: Option<u64>, byte: u8) -> Result<State, Refusal> {
        let low = u64::from(byte & 0x7f);
        let far = || malformed("a delta's base lies before the pack's start");
        let value = match value {
            None => low,
            Some(value) => {
                value
                    .checked_add(1)
                    .filter(|value| value.leading_zeros() > 7)
                    .ok_or_else(far)?
                    << 7
                    | low
            }
        };
        if byte & 0x80 != 0 {
            return Ok(State::Distance {
                head,
                value: Some(value),
            });
        }
        let offset = head.offset.checked_sub(value).ok_or_else(far)?;
        let base = self
            .entries
            .binary_search_by_key(&offset, |entry| entry.offset)
            .ok()
            .and_then(|at| u32::try_from(at).ok())
            .ok_or_else(|| malformed("a delta's base is no object of the pack before it"))?;
        let base = Base::At(base);
        Ok(self.begin_data(Head { base, ..head }))
    }

    fn begin_data(&mut self, head: Head) -> State {
        self.inflate.reset(true);
        State::Data {
            head,
            data: Data {
                length: 0,
                start: [0; SIZES],
                have: 0,
            },
        }
    }

    /// Unpacks some of an object's bytes and drops them. How many were taken, and whether the object is whole.
    fn unpack(
        &mut self,
        head: &Head,
        data: &mut Data,
        bytes: &[u8],
    ) -> Result<(usize, bool), Refusal> {
        let before = self.inflate.total_in();
        loop {
            let (was_in, was_out) = (self.inflate.total_in(), self.inflate.total_out());
            let used = usize::try_from(was_in - before).unwrap_or(bytes.len());
            let rest = bytes.get(used..).unwrap_or_default();
            let status = self
                .inflate
                .decompress(rest, &mut self.out, FlushDecompress::None)
                .map_err(|_| malformed("an object's compressed bytes cannot be read"))?;
            let came = usize::try_from(self.inflate.total_out() - was_out).unwrap_or(0);
            let taken = (SIZES - data.have).min(came);
            data.start[data.have..data.have + taken].copy_from_slice(&self.out[..taken]);
            data.have += taken;
            data.length += came as u64;
            let is_whole = status == Status::StreamEnd;
            if data.length > head.size || (is_whole && data.length < head.size) {
                return Err(malformed("an object has another size than it says"));
            }
            let used = usize::try_from(self.inflate.total_in() - before).unwrap_or(bytes.len());
            if is_whole {
                return Ok((used, true));
            }
            let is_stuck = came == 0 && self.inflate.total_in() == was_in;
            if is_stuck || (used == bytes.len() && came < self.out.len()) {
                if used < bytes.len() {
                    return Err(malformed("an object's compressed bytes cannot be read"));
                }
                return Ok((used, false));
            }
        }
    }

    /// An object is whole.
    fn object(&mut self, head: Head, data: &Data) -> Result<State, Refusal> {
        let mut entry = Entry {
            offset: head.offset,
            size: head.size,
            base: NO_BASE,
            depth: 0,
            on_it: 0,
        };
        if !matches!(head.base, Base::None) {
            let sizes = &data.start[..data.have];
            let (base_size, rest) = size(sizes).ok_or_else(short)?;
            let (whole, _) = size(rest).ok_or_else(short)?;
            self.fits(base_size)?;
            self.fits(whole)?;
            entry.size = whole;
            self.on_base(&head, base_size, &mut entry)?;
        }
        self.resolved = self.resolved.saturating_add(entry.size);
        if self.resolved > self.limits.resolved_bytes {
            return Err(Refusal::Limit(format!(
                "resolved_bytes of {} bytes of all objects of one pack",
                self.limits.resolved_bytes
            )));
        }
        self.entries.push(entry);
        self.left -= 1;
        if self.left == 0 {
            self.kept_at_once()?;
        }
        Ok(self.next_object())
    }

    fn on_base(&mut self, head: &Head, base_size: u64, entry: &mut Entry) -> Result<(), Refusal> {
        match head.base {
            Base::None => {}
            Base::At(at) => {
                let base = &mut self.entries[at as usize];
                if base.size != base_size {
                    return Err(malformed("a delta is of a base of another size"));
                }
                base.on_it = (base.on_it + 1).min(2);
                entry.base = at;
                entry.depth = base.depth + 1;
            }
            Base::Id(id) => {
                let is_here = self.known.as_ref().is_some_and(|known| known(&id));
                if !is_here {
                    self.inner_refs += 1;
                }
                entry.depth = 1;
                self.bases
                    .entry(id)
                    .and_modify(|(_, several)| *several = true)
                    .or_insert((base_size, false));
            }
        }
        if entry.depth > self.limits.delta_depth {
            return Err(Refusal::Limit(format!(
                "delta_depth of {} deltas on each other",
                self.limits.delta_depth
            )));
        }
        if self.inner_refs > self.limits.delta_refs {
            return Err(Refusal::Limit(format!(
                "delta_refs of {} deltas that name an object of their pack by its id",
                self.limits.delta_refs
            )));
        }
        Ok(())
    }

    /// While a delta is applied, each object under it is kept that another delta waits for, too. What can be told only
    /// once they are applied is counted as if all of it were kept.
    fn kept_at_once(&mut self) -> Result<(), Refusal> {
        let by_id: u64 = self
            .bases
            .values()
            .filter(|(_, several)| *several)
            .fold(0, |sum, (size, _)| sum.saturating_add(*size));
        let mut kept: Vec<u64> = Vec::with_capacity(self.entries.len());
        let mut most = 0;
        for entry in &self.entries {
            let under = match self.entries.get(entry.base as usize) {
                Some(base) if entry.base != NO_BASE => {
                    let own = if base.on_it > 1 { base.size } else { 0 };
                    kept[entry.base as usize].saturating_add(own)
                }
                _ => 0,
            };
            most = most.max(under);
            kept.push(under);
        }
        if by_id.saturating_add(most) > self.limits.delta_bytes {
            return Err(Refusal::Limit(format!(
                "delta_bytes of {} bytes of objects that are kept at once to apply deltas",
                self.limits.delta_bytes
            )));
        }
        Ok(())
    }
}

/// A size at the start of a delta, and what comes after it.
fn size(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0u64;
    for (at, byte) in bytes.iter().enumerate() {
        let shift = 7 * u32::try_from(at).ok()?;
        if shift > 57 {
            return None;
        }
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((value, &bytes[at + 1..]));
        }
    }
    None
}

fn short() -> Refusal {
    malformed("a delta does not begin with its two sizes")
}

fn malformed(why: &str) -> Refusal {
    Refusal::Malformed(format!("the pack that it sent is malformed: {why}"))
}
