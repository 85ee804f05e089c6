//! One clone that is being read: it stays on the disk for as long as it is, knows whether it is damaged, and how much it has grown.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gix::ThreadSafeRepository;

use super::CacheLimits;

/// Whoever reads a clone holds a shared lock on this file in it; whoever removes the clone needs it alone.
const READERS: &str = "weir-readers";
/// Says that objects of the clone were missing or wrong: the next fetch of any process makes it anew.
const DAMAGED: &str = "weir-damaged";
/// How many bytes of packs the clone had when it was made.
const BORN: &str = "weir-born";
/// After a new clone could not be made: from how many packs and bytes on it is tried again.
const LATER: &str = "weir-later";
/// The longest of these texts, in bytes.
const NOTE: u64 = 64;
/// How many times its limits a clone may grow where a new one cannot be made.
const AT_MOST: usize = 2;

/// A repository that is read, and what holds it on the disk.
#[derive(Clone)]
pub(crate) struct Reading {
    repo: ThreadSafeRepository,
    /// None for a repository that is somebody else's.
    clone: Option<Arc<Held>>,
}

/// A clone of ours that cannot be removed meanwhile.
pub(crate) struct Held {
    path: PathBuf,
    /// None where the lock could not be had: on a disk that cannot be written to nothing is removed either.
    _readers: Option<File>,
    damaged: AtomicBool,
}

/// A clone that is due to be made anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grown {
    /// By how much.
    pub(crate) why: String,
    /// It may not grow any more.
    pub(crate) must: bool,
    packs: usize,
    bytes: u64,
}

/// Holds the clone at a path; none where it was removed meanwhile.
pub(super) fn hold(path: &Path) -> io::Result<Option<Held>> {
    let file = path.join(READERS);
    let open = || match File::open(&file) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => File::create_new(&file),
        other => other,
    };
    let readers = match open() {
        Ok(readers) => Some(readers),
        Err(_) if !path.exists() => return Ok(None),
        Err(_) => None,
    };
    if let Some(readers) = &readers {
        readers.lock_shared()?;
        let is_there = fs::metadata(&file).is_ok_and(|now| {
            readers
                .metadata()
                .is_ok_and(|held| held.ino() == now.ino() && held.dev() == now.dev())
        });
        if !is_there {
            return Ok(None);
        }
    }
    Ok(Some(Held {
        path: path.to_owned(),
        _readers: readers,
        damaged: AtomicBool::new(path.join(DAMAGED).exists()),
    }))
}

/// Removes a clone that nobody reads any more.
pub(super) fn retire(path: &Path) -> io::Result<()> {
    let readers = match File::open(path.join(READERS)) {
        Ok(readers) => readers,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return super::remove(path),
        Err(e) => return Err(e),
    };
    match readers.try_lock() {
        Ok(()) => super::remove(path),
        Err(fs::TryLockError::WouldBlock) => Ok(()),
        Err(fs::TryLockError::Error(e)) => Err(e),
    }
}

/// Notes in a clone that is complete how large it is.
pub(super) fn born(path: &Path) -> io::Result<()> {
    File::create(path.join(READERS))?;
    let (_, bytes) = packs(path);
    fs::write(path.join(BORN), bytes.to_string())
}

impl Reading {
    /// Somebody else's repository: nothing in it is ever changed.
    pub(crate) fn of_local(repo: ThreadSafeRepository) -> Reading {
        Reading { repo, clone: None }
    }

    pub(super) fn of_clone(repo: ThreadSafeRepository, held: Held) -> Reading {
        Reading {
            repo,
            clone: Some(Arc::new(held)),
        }
    }

    /// A handle for one thread.
    pub(crate) fn handle(&self) -> gix::Repository {
        self.repo.to_thread_local()
    }

