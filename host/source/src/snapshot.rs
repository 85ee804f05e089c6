//! A commit's tree, walked in the object database with every guard against names, modes and sizes that do harm.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use gix::bstr::ByteSlice as _;
use gix::objs::Kind;
use weir_core::digest::{CommitId, ObjectId};
use weir_core::name::RepoPath;
use weir_core::tree::{Dir, DirSize, Entry, Item, Tree, TreeLimits};

use crate::error::{SourceError, printable};
use crate::object::{self, ObjectError};

/// The longest text of a symbolic link, in bytes (Linux: PATH_MAX).
pub(crate) const MAX_LINK: u64 = 4096;

/// Git's modes, as the bytes in a tree.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    File { executable: bool },
    Link,
    Dir,
    Submodule,
}

impl Mode {
    /// Exactly the modes that Git writes, and 100664, which it once wrote.
    fn parse(text: &[u8]) -> Option<Mode> {
        match text {
            b"100644" | b"100664" => Some(Mode::File { executable: false }),
            b"100755" => Some(Mode::File { executable: true }),
            b"120000" => Some(Mode::Link),
            b"40000" | b"040000" => Some(Mode::Dir),
            b"160000" => Some(Mode::Submodule),
            _ => None,
        }
    }
}

/// One line of a tree object, nothing checked.
struct Line<'a> {
    mode: &'a [u8],
    name: &'a [u8],
    id: ObjectId,
}

/// Reads a tree object: `mode SP name NUL id`, repeated. gix keeps 16 bits of the mode, which lets 300644 pass as 100644.
/// No more than one above `most` are read.
fn lines(mut data: &[u8], most: usize) -> Option<Vec<Line<'_>>> {
    let mut lines = Vec::new();
    while !data.is_empty() && lines.len() <= most {
        let (mode, rest) = data.split_at_checked(data.find_byte(b' ')?)?;
        let (name, rest) = rest[1..].split_at_checked(rest[1..].find_byte(0)?)?;
        let (id, rest) = rest[1..].split_first_chunk::<20>()?;
        lines.push(Line {
            mode,
            name,
            id: ObjectId::from_bytes(*id),
        });
        data = rest;
    }
    Some(lines)
}

/// What a tree object lists, by name: modes as numbers, of which 100664 counts as 100644. Nothing where it lists more than
/// `most`, or cannot be read; nothing else is checked.
pub(crate) fn entries(data: &[u8], most: usize) -> Option<BTreeMap<Vec<u8>, (u32, ObjectId)>> {
    let mut entries = BTreeMap::new();
    let lines = lines(data, most).filter(|lines| lines.len() <= most)?;
    for line in lines {
        let mode = match Mode::parse(line.mode)? {
            Mode::File { executable: false } => 0o100_644,
            Mode::File { executable: true } => 0o100_755,
            Mode::Link => 0o120_000,
            Mode::Dir => 0o40_000,
            Mode::Submodule => 0o160_000,
        };
        if entries
            .insert(line.name.to_vec(), (mode, line.id))
            .is_some()
        {
            return None;
        }
    }
    Some(entries)
}

impl Line<'_> {
    /// Whether it says just what is known of the path.
    fn is(&self, item: &Item) -> bool {
        match (Mode::parse(self.mode), item) {
            (Some(Mode::Dir), Item::Dir(dir)) => dir.id() == Some(self.id),
            (
                Some(Mode::File { executable }),
                Item::Entry(Entry::File {
                    id,
                    executable: was,
                    ..
                }),
            ) => *id == self.id && executable == *was,
            (Some(Mode::Link), Item::Entry(Entry::Symlink { id, .. }))
            | (Some(Mode::Submodule), Item::Entry(Entry::Submodule { id })) => *id == self.id,
            _ => false,
        }
    }
}

/// One entry, or one directory without what is in it.
const ONE: DirSize = DirSize {
    entries: 1,
    bytes: 0,
};

/// How much an item counts, itself included.
fn size_of(item: &Item) -> DirSize {
    match item {
        Item::Entry(Entry::File { size, .. }) => DirSize {
            bytes: *size,
            ..ONE
        },
        Item::Entry(_) => ONE,
        Item::Dir(dir) => DirSize {
            entries: dir.size().entries.saturating_add(1),
            ..dir.size()
        },
    }
}

/// What lay in a directory under a name: where it is the next one of those that are known, that is seen at once.
fn next_of<'d>(
    known: &mut std::slice::Iter<'d, (RepoPath, Item)>,
    before: Option<&'d Arc<Dir>>,
    name: &[u8],
) -> Option<(&'d RepoPath, &'d Item)> {
    let is = |(path, _): &&(RepoPath, Item)| {
        let path = path.as_str().as_bytes();
        let above = path.strip_suffix(name);
        above.is_some_and(|above| above.is_empty() || above.ends_with(b"/"))
    };
    let mut ahead = known.clone();
    if let Some((path, item)) = ahead.next().filter(is) {
        *known = ahead;
        return Some((path, item));
    }
    let name = std::str::from_utf8(name).ok()?;
    let (path, item) = before?.find(name)?;
    // From here on it goes on side by side again.
    if let Some(at) = known.clone().position(|(other, _)| other == path) {
        known.nth(at);
    }
    Some((path, item))
}

