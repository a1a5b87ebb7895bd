//! Port to numbers about all that a store holds, for figures. No number says anything of a single tenant.

use std::time::Duration;

use async_trait::async_trait;

use super::StoreError;
/// How many environments are alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentCount {
    /// Host clusters; otherwise tenants.
    pub is_host_cluster: bool,
    /// Their provider.
    pub provider: String,
    /// Their class.
    pub class: String,
    /// Their state, as the API calls it.
    pub state: String,
    /// How many.
    pub count: u64,
}

/// Numbers of one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Environments by kind, provider, class and state.
    pub environments: Vec<EnvironmentCount>,
    /// Environments that are due and that nobody has claimed yet.
    pub due: u64,
    /// How long the first of them has been due.
    pub longest_due: Duration,
    /// Operations that run.
    pub operations: u64,
    /// How long the oldest of them has been running that waits for no certificate.
    pub oldest_operation: Duration,
    /// How many of them wait for a certificate that an authority gives this installation later.
    pub certificates_waiting: u64,
}

/// Counts what a store holds.
#[async_trait]
pub trait StatisticsStore: Send + Sync + 'static {
    /// Numbers as of now. It reads every environment's state: for once in a while.
    async fn statistics(&self) -> Result<Statistics, StoreError>;
}
