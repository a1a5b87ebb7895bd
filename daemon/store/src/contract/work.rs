//! The engine's face: claims, fenced commits, what is due.

use std::{collections::BTreeSet, time::Duration};

use async_trait::async_trait;
use futures::FutureExt as _;
use landlord_core::{
    DesiredState, Environment, TenantUid, Timestamp, lifecycle,
    ports::{Claim, Commit, EnvironmentPatch, EventKind, Release, StoreError, Work, WorkStore},
};
use sqlx::{AnyConnection, Row as _, any::AnyRow};

use super::hosts;
use crate::{
    rows::{self, clock, desired_state_word, events, json, operations, priority, stages, state_word, unavailable},
    store::Store,
};

#[async_trait]
impl WorkStore for Store {
    async fn claim(&self, owner: &str, limit: u32, lease_ttl: Duration) -> Result<Vec<Claim>, StoreError> {
        let owner = owner.to_owned();
        self.writer.write(move |connection| claim(connection, owner.clone(), limit, lease_ttl).boxed()).await
    }

    async fn load(&self, claim: &Claim) -> Result<Work, StoreError> {
        self.engine_snapshot(async |connection| load(connection, claim).await).await
    }

    async fn renew(&self, claim: &Claim, lease_ttl: Duration) -> Result<(), StoreError> {
        let claim = claim.clone();
        self.writer
            .write(move |connection| {
                let claim = claim.clone();
                async move {
                    let now = clock::now(connection).await?;
                    update_lease(connection, &claim, now.after(lease_ttl)).await
                }
                .boxed()
            })
            .await
    }

    async fn commit(&self, claim: &Claim, change: Commit) -> Result<(), StoreError> {
        let claim = claim.clone();
        let events_max = self.events_max;
        self.writer.write(move |connection| commit(connection, claim.clone(), change.clone(), events_max).boxed()).await
    }

    async fn next_due(&self, owner: &str) -> Result<Option<Duration>, StoreError> {
        self.engine_snapshot(async |connection| {
            let now = clock::now(connection).await?;
            let next: Option<i64> = sqlx::query_scalar(NEXT_DUE)
                .bind(now.0)
                .bind(owner)
                .fetch_optional(connection)
                .await
                .map_err(unavailable("looking for what is due"))?;
            Ok(next.map(|due| Timestamp(due).since(now)))
        })
        .await
    }

    async fn clamp_dues(&self, longest: Duration) -> Result<u64, StoreError> {
        self.writer
            .write(move |connection| {
                async move {
                    let now = clock::now(connection).await?;
                    let done = sqlx::query("UPDATE tenants SET next_due = $1 WHERE next_due > $2")
                        .bind(now.0)
                        .bind(now.after(longest).0)
                        .execute(&mut *connection)
                        .await
                        .map_err(unavailable("looking for what is due too late"))?;
                    // Nor is any lease of an account that long.
                    sqlx::query("DELETE FROM accounts WHERE lease_until > $1")
                        .bind(now.after(longest).0)
                        .execute(connection)
                        .await
                        .map_err(unavailable("looking for leases of accounts that end too late"))?;
                    Ok(done.rows_affected())
                }
                .boxed()
            })
            .await
    }

    async fn recover_leases(&self) -> Result<u64, StoreError> {
        // Only an exclusive lock on the database proves that no other owner lives.
        if !self.is_exclusive {
            return Ok(0);
        }
        self.writer
            .write(|connection| {
                async move {
                    let now = clock::now(connection).await?;
                    sqlx::query("DELETE FROM accounts")
                        .execute(&mut *connection)
                        .await
                        .map_err(unavailable("recovering leases"))?;
                    // The fence rises: whoever still holds one of these claims has lost it.
                    let ended = "UPDATE tenants SET lease_until = 0, next_due = $1, owner = '', \
                                 fence = fence + 1 WHERE lease_until > 0";
                    let done = sqlx::query(ended)
                        .bind(now.0)
                        .execute(connection)
                        .await
                        .map_err(unavailable("recovering leases"))?;
                    Ok(done.rows_affected())
                }
                .boxed()
            })
            .await
    }
}

