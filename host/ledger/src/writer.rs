//! One task for each repository owns the end of its chain: appends that come while one is being written
//! become durable together in the next.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use weir_core::digest::Digest;
use weir_core::record::Record;
use weir_core::status::Status;

use crate::chain::{Batch, Chain, Tail, VERSION};
use crate::error::LedgerError;
use crate::lock::Lock;
use crate::store::{Created, store_error};
use crate::{Clock, LedgerLimits, Seq, random, sealed};

/// What callers ask of the task.
pub(crate) enum Request {
    /// Keep these records.
    Append(Append),
    /// Where the repository stands.
    Status(oneshot::Sender<Status>),
}

/// Records of one caller. They are never split over batches.
pub(crate) struct Append {
    pub(crate) records: Vec<Record>,
    /// Their size as JSON, in bytes.
    pub(crate) size: usize,
    pub(crate) reply: oneshot::Sender<Result<Seq, LedgerError>>,
}

/// The owner of one chain's end.
pub(crate) struct Writer {
    chain: Chain,
    limits: LedgerLimits,
    clock: Clock,
    tail: Tail,
    /// A batch whose write failed: it may be there nevertheless.
    unsure: Option<Bytes>,
    /// Held until the last write is done.
    _lock: Arc<Lock>,
}

impl Writer {
    /// Reads the chain. Nothing is written yet.
    pub(crate) async fn load(
        chain: Chain,
        limits: LedgerLimits,
        clock: Clock,
        lock: Arc<Lock>,
    ) -> Result<Self, LedgerError> {
        let tail = chain.load().await?;
        Ok(Writer {
            chain,
            limits,
            clock,
            tail,
            unsure: None,
            _lock: lock,
        })
    }

    /// Serves requests until all senders are gone.
    pub(crate) async fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        let mut next = requests.recv().await;
        while let Some(request) = next.take() {
            match request {
                Request::Status(reply) => {
                    // A caller that stopped waiting needs no answer.
                    let _ = reply.send(self.tail.status.clone());
                }
                Request::Append(first) => {
                    let group = self.gather(first, &mut requests, &mut next);
                    self.commit(group).await;
                }
            }
            if next.is_none() {
                next = requests.recv().await;
            }
        }
    }

    /// The first append and those that wait behind it, as far as one batch goes.
    fn gather(
        &self,
        first: Append,
        requests: &mut mpsc::Receiver<Request>,
        next: &mut Option<Request>,
    ) -> Vec<Append> {
        let (mut records, mut bytes) = (first.records.len(), first.size);
        let mut group = vec![first];
        while let Ok(request) = requests.try_recv() {
            match request {
                Request::Append(more)
                    if records + more.records.len() <= self.limits.batch_records
                        && bytes + more.size <= self.limits.batch_bytes =>
                {
                    records += more.records.len();
                    bytes += more.size;
                    group.push(more);
                }
                other => {
                    *next = Some(other);
                    break;
                }
            }
        }
        group
    }

    /// Makes a group durable, then tells its callers.
    async fn commit(&mut self, mut group: Vec<Append>) {
        let records = group
            .iter_mut()
            .flat_map(|append| std::mem::take(&mut append.records))
            .collect();
        let result = self.write(records).await;
        for append in group {
            let _ = append.reply.send(result.clone());
        }
        if result.is_ok() && self.tail.seq.is_multiple_of(self.limits.checkpoint_every) {
            // Only a shortcut: without it the next start reads more.
            if let Err(error) = self.chain.write_checkpoint(&self.tail).await {
                tracing::warn!(repository = %self.chain.repository, %error, "no checkpoint was written");
            }
        }
    }

    async fn write(&mut self, records: Vec<Record>) -> Result<Seq, LedgerError> {
        self.settle().await?;
        let batch = Batch {
            version: VERSION,
            ledger: self.chain.ledger.clone(),
            repository: self.chain.repository.clone(),
            seq: self.tail.seq + 1,
            previous: self.tail.digest,
            nonce: random()?,
            at: (self.clock)(),
            records,
        };
        let name = self.chain.batch_name(batch.seq);
        let bytes: Bytes = match sealed::seal(&batch) {
            Ok(bytes) => bytes.into(),
            Err(e) => return Err(store_error("encode", self.chain.store.file(&name), e)),
        };
        match self.chain.store.create(&name, bytes.clone()).await {
            Ok(Created::Done) => {
                self.tail.push(&batch, Digest::of(&bytes));
                Ok(batch.seq())
            }
            Ok(Created::Taken(_)) => Err(self.fenced()),
            Err(error) => {
                self.unsure = Some(bytes);
                Err(error)
            }
        }
    }

    /// Finds out what became of a batch whose write failed: its records count if it is there after all, as
    /// they would after a restart.
    async fn settle(&mut self) -> Result<(), LedgerError> {
        let Some(bytes) = &self.unsure else {
            return Ok(());
        };
        let seq = self.tail.seq + 1;
        match self.chain.store.read(&self.chain.batch_name(seq)).await? {
            None => {}
            Some(found) if found == *bytes => {
                let (batch, digest) = self.chain.read_batch(seq, &found)?;
                self.tail.push(&batch, digest);
            }
            Some(_) => return Err(self.fenced()),
        }
        self.unsure = None;
        Ok(())
    }

    fn fenced(&self) -> LedgerError {
        LedgerError::Fenced {
            repository: self.chain.repository.clone(),
            seq: self.tail.seq + 1,
        }
    }
}
