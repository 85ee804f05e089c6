//! The bare clones on this host's disk: private, swept at each use, replaced as a whole when damaged or grown.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use gix::ThreadSafeRepository;
use gix::refs::transaction::PreviousValue;
use weir_core::digest::{CommitId, Digest};

use crate::error::SourceError;
use crate::object;

mod reading;
mod sound;

pub(crate) use reading::{Grown, Reading};

/// The ref that holds the last good commit.
pub(crate) const HEAD: &str = "refs/weir/head";
/// The ref that a fetch writes, before its commit is known to be whole.
pub(crate) const INCOMING: &str = "refs/weir/incoming";
/// How many packs a handle can hold at least: more than a clone may ever have.
const SLOTS: usize = 1024;
/// How often a clone that was exchanged while it was being opened is looked for again.
const RACES: usize = 10;
/// How long until a cache that another process works in is tried again.
const LOCK_TURN: Duration = Duration::from_millis(100);
/// How many threads make the index of a pack: each holds three objects of the largest size at most.
const INDEX_THREADS: usize = 2;

/// How much fetches may add to a clone before it is made anew: each adds a pack, and what a push with force took away
/// stays in the packs that are there.
#[derive(Debug, Clone, Copy, serde::Serialize, serde::Deserialize)]
pub struct CacheLimits {
    /// Packs in one clone.
    pub packs: usize,
    /// Bytes that fetches may add to a clone, or as many as it had when it was made where that is more.
    pub grown_bytes: u64,
}

impl CacheLimits {
    /// What a host allows that was told nothing else.
    pub const HOST: CacheLimits = CacheLimits {
        packs: 100,
        grown_bytes: 256 << 20,
    };
}

/// How gix opens a repository: nothing from the environment or the user's configuration, no replaced objects, no
/// commit graph (its content is not hashed into the commits), and no allocation above the limit.
pub(crate) fn open_options(object_bytes: u64) -> gix::open::Options {
    let slots = gix::odb::store::init::Slots::AsNeededByDiskState {
        multiplier: 1.1,
        minimum: SLOTS,
    };
    gix::open::Options::isolated()
        .object_store_slots(slots)
        .config_overrides([
            format!("gitoxide.objects.allocLimit={object_bytes}"),
            format!("gitoxide.userAgent=weir/{}", env!("CARGO_PKG_VERSION")),
            format!("pack.threads={INDEX_THREADS}"),
            "core.useReplaceRefs=false".into(),
            "core.commitGraph=false".into(),
            "core.logAllRefUpdates=false".into(),
            "user.name=weir".into(),
            "user.email=weir@localhost".into(),
        ])
}

/// The place of one URL's and ref's clones. A clone is a generation: `git-1`, `git-2`; the highest one counts, and one
/// that is being made is called `new` until it is complete. An older one stays for as long as anybody reads it.
pub(crate) struct Cache {
    dir: PathBuf,
    object_bytes: u64,
}

/// Held while the cache is changed: `serve` and a CLI command may share it.
pub(crate) struct Lock {
    _file: File,
}

/// The clone that counts, and its last good commit.
pub(crate) struct Current {
    pub(crate) reading: Reading,
    pub(crate) head: CommitId,
}

/// The folder of one URL's and ref's clones.
pub(crate) fn place(cache_dir: &Path, url: &str, reference: &str) -> PathBuf {
    let key = Digest::builder()
        .part(url.as_bytes())
        .part(reference.as_bytes())
        .finish();
    cache_dir.join(key.hex())
}

impl Cache {
    /// Makes the directory, and removes what a crash has left behind.
    pub(crate) fn open(
        cache_dir: &Path,
        url: &str,
        reference: &str,
        object_bytes: u64,
    ) -> Result<Cache, SourceError> {
        let dir = place(cache_dir, url, reference);
        let cache = Cache { dir, object_bytes };
        cache.lock_file()?;
        let private = fs::Permissions::from_mode(0o700);
        fs::set_permissions(&cache.dir, private).map_err(|e| cache.host("making", e))?;
        // Another process that works in it right now keeps its files.
        if let Some(lock) = cache.try_lock()? {
            cache.sweep(&lock)?;
        }
        Ok(cache)
    }

