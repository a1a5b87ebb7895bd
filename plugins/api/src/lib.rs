//! The provider contract: what a cloud plugin promises to the daemon.
//!
//! [`Provider`] is the trait family, [`v1`] its messages, [`ProviderError`] its typed error.
//! This crate knows neither the daemon nor any cloud.

pub mod error;
pub mod provider;

pub use error::{ErrorKind, ProviderError};
pub use provider::{
    Cluster, Dns, Identity, Inventory, Network, NodePool, Provider, ProviderPlugin,
};

/// Messages of the contract, generated from `proto/landlord/provider/v1`.
#[expect(missing_docs, clippy::doc_markdown, reason = "generated; documented in the .proto file")]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/landlord.provider.v1.rs"));
}

/// Marker (tag, label) that names the installation on every object.
pub const MARKER_INSTALLATION: &str = "landlord-installation";
/// Marker that names the tenant's uid on every object.
pub const MARKER_TENANT_UID: &str = "landlord-tenant-uid";
/// Marker that names the object's role within the tenant.
pub const MARKER_ROLE: &str = "landlord-role";
