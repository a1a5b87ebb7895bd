//! Rows to domain values and back. Persisted words are spelled out here, not derived from
//! names in the code, so that renaming a type can't change what is stored.

use std::str::FromStr;

use landlord_core::{
    Direction, HostRef, Operation, OperationKind, OperationOutcome, Stage, StageRecord, State, Tenant, TenantName,
    Timestamp,
    ports::{Page, StoreError},
};
use serde::de::DeserializeOwned;
use sqlx::{Row as _, sqlite::SqliteRow};

/// Largest page, whatever was asked for: bounds the memory of one answer.
const PAGE_MAX: u32 = 1_000;

/// Rows of a page.
pub(crate) fn page_limit(asked: u32) -> u32 {
    asked.clamp(1, PAGE_MAX)
}

/// A page out of `items`, read with one more than `limit` to know whether more may follow.
pub(crate) fn page<T>(mut items: Vec<T>, limit: u32, name: impl Fn(&T) -> String) -> Page<T> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = items.len() > limit;
    items.truncate(limit);
    let next = more.then(|| items.last().map(name)).flatten();
    Page { items, next }
}

/// Maps a database error; `context` says what was being done.
pub(crate) fn unavailable(context: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |source| StoreError::Unavailable { context: context.into(), source: Box::new(source) }
}

fn corrupt(what: &str, problem: impl ToString) -> StoreError {
    StoreError::Corrupt { what: what.into(), problem: problem.to_string() }
}

/// A value that must serialise.
pub(crate) fn json<T: serde::Serialize>(what: &str, value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| corrupt(what, error))
}

fn parse<T: DeserializeOwned>(what: &str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| corrupt(what, error))
}

fn named<T: FromStr>(what: &str, text: &str) -> Result<T, StoreError>
where
    T::Err: ToString,
{
    text.parse().map_err(|error: T::Err| corrupt(what, error))
}

fn column<'r, T>(row: &'r SqliteRow, name: &str) -> Result<T, StoreError>
where
    T: sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    row.try_get(name).map_err(|error| corrupt(name, error))
}

pub(crate) fn direction_word(direction: Direction) -> &'static str {
    match direction {
        Direction::Present => "present",
        Direction::Absent => "absent",
    }
}

pub(crate) fn direction(text: &str) -> Result<Direction, StoreError> {
    match text {
        "present" => Ok(Direction::Present),
        "absent" => Ok(Direction::Absent),
        other => Err(corrupt("direction", format!("unknown word {other:?}"))),
    }
}

pub(crate) fn kind_word(kind: OperationKind) -> &'static str {
    match kind {
        OperationKind::Create => "create",
        OperationKind::Update => "update",
        OperationKind::Delete => "delete",
        OperationKind::Retry => "retry",
    }
}

fn kind(text: &str) -> Result<OperationKind, StoreError> {
    match text {
        "create" => Ok(OperationKind::Create),
        "update" => Ok(OperationKind::Update),
        "delete" => Ok(OperationKind::Delete),
        "retry" => Ok(OperationKind::Retry),
        other => Err(corrupt("operation kind", format!("unknown word {other:?}"))),
    }
}

pub(crate) fn state_word(state: State) -> &'static str {
    state.as_str()
}

/// Work for the three groups of the claim order.
pub(crate) fn priority(direction: Direction, operation_done: bool) -> i64 {
    match (direction, operation_done) {
        (Direction::Absent, _) => 0,
        (Direction::Present, false) => 1,
        (Direction::Present, true) => 2,
    }
}

/// The name in a row's columns `customer` and `tenant`; a host cluster's has no customer.
pub(crate) fn name(customer: &str, tenant: &str) -> Result<TenantName, StoreError> {
    if customer.is_empty() {
        return Ok(TenantName::of_host_cluster(&named("host cluster", tenant)?));
    }
    Ok(TenantName { customer: named("customer", customer)?, tenant: named("tenant", tenant)? })
}