    /// The file that is locked. Its folder is made where it is not there: also one that was removed meanwhile.
    fn lock_file(&self) -> Result<File, SourceError> {
        if !self.dir.is_dir() {
            let made = fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&self.dir);
            made.map_err(|e| self.host("making", e))?;
        }
        let path = self.dir.join("lock");
        File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|e| self.host("opening the lock of", e))
    }

    fn try_lock(&self) -> Result<Option<Lock>, SourceError> {
        let file = self.lock_file()?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock { _file: file })),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(e)) => Err(self.host("locking", e)),
        }
    }

    /// # Errors
    /// It cannot be locked by anybody: its folder is gone, or not ours.
    pub(crate) fn reachable(&self) -> Result<(), SourceError> {
        self.lock_file().map(drop)
    }

    /// Waits for the cache to be free, and removes what others left that were killed meanwhile. Nothing where it is to
    /// stop before.
    pub(crate) fn lock(
        &self,
        stop: &AtomicBool,
        most: Duration,
    ) -> Result<Option<Lock>, SourceError> {
        let begun = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            if let Some(lock) = self.try_lock()? {
                self.sweep(&lock)?;
                return Ok(Some(lock));
            }
            if begun.elapsed() > most {
                let why = "another process has worked in it for longer than a fetch may take";
                return Err(self.host("waiting for", io::Error::other(why)));
            }
            std::thread::sleep(LOCK_TURN);
        }
        Ok(None)
    }

    /// Removes old generations that nobody reads, a clone that was not completed, and locks, temporary files and half
    /// packs of a crashed fetch.
    fn sweep(&self, _lock: &Lock) -> Result<(), SourceError> {
        let current = self.generations()?.into_iter().max();
        let sweep = || -> io::Result<()> {
            for entry in fs::read_dir(&self.dir)? {
                let path = entry?.path();
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                if name == "lock" {
                    continue;
                } else if current.is_some_and(|n| name == format!("git-{n}")) {
                    remove_leftovers(&path)?;
                } else if name.starts_with("git-") {
                    reading::retire(&path)?;
                } else {
                    remove(&path)?;
                }
            }
            Ok(())
        };
        sweep().map_err(|e| self.host("sweeping", e))
    }

    fn generations(&self) -> Result<Vec<u64>, SourceError> {
        let entries = fs::read_dir(&self.dir).map_err(|e| self.host("reading", e))?;
        let number = |e: io::Result<fs::DirEntry>| {
            e.ok()?
                .file_name()
                .to_str()?
                .strip_prefix("git-")?
                .parse()
                .ok()
        };
        Ok(entries.filter_map(number).collect())
    }

    /// The clone that counts. One that does not open is as good as none: it is a cache.
    pub(crate) fn current(&self) -> Result<Option<Current>, SourceError> {
        for _ in 0..RACES {
            let Some(number) = self.generations()?.into_iter().max() else {
                return Ok(None);
            };
            let path = self.dir.join(format!("git-{number}"));
            let held = reading::hold(&path).map_err(|e| self.host("reading", e))?;
            let Some(held) = held else {
                continue;
            };
            let opened = object::walled(|| -> Result<_, String> {
                sound::check(&path)?;
                let repo = self.options().open(&path).map_err(|e| object::causes(&e))?;
                let head = commit_at(&repo.to_thread_local(), HEAD).ok_or("it has no head")?;
                Ok((repo, head))
            });
            return match opened.and_then(|opened| opened) {
                Ok((repo, head)) => {
                    let reading = Reading::of_clone(repo, held);
                    Ok(Some(Current { reading, head }))
                }
                Err(why) => {
                    tracing::warn!(cache = %path.display(), %why, "the cache is damaged: it is cloned anew");
                    Ok(None)
                }
            };
        }
        Ok(None)
    }

    /// An empty clone, not yet the one that counts.
    pub(crate) fn begin(&self, _lock: &Lock) -> Result<ThreadSafeRepository, SourceError> {
        let path = self.dir.join("new");
        remove(&path).map_err(|e| self.host("clearing", e))?;
        let kind = gix::create::Kind::Bare;
        ThreadSafeRepository::init_opts(
            &path,
            kind,
            gix::create::Options::default(),
            self.options(),
        )
        .map_err(|e| {
            self.host(
                "making a bare repository in",
                object::system_error(&e).unwrap_or_else(|| io::Error::other(object::causes(&e))),
            )
        })
    }

    /// Removes what was begun: it takes room, and is of no use.
    pub(crate) fn abandon(&self, _lock: &Lock) {
        if let Err(e) = remove(&self.dir.join("new")) {
            tracing::warn!(cache = %self.dir.display(), "a clone that was not completed cannot be removed yet: {e}");
        }
    }

    /// Makes the clone that was begun the one that counts. The one before it stays for its readers.
    pub(crate) fn publish(&self, _lock: &Lock) -> Result<(), SourceError> {
        let new = self.dir.join("new");
        reading::born(&new).map_err(|e| self.host("completing the new clone in", e))?;
        let last = self.generations()?.into_iter().max().unwrap_or(0);
        let own = self.dir.join(format!("git-{}", last + 1));
        fs::rename(new, own).map_err(|e| self.host("renaming the new clone in", e))
    }

    fn options(&self) -> gix::open::Options {
        open_options(self.object_bytes)
            .open_path_as_is(true)
            .with(gix::sec::Trust::Full)
    }

    /// An error of the disk that this lies on.
    pub(crate) fn host(&self, what: &str, e: io::Error) -> SourceError {
        SourceError::host(format!("{what} the cache {}", self.dir.display()), e)
    }
}

/// The commit at a ref, tags followed.
pub(crate) fn commit_at(repo: &gix::Repository, name: &str) -> Option<CommitId> {
    let mut reference = repo.try_find_reference(name).ok()??;
    let commit = reference
        .peel_to_id()
        .ok()?
        .object()
        .ok()?
        .peel_to_kind(gix::objs::Kind::Commit)
        .ok()?;
    object::from_gix(&commit.id)
}

/// Points the last good commit elsewhere.
pub(crate) fn set_head(repo: &gix::Repository, commit: CommitId) -> gix::Result<()> {
    repo.reference(HEAD, object::to_gix(commit), PreviousValue::Any, "fetch")
        .map(drop)
}

fn remove(path: &Path) -> io::Result<()> {
    let result = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(e) => Err(e),
    };
    result.or_else(|e| {
        if e.kind() == io::ErrorKind::NotFound {
            Ok(())
        } else {
            Err(e)
        }
    })
}

/// Locks, temporary packs, `.keep` files and packs without an index below a bare repository: nobody else is in it.
fn remove_leftovers(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        if entry.file_type()?.is_dir() {
            remove_leftovers(&path)?;
        } else if name.ends_with(".lock")
            || name.ends_with(".keep")
            || name.starts_with(".tmp")
            || name.starts_with("tmp_")
            || (name.ends_with(".pack") && !path.with_extension("idx").exists())
        {
            remove(&path)?;
        }
    }
    Ok(())
}
