//! Which of many readers a change of a tree concerns: an index from what their answers depend on to who asked.
//!
//! Held by a property over random trees, readers and changes: whoever would be told something else is named.

use std::collections::{BTreeMap, BTreeSet};

use crate::name::RepoPath;
use crate::tree::{Change, There, Watch};

/// Who depends on what. One owner changes it.
#[derive(Debug, Clone)]
pub struct Routes<K> {
    /// The readers by number; what each depends on.
    readers: Vec<Option<Reader<K>>>,
    numbers: BTreeMap<K, u32>,
    free: Vec<u32>,
    by_path: BTreeMap<(RepoPath, On), Vec<u32>>,
    /// Those who look at externals.
    externals: BTreeSet<u32>,
}

/// A reader, and the places that matter to it.
type Reader<K> = (K, Vec<(RepoPath, On)>);

/// What of a path matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum On {
    Content,
    Kind,
    Link,
    Items,
}

impl<K> Default for Routes<K> {
    fn default() -> Routes<K> {
        Routes {
            readers: Vec::new(),
            numbers: BTreeMap::new(),
            free: Vec::new(),
            by_path: BTreeMap::new(),
            externals: BTreeSet::new(),
        }
    }
}

impl<K: Ord + Clone> Routes<K> {
    /// From now on this reader depends on just this.
    pub fn put(&mut self, reader: K, on: impl IntoIterator<Item = Watch>) {
        self.take(&reader);
        let number = match self.free.pop() {
            Some(number) => number,
            // More readers than a number can tell apart are not kept apart: the last one stands for them all.
            None => {
                self.readers.push(None);
                u32::try_from(self.readers.len() - 1).unwrap_or(u32::MAX)
            }
        };
        let mut places = Vec::new();
        for watch in on {
            places.push(match watch {
                Watch::Content(path) => (path, On::Content),
                Watch::Kind(path) => (path, On::Kind),
                Watch::Link(path) => (path, On::Link),
                Watch::Items(path) => (path, On::Items),
                Watch::Externals => {
                    self.externals.insert(number);
                    continue;
                }
            });
        }
        for place in &places {
            let readers = self.by_path.entry(place.clone()).or_default();
            readers.push(number);
        }
        if let Some(slot) = self.readers.get_mut(number as usize) {
            *slot = Some((reader.clone(), places));
        }
        self.numbers.insert(reader, number);
    }

    /// This reader is no more.
    pub fn take(&mut self, reader: &K) {
        let Some(number) = self.numbers.remove(reader) else {
            return;
        };
        self.externals.remove(&number);
        let slot = self.readers.get_mut(number as usize);
        let Some((_, places)) = slot.and_then(Option::take) else {
            return;
        };
        for place in places {
            if let Some(readers) = self.by_path.get_mut(&place) {
                readers.retain(|other| *other != number);
                if readers.is_empty() {
                    self.by_path.remove(&place);
                }
            }
        }
        self.free.push(number);
    }

    /// The readers that some of these changes may concern.
    pub fn touched(&self, changes: &[Change]) -> BTreeSet<&K> {
        let mut numbers = BTreeSet::new();
        for change in changes {
            let path = &change.path;
            self.add(path, On::Content, &mut numbers);
            if change.before != change.after {
                self.add(path, On::Kind, &mut numbers);
            }
            if [change.before, change.after].contains(&There::Link) {
                self.add(path, On::Link, &mut numbers);
            }
            if let Some(dir) = path.parent() {
                self.add(&dir, On::Items, &mut numbers);
            }
            // What was asked for below may lie where a link leads.
            if matches!(change.after, There::Link | There::Submodule) {
                self.add_below(path, &mut numbers);
            }
        }
        self.named(numbers)
    }

    /// The readers that look at externals.
    pub fn of_externals(&self) -> BTreeSet<&K> {
        self.named(self.externals.iter().copied())
    }

    fn named(&self, numbers: impl IntoIterator<Item = u32>) -> BTreeSet<&K> {
        let reader = |number: u32| self.readers.get(number as usize)?.as_ref();
        let all = numbers.into_iter().filter_map(reader);
        all.map(|(reader, _)| reader).collect()
    }

    fn add(&self, path: &RepoPath, on: On, out: &mut BTreeSet<u32>) {
        out.extend(self.by_path.get(&(path.clone(), on)).into_iter().flatten());
    }

    fn add_below(&self, dir: &RepoPath, out: &mut BTreeSet<u32>) {
        // Between "a" and "a/x" may sort "a-b".
        let from = (dir.clone(), On::Content);
        let text = dir.as_str();
        let begins = self.by_path.range(from..);
        let begins = begins.take_while(|((path, _), _)| path.as_str().starts_with(text));
        for ((path, _), readers) in begins {
            if path.is_within(dir) {
                out.extend(readers);
            }
        }
    }
}

#[cfg(test)]
mod tests;
