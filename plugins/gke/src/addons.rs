//! Add-ons that GKE has built in: they come with the cluster and are only checked. Nothing of them
//! is an object of its own, so there is nothing to delete, and an observer is shown the cluster.

use google_cloud_container_v1::model::{Cluster, DatapathProvider};
use landlord_provider_api::{ErrorKind, ProviderError, v1};

use crate::{
    cluster,
    error::Result,
    google::Google,
    names::Names,
    progress::{self, Outcome},
};

/// What a tenant's cluster must have, and has lost if somebody changed it by hand.
fn lacking(scope: &v1::Scope, cluster: &Cluster) -> Vec<&'static str> {
    let addons = cluster.addons_config.as_ref();
    let disks = addons.and_then(|a| a.gce_persistent_disk_csi_driver_config.as_ref()).is_some_and(|d| d.enabled);
    let balancing = addons.and_then(|a| a.http_load_balancing.as_ref()).is_none_or(|h| !h.disabled);
    let datapath = cluster.network_config.as_ref().map(|n| &n.datapath_provider);
    let pool = cluster.workload_identity_config.as_ref().map(|w| w.workload_pool.as_str());
    [
        (disks, "the Compute Engine persistent disk CSI driver"),
        (balancing, "HTTP load balancing"),
        (datapath == Some(&DatapathProvider::AdvancedDatapath), "Dataplane V2, which enforces NetworkPolicies"),
        (pool == Some(cluster::workload_pool(scope).as_str()), "Workload Identity"),
    ]
    .into_iter()
    .filter_map(|(present, what)| (!present).then_some(what))
    .collect()
}

/// Checks that the cluster has what the tenant's environment stands on.
pub(crate) async fn ensure(google: &Google, scope: &v1::Scope) -> Result<Outcome> {
    let names = Names::new(scope)?;
    let name = names.cluster();
    let Some(cluster) = cluster::find(google, scope, &names).await? else {
        let message = format!("GKE cluster {name} does not exist");
        return Err(ProviderError::new(ErrorKind::Conflict, message).into());
    };
    let lacking = lacking(scope, &cluster);
    if lacking.is_empty() {
        return Ok(progress::ready());
    }
    Err(ProviderError::new(ErrorKind::Conflict, format!("GKE cluster {name} lacks {}", lacking.join(", ")))
        .with_remedy("switch it on again in the cluster's settings: somebody changed it by hand")
        .into())
}

/// Checks: ready with a cluster that has everything. They live and go with it, and are shown as it.
pub(crate) async fn observe(google: &Google, scope: &v1::Scope) -> Result<(Outcome, Vec<v1::OwnedObject>)> {
    let names = Names::new(scope)?;
    let Some(cluster) = cluster::find_own(google, scope, &names).await? else { return Ok((Outcome::Gone, Vec::new())) };
    let lacking = lacking(scope, &cluster);
    let outcome = match lacking.is_empty() {
        true => progress::ready(),
        false => progress::pending(30, format!("the cluster lacks {}", lacking.join(", "))),
    };
    Ok((outcome, vec![cluster::owned(&cluster, &scope.region)]))
}
