//! How long each thing takes.

use cloudsim_core::duration::{Span, seconds};

/// Control plane to ACTIVE: 8 to 16 minutes.
pub(crate) const CLUSTER_CREATE: Span = seconds(480, 600, 960, 0.22);
/// Control plane gone.
pub(crate) const CLUSTER_DELETE: Span = seconds(100, 150, 600, 0.3);
/// An update of cluster configuration or version.
pub(crate) const CLUSTER_UPDATE: Span = seconds(60, 150, 900, 0.4);
/// Node group to ACTIVE with joined nodes: 1.5 to 4 minutes.
pub(crate) const NODEGROUP_CREATE: Span = seconds(90, 130, 240, 0.25);
/// Node group drained and gone.
pub(crate) const NODEGROUP_DELETE: Span = seconds(90, 180, 480, 0.3);
/// A change of scaling or labels.
pub(crate) const NODEGROUP_UPDATE: Span = seconds(30, 60, 180, 0.3);
/// Add-on to ACTIVE once nodes are there: 10 to 60 seconds.
pub(crate) const ADDON_CREATE: Span = seconds(10, 22, 60, 0.4);
/// Add-on gone.
pub(crate) const ADDON_DELETE: Span = seconds(5, 15, 60, 0.4);
/// NAT gateway available: 1 to 2 minutes.
pub(crate) const NAT_CREATE: Span = seconds(60, 85, 120, 0.2);
/// NAT gateway deleted.
pub(crate) const NAT_DELETE: Span = seconds(35, 50, 110, 0.25);
/// Load balancer provisioning → active.
pub(crate) const LOAD_BALANCER_CREATE: Span = seconds(60, 110, 240, 0.25);
/// From DeleteLoadBalancer until its network interfaces are gone.
pub(crate) const LOAD_BALANCER_DELETE: Span = seconds(15, 35, 120, 0.4);
/// What CloudFormation adds to most resources: the call, then a stabilisation check.
pub(crate) const STACK_RESOURCE: Span = seconds(2, 4, 20, 0.5);
/// A role, which CloudFormation watches until IAM has spread it.
pub(crate) const STACK_IAM: Span = seconds(12, 17, 40, 0.25);
/// An internet gateway, address or VPC.
pub(crate) const STACK_SLOW_RESOURCE: Span = seconds(10, 14, 40, 0.3);
/// CloudFormation's own start and end of a stack operation.
pub(crate) const STACK_OVERHEAD: Span = seconds(2, 4, 15, 0.4);
/// Deletion of one resource by CloudFormation.
pub(crate) const STACK_RESOURCE_DELETE: Span = seconds(1, 3, 20, 0.5);
/// Route 53 change PENDING → INSYNC.
pub(crate) const DNS_INSYNC: Span = seconds(15, 35, 60, 0.3);
