//! The full check of one chain: what is there follows from what was there, and nothing is believed that is not shown.

use weir_core::digest::Digest;
use weir_core::record::Event;
use weir_core::retention::Trim;

use crate::chain::{Batch, Chain, STEADY_TRIES, Span, Tail};
use crate::error::LedgerError;
use crate::reader::ChainReport;

/// Proves a chain.
///
/// # Errors
/// The first batch that is damaged or missing, or the anchor.
pub(crate) async fn chain(chain: &Chain) -> Result<ChainReport, LedgerError> {
    let mut tries = STEADY_TRIES;
    loop {
        let anchors = chain.anchors().await?;
        match once(chain, &anchors).await {
            Err(e) if chain.has_moved(&e, &anchors, &mut tries).await? => {}
            result => return result,
        }
    }
}

async fn once(chain: &Chain, anchors: &[u64]) -> Result<ChainReport, LedgerError> {
    let checkpoints = chain.checkpoints().await?;
    let span = chain.span(anchors).await?;
    let (mut tail, anchor) = match span.anchor {
        0 => (Tail::default(), None),
        seq => {
            let (tail, digest) = chain.anchor(seq).await?;
            (tail, Some(digest))
        }
    };
    leftover(chain, &span, &tail).await?;
    let mut report = ChainReport {
        batches: span.last - span.anchor,
        records: 0,
        removed: tail.records,
        trim: None,
        head: None,
        checkpoints: 0,
        bad_checkpoints: Vec::new(),
        strangers: chain.strangers().await?,
    };
    let begins = tail.digest;
    let mut proof = anchor.is_none();
    for seq in span.anchor + 1..=span.last {
        let (batch, digest) = chain.batch(seq).await?;
        chain.follows(&batch, tail.digest)?;
        tail.push(&batch, digest);
        report.records += batch.records.len() as u64;
        for trim in trims(&batch) {
            proof |= trim.through == span.anchor
                && Some(trim.batch) == begins
                && Some(trim.anchor) == anchor;
            report.trim = Some(trim.clone());
        }
        if checkpoints.contains(&seq) {
            let found = chain.checkpoint(seq, span.last).await?;
            compare(&mut report, chain.checkpoint_name(seq), found, &tail);
        }
        if anchors.contains(&seq) {
            let found = alone(chain, seq).await?;
            compare(&mut report, chain.anchor_name(seq), found, &tail);
        }
    }
    if !proof {
        let why = "no record of the chain says that it stands for what was removed".to_owned();
        return Err(LedgerError::Damaged {
            file: chain.store.file(&chain.anchor_name(span.anchor)),
            seq: None,
            why,
        });
    }
    outside(chain, &span, anchors, &checkpoints, &mut report).await?;
    report.head = tail.digest;
    Ok(report)
}

/// Batches that a removal has not come to yet: whole, linked, and the last one is what the anchor says.
async fn leftover(chain: &Chain, span: &Span, anchor: &Tail) -> Result<(), LedgerError> {
    let mut previous: Option<Digest> = None;
    for seq in span.first..=span.anchor {
        let (batch, digest) = chain.batch(seq).await?;
        if previous.is_some() {
            chain.follows(&batch, previous)?;
        }
        previous = Some(digest);
    }
    if previous.is_some() && previous != anchor.digest {
        let why = "it is not the batch that its anchor was made at".to_owned();
        return Err(chain.damaged(&chain.batch_name(span.anchor), span.anchor, why));
    }
    Ok(())
}

/// Checkpoints and anchors of batches that are not there any more, or not yet.
async fn outside(
    chain: &Chain,
    span: &Span,
    anchors: &[u64],
    checkpoints: &[u64],
    report: &mut ChainReport,
) -> Result<(), LedgerError> {
    for &seq in checkpoints.iter().filter(|&&seq| seq <= span.anchor) {
        if let Err(why) = chain.checkpoint_alone(seq).await? {
            report
                .bad_checkpoints
                .push(format!("{}: {why}", chain.checkpoint_name(seq)));
        }
    }
    for &seq in anchors.iter().filter(|&&seq| seq < span.anchor) {
        if let Err(why) = alone(chain, seq).await? {
            report
                .bad_checkpoints
                .push(format!("{}: {why}", chain.anchor_name(seq)));
        }
    }
    // A checkpoint beyond the end proves that batches are lost.
    for &seq in checkpoints.iter().filter(|&&seq| seq > span.last) {
        if let Err(why) = chain.checkpoint(seq, span.last).await? {
            report
                .bad_checkpoints
                .push(format!("{}: {why}", chain.checkpoint_name(seq)));
        }
    }
    Ok(())
}

/// An anchor that nothing depends on yet, or any more; the inner error says what is wrong with it.
async fn alone(chain: &Chain, seq: u64) -> Result<Result<Tail, String>, LedgerError> {
    match chain.anchor(seq).await {
        Ok((tail, _)) => Ok(Ok(tail)),
        Err(LedgerError::Damaged { why, .. }) => Ok(Err(why)),
        Err(other) => Err(other),
    }
}

fn compare(report: &mut ChainReport, name: String, found: Result<Tail, String>, tail: &Tail) {
    let why = match found {
        Ok(found) if found == *tail => {
            report.checkpoints += 1;
            return;
        }
        Ok(_) => "it does not agree with the records".to_owned(),
        Err(why) => why,
    };
    report.bad_checkpoints.push(format!("{name}: {why}"));
}

fn trims(batch: &Batch) -> impl Iterator<Item = &Trim> {
    batch
        .records
        .iter()
        .filter_map(|record| match &record.event {
            Event::Trimmed(trim) => Some(trim),
            _ => None,
        })
}
