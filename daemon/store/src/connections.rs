//! Connections that read: kept, lent for one read each, and given up when the database is silent.
//!
//! A read that fails or is dropped leaves its connection in a state that nobody knows: the connection is closed. Knows no
//! statement but those around a read.

use std::{
    fmt,
    ops::{Deref, DerefMut},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use deadpool::{
    Runtime,
    managed::{Manager, Metrics, Object, Pool, PoolConfig, PoolError, RecycleError, RecycleResult, Timeouts},
};
use landlord_core::ports::StoreError;
use sqlx::{AnyConnection, Connection as _, Row as _};
use tokio::time::{sleep, timeout};

use crate::{
    dialect::Dialect,
    figures::StoreFigures,
    job,
    rows::unavailable,
    silence::{self, CONNECT_TIMEOUT},
    target::Target,
};

/// A caller waits so long for a connection of another one.
const WAIT_TIMEOUT: Duration = Duration::from_secs(10);
/// A ping takes a round trip.
const PING_TIMEOUT: Duration = Duration::from_secs(3);
/// A connection is recreated after this, so that a server that was replaced behind its name gets its share again.
const LIFETIME_MAX: Duration = Duration::from_secs(30 * 60);
/// Reads under way may end for this long when the store closes.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
const CLOSE_POLL: Duration = Duration::from_millis(5);
/// Between two tries to reach a server that starts.
const CONNECT_WAIT: Duration = Duration::from_millis(100);

/// How many moments a read may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// One statement: whatever is committed then.
    Now,
    /// All statements of the read see the same.
    Same,
}

/// Connections of one kind of reader. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Connections {
    pool: Pool<Connect>,
    reader: &'static str,
    dialect: Dialect,
    figures: StoreFigures,
}

/// How connections are made.
pub(crate) struct Connect {
    pub(crate) dialect: Dialect,
    pub(crate) target: Target,
    /// What every connection begins with.
    pub(crate) prepare: &'static str,
    /// How often a connection was found silent: those made before are not trusted any more.
    pub(crate) silences: AtomicU64,
}

impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect").field("dialect", &self.dialect).finish_non_exhaustive()
    }
}

/// A connection, and how often one had been found silent when it was made.
#[derive(Debug)]
pub(crate) struct Held {
    connection: AnyConnection,
    silences: u64,
}

impl Connect {
    async fn connect(&self) -> Result<AnyConnection, sqlx::Error> {
        let mut connection = self.target.connect().await?;
        if !self.prepare.is_empty() {
            sqlx::raw_sql(self.prepare).execute(&mut connection).await?;
        }
        Ok(connection)
    }
}

impl Manager for Connect {
    type Type = Held;
    type Error = sqlx::Error;

    /// Tries again while a server starts: the pool's timeout ends it.
    async fn create(&self) -> Result<Held, sqlx::Error> {
        let silences = self.silences.load(Ordering::Relaxed);
        loop {
            match self.connect().await {
                Ok(connection) => return Ok(Held { connection, silences }),
                Err(error) if job::is_starting(&error) => sleep(CONNECT_WAIT).await,
                Err(error) => return Err(error),
            }
        }
    }

    async fn recycle(&self, held: &mut Held, metrics: &Metrics) -> RecycleResult<sqlx::Error> {
        // A file does not hang up: no ping before each read.
        if self.dialect == Dialect::Sqlite {
            return Ok(());
        }
        if metrics.age() > LIFETIME_MAX || held.silences != self.silences.load(Ordering::Relaxed) {
            return Err(RecycleError::message("it is too old to be trusted"));
        }
        match timeout(PING_TIMEOUT, held.connection.ping()).await {
            Ok(pong) => Ok(pong?),
            Err(_) => {
                self.silences.fetch_add(1, Ordering::Relaxed);
                Err(silence::silent(PING_TIMEOUT).into())
            }
        }
    }
}

/// A lent connection: given back if its read came to an end, closed otherwise.
struct Lent {
    /// None: it is given back or closed.
    held: Option<Object<Connect>>,
    is_whole: bool,
}

impl Deref for Lent {
    type Target = AnyConnection;

    #[expect(clippy::expect_used, reason = "only `drop` takes it")]
    fn deref(&self) -> &AnyConnection {
        &self.held.as_ref().expect("it is there until it is dropped").connection
    }
}

impl DerefMut for Lent {
    #[expect(clippy::expect_used, reason = "only `drop` takes it")]
    fn deref_mut(&mut self) -> &mut AnyConnection {
        &mut self.held.as_mut().expect("it is there until it is dropped").connection
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if !self.is_whole {
            // Without a word to the server, which might not hear it: the socket is closed.
            drop(self.held.take().map(Object::take));
        }
    }
}

impl Connections {
    /// At most `connections_max`; none is made yet.
    pub(crate) fn new(
        reader: &'static str,
        connections_max: usize,
        connect: Connect,
        figures: StoreFigures,
    ) -> Result<Self, deadpool::managed::BuildError> {
        let dialect = connect.dialect;
        let timeouts = match dialect {
            Dialect::Sqlite => Timeouts { wait: Some(WAIT_TIMEOUT), ..Timeouts::new() },
            Dialect::Postgres => {
                Timeouts { wait: Some(WAIT_TIMEOUT), create: Some(CONNECT_TIMEOUT), recycle: Some(PING_TIMEOUT * 2) }
            }
        };
        let config = PoolConfig { timeouts, ..PoolConfig::new(connections_max) };
        let pool = Pool::builder(connect).config(config).runtime(Runtime::Tokio1).build()?;
        Ok(Self { pool, reader, dialect, figures })
    }

