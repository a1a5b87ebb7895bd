//! How long Azure's work takes, in simulated time.
//!
//! AKS clusters are seen to need four to six minutes and at times far more; network resources seconds
//! (<https://learn.microsoft.com/azure/aks/learn/quick-kubernetes-deploy-cli>, and the timings in
//! <https://github.com/hashicorp/terraform-provider-azurerm/issues>). The tails are assumptions.

use super::kind::AzureKind;
use cloudsim_core::duration::{Span, seconds};

/// Cluster to Succeeded: 3.5 to 15.5 minutes.
pub(crate) const CLUSTER_CREATE: Span = seconds(210, 300, 930, 0.4);
/// A change of a cluster.
pub(crate) const CLUSTER_UPDATE: Span = seconds(30, 90, 600, 0.5);
/// Cluster gone, with its node resource group: 4 to 8 minutes.
pub(crate) const CLUSTER_DELETE: Span = seconds(240, 300, 480, 0.2);
/// Agent pool with joined nodes: 2 to 5 minutes.
pub(crate) const POOL_CREATE: Span = seconds(120, 160, 300, 0.25);
/// A change of an agent pool.
pub(crate) const POOL_UPDATE: Span = seconds(20, 60, 240, 0.4);
/// Agent pool drained and gone.
pub(crate) const POOL_DELETE: Span = seconds(60, 120, 300, 0.3);
/// A zone and its records.
pub(crate) const ZONE_DELETE: Span = seconds(2, 6, 30, 0.5);
/// A scale set or disk.
pub(crate) const COMPUTE_DELETE: Span = seconds(5, 20, 90, 0.5);

/// Until a network resource is made or changed.
#[must_use]
pub(crate) fn network_put(kind: AzureKind) -> Span {
    match kind {
        AzureKind::NatGateway => seconds(3, 8, 40, 0.5),
        AzureKind::LoadBalancer => seconds(2, 5, 40, 0.5),
        AzureKind::PublicIpAddress => seconds(1, 3, 20, 0.5),
        _ => seconds(2, 4, 30, 0.5),
    }
}

/// Until a network resource is gone.
#[must_use]
pub(crate) fn network_delete(kind: AzureKind) -> Span {
    match kind {
        AzureKind::VirtualNetwork | AzureKind::Subnet => seconds(4, 10, 30, 0.4),
        AzureKind::NatGateway => seconds(3, 8, 40, 0.5),
        _ => seconds(3, 10, 40, 0.5),
    }
}
