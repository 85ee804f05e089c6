//! Which characters may stand in a stream, and which end a line for some readers only.

use std::iter::Peekable;
use std::vec::IntoIter;

use granit_parser::{Event, ScalarStyle, Span};

use super::{Mark, YamlError};

/// The stream as text without its byte order mark; refuses what YAML calls unprintable.
pub(super) fn characters(bytes: &[u8]) -> Result<&str, YamlError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let at = error.valid_up_to();
            let message = format!(
                "the byte 0x{:02x} is not UTF-8: save the file as UTF-8",
                bytes[at]
            );
            return Err(YamlError {
                mark: mark_at(bytes, at),
                message,
            });
        }
    };
    // All but plain ASCII and other harmless lead bytes goes through the slow check.
    let suspicious =
        |byte: &u8| matches!(byte, 0..=8 | 0x0b | 0x0c | 0x0e..=0x1f | 0x7f | 0xc2 | 0xef);
    if !bytes.iter().any(suspicious) {
        return Ok(text);
    }
    let unprintable = |c: &(usize, char)| match c.1 {
        '\t' | '\n' | '\r' | '\u{85}' => false,
        c => c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}'),
    };
    match text.char_indices().find(unprintable) {
        None => Ok(text),
        Some((at, found)) => {
            let message = format!(
                "the character U+{:04X} cannot stand in YAML: write it as an escape in double quotes",
                u32::from(found)
            );
            Err(YamlError {
                mark: mark_at(bytes, at),
                message,
            })
        }
    }
}

fn mark_at(bytes: &[u8], at: usize) -> Mark {
    let before = &bytes[..at];
    let line_start = before
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |newline| newline + 1);
    let lines = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let columns = String::from_utf8_lossy(&before[line_start..])
        .chars()
        .count()
        + 1;
    Mark {
        line: u32::try_from(lines).unwrap_or(u32::MAX),
        column: u32::try_from(columns).unwrap_or(u32::MAX),
    }
}

/// The characters that end a line in YAML 1.1 but not in YAML 1.2, by their byte offsets. Scalars come in the order of the
/// text, so each is looked at once.
pub(super) struct OddBreaks {
    left: Peekable<IntoIter<usize>>,
    refused: Option<usize>,
}

impl OddBreaks {
    pub(super) fn of(text: &str) -> OddBreaks {
        let may_be = |byte: &u8| matches!(byte, 0xc2 | 0xe2);
        let places: Vec<usize> = if text.as_bytes().iter().any(may_be) {
            text.match_indices(['\u{85}', '\u{2028}', '\u{2029}'])
                .map(|(at, _)| at)
                .collect()
        } else {
            Vec::new()
        };
        OddBreaks {
            left: places.into_iter().peekable(),
            refused: None,
        }
    }

    /// In double quotes both readings keep U+2028 and U+2029.
    pub(super) fn event(&mut self, event: &Event<'_>, span: &Span) {
        if let (Event::Scalar(text, ScalarStyle::DoubleQuoted, ..), Some(range)) =
            (event, span.byte_range())
            && !text.contains('\u{85}')
        {
            while let Some(at) = self.left.next_if(|at| *at < range.end) {
                if at < range.start {
                    self.refused.get_or_insert(at);
                }
            }
        }
    }

    /// The first that stands where the readings differ.
    pub(super) fn refused(mut self) -> Option<usize> {
        self.refused.or_else(|| self.left.next())
    }
}

pub(super) fn odd_break(text: &str, at: usize) -> YamlError {
    let found = text[at..].chars().next().map_or(0, u32::from);
    let message = format!(
        "the character U+{found:04X} ends a line for some YAML readers and not for others: write \"\\u{found:04x}\" in double quotes"
    );
    YamlError {
        mark: mark_at(text.as_bytes(), at),
        message,
    }
}
