//! Domain values as messages of the API, and specs from them.

use landlord_core::{
    Condition, DesiredState, Environment, Level, OperationKind, State, Tenant, Timestamp, environment::SpecInput, step,
};
use landlord_core::{Operation, OperationOutcome, Placement, StageRecord, StageState, ports::Event};
use landlord_proto::{
    google::{longrunning, rpc},
    v1,
};
use prost::Message as _;

use crate::status;

pub(crate) fn timestamp(time: Timestamp) -> prost_types::Timestamp {
    let nanos = i32::try_from(time.0.rem_euclid(1_000)).unwrap_or(0) * 1_000_000;
    prost_types::Timestamp { seconds: time.0.div_euclid(1_000), nanos }
}

fn state(state: State) -> v1::tenant::State {
    match state {
        State::Pending => v1::tenant::State::Pending,
        State::Provisioning => v1::tenant::State::Provisioning,
        State::Ready => v1::tenant::State::Ready,
        State::Updating => v1::tenant::State::Updating,
        State::Deleting => v1::tenant::State::Deleting,
        State::Failed => v1::tenant::State::Failed,
    }
}

pub(crate) fn condition(condition: &Condition) -> v1::Condition {
    v1::Condition {
        r#type: condition.r#type.clone(),
        status: condition.status,
        reason: condition.reason.clone(),
        message: condition.message.clone(),
        last_transition_time: Some(timestamp(condition.transition_time)),
    }
}

/// A tenant as clients see it.
pub(crate) fn tenant(environment: &Environment, tenant: &Tenant) -> v1::Tenant {
    let (spec, status) = (&tenant.spec, &environment.status);
    let endpoint = |e: &landlord_core::environment::Endpoint| v1::Endpoint { name: e.name.clone(), url: e.url.clone() };
    v1::Tenant {
        name: tenant.name.to_string(),
        uid: environment.uid.to_string(),
        display_name: spec.display_name.clone(),
        labels: spec.labels.clone().into_iter().collect(),
        tenant_class: spec.class.as_ref().map(ToString::to_string).unwrap_or_default(),
        region: spec.region.clone().unwrap_or_default(),
        domain: spec.domain.as_str().into(),
        storage_gib: i32::try_from(spec.storage.gib()).unwrap_or(i32::MAX),
        node_count: spec.node_count.map_or(0, |count| i32::try_from(count.get()).unwrap_or(i32::MAX)),
        stack_values: (!spec.stack_values.is_empty()).then(|| to_struct(&spec.stack_values)),
        deletion_protection: spec.deletion_protection,
        paused: spec.paused,
        state: state(status.state).into(),
        conditions: status.conditions.iter().map(condition).collect(),
        endpoints: status.endpoints.iter().map(endpoint).collect(),
        placement: Some(placement(environment)),
        generation: environment.generation,
        observed_generation: status.observed_generation,
        reconciling: !matches!(status.state, State::Ready | State::Failed),
        etag: environment.etag.clone(),
        create_time: Some(timestamp(environment.create_time)),
        update_time: Some(timestamp(environment.update_time)),
        delete_time: environment.delete_time.map(timestamp),
        latest_operation: format!("operations/{}", environment.operation),
    }
}

/// Where a tenant is placed.
pub(crate) fn placement(environment: &Environment) -> v1::Placement {
    let host = environment.tenant().and_then(|tenant| tenant.host.as_ref());
    v1::Placement {
        host_cluster: host.map(|host| format!("hostClusters/{}", host.id)).unwrap_or_default(),
        isolation: crate::host::convert::isolation(environment),
        ..offered(&environment.placement)
    }
}

/// Where a placement places a tenant, as far as it says.
pub(crate) fn offered(placement: &Placement) -> v1::Placement {
    let level = match placement.level {
        Level::Cluster => v1::placement::Level::Cluster,
        Level::Node => v1::placement::Level::Node,
        Level::Namespace => v1::placement::Level::Namespace,
    };
    v1::Placement {
        tenant_class: placement.class.to_string(),
        rule: placement.rule.clone(),
        provider: placement.provider.to_string(),
        account: placement.account.clone(),
        region: placement.region.clone(),
        level: level.into(),
        stack: placement.stack.as_ref().map(ToString::to_string).unwrap_or_default(),
        ..v1::Placement::default()
    }
}

