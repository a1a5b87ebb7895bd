//! What every accepted change has: an operation with an id of its own, and a first event.

use landlord_core::{
    Amounts, Environment, Operation, OperationId, OperationKind,
    audit::Author,
    ports::{Accepted, EventKind, NewEvent, RequestContext, StoreError},
};
use sqlx::AnyConnection;
use uuid::Uuid;

use crate::rows::{environments, events, kind_word, operations};

/// Writes a new record with its operation and first event.
pub(crate) async fn accept_new(
    connection: &mut AnyConnection,
    environment: &Environment,
    reserve: Amounts,
    (request, author): (&RequestContext, &Author),
    events_max: u64,
) -> Result<Accepted, StoreError> {
    environments::insert(connection, author, environment, reserve).await?;
    let (id, now) = (environment.operation, environment.create_time);
    let accepted = operations::accept(connection, environment, id, OperationKind::Create, request, now).await?;
    emit_accepted(connection, &accepted.operation, events_max).await?;
    Ok(accepted)
}

/// Ids grow with time: lists rely on it.
pub(crate) fn new_operation() -> OperationId {
    OperationId(Uuid::now_v7())
}

pub(crate) fn operation_event(reason: &str, message: String) -> NewEvent {
    NewEvent { kind: EventKind::Operation, stage: String::new(), reason: reason.into(), message, progress: None }
}

pub(crate) async fn emit_accepted(
    connection: &mut AnyConnection,
    operation: &Operation,
    events_max: u64,
) -> Result<(), StoreError> {
    let reason = match operation.kind {
        OperationKind::Create => "CreateAccepted",
        OperationKind::Update => "UpdateAccepted",
        OperationKind::Delete => "DeleteAccepted",
        OperationKind::Retry => "RetryAccepted",
    };
    let name = &operation.name;
    let event = operation_event(reason, format!("{} of {name} accepted", kind_word(operation.kind)));
    let (uid, time) = (operation.uid, operation.create_time);
    events::append(connection, time, uid, name, (Some(operation.id), &[event]), events_max).await
}
