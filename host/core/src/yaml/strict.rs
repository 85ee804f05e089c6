//! What YAML 1.2 allows and the reader of Kubernetes refuses, found in the source beside the events.
//!
//! The event parser follows YAML 1.2, `go.yaml.in/yaml/v2` follows libyaml's YAML 1.1. A text that `kubectl`
//! refuses must not sync, so these checks take away what only the former reads.

use std::ops::Range;

use granit_parser::{Event, ScalarStyle, Span, StructureStyle};
use serde::de::IgnoredAny;

use super::parse::mark;
use super::{Mark, YamlError};

/// What is known of the stream so far.
pub(super) struct Strict<'t> {
    text: &'t str,
    /// Whether all of it is JSON, which `kubectl` reads as such; known once it matters.
    json: Option<bool>,
    documents: usize,
    open: Vec<Level>,
    /// All scalars, where the stream has tabs; empty otherwise.
    scalars: Vec<Seen>,
    /// Lists and maps in brackets that lie in no other, where the stream has tabs.
    brackets: Vec<Range<usize>>,
    has_tabs: bool,
}

/// A list or map that is not closed.
struct Level {
    flow: bool,
    /// The column that its entries stand in, from 0.
    column: usize,
    start: usize,
}

/// A scalar, where it lies and how far in its lines have to stand, from 0.
struct Seen {
    range: Range<usize>,
    style: ScalarStyle,
    indent: usize,
}