async fn load(connection: &mut AnyConnection, claim: &Claim) -> Result<Work, StoreError> {
    let row = fenced(connection, claim).await?;
    let environment = rows::environment(&row)?;
    let operation = operations::read(connection, environment.operation).await?;
    let stages = stages::read(connection, claim.uid).await?;
    let lives_in_host = environment.tenant().is_some_and(|tenant| tenant.host.is_some());
    let host = if lives_in_host { hosts::view(connection, &environment).await? } else { None };
    let now = clock::now(connection).await?;
    let operation_done = operation.outcome.is_some();
    Ok(Work {
        operation_kind: operation.kind,
        operation_done,
        operation_generation: operation.generation,
        environment,
        stages,
        host,
        now,
    })
}

/// Whatever `$2` may claim at `$1`: of accounts that nobody else works on; and in an epoch that began with a copy, of providers
/// whose inventory was compared.
macro_rules! claimable {
    () => {
        "FROM tenants CROSS JOIN identity \
         LEFT JOIN inventories AS compared \
           ON compared.provider = tenants.provider AND compared.credentials = tenants.credentials \
         LEFT JOIN accounts ON accounts.account = tenants.account \
         WHERE (identity.epoch = 0 OR compared.epoch = identity.epoch) \
           AND (accounts.owner IS NULL OR accounts.owner = $2 OR accounts.lease_until <= $1)"
    };
}

/// Deletes before changes before resyncs; within each, every customer's first before any
/// customer's second. Leased tenants are due when the lease ends (see `rows/environments.rs`).
const DUE: &str = concat!(
    "SELECT uid, account FROM ( \
       SELECT tenants.uid, tenants.account, priority, next_due, \
              ROW_NUMBER() OVER (PARTITION BY priority, customer ORDER BY next_due) AS turn ",
    claimable!(),
    " AND next_due <= $1) AS due \
     ORDER BY priority, turn, next_due LIMIT $3"
);
/// When the first of them is due.
const NEXT_DUE: &str = concat!("SELECT next_due ", claimable!(), " AND next_due IS NOT NULL ORDER BY next_due LIMIT 1");

async fn claim(
    connection: &mut AnyConnection,
    owner: String,
    limit: u32,
    lease_ttl: Duration,
) -> Result<Vec<Claim>, StoreError> {
    let failed = unavailable("claiming tenants");
    let now = clock::now(connection).await?;
    let due: Vec<(String, Option<String>)> = sqlx::query_as(DUE)
        .bind(now.0)
        .bind(&owner)
        .bind(i64::from(limit))
        .fetch_all(&mut *connection)
        .await
        .map_err(&failed)?;
    let until = now.after(lease_ttl);
    let accounts: BTreeSet<&str> = due.iter().filter_map(|(_, account)| account.as_deref()).collect();
    for account in accounts {
        lease_account(connection, account, &owner, until).await?;
    }
    let mut claims = Vec::with_capacity(due.len());
    for (uid, _) in due {
        let fence: i64 = sqlx::query_scalar(
            "UPDATE tenants SET owner = $1, fence = fence + 1, lease_until = $2, \
             next_due = $2, claimed_revision = revision WHERE uid = $3 RETURNING fence",
        )
        .bind(&owner)
        .bind(until.0)
        .bind(&uid)
        .fetch_one(&mut *connection)
        .await
        .map_err(&failed)?;
        let uid = uid.parse().map_err(|_| StoreError::Corrupt { what: "tenant uid".into(), problem: uid.clone() })?;
        claims.push(Claim { uid, owner: owner.clone(), fence });
    }
    Ok(claims)
}

