//! What a server may say in one fetch, checked as it streams past and before gix sees it: lines, sidebands, and the pack in them.

use std::cell::RefCell;
use std::rc::Rc;

use super::pack::{Known, Pack, PackLimits, Refusal};
use crate::error::printable;

/// What an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Capabilities and refs.
    Refs,
    /// Acknowledgements, messages, and a pack in sideband 1.
    Pack,
}

impl Answer {
    /// What a request of ours is answered with.
    pub(crate) fn to(request: &[u8]) -> Answer {
        let asks_for_refs = request
            .windows(LS_REFS.len())
            .take(64)
            .any(|part| part == LS_REFS);
        if asks_for_refs {
            Answer::Refs
        } else {
            Answer::Pack
        }
    }
}

const LS_REFS: &[u8] = b"command=ls-refs";
/// The line after which a server of protocol 2 sends the pack.
const PACKFILE: &[u8] = b"packfile";
const SIGNATURE: &[u8] = b"PACK";
/// As many bytes of a line's start are looked at.
const START: usize = 10;

/// How much the answers of one fetch may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Most {
    /// Bytes of all but packs.
    pub(crate) talk_bytes: u64,
    /// Bytes of one object.
    pub(crate) object_bytes: u64,
    /// What a pack may hold.
    pub(crate) pack: PackLimits,
}

/// Checks one answer.
pub(crate) struct Guard {
    answer: Answer,
    /// Bytes that all answers of the fetch together may have besides packs.
    talk: Rc<RefCell<u64>>,
    at: At,
    /// The pack, once it has begun.
    pack: Option<Pack>,
    limits: Most,
    known: Option<Known>,
    /// What it says in sideband 3.
    said: Vec<u8>,
}

enum At {
    /// In the four digits of a line's length.
    Length { digits: [u8; 4], have: usize },
    /// In a line.
    Line(Line),
    /// All that comes is a pack, without lines.
    Raw,
}

struct Line {
    left: usize,
    /// What it begins with.
    start: [u8; START],
    have: usize,
    /// It has been said what it is: its other bytes are of the pack, or are not.
    of_the_pack: Option<bool>,
}

const NEXT: At = At::Length {
    digits: [0; 4],
    have: 0,
};

impl Guard {
    /// For one answer; `known` says which objects are here already, that a pack may build on.
    pub(crate) fn new(
        answer: Answer,
        talk: Rc<RefCell<u64>>,
        limits: Most,
        known: Option<Known>,
    ) -> Guard {
        Guard {
            answer,
            talk,
            at: NEXT,
            pack: None,
            limits,
            known,
            said: Vec::new(),
        }
    }

