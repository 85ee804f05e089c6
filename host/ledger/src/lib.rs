//! The durable side: stakes, records and rendered bytes in one object store. The only crate that sees
//! `object_store`.
//!
//! ```text
//! DIR/lock                              held by the one process that writes
//! DIR/ledger.json                       the ledger's id and format
//! DIR/chain/REPOSITORY/000000000001.json  records, hash-chained, created with put-if-absent
//! DIR/anchor/REPOSITORY/…               the folded status at the batch up to which records were removed
//! DIR/checkpoint/REPOSITORY/…           the folded status at some batch: a shortcut, never the only copy
//! DIR/blob/ab/abcd…                     bytes by digest
//! ```
//!
//! [`Ledger`] writes and holds the lock; [`Reader`] looks on beside it. Nothing that was damaged is ever
//! returned as less: it is an error that names the file. Deliberately absent: changing a record, or removing one without
//! a record that says so.

mod blob;
mod chain;
mod error;
mod folded;
mod lock;
mod place;
mod prove;
mod reader;
mod s3;
mod sealed;
mod store;
mod trim;
mod walk;
mod writer;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, RwLock, mpsc, oneshot};
use tokio::task::JoinHandle;
use weir_core::digest::Digest;
use weir_core::name::{AppName, RepositoryName};
use weir_core::record::{Event, Record};
use weir_core::stake::{Stake, StakeId, StakeLog};
use weir_core::status::Status;

pub use blob::BlobReport;
pub use error::LedgerError;
pub use place::{Place, S3Credentials, S3Keys, S3Options, S3Place, S3Secret, S3Url};
pub use reader::{ChainReport, Entry, Reader};
pub use trim::Removed;

use lock::Lock;
use s3::Trouble;
use store::Store;
use writer::{Append, Request, Writer};

/// How much one ledger takes at once. There is no `Default`: whoever opens it says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LedgerLimits {
    /// Records in one batch, and so in one append.
    pub batch_records: usize,
    /// Bytes of records in one batch, and so in one append.
    pub batch_bytes: usize,
    /// Appends that may wait; the next ones wait outside.
    pub queue: usize,
    /// Bytes of one file, blobs included. Must be well above `batch_bytes`.
    pub file_bytes: u64,
    /// Batches from one checkpoint to the next.
    pub checkpoint_every: u64,
}

impl LedgerLimits {
    /// What a host takes that was told nothing else.
    pub const HOST: LedgerLimits = LedgerLimits {
        batch_records: 10_000,
        batch_bytes: 64 << 20,
        queue: 1024,
        file_bytes: 256 << 20,
        checkpoint_every: 256,
    };
}

/// A ledger's own name: 128 random bits in hex. Objects in a cluster carry it to say whose they are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LedgerId(String);

impl LedgerId {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for LedgerId {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if s.len() != 32 || !s.bytes().all(hex) {
            return Err(
                "expected a ledger's id: 32 hex digits, as `weir doctor` prints them".to_owned(),
            );
        }
        Ok(LedgerId(s.to_owned()))
    }
}

impl fmt::Display for LedgerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The folders of a ledger.
const FOLDERS: &[&str] = &["chain", "anchor", "checkpoint", "blob", "probe"];

/// The number of a batch in its repository's chain, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Seq(pub u64);

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Tells the time, in seconds since 1970.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// A ledger that this process may write. Reading goes through [`Ledger::reader`], too.
pub struct Ledger {
    reader: Reader,
    limits: LedgerLimits,
    clock: Clock,
    lock: Arc<Lock>,
    writers: Mutex<HashMap<RepositoryName, Arc<Mutex<Option<Handle>>>>>,
    /// Held by the one removal of old records that runs.
    trimming: Mutex<()>,
    /// Held for reading while bytes are kept, and alone while some are removed.
    blobs: RwLock<()>,
}

struct Handle {
    requests: mpsc::Sender<Request>,
    task: JoinHandle<()>,
}

impl Ledger {
    /// Opens the ledger at a place, or makes one there, and locks it until [`Ledger::close`] or the end of the
    /// process. A lock is of one machine: a second one that writes to a bucket is found out by the chain itself.
    ///
    /// # Errors
    /// When another process has it, when its format is newer than this program, when the place is no ledger
    /// or cannot create a file exactly once, or when the store does not do its part.
    pub async fn open(
        place: &Place,
        limits: LedgerLimits,
        clock: Clock,
    ) -> Result<Ledger, LedgerError> {
        Ledger::open_as(place, limits, clock, None).await
    }

