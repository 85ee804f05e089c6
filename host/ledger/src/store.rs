//! The object store as the ledger uses it: create, read, list and remove, with errors that name the file.

use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions};

use crate::error::LedgerError;
use crate::place::{Place, S3Place};
use crate::s3::{self, Trouble};

/// How often one create is sent before its failure is reported. A lost answer is repaired by the second try,
/// which finds what the first one wrote.
const CREATE_TRIES: usize = 2;
/// How often a create is sent again that was refused for a file which is not there: its writer has failed, or is
/// not done yet.
const VANISHED_TRIES: u32 = 4;
/// The wait before the first of those; each one after doubles it.
const VANISHED_WAIT: Duration = Duration::from_millis(50);

/// What became of a create.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Created {
    /// The file is there with these bytes, durably.
    Done,
    /// It was there with these bytes before.
    Same {
        /// When it was written by the store's clock, in seconds since 1970.
        written: i64,
    },
    /// The file is there with other bytes.
    Taken(Bytes),
}

/// A file's bytes, and when they were written by the store's clock, in seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) bytes: Bytes,
    pub(crate) written: i64,
}

/// One object store and the directory, or the `s3://` URL, that it stands for in messages.
#[derive(Clone)]
pub(crate) struct Store {
    inner: Arc<dyn ObjectStore>,
    dir: PathBuf,
    max_file: u64,
}

impl Store {
    /// A store in a directory, which is made (mode 0700) when it is missing. `max_file` bounds what one read
    /// takes into memory, in bytes.
    pub(crate) fn create_dir(dir: &FilePath, max_file: u64) -> Result<Store, LedgerError> {
        private_dir(dir)?;
        Store::open_dir(dir, max_file)
    }

    /// A store in a directory that exists.
    pub(crate) fn open_dir(dir: &FilePath, max_file: u64) -> Result<Store, LedgerError> {
        let inner = LocalFileSystem::new_with_prefix(dir)
            .map_err(|e| store_error("open", dir.to_owned(), e))?;
        Ok(Store::over(Arc::new(inner.with_fsync(true)), dir, max_file))
    }

    /// A store in a bucket. Nothing is asked yet.
    pub(crate) fn open_s3(place: &S3Place, max_file: u64) -> Result<Store, LedgerError> {
        Ok(Store::over(s3::open(place)?, &s3::shown(place), max_file))
    }

    /// A store that exists, or `None` where its directory is not there.
    pub(crate) fn find(place: &Place, max_file: u64) -> Result<Option<Store>, LedgerError> {
        match place {
            Place::Dir(dir) => match std::fs::metadata(dir) {
                Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
                _ => Store::open_dir(dir, max_file).map(Some),
            },
            Place::S3(at) => Store::open_s3(at, max_file).map(Some),
        }
    }

    /// A store over any object store.
    pub(crate) fn over(inner: Arc<dyn ObjectStore>, dir: &FilePath, max_file: u64) -> Store {
        Store {
            inner,
            dir: dir.to_owned(),
            max_file,
        }
    }

    /// The directory.
    pub(crate) fn dir(&self) -> &FilePath {
        &self.dir
    }

    /// The file that a name stands for, for messages.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Writes a file that must not exist yet. Finding exactly these bytes is success: whoever retries puts a
    /// nonce among them.
    pub(crate) async fn create(&self, name: &str, bytes: Bytes) -> Result<Created, LedgerError> {
        let mut tries = CREATE_TRIES;
        let mut vanished = 0;
        loop {
            tries -= 1;
            match self.create_once(name, bytes.clone()).await {
                Ok(()) => return Ok(Created::Done),
                Err(Error::AlreadyExists { .. }) => {}
                Err(e) if tries == 0 => return Err(self.failed("write", name, e)),
                Err(e) => {
                    tracing::debug!(file = name, error = %e, "a write to the ledger failed and is tried again");
                    continue;
                }
            }
            // A store may say this of a file that another request is still writing, too.
            match self.find_file(name).await? {
                Some(Found {
                    bytes: found,
                    written,
                }) if found == bytes => {
                    return Ok(Created::Same { written });
                }
                Some(found) => return Ok(Created::Taken(found.bytes)),
                None if vanished == VANISHED_TRIES => {
                    let why = "it was said to exist and is not there".to_owned();
                    return Err(LedgerError::Damaged {
                        file: self.file(name),
                        seq: None,
                        why,
                    });
                }
                None => {
                    tokio::time::sleep(VANISHED_WAIT * (1 << vanished)).await;
                    vanished += 1;
                    tries = CREATE_TRIES;
                }
            }
        }
    }

    /// One create, sent once: `AlreadyExists` is the store's own word.
    pub(crate) async fn create_once(&self, name: &str, bytes: Bytes) -> Result<(), Error> {
        let options = PutOptions {
            mode: PutMode::Create,
            ..PutOptions::default()
        };
        self.inner
            .put_opts(&Path::parse(name)?, bytes.into(), options)
            .await
            .map(|_| ())
    }

    /// Writes a file, replacing what is there.
    pub(crate) async fn replace(&self, name: &str, bytes: Bytes) -> Result<(), LedgerError> {
        let put = async { self.inner.put(&Path::parse(name)?, bytes.into()).await };
        put.await
            .map(|_| ())
            .map_err(|e| self.failed("write", name, e))
    }