    /// Reads. Whatever the database does, it ends: with an error if nothing comes back.
    pub(crate) async fn read<T>(
        &self,
        moment: Moment,
        read: impl AsyncFnOnce(&mut AnyConnection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let began = Instant::now();
        let result = self.read_once(moment, read).await;
        let succeeded = !matches!(result, Err(StoreError::Unavailable { .. } | StoreError::Corrupt { .. }));
        self.figures.read(self.reader, succeeded, began.elapsed());
        result
    }

    async fn read_once<T>(
        &self,
        moment: Moment,
        read: impl AsyncFnOnce(&mut AnyConnection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        // On PostgreSQL it is always a transaction, which bounds how long a statement takes.
        let in_transaction = moment == Moment::Same || self.dialect == Dialect::Postgres;
        let mut lent = if in_transaction { self.begun().await? } else { self.lend().await? };
        let connection = &mut *lent;
        let reading = async {
            let result = read(&mut *connection).await;
            let is_lost = matches!(result, Err(StoreError::Unavailable { .. }));
            if in_transaction && !is_lost {
                sqlx::raw_sql("COMMIT").execute(&mut *connection).await?;
            }
            Ok((result, !is_lost))
        };
        let (result, is_whole) =
            self.dialect.responded::<_, sqlx::Error>(reading).await.map_err(|error| self.failed(error))?;
        lent.is_whole = is_whole;
        result
    }

    /// A connection on which a transaction that reads has begun, at a server that has all that was acknowledged. Behind a pooler a
    /// connection may lead to another server from one transaction to the next.
    async fn begun(&self) -> Result<Lent, StoreError> {
        let began = Instant::now();
        loop {
            let mut lent = self.lend().await?;
            let begin = sqlx::raw_sql(self.dialect.begin_read()).fetch_all(&mut *lent);
            let rows = self.dialect.responded(begin).await.map_err(|error| self.failed(error))?;
            let follows = rows.last().and_then(|row| row.try_get::<String, _>("follows").ok());
            if follows.as_deref() != Some("true") {
                return Ok(lent);
            }
            drop(lent);
            if began.elapsed() > WAIT_TIMEOUT {
                return Err(self.failed(silence::follows()));
            }
            sleep(CONNECT_WAIT).await;
        }
    }

    /// A read that came to nothing.
    fn failed(&self, error: sqlx::Error) -> StoreError {
        if silence::is_silence(&error) {
            self.pool.manager().silences.fetch_add(1, Ordering::Relaxed);
            self.figures.silent();
        }
        unavailable("reading")(error)
    }

    async fn lend(&self) -> Result<Lent, StoreError> {
        match self.pool.get().await {
            Ok(held) => Ok(Lent { held: Some(held), is_whole: false }),
            Err(PoolError::Backend(error)) => Err(unavailable("reading")(error)),
            Err(error) => Err(StoreError::Unavailable { context: "reading".into(), source: Box::new(error) }),
        }
    }

    /// Measures how many there are.
    pub(crate) fn measure(&self) {
        let status = self.pool.status();
        self.figures.connections(self.reader, status.size, status.available, status.waiting);
    }

    /// Makes the first connection, so that what can't be reached is found at the start.
    pub(crate) async fn open(&self) -> Result<(), StoreError> {
        self.lend().await?.is_whole = true;
        Ok(())
    }

    /// Waits for the reads under way, and closes all connections.
    pub(crate) async fn close(&self) {
        let began = Instant::now();
        loop {
            let idle = self.pool.retain(|_, _| false).removed;
            for held in idle {
                let _ = self.dialect.responded(held.connection.close()).await;
            }
            if self.pool.status().size == 0 || began.elapsed() > CLOSE_TIMEOUT {
                break;
            }
            sleep(CLOSE_POLL).await;
        }
        self.pool.close();
    }
}

#[cfg(test)]
mod tests {
    use landlord_store_contract::postgres::Server;

    use super::*;

    async fn one(connection: &mut AnyConnection) -> Result<i64, StoreError> {
        let one = sqlx::query_scalar("SELECT CAST(1 AS BIGINT)").fetch_one(connection).await;
        one.map_err(unavailable("reading"))
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn nothing_is_read_of_a_server_that_follows_another_one() {
        let servers = || {
            let first = Server::start("followed");
            let url = first.database();
            let second = first.standby("follows");
            (url.replace(&first.folder().display().to_string(), &second.folder().display().to_string()), first, second)
        };
        let (url, first, second) = tokio::task::spawn_blocking(servers).await.unwrap();
        sqlx::any::install_default_drivers();
        // As behind a pooler: whoever connects does not choose the server.
        let target = Target::Fixed(url.parse().unwrap());
        let connect = Connect { dialect: Dialect::Postgres, target, prepare: "", silences: AtomicU64::new(0) };
        let connections = Connections::new("api", 2, connect, StoreFigures::default()).unwrap();
        assert!(timeout(WAIT_TIMEOUT / 4, connections.read(Moment::Now, one)).await.is_err(), "it was read");
        // Once it is the one that writes, it has all that there is.
        let promoting = move || {
            second.promote();
            second
        };
        let promoted = tokio::task::spawn_blocking(promoting);
        assert_eq!(connections.read(Moment::Now, one).await.unwrap(), 1);
        let _second = promoted.await.unwrap();
        connections.close().await;
        drop(first);
    }
}
