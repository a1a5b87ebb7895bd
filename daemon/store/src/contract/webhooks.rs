//! Webhooks: who delivers one, how far it is, and what was given up.

use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt as _;
use landlord_core::{
    TenantName, Timestamp,
    ports::{
        ClaimedWebhook, HeldTenant, PARKED_MAX, ParkedEvent, StoreError, WebhookClaim, WebhookProgress, WebhookState,
        WebhookStore,
    },
};
use sqlx::{AnyConnection, Row as _, any::AnyRow};

use crate::{
    rows::{self, clock, events, unavailable},
    store::Store,
};

#[async_trait]
impl WebhookStore for Store {
    async fn claim_webhook(
        &self,
        name: &str,
        owner: &str,
        lease_ttl: Duration,
    ) -> Result<Option<ClaimedWebhook>, StoreError> {
        let (name, owner) = (name.to_owned(), owner.to_owned());
        let ttl = lease_ttl;
        self.writer.write(move |connection| claim(connection, (name.clone(), owner.clone()), ttl).boxed()).await
    }

    async fn renew_webhook(&self, claim: &WebhookClaim, lease_ttl: Duration) -> Result<Option<Timestamp>, StoreError> {
        let claim = claim.clone();
        self.writer.write(move |connection| renew(connection, claim.clone(), lease_ttl).boxed()).await
    }

    async fn record_webhook(&self, claim: &WebhookClaim, progress: WebhookProgress) -> Result<bool, StoreError> {
        let claim = claim.clone();
        self.writer.write(move |connection| record(connection, claim.clone(), progress.clone()).boxed()).await
    }

    async fn release_webhook(&self, claim: &WebhookClaim) -> Result<(), StoreError> {
        let claim = claim.clone();
        self.writer.write(move |connection| release(connection, claim.clone()).boxed()).await
    }

    async fn replay_webhook(&self, name: &str, position: i64) -> Result<(), StoreError> {
        let name = name.to_owned();
        self.writer.write(move |connection| replay(connection, name.clone(), position).boxed()).await
    }

    async fn webhooks(&self) -> Result<Vec<WebhookState>, StoreError> {
        self.snapshot(async |connection| {
            let now = clock::now(connection).await?;
            let failed = unavailable("reading webhooks");
            let rows = sqlx::query(STATES).fetch_all(connection).await.map_err(failed)?;
            rows.iter().map(|row| state(row, now)).collect()
        })
        .await
    }

    async fn parked_events(&self, name: &str, limit: u32) -> Result<Vec<ParkedEvent>, StoreError> {
        let failed = unavailable("reading parked events");
        self.read(async |connection| {
            let rows = sqlx::query("SELECT * FROM parked_events WHERE webhook = $1 ORDER BY position DESC LIMIT $2")
                .bind(name)
                .bind(i64::from(limit))
                .fetch_all(connection)
                .await
                .map_err(failed)?;
            rows.iter().map(parked_event).collect()
        })
        .await
    }

    async fn oldest_event(&self) -> Result<i64, StoreError> {
        self.read(async |connection| events::oldest(connection).await).await
    }
}

const STATES: &str = "SELECT webhooks.*, (SELECT COUNT(*) FROM parked_events WHERE parked_events.webhook = webhooks.name) \
     AS parked FROM webhooks ORDER BY name";
const STATE: &str = "SELECT webhooks.*, (SELECT COUNT(*) FROM parked_events WHERE parked_events.webhook = webhooks.name) \
     AS parked FROM webhooks WHERE name = $1";

fn lease_until(now: Timestamp, ttl: Duration) -> i64 {
    now.after(ttl).0
}

