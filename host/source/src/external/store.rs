//! Archives on this host's disk, by digest: hashed at each read, so that what was changed there is fetched anew and never shown.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use weir_core::digest::Digest;

use super::error::{About, ExternalError};

pub(crate) struct Store<'a> {
    about: About<'a>,
    dir: PathBuf,
}

impl<'a> Store<'a> {
    pub(crate) fn new(about: About<'a>, cache_dir: &Path) -> Store<'a> {
        Store {
            about,
            dir: cache_dir.join("charts"),
        }
    }

    fn path(&self, digest: Digest) -> PathBuf {
        self.dir.join(format!("{}.tgz", digest.hex()))
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
