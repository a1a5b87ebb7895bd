//! Port to the contents of revisions, as the store keeps them.

use async_trait::async_trait;

use super::StoreError;
use crate::revision::{CurrentRevisions, RevisionKey};

/// Keeps contents of revisions for as long as an environment names them.
#[async_trait]
pub trait RevisionStore: Send + Sync + 'static {
    /// Keeps contents that are not kept yet.
    async fn keep_revisions(&self, revisions: Vec<(RevisionKey, Vec<u8>)>) -> Result<(), StoreError>;

    /// Has environments that name no revision yet name the current ones, which they ran until now. Returns how many.
    async fn pin_revisions(&self, current: &CurrentRevisions) -> Result<u64, StoreError>;

    /// The revisions that environments name, also those that they may go back to.
    async fn named_revisions(&self) -> Result<Vec<RevisionKey>, StoreError>;

    /// The content of one; `None`: it is not kept.
    async fn revision(&self, key: &RevisionKey) -> Result<Option<Vec<u8>>, StoreError>;
}
