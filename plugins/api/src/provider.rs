//! The trait family that every provider implements, and that the daemon calls.
//!
//! # Expected flow
//! The daemon calls `ensure_*` until it returns Ready, `delete` until it returns Gone, each
//! with a durable intent recorded beforehand. A call may be repeated at any moment, also
//! after a response that never arrived, also by another daemon.
//!
//! # What an implementation guarantees
//! - Idempotent: repeating a call changes nothing more than one call does.
//! - Quick: it starts or observes, and never waits for the cloud's work to end.
//! - Deterministic names from `scope.tenant_uid`; client tokens where the API takes one.
//! - Every object carries the three markers from the create call on. Before creating, it
//!   looks the name up: ours is adopted, a foreign one is [`ErrorKind::NameTaken`].
//! - Deleting what is absent succeeds. What responds under the tenant's name is not absent: if the daemon's records say
//!   that it is the tenant's (`DeleteRequest.recorded`) and its marker is gone, that is [`ErrorKind::NameTaken`], never Gone.
//! - No secret appears in an error or a log line.
//!
//! # What a cloud lacks
//! A family that a cloud lacks is one line, `impl lacks::Dns for MyCloud {}`: its methods then refuse, and the capability is
//! missing. Nobody states capabilities: [`capabilities`] derives them from which families are implemented.
//!
//! # Cancellation
//! A call may be dropped at any await point: the process may be killed there as well.
//!
//! [`ErrorKind::NameTaken`]: crate::ErrorKind::NameTaken

use async_trait::async_trait;

use crate::{ProviderError, defaults, seal::Seal, v1};

/// The tenant's network and the identities that a cluster needs from the start.
#[async_trait]
pub trait Network {
    /// Makes the network exist.
    async fn ensure_network(
        &self,
        request: v1::EnsureNetworkRequest,
    ) -> Result<v1::EnsureNetworkResponse, ProviderError>;

    /// The capability is derived from it; nobody outside of this crate can override it.
    #[doc(hidden)]
    fn is_offered(_: Seal) -> bool
    where
        Self: Sized,
    {
        true
    }
}

/// The Kubernetes control plane and its add-ons.
#[async_trait]
pub trait Cluster {
    /// Makes the control plane exist.
    async fn ensure_cluster(
        &self,
        request: v1::EnsureClusterRequest,
    ) -> Result<v1::EnsureClusterResponse, ProviderError>;

    /// Makes the add-ons exist. Without an implementation they are part of the cluster: Ready.
    async fn ensure_addons(&self, request: v1::EnsureAddonsRequest) -> Result<v1::EnsureAddonsResponse, ProviderError> {
        defaults::scoped(request.scope.as_ref())?;
        Ok(v1::EnsureAddonsResponse { progress: defaults::ready() })
    }

    /// Short-lived access to the API server. Makes no change in the cloud.
    async fn kube_access(&self, request: v1::KubeAccessRequest) -> Result<v1::KubeAccess, ProviderError>;
}

/// Node pools.
#[async_trait]
pub trait NodePool {
    /// Makes the pool exist with the wanted size.
    async fn ensure_node_pool(
        &self,
        request: v1::EnsureNodePoolRequest,
    ) -> Result<v1::EnsureNodePoolResponse, ProviderError>;

    /// The capability is derived from it; nobody outside of this crate can override it.
    #[doc(hidden)]
    fn is_offered(_: Seal) -> bool
    where
        Self: Sized,
    {
        true
    }
}

/// DNS zone and records.
#[async_trait]
pub trait Dns {
    /// Makes the zone exist.
    async fn ensure_dns_zone(
        &self,
        request: v1::EnsureDnsZoneRequest,
    ) -> Result<v1::EnsureDnsZoneResponse, ProviderError>;

    /// Makes the records exist; records of ours that are no longer wanted go.
    async fn ensure_dns_records(
        &self,
        request: v1::EnsureDnsRecordsRequest,
    ) -> Result<v1::EnsureDnsRecordsResponse, ProviderError>;

