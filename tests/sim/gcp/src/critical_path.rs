//! Which part of the time that the cloud alone needs a piece of work is.

use crate::kinds::GcpKind;
use cloudsim_core::world::Work;

/// The part, if it is one.
#[must_use]
pub(crate) fn part_of(work: &Work) -> Option<&'static str> {
    let is = |kind: GcpKind| kind.type_name() == work.object.kind;
    Some(match work.operation.as_str() {
        "create" if is(GcpKind::Network) => "network",
        "create" if is(GcpKind::Subnetwork) => "subnetwork",
        "create" if is(GcpKind::Router) => "router",
        "create" if is(GcpKind::Cluster) => "cluster",
        "create" if is(GcpKind::NodePool) => "nodegroup",
        "delete" if is(GcpKind::NodePool) => "nodegroup_delete",
        "delete" if is(GcpKind::Cluster) => "cluster_delete",
        _ => return None,
    })
}
