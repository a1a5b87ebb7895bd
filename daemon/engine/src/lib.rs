//! The reconciling engine: claims what is due, decides by the pure plan, calls providers and
//! the deploy stage, records, and asks to be woken.
//!
//! - [`Engine::run`] claims tenants and gives each a pass (`pass.rs`).
//! - A pass records the intent of every stage before its first call, runs independent stages
//!   side by side, and commits each outcome as it comes, under the fence of its claim.
//! - `execute.rs` alone asks for outside changes.
//!
//! It knows no SQL, no gRPC and no provider by name.

mod access;
mod execute;
mod limits;
mod pass;
mod report;
mod request;
mod timing;

use std::{collections::BTreeMap, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt as _;
use landlord_core::{
    ProviderName,
    journal::RetryRules,
    ports::{Apps, Claim, HostClusters, Isolation, Providers, StoreError, Wake, WorkStore},
};
use tokio::{
    sync::{Notify, Semaphore},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{access::AccessCache, limits::Limits};

/// Claims in one round trip; passes begin as soon as a round trip is over.
const CLAIM_BATCH_MAX: u32 = 64;
/// Without a hint the store is asked at least this often: another daemon, or a lost hint.
const IDLE_POLL: Duration = Duration::from_secs(1);
/// While the store can't be reached it is asked this often.
const STORE_RETRY: Duration = Duration::from_millis(500);

/// Figures of a rate bucket that replace the plugin's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BucketFigures {
    /// Calls per second, sustained.
    pub rate_per_second: f64,
    /// Calls at once after a pause.
    pub burst: f64,
}

/// Settings of one provider.
#[derive(Debug, Clone)]
pub struct ProviderOptions {
    /// Multiplies expected durations, waits and patience; 1.0 in production.
    pub time_scale: f64,
    /// Other figures than the plugin's own, by bucket name.
    pub buckets: BTreeMap<String, BucketFigures>,
}

impl Default for ProviderOptions {
    fn default() -> Self {
        Self { time_scale: 1.0, buckets: BTreeMap::new() }
    }
}

/// Settings of the engine.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Installation, for the owner markers.
    pub installation: String,
    /// Name of this owner, unique for every start of the daemon.
    pub owner: String,
    /// Tenants worked on at the same moment.
    pub passes_max: u32,
    /// A claim ends this long after its owner was last heard of.
    pub lease_ttl: Duration,
    /// READY tenants are looked at again this often.
    pub resync_interval: Duration,
    /// What host clusters have and what is taken of it is counted this often.
    pub capacity_interval: Duration,
    /// A delete waits this long for an unreachable API server.
    pub teardown_patience: Duration,
    /// Passing trouble is retried this long before a stage fails.
    pub retry_patience: Duration,
    /// Passes may end for this long after cancellation.
    pub drain_deadline: Duration,
    /// Multiplies expected durations, waits and patience of what is done in clusters, whose API servers are real
    /// whatever simulates their cloud: 1.0, but for tests without API servers.
    pub in_cluster_time_scale: f64,
    /// By provider.
    pub providers: BTreeMap<ProviderName, ProviderOptions>,
}

/// What the engine works with.
#[derive(Clone)]
pub struct EnginePorts {
    /// The queue.
    pub store: Arc<dyn WorkStore>,
    /// The clouds.
    pub providers: Arc<dyn Providers>,
    /// The apps; `None`: no class has a stack.
    pub apps: Option<Arc<dyn Apps>>,
    /// What keeps tenants of shared clusters apart.
    pub isolation: Arc<dyn Isolation>,
    /// Host clusters as a whole.
    pub host_clusters: Arc<dyn HostClusters>,
}

impl std::fmt::Debug for EnginePorts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EnginePorts").field("apps", &self.apps.is_some()).finish_non_exhaustive()
    }
}

/// What every pass shares.
pub(crate) struct Shared {
    pub(crate) options: EngineOptions,
    pub(crate) ports: EnginePorts,
    pub(crate) limits: Limits,
    pub(crate) access: AccessCache,
    hint: Notify,
}

impl Shared {
    pub(crate) fn provider_options(&self, provider: &ProviderName) -> ProviderOptions {
        self.options.providers.get(provider).cloned().unwrap_or_default()
    }

    /// The retry rules for work at a time scale.
    pub(crate) fn rules(&self, time_scale: f64) -> RetryRules {
        RetryRules {
            patience: self.options.retry_patience,
            teardown_patience: self.options.teardown_patience,
            resync_interval: self.options.resync_interval,
            capacity_interval: self.options.capacity_interval,
            time_scale,
        }
    }
}

