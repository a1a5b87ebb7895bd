//! Tenants as messages of the API, and specs from them.

use landlord_core::{Environment, State, Tenant, environment::SpecInput, ports::Event};
use landlord_proto::v1;

use super::{
    condition::{availability, conditions, reconciling},
    placement::placement,
    progress::progress,
    value::{from_struct, timestamp, to_struct},
};

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

/// A tenant as clients see it; without what its class says by now.
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
        conditions: conditions(environment),
        availability: availability(environment),
        endpoints: status.endpoints.iter().map(endpoint).collect(),
        placement: Some(placement(environment)),
        generation: environment.generation,
        observed_generation: status.observed_generation,
        reconciling: reconciling(environment),
        etag: environment.etag.clone(),
        create_time: Some(timestamp(environment.create_time)),
        update_time: Some(timestamp(environment.update_time)),
        delete_time: environment.delete_time.map(timestamp),
        latest_operation: format!("operations/{}", environment.operation),
        class_differences: Vec::new(),
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

/// An event as clients see it.
pub(crate) fn tenant_event(event: &Event) -> v1::TenantEvent {
    v1::TenantEvent {
        event_time: Some(timestamp(event.time)),
        tenant: event.name.to_string(),
        tenant_uid: event.uid.to_string(),
        stage: event.event.stage.clone(),
        reason: event.event.reason.clone(),
        message: event.event.message.clone(),
        progress: event.event.progress.as_ref().map(progress),
    }
}
