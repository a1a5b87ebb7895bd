//! Port to the provider plugins.

use std::sync::Arc;

use landlord_provider_api::{Provider, v1};

pub use crate::placement::ProviderKey;
use crate::{Failure, Timestamp};

/// How a plugin is doing.
#[derive(Debug, Clone, PartialEq)]
pub struct ProviderHealth {
    /// Which.
    pub key: ProviderKey,
    /// Whether calls are let through.
    pub healthy: bool,
    /// Sentence for humans: why not, or how it runs.
    pub detail: String,
    /// Plugin file.
    pub path: String,
    /// SHA-256 of the bytes loaded, hex.
    pub sha256: String,
    /// Child's process id, while one runs.
    pub pid: Option<u32>,
    /// Restarts since the daemon started.
    pub restarts: u64,
    /// When the present child became ready.
    pub ready_time: Option<Timestamp>,
    /// The plugin's own description; `None` before it first became ready.
    pub description: Option<v1::DescribeResponse>,
}

/// The configured providers.
pub trait Providers: Send + Sync + 'static {
    /// A provider by key. Returns at once; calls on an unhealthy one fail with TRANSIENT.
    ///
    /// # Errors
    /// INVALID: the configuration names no such provider or credential scope.
    fn provider(&self, key: &ProviderKey) -> Result<Arc<dyn Provider>, Failure>;

    /// The plugin's description, as read when it first became ready.
    fn description(&self, key: &ProviderKey) -> Option<v1::DescribeResponse>;

    /// Why a provider takes no new work: it is not configured, or it never came up and a start has failed. `None`: it is
    /// up, was up (the next call starts it again), or is being started for the first time.
    fn start_failure(&self, key: &ProviderKey) -> Option<String>;

    /// An API server refused what this provider gave: its credentials are read again, in case that they were replaced. Costs
    /// the reading of a file. A cloud's own refusal needs no such hint.
    fn renew_credentials(&self, key: &ProviderKey) {
        let _ = key;
    }

    /// Health of all.
    fn health(&self) -> Vec<ProviderHealth>;
}
