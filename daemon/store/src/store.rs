//! The store as its callers hold it: connections to read, the only writer of this process, and who waits for events.

use std::{
    ops::{Deref, DerefMut},
    sync::Arc,
};

use landlord_core::ports::StoreError;
use sqlx::{Any, AnyConnection, AnyPool, Transaction, pool::PoolConnection};

use crate::{dialect::Dialect, guard::Guard, notify::Notifier, rows::unavailable, write::Writer};

/// A store on some database. Clones share it.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) dialect: Dialect,
    /// Reads for the API.
    pub(crate) api: AnyPool,
    /// Reads for the engine, which no client can use up.
    pub(crate) engine: AnyPool,
    pub(crate) notifier: Notifier,
    pub(crate) writer: Writer,
    /// Newest events kept.
    pub(crate) events_max: u64,
    /// Whether no other daemon can have it open.
    pub(crate) is_exclusive: bool,
    /// Dropped last: it holds the database for this process.
    pub(crate) guard: Arc<dyn Guard>,
}

/// A connection that reads: by itself, or in a transaction.
pub(crate) enum Reader {
    Connection(PoolConnection<Any>),
    Snapshot(Transaction<'static, Any>),
}

impl Deref for Reader {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        match self {
            Self::Connection(connection) => connection,
            Self::Snapshot(transaction) => transaction,
        }
    }
}

impl DerefMut for Reader {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        match self {
            Self::Connection(connection) => connection,
            Self::Snapshot(transaction) => transaction,
        }
    }
}

impl Store {
    /// Waits for the writes under way and closes the database.
    pub async fn close(&self) {
        self.writer.close().await;
        self.guard.close();
        self.api.close().await;
        self.engine.close().await;
    }

    /// Waits until the database turns out to be another one than was opened: removed, replaced, restored under a running
    /// daemon. Nothing is written from then on; the daemon must end. Gives what happened and who must do what.
    pub async fn lost(&self) -> String {
        self.writer.lost().await
    }

    /// A connection for one statement of the API. On PostgreSQL it is a transaction, which bounds how long the statement takes.
    pub(crate) async fn reader(&self) -> Result<Reader, StoreError> {
        match self.dialect {
            Dialect::Sqlite => self.api.acquire().await.map(Reader::Connection).map_err(unavailable("reading")),
            Dialect::Postgres => self.snapshot().await.map(Reader::Snapshot),
        }
    }

    /// A connection of the API whose statements all see the same moment.
    pub(crate) async fn snapshot(&self) -> Result<Transaction<'static, Any>, StoreError> {
        self.api.begin_with(self.dialect.begin_read()).await.map_err(unavailable("reading"))
    }

    /// The same of the engine.
    pub(crate) async fn engine_snapshot(&self) -> Result<Transaction<'static, Any>, StoreError> {
        self.engine.begin_with(self.dialect.begin_read()).await.map_err(unavailable("reading"))
    }
}
