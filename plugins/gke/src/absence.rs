//! Whether what is about to be called gone is gone. A marker can be taken off by anybody, so what the daemon's records say
//! was made for the tenant is looked up by its name before it is believed.

use landlord_provider_api::v1::{self, ResourceKind as Kind};

use crate::{cluster, dns, error::Result, google::Google, names::Names, network, node_pool};

/// Nothing of the kind of `request` responds under the tenant's name, nor the cluster or zone that it would be in.
///
/// # Errors
/// NAME_TAKEN: something does, and does not carry our markers.
pub(crate) async fn check(google: &Google, scope: &v1::Scope, request: &Subject<'_>) -> Result<()> {
    let names = Names::new(scope)?;
    let is_in_cluster = matches!(request.kind, Kind::Cluster | Kind::Addons | Kind::NodePool);
    if is_in_cluster && !names.is_shared() {
        cluster::find(google, scope, &names).await?;
    }
    match request.kind {
        Kind::Network => network::object::refuse_unmarked(google, scope, &names).await,
        Kind::NodePool if !request.role.is_empty() => {
            node_pool::refuse_unmarked(google, scope, &names, request.role).await
        }
        // The cluster's rights are rights on the zone.
        Kind::DnsZone | Kind::DnsRecords | Kind::Identity if !request.domain.is_empty() => {
            dns::refuse_unmarked(google, scope, &names, request.domain).await
        }
        // What Kubernetes made is known by the cluster.
        Kind::NodePool
        | Kind::Cluster
        | Kind::Addons
        | Kind::Identity
        | Kind::DnsZone
        | Kind::DnsRecords
        | Kind::Leftovers
        | Kind::Unspecified => Ok(()),
    }
}

/// What is searched for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) kind: Kind,
    /// Of a node pool.
    pub(crate) role: &'a str,
    /// Of what belongs to a zone.
    pub(crate) domain: &'a str,
}
