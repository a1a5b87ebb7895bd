//! Port to a host cluster as a whole. Calls are idempotent, start or observe something, and return; the engine waits.

use async_trait::async_trait;

use super::target::StageProgress;
use crate::{Failure, FoundNamespace, Measured, ports::KubeCredentials, stage::RemovedObject};

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

/// Counts what host clusters have, and takes back what was put there for all tenants together.
#[async_trait]
pub trait HostClusters: Send + Sync + 'static {
    /// Counts what a host cluster has for pods and what is requested of it, with the daemon's own rights. Reads only.
    ///
    /// # Errors
    /// As [`Failure::kind`] says.
    async fn measure(&self, kube: &KubeCredentials, installation: &str) -> Result<Measured, Failure>;

    /// Counts the nodes that carry the label of one tenant's pool and are Ready: those that have joined the cluster, its own or
    /// a host cluster. Reads only.
    ///
    /// # Errors
    /// As [`Failure::kind`] says.
    async fn joined(&self, kube: &KubeCredentials, pool: &str) -> Result<u32, Failure>;

    /// The namespaces of `installation`'s tenants in a host cluster, by their labels. Reads only.
    ///
    /// # Errors
    /// As [`Failure::kind`] says.
    async fn namespaces(&self, kube: &KubeCredentials, installation: &str) -> Result<Vec<FoundNamespace>, Failure>;

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
