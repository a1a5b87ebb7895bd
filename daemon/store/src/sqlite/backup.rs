//! Copies of a store: made while a daemon works on it, and put back when none does.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{
    connect_migrated, connect_options,
    file::{self, HeldFile, Mark, is_there, resolve},
};
use crate::{Error, contract::identity, rows::clock};

/// What a copy holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// Tenants and host clusters.
    pub environments: u64,
    /// Size of the copy, in bytes.
    pub bytes: u64,
}

/// Copies the store at `path` into the new file `to`, whole and as of one moment, while a daemon may be working on it. The
/// copy is checked, and on the disk, when this returns; before that there is no file of that name.
///
/// # Errors
/// [`Error::Missing`], [`Error::Exists`]; [`Error::Database`], among others if the disk is full.
pub async fn backup(path: &Path, to: &Path) -> Result<Copied, Error> {
    if !is_there(path) {
        return Err(Error::Missing { path: path.to_owned() });
    }
    if to.symlink_metadata().is_ok() {
        return Err(Error::Exists { path: to.to_owned() });
    }
    let part = to.with_added_extension("part");
    let file_error = |source| Error::File { path: to.to_owned(), source };
    // SQLite takes an empty file, whose mode is the owner's alone from the start.
    OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&part).map_err(file_error)?;
    let copied = copy(path, &part).await;
    let done = copied.and_then(|copied| put_in_place(&part, to).map(|()| copied).map_err(file_error));
    if done.is_err() {
        let _ = fs::remove_file(&part);
    }
    done
}

async fn copy(path: &Path, part: &Path) -> Result<Copied, Error> {
    let database = |source| Error::Database { path: path.to_owned(), source };
    let options = SqliteConnectOptions::new().filename(path);
    let mut connection = SqliteConnection::connect_with(&options).await.map_err(database)?;
    let name = part.to_string_lossy().into_owned();
    sqlx::query("VACUUM INTO $1").bind(name).execute(&mut connection).await.map_err(database)?;
    let _ = connection.close().await;
    checked(part).await
}

/// That a file is a whole store.
async fn checked(path: &Path) -> Result<Copied, Error> {
    let bad = |problem: String| Error::NotAStore { path: path.to_owned(), problem };
    // SQLite says of a file that is missing only that it can't be opened.
    fs::metadata(path).map_err(|error| bad(error.to_string()))?;
    let reported = |error: sqlx::Error| bad(error.to_string());
    let options = SqliteConnectOptions::new().filename(path).read_only(true).immutable(true);
    let mut connection = SqliteConnection::connect_with(&options).await.map_err(reported)?;
    let found: String =
        sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&mut connection).await.map_err(reported)?;
    if found != "ok" {
        return Err(bad(found));
    }
    let environments: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM tenants").fetch_one(&mut connection).await.map_err(reported)?;
    let _ = connection.close().await;
    let bytes = fs::metadata(path).map(|file| file.len()).unwrap_or_default();
    Ok(Copied { environments: environments.unsigned_abs(), bytes })
}

/// Gives a whole file its name, durably.
pub(crate) fn put_in_place(part: &Path, to: &Path) -> io::Result<()> {
    File::open(part)?.sync_all()?;
    fs::rename(part, to)?;
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// Puts the copy `from` back as the store at `path`, while no daemon works on it. It begins a new epoch: the clouds'
/// inventories are compared before the first change. A store that is there is kept beside it under another name, if `replace`.
///
/// # Errors
/// [`Error::NotAStore`], [`Error::InUse`], [`Error::Exists`] without `replace`; [`Error::Schema`] if a newer version wrote it.
pub async fn restore(from: &Path, path: &Path, replace: bool) -> Result<Copied, Error> {
    let file_error = |source| Error::File { path: path.to_owned(), source };
    let copied = checked(from).await?;
    let was_there = path.symlink_metadata().is_ok();
    if was_there && !replace && is_there(path) {
        return Err(Error::Exists { path: path.to_owned() });
    }
    let resolved = resolve(path).map_err(file_error)?;
    // Held until the new one is in its place: no daemon opens either meanwhile.
    let before = if was_there { Some(HeldFile::hold(path)?) } else { None };
    let part = resolved.with_added_extension("part");
    fs::copy(from, &part).map_err(file_error)?;
    let used = Mark::read(&resolved).map_or(0, |mark| mark.position);
    if let Err(error) = begin(&part, from, used).await {
        remove(&part);
        return Err(error);
    }
    if was_there {
        set_aside(&resolved).map_err(file_error)?;
    }
    file::belong_to_folder(&File::open(&part).map_err(file_error)?, &part);
    put_in_place(&part, &resolved).map_err(file_error)?;
    drop(before);
    let held = HeldFile::hold(path)?;
    held.opened(&begun_id(&resolved).await?, 0).map_err(file_error)?;
    Ok(copied)
}

/// Brings a copy to this version's schema and to its new epoch.
async fn begin(part: &Path, from: &Path, used: i64) -> Result<(), Error> {
    let upgrade = |source| Error::Upgrade { path: from.to_owned(), source };
    let connect = connect_options(part).map_err(|source| Error::File { path: part.to_owned(), source })?;
    let mut connection = connect_migrated(from, &connect).await?;
    if identity::read(&mut connection).await.map_err(upgrade)?.is_none() {
        identity::make(&mut connection, 0, "").await.map_err(upgrade)?;
    }
    let reason = format!("restored from {}", from.display());
    identity::begin_epoch(&mut connection, true, &reason, used).await.map_err(upgrade)?;
    let now = clock::now(&mut connection).await.map_err(upgrade)?;
    identity::seen(&mut connection, now, true).await.map_err(upgrade)?;
    // The last connection folds the log into the file and removes it.
    connection.close().await.map_err(|source| Error::Database { path: from.to_owned(), source })
}

async fn begun_id(path: &Path) -> Result<String, Error> {
    let database = |source| Error::Database { path: path.to_owned(), source };
    let options = SqliteConnectOptions::new().filename(path).read_only(true).immutable(true);
    let mut connection = SqliteConnection::connect_with(&options).await.map_err(database)?;
    let id = sqlx::query_scalar("SELECT id FROM identity").fetch_one(&mut connection).await.map_err(database)?;
    let _ = connection.close().await;
    Ok(id)
}

/// Keeps a store beside the one that takes its place, with its log.
fn set_aside(path: &Path) -> io::Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let aside = path.with_added_extension(format!("replaced-{now}"));
    for end in ["", "-wal", "-shm"] {
        match fs::rename(with_end(path, end), with_end(&aside, end)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Takes a store away with its log of changes.
pub(crate) fn remove(path: &Path) {
    for end in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(with_end(path, end));
    }
}

fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut path = path.to_owned().into_os_string();
    path.push(end);
    path.into()
}
