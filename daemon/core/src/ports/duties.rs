//! Port to what one daemon at a time does for all that share a store.

use std::time::Duration;

use async_trait::async_trait;

use super::StoreError;

/// What one daemon at a time does for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// Listing the clouds' inventories after an epoch began.
    CloudInventories,
    /// Listing what tenants have in host clusters.
    HostInventories,
    /// Looking whether tenants answer.
    Probing,
}

/// Who has which duty.
#[async_trait]
pub trait DutyStore: Send + Sync + 'static {
    /// Takes or keeps a duty for `ttl`, of which zero gives it back: another daemon may take it at once. Whether it is the owner's
    /// now. Daemons that share the store make its calls by turns, not all of them.
    async fn claim_duty(&self, duty: Duty, owner: &str, ttl: Duration) -> Result<bool, StoreError>;
}
