//! SQLite: one file, for one daemon.

mod lock;

use std::{
    fs::{OpenOptions, Permissions},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
    sync::Arc,
};

use sqlx::{
    AnyConnection, Connection as _, Executor as _,
    any::{AnyConnectOptions, AnyPoolOptions},
};

use crate::{Error, contract, notify::Notifier, rows::events, store::Store, write::Writer};

/// Connections that read for the API, and as many for the engine. Reads are short; more
/// connections than cores only wait for each other.
const READERS_MAX: u32 = 4;
/// What every connection begins with. An acknowledged write is on the disk (`synchronous`). The write-ahead log is folded
/// into the file after 1,000 pages of 4 KiB, and cut back after a burst to four times what that leaves.
const PRAGMAS: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; \
                       PRAGMA busy_timeout = 5000; PRAGMA wal_autocheckpoint = 1000; PRAGMA journal_size_limit = 16777216";

/// Settings of a store on SQLite.
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    /// Newest events kept.
    pub events_max: u64,
    /// Make the store if there is none. A daemon that does so unasked takes over nothing of what it built before.
    pub create: bool,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { events_max: 100_000, create: false }
    }
}

/// Opens the store at `path`. Must be called within a tokio runtime.
///
/// # Errors
/// [`Error::Missing`] if there is none and none shall be made; [`Error::InUse`] if another process has it open; the others
/// as they say.
pub async fn open(path: &Path, options: SqliteOptions) -> Result<Store, Error> {
    let file_error = |source| Error::File { path: path.to_owned(), source };
    let held = lock::lock(path)?;
    let has_content = path.metadata().is_ok_and(|file| file.len() > 0);
    if !options.create && !has_content {
        return Err(Error::Missing { path: path.to_owned() });
    }
    // SQLite itself would make it readable to all that the umask lets in.
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .and_then(|file| file.set_permissions(Permissions::from_mode(0o600)))
        .map_err(file_error)?;
    let connect = connect_options(path).map_err(file_error)?;
    let database = |source| Error::Database { path: path.to_owned(), source };
    let mut writing = AnyConnection::connect_with(&connect).await.map_err(database)?;
    writing.execute(sqlx::raw_sql(PRAGMAS)).await.map_err(database)?;
    sqlx::migrate!("./migrations")
        .run(&mut writing)
        .await
        .map_err(|source| Error::Schema { path: path.to_owned(), source })?;
    // A file does not hang up: no ping before each read.
    let readers =
        AnyPoolOptions::new().max_connections(READERS_MAX).test_before_acquire(false).after_connect(|connection, _| {
            Box::pin(async move { connection.execute(sqlx::raw_sql(PRAGMAS)).await.map(drop) })
        });
    let api = readers.clone().connect_with(connect.clone()).await.map_err(database)?;
    let engine = readers.connect_with(connect).await.map_err(database)?;
    let upgrade = |source| Error::Upgrade { path: path.to_owned(), source };
    contract::upgrade(&mut writing).await.map_err(upgrade)?;
    let notifier = Notifier::new(events::newest(&mut writing).await.map_err(upgrade)?);
    let writer = Writer::start(writing, notifier.clone());
    Ok(Store { api, engine, notifier, writer, events_max: options.events_max, _held: Arc::new(held) })
}

/// The file as a URL, whatever characters its path has.
fn connect_options(path: &Path) -> std::io::Result<AnyConnectOptions> {
    sqlx::any::install_default_drivers();
    let odd = || std::io::Error::new(std::io::ErrorKind::InvalidInput, "its path can't be written as a URL");
    let url = url::Url::from_file_path(std::path::absolute(path)?).map_err(|()| odd())?;
    format!("sqlite://{}?mode=rw", url.path()).parse().map_err(|_| odd())
}
