//! A directory of a tree. Trees of two commits share each one in which nothing changed.

use std::cmp::Ordering;
use std::sync::Arc;

use super::Entry;
use crate::digest::ObjectId;
use crate::name::RepoPath;

/// A directory and all below it.
#[derive(Debug, Clone, Default)]
pub struct Dir {
    id: Option<ObjectId>,
    /// In the order of the paths below it: a directory's name counts with the slash behind it, as in Git.
    items: Vec<(RepoPath, Item)>,
    size: DirSize,
    /// Entries at any depth.
    leaves: usize,
}

/// What lies in a directory under a name.
#[derive(Debug, Clone)]
pub enum Item {
    /// A file, link or submodule.
    Entry(Entry),
    /// A directory.
    Dir(Arc<Dir>),
}

/// How much a directory counts against [`super::TreeLimits`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DirSize {
    /// Entries and directories at any depth, empty directories too.
    pub entries: usize,
    /// The sum of all blobs' sizes.
    pub bytes: u64,
}

impl Item {
    pub(super) fn is_dir(&self) -> bool {
        matches!(self, Item::Dir(_))
    }

    /// Whether nothing differs, as far as ids tell without a look below.
    fn is_surely(&self, other: &Item) -> bool {
        match (self, other) {
            (Item::Entry(a), Item::Entry(b)) => a == b,
            (Item::Dir(a), Item::Dir(b)) => a.is_surely(b),
            _ => false,
        }
    }
}

impl Dir {
    /// A directory of these items, each under its whole path; those without any entry below are left out. `id` is Git's.
    pub fn new(id: Option<ObjectId>, items: Vec<(RepoPath, Item)>, size: DirSize) -> Dir {
        let is_there = |item: &Item| match item {
            Item::Entry(_) => true,
            Item::Dir(dir) => dir.leaves > 0,
        };
        let mut items: Vec<_> = items.into_iter().filter(|(_, i)| is_there(i)).collect();
        let in_order = |(a, x): &(RepoPath, Item), (b, y): &(RepoPath, Item)| {
            order((last(a), x.is_dir()), (last(b), y.is_dir()))
        };
        // Git has them in order already.
        if !items.is_sorted_by(|a, b| in_order(a, b).is_le()) {
            items.sort_by(in_order);
        }
        let leaves = items.iter().map(|(_, item)| match item {
            Item::Entry(_) => 1,
            Item::Dir(dir) => dir.leaves,
        });
        Dir {
            id,
            leaves: leaves.sum(),
            items,
            size,
        }
    }

    /// Git's id of it, where it is a commit's.
    pub fn id(&self) -> Option<ObjectId> {
        self.id
    }

    /// How much it counts against the limits.
    pub fn size(&self) -> DirSize {
        self.size
    }

    /// What lies in it, in order, each under its whole path.
    pub fn items(&self) -> &[(RepoPath, Item)] {
        &self.items
    }

    /// How many entries are in it at any depth.
    pub(super) fn leaves(&self) -> usize {
        self.leaves
    }

    /// What lies under a name.
    pub(super) fn get(&self, name: &str) -> Option<&Item> {
        self.find(name).map(|(_, item)| item)
    }

    /// What lies under a name, with its whole path.
    pub fn find(&self, name: &str) -> Option<(&RepoPath, &Item)> {
        let found = self.find_as(name, false);
        found.or_else(|| self.find_as(name, true))
    }

    fn find_as(&self, name: &str, is_dir: bool) -> Option<(&RepoPath, &Item)> {
        let at =
            |(path, item): &(RepoPath, Item)| order((last(path), item.is_dir()), (name, is_dir));
        let found = self.items.binary_search_by(at).ok()?;
        self.items.get(found).map(|(path, item)| (path, item))
    }

    /// Whether it is the very same, or has the same id in Git.
    pub(super) fn is_surely(self: &Arc<Dir>, other: &Arc<Dir>) -> bool {
        Arc::ptr_eq(self, other) || (self.id.is_some() && self.id == other.id)
    }

    /// Entries in order of path, grouped into directories. `depth` is how many bytes of each path are its directory's.
    pub(super) fn grouped(entries: Vec<(RepoPath, Entry)>, depth: usize) -> Dir {
        let mut items: Vec<(RepoPath, Item)> = Vec::new();
        let mut size = DirSize::default();
        let mut below: Vec<(RepoPath, Entry)> = Vec::new();
        let mut of = String::new();
        let close =
            |of: &str, below: Vec<(RepoPath, Entry)>, items: &mut Vec<_>, size: &mut DirSize| {
                let Ok(path) = of.parse::<RepoPath>() else {
                    return;
                };
                let dir = Dir::grouped(below, of.len() + 1);
                size.entries += dir.size.entries + 1;
                size.bytes = size.bytes.saturating_add(dir.size.bytes);
                items.push((path, Item::Dir(Arc::new(dir))));
            };
        for (path, entry) in entries {
            let rest = path.as_str().get(depth..).unwrap_or_default();
            let end = rest.find('/').map(|at| depth + at);
            let dir = end.and_then(|end| path.as_str().get(..end));
            if dir != Some(of.as_str()) && !below.is_empty() {
                close(&of, std::mem::take(&mut below), &mut items, &mut size);
            }
            match dir {
                Some(dir) => {
                    if of != dir {
                        dir.clone_into(&mut of);
                    }
                    below.push((path, entry));
                }
                None => {
                    size.entries += 1;
                    if let Entry::File { size: bytes, .. } = &entry {
                        size.bytes = size.bytes.saturating_add(*bytes);
                    }
                    items.push((path, Item::Entry(entry)));
                }
            }
        }
        if !below.is_empty() {
            close(&of, below, &mut items, &mut size);
        }
        Dir::new(None, items, size)
    }
}