    /// Objects are missing or wrong: says so once, and has the next fetch of any process make the clone anew. What can
    /// be read of it is read until then.
    pub(crate) fn damaged(&self, why: &str) {
        let Some(held) = &self.clone else { return };
        if held.damaged.swap(true, Ordering::Relaxed) {
            return;
        }
        match File::create_new(held.path.join(DAMAGED)) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            // Where the mark cannot be written, this process still knows.
            _ => {
                tracing::warn!(cache = %held.path.display(), %why, "the cache is damaged: the next fetch clones anew");
            }
        }
    }

    /// A fetch into it failed in a way that may be the clone's own fault: the next one makes it anew.
    pub(crate) fn doubt(&self) {
        if let Some(held) = &self.clone {
            held.damaged.store(true, Ordering::Relaxed);
        }
    }

    /// Whether the next fetch has to make it anew.
    pub(crate) fn is_damaged(&self) -> bool {
        self.clone
            .as_ref()
            .is_some_and(|held| held.damaged.load(Ordering::Relaxed))
    }

    /// What its clone is called beside the others of its place.
    pub(crate) fn name(&self) -> Option<String> {
        let held = self.clone.as_ref()?;
        Some(held.path.file_name()?.to_str()?.to_owned())
    }

    /// Whether both are one clone on the disk.
    pub(crate) fn is(&self, other: &Reading) -> bool {
        match (&self.clone, &other.clone) {
            (Some(one), Some(other)) => one.path == other.path,
            _ => false,
        }
    }

    /// Hashes all packs and indexes of a clone of ours; the first one that is not what it says of itself.
    pub(crate) fn broken(&self) -> Option<String> {
        let held = self.clone.as_ref()?;
        let entries = fs::read_dir(held.path.join("objects/pack")).ok()?;
        let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        files.sort();
        files
            .into_iter()
            .filter(|path| {
                path.extension()
                    .is_some_and(|name| name == "pack" || name == "idx")
            })
            .find(|path| !matches!(hashes_to_its_end(path), Ok(true)))
            .map(|path| {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                format!("{name} does not hash to what it ends with")
            })
    }

    /// Whether fetches have left so much in it that a fresh clone is due.
    pub(crate) fn grown(&self, limits: &CacheLimits) -> Option<Grown> {
        let held = self.clone.as_ref()?;
        let (packs, bytes) = packs(&held.path);
        let born = number(&held.path.join(BORN)).unwrap_or(bytes);
        let most = limits.grown_bytes.max(born);
        let more = bytes.saturating_sub(born);
        if packs <= limits.packs && more <= most {
            return None;
        }
        let must = packs > limits.packs.saturating_mul(AT_MOST)
            || more > most.saturating_mul(AT_MOST as u64);
        let later = held.path.join(LATER);
        let later = fs::read_to_string(later).ok().and_then(|text| {
            let (packs, bytes) = text.split_once(' ')?;
            Some((
                packs.parse::<usize>().ok()?,
                bytes.trim().parse::<u64>().ok()?,
            ))
        });
        if !must && later.is_some_and(|(more, larger)| packs < more && bytes < larger) {
            return None;
        }
        Some(Grown {
            why: format!("it has {packs} packs, and {more} bytes more than when it was made"),
            must,
            packs,
            bytes,
        })
    }

    /// A fresh clone could not be made: it is tried again when this one has grown some more.
    pub(crate) fn later(&self, grown: &Grown, limits: &CacheLimits) {
        let Some(held) = &self.clone else { return };
        let packs = grown.packs.saturating_add(limits.packs / 10 + 1);
        let bytes = grown.bytes.saturating_add(limits.grown_bytes / 10 + 1);
        // Where this cannot be written, it is tried at each change.
        let _ = fs::write(held.path.join(LATER), format!("{packs} {bytes}"));
    }
}

/// A text that this file has written is a number.
fn number(path: &Path) -> Option<u64> {
    let mut text = String::new();
    File::open(path)
        .ok()?
        .take(NOTE)
        .read_to_string(&mut text)
        .ok()?;
    text.trim().parse().ok()
}

/// How many packs a clone has, and the bytes of all that is beside them.
fn packs(path: &Path) -> (usize, u64) {
    let Ok(entries) = fs::read_dir(path.join("objects/pack")) else {
        return (0, 0);
    };
    let (mut packs, mut bytes) = (0, 0u64);
    for entry in entries.flatten() {
        packs += usize::from(entry.path().extension().is_some_and(|name| name == "pack"));
        bytes = bytes.saturating_add(entry.metadata().map_or(0, |meta| meta.len()));
    }
    (packs, bytes)
}

/// Packs and indexes end with the hash of all that is before it.
fn hashes_to_its_end(path: &Path) -> io::Result<bool> {
    const HASH: u64 = 20;
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let Some(body) = length.checked_sub(HASH) else {
        return Ok(false);
    };
    let mut hasher = gix::hash::hasher(gix::hash::Kind::Sha1);
    let mut part = vec![0; 256 << 10];
    let mut left = body;
    while left > 0 {
        let most = usize::try_from(left).map_or(part.len(), |left| left.min(part.len()));
        let read = file.read(&mut part[..most])?;
        if read == 0 {
            return Ok(false);
        }
        hasher.update(&part[..read]);
        left -= read as u64;
    }
    let mut end = [0; HASH as usize];
    file.read_exact(&mut end)?;
    Ok(hasher
        .try_finalize()
        .is_ok_and(|hash| hash.as_bytes() == end))
}
