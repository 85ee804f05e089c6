//! A map while it is read: finds duplicate keys and does merges.

use std::collections::HashMap;

use super::{Mark, Node, NodeKind, YamlError};

/// From here on an index finds keys; below, a scan is faster.
const INDEX_FROM: usize = 16;

type Entry = (Mark, String, Node);

/// The entries so far.
#[derive(Debug, Default)]
pub(super) struct MapBuilder {
    entries: Vec<Entry>,
    /// Empty until the first merge, then one for each entry: whether it came by `<<`.
    merged: Vec<bool>,
    /// Empty until there are `INDEX_FROM` entries.
    index: HashMap<String, usize>,
}

impl MapBuilder {
    pub(super) fn finish(self) -> Vec<Entry> {
        self.entries
    }

    /// Sets a key written in this map. A merged value gives way to it.
    pub(super) fn set(&mut self, mark: Mark, key: String, value: Node) -> Result<(), YamlError> {
        let Some(at) = self.position(&key) else {
            self.push((mark, key, value), false);
            return Ok(());
        };
        if !self.is_merged(at) {
            let first = self.entries[at].0;
            let message = format!(
                "the key {key:?} is there twice: first at {}:{}, again here",
                first.line, first.column
            );
            return Err(YamlError { mark, message });
        }
        self.entries[at] = (mark, key, value);
        self.merged[at] = false;
        Ok(())
    }

    /// Merges the value of a `<<` key: a map, or a list of maps of which the earlier ones win.
    pub(super) fn merge(&mut self, mark: Mark, value: Node) -> Result<(), YamlError> {
        self.merged.resize(self.entries.len(), false);
        let value_mark = value.mark;
        match value.kind {
            NodeKind::Mapping(entries) => self.merge_map(mark, entries),
            NodeKind::Sequence(items) => {
                for item in items.into_iter().rev() {
                    let NodeKind::Mapping(entries) = item.kind else {
                        return Err(not_a_map(item.mark));
                    };
                    self.merge_map(mark, entries)?;
                }
                Ok(())
            }
            _ => Err(not_a_map(value_mark)),
        }
    }

    fn merge_map(&mut self, mark: Mark, entries: Vec<Entry>) -> Result<(), YamlError> {
        for (key_mark, key, value) in entries {
            match self.position(&key) {
                None => self.push((key_mark, key, value), true),
                Some(at) if self.is_merged(at) => self.entries[at] = (key_mark, key, value),
                Some(at) => return Err(self.late_merge(mark, at)),
            }
        }
        Ok(())
    }

    /// YAML says that the written key wins, but the library of Kubernetes lets the later one win: no
    /// reading is safe.
    fn late_merge(&self, mark: Mark, at: usize) -> YamlError {
        let (first, key, _) = &self.entries[at];
        let message = format!(
            "the merge `<<` brings the key {key:?}, which stands above it at {}:{}: put the `<<` first, then the key wins",
            first.line, first.column
        );
        YamlError { mark, message }
    }

    fn push(&mut self, entry: Entry, merged: bool) {
        let at = self.entries.len();
        if at == INDEX_FROM {
            self.index = self
                .entries
                .iter()
                .enumerate()
                .map(|(at, (_, key, _))| (key.clone(), at))
                .collect();
        }
        if at >= INDEX_FROM {
            self.index.insert(entry.1.clone(), at);
        }
        if merged || !self.merged.is_empty() {
            self.merged.push(merged);
        }
        self.entries.push(entry);
    }

    fn position(&self, key: &str) -> Option<usize> {
        if self.index.is_empty() {
            self.entries.iter().position(|(_, known, _)| known == key)
        } else {
            self.index.get(key).copied()
        }
    }

    fn is_merged(&self, at: usize) -> bool {
        self.merged.get(at).copied().unwrap_or(false)
    }
}

fn not_a_map(mark: Mark) -> YamlError {
    YamlError {
        mark,
        message: "a merge `<<` takes a map or a list of maps".to_owned(),
    }
}
