//! PostgreSQL: one database, for any number of daemons.
//!
//! Writers of all daemons take turns by one lock of the database (`dialect.rs`), so every promise that SQLite keeps with its
//! only writer is kept here by the same code. Readers never wait for it.
//!
//! Nothing depends on a session: locks and settings end with their transaction, and every statement runs in one. So a
//! connection pooler in transaction mode may stand before it, if it knows prepared statements (pgbouncer 1.21 or newer with
//! `max_prepared_statements`); the wake-up of other daemons is then found by polling.

mod listen;
pub(crate) mod schema;

use std::{
    path::PathBuf,
    sync::{Arc, atomic::AtomicU64},
};

use sqlx::{AnyConnection, Connection as _};
use tokio_util::sync::CancellationToken;

use self::schema::Opening;
use crate::{
    Error,
    connections::{Connect, Connections},
    contract::identity::Known,
    dialect::Dialect,
    figures::StoreFigures,
    guard::Guard,
    notify::Notifier,
    rows::events,
    store::Store,
    target::{PasswordSource, Servers, Target},
    write::{Database, Writer},
};

/// Connections that read for the API, and as many for the engine; with the writer's and the listener's, a daemon takes 18.
const READERS_MAX: usize = 8;

/// Settings of a store on PostgreSQL.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// `postgres://user@host:port/database?sslmode=verify-full`, without a password. Of several hosts, separated by commas, the one
    /// that writes is used.
    pub url: String,
    /// Password of that user.
    pub password: Option<PasswordSource>,
    /// Newest events kept.
    pub events_max: u64,
    /// Make the tables if the database has none. A daemon that does so unasked takes over nothing of what it built before.
    pub create: bool,
    /// Whose daemon opens it: one of another installation is refused. `None`: no daemon, whoever's it is.
    pub installation: Option<String>,
}

/// Opens the store. Must be called within a tokio runtime.
///
/// # Errors
/// [`Error::Missing`] if the database has no tables and none shall be made; [`Error::OtherInstallation`]; the others as they say.
pub async fn open(options: PostgresOptions) -> Result<Store, Error> {
    open_at(&options, false).await
}

/// Makes the tables of a new installation; as [`crate::sqlite::init`].
///
/// # Errors
/// [`Error::Exists`] if there are some; the others as they say.
pub async fn init(options: PostgresOptions) -> Result<(), Error> {
    let store = open_at(&PostgresOptions { create: true, ..options }, true).await?;
    store.close().await;
    Ok(())
}

/// Whether the address can be meant; nobody is called.
///
/// # Errors
/// [`Error::Address`].
pub fn check(options: &PostgresOptions) -> Result<(), Error> {
    servers(options).map(drop)
}

fn servers(options: &PostgresOptions) -> Result<Servers, Error> {
    sqlx::any::install_default_drivers();
    Servers::parse(&options.url, options.password.clone()).map_err(|problem| Error::Address { problem })
}

/// Where it is, as it is shown, and a connection to it, with nothing changed there.
pub(crate) async fn connection(options: &PostgresOptions) -> Result<(PathBuf, Arc<Servers>, AnyConnection), Error> {
    let servers = Arc::new(servers(options)?);
    let place = PathBuf::from(servers.shown());
    let database = |source| Error::Database { path: place.clone(), source };
    let target = Target::Servers(Arc::clone(&servers));
    let connection = Dialect::Postgres.connected(target.connect()).await.map_err(database)?;
    Ok((place, servers, connection))
}

async fn open_at(options: &PostgresOptions, init: bool) -> Result<Store, Error> {
    let (place, servers, mut writing) = connection(options).await?;
    let target = Target::Servers(Arc::clone(&servers));
    let installation = options.installation.as_deref();
    schema::prepare(&mut writing, &place, Opening { create: options.create, init, installation }).await?;
    let upgrade = |source| Error::Upgrade { path: place.clone(), source };
    let newest = events::newest(&mut writing).await.map_err(upgrade)?;
    let known = Known::of(&mut writing, newest).await.map_err(upgrade)?;
    let unreadable = |source| Error::Readers { path: place.clone(), source };
    let figures = StoreFigures::default();
    let readers = |reader| {
        let silences = AtomicU64::new(0);
        let connect = Connect { dialect: Dialect::Postgres, target: target.clone(), prepare: "", silences };
        Connections::new(reader, READERS_MAX, connect, figures.clone()).map_err(|error| unreadable(error.into()))
    };
    let (api, engine) = (readers("api")?, readers("engine")?);
    for first in [&api, &engine] {
        first.open().await.map_err(|error| unreadable(error.into()))?;
    }
    let notifier = Notifier::new(newest);
    let stop = CancellationToken::new();
    listen::start(servers, engine.clone(), notifier.clone(), stop.clone());
    let guard: Arc<dyn Guard> = Arc::new(Listening { stop });
    let database = Database { dialect: Dialect::Postgres, target, figures: figures.clone() };
    let writer = Writer::start(writing, (database, known), notifier.clone(), Arc::clone(&guard));
    Ok(Store {
        dialect: Dialect::Postgres,
        api,
        engine,
        notifier,
        writer,
        figures,
        events_max: options.events_max,
        customer_rules: Arc::default(),
        is_exclusive: false,
        is_idle: Arc::default(),
        guard,
    })
}

/// A store, as [`open`] leaves it, and its place as it is shown. `create`: make the tables if there are none.
///
/// # Errors
/// As [`open`].
pub(crate) async fn open_alone(options: &PostgresOptions, create: bool) -> Result<(AnyConnection, PathBuf), Error> {
    let (place, _, mut connection) = connection(options).await?;
    schema::prepare(&mut connection, &place, Opening { create, init: false, installation: None }).await?;
    Ok((connection, place))
}

/// Version of its schema, as it is.
///
/// # Errors
/// [`Error::Database`], also if there are no tables.
pub(crate) async fn schema_version(options: &PostgresOptions) -> Result<i64, Error> {
    let (place, _, mut connection) = connection(options).await?;
    let database = |source| Error::Database { path: place.clone(), source };
    if !schema::has(&mut connection, "_sqlx_migrations").await.map_err(database)? {
        return Err(Error::Missing { path: place });
    }
    let version = crate::schema_version::schema_version(&mut connection).await.map_err(database)?;
    connection.close().await.map_err(database)?;
    Ok(version)
}

/// Ends the listener with the store.
#[derive(Debug)]
struct Listening {
    stop: CancellationToken,
}

impl Guard for Listening {
    /// A server's database is not replaced under its clients.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }

    fn committed(&self, _: i64) {}

    fn close(&self) {
        self.stop.cancel();
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
