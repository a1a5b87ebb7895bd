//! Says that this daemon lives, for the other daemons on its store and for whoever lists them.

use std::{sync::Arc, time::Duration};

use landlord_core::ports::{DaemonInfo, DaemonStore};
use tokio::task::JoinHandle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Between two announcements; `proto/landlord/v1/daemon.proto` promises it.
const INTERVAL: Duration = Duration::from_secs(15);

/// This daemon.
fn this(id: String) -> DaemonInfo {
    // What gethostname(2) says; a machine without /proc runs no plugins either.
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned();
    DaemonInfo { id, host, pid: std::process::id(), version: env!("CARGO_PKG_VERSION").to_owned() }
}

/// A daemon that announces itself.
pub(crate) struct Announced {
    /// Owner of its leases.
    pub(crate) id: String,
    /// Ends when the daemon stops: nothing is announced after it.
    pub(crate) task: JoinHandle<()>,
}

/// Announces this daemon from now on. `id`: the owner of its leases.
pub(crate) fn start(
    id: String,
    store: Arc<dyn DaemonStore>,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> Announced {
    let task = tasks.spawn(run(store, this(id.clone()), stop.clone()));
    Announced { id, task }
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
