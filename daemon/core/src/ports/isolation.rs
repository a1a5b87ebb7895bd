//! Port to what keeps a tenant apart from the others of a shared cluster. Calls are idempotent, start or observe something,
//! and return; the engine waits.

use std::time::Duration;

use async_trait::async_trait;

use super::target::{DeployTarget, StageProgress};
use crate::{
    CertificateOrder, CustomerRole, Failure,
    ports::{CustomerAccess, KubeCredentials},
    stage::RemovedObject,
};

/// Shortest life of a customer's access; the API server issues no shorter token.
pub const CUSTOMER_ACCESS_MIN: Duration = Duration::from_secs(10 * 60);
/// Longest: what a tenant's end or a lost laptop leaves valid.
pub const CUSTOMER_ACCESS_MAX: Duration = Duration::from_secs(60 * 60);

/// Isolates tenants of shared clusters.
#[async_trait]
pub trait Isolation: Send + Sync + 'static {
    /// Makes what isolates a tenant on a shared cluster exist as its [`Place`](crate::isolation::SharedTarget) says: its namespace with limits, network
    /// policies, accounts and rights, and what the host cluster needs once for all tenants. What was changed by others
    /// is reconciled. Done only when the API server has been seen enforcing it, so nothing runs without it.
    ///
    /// Done at once on a tenant's own cluster.
    ///
    /// # Errors
    /// NAME_TAKEN: the namespace exists and is not this tenant's; else as [`Failure::kind`] says.
    async fn ensure(&self, target: &DeployTarget) -> Result<StageProgress, Failure>;

    /// The certificate of the tenant's names that its listeners on the shared Gateway have an ACME server asked for; `None`: they have
    /// none asked for, or the cluster is the tenant's own.
    ///
    /// # Errors
    /// TRANSIENT: the issuer is not there, or can't prove that a wildcard is the tenant's; else as [`Failure::kind`] says.
    async fn certificate(&self, target: &DeployTarget) -> Result<Option<CertificateOrder>, Failure>;

    /// Removes a tenant from a shared cluster: its namespace with everything in it, and what is kept for it elsewhere.
    /// Nothing of any other tenant is touched. The objects removed so far are returned with each call; what is absent
    /// is success.
    ///
    /// On a tenant's own cluster only what was put outside of namespaces for its customer's account goes.
    ///
    /// # Errors
    /// NAME_TAKEN: a namespace of this name does not carry the tenant's labels; it is not touched, and whether it is the
    /// tenant's all the same, the caller's records know. CONFLICT: an object that holds something in the cloud does not
    /// end; TRANSIENT when the API server can't be reached.
    async fn remove(&self, target: &DeployTarget) -> Result<(StageProgress, Vec<RemovedObject>), Failure>;

    /// Access for the customer: the rights of the customer's role in the tenant's namespace, for `lifetime`, which is
    /// brought into [`CUSTOMER_ACCESS_MIN`] to [`CUSTOMER_ACCESS_MAX`].
    ///
    /// # Errors
    /// INVALID on a tenant's own cluster; CONFLICT before its isolation stands; else as [`Failure::kind`] says.
    async fn customer_kubeconfig(&self, target: &DeployTarget, lifetime: Duration) -> Result<KubeCredentials, Failure>;

    /// Brings the account of the customer of a cluster of its own to what `role` says: its rights in the namespace of its apps,
    /// and that no pod there runs as it. Without a role the account goes, if there is one, with every token of it.
    ///
    /// # Errors
    /// INVALID in a shared cluster; else as [`Failure::kind`] says.
    async fn ensure_customer(&self, target: &DeployTarget, role: CustomerRole) -> Result<(), Failure>;

    /// Access for the customer of a cluster of its own: `role`'s rights in the namespace of its apps, and no others. Its
    /// account and role are made, or brought to what `role` says, by this call.
    ///
    /// # Errors
    /// INVALID in a shared cluster; CONFLICT: the class gives it no role; else as [`Failure::kind`] says.
    async fn own_cluster_kubeconfig(
        &self,
        target: &DeployTarget,
        role: CustomerRole,
        lifetime: Duration,
    ) -> Result<CustomerAccess, Failure>;
}
