//! A chain from its oldest record to its newest, one batch after the other, each one proved.

use futures::{Stream, TryStreamExt, stream};
use weir_core::digest::Digest;
use weir_core::name::RepositoryName;

use crate::error::LedgerError;
use crate::reader::{Entry, Reader};
use crate::{Seq, chain::Chain};

/// Where a walk is.
struct Walk {
    chain: Chain,
    next: u64,
    last: u64,
    previous: Option<Digest>,
}

impl Reader {
    /// Every record of a repository that is kept, oldest first: each batch is proved whole and to follow the one before. Holds one
    /// batch in memory.
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
        let span = chain.span(&chain.anchors().await?).await?;
        let start = chain.start(&span).await?;
        let walk = Walk {
            next: span.anchor + 1,
            last: span.last,
            previous: start.digest,
            chain,
        };
        Ok(stream::try_unfold(walk, step).try_flatten())
    }
}

type Batch = stream::Iter<std::vec::IntoIter<Result<Entry, LedgerError>>>;

async fn step(mut walk: Walk) -> Result<Option<(Batch, Walk)>, LedgerError> {
    if walk.next > walk.last {
        return Ok(None);
    }
    let (batch, digest) = walk.chain.batch(walk.next).await?;
    walk.chain.follows(&batch, walk.previous)?;
    walk.previous = Some(digest);
    walk.next += 1;
    let (seq, at) = (Seq(batch.seq), batch.at);
    let entries = batch.records.into_iter();
    let entries = entries.map(|record| Ok(Entry { seq, at, record }));
    let entries: Vec<Result<Entry, LedgerError>> = entries.collect();
    Ok(Some((stream::iter(entries), walk)))
}
