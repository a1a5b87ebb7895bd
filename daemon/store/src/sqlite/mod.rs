//! SQLite: one file, for one daemon.

mod backup;
mod file;
mod lock;

use std::{
    path::Path,
    sync::{Arc, atomic::AtomicU64},
};

use landlord_core::ports::StoreError;
use sqlx::{AnyConnection, Connection as _, Executor as _, any::AnyConnectOptions};

pub use self::backup::{Copied, backup, restore};
pub(crate) use self::backup::{put_in_place, remove};
use self::file::Mark;
pub(crate) use self::file::{HeldFile, is_there};
use crate::{
    Error,
    connections::{Connect, Connections},
    contract::{
        self,
        identity::{self, Known},
        installation,
    },
    dialect::Dialect,
    figures::StoreFigures,
    guard::Guard,
    notify::Notifier,
    rows::events,
    store::Store,
    target::Target,
    write::{Database, Writer},
};

/// Connections that read for the API, and as many for the engine. Reads are short; more
/// connections than cores only wait for each other.
const READERS_MAX: usize = 4;
/// What every connection begins with. An acknowledged write is on the disk (`synchronous`). The write-ahead log is folded
/// into the file after 1,000 pages of 4 KiB, and cut back after a burst to four times what that leaves.
macro_rules! pragmas {
    () => {
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; \
         PRAGMA busy_timeout = 5000; PRAGMA wal_autocheckpoint = 1000; PRAGMA journal_size_limit = 16777216"
    };
}
const PRAGMAS: &str = pragmas!();
/// The same where it only reads, with pages for half a MiB, a quarter of what is usual: that holds the inner pages of all indices, and
/// a tenant's own pages come from the kernel's cache. Of eight connections the rest would be 12 MiB.
const READING_PRAGMAS: &str = concat!(pragmas!(), "; PRAGMA cache_size = -512");

/// Settings of a store on SQLite.
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    /// Newest events kept.
    pub events_max: u64,
    /// Make the store if there is none. A daemon that does so unasked takes over nothing of what it built before.
    pub create: bool,
    /// Whose daemon opens it: one of another installation is refused. `None`: no daemon, whoever's it is.
    pub installation: Option<String>,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { events_max: 100_000, create: false, installation: None }
    }
}

/// Opens the store at `path`. Must be called within a tokio runtime.
///
/// # Errors
/// [`Error::Missing`] if there is none and none shall be made; [`Error::InUse`] if another process has it open;
/// [`Error::OtherInstallation`]; the others as they say.
pub async fn open(path: &Path, options: SqliteOptions) -> Result<Store, Error> {
    let (mut writing, held) = open_alone(path, options.create, options.installation.as_deref()).await?;
    let held = Arc::new(held);
    let upgrade = |source| Error::Upgrade { path: path.to_owned(), source };
    let file_error = |source| Error::File { path: path.to_owned(), source };
    let connect = connect_options(&held.resolved).map_err(file_error)?;
    let found = identity::read(&mut writing).await.map_err(upgrade)?;
    let newest = events::newest(&mut writing).await.map_err(upgrade)?;
    held.opened(&found.map(|found| found.id).unwrap_or_default(), newest).map_err(file_error)?;
    let known = Known::of(&mut writing, newest).await.map_err(upgrade)?;
    let unreadable = |source| Error::Readers { path: path.to_owned(), source };
    let figures = StoreFigures::default();
    let readers = |reader| {
        let silences = AtomicU64::new(0);
        let target = Target::Fixed(connect.clone());
        let connect = Connect { dialect: Dialect::Sqlite, target, prepare: READING_PRAGMAS, silences };
        Connections::new(reader, READERS_MAX, connect, figures.clone()).map_err(|error| unreadable(error.into()))
    };
    let (api, engine) = (readers("api")?, readers("engine")?);
    for first in [&api, &engine] {
        first.open().await.map_err(|error| unreadable(error.into()))?;
    }
    let notifier = Notifier::new(newest);
    let guard: Arc<dyn Guard> = held;
    let database = Database { dialect: Dialect::Sqlite, target: Target::Fixed(connect), figures: figures.clone() };
    let writer = Writer::start(writing, (database, known), notifier.clone(), Arc::clone(&guard));
    Ok(Store {
        dialect: Dialect::Sqlite,
        api,
        engine,
        notifier,
        writer,
        figures,
        events_max: options.events_max,
        customer_rules: Arc::default(),
        is_exclusive: true,
        is_idle: Arc::default(),
        guard,
    })
}

/// Makes a store at `path` for an installation. Since it knows nothing of what an earlier one may have built, the providers'
/// inventories are compared before the first change.
///
/// # Errors
/// [`Error::Exists`] if there is one; the others as they say.
pub async fn init(path: &Path) -> Result<(), Error> {
    if file::is_there(path) {
        return Err(Error::Exists { path: path.to_owned() });
    }
    let store = open(path, SqliteOptions { create: true, ..SqliteOptions::default() }).await?;
    let begun =
        store.writer.write(|connection| Box::pin(identity::begin_epoch(connection, false, "the store is new", 0)));
    begun.await.map_err(|source| Error::Upgrade { path: path.to_owned(), source })?;
    store.close().await;
    Ok(())
}

