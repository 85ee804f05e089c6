//! YAML files as SOPS writes them: block style, no anchors, the metadata in a map `sops` of each document.
//!
//! A file is opened by exchanging each encrypted value in its text for what it is in the clear, and taking the maps
//! `sops` out: so all else stays byte for byte as it was.

use std::ops::Range;
use std::sync::Arc;

use granit_parser::{Event, Parser, ScalarStyle, Span, StructureStyle, Tag};
use serde_json::Value;
use weir_core::yaml::{self, Budget};
use zeroize::Zeroizing;

use super::cipher::{Clear, DataKey};
use super::token::{Kind, Token, is_token};
use super::tree::{Leaf, Path, Scalar, goes_so_far, place};
use super::yaml_text::{INDENT, resolved, written};
use crate::limits::SecretLimits;

/// The key that the metadata lies under.
const SOPS: &str = "sops";

/// A file with the places of all that is opened.
#[derive(Debug)]
pub(super) struct Stream {
    text: String,
    /// The place of each leaf, in order.
    places: Vec<At>,
    comments: Vec<Comment>,
    /// The metadata of each document.
    blocks: Vec<Block>,
}

/// Where a value stands.
#[derive(Debug, Clone)]
struct At {
    range: Range<usize>,
    /// How far its further lines are indented.
    indent: usize,
    /// Where the line begins that its key or its dash stands in, and how far that is indented.
    line: (usize, usize),
    /// The dash of an item.
    dash: Option<usize>,
}

/// An encrypted comment.
#[derive(Debug)]
struct Comment {
    /// From its `#` to the line's end.
    range: Range<usize>,
    text: String,
    /// How many leaves stand before it.
    after: usize,
    /// Whether it stands behind a value.
    is_inline: bool,
}

/// A map `sops`, and whether it is all of its document.
#[derive(Debug, Clone)]
struct Block {
    range: Range<usize>,
    is_all: bool,
}

/// Reads a file: its values in order and its metadata.
pub(super) fn read(text: &str, limits: SecretLimits) -> Result<(Stream, Vec<Leaf>, Value), String> {
    events(text, limits)?.finish()
}

/// The values of a file in the clear, in order.
pub(super) fn leaves(text: &str, limits: SecretLimits) -> Result<Vec<Leaf>, String> {
    Ok(events(text, limits)?.leaves)
}

fn events(text: &str, limits: SecretLimits) -> Result<Reader<'_>, String> {
    let options = granit_parser::options! {
        emit_comments: true,
        flow_nesting_limit: limits.depth,
        block_nesting_limit: limits.depth,
        disallow_directives: true,
        emit_anchor_events: true,
    };
    let mut reader = Reader::new(text, limits);
    for next in Parser::new_from_str_with_options(text, options) {
        let (event, span) = next.map_err(|e| at(&Span::empty(*e.marker()), &e.info()))?;
        reader.event(event, &span)?;
    }
    Ok(reader)
}

fn at(span: &Span, what: &str) -> String {
    format!("line {}: {what}", span.start.line().max(1))
}

/// A list or map that is not closed.
struct Open {
    path: Path,
    is_map: bool,
    is_flow: bool,
    column: usize,
    /// Where the line of the last key, or of the last item's dash, begins.
    line: usize,
    /// The key whose value comes next.
    key: Option<Arc<str>>,
    /// It is the metadata, or lies in it.
    is_metadata: bool,
}

struct Reader<'t> {
    text: &'t str,
    limits: SecretLimits,
    open: Vec<Open>,
    nodes: usize,
    /// How many keys the places of further values may have.
    left: usize,
    leaves: Vec<Leaf>,
    places: Vec<At>,
    comments: Vec<Comment>,
    blocks: Vec<Block>,
    /// Where the map `sops` of this document begins, until its end is known.
    block: Option<usize>,
    /// Which of `blocks` is this document's.
    own_block: Option<usize>,
    /// Keys of this document, the metadata's left out.
    keys: usize,
}