/// The tenant's row, if the claim still stands.
async fn fenced(connection: &mut AnyConnection, claim: &Claim) -> Result<AnyRow, StoreError> {
    sqlx::query("SELECT * FROM tenants WHERE uid = $1 AND owner = $2 AND fence = $3")
        .bind(claim.uid.to_string())
        .bind(&claim.owner)
        .bind(claim.fence)
        .fetch_optional(connection)
        .await
        .map_err(unavailable("checking a claim"))?
        .ok_or(StoreError::FenceLost(claim.uid))
}

/// All calls of an account are made by one owner, whose rate limits know of all of them; it keeps the account for a lease after
/// its last work there.
async fn lease_account(
    connection: &mut AnyConnection,
    account: &str,
    owner: &str,
    until: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO accounts (account, owner, lease_until) VALUES ($1, $2, $3) ON CONFLICT (account) \
         DO UPDATE SET owner = excluded.owner, lease_until = excluded.lease_until",
    )
    .bind(account)
    .bind(owner)
    .bind(until.0)
    .execute(connection)
    .await
    .map_err(unavailable("leasing an account"))?;
    Ok(())
}

async fn update_lease(connection: &mut AnyConnection, claim: &Claim, until: Timestamp) -> Result<(), StoreError> {
    let done = sqlx::query(
        "UPDATE tenants SET lease_until = $1, next_due = $1 \
         WHERE uid = $2 AND owner = $3 AND fence = $4",
    )
    .bind(until.0)
    .bind(claim.uid.to_string())
    .bind(&claim.owner)
    .bind(claim.fence)
    .execute(&mut *connection)
    .await
    .map_err(unavailable("renewing a lease"))?;
    if done.rows_affected() == 0 {
        return Err(StoreError::FenceLost(claim.uid));
    }
    sqlx::query(
        "UPDATE accounts SET lease_until = $1 WHERE owner = $2 \
         AND account = (SELECT account FROM tenants WHERE uid = $3)",
    )
    .bind(until.0)
    .bind(&claim.owner)
    .bind(claim.uid.to_string())
    .execute(connection)
    .await
    .map_err(unavailable("renewing a lease"))?;
    Ok(())
}

async fn commit(
    connection: &mut AnyConnection,
    claim: Claim,
    change: Commit,
    events_max: u64,
) -> Result<(), StoreError> {
    let row = fenced(connection, &claim).await?;
    let failed = unavailable("committing work");
    let seen: i64 = row.try_get("claimed_revision").map_err(&failed)?;
    let newest: i64 = row.try_get("revision").map_err(&failed)?;
    // What the API changed meanwhile was not seen by this pass: its verdicts on the tenant as a
    // whole are void, the records of its stages stand.
    let overtaken = seen != newest;
    let environment = rows::environment(&row)?;
    let now = clock::now(connection).await?;
    for record in &change.stages {
        stages::put(connection, claim.uid, record).await?;
    }
    if !overtaken {
        patch(connection, &environment, &change.environment, now).await?;
        if let Some(end) = &change.operation {
            operations::end(connection, end.id, &end.outcome, now).await?;
        }
    }
    let mut events = change.events;
    if overtaken {
        events.retain(|event| event.kind == EventKind::Stage);
    }
    events::append(connection, now, claim.uid, &environment.name(), &events, events_max).await?;
    let desired_state = match (overtaken, change.environment.desired_state) {
        (false, Some(desired_state)) => desired_state,
        _ => environment.desired_state,
    };
    match (overtaken, change.remove, change.release) {
        (false, true, _) => remove(connection, claim.uid).await,
        (true, true, _) | (true, _, Release::After(_) | Release::UntilChanged) => {
            release(connection, claim.uid, desired_state, Some(now)).await
        }
        (false, false, Release::After(wait)) => {
            release(connection, claim.uid, desired_state, Some(now.after(wait))).await
        }
        (false, false, Release::UntilChanged) => release(connection, claim.uid, desired_state, None).await,
        (_, false, Release::Hold) => Ok(()),
    }
}

