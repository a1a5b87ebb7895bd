//! An installation's store, moved from one database to another while no daemon runs: SQLite to PostgreSQL, and back.
//!
//! # Guarantees
//! - What is written is one moment of the store, whole: a file that ends too early, or in which a byte was changed, is refused.
//! - An import proves itself: it reads the new store and compares each table with the file, row by row, before it commits. If
//!   anything differs, the new store is as it was.
//! - All records are moved, but for the list of daemons, which ended. The store stays the same installation's; since nobody can know
//!   whether a daemon was started on the old one meanwhile, the new one begins an epoch, as a restored one does.
//!
//! Tables and columns are those that the database has, so that a migration can't be forgotten here.

mod file;
mod place;
mod tables;

use std::path::Path;

use sqlx::AnyConnection;

pub use self::{
    file::TableSum,
    place::{Place, begin_epoch, migrate},
};
use self::{
    file::{Header, Reader, Writer},
    place::Alone,
    tables::Table,
};
use crate::{Error, rows::events, schema_version::schema_version};

/// Writes the store into a new file; gives what is in it.
///
/// # Errors
/// [`Error::InUse`] or [`Error::DaemonsHeard`] while a daemon works on it, [`Error::Missing`], [`Error::Exists`] if the file is there.
pub async fn export(from: &Place, to: &Path) -> Result<Vec<TableSum>, Error> {
    // Opening it brings its schema up to date, which daemons of the release before need not be able to be started on.
    place::refuse_in_use(from).await?;
    let mut alone = Alone::open(from).await?;
    let place = alone.place.clone();
    let failed = |source| Error::Database { path: place.clone(), source };
    alone.begin().await.map_err(failed)?;
    alone.refuse_living().await?;
    let all = tables::all(&mut alone.connection).await.map_err(failed)?;
    let header = Header {
        schema: schema_version(&mut alone.connection).await.map_err(failed)?,
        positions: tables::positions(&mut alone.connection, &all).await.map_err(failed)?,
    };
    let mut writer = Writer::create(to, &header)?;
    for table in &all {
        writer.begin(&table.name);
        table.read(&mut alone.connection, |row| writer.row(row)).await?;
    }
    let sums = writer.end()?;
    alone.rollback().await;
    Ok(sums)
}

/// Fills an empty store, which is made if there is none, from a file that [`export`] wrote; gives what is in it, as read back.
///
/// # Errors
/// [`Error::NotAStore`] if the file is not whole, of another version, or if anything differs at the end; [`Error::Exists`] if the
/// store is not empty.
pub async fn import(from: &Path, to: &Place) -> Result<Vec<TableSum>, Error> {
    // Before anything is made: a file that is not whole is refused.
    let (header, sums) = Reader::check(from)?;
    let mut alone = Alone::make(to).await?;
    let done = fill(&mut alone, (from, &header, &sums)).await;
    match &done {
        Ok(_) => alone.finish().await?,
        Err(_) => alone.give_up().await,
    }
    done
}

async fn fill(alone: &mut Alone, (from, header, sums): (&Path, &Header, &[TableSum])) -> Result<Vec<TableSum>, Error> {
    let place = alone.place.clone();
    let failed = |source| Error::Database { path: place.clone(), source };
    let bad = |problem: String| Error::NotAStore { path: from.to_owned(), problem };
    alone.begin().await.map_err(failed)?;
    refuse_announced(alone).await?;
    let connection = &mut alone.connection;
    let schema = schema_version(connection).await.map_err(failed)?;
    if schema != header.schema {
        let (found, own) = (header.schema, schema);
        return Err(bad(format!(
            "its schema is version {found}, and this program's is {own}: export and import with one version"
        )));
    }
    let all = tables::all(connection).await.map_err(failed)?;
    tables::empty(connection, &all, &place).await?;
    let mut reader = Reader::open(from)?;
    while let Some((table, row)) = reader.next()? {
        let table = all.iter().find(|known| known.name == table).ok_or_else(|| bad(format!("{table} is no table")))?;
        table.write(connection, &row).await?;
    }
    let found = sums_of(connection, &all).await?;
    if found != sums {
        return Err(bad(format!("what was read back differs from it in: {}", differing(&found, sums).join(", "))));
    }
    tables::set_positions(connection, &header.positions).await.map_err(failed)?;
    let reason = format!("imported from {}", from.display());
    place::new_epoch(connection, false, &reason)
        .await
        .map_err(|source| Error::Upgrade { path: place.clone(), source })?;
    Ok(found)
}

async fn sums_of(connection: &mut AnyConnection, all: &[Table]) -> Result<Vec<TableSum>, Error> {
    let mut sums = Vec::with_capacity(all.len());
    for table in all {
        let mut rows = file::Rows::default();
        table
            .read(connection, |row| {
                rows.add(row);
                Ok(())
            })
            .await?;
        sums.push(rows.sum(&table.name));
    }
    Ok(sums)
}

/// Tables that are not the same on both sides.
fn differing(found: &[TableSum], wanted: &[TableSum]) -> Vec<String> {
    let missing = wanted.iter().filter(|sum| !found.contains(sum)).map(|sum| sum.table.clone());
    let more =
        found.iter().filter(|sum| wanted.iter().all(|other| other.table != sum.table)).map(|sum| sum.table.clone());
    missing.chain(more).collect()
}

/// What is filled must never have had a daemon, killed ones among them.
async fn refuse_announced(alone: &mut Alone) -> Result<(), Error> {
    // A SQLite file is locked by a daemon that runs: those that it names were killed.
    if alone.is_locked() {
        return Ok(());
    }
    let sql = "SELECT host, pid FROM daemons ORDER BY heard_time DESC LIMIT 1";
    let found: Result<Option<(String, i64)>, _> = sqlx::query_as(sql).fetch_optional(&mut alone.connection).await;
    match found.map_err(|source| Error::Database { path: alone.place.clone(), source })? {
        Some((host, pid)) => Err(Error::InUse { path: alone.place.clone(), holder: format!("{pid} on {host}") }),
        None => Ok(()),
    }
}

/// Position of the newest event that a store has ever had.
async fn newest(connection: &mut AnyConnection, place: &Path) -> Result<i64, Error> {
    events::newest(connection).await.map_err(|source| Error::Upgrade { path: place.to_owned(), source })
}
