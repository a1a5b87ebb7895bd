//! Daemons that share a store, and numbers about all that it holds.

use std::{collections::BTreeSet, time::Duration};

use async_trait::async_trait;
use futures::FutureExt as _;
use landlord_core::{
    Timestamp, certificate,
    ports::{DaemonInfo, DaemonState, DaemonStore, EnvironmentCount, Leases, Statistics, StatisticsStore, StoreError},
};
use sqlx::{AnyConnection, Row as _, any::AnyRow};

use crate::{
    dialect::Dialect,
    rows::{self, clock, unavailable},
    store::Store,
};

/// A daemon that was killed is shown for so long: somebody may ask what became of it.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

#[async_trait]
impl DaemonStore for Store {
    async fn announce(&self, daemon: &DaemonInfo) -> Result<(), StoreError> {
        let daemon = daemon.clone();
        self.writer.write(move |connection| announce(connection, daemon.clone()).boxed()).await
    }

    async fn leave(&self, id: &str) -> Result<(), StoreError> {
        let id = id.to_owned();
        self.writer.write(move |connection| leave(connection, id.clone()).boxed()).await
    }

    async fn daemons(&self) -> Result<Vec<DaemonState>, StoreError> {
        self.snapshot(async |connection| daemons(connection).await).await
    }

    async fn leases(&self, id: &str) -> Result<Leases, StoreError> {
        self.engine_snapshot(async |connection| {
            let failed = unavailable("counting leases");
            let now = clock::now(connection).await?;
            let row = sqlx::query(LEASES).bind(now.0).bind(id).fetch_one(connection).await.map_err(&failed)?;
            leases(&row).map_err(failed)
        })
        .await
    }
}

#[async_trait]
impl StatisticsStore for Store {
    async fn statistics(&self) -> Result<Statistics, StoreError> {
        self.engine_snapshot(async |connection| statistics(connection).await).await
    }
}

async fn announce(connection: &mut AnyConnection, daemon: DaemonInfo) -> Result<(), StoreError> {
    let failed = unavailable("announcing a daemon");
    let now = clock::now(connection).await?;
    sqlx::query(
        "INSERT INTO daemons (id, host, pid, version, start_time, heard_time) VALUES ($1, $2, $3, $4, $5, $5) \
         ON CONFLICT (id) DO UPDATE SET heard_time = excluded.heard_time",
    )
    .bind(&daemon.id)
    .bind(&daemon.host)
    .bind(i64::from(daemon.pid))
    .bind(&daemon.version)
    .bind(now.0)
    .execute(&mut *connection)
    .await
    .map_err(&failed)?;
    sqlx::query("DELETE FROM daemons WHERE heard_time < $1")
        .bind(now.before(FORGOTTEN_AFTER).0)
        .execute(connection)
        .await
        .map_err(&failed)?;
    Ok(())
}

async fn leave(connection: &mut AnyConnection, id: String) -> Result<(), StoreError> {
    let now = clock::now(connection).await?;
    let failed = unavailable("handing leases over");
    // The fence rises: whoever still holds one of these claims has lost it.
    sqlx::query(
        "UPDATE tenants SET lease_until = 0, next_due = $1, owner = '', fence = fence + 1 \
         WHERE owner = $2 AND lease_until > 0",
    )
    .bind(now.0)
    .bind(&id)
    .execute(&mut *connection)
    .await
    .map_err(&failed)?;
    // Who had an account, and until when, stays known: its rate limits are not full again at once.
    sqlx::query("UPDATE accounts SET lease_until = $1 WHERE owner = $2 AND lease_until > $1")
        .bind(now.0)
        .bind(&id)
        .execute(&mut *connection)
        .await
        .map_err(&failed)?;
    for sql in ["DELETE FROM duties WHERE owner = $1", "DELETE FROM daemons WHERE id = $1"] {
        sqlx::query(sql).bind(&id).execute(&mut *connection).await.map_err(&failed)?;
    }
    if let Some(sql) = Dialect::of(connection).announce_hand_over() {
        sqlx::raw_sql(sql).execute(connection).await.map_err(&failed)?;
    }
    Ok(())
}

/// What a daemon holds at `$1`; the name of its column, or its parameter.
macro_rules! leases_of {
    ($daemon:literal) => {
        concat!(
            "(SELECT COUNT(*) FROM tenants WHERE tenants.owner = ",
            $daemon,
            // The second says that the index without those at rest is enough.
            " AND tenants.lease_until > $1 AND tenants.lease_until > 0) AS environment_leases, \
             (SELECT COUNT(*) FROM accounts WHERE accounts.owner = ",
            $daemon,
            " AND accounts.lease_until > $1) AS account_leases"
        )
    };
}

const LEASES: &str = concat!("SELECT ", leases_of!("$2"));
const DAEMONS: &str = concat!("SELECT daemons.*, ", leases_of!("daemons.id"), " FROM daemons ORDER BY id");

async fn daemons(connection: &mut AnyConnection) -> Result<Vec<DaemonState>, StoreError> {
    let failed = unavailable("reading daemons");
    let now = clock::now(connection).await?;
    let rows = sqlx::query(DAEMONS).bind(now.0).fetch_all(connection).await.map_err(&failed)?;
    rows.iter().map(daemon).collect::<Result<_, _>>().map_err(failed)
}

