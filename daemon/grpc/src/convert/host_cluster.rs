//! Host clusters as messages of the API.

use landlord_core::{
    Amounts, Candidate, Environment, HostCluster, HostSelector, Placement, State, environment::Adoption, ports::Event,
};
use landlord_proto::v1;

use super::{
    condition::{condition, reconciling},
    value::{timestamp, whole},
};

fn state(state: State) -> v1::host_cluster::State {
    match state {
        State::Pending => v1::host_cluster::State::Pending,
        State::Provisioning => v1::host_cluster::State::Provisioning,
        State::Ready => v1::host_cluster::State::Ready,
        State::Updating => v1::host_cluster::State::Updating,
        State::Deleting => v1::host_cluster::State::Deleting,
        State::Failed => v1::host_cluster::State::Failed,
    }
}

/// A host cluster as clients see it, without what its class says by now; `candidate`: who lives there.
pub(crate) fn host_cluster(record: &Environment, host: &HostCluster, candidate: Option<&Candidate>) -> v1::HostCluster {
    let (spec, placement) = (&host.spec, &record.placement);
    let free = candidate.filter(|c| c.closed().is_none()).map_or(0, |c| c.tenants_max.saturating_sub(c.tenants));
    v1::HostCluster {
        name: record.name().to_string(),
        uid: record.uid.to_string(),
        labels: spec.labels.clone().into_iter().collect(),
        tenant_class: spec.class.as_ref().map(ToString::to_string).unwrap_or_default(),
        region: placement.region.clone(),
        node_count: spec.node_count.map_or(0, |count| whole(count.get())),
        tenants_max: whole(spec.tenants_max),
        deletion_protection: spec.deletion_protection,
        adoption: spec.adoption.clone().map(|adoption| adoption_to(adoption, placement)),
        state: state(record.status.state).into(),
        conditions: record.status.conditions.iter().map(condition).collect(),
        cordoned: spec.cordoned,
        tenant_count: candidate.map_or(0, |candidate| whole(candidate.tenants)),
        free_count: whole(free),
        provider: placement.provider.to_string(),
        credentials: placement.credentials.clone(),
        account: placement.account.clone(),
        reconciling: reconciling(record),
        etag: record.etag.clone(),
        create_time: Some(timestamp(record.create_time)),
        update_time: Some(timestamp(record.update_time)),
        delete_time: record.delete_time.map(timestamp),
        latest_operation: format!("operations/{}", record.operation),
        capacity: candidate.map(capacity),
        class_differences: Vec::new(),
    }
}

fn amounts(amounts: Amounts) -> v1::ResourceAmounts {
    let long = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    v1::ResourceAmounts {
        cpu_milli: long(amounts.cpu_milli),
        memory_mib: long(amounts.memory_mib),
        pods: long(amounts.pods),
    }
}

fn capacity(candidate: &Candidate) -> v1::HostCapacity {
    let reserved = candidate.reserved;
    let nothing_seen = v1::HostCapacity { reserved: Some(amounts(reserved)), ..v1::HostCapacity::default() };
    candidate.observation.map_or(nothing_seen, |seen| v1::HostCapacity {
        node_count: whole(seen.measured.nodes),
        allocatable: Some(amounts(seen.measured.allocatable)),
        requested: Some(amounts(seen.measured.requested)),
        requested_by_tenants: Some(amounts(seen.measured.by_tenants)),
        free: Some(amounts(seen.measured.free(reserved))),
        observe_time: Some(timestamp(seen.time)),
        ..nothing_seen
    })
}

/// An event as clients see it.
pub(crate) fn host_cluster_event(event: &Event) -> v1::HostClusterEvent {
    v1::HostClusterEvent {
        event_time: Some(timestamp(event.time)),
        host_cluster: event.name.to_string(),
        host_cluster_uid: event.uid.to_string(),
        stage: event.event.stage.clone(),
        reason: event.event.reason.clone(),
        message: event.event.message.clone(),
    }
}

/// From a request.
pub(crate) fn adoption_of(adoption: v1::Adoption) -> Adoption {
    Adoption {
        cluster_name: adoption.cluster_name,
        cluster_attributes: adoption.cluster_attributes.into_iter().collect(),
        network_id: adoption.network_id,
        private_subnet_ids: adoption.private_subnet_ids,
        public_subnet_ids: adoption.public_subnet_ids,
        network_attributes: adoption.network_attributes.into_iter().collect(),
    }
}

fn adoption_to(adoption: Adoption, placement: &Placement) -> v1::Adoption {
    v1::Adoption {
        provider: placement.provider.to_string(),
        credentials: placement.credentials.clone(),
        cluster_name: adoption.cluster_name,
        cluster_attributes: adoption.cluster_attributes.into_iter().collect(),
        network_id: adoption.network_id,
        private_subnet_ids: adoption.private_subnet_ids,
        public_subnet_ids: adoption.public_subnet_ids,
        network_attributes: adoption.network_attributes.into_iter().collect(),
    }
}

/// What each host cluster is for a selector, and why none would do, if so.
pub(crate) fn host_cluster_verdicts(
    candidates: &[Candidate],
    wanted: &HostSelector,
) -> (Vec<v1::HostClusterVerdict>, Option<String>) {
    use landlord_core::fleet::{Choice, choose};
    let (chosen, full) = match choose(candidates, wanted) {
        Choice::Host(host) => (Some(host.host.uid), None),
        Choice::Grow(_) => (None, None),
        Choice::Full(why) => (None, Some(why)),
    };
    let verdict = |candidate: &Candidate| v1::HostClusterVerdict {
        host_cluster: format!("hostClusters/{}", candidate.host.id),
        chosen: chosen == Some(candidate.host.uid),
        reason: candidate.mismatch(wanted).or_else(|| candidate.refuses(wanted.reserve)).unwrap_or_default(),
        tenant_count: whole(candidate.tenants),
        customer_tenant_count: whole(candidate.of_customer),
        tenants_max: whole(candidate.tenants_max),
    };
    (candidates.iter().map(verdict).collect(), full)
}