/// Why a name cannot be in a tree that Weir takes in.
pub(crate) fn refuse_name(name: &[u8], is_link: bool) -> Option<&'static str> {
    use gix::validate::path::component;
    let Ok(text) = name.to_str() else {
        return Some("the name is not UTF-8: rename it");
    };
    if text.contains(['/', '\\', '\0']) {
        return Some("a name in a tree holds a /, \\ or NUL: rename it");
    }
    if text.chars().any(char::is_control) {
        return Some("the name holds a control character: rename it");
    }
    // Names that only Windows minds (aux, a:b, a.) stay legal: nothing is written to a disk.
    let options = component::Options {
        protect_windows: false,
        protect_hfs: true,
        protect_ntfs: true,
    };
    let mode = is_link.then_some(component::Mode::Symlink);
    match gix::validate::path::component(name.as_bstr(), mode, options) {
        Ok(_) => None,
        Err(component::Error::Empty) => Some("a name in a tree is empty: the commit is malformed"),
        Err(component::Error::Relative) => {
            Some("a name in a tree is . or ..: the commit is malformed")
        }
        Err(component::Error::DotGitDir) => {
            Some("the name means .git on some file system: rename it")
        }
        Err(component::Error::SymlinkedGitModules) => {
            Some(".gitmodules is a symbolic link: make it a file")
        }
        Err(_) => Some("the name is not legal in a Git tree: rename it"),
    }
}

/// Where a walk reads objects from, each checked against its id.
pub(crate) trait Objects {
    /// The bytes of an object of this kind.
    fn read(&self, id: ObjectId, kind: Kind) -> Result<Vec<u8>, ObjectError>;
    /// The size of a blob.
    fn blob_size(&self, id: ObjectId) -> Result<u64, ObjectError>;
}

impl Objects for gix::Repository {
    fn read(&self, id: ObjectId, kind: Kind) -> Result<Vec<u8>, ObjectError> {
        object::read(self, id, kind)
    }
    fn blob_size(&self, id: ObjectId) -> Result<u64, ObjectError> {
        object::blob_size(self, id)
    }
}

pub(crate) struct Walk<'a> {
    repo: &'a dyn Objects,
    url: &'a str,
    limits: TreeLimits,
    /// Entries and directories seen: a tree of empty directories is bounded, too.
    size: DirSize,
}

/// The files of a commit. What an earlier tree has under the same id is not read again.
///
/// # Errors
/// `Damaged` where objects are missing or wrong, `Refused` for what must not be in a tree, `Limit`.
pub(crate) fn tree(
    repo: &dyn Objects,
    url: &str,
    commit: CommitId,
    limits: TreeLimits,
    before: Option<&Tree>,
) -> Result<Tree, SourceError> {
    let mut walk = Walk {
        repo,
        url,
        limits,
        size: DirSize::default(),
    };
    let data = walk.read(commit, Kind::Commit)?;
    let root = gix::objs::CommitRefIter::from_bytes(&data, gix::hash::Kind::Sha1)
        .tree_id()
        .ok()
        .and_then(|id| object::from_gix(&id))
        .ok_or_else(|| walk.damaged(format!("commit {commit} names no tree")))?;
    let before = before.map(Tree::root);
    let root = walk.directory(&RepoPath::root(), root, 0, before)?;
    Ok(Tree::of(Some(commit), root))
}

