//! The directory and what Weir does in it: every step down is an `openat` that follows no symbolic link, so
//! nothing outside can be read or written.

use std::collections::{BTreeMap, BTreeSet};
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

    /// Makes the names in the folders of places, and the folders above, durable; each folder once.
    pub(super) fn sync_folders(&self, places: &[Place]) -> Result<(), TargetError> {
        let failed = |e| self.io("write to the disk below", self.path.clone(), e);
        let folders: BTreeMap<_, _> = places.iter().map(|p| ((&p.space, &p.kind), p)).collect();
        for place in folders.values() {
            if let Some(folder) = self.folder(place)? {
                rustix::fs::fsync(&folder).map_err(failed)?;
            }
        }
        let spaces: BTreeSet<_> = folders.keys().map(|(space, _)| *space).collect();
        for space in spaces {
            let space = self.down(&self.fd, space).map_err(failed)?;
            rustix::fs::fsync(&space).map_err(failed)?;
        }
        if places.is_empty() {
            return Ok(());
        }
        rustix::fs::fsync(&self.fd).map_err(failed)
    }

    /// Removes what a killed run left: regular files with exactly our temporary names, in folders where
    /// objects lie. A folder that cannot be read is said and passed over: what lies there may not be ours.
    /// The caller holds the lock.
    pub(super) fn sweep(&self) -> usize {
        let mut swept = 0;
        for space in self.names_or_warn(&self.fd, &self.path, FileType::Directory) {
            let path = self.path.join(&space);
            let Some(folder) = self.down_or_warn(&self.fd, &space, &path) else {
                continue;
            };
            for kind in self.names_or_warn(&folder, &path, FileType::Directory) {
                let path = path.join(&kind);
                if let Some(folder) = self.down_or_warn(&folder, &kind, &path) {
                    swept += self.sweep_folder(&folder, &path);
                }
            }
        }
        swept
    }

    fn sweep_folder(&self, folder: &OwnedFd, path: &Path) -> usize {
        let mut swept = 0;
        let names = self.names_or_warn(folder, path, FileType::RegularFile);
        for name in names.iter().filter(|name| is_temporary(name)) {
            match rustix::fs::unlinkat(folder, name, AtFlags::empty()) {
                Ok(()) => swept += 1,
                Err(error) => {
                    tracing::warn!(path = %path.join(name).display(), %error, "what an earlier run left cannot be removed");
                }
            }
        }
        swept
    }

    /// The names in a folder that are of a kind; those that were read before an error.
    fn names_or_warn(&self, folder: impl AsFd, path: &Path, kind: FileType) -> Vec<String> {
        let mut names = Vec::new();
        let listed = Dir::read_from(&folder).and_then(|entries| {
            for entry in entries {
                let entry = entry?;
                let Ok(name) = entry.file_name().to_str() else {
                    continue;
                };
                if name != "." && name != ".." && entry.file_type() == kind {
                    names.push(name.to_owned());
                }
            }
            Ok(())
        });
        if let Err(error) = listed {
            not_swept(path, error);
        }
        names
    }

    fn down_or_warn(&self, above: impl AsFd, name: &str, path: &Path) -> Option<OwnedFd> {
        let opened = self.down(above, name);
        opened.inspect_err(|error| not_swept(path, *error)).ok()
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

fn not_swept(path: &Path, error: Errno) {
    tracing::warn!(path = %path.display(), %error, "this folder cannot be read: temporary files of an earlier run may stay in it");
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_folder_that_cannot_be_listed_does_not_stop_the_sweep_of_others() {
        let dir = tempfile::tempdir().unwrap();
        let left = format!("{TEMPORARY}{}", "0".repeat(32));
        for folder in ["a/configmap", "b/configmap"] {
            std::fs::create_dir_all(dir.path().join(folder)).unwrap();
            std::fs::write(dir.path().join(folder).join(&left), "half").unwrap();
        }
        let closed = dir.path().join("a");
        let root = Root::open(dir.path(), 1024).unwrap();
        let mode = |mode| {
            std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        mode(0o000);
        let readable = std::fs::read_dir(&closed).is_ok();
        let swept = root.sweep();
        mode(0o755);
        // The super user reads every folder.
        assert_eq!(swept, if readable { 2 } else { 1 });
        assert!(!dir.path().join("b/configmap").join(&left).exists());
        // For the super user, too: a listing that fails is passed over.
        let file = File::open("/dev/null").unwrap();
        assert_eq!(root.sweep_folder(&file.into(), &closed), 0);
    }
}
