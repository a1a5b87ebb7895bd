//! One fenced transaction of the engine: it happens only while the claim's fence and owner still stand, and what it does for
//! somebody is recorded in it.

use landlord_core::{
    DesiredState, Environment, TenantUid, Timestamp,
    audit::{AuditRecord, Author},
    lifecycle,
    ports::{Claim, Commit, EnvironmentPatch, EventKind, NewEvent, Release, StoreError},
};
use sqlx::{AnyConnection, Row as _, any::AnyRow};

use crate::rows::{
    self, audit, clock, desired_state_word, events, json, operations, priority, stages, state_word, unavailable,
};

/// The tenant's row, if the claim still stands.
pub(super) async fn fenced(connection: &mut AnyConnection, claim: &Claim) -> Result<AnyRow, StoreError> {
    sqlx::query("SELECT * FROM tenants WHERE uid = $1 AND owner = $2 AND fence = $3")
        .bind(claim.uid.to_string())
        .bind(&claim.owner)
        .bind(claim.fence)
        .fetch_optional(connection)
        .await
        .map_err(unavailable("checking a claim"))?
        .ok_or(StoreError::FenceLost(claim.uid))
}

/// Writes what a pass did.
pub(super) async fn commit(
    connection: &mut AnyConnection,
    claim: Claim,
    mut change: Commit,
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
    let mut after = environment.clone();
    if !overtaken {
        after = patch(connection, &environment, &change.environment, now).await?;
        if let Some(end) = &change.operation {
            operations::end(connection, end.id, &end.outcome, now).await?;
        }
    }
    let mut events = std::mem::take(&mut change.events);
    if overtaken {
        events.retain(|event| event.kind == EventKind::Stage);
    }
    // What is overtaken was part of an operation that this one took the place of.
    let operation = (!overtaken).then_some(environment.operation);
    events::append(connection, now, claim.uid, &environment.name(), (operation, &events), events_max).await?;
    let removed = change.remove && !overtaken;
    let ended = change.operation.as_ref().filter(|_| !overtaken).map(|end| end.outcome.as_str());
    let pair = (&environment, Some(&after).filter(|_| !removed));
    record(connection, pair, (&events, ended), now).await?;
    settle(connection, (&environment, claim.uid), overtaken, &change, now).await
}

/// Removes the environment, or gives the claim back as the commit says.
async fn settle(
    connection: &mut AnyConnection,
    (environment, uid): (&Environment, TenantUid),
    overtaken: bool,
    change: &Commit,
    now: Timestamp,
) -> Result<(), StoreError> {
    let desired_state = match (overtaken, change.environment.desired_state) {
        (false, Some(desired_state)) => desired_state,
        _ => environment.desired_state,
    };
    match (overtaken, change.remove, change.release) {
        (false, true, _) => remove(connection, uid).await,
        (true, true, _) | (true, _, Release::After(_) | Release::UntilChanged) => {
            release(connection, uid, desired_state, Some(now)).await
        }
        (false, false, Release::After(wait)) => release(connection, uid, desired_state, Some(now.after(wait))).await,
        (false, false, Release::UntilChanged) => release(connection, uid, desired_state, None).await,
        (_, false, Release::Hold) => Ok(()),
    }
}

/// Events of stages that tell of a change in a cloud or a cluster, or of its end.
const CHANGING: [&str; 5] = ["StageStarted", "StageDone", "StageFailed", "StageDrifted", "StageSkipped"];

/// Records what the engine does for somebody: each stage that it begins or ends, the end of an operation, and what it makes of
/// the record. What it only observes is in status and events.
async fn record(
    connection: &mut AnyConnection,
    (before, after): (&Environment, Option<&Environment>),
    (events, ended): (&[NewEvent], Option<&str>),
    now: Timestamp,
) -> Result<(), StoreError> {
    let stages = events.iter().filter(|event| CHANGING.contains(&event.reason.as_str()));
    let mut done: Vec<String> = stages.map(|event| format!("{} {}", event.reason, event.stage)).collect();
    done.extend(ended.map(|outcome| format!("operation ended: {outcome}")));
    let wanted = |record: &Environment| (record.desired_state, record.generation);
    let turned = after.is_none_or(|after| wanted(after) != wanted(before));
    if done.is_empty() && !turned {
        return Ok(());
    }
    let origin = operations::principal(connection, before.operation).await?;
    let author = Author::daemon("Reconcile", &origin);
    let record = AuditRecord { detail: done.join(", "), ..AuditRecord::of_environment(author, Some(before), after) };
    audit::append(connection, record, now).await
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
) -> Result<Environment, StoreError> {
    if *change == EnvironmentPatch::default() {
        return Ok(before.clone());
    }
    let after = lifecycle::patched(before, change, now);
    let visible = after.status != before.status || change.desired_state.is_some() || change.revert.is_some();
    let columns = rows::owner_columns(&after.owner)?;
    let version: i64 = sqlx::query_scalar(
        "UPDATE tenants SET spec = $1, placement = $2, class = $13, provider = $14, generation = $3, direction = $4, \
         state = $5, status = $6, version = version + $7, cancel_requested = $8, last_ready = $9, credentials = $15, account = $16, \
         update_time = CASE WHEN $7 = 1 THEN $10 ELSE update_time END, delete_time = $11 \
         WHERE uid = $12 RETURNING version",
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
    .bind(after.placement.account_key())
    .fetch_one(connection)
    .await
    .map_err(unavailable("updating an environment"))?;
    Ok(Environment { etag: rows::etag(&after.uid.to_string(), version), ..after })
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