impl<'t> Reader<'t> {
    fn new(text: &'t str, limits: SecretLimits) -> Reader<'t> {
        Reader {
            text,
            limits,
            open: Vec::new(),
            nodes: 0,
            left: limits.keys_of_places(),
            leaves: Vec::new(),
            places: Vec::new(),
            comments: Vec::new(),
            blocks: Vec::new(),
            block: None,
            own_block: None,
            keys: 0,
        }
    }

    fn event(&mut self, event: Event<'_>, span: &Span) -> Result<(), String> {
        match event {
            Event::DocumentStart(..) => {
                self.close_block(range(span)?.start);
                self.close_document();
                Ok(())
            }
            Event::MappingStart(style, anchor, tag) => {
                self.plain(span, anchor, tag.is_some())?;
                self.begin(true, style, span)
            }
            Event::SequenceStart(style, anchor, tag) => {
                self.plain(span, anchor, tag.is_some())?;
                self.begin(false, style, span)
            }
            Event::MappingEnd | Event::SequenceEnd => {
                self.open.pop();
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                let has_tag = tag.is_some_and(|tag| !is_merge(&tag, &text));
                self.plain(span, anchor, has_tag)?;
                self.scalar(&text, style, span)
            }
            Event::Comment(text, _) => self.comment(&text, span),
            Event::Alias(_) => Err(at(span, "an alias, which sops does not write")),
            _ => Ok(()),
        }
    }

    /// Whether a node is of the kind that SOPS writes.
    fn plain(&self, span: &Span, anchor: usize, has_tag: bool) -> Result<(), String> {
        match anchor != 0 || has_tag {
            true => Err(at(span, "an anchor or a tag, which sops does not write")),
            false => Ok(()),
        }
    }

    fn begin(&mut self, is_map: bool, style: StructureStyle, span: &Span) -> Result<(), String> {
        self.count(span)?;
        let start = range(span)?.start;
        let (path, is_metadata) = self.next_place(start);
        if self.open.is_empty() && !is_map {
            return Err(at(span, "a document that is no map"));
        }
        let is_flow = style == StructureStyle::Flow || self.open.last().is_some_and(|o| o.is_flow);
        self.open.push(Open {
            path,
            is_map,
            is_flow,
            column: span.start.col(),
            line: line_start(self.text, start),
            key: None,
            is_metadata,
        });
        Ok(())
    }

    fn count(&mut self, span: &Span) -> Result<(), String> {
        self.nodes += 1;
        // Keys count as well.
        match self.nodes > self.limits.values.saturating_mul(2) {
            true => Err(at(span, "it holds more than Weir reads of one file")),
            false => Ok(()),
        }
    }

    /// The place of the value that comes next, and whether it is the metadata's. Its key is used up.
    fn next_place(&mut self, start: usize) -> (Path, bool) {
        let is_top = self.open.len() == 1;
        let Some(parent) = self.open.last_mut() else {
            return (Path::new(), false);
        };
        let mut path = parent.path.clone();
        if !parent.is_map {
            parent.line = line_start(self.text, start);
            return (path, parent.is_metadata);
        }
        let key = parent.key.take().unwrap_or_default();
        let is_metadata = parent.is_metadata || (is_top && &*key == SOPS);
        path.push(key);
        (path, is_metadata)
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, span: &Span) -> Result<(), String> {
        self.count(span)?;
        let own = range(span)?;
        let is_top = self.open.len() == 1;
        let Some(parent) = self.open.last_mut() else {
            return match resolved(text) {
                None => Ok(()),
                Some(_) => Err(at(span, "a document that is no map")),
            };
        };
        if parent.is_map && parent.key.is_none() {
            parent.key = Some(text.into());
            parent.line = line_start(self.text, own.start);
            if is_top {
                let begun = parent.line;
                self.key_at_top(text, begun);
            }
            return Ok(());
        }
        let (path, is_metadata) = self.next_place(own.start);
        let scalar = match style {
            ScalarStyle::Plain => resolved(text),
            _ => Some(Scalar::Text(text.to_owned())),
        };
        let (Some(scalar), false, Some(parent)) = (scalar, is_metadata, self.open.last()) else {
            return Ok(());
        };
        if is_token(text) {
            let is_quoted = matches!(style, ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted);
            let as_it_is = self.text.get(own.clone()) == Some(text);
            if parent.is_flow || !(as_it_is || is_quoted) {
                let what = "an encrypted value that does not stand as sops writes it: write the file with sops again";
                return Err(at(span, what));
            }
        }
        let indent = match parent.is_map {
            true => INDENT * (parent.column / INDENT + 1),
            false => parent.column + 2,
        };
        let dash = match parent.is_map {
            true => None,
            false => dash_before(self.text, own.start),
        };
        self.places.push(At {
            range: own,
            indent,
            line: (parent.line, parent.column),
            dash,
        });
        goes_so_far(&path, &mut self.left).map_err(|e| at(span, &e))?;
        self.leaves.push(Leaf { path, scalar });
        Ok(())
    }

    fn key_at_top(&mut self, key: &str, line: usize) {
        self.close_block(line);
        match key {
            SOPS => self.block = Some(line),
            _ => self.keys += 1,
        }
    }

    /// The map `sops` ends here, where one is open.
    fn close_block(&mut self, end: usize) {
        if let Some(start) = self.block.take() {
            self.own_block = Some(self.blocks.len());
            self.blocks.push(Block {
                range: start..end.max(start),
                is_all: false,
            });
        }
    }

    fn close_document(&mut self) {
        let keys = std::mem::take(&mut self.keys);
        let own = self.own_block.take();
        if let Some(block) = own.and_then(|n| self.blocks.get_mut(n)) {
            block.is_all = keys == 0;
        }
    }

    fn comment(&mut self, text: &str, span: &Span) -> Result<(), String> {
        let text = text.trim_end();
        if !is_token(text) || self.open.last().is_some_and(|o| o.is_metadata) {
            return Ok(());
        }
        let range = range(span)?;
        let before = self
            .text
            .get(line_start(self.text, range.start)..range.start);
        self.comments.push(Comment {
            text: text.to_owned(),
            after: self.leaves.len(),
            is_inline: before.is_some_and(|before| !before.trim().is_empty()),
            range,
        });
        Ok(())
    }

    fn finish(mut self) -> Result<(Stream, Vec<Leaf>, Value), String> {
        self.close_block(self.text.len());
        self.close_document();
        let first = self.blocks.first().ok_or("it has no map `sops`")?;
        let block = self.text.get(first.range.clone()).unwrap_or_default();
        let budget = Budget {
            bytes: self.limits.file,
            documents: 1,
            nodes: self.limits.values,
            depth: self.limits.depth,
        };
        let read = yaml::parse(block.as_bytes(), &budget).map_err(|e| e.to_string())?;
        let metadata = read.first().map(|node| node.to_json());
        let metadata = metadata.and_then(|mut value| value.get_mut(SOPS).map(Value::take));
        let stream = Stream {
            text: self.text.to_owned(),
            places: self.places,
            comments: self.comments,
            blocks: self.blocks,
        };
        Ok((stream, self.leaves, metadata.unwrap_or_default()))
    }
}

fn range(span: &Span) -> Result<Range<usize>, String> {
    span.byte_range()
        .ok_or_else(|| at(span, "a place that the reader does not know"))
}

/// `!!merge <<`: so SOPS writes the key of a merge, and a text that looks like one.
fn is_merge(tag: &Tag, text: &str) -> bool {
    text == "<<" && tag.handle() == "tag:yaml.org,2002:" && tag.suffix() == "merge"
}

/// The dash that an item stands behind.
fn dash_before(text: &str, at: usize) -> Option<usize> {
    let before = text.get(..at)?.trim_end_matches(' ');
    before.ends_with('-').then(|| before.len() - 1)
}

fn line_start(text: &str, at: usize) -> usize {
    let before = text.get(..at).unwrap_or_default();
    before.rfind('\n').map_or(0, |end| end + 1)
}

impl Stream {
    /// The file with its values opened, as `sops --decrypt` prints it.
    pub(super) fn write(
        &self,
        leaves: &[Leaf],
        clear: &[Option<Clear>],
        key: &DataKey,
    ) -> Result<Zeroizing<Vec<u8>>, String> {
        let mut edits = Vec::new();
        for (at, clear) in self.places.iter().zip(clear) {
            match (clear, at.dash) {
                (None, _) => {}
                // SOPS has comments of a list as items of it.
                (Some(clear), Some(dash)) if clear.kind == Kind::Comment => {
                    let text = clear.text().filter(|text| !text.contains(['\n', '\r']));
                    let text = text.ok_or("a comment has more than one line")?;
                    edits.push((dash..at.range.end, Zeroizing::new(format!("#{text}"))));
                }
                (Some(clear), _) => edits.push((at.range.clone(), written(clear, at.indent)?)),
            }
        }
        for comment in &self.comments {
            edits.extend(self.comment(comment, leaves, key));
        }
        for block in &self.blocks {
            let rest = if block.is_all { "{}\n" } else { "" };
            edits.push((block.range.clone(), Zeroizing::new(rest.to_owned())));
        }
        edits.sort_by_key(|(range, _)| (range.start, range.end));
        let mut out = Zeroizing::new(Vec::with_capacity(self.text.len()));
        let mut done = 0;
        for (range, text) in &edits {
            let before = self.text.get(done..range.start);
            out.extend_from_slice(before.unwrap_or_default().as_bytes());
            out.extend_from_slice(text.as_bytes());
            done = done.max(range.end);
        }
        let rest = self.text.get(done..).unwrap_or_default();
        out.extend_from_slice(rest.as_bytes());
        Ok(out)
    }

