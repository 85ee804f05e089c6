//! Looking at a ledger: status, history and proof, with or without another process writing it.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use weir_core::digest::Digest;
use weir_core::name::{AppName, RepositoryName};
use weir_core::record::Record;
use weir_core::retention::Trim;
use weir_core::status::Status;

use crate::blob::{self, BlobReport};
use crate::chain::{Batch, Chain, STEADY_TRIES};
use crate::error::LedgerError;
use crate::place::Place;
use crate::prove;
use crate::sealed::{self, Flaw, VERSION};
use crate::store::{Created, Store, store_error};
use crate::{LedgerId, LedgerLimits, Seq, random};

const IDENTITY: &str = "ledger.json";

/// One record and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// The number of its batch.
    pub seq: Seq,
    /// When it was written, in seconds since 1970.
    pub at: i64,
    /// What happened.
    #[serde(flatten)]
    pub record: Record,
}

/// What a full check of one chain found, when it found nothing wrong with the batches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChainReport {
    /// Batches read, each one whole and linked to the one before.
    pub batches: u64,
    /// Records in them.
    pub records: u64,
    /// Records before them, which retention has removed.
    pub removed: u64,
    /// The record that says so: the last one of that kind.
    pub trim: Option<Trim>,
    /// The digest of the last batch: who keeps it elsewhere can prove the whole chain.
    pub head: Option<Digest>,
    /// Checkpoints that agree with the records.
    pub checkpoints: u64,
    /// Checkpoints that do not, and why. They are not used, and may be removed.
    pub bad_checkpoints: Vec<String>,
    /// Files in the chain's folder that are none of the ledger's.
    pub strangers: Vec<String>,
}

/// A ledger that is only looked at. Cheap to clone.
#[derive(Clone)]
pub struct Reader {
    pub(crate) store: Store,
    id: Arc<LedgerId>,
}

#[derive(Serialize, Deserialize)]
struct Identity {
    version: u32,
    id: LedgerId,
}

impl Reader {
    pub(crate) fn new(store: Store, id: LedgerId) -> Reader {
        Reader {
            store,
            id: Arc::new(id),
        }
    }

    /// The ledger at a place, or `None` when there is none.
    pub(crate) async fn find(
        place: &Place,
        limits: LedgerLimits,
    ) -> Result<Option<Reader>, LedgerError> {
        let Some(store) = Store::find(place, limits.file_bytes)? else {
            return Ok(None);
        };
        let id = identify(&store).await?;
        Ok(id.map(|id| Reader::new(store, id)))
    }

    /// The ledger's id.
    pub fn id(&self) -> &LedgerId {
        &self.id
    }

