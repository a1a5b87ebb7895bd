//! Rows of environments: inserted, rewritten by the API, read.
//!
//! `next_due` is when the tenant may next be claimed. While a lease runs it is the lease's end,
//! whatever happens meanwhile: the API's writes raise `revision`, and the release sees that. So
//! one index serves both what is due and when something will be.

use landlord_core::{
    Amounts, DesiredState, Environment, EnvironmentName, OperationId, Owner, TenantUid, Timestamp,
    audit::{AuditRecord, Author},
    ids::InvalidName,
    ports::{EnvironmentQuery, Owners, Page, StoreError},
};
use sqlx::AnyConnection;

use super::{
    audit,
    columns::{self as rows, desired_state_word, json, page, page_limit, priority, state_word, unavailable},
    statement::Statement,
};

/// An environment by name, if there is one.
pub(crate) async fn maybe(
    connection: &mut AnyConnection,
    name: &EnvironmentName,
) -> Result<Option<Environment>, StoreError> {
    let (customer, tenant) = rows::key(name);
    sqlx::query("SELECT * FROM tenants WHERE customer = $1 AND tenant = $2")
        .bind(customer)
        .bind(tenant)
        .fetch_optional(connection)
        .await
        .map_err(unavailable("reading an environment"))?
        .map(|row| rows::environment(&row))
        .transpose()
}

/// An environment by name.
pub(crate) async fn find(connection: &mut AnyConnection, name: &EnvironmentName) -> Result<Environment, StoreError> {
    maybe(connection, name).await?.ok_or_else(|| StoreError::NotFound(name.to_string()))
}

/// Towards what the engine works; `None`: the tenant is gone.
pub(crate) async fn desired_state(
    connection: &mut AnyConnection,
    uid: TenantUid,
) -> Result<Option<DesiredState>, StoreError> {
    sqlx::query_scalar::<_, String>("SELECT direction FROM tenants WHERE uid = $1")
        .bind(uid.to_string())
        .fetch_optional(connection)
        .await
        .map_err(unavailable("reading a tenant"))?
        .map(|text| rows::desired_state(&text))
        .transpose()
}

/// Reservations as they are stored.
pub(crate) fn reserved(amounts: Amounts) -> [i64; 3] {
    [amounts.cpu_milli, amounts.memory_mib, amounts.pods].map(|amount| i64::try_from(amount).unwrap_or(i64::MAX))
}

/// A new tenant, due at once, with what is reserved for it in its host cluster.
pub(crate) async fn insert(
    connection: &mut AnyConnection,
    author: &Author,
    environment: &Environment,
    reserve: Amounts,
) -> Result<(), StoreError> {
    let [cpu_milli, memory_mib, pods] = reserved(reserve);
    let (name, columns) = (environment.name(), rows::owner_columns(&environment.owner)?);
    let (customer, id) = rows::key(&name);
    let host = environment.tenant().and_then(|tenant| tenant.host.as_ref());
    sqlx::query(
        "INSERT INTO tenants (uid, customer, tenant, class, provider, spec, placement, generation, \
         direction, force_delete, state, status, version, operation, cancel_requested, last_ready, \
         create_time, update_time, delete_time, revision, claimed_revision, owner, fence, \
         lease_until, next_due, priority, hosting, host_uid, host_name, reserved_cpu_milli, \
         reserved_memory_mib, reserved_pods, domain_reversed, credentials, account) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, $10, $11, \
         1, $12, 0, NULL, $13, $13, NULL, 1, 0, '', 0, 0, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23)",
    )
    .bind(environment.uid.to_string())
    .bind(customer)
    .bind(id)
    .bind(environment.placement.class.as_str())
    .bind(environment.placement.provider.as_str())
    .bind(columns.spec)
    .bind(json("placement", &environment.placement)?)
    .bind(environment.generation)
    .bind(desired_state_word(environment.desired_state))
    .bind(state_word(environment.status.state))
    .bind(json("status", &environment.status)?)
    .bind(environment.operation.to_string())
    .bind(environment.create_time.0)
    .bind(priority(DesiredState::Present, false))
    .bind(columns.hosting)
    .bind(host.map(|host| host.uid.to_string()))
    .bind(host.map(|host| host.id.to_string()))
    .bind(cpu_milli)
    .bind(memory_mib)
    .bind(pods)
    .bind(environment.tenant().map(|tenant| tenant.spec.domain.reversed()))
    .bind(&environment.placement.credentials)
    .bind(environment.placement.account_key())
    .execute(&mut *connection)
    .await
    .map_err(unavailable("writing a tenant"))?;
    let written = Environment { etag: rows::etag(&environment.uid.to_string(), 1), ..environment.clone() };
    audit::append(
        connection,
        AuditRecord::of_environment(author.clone(), None, Some(&written)),
        environment.create_time,
    )
    .await
}

