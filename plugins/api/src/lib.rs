//! The provider contract: what a cloud plugin promises to the daemon.
//!
//! [`Provider`] is the trait family, [`v1`] its messages, [`ProviderError`] its typed error. What every provider would write
//! again is in the crate `landlord-provider-sdk`.
//! This crate knows neither the daemon nor any cloud.

pub mod abi;
mod defaults;
pub mod error;
pub mod export;
pub mod lacks;
mod log;
pub mod method;
pub mod provider;
mod seal;

pub use error::{ErrorKind, ProviderError};
pub use method::Method;
pub use provider::{Cluster, Dns, Identity, Inventory, Network, NodePool, Provider, ProviderPlugin};

/// Messages of the contract, generated from `proto/landlord/provider/v1`.
#[allow(missing_docs, clippy::doc_markdown, reason = "generated; documented in the .proto file")]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/landlord.provider.v1.rs"));
}

/// Kinds in the order in which the daemon takes a tenant with a cluster of its own down.
pub const TEARDOWN: [v1::ResourceKind; 8] = [
    v1::ResourceKind::DnsRecords,
    v1::ResourceKind::Identity,
    v1::ResourceKind::Addons,
    v1::ResourceKind::NodePool,
    v1::ResourceKind::Cluster,
    v1::ResourceKind::Leftovers,
    v1::ResourceKind::Network,
    v1::ResourceKind::DnsZone,
];

/// Marker (tag, label) that names the installation on every object.
pub const MARKER_INSTALLATION: &str = "landlord-installation";
/// Marker that names the tenant's uid on every object.
pub const MARKER_TENANT_UID: &str = "landlord-tenant-uid";
/// Marker that names the object's role within the tenant.
pub const MARKER_ROLE: &str = "landlord-role";

impl std::fmt::Debug for v1::ConfigureRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConfigureRequest")
            .field("installation", &self.installation)
            .field("config_json", &self.config_json)
            .field("endpoint_override", &self.endpoint_override)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for v1::KubeAccess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KubeAccess")
            .field("endpoint", &self.endpoint)
            .field("expire_time", &self.expire_time)
            .finish_non_exhaustive()
    }
}
