//! Rows of operations: accepted, replayed, ended, read. They outlive their tenants.

use landlord_core::{
    DesiredState, Environment, Operation, OperationId, OperationKind, OperationOutcome, StageRecord, Timestamp,
    ports::{Accepted, OperationQuery, Page, RequestContext, RequestKey, RequestScope, StoreError},
};
use sqlx::{AnyConnection, Row as _};

use super::{
    columns::{self as rows, json, kind_word, page, page_limit, unavailable},
    environments, stages,
    statement::Statement,
};

/// Records the operation of a change.
pub(crate) async fn accept(
    connection: &mut AnyConnection,
    environment: &Environment,
    id: OperationId,
    kind: OperationKind,
    request: &RequestContext,
    now: Timestamp,
) -> Result<Accepted, StoreError> {
    let name = environment.name();
    let (customer, tenant) = rows::key(&name);
    sqlx::query(
        "INSERT INTO operations (id, tenant_uid, customer, tenant, kind, generation, request_id, \
         request_hash, create_time, end_time, cancel_requested, outcome, stages, principal) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, NULL, 0, NULL, NULL, $10)",
    )
    .bind(id.to_string())
    .bind(environment.uid.to_string())
    .bind(customer)
    .bind(tenant)
    .bind(kind_word(kind))
    .bind(environment.generation)
    .bind(request.key.request_id.map(|id| id.to_string()))
    .bind(&request.key.request_hash)
    .bind(now.0)
    .bind(request.caller.to_string())
    .execute(&mut *connection)
    .await
    .map_err(unavailable("writing an operation"))?;
    Ok(Accepted {
        environment: Some(environments::find(connection, &name).await?),
        operation: read(connection, id).await?,
        replayed: false,
    })
}

/// The response to an earlier request with the same id. Ids are kept as long as operations are.
pub(crate) async fn replay(
    connection: &mut AnyConnection,
    scope: &RequestScope,
    request: &RequestKey,
) -> Result<Option<Accepted>, StoreError> {
    let Some(request_id) = request.request_id else { return Ok(None) };
    let row = sqlx::query("SELECT * FROM operations WHERE customer = $1 AND request_id = $2")
        .bind(rows::scope(scope))
        .bind(request_id.to_string())
        .fetch_optional(&mut *connection)
        .await
        .map_err(unavailable("searching for a request id"))?;
    let Some(row) = row else { return Ok(None) };
    let hash: String = row.try_get("request_hash").map_err(unavailable("reading a request"))?;
    if hash != request.request_hash {
        return Err(StoreError::RequestIdReused(request_id.to_string()));
    }
    let operation = with_stages(connection, rows::operation(&row)?).await?;
    let environment = environments::maybe(connection, &operation.name).await?;
    let environment = environment.filter(|environment| environment.uid == operation.uid);
    Ok(Some(Accepted { environment, operation, replayed: true }))
}

/// Whose request an operation is; empty: nobody has said so.
pub(crate) async fn principal(connection: &mut AnyConnection, id: OperationId) -> Result<String, StoreError> {
    let found: Option<String> = sqlx::query_scalar("SELECT principal FROM operations WHERE id = $1")
        .bind(id.to_string())
        .fetch_optional(connection)
        .await
        .map_err(unavailable("reading an operation"))?;
    Ok(found.unwrap_or_default())
}

/// An operation, with the stages kept at its end.
pub(crate) async fn read(connection: &mut AnyConnection, id: OperationId) -> Result<Operation, StoreError> {
    let row = sqlx::query("SELECT * FROM operations WHERE id = $1")
        .bind(id.to_string())
        .fetch_optional(connection)
        .await
        .map_err(unavailable("reading an operation"))?
        .ok_or_else(|| StoreError::NotFound(format!("operations/{id}")))?;
    rows::operation(&row)
}

