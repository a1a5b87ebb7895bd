//! The tables, by the one history of migrations; all that a start does to a database, in one transaction.

use std::{borrow::Cow, path::Path, time::Duration};

use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, SqlSafeStr as _, migrate::Migrator};
use tokio::time::timeout;

use crate::{
    Error,
    contract::{self, identity, installation},
    dialect::{Dialect, WRITERS_TURN},
    silence::silent,
};

/// The oldest server: what tests run with. It keeps transactions' ids and their fate (13).
const VERSION_MIN: i64 = 150_000;

/// A migration of a hundred thousand records takes seconds. Whoever starts the daemon starts it again.
const PREPARE_TIMEOUT: Duration = Duration::from_secs(15 * 60);
/// Another daemon that migrates is waited for; after this the start fails, and says so.
const TURN_TIMEOUT: &str = "SET LOCAL lock_timeout = '10min'";

/// The migrations in PostgreSQL's words. Texts compare by their bytes, as SQLite's do: domains are searched in ranges.
fn migrator() -> Migrator {
    let mut migrator = sqlx::migrate!("./migrations");
    let spelled = migrator.iter().cloned().map(|mut migration| {
        let sql = migration
            .sql
            .as_str()
            .replace("INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT", "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY")
            .replace(" BLOB ", " BYTEA ")
            .replace(" TEXT", " TEXT COLLATE \"C\"");
        migration.sql = AssertSqlSafe(sql).into_sql_str();
        migration
    });
    migrator.migrations = Cow::Owned(spelled.collect());
    // sqlx's lock belongs to a session; ours, which is held here, to a transaction.
    migrator.set_locking(false);
    migrator
}

/// Whether there is such a table.
pub(crate) async fn has(connection: &mut AnyConnection, table: &str) -> Result<bool, sqlx::Error> {
    let found: Option<String> =
        sqlx::query_scalar("SELECT CAST(to_regclass($1) AS TEXT)").bind(table).fetch_one(connection).await?;
    Ok(found.is_some())
}

/// What a store is opened for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Opening<'a> {
    /// Make the tables if there are none.
    pub(crate) create: bool,
    /// There may be none.
    pub(crate) init: bool,
    /// Whose daemon opens it, if one does.
    pub(crate) installation: Option<&'a str>,
}

/// Makes the database ready for this version, while no other daemon writes.
pub(crate) async fn prepare(connection: &mut AnyConnection, place: &Path, opening: Opening<'_>) -> Result<(), Error> {
    let database = |source| Error::Database { path: place.to_owned(), source };
    let version = "SELECT CAST(current_setting('server_version_num') AS BIGINT)";
    let asked = sqlx::query_scalar(version).fetch_one(&mut *connection);
    let version: i64 = Dialect::Postgres.responded(asked).await.map_err(database)?;
    if version < VERSION_MIN {
        let problem = format!("the server is PostgreSQL {}, and {} is needed", version / 10_000, VERSION_MIN / 10_000);
        return Err(Error::Address { problem });
    }
    // However long a migration takes: that of a server which has fallen silent ends as well.
    let prepared = timeout(PREPARE_TIMEOUT, in_turn(connection, place, opening)).await;
    prepared.unwrap_or_else(|_| Err(database(silent(PREPARE_TIMEOUT))))
}

/// The same, once it is our turn.
async fn in_turn(connection: &mut AnyConnection, place: &Path, opening: Opening<'_>) -> Result<(), Error> {
    let Opening { create, init, installation } = opening;
    let database = |source| Error::Database { path: place.to_owned(), source };
    let upgrade = |source| Error::Upgrade { path: place.to_owned(), source };
    let mut transaction = connection.begin().await.map_err(database)?;
    sqlx::raw_sql(TURN_TIMEOUT).execute(&mut *transaction).await.map_err(database)?;
    sqlx::raw_sql(WRITERS_TURN).execute(&mut *transaction).await.map_err(database)?;
    let found = has(&mut transaction, "tenants").await.map_err(database)?;
    match (found, create, init) {
        (false, false, _) => return Err(Error::Missing { path: place.to_owned() }),
        (true, _, true) => return Err(Error::Exists { path: place.to_owned() }),
        _ => {}
    }
    refuse_half_restored(&mut transaction, place).await?;
    migrator().run(&mut *transaction).await.map_err(|source| Error::Schema { path: place.to_owned(), source })?;
    contract::upgrade(&mut transaction).await.map_err(upgrade)?;
    if let Some(configured) = installation
        && let Some(refusal) = installation::refused(&mut transaction, configured).await.map_err(upgrade)?
    {
        return Err(refusal.of(place, configured));
    }
    identity::open(&mut transaction, None, 0).await.map_err(upgrade)?;
    if let Some(configured) = installation {
        installation::record(&mut transaction, configured).await.map_err(upgrade)?;
    }
    if init {
        identity::begin_epoch(&mut transaction, false, "the store is new", 0).await.map_err(upgrade)?;
    }
    transaction.commit().await.map_err(database)
}

/// Refuses tables without the store's row: a restore makes the tables before it fills them. A daemon that gave such a store a row would
/// make another installation of it, and believe the rest of the copy without a comparison.
async fn refuse_half_restored(connection: &mut AnyConnection, place: &Path) -> Result<(), Error> {
    let database = |source| Error::Database { path: place.to_owned(), source };
    if !has(connection, "identity").await.map_err(database)? {
        return Ok(());
    }
    let row: Option<i64> =
        sqlx::query_scalar("SELECT epoch FROM identity").fetch_optional(connection).await.map_err(database)?;
    if row.is_none() { Err(Error::HalfRestored { path: place.to_owned() }) } else { Ok(()) }
}
