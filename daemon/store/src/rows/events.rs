//! Events: written in the transaction that they describe, read in order, bounded in number.
//!
//! There is one writer, so a position that is visible has no invisible one before it: a reader
//! that resumes after a position misses nothing. (A store with several writers must make
//! readers wait for the gap.)

use landlord_core::{
    EnvironmentName, OperationId, Progress, TenantUid, Timestamp,
    ports::{Event, EventKind, EventQuery, EventScope, NewEvent, StoreError},
};
use sqlx::{AnyConnection, Row as _, any::AnyRow};

use super::{
    columns::{self as rows, page_limit, unavailable},
    positions,
    statement::Statement,
};
use crate::dialect::Dialect;

/// The oldest are removed this often, in events written.
const PURGE_EVERY: i64 = 1_000;
/// Longest message kept; a cloud's longest error texts fit.
const MESSAGE_CHARS_MAX: usize = 2_000;

fn word(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Tenant => "tenant",
        EventKind::Stage => "stage",
        EventKind::Operation => "operation",
        EventKind::Removed => "removed",
    }
}

fn kind(text: &str) -> Result<EventKind, StoreError> {
    match text {
        "tenant" => Ok(EventKind::Tenant),
        "stage" => Ok(EventKind::Stage),
        "operation" => Ok(EventKind::Operation),
        "removed" => Ok(EventKind::Removed),
        other => Err(StoreError::Corrupt { what: "event kind".into(), problem: format!("unknown word {other:?}") }),
    }
}

/// Appends events of one environment, and of the operation that they are part of.
pub(crate) async fn append(
    connection: &mut AnyConnection,
    now: Timestamp,
    uid: TenantUid,
    name: &EnvironmentName,
    (operation, events): (Option<OperationId>, &[NewEvent]),
    events_max: u64,
) -> Result<(), StoreError> {
    let failed = unavailable("writing an event");
    let (customer, id) = rows::key(name);
    for event in events {
        // PostgreSQL keeps no NUL in a text.
        let message: String = event.message.chars().filter(|c| *c != '\0').take(MESSAGE_CHARS_MAX).collect();
        let seq: i64 = sqlx::query_scalar(
            "INSERT INTO events (time, tenant_uid, customer, tenant, kind, stage, reason, message, \
             percent, expected_end, operation) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING seq",
        )
        .bind(now.0)
        .bind(uid.to_string())
        .bind(customer)
        .bind(id)
        .bind(word(event.kind))
        .bind(&event.stage)
        .bind(&event.reason)
        .bind(message)
        .bind(event.progress.map(|progress| i64::from(progress.percent)))
        .bind(event.progress.map(|progress| progress.end_time.0))
        .bind(event.progress.map(|progress| progress.operation).or(operation).map(|operation| operation.to_string()))
        .fetch_one(&mut *connection)
        .await
        .map_err(&failed)?;
        if seq % PURGE_EVERY == 0 {
            // By their number: a store that was moved or restored leaves out a million positions.
            let kept = i64::try_from(events_max).unwrap_or(i64::MAX);
            sqlx::query("DELETE FROM events WHERE seq <= (SELECT seq FROM events ORDER BY seq DESC LIMIT 1 OFFSET $1)")
                .bind(kept)
                .execute(&mut *connection)
                .await
                .map_err(&failed)?;
        }
    }
    Ok(())
}

/// Position of the newest event.
pub(crate) async fn newest(connection: &mut AnyConnection) -> Result<i64, StoreError> {
    let newest: Option<i64> = sqlx::query_scalar("SELECT MAX(seq) FROM events")
        .fetch_one(connection)
        .await
        .map_err(unavailable("reading events"))?;
    Ok(newest.unwrap_or(0))
}

/// A store that goes on from a copy leaves out so many positions, so that none is used twice.
const POSITIONS_SKIPPED: i64 = 1_000_000;

/// The position that was given last, also if its event is gone; 0: none was.
async fn last_given(connection: &mut AnyConnection) -> Result<i64, StoreError> {
    let sql = match Dialect::of(connection) {
        Dialect::Sqlite => "SELECT CAST(seq AS INTEGER) FROM sqlite_sequence WHERE name = 'events'",
        Dialect::Postgres => "SELECT pg_sequence_last_value(CAST(pg_get_serial_sequence('events', 'seq') AS regclass))",
    };
    let given: Option<Option<i64>> =
        sqlx::query_scalar(sql).fetch_optional(connection).await.map_err(unavailable("reading positions of events"))?;
    Ok(given.flatten().unwrap_or(0))
}