async fn claim(
    connection: &mut AnyConnection,
    (name, owner): (String, String),
    lease_ttl: Duration,
) -> Result<Option<ClaimedWebhook>, StoreError> {
    let failed = unavailable("claiming a webhook");
    let now = clock::now(connection).await?;
    let newest = events::newest(connection).await?;
    sqlx::query(
        "INSERT INTO webhooks (name, position, held, delivered, missed, error, owner, fence, lease_until) \
         VALUES ($1, $2, '[]', 0, 0, '', '', 0, 0) ON CONFLICT (name) DO NOTHING",
    )
    .bind(&name)
    .bind(newest)
    .execute(&mut *connection)
    .await
    .map_err(&failed)?;
    let fence: Option<i64> = sqlx::query_scalar(
        "UPDATE webhooks SET owner = $2, fence = fence + 1, lease_until = $3 \
         WHERE name = $1 AND (lease_until <= $4 OR owner = $2) RETURNING fence",
    )
    .bind(&name)
    .bind(&owner)
    .bind(lease_until(now, lease_ttl))
    .bind(now.0)
    .fetch_optional(&mut *connection)
    .await
    .map_err(&failed)?;
    let Some(fence) = fence else { return Ok(None) };
    let row = sqlx::query(STATE).bind(&name).fetch_one(connection).await.map_err(&failed)?;
    let state = state(&row, now)?;
    Ok(Some(ClaimedWebhook { claim: WebhookClaim { webhook: name, owner, fence }, state, now }))
}

async fn renew(
    connection: &mut AnyConnection,
    claim: WebhookClaim,
    lease_ttl: Duration,
) -> Result<Option<Timestamp>, StoreError> {
    let now = clock::now(connection).await?;
    let renewed = sqlx::query("UPDATE webhooks SET lease_until = $4 WHERE name = $1 AND owner = $2 AND fence = $3")
        .bind(&claim.webhook)
        .bind(&claim.owner)
        .bind(claim.fence)
        .bind(lease_until(now, lease_ttl))
        .execute(connection)
        .await
        .map_err(unavailable("renewing the lease of a webhook"))?;
    Ok((renewed.rows_affected() == 1).then_some(now))
}

async fn release(connection: &mut AnyConnection, claim: WebhookClaim) -> Result<(), StoreError> {
    sqlx::query("UPDATE webhooks SET lease_until = 0, owner = '' WHERE name = $1 AND owner = $2 AND fence = $3")
        .bind(&claim.webhook)
        .bind(&claim.owner)
        .bind(claim.fence)
        .execute(connection)
        .await
        .map_err(unavailable("giving a webhook back"))?;
    Ok(())
}

async fn record(
    connection: &mut AnyConnection,
    claim: WebhookClaim,
    progress: WebhookProgress,
) -> Result<bool, StoreError> {
    let failed = unavailable("recording deliveries");
    let now = clock::now(connection).await?;
    let recorded = sqlx::query(
        "UPDATE webhooks SET position = $4, failing_since = $5, held = $6, delivered = delivered + $7, \
         missed = missed + $8, error = $9, delivery_time = CASE WHEN $7 > 0 THEN $10 ELSE delivery_time END \
         WHERE name = $1 AND owner = $2 AND fence = $3",
    )
    .bind(&claim.webhook)
    .bind(&claim.owner)
    .bind(claim.fence)
    .bind(progress.position)
    .bind(progress.failing_since.map(|since| since.0))
    .bind(rows::json("held tenants", &progress.held)?)
    .bind(i64::try_from(progress.delivered).unwrap_or(i64::MAX))
    .bind(i64::try_from(progress.missed).unwrap_or(i64::MAX))
    .bind(&progress.error)
    .bind(now.0)
    .execute(&mut *connection)
    .await
    .map_err(&failed)?;
    if recorded.rows_affected() != 1 {
        return Ok(false);
    }
    for event in &progress.parked {
        park(connection, &claim.webhook, event).await?;
    }
    Ok(true)
}

async fn park(connection: &mut AnyConnection, webhook: &str, event: &ParkedEvent) -> Result<(), StoreError> {
    let failed = unavailable("parking an event");
    sqlx::query(
        "INSERT INTO parked_events (webhook, position, customer, tenant, type, event_time, park_time, attempts, error) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (webhook, position) DO NOTHING",
    )
    .bind(webhook)
    .bind(event.position)
    .bind(event.tenant.customer.as_str())
    .bind(event.tenant.tenant.as_str())
    .bind(&event.event_type)
    .bind(event.event_time.0)
    .bind(event.park_time.0)
    .bind(i64::from(event.attempts))
    .bind(&event.error)
    .execute(&mut *connection)
    .await
    .map_err(&failed)?;
    sqlx::query(
        "DELETE FROM parked_events WHERE webhook = $1 AND position NOT IN \
         (SELECT position FROM parked_events WHERE webhook = $1 ORDER BY position DESC LIMIT $2)",
    )
    .bind(webhook)
    .bind(i64::from(PARKED_MAX))
    .execute(connection)
    .await
    .map_err(&failed)?;
    Ok(())
}

