//! The orderly end: what this daemon holds is given back as soon as it works on nothing, whoever is still served; then everything
//! ends within a bound.
//!
//! Every job follows the daemon's token. What may outlive it is a request to the database (12 s for an answer, 32 s for a
//! write that is tried again) or to a receiver of webhooks (3 s), and neither loses anything by being dropped.

use std::time::Duration;

use landlord_core::ports::DaemonStore as _;
use landlord_engine::Engine;
use landlord_store::Store;
use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::announce::Announced;

/// A database that responds takes milliseconds. One that does not ends the leases itself, in `engine.lease_ttl`.
const HAND_OVER_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest that what still runs is waited for: a request to the database of which nothing is heard any more is given up after 12 s.
/// With `engine.drain_deadline` and the hand-over it is less than the minute after which systemd and Kubernetes kill.
const TASKS_TIMEOUT: Duration = Duration::from_secs(15);

/// Runs the engine. Once no pass is under way its leases are given back: other daemons go on while the last clients of this one
/// are still served. While a plugin may go on with a call that was dropped nobody else may begin: those leases end by themselves.
pub(crate) async fn work(engine: Engine, store: Store, this: Announced, stop: CancellationToken) {
    let ended = engine.run(stop).await;
    // What is announced after that would be listed for a day.
    let announced = async { drop(this.task.await) };
    if !ended {
        let _ = timeout(HAND_OVER_TIMEOUT, announced).await;
        return;
    }
    let leave = async {
        announced.await;
        store.leave(&this.id).await
    };
    match timeout(HAND_OVER_TIMEOUT, leave).await {
        Ok(Ok(())) => tracing::info!("the leases are handed over"),
        Ok(Err(error)) => tracing::warn!(%error, "the leases are not handed over; they end by themselves"),
        Err(_) => tracing::warn!("the database does not respond; the leases end by themselves"),
    }
}

/// Waits for what still runs, and closes the store.
pub(crate) async fn wait(tasks: &TaskTracker, store: &Store) {
    tasks.close();
    if timeout(TASKS_TIMEOUT, tasks.wait()).await.is_err() {
        tracing::warn!(tasks = tasks.len(), timeout = ?TASKS_TIMEOUT, "what does not end in time is dropped");
    }
    store.close().await;
}
