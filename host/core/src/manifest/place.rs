//! Where things stand in a file, the errors found there, and what is nearest to a wrong name.

use super::{MAX_ERRORS, ManifestError, ManifestErrors};
use crate::yaml::{Mark, Node, NodeKind};

/// The longest text that is compared with the known names, in bytes: more is no slip of the finger.
const MAX_COMPARED: usize = 256;

/// A value in a file, followed from the root: where it is left out, the place of what it is left out of.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    node: Option<&'a Node>,
    mark: Mark,
}

/// The errors found so far, of which the first [`MAX_ERRORS`] are kept.
#[derive(Debug)]
pub struct Errors<'a> {
    file: &'a str,
    found: Vec<ManifestError>,
}

impl<'a> Place<'a> {
    /// Where a document begins.
    pub fn root(node: &'a Node) -> Self {
        Place {
            node: Some(node),
            mark: node.mark,
        }
    }

    /// Its line and column.
    pub fn mark(self) -> Mark {
        self.mark
    }

    /// What stands there; `None` where it is left out.
    pub fn node(self) -> Option<&'a Node> {
        self.node
    }

    /// The value of a key.
    pub fn key(self, key: &str) -> Self {
        match self.entries().iter().find(|(_, k, _)| k == key) {
            Some((_, _, value)) => Place::root(value),
            None => Place {
                node: None,
                mark: self.mark,
            },
        }
    }

    /// The key itself.
    pub fn name(self, key: &str) -> Mark {
        self.entries()
            .iter()
            .find(|(_, k, _)| k == key)
            .map_or(self.mark, |(mark, _, _)| *mark)
    }

    /// An item of a list, from 0.
    pub fn index(self, n: usize) -> Self {
        self.items().get(n).map_or(
            Place {
                node: None,
                mark: self.mark,
            },
            Place::root,
        )
    }

    /// The keys and values of a map; none when it is something else.
    pub fn entries(self) -> &'a [(Mark, String, Node)] {
        match self.node.map(|node| &node.kind) {
            Some(NodeKind::Mapping(entries)) => entries,
            _ => &[],
        }
    }

    /// The items of a list; none when it is something else.
    pub fn items(self) -> &'a [Node] {
        match self.node.map(|node| &node.kind) {
            Some(NodeKind::Sequence(items)) => items,
            _ => &[],
        }
    }
}

impl<'a> Errors<'a> {
    /// None yet, in this file.
    pub fn new(file: &'a str) -> Self {
        Errors {
            file,
            found: Vec::new(),
        }
    }

    /// Keeps one, once.
    pub fn push(&mut self, mark: Mark, message: impl Into<String>) {
        let error = ManifestError {
            file: self.file.to_owned(),
            mark,
            message: message.into(),
        };
        if !self.full() && !self.found.contains(&error) {
            self.found.push(error);
        }
    }

    /// Like [`Errors::push`], but a place that has an error keeps the first.
    pub fn push_once(&mut self, mark: Mark, message: String) {
        if self.found.iter().all(|e| e.mark != mark) {
            self.push(mark, message);
        }
    }

    /// What a fallible reading gives; its error is kept, at the place.
    pub fn take<T>(&mut self, mark: Mark, result: Result<T, impl ToString>) -> Option<T> {
        result.map_err(|e| self.push(mark, e.to_string())).ok()
    }

    /// Whether looking for more is of no use.
    pub fn full(&self) -> bool {
        self.found.len() >= MAX_ERRORS
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// How many are kept.
    pub fn count(&self) -> usize {
        self.found.len()
    }

    /// All errors in order of place.
    pub fn into_errors(mut self) -> ManifestErrors {
        self.found
            .sort_by(|a, b| (a.mark, &a.message).cmp(&(b.mark, &b.message)));
        ManifestErrors(self.found)
    }
}

/// `; the nearest is "helm"`, or nothing where no name is near.
pub(super) fn nearest<'a>(text: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    if text.len() > MAX_COMPARED {
        return String::new();
    }
    let near = 1 + text.chars().count() / 4;
    names
        .into_iter()
        .filter(|name| name.len() <= MAX_COMPARED)
        .map(|name| (strsim::osa_distance(text, name), name))
        .filter(|(distance, _)| *distance <= near)
        .min()
        .map_or_else(String::new, |(_, name)| {
            format!("; the nearest is {name:?}")
        })
}

/// A text as typed, in quotes and cut to a readable length.
pub(super) fn quote(text: &str) -> String {
    format!("{:?}", text.chars().take(80).collect::<String>())
}
