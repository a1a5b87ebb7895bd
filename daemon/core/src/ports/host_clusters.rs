//! Port to a host cluster as a whole. Calls are idempotent, start or observe something, and return; the engine waits.

use async_trait::async_trait;

use super::target::StageProgress;
use crate::{
    Failure, FoundInHost, Measured, TenantUid, node_scaling::Karpenter, ports::KubeCredentials, stage::RemovedObject,
};

/// How far an installation is with its removal from a host cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct UninstallReport {
    /// How far it is.
    pub progress: StageProgress,
    /// What was removed with this call.
    pub removed: Vec<RemovedObject>,
    /// What was made here and stays because others use it by now, each with the reason in plain words.
    pub kept: Vec<String>,
}

/// A pool of nodes that a provisioner in a cluster makes when pods wait for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScaledPool {
    /// Whose it is.
    pub installation: String,
    /// The environment that it belongs to.
    pub uid: TenantUid,
    /// Its name in the cluster.
    pub name: String,
    /// What the pool's label says on its nodes, as on those that are always there.
    pub label: String,
    /// Whether its nodes keep the pods of others away.
    pub is_tainted: bool,
}

/// How far a pool may grow, and of what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolGrowth {
    /// Most nodes, without those that are always there.
    pub nodes_max: u32,
    /// Machine size, where the class requires nothing else.
    pub machine_type: String,
    /// The class's.
    pub karpenter: Karpenter,
}

/// Counts what host clusters have, and takes back what was put there for all tenants together.
#[async_trait]
pub trait HostClusters: Send + Sync + 'static {
    /// Counts what a host cluster has for pods and what is requested of it, with the daemon's own rights. Reads only.
    ///
    /// # Errors
    /// As [`Failure::kind`] says.
    async fn measure(&self, kube: &KubeCredentials, installation: &str) -> Result<Measured, Failure>;

    /// Counts the nodes that carry the label of one tenant's pool, are always there and are Ready: those that have joined the cluster,
    /// its own or a host cluster. What a provisioner in the cluster made is not counted. Reads only.
    ///
    /// # Errors
    /// As [`Failure::kind`] says.
    async fn joined(&self, kube: &KubeCredentials, pool: &str) -> Result<u32, Failure>;

    /// Makes a pool exist that grows and shrinks by itself, with the daemon's own rights. Done when its provisioner takes it.
    ///
    /// # Errors
    /// TRANSIENT: the cluster has no provisioner yet; INVALID: it refuses the pool; else as [`Failure::kind`] says.
    async fn ensure_scaled_pool(
        &self,
        kube: &KubeCredentials,
        pool: &ScaledPool,
        growth: &PoolGrowth,
    ) -> Result<StageProgress, Failure>;

    /// Removes a pool with all its nodes: Done when the cluster knows no machine of it any more. What is absent is success.
    ///
    /// # Errors
    /// As [`Failure::kind`] says.
    async fn remove_scaled_pool(
        &self,
        kube: &KubeCredentials,
        pool: &ScaledPool,
    ) -> Result<(StageProgress, Vec<RemovedObject>), Failure>;

    /// What `installation`'s tenants have in a host cluster, by its labels: namespaces, and the pools that a provisioner there makes
    /// machines for. Reads only.
    ///
    /// # Errors
    /// As [`Failure::kind`] says.
    async fn of_tenants(&self, kube: &KubeCredentials, installation: &str) -> Result<Vec<FoundInHost>, Failure>;

    /// Takes back what `installation` put on a host cluster for all its tenants together: admission policies, the shared
    /// Gateway with its namespace, custom resources that it brought along. Nothing of another installation, of the
    /// cluster's operator or of anybody else is touched; what others use by now stays and is reported. What is absent is
    /// success.
    ///
    /// # Errors
    /// CONFLICT: a tenant's namespace is there, which would stand without its isolation; TRANSIENT when the API server can't
    /// be reached; else as [`Failure::kind`] says.
    async fn uninstall(&self, kube: &KubeCredentials, installation: &str) -> Result<UninstallReport, Failure>;
}