/// The engine, before it runs.
pub struct Engine {
    shared: Arc<Shared>,
}

/// Hints to a running engine. Clones are cheap.
#[derive(Clone)]
pub struct EngineHandle {
    shared: Arc<Shared>,
}

impl Wake for EngineHandle {
    fn wake(&self) {
        self.shared.hint.notify_one();
    }
}

impl Engine {
    /// An engine and the handle that hints it.
    #[must_use]
    pub fn new(options: EngineOptions, ports: EnginePorts) -> (Self, EngineHandle) {
        let shared = Arc::new(Shared {
            options,
            ports,
            limits: Limits::default(),
            access: AccessCache::default(),
            hint: Notify::new(),
        });
        (Self { shared: Arc::clone(&shared) }, EngineHandle { shared })
    }

    /// Works until cancelled; then lets passes end until the drain deadline and drops the rest,
    /// whose leases run out by themselves.
    pub async fn run(self, stop: CancellationToken) {
        let shared = self.shared;
        let passes = TaskTracker::new();
        let slots = Arc::new(Semaphore::new(shared.options.passes_max.max(1) as usize));
        let abort = CancellationToken::new();
        recover(&shared, &stop).await;
        while !stop.is_cancelled() {
            let wait = round(&shared, &slots, &passes, &abort).await;
            tokio::select! {
                () = stop.cancelled() => {}
                () = shared.hint.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
        passes.close();
        if timeout(shared.options.drain_deadline, passes.wait()).await.is_err() {
            tracing::warn!(passes = passes.len(), "drain deadline is over; passes are dropped");
            abort.cancel();
            passes.wait().await;
        }
    }
}

async fn recover(shared: &Shared, stop: &CancellationToken) {
    while !stop.is_cancelled() {
        match shared.ports.store.recover_leases().await {
            Ok(0) => return,
            Ok(leases) => {
                tracing::info!(leases, "took over the leases of an earlier run");
                return;
            }
            Err(error) => {
                tracing::error!(error = %Chain(&error), "can't recover leases");
                tokio::time::sleep(STORE_RETRY).await;
            }
        }
    }
}

/// Claims what is due for the free slots; says how long nothing more will be.
async fn round(
    shared: &Arc<Shared>,
    slots: &Arc<Semaphore>,
    passes: &TaskTracker,
    abort: &CancellationToken,
) -> Duration {
    let free = u32::try_from(slots.available_permits()).unwrap_or(u32::MAX).min(CLAIM_BATCH_MAX);
    if free == 0 {
        // A pass that ends gives a hint.
        return IDLE_POLL;
    }
    let store = &shared.ports.store;
    let options = &shared.options;
    let claims = match store.claim(&options.owner, free, options.lease_ttl).await {
        Ok(claims) => claims,
        Err(error) => {
            tracing::error!(error = %Chain(&error), "can't claim work");
            return STORE_RETRY;
        }
    };
    let full = claims.len() == free as usize;
    for claim in claims {
        let Ok(slot) = Arc::clone(slots).try_acquire_owned() else { break };
        let (shared, abort) = (Arc::clone(shared), abort.clone());
        passes.spawn(async move {
            tokio::select! {
                () = abort.cancelled() => {}
                () = guarded_pass(&shared, &claim) => {}
            }
            drop(slot);
            shared.hint.notify_one();
        });
    }
    if full {
        return Duration::ZERO;
    }
    match store.next_due().await {
        Ok(next) => next.unwrap_or(IDLE_POLL).min(IDLE_POLL),
        Err(error) => {
            tracing::error!(error = %Chain(&error), "can't ask for what is due");
            STORE_RETRY
        }
    }
}

/// A pass whose panic costs only itself: the lease runs out and the tenant is claimed anew.
async fn guarded_pass(shared: &Arc<Shared>, claim: &Claim) {
    match AssertUnwindSafe(pass::run(shared, claim)).catch_unwind().await {
        Ok(Ok(())) => {}
        Ok(Err(StoreError::FenceLost(uid))) => {
            tracing::warn!(tenant.uid = %uid, "the lease was lost; another owner goes on");
        }
        Ok(Err(error)) => {
            tracing::error!(tenant.uid = %claim.uid, error = %Chain(&error), "a pass ended early");
        }
        Err(_) => tracing::error!(tenant.uid = %claim.uid, "a pass panicked"),
    }
}

/// An error with its sources, for a log line.
pub(crate) struct Chain<'a>(pub(crate) &'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}
