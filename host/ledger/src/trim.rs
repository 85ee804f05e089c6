//! Retention: old records go, and what they fold to stays, in an anchor that the chain itself vouches for.
//!
//! In this order, so that a kill at any step leaves a whole chain and the next run goes on: the anchor is made
//! durable; a record says what goes, by which rule, and the anchor's digest; bytes that only those records name are
//! removed; then checkpoints and batches, from the oldest; then older anchors.

use std::collections::BTreeSet;

use serde::Serialize;
use weir_core::digest::Digest;
use weir_core::name::RepositoryName;
use weir_core::record::{Event, Record};
use weir_core::retention::{Retention, Trim, blobs_of};

use crate::blob::{self, GRACE};
use crate::chain::{Chain, Span};
use crate::error::LedgerError;
use crate::{Ledger, Seq};

/// What was removed of one repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Removed {
    /// The repository.
    pub repository: RepositoryName,
    /// The last batch that is gone.
    pub through: Seq,
    /// How many batches were removed now.
    pub batches: u64,
    /// How many blobs were removed that only their records named. Of bytes that several repositories named, the
    /// first one has them.
    pub blobs: u64,
}

/// One repository's chain and what of it goes.
struct Cut {
    chain: Chain,
    first: u64,
    through: u64,
}

impl Ledger {
    /// Removes records that the rule does not keep, of all repositories, and bytes that only those named. A record
    /// stays for a day whatever the rule says. One at a time; a second call waits.
    ///
    /// # Errors
    /// The first thing that could not be read or written: what it may concern was not removed, and the next call
    /// goes on.
    pub async fn trim(&self, rule: &Retention) -> Result<Vec<Removed>, LedgerError> {
        let _one = self.trimming.lock().await;
        let now = (self.clock)();
        let mut cuts = Vec::new();
        for repository in self.reader.repositories().await? {
            cuts.extend(self.cut(&repository, rule, now).await?);
        }
        let mut removed = Vec::new();
        if cuts.is_empty() {
            return Ok(removed);
        }
        let needed = self.needed(&cuts).await?;
        let mut tried = BTreeSet::new();
        for cut in &cuts {
            let mut blobs = 0;
            for digest in named(&cut.chain, cut.first..=cut.through).await? {
                if !needed.contains(&digest) && tried.insert(digest) {
                    // Nobody keeps the same bytes between the look at their age and the removal.
                    let _alone = self.blobs.write().await;
                    blobs += u64::from(blob::remove(&self.reader.store, digest, now).await?);
                }
            }
            cut.remove().await?;
            removed.push(Removed {
                repository: cut.chain.repository.clone(),
                through: Seq(cut.through),
                batches: cut.through + 1 - cut.first,
                blobs,
            });
        }
        Ok(removed)
    }

    /// What goes of one repository; the chain says so by then.
    async fn cut(
        &self,
        repository: &RepositoryName,
        rule: &Retention,
        now: i64,
    ) -> Result<Option<Cut>, LedgerError> {
        let chain = self.reader.chain(repository);
        let span = chain.span(&chain.anchors().await?).await?;
        let all = chain.load().await?.records;
        let start = chain.start(&span).await?;
        let mut tail = start.clone();
        for seq in span.anchor + 1..=span.last {
            let (batch, digest) = chain.batch(seq).await?;
            let newer = all.saturating_sub(tail.records + batch.records.len() as u64);
            if now.saturating_sub(batch.at) <= GRACE || !rule.drops(now, batch.at, newer) {
                break;
            }
            chain.follows(&batch, tail.digest)?;
            tail.push(&batch, digest);
        }
        let through = tail.seq;
        if let (true, Some(batch)) = (through > span.anchor, tail.digest) {
            // An anchor that nothing depends on yet may be one that no record vouches for: whoever wrote it was killed.
            for seq in chain.anchors().await? {
                if seq > span.anchor && seq != through {
                    chain.store.remove(&chain.anchor_name(seq)).await?;
                }
            }
            let trim = Trim {
                through,
                batch,
                anchor: chain.write_anchor(&tail, batch).await?,
                records: tail.records - start.records,
                rule: *rule,
            };
            let record = Record {
                app: None,
                event: Event::Trimmed(trim),
            };
            self.append(repository, vec![record]).await?;
        }
        let first = span.first;
        let is_cut = first <= through && through > 0;
        Ok(is_cut.then_some(Cut {
            chain,
            first,
            through,
        }))
    }

    /// The bytes that records which stay name, and what is needed as things stand, over all repositories.
    async fn needed(&self, cuts: &[Cut]) -> Result<BTreeSet<Digest>, LedgerError> {
        let mut needed = BTreeSet::new();
        for repository in self.reader.repositories().await? {
            let chain = self.reader.chain(&repository);
            let span: Span = chain.span(&chain.anchors().await?).await?;
            let cut = cuts.iter().find(|cut| cut.chain.repository == repository);
            let from = cut.map_or(span.anchor, |cut| cut.through) + 1;
            needed.append(&mut named(&chain, from..=span.last).await?);
            needed.append(&mut chain.load().await?.status.blobs());
        }
        Ok(needed)
    }
}

impl Cut {
    /// Removes what goes, from the oldest.
    async fn remove(&self) -> Result<(), LedgerError> {
        let Cut {
            chain,
            first,
            through,
        } = self;
        for seq in chain.checkpoints().await? {
            if seq <= *through {
                chain.store.remove(&chain.checkpoint_name(seq)).await?;
            }
        }
        for seq in *first..=*through {
            chain.store.remove(&chain.batch_name(seq)).await?;
        }
        for seq in chain.anchors().await? {
            if seq != *through {
                chain.store.remove(&chain.anchor_name(seq)).await?;
            }
        }
        Ok(())
    }
}

/// The bytes that the records of some batches name.
async fn named(
    chain: &Chain,
    batches: std::ops::RangeInclusive<u64>,
) -> Result<BTreeSet<Digest>, LedgerError> {
    let mut all = BTreeSet::new();
    for seq in batches {
        let (batch, _) = chain.batch(seq).await?;
        all.extend(batch.records.iter().flat_map(blobs_of));
    }
    Ok(all)
}
