//! Which part of the time that the cloud alone needs a piece of work is.

use crate::kind::AwsKind;
use cloudsim_core::world::Work;

/// The part, if it is one.
pub(crate) fn part_of(work: &Work) -> Option<&'static str> {
    let is = |kind: AwsKind| kind.type_name() == work.object.kind;
    Some(match work.operation.as_str() {
        "create" if is(AwsKind::Stack) => "stack",
        "create" if is(AwsKind::Cluster) => "cluster",
        "create" if is(AwsKind::Nodegroup) => "nodegroup",
        "create" if is(AwsKind::Addon) => "addon",
        "settle" if is(AwsKind::Addon) => "addon_after_nodes",
        "delete" if is(AwsKind::Nodegroup) => "nodegroup_delete",
        "delete" if is(AwsKind::Cluster) => "cluster_delete",
        _ => return None,
    })
}