/// Leaves out the positions that may have been given to events which this copy does not have: those behind its own last one, and
/// behind `used`, which is known to have been given. A store that never gave one stays at its beginning.
pub(crate) async fn skip_positions(connection: &mut AnyConnection, used: i64) -> Result<(), StoreError> {
    let last = last_given(connection).await?.max(used);
    if last > 0 {
        let next = last.saturating_add(POSITIONS_SKIPPED);
        positions::set(connection, "events", next).await.map_err(unavailable("skipping positions of events"))?;
    }
    Ok(())
}

/// Position of the oldest event that is kept; 0: there is none.
pub(crate) async fn oldest(connection: &mut AnyConnection) -> Result<i64, StoreError> {
    let oldest: Option<i64> = sqlx::query_scalar("SELECT MIN(seq) FROM events")
        .fetch_one(connection)
        .await
        .map_err(unavailable("reading events"))?;
    Ok(oldest.unwrap_or(0))
}

/// Events after a position, oldest first. `connection` must see one moment: the check of the
/// position and the events themselves belong together.
pub(crate) async fn read(connection: &mut AnyConnection, query: &EventQuery) -> Result<Vec<Event>, StoreError> {
    let failed = unavailable("reading events");
    let oldest: Option<i64> =
        sqlx::query_scalar("SELECT MIN(seq) FROM events").fetch_one(&mut *connection).await.map_err(&failed)?;
    if query.after_seq > 0 && oldest.is_some_and(|oldest| query.after_seq < oldest - 1) {
        return Err(StoreError::InvalidArgument(
            "the resume token is older than the events kept; list the tenants again and watch \
             without a token"
                .into(),
        ));
    }
    let mut sql = Statement::new(
        "SELECT seq, time, tenant_uid, customer, tenant, kind, stage, reason, message, percent, expected_end, \
         operation FROM events WHERE seq > ",
    );
    sql.bind(query.after_seq);
    match &query.scope {
        EventScope::Tenants => drop(sql.push(" AND ").push(rows::IS_TENANT)),
        EventScope::All => {}
        EventScope::HostClusters => drop(sql.push(" AND ").push(rows::IS_HOST_CLUSTER)),
        EventScope::Customer(customer) => drop(sql.push(" AND customer = ").bind(customer.as_str())),
        EventScope::Environment(name) => {
            let (customer, id) = rows::key(name);
            sql.push(" AND customer = ").bind(customer);
            sql.push(" AND tenant = ").bind(id);
        }
    }
    sql.push(" ORDER BY seq LIMIT ").bind(i64::from(page_limit(query.limit)));
    let rows = sql.query().fetch_all(connection).await.map_err(&failed)?;
    // One that can't be read is left out: it must not keep watches from those after it.
    Ok(rows
        .iter()
        .filter_map(|row| event(row).inspect_err(|error| tracing::error!(%error, "an event is left out")).ok())
        .collect())
}

fn event(row: &AnyRow) -> Result<Event, StoreError> {
    let failed = unavailable("reading an event");
    let name = |column: &str| row.try_get::<String, _>(column).map_err(&failed);
    let bad = |error: landlord_core::ids::InvalidName| StoreError::Corrupt {
        what: "event".into(),
        problem: error.to_string(),
    };
    let operation = operation(row)?;
    Ok(Event {
        seq: row.try_get("seq").map_err(&failed)?,
        time: Timestamp(row.try_get("time").map_err(&failed)?),
        uid: name("tenant_uid")?.parse().map_err(bad)?,
        name: rows::name(&name("customer")?, &name("tenant")?)?,
        event: NewEvent {
            kind: kind(&name("kind")?)?,
            stage: name("stage")?,
            reason: name("reason")?,
            message: name("message")?,
            progress: progress(row, operation)?,
        },
        operation,
    })
}

/// The operation that it is part of.
fn operation(row: &AnyRow) -> Result<Option<OperationId>, StoreError> {
    let id: Option<String> = row.try_get("operation").map_err(unavailable("reading an event"))?;
    let bad = |error: landlord_core::ids::InvalidName| StoreError::Corrupt {
        what: "event".into(),
        problem: error.to_string(),
    };
    id.map(|id| id.parse().map_err(bad)).transpose()
}

/// How far the operation was; `None`: the event is not about the work of one.
fn progress(row: &AnyRow, operation: Option<OperationId>) -> Result<Option<Progress>, StoreError> {
    let failed = unavailable("reading an event");
    let percent: Option<i64> = row.try_get("percent").map_err(&failed)?;
    let end: Option<i64> = row.try_get("expected_end").map_err(&failed)?;
    let (Some(percent), Some(end), Some(operation)) = (percent, end, operation) else { return Ok(None) };
    Ok(Some(Progress { operation, percent: u8::try_from(percent).unwrap_or_default(), end_time: Timestamp(end) }))
}
