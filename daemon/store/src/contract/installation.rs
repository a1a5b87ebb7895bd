//! Whose store it is. Objects in clouds and clusters carry their installation's name as a marker, so a daemon of another name would
//! recognise nothing of what the store has records of: it would leave it behind, or make it twice.
//!
//! # Guarantees
//! - The first daemon that opens a store writes its name there; one of another name is refused, and nothing was changed then.
//! - A store in which nothing was ever ordered takes another name, while no other daemon has it open, and begins an epoch: what was
//!   compared with the clouds was compared under the name of before.

use std::path::Path;

use landlord_core::ports::StoreError;
use sqlx::AnyConnection;

use super::{
    identity,
    living::{HEARD_MAX, living, wait},
};
use crate::{
    Error,
    dialect::Dialect,
    rows::{clock, unavailable},
};

/// Why a store is not opened for an installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Whose it is.
    pub(crate) recorded: String,
    /// Who must do what.
    pub(crate) remedy: String,
}

impl Refusal {
    /// As whoever opens the store at `path` gets it.
    pub(crate) fn of(self, path: &Path, configured: &str) -> Error {
        let Self { recorded, remedy } = self;
        Error::OtherInstallation { path: path.to_owned(), recorded, configured: configured.to_owned(), remedy }
    }
}

/// Whether `configured` may not open the store. To be called before it is opened, in the same transaction where there is one.
pub(crate) async fn refused(connection: &mut AnyConnection, configured: &str) -> Result<Option<Refusal>, StoreError> {
    let Some(own) = identity::read(connection).await? else { return Ok(None) };
    let recorded = own.installation.clone();
    if recorded.is_empty() || recorded == configured {
        return Ok(None);
    }
    if was_used(connection).await? {
        let remedy = format!(
            "what was built carries the name {recorded:?} and is not recognised under another one. Write installation = {recorded:?}, \
             or name a store of this installation's own (store.path, store.url); an installation of which anything was ever ordered \
             can't be renamed"
        );
        return Ok(Some(Refusal { recorded, remedy }));
    }
    // Whoever has a file open has locked it.
    if Dialect::of(connection) == Dialect::Sqlite {
        return Ok(None);
    }
    let at_work = match living(connection).await? {
        Some(living) => Some((format!("stop {}", living.daemons), living.wait)),
        // One that has just opened it has not announced itself yet.
        None => {
            let age = clock::now(connection).await?.since(own.seen_time);
            (!own.clean && age < HEARD_MAX).then(|| ("stop the daemon that has just opened it".to_owned(), wait(age)))
        }
    };
    Ok(at_work.map(|(stop, wait)| {
        let remedy = format!(
            "nothing was ordered of it yet, so it takes another name when no daemon has it open: {stop}; one that was killed counts \
             for {wait} s more"
        );
        Refusal { recorded, remedy }
    }))
}

/// Writes whose store it is, once it is opened.
pub(crate) async fn record(connection: &mut AnyConnection, configured: &str) -> Result<(), StoreError> {
    let recorded = identity::read(connection).await?.map(|own| own.installation).unwrap_or_default();
    if recorded == configured {
        return Ok(());
    }
    if !recorded.is_empty() {
        let reason = format!("the installation is called {configured} now, and was called {recorded}");
        identity::begin_epoch(connection, false, &reason, 0).await?;
    }
    sqlx::query("UPDATE identity SET installation = $1")
        .bind(configured)
        .execute(&mut *connection)
        .await
        .map_err(unavailable("writing whose store it is"))?;
    // A row that was just made says that nobody has the store open.
    let now = clock::now(connection).await?;
    identity::seen(connection, now, false).await
}

/// Whether there is an environment or an operation, or ever was one: the audit log's position outlives what it counted.
async fn was_used(connection: &mut AnyConnection) -> Result<bool, StoreError> {
    let sql = "SELECT CASE WHEN EXISTS (SELECT 1 FROM tenants) OR EXISTS (SELECT 1 FROM operations) \
               OR EXISTS (SELECT 1 FROM audit_chain WHERE seq > 0) THEN 1 ELSE 0 END";
    let used: i64 =
        sqlx::query_scalar(sql).fetch_one(connection).await.map_err(unavailable("reading whether a store was used"))?;
    Ok(used != 0)
}
