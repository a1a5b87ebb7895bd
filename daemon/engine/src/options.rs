//! What the engine starts with: settings, and the ports that it works with.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use landlord_core::{
    ProviderName,
    certificate::OrderLimits,
    ports::{Apps, HostClusters, Isolation, Providers, WorkStore},
};

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
    /// Multiplies expected durations, waits and timeouts; 1.0 in production.
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
    /// A claim ends this long after its owner was last seen.
    pub lease_ttl: Duration,
    /// READY tenants are observed again this often.
    pub resync_interval: Duration,
    /// What host clusters have and what is taken of it is counted this often.
    pub capacity_interval: Duration,
    /// A delete waits this long for an unreachable API server.
    pub teardown_timeout: Duration,
    /// Transient errors are retried this long before a stage fails.
    pub retry_timeout: Duration,
    /// Passes may end for this long after cancellation.
    pub drain_deadline: Duration,
    /// Multiplies expected durations, waits and timeouts of what is done in clusters, whose API servers are real
    /// whatever simulates their cloud: 1.0, but for tests without API servers.
    pub in_cluster_time_scale: f64,
    /// By provider.
    pub providers: BTreeMap<ProviderName, ProviderOptions>,
    /// How many certificates authorities give this installation, by the address of their directory. One that is not here gives any.
    pub certificate_limits: BTreeMap<String, OrderLimits>,
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
