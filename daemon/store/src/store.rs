//! The store as its callers hold it: connections to read, the only writer, and who waits for events.

use std::sync::Arc;

use landlord_core::ports::StoreError;
use sqlx::{Any, AnyPool, pool::PoolConnection};

use crate::{guard::Guard, notify::Notifier, rows::unavailable, write::Writer};

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
    /// Dropped last: it holds the database for this process.
    pub(crate) _guard: Arc<dyn Guard>,
}

impl Store {
    /// Waits for the writes under way and closes the database.
    pub async fn close(&self) {
        self.writer.close().await;
        self.api.close().await;
        self.engine.close().await;
    }

    /// Waits until the database turns out to be another one than was opened: removed, replaced, restored under a running
    /// daemon. Nothing is written from then on; the daemon must end. Gives what happened and who must do what.
    pub async fn lost(&self) -> String {
        self.writer.lost().await
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
