//! Operations and their stages as messages of the API.

use landlord_core::{
    DesiredState, Environment, Operation, OperationKind, OperationOutcome, StageRecord, StageState, step,
};
use landlord_proto::{
    google::{longrunning, rpc},
    v1,
};
use prost::Message as _;

use super::{
    host_cluster::host_cluster,
    progress::progress,
    tenant::tenant,
    value::{any, timestamp},
};
use crate::{error, status};

fn stage(record: &StageRecord) -> v1::StageStatus {
    let state = match record.state {
        StageState::Running => v1::stage_status::State::Running,
        StageState::Done => v1::stage_status::State::Done,
        StageState::Failed => v1::stage_status::State::Failed,
        StageState::Skipped => v1::stage_status::State::Skipped,
    };
    let name = match record.desired_state {
        DesiredState::Present => record.stage.to_string(),
        DesiredState::Absent => format!("remove/{}", record.stage),
    };
    let expected = std::time::Duration::from_millis(record.expected_ms);
    let failure = record.failure.clone();
    v1::StageStatus {
        stage: name,
        state: state.into(),
        start_time: Some(timestamp(record.start_time)),
        end_time: record.end_time.map(timestamp),
        attempt: i32::try_from(record.attempt).unwrap_or(i32::MAX),
        expected_duration: prost_types::Duration::try_from(expected).ok(),
        detail: record.detail.clone(),
        error_kind: failure.as_ref().map(|f| f.kind.as_str().to_owned()).unwrap_or_default(),
        error_message: failure.as_ref().map(|f| f.message.clone()).unwrap_or_default(),
        error_code: failure.as_ref().map(|f| f.code.clone()).unwrap_or_default(),
        remedy: failure.map(|f| f.remedy).unwrap_or_default(),
    }
}

/// A kind of operation, as the API calls it.
pub(crate) fn kind(kind: OperationKind) -> &'static str {
    match kind {
        OperationKind::Create => "create",
        OperationKind::Update => "update",
        OperationKind::Delete => "delete",
        OperationKind::Retry => "retry",
    }
}

fn progress_of(operation: &Operation, current: Option<&Environment>) -> Option<v1::Progress> {
    match &operation.outcome {
        None => {
            let known = current.and_then(|environment| environment.status.progress.as_ref());
            known.filter(|known| known.operation == operation.id).map(progress)
        }
        Some(OperationOutcome::Ready | OperationOutcome::Deleted { .. }) => Some(v1::Progress {
            operation: format!("operations/{}", operation.id),
            percent: 100,
            expected_end_time: operation.end_time.map(timestamp),
        }),
        Some(OperationOutcome::Failed { .. } | OperationOutcome::Cancelled | OperationOutcome::Superseded { .. }) => {
            None
        }
    }
}

/// An operation as clients see it. `current`: the environment of one that ended READY, or of one that runs.
pub(crate) fn operation(operation: &Operation, current: Option<&Environment>) -> longrunning::Operation {
    let superseded_by = match &operation.outcome {
        Some(OperationOutcome::Superseded { by }) => format!("operations/{by}"),
        _ => String::new(),
    };
    let name = operation.name.to_string();
    let (tenant_name, host_cluster) = match operation.name.host_cluster() {
        None => (name, String::new()),
        Some(_) => (String::new(), name),
    };
    let metadata = v1::OperationMetadata {
        tenant: tenant_name,
        host_cluster,
        tenant_uid: operation.uid.to_string(),
        kind: kind(operation.kind).into(),
        generation: operation.generation,
        create_time: Some(timestamp(operation.create_time)),
        end_time: operation.end_time.map(timestamp),
        cancel_requested: operation.cancel_requested,
        stages: step::ordered_stages(operation).into_iter().map(stage).collect(),
        superseded_by,
        trace_id: landlord_trace::trace_id(operation.id),
        progress: progress_of(operation, current),
    };
    longrunning::Operation {
        name: format!("operations/{}", operation.id),
        metadata: Some(any(&metadata)),
        done: operation.outcome.is_some(),
        result: operation.outcome.as_ref().map(|outcome| result(operation, outcome, current)),
    }
}

fn result(
    operation: &Operation,
    outcome: &OperationOutcome,
    current: Option<&Environment>,
) -> longrunning::operation::Result {
    use longrunning::operation::Result::{Error, Response};
    let failed = |error: &error::Error| {
        let status = status::of(error);
        let details = rpc::Status::decode(status.details()).map(|s| s.details).unwrap_or_default();
        Error(rpc::Status { code: status.code() as i32, message: status.message().to_owned(), details })
    };
    let of_host = operation.name.host_cluster().is_some();
    match outcome {
        OperationOutcome::Ready if of_host => {
            Response(any(&match current.and_then(|e| Some((e, e.host_cluster()?))) {
                // Who lives there, the host cluster itself shows.
                Some((current, host)) => host_cluster(current, host, None),
                None => v1::HostCluster { name: operation.name.to_string(), ..Default::default() },
            }))
        }
        OperationOutcome::Ready => match current.and_then(|e| Some((e, e.tenant()?))) {
            Some((current, of)) => Response(any(&tenant(current, of))),
            // It was READY then, and is gone now.
            None => Response(any(&v1::Tenant { name: operation.name.to_string(), ..Default::default() })),
        },
        OperationOutcome::Deleted { removed } => {
            let removed = removed.iter().map(|object| v1::RemovedObject {
                r#type: object.r#type.clone(),
                id: object.id.clone(),
                display_name: object.name.clone(),
            });
            if of_host {
                return Response(any(&v1::DeleteHostClusterResponse { removed: removed.collect() }));
            }
            Response(any(&v1::DeleteTenantResponse { removed: removed.collect() }))
        }
        OperationOutcome::Failed { failure } => failed(&failure.clone().into()),
        OperationOutcome::Cancelled => failed(&error::Error::Cancelled),
        OperationOutcome::Superseded { by } => failed(&error::Error::Superseded { by: *by }),
    }
}
