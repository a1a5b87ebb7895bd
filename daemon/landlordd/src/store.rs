//! The store that the configuration names, opened; and what is done to it while no daemon works on it, or beside one: made,
//! copied, put back.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow, bail};
use clap::Subcommand;
use landlord_core::{
    Chain,
    ports::{AuditStore as _, CustomerStore as _},
};
use landlord_store::{
    PasswordSource, PostgresOptions, SqliteOptions, Store, postgres, sqlite,
    transfer::{self, Place, TableSum},
};
use secrecy::SecretString;

use crate::{
    audit,
    config::{self, Config, read_secret},
};

/// No longer does a daemon that starts wait for its database: whoever started it learns then what is wrong.
const AWAY_MAX: Duration = Duration::from_secs(60);
/// Between two tries; each waits some seconds by itself.
const AWAY_WAIT: Duration = Duration::from_secs(1);

fn is_away(error: &anyhow::Error) -> bool {
    error.downcast_ref::<landlord_store::Error>().is_some_and(landlord_store::Error::is_away)
}

/// Opens the store for a daemon of `installation`. `create`: make it if there is none.
///
/// # Errors
/// Why it can't be opened, and who must do what.
async fn open(config: &config::Store, create: bool, installation: &str) -> Result<Store> {
    let installation = Some(installation.to_owned());
    if config.url.is_empty() {
        let options = SqliteOptions { events_max: config.events_max, create, installation };
        return Ok(sqlite::open(&config.path, options).await?);
    }
    Ok(postgres::open(PostgresOptions { installation, ..postgres_options(config, create)? }).await?)
}

/// The store, with what it needs of the rest of the configuration. A database that is away is waited for: daemons and their
/// database are often started together.
///
/// # Errors
/// As [`open`]; a signing key of the audit log that can't be used.
pub(crate) async fn open_configured(config: &Config, create: bool) -> Result<Store> {
    let signer = audit::signer(&config.audit)?;
    let began = Instant::now();
    let store = loop {
        match open(&config.store, create, &config.installation).await {
            Err(error) if is_away(&error) && began.elapsed() < AWAY_MAX => {
                tracing::warn!(error = %Chain(&*error), "the database does not respond; waiting for it");
                tokio::time::sleep(AWAY_WAIT).await;
            }
            opened => break opened?,
        }
    };
    signer.into_iter().for_each(|signer| store.sign_audit(signer));
    store.set_customer_rules(config.customers.rules());
    Ok(store)
}

/// Whether the store's address and password can be used; nobody is called.
///
/// # Errors
/// What a start would refuse.
pub(crate) fn check(config: &config::Store) -> Result<()> {
    if config.url.is_empty() {
        if config.path.is_dir() {
            bail!("store.path: {} is a folder; name the file in it, such as landlord.db", config.path.display());
        }
        return Ok(());
    }
    Ok(postgres::check(&postgres_options(config, false)?)?)
}

fn postgres_options(config: &config::Store, create: bool) -> Result<PostgresOptions> {
    let password = if config.password_file.as_os_str().is_empty() {
        None
    } else {
        let file = config.password_file.clone();
        let read = move || read_secret(&file).map_err(|problem| format!("store.password_file: {problem}"));
        // Found now, and not by the first connection.
        read().map_err(|problem| anyhow!(problem))?;
        Some(PasswordSource::new(move || read().map(SecretString::from)))
    };
    Ok(PostgresOptions { url: config.url.clone(), password, events_max: config.events_max, create, installation: None })
}

/// Commands about the store.
#[derive(Debug, Clone, Subcommand)]
pub enum StoreCommand {
    /// Makes the store of a new installation. A daemon makes none unasked: it would know nothing of what was built.
    Init {
        /// Where there is one, do nothing: for a job that runs with every installation.
        #[arg(long)]
        if_missing: bool,
    },
    /// Copies the store into a new file, whole and as of one moment; the daemon may go on working.
    Backup {
        /// File to make.
        file: PathBuf,
    },
    /// Puts a backup back as the store, while no daemon runs. At the next start the clouds' inventories are compared with it
    /// before the first change: what was deleted since is not rebuilt, and objects that it does not know are reported.
    Restore {
        /// Backup.
        file: PathBuf,
        /// Put it in the place of the store that is there, which is kept beside it under another name.
        #[arg(long)]
        replace: bool,
    },
    /// Writes the store, while no daemon runs, into a file that `import` reads: to move an installation from SQLite to PostgreSQL or
    /// back. For copies of the same store there is `backup`.
    Export {
        /// File to make.
        file: PathBuf,
    },
    /// Fills the store that the configuration names, which must be empty or not there yet, from a file that `export` wrote; reads it
    /// back, and compares it table by table. No daemon may be started on the other store again.
    Import {
        /// File.
        file: PathBuf,
    },
    /// Brings the store to this version's schema, as a start would. On PostgreSQL daemons of the release before go on working.
    Migrate,
    /// Says that the store was put back by other means (a PostgreSQL database by its own tools), while no daemon runs. The
    /// next start compares as after `restore`. Refused while a daemon was heard of within the last minute, also by the copy.
    BeginEpoch,
}

