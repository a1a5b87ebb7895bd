//! Which part of the time that the cloud alone needs a piece of work is.

use crate::kind::{self, AzureKind};
use cloudsim_core::world::Work;

/// The part, if it is one.
#[must_use]
pub(crate) fn part_of(work: &Work) -> Option<&'static str> {
    // What a cluster's controllers make comes after everything that a tenant waits for.
    if work.object.tags.contains_key("k8s-azure-service") {
        return None;
    }
    let kind = kind::KINDS.iter().find(|k| k.kind.type_name() == work.object.kind)?.kind;
    match (work.operation.as_str(), kind) {
        ("create", AzureKind::PublicIpAddress) => Some("address"),
        ("create", AzureKind::NatGateway) => Some("nat_gateway"),
        ("create", AzureKind::VirtualNetwork) => Some("network"),
        ("create", AzureKind::Subnet) => Some("subnet"),
        ("create", AzureKind::ManagedCluster) => Some("cluster"),
        ("delete", AzureKind::ManagedCluster) => Some("cluster_delete"),
        ("create", AzureKind::AgentPool) => Some("nodegroup"),
        ("delete", AzureKind::AgentPool) => Some("nodegroup_delete"),
        _ => None,
    }
}
