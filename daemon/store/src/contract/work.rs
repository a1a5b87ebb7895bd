//! The engine's face: claims, leases, what is due. Its fenced commits are in `commit.rs`.

use std::{collections::BTreeMap, sync::atomic::Ordering, time::Duration};

use async_trait::async_trait;
use futures::FutureExt as _;
use landlord_core::{
    CertificateOrder, Timestamp,
    certificate::{Allowance, OrderLimits},
    environment::CustomerRules,
    ports::{Claim, Commit, StoreError, TakenOver, Work, WorkStore},
};
use sqlx::AnyConnection;

use super::{
    certificates,
    commit::{commit, fenced},
    customers, hosts,
};
use crate::{
    rows::{self, clock, operations, stages, unavailable},
    store::Store,
};

#[async_trait]
impl WorkStore for Store {
    async fn claim(&self, owner: &str, limit: u32, lease_ttl: Duration) -> Result<Vec<Claim>, StoreError> {
        // Daemons that have nothing to do look every second: they keep no writer of another one waiting, and wake nobody.
        if !self.is_exclusive && self.is_idle.load(Ordering::Relaxed) && !self.is_due(owner).await? {
            return Ok(Vec::new());
        }
        let owner = owner.to_owned();
        let claiming = self.writer.write(move |connection| claim(connection, owner.clone(), limit, lease_ttl).boxed());
        let claims = claiming.await?;
        self.is_idle.store(claims.is_empty(), Ordering::Relaxed);
        Ok(claims)
    }