fn leases(row: &AnyRow) -> Result<Leases, sqlx::Error> {
    let count = |column: &str| row.try_get::<i64, _>(column).map(i64::unsigned_abs);
    Ok(Leases { environments: count("environment_leases")?, accounts: count("account_leases")? })
}

fn daemon(row: &AnyRow) -> Result<DaemonState, sqlx::Error> {
    Ok(DaemonState {
        info: DaemonInfo {
            id: row.try_get("id")?,
            host: row.try_get("host")?,
            pid: u32::try_from(row.try_get::<i64, _>("pid")?).unwrap_or_default(),
            version: row.try_get("version")?,
        },
        start_time: Timestamp(row.try_get("start_time")?),
        heard_time: Timestamp(row.try_get("heard_time")?),
        leases: leases(row)?,
    })
}

const ENVIRONMENTS: &str = "SELECT CAST(CASE WHEN customer = '' THEN 1 ELSE 0 END AS BIGINT) AS is_host_cluster, \
       provider, class, state, CAST(COUNT(*) AS BIGINT) AS count FROM tenants GROUP BY 1, 2, 3, 4";
const DUE: &str = "SELECT CAST(COUNT(*) AS BIGINT) AS count, MIN(next_due) AS first FROM tenants WHERE next_due <= $1";
const OPERATIONS: &str = "SELECT CAST(COUNT(*) AS BIGINT) AS count FROM operations WHERE end_time IS NULL";
/// Records of stages that may wait for a certificate, in what is ordered now.
const WAITING: &str = "SELECT operations.id AS operation, stages.* FROM operations \
     JOIN tenants ON tenants.uid = operations.tenant_uid \
     JOIN stages ON stages.tenant_uid = tenants.uid AND stages.direction = tenants.direction \
     WHERE operations.end_time IS NULL AND (stages.stage = 'isolation' OR stages.stage LIKE 'platform/%') \
     AND LENGTH(stages.status) > 0";
/// One more than wait is enough.
const OLDEST: &str =
    "SELECT id, create_time FROM operations WHERE end_time IS NULL ORDER BY create_time LIMIT CAST($1 AS BIGINT)";

async fn statistics(connection: &mut AnyConnection) -> Result<Statistics, StoreError> {
    let failed = unavailable("counting");
    let now = clock::now(connection).await?;
    let due = sqlx::query(DUE).bind(now.0).fetch_one(&mut *connection).await.map_err(&failed)?;
    let first: Option<i64> = due.try_get("first").map_err(&failed)?;
    let longest_due = first.map_or_else(Default::default, |first| now.since(Timestamp(first)));
    let due = due.try_get::<i64, _>("count").map_err(&failed)?.unsigned_abs();
    let operations: i64 = sqlx::query_scalar(OPERATIONS).fetch_one(&mut *connection).await.map_err(&failed)?;
    let waiting = waiting(connection).await?;
    let most = i64::try_from(waiting.len()).unwrap_or(i64::MAX).saturating_add(1);
    let oldest: Vec<(String, i64)> =
        sqlx::query_as(OLDEST).bind(most).fetch_all(&mut *connection).await.map_err(&failed)?;
    let oldest = oldest.into_iter().find(|(id, _)| !waiting.contains(id));
    let oldest_operation = oldest.map_or_else(Default::default, |(_, first)| now.since(Timestamp(first)));
    let rows = sqlx::query(ENVIRONMENTS).fetch_all(connection).await.map_err(&failed)?;
    // What can't be read is left out: it is logged where it is met.
    let environments = rows.iter().filter_map(environments_of).collect();
    Ok(Statistics {
        environments,
        due,
        longest_due,
        operations: operations.unsigned_abs(),
        oldest_operation,
        certificates_waiting: u64::try_from(waiting.len()).unwrap_or(u64::MAX),
    })
}

/// Operations that wait for a certificate.
async fn waiting(connection: &mut AnyConnection) -> Result<BTreeSet<String>, StoreError> {
    let rows = sqlx::query(WAITING).fetch_all(connection).await.map_err(unavailable("counting certificates"))?;
    // What can't be read is left out: it is logged where it is met.
    let waits = rows.iter().filter(|row| rows::stage(row).is_ok_and(|record| certificate::wait(&record).is_some()));
    Ok(waits.filter_map(|row| row.try_get("operation").ok()).collect())
}

fn environments_of(row: &AnyRow) -> Option<EnvironmentCount> {
    let text = |column: &str| row.try_get::<String, _>(column).ok();
    Some(EnvironmentCount {
        is_host_cluster: row.try_get::<i64, _>("is_host_cluster").ok()? == 1,
        provider: text("provider")?,
        class: text("class")?,
        state: text("state")?,
        count: row.try_get::<i64, _>("count").ok()?.unsigned_abs(),
    })
}

#[cfg(test)]
mod tests {
    use super::{super::plan, DAEMONS, LEASES};

    #[tokio::test]
    async fn leases_are_counted_without_those_at_rest() {
        for statement in [LEASES, DAEMONS] {
            let steps = plan::steps(statement).await;
            let of_tenants: Vec<&String> = steps.iter().filter(|step| step.contains(" tenants ")).collect();
            assert_eq!(of_tenants.len(), 1, "{steps:#?}");
            let search = "SEARCH tenants USING COVERING INDEX tenants_leased (owner=? AND lease_until>?)";
            assert_eq!(of_tenants[0], search, "{steps:#?}");
        }
    }
}
