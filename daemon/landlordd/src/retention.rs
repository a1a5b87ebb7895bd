//! Has the store forget what ended long ago, a little at a time, so that no other write waits for it.

use std::{sync::Arc, time::Duration};

use landlord_core::ports::HistoryStore;
use tokio_util::sync::CancellationToken;

/// Days matter, so hours do.
const INTERVAL: Duration = Duration::from_secs(60 * 60);
/// Operations of one transaction: some milliseconds.
const BATCH: u32 = 500;
/// Between two transactions, for the writes that came meanwhile.
const PAUSE: Duration = Duration::from_millis(100);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Forgets operations that ended more than `kept_days` ago, at once and every hour, until `stop`; 0: forgets nothing. What
/// fails is tried again with the next round. Several daemons on one store do the same work, and no harm.
pub(crate) async fn run(store: Arc<dyn HistoryStore>, kept_days: u32, stop: CancellationToken) {
    if kept_days == 0 {
        return;
    }
    let mut rounds = tokio::time::interval(INTERVAL);
    while stop.run_until_cancelled(rounds.tick()).await.is_some() {
        let mut forgotten = 0;
        while let Some(result) = stop.run_until_cancelled(store.forget_operations(DAY * kept_days, BATCH)).await {
            let count = result.unwrap_or_else(|error| {
                tracing::warn!(%error, "old operations can't be forgotten now");
                0
            });
            forgotten += count;
            let is_last = count < u64::from(BATCH);
            if is_last || stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await.is_none() {
                break;
            }
        }
        if forgotten > 0 {
            tracing::info!(operations = forgotten, kept_days, "old operations are forgotten");
        }
    }
}
