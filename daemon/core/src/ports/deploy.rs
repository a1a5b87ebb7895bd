//! Port to the deploy stage. Calls are idempotent, start or observe something, and return;
//! the engine waits.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;

use crate::{
    AppName, Failure, Measured, StackName, TenantName, TenantSpec, TenantUid, environment::Endpoint, guardrails::Place,
    ports::KubeCredentials, stage::RemovedObject,
};

/// Shortest life of a customer's access; the API server issues no shorter token.
pub const CUSTOMER_ACCESS_MIN: Duration = Duration::from_secs(10 * 60);
/// Longest: what a tenant's end or a lost laptop leaves valid.
pub const CUSTOMER_ACCESS_MAX: Duration = Duration::from_secs(60 * 60);

/// Whose cluster a tenant lives on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetPlace {
    /// Its own: it has the whole cluster, and the stack's own namespace.
    OwnCluster,
    /// A host cluster's, with others: it has one fenced namespace.
    Shared(Box<Place>),
}

impl TargetPlace {
    /// The place on a host cluster; `None` on a cluster of its own.
    #[must_use]
    pub fn shared(&self) -> Option<&Place> {
        match self {
            Self::OwnCluster => None,
            Self::Shared(place) => Some(place),
        }
    }
}

/// What the deploy stage works on.
#[derive(Debug, Clone)]
pub struct DeployTarget {
    /// Access to the cluster, with the daemon's own rights.
    pub kube: KubeCredentials,
    /// Whose cluster it is.
    pub place: TargetPlace,
    /// Name of the landlord installation.
    pub installation: String,
    /// Tenant's identity.
    pub uid: TenantUid,
    /// Tenant's name.
    pub name: TenantName,
    /// What is wanted.
    pub spec: TenantSpec,
    /// Generation of `spec`.
    pub generation: i64,
    /// The stack.
    pub stack: StackName,
}

/// A service account that has an identity in the cloud, and what that needs in the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudAccount {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Annotations that it must carry.
    pub annotations: BTreeMap<String, String>,
    /// Labels that the pods must carry which run as it.
    pub pod_labels: BTreeMap<String, String>,
}

/// One release of a stack and what it waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleasePlan {
    /// Release.
    pub app: AppName,
    /// Releases that must be Ready before it.
    pub depends_on: Vec<AppName>,
    /// How long it typically takes to become ready.
    pub expected: Duration,
}

/// How far a stage is.
#[derive(Debug, Clone, PartialEq)]
pub enum StageProgress {
    /// Done in its direction.
    Done,
    /// Under way.
    Pending {
        /// When asking again makes sense.
        poll_after: Duration,
        /// What is being waited for, with the blocking object, in plain words.
        detail: String,
    },
}

/// What `verify` found.
#[derive(Debug, Clone, PartialEq)]
pub struct Verified {
    /// How far it is.
    pub progress: StageProgress,
    /// Addresses for the customer, when done.
    pub endpoints: Vec<Endpoint>,
}

/// How far an installation is with leaving a host cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct HostLeft {
    /// How far it is.
    pub progress: StageProgress,
    /// What was removed with this call.
    pub removed: Vec<RemovedObject>,
    /// What was made here and stays because others use it by now, each with the reason in plain words.
    pub kept: Vec<String>,
}

