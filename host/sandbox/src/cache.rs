//! Compiled code on disk: private, keyed, authenticated. Whatever is in doubt is compiled again.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use weir_core::digest::Digest;

use crate::load::SandboxError;

/// The layout of an entry. A change here makes all old entries foreign.
const FORMAT: &[u8] = b"weir-cwasm-1";
const MAC: usize = 32;
const KEY: usize = 32;
const KEY_FILE: &str = "key";
const SUFFIX: &str = ".cwasm";
const TEMPORARY: &str = ".tmp-";
/// After this a temporary file is a leftover of a crash.
const LEFTOVER: Duration = Duration::from_secs(3600);
/// The largest entry that is read back, in bytes.
const ENTRY: u64 = 2 << 30;

/// The cache's directory and key.
pub(crate) struct Cache {
    dir: PathBuf,
    key: Key,
    cap: u64,
    fingerprint: Digest,
}

/// The key of this installation. It cannot be printed.
struct Key([u8; KEY]);

/// What a look into the cache found.
pub(crate) enum Looked {
    /// Bytes that this installation wrote under this name.
    Hit(Verified),
    /// Nothing.
    Miss,
    /// Something that is not to be trusted, and why.
    Doubtful(String),
}

/// Compiled code whose MAC was checked, in memory of our own: nobody changes it any more.
pub(crate) struct Verified(Vec<u8>);

impl Verified {
    /// Code that this process has just compiled.
    pub(crate) fn fresh(code: Vec<u8>) -> Verified {
        let mut entry = vec![0; MAC];
        entry.extend(code);
        Verified(entry)
    }

    /// The code.
    pub(crate) fn code(&self) -> &[u8] {
        &self.0[MAC..]
    }
}

