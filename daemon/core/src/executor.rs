//! The one table of what each stage is: who carries it out, by which of the provider's methods, and which kind of resource
//! it is about. The order of removal is the order of `graph`'s graphs towards absence, and no other list repeats it.

use landlord_provider_api::v1::ResourceKind;

use crate::Stage;

/// Who carries a stage out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Executor {
    /// Nobody outside: an observation of the store.
    Store,
    /// An API server of Kubernetes.
    Kubernetes,
    /// The provider's plugin.
    Provider(Methods),
}

/// How a stage is requested from a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Methods {
    /// The contract's name of the method towards presence.
    pub ensure: &'static str,
    /// The same towards absence, as rate costs and expected durations are named.
    pub delete: &'static str,
    /// What a delete is about; `None`: the stage makes nothing.
    pub resource: Option<ResourceKind>,
}

impl Stage {
    /// Who carries it out.
    #[must_use]
    pub fn executor(&self) -> Executor {
        let provider = |ensure, delete, resource| Executor::Provider(Methods { ensure, delete, resource });
        let makes = |ensure, delete, resource| provider(ensure, delete, Some(resource));
        match self {
            Self::Host => Executor::Store,
            Self::Preflight => provider("Validate", "Validate", None),
            Self::Network => makes("EnsureNetwork", "DeleteNetwork", ResourceKind::Network),
            Self::Cluster => makes("EnsureCluster", "DeleteCluster", ResourceKind::Cluster),
            Self::Addons => makes("EnsureAddons", "DeleteAddons", ResourceKind::Addons),
            Self::NodePool => makes("EnsureNodePool", "DeleteNodePool", ResourceKind::NodePool),
            Self::DnsZone => makes("EnsureDnsZone", "DeleteDnsZone", ResourceKind::DnsZone),
            Self::DnsRecords => makes("EnsureDnsRecords", "DeleteDnsRecords", ResourceKind::DnsRecords),
            Self::Identity => makes("EnsureIdentity", "DeleteIdentity", ResourceKind::Identity),
            Self::Leftovers => makes("DeleteLeftovers", "DeleteLeftovers", ResourceKind::Leftovers),
            Self::Inventory => provider("ListOwned", "ListOwned", None),
            Self::Isolation
            | Self::Capacity
            | Self::NodeScaling
            | Self::Base
            | Self::Platform(_)
            | Self::App(_)
            | Self::Verify
            | Self::Teardown => Executor::Kubernetes,
        }
    }

    /// The kind of resource that its removal is about; `None`: the cloud keeps nothing of it.
    #[must_use]
    pub fn resource(&self) -> Option<ResourceKind> {
        match self.executor() {
            Executor::Provider(methods) => methods.resource,
            Executor::Store | Executor::Kubernetes => None,
        }
    }

    /// Whether only an API server of Kubernetes is called, and no cloud.
    #[must_use]
    pub fn is_in_cluster(&self) -> bool {
        self.executor() == Executor::Kubernetes
    }

    /// Whether its absence can be checked again after its removal was done: one call of the provider, which changes
    /// nothing when nothing is there. What only an API server knew can't be read once the cluster is gone.
    #[must_use]
    pub fn is_checked_again(&self) -> bool {
        self.resource().is_some()
    }
}
