//! What would hold the removal of a tenant's cluster, searched for before anything of it is removed. GKE itself takes node
//! pools along with their cluster, whoever made them.
//!
//! <https://cloud.google.com/kubernetes-engine/docs/how-to/deleting-a-cluster>

use google_cloud_container_v1::model::{NodePool, cluster::Status};
use landlord_provider_api::v1::{self, ResourceKind as Kind};
use landlord_provider_sdk::holds::{self, Holds};

use crate::{action, cluster, compute::Object, error::Result, google::Google, leftovers, markers, names, names::Names};

/// Checks, before a kind is removed, for what would stop a later one or be lost by it.
///
/// # Errors
/// CONFLICT, naming everything that holds the removal.
pub(crate) async fn check(google: &Google, scope: &v1::Scope, kind: Kind, role: &str) -> Result<()> {
    let names = Names::new(scope)?;
    if !holds::are_searched_for(kind) || names.is_shared() {
        return Ok(());
    }
    let found = cluster::find_own(google, scope, &names).await?;
    let Some(cluster) = found.filter(|cluster| cluster.status != Status::Stopping) else { return Ok(()) };
    // The pool of the request itself is judged by its own removal, also when its marker is gone.
    let own = if role.is_empty() { String::new() } else { names::node_pool(role)? };
    let mut holds = Holds::default();
    for pool in cluster.node_pools.iter().filter(|pool| pool.name != own && is_foreign(scope, pool)) {
        let what = format!("node pool {} in GKE cluster {} is not landlord's", pool.name, names.cluster());
        holds.add(what, "delete those node pools, or move their work to another cluster first");
    }
    for what in in_network(google, scope, &names).await? {
        let what = format!("{what} in VPC network {} is neither landlord's nor its cluster's", names.network());
        holds.add(what, "remove those objects, or move them to another network");
    }
    Ok(holds.end()?)
}

/// What others put into the tenant's network, which cannot go before it: subnetworks, routers, firewall rules, machines, private
/// endpoints and load balancers.
async fn in_network(google: &Google, scope: &v1::Scope, names: &Names) -> Result<Vec<String>> {
    let network = format!("projects/{}/global/networks/{}", scope.account, names.network());
    let mut found = Vec::new();
    for (action, path, what) in [
        (action::LIST_SUBNETWORKS, "aggregated/subnetworks", "subnetwork"),
        (action::LIST_ROUTERS, "aggregated/routers", "Cloud Router"),
        (action::LIST_LEFTOVERS, "global/firewalls", "firewall rule"),
        (action::LIST_INSTANCES, "aggregated/instances", "instance"),
        // A private endpoint is a rule that forwards to somebody's service.
        (action::LIST_LEFTOVERS, "aggregated/forwardingRules", "forwarding rule"),
    ] {
        let all = google.compute.list(action, &scope.account, path, "").await?;
        let is_foreign = |object: &&Object| {
            object.is_in(&network)
                && !markers::is_ours(scope, &object.markers())
                && !leftovers::by_controller(&object.name)
        };
        found.extend(all.iter().filter(is_foreign).map(|object| format!("{what} {}", object.name)));
    }
    Ok(found)
}

/// Neither ours nor made by the cluster's own autoscaler.
fn is_foreign(scope: &v1::Scope, pool: &NodePool) -> bool {
    let is_ours = pool.config.as_ref().is_some_and(|config| markers::is_ours(scope, &config.resource_labels));
    let is_autoprovisioned = pool.autoscaling.as_ref().is_some_and(|autoscaling| autoscaling.autoprovisioned);
    !is_ours && !is_autoprovisioned
}