impl Walk<'_> {
    /// A directory and all below it; `before` is what lay at its path.
    fn directory(
        &mut self,
        dir: &RepoPath,
        id: ObjectId,
        depth: usize,
        before: Option<&Arc<Dir>>,
    ) -> Result<Arc<Dir>, SourceError> {
        if let Some(before) = before.filter(|before| before.id() == Some(id)) {
            self.count(before.size())?;
            return Ok(before.clone());
        }
        if depth > self.limits.depth {
            return Err(self.limit(format!(
                "of {} directories inside each other ({dir})",
                self.limits.depth
            )));
        }
        let data = self.read(id, Kind::Tree)?;
        let lines = lines(&data, self.limits.files)
            .ok_or_else(|| self.damaged(format!("tree {id} ({dir}) cannot be parsed")))?;
        let begun = self.size;
        let mut items = Vec::with_capacity(lines.len());
        let mut names = HashSet::with_capacity(lines.len());
        // Both are in Git's order, so that what lay here under the same name mostly comes next.
        let mut known = before.map_or(&[][..], |before| before.items()).iter();
        for line in lines {
            if !names.insert(line.name) {
                let (path, _) = accept(dir, &line)?;
                return Err(refused(
                    path.as_str(),
                    "the name is in its directory twice: the commit is malformed",
                ));
            }
            let was = next_of(&mut known, before, line.name);
            if let Some((path, item)) = was.filter(|(_, item)| line.is(item)) {
                self.count(size_of(item))?;
                items.push((path.clone(), item.clone()));
                continue;
            }
            self.count(ONE)?;
            let (path, mode) = accept(dir, &line)?;
            let item = match mode {
                Mode::Dir => {
                    let was = was.and_then(|(_, item)| match item {
                        Item::Dir(dir) => Some(dir),
                        Item::Entry(_) => None,
                    });
                    Item::Dir(self.directory(&path, line.id, depth + 1, was)?)
                }
                Mode::File { executable } => Item::Entry(self.file(&path, line.id, executable)?),
                Mode::Link => Item::Entry(self.link(&path, line.id)?),
                Mode::Submodule => Item::Entry(Entry::Submodule { id: line.id }),
            };
            items.push((path, item));
        }
        let size = DirSize {
            entries: self.size.entries - begun.entries,
            bytes: self.size.bytes - begun.bytes,
        };
        Ok(Arc::new(Dir::new(Some(id), items, size)))
    }

    fn count(&mut self, more: DirSize) -> Result<(), SourceError> {
        let DirSize { entries, bytes } = &mut self.size;
        *entries = entries.saturating_add(more.entries);
        *bytes = bytes.saturating_add(more.bytes);
        if *entries > self.limits.files {
            return Err(self.limit(format!(
                "of {} files and directories in one commit",
                self.limits.files
            )));
        }
        if *bytes > self.limits.bytes {
            return Err(self.limit(format!("of {} bytes in one commit", self.limits.bytes)));
        }
        Ok(())
    }

    fn file(
        &mut self,
        path: &RepoPath,
        id: ObjectId,
        executable: bool,
    ) -> Result<Entry, SourceError> {
        let size = self
            .repo
            .blob_size(id)
            .map_err(|e| self.object(id, path, &e))?;
        self.count(DirSize {
            entries: 0,
            bytes: size,
        })?;
        Ok(Entry::File {
            id,
            size,
            executable,
        })
    }

    fn link(&self, path: &RepoPath, id: ObjectId) -> Result<Entry, SourceError> {
        let size = self
            .repo
            .blob_size(id)
            .map_err(|e| self.object(id, path, &e))?;
        if size > MAX_LINK {
            return Err(refused(
                path.as_str(),
                "the symbolic link is longer than 4096 bytes",
            ));
        }
        let bytes = self
            .repo
            .read(id, Kind::Blob)
            .map_err(|e| self.object(id, path, &e))?;
        let target = link_text(path, bytes)?;
        Ok(Entry::Symlink { id, target })
    }

    fn read(&self, id: ObjectId, kind: Kind) -> Result<Vec<u8>, SourceError> {
        self.repo.read(id, kind).map_err(|e| match e {
            ObjectError::Collision => self.collision(format!("object {id}")),
            e => self.damaged(e.text(id)),
        })
    }

    fn object(&self, id: ObjectId, path: &RepoPath, error: &ObjectError) -> SourceError {
        match error {
            ObjectError::Collision => self.collision(format!("object {id}, {path}")),
            e => self.damaged(format!("{} ({path})", e.text(id))),
        }
    }

    fn collision(&self, what: String) -> SourceError {
        SourceError::Collision {
            url: self.url.to_owned(),
            what,
        }
    }

    fn damaged(&self, why: String) -> SourceError {
        SourceError::Damaged {
            url: self.url.to_owned(),
            why,
        }
    }

    fn limit(&self, which: String) -> SourceError {
        SourceError::Limit {
            url: self.url.to_owned(),
            which,
        }
    }
}

/// A symbolic link's bytes as text.
pub(crate) fn link_text(path: &RepoPath, bytes: Vec<u8>) -> Result<String, SourceError> {
    String::from_utf8(bytes)
        .ok()
        .filter(|t| !t.is_empty() && !t.contains('\0'))
        .ok_or_else(|| {
            refused(
                path.as_str(),
                "the symbolic link is empty or not UTF-8: make it a relative path",
            )
        })
}

fn accept(dir: &RepoPath, line: &Line<'_>) -> Result<(RepoPath, Mode), SourceError> {
    let shown = || {
        let name = line.name.as_bstr();
        if dir.is_root() {
            format!("{name:?}")
        } else {
            format!("{:?}", format!("{dir}/{name}"))
        }
    };
    let Some(mode) = Mode::parse(line.mode) else {
        let mode = printable(&line.mode.to_str_lossy());
        let why = format!(
            "mode {mode} is not one of 100644, 100755, 120000, 40000 and 160000: the commit is malformed"
        );
        return Err(refused(&shown(), why));
    };
    if let Some(why) = refuse_name(line.name, mode == Mode::Link) {
        return Err(refused(&shown(), why));
    }
    let name = line
        .name
        .to_str()
        .map_err(|_| refused(&shown(), "the name is not UTF-8: rename it"))?;
    let path = dir.join(name).map_err(|e| refused(&shown(), e.why))?;
    Ok((path, mode))
}

pub(crate) fn refused(path: &str, why: impl Into<String>) -> SourceError {
    SourceError::Refused {
        path: printable(path),
        why: why.into(),
    }
}
