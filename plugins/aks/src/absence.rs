//! Whether what is about to be called gone is gone. A marker can be taken off by anybody, so what the daemon's records say
//! was made for the tenant is looked up by its name before it is believed.

use landlord_provider_api::v1::ResourceKind as Kind;

use crate::{cluster, dns, error::Result, group, names::Call, node_pool, tags};

/// Nothing of `kind` responds under the tenant's name, nor the group or cluster that it would be in.
///
/// # Errors
/// NAME_TAKEN: something does, and does not carry our markers.
pub(crate) async fn check(call: &Call<'_>, kind: Kind, role: &str, domain: &str) -> Result<()> {
    if matches!(kind, Kind::Cluster | Kind::Addons | Kind::NodePool) && !call.names.is_shared() {
        cluster::find(call).await?;
    }
    match kind {
        Kind::Cluster => match cluster::nodes_group(call).await? {
            Some(None) => Err(tags::name_taken("resource group", &call.names.nodes_group()).into()),
            Some(Some(_)) | None => Ok(()),
        },
        Kind::NodePool => {
            if call.names.is_shared() {
                // What was noted about the pool is in it.
                group::find(call, call.names.group()).await?;
            }
            if role.is_empty() { Ok(()) } else { node_pool::refuse_unmarked(call, role).await }
        }
        Kind::Network | Kind::Identity => group::find(call, call.names.group()).await.map(drop),
        Kind::DnsZone | Kind::DnsRecords => {
            let found = group::find(call, &call.names.dns_group()).await?;
            if found.is_some() && !domain.is_empty() {
                dns::find(call, &dns::normal(domain)).await?;
            }
            Ok(())
        }
        // Add-ons go with the cluster; what Kubernetes made is known by it.
        Kind::Addons | Kind::Leftovers | Kind::Unspecified => Ok(()),
    }
}
