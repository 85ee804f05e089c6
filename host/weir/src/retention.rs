//! Old records go while a host runs: at its start, and once a day.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use weir_core::retention::Retention;
use weir_ledger::Ledger;

use crate::error::with_causes;

/// From one removal to the next.
const EVERY: Duration = Duration::from_secs(24 * 3600);

/// Removes what the rule does not keep, until it is aborted. Nothing waits for it, and it holds up nothing.
pub(crate) fn keep(ledger: Arc<Ledger>, rule: Retention) -> JoinHandle<()> {
    tokio::spawn(async move {
        if rule.is_for_ever() {
            return;
        }
        tracing::info!("the ledger: {rule}");
        loop {
            once(&ledger, &rule).await;
            tokio::time::sleep(EVERY).await;
        }
    })
}

async fn once(ledger: &Ledger, rule: &Retention) {
    match ledger.trim(rule).await {
        Ok(all) => {
            for removed in all {
                tracing::info!(
                    repository = %removed.repository,
                    "old records were removed from the ledger: {} batches up to {}, {} blobs",
                    removed.batches, removed.through, removed.blobs
                );
            }
        }
        Err(e) => tracing::error!("old records stay in the ledger: {}", with_causes(&e)),
    }
}