    /// A file's bytes, or `None` when there is no such file.
    pub(crate) async fn read(&self, name: &str) -> Result<Option<Bytes>, LedgerError> {
        Ok(self.find_file(name).await?.map(|found| found.bytes))
    }

    /// The same, with its age.
    pub(crate) async fn find_file(&self, name: &str) -> Result<Option<Found>, LedgerError> {
        let get = async { self.inner.get(&Path::parse(name)?).await };
        let found = match get.await {
            Ok(found) => found,
            Err(Error::NotFound { .. }) => return Ok(None),
            Err(e) => return Err(self.failed("read", name, e)),
        };
        if found.meta.size > self.max_file {
            let why = format!(
                "it has {} bytes, and nothing in a ledger has more than {}",
                found.meta.size, self.max_file
            );
            return Err(LedgerError::Damaged {
                file: self.file(name),
                seq: None,
                why,
            });
        }
        let written = found.meta.last_modified.timestamp();
        let bytes = found
            .bytes()
            .await
            .map_err(|e| self.failed("read", name, e))?;
        Ok(Some(Found { bytes, written }))
    }

    /// When a file was written by the store's clock, or `None` when there is no such file.
    pub(crate) async fn written(&self, name: &str) -> Result<Option<i64>, LedgerError> {
        let head = async { self.inner.head(&Path::parse(name)?).await };
        match head.await {
            Ok(meta) => Ok(Some(meta.last_modified.timestamp())),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(self.failed("read", name, e)),
        }
    }

    /// The names of the files right under a folder (`chain/shop`), in order; none when there is no folder.
    pub(crate) async fn list(&self, folder: &str) -> Result<Vec<String>, LedgerError> {
        let list = async {
            let prefix = Path::parse(folder)?;
            self.inner
                .list(Some(&prefix))
                .map_ok(|meta| meta.location)
                .try_collect::<Vec<_>>()
                .await
        };
        let found = list.await.map_err(|e| self.failed("list", folder, e))?;
        let below = |path: &Path| {
            path.as_ref()
                .strip_prefix(folder)?
                .strip_prefix('/')
                .map(str::to_owned)
        };
        let mut names: Vec<String> = found
            .iter()
            .filter_map(below)
            .filter(|name| !name.contains('/'))
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Removes a file; one that is not there is fine.
    pub(crate) async fn remove(&self, name: &str) -> Result<(), LedgerError> {
        let delete = async { self.inner.delete(&Path::parse(name)?).await };
        match delete.await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(e) => Err(self.failed("remove", name, e)),
        }
    }

    /// The repositories that have a chain: the folders right under `chain`.
    pub(crate) async fn folders(&self, folder: &str) -> Result<Vec<String>, LedgerError> {
        let list = async {
            self.inner
                .list_with_delimiter(Some(&Path::parse(folder)?))
                .await
        };
        let found = list.await.map_err(|e| self.failed("list", folder, e))?;
        Ok(found
            .common_prefixes
            .iter()
            .filter_map(|p| p.filename().map(str::to_owned))
            .collect())
    }

    fn failed(&self, act: &'static str, name: &str, source: Error) -> LedgerError {
        store_error(act, self.file(name), source)
    }
}

/// Makes a directory for its owner alone (mode 0700) where it is missing.
pub(crate) fn private_dir(dir: &FilePath) -> Result<(), LedgerError> {
    let made = std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir);
    made.map_err(|e| store_error("make", dir.to_owned(), e))
}

/// Removes what a killed process left of its writes in these folders: `object_store` writes `NAME#NUMBER`
/// first. Only regular files with exactly such names, and only while the lock is held, so that nobody is
/// writing.
pub(crate) fn sweep(dir: &FilePath, folders: &[&str]) -> Result<usize, LedgerError> {
    let mut swept = 0;
    let mut left: Vec<PathBuf> = folders.iter().map(|folder| dir.join(folder)).collect();
    while let Some(folder) = left.pop() {
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(e) if e.kind() == ErrorKind::NotFound => continue,
            Err(e) => return Err(store_error("list", folder, e)),
        };
        for entry in entries {
            let entry = entry.map_err(|e| store_error("list", folder.clone(), e))?;
            let kind = entry
                .file_type()
                .map_err(|e| store_error("read", entry.path(), e))?;
            if kind.is_dir() {
                left.push(entry.path());
            } else if kind.is_file() && entry.file_name().to_str().is_some_and(is_staged) {
                std::fs::remove_file(entry.path())
                    .map_err(|e| store_error("remove", entry.path(), e))?;
                swept += 1;
            }
        }
    }
    Ok(swept)
}

fn is_staged(name: &str) -> bool {
    name.rsplit_once('#')
        .is_some_and(|(_, n)| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

/// An error of the store itself. Of an S3-compatible one only what it said is kept, without the way there.
pub(crate) fn store_error(
    act: &'static str,
    place: PathBuf,
    source: impl std::error::Error + Send + Sync + 'static,
) -> LedgerError {
    let source: Arc<dyn std::error::Error + Send + Sync> = match Trouble::of(&source) {
        Some(trouble) => Arc::new(trouble.clone()),
        None => Arc::new(source),
    };
    LedgerError::Store { act, place, source }
}
