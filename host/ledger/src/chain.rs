//! One repository's chain of batches on the store: how a batch is written, read back and proved whole.

use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use weir_core::digest::Digest;
use weir_core::name::RepositoryName;
use weir_core::record::Record;
use weir_core::status::Status;

use crate::error::LedgerError;
use crate::sealed::{self, Flaw, VERSION};
use crate::store::Store;
use crate::{LedgerId, Seq};

/// How many batches are read ahead.
const READ_AHEAD: usize = 16;

/// Records that became durable together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Batch {
    pub(crate) version: u32,
    /// The ledger that it belongs to, so that a chain from elsewhere is not taken for one's own.
    pub(crate) ledger: LedgerId,
    pub(crate) repository: RepositoryName,
    /// From 1, without gaps.
    pub(crate) seq: u64,
    /// The digest of the predecessor's file; none for the first.
    pub(crate) previous: Option<Digest>,
    /// Random: tells one writer's batch from another's with the same records.
    pub(crate) nonce: String,
    /// When it was written, in seconds since 1970.
    pub(crate) at: i64,
    pub(crate) records: Vec<Record>,
}

/// Where a chain stands after some batch.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Tail {
    /// The number of the last batch; 0 for an empty chain.
    pub(crate) seq: u64,
    /// The digest of that batch's file; none for an empty chain.
    pub(crate) digest: Option<Digest>,
    /// All records folded.
    pub(crate) status: Status,
}

impl Tail {
    /// One batch more.
    pub(crate) fn push(&mut self, batch: &Batch, digest: Digest) {
        for record in &batch.records {
            self.status.fold(batch.seq, batch.at, record);
        }
        self.seq = batch.seq;
        self.digest = Some(digest);
    }
}

/// A status that was folded once, so that a start need not read all batches again. Never the only copy.
#[derive(Debug, Serialize, Deserialize)]
struct Checkpoint {
    version: u32,
    ledger: LedgerId,
    repository: RepositoryName,
    seq: u64,
    /// The digest of batch `seq`'s file.
    batch: Digest,
    status: Status,
}

/// One repository's chain.
#[derive(Clone)]
pub(crate) struct Chain {
    pub(crate) store: Store,
    pub(crate) ledger: LedgerId,
    pub(crate) repository: RepositoryName,
}

impl Chain {
    /// The name of a batch's file.
    pub(crate) fn batch_name(&self, seq: u64) -> String {
        format!("chain/{}/{seq:012}.json", self.repository)
    }

    /// Where the chain stands: from the newest usable checkpoint, or from the start.
    pub(crate) async fn load(&self) -> Result<Tail, LedgerError> {
        // In this order: a running host writes the batch first and then its checkpoint.
        let checkpoints = self.checkpoints().await?;
        let last = self.last().await?;
        let mut tail = Tail::default();
        for &seq in checkpoints.iter().rev() {
            match self.checkpoint(seq, last).await? {
                Ok(found) => {
                    tail = found;
                    break;
                }
                Err(why) => {
                    let file = self.store.file(&self.checkpoint_name(seq));
                    tracing::warn!(file = %file.display(), why, "a checkpoint cannot be used; reading more of the chain");
                }
            }
        }
        self.fold_from(tail, last).await
    }

    /// Where the chain stands after batch `last`, going on from `tail`.
    pub(crate) async fn fold_from(&self, mut tail: Tail, last: u64) -> Result<Tail, LedgerError> {
        let mut batches = std::pin::pin!(self.batches(tail.seq + 1, last));
        while let Some((batch, digest)) = batches.try_next().await? {
            self.follows(&batch, tail.digest)?;
            tail.push(&batch, digest);
        }
        Ok(tail)
    }

    /// The batches of a range, in order, each one proved whole but not yet linked to its predecessor.
    fn batches(
        &self,
        from: u64,
        to: u64,
    ) -> impl Stream<Item = Result<(Batch, Digest), LedgerError>> {
        stream::iter(from..=to)
            .map(|seq| self.batch(seq))
            .buffered(READ_AHEAD)
    }

    /// One batch, proved whole.
    pub(crate) async fn batch(&self, seq: u64) -> Result<(Batch, Digest), LedgerError> {
        let name = self.batch_name(seq);
        match self.store.read(&name).await? {
            Some(bytes) => self.read_batch(seq, &bytes),
            None => Err(self.damaged(&name, seq, "it is missing".to_owned())),
        }
    }

    /// A batch from the bytes of its file.
    pub(crate) fn read_batch(
        &self,
        seq: u64,
        bytes: &Bytes,
    ) -> Result<(Batch, Digest), LedgerError> {
        let name = self.batch_name(seq);
        let batch: Batch = sealed::open(bytes).map_err(|flaw| match flaw {
            Flaw::Newer(_) => LedgerError::Refused {
                dir: self.store.dir().to_owned(),
                why: format!("{name}: {flaw}"),
            },
            Flaw::Damaged(why) => self.damaged(&name, seq, why),
        })?;
        if batch.ledger != self.ledger || batch.repository != self.repository || batch.seq != seq {
            let why = format!(
                "it is batch {} of {} in ledger {}, expected batch {seq} of {} in ledger {}",
                batch.seq, batch.repository, batch.ledger, self.repository, self.ledger
            );
            return Err(self.damaged(&name, seq, why));
        }
        Ok((batch, Digest::of(bytes)))
    }

