//! Why a store can't be opened. What can go wrong in an open one is [`StoreError`].

use std::path::PathBuf;

use landlord_core::ports::StoreError;

use crate::job::is_starting;

/// Why a store can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its folder or file can't be used.
    #[error("can't open the store {path}: it must be a file, in a folder that exists and belongs to the daemon's user")]
    File {
        /// Store file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// There is none, or an empty file, and none shall be made.
    #[error(
        "there is no store at {path}; if there was one, put it back or restore a backup (`landlordd restore`): a new one \
         knows nothing of what was built. For a new installation, make one with `landlordd init`"
    )]
    Missing {
        /// Store file.
        path: PathBuf,
    },
    /// The address of the database, or the server there, can't be used.
    #[error(
        "store.url can't be used: {problem}; it is written postgres://USER@HOST/DATABASE, with the password in store.password_file"
    )]
    Address {
        /// Why.
        problem: String,
    },
    /// Something is there already.
    #[error("{path} is there already, and is not replaced; name another one")]
    Exists {
        /// File.
        path: PathBuf,
    },
    /// A file that shall be restored is no whole store.
    #[error("{path} is no whole copy of a store: {problem}; choose another backup")]
    NotAStore {
        /// File.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Its tables are there, and what they are of is not.
    #[error(
        "the store {path} is restored right now, or a restore of it failed: it has tables and no identity; stop all daemons, restore \
         the copy whole into an empty database (`pg_restore -1 --exit-on-error`), and run `landlordd begin-epoch`"
    )]
    HalfRestored {
        /// Database.
        path: PathBuf,
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
    /// It is another installation's.
    #[error(
        "the store {path} is of the installation {recorded:?}, and the configuration says installation = {configured:?}: {remedy}"
    )]
    OtherInstallation {
        /// Store.
        path: PathBuf,
        /// Whose it is.
        recorded: String,
        /// Who opens it.
        configured: String,
        /// Who must do what.
        remedy: String,
    },
    /// Daemons that share it may still run.
    #[error(
        "daemons may be at work on the store {path}: {daemons}. Stop all of them; one that ends in order does not count any more, one \
         that was killed, or that a fresh copy of the database names, counts for {wait} s more: then try again"
    )]
    DaemonsHeard {
        /// Database.
        path: PathBuf,
        /// Process and machine of each, and when it was heard of.
        daemons: String,
        /// Seconds until none of them counts any more, if none is heard of again.
        wait: u64,
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
    /// No connection that reads can be had.
    #[error("no connection that reads the store {path} can be opened")]
    Readers {
        /// Store file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
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

impl Error {
    /// Whether the database may respond a moment later: it starts, nothing was heard of it, or the network does not lead to it, as when
    /// machines start together and names are not resolved yet.
    #[must_use]
    pub fn is_away(&self) -> bool {
        let Self::Database { source, .. } = self else { return false };
        matches!(source, sqlx::Error::Io(_)) || is_starting(source)
    }
}
