//! The store as its callers hold it: connections to read, the only writer, and who waits for events.

use std::{any::Any as Kept, sync::Arc};

use landlord_core::ports::StoreError;
use sqlx::{Any, AnyPool, pool::PoolConnection};

use crate::{notify::Notifier, rows::unavailable, write::Writer};

/// A store on some database. Clones share it.
#[derive(Debug, Clone)]
pub struct Store {
    /// Reads for the API.
    pub(crate) api: AnyPool,
    /// Reads for the engine, which no client can use up.
    pub(crate) engine: AnyPool,
    pub(crate) notifier: Notifier,
    pub(crate) writer: Writer,
    /// Newest events kept.
    pub(crate) events_max: u64,
    /// What proves that the database is ours, for as long as the store is open.
    pub(crate) _held: Arc<dyn Kept + Send + Sync>,
}

impl Store {
    /// Waits for the writes under way and closes the database.
    pub async fn close(&self) {
        self.writer.close().await;
        self.api.close().await;
        self.engine.close().await;
    }

    /// A connection for one statement of the API.
    pub(crate) async fn reader(&self) -> Result<PoolConnection<Any>, StoreError> {
        self.api.acquire().await.map_err(unavailable("reading"))
    }

    /// A connection of the API whose statements all see the same moment.
    pub(crate) async fn snapshot(&self) -> Result<sqlx::Transaction<'static, Any>, StoreError> {
        self.api.begin().await.map_err(unavailable("reading"))
    }
}