    /// The capability is derived from it; nobody outside of this crate can override it.
    #[doc(hidden)]
    fn is_offered(_: Seal) -> bool
    where
        Self: Sized,
    {
        true
    }
}

/// Identities of service accounts.
#[async_trait]
pub trait Identity {
    /// Makes the associations exist.
    async fn ensure_identity(
        &self,
        request: v1::EnsureIdentityRequest,
    ) -> Result<v1::EnsureIdentityResponse, ProviderError>;

    /// The capability is derived from it; nobody outside of this crate can override it.
    #[doc(hidden)]
    fn is_offered(_: Seal) -> bool
    where
        Self: Sized,
    {
        true
    }
}

/// Looking, deleting, listing.
#[async_trait]
pub trait Inventory {
    /// Observes without changing anything.
    async fn observe(&self, request: v1::ObserveRequest) -> Result<v1::ObserveResponse, ProviderError>;

    /// Makes one kind of resource of the tenant absent.
    async fn delete(&self, request: v1::DeleteRequest) -> Result<v1::DeleteResponse, ProviderError>;

    /// Lists what carries our markers.
    async fn list_owned(&self, request: v1::ListOwnedRequest) -> Result<v1::ListOwnedResponse, ProviderError>;
}

/// A configured provider: one cloud with one credential scope.
#[async_trait]
pub trait Provider: Network + Cluster + NodePool + Dns + Identity + Inventory + Send + Sync + 'static {
    /// What the plugin is and can do. Needs no network. A plugin returns [`describe`] of itself.
    async fn describe(&self, request: v1::DescribeRequest) -> Result<v1::DescribeResponse, ProviderError>;

    /// Whether a tenant could be built as described; all violations at once.
    async fn validate(&self, request: v1::ValidateRequest) -> Result<v1::ValidateResponse, ProviderError>;
}

/// What a plugin library exports with `export_provider!`.
#[async_trait]
pub trait ProviderPlugin: Provider + Sized {
    /// Provider name, a DNS label.
    const NAME: &'static str;
    /// Plugin version (semver).
    const VERSION: &'static str;
    /// Whether the credential leads to one cluster that exists already: network, cluster and nodes are inspected, and nothing
    /// makes or removes them.
    const ADOPTS_CLUSTERS: bool = false;

    /// What the plugin is, before any configuration. Must not panic, block or reach out. Its `capabilities` hold only what
    /// the contract has no word for, for example `secrets-encryption`; [`describe`] adds the contract's.
    fn description() -> v1::DescribeResponse;

    /// Builds a provider from its configuration. Makes no outside call.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Invalid`] with every problem of the configuration at once.
    async fn configure(request: v1::ConfigureRequest) -> Result<Self, ProviderError>;
}

/// The contract's capabilities of a plugin: those of the families that it implements.
#[must_use]
pub fn capabilities<P: ProviderPlugin>() -> Vec<&'static str> {
    let made = !P::ADOPTS_CLUSTERS;
    let all = [
        ("networks", made && <P as Network>::is_offered(Seal)),
        ("clusters", made),
        ("node-pools", made && <P as NodePool>::is_offered(Seal)),
        ("dns", <P as Dns>::is_offered(Seal)),
        ("identity", <P as Identity>::is_offered(Seal)),
        ("adopts-clusters", P::ADOPTS_CLUSTERS),
    ];
    all.into_iter().filter_map(|(word, is_offered)| is_offered.then_some(word)).collect()
}

/// A plugin's description with the capabilities that it has.
#[must_use]
pub fn describe<P: ProviderPlugin>() -> v1::DescribeResponse {
    let mut description = P::description();
    let words = capabilities::<P>();
    description.capabilities.retain(|word| !CONTRACT_WORDS.contains(&word.as_str()));
    description.capabilities.splice(0..0, words.into_iter().map(str::to_owned));
    description
}

/// Words that [`capabilities`] alone decides.
const CONTRACT_WORDS: [&str; 6] = ["networks", "clusters", "node-pools", "dns", "identity", "adopts-clusters"];
