//! What carries our markers. ARM's list of resources by tag finds most of it and lags behind
//! both ways: what it lists is inspected before it is reported, and what matters most (groups,
//! cluster, zones) is requested by name as well.

use std::collections::BTreeMap;

use landlord_provider_api::{MARKER_INSTALLATION, MARKER_TENANT_UID, v1};
use landlord_provider_sdk::markers::is_in_scope;

use crate::{
    api,
    arm::Arm,
    cluster,
    config::Config,
    dns,
    error::Result,
    group, leftovers,
    names::{self, Call},
    node_pool,
    object::{Object, Plain},
    tags,
};

/// Objects by id, each once.
type Found = BTreeMap<String, v1::OwnedObject>;

/// One page of the inventory: what is found by name and the resource groups come with the
/// first, resources by tag with each.
pub(crate) async fn list(
    arm: &Arm,
    config: &Config,
    scope: &v1::Scope,
    page_token: &str,
) -> Result<v1::ListOwnedResponse> {
    let subscription = format!("/subscriptions/{}", names::subscription(scope)?);
    let mut found = Found::new();
    if page_token.is_empty() {
        if !scope.tenant_uid.is_empty() {
            by_name(&Call::new(arm, config, scope)?, &mut found).await?;
        }
        let groups =
            arm.list::<Plain>(&api::GROUP, &format!("{subscription}/resourcegroups"), Some(&filter(scope))).await?;
        for group in groups.iter().filter(|g| is_ours(scope, g)) {
            add(&mut found, group.owned(scope));
        }
        if scope.tenant_uid.is_empty() {
            shared_pools(arm, scope, &subscription, &mut found).await?;
        }
    }
    let path = format!("{subscription}/resources");
    let (resources, next) = arm.page::<Plain>(&api::RESOURCE, &path, Some(&filter(scope)), page_token).await?;
    for resource in resources.iter().filter(|r| is_ours(scope, r)) {
        // A type not known here cannot be inspected: better reported once too often.
        let exists = match api::of_type(resource.kind()) {
            Some(kind) => arm.get::<Plain>(kind, resource.id()).await?.is_some(),
            None => true,
        };
        if !exists {
            continue;
        }
        add(&mut found, resource.owned(scope));
        if api::of_type(resource.kind()) == Some(&api::CLUSTER) {
            for pool in node_pool::inventory(arm, scope, resource.id()).await? {
                add(&mut found, pool);
            }
        }
    }
    Ok(v1::ListOwnedResponse { objects: found.into_values().collect(), next_page_token: next })
}

/// Pools of ours in clusters that are not: ARM lists no pool by tag, but each cluster reports its pools'.
async fn shared_pools(arm: &Arm, scope: &v1::Scope, subscription: &str, found: &mut Found) -> Result<()> {
    let path = format!("{subscription}/providers/Microsoft.ContainerService/managedClusters");
    for cluster in arm.list::<cluster::Properties>(&api::CLUSTER, &path, None).await? {
        let ours = |tags: &tags::Tags| tags.get(MARKER_INSTALLATION) == Some(&scope.installation);
        if !ours(cluster.tags()) && cluster.properties.agent_pool_profiles.iter().any(|pool| ours(&pool.tags)) {
            for pool in node_pool::inventory(arm, scope, cluster.id()).await? {
                add(found, pool);
            }
        }
    }
    Ok(())
}

fn add(found: &mut Found, object: v1::OwnedObject) {
    // ARM does not keep to one spelling of an id.
    found.entry(object.id.to_ascii_lowercase()).or_insert(object);
}

/// ARM takes one tag in a filter: the one that leaves least.
fn filter(scope: &v1::Scope) -> String {
    let (key, value) = match scope.tenant_uid.as_str() {
        "" => (MARKER_INSTALLATION, &scope.installation),
        _ => (MARKER_TENANT_UID, &scope.tenant_uid),
    };
    format!("tagName eq '{key}' and tagValue eq '{value}'")
}

fn is_ours(scope: &v1::Scope, object: &Object<Plain>) -> bool {
    is_in_scope(scope, object.tags())
}

/// What is found by its name, at once and for certain.
async fn by_name(call: &Call<'_>, found: &mut Found) -> Result<()> {
    for name in [call.names.group().to_owned(), call.names.dns_group()] {
        if let Some(group) = group::find_own(call, &name).await? {
            add(found, group.owned(call.scope));
        }
    }
    for zone in dns::list(call).await? {
        add(found, zone.owned(call.scope));
    }
    if call.names.is_shared() {
        // Its pool; the rest of a shared cluster, with its leftovers, is the host's.
        for pool in node_pool::observe(call, &call.names.shared_pool_role()).await?.1 {
            add(found, pool);
        }
        return Ok(());
    }
    if let Some(Some(nodes)) = cluster::nodes_group(call).await? {
        add(found, nodes.owned(call.scope));
    }
    if let Some(cluster) = cluster::find_own(call).await? {
        add(found, cluster.owned(call.scope));
        for pool in node_pool::inventory(call.arm, call.scope, cluster.id()).await? {
            add(found, pool);
        }
    }
    for leftover in leftovers::observe(call).await?.1 {
        add(found, leftover);
    }
    Ok(())
}
