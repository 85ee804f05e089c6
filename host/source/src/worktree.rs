//! The files of a local work tree, or of any folder, as they are on disk: for `weir render --worktree` and `weir plugin`.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, DirEntry, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use gix::bstr::ByteSlice as _;
use gix::objs::Kind;
use weir_core::digest::ObjectId;
use weir_core::name::RepoPath;
use weir_core::tree::{Entry, MemoryBlobs, Snapshot, Tree, TreeLimits};

use crate::error::SourceError;
use crate::object;
use crate::snapshot::{MAX_LINK, link_text, refuse_name, refused};

/// What Git's index says is tracked.
#[derive(Default)]
struct Tracked {
    files: HashSet<RepoPath>,
    /// Directories with something tracked below: looked into even where they are ignored.
    dirs: HashSet<RepoPath>,
    submodules: BTreeMap<RepoPath, ObjectId>,
}

struct Walk<'a> {
    url: &'a str,
    limits: TreeLimits,
    tracked: Tracked,
    /// None where it is no repository's: nothing is ignored there.
    ignored: Option<gix::AttributeStack<'a>>,
    entries: BTreeMap<RepoPath, Entry>,
    blobs: MemoryBlobs,
    seen: usize,
    bytes: u64,
}

/// The files on disk that are tracked, or neither tracked nor ignored. Content is taken as it is: no filters, no line
/// ends changed. All of it is held in memory.
pub(crate) fn snapshot(
    repo: &gix::Repository,
    url: &str,
    limits: TreeLimits,
) -> Result<Snapshot, SourceError> {
    let root = repo.workdir().ok_or_else(|| SourceError::BadUrl {
        url: url.to_owned(),
        why:
            "it has no work tree: only a local, non-bare repository can be rendered with --worktree"
                .into(),
    })?;
    let index = repo.index_or_empty().map_err(|e| damaged(url, &e))?;
    let source = gix::worktree::stack::state::ignore::Source::WorktreeThenIdMappingIfNotSkipped;
    let ignored = repo
        .excludes(&index, None, source)
        .map_err(|e| damaged(url, &e))?;
    Walk::of(url, limits, tracked(&index)?, Some(ignored)).snapshot(root)
}

/// All files of a folder, a repository or not, as if they were a commit's. They are held in memory.
///
/// # Errors
/// It cannot be read, passes a limit, or holds a name that Git's trees cannot hold.
pub fn folder(dir: &Path, limits: TreeLimits) -> Result<Snapshot, SourceError> {
    let shown = dir.display().to_string();
    Walk::of(&shown, limits, Tracked::default(), None).snapshot(dir)
}

impl<'a> Walk<'a> {
    fn of(
        url: &'a str,
        limits: TreeLimits,
        tracked: Tracked,
        ignored: Option<gix::AttributeStack<'a>>,
    ) -> Walk<'a> {
        Walk {
            url,
            limits,
            tracked,
            ignored,
            entries: BTreeMap::new(),
            blobs: MemoryBlobs::default(),
            seen: 0,
            bytes: 0,
        }
    }

    fn snapshot(mut self, root: &Path) -> Result<Snapshot, SourceError> {
        self.directories(root)?;
        let tree = Tree::new(None, self.entries)
            .map_err(|p| refused(p.as_str(), "it is a file and a directory at once"))?;
        Ok(Snapshot {
            tree: Arc::new(tree),
            blobs: Arc::new(self.blobs),
            limits: self.limits,
            externals: Default::default(),
        })
    }
}

fn damaged(url: &str, error: &gix::Error) -> SourceError {
    SourceError::Damaged {
        url: url.to_owned(),
        why: object::causes(error),
    }
}

fn tracked(index: &gix::index::State) -> Result<Tracked, SourceError> {
    let mut tracked = Tracked {
        files: HashSet::new(),
        dirs: HashSet::new(),
        submodules: BTreeMap::new(),
    };
    for entry in index.entries() {
        let shown = || format!("{:?}", entry.path(index));
        let text = entry
            .path(index)
            .to_str()
            .map_err(|_| refused(&shown(), "the name is not UTF-8: rename it"))?;
        let path: RepoPath = text
            .parse()
            .map_err(|_| refused(&shown(), "not a path: the index is malformed"))?;
        let mut dir = path.parent();
        while let Some(d) = dir.filter(|d| !tracked.dirs.contains(d)) {
            dir = d.parent();
            tracked.dirs.insert(d);
        }
        if entry.mode == gix::index::entry::Mode::COMMIT {
            let id = object::from_gix(&entry.id)
                .ok_or_else(|| refused(&shown(), "not a SHA-1 commit"))?;
            tracked.submodules.insert(path, id);
        } else {
            tracked.files.insert(path);
        }
    }
    Ok(tracked)
}

