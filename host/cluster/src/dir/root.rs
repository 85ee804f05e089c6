//! The directory and what Weir does in it: every step down is an `openat` that follows no symbolic link, so
//! nothing outside can be read or written.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, Dir, FileType, FlockOperation, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use weir_core::digest::Digest;

use super::layout::Place;
use crate::error::TargetError;

/// How a file that is being written begins; 32 hex digits follow.
const TEMPORARY: &str = ".weir-tmp-";
/// How long to wait between two tries for the lock.
const LOCK_POLL: Duration = Duration::from_millis(10);

const FOLDER: OFlags = OFlags::DIRECTORY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// An open root directory.
pub(super) struct Root {
    fd: OwnedFd,
    path: PathBuf,
    file_bytes: u64,
}

/// The right to write below the root. Released when dropped.
pub(super) struct WriteLock {
    _file: OwnedFd,
}

impl Root {
    /// Opens the directory, which is made when it is missing. The root itself may be reached through links:
    /// it is the operator's to choose.
    pub(super) fn open(path: &Path, file_bytes: u64) -> Result<Root, TargetError> {
        let failed = |act, source| TargetError::Io {
            act,
            path: path.to_owned(),
            source,
        };
        let not_directory = || TargetError::Root {
            root: path.to_owned(),
            found: "no directory",
        };
        match std::fs::create_dir_all(path) {
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory
                ) =>
            {
                return Err(not_directory());
            }
            Err(e) => return Err(failed("make", e)),
            Ok(()) => {}
        }
        let fd = match rustix::fs::open(path, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOTDIR) => return Err(not_directory()),
            Err(e) => return Err(failed("open", e.into())),
        };
        Ok(Root {
            fd,
            path: path.to_owned(),
            file_bytes,
        })
    }

    /// The root's path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The right to write, waited for at most this long.
    pub(super) fn lock(&self, wait: Duration) -> Result<WriteLock, TargetError> {
        // An own open file: two targets in one process exclude each other, too.
        let file = rustix::fs::openat(&self.fd, ".", FOLDER, Mode::empty())
            .map_err(|e| self.io("open", self.path.clone(), e))?;
        let start = Instant::now();
        loop {
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(WriteLock { _file: file }),
                Err(Errno::WOULDBLOCK) if start.elapsed() < wait => std::thread::sleep(LOCK_POLL),
                Err(Errno::WOULDBLOCK) => {
                    return Err(TargetError::Busy {
                        root: self.path.clone(),
                    });
                }
                Err(e) => return Err(self.io("lock", self.path.clone(), e)),
            }
        }
    }

    /// The digest of what lies at a place; `None` when nothing does.
    pub(super) fn read(&self, place: &Place) -> Result<Option<Digest>, TargetError> {
        Ok(self.content(place)?.map(|bytes| Digest::of(&bytes)))
    }

    /// What lies at a place; `None` when nothing does.
    pub(super) fn content(&self, place: &Place) -> Result<Option<Vec<u8>>, TargetError> {
        let Some(folder) = self.folder(place)? else {
            return Ok(None);
        };
        let path = || place.under(&self.path);
        // NONBLOCK: opening a pipe must not wait for its other end.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&folder, &place.file, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP) => return Err(foreign(path(), "a symbolic link", "a file")),
            Err(Errno::NXIO) => return Err(foreign(path(), "a socket", "a file")),
            Err(e) => return Err(self.io("read", path(), e)),
        };
        let metadata = file.metadata().map_err(|e| self.io("read", path(), e))?;
        if !metadata.is_file() {
            let found = if metadata.is_dir() {
                "a directory"
            } else {
                "a pipe or a device"
            };
            return Err(foreign(path(), found, "a file"));
        }
        let limit = self.file_bytes;
        let mut bytes = Vec::new();
        file.take(limit.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(|e| self.io("read", path(), e))?;
        if bytes.len() as u64 > limit {
            return Err(TargetError::TooLarge {
                path: path(),
                size: metadata.len(),
                limit,
            });
        }
        Ok(Some(bytes))
    }

    /// Writes a temporary file beside a place and gives its name. Makes the folders. `private` keeps other
    /// users out; `sync` makes the content durable at once.
    pub(super) fn stage(
        &self,
        place: &Place,
        bytes: &[u8],
        private: bool,
        sync: bool,
    ) -> Result<String, TargetError> {
        let folder = self.make_folder(place)?;
        let mut random = [0; 16];
        let path = || place.under(&self.path);
        getrandom::fill(&mut random)
            .map_err(|e| self.io("get random bytes for", path(), io::Error::other(e)))?;
        let name = format!("{TEMPORARY}{}", hex::encode(random));
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = if private {
            Mode::from(0o600)
        } else {
            Mode::from(0o644)
        };
        let file = rustix::fs::openat(&folder, &name, flags, mode)
            .map_err(|e| self.io("write", path(), e))?;
        let mut file = File::from(file);
        let wrote = file
            .write_all(bytes)
            .and_then(|()| if sync { file.sync_all() } else { Ok(()) });
        wrote.map(|()| name.clone()).map_err(|e| {
            self.discard(place, &name);
            self.io("write", path(), e)
        })
    }

    /// Gives a staged file its name, only if nothing has it.
    pub(super) fn publish_new(&self, place: &Place, staged: &str) -> Result<(), TargetError> {
        let folder = self.existing_folder(place)?;
        let moved = rustix::fs::renameat_with(
            &folder,
            staged,
            &folder,
            &place.file,
            RenameFlags::NOREPLACE,
        );
        let moved = match moved {
            // The file system does not know this flag: a hard link never replaces, either.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                rustix::fs::linkat(&folder, staged, &folder, &place.file, AtFlags::empty())
                    .and_then(|()| rustix::fs::unlinkat(&folder, staged, AtFlags::empty()))
            }
            other => other,
        };
        match moved {
            Ok(()) => Ok(()),
            Err(Errno::EXIST) => Err(TargetError::Taken {
                path: place.under(&self.path),
            }),
            Err(e) => Err(self.io("write", place.under(&self.path), e)),
        }
    }

    /// Gives a staged file the name of one that is still what was seen.
    pub(super) fn publish_over(
        &self,
        place: &Place,
        staged: &str,
        seen: &str,
    ) -> Result<(), TargetError> {
        self.expect(place, seen)?;
        let folder = self.existing_folder(place)?;
        rustix::fs::renameat(&folder, staged, &folder, &place.file)
            .map_err(|e| self.io("write", place.under(&self.path), e))
    }

    /// Removes a file that is still what was seen; whether it was there.
    pub(super) fn remove(&self, place: &Place, seen: &str) -> Result<bool, TargetError> {
        if self.read(place)?.is_none() {
            return Ok(false);
        }
        self.expect(place, seen)?;
        let folder = self.existing_folder(place)?;
        match rustix::fs::unlinkat(&folder, &place.file, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(e) => Err(self.io("remove", place.under(&self.path), e)),
        }
    }

    /// Checks that a file is still what was seen.
    pub(super) fn expect(&self, place: &Place, seen: &str) -> Result<(), TargetError> {
        match self.read(place)? {
            Some(found) if found.to_string() == seen => Ok(()),
            _ => Err(TargetError::Changed {
                path: place.under(&self.path),
            }),
        }
    }

    /// Removes a staged file that will not be published. What stays is swept at the next start.
    pub(super) fn discard(&self, place: &Place, staged: &str) {
        if let Ok(Some(folder)) = self.folder(place) {
            let _ = rustix::fs::unlinkat(&folder, staged, AtFlags::empty());
        }
    }

    /// Removes the folders of a place as far as they are empty.
    pub(super) fn remove_empty_folders(&self, place: &Place) {
        let Ok(space) = self.down(&self.fd, &place.space) else {
            return;
        };
        // A folder that is not empty, or not a folder, is refused by the system: then it stays.
        if rustix::fs::unlinkat(&space, &place.kind, AtFlags::REMOVEDIR).is_ok() {
            let _ = rustix::fs::unlinkat(&self.fd, &place.space, AtFlags::REMOVEDIR);
        }
    }

    /// Makes everything that was written durable, in one go.
    pub(super) fn sync_all(&self) -> Result<(), TargetError> {
        rustix::fs::syncfs(&self.fd)
            .map_err(|e| self.io("write to the disk below", self.path.clone(), e))
    }

    /// Makes the names in a place's folder, and the folders above, durable.
    pub(super) fn sync_folders(&self, place: &Place) -> Result<(), TargetError> {
        let failed = |e| self.io("write to the disk below", self.path.clone(), e);
        if let Some(folder) = self.folder(place)? {
            rustix::fs::fsync(&folder).map_err(failed)?;
        }
        let space = self.down(&self.fd, &place.space).map_err(failed)?;
        rustix::fs::fsync(&space).map_err(failed)?;
        rustix::fs::fsync(&self.fd).map_err(failed)
    }

    /// Removes what a killed run left: regular files with exactly our temporary names, in folders where
    /// objects lie. The caller holds the lock.
    pub(super) fn sweep(&self) -> Result<usize, TargetError> {
        let mut swept = 0;
        for space in self.names(&self.fd, FileType::Directory)? {
            let Ok(space) = self.down(&self.fd, &space) else {
                continue;
            };
            for kind in self.names(&space, FileType::Directory)? {
                let Ok(folder) = self.down(&space, &kind) else {
                    continue;
                };
                for name in self
                    .names(&folder, FileType::RegularFile)?
                    .iter()
                    .filter(|name| is_temporary(name))
                {
                    let removed = rustix::fs::unlinkat(&folder, name, AtFlags::empty());
                    removed.map_err(|e| {
                        self.io("remove a temporary file below", self.path.clone(), e)
                    })?;
                    swept += 1;
                }
            }
        }
        Ok(swept)
    }

    fn names(&self, folder: impl AsFd, kind: FileType) -> Result<Vec<String>, TargetError> {
        let failed = |e| self.io("list a folder below", self.path.clone(), e);
        let mut names = Vec::new();
        for entry in Dir::read_from(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let Ok(name) = entry.file_name().to_str() else {
                continue;
            };
            if name != "." && name != ".." && entry.file_type() == kind {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    fn down(&self, above: impl AsFd, name: &str) -> rustix::io::Result<OwnedFd> {
        rustix::fs::openat(above, name, FOLDER, Mode::empty())
    }

    /// The folder of a place; `None` when it is not there.
    fn folder(&self, place: &Place) -> Result<Option<OwnedFd>, TargetError> {
        let mut path = self.path.clone();
        let mut above = None;
        for name in [&place.space, &place.kind] {
            path.push(name);
            let from = above.as_ref().unwrap_or(&self.fd);
            match self.down(from, name) {
                Ok(fd) => above = Some(fd),
                Err(Errno::NOENT) => return Ok(None),
                Err(Errno::NOTDIR | Errno::LOOP) => {
                    return Err(foreign(path, "a file or a symbolic link", "a directory"));
                }
                Err(e) => return Err(self.io("open", path, e)),
            }
        }
        Ok(above)
    }

    fn existing_folder(&self, place: &Place) -> Result<OwnedFd, TargetError> {
        self.folder(place)?.ok_or_else(|| TargetError::Changed {
            path: place.under(&self.path),
        })
    }

    fn make_folder(&self, place: &Place) -> Result<OwnedFd, TargetError> {
        if let Some(folder) = self.folder(place)? {
            return Ok(folder);
        }
        let space = self.path.join(&place.space);
        let make = |above: &OwnedFd, name: &str, path: &Path| match rustix::fs::mkdirat(
            above,
            name,
            Mode::from(0o755),
        ) {
            Ok(()) | Err(Errno::EXIST) => self
                .down(above, name)
                .map_err(|e| self.io("open", path.to_owned(), e)),
            Err(e) => Err(self.io("make", path.to_owned(), e)),
        };
        make(
            &make(&self.fd, &place.space, &space)?,
            &place.kind,
            &space.join(&place.kind),
        )
    }

    fn io(&self, act: &'static str, path: PathBuf, source: impl Into<io::Error>) -> TargetError {
        TargetError::Io {
            act,
            path,
            source: source.into(),
        }
    }
}

fn foreign(path: PathBuf, found: &'static str, expected: &'static str) -> TargetError {
    TargetError::Foreign {
        path,
        found,
        expected,
    }
}

fn is_temporary(name: &str) -> bool {
    name.strip_prefix(TEMPORARY)
        .is_some_and(|rest| rest.len() == 32 && rest.bytes().all(|b| b.is_ascii_hexdigit()))
}
