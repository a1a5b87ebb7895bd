//! Whether what is about to be called gone is gone. A marker can be taken off by anybody, so what the daemon's records say
//! was made for the tenant is looked up by its name before it is believed.

use landlord_provider_api::v1::{self, ResourceKind as Kind};

use crate::{aws::Clients, cluster, error::Result, names::Names, network, node_pool, tags};

/// Nothing of `kind` responds under the tenant's name, nor the cluster that it would be in.
///
/// # Errors
/// NAME_TAKEN: something does, and does not carry our markers.
pub(crate) async fn check(aws: &Clients, scope: &v1::Scope, kind: Kind, role: &str) -> Result<()> {
    let names = Names::new(scope)?;
    let is_in_cluster = matches!(kind, Kind::Cluster | Kind::Addons | Kind::NodePool | Kind::Identity);
    if is_in_cluster && !names.is_shared() {
        cluster::find(aws, scope, &names).await?;
    }
    match kind {
        Kind::Network => match network::stack::find(aws, names.stack()).await? {
            Some(stack) if !stack.is_ours(scope) => Err(tags::name_taken("CloudFormation stack", names.stack()).into()),
            _ => Ok(()),
        },
        Kind::NodePool if !role.is_empty() => node_pool::refuse_unmarked(aws, scope, &names, role).await,
        // A zone is known by its caller reference, which nobody can change; what Kubernetes made is known by the cluster.
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
