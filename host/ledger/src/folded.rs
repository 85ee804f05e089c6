//! Files with the status that a chain folds to at some batch: anchors, which stand for batches that were removed, and
//! checkpoints, which only save reading.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use weir_core::digest::Digest;
use weir_core::name::RepositoryName;
use weir_core::status::Status;

use crate::LedgerId;
use crate::chain::{Chain, Span, Tail, number};
use crate::error::LedgerError;
use crate::sealed::{self, Flaw, VERSION};
use crate::store::store_error;

/// How many checkpoints stay.
const KEPT_CHECKPOINTS: usize = 2;

/// A status that was folded once.
#[derive(Debug, Serialize, Deserialize)]
struct Folded {
    version: u32,
    ledger: LedgerId,
    repository: RepositoryName,
    seq: u64,
    /// The digest of batch `seq`'s file.
    batch: Digest,
    /// How many records there were up to it.
    records: u64,
    status: Status,
}

impl Chain {
    /// The name of an anchor's file.
    pub(crate) fn anchor_name(&self, seq: u64) -> String {
        format!("anchor/{}/{seq:012}.json", self.repository)
    }

    /// The name of a checkpoint's file.
    pub(crate) fn checkpoint_name(&self, seq: u64) -> String {
        format!("checkpoint/{}/{seq:012}.json", self.repository)
    }

    /// The numbers of all anchors, in order.
    pub(crate) async fn anchors(&self) -> Result<Vec<u64>, LedgerError> {
        self.numbers("anchor").await
    }

    /// The numbers of all checkpoints, in order.
    pub(crate) async fn checkpoints(&self) -> Result<Vec<u64>, LedgerError> {
        self.numbers("checkpoint").await
    }

    async fn numbers(&self, folder: &str) -> Result<Vec<u64>, LedgerError> {
        let folder = format!("{folder}/{}", self.repository);
        let names = self.store.list(&folder).await?;
        Ok(names.iter().filter_map(|name| number(name)).collect())
    }

    /// Where the part of the chain begins that is there.
    ///
    /// # Errors
    /// When its anchor is damaged or gone.
    pub(crate) async fn start(&self, span: &Span) -> Result<Tail, LedgerError> {
        match span.anchor {
            0 => Ok(Tail::default()),
            seq => self.anchor(seq).await.map(|(tail, _)| tail),
        }
    }

    /// What an anchor stands for, and the digest of its file.
    ///
    /// # Errors
    /// When it is damaged or gone.
    pub(crate) async fn anchor(&self, seq: u64) -> Result<(Tail, Digest), LedgerError> {
        let name = self.anchor_name(seq);
        let damaged = |why: String| LedgerError::Damaged {
            file: self.store.file(&name),
            seq: None,
            why,
        };
        let Some(bytes) = self.store.read(&name).await? else {
            return Err(damaged(
                "it is missing, and stands for batches that were removed".to_owned(),
            ));
        };
        match self.folded(seq, &bytes) {
            Ok(tail) => Ok((tail, Digest::of(&bytes))),
            Err(Flaw::Damaged(why)) => Err(damaged(why)),
            Err(flaw @ Flaw::Newer(_)) => Err(LedgerError::Refused {
                dir: self.store.dir().to_owned(),
                why: format!("{name}: {flaw}"),
            }),
        }
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
        let tail = match self.checkpoint_alone(seq).await? {
            Ok(tail) => tail,
            Err(why) => return Ok(Err(why)),
        };
        if seq > last {
            let why = format!("it is missing, and a checkpoint was made at batch {seq}");
            return Err(self.damaged(&self.batch_name(last + 1), last + 1, why));
        }
        let (_, digest) = self.batch(seq).await?;
        if tail.digest != Some(digest) {
            return Ok(Err(format!(
                "batch {seq} has the digest {digest}, and it was made at another one"
            )));
        }
        Ok(Ok(tail))
    }

    /// The same, whatever the chain says.
    pub(crate) async fn checkpoint_alone(
        &self,
        seq: u64,
    ) -> Result<Result<Tail, String>, LedgerError> {
        let Some(bytes) = self.store.read(&self.checkpoint_name(seq)).await? else {
            return Ok(Err("it is gone".to_owned()));
        };
        Ok(self.folded(seq, &bytes).map_err(|flaw| flaw.to_string()))
    }

    fn folded(&self, seq: u64, bytes: &Bytes) -> Result<Tail, Flaw> {
        let found: Folded = sealed::open(bytes)?;
        if found.ledger != self.ledger || found.repository != self.repository || found.seq != seq {
            return Err(Flaw::Damaged("it belongs to another chain".to_owned()));
        }
        Ok(Tail {
            seq,
            digest: Some(found.batch),
            records: found.records,
            status: found.status,
        })
    }

    /// Makes an anchor durable: the digest of its file. The same place in a chain always gives the same bytes.
    pub(crate) async fn write_anchor(
        &self,
        tail: &Tail,
        batch: Digest,
    ) -> Result<Digest, LedgerError> {
        let name = self.anchor_name(tail.seq);
        let bytes = self.encode(&name, tail, batch)?;
        let digest = Digest::of(&bytes);
        self.store.replace(&name, bytes).await?;
        Ok(digest)
    }

    /// Writes a checkpoint and removes all but the newest two.
    pub(crate) async fn write_checkpoint(&self, tail: &Tail) -> Result<(), LedgerError> {
        let Some(batch) = tail.digest else {
            return Ok(());
        };
        let name = self.checkpoint_name(tail.seq);
        let bytes = self.encode(&name, tail, batch)?;
        self.store.replace(&name, bytes).await?;
        let all = self.checkpoints().await?;
        for &old in all.iter().rev().skip(KEPT_CHECKPOINTS) {
            self.store.remove(&self.checkpoint_name(old)).await?;
        }
        Ok(())
    }

    fn encode(&self, name: &str, tail: &Tail, batch: Digest) -> Result<Bytes, LedgerError> {
        let folded = Folded {
            version: VERSION,
            ledger: self.ledger.clone(),
            repository: self.repository.clone(),
            seq: tail.seq,
            batch,
            records: tail.records,
            status: tail.status.clone(),
        };
        let bytes = sealed::seal(&folded);
        let bytes = bytes.map_err(|e| store_error("encode", self.store.file(name), e))?;
        Ok(bytes.into())
    }
}
