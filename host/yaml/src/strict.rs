//! What YAML 1.2 allows and the reader of Kubernetes refuses, found in the source beside the events.
//!
//! The event parser follows YAML 1.2, `go.yaml.in/yaml/v2` follows libyaml's YAML 1.1. A text that `kubectl`
//! refuses must not sync, so these checks take away what only the former reads.

use std::ops::Range;

use granit_parser::{Event, ScalarStyle, Span, StructureStyle};
use serde::de::IgnoredAny;

use super::YamlError;
use super::parse::mark;
use super::tabs::Tabs;

/// What is known of the stream so far.
pub(super) struct Strict<'t> {
    text: &'t str,
    /// Whether all of it is JSON, which `kubectl` reads as such; known once it matters.
    json: Option<bool>,
    documents: usize,
    open: Vec<Level>,
    /// Where tabs may stand; `None` where the stream has none.
    tabs: Option<Tabs<'t>>,
}

/// A list or map that is not closed.
struct Level {
    flow: bool,
    /// The column that its entries stand in, from 0.
    column: usize,
    start: usize,
}

impl<'t> Strict<'t> {
    pub(super) fn new(text: &'t str) -> Strict<'t> {
        Strict {
            text,
            json: None,
            documents: 0,
            open: Vec::new(),
            tabs: text.contains('\t').then(|| Tabs::new(text)),
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
                    && level.flow
                    && !self.in_brackets()
                    && let Some(tabs) = &mut self.tabs
                {
                    tabs.brackets(level.start..range.end);
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
                if let Some(tabs) = &mut self.tabs
                    && !range.is_empty()
                {
                    let block = self.open.iter().rfind(|level| !level.flow);
                    tabs.scalar(range, *style, block.map_or(0, |level| level.column + 1));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Refuses the first tab that only YAML 1.2 takes. To be called behind the last event.
    pub(super) fn tabs(self) -> Result<(), YamlError> {
        self.tabs.map_or(Ok(()), Tabs::check)
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
