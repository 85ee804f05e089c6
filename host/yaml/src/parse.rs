//! From bytes to nodes: checks the text, runs the event parser, keeps the budgets.

use std::borrow::Cow;
use std::collections::HashMap;

use granit_parser::{ErrorKind, Event, Marker, Parser, ScalarStyle, ScanError, Span, Tag};

use super::characters::{OddBreaks, characters, odd_break};
use super::mapping::MapBuilder;
use super::resolve::{self, Scalar};
use super::strict::Strict;
use super::{Budget, Mark, Node, NodeKind, YamlError};

/// All documents of a stream that are not null.
pub(super) fn stream(text: &[u8], budget: &Budget) -> Result<Vec<Node>, YamlError> {
    if text.len() > budget.bytes {
        let message = format!(
            "the stream has {} bytes, but at most {} are allowed",
            text.len(),
            budget.bytes
        );
        return Err(YamlError {
            mark: Mark { line: 1, column: 1 },
            message,
        });
    }
    let text = characters(text)?;
    let mut odd_breaks = OddBreaks::of(text);
    let options = granit_parser::options! {
        emit_comments: false,
        block_scalar_eof_without_line_feed: true,
        flow_nesting_limit: budget.depth,
        block_nesting_limit: budget.depth,
        disallow_directives: true,
        emit_anchor_events: true,
    };
    let mut builder = Builder::new(budget);
    let mut strict = Strict::new(text);
    for next in Parser::new_from_str_with_options(text, options) {
        let (event, span) = next.map_err(|error| scan_error(&error, budget))?;
        odd_breaks.event(&event, &span);
        strict.event(&event, &span, builder.wants_key())?;
        builder.event(event, &span)?;
    }
    strict.tabs()?;
    match odd_breaks.refused() {
        Some(at) => Err(odd_break(text, at)),
        None => Ok(builder.documents),
    }
}

/// A list or map that is not closed yet.
struct Open {
    mark: Mark,
    anchor: usize,
    /// Nodes, alias text and depth outside and before it: what it adds is the difference.
    nodes_before: usize,
    text_before: usize,
    /// How deep the deepest list or map in it lies, itself counted.
    height: usize,
    content: Content,
}

enum Content {
    Items(Vec<Node>),
    Entries(MapBuilder, Pending),
}

/// What stands before the value of a map.
enum Pending {
    Nothing,
    Key(Mark, String),
    Merge(Mark),
}

/// What an alias repeats.
struct Anchored {
    node: Node,
    /// The scalar with its type, which keys need.
    key: Option<Result<String, String>>,
    nodes: usize,
    text: usize,
    height: usize,
}

/// What an event adds to its parent.
struct Added {
    node: Node,
    height: usize,
    /// What it is as a key; `None` for lists and maps.
    key: Option<Result<String, String>>,
    is_merge_key: bool,
    is_alias: bool,
}

struct Builder<'b> {
    budget: &'b Budget,
    documents: Vec<Node>,
    documents_seen: usize,
    open: Vec<Open>,
    anchors: HashMap<usize, Anchored>,
    nodes: usize,
    /// Bytes of text in all nodes, repeated text counted again.
    text: usize,
    /// Bytes of text that aliases repeated.
    repeated: usize,
    /// Nodes and bytes of text that are kept once more for aliases: anchors inside each other keep a node many times.
    kept: (usize, usize),
}

