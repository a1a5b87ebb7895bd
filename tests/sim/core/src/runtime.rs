//! The seam between the simulated cloud and whatever runs its Kubernetes clusters.

use crate::{
    cloud_side::CloudSide,
    cluster::{ClusterSpec, NodeSpec},
};

/// Runs clusters. Calls may take seconds; the driver runs each cluster's commands in order.
#[async_trait::async_trait]
pub trait ClusterRuntime: Send + Sync + 'static {
    /// How many may run at once.
    fn capacity(&self) -> usize;
    /// Starts (or restarts from its data) a control plane, returning endpoint and certificate authority. What the
    /// cluster's controllers want of the account they ask of `cloud`.
    async fn start(&self, spec: &ClusterSpec, webhook_url: &str, cloud: CloudSide) -> anyhow::Result<(String, String)>;
    /// Stops one; `forget` removes its data.
    async fn stop(&self, arn: &str, forget: bool) -> anyhow::Result<()>;
    /// Adds nodes.
    async fn add_nodes(&self, arn: &str, nodes: &[NodeSpec]) -> anyhow::Result<()>;
    /// Removes nodes.
    async fn remove_nodes(&self, arn: &str, names: &[String]) -> anyhow::Result<()>;
    /// Stops all, keeping their data.
    async fn shutdown(&self);
}