/// Deploys stacks into clusters.
#[async_trait]
pub trait Deployer: Send + Sync + 'static {
    /// The releases of a stack. Reads only what was loaded at start.
    ///
    /// # Errors
    /// INVALID: no such stack.
    fn releases(&self, stack: &StackName) -> Result<Vec<ReleasePlan>, Failure>;

    /// Makes what fences a tenant on a shared cluster exist as its [`Place`] says: its namespace with limits, network
    /// policies, accounts and rights, and what the host cluster needs once for all tenants. What was changed by others
    /// is put right. Done only when the API server has been seen enforcing it, so nothing runs unfenced.
    ///
    /// Done at once on a tenant's own cluster.
    ///
    /// # Errors
    /// NAME_TAKEN: the namespace exists and is not this tenant's; else as [`Failure::kind`] says.
    async fn ensure_guardrails(&self, target: &DeployTarget) -> Result<StageProgress, Failure>;

    /// Removes a tenant from a shared cluster: its namespace with everything in it, and what is kept for it elsewhere.
    /// Nothing of any other tenant is touched. The objects removed so far are returned with each call; what is absent
    /// is success.
    ///
    /// Done at once on a tenant's own cluster.
    ///
    /// # Errors
    /// NAME_TAKEN: a namespace of this name does not carry the tenant's labels; it is not touched, and whether it is the
    /// tenant's all the same, the caller's records know. CONFLICT: an object that holds something in the cloud does not
    /// end; TRANSIENT when the API server can't be reached.
    async fn remove_namespace(&self, target: &DeployTarget) -> Result<(StageProgress, Vec<RemovedObject>), Failure>;

    /// Takes back what `installation` put on a host cluster for all its tenants together: admission policies, the shared
    /// Gateway with its namespace, custom resources that it brought along. Nothing of another installation, of the
    /// cluster's operator or of anybody else is touched; what others use by now stays and is told. What is absent is
    /// success.
    ///
    /// # Errors
    /// CONFLICT: a tenant's namespace is there, which would stand without its fence; TRANSIENT when the API server can't
    /// be reached; else as [`Failure::kind`] says.
    async fn leave_host(&self, kube: &KubeCredentials, installation: &str) -> Result<HostLeft, Failure>;

    /// Access for the customer: the rights of the customer's role in the tenant's namespace, for `lifetime`, which is
    /// brought into [`CUSTOMER_ACCESS_MIN`] to [`CUSTOMER_ACCESS_MAX`].
    ///
    /// # Errors
    /// INVALID on a tenant's own cluster; CONFLICT before its guardrails stand; else as [`Failure::kind`] says.
    async fn customer_kubeconfig(&self, target: &DeployTarget, lifetime: Duration) -> Result<KubeCredentials, Failure>;

    /// Counts what a host cluster has for pods and what is requested of it, with the daemon's own rights. Reads only.
    ///
    /// # Errors
    /// As [`Failure::kind`] says.
    async fn measure(&self, kube: &KubeCredentials, installation: &str) -> Result<Measured, Failure>;

    /// Makes namespaces, service accounts and generated secrets exist.
    ///
    /// # Errors
    /// As [`Failure::kind`] says.
    async fn ensure_base(&self, target: &DeployTarget) -> Result<StageProgress, Failure>;

    /// Makes service accounts carry what their identities in the cloud need. One that is not there is made, with its
    /// namespace; on one that is there only these annotations are set. What its pods must carry stands in its annotation
    /// `landlord.dev/pod-labels` (`key=value`, separated by commas), for whoever installs them: none of them is landlord's.
    ///
    /// Done at once on a shared cluster, where no tenant has such accounts.
    ///
    /// # Errors
    /// As [`Failure::kind`] says.
    async fn ensure_accounts(&self, target: &DeployTarget, accounts: &[CloudAccount])
    -> Result<StageProgress, Failure>;

    /// Makes one release exist at the target's generation and be ready.
    ///
    /// # Errors
    /// As [`Failure::kind`] says.
    async fn ensure_release(&self, target: &DeployTarget, app: &AppName) -> Result<StageProgress, Failure>;

    /// Addresses that the stack's entry points got from the cloud, for the DNS records that
    /// the stack declares: fully qualified name → load balancer host name or address.
    /// `None` while one is still missing.
    ///
    /// # Errors
    /// As [`Failure::kind`] says.
    async fn entry_points(&self, target: &DeployTarget) -> Result<Option<BTreeMap<String, String>>, Failure>;

    /// Judges the environment as the customer will use it.
    ///
    /// # Errors
    /// As [`Failure::kind`] says.
    async fn verify(&self, target: &DeployTarget) -> Result<Verified, Failure>;

    /// Freezes apps, releases load balancers and volumes of the whole cluster while their
    /// controllers still run, and removes the releases. The objects removed so far are
    /// returned with each call.
    ///
    /// # Errors
    /// TRANSIENT when the API server can't be reached.
    async fn teardown(&self, target: &DeployTarget) -> Result<(StageProgress, Vec<RemovedObject>), Failure>;
}
