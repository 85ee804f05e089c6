//! A folder that only this user can look into, and files in it: opened without following a link, written whole or not at all.

use std::fs::{DirBuilder, File};
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;
use zeroize::Zeroizing;

use crate::error::KeysError;

/// The longest file that is read there, in bytes: a key has a few hundred.
const MAX_FILE: u64 = 16 << 10;
/// How many files are listed: a key a day for ten years.
const MAX_FILES: usize = 8_192;

/// The folder, open.
pub(crate) struct Folder {
    path: PathBuf,
    fd: OwnedFd,
}

impl Folder {
    /// Opens the folder; `None` where it is not there.
    pub(crate) fn open(path: &Path) -> Result<Option<Folder>, KeysError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            Err(e) => return Err(io(path, e)),
        };
        let stat = rustix::fs::fstat(&fd).map_err(|e| io(path, e))?;
        private(path, &stat, "0700")?;
        let path = path.to_owned();
        Ok(Some(Folder { path, fd }))
    }

    /// Opens the folder, made where it is not there.
    pub(crate) fn open_or_make(path: &Path) -> Result<Folder, KeysError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(|e| KeysError::Io {
            path: path.to_owned(),
            why: e.to_string(),
        })?;
        Folder::open(path)?.ok_or_else(|| io(path, Errno::NOENT))
    }

    /// Where a file of that name is.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// A file's text; `None` where it is not there.
    pub(crate) fn read(&self, name: &str) -> Result<Option<Zeroizing<String>>, KeysError> {
        let path = self.file(name);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = match rustix::fs::openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP) => {
                let why = "it is a symbolic link: put the file itself there".to_owned();
                return Err(KeysError::Exposed { path, why });
            }
            Err(e) => return Err(io(&path, e)),
        };
        let stat = rustix::fs::fstat(&fd).map_err(|e| io(&path, e))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            let why = "it is no plain file".to_owned();
            return Err(KeysError::NoKey { path, why });
        }
        private(&path, &stat, "0600")?;
        let mut text = Zeroizing::new(String::with_capacity(512));
        let read = File::from(fd).take(MAX_FILE + 1).read_to_string(&mut text);
        read.map_err(|e| KeysError::NoKey {
            path: path.clone(),
            why: e.to_string(),
        })?;
        if text.len() as u64 > MAX_FILE {
            let why = format!("it has more than {MAX_FILE} bytes");
            return Err(KeysError::NoKey { path, why });
        }
        Ok(Some(text))
    }

    /// Makes a file, durably; whether it is new. One that is there stays as it is.
    pub(crate) fn create(&self, name: &str, text: &str) -> Result<bool, KeysError> {
        let temporary = self.temporary(text)?;
        let linked = rustix::fs::linkat(&self.fd, &temporary, &self.fd, name, AtFlags::empty());
        self.remove(&temporary)?;
        let is_new = match linked {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(e) => return Err(io(&self.file(name), e)),
        };
        self.sync()?;
        Ok(is_new)
    }

    /// Puts a file in the place of another, durably.
    pub(crate) fn replace(&self, name: &str, text: &str) -> Result<(), KeysError> {
        let temporary = self.temporary(text)?;
        let renamed = rustix::fs::renameat(&self.fd, &temporary, &self.fd, name);
        renamed.map_err(|e| io(&self.file(name), e))?;
        self.sync()
    }

    /// Removes a file; one that is gone already is as good.
    pub(crate) fn remove(&self, name: &str) -> Result<(), KeysError> {
        match rustix::fs::unlinkat(&self.fd, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(e) => Err(io(&self.file(name), e)),
        }
    }

    /// The names of the files, sorted.
    pub(crate) fn names(&self) -> Result<Vec<String>, KeysError> {
        let failed = |e| io(&self.path, e);
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.fd).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if let Ok(name) = entry.file_name().to_str()
                && !name.starts_with('.')
            {
                names.push(name.to_owned());
            }
            if names.len() > MAX_FILES {
                let why = format!("more than {MAX_FILES} files are there");
                let path = self.path.clone();
                return Err(KeysError::Io { path, why });
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn temporary(&self, text: &str) -> Result<String, KeysError> {
        static WRITES: AtomicU64 = AtomicU64::new(0);
        let (process, write) = (std::process::id(), WRITES.fetch_add(1, Ordering::Relaxed));
        let name = format!(".{process}.{write}.tmp");
        let path = self.file(&name);
        // What a killed process of the same id left has nothing that anybody needs.
        self.remove(&name)?;
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&self.fd, &name, flags, Mode::RUSR | Mode::WUSR);
        let fd = fd.map_err(|e| io(&path, e))?;
        // Whatever the umask is.
        let moded = rustix::fs::fchmod(&fd, Mode::RUSR | Mode::WUSR);
        moded.map_err(|e| io(&path, e))?;
        let mut file = File::from(fd);
        let written = file.write_all(text.as_bytes());
        written.and_then(|()| file.sync_all()).map_err(|e| {
            let why = e.to_string();
            KeysError::Io { path, why }
        })?;
        Ok(name)
    }

    fn sync(&self) -> Result<(), KeysError> {
        rustix::fs::fsync(self.fd.as_fd()).map_err(|e| io(&self.path, e))
    }
}

/// Refuses what others can get at.
fn private(path: &Path, stat: &rustix::fs::Stat, mode: &str) -> Result<(), KeysError> {
    let exposed = |why: String| KeysError::Exposed {
        path: path.to_owned(),
        why,
    };
    if stat.st_uid != rustix::process::geteuid().as_raw() {
        return Err(exposed(
            "it belongs to somebody else: give it to the user that Weir runs as".to_owned(),
        ));
    }
    if Mode::from_raw_mode(stat.st_mode).intersects(Mode::RWXG | Mode::RWXO) {
        return Err(exposed(format!(
            "others have access to it, who could sign as this host or have it trust their keys: set its mode to {mode}, and if somebody may have read a private key there, `weir keys rotate`"
        )));
    }
    Ok(())
}

fn io(path: &Path, error: Errno) -> KeysError {
    KeysError::Io {
        path: path.to_owned(),
        why: std::io::Error::from(error).to_string(),
    }
}