    /// The same, where one that is made has this id: that of a ledger that was lost.
    ///
    /// # Errors
    /// Those of [`Ledger::open`], and when the ledger that is there has another id.
    pub async fn open_as(
        place: &Place,
        limits: LedgerLimits,
        clock: Clock,
        id: Option<LedgerId>,
    ) -> Result<Ledger, LedgerError> {
        let (store, lock) = match place {
            Place::Dir(dir) => {
                let store = Store::create_dir(dir, limits.file_bytes)?;
                let lock = Lock::take(dir)?;
                store::sweep(dir, FOLDERS)?;
                (store, lock)
            }
            Place::S3(at) => {
                store::private_dir(&at.lock)?;
                let lock = Lock::take(&at.lock)?;
                (Store::open_s3(at, limits.file_bytes)?, lock)
            }
        };
        Ledger::over(store, limits, clock, (lock, id)).await
    }

    async fn over(
        store: Store,
        limits: LedgerLimits,
        clock: Clock,
        (lock, id): (Lock, Option<LedgerId>),
    ) -> Result<Ledger, LedgerError> {
        probe(&store).await?;
        let id = reader::identify_or_make(&store, id).await?;
        let reader = Reader::new(store, id);
        Ok(Ledger {
            reader,
            limits,
            clock,
            lock: Arc::new(lock),
            writers: Mutex::default(),
            trimming: Mutex::default(),
            blobs: RwLock::default(),
        })
    }

    /// Opens a ledger for reading, beside whoever writes it.
    ///
    /// # Errors
    /// When there is none, or its format is newer than this program.
    pub async fn open_read(place: &Place, limits: LedgerLimits) -> Result<Reader, LedgerError> {
        let found = Reader::find(place, limits).await?;
        found.ok_or_else(|| LedgerError::Refused {
            dir: place.to_string().into(),
            why: "there is no ledger yet. `weir sync` and `weir serve` make one; are --state and --ledger right?"
                .to_owned(),
        })
    }

    /// The same, or `None` when there is none.
    ///
    /// # Errors
    /// When its format is newer than this program, or the store does not do its part.
    pub async fn find(place: &Place, limits: LedgerLimits) -> Result<Option<Reader>, LedgerError> {
        Reader::find(place, limits).await
    }

    /// What does not need the lock.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// The ledger's id.
    pub fn id(&self) -> &LedgerId {
        self.reader.id()
    }

    /// Keeps records, all or none of them. Returns only when they would survive a power cut. Appends that
    /// come together share one write.
    ///
    /// # Errors
    /// [`LedgerError::TooLarge`] and [`LedgerError::Fenced`]: nothing was written. After another error the
    /// records may be there; the next [`Ledger::load`] knows.
    pub async fn append(
        &self,
        repository: &RepositoryName,
        records: Vec<Record>,
    ) -> Result<Seq, LedgerError> {
        let size = self.measure(repository, &records)?;
        let (reply, answer) = oneshot::channel();
        self.ask(
            repository,
            Request::Append(Append {
                records,
                size,
                reply,
            }),
        )
        .await?;
        answer.await.map_err(|_| LedgerError::Stopping)?
    }

    /// Where a repository stands: all its records folded. An unknown repository has an empty status.
    ///
    /// # Errors
    /// When a part of the chain is damaged or missing, or another writer has it.
    pub async fn load(&self, repository: &RepositoryName) -> Result<Status, LedgerError> {
        let (reply, answer) = oneshot::channel();
        self.ask(repository, Request::Status(reply)).await?;
        answer.await.map_err(|_| LedgerError::Stopping)?
    }

    /// Keeps bytes under their digest, durably. Bytes that are there already are not written again.
    ///
    /// # Errors
    /// When they are larger than a file may be, or the disk does not do its part.
    pub async fn put_blob(&self, bytes: Bytes) -> Result<Digest, LedgerError> {
        let _kept = self.blobs.read().await;
        blob::put(
            &self.reader.store,
            bytes,
            self.limits.file_bytes,
            (self.clock)(),
        )
        .await
    }

