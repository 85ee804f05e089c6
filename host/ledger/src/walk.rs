//! A chain from its oldest record to its newest, one batch after the other, each one proved.

use futures::{Stream, TryStreamExt, stream};
use weir_core::digest::Digest;
use weir_core::name::RepositoryName;

use crate::Seq;
use crate::chain::{Batch, Chain, STEADY_TRIES};
use crate::error::LedgerError;
use crate::reader::{Entry, Reader};

/// Where a walk is.
struct Walk {
    chain: Chain,
    next: u64,
    last: u64,
    previous: Option<Digest>,
}

impl Reader {
    /// Every record of a repository that is kept, oldest first: each batch is proved whole and to follow the one before. Holds one
    /// batch in memory. Where old ones are removed meanwhile, it goes on behind them.
    ///
    /// The stream ends with an error at the first batch that is damaged or missing.
    ///
    /// # Errors
    /// When the chain cannot be listed.
    pub async fn records(
        &self,
        repository: &RepositoryName,
    ) -> Result<impl Stream<Item = Result<Entry, LedgerError>> + use<>, LedgerError> {
        let chain = self.chain(repository);
        let mut walk = Walk {
            next: 0,
            last: 0,
            previous: None,
            chain,
        };
        let mut tries = STEADY_TRIES;
        let mut anchors = walk.chain.anchors().await?;
        while let Err(e) = walk.begin(&anchors).await {
            if !walk.chain.has_moved(&e, &anchors, &mut tries).await? {
                return Err(e);
            }
            anchors = walk.chain.anchors().await?;
        }
        Ok(stream::try_unfold(walk, step).try_flatten())
    }
}

impl Walk {
    /// Stands before the oldest record that no anchor stands for.
    async fn begin(&mut self, anchors: &[u64]) -> Result<(), LedgerError> {
        let span = self.chain.span(anchors).await?;
        let start = self.chain.start(&span).await?;
        (self.next, self.last, self.previous) = (span.anchor + 1, span.last, start.digest);
        Ok(())
    }

    /// The next batch, linked to the one before it.
    async fn batch(&self) -> Result<(Batch, Digest), LedgerError> {
        let (batch, digest) = self.chain.batch(self.next).await?;
        self.chain.follows(&batch, self.previous)?;
        Ok((batch, digest))
    }
}

type Entries = stream::Iter<std::vec::IntoIter<Result<Entry, LedgerError>>>;

async fn step(mut walk: Walk) -> Result<Option<(Entries, Walk)>, LedgerError> {
    let (batch, digest) = loop {
        if walk.next > walk.last {
            return Ok(None);
        }
        let error = match walk.batch().await {
            Ok(found) => break found,
            Err(error) => error,
        };
        // A removal begins with the oldest: what is gone by one has all before it gone, and is behind an anchor.
        let (at, last) = (walk.next, walk.last);
        let anchors = walk.chain.anchors().await?;
        walk.begin(&anchors).await?;
        if walk.next <= at {
            return Err(error);
        }
        // What was written since the walk began is not of this walk.
        walk.last = last;
    };
    walk.previous = Some(digest);
    walk.next += 1;
    let (seq, at) = (Seq(batch.seq), batch.at);
    let entries = batch.records.into_iter();
    let entries = entries.map(|record| Ok(Entry { seq, at, record }));
    let entries: Vec<Result<Entry, LedgerError>> = entries.collect();
    Ok(Some((stream::iter(entries), walk)))
}
