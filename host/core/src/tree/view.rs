//! A tree as one app may see it: inside its roots, links followed inside the tree, every read recorded.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::reads::{Answer, Question, ReadSet};
use super::watch::{Trail, Watch, straight_down};
use super::{BlobError, Blobs, Entry, Snapshot, Unavailable};
use crate::digest::{BlobId, Digest};
use crate::external::EXTERNALS_DIR;
use crate::fault::{Blame, Fault, Retry};
use crate::name::RepoPath;

/// How many links one path may go through.
const MAX_LINKS: usize = 16;
/// A Git LFS pointer is smaller than this and starts with [`LFS_START`] (git-lfs specification).
const LFS_POINTER_MAX: usize = 1024;
const LFS_START: &[u8] = b"version https://git-lfs.github.com/spec/";

/// One entry of a directory, links already followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    /// The last part of the path.
    pub name: String,
    /// The file's blob; `None` for a directory.
    pub file: Option<BlobId>,
    /// Bytes; 0 for a directory.
    pub size: u64,
    /// Whether the file is executable.
    pub executable: bool,
}

impl DirEntry {
    fn directory(name: &str) -> DirEntry {
        DirEntry {
            name: name.to_owned(),
            file: None,
            size: 0,
            executable: false,
        }
    }
}

/// Why a path cannot be read. The first four are ordinary answers that a plugin may handle; the rest end the call.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    /// Nothing there, or outside the roots: the two look the same.
    #[error("{0}: no such file in the app's roots")]
    NotFound(RepoPath),
    /// A file where a directory was asked for.
    #[error("{0}: not a directory")]
    NotADirectory(RepoPath),
    /// A directory where a file was asked for.
    #[error("{0}: is a directory")]
    IsADirectory(RepoPath),
    /// Not a path of the tree's form.
    #[error("{0:?}: not a path inside the repository")]
    InvalidPath(String),
    /// The file's bytes are elsewhere.
    #[error(
        "{0}: is a Git LFS pointer, not the file itself; Weir reads Git objects only: commit the file without LFS, or leave it out of the app's roots"
    )]
    LfsPointer(RepoPath),
    /// The files are in another repository.
    #[error(
        "{0}: is a submodule; Weir reads one repository at a time: copy the files in, or leave it out of the app's roots"
    )]
    Submodule(RepoPath),
    /// The file is larger than the host allows.
    #[error("{path}: {size} bytes; at most {limit} may be read (limit: file size)")]
    TooLarge {
        /// The file.
        path: RepoPath,
        /// Its size in bytes.
        size: u64,
        /// The host's limit in bytes.
        limit: u64,
    },
    /// The object database failed.
    #[error("{path}: its blob could not be read: {source}")]
    Blob {
        /// The file.
        path: RepoPath,
        /// What happened.
        source: BlobError,
    },
    /// A locked external that this host could not get.
    #[error("{}", .0.why)]
    External(Unavailable),
}

impl ReadError {
    /// Whether a plugin may see this and go on; otherwise the call ends.
    pub fn is_answer(&self) -> bool {
        use ReadError::{InvalidPath, IsADirectory, NotADirectory, NotFound};
        matches!(
            self,
            NotFound(_) | NotADirectory(_) | IsADirectory(_) | InvalidPath(_)
        )
    }
}

impl Blame for ReadError {
    fn fault(&self) -> Fault {
        match self {
            ReadError::Blob { .. } => Fault::Host,
            ReadError::External(e) => e.fault,
            _ => Fault::Repository,
        }
    }
    fn retry(&self) -> Retry {
        match self {
            ReadError::Blob { .. } => Retry::Backoff,
            ReadError::External(e) => e.retry,
            _ => Retry::OnChange,
        }
    }
}

/// A snapshot inside an app's roots. It records what is read through it.
pub struct View {
    snapshot: Snapshot,
    roots: Vec<RepoPath>,
    everything: [RepoPath; 1],
    read_set: ReadSet,
}