/// The API's write of an environment: its version and revision rise. If `due`, it can be claimed at
/// once, or as soon as the lease under which it is being worked on is given back or over.
pub(crate) async fn rewrite(
    connection: &mut AnyConnection,
    author: &Author,
    (before, environment): (&Environment, &Environment),
    now: Timestamp,
    due: bool,
) -> Result<(), StoreError> {
    let columns = rows::owner_columns(&environment.owner)?;
    let version: i64 = sqlx::query_scalar(
        "UPDATE tenants SET class = $1, provider = $2, spec = $3, placement = $4, generation = $5, \
         direction = $6, force_delete = $7, state = $8, status = $9, version = version + 1, \
         operation = $10, cancel_requested = $16, credentials = $17, account = $18, last_ready = $19, update_time = $11, \
         delete_time = $12, \
         revision = revision + 1, \
         next_due = CASE WHEN $13 = 1 AND lease_until <= $11 THEN $11 ELSE next_due END, \
         priority = CASE WHEN $13 = 1 THEN $14 ELSE priority END WHERE uid = $15 RETURNING version",
    )
    .bind(environment.placement.class.as_str())
    .bind(environment.placement.provider.as_str())
    .bind(columns.spec)
    .bind(json("placement", &environment.placement)?)
    .bind(environment.generation)
    .bind(desired_state_word(environment.desired_state))
    .bind(i64::from(environment.force_delete))
    .bind(state_word(environment.status.state))
    .bind(json("status", &environment.status)?)
    .bind(environment.operation.to_string())
    .bind(now.0)
    .bind(environment.delete_time.map(|time| time.0))
    .bind(i64::from(due))
    .bind(priority(environment.desired_state, false))
    .bind(environment.uid.to_string())
    .bind(i64::from(environment.cancel_requested))
    .bind(&environment.placement.credentials)
    .bind(environment.placement.account_key())
    .bind(columns.last_ready)
    .fetch_one(&mut *connection)
    .await
    .map_err(unavailable("updating an environment"))?;
    let written = Environment { etag: rows::etag(&environment.uid.to_string(), version), ..environment.clone() };
    audit::append(connection, AuditRecord::of_environment(author.clone(), Some(before), Some(&written)), now).await
}

/// Writes what only an owner says of itself, and nothing that the engine would act upon: no revision.
pub(crate) async fn rewrite_owner(
    connection: &mut AnyConnection,
    author: &Author,
    before: &Environment,
    owner: Owner,
    now: Timestamp,
) -> Result<(), StoreError> {
    let columns = rows::owner_columns(&owner)?;
    let version: i64 = sqlx::query_scalar(
        "UPDATE tenants SET spec = $1, hosting = $2, version = version + 1, update_time = $3 WHERE uid = $4 RETURNING version",
    )
    .bind(columns.spec)
    .bind(columns.hosting)
    .bind(now.0)
    .bind(before.uid.to_string())
    .fetch_one(&mut *connection)
    .await
    .map_err(unavailable("updating an environment"))?;
    let written = Environment { owner, etag: rows::etag(&before.uid.to_string(), version), ..before.clone() };
    audit::append(connection, AuditRecord::of_environment(author.clone(), Some(before), Some(&written)), now).await
}

/// Marks the tenant for cancellation of its operation.
pub(crate) async fn request_cancel(
    connection: &mut AnyConnection,
    author: &Author,
    before: &Environment,
    operation: OperationId,
    now: Timestamp,
) -> Result<(), StoreError> {
    let version: Option<i64> = sqlx::query_scalar(
        "UPDATE tenants SET cancel_requested = 1, revision = revision + 1, version = version + 1, \
         update_time = $1, next_due = CASE WHEN lease_until <= $1 THEN $1 ELSE next_due END \
         WHERE uid = $2 AND operation = $3 RETURNING version",
    )
    .bind(now.0)
    .bind(before.uid.to_string())
    .bind(operation.to_string())
    .fetch_optional(&mut *connection)
    .await
    .map_err(unavailable("cancelling an operation"))?;
    let Some(version) = version else { return Ok(()) };
    let etag = rows::etag(&before.uid.to_string(), version);
    let written = Environment { cancel_requested: true, etag, ..before.clone() };
    audit::append(connection, AuditRecord::of_environment(author.clone(), Some(before), Some(&written)), now).await
}

/// A page, by name.
pub(crate) async fn list(
    connection: &mut AnyConnection,
    query: &EnvironmentQuery,
) -> Result<Page<Environment>, StoreError> {
    let limit = page_limit(query.limit);
    let mut sql = Statement::new("SELECT * FROM tenants WHERE ");
    let page_of_tenants = match &query.owners {
        Owners::HostClusters => {
            sql.push(rows::IS_HOST_CLUSTER);
            false
        }
        Owners::Tenants { customer, host_cluster } => {
            sql.push(rows::IS_TENANT);
            if let Some(host) = host_cluster {
                sql.push(" AND host_name = ").bind(host.as_str());
            }
            if let Some(customer) = customer {
                sql.push(" AND customer = ").bind(customer.as_str());
            }
            true
        }
    };
    if let Some(provider) = &query.provider {
        sql.push(" AND provider = ").bind(provider.as_str());
    }
    if let Some(class) = &query.class {
        sql.push(" AND class = ").bind(class.as_str());
    }
    if !query.states.is_empty() {
        let states = query.states.iter().map(|state| state_word(*state));
        sql.push(" AND state IN (").bind_all(states).push(")");
    }
    if let Some(text) = query.after.as_deref() {
        let bad = |problem: String| StoreError::InvalidArgument(format!("page token: {problem}"));
        let after: EnvironmentName = text.parse().map_err(|error: InvalidName| bad(error.to_string()))?;
        if after.tenant().is_some() != page_of_tenants {
            return Err(bad(format!("{after} is of another list")));
        }
        let (customer, id) = rows::key(&after);
        sql.push(" AND (customer, tenant) > (").bind(customer.to_owned());
        sql.push(", ").bind(id.to_owned()).push(")");
    }
    sql.push(" ORDER BY customer, tenant LIMIT ").bind(i64::from(limit) + 1);
    let rows = sql.query().fetch_all(connection).await.map_err(unavailable("listing environments"))?;
    page(rows, limit, rows::readable, |row| Ok(rows::name_in(row)?.to_string()))
}
