//! The gRPC front of landlordd: turns requests into checked domain values, asks the store, and
//! turns answers and errors back. It never calls a provider and knows no engine; it only hints.

mod convert;
mod create;
mod events;
mod filter;
mod host;
mod kubeconfig;
mod list;
mod listen;
mod moving;
mod operation;
mod page;
mod place;
mod provider;
mod request;
mod serve;
mod status;
mod tenant;
mod update;
mod watch;

use std::sync::Arc;

use landlord_core::{
    Catalog,
    ports::{KubeAccess, Providers, TenantStore, Wake},
};

pub use listen::{Listen, ListenTcp};
pub use serve::{ServeError, serve};

/// What the API works with.
#[derive(Clone)]
pub struct Ports {
    /// The store.
    pub store: Arc<dyn TenantStore>,
    /// What is on offer.
    pub catalog: Arc<Catalog>,
    /// The plugins, to tell how they are doing.
    pub providers: Arc<dyn Providers>,
    /// Kubeconfigs for operators and customers.
    pub kube_access: Arc<dyn KubeAccess>,
    /// Hints to the engine.
    pub wake: Arc<dyn Wake>,
}

impl std::fmt::Debug for Ports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ports").field("catalog", &self.catalog).finish_non_exhaustive()
    }
}
