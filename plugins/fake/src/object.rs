//! One object of the fake cloud and its lifecycle.

use landlord_provider_api::v1;
use serde::{Deserialize, Serialize};

/// Kinds of objects, in the words of the contract's methods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Kind {
    Network,
    Cluster,
    Addons,
    NodePool,
    DnsZone,
    DnsRecords,
    Identity,
    Leftovers,
}

impl Kind {
    /// `None` for what the contract does not know.
    pub(crate) fn of(kind: v1::ResourceKind) -> Option<Self> {
        Some(match kind {
            v1::ResourceKind::Unspecified => return None,
            v1::ResourceKind::Network => Self::Network,
            v1::ResourceKind::Cluster => Self::Cluster,
            v1::ResourceKind::Addons => Self::Addons,
            v1::ResourceKind::NodePool => Self::NodePool,
            v1::ResourceKind::DnsZone => Self::DnsZone,
            v1::ResourceKind::DnsRecords => Self::DnsRecords,
            v1::ResourceKind::Identity => Self::Identity,
            v1::ResourceKind::Leftovers => Self::Leftovers,
        })
    }

    /// What a tenant in a shared cluster has none of.
    pub(crate) fn is_of_host(self) -> bool {
        match self {
            Self::Network | Self::Cluster | Self::Addons | Self::Identity => true,
            Self::NodePool | Self::DnsZone | Self::DnsRecords | Self::Leftovers => false,
        }
    }

    /// The contract's word for being able to make it.
    pub(crate) fn capability(self) -> Option<&'static str> {
        match self {
            Self::Network => Some("networks"),
            Self::NodePool => Some("node-pools"),
            Self::DnsZone | Self::DnsRecords => Some("dns"),
            Self::Identity => Some("identity"),
            Self::Cluster | Self::Addons | Self::Leftovers => None,
        }
    }

    /// Kinds that keep this one from being deleted.
    pub(crate) fn dependents(self) -> &'static [Self] {
        match self {
            Self::Network => &[Self::Cluster, Self::NodePool, Self::Leftovers],
            Self::Cluster => &[Self::NodePool],
            Self::DnsZone => &[Self::DnsRecords],
            Self::Addons | Self::NodePool | Self::DnsRecords | Self::Identity | Self::Leftovers => &[],
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Cluster => "cluster",
            Self::Addons => "addons",
            Self::NodePool => "node-pool",
            Self::DnsZone => "dns-zone",
            Self::DnsRecords => "dns-records",
            Self::Identity => "identity",
            Self::Leftovers => "leftover",
        }
    }
}

/// One object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Object {
    pub(crate) kind: Kind,
    /// Role within the tenant; the domain, for DNS.
    pub(crate) role: String,
    pub(crate) installation: String,
    pub(crate) tenant_uid: String,
    pub(crate) region: String,
    /// What was requested.
    pub(crate) spec: String,
    /// When it is as requested, in ms since the epoch.
    pub(crate) ready_ms: u64,
    /// When it is gone, once it was deleted.
    pub(crate) gone_ms: Option<u64>,
    /// Distinguishes an object from one of the same kind and role, which only a defect makes; 0 for the first.
    #[serde(default)]
    pub(crate) copy: usize,
    /// Whether a defect left out the markers.
    #[serde(default)]
    pub(crate) unmarked: bool,
}

impl Object {
    pub(crate) fn name(&self) -> String {
        let mut name = format!("landlord-{}-{}", self.tenant_uid, self.kind.word());
        if !self.role.is_empty() {
            name = format!("{name}-{}", self.role);
        }
        if self.copy > 0 {
            name = format!("{name}-{}", self.copy);
        }
        name
    }

    pub(crate) fn owned(&self) -> v1::OwnedObject {
        v1::OwnedObject {
            r#type: format!("fake/{}", self.kind.word()),
            id: format!("fake:{}:{}", self.region, self.name()),
            name: self.name(),
            role: if self.role.is_empty() { self.kind.word().into() } else { self.role.clone() },
            tenant_uid: self.tenant_uid.clone(),
            region: self.region.clone(),
        }
    }
}