/// Where a path is looked for: in the repository inside the app's roots, or in an external, of which all is seen.
struct Place<'a> {
    snapshot: &'a Snapshot,
    roots: &'a [RepoPath],
    /// Below this the snapshot's own paths lie.
    base: Option<String>,
    path: RepoPath,
}

/// A file that was found.
struct File {
    /// Where, as the view's reader knows it.
    real: RepoPath,
    id: BlobId,
    blobs: Arc<dyn Blobs>,
}

/// Where a path leads once links are followed.
enum Found<'a> {
    Entry(RepoPath, &'a Entry),
    Directory(RepoPath),
}

impl View {
    /// A view inside `roots`. No root at all shows nothing.
    pub fn new(snapshot: Snapshot, roots: Vec<RepoPath>) -> View {
        View {
            snapshot,
            roots,
            everything: [RepoPath::root()],
            read_set: ReadSet::default(),
        }
    }

    /// What was read so far.
    pub fn into_read_set(self) -> ReadSet {
        self.read_set
    }

    /// One file's bytes.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn read(&mut self, path: &str) -> Result<Arc<[u8]>, ReadError> {
        let asked = parse(path)?;
        let found = self.file(&asked);
        self.keep(
            Question::Read,
            &asked,
            found.as_ref().map(|file| Answer::File(file.id)),
        )?;
        let File { real, id, blobs } = found?;
        let bytes = blobs.read(id).map_err(|source| ReadError::Blob {
            path: real.clone(),
            source,
        })?;
        if bytes.len() < LFS_POINTER_MAX && bytes.starts_with(LFS_START) {
            return Err(ReadError::LfsPointer(real));
        }
        Ok(bytes)
    }

    /// The entries of a directory, sorted by name. Links that lead nowhere inside the roots are left out. What walks
    /// down from the root meets no externals: only who asks for their folder finds them in it.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn entries(&mut self, dir: &str) -> Result<Vec<DirEntry>, ReadError> {
        let asked = parse(dir)?;
        let found = self.listing(&asked);
        let answer = found
            .as_ref()
            .map(|list| Answer::Listing(listing_digest(list)));
        self.keep(Question::List, &asked, answer)?;
        found
    }

    /// What a question is answered with here, without its bytes and without keeping it.
    ///
    /// # Errors
    /// What would end the call.
    pub fn answer(&self, question: Question, path: &RepoPath) -> Result<Answer, ReadError> {
        let answer = match question {
            Question::Read => self.file(path).map(|file| Answer::File(file.id)),
            Question::List => self
                .listing(path)
                .map(|list| Answer::Listing(listing_digest(&list))),
        };
        match answer {
            Ok(answer) => Ok(answer),
            Err(e) => Answer::refused(&e).ok_or(e),
        }
    }

    /// What the answers of a read set depend on, as far as they are given here; `None` where one of them would end a call.
    pub fn watches(&self, reads: &ReadSet) -> Option<BTreeSet<Watch>> {
        let mut all = BTreeSet::new();
        for (question, path, _) in reads.iter() {
            let mut trail = Trail(Some(Vec::new()));
            let place = match self.place(path) {
                Ok(Some(place)) if place.base.is_none() && path.as_str() != EXTERNALS_DIR => place,
                _ => {
                    all.insert(Watch::Externals);
                    continue;
                }
            };
            match (place.find(&place.path, &mut trail).ok()?, question) {
                (Some(Found::Directory(real)), Question::List) => {
                    place.list(&real, &mut trail).ok()?;
                }
                // That it is no directory is all that was told.
                (Some(Found::Entry(real, _)), Question::List) => {
                    let Trail(Some(watches)) = &mut trail else {
                        continue;
                    };
                    watches.pop();
                    watches.push(Watch::Kind(real));
                }
                (Some(Found::Directory(_) | Found::Entry(..)) | None, _) => {}
            }
            all.extend(trail.0.into_iter().flatten());
        }
        Some(all)
    }

    /// Keeps a question with its answer, which may be that there is nothing.
    ///
    /// # Errors
    /// What would end the call.
    fn keep(
        &mut self,
        question: Question,
        path: &RepoPath,
        answer: Result<Answer, &ReadError>,
    ) -> Result<(), ReadError> {
        let answer = match answer {
            Ok(answer) => answer,
            Err(e) => Answer::refused(e).ok_or_else(|| e.clone())?,
        };
        self.read_set.keep(question, path.clone(), answer);
        Ok(())
    }

    /// Where a file is and what is in it.
    fn file(&self, asked: &RepoPath) -> Result<File, ReadError> {
        let absent = || ReadError::NotFound(asked.clone());
        let place = self.place(asked)?.ok_or_else(absent)?;
        let (real, id, size) = match place.find(&place.path, &mut Trail::none())? {
            Some(Found::Entry(real, Entry::File { id, size, .. })) => {
                (place.shown(&real), *id, *size)
            }
            Some(Found::Directory(_)) => return Err(ReadError::IsADirectory(asked.clone())),
            Some(Found::Entry(..)) | None => return Err(absent()),
        };
        let limit = place.snapshot.limits.file_bytes;
        if size > limit {
            return Err(ReadError::TooLarge {
                path: real,
                size,
                limit,
            });
        }
        let blobs = place.snapshot.blobs.clone();
        Ok(File { real, id, blobs })
    }

    fn listing(&self, asked: &RepoPath) -> Result<Vec<DirEntry>, ReadError> {
        let absent = || ReadError::NotFound(asked.clone());
        if asked.as_str() == EXTERNALS_DIR {
            let names = self.snapshot.externals.names();
            let out: Vec<DirEntry> = names.map(DirEntry::directory).collect();
            return if out.is_empty() {
                Err(absent())
            } else {
                Ok(out)
            };
        }
        let place = self.place(asked)?.ok_or_else(absent)?;
        let real = match place.find(&place.path, &mut Trail::none())? {
            Some(Found::Directory(real)) => real,
            Some(Found::Entry(..)) => return Err(ReadError::NotADirectory(asked.clone())),
            None => return Err(absent()),
        };
        place.list(&real, &mut Trail::none())
    }

    /// Where to look for a path; `None` for an external that is not shown.
    fn place(&self, asked: &RepoPath) -> Result<Option<Place<'_>>, ReadError> {
        let below = asked.as_str().strip_prefix(EXTERNALS_DIR);
        let Some(below) = below.and_then(|rest| rest.strip_prefix('/')) else {
            return Ok(Some(Place {
                snapshot: &self.snapshot,
                roots: &self.roots,
                base: None,
                path: asked.clone(),
            }));
        };
        let (name, path) = below.split_once('/').unwrap_or((below, ""));
        match self.snapshot.externals.look(name) {
            Some(Ok(snapshot)) => Ok(Some(Place {
                snapshot,
                roots: &self.everything,
                base: Some(format!("{EXTERNALS_DIR}/{name}")),
                path: parse(path)?,
            })),
            Some(Err(why)) => Err(ReadError::External(why.clone())),
            None => Ok(None),
        }
    }
}

