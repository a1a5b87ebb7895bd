//! What the stages in a cluster work on, and how far they are.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    AppName, ChecksFrom, EnvironmentName, PlatformName, StackName, TenantName, TenantSpec, TenantUid,
    environment::Domain, isolation::SharedTarget, ports::KubeCredentials, revision::RevisionId,
};

/// Whose cluster a tenant lives on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetCluster {
    /// Its own: it has the whole cluster, and the stack's own namespace.
    OwnCluster,
    /// A host cluster's, with others: it has one isolated namespace.
    Shared(Box<SharedTarget>),
}

impl TargetCluster {
    /// The place on a host cluster; `None` on a cluster of its own.
    #[must_use]
    pub fn shared(&self) -> Option<&SharedTarget> {
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
    pub cluster: TargetCluster,
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
    /// Whether it was READY once: its customer works with it, and its names lead to its apps.
    pub was_ready: bool,
    /// The stack; `None`: the class names none, and only the isolation is worked on.
    pub stack: Option<StackName>,
    /// Its revision; `None`: what lies on disk.
    pub revision: Option<RevisionId>,
    /// Name servers of the tenant's own zone, as its provider reported them; empty: not known.
    pub name_servers: Vec<String>,
    /// Checks of the stack that the class leaves out.
    pub skip_checks: Vec<String>,
    /// From where its addresses must be reached.
    pub checks_from: ChecksFrom,
}

/// What the platform's stages work on: a cluster that landlord made.
#[derive(Debug, Clone)]
pub struct PlatformTarget {
    /// Access to the cluster, with the daemon's own rights.
    pub kube: KubeCredentials,
    /// Name of the landlord installation.
    pub installation: String,
    /// Identity of the tenant or host cluster.
    pub uid: TenantUid,
    /// Name of the tenant or host cluster.
    pub name: EnvironmentName,
    /// The cluster, as its cloud knows it.
    pub cluster_name: String,
    /// The platform.
    pub platform: PlatformName,
    /// Values of its class, by release.
    pub values: BTreeMap<AppName, serde_json::Map<String, serde_json::Value>>,
    /// Its revision; `None`: what lies on disk.
    pub revision: Option<RevisionId>,
    /// Domain of the tenant whose cluster it is; `None`: a host cluster's.
    pub domain: Option<Domain>,
    /// Stack of that tenant, whose names the Gateway responses to.
    pub stack: Option<StackName>,
    /// Its revision.
    pub stack_revision: Option<RevisionId>,
}

/// How far a stage is.
#[derive(Debug, Clone, PartialEq)]
pub enum StageProgress {
    /// Done in its desired state.
    Done,
    /// Under way.
    Pending {
        /// When asking again makes sense.
        poll_after: Duration,
        /// What is being waited for, with the blocking object, in plain words.
        detail: String,
    },
}
