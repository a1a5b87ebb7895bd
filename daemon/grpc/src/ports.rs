//! What the API works with.

use std::{collections::BTreeSet, sync::Arc};

use landlord_core::{
    CurrentCatalog,
    ports::{
        AuditStore, Authenticator, Authorizer, CredentialStore, CustomerStore, DaemonStore, Handover, KubeAccess,
        Providers, Stacks, TenantDiff, TenantLogs, TenantStore, Verifier, Wake, Webhooks,
    },
};

use crate::{figures::RpcFigures, limits::Limits, merge::Turns, opaque::OpaqueTokens};

/// What the API works with.
#[derive(Clone)]
pub struct Ports {
    /// The store.
    pub store: Arc<dyn TenantStore>,
    /// What is on offer; a reload of the configuration replaces it.
    pub catalog: Arc<CurrentCatalog>,
    /// What tenants may set in stacks.
    pub stacks: Arc<dyn Stacks>,
    /// The plugins, for their health.
    pub providers: Arc<dyn Providers>,
    /// Kubeconfigs for operators and customers.
    pub kube_access: Arc<dyn KubeAccess>,
    /// Runs a tenant's checks.
    pub verifier: Arc<dyn Verifier>,
    /// What is handed over to customers.
    pub handover: Arc<dyn Handover>,
    /// What tenants' apps write down.
    pub logs: Arc<dyn TenantLogs>,
    /// What would change in tenants' clusters.
    pub diff: Arc<dyn TenantDiff>,
    /// Who has read what of it.
    pub credentials: Arc<dyn CredentialStore>,
    /// Who calls.
    pub authenticator: Arc<dyn Authenticator>,
    /// What they may do.
    pub authorizer: Arc<dyn Authorizer>,
    /// Who may order, and what.
    pub customers: Arc<dyn CustomerStore>,
    /// Who did what.
    pub audit: Arc<dyn AuditStore>,
    /// The daemons that share the store.
    pub daemons: Arc<dyn DaemonStore>,
    /// Id of this one.
    pub daemon: String,
    /// Where events are delivered to.
    pub webhooks: Arc<dyn Webhooks>,
    /// What is measured of calls.
    pub figures: RpcFigures,
    /// How much each caller may ask for.
    pub limits: Limits,
    /// Origins (`https://host`) whose pages may call, by gRPC-Web.
    pub web_origins: Arc<BTreeSet<String>>,
    /// Seals places in lists and watches.
    pub tokens: Arc<OpaqueTokens>,
    /// Who merges a change now.
    pub turns: Turns,
    /// Hints to the engine.
    pub wake: Arc<dyn Wake>,
}

impl std::fmt::Debug for Ports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ports").field("catalog", &self.catalog).finish_non_exhaustive()
    }
}
