//! What of the Gateway API a cluster knows, and its custom resources where landlord brings them along.

pub mod accepted;
mod crds;
mod routing;

pub use crds::{Crds, OWNER_ANNOTATION, ensure, ensure_own, is_brought};
pub use routing::{Routing, is_known, routing};

/// API group of Gateways, routes and their kin.
pub const GROUP: &str = "gateway.networking.k8s.io";
