//! A folder of files that can be made again: private, authenticated, bounded in size. Whatever is in doubt counts as absent.
//!
//! Entries have names that hold everything they depend on; the caller makes them. Each is written under a key of the
//! folder's own and over its name, so that one from elsewhere, under another's name or damaged is told from one that this
//! installation wrote. The least recently used go first when the folder is full.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

mod entry;
mod error;

use entry::Sink;
pub use entry::{Mappable, SealedFile, Verified};
pub use error::{CacheError, is_full};

const MAC: usize = 32;
const KEY: usize = 32;
const KEY_FILE: &str = "key";
const TEMPORARY: &str = ".tmp-";
/// After this a temporary file is a leftover of a crash.
const LEFTOVER: Duration = Duration::from_secs(3600);
/// The largest entry that is read back, in bytes.
const ENTRY: u64 = 2 << 30;
/// What is read, checked and passed on at once, in bytes: it stays in the processor's own cache meanwhile.
const CHUNK: usize = 256 << 10;
/// This part of the cap may be written until the folder is looked through again for what is too much.
const SLACK: u64 = 16;

/// Whether an entry outlives a power cut. One that does not is found damaged, and made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durable {
    /// What takes long to make.
    Yes,
    /// What is made again in milliseconds.
    No,
}

/// The folder and its key.
pub struct Cache {
    dir: PathBuf,
    key: Key,
    cap: u64,
    suffix: &'static str,
    durable: Durable,
    /// Bytes written since the folder was last looked through.
    written: AtomicU64,
}

/// The key of this installation. It cannot be printed.
struct Key([u8; KEY]);

/// What a look into the cache found.
pub enum Looked<T = Verified> {
    /// Bytes that this installation wrote under this name.
    Hit(T),
    /// Nothing.
    Miss,
    /// Something that is not to be trusted, and why.
    Doubtful(String),
}

impl Cache {
    /// Opens or makes the folder and its key. Entries end in `suffix`, and have `cap` bytes together at most, but for a
    /// little while of what was written last.
    ///
    /// # Errors
    /// When the folder cannot be made, or others than this user may write there.
    pub fn open(
        dir: &Path,
        cap: u64,
        suffix: &'static str,
        durable: Durable,
    ) -> Result<Cache, CacheError> {
        let fail = |e: io::Error| CacheError {
            dir: dir.to_owned(),
            why: e.to_string(),
            is_full: is_full(&e),
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
            "it belongs to somebody else, who could exchange what this host runs and applies; give it to this user or choose another --cache"
        } else if meta.mode() & 0o077 != 0 {
            "others have access to it and could exchange what this host runs and applies; set its mode to 0700"
        } else {
            let key = key(dir).map_err(fail)?;
            let cache = Cache {
                dir: dir.to_owned(),
                key,
                cap,
                suffix,
                durable,
                // The first write of a process looks through the folder: most processes write little.
                written: AtomicU64::new(cap / SLACK),
            };
            cache.sweep();
            return Ok(cache);
        };
        Err(CacheError {
            dir: dir.to_owned(),
            why: why.into(),
            is_full: false,
        })
    }

    /// The entry of a name, which is some hex digits.
    pub fn get(&self, name: &str) -> Looked {
        match self.look(name, Sink::memory) {
            Looked::Hit(Mappable::Bytes(bytes)) => Looked::Hit(bytes),
            Looked::Hit(Mappable::Sealed(_)) => Looked::Doubtful("it went elsewhere".into()),
            Looked::Miss => Looked::Miss,
            Looked::Doubtful(why) => Looked::Doubtful(why),
        }
    }

    /// The same, where it can be mapped from: for entries of many megabytes.
    pub fn get_mappable(&self, name: &str) -> Looked<Mappable> {
        self.look(name, Sink::mappable)
    }