fn name_in(row: &SqliteRow) -> Result<TenantName, StoreError> {
    name(&column::<String>(row, "customer")?, &column::<String>(row, "tenant")?)
}

fn host_in(row: &SqliteRow) -> Result<Option<HostRef>, StoreError> {
    let uid: Option<String> = column(row, "host_uid")?;
    let id: Option<String> = column(row, "host_name")?;
    let (Some(uid), Some(id)) = (uid, id) else { return Ok(None) };
    Ok(Some(HostRef { uid: named("host cluster uid", &uid)?, id: named("host cluster", &id)? }))
}

/// The etag of a version of a tenant.
pub(crate) fn etag(uid: &str, version: i64) -> String {
    format!("\"{}-{version}\"", uid.chars().take(8).collect::<String>())
}

pub(crate) fn tenant(row: &SqliteRow) -> Result<Tenant, StoreError> {
    let uid: String = column(row, "uid")?;
    let last_ready: Option<String> = column(row, "last_ready")?;
    let direction_text: String = column(row, "direction")?;
    let hosting: Option<String> = column(row, "hosting")?;
    Ok(Tenant {
        name: name_in(row)?,
        spec: parse("spec", &column::<String>(row, "spec")?)?,
        offer: parse("offer", &column::<String>(row, "offer")?)?,
        host: host_in(row)?,
        hosting: hosting.map(|text| parse("hosting", &text)).transpose()?,
        generation: column(row, "generation")?,
        direction: direction(&direction_text)?,
        force_delete: column::<i64>(row, "force_delete")? != 0,
        status: parse("status", &column::<String>(row, "status")?)?,
        etag: etag(&uid, column(row, "version")?),
        operation: named("operation", &column::<String>(row, "operation")?)?,
        cancel_requested: column::<i64>(row, "cancel_requested")? != 0,
        last_ready: last_ready.map(|text| parse("last_ready", &text)).transpose()?,
        create_time: Timestamp(column(row, "create_time")?),
        update_time: Timestamp(column(row, "update_time")?),
        delete_time: column::<Option<i64>>(row, "delete_time")?.map(Timestamp),
        uid: named("uid", &uid)?,
    })
}

/// An operation without its stages.
pub(crate) fn operation(row: &SqliteRow) -> Result<Operation, StoreError> {
    let outcome: Option<String> = column(row, "outcome")?;
    let outcome: Option<OperationOutcome> = outcome.map(|text| parse("outcome", &text)).transpose()?;
    let stages: Option<String> = column(row, "stages")?;
    Ok(Operation {
        id: named("operation id", &column::<String>(row, "id")?)?,
        tenant_uid: named("tenant uid", &column::<String>(row, "tenant_uid")?)?,
        tenant: name_in(row)?,
        kind: kind(&column::<String>(row, "kind")?)?,
        generation: column(row, "generation")?,
        create_time: Timestamp(column(row, "create_time")?),
        end_time: column::<Option<i64>>(row, "end_time")?.map(Timestamp),
        cancel_requested: column::<i64>(row, "cancel_requested")? != 0,
        outcome,
        stages: stages.map(|text| parse("stages", &text)).transpose()?.unwrap_or_default(),
    })
}

/// A stage's record; the two binary fields have columns of their own.
pub(crate) fn stage(row: &SqliteRow) -> Result<StageRecord, StoreError> {
    let mut record: StageRecord = parse("stage record", &column::<String>(row, "record")?)?;
    record.checkpoint = column(row, "checkpoint")?;
    record.status = column(row, "status")?;
    let key: Stage = named("stage", &column::<String>(row, "stage")?)?;
    if key != record.stage {
        return Err(corrupt("stage record", format!("{key} holds the record of {}", record.stage)));
    }
    Ok(record)
}

/// A record as JSON, without its binary fields.
pub(crate) fn stage_json(record: &StageRecord) -> Result<String, StoreError> {
    let bare = StageRecord { checkpoint: Vec::new(), status: Vec::new(), ..record.clone() };
    json("stage record", &bare)
}
