//! Port to the releases of a stack in a cluster. Calls are idempotent, start or observe something, and return; the engine
//! waits.

use std::{collections::BTreeMap, fmt, time::Duration};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::target::{DeployTarget, PlatformTarget, StageProgress};
use crate::{
    AppName, CertificateOrder, Environment, Failure, PlatformName, PlatformPart, StackName, Stage,
    environment::Endpoint, isolation::GatewayRef, revision::RevisionId, stage::RemovedObject,
};

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

/// What a release belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReleaseOf {
    /// The platform of a cluster.
    Platform,
    /// The stack of a tenant.
    Stack,
}

/// One release of a platform or a stack, and what it waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleasePlan {
    /// What it belongs to.
    pub of: ReleaseOf,
    /// Release.
    pub app: AppName,
    /// Releases of the same platform or stack that must be Ready before it.
    pub depends_on: Vec<AppName>,
    /// How long it typically takes to become ready.
    pub expected: Duration,
    /// The part of the platform that it is of; `None`: it is always installed.
    pub part: Option<PlatformPart>,
}

impl ReleasePlan {
    /// Its stage.
    #[must_use]
    pub fn stage(&self) -> Stage {
        self.of.stage(self.app.clone())
    }

    /// The stages that must be done before it.
    pub fn needs(&self) -> impl Iterator<Item = Stage> {
        self.depends_on.iter().cloned().map(|app| self.of.stage(app))
    }
}

impl ReleaseOf {
    fn stage(self, release: AppName) -> Stage {
        match self {
            Self::Platform => Stage::Platform(release),
            Self::Stack => Stage::App(release),
        }
    }
}

/// What a check by use came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CheckOutcome {
    /// It holds.
    Passed,
    /// It does not.
    Failed,
    /// It was not run: the class leaves it out, or what it needs failed.
    NotRun,
}

/// What somebody must act on before the customer notices it, or at once: a condition of its own, and an event when it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Concern {
    /// A certificate ends soon, or has ended.
    CertificateExpiring,
    /// There is little room left for files, or none.
    DiskNearlyFull,
    /// The chatbot has no model to answer with.
    ModelMissing,
    /// The chatbot can't read some documents.
    DocumentsRefused,
    /// The parent zone does not lead to the environment's own.
    DomainNotDelegated,
    /// An address is not reached from outside: what is behind it was used by the API server's port-forward, or not at all.
    CheckedFromInside,
}

impl Concern {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::CertificateExpiring,
        Self::DiskNearlyFull,
        Self::ModelMissing,
        Self::DocumentsRefused,
        Self::DomainNotDelegated,
        Self::CheckedFromInside,
    ];
}

/// One check by use: what was done as the customer would do it, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckResult {
    /// Name, unique in the stack.
    pub name: String,
    /// What it came to.
    pub outcome: CheckOutcome,
    /// What was seen and by which way; the cause, if it failed or was not run.
    pub detail: String,
    /// Who must do what, if it failed.
    pub remedy: String,
    /// How long it took.
    pub duration: Duration,
    /// What it found that somebody must act on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concern: Option<Concern>,
}

impl CheckResult {
    /// All results in one line: failures first, with cause and remedy.
    #[must_use]
    pub fn summary(results: &[Self]) -> String {
        let of = |outcome| results.iter().filter(move |result| result.outcome == outcome);
        let failed = of(CheckOutcome::Failed).map(|result| {
            let Self { name, detail, remedy, duration, .. } = result;
            format!("check {name} failed after {:.1} s: {detail}; {remedy}", duration.as_secs_f64())
        });
        let passed = of(CheckOutcome::Passed).map(|result| {
            format!("{} passed in {:.1} s ({})", result.name, result.duration.as_secs_f64(), result.detail)
        });
        let not_run = of(CheckOutcome::NotRun).map(|result| format!("{} not run: {}", result.name, result.detail));
        failed.chain(passed).chain(not_run).collect::<Vec<_>>().join("; ")
    }
}

/// What is kept of the stage `verify`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct VerifyStatus {
    /// Addresses for the customer.
    pub endpoints: Vec<Endpoint>,
    /// Addresses that the environment is ready without, and the cause of each.
    pub pending: Vec<String>,
    /// Results of the checks by use.
    pub checks: Vec<CheckResult>,
}

/// What `verify` found.
#[derive(Debug, Clone, PartialEq)]
pub struct Verified {
    /// How far it is.
    pub progress: StageProgress,
    /// Addresses for the customer, when done.
    pub endpoints: Vec<Endpoint>,
    /// Addresses that the environment is ready without, and the cause of each.
    pub pending: Vec<String>,
    /// Results of the checks by use; empty while something else is waited for.
    pub checks: Vec<CheckResult>,
}