impl Cache {
    /// Opens or makes the directory and its key. `fingerprint` says what code depends on besides the component.
    pub(crate) fn open(dir: &Path, cap: u64, fingerprint: Digest) -> Result<Cache, SandboxError> {
        let fail = |e: io::Error| SandboxError::Cache {
            dir: dir.to_owned(),
            why: e.to_string(),
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(fail)?;
        let meta = fs::symlink_metadata(dir).map_err(fail)?;
        let why = if !meta.is_dir() {
            "it is not a directory"
        } else if meta.uid() != rustix::process::geteuid().as_raw() {
            "it belongs to somebody else, who could run code as this host; give it to this user or choose another --cache"
        } else if meta.mode() & 0o077 != 0 {
            "others have access to it and could run code as this host; set its mode to 0700"
        } else {
            let key = key(dir).map_err(fail)?;
            let cache = Cache {
                dir: dir.to_owned(),
                key,
                cap,
                fingerprint,
            };
            cache.sweep();
            return Ok(cache);
        };
        Err(SandboxError::Cache {
            dir: dir.to_owned(),
            why: why.into(),
        })
    }

    /// The code of a component.
    pub(crate) fn get(&self, component: Digest) -> Looked {
        let name = self.name(component);
        let path = self.dir.join(&name);
        let mut file = match open_private(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Looked::Miss,
            Err(e) => return Looked::Doubtful(e.to_string()),
        };
        let mut entry = Vec::new();
        if let Err(e) = (&mut file).take(ENTRY).read_to_end(&mut entry) {
            return Looked::Doubtful(e.to_string());
        }
        let Some((mac, code)) = entry.split_at_checked(MAC) else {
            return Looked::Doubtful("it is cut off".into());
        };
        if self.key.mac(&name, code).verify_slice(mac).is_err() {
            return Looked::Doubtful(
                "its authentication code does not fit: damaged, or not written here".into(),
            );
        }
        // Only for the order in which entries are dropped; a failure costs nothing else.
        let _ = file.set_modified(SystemTime::now());
        Looked::Hit(Verified(entry))
    }

    /// Keeps the code of a component; then drops the least recently used entries over the cap.
    pub(crate) fn put(&self, component: Digest, code: &[u8]) -> io::Result<()> {
        let name = self.name(component);
        let mac = self.key.mac(&name, code).finalize().into_bytes();
        write_private(&self.dir, &name, &[&mac[..], code], |from, to| {
            fs::rename(from, to)
        })?;
        self.trim(&name)
    }

    /// The entry's file name: it holds everything that the code depends on.
    fn name(&self, component: Digest) -> String {
        let mut digest = Digest::builder();
        digest
            .part(FORMAT)
            .part(component.as_bytes())
            .part(self.fingerprint.as_bytes());
        digest.finish().hex() + SUFFIX
    }

    fn trim(&self, newest: &str) -> io::Result<()> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let name = entry.file_name();
            if name.as_encoded_bytes().ends_with(SUFFIX.as_bytes()) {
                let meta = entry.metadata()?;
                // The newest is used right now, whatever the clock says.
                entries.push((name == newest, meta.modified()?, meta.len(), entry.path()));
            }
        }
        entries.sort();
        let mut sum: u64 = entries.iter().map(|e| e.2).sum();
        for (newest, _, len, path) in entries {
            if sum <= self.cap || newest {
                return Ok(());
            }
            fs::remove_file(path)?;
            sum -= len;
        }
        Ok(())
    }

    /// Removes what a crash left behind. A failure here leaves a file too many and nothing else.
    fn sweep(&self) {
        let Ok(entries) = fs::read_dir(&self.dir) else {
            return;
        };
        for entry in entries.flatten().filter(|e| {
            e.file_name()
                .as_encoded_bytes()
                .starts_with(TEMPORARY.as_bytes())
        }) {
            let age = entry
                .metadata()
                .and_then(|m| m.modified())
                .ok()
                .and_then(|t| t.elapsed().ok());
            if age.is_some_and(|age| age > LEFTOVER) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

impl Key {
    /// Over the name too, so that an entry under another's name is foreign.
    fn mac(&self, name: &str, code: &[u8]) -> Hmac<Sha256> {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(name.as_bytes());
        mac.update(code);
        mac
    }
}

/// The key of this installation; a missing or doubtful one is replaced, which makes all entries foreign.
fn key(dir: &Path) -> io::Result<Key> {
    let path = dir.join(KEY_FILE);
    for _ in 0..3 {
        match read_key(&path) {
            Ok(key) => return Ok(key),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => {
                tracing::warn!(path = %path.display(), "the key of the compiled-code cache is replaced: {e}");
                fs::remove_file(&path)?;
            }
        }
        let mut bytes = [0; KEY];
        getrandom::fill(&mut bytes).map_err(|e| io::Error::other(e.to_string()))?;
        // A link, not a rename: of two processes that start together one wins, and both read its key.
        let link = |from: &Path, to: &Path| {
            let linked = fs::hard_link(from, to);
            fs::remove_file(from)?;
            linked
        };
        match write_private(dir, KEY_FILE, &[&bytes], link) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
            _ => {}
        }
    }
    Err(io::Error::other(
        "its key changes all the time; is another program writing there?",
    ))
}

fn read_key(path: &Path) -> io::Result<Key> {
    let mut bytes = Vec::new();
    open_private(path)?
        .take(KEY as u64 + 1)
        .read_to_end(&mut bytes)?;
    bytes
        .try_into()
        .map(Key)
        .map_err(|_| io::Error::other("it has the wrong length"))
}

/// Opens a regular file that only this user can write or read; never through a link.
fn open_private(path: &Path) -> io::Result<File> {
    let no_follow = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let flags = i32::try_from(no_follow.bits()).map_err(io::Error::other)?;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file()
        || meta.uid() != rustix::process::geteuid().as_raw()
        || meta.mode() & 0o077 != 0
    {
        return Err(io::Error::other(
            "it is not a regular file that only this user may touch",
        ));
    }
    Ok(file)
}

/// Writes a file under a temporary name, makes it durable, then puts it in place.
fn write_private(
    dir: &Path,
    name: &str,
    parts: &[&[u8]],
    place: impl Fn(&Path, &Path) -> io::Result<()>,
) -> io::Result<()> {
    let mut unique = [0; 8];
    getrandom::fill(&mut unique).map_err(|e| io::Error::other(e.to_string()))?;
    let temporary = dir.join(format!("{TEMPORARY}{}", hex::encode(unique)));
    let written = (|| {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)?;
        for part in parts {
            file.write_all(part)?;
        }
        file.sync_all()?;
        place(&temporary, &dir.join(name))
    })();
    if written.is_err() {
        // Gone already when it was linked; otherwise a leftover that the next start sweeps.
        let _ = fs::remove_file(&temporary);
    }
    written
}
