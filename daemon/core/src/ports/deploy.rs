//! Port to the deploy stage. Calls are idempotent, start or observe something, and return;
//! the engine waits.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;

use crate::{
    AppName, ErrorKind, Failure, StackName, TenantName, TenantSpec, TenantUid,
    ports::{CustomerAccess, KubeCredentials},
    stage::RemovedObject,
    tenant::Endpoint,
};

/// What the deploy stage works on.
#[derive(Debug, Clone)]
pub struct DeployTarget {
    /// Access to the cluster.
    pub kube: KubeCredentials,
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

/// Deploys stacks into clusters.
#[async_trait]
pub trait Deployer: Send + Sync + 'static {
    /// The releases of a stack. Reads only what was loaded at start.
    ///
    /// # Errors
    /// INVALID: no such stack.
    fn releases(&self, stack: &StackName) -> Result<Vec<ReleasePlan>, Failure>;

    /// Makes namespaces, service accounts and generated secrets exist.
    ///
    /// # Errors
    /// As [`Failure::kind`] says.
    async fn ensure_base(&self, target: &DeployTarget) -> Result<StageProgress, Failure>;

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

    /// A token of the service account that the tenant's customer has in its namespace, valid for `duration`. Changes
    /// nothing.
    ///
    /// # Errors
    /// CONFLICT: there is no such account; else as [`Failure::kind`] says.
    async fn customer_access(&self, target: &DeployTarget, duration: Duration) -> Result<CustomerAccess, Failure> {
        let _ = duration;
        let problem = format!("{} has no service account for its customer", target.name);
        Err(Failure::new(ErrorKind::Conflict, problem))
    }
}