    /// The entry is checked while it goes to a place of our own: its file may change at any time, and is not trusted.
    fn look(&self, name: &str, sink: impl FnOnce(usize) -> Sink) -> Looked<Mappable> {
        let name = self.file(name);
        let mut file = match open_private(&self.dir.join(&name)) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Looked::Miss,
            Err(e) => return Looked::Doubtful(e.to_string()),
        };
        let size = file.metadata().map_or(0, |meta| meta.len().min(ENTRY));
        let sink = sink(usize::try_from(size).unwrap_or(0));
        let found = match self.key.read(&name, (&mut file).take(ENTRY), sink) {
            Ok(found) => found,
            Err(e) => return Looked::Doubtful(e.to_string()),
        };
        // Only for the order in which entries are dropped; a failure costs nothing else.
        let _ = file.set_modified(SystemTime::now());
        Looked::Hit(found)
    }

    /// Keeps an entry; then drops the least recently used ones over the cap.
    ///
    /// # Errors
    /// The disk's. Nothing else than this entry is lost.
    pub fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let name = self.file(name);
        let mut mac = self.key.mac(&name);
        let code = mac.update(bytes).finalize();
        let parts = [&code.as_bytes()[..], bytes];
        write_private(&self.dir, &name, &parts, self.durable, |from, to| {
            fs::rename(from, to)
        })?;
        let size = bytes.len() as u64;
        let written = self.written.fetch_add(size, Ordering::Relaxed) + size;
        if written < self.cap / SLACK {
            return Ok(());
        }
        self.written.store(0, Ordering::Relaxed);
        self.trim(&name)
    }

    /// Drops an entry that is of no use. One that is gone already is as good.
    pub fn drop_entry(&self, name: &str) {
        let _ = fs::remove_file(self.dir.join(self.file(name)));
    }

    fn file(&self, name: &str) -> String {
        format!("{name}{}", self.suffix)
    }

    fn trim(&self, newest: &str) -> io::Result<()> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let name = entry.file_name();
            if name.as_encoded_bytes().ends_with(self.suffix.as_bytes()) {
                let meta = match entry.metadata() {
                    // Another process was quicker.
                    Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                    meta => meta?,
                };
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
            match fs::remove_file(path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => sum -= len,
            }
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
    ///
    /// BLAKE3 with a key is a MAC by itself, and takes a fraction of the time of HMAC-SHA256: entries have up to 80 MB,
    /// and are checked at each start of a host.
    fn mac(&self, name: &str) -> blake3::Hasher {
        let mut mac = blake3::Hasher::new_keyed(&self.0);
        mac.update(&(name.len() as u64).to_le_bytes());
        mac.update(name.as_bytes());
        mac
    }

    /// Reads an entry into a sink: its authentication code, then what it is of. An error where the code does not fit.
    fn read(&self, name: &str, mut from: impl Read, mut sink: Sink) -> io::Result<Mappable> {
        let mut code = [0; MAC];
        from.read_exact(&mut code).map_err(|e| match e.kind() {
            io::ErrorKind::UnexpectedEof => io::Error::other("it is cut off"),
            _ => e,
        })?;
        let mut mac = self.mac(name);
        let mut chunk = vec![0; CHUNK];
        loop {
            let read = match from.read(&mut chunk) {
                Ok(0) => break,
                Ok(read) => chunk.get(..read).unwrap_or_default(),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            mac.update(read);
            sink.write(read)?;
        }
        // This comparison takes as long whatever differs.
        if mac.finalize() != blake3::Hash::from_bytes(code) {
            return Err(io::Error::other(
                "its authentication code does not fit: damaged, or not written here",
            ));
        }
        sink.finish()
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
                tracing::warn!(path = %path.display(), "the key of this cache is replaced: {e}");
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
        match write_private(dir, KEY_FILE, &[&bytes], Durable::Yes, link) {
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

/// Writes a file under a temporary name, then puts it in place.
fn write_private(
    dir: &Path,
    name: &str,
    parts: &[&[u8]],
    durable: Durable,
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
        if durable == Durable::Yes {
            file.sync_all()?;
        }
        place(&temporary, &dir.join(name))
    })();
    if written.is_err() {
        // Gone already when it was linked; otherwise a leftover that the next start sweeps.
        let _ = fs::remove_file(&temporary);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "abcd";

    fn cache(dir: &Path, cap: u64) -> Cache {
        Cache::open(dir, cap, ".x", Durable::No).unwrap()
    }

    fn place() -> (tempfile::TempDir, PathBuf) {
        let place = tempfile::tempdir().unwrap();
        let dir = place.path().join("cache");
        (place, dir)
    }

    fn found(cache: &Cache, name: &str) -> Option<Vec<u8>> {
        match cache.get(name) {
            Looked::Hit(found) => Some(found.bytes().to_vec()),
            Looked::Miss | Looked::Doubtful(_) => None,
        }
    }

    /// What a mapping of an entry would have.
    fn mapped(cache: &Cache, name: &str) -> Vec<u8> {
        match cache.get_mappable(name) {
            Looked::Hit(Mappable::Sealed(file)) => fs::read(file.path()).unwrap(),
            Looked::Hit(Mappable::Bytes(bytes)) => bytes.bytes().to_vec(),
            Looked::Miss | Looked::Doubtful(_) => panic!("{name} is there"),
        }
    }

    #[test]
    fn an_entry_that_changes_after_it_was_checked_changes_nothing() {
        let (_place, dir) = place();
        let cache = cache(&dir, 1 << 20);
        // More than one chunk, and not a multiple of it.
        let long = vec![7; 2 * CHUNK + 3];
        cache.put(NAME, &long).unwrap();
        let Looked::Hit(found) = cache.get_mappable(NAME) else {
            panic!("it is there");
        };
        let entry = File::options().write(true).open(dir.join("abcd.x"));
        entry.unwrap().set_len(0).unwrap();
        let bytes = match found {
            Mappable::Sealed(file) => fs::read(file.path()).unwrap(),
            Mappable::Bytes(bytes) => bytes.bytes().to_vec(),
        };
        assert!(bytes == long, "{} bytes", bytes.len());
    }

    #[test]
    fn what_was_written_is_found_by_its_name_and_by_no_other() {
        let (_place, dir) = place();
        let cache = cache(&dir, 1 << 20);
        cache.put(NAME, b"bytes").unwrap();
        assert_eq!(found(&cache, NAME).unwrap(), b"bytes");
        assert!(matches!(cache.get("ef01"), Looked::Miss));
        assert!(matches!(cache.get_mappable("ef01"), Looked::Miss));
        assert_eq!(mapped(&cache, NAME), b"bytes");
        fs::copy(dir.join("abcd.x"), dir.join("ef01.x")).unwrap();
        assert!(matches!(cache.get("ef01"), Looked::Doubtful(_)));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_found() {
        let (_place, dir) = place();
        let cache = cache(&dir, 1 << 20);
        cache.put(NAME, b"some bytes").unwrap();
        let whole = fs::read(dir.join("abcd.x")).unwrap();
        for at in 0..whole.len() {
            for bad in [flipped(&whole, at), whole[..at].to_vec()] {
                fs::write(dir.join("abcd.x"), bad).unwrap();
                assert!(matches!(cache.get(NAME), Looked::Doubtful(_)), "byte {at}");
                let mappable = cache.get_mappable(NAME);
                assert!(matches!(mappable, Looked::Doubtful(_)), "byte {at}");
            }
        }
    }

    fn flipped(bytes: &[u8], at: usize) -> Vec<u8> {
        let mut bad = bytes.to_vec();
        bad[at] ^= 1;
        bad
    }

    #[test]
    fn entries_of_another_key_are_foreign() {
        let (_place, dir) = place();
        cache(&dir, 1 << 20).put(NAME, b"bytes").unwrap();
        fs::remove_file(dir.join(KEY_FILE)).unwrap();
        assert!(matches!(
            cache(&dir, 1 << 20).get(NAME),
            Looked::Doubtful(_)
        ));
    }

    #[test]
    fn the_least_recently_used_go_first() {
        let (_place, dir) = place();
        let cache = cache(&dir, 500);
        for (n, name) in ["a", "b", "c", "d"].into_iter().enumerate() {
            cache.put(name, &[0; 100]).unwrap();
            let file = File::options()
                .append(true)
                .open(dir.join(format!("{name}.x")))
                .unwrap();
            let then = SystemTime::UNIX_EPOCH + Duration::from_secs(n as u64);
            file.set_modified(then).unwrap();
        }
        // Each is 132 bytes with its code, so one had to go already.
        let there = |name| found(&cache, name).is_some();
        assert_eq!(["a", "b", "c", "d"].map(there), [false, true, true, true]);
    }

    #[test]
    fn a_folder_that_others_may_write_to_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let (_place, dir) = place();
        cache(&dir, 1);
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o770)).unwrap();
        let error = Cache::open(&dir, 1, ".x", Durable::No).err().unwrap();
        assert!(
            error.to_string().contains("set its mode to 0700"),
            "{error}"
        );
    }
}
