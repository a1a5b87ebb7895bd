//! Opening the file, and being the only one who has it open.

use std::{
    fs::{File, OpenOptions, Permissions},
    io::{Read as _, Seek as _, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use fs4::fs_std::FileExt as _;
use landlord_core::ports::StoreError;
use sqlx::{
    SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use crate::{domains, events, hosts, notify::Notifier, write::Writer};

/// Connections that read for the API, and as many for the engine, which no client can use up. Reads are short; more
/// connections than cores only wait for each other.
const READERS_MAX: u32 = 4;
/// The write-ahead log is folded into the file after this many pages of 4 KiB.
const WAL_CHECKPOINT_PAGES: u32 = 1_000;
/// After a burst the log's file is cut back to this, four times what a checkpoint leaves.
const WAL_BYTES_KEPT: u32 = 16 * 1024 * 1024;
/// A reader waits this long for a checkpoint.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Settings of the store.
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    /// Newest events kept.
    pub events_max: u64,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { events_max: 100_000 }
    }
}

/// Why a store can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its folder or file can't be used.
    #[error("can't open the store {path}: does its folder exist and belong to the daemon's user?")]
    File {
        /// Store file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Another daemon has it.
    #[error(
        "the store {path} is in use by process {holder}; stop that daemon first, or give this one a store of its own (store.path)"
    )]
    InUse {
        /// Store file.
        path: PathBuf,
        /// Process id of the holder.
        holder: String,
    },
    /// Its schema is not ours.
    #[error(
        "the schema of the store {path} does not fit this version; a newer daemon may have written it: run that one, or restore a backup"
    )]
    Schema {
        /// Store file.
        path: PathBuf,
        /// Why.
        #[source]
        source: sqlx::migrate::MigrateError,
    },
    /// Records of an earlier version can't be completed.
    #[error(
        "records in the store {path} can't be brought to this version; restore a backup, or run the version before"
    )]
    Upgrade {
        /// Store file.
        path: PathBuf,
        /// Why.
        #[source]
        source: StoreError,
    },
    /// The database reports an error.
    #[error("the store {path} can't be read")]
    Database {
        /// Store file.
        path: PathBuf,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
}

/// The store on SQLite. Clones share it.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    /// Reads for the API.
    pub(crate) api: SqlitePool,
    /// Reads for the engine.
    pub(crate) engine: SqlitePool,
    pub(crate) notifier: Notifier,
    pub(crate) writer: Writer,
    pub(crate) options: SqliteOptions,
    /// Held as long as the store is open: proves that no other daemon lives on this file.
    _lock: Arc<File>,
}

impl SqliteStore {
    /// Opens or makes the store at `path`. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`Error::InUse`] if another process has it open; the others as they say.
    pub async fn open(path: &Path, options: SqliteOptions) -> Result<Self, Error> {
        let file_error = |source| Error::File { path: path.to_owned(), source };
        let lock = lock(path)?;
        // SQLite itself would make it readable to all that the umask lets in.
        OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(path)
            .and_then(|file| file.set_permissions(Permissions::from_mode(0o600)))
            .map_err(file_error)?;
        let database = |source| Error::Database { path: path.to_owned(), source };
        let connect = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT)
            .pragma("wal_autocheckpoint", WAL_CHECKPOINT_PAGES.to_string())
            .pragma("journal_size_limit", WAL_BYTES_KEPT.to_string());
        let one = SqlitePoolOptions::new().max_connections(1).connect_with(connect.clone()).await.map_err(database)?;
        sqlx::migrate!("./migrations")
            .run(&one)
            .await
            .map_err(|source| Error::Schema { path: path.to_owned(), source })?;
        // A file does not hang up: no ping before each read.
        let readers = SqlitePoolOptions::new().max_connections(READERS_MAX).test_before_acquire(false);
        let api = readers.clone().connect_with(connect.clone()).await.map_err(database)?;
        let engine = readers.connect_with(connect).await.map_err(database)?;
        let mut connection = one.acquire().await.map_err(database)?.detach();
        let upgrade = |source| Error::Upgrade { path: path.to_owned(), source };
        hosts::fill_reservations(&mut connection).await.map_err(upgrade)?;
        domains::fill(&mut connection).await.map_err(upgrade)?;
        domains::tell_clashes(&mut connection).await.map_err(upgrade)?;
        let notifier = Notifier::new(events::newest(&mut connection).await.map_err(upgrade)?);
        let writer = Writer::start(connection, notifier.clone());
        Ok(Self { api, engine, notifier, writer, options, _lock: Arc::new(lock) })
    }

    /// Waits for the writes under way and closes the file.
    pub async fn close(&self) {
        self.writer.close().await;
        self.api.close().await;
        self.engine.close().await;
    }
}

fn lock(path: &Path) -> Result<File, Error> {
    let lock_path = path.with_added_extension("lock");
    let file_error = |source| Error::File { path: path.to_owned(), source };
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(0o600)
        .open(&lock_path)
        .map_err(file_error)?;
    if !file.try_lock_exclusive().map_err(file_error)? {
        let mut holder = String::new();
        let _ = file.read_to_string(&mut holder);
        let holder = holder.trim().to_owned();
        let holder = if holder.is_empty() { "unknown".into() } else { holder };
        return Err(Error::InUse { path: path.to_owned(), holder });
    }
    file.set_len(0).map_err(file_error)?;
    file.rewind().map_err(file_error)?;
    writeln!(file, "{}", std::process::id()).map_err(file_error)?;
    Ok(file)
}