impl<'t> Strict<'t> {
    pub(super) fn new(text: &'t str) -> Strict<'t> {
        Strict {
            text,
            json: None,
            documents: 0,
            open: Vec::new(),
            scalars: Vec::new(),
            brackets: Vec::new(),
            has_tabs: text.as_bytes().contains(&b'\t'),
        }
    }

    /// Refuses what one event shows; `is_key` says that it stands where a key has to.
    pub(super) fn event(
        &mut self,
        event: &Event<'_>,
        span: &Span,
        is_key: bool,
    ) -> Result<(), YamlError> {
        let refuse = |message: &str| {
            Err(YamlError {
                mark: mark(&span.start),
                message: message.to_owned(),
            })
        };
        let range = span.byte_range().unwrap_or_default();
        match event {
            Event::DocumentStart(explicit, _) => {
                self.documents += 1;
                let line = self
                    .text
                    .get(range.start..)
                    .unwrap_or_default()
                    .lines()
                    .next();
                let rest = line
                    .and_then(|line| line.strip_prefix("---"))
                    .map(str::trim);
                let alone =
                    *explicit && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('#'));
                if self.documents > 1 && !alone {
                    return refuse(
                        "Kubernetes passes over a document that starts here: put `---` on a line of its own before it",
                    );
                }
            }
            Event::SequenceStart(style, ..) | Event::MappingStart(style, ..) => {
                self.open.push(Level {
                    flow: *style == StructureStyle::Flow,
                    column: span.start.col(),
                    start: range.start,
                });
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(level) = self.open.pop()
                    && self.has_tabs
                    && level.flow
                    && !self.in_brackets()
                {
                    self.brackets.push(level.start..range.end);
                }
            }
            Event::Anchor(_, name) => {
                let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
                if !name.chars().all(plain) {
                    return refuse(
                        "Kubernetes takes only letters, digits, - and _ in the name of an anchor",
                    );
                }
            }
            Event::Scalar(text, style, _, tag) => {
                if tag.is_some() && text.is_empty() && self.tag_runs_on(range.start) {
                    return refuse(
                        "a tag needs a blank behind it: Kubernetes takes the , or ] for a part of it",
                    );
                }
                self.scalar(
                    &range,
                    *style,
                    is_key && span.end.line() != span.start.line(),
                    is_key,
                )
                .or_else(|message| refuse(&message))?;
                if self.has_tabs && !range.is_empty() {
                    let style = *style;
                    let block = self.open.iter().rfind(|level| !level.flow);
                    let indent = block.map_or(0, |level| level.column + 1);
                    self.scalars.push(Seen {
                        range,
                        style,
                        indent,
                    });
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// A scalar that YAML 1.1 does not read, or reads as something else.
    fn scalar(
        &mut self,
        range: &Range<usize>,
        style: ScalarStyle,
        long_key: bool,
        is_key: bool,
    ) -> Result<(), String> {
        let text = self.text;
        let source = text.get(range.clone()).unwrap_or_default();
        let flow = self.in_brackets();
        if style == ScalarStyle::DoubleQuoted {
            if let Some(escape) = json_escape(source)
                && !self.is_json()
            {
                return Err(format!(
                    "the escape {escape} is JSON's, and this stream is not JSON: write the character itself"
                ));
            }
            if is_key && source.contains(['\u{2028}', '\u{2029}']) {
                return Err("a key has to stand on one line, and this one holds a line separator: write it as an escape".to_owned());
            }
        }
        if style == ScalarStyle::Plain && flow {
            if source.starts_with(['?', ':']) {
                return Err(format!(
                    "in brackets a text cannot start with {}: put it in quotes",
                    &source[..1]
                ));
            }
            let behind = text.get(range.end..).unwrap_or_default().as_bytes();
            if is_key && matches!(behind, [b':', b',' | b'[' | b']' | b'{' | b'}', ..]) {
                return Err(
                    "the : needs a blank behind it: Kubernetes takes it for a part of the text"
                        .to_owned(),
                );
            }
        }
        if long_key && flow && !self.is_explicit_key(range.start) {
            return Err("a key has to stand on one line".to_owned());
        }
        Ok(())
    }

    fn is_json(&mut self) -> bool {
        let text = self.text;
        *self.json.get_or_insert_with(|| {
            let mut values = serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>();
            text.trim_start().starts_with('{') && values.all(|value| value.is_ok())
        })
    }

    /// Refuses the first tab that only YAML 1.2 takes. To be called behind the last event.
    pub(super) fn tabs(&self) -> Result<(), YamlError> {
        for (at, _) in self.text.match_indices('\t') {
            let line_start = self.text[..at].rfind('\n').map_or(0, |newline| newline + 1);
            if !self.tab_is_fine(at, line_start) {
                let before = &self.text[..at];
                let limit = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
                let mark = Mark {
                    line: limit(before.matches('\n').count() + 1),
                    column: limit(self.text[line_start..at].chars().count() + 1),
                };
                let message =
                    "a tab stands where Kubernetes takes only blanks: replace it".to_owned();
                return Err(YamlError { mark, message });
            }
        }
        Ok(())
    }

    fn tab_is_fine(&self, at: usize, line_start: usize) -> bool {
        let next = self.scalars.partition_point(|seen| seen.range.start <= at);
        let last = next.checked_sub(1).map(|n| &self.scalars[n]);
        let line = &self.text[line_start..at];
        let leads = line.bytes().all(|byte| matches!(byte, b' ' | b'\t'));
        let blanks = line.bytes().take_while(|byte| *byte == b' ').count();
        if let Some(seen) = last.filter(|seen| at < seen.range.end) {
            return match seen.style {
                ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => true,
                ScalarStyle::Plain => !leads || blanks >= seen.indent,
                ScalarStyle::Literal | ScalarStyle::Folded => {
                    blanks < line.len() || self.tab_in_block(seen, line_start, blanks)
                }
            };
        }
        if self.brackets.iter().any(|range| range.contains(&at)) {
            return true;
        }
        // The reader takes what follows plain text up to the next token or comment for a part of it.
        let follows_plain = last.is_some_and(|seen| {
            seen.style == ScalarStyle::Plain && self.text[seen.range.end..at].trim().is_empty()
        });
        if leads {
            return follows_plain && last.is_some_and(|seen| blanks >= seen.indent);
        }
        if is_comment(line) || last.is_some_and(|seen| seen.range.end > line_start && follows_plain)
        {
            return true;
        }
        let shown = line.trim_end();
        let indicator = |c: char| {
            shown
                .strip_suffix(c)
                .is_some_and(|rest| rest.is_empty() || rest.ends_with([' ', '\t']))
        };
        !(indicator('-') || indicator('?') || shown.trim_start() == ":")
    }

    /// Whether a tab among the leading blanks of a literal or folded text's line is a part of the text.
    fn tab_in_block(&self, seen: &Seen, line_start: usize, blanks: usize) -> bool {
        // The event starts at the text, the header is the last line with anything on it before that.
        let first = self.text[..seen.range.start].rfind('\n').unwrap_or(0);
        let above = self.text[..first].trim_end();
        let header = above.rsplit('\n').next().unwrap_or_default();
        let header = header.split(" #").next().unwrap_or_default();
        let indicators = header.rsplit(['|', '>']).next().unwrap_or_default();
        if let Some(digit) = indicators.bytes().find(u8::is_ascii_digit) {
            return blanks >= seen.indent.saturating_sub(1) + usize::from(digit - b'0');
        }
        // The first line that holds more than blanks gives the indent: none above it may have a tab there.
        let mut start = self.text[above.len()..]
            .find('\n')
            .map_or(self.text.len(), |end| above.len() + end + 1);
        for line in self.text[start..].split_inclusive('\n') {
            let indent = line.len() - line.trim_start_matches(' ').len();
            if !line[indent..].trim_end_matches(['\r', '\n']).is_empty() {
                return start < line_start && blanks >= indent;
            }
            start += line.len();
        }
        false
    }

    fn in_brackets(&self) -> bool {
        self.open.last().is_some_and(|level| level.flow)
    }

    fn is_explicit_key(&self, start: usize) -> bool {
        let before = &self.text[..start];
        let line = before.rsplit('\n').next().unwrap_or_default();
        line.contains('?') || before.trim_end().ends_with('?')
    }

    /// Whether a tag of nothing ends right before a bracket or comma.
    fn tag_runs_on(&self, end: usize) -> bool {
        let (before, behind) = self.text.split_at_checked(end).unwrap_or_default();
        behind.starts_with([',', ']', '}']) && !before.ends_with([' ', '\t', '\n'])
    }
}

/// The first escape that JSON has and YAML 1.1 has not.
fn json_escape(source: &str) -> Option<&str> {
    let bytes = source.as_bytes();
    let mut at = 0;
    while let Some(found) = source.get(at..)?.find('\\') {
        at += found;
        let surrogate = bytes.get(at + 1) == Some(&b'u')
            && matches!(bytes.get(at + 2), Some(b'd' | b'D'))
            && matches!(
                bytes.get(at + 3),
                Some(b'8'..=b'9' | b'a'..=b'f' | b'A'..=b'F')
            );
        if surrogate {
            return source.get(at..at + 6);
        }
        if bytes.get(at + 1) == Some(&b'/') {
            return source.get(at..at + 2);
        }
        at += 2;
    }
    None
}

/// Whether a comment starts on this part of a line, outside of texts.
fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with('#') || line.contains(" #") || line.contains("\t#")
}
