//! Says that this daemon lives, for the other daemons on its store and for whoever lists them.

use std::{sync::Arc, time::Duration};

use landlord_core::ports::{DaemonInfo, DaemonStore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Between two announcements; `proto/landlord/v1/daemon.proto` promises it.
const INTERVAL: Duration = Duration::from_secs(15);

/// This daemon.
fn this(id: String) -> DaemonInfo {
    // What gethostname(2) says; a machine without /proc runs no plugins either.
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned();
    DaemonInfo { id, host, pid: std::process::id(), version: env!("CARGO_PKG_VERSION").to_owned() }
}

/// Announces this daemon from now on. `id`: the owner of its leases.
pub(crate) fn start(
    id: String,
    store: Arc<dyn DaemonStore>,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> DaemonInfo {
    let daemon = this(id);
    tasks.spawn(run(store, daemon.clone(), stop.clone()));
    daemon
}

/// Announces until cancelled.
async fn run(store: Arc<dyn DaemonStore>, daemon: DaemonInfo, stop: CancellationToken) {
    loop {
        if let Err(error) = store.announce(&daemon).await {
            tracing::warn!(%error, "the other daemons do not hear of this one");
        }
        if stop.run_until_cancelled(tokio::time::sleep(INTERVAL)).await.is_none() {
            return;
        }
    }
}