/// All entries below a directory, in order of path.
#[derive(Default)]
pub(super) struct Below<'a>(Vec<std::slice::Iter<'a, (RepoPath, Item)>>);

impl<'a> Below<'a> {
    pub(super) fn of(dir: &'a Dir) -> Below<'a> {
        Below(vec![dir.items.iter()])
    }
}

impl<'a> Iterator for Below<'a> {
    type Item = (&'a RepoPath, &'a Entry);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Some((path, item)) = self.0.last_mut()?.next() else {
                self.0.pop();
                continue;
            };
            match item {
                Item::Entry(entry) => return Some((path, entry)),
                Item::Dir(dir) => self.0.push(dir.items.iter()),
            }
        }
    }
}

/// What lies at one path in two trees, where that is not the same: two directories are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The path.
    pub path: RepoPath,
    /// What was there.
    pub before: There,
    /// What is there.
    pub after: There,
}

/// What lies at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum There {
    /// Nothing.
    Nothing,
    /// A file.
    File,
    /// A symbolic link.
    Link,
    /// A submodule.
    Submodule,
    /// A directory.
    Directory,
}

impl There {
    fn at(item: Option<&Item>) -> There {
        match item {
            None => There::Nothing,
            Some(Item::Entry(Entry::File { .. })) => There::File,
            Some(Item::Entry(Entry::Symlink { .. })) => There::Link,
            Some(Item::Entry(Entry::Submodule { .. })) => There::Submodule,
            Some(Item::Dir(_)) => There::Directory,
        }
    }
}

/// Where two directories differ, at any depth. Costs what the directories on the way to a change hold.
pub(super) fn differ(before: Option<&Dir>, after: Option<&Dir>, out: &mut Vec<Change>) {
    let (mut old, mut new) = (items_of(before).peekable(), items_of(after).peekable());
    loop {
        // A file that becomes a directory goes as the one and comes as the other.
        let (was, is) = match (old.peek(), new.peek()) {
            (None, None) => return,
            (Some(_), None) => (old.next(), None),
            (None, Some(_)) => (None, new.next()),
            (Some((a, x)), Some((b, y))) => {
                match order((last(a), x.is_dir()), (last(b), y.is_dir())) {
                    Ordering::Equal => (old.next(), new.next()),
                    Ordering::Less => (old.next(), None),
                    Ordering::Greater => (None, new.next()),
                }
            }
        };
        if let (Some((_, x)), Some((_, y))) = (was, is)
            && x.is_surely(y)
        {
            continue;
        }
        let Some((path, _)) = was.or(is) else {
            return;
        };
        let (was, is) = (was.map(|(_, item)| item), is.map(|(_, item)| item));
        let dir = |item: Option<&'_ Item>| match item {
            Some(Item::Dir(dir)) => Some(dir.clone()),
            _ => None,
        };
        let (from, to) = (dir(was), dir(is));
        if from.is_none() || to.is_none() {
            out.push(Change {
                path: path.clone(),
                before: There::at(was),
                after: There::at(is),
            });
        }
        if from.is_some() || to.is_some() {
            differ(from.as_deref(), to.as_deref(), out);
        }
    }
}

fn items_of(dir: Option<&Dir>) -> std::slice::Iter<'_, (RepoPath, Item)> {
    dir.map_or(&[][..], |dir| dir.items.as_slice()).iter()
}

/// The last part of a path.
fn last(path: &RepoPath) -> &str {
    let text = path.as_str();
    text.rsplit_once('/').map_or(text, |(_, name)| name)
}

/// The order of the paths below: names as bytes, a directory's with a slash behind it.
fn order((a, a_is_dir): (&str, bool), (b, b_is_dir): (&str, bool)) -> Ordering {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let common = a.len().min(b.len());
    let next = |name: &[u8], is_dir: bool| {
        let next = name.get(common).copied();
        next.or(is_dir.then_some(b'/'))
    };
    a[..common]
        .cmp(&b[..common])
        .then_with(|| next(a, a_is_dir).cmp(&next(b, b_is_dir)))
}
