//! The port's implementation: finds a client, hands over to the modules.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use landlord_core::{
    CertificateOrder, CustomerRole, Failure, FoundInHost, Measured,
    ports::{
        CustomerAccess, DeployTarget, HostClusters, Isolation, KubeCredentials, PoolGrowth, ScaledPool, StackPlaces,
        StageProgress, UninstallReport,
    },
    stage::RemovedObject,
};
use landlord_kube::{client::Clients, gateway_api::Crds};

use crate::{
    access, certificate, enforce,
    error::Error,
    host_cluster::{capacity, scaled_pool, tenants, uninstall},
    remove,
    served::Served,
};

/// How tenants are isolated.
#[derive(Debug, Clone)]
pub struct IsolationOptions {
    /// Who knows the stacks; `None`: nobody has one.
    pub stacks: Option<Arc<dyn StackPlaces>>,
    /// The Gateway API's custom resources, applied to host clusters that have none.
    pub gateway_api_crds: Option<Crds>,
    /// How long an ending namespace is left to Kubernetes: [`REMOVAL_TIMEOUT`](crate::REMOVAL_TIMEOUT), but for tests.
    pub removal_timeout: Duration,
}

/// Isolates tenants through the API server of the cluster that they share.
pub struct KubeIsolation {
    clients: Arc<Clients>,
    options: IsolationOptions,
}

impl KubeIsolation {
    /// Over `clients`, which others may use too. Talks to nobody, and needs no other program.
    #[must_use]
    pub fn new(options: IsolationOptions, clients: Arc<Clients>) -> Self {
        Self { clients, options }
    }

    /// Everything that would be applied for a tenant of a shared cluster, with the host cluster's policies, as one YAML
    /// file; empty for a cluster of its own. For reviewers and scanners; talks to no cluster, and takes the Gateway API
    /// and mutating policies for granted.
    #[must_use]
    pub fn manifest(&self, target: &DeployTarget) -> String {
        let gateway = self.served(target).ok().flatten().map(|served| served.gateway.namespace);
        target.cluster.shared().map(|place| enforce::manifest(target, place, gateway.as_deref())).unwrap_or_default()
    }

    /// The Gateway of the revision that the tenant runs, whatever lies on disk, and its names there.
    fn served(&self, target: &DeployTarget) -> Result<Option<Served>, Failure> {
        let (Some(stacks), Some(stack)) = (&self.options.stacks, &target.stack) else { return Ok(None) };
        let Some(gateway) = stacks.gateway(stack, target.revision.as_ref())? else { return Ok(None) };
        let records = stacks.gateway_records(stack, target.revision.as_ref())?;
        Ok(Some(Served { gateway, records: records.into_iter().collect() }))
    }

    /// The namespace of a tenant's apps in a cluster of its own.
    fn own_namespace(&self, target: &DeployTarget) -> Result<String, Failure> {
        let own = target.stack.as_ref().filter(|_| target.cluster.shared().is_none());
        let (Some(stacks), Some(stack)) = (&self.options.stacks, own) else { return Err(Error::NotOwn.into()) };
        stacks.namespace(stack, target.revision.as_ref())?.ok_or_else(|| Error::NotOwn.into())
    }
}

impl fmt::Debug for KubeIsolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KubeIsolation").field("options", &self.options).finish_non_exhaustive()
    }
}

#[async_trait]
impl Isolation for KubeIsolation {
    async fn ensure(&self, target: &DeployTarget) -> Result<StageProgress, Failure> {
        let Some(place) = target.cluster.shared() else { return Ok(StageProgress::Done) };
        let crds = self.options.gateway_api_crds.as_ref();
        // A namespace is isolated also for a class without a stack; one that is unknown is reported by the base.
        let served = self.served(target)?;
        let call = async |client| enforce::ensure(&client, target, place, served.as_ref(), crds).await;
        self.clients.call(&target.kube, call).await
    }

    async fn certificate(&self, target: &DeployTarget) -> Result<Option<CertificateOrder>, Failure> {
        let Some(place) = target.cluster.shared() else { return Ok(None) };
        // Without a Gateway in the stack there are no listeners.
        let Some(served) = self.served(target)? else { return Ok(None) };
        let call = async |client| certificate::ordered(&client, target, place, &served).await;
        self.clients.call(&target.kube, call).await
    }

    async fn remove(&self, target: &DeployTarget) -> Result<(StageProgress, Vec<RemovedObject>), Failure> {
        let Some(place) = target.cluster.shared() else {
            let call = async |client| access::leave_own_cluster(&client, target).await;
            return self.clients.call(&target.kube, call).await.map(|()| (StageProgress::Done, Vec::new()));
        };
        let call = async |client| remove::remove(&client, target, place, self.options.removal_timeout).await;
        self.clients.call(&target.kube, call).await
    }

    async fn customer_kubeconfig(&self, target: &DeployTarget, lifetime: Duration) -> Result<KubeCredentials, Failure> {
        let Some(place) = target.cluster.shared() else { return Err(Error::NotShared.into()) };
        let call = async |client| access::customer(&client, &target.kube, place.namespace.as_str(), lifetime).await;
        self.clients.call(&target.kube, call).await
    }

    async fn ensure_customer(&self, target: &DeployTarget, role: CustomerRole) -> Result<(), Failure> {
        let namespace = self.own_namespace(target)?;
        let call = async |client| access::ensure_own_cluster(&client, target, &namespace, role).await;
        self.clients.call(&target.kube, call).await
    }

    async fn own_cluster_kubeconfig(
        &self,
        target: &DeployTarget,
        role: CustomerRole,
        lifetime: Duration,
    ) -> Result<CustomerAccess, Failure> {
        let namespace = self.own_namespace(target)?;
        let call = async |client| access::own_cluster(&client, target, &namespace, role, lifetime).await;
        let kube = self.clients.call(&target.kube, call).await?;
        Ok(CustomerAccess { kube, namespace })
    }
}

#[async_trait]
impl HostClusters for KubeIsolation {
    async fn measure(&self, kube: &KubeCredentials, installation: &str) -> Result<Measured, Failure> {
        self.clients.call(kube, async |client| capacity::measure(&client, installation).await).await
    }

    async fn joined(&self, kube: &KubeCredentials, pool: &str) -> Result<u32, Failure> {
        self.clients.call(kube, async |client| tenants::joined(&client, pool).await).await
    }

    async fn ensure_scaled_pool(
        &self,
        kube: &KubeCredentials,
        pool: &ScaledPool,
        growth: &PoolGrowth,
    ) -> Result<StageProgress, Failure> {
        self.clients.call(kube, async |client| scaled_pool::ensure(&client, pool, growth).await).await
    }

    async fn remove_scaled_pool(
        &self,
        kube: &KubeCredentials,
        pool: &ScaledPool,
    ) -> Result<(StageProgress, Vec<RemovedObject>), Failure> {
        self.clients.call(kube, async |client| scaled_pool::remove(&client, pool).await).await
    }

    async fn of_tenants(&self, kube: &KubeCredentials, installation: &str) -> Result<Vec<FoundInHost>, Failure> {
        self.clients.call(kube, async |client| tenants::found(&client, installation).await).await
    }

    async fn uninstall(&self, kube: &KubeCredentials, installation: &str) -> Result<UninstallReport, Failure> {
        self.clients.call(kube, async |client| uninstall::uninstall(&client, installation).await).await
    }
}