    async fn load(&self, claim: &Claim) -> Result<Work, StoreError> {
        let rules = self.customer_rules();
        self.engine_snapshot(async |connection| load(connection, claim, rules).await).await
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

    async fn order_certificate(
        &self,
        claim: &Claim,
        order: &CertificateOrder,
        limits: &OrderLimits,
        served: bool,
    ) -> Result<Allowance, StoreError> {
        // Every resync asks: whoever has its place keeps no writer waiting.
        if self.engine_snapshot(async |connection| certificates::is_taken(connection, claim.uid, order).await).await? {
            return Ok(Allowance::Granted);
        }
        let (claim, order, limits) = (claim.clone(), order.clone(), *limits);
        self.writer
            .write(move |connection| {
                let (claim, order) = (claim.clone(), order.clone());
                async move { certificates::order(connection, &claim, &order, &limits, served).await }.boxed()
            })
            .await
    }

    async fn next_due(&self, owner: &str) -> Result<Option<Duration>, StoreError> {
        self.engine_snapshot(async |connection| {
            let now = clock::now(connection).await?;
            let failed = unavailable("searching for what is due");
            let due: Option<i64> = sqlx::query_scalar(NEXT_DUE)
                .bind(now.0)
                .bind(owner)
                .fetch_optional(&mut *connection)
                .await
                .map_err(&failed)?;
            let freed: Option<i64> =
                sqlx::query_scalar(NEXT_FREED).bind(now.0).bind(owner).fetch_one(connection).await.map_err(&failed)?;
            Ok(due.into_iter().chain(freed).min().map(|next| Timestamp(next).since(now)))
        })
        .await
    }

    async fn wait_for_hand_over(&self) {
        self.notifier.handed_over.notified().await;
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
                        .map_err(unavailable("searching for what is due too late"))?;
                    // Nor is any lease of an account that long.
                    sqlx::query("UPDATE accounts SET lease_until = $1 WHERE lease_until > $2")
                        .bind(now.0)
                        .bind(now.after(longest).0)
                        .execute(connection)
                        .await
                        .map_err(unavailable("searching for leases of accounts that end too late"))?;
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
                    // They stay known: whoever claims them next goes on from what the earlier run left of their rates.
                    sqlx::query("UPDATE accounts SET lease_until = $1 WHERE lease_until > $1")
                        .bind(now.0)
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

impl Store {
    async fn is_due(&self, owner: &str) -> Result<bool, StoreError> {
        self.engine_snapshot(async |connection| {
            let now = clock::now(connection).await?;
            let due: Option<i64> = sqlx::query_scalar(IS_DUE)
                .bind(now.0)
                .bind(owner)
                .fetch_optional(connection)
                .await
                .map_err(unavailable("searching for what is due"))?;
            Ok(due.is_some())
        })
        .await
    }
}

async fn load(connection: &mut AnyConnection, claim: &Claim, rules: CustomerRules) -> Result<Work, StoreError> {
    let row = fenced(connection, claim).await?;
    let environment = rows::environment(&row)?;
    let operation = operations::read(connection, environment.operation).await?;
    let stages = stages::read(connection, claim.uid).await?;
    let lives_in_host = environment.tenant().is_some_and(|tenant| tenant.host.is_some());
    let host = if lives_in_host { hosts::view(connection, &environment).await? } else { None };
    let now = clock::now(connection).await?;
    let frozen = match environment.tenant() {
        Some(tenant) => customers::frozen(connection, &tenant.name.customer, rules, now).await?,
        None => None,
    };
    let operation_done = operation.outcome.is_some();
    Ok(Work {
        operation_kind: operation.kind,
        operation_done,
        operation_generation: operation.generation,
        environment,
        stages,
        host,
        frozen,
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
/// Whether anything is due.
const IS_DUE: &str = concat!("SELECT CAST(1 AS BIGINT) ", claimable!(), " AND next_due <= $1 LIMIT 1");
/// When the first lease of another daemon on an account ends: what lives there is claimed then, if that daemon does not live.
const NEXT_FREED: &str = "SELECT MIN(lease_until) FROM accounts WHERE owner <> $2 AND lease_until > $1";

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
    let mut taken = BTreeMap::new();
    for account in due.iter().filter_map(|(_, account)| account.as_ref()) {
        if !taken.contains_key(account) {
            taken.insert(account.clone(), lease_account(connection, account, &owner, now, until).await?);
        }
    }
    let uids: Vec<&String> = due.iter().map(|(uid, _)| uid).collect();
    let fences = take(connection, &uids, &owner, until).await?;
    let mut claims = Vec::with_capacity(due.len());
    for (text, account) in &due {
        let uid = text.parse().map_err(|_| StoreError::Corrupt { what: "tenant uid".into(), problem: text.clone() })?;
        let Some(fence) = fences.get(text).copied() else { continue };
        let taken_over = account.as_ref().and_then(|account| taken.get(account).cloned().flatten());
        claims.push(Claim { uid, owner: owner.clone(), fence, taken_over });
    }
    Ok(claims)
}

/// Claims all of these by one statement; their new fences. One for each would hold every other writer up for as many round trips, and
/// to a slow database they would take longer than the lease that they are for.
async fn take(
    connection: &mut AnyConnection,
    uids: &[&String],
    owner: &str,
    until: Timestamp,
) -> Result<BTreeMap<String, i64>, StoreError> {
    if uids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let places: Vec<String> = (0..uids.len()).map(|turn| format!("${}", turn + 3)).collect();
    // Only numbers of parameters are put in.
    let statement = sqlx::AssertSqlSafe(format!(
        "UPDATE tenants SET owner = $1, fence = fence + 1, lease_until = $2, next_due = $2, claimed_revision = revision \
         WHERE uid IN ({}) RETURNING uid, fence",
        places.join(", ")
    ));
    let mut query = sqlx::query_as::<sqlx::Any, (String, i64)>(statement).bind(owner).bind(until.0);
    for uid in uids {
        query = query.bind(uid.as_str());
    }
    let rows = query.fetch_all(connection).await.map_err(unavailable("claiming tenants"))?;
    Ok(rows.into_iter().collect())
}

/// All calls of an account are made by one owner, whose rate limits know of all of them; it keeps the account for a lease after
/// its last work there. Returns from whom it is taken over, if another had it.
async fn lease_account(
    connection: &mut AnyConnection,
    account: &str,
    owner: &str,
    now: Timestamp,
    until: Timestamp,
) -> Result<Option<TakenOver>, StoreError> {
    let failed = unavailable("leasing an account");
    let before: Option<i64> = sqlx::query_scalar("SELECT lease_until FROM accounts WHERE account = $1 AND owner <> $2")
        .bind(account)
        .bind(owner)
        .fetch_optional(&mut *connection)
        .await
        .map_err(&failed)?;
    sqlx::query(
        "INSERT INTO accounts (account, owner, lease_until) VALUES ($1, $2, $3) ON CONFLICT (account) \
         DO UPDATE SET owner = excluded.owner, lease_until = excluded.lease_until",
    )
    .bind(account)
    .bind(owner)
    .bind(until.0)
    .execute(connection)
    .await
    .map_err(failed)?;
    Ok(before.map(|ended| TakenOver { account: account.to_owned(), free_for: now.since(Timestamp(ended)) }))
}

/// The lease of the tenant and that of its account, which another may have by now: whoever claims a tenant there has the account, and one
/// of two who call it at once knows nothing of what the other took of its rate.
async fn update_lease(connection: &mut AnyConnection, claim: &Claim, until: Timestamp) -> Result<(), StoreError> {
    let failed = unavailable("renewing a lease");
    let renewed: Option<(Option<String>,)> = sqlx::query_as(
        "UPDATE tenants SET lease_until = $1, next_due = $1 \
         WHERE uid = $2 AND owner = $3 AND fence = $4 RETURNING account",
    )
    .bind(until.0)
    .bind(claim.uid.to_string())
    .bind(&claim.owner)
    .bind(claim.fence)
    .fetch_optional(&mut *connection)
    .await
    .map_err(&failed)?;
    let Some((account,)) = renewed else { return Err(StoreError::FenceLost(claim.uid)) };
    let Some(account) = account else { return Ok(()) };
    let held = sqlx::query("UPDATE accounts SET lease_until = $1 WHERE owner = $2 AND account = $3")
        .bind(until.0)
        .bind(&claim.owner)
        .bind(account)
        .execute(connection)
        .await
        .map_err(failed)?;
    if held.rows_affected() == 0 { Err(StoreError::FenceLost(claim.uid)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::{super::plan, DUE};

    #[tokio::test]
    async fn a_claim_checks_only_at_what_is_due() {
        let plan = plan::steps(DUE).await.join("\n");
        let search = "SEARCH tenants USING COVERING INDEX tenants_due (next_due<?)";
        assert!(plan.contains(search), "{plan}");
        assert!(!plan.contains("SCAN tenants"), "{plan}");
    }
}