    /// What is to be done with an encrypted comment. One that opens at no place around it stays, as SOPS leaves it. One
    /// behind a value comes to stand above it, where SOPS has it after it decrypted it.
    fn comment(
        &self,
        comment: &Comment,
        leaves: &[Leaf],
        key: &DataKey,
    ) -> Vec<(Range<usize>, Zeroizing<String>)> {
        let Some(clear) = opened(comment, leaves, key) else {
            return Vec::new();
        };
        let text = Zeroizing::new(format!("#{}", &*clear));
        let beside = comment.after.checked_sub(1);
        let beside = beside.and_then(|n| self.places.get(n));
        match beside.filter(|_| comment.is_inline) {
            None => vec![(comment.range.clone(), text)],
            Some(at) => {
                let (line, indent) = at.line;
                let above = format!("{}{}\n", " ".repeat(indent), &*text);
                let behind = at.range.end..comment.range.end;
                let nothing = Zeroizing::new(String::new());
                vec![(line..line, Zeroizing::new(above)), (behind, nothing)]
            }
        }
    }
}

/// A comment in the clear: which map it is said to stand in is tried out, and only one place opens it.
fn opened(comment: &Comment, leaves: &[Leaf], key: &DataKey) -> Option<Zeroizing<String>> {
    let token = Token::read(&comment.text).ok()?;
    let around = [comment.after.checked_sub(1), Some(comment.after)];
    let around = around.into_iter().flatten();
    let paths = around.filter_map(|n| leaves.get(n)).map(|leaf| &leaf.path);
    let mut places = paths.flat_map(|path| (0..=path.len()).rev().filter_map(|n| path.get(..n)));
    places.find_map(|path| {
        let clear = key.open(&token, &place(path))?;
        clear.text().map(|text| Zeroizing::new(text.to_owned()))
    })
}

#[cfg(test)]
mod tests;
