//! The store as its callers hold it: connections to read, the only writer of this process, and who waits for events.

use std::sync::{Arc, OnceLock, atomic::AtomicBool};

use landlord_core::{environment::CustomerRules, ports::StoreError};
use sqlx::AnyConnection;

use crate::{
    connections::{Connections, Moment},
    contract::identity,
    dialect::Dialect,
    figures::StoreFigures,
    guard::Guard,
    notify::Notifier,
    rows::unavailable,
    write::Writer,
};

/// A store on some database. Clones share it.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) dialect: Dialect,
    /// Reads for the API.
    pub(crate) api: Connections,
    /// Reads for the engine, which no client can use up.
    pub(crate) engine: Connections,
    pub(crate) notifier: Notifier,
    pub(crate) writer: Writer,
    pub(crate) figures: StoreFigures,
    /// Newest events kept.
    pub(crate) events_max: u64,
    /// How customers are dealt with; unset: as by default.
    pub(crate) customer_rules: Arc<OnceLock<CustomerRules>>,
    /// Whether no other daemon can have it open.
    pub(crate) is_exclusive: bool,
    /// Whether nothing was found when work was claimed last. Decides only by what way it is looked for.
    pub(crate) is_idle: Arc<AtomicBool>,
    /// Dropped last: it holds the database for this process.
    pub(crate) guard: Arc<dyn Guard>,
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

    /// What is measured of it.
    #[must_use]
    pub fn figures(&self) -> &StoreFigures {
        &self.figures
    }

    /// Says that the store was put back from a copy by other means: it begins a new epoch, in which inventories are compared
    /// before the first change. For a moment at which no daemon works on it.
    ///
    /// # Errors
    /// A database that can't be written.
    pub async fn begin_epoch(&self, reason: &'static str) -> Result<(), StoreError> {
        self.writer.write(move |connection| Box::pin(identity::begin_epoch(connection, true, reason, 0))).await
    }

    /// Measures how large the database is and how its connections are used. For every few seconds: it reads.
    pub async fn measure(&self) {
        self.api.measure();
        self.engine.measure();
        let size = self.dialect.size();
        let read = async |connection: &mut AnyConnection| {
            let bytes: i64 =
                sqlx::query_scalar(size).fetch_one(connection).await.map_err(unavailable("measuring the store"))?;
            Ok(bytes.unsigned_abs())
        };
        match self.engine.read(Moment::Now, read).await {
            Ok(bytes) => self.figures.sized(bytes),
            Err(error) => tracing::debug!(%error, "the size of the store is not known"),
        }
    }

    /// One statement of the API.
    pub(crate) async fn read<T>(
        &self,
        read: impl AsyncFnOnce(&mut AnyConnection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.api.read(Moment::Now, read).await
    }

    /// Statements of the API that all see the same moment.
    pub(crate) async fn snapshot<T>(
        &self,
        read: impl AsyncFnOnce(&mut AnyConnection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.api.read(Moment::Same, read).await
    }

    /// The same of the engine.
    pub(crate) async fn engine_snapshot<T>(
        &self,
        read: impl AsyncFnOnce(&mut AnyConnection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.engine.read(Moment::Same, read).await
    }
}
