//! One repository's chain of batches on the store: how a batch is written, read back and proved whole.

use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use weir_core::digest::Digest;
use weir_core::name::RepositoryName;
use weir_core::record::Record;
use weir_core::status::Status;

use crate::error::LedgerError;
use crate::sealed::{self, Flaw};
use crate::store::Store;
use crate::{LedgerId, Seq};

/// How many batches are read ahead.
const READ_AHEAD: usize = 16;
/// How often one looks again at a chain of which something is being removed meanwhile.
pub(crate) const STEADY_TRIES: usize = 10;

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
    /// How many records there were up to it, removed ones included.
    pub(crate) records: u64,
    /// All records folded.
    pub(crate) status: Status,
}

/// Which batches of a chain are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    /// The number of the first one that is there; it is not above `anchor + 1`.
    pub(crate) first: u64,
    /// The batch whose anchor stands for all up to it; 0 where nothing was removed. Below `first` batches are
    /// gone; from there to `anchor` they are left over from a removal that was cut short.
    pub(crate) anchor: u64,
    /// The number of the last one; 0 for an empty chain.
    pub(crate) last: u64,
}

impl Tail {
    /// One batch more.
    pub(crate) fn push(&mut self, batch: &Batch, digest: Digest) {
        for record in &batch.records {
            self.status.fold(batch.seq, batch.at, record);
        }
        self.seq = batch.seq;
        self.digest = Some(digest);
        self.records += batch.records.len() as u64;
    }
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

    /// Where the chain stands: from the newest usable checkpoint, or from its start.
    pub(crate) async fn load(&self) -> Result<Tail, LedgerError> {
        let mut tries = STEADY_TRIES;
        loop {
            let anchors = self.anchors().await?;
            match self.load_once(&anchors).await {
                Err(e) if self.has_moved(&e, &anchors, &mut tries).await? => {}
                result => return result,
            }
        }
    }

    async fn load_once(&self, anchors: &[u64]) -> Result<Tail, LedgerError> {
        // In this order: a running host writes the batch first and then its checkpoint.
        let checkpoints = self.checkpoints().await?;
        let span = self.span(anchors).await?;
        let mut tail = None;
        for &seq in checkpoints
            .iter()
            .rev()
            .take_while(|&&seq| seq > span.anchor)
        {
            match self.checkpoint(seq, span.last).await? {
                Ok(found) => {
                    tail = Some(found);
                    break;
                }
                Err(why) => {
                    let file = self.store.file(&self.checkpoint_name(seq));
                    tracing::warn!(file = %file.display(), why, "a checkpoint cannot be used; reading more of the chain");
                }
            }
        }
        let tail = match tail {
            Some(tail) => tail,
            None => self.start(&span).await?,
        };
        self.fold_from(tail, span.last).await
    }

    /// Whether damage that was found may be a removal that went on beside: then one looks again.
    pub(crate) async fn has_moved(
        &self,
        error: &LedgerError,
        before: &[u64],
        tries: &mut usize,
    ) -> Result<bool, LedgerError> {
        let LedgerError::Damaged { seq, .. } = error else {
            return Ok(false);
        };
        if *tries == 0 {
            return Ok(false);
        }
        *tries -= 1;
        let now = self.anchors().await?;
        // What an anchor stands for is on its way out.
        let goes = |seq: &u64| now.last().is_some_and(|anchor| seq <= anchor);
        Ok(now != before || seq.as_ref().is_some_and(goes))
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
    pub(crate) fn batches(
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

    /// Which batches are there.
    ///
    /// # Errors
    /// When one is missing that no anchor stands for.
    pub(crate) async fn span(&self, anchors: &[u64]) -> Result<Span, LedgerError> {
        let names = self
            .store
            .list(&format!("chain/{}", self.repository))
            .await?;
        let there: Vec<u64> = names.iter().filter_map(|name| number(name)).collect();
        let missing = |seq: u64, why: String| self.damaged(&self.batch_name(seq), seq, why);
        let first = there.first().copied().unwrap_or(1);
        let mut last = first - 1;
        for &seq in &there {
            last += 1;
            if seq != last {
                return Err(missing(last, "it is missing".to_owned()));
            }
        }
        if let Some(&beyond) = anchors.last().filter(|&&seq| seq > last) {
            let why = format!("it is missing, and an anchor was made at batch {beyond}");
            return Err(missing(last + 1, why));
        }
        if first == 1 {
            let anchor = 0;
            return Ok(Span {
                first,
                anchor,
                last,
            });
        }
        let Some(&anchor) = anchors.iter().find(|&&seq| seq >= first - 1) else {
            let from = anchors.last().map_or(1, |seq| seq + 1);
            let anchor = self.store.file(&self.anchor_name(first - 1));
            let why = format!(
                "it is missing, and no anchor stands for it: {} is not there",
                anchor.display()
            );
            return Err(missing(from, why));
        };
        if anchor == last {
            let why = "it is missing: it says that the batches before it were removed".to_owned();
            return Err(missing(last + 1, why));
        }
        Ok(Span {
            first,
            anchor,
            last,
        })
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

    pub(crate) fn damaged(&self, name: &str, seq: u64, why: String) -> LedgerError {
        LedgerError::Damaged {
            file: self.store.file(name),
            seq: Some(seq),
            why,
        }
    }
}

impl Batch {
    pub(crate) fn seq(&self) -> Seq {
        Seq(self.seq)
    }
}

/// The number in a file's name, where it has exactly our form.
pub(crate) fn number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".json")?;
    (digits.len() == 12 && digits.bytes().all(|b| b.is_ascii_digit()))
        .then(|| digits.parse().ok())?
}
