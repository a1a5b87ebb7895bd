//! Rows to domain values and back. Persisted words are spelled out here, not derived from
//! names in the code, so that renaming a type can't change what is stored.

use std::{collections::BTreeMap, str::FromStr};

use landlord_core::{
    ClassName, CustomerId, DesiredState, Environment, EnvironmentName, HostCluster, HostClusterRef, HostClusterSpec,
    Operation, OperationKind, OperationOutcome, Owner, Placement, Stage, StageRecord, State, Tenant, TenantName,
    Timestamp,
    environment::{Adoption, NodeCount},
    ports::{Page, RequestScope, StoreError},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sqlx::{Any, Row as _, any::AnyRow};

/// Largest page, whatever was requested: bounds the memory of one response.
const PAGE_MAX: u32 = 1_000;

/// Rows of a page.
pub(crate) fn page_limit(requested: u32) -> u32 {
    requested.clamp(1, PAGE_MAX)
}

/// A page out of `rows`, read with one more than `limit` to know whether more may follow. What can't be read is left out.
pub(crate) fn page<T>(
    mut rows: Vec<AnyRow>,
    limit: u32,
    read: impl Fn(&AnyRow) -> Option<T>,
    name: impl Fn(&AnyRow) -> Result<String, StoreError>,
) -> Result<Page<T>, StoreError> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = if more { rows.last().map(name).transpose()? } else { None };
    Ok(Page { items: rows.iter().filter_map(read).collect(), next })
}

/// An environment, or none and a log line: a corrupt row is the failure of its own environment, and of nobody else.
pub(crate) fn readable(row: &AnyRow) -> Option<Environment> {
    environment(row).inspect_err(|error| log_corrupt(row, "uid", error)).ok()
}

/// The same of an operation.
pub(crate) fn readable_operation(row: &AnyRow) -> Option<Operation> {
    operation(row).inspect_err(|error| log_corrupt(row, "tenant_uid", error)).ok()
}

fn log_corrupt(row: &AnyRow, uid: &str, error: &StoreError) {
    let uid = row.try_get::<String, _>(uid).unwrap_or_default();
    tracing::error!(tenant.id = uid, %error, "a record can't be read and is left out; restore it from a backup");
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

/// A value of a column that holds JSON.
pub(crate) fn parse<T: DeserializeOwned>(what: &str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| corrupt(what, error))
}

fn named<T: FromStr>(what: &str, text: &str) -> Result<T, StoreError>
where
    T::Err: ToString,
{
    text.parse().map_err(|error: T::Err| corrupt(what, error))
}

/// A column of a row.
pub(crate) fn column<'r, T>(row: &'r AnyRow, name: &str) -> Result<T, StoreError>
where
    T: sqlx::Decode<'r, Any> + sqlx::Type<Any>,
{
    row.try_get(name).map_err(|error| corrupt(name, error))
}

pub(crate) fn desired_state_word(desired_state: DesiredState) -> &'static str {
    match desired_state {
        DesiredState::Present => "present",
        DesiredState::Absent => "absent",
    }
}