/// A store that nobody else has open, as [`open`] leaves it. `create`: make it if there is none; `installation`: whose daemon opens it,
/// if one does.
///
/// # Errors
/// As [`open`].
pub(crate) async fn open_alone(
    path: &Path,
    create: bool,
    installation: Option<&str>,
) -> Result<(AnyConnection, HeldFile), Error> {
    if !create && !is_there(path) {
        return Err(Error::Missing { path: path.to_owned() });
    }
    let held = HeldFile::hold(path)?;
    let upgrade = |source| Error::Upgrade { path: path.to_owned(), source };
    let connect = connect_options(&held.resolved).map_err(|source| Error::File { path: path.to_owned(), source })?;
    let mut writing = connect_migrated(path, &connect).await?;
    contract::upgrade(&mut writing).await.map_err(upgrade)?;
    if let Some(configured) = installation
        && let Some(refusal) = installation::refused(&mut writing, configured).await.map_err(upgrade)?
    {
        return Err(refusal.of(path, configured));
    }
    identify(&mut writing, &held).await.map_err(upgrade)?;
    if let Some(configured) = installation {
        installation::record(&mut writing, configured).await.map_err(upgrade)?;
    }
    Ok((writing, held))
}

/// Version of its schema, as it is.
///
/// # Errors
/// [`Error::Missing`], [`Error::Database`].
pub(crate) async fn schema_version(path: &Path) -> Result<i64, Error> {
    if !is_there(path) {
        return Err(Error::Missing { path: path.to_owned() });
    }
    let database = |source| Error::Database { path: path.to_owned(), source };
    let connect = connect_options(path).map_err(|source| Error::File { path: path.to_owned(), source })?;
    let mut connection = AnyConnection::connect_with(&connect).await.map_err(database)?;
    let version = crate::schema_version::schema_version(&mut connection).await.map_err(database)?;
    connection.close().await.map_err(database)?;
    Ok(version)
}

/// A connection for writing, to a database of this version's schema.
async fn connect_migrated(path: &Path, connect: &AnyConnectOptions) -> Result<AnyConnection, Error> {
    let database = |source| Error::Database { path: path.to_owned(), source };
    let mut connection = AnyConnection::connect_with(connect).await.map_err(database)?;
    connection.execute(sqlx::raw_sql(PRAGMAS)).await.map_err(database)?;
    sqlx::migrate!("./migrations")
        .run(&mut connection)
        .await
        .map_err(|source| Error::Schema { path: path.to_owned(), source })?;
    Ok(connection)
}

/// Opens the store's row, with a new epoch if the file is not what was left there.
async fn identify(connection: &mut AnyConnection, held: &HeldFile) -> Result<(), StoreError> {
    let mark = Mark::read(&held.resolved);
    let newest = events::newest(connection).await?;
    let stale = match (identity::read(connection).await?, &mark) {
        // It is new, or of a version that left no mark.
        (None, _) => None,
        (Some(_), None) if newest == 0 => None,
        (Some(_), None) => Some("its mark is missing: the file was copied here"),
        (Some(own), Some(mark)) if own.id != mark.id => Some("its mark is another store's: the file was copied here"),
        (Some(_), Some(mark)) if mark.position > newest => Some("it is older than what was acknowledged last"),
        (Some(_), Some(_)) => None,
    };
    identity::open(connection, stale, mark.map_or(0, |mark| mark.position)).await
}

/// The file as a URL, whatever characters its path has.
fn connect_options(path: &Path) -> std::io::Result<AnyConnectOptions> {
    sqlx::any::install_default_drivers();
    let odd = || std::io::Error::new(std::io::ErrorKind::InvalidInput, "its path can't be written as a URL");
    let url = url::Url::from_file_path(std::path::absolute(path)?).map_err(|()| odd())?;
    format!("sqlite://{}?mode=rw", url.path()).parse().map_err(|_| odd())
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use futures::future::join_all;
    use landlord_core::ports::StoreError;
    use tokio::sync::Semaphore;

    use super::{READERS_MAX, SqliteOptions, open};

    #[tokio::test]
    async fn the_engine_reads_while_clients_hold_every_connection_of_the_api() {
        let folder = tempfile::tempdir().unwrap();
        let options = SqliteOptions { create: true, ..SqliteOptions::default() };
        let store = open(&folder.path().join("landlord.db"), options).await.unwrap();
        let taken = Semaphore::new(0);
        let readers = (0..READERS_MAX * 4).map(|_| {
            store.read(async |_| {
                taken.add_permits(1);
                pending::<Result<(), StoreError>>().await
            })
        });
        let engine = async {
            let _all = taken.acquire_many(u32::try_from(READERS_MAX).unwrap()).await.unwrap();
            let one = async |connection: &mut sqlx::AnyConnection| {
                Ok(sqlx::query_scalar::<_, i64>("SELECT 1").fetch_one(connection).await.unwrap())
            };
            store.engine_snapshot(one).await
        };
        tokio::select! {
            held = join_all(readers) => panic!("they ended: {held:?}"),
            read = engine => assert_eq!(read.unwrap(), 1),
        }
    }
}