    /// The next bytes of the answer.
    ///
    /// # Errors
    /// They are more than one answer may have, or are not what Git's protocol says.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) -> Result<(), Refusal> {
        if self.answer == Answer::Refs {
            return self.talk(bytes.len());
        }
        while let Some(first) = bytes.first() {
            match &mut self.at {
                At::Raw => return self.pack().feed(bytes),
                At::Length { digits, have } => {
                    digits[*have] = *first;
                    *have += 1;
                    bytes = &bytes[1..];
                    if *have == digits.len() {
                        let digits = *digits;
                        self.begin_line(&digits)?;
                    }
                }
                At::Line(line) => {
                    let (part, rest) = bytes.split_at(line.left.min(bytes.len()));
                    bytes = rest;
                    self.line(part)?;
                }
            }
        }
        Ok(())
    }

    fn begin_line(&mut self, digits: &[u8; 4]) -> Result<(), Refusal> {
        self.talk(digits.len())?;
        if digits == SIGNATURE && self.pack.is_none() {
            // A server that knows no sidebands.
            self.at = At::Raw;
            return self.pack().feed(SIGNATURE);
        }
        let length = std::str::from_utf8(digits)
            .ok()
            .filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|text| usize::from_str_radix(text, 16).ok());
        self.at = match length {
            Some(0..=2) => NEXT,
            Some(4) if self.pack.is_none() => NEXT,
            Some(length @ 5..=65520) => At::Line(Line {
                left: length - 4,
                start: [0; START],
                have: 0,
                of_the_pack: self.pack.is_some().then_some(true),
            }),
            _ => {
                let digits = digits.escape_ascii();
                return Err(Refusal::Malformed(format!(
                    "a line of its answer begins with \"{digits}\", where its length was expected"
                )));
            }
        };
        Ok(())
    }

    /// A part of one line.
    fn line(&mut self, part: &[u8]) -> Result<(), Refusal> {
        let At::Line(line) = &mut self.at else {
            return Ok(());
        };
        line.left -= part.len();
        let is_whole = line.left == 0;
        let taken = (START - line.have).min(part.len());
        let fresh = line.have == 0;
        line.start[line.have..line.have + taken].copy_from_slice(&part[..taken]);
        line.have += taken;
        let start = line.start;
        let start = &start[..line.have];
        if self.pack.is_some() && line.of_the_pack == Some(true) {
            let band = start[0];
            self.in_sideband(band, if fresh { &part[1..] } else { part })?;
            if is_whole {
                self.at = NEXT;
            }
            if is_whole && band == 3 {
                let text = String::from_utf8_lossy(&self.said);
                return Err(Refusal::Said(printable(text.trim())));
            }
            return Ok(());
        }
        // Before the pack: what the line is shows in its first bytes.
        self.talk(part.len())?;
        let At::Line(line) = &mut self.at else {
            return Ok(());
        };
        let decided = line.have == START || is_whole;
        if !decided {
            return Ok(());
        }
        let first = line.of_the_pack.is_none();
        line.of_the_pack = Some(false);
        if first && let Some(begins) = begins_pack(start) {
            let mut pack = Pack::new(
                self.limits.pack,
                self.limits.object_bytes,
                self.known.take(),
            );
            if let Begins::Within = begins {
                pack.feed(&start[1..])?;
                pack.feed(&part[taken..])?;
                if let At::Line(line) = &mut self.at {
                    line.of_the_pack = Some(true);
                }
            }
            self.pack = Some(pack);
        }
        if is_whole {
            self.at = NEXT;
        }
        Ok(())
    }

    /// A part of a line after the pack has begun: `band` is its first byte.
    fn in_sideband(&mut self, band: u8, part: &[u8]) -> Result<(), Refusal> {
        match band {
            1 => self.pack().feed(part),
            2 => self.talk(part.len()),
            3 => {
                // Of one line, which is no longer than 64 KiB.
                self.said.extend(part);
                self.talk(part.len())
            }
            other => Err(Refusal::Malformed(format!(
                "it sent sideband {other}, where 1, 2 or 3 was expected"
            ))),
        }
    }

    fn pack(&mut self) -> &mut Pack {
        let (limits, known) = (self.limits, &mut self.known);
        self.pack
            .get_or_insert_with(|| Pack::new(limits.pack, limits.object_bytes, known.take()))
    }

    fn talk(&self, bytes: usize) -> Result<(), Refusal> {
        let mut left = self.talk.borrow_mut();
        *left = left.checked_sub(bytes as u64).ok_or_else(|| {
            Refusal::Limit(format!(
                "talk_bytes of {} bytes of refs and messages in one fetch",
                self.limits.talk_bytes
            ))
        })?;
        Ok(())
    }
}

enum Begins {
    /// With the next line.
    Next,
    /// With this one.
    Within,
}

/// Whether a line begins the pack, or has its first bytes in sideband 1. gix takes no other line for a pack's start.
fn begins_pack(start: &[u8]) -> Option<Begins> {
    let text = start.strip_prefix(b"\x01").unwrap_or(start);
    let is_packfile =
        text.starts_with(PACKFILE) && text.get(PACKFILE.len()).is_none_or(|b| *b == b'\n');
    let is_data = start.first() == Some(&1)
        && !text.is_empty()
        && text
            .iter()
            .zip(SIGNATURE)
            .all(|(found, expected)| found == expected);
    match (is_packfile, is_data) {
        (true, _) => Some(Begins::Next),
        (false, true) => Some(Begins::Within),
        (false, false) => None,
    }
}
