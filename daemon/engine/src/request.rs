//! From a tenant's record to the messages of the provider contract.

use landlord_core::{
    Direction, ErrorKind, Stage, StageRecord, StageState,
    plan::record_in,
    ports::{DeployTarget, KubeCredentials, TargetPlace, Work},
};
use landlord_provider_api::v1;
use prost::Message;

use crate::limits::{Asker, Urgency};

/// Role of the only node pool of a tenant.
const POOL_ROLE: &str = "default";

/// Scope of a tenant's calls.
pub(crate) fn scope(installation: &str, work: &Work) -> v1::Scope {
    let tenant = &work.tenant;
    let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    v1::Scope {
        installation: installation.to_owned(),
        tenant_uid: tenant.uid.to_string(),
        region: tenant.offer.region.clone(),
        account: tenant.offer.account.clone(),
        labels: [
            label("landlord-customer", tenant.name.customer.as_str()),
            label("landlord-tenant", tenant.name.tenant.as_str()),
        ]
        .into(),
        generation: tenant.generation,
    }
}

/// Whose a call of a stage is, and how urgent.
pub(crate) fn asker(work: &Work, stage: &Stage) -> Asker {
    let tenant = &work.tenant;
    let urgency = match (tenant.direction, record_in(work, tenant.direction, stage)) {
        (Direction::Absent, _) => Urgency::Repair,
        (Direction::Present, Some(record)) => urgency(record),
        (Direction::Present, None) => Urgency::Change,
    };
    Asker { customer: tenant.name.customer.to_string(), tenant: tenant.uid, urgency }
}

fn urgency(record: &StageRecord) -> Urgency {
    let throttled = record.failure.as_ref().is_some_and(|failure| failure.kind == ErrorKind::Throttled);
    // A call that changes something has told nothing yet, or was only sent away.
    let begun = record.checkpoint.is_empty() && (record.detail.is_empty() || throttled);
    match record.state {
        StageState::Done => Urgency::Drift,
        _ if record.failures > 0 => Urgency::Repair,
        _ if begun => Urgency::Change,
        _ => Urgency::Poll,
    }
}

/// The class's parameters.
pub(crate) fn parameters(work: &Work) -> String {
    serde_json::Value::Object(work.tenant.offer.parameters.clone()).to_string()
}

/// The status that a stage reached, as the provider gave it; empty if it never did.
pub(crate) fn status<M: Message + Default>(work: &Work, stage: &Stage) -> M {
    record_in(work, Direction::Present, stage)
        .and_then(|record| M::decode(record.status.as_slice()).ok())
        .unwrap_or_default()
}

/// The cache of ids of a stage. A delete goes on with what the create knew.
pub(crate) fn checkpoint(work: &Work, stage: &Stage) -> Vec<u8> {
    [work.tenant.direction, Direction::Present]
        .into_iter()
        .filter_map(|direction| record_in(work, direction, stage))
        .map(|record| record.checkpoint.clone())
        .find(|checkpoint| !checkpoint.is_empty())
        .unwrap_or_default()
}

/// The node pool wanted.
pub(crate) fn node_pool(work: &Work) -> v1::NodePoolSpec {
    let offer = &work.tenant.offer;
    let count = i32::try_from(offer.node_count).unwrap_or(i32::MAX);
    v1::NodePoolSpec {
        role: POOL_ROLE.into(),
        machine_type: offer.machine_type.clone(),
        node_count: count,
        node_count_max: count,
        disk_size_gib: i32::try_from(offer.disk_size_gib).unwrap_or(i32::MAX),
        labels: [("landlord.dev/tenant".to_owned(), work.tenant.uid.to_string())].into(),
        taints: Vec::new(),
    }
}

/// The zone wanted.
pub(crate) fn dns_zone(work: &Work) -> v1::DnsZoneSpec {
    v1::DnsZoneSpec { domain: work.tenant.spec.domain.as_str().to_owned() }
}

/// What a delete of a stage is about.
pub(crate) fn delete(work: &Work, scope: v1::Scope, stage: &Stage) -> Option<v1::DeleteRequest> {
    let kind = match stage {
        Stage::Network => v1::ResourceKind::Network,
        Stage::Cluster => v1::ResourceKind::Cluster,
        Stage::Addons => v1::ResourceKind::Addons,
        Stage::NodePool => v1::ResourceKind::NodePool,
        Stage::DnsZone => v1::ResourceKind::DnsZone,
        Stage::DnsRecords => v1::ResourceKind::DnsRecords,
        Stage::Identity => v1::ResourceKind::Identity,
        Stage::Leftovers => v1::ResourceKind::Leftovers,
        Stage::Preflight | Stage::Base | Stage::App(_) | Stage::Verify | Stage::Teardown | Stage::Inventory => {
            return None;
        }
    };
    Some(v1::DeleteRequest {
        scope: Some(scope),
        kind: kind.into(),
        role: POOL_ROLE.into(),
        domain: work.tenant.spec.domain.as_str().to_owned(),
        checkpoint: checkpoint(work, stage),
    })
}

/// What the deploy stage works on; `None` without a stack.
pub(crate) fn target(installation: &str, work: &Work, kube: KubeCredentials) -> Option<DeployTarget> {
    let tenant = &work.tenant;
    Some(DeployTarget {
        kube,
        place: TargetPlace::OwnCluster,
        installation: installation.to_owned(),
        uid: tenant.uid,
        name: tenant.name.clone(),
        spec: tenant.spec.clone(),
        generation: tenant.generation,
        stack: tenant.offer.stack.clone()?,
    })
}