/// Runs a command; gives what to print.
///
/// # Errors
/// What can't be done, with what to do about it.
pub async fn run(command: StoreCommand, config: &Config) -> Result<String> {
    let config = &config.store;
    let in_file = config.url.is_empty();
    let shown = if in_file { config.path.display().to_string() } else { "in PostgreSQL".to_owned() };
    match command {
        StoreCommand::Init { if_missing } => {
            let made = if in_file {
                sqlite::init(&config.path).await
            } else {
                postgres::init(postgres_options(config, true)?).await
            };
            match made {
                Err(landlord_store::Error::Exists { .. }) if if_missing => Ok(format!("the store {shown} is there")),
                Err(landlord_store::Error::Exists { .. }) => bail!(
                    "the store {shown} is there already, and stays as it is: start the daemon, or name another one \
                     (store.path, store.url)"
                ),
                made => Ok(made.map(|()| format!("made the store {shown}"))?),
            }
        }
        StoreCommand::Backup { .. } | StoreCommand::Restore { .. } if !in_file => bail!(
            "the store is a PostgreSQL database (store.url): back it up and restore it by its own tools, then, before a daemon \
             is started, run `landlordd begin-epoch`"
        ),
        StoreCommand::Backup { file } => {
            let copied = sqlite::backup(&config.path, &file).await?;
            Ok(format!(
                "copied {} environments of {shown} into {} ({} bytes, checked)",
                copied.environments,
                file.display(),
                copied.bytes
            ))
        }
        StoreCommand::Restore { file, replace } => restore(&file, (&config.path, replace)).await,
        StoreCommand::Export { file } => {
            let sums = transfer::export(&place(config)?, &file).await?;
            Ok(format!("wrote the store {shown} into {}:\n{}", file.display(), table(&sums)))
        }
        StoreCommand::Import { file } => {
            let sums = transfer::import(&file, &place(config)?).await?;
            Ok(format!(
                "the store {shown} equals {}, table by table:\n{}\nthe next start compares the clouds' inventories before the first \
                 change; start no daemon on the other store again",
                file.display(),
                table(&sums)
            ))
        }
        StoreCommand::Migrate => Ok(match transfer::migrate(&place(config)?).await? {
            (before, after) if before == after => format!("the schema of the store {shown} is version {after} already"),
            (before, after) => format!("brought the schema of the store {shown} from version {before} to {after}"),
        }),
        StoreCommand::BeginEpoch => {
            transfer::begin_epoch(&place(config)?, "put back by other means than landlord's").await?;
            Ok(format!("the store {shown} begins a new epoch at the next start"))
        }
    }
}

/// Puts the backup `file` in the place of the store at `path`; one that is there only if it is to be replaced.
async fn restore(file: &Path, (path, replace): (&Path, bool)) -> Result<String> {
    let shown = path.display();
    let copied = match sqlite::restore(file, path, replace).await {
        Err(landlord_store::Error::Exists { .. }) => bail!(
            "the store {shown} is there already; to put the backup in its place, add --replace, which keeps it beside under \
             another name"
        ),
        restored => restored?,
    };
    Ok(format!(
        "restored {} environments into {shown}; the next start compares the clouds' inventories before the first change",
        copied.environments
    ))
}

fn place(config: &config::Store) -> Result<Place> {
    if config.url.is_empty() {
        return Ok(Place::Sqlite(config.path.clone()));
    }
    Ok(Place::Postgres(postgres_options(config, false)?))
}

/// A line for each table.
fn table(sums: &[TableSum]) -> String {
    let width = sums.iter().map(|sum| sum.table.len()).max().unwrap_or_default();
    let line = |sum: &TableSum| format!("  {:<width$} {:>9} rows  {}", sum.table, sum.rows, &sum.digest[..16]);
    sums.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_database_that_is_away_is_named_whole_and_its_cause_once() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let mut config = Config::default();
        config.store.url = format!("postgres://keeper@{address}/landlord");
        let error = run(StoreCommand::Init { if_missing: false }, &config).await.unwrap_err();
        let refused = Chain(&*error).to_string();
        assert!(refused.contains(&format!("postgres://keeper@{address}/landlord ")), "{refused}");
        assert_eq!(refused.matches("Connection refused").count(), 1, "{refused}");
    }

    #[test]
    fn causes_that_say_more_are_kept() {
        let error = anyhow!("it ends").context("b").context("a: b").context("first");
        assert_eq!(Chain(&*error).to_string(), "first: a: b: it ends");
    }
}
