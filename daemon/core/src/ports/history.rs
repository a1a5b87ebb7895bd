//! Port to what the store forgets in time.

use std::time::Duration;

use async_trait::async_trait;

use super::store_error::StoreError;

/// What the store keeps of the past, and forgets.
#[async_trait]
pub trait HistoryStore: Send + Sync + 'static {
    /// Forgets operations that ended longer than `kept` ago, with their request ids, oldest first and `limit` at most in one
    /// transaction. The newest operation of an environment stays as long as the environment. Gives how many are forgotten;
    /// fewer than `limit`: none is left that is so old.
    async fn forget_operations(&self, kept: Duration, limit: u32) -> Result<u64, StoreError>;
}
