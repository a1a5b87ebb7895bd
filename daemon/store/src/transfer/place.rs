//! Where a store is, opened by nobody else.

use std::path::{Path, PathBuf};

use landlord_core::ports::StoreError;
use sqlx::{AnyConnection, Connection as _};

use super::newest;
use crate::{
    Error, PostgresOptions,
    contract::{identity, living::living},
    dialect::{Dialect, WRITERS_TURN},
    postgres,
    rows::clock,
    schema_version::schema_version,
    sqlite::{self, HeldFile},
};

/// Where a store is.
#[derive(Debug, Clone)]
pub enum Place {
    /// A file.
    Sqlite(PathBuf),
    /// A database.
    Postgres(PostgresOptions),
}

/// A store with which nobody else works: its file is locked, or its writers' turn is held once [`Alone::begin`] has returned.
pub(super) struct Alone {
    pub(super) connection: AnyConnection,
    pub(super) place: PathBuf,
    held: Option<HeldFile>,
    /// Made for an import: removed if that fails.
    made: bool,
}

/// Brings a store to this version's schema; gives its version before and after. Daemons of the release before may go on working on
/// PostgreSQL meanwhile and afterwards.
///
/// # Errors
/// [`Error::Schema`] if a newer version wrote it, [`Error::InUse`] for a file that a daemon has open.
pub async fn migrate(place: &Place) -> Result<(i64, i64), Error> {
    let before = match place {
        Place::Sqlite(path) => sqlite::schema_version(path).await?,
        Place::Postgres(options) => postgres::schema_version(options).await?,
    };
    let mut alone = Alone::open(place).await?;
    let failed = |source| Error::Database { path: alone.place.clone(), source };
    let after = schema_version(&mut alone.connection).await.map_err(failed)?;
    Ok((before, after))
}

/// Has a store that was put back by other means than landlord's begin an epoch, in which the clouds' inventories are compared before
/// the first change. `reason` is reported with it.
///
/// # Errors
/// [`Error::InUse`] or [`Error::DaemonsHeard`] while a daemon works on it: it would go on by what it has read of the store of before.
pub async fn begin_epoch(place: &Place, reason: &str) -> Result<(), Error> {
    refuse_in_use(place).await?;
    let mut alone = Alone::open(place).await?;
    let path = alone.place.clone();
    let upgrade = |source| Error::Upgrade { path: path.clone(), source };
    alone.begin().await.map_err(|source| Error::Database { path: path.clone(), source })?;
    alone.refuse_living().await?;
    new_epoch(&mut alone.connection, true, reason).await.map_err(upgrade)?;
    alone.finish().await
}

/// An epoch begins, and nobody has the store open. `restored`: as [`identity::begin_epoch`]'s.
pub(super) async fn new_epoch(connection: &mut AnyConnection, restored: bool, reason: &str) -> Result<(), StoreError> {
    identity::begin_epoch(connection, restored, reason, 0).await?;
    let now = clock::now(connection).await?;
    identity::seen(connection, now, true).await
}

/// Refuses a database in which a daemon was heard of a moment ago, before anything is changed there. A file is locked instead.
pub(super) async fn refuse_in_use(place: &Place) -> Result<(), Error> {
    let Place::Postgres(options) = place else { return Ok(()) };
    let (place, _, mut connection) = postgres::connection(options).await?;
    let failed = |source| Error::Database { path: place.clone(), source };
    if postgres::schema::has(&mut connection, "daemons").await.map_err(failed)? {
        refuse_living(&mut connection, &place).await?;
    }
    connection.close().await.map_err(failed)
}

/// On PostgreSQL nothing else says whether a daemon works on it.
async fn refuse_living(connection: &mut AnyConnection, place: &Path) -> Result<(), Error> {
    let found = living(connection).await.map_err(|source| Error::Upgrade { path: place.to_owned(), source })?;
    let Some(living) = found else { return Ok(()) };
    Err(Error::DaemonsHeard { path: place.to_owned(), daemons: living.daemons, wait: living.wait })
}

impl Alone {
    /// One that is there.
    pub(super) async fn open(place: &Place) -> Result<Self, Error> {
        match place {
            Place::Sqlite(path) => {
                let (connection, held) = sqlite::open_alone(path, false, None).await?;
                Ok(Self { connection, place: path.clone(), held: Some(held), made: false })
            }
            Place::Postgres(options) => {
                let (connection, place) = postgres::open_alone(options, false).await?;
                Ok(Self { connection, place, held: None, made: false })
            }
        }
    }

    /// One that is empty; made if there is none.
    pub(super) async fn make(place: &Place) -> Result<Self, Error> {
        match place {
            Place::Sqlite(path) => {
                let made = !sqlite::is_there(path);
                let (connection, held) = sqlite::open_alone(path, true, None).await?;
                Ok(Self { connection, place: path.clone(), held: Some(held), made })
            }
            Place::Postgres(options) => {
                let (connection, place) = postgres::open_alone(options, true).await?;
                Ok(Self { connection, place, held: None, made: false })
            }
        }
    }

    /// Refuses one on which a daemon may work. A SQLite file is locked by a daemon that runs: those that it names were killed.
    pub(super) async fn refuse_living(&mut self) -> Result<(), Error> {
        if self.is_locked() { Ok(()) } else { refuse_living(&mut self.connection, &self.place).await }
    }

    pub(super) fn is_locked(&self) -> bool {
        self.held.is_some()
    }

    /// Begins a transaction in which nobody else writes. It may take as long as it takes: no daemon waits.
    pub(super) async fn begin(&mut self) -> Result<(), sqlx::Error> {
        let statements: &[&str] = match Dialect::of(&self.connection) {
            Dialect::Sqlite => &["BEGIN IMMEDIATE"],
            Dialect::Postgres => &["BEGIN", "SET LOCAL lock_timeout = '30s'", WRITERS_TURN],
        };
        for sql in statements {
            sqlx::raw_sql(*sql).execute(&mut self.connection).await?;
        }
        Ok(())
    }

    /// Ends it without a change.
    pub(super) async fn rollback(mut self) {
        let _ = sqlx::raw_sql("ROLLBACK").execute(&mut self.connection).await;
        let _ = self.connection.close().await;
    }

    /// Ends it, for good.
    pub(super) async fn finish(mut self) -> Result<(), Error> {
        let failed = |source| Error::Database { path: self.place.clone(), source };
        sqlx::raw_sql("COMMIT").execute(&mut self.connection).await.map_err(failed)?;
        if let Some(held) = &self.held {
            let position = newest(&mut self.connection, &self.place).await?;
            let upgrade = |source| Error::Upgrade { path: self.place.clone(), source };
            let id = identity::read(&mut self.connection).await.map_err(upgrade)?.map(|own| own.id).unwrap_or_default();
            held.opened(&id, position).map_err(|source| Error::File { path: self.place.clone(), source })?;
        }
        let _ = self.connection.close().await;
        Ok(())
    }

    /// Ends it without a change, and removes what was made for it.
    pub(super) async fn give_up(self) {
        let (place, made, held) = (self.place.clone(), self.made, self.held.is_some());
        self.rollback().await;
        if made && held {
            sqlite::remove(&place);
        }
    }
}