impl Walk<'_> {
    fn directories(&mut self, root: &Path) -> Result<(), SourceError> {
        let mut open = vec![(RepoPath::root(), 0)];
        while let Some((dir, depth)) = open.pop() {
            if depth > self.limits.depth {
                return Err(self.limit(format!(
                    "of {} directories inside each other ({dir})",
                    self.limits.depth
                )));
            }
            let on_disk = root.join(dir.as_str());
            let list = || fs::read_dir(&on_disk)?.collect::<io::Result<Vec<_>>>();
            for entry in list()
                .map_err(|e| SourceError::host(format!("reading {}", on_disk.display()), e))?
            {
                if let Some(below) = self.entry(&dir, &entry)? {
                    open.push((below, depth + 1));
                }
            }
        }
        Ok(())
    }

    /// Takes in one entry; answers the directory that is to be looked into.
    fn entry(&mut self, dir: &RepoPath, entry: &DirEntry) -> Result<Option<RepoPath>, SourceError> {
        let on_disk = entry.path();
        let meta = fs::symlink_metadata(&on_disk).map_err(|e| host(&on_disk, e))?;
        let name = entry.file_name();
        if name == ".git" {
            return Ok(None);
        }
        let shown = || format!("{:?}", on_disk.display().to_string());
        if let Some(why) = refuse_name(name.as_bytes(), meta.is_symlink()) {
            return Err(refused(&shown(), why));
        }
        let name = name
            .to_str()
            .ok_or_else(|| refused(&shown(), "the name is not UTF-8: rename it"))?;
        let path = dir.join(name).map_err(|e| refused(&shown(), e.why))?;
        if let Some(id) = self.tracked.submodules.get(&path) {
            let id = *id;
            self.entries.insert(path, Entry::Submodule { id });
            return Ok(None);
        }
        let known = if meta.is_dir() {
            self.tracked.dirs.contains(&path)
        } else {
            self.tracked.files.contains(&path)
        };
        if !known && self.is_ignored(&path, meta.is_dir())? {
            return Ok(None);
        }
        self.seen += 1;
        if self.seen > self.limits.files {
            return Err(self.limit(format!(
                "of {} files and directories in one work tree",
                self.limits.files
            )));
        }
        self.take(path, &on_disk, &meta)
    }

    fn take(
        &mut self,
        path: RepoPath,
        on_disk: &Path,
        meta: &Metadata,
    ) -> Result<Option<RepoPath>, SourceError> {
        if meta.is_dir() {
            // A repository inside, not tracked: its files are not this one's, and what it stands for is not known.
            if on_disk.join(".git").symlink_metadata().is_ok() {
                return Err(refused(
                    path.as_str(),
                    "a Git repository inside this one: add it as a submodule or ignore it",
                ));
            }
            return Ok(Some(path));
        }
        if meta.is_symlink() {
            let bytes = fs::read_link(on_disk)
                .map_err(|e| host(on_disk, e))?
                .as_os_str()
                .as_bytes()
                .to_vec();
            if bytes.len() as u64 > MAX_LINK {
                return Err(refused(
                    path.as_str(),
                    "the symbolic link is longer than 4096 bytes",
                ));
            }
            let id = self.hash(&bytes)?;
            self.blobs.insert(id, bytes.clone());
            let target = link_text(&path, bytes)?;
            self.entries.insert(path, Entry::Symlink { id, target });
        } else if meta.is_file() {
            let bytes = self.read(on_disk)?;
            let (id, size) = (self.hash(&bytes)?, bytes.len() as u64);
            let executable = meta.permissions().mode() & 0o100 != 0;
            if size <= self.limits.file_bytes {
                self.blobs.insert(id, bytes);
            }
            self.entries.insert(
                path,
                Entry::File {
                    id,
                    size,
                    executable,
                },
            );
        }
        // Sockets, pipes and devices are nothing that Git can hold.
        Ok(None)
    }

    fn read(&mut self, on_disk: &Path) -> Result<Vec<u8>, SourceError> {
        use io::Read as _;
        let left = self.limits.bytes - self.bytes;
        let mut bytes = Vec::new();
        let file = fs::File::open(on_disk).map_err(|e| host(on_disk, e))?;
        file.take(left.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(|e| host(on_disk, e))?;
        if bytes.len() as u64 > left {
            return Err(self.limit(format!("of {} bytes in one work tree", self.limits.bytes)));
        }
        self.bytes += bytes.len() as u64;
        Ok(bytes)
    }

    fn hash(&self, bytes: &[u8]) -> Result<ObjectId, SourceError> {
        let hash = gix::objs::compute_hash(gix::hash::Kind::Sha1, Kind::Blob, bytes)
            .map_err(|e| damaged(self.url, &e))?;
        object::from_gix(&hash).ok_or_else(|| SourceError::Damaged {
            url: self.url.to_owned(),
            why: "not SHA-1".into(),
        })
    }

    fn is_ignored(&mut self, path: &RepoPath, is_dir: bool) -> Result<bool, SourceError> {
        use gix::index::entry::Mode;
        let mode = if is_dir { Mode::DIR } else { Mode::FILE };
        let Some(ignored) = &mut self.ignored else {
            return Ok(false);
        };
        let platform = ignored.at_path(path.as_str(), Some(mode));
        Ok(platform
            .map_err(|e| {
                SourceError::host(
                    format!("reading the .gitignore for {path}"),
                    io::Error::other(e.to_string()),
                )
            })?
            .is_excluded())
    }

    fn limit(&self, which: String) -> SourceError {
        SourceError::Limit {
            url: self.url.to_owned(),
            which,
        }
    }
}

fn host(path: &Path, e: io::Error) -> SourceError {
    SourceError::host(format!("reading {}", path.display()), e)
}
