//! The journal's rows: one per tenant, desired state and stage. Knows no retry rule: which record
//! follows which is the domain's business.

use landlord_core::{
    DesiredState, Environment, Stage, StageRecord, StageState, TenantUid, Timestamp, ports::StoreError,
};
use sqlx::AnyConnection;

use super::columns::{self as rows, desired_state_word, stage_json, unavailable};

/// All stage records of a tenant, both directions.
pub(crate) async fn read(connection: &mut AnyConnection, uid: TenantUid) -> Result<Vec<StageRecord>, StoreError> {
    sqlx::query("SELECT * FROM stages WHERE tenant_uid = $1")
        .bind(uid.to_string())
        .fetch_all(connection)
        .await
        .map_err(unavailable("reading stages"))?
        .iter()
        .map(rows::stage)
        .collect()
}

/// One record, if there is one.
pub(crate) async fn one(
    connection: &mut AnyConnection,
    uid: TenantUid,
    desired_state: DesiredState,
    stage: &Stage,
) -> Result<Option<StageRecord>, StoreError> {
    sqlx::query("SELECT * FROM stages WHERE tenant_uid = $1 AND direction = $2 AND stage = $3")
        .bind(uid.to_string())
        .bind(desired_state_word(desired_state))
        .bind(stage.to_string())
        .fetch_optional(connection)
        .await
        .map_err(unavailable("reading a stage"))?
        .map(|row| rows::stage(&row))
        .transpose()
}

/// Inserts or replaces a record.
pub(crate) async fn put(
    connection: &mut AnyConnection,
    uid: TenantUid,
    record: &StageRecord,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO stages (tenant_uid, direction, stage, record, checkpoint, status) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (tenant_uid, direction, stage) \
         DO UPDATE SET record = excluded.record, checkpoint = excluded.checkpoint, \
         status = excluded.status",
    )
    .bind(uid.to_string())
    .bind(desired_state_word(record.desired_state))
    .bind(record.stage.to_string())
    .bind(stage_json(record)?)
    .bind(&record.checkpoint)
    .bind(&record.status)
    .execute(connection)
    .await
    .map_err(unavailable("writing a stage"))?;
    Ok(())
}

/// In the tenant's direction, failed stages run again, and the timeout with those that were failing
/// starts again. Attempts go on counting.
pub(crate) async fn restart_failed(
    connection: &mut AnyConnection,
    environment: &Environment,
    now: Timestamp,
) -> Result<(), StoreError> {
    for record in read(connection, environment.uid).await? {
        let open = matches!(record.state, StageState::Failed | StageState::Running);
        if record.desired_state != environment.desired_state || !open {
            continue;
        }
        let again = StageRecord {
            state: StageState::Running,
            start_time: now,
            end_time: None,
            poll_time: now,
            failure: None,
            failing_since: None,
            failures: 0,
            try_time: None,
            furthest_ms: 0,
            ..record
        };
        put(connection, environment.uid, &again).await?;
    }
    Ok(())
}

/// Removes all records of a tenant.
pub(crate) async fn remove(connection: &mut AnyConnection, uid: TenantUid) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM stages WHERE tenant_uid = $1")
        .bind(uid.to_string())
        .execute(connection)
        .await
        .map_err(unavailable("removing stages"))?;
    Ok(())
}

/// Whether a record belongs to what an operation is about.
pub(crate) fn concerns(
    record: &StageRecord,
    kind: landlord_core::OperationKind,
    cancelled: bool,
    desired_state: DesiredState,
) -> bool {
    use landlord_core::OperationKind::{Create, Delete, Retry, Update};
    match kind {
        Delete => record.desired_state == DesiredState::Absent,
        // What failed may have been an unwinding.
        Retry => record.desired_state == desired_state,
        // A cancelled one also shows how it is unwound.
        Create | Update => record.desired_state == DesiredState::Present || cancelled,
    }
}