/// Has a webhook deliver again what follows `position`. It goes back at most: from ahead of where it is, what lies between would
/// never be sent. A tenant that waits for an event before that goes on waiting for it, and is tried at once.
async fn replay(connection: &mut AnyConnection, name: String, position: i64) -> Result<(), StoreError> {
    let failed = unavailable("replaying a webhook");
    let now = clock::now(connection).await?;
    let row = sqlx::query(STATE).bind(&name).fetch_optional(&mut *connection).await.map_err(&failed)?;
    let Some(row) = row else { return Err(StoreError::NotFound(format!("webhooks/{name}"))) };
    let before = state(&row, now)?;
    let position = before.position.min(position);
    // What waits behind the place is read again with everything else. The error stays: it says that there was such an event.
    let waits = before.held.into_iter().filter(|held| held.position <= position);
    let held: Vec<HeldTenant> =
        waits.map(|held| HeldTenant { attempts: 0, since: None, next_time: now, ..held }).collect();
    sqlx::query(
        "UPDATE webhooks SET position = $2, failing_since = NULL, held = $3, error = '', owner = '', lease_until = 0, \
         fence = fence + 1 WHERE name = $1",
    )
    .bind(&name)
    .bind(position)
    .bind(rows::json("held tenants", &held)?)
    .execute(&mut *connection)
    .await
    .map_err(&failed)?;
    sqlx::query("DELETE FROM parked_events WHERE webhook = $1 AND position > $2")
        .bind(&name)
        .bind(position)
        .execute(connection)
        .await
        .map_err(&failed)?;
    Ok(())
}

fn state(row: &AnyRow, now: Timestamp) -> Result<WebhookState, StoreError> {
    let failed = unavailable("reading a webhook");
    let text = |column: &str| row.try_get::<String, _>(column).map_err(&failed);
    let number = |column: &str| row.try_get::<i64, _>(column).map_err(&failed);
    let time = |column: &str| row.try_get::<Option<i64>, _>(column).map(|time| time.map(Timestamp)).map_err(&failed);
    let is_leased = number("lease_until")? > now.0;
    let held = serde_json::from_str(&text("held")?).map_err(|error| StoreError::Corrupt {
        what: "held tenants of a webhook".into(),
        problem: error.to_string(),
    })?;
    Ok(WebhookState {
        name: text("name")?,
        daemon: if is_leased { Some(text("owner")?) } else { None },
        position: number("position")?,
        failing_since: time("failing_since")?,
        held,
        delivered_count: number("delivered")?.unsigned_abs(),
        missed_count: number("missed")?.unsigned_abs(),
        parked_count: number("parked")?.unsigned_abs(),
        delivery_time: time("delivery_time")?,
        error: text("error")?,
    })
}

fn parked_event(row: &AnyRow) -> Result<ParkedEvent, StoreError> {
    let failed = unavailable("reading a parked event");
    let text = |column: &str| row.try_get::<String, _>(column).map_err(&failed);
    let number = |column: &str| row.try_get::<i64, _>(column).map_err(&failed);
    let bad = |error: landlord_core::ids::InvalidName| StoreError::Corrupt {
        what: "parked event".into(),
        problem: error.to_string(),
    };
    let tenant =
        TenantName { customer: text("customer")?.parse().map_err(bad)?, tenant: text("tenant")?.parse().map_err(bad)? };
    Ok(ParkedEvent {
        position: number("position")?,
        tenant,
        event_type: text("type")?,
        event_time: Timestamp(number("event_time")?),
        park_time: Timestamp(number("park_time")?),
        attempts: u32::try_from(number("attempts")?).unwrap_or(u32::MAX),
        error: text("error")?,
    })
}
