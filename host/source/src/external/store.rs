//! Archives on this host's disk, by digest: hashed at each read, so that what was changed there is fetched anew and never
//! shown. Those that were not used for longest make room.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use weir_core::digest::Digest;

use super::error::{About, ExternalError};

/// What an archive is called: its digest, and this.
const SUFFIX: &str = "tgz";
/// After this a temporary file is a leftover of a crash.
const LEFTOVER: Duration = Duration::from_secs(3600);

pub(crate) struct Store<'a> {
    about: About<'a>,
    dir: PathBuf,
    /// Bytes of all archives.
    most: u64,
}

impl<'a> Store<'a> {
    pub(crate) fn new(about: About<'a>, cache_dir: &Path, most: u64) -> Store<'a> {
        Store {
            about,
            dir: cache_dir.join("charts"),
            most,
        }
    }

    fn path(&self, digest: Digest) -> PathBuf {
        self.dir.join(format!("{}.{SUFFIX}", digest.hex()))
    }

    /// The archive, where it is here and as it was.
    pub(crate) fn read(&self, digest: Digest, most: u64) -> Result<Option<Vec<u8>>, ExternalError> {
        let path = self.path(digest);
        let failed = |e| self.about.host(format!("reading {}", path.display()), e);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(failed(e)),
        };
        // When it was used last. That this cannot be said lets it go earlier, and harms nobody.
        let _ = file.set_modified(SystemTime::now());
        let mut bytes = Vec::new();
        file.take(most.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        if Digest::of(&bytes) == digest {
            return Ok(Some(bytes));
        }
        tracing::warn!(path = %path.display(), external = self.about.0, "is not the archive that its name says: it is fetched anew");
        Ok(None)
    }

    /// Keeps an archive: whole or not at all, whatever is killed. That it cannot be kept stops nobody who has its bytes.
    pub(crate) fn keep(&self, digest: Digest, bytes: &[u8]) {
        if let Err(e) = self.write(digest, bytes) {
            let path = self.path(digest);
            tracing::warn!(path = %path.display(), external = self.about.0, "the archive cannot be kept, and is fetched again when it is needed: {e}");
        }
        if let Err(e) = self.make_room(digest) {
            let dir = self.dir.display();
            tracing::warn!(%dir, "old archives cannot be removed: {e}");
        }
    }

    /// Removes what was not used for longest, until the rest is small enough; never the one that came last.
    fn make_room(&self, last: Digest) -> io::Result<()> {
        let own = self.path(last);
        let mut kept: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let path = entry.path();
            // Another process may have removed it meanwhile.
            let Ok(meta) = entry.metadata() else { continue };
            let used = meta.modified()?;
            if path.extension().is_some_and(|end| end == SUFFIX) {
                kept.push((used, meta.len(), path));
            } else if used.elapsed().is_ok_and(|age| age > LEFTOVER) {
                remove(&path)?;
            }
        }
        let mut bytes: u64 = kept.iter().map(|(_, len, _)| len).sum();
        kept.sort();
        for (_, len, path) in kept {
            if bytes <= self.most {
                break;
            }
            if path != own {
                remove(&path)?;
                bytes -= len;
            }
        }
        Ok(())
    }

    fn write(&self, digest: Digest, bytes: &[u8]) -> io::Result<()> {
        static WRITES: AtomicU64 = AtomicU64::new(0);
        let path = self.path(digest);
        let (process, write) = (std::process::id(), WRITES.fetch_add(1, Ordering::Relaxed));
        let temporary = self
            .dir
            .join(format!(".{}.{process}.{write}.tmp", digest.hex()));
        let all = || -> io::Result<()> {
            let mut builder = fs::DirBuilder::new();
            builder.recursive(true).mode(0o700).create(&self.dir)?;
            let mut file = File::create(&temporary)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&temporary, &path)
        };
        all().inspect_err(|_| {
            // What is half written is of no use; that it cannot be removed changes nothing.
            let _ = fs::remove_file(&temporary);
        })
    }
}

/// Removes a file; one that another process removed is gone as well.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABOUT: About<'static> = About("oci://registry.example/a:1.0.0");

    fn bytes(n: u8) -> (Digest, Vec<u8>) {
        let bytes = vec![n; 100];
        (Digest::of(&bytes), bytes)
    }

    fn names(dir: &Path) -> Vec<String> {
        let all = fs::read_dir(dir.join("charts")).unwrap();
        let mut names: Vec<String> = all
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn what_was_not_used_for_longest_makes_room_and_the_newest_stays() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(ABOUT, dir.path(), 250);
        let all: Vec<_> = (0..3).map(bytes).collect();
        for (age, (digest, bytes)) in [300, 200].into_iter().zip(&all) {
            store.keep(*digest, bytes);
            let file = File::open(store.path(*digest)).unwrap();
            let then = SystemTime::now() - Duration::from_secs(age);
            file.set_modified(then).unwrap();
        }
        // The older one is used once more, so the other one goes.
        assert!(store.read(all[0].0, 1_000).unwrap().is_some());
        store.keep(all[2].0, &all[2].1);
        let mut expected: Vec<String> = [0, 2].map(|n| format!("{}.tgz", all[n].0.hex())).into();
        expected.sort();
        assert_eq!(names(dir.path()), expected);
        assert_eq!(store.read(all[1].0, 1_000).unwrap(), None);
        // One that is larger than all may be stays until the next one comes.
        let tight = Store::new(ABOUT, dir.path(), 50);
        tight.keep(all[1].0, &all[1].1);
        assert_eq!(names(dir.path()), [format!("{}.tgz", all[1].0.hex())]);
    }

    #[test]
    fn what_a_crash_left_goes_and_what_is_being_written_stays() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(ABOUT, dir.path(), 250);
        let (digest, bytes) = bytes(1);
        store.keep(digest, &bytes);
        for (name, age) in [(".old.1.1.tmp", 7_200), (".new.1.2.tmp", 0)] {
            let file = File::create(store.dir.join(name)).unwrap();
            let then = SystemTime::now() - Duration::from_secs(age);
            file.set_modified(then).unwrap();
        }
        store.keep(digest, &bytes);
        let expected = [".new.1.2.tmp".to_owned(), format!("{}.tgz", digest.hex())];
        assert_eq!(names(dir.path()), expected);
    }
}