    /// The repositories that have records, in order.
    ///
    /// # Errors
    /// When the store cannot be listed.
    pub async fn repositories(&self) -> Result<Vec<RepositoryName>, LedgerError> {
        let mut names: Vec<_> = self
            .store
            .folders("chain")
            .await?
            .iter()
            .filter_map(|n| n.parse().ok())
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Where a repository stands: all its records folded. An unknown repository has an empty status.
    ///
    /// # Errors
    /// When a part of the chain is damaged or missing.
    pub async fn load(&self, repository: &RepositoryName) -> Result<Status, LedgerError> {
        self.chain(repository).load().await.map(|tail| tail.status)
    }

    /// The newest records, newest first, at most `limit`; those of one app, or all.
    ///
    /// # Errors
    /// When a batch on the way is damaged or missing.
    pub async fn history(
        &self,
        repository: &RepositoryName,
        app: Option<&AppName>,
        limit: usize,
    ) -> Result<Vec<Entry>, LedgerError> {
        let chain = self.chain(repository);
        let mut tries = STEADY_TRIES;
        loop {
            let anchors = chain.anchors().await?;
            match history_once(&chain, &anchors, app, limit).await {
                Err(e) if chain.has_moved(&e, &anchors, &mut tries).await? => {}
                result => return result,
            }
        }
    }

    /// Reads a whole chain and proves it: every batch, every link, what stands for removed ones, and every
    /// checkpoint against the records.
    ///
    /// # Errors
    /// The first batch that is damaged or missing, or the anchor.
    pub async fn verify(&self, repository: &RepositoryName) -> Result<ChainReport, LedgerError> {
        prove::chain(&self.chain(repository)).await
    }

    /// The bytes with a digest, or `None` when they were never kept.
    ///
    /// # Errors
    /// When they are there but no longer what was kept.
    pub async fn get_blob(&self, digest: Digest) -> Result<Option<Bytes>, LedgerError> {
        blob::get(&self.store, digest).await
    }

    /// Reads every blob and compares it with its digest.
    ///
    /// # Errors
    /// When the store cannot be read. Damaged blobs are in the report.
    pub async fn verify_blobs(&self) -> Result<BlobReport, LedgerError> {
        blob::verify(&self.store).await
    }

    pub(crate) fn chain(&self, repository: &RepositoryName) -> Chain {
        Chain {
            store: self.store.clone(),
            ledger: LedgerId::clone(&self.id),
            repository: repository.clone(),
        }
    }
}

async fn history_once(
    chain: &Chain,
    anchors: &[u64],
    app: Option<&AppName>,
    limit: usize,
) -> Result<Vec<Entry>, LedgerError> {
    let span = chain.span(anchors).await?;
    let mut entries = Vec::new();
    let mut later: Option<Batch> = None;
    for seq in (span.anchor + 1..=span.last).rev() {
        let (batch, digest) = chain.batch(seq).await?;
        if let Some(later) = &later {
            chain.follows(later, Some(digest))?;
        }
        let wanted = batch
            .records
            .iter()
            .rev()
            .filter(|r| app.is_none() || r.app.as_ref() == app);
        for record in wanted {
            if entries.len() == limit {
                return Ok(entries);
            }
            entries.push(Entry {
                seq: Seq(seq),
                at: batch.at,
                record: record.clone(),
            });
        }
        later = Some(batch);
    }
    if let Some(first) = &later {
        chain.follows(first, chain.start(&span).await?.digest)?;
    }
    Ok(entries)
}

/// The id of the ledger at this place, or `None` when there is no ledger.
async fn identify(store: &Store) -> Result<Option<LedgerId>, LedgerError> {
    let Some(bytes) = store.read(IDENTITY).await? else {
        return Ok(None);
    };
    let identity: Identity = sealed::open(&bytes).map_err(|flaw| match flaw {
        Flaw::Newer(_) => LedgerError::Refused {
            dir: store.dir().to_owned(),
            why: flaw.to_string(),
        },
        Flaw::Damaged(why) => LedgerError::Damaged {
            file: store.file(IDENTITY),
            seq: None,
            why,
        },
    })?;
    Ok(Some(identity.id))
}

/// The id of the ledger at this place, which becomes one if it is empty: the wanted one, where one is.
pub(crate) async fn identify_or_make(
    store: &Store,
    wanted: Option<LedgerId>,
) -> Result<LedgerId, LedgerError> {
    match (identify(store).await?, &wanted) {
        (Some(id), Some(wanted)) if id != *wanted => {
            return Err(LedgerError::Refused {
                dir: store.dir().to_owned(),
                why: format!(
                    "it is ledger {id}, and not {wanted}: move it away, or give another --state"
                ),
            });
        }
        (Some(id), _) => return Ok(id),
        (None, _) => {}
    }
    if !store.folders("chain").await?.is_empty() {
        let why = "it is missing, and the chains beside it belong to a ledger".to_owned();
        return Err(LedgerError::Damaged {
            file: store.file(IDENTITY),
            seq: None,
            why,
        });
    }
    let id = match wanted {
        Some(id) => id,
        None => LedgerId(random()?),
    };
    let identity = Identity {
        version: VERSION,
        id: id.clone(),
    };
    let bytes =
        sealed::seal(&identity).map_err(|e| store_error("encode", store.file(IDENTITY), e))?;
    match store.create(IDENTITY, bytes.into()).await? {
        Created::Done | Created::Same { .. } => Ok(id),
        // Another host was quicker: this is its ledger, then.
        Created::Taken(_) => identify(store).await?.ok_or_else(|| LedgerError::Damaged {
            file: store.file(IDENTITY),
            seq: None,
            why: "it vanished while it was read".to_owned(),
        }),
    }
}