    /// Finishes what was asked for and releases the lock.
    pub async fn close(self) {
        let writers = std::mem::take(&mut *self.writers.lock().await);
        for slot in writers.into_values() {
            if let Some(Handle { requests, task }) = slot.lock().await.take() {
                drop(requests);
                if let Err(error) = task.await {
                    tracing::error!(%error, "a writer of the ledger died");
                }
            }
        }
    }

    /// The records' size as JSON, in bytes.
    fn measure(
        &self,
        repository: &RepositoryName,
        records: &[Record],
    ) -> Result<usize, LedgerError> {
        let (records_limit, bytes_limit) = (self.limits.batch_records, self.limits.batch_bytes);
        if records.len() > records_limit {
            return Err(LedgerError::TooLarge {
                unit: "records",
                size: records.len(),
                limit: records_limit,
            });
        }
        let place = || self.reader.store.file("chain").join(repository.as_str());
        let size = serde_json::to_vec(records)
            .map_err(|e| store::store_error("encode", place(), e))?
            .len();
        if size > bytes_limit {
            return Err(LedgerError::TooLarge {
                unit: "bytes",
                size,
                limit: bytes_limit,
            });
        }
        Ok(size)
    }

    async fn ask(&self, repository: &RepositoryName, request: Request) -> Result<(), LedgerError> {
        let requests = self.writer(repository).await?;
        requests
            .send(request)
            .await
            .map_err(|_| LedgerError::Stopping)
    }

    /// The way to a repository's writer, which is started on first use. One repository's damage or long
    /// chain holds up no other.
    async fn writer(
        &self,
        repository: &RepositoryName,
    ) -> Result<mpsc::Sender<Request>, LedgerError> {
        let slot = Arc::clone(
            self.writers
                .lock()
                .await
                .entry(repository.clone())
                .or_default(),
        );
        let mut slot = slot.lock().await;
        if let Some(handle) = slot.as_ref() {
            return Ok(handle.requests.clone());
        }
        let chain = self.reader.chain(repository);
        let writer = Writer::load(
            chain,
            self.limits,
            Arc::clone(&self.clock),
            Arc::clone(&self.lock),
        )
        .await?;
        let (requests, inbox) = mpsc::channel(self.limits.queue);
        let task = tokio::spawn(writer.run(inbox));
        *slot = Some(Handle {
            requests: requests.clone(),
            task,
        });
        Ok(requests)
    }
}

impl StakeLog for Ledger {
    type Error = LedgerError;

    async fn append_stake(
        &self,
        repository: &RepositoryName,
        app: &AppName,
        stake: Stake,
    ) -> Result<StakeId, LedgerError> {
        let record = Record {
            app: Some(app.clone()),
            event: Event::Staked(stake),
        };
        self.append(repository, vec![record])
            .await
            .map(|seq| StakeId(seq.0))
    }
}

/// Refuses a store that cannot create a file exactly once: two hosts could both write batch 7.
async fn probe(store: &Store) -> Result<(), LedgerError> {
    let name = format!("probe/{}", random()?);
    let twice = async {
        store.create_once(&name, Bytes::from_static(b"1")).await?;
        store.create_once(&name, Bytes::from_static(b"2")).await
    };
    let second = twice.await;
    let refused = |found: &str| {
        let why = format!(
            "{found}, so two hosts could write one record. Use a store with put-if-absent (If-None-Match), such as Amazon S3, MinIO, or a local disk"
        );
        LedgerError::Refused {
            dir: store.dir().to_owned(),
            why,
        }
    };
    let result = match second {
        Err(object_store::Error::AlreadyExists { .. }) => Ok(()),
        Ok(()) => Err(refused("it let one file be created twice")),
        Err(e) if Trouble::of(&e).is_some_and(Trouble::is_not_done) => {
            Err(refused("it does not do conditional writes"))
        }
        // What was wrong with it comes first, and nothing of it is there.
        Err(e) => return Err(store::store_error("write", store.file(&name), e)),
    };
    store.remove(&name).await?;
    result
}

/// 128 random bits in hex.
fn random() -> Result<String, LedgerError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|e| store::store_error("get random bytes", "/dev/urandom".into(), e))?;
    Ok(hex::encode(bytes))
}