pub(crate) fn desired_state(text: &str) -> Result<DesiredState, StoreError> {
    match text {
        "present" => Ok(DesiredState::Present),
        "absent" => Ok(DesiredState::Absent),
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
pub(crate) fn priority(desired_state: DesiredState, operation_done: bool) -> i64 {
    match (desired_state, operation_done) {
        (DesiredState::Absent, _) => 0,
        (DesiredState::Present, false) => 1,
        (DesiredState::Present, true) => 2,
    }
}

/// Column `customer` of the rows of host clusters, which belong to none: no customer's id is empty. With it the columns
/// `customer` and `tenant` are the key of both kinds. Read and written here only.
const NO_CUSTOMER: &str = "";

/// Condition of a host cluster's row.
pub(crate) const IS_HOST_CLUSTER: &str = "customer = ''";
/// Condition of a tenant's row, or event.
pub(crate) const IS_TENANT: &str = "customer <> ''";

/// The columns `customer` and `tenant` of a name.
pub(crate) fn key(name: &EnvironmentName) -> (&str, &str) {
    (name.customer().map_or(NO_CUSTOMER, CustomerId::as_str), name.id())
}

/// The column `customer` of the requests of a scope.
pub(crate) fn scope(scope: &RequestScope) -> &str {
    match scope {
        RequestScope::Customer(customer) => customer.as_str(),
        RequestScope::HostClusters => NO_CUSTOMER,
    }
}

/// The name in a row's columns `customer` and `tenant`.
pub(crate) fn name(customer: &str, tenant: &str) -> Result<EnvironmentName, StoreError> {
    if customer == NO_CUSTOMER {
        return Ok(EnvironmentName::HostCluster(named("host cluster", tenant)?));
    }
    Ok(TenantName { customer: named("customer", customer)?, tenant: named("tenant", tenant)? }.into())
}

pub(crate) fn name_in(row: &AnyRow) -> Result<EnvironmentName, StoreError> {
    name(&column::<String>(row, "customer")?, &column::<String>(row, "tenant")?)
}

fn host_in(row: &AnyRow) -> Result<Option<HostClusterRef>, StoreError> {
    let uid: Option<String> = column(row, "host_uid")?;
    let id: Option<String> = column(row, "host_name")?;
    let (Some(uid), Some(id)) = (uid, id) else { return Ok(None) };
    Ok(Some(HostClusterRef { uid: named("host cluster uid", &uid)?, id: named("host cluster", &id)? }))
}

/// The etag of a version of a tenant.
pub(crate) fn etag(uid: &str, version: i64) -> String {
    format!("\"{}-{version}\"", uid.chars().take(8).collect::<String>())
}

/// The part of a host cluster's spec that has the column `spec`. Earlier versions wrote a tenant's spec there, whose other
/// fields mean nothing.
#[derive(Serialize, Deserialize)]
struct HostClusterColumn {
    labels: BTreeMap<String, String>,
    class: Option<ClassName>,
    region: Option<String>,
    node_count: Option<NodeCount>,
    deletion_protection: bool,
}

/// The part of a host cluster's spec that has the column `hosting`.
#[derive(Serialize, Deserialize)]
struct HostingColumn {
    tenants_max: u32,
    cordoned: bool,
    adoption: Option<Adoption>,
}

/// The columns of what only one kind of owner has.
pub(crate) struct OwnerColumns {
    /// JSON.
    pub(crate) spec: String,
    /// JSON; of host clusters only.
    pub(crate) hosting: Option<String>,
    /// JSON of a tenant's spec and placement, and of a host cluster's placement; `None` before the first READY.
    pub(crate) last_ready: Option<String>,
}

/// An owner as its columns hold it.
pub(crate) fn owner_columns(owner: &Owner) -> Result<OwnerColumns, StoreError> {
    match owner {
        Owner::Tenant(tenant) => Ok(OwnerColumns {
            spec: json("spec", &tenant.spec)?,
            hosting: None,
            last_ready: tenant.last_ready.as_ref().map(|pair| json("last_ready", pair)).transpose()?,
        }),
        Owner::HostCluster(HostCluster { spec, last_ready, .. }) => {
            let hosting = HostingColumn {
                tenants_max: spec.tenants_max,
                cordoned: spec.cordoned,
                adoption: spec.adoption.clone(),
            };
            let rest = HostClusterColumn {
                labels: spec.labels.clone(),
                class: spec.class.clone(),
                region: spec.region.clone(),
                node_count: spec.node_count,
                deletion_protection: spec.deletion_protection,
            };
            Ok(OwnerColumns {
                spec: json("spec", &rest)?,
                hosting: Some(json("hosting", &hosting)?),
                last_ready: last_ready.as_ref().map(|placement| json("last_ready", placement)).transpose()?,
            })
        }
    }
}

/// How a host cluster was placed when it was READY last, of its column. Earlier versions kept there only that it was: until then
/// no placement of a host cluster changed, so it is the present one.
pub(crate) fn host_last_ready(text: &str, present: &Placement) -> Result<Placement, StoreError> {
    if text.starts_with('{') { parse("last_ready", text) } else { Ok(present.clone()) }
}

fn owner(row: &AnyRow, placement: &Placement) -> Result<Owner, StoreError> {
    let spec: String = column(row, "spec")?;
    let last_ready: Option<String> = column(row, "last_ready")?;
    match name_in(row)? {
        EnvironmentName::Tenant(name) => Ok(Owner::Tenant(Tenant {
            name,
            spec: parse("spec", &spec)?,
            host: host_in(row)?,
            last_ready: last_ready.map(|text| parse("last_ready", &text)).transpose()?,
        })),
        EnvironmentName::HostCluster(id) => {
            let rest: HostClusterColumn = parse("spec", &spec)?;
            let hosting: HostingColumn = parse("hosting", &column::<String>(row, "hosting")?)?;
            Ok(Owner::HostCluster(HostCluster {
                id,
                spec: HostClusterSpec {
                    labels: rest.labels,
                    class: rest.class,
                    region: rest.region,
                    node_count: rest.node_count,
                    deletion_protection: rest.deletion_protection,
                    tenants_max: hosting.tenants_max,
                    cordoned: hosting.cordoned,
                    adoption: hosting.adoption,
                },
                last_ready: last_ready.map(|text| host_last_ready(&text, placement)).transpose()?,
            }))
        }
    }
}

pub(crate) fn environment(row: &AnyRow) -> Result<Environment, StoreError> {
    let uid: String = column(row, "uid")?;
    let placement = parse("placement", &column::<String>(row, "placement")?)?;
    Ok(Environment {
        owner: owner(row, &placement)?,
        placement,
        generation: column(row, "generation")?,
        desired_state: desired_state(&column::<String>(row, "direction")?)?,
        force_delete: column::<i64>(row, "force_delete")? != 0,
        status: parse("status", &column::<String>(row, "status")?)?,
        availability: column::<Option<String>>(row, "availability")?
            .map(|text| parse("availability", &text))
            .transpose()?,
        etag: etag(&uid, column(row, "version")?),
        operation: named("operation", &column::<String>(row, "operation")?)?,
        cancel_requested: column::<i64>(row, "cancel_requested")? != 0,
        create_time: Timestamp(column(row, "create_time")?),
        update_time: Timestamp(column(row, "update_time")?),
        delete_time: column::<Option<i64>>(row, "delete_time")?.map(Timestamp),
        uid: named("uid", &uid)?,
    })
}

/// An operation without its stages.
pub(crate) fn operation(row: &AnyRow) -> Result<Operation, StoreError> {
    let outcome: Option<String> = column(row, "outcome")?;
    let outcome: Option<OperationOutcome> = outcome.map(|text| parse("outcome", &text)).transpose()?;
    let stages: Option<String> = column(row, "stages")?;
    Ok(Operation {
        id: named("operation id", &column::<String>(row, "id")?)?,
        uid: named("tenant uid", &column::<String>(row, "tenant_uid")?)?,
        name: name_in(row)?,
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
pub(crate) fn stage(row: &AnyRow) -> Result<StageRecord, StoreError> {
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
