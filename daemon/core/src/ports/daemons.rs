//! Port to what is known of the daemons that share a store. Knows neither requests nor work.

use async_trait::async_trait;

use super::StoreError;
use crate::Timestamp;

/// A daemon as it announces itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DaemonInfo {
    /// Unique for every start; the owner of its leases.
    pub id: String,
    /// Name of its machine or pod.
    pub host: String,
    /// Process id there.
    pub pid: u32,
    /// Version of the program.
    pub version: String,
}

/// A daemon as the store knows it. All times are the database's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DaemonState {
    /// As it announced itself.
    pub info: DaemonInfo,
    /// When it did so first.
    pub start_time: Timestamp,
    /// When it was last seen.
    pub heard_time: Timestamp,
    /// What it holds.
    pub leases: Leases,
}

/// What a daemon holds at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Leases {
    /// Tenants and host clusters that it works on.
    pub environments: u64,
    /// Cloud accounts whose calls it makes.
    pub accounts: u64,
}

/// What the daemons on a store know of each other.
#[async_trait]
pub trait DaemonStore: Send + Sync + 'static {
    /// Says that a daemon lives. Daemons that were not seen for a day are forgotten.
    async fn announce(&self, daemon: &DaemonInfo) -> Result<(), StoreError>;

    /// Says that a daemon ends: its leases end at once, so that others go on without waiting for them. For a moment at which
    /// it works on nothing any more; whatever it still had claimed writes nothing.
    async fn leave(&self, id: &str) -> Result<(), StoreError>;

    /// The daemons that have announced themselves and not left, by id.
    async fn daemons(&self) -> Result<Vec<DaemonState>, StoreError>;

    /// What one daemon holds; nothing, if it is not known.
    async fn leases(&self, id: &str) -> Result<Leases, StoreError>;
}
