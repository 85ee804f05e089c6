//! One task for each repository owns the end of its chain: appends that come while one is being written
//! become durable together in the next.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use weir_core::digest::Digest;
use weir_core::record::Record;
use weir_core::status::Status;

use crate::chain::{Batch, Chain, Tail};
use crate::error::LedgerError;
use crate::lock::Lock;
use crate::sealed::{self, VERSION};
use crate::store::{Created, store_error};
use crate::{Clock, LedgerLimits, Seq, random};

/// Batches of one number whose outcome is unknown. Of more, the oldest is taken for another writer's if it comes.
const MAX_UNSURE: usize = 4;

/// What callers ask of the task.
pub(crate) enum Request {
    /// Keep these records.
    Append(Append),
    /// Where the repository stands.
    Status(oneshot::Sender<Result<Status, LedgerError>>),
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
    /// Batches of the next number whose write failed: one of them may be there nevertheless, or come to be.
    unsure: Vec<Bytes>,
    /// Another writer has this chain now.
    fenced: bool,
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
            unsure: Vec::new(),
            fenced: false,
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
                    let settled = self.settle().await;
                    let _ = reply.send(settled.map(|()| self.tail.status.clone()));
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
        // One of those that failed may still come in between, each at one number.
        for _ in 0..=MAX_UNSURE {
            let (batch, bytes) = self.next(&records)?;
            let name = self.chain.batch_name(batch.seq);
            match self.chain.store.create(&name, bytes.clone()).await {
                Ok(Created::Done | Created::Same { .. }) => {
                    self.push(&batch, Digest::of(&bytes));
                    return Ok(batch.seq());
                }
                Ok(Created::Taken(found)) => self.take(&found)?,
                Err(error) => {
                    if self.unsure.len() == MAX_UNSURE {
                        self.unsure.remove(0);
                    }
                    self.unsure.push(bytes);
                    return Err(error);
                }
            }
        }
        Err(self.fence())
    }

    fn next(&self, records: &[Record]) -> Result<(Batch, Bytes), LedgerError> {
        let batch = Batch {
            version: VERSION,
            ledger: self.chain.ledger.clone(),
            repository: self.chain.repository.clone(),
            seq: self.tail.seq + 1,
            previous: self.tail.digest,
            nonce: random()?,
            at: (self.clock)(),
            records: records.to_vec(),
        };
        let name = self.chain.batch_name(batch.seq);
        match sealed::seal(&batch) {
            Ok(bytes) => Ok((batch, bytes.into())),
            Err(e) => Err(store_error("encode", self.chain.store.file(&name), e)),
        }
    }

    /// Finds out what became of batches whose write failed: the records of one that is there count, as they
    /// would after a restart.
    async fn settle(&mut self) -> Result<(), LedgerError> {
        if self.fenced {
            return Err(self.fence());
        }
        if self.unsure.is_empty() {
            return Ok(());
        }
        let name = self.chain.batch_name(self.tail.seq + 1);
        match self.chain.store.read(&name).await? {
            // Not yet: a request that nobody waits for any more may still arrive.
            None => Ok(()),
            Some(found) => self.take(&found),
        }
    }

    /// A batch that is there at the next number: one of ours, or another writer's.
    fn take(&mut self, found: &Bytes) -> Result<(), LedgerError> {
        if !self.unsure.contains(found) {
            return Err(self.fence());
        }
        let (batch, digest) = self.chain.read_batch(self.tail.seq + 1, found)?;
        self.push(&batch, digest);
        Ok(())
    }

    fn push(&mut self, batch: &Batch, digest: Digest) {
        self.tail.push(batch, digest);
        self.unsure.clear();
    }

    /// Another writer has the chain: nothing is written there any more by this one.
    fn fence(&mut self) -> LedgerError {
        self.fenced = true;
        LedgerError::Fenced {
            repository: self.chain.repository.clone(),
            seq: self.tail.seq + 1,
        }
    }
}