impl<'b> Builder<'b> {
    fn new(budget: &'b Budget) -> Builder<'b> {
        Builder {
            budget,
            documents: Vec::new(),
            documents_seen: 0,
            open: Vec::new(),
            anchors: HashMap::new(),
            nodes: 0,
            text: 0,
            repeated: 0,
            kept: (0, 0),
        }
    }

    fn event(&mut self, event: Event<'_>, span: &Span) -> Result<(), YamlError> {
        let mark = mark(&span.start);
        match event {
            Event::DocumentStart(..) => self.document(mark),
            Event::Scalar(text, style, anchor, tag) => {
                self.scalar(mark, text, style, anchor, tag.as_deref())
            }
            Event::SequenceStart(_, anchor, _) => {
                self.start(mark, anchor, Content::Items(Vec::new()))
            }
            Event::MappingStart(_, anchor, _) => self.start(
                mark,
                anchor,
                Content::Entries(MapBuilder::default(), Pending::Nothing),
            ),
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(id) => self.alias(mark, id),
            _ => Ok(()),
        }
    }

    fn document(&mut self, mark: Mark) -> Result<(), YamlError> {
        self.anchors.clear();
        self.kept = (0, 0);
        self.documents_seen += 1;
        if self.documents_seen > self.budget.documents {
            let message = match self.budget.documents {
                1 => "a second document starts here, but the file holds one: take the `---` away"
                    .to_owned(),
                limit => format!("the stream has more than {limit} documents, which is the limit"),
            };
            return Err(YamlError { mark, message });
        }
        Ok(())
    }

    fn scalar(
        &mut self,
        mark: Mark,
        text: Cow<'_, str>,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
    ) -> Result<(), YamlError> {
        self.count(mark, 1)?;
        let tag = tag.map(full_tag);
        let plain = style == ScalarStyle::Plain;
        let is_merge_key = text == "<<"
            && match tag.as_deref() {
                None => plain,
                Some(tag) => tag == "!" || tag == "tag:yaml.org,2002:merge",
            };
        let scalar = resolve::scalar(tag.as_deref(), plain, text)
            .map_err(|message| YamlError { mark, message })?;
        if self.wants_key() && anchor == 0 {
            return self.key(mark, is_merge_key, Some(scalar.into_key()));
        }
        let key = (anchor != 0).then(|| scalar.clone().into_key());
        let node = Node {
            mark,
            kind: kind(scalar).map_err(|message| YamlError { mark, message })?,
        };
        let length = text_length(&node);
        self.text += length;
        if anchor != 0 {
            self.keep(mark, 1, length)?;
            let anchored = Anchored {
                node: node.clone(),
                key: key.clone(),
                nodes: 1,
                text: length,
                height: 0,
            };
            self.anchors.insert(anchor, anchored);
        }
        self.add(Added {
            node,
            height: 0,
            key,
            is_merge_key,
            is_alias: false,
        })
    }

    fn start(&mut self, mark: Mark, anchor: usize, content: Content) -> Result<(), YamlError> {
        self.count(mark, 1)?;
        self.check_depth(mark, self.open.len() + 1)?;
        let (nodes_before, text_before) = (self.nodes - 1, self.text);
        self.open.push(Open {
            mark,
            anchor,
            nodes_before,
            text_before,
            height: 1,
            content,
        });
        Ok(())
    }

    fn end(&mut self) -> Result<(), YamlError> {
        // The event parser balances its events; a lone end would close nothing.
        let Some(open) = self.open.pop() else {
            return Ok(());
        };
        let kind = match open.content {
            Content::Items(items) => NodeKind::Sequence(items),
            Content::Entries(map, _) => NodeKind::Mapping(map.finish()),
        };
        let node = Node {
            mark: open.mark,
            kind,
        };
        if open.anchor != 0 {
            let nodes = self.nodes - open.nodes_before;
            let text = self.text - open.text_before;
            self.keep(open.mark, nodes, text)?;
            let anchored = Anchored {
                node: node.clone(),
                key: None,
                nodes,
                text,
                height: open.height,
            };
            self.anchors.insert(open.anchor, anchored);
        }
        self.add(Added {
            node,
            height: open.height,
            key: None,
            is_merge_key: false,
            is_alias: false,
        })
    }

    fn alias(&mut self, mark: Mark, id: usize) -> Result<(), YamlError> {
        let Some(target) = self.anchors.get(&id) else {
            let message = "the alias stands inside the node that it repeats".to_owned();
            return Err(YamlError { mark, message });
        };
        let (nodes, text, height) = (target.nodes, target.text, target.height);
        self.count(mark, nodes)?;
        self.check_depth(mark, self.open.len() + height)?;
        self.text += text;
        self.repeated += text;
        if self.repeated > self.budget.bytes {
            let message = format!(
                "aliases repeat more than {} bytes of text, which is the limit",
                self.budget.bytes
            );
            return Err(YamlError { mark, message });
        }
        let Some(target) = self.anchors.get(&id) else {
            return Ok(());
        };
        let node = Node {
            mark,
            kind: target.node.kind.clone(),
        };
        let key = target.key.clone();
        self.add(Added {
            node,
            height,
            key,
            is_merge_key: false,
            is_alias: true,
        })
    }

    /// Puts a node where it belongs: into the open list or map, or as a document.
    fn add(&mut self, added: Added) -> Result<(), YamlError> {
        if self.wants_key() {
            return self.key(added.node.mark, added.is_merge_key, added.key);
        }
        let Some(parent) = self.open.last_mut() else {
            if added.node.kind != NodeKind::Null {
                self.documents.push(added.node);
            }
            return Ok(());
        };
        parent.height = parent.height.max(added.height + 1);
        match &mut parent.content {
            Content::Items(items) => {
                items.push(added.node);
                Ok(())
            }
            Content::Entries(map, pending) => {
                match std::mem::replace(pending, Pending::Nothing) {
                    Pending::Key(mark, key) => map.set(mark, key, added.node),
                    Pending::Merge(mark) => {
                        if added.is_alias && matches!(added.node.kind, NodeKind::Sequence(_)) {
                            let message = "a merge `<<` of an alias takes a map; write a list of aliases here".to_owned();
                            return Err(YamlError {
                                mark: added.node.mark,
                                message,
                            });
                        }
                        map.merge(mark, added.node)
                    }
                    Pending::Nothing => Ok(()),
                }
            }
        }
    }

    fn key(
        &mut self,
        mark: Mark,
        is_merge: bool,
        key: Option<Result<String, String>>,
    ) -> Result<(), YamlError> {
        let next = if is_merge {
            Pending::Merge(mark)
        } else {
            match key {
                Some(Ok(key)) => {
                    self.text += key.len();
                    Pending::Key(mark, key)
                }
                Some(Err(message)) => return Err(YamlError { mark, message }),
                None => {
                    let message = "a key must be text, but this one is a list or a map".to_owned();
                    return Err(YamlError { mark, message });
                }
            }
        };
        if let Some(Open {
            content: Content::Entries(_, pending),
            ..
        }) = self.open.last_mut()
        {
            *pending = next;
        }
        Ok(())
    }

    fn wants_key(&self) -> bool {
        matches!(
            self.open.last(),
            Some(Open {
                content: Content::Entries(_, Pending::Nothing),
                ..
            })
        )
    }

    fn count(&mut self, mark: Mark, nodes: usize) -> Result<(), YamlError> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > self.budget.nodes {
            let message = format!(
                "the stream has more than {} nodes with its aliases expanded, which is the limit",
                self.budget.nodes
            );
            return Err(YamlError { mark, message });
        }
        Ok(())
    }