    /// Checks the link from a batch to the one before it.
    pub(crate) fn follows(
        &self,
        batch: &Batch,
        previous: Option<Digest>,
    ) -> Result<(), LedgerError> {
        if batch.previous == previous {
            return Ok(());
        }
        let shown = |d: Option<Digest>| d.map_or("none".to_owned(), |d| d.to_string());
        let why = format!(
            "it follows a batch with digest {}, and the batch before it has {}",
            shown(batch.previous),
            shown(previous)
        );
        Err(self.damaged(&self.batch_name(batch.seq), batch.seq, why))
    }

    /// The number of the last batch; 0 when there is none.
    ///
    /// # Errors
    /// When one before it is missing.
    pub(crate) async fn last(&self) -> Result<u64, LedgerError> {
        let names = self
            .store
            .list(&format!("chain/{}", self.repository))
            .await?;
        let mut last = 0;
        for seq in names.iter().filter_map(|name| number(name)) {
            last += 1;
            if seq != last {
                return Err(self.damaged(&self.batch_name(last), last, "it is missing".to_owned()));
            }
        }
        Ok(last)
    }

    /// Files in the chain's folder that are no batches.
    pub(crate) async fn strangers(&self) -> Result<Vec<String>, LedgerError> {
        let folder = format!("chain/{}", self.repository);
        let names = self.store.list(&folder).await?;
        Ok(names
            .iter()
            .filter(|name| number(name).is_none())
            .map(|name| format!("{folder}/{name}"))
            .collect())
    }

    fn damaged(&self, name: &str, seq: u64, why: String) -> LedgerError {
        LedgerError::Damaged {
            file: self.store.file(name),
            seq: Some(seq),
            why,
        }
    }
}

/// Checkpoints.
impl Chain {
    pub(crate) fn checkpoint_name(&self, seq: u64) -> String {
        format!("checkpoint/{}/{seq:012}.json", self.repository)
    }

    /// The numbers of all checkpoints, in order.
    pub(crate) async fn checkpoints(&self) -> Result<Vec<u64>, LedgerError> {
        let names = self
            .store
            .list(&format!("checkpoint/{}", self.repository))
            .await?;
        Ok(names.iter().filter_map(|name| number(name)).collect())
    }

    /// One checkpoint; the inner error says why it cannot be used.
    ///
    /// # Errors
    /// When it proves that the chain has lost batches: its end is `last`.
    pub(crate) async fn checkpoint(
        &self,
        seq: u64,
        last: u64,
    ) -> Result<Result<Tail, String>, LedgerError> {
        let Some(bytes) = self.store.read(&self.checkpoint_name(seq)).await? else {
            return Ok(Err("it is gone".to_owned()));
        };
        let found: Checkpoint = match sealed::open(&bytes) {
            Ok(found) => found,
            Err(flaw) => return Ok(Err(flaw.to_string())),
        };
        if found.ledger != self.ledger || found.repository != self.repository || found.seq != seq {
            return Ok(Err("it belongs to another chain".to_owned()));
        }
        if seq > last {
            let why = format!("it is missing, and a checkpoint was made at batch {seq}");
            return Err(self.damaged(&self.batch_name(last + 1), last + 1, why));
        }
        let (_, digest) = self.batch(seq).await?;
        if digest != found.batch {
            return Ok(Err(format!(
                "batch {seq} has the digest {digest}, and it was made at {}",
                found.batch
            )));
        }
        Ok(Ok(Tail {
            seq,
            digest: Some(digest),
            status: found.status,
        }))
    }

    /// Writes a checkpoint and removes all but the newest two.
    pub(crate) async fn write_checkpoint(&self, tail: &Tail) -> Result<(), LedgerError> {
        let Some(batch) = tail.digest else {
            return Ok(());
        };
        let checkpoint = Checkpoint {
            version: VERSION,
            ledger: self.ledger.clone(),
            repository: self.repository.clone(),
            seq: tail.seq,
            batch,
            status: tail.status.clone(),
        };
        let name = self.checkpoint_name(tail.seq);
        let bytes = sealed::seal(&checkpoint)
            .map_err(|e| crate::store::store_error("encode", self.store.file(&name), e))?;
        self.store.replace(&name, bytes.into()).await?;
        let all = self.checkpoints().await?;
        for &old in all.iter().rev().skip(2) {
            self.store.remove(&self.checkpoint_name(old)).await?;
        }
        Ok(())
    }
}

impl Batch {
    pub(crate) fn seq(&self) -> Seq {
        Seq(self.seq)
    }
}

/// The number in a file's name, where it has exactly our form.
fn number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".json")?;
    (digits.len() == 12 && digits.bytes().all(|b| b.is_ascii_digit()))
        .then(|| digits.parse().ok())?
}