/// Adds the live stages to an operation that runs; one that has ended has its own.
pub(crate) async fn with_stages(
    connection: &mut AnyConnection,
    mut operation: Operation,
) -> Result<Operation, StoreError> {
    if operation.outcome.is_none() {
        operation.stages = live_stages(connection, &operation).await?;
    }
    Ok(operation)
}

async fn live_stages(connection: &mut AnyConnection, operation: &Operation) -> Result<Vec<StageRecord>, StoreError> {
    let desired_state = environments::desired_state(connection, operation.uid).await?.unwrap_or(DesiredState::Absent);
    let mut stages = stages::read(connection, operation.uid).await?;
    stages.retain(|record| stages::concerns(record, operation.kind, operation.cancel_requested, desired_state));
    stages.sort_by(|a, b| (a.desired_state, a.start_time, &a.stage).cmp(&(b.desired_state, b.start_time, &b.stage)));
    Ok(stages)
}

/// Ends an operation that runs, keeping its stages as they stand; one that has ended stays.
pub(crate) async fn end(
    connection: &mut AnyConnection,
    id: OperationId,
    outcome: &OperationOutcome,
    now: Timestamp,
) -> Result<(), StoreError> {
    let operation = read(connection, id).await?;
    if operation.outcome.is_some() {
        return Ok(());
    }
    let stages: Vec<StageRecord> = live_stages(connection, &operation)
        .await?
        .into_iter()
        .map(|record| StageRecord { checkpoint: Vec::new(), status: Vec::new(), ..record })
        .collect();
    sqlx::query("UPDATE operations SET outcome = $1, end_time = $2, stages = $3 WHERE id = $4")
        .bind(json("outcome", outcome)?)
        .bind(now.0)
        .bind(json("stages", &stages)?)
        .bind(id.to_string())
        .execute(connection)
        .await
        .map_err(unavailable("ending an operation"))?;
    Ok(())
}

/// Marks an operation for cancellation.
pub(crate) async fn request_cancel(connection: &mut AnyConnection, id: OperationId) -> Result<(), StoreError> {
    sqlx::query("UPDATE operations SET cancel_requested = 1 WHERE id = $1")
        .bind(id.to_string())
        .execute(connection)
        .await
        .map_err(unavailable("cancelling an operation"))?;
    Ok(())
}

/// A page, newest first.
pub(crate) async fn list(
    connection: &mut AnyConnection,
    query: &OperationQuery,
) -> Result<Page<Operation>, StoreError> {
    let limit = page_limit(query.limit);
    let mut sql = Statement::new("SELECT * FROM operations WHERE 1 = 1");
    if let Some(name) = &query.name {
        let (customer, id) = rows::key(name);
        sql.push(" AND customer = ").bind(customer);
        sql.push(" AND tenant = ").bind(id);
    }
    if let Some(customer) = &query.customer {
        sql.push(" AND customer = ").bind(customer.as_str());
    }
    match query.done {
        None => {}
        Some(true) => drop(sql.push(" AND outcome IS NOT NULL")),
        Some(false) => drop(sql.push(" AND outcome IS NULL")),
    }
    if let Some(text) = query.after.as_deref() {
        let after: OperationId =
            text.parse().map_err(|error| StoreError::InvalidArgument(format!("page token: {error}")))?;
        sql.push(" AND id < ").bind(after.to_string());
    }
    // UUIDv7 ids grow with time, so their order is the order of creation.
    sql.push(" ORDER BY id DESC LIMIT ").bind(i64::from(limit) + 1);
    let rows = sql.query().fetch_all(connection).await.map_err(unavailable("listing operations"))?;
    page(rows, limit, rows::readable_operation, |row| row.try_get("id").map_err(unavailable("listing operations")))
}

/// Ends the operation that a later one takes over from.
pub(crate) async fn supersede(
    connection: &mut AnyConnection,
    earlier: OperationId,
    by: OperationId,
    now: Timestamp,
) -> Result<(), StoreError> {
    end(connection, earlier, &OperationOutcome::Superseded { by }, now).await
}