impl<'a> Place<'a> {
    /// A path of the snapshot as the view's reader knows it.
    fn shown(&self, path: &RepoPath) -> RepoPath {
        match &self.base {
            Some(base) => format!("{base}/{}", path.as_str())
                .parse()
                .unwrap_or_else(|_| path.clone()),
            None => path.clone(),
        }
    }

    /// The entries of a directory, sorted by name.
    fn list(&self, real: &RepoPath, trail: &mut Trail) -> Result<Vec<DirEntry>, ReadError> {
        trail.see(|| Watch::Items(real.clone()));
        let dir = self.snapshot.tree.dir(real);
        let names: BTreeSet<&str> = dir
            .into_iter()
            .flat_map(|dir| dir.items().iter().filter_map(|(path, _)| path.name()))
            .collect();
        let mut out = Vec::with_capacity(names.len());
        for name in names {
            let path = real
                .join(name)
                .map_err(|_| ReadError::InvalidPath(name.to_owned()))?;
            // Only a link leads elsewhere: all else is an item of this directory.
            let is_link = matches!(self.snapshot.tree.get(&path), Some(Entry::Symlink { .. }));
            let found = match is_link {
                true => self.find(&path, trail)?,
                false => self.find(&path, &mut Trail::none())?,
            };
            let (file, size, executable) = match found {
                Some(Found::Entry(
                    _,
                    Entry::File {
                        id,
                        size,
                        executable,
                    },
                )) => (Some(*id), *size, *executable),
                Some(Found::Directory(_)) => (None, 0, false),
                Some(Found::Entry(..)) | None => continue,
            };
            out.push(DirEntry {
                name: name.to_owned(),
                file,
                size,
                executable,
            });
        }
        Ok(out)
    }

