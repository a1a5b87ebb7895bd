//! What was seen of tenants' answers: kept beside what the engine writes, in a column of its own, so that neither undoes the
//! other. One daemon at a time looks.

use async_trait::async_trait;
use futures::FutureExt as _;
use landlord_core::{
    AvailabilityChange, DesiredState, Environment, StageState, TenantUid, Timestamp,
    environment::{CustomerRules, State, VERIFY_FAILED},
    ports::{AvailabilityStore, Duty, EventKind, NewEvent, ProbeTarget, SeenAvailability, StoreError},
};
use sqlx::AnyConnection;

use super::{customers::frozen, duties};
use crate::{
    rows::{self, clock, environments, events, json, stages, unavailable},
    store::Store,
};

/// Condition of an environment that somebody has paused, or its customer's contract.
const PAUSED: &str = "Paused";
/// Tenants read in one statement.
const PAGE_MAX: u32 = 1_000;

#[async_trait]
impl AvailabilityStore for Store {
    async fn probe_targets(&self, after: Option<TenantUid>, limit: u32) -> Result<Vec<ProbeTarget>, StoreError> {
        self.engine_snapshot(async |connection| targets(connection, after, limit).await).await
    }

    async fn keep_availability(&self, owner: &str, seen: Vec<SeenAvailability>) -> Result<bool, StoreError> {
        let (owner, options) = (owner.to_owned(), (self.customer_rules(), self.events_max));
        self.writer
            .write(move |connection| {
                let (owner, seen) = (owner.clone(), seen.clone());
                async move {
                    let now = clock::now(connection).await?;
                    if duties::holder(connection, Duty::Probing, now).await?.is_none_or(|holder| holder != owner) {
                        return Ok(false);
                    }
                    for one in &seen {
                        keep(connection, one, now, options).await?;
                    }
                    Ok(true)
                }
                .boxed()
            })
            .await
    }
}

async fn targets(
    connection: &mut AnyConnection,
    after: Option<TenantUid>,
    limit: u32,
) -> Result<Vec<ProbeTarget>, StoreError> {
    let rows = sqlx::query(
        "SELECT * FROM tenants WHERE uid > $1 AND direction = 'present' AND last_ready IS NOT NULL AND hosting IS NULL \
         ORDER BY uid LIMIT $2",
    )
    .bind(after.map(|uid| uid.to_string()).unwrap_or_default())
    .bind(i64::from(limit.clamp(1, PAGE_MAX)))
    .fetch_all(connection)
    .await
    .map_err(unavailable("reading whom to look at"))?;
    let target = |environment: Environment| ProbeTarget {
        failing: failing(&environment),
        uid: environment.uid,
        name: environment.name(),
        endpoints: environment.status.endpoints,
        when_unavailable: environment.placement.service.when_unavailable,
        availability: environment.availability.unwrap_or_default(),
    };
    Ok(rows.iter().filter_map(rows::readable).map(target).collect())
}

/// What the engine found that an environment does not do any more. Where nothing is verified for now (paused, frozen by the contract,
/// given up) it would stay what was found last, whatever is mended: looks alone say how it is.
fn failing(environment: &Environment) -> Option<String> {
    let status = &environment.status;
    let holds = |kind: &str| status.conditions.iter().find(|own| own.r#type == kind && own.status);
    let is_verified = holds(PAUSED).is_none() && status.state != State::Failed;
    holds(VERIFY_FAILED).filter(|_| is_verified).map(|condition| condition.message.clone())
}

/// Whether a resync does anything: who is paused, frozen by the contract, or has a stage that failed is left as it is.
async fn is_left_alone(
    connection: &mut AnyConnection,
    seen: &SeenAvailability,
    rules: CustomerRules,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let Some(environment) = environments::maybe(connection, &seen.name).await? else { return Ok(true) };
    // A stage that has failed is tried again when somebody asks for it.
    if environment.is_paused() || environment.status.state == State::Failed {
        return Ok(true);
    }
    match environment.tenant() {
        Some(tenant) => Ok(frozen(connection, &tenant.name.customer, rules, now).await?.is_some()),
        None => Ok(false),
    }
}

async fn keep(
    connection: &mut AnyConnection,
    seen: &SeenAvailability,
    now: Timestamp,
    (rules, events_max): (CustomerRules, u64),
) -> Result<(), StoreError> {
    let kept = sqlx::query("UPDATE tenants SET availability = $1 WHERE uid = $2 AND direction = 'present'")
        .bind(json("availability", &seen.availability)?)
        .bind(seen.uid.to_string())
        .execute(&mut *connection)
        .await
        .map_err(unavailable("keeping what was seen"))?;
    let Some(change) = seen.change.filter(|_| kept.rows_affected() > 0) else { return Ok(()) };
    let repair = seen.repair && !is_left_alone(connection, seen, rules, now).await?;
    let (reason, message) = match change {
        AvailabilityChange::First => ("Available", format!("{} answers", seen.name)),
        AvailabilityChange::Back => ("Available", format!("{} answers again", seen.name)),
        AvailabilityChange::Lost => {
            let next = if repair { "; it is resynced" } else { "" };
            ("Unavailable", format!("{} does not answer: {}{next}", seen.name, seen.availability.cause))
        }
    };
    let event =
        NewEvent { kind: EventKind::Tenant, stage: String::new(), reason: reason.into(), message, progress: None };
    events::append(connection, now, seen.uid, &seen.name, (None, &[event]), events_max).await?;
    if repair { resync(connection, seen.uid, now).await } else { Ok(()) }
}

/// Has every stage that is done looked at again, at once or as soon as the lease under which it is worked on is over.
async fn resync(connection: &mut AnyConnection, uid: TenantUid, now: Timestamp) -> Result<(), StoreError> {
    for record in stages::read(connection, uid).await? {
        if record.desired_state == DesiredState::Present && record.state == StageState::Done {
            stages::put(connection, uid, &landlord_core::StageRecord { poll_time: now, ..record }).await?;
        }
    }
    // As a change of the API: a pass under way does not put it off.
    sqlx::query(
        "UPDATE tenants SET revision = revision + 1, \
         next_due = CASE WHEN lease_until <= $1 THEN $1 ELSE next_due END WHERE uid = $2",
    )
    .bind(now.0)
    .bind(uid.to_string())
    .execute(connection)
    .await
    .map_err(unavailable("asking for a resync"))?;
    Ok(())
}
