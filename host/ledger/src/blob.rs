//! Bytes by digest: what was rendered is kept under the digest that receipts and records name.

use bytes::Bytes;
use serde::Serialize;
use weir_core::digest::Digest;

use crate::error::LedgerError;
use crate::store::{Created, Store};

/// What a full check of the blobs found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct BlobReport {
    /// Blobs that are what was kept.
    pub good: u64,
    /// Files of those that are not.
    pub damaged: Vec<String>,
    /// Files in the folder that are none of the ledger's.
    pub strangers: Vec<String>,
}

fn name(digest: Digest) -> String {
    let hex = digest.hex();
    format!("blob/{}/{hex}", &hex[..2])
}

/// How long bytes stay that nobody names: whoever keeps them names them in a record within half of that.
pub(crate) const GRACE: i64 = 86_400;

/// Keeps bytes. What lies there damaged under the same name is replaced; what lies there for long is written anew,
/// so that it is not taken for what nobody needs before a record names it.
pub(crate) async fn put(
    store: &Store,
    bytes: Bytes,
    limit: u64,
    now: i64,
) -> Result<Digest, LedgerError> {
    if bytes.len() as u64 > limit {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        return Err(LedgerError::TooLarge {
            unit: "bytes",
            size: bytes.len(),
            limit,
        });
    }
    let digest = Digest::of(&bytes);
    match store.create(&name(digest), bytes.clone()).await? {
        Created::Done => {}
        Created::Same { written } if now.saturating_sub(written) < GRACE / 2 => {}
        Created::Same { .. } => store.replace(&name(digest), bytes).await?,
        Created::Taken(_) => {
            tracing::warn!(%digest, "a damaged blob is replaced by what it was");
            store.replace(&name(digest), bytes).await?;
        }
    }
    Ok(digest)
}

/// Removes bytes that nobody names any more; whether they were there. What was kept of late stays.
pub(crate) async fn remove(store: &Store, digest: Digest, now: i64) -> Result<bool, LedgerError> {
    let name = name(digest);
    match store.written(&name).await? {
        Some(written) if now.saturating_sub(written) > GRACE => {
            store.remove(&name).await.map(|()| true)
        }
        _ => Ok(false),
    }
}

/// The bytes with a digest.
pub(crate) async fn get(store: &Store, digest: Digest) -> Result<Option<Bytes>, LedgerError> {
    let Some(bytes) = store.read(&name(digest)).await? else {
        return Ok(None);
    };
    let found = Digest::of(&bytes);
    if found != digest {
        let why = format!("its bytes have the digest {found}");
        return Err(LedgerError::Damaged {
            file: store.file(&name(digest)),
            seq: None,
            why,
        });
    }
    Ok(Some(bytes))
}

/// Reads every blob.
pub(crate) async fn verify(store: &Store) -> Result<BlobReport, LedgerError> {
    let mut report = BlobReport::default();
    for folder in store.folders("blob").await? {
        for file in store.list(&format!("blob/{folder}")).await? {
            let path = format!("blob/{folder}/{file}");
            match format!("sha256:{file}").parse::<Digest>() {
                Ok(digest) if name(digest) == path => match get(store, digest).await {
                    Ok(_) => report.good += 1,
                    Err(LedgerError::Damaged { .. }) => report.damaged.push(path),
                    Err(other) => return Err(other),
                },
                _ => report.strangers.push(path),
            }
        }
    }
    Ok(report)
}