/// The unchecked spec in a message.
pub(crate) fn spec_input(tenant: v1::Tenant) -> SpecInput {
    SpecInput {
        display_name: tenant.display_name,
        labels: tenant.labels.into_iter().collect(),
        class: tenant.tenant_class,
        region: tenant.region,
        domain: tenant.domain,
        storage_gib: tenant.storage_gib.into(),
        node_count: tenant.node_count.into(),
        stack_values: tenant.stack_values.map(from_struct).unwrap_or_default(),
        deletion_protection: tenant.deletion_protection,
        paused: tenant.paused,
    }
}

fn from_struct(fields: prost_types::Struct) -> serde_json::Map<String, serde_json::Value> {
    fields.fields.into_iter().map(|(key, value)| (key, from_value(value))).collect()
}

fn from_value(value: prost_types::Value) -> serde_json::Value {
    use prost_types::value::Kind;
    match value.kind {
        None | Some(Kind::NullValue(_)) => serde_json::Value::Null,
        Some(Kind::BoolValue(value)) => value.into(),
        Some(Kind::StringValue(value)) => value.into(),
        Some(Kind::NumberValue(value)) => number(value),
        Some(Kind::ListValue(list)) => list.values.into_iter().map(from_value).collect(),
        Some(Kind::StructValue(fields)) => serde_json::Value::Object(from_struct(fields)),
    }
}

/// Struct knows only floats; charts want their whole numbers whole.
fn number(value: f64) -> serde_json::Value {
    const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;
    #[expect(clippy::cast_possible_truncation, reason = "whole and within the exact range of f64")]
    if value.fract() == 0.0 && value.abs() <= WHOLE_MAX {
        return (value as i64).into();
    }
    value.into()
}

fn to_struct(map: &serde_json::Map<String, serde_json::Value>) -> prost_types::Struct {
    prost_types::Struct { fields: map.iter().map(|(key, value)| (key.clone(), to_value(value))).collect() }
}

fn to_value(value: &serde_json::Value) -> prost_types::Value {
    use prost_types::value::Kind;
    let kind = match value {
        serde_json::Value::Null => Kind::NullValue(0),
        serde_json::Value::Bool(value) => Kind::BoolValue(*value),
        serde_json::Value::Number(value) => Kind::NumberValue(value.as_f64().unwrap_or_default()),
        serde_json::Value::String(value) => Kind::StringValue(value.clone()),
        serde_json::Value::Array(values) => {
            Kind::ListValue(prost_types::ListValue { values: values.iter().map(to_value).collect() })
        }
        serde_json::Value::Object(map) => Kind::StructValue(to_struct(map)),
    };
    prost_types::Value { kind: Some(kind) }
}

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

fn kind(kind: OperationKind) -> &'static str {
    match kind {
        OperationKind::Create => "create",
        OperationKind::Update => "update",
        OperationKind::Delete => "delete",
        OperationKind::Retry => "retry",
    }
}

fn any<M: prost::Name>(message: &M) -> prost_types::Any {
    prost_types::Any { type_url: format!("type.googleapis.com/{}", M::full_name()), value: message.encode_to_vec() }
}

/// An operation as clients see it. `current` is the response of one that ended READY.
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
    let error = |status: tonic::Status| {
        let details = rpc::Status::decode(status.details()).map(|s| s.details).unwrap_or_default();
        Error(rpc::Status { code: status.code() as i32, message: status.message().to_owned(), details })
    };
    let of_host = operation.name.host_cluster().is_some();
    match outcome {
        OperationOutcome::Ready if of_host => {
            Response(any(&match current.and_then(|e| Some((e, e.host_cluster()?))) {
                // Who lives there is told by the host cluster itself.
                Some((current, host)) => crate::host::convert::host_cluster(current, host, None),
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
        OperationOutcome::Failed { failure } => error(status::failure(failure)),
        OperationOutcome::Cancelled => error(status::cancelled()),
        OperationOutcome::Superseded { by } => error(status::superseded(by)),
    }
}

/// An event as clients see it.
pub(crate) fn event(event: &Event) -> v1::TenantEvent {
    v1::TenantEvent {
        event_time: Some(timestamp(event.time)),
        tenant: event.name.to_string(),
        tenant_uid: event.uid.to_string(),
        stage: event.event.stage.clone(),
        reason: event.event.reason.clone(),
        message: event.event.message.clone(),
    }
}
