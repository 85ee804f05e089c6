//! Tabs where YAML 1.2 takes a blank and the reader of Kubernetes takes none.
//!
//! Only two kinds of tabs matter: the first one among a line's leading blanks, and the first one behind an
//! indicator. The time is linear in the stream: what is found for a scalar or a line is kept for the next tab.

use std::ops::Range;

use granit_parser::ScalarStyle;

use super::{Mark, YamlError};

/// What is known of the stream, and of the scalar that was looked at last.
pub(super) struct Tabs<'t> {
    text: &'t str,
    /// All scalars that are not empty, in order.
    scalars: Vec<Seen>,
    /// Lists and maps in brackets that lie in no other, in order.
    brackets: Vec<Range<usize>>,
    /// The scalar that the next two are about.
    at: usize,
    /// Up to here only blanks follow it; `None` once something else does.
    blank_to: Option<usize>,
    /// Where the first line of its text with more than blanks starts, and its indent.
    block: Option<(usize, usize)>,
}

/// A scalar, where it lies and how far in its lines have to stand, from 0.
struct Seen {
    range: Range<usize>,
    style: ScalarStyle,
    indent: usize,
}

impl<'t> Tabs<'t> {
    pub(super) fn new(text: &'t str) -> Tabs<'t> {
        Tabs {
            text,
            scalars: Vec::new(),
            brackets: Vec::new(),
            at: usize::MAX,
            blank_to: None,
            block: None,
        }
    }

    pub(super) fn scalar(&mut self, range: Range<usize>, style: ScalarStyle, indent: usize) {
        self.scalars.push(Seen {
            range,
            style,
            indent,
        });
    }

    pub(super) fn brackets(&mut self, range: Range<usize>) {
        self.brackets.push(range);
    }

    /// The first tab that Kubernetes does not take.
    pub(super) fn check(mut self) -> Result<(), YamlError> {
        let text = self.text;
        let mut start = 0;
        for (n, line) in text.split_inclusive('\n').enumerate() {
            if let Some(at) = self.refused(start, line) {
                let limit = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
                let mark = Mark {
                    line: limit(n + 1),
                    column: limit(line[..at].chars().count() + 1),
                };
                let message =
                    "a tab stands where Kubernetes takes only blanks: replace it".to_owned();
                return Err(YamlError { mark, message });
            }
            start += line.len();
        }
        Ok(())
    }

    /// The byte of a line that holds a tab which is refused.
    fn refused(&mut self, start: usize, line: &str) -> Option<usize> {
        let bytes = line.as_bytes();
        let blanks = bytes.iter().take_while(|byte| **byte == b' ').count();
        if bytes.get(blanks) == Some(&b'\t') && !self.leading_is_fine(start, blanks) {
            return Some(blanks);
        }
        let comment = (1..bytes.len())
            .find(|at| bytes[*at] == b'#' && matches!(bytes[at - 1], b' ' | b'\t'))
            .unwrap_or(bytes.len());
        let comment = if bytes.first() == Some(&b'#') {
            0
        } else {
            comment
        };
        // The last byte that is no blank, while only blanks follow it.
        let mut shown: Option<usize> = None;
        for (at, byte) in bytes[..comment].iter().enumerate() {
            match byte {
                b'\t' => {
                    let indicator = shown.take().filter(|at| is_indicator(bytes, *at, blanks));
                    if indicator.is_some_and(|at| !self.is_inside(start + at)) {
                        return Some(at);
                    }
                }
                b' ' => {}
                _ => shown = Some(at),
            }
        }
        None
    }

    /// Whether the tab behind a line's leading blanks may stand there.
    fn leading_is_fine(&mut self, start: usize, blanks: usize) -> bool {
        let at = start + blanks;
        let Some(n) = self.scalar_before(at) else {
            return self.in_brackets(at);
        };
        if n != self.at {
            (self.at, self.blank_to) = (n, Some(self.scalars[n].range.end));
            self.block = None;
        }
        let Seen {
            range,
            style,
            indent,
        } = &self.scalars[n];
        let (indent, from) = (*indent, range.start);
        if range.contains(&at) {
            return match style {
                ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => true,
                ScalarStyle::Plain => blanks >= indent,
                ScalarStyle::Literal | ScalarStyle::Folded => {
                    let (first, least) = *self
                        .block
                        .get_or_insert_with(|| block_indent(self.text, from, indent));
                    first < start && blanks >= least
                }
            };
        }
        if self.in_brackets(at) {
            return true;
        }
        // The reader takes what follows plain text up to the next token or comment for a part of it.
        let plain = *style == ScalarStyle::Plain;
        self.blank_to = self
            .blank_to
            .filter(|to| self.text[*to..at].trim().is_empty())
            .map(|_| at);
        plain && self.blank_to.is_some() && blanks >= indent
    }

    fn is_inside(&self, at: usize) -> bool {
        let in_scalar = self
            .scalar_before(at)
            .is_some_and(|n| self.scalars[n].range.contains(&at));
        in_scalar || self.in_brackets(at)
    }

    /// The last scalar that starts at or before a byte.
    fn scalar_before(&self, at: usize) -> Option<usize> {
        self.scalars
            .partition_point(|seen| seen.range.start <= at)
            .checked_sub(1)
    }

    fn in_brackets(&self, at: usize) -> bool {
        let next = self.brackets.partition_point(|range| range.end <= at);
        self.brackets
            .get(next)
            .is_some_and(|range| range.contains(&at))
    }
}

/// `-` or `?` alone, or a `:` that starts its line.
fn is_indicator(line: &[u8], at: usize, blanks: usize) -> bool {
    match line[at] {
        b'-' | b'?' => at == 0 || matches!(line[at - 1], b' ' | b'\t'),
        b':' => at == blanks,
        _ => false,
    }
}

/// Where the first line with more than blanks of a literal or folded text starts, and how far its lines
/// stand in; for an indent that is given, 0 and the indent.
fn block_indent(text: &str, from: usize, indent: usize) -> (usize, usize) {
    // The event starts at the text, the header is the last line with anything on it before that.
    let first = text[..from].rfind('\n').unwrap_or(0);
    let above = text[..first].trim_end();
    let header = above.rsplit('\n').next().unwrap_or_default();
    let header = header.split(" #").next().unwrap_or_default();
    let indicators = header.rsplit(['|', '>']).next().unwrap_or_default();
    if let Some(digit) = indicators.bytes().find(u8::is_ascii_digit) {
        return (0, indent.saturating_sub(1) + usize::from(digit - b'0'));
    }
    let mut start = text[above.len()..]
        .find('\n')
        .map_or(text.len(), |end| above.len() + end + 1);
    for line in text[start..].split_inclusive('\n') {
        let indent = line.len() - line.trim_start_matches(' ').len();
        if !line[indent..].trim_end_matches(['\r', '\n']).is_empty() {
            return (start, indent);
        }
        start += line.len();
    }
    (usize::MAX, 0)
}
