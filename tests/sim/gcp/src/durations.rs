//! How long each thing takes in GCP, in simulated time.
//!
//! GKE publishes no times; its clusters take 3.5 to 9.5 minutes with their first pool, further pools 1.5 to 4, as seen in
//! public build logs and as Google's quickstart warns
//! (<https://cloud.google.com/kubernetes-engine/docs/deploy-app-cluster>: "It might take several minutes"). A control
//! plane upgrade: <https://cloud.google.com/kubernetes-engine/docs/concepts/cluster-upgrades>. Compute's operations take
//! seconds (<https://cloud.google.com/compute/docs/api/how-tos/api-requests-responses>), Cloud DNS serves a change
//! within 60 s mostly (<https://cloud.google.com/dns/docs/overview#performance-timing>).

use cloudsim_core::duration::{Span, seconds};

/// Control plane and first pool to RUNNING.
pub(crate) const CLUSTER_CREATE: Span = seconds(210, 330, 570, 0.3);
/// Cluster gone with its pools.
pub(crate) const CLUSTER_DELETE: Span = seconds(120, 180, 300, 0.25);
/// A change of settings.
pub(crate) const CLUSTER_UPDATE: Span = seconds(20, 60, 300, 0.5);
/// A new master version; a regional control plane stays up meanwhile.
pub(crate) const MASTER_UPGRADE: Span = seconds(240, 420, 1_200, 0.3);
/// Labels of the cluster.
pub(crate) const SET_LABELS: Span = seconds(10, 25, 120, 0.5);
/// A further pool with joined nodes.
pub(crate) const NODE_POOL_CREATE: Span = seconds(90, 130, 240, 0.25);
/// A pool drained and gone.
pub(crate) const NODE_POOL_DELETE: Span = seconds(60, 120, 300, 0.3);
/// Another size.
pub(crate) const NODE_POOL_RESIZE: Span = seconds(45, 90, 240, 0.3);
/// Labels and taints of a pool.
pub(crate) const NODE_POOL_UPDATE: Span = seconds(15, 45, 180, 0.4);
/// A network.
pub(crate) const NETWORK: Span = seconds(8, 14, 45, 0.35);
/// A subnetwork.
pub(crate) const SUBNETWORK: Span = seconds(8, 15, 45, 0.35);
/// A router with its NATs.
pub(crate) const ROUTER: Span = seconds(6, 11, 40, 0.4);
/// Anything else of Compute.
pub(crate) const COMPUTE: Span = seconds(2, 6, 30, 0.5);
/// A DNS change to `done`.
pub(crate) const DNS_CHANGE: Span = seconds(1, 8, 60, 0.7);
/// A load balancer's forwarding rule for a Service of a cluster.
pub(crate) const LOAD_BALANCER: Span = seconds(30, 45, 120, 0.3);
/// How long operations are kept; Compute keeps them for 14 days, nobody here checks so late.
pub(crate) const OPERATION_KEPT_MS: u64 = 24 * 3_600_000;
