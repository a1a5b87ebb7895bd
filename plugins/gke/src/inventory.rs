//! What carries our markers. Google Cloud has no one place to ask that is up to date (Cloud Asset
//! Inventory lags by minutes and is an API of its own), so each service is listed: clusters and
//! pools, networks, subnetworks and routers, zones and the rights on them, and for one tenant its leftovers.

use std::collections::BTreeMap;

use landlord_provider_api::{ErrorKind, ProviderError, v1};

use crate::{
    action::{self, Action},
    cluster, dns,
    error::{Result, failed},
    google::Google,
    identity, leftovers, markers,
    network::object::Kind,
    node_pool,
};

/// Where what has a description as its marker is listed.
const LISTS: [(Action, &str, Kind); 3] = [
    (action::LIST_NETWORKS, "global/networks", Kind::Network),
    (action::LIST_SUBNETWORKS, "aggregated/subnetworks", Kind::Subnetwork),
    (action::LIST_ROUTERS, "aggregated/routers", Kind::Router),
];

/// The inventory, in one page: a tenant has some ten objects, an installation as many a tenant.
pub(crate) async fn list(google: &Google, scope: &v1::Scope) -> Result<v1::ListOwnedResponse> {
    let mut found: BTreeMap<String, v1::OwnedObject> = BTreeMap::new();
    let mut add = |object: v1::OwnedObject| {
        found.entry(format!("{} {}", object.r#type, object.id)).or_insert(object);
    };
    clusters(google, scope).await?.into_iter().for_each(&mut add);
    for (action, collection, kind) in LISTS {
        for object in google.compute.list(action, &scope.account, collection, "").await? {
            let markers = object.markers();
            if markers::is_in_scope(scope, &markers) {
                add(markers::owned(kind.type_name(), &object.self_link, &object.name, &markers, &scope.region));
            }
        }
    }
    let zones = dns::list(google, scope).await?;
    zones.iter().map(|zone| dns::owned(scope, zone)).for_each(&mut add);
    identity::inventory(google, scope, zones).await?.into_iter().for_each(&mut add);
    // The leftovers of a shared cluster are the host's.
    if !scope.tenant_uid.is_empty() && scope.host_cluster.is_empty() {
        leftovers::observe(google, scope).await?.1.into_iter().for_each(&mut add);
    }
    Ok(v1::ListOwnedResponse { objects: found.into_values().collect(), next_page_token: String::new() })
}

/// Clusters and pools, in every location: a class's region may have changed. Pools are known by their own markers: in a
/// shared cluster they are not its owner's.
async fn clusters(google: &Google, scope: &v1::Scope) -> Result<Vec<v1::OwnedObject>> {
    let parent = format!("projects/{}/locations/-", scope.account);
    let response = google.clusters.list_clusters().set_parent(&parent).send().await;
    let response = response.map_err(failed(action::LIST_CLUSTERS, &parent))?;
    if !response.missing_zones.is_empty() {
        let message = format!("GKE cannot list the clusters in {}", response.missing_zones.join(", "));
        return Err(ProviderError::new(ErrorKind::Transient, message).into());
    }
    let mut found = Vec::new();
    for cluster in response.clusters {
        if markers::is_in_scope(scope, &cluster.resource_labels) {
            found.push(cluster::owned(&cluster, &cluster.location));
        }
        found.extend(node_pool::all_owned(scope, &cluster));
    }
    Ok(found)
}
