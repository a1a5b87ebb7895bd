//! Daemons that may still work on a database: nothing but what they announced of themselves says so. A file is locked instead.

use std::time::Duration;

use landlord_core::{Timestamp, ports::StoreError};
use sqlx::AnyConnection;

use crate::rows::{clock, unavailable};

/// A daemon that was heard of within this time may still run; a living one is heard of several times in it.
pub(crate) const HEARD_MAX: Duration = Duration::from_secs(60);
/// Named at most: the others are found with `landlord get daemons`.
const NAMED_MAX: i64 = 10;

/// Daemons that may still run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Living {
    /// Process, machine, and when each was heard of last.
    pub(crate) daemons: String,
    /// Seconds until none of them counts any more, if none is heard of again.
    pub(crate) wait: u64,
}

/// Those that were heard of within [`HEARD_MAX`]; `None`: no daemon.
pub(crate) async fn living(connection: &mut AnyConnection) -> Result<Option<Living>, StoreError> {
    let now = clock::now(connection).await?;
    let sql = "SELECT host, pid, heard_time FROM daemons WHERE heard_time > $1 ORDER BY heard_time DESC LIMIT $2";
    let found: Vec<(String, i64, i64)> = sqlx::query_as(sql)
        .bind(now.before(HEARD_MAX).0)
        .bind(NAMED_MAX)
        .fetch_all(connection)
        .await
        .map_err(unavailable("reading which daemons live"))?;
    let ages = found.iter().map(|(.., heard)| now.since(Timestamp(*heard)));
    let Some(youngest) = ages.clone().min() else { return Ok(None) };
    let named = found
        .iter()
        .zip(ages)
        .map(|((host, pid, _), age)| format!("process {pid} on {host} (heard of {} s ago)", age.as_secs()))
        .collect::<Vec<_>>()
        .join(", ");
    Ok(Some(Living { daemons: named, wait: wait(youngest) }))
}

/// Seconds after which a daemon that was heard of so long ago does not count any more.
pub(crate) fn wait(age: Duration) -> u64 {
    HEARD_MAX.saturating_sub(age).as_secs() + 1
}
