//! Rows of customers. Whatever writes one takes the author, and appends to the audit log.

use landlord_core::{
    CustomerId, Timestamp,
    audit::{AuditRecord, Author, Outcome},
    environment::{Customer, CustomerSpec},
    ports::{Page, RequestKey, StoreError},
};
use sqlx::{AnyConnection, Row as _, any::AnyRow};

use super::{
    audit,
    columns::{json, page, page_limit, unavailable},
    statement::Statement,
};

/// A customer, if there is one.
pub(crate) async fn maybe(connection: &mut AnyConnection, id: &CustomerId) -> Result<Option<Customer>, StoreError> {
    sqlx::query("SELECT * FROM customers WHERE id = $1")
        .bind(id.as_str())
        .fetch_optional(connection)
        .await
        .map_err(unavailable("reading a customer"))?
        .map(|row| customer(&row))
        .transpose()
}

/// A customer by id.
pub(crate) async fn find(connection: &mut AnyConnection, id: &CustomerId) -> Result<Customer, StoreError> {
    maybe(connection, id).await?.ok_or_else(|| StoreError::NotFound(format!("customers/{id}")))
}

/// A page, by id.
pub(crate) async fn list(
    connection: &mut AnyConnection,
    after: Option<&str>,
    limit: u32,
) -> Result<Page<Customer>, StoreError> {
    let failed = unavailable("listing customers");
    let limit = page_limit(limit);
    let mut sql = Statement::new("SELECT * FROM customers WHERE id > ");
    sql.bind(after.unwrap_or_default());
    sql.push(" ORDER BY id LIMIT ").bind(i64::from(limit) + 1);
    let rows = sql.query().fetch_all(connection).await.map_err(&failed)?;
    let readable = |row: &AnyRow| {
        let read = customer(row);
        read.inspect_err(|error| tracing::error!(%error, "a customer can't be read and is left out")).ok()
    };
    page(rows, limit, readable, |row| row.try_get("id").map_err(unavailable("listing customers")))
}

/// Makes one.
pub(crate) async fn insert(
    connection: &mut AnyConnection,
    author: &Author,
    (id, spec): (&CustomerId, &CustomerSpec),
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO customers (id, spec, version, create_time, update_time) VALUES ($1, $2, 1, $3, $3)")
        .bind(id.as_str())
        .bind(json("customer", spec)?)
        .bind(now.0)
        .execute(&mut *connection)
        .await
        .map_err(unavailable("writing a customer"))?;
    record(connection, author, (id, now), (None, Some((spec, etag(id, 1))))).await
}

/// Changes one.
pub(crate) async fn rewrite(
    connection: &mut AnyConnection,
    author: &Author,
    (before, spec): (&Customer, &CustomerSpec),
    now: Timestamp,
) -> Result<(), StoreError> {
    let version: i64 = sqlx::query_scalar(
        "UPDATE customers SET spec = $1, version = version + 1, update_time = $2 WHERE id = $3 RETURNING version",
    )
    .bind(json("customer", spec)?)
    .bind(now.0)
    .bind(before.id.as_str())
    .fetch_one(&mut *connection)
    .await
    .map_err(unavailable("updating a customer"))?;
    record(connection, author, (&before.id, now), (Some(before), Some((spec, etag(&before.id, version))))).await
}

/// Forgets one.
pub(crate) async fn remove(
    connection: &mut AnyConnection,
    author: &Author,
    before: &Customer,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM customers WHERE id = $1")
        .bind(before.id.as_str())
        .execute(&mut *connection)
        .await
        .map_err(unavailable("removing a customer"))?;
    record(connection, author, (&before.id, now), (Some(before), None)).await
}

/// Whether a request was accepted before. RequestIdReused if that asked for something else.
pub(crate) async fn was_accepted(connection: &mut AnyConnection, request: &RequestKey) -> Result<bool, StoreError> {
    let Some(id) = request.request_id else { return Ok(false) };
    let hash: Option<String> = sqlx::query_scalar("SELECT request_hash FROM customer_requests WHERE request_id = $1")
        .bind(id.to_string())
        .fetch_optional(connection)
        .await
        .map_err(unavailable("looking for a request id"))?;
    match hash {
        None => Ok(false),
        Some(hash) if hash == request.request_hash => Ok(true),
        Some(_) => Err(StoreError::RequestIdReused(id.to_string())),
    }
}

/// Remembers a request that was accepted.
pub(crate) async fn accept(
    connection: &mut AnyConnection,
    request: &RequestKey,
    customer: &CustomerId,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Some(id) = request.request_id else { return Ok(()) };
    sqlx::query("INSERT INTO customer_requests (request_id, request_hash, customer, time) VALUES ($1, $2, $3, $4)")
        .bind(id.to_string())
        .bind(&request.request_hash)
        .bind(customer.as_str())
        .bind(now.0)
        .execute(connection)
        .await
        .map_err(unavailable("writing a request id"))?;
    Ok(())
}

fn etag(id: &CustomerId, version: i64) -> String {
    format!("\"{id}-{version}\"")
}

fn customer(row: &AnyRow) -> Result<Customer, StoreError> {
    let failed = unavailable("reading a customer");
    let corrupt = |problem: String| StoreError::Corrupt { what: "customer".into(), problem };
    let id: String = row.try_get("id").map_err(&failed)?;
    let spec: String = row.try_get("spec").map_err(&failed)?;
    let id: CustomerId = id.parse().map_err(|error: landlord_core::ids::InvalidName| corrupt(error.to_string()))?;
    Ok(Customer {
        spec: serde_json::from_str(&spec).map_err(|error| corrupt(error.to_string()))?,
        etag: etag(&id, row.try_get("version").map_err(&failed)?),
        create_time: Timestamp(row.try_get("create_time").map_err(&failed)?),
        update_time: Timestamp(row.try_get("update_time").map_err(&failed)?),
        id,
    })
}

async fn record(
    connection: &mut AnyConnection,
    author: &Author,
    (id, now): (&CustomerId, Timestamp),
    (before, after): (Option<&Customer>, Option<(&CustomerSpec, String)>),
) -> Result<(), StoreError> {
    let fields = |spec: Option<&CustomerSpec>| {
        let mut fields = std::collections::BTreeMap::new();
        let value = spec.and_then(|spec| serde_json::to_value(spec).ok()).unwrap_or_default();
        landlord_core::audit::flatten("", &value, &mut fields);
        fields
    };
    let changes = landlord_core::audit::changes(
        &fields(before.map(|before| &before.spec)),
        &fields(after.as_ref().map(|(spec, _)| *spec)),
    );
    let record = AuditRecord {
        etag_before: before.map(|before| before.etag.clone()).unwrap_or_default(),
        etag_after: after.map(|(_, etag)| etag).unwrap_or_default(),
        changes,
        ..AuditRecord::new(author.clone(), format!("customers/{id}"), Some(id), Outcome::Done)
    };
    audit::append(connection, record, now).await
}
