//! The kinds of objects and the steps of the simulated GCP. Names are those of Cloud Asset Inventory:
//! <https://cloud.google.com/asset-inventory/docs/asset-types>.

use cloudsim_core::{kind::Kind, schedule::Step};
use serde::{Deserialize, Serialize};

/// Every kind of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum GcpKind {
    Network,
    Subnetwork,
    Router,
    Address,
    Firewall,
    ForwardingRule,
    TargetPool,
    BackendService,
    HealthCheck,
    HttpHealthCheck,
    NetworkEndpointGroup,
    TargetHttpProxy,
    TargetHttpsProxy,
    UrlMap,
    InstanceGroup,
    InstanceGroupManager,
    Instance,
    Disk,
    Snapshot,
    /// An operation of Compute or GKE; never shown by the control API.
    Operation,
    Cluster,
    NodePool,
    ManagedZone,
    /// A change of a DNS zone; never shown by the control API.
    Change,
    ServiceAccount,
    /// The project itself, for its policy; never shown by the control API.
    Project,
}

impl GcpKind {
    /// All of them.
    pub(crate) const ALL: [Self; 26] = [
        Self::Network,
        Self::Subnetwork,
        Self::Router,
        Self::Address,
        Self::Firewall,
        Self::ForwardingRule,
        Self::TargetPool,
        Self::BackendService,
        Self::HealthCheck,
        Self::HttpHealthCheck,
        Self::NetworkEndpointGroup,
        Self::TargetHttpProxy,
        Self::TargetHttpsProxy,
        Self::UrlMap,
        Self::InstanceGroup,
        Self::InstanceGroupManager,
        Self::Instance,
        Self::Disk,
        Self::Snapshot,
        Self::Operation,
        Self::Cluster,
        Self::NodePool,
        Self::ManagedZone,
        Self::Change,
        Self::ServiceAccount,
        Self::Project,
    ];

    /// The kind of an object, if it is of this cloud.
    #[must_use]
    pub(crate) fn of(kind: Kind) -> Option<Self> {
        Self::ALL.into_iter().find(|own| kind == *own)
    }

    /// `compute.googleapis.com/Network` and so on.
    #[must_use]
    pub(crate) fn type_name(self) -> &'static str {
        match self {
            Self::Network => "compute.googleapis.com/Network",
            Self::Subnetwork => "compute.googleapis.com/Subnetwork",
            Self::Router => "compute.googleapis.com/Router",
            Self::Address => "compute.googleapis.com/Address",
            Self::Firewall => "compute.googleapis.com/Firewall",
            Self::ForwardingRule => "compute.googleapis.com/ForwardingRule",
            Self::TargetPool => "compute.googleapis.com/TargetPool",
            Self::BackendService => "compute.googleapis.com/BackendService",
            Self::HealthCheck => "compute.googleapis.com/HealthCheck",
            Self::HttpHealthCheck => "compute.googleapis.com/HttpHealthCheck",
            Self::NetworkEndpointGroup => "compute.googleapis.com/NetworkEndpointGroup",
            Self::TargetHttpProxy => "compute.googleapis.com/TargetHttpProxy",
            Self::TargetHttpsProxy => "compute.googleapis.com/TargetHttpsProxy",
            Self::UrlMap => "compute.googleapis.com/UrlMap",
            Self::InstanceGroup => "compute.googleapis.com/InstanceGroup",
            Self::InstanceGroupManager => "compute.googleapis.com/InstanceGroupManager",
            Self::Instance => "compute.googleapis.com/Instance",
            Self::Disk => "compute.googleapis.com/Disk",
            Self::Snapshot => "compute.googleapis.com/Snapshot",
            Self::Operation => "cloudsim/Operation",
            Self::Cluster => "container.googleapis.com/Cluster",
            Self::NodePool => "container.googleapis.com/NodePool",
            Self::ManagedZone => "dns.googleapis.com/ManagedZone",
            Self::Change => "cloudsim/Change",
            Self::ServiceAccount => "iam.googleapis.com/ServiceAccount",
            Self::Project => "cloudresourcemanager.googleapis.com/Project",
        }
    }
}

impl From<GcpKind> for Kind {
    fn from(kind: GcpKind) -> Self {
        Self::new(kind.type_name())
    }
}

impl PartialEq<GcpKind> for Kind {
    fn eq(&self, other: &GcpKind) -> bool {
        self.type_name() == other.type_name()
    }
}

/// What the simulated GCP does by itself.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub(crate) enum GcpStep {
    /// An operation of Compute ends.
    Compute {
        /// Its id.
        operation: String,
    },
    /// An operation of GKE ends.
    Container {
        /// Its id.
        operation: String,
    },
    /// A change of a DNS zone is served by all name servers.
    Change {
        /// Its id.
        change: String,
    },
    /// An operation or change is forgotten.
    Forget {
        /// Its id.
        id: String,
    },
}

/// The cloud's name in stored steps.
pub(crate) const NAME: &str = "gcp";

impl From<GcpStep> for Step {
    fn from(step: GcpStep) -> Self {
        Self::of(NAME, &step)
    }
}