/// Runs a tenant's checks at any time.
#[async_trait]
pub trait Verifier: Send + Sync + 'static {
    /// A result for each check of the tenant's stack. Takes minutes if the environment does not respond; dropping it is safe.
    ///
    /// # Errors
    /// CONFLICT while there is no cluster or no stack; THROTTLED while too many others are checked; else as
    /// [`Failure::kind`] says.
    async fn verify(&self, tenant: &Environment) -> Result<Vec<CheckResult>, Failure>;
}

/// What isolation has to know of the stack that a tenant runs.
pub trait StackPlaces: fmt::Debug + Send + Sync + 'static {
    /// The Gateway of a revision of a stack; without one, of what lies on disk. `None`: it has none, or nobody knows the stack.
    ///
    /// # Errors
    /// TRANSIENT: its revision is not loaded yet.
    fn gateway(&self, stack: &StackName, revision: Option<&RevisionId>) -> Result<Option<GatewayRef>, Failure>;

    /// Labels of the names below a tenant's domain that it serves through that Gateway; the same. Empty: none.
    ///
    /// # Errors
    /// TRANSIENT: its revision is not loaded yet.
    fn gateway_records(&self, stack: &StackName, revision: Option<&RevisionId>) -> Result<Vec<String>, Failure>;

    /// The namespace of its apps in a cluster of a tenant's own; the same.
    ///
    /// # Errors
    /// TRANSIENT: its revision is not loaded yet.
    fn namespace(&self, stack: &StackName, revision: Option<&RevisionId>) -> Result<Option<String>, Failure>;
}

/// Brings the releases of stacks into clusters, judges them, and takes them away again.
///
/// In a shared cluster everything is done with the rights of the tenant's own account, which [`Isolation`](super::Isolation)
/// makes first.
#[async_trait]
pub trait Apps: Send + Sync + 'static {
    /// The releases of a revision of a stack; without one, of what lies on disk. Reads only what is loaded.
    ///
    /// # Errors
    /// INVALID: no such stack; TRANSIENT: its revision is not loaded yet.
    fn releases(&self, stack: &StackName, revision: Option<&RevisionId>) -> Result<Vec<ReleasePlan>, Failure>;

    /// The same of a platform.
    ///
    /// # Errors
    /// INVALID: no such platform; TRANSIENT: its revision is not loaded yet.
    fn platform(&self, platform: &PlatformName, revision: Option<&RevisionId>) -> Result<Vec<ReleasePlan>, Failure>;

    /// Makes one release of a cluster's platform exist and be ready, with the Gateway API that it stands on.
    ///
    /// # Errors
    /// As [`Failure::kind`] says.
    async fn ensure_platform(&self, target: &PlatformTarget, release: &AppName) -> Result<StageProgress, Failure>;

    /// The certificate that a release of a cluster's platform has an ACME server asked for; `None`: it has none asked for. Reads only
    /// what is loaded.
    ///
    /// # Errors
    /// As those of [`Self::platform`].
    fn platform_certificate(
        &self,
        target: &PlatformTarget,
        release: &AppName,
    ) -> Result<Option<CertificateOrder>, Failure>;

    /// Takes one release of a cluster's platform away, while its nodes still run; done when the load balancers and volumes
    /// in its namespace are gone. The objects removed by this call are returned.
    ///
    /// # Errors
    /// As [`Failure::kind`] says.
    async fn remove_platform(
        &self,
        target: &PlatformTarget,
        release: &AppName,
    ) -> Result<(StageProgress, Vec<RemovedObject>), Failure>;

    /// Takes a release of a platform away that its class does not order any more, while the rest stays: done at once if it is not there.
    /// The objects removed by this call are returned.
    ///
    /// # Errors
    /// As [`Failure::kind`] says.
    async fn withdraw_platform(
        &self,
        target: &PlatformTarget,
        release: &AppName,
    ) -> Result<(StageProgress, Vec<RemovedObject>), Failure>;

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

    /// Runs the stack's checks by use only, whatever else is ready or not.
    ///
    /// # Errors
    /// THROTTLED while too many other environments are checked; else as [`Failure::kind`] says.
    async fn check(&self, target: &DeployTarget) -> Result<Vec<CheckResult>, Failure>;

    /// Freezes apps, releases load balancers and volumes of the whole cluster while their controllers still run, and
    /// removes the releases. For a cluster of the tenant's own. The objects removed so far are returned with each call.
    ///
    /// # Errors
    /// INTERNAL on a shared cluster, where the sweep would be other tenants' end: [`Isolation::remove`](super::Isolation)
    /// takes one tenant away; TRANSIENT when the API server can't be reached.
    async fn teardown(&self, target: &DeployTarget) -> Result<(StageProgress, Vec<RemovedObject>), Failure>;
}