    /// Counts what an anchor keeps.
    fn keep(&mut self, mark: Mark, nodes: usize, text: usize) -> Result<(), YamlError> {
        let (all_nodes, all_text) = &mut self.kept;
        *all_nodes = all_nodes.saturating_add(nodes);
        *all_text = all_text.saturating_add(text);
        let which = if *all_nodes > self.budget.nodes {
            format!("{} nodes", self.budget.nodes)
        } else if *all_text > self.budget.bytes {
            format!("{} bytes of text", self.budget.bytes)
        } else {
            return Ok(());
        };
        let message = format!(
            "anchors, those inside each other counted each time, stand for more than {which}, which is the limit"
        );
        Err(YamlError { mark, message })
    }

    fn check_depth(&self, mark: Mark, depth: usize) -> Result<(), YamlError> {
        if depth > self.budget.depth {
            return Err(YamlError {
                mark,
                message: too_deep(self.budget),
            });
        }
        Ok(())
    }
}

fn kind(scalar: Scalar<'_>) -> Result<NodeKind, String> {
    Ok(match scalar {
        Scalar::Null => NodeKind::Null,
        Scalar::Bool(value) => NodeKind::Bool(value),
        Scalar::Int(value) => NodeKind::Number(value.into()),
        Scalar::Uint(value) => NodeKind::Number(value.into()),
        Scalar::Float(value) => NodeKind::Number(resolve::json_number(value).ok_or_else(|| {
            "infinity and not-a-number cannot be written as JSON: put the value in quotes if it is text".to_owned()
        })?),
        Scalar::Text(text) => NodeKind::String(text.into_owned()),
    })
}

fn text_length(node: &Node) -> usize {
    if let NodeKind::String(text) = &node.kind {
        text.len()
    } else {
        0
    }
}

fn full_tag(tag: &Tag) -> String {
    format!("{}{}", tag.handle(), tag.suffix())
}

fn too_deep(budget: &Budget) -> String {
    format!(
        "lists and maps lie more than {} deep in each other, which is the limit",
        budget.depth
    )
}

fn scan_error(error: &ScanError, budget: &Budget) -> YamlError {
    let message = match error.kind() {
        ErrorKind::RecursionLimitExceeded => too_deep(budget),
        ErrorKind::UnknownAnchor => "the alias names an anchor that is not there".to_owned(),
        ErrorKind::DirectiveDisallowed => {
            "a line such as %YAML or %TAG is not read: take it away".to_owned()
        }
        ErrorKind::TabNotAllowed | ErrorKind::TabInBlockIndentation | ErrorKind::TabInIndentation => {
            "a tab cannot indent YAML: use blanks".to_owned()
        }
        ErrorKind::ExpectedBlockSequenceEntry
        | ErrorKind::ExpectedBlockMappingKey
        | ErrorKind::InvalidIndentation => {
            "this line does not line up with the lines above it: check how far it is indented".to_owned()
        }
        ErrorKind::SimpleKeyExpected => {
            "this line is neither `key: value` nor part of the value above it: a `:` is missing, or it is not indented enough".to_owned()
        }
        ErrorKind::UnclosedQuotedScalar => "the quote that starts here is not closed".to_owned(),
        _ => error.info(),
    };
    YamlError {
        mark: mark(error.marker()),
        message,
    }
}

pub(super) fn mark(marker: &Marker) -> Mark {
    let limit = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    Mark {
        line: limit(marker.line()).max(1),
        column: limit(marker.col().saturating_add(1)),
    }
}