    /// Follows links part by part, inside the tree only. What lies outside the roots is not there, except
    /// that a directory above a root leads to it. A submodule inside the roots is an error.
    fn find(&self, asked: &RepoPath, trail: &mut Trail) -> Result<Option<Found<'a>>, ReadError> {
        let tree = &self.snapshot.tree;
        let mut links = 0;
        let mut rest: Vec<String> = asked.parts().rev().map(str::to_owned).collect();
        let mut at = RepoPath::root();
        while let Some(part) = rest.pop() {
            if part == ".." {
                let Some(up) = at.parent() else {
                    return Ok(None);
                };
                at = up;
                continue;
            }
            let Ok(next) = at.join(&part) else {
                return Ok(None);
            };
            match tree.get(&next) {
                Some(Entry::Symlink { target, .. }) => {
                    trail.see(|| Watch::Content(next.clone()));
                    links += 1;
                    if links > MAX_LINKS || target.starts_with('/') {
                        return Ok(None);
                    }
                    rest.extend(
                        target
                            .split('/')
                            .rev()
                            .filter(|p| !p.is_empty() && *p != ".")
                            .map(str::to_owned),
                    );
                    continue;
                }
                Some(Entry::Submodule { .. }) if self.allows(&next) => {
                    return Err(ReadError::Submodule(self.shown(&next)));
                }
                Some(entry) if rest.is_empty() => {
                    trail.see(|| self.content(next.clone()));
                    return Ok(self.allows(&next).then_some(Found::Entry(next, entry)));
                }
                None if tree.is_dir(&next) => at = next,
                Some(_) | None => {
                    trail.see(|| match straight_down(&next, &rest) {
                        Some(end) => self.content(end),
                        None => Watch::Content(next),
                    });
                    return Ok(None);
                }
            }
        }
        trail.see(|| Watch::Kind(at.clone()));
        let leads_to_root = self.roots.iter().any(|root| root.is_within(&at));
        Ok((self.allows(&at) || leads_to_root).then_some(Found::Directory(at)))
    }

    /// What matters of what lies at the end of a path: outside the roots it is not seen, whatever it is, but for a link.
    fn content(&self, path: RepoPath) -> Watch {
        let leads_to_root = || self.roots.iter().any(|root| root.is_within(&path));
        match self.allows(&path) || leads_to_root() {
            true => Watch::Content(path),
            false => Watch::Link(path),
        }
    }

    fn allows(&self, path: &RepoPath) -> bool {
        self.roots.iter().any(|root| path.is_within(root))
    }
}

fn parse(path: &str) -> Result<RepoPath, ReadError> {
    path.parse()
        .map_err(|_| ReadError::InvalidPath(path.chars().take(200).collect()))
}

fn listing_digest(entries: &[DirEntry]) -> Digest {
    let mut digest = Digest::builder();
    for e in entries {
        digest.part(e.name.as_bytes());
        digest.part(e.file.as_ref().map_or(&[][..], |id| id.as_bytes()));
        digest.part(&[u8::from(e.executable)]);
    }
    digest.finish()
}