/// Gives a claim back. `due`: when to claim it again; `None`: when the API changes something.
async fn release(
    connection: &mut AnyConnection,
    uid: TenantUid,
    desired_state: DesiredState,
    due: Option<Timestamp>,
) -> Result<(), StoreError> {
    let failed = unavailable("giving a claim back");
    let ended: Option<i64> = sqlx::query_scalar(
        "SELECT operations.end_time FROM tenants \
         JOIN operations ON operations.id = tenants.operation WHERE tenants.uid = $1",
    )
    .bind(uid.to_string())
    .fetch_one(&mut *connection)
    .await
    .map_err(&failed)?;
    // The owner goes too: what was given back can't be written to again.
    sqlx::query(
        "UPDATE tenants SET lease_until = 0, owner = '', next_due = $1, priority = $2 \
         WHERE uid = $3",
    )
    .bind(due.map(|due| due.0))
    .bind(priority(desired_state, ended.is_some()))
    .bind(uid.to_string())
    .execute(connection)
    .await
    .map_err(&failed)?;
    Ok(())
}

async fn patch(
    connection: &mut AnyConnection,
    before: &Environment,
    change: &EnvironmentPatch,
    now: Timestamp,
) -> Result<(), StoreError> {
    if *change == EnvironmentPatch::default() {
        return Ok(());
    }
    let after = lifecycle::patched(before, change, now);
    let visible = after.status != before.status || change.desired_state.is_some() || change.revert.is_some();
    let columns = rows::owner_columns(&after.owner)?;
    sqlx::query(
        "UPDATE tenants SET spec = $1, placement = $2, class = $13, provider = $14, generation = $3, direction = $4, \
         state = $5, status = $6, version = version + $7, cancel_requested = $8, last_ready = $9, credentials = $15, account = $16, \
         update_time = CASE WHEN $7 = 1 THEN $10 ELSE update_time END, delete_time = $11 \
         WHERE uid = $12",
    )
    .bind(columns.spec)
    .bind(json("placement", &after.placement)?)
    .bind(after.generation)
    .bind(desired_state_word(after.desired_state))
    .bind(state_word(after.status.state))
    .bind(json("status", &after.status)?)
    .bind(i64::from(visible))
    .bind(i64::from(after.cancel_requested))
    .bind(columns.last_ready)
    .bind(now.0)
    .bind(after.delete_time.map(|time| time.0))
    .bind(after.uid.to_string())
    .bind(after.placement.class.as_str())
    .bind(after.placement.provider.as_str())
    .bind(&after.placement.credentials)
    .bind(rows::account(&after.placement))
    .execute(connection)
    .await
    .map_err(unavailable("updating an environment"))?;
    Ok(())
}

async fn remove(connection: &mut AnyConnection, uid: TenantUid) -> Result<(), StoreError> {
    stages::remove(connection, uid).await?;
    super::credentials::forget(connection, uid).await?;
    sqlx::query("DELETE FROM tenants WHERE uid = $1")
        .bind(uid.to_string())
        .execute(connection)
        .await
        .map_err(unavailable("removing a tenant"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use sqlx::{Connection as _, Row as _, SqliteConnection};

    use super::DUE;

    /// The plan of the claim's statement, one line a step.
    async fn query_plan(statement: &str) -> String {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        sqlx::migrate!("./migrations").run(&mut connection).await.unwrap();
        let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
        let steps = sqlx::query(explain).bind(1).bind("a").bind(1).fetch_all(&mut connection).await.unwrap();
        steps.iter().map(|step| step.get::<String, _>("detail") + "\n").collect()
    }

    #[tokio::test]
    async fn a_claim_looks_only_at_what_is_due() {
        let plan = query_plan(DUE).await;
        let search = "SEARCH tenants USING COVERING INDEX tenants_due (next_due<?)";
        assert!(plan.contains(search), "{plan}");
        assert!(!plan.contains("SCAN tenants"), "{plan}");
    }
}
