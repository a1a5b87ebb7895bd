//! What would hold the removal of a tenant's cluster or resource group, searched for before anything of it is removed: locks,
//! and objects of others. AKS itself takes agent pools along with their cluster, whoever made them.
//!
//! <https://learn.microsoft.com/azure/azure-resource-manager/management/lock-resources>

use landlord_provider_api::v1::ResourceKind as Kind;
use landlord_provider_sdk::{
    error::Absent as _,
    holds::{self, Holds},
    markers::is_ours,
};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    api, cluster,
    error::Result,
    group, leftovers,
    names::{self, Call},
    object::{Object, State, group_of},
};

/// What is read of a lock.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Lock {
    level: String,
}

/// Checks, before a kind is removed, for what would stop a later one or be lost by it.
///
/// # Errors
/// CONFLICT, naming everything that holds the removal.
pub(crate) async fn check(call: &Call<'_>, kind: Kind, role: &str) -> Result<()> {
    if !holds::are_searched_for(kind) {
        return Ok(());
    }
    if call.names.is_shared() {
        // The tenant's own are its resource groups alone.
        let mut holds = Holds::default();
        locks(call, &[call.names.group(), &call.names.dns_group()], &mut holds).await?;
        return Ok(holds.end()?);
    }
    let found = cluster::find_own(call).await?.filter(|cluster| cluster.state() != State::Deleting);
    let Some(cluster) = found else { return Ok(()) };
    let mut holds = Holds::default();
    // The pool of the request itself is judged by its own removal, also when its marker is gone.
    let own = if role.is_empty() { String::new() } else { names::pool(role)? };
    let pools = cluster.properties.agent_pool_profiles.iter();
    for pool in pools.filter(|pool| pool.name != own && !is_ours(call.scope, &pool.tags)) {
        let what = format!("agent pool {} in AKS cluster {} is not landlord's", pool.name, cluster.name());
        holds.add(what, "delete those agent pools, or move their work to another cluster first");
    }
    let group = call.names.group();
    let mut foreign = group::contents(call, group).await?;
    foreign.retain(|object| !object.is_ours(call.scope));
    if !foreign.is_empty() {
        // What Kubernetes made goes with the cluster, or as its leftovers.
        let made: Vec<_> = leftovers::observe(call).await?.1;
        foreign.retain(|object| !made.iter().any(|made| made.id.eq_ignore_ascii_case(object.id())));
    }
    for object in &foreign {
        let what = format!("{} in resource group {group} is not this tenant's", object.id());
        holds.add(what, "move those objects to another resource group, or remove them");
    }
    for id in in_nodes_group(call).await? {
        let what =
            format!("{id} lies in the nodes' resource group, which goes with its cluster, and is not landlord's");
        holds.add(what, "move those objects to another resource group, or remove them");
    }
    for id in in_subnets(call).await? {
        let what = format!("{id} uses a subnet of {group} and is neither landlord's nor its cluster's");
        holds.add(what, "move those objects to another network, or remove them");
    }
    locks(call, &[group, &call.names.nodes_group(), &call.names.dns_group()], &mut holds).await?;
    Ok(holds.end()?)
}

/// Locks of the tenant's resource groups, those that are there.
async fn locks(call: &Call<'_>, groups: &[&str], holds: &mut Holds) -> Result<()> {
    for group in groups {
        let path = format!("{}/providers/Microsoft.Authorization/locks", call.names.group_id(group));
        for lock in call.arm.list::<Lock>(&api::LOCK, &path, None).await.or_absent()?.unwrap_or_default() {
            let what = format!("the lock {} ({}) keeps resource group {group}", lock.name(), level(&lock));
            holds.add(what, format!("run `az lock delete --ids {}`", lock.id()));
        }
    }
    Ok(())
}

/// Types that neither AKS nor Kubernetes makes in the nodes' group of a cluster as landlord orders it.
const FOREIGN: [&str; 2] = ["Microsoft.Compute/virtualMachines", "Microsoft.Network/privateEndpoints"];
/// What AKS makes of these types all the same: nodes of pools of another kind, and the endpoint of a private cluster.
const MADE_BY_AKS: (&str, &str) = ("aks-managed", "kube-apiserver");

/// Machines and private endpoints that others put into the nodes' resource group: AKS deletes it with all that is in it.
async fn in_nodes_group(call: &Call<'_>) -> Result<Vec<String>> {
    let inside = group::contents(call, &call.names.nodes_group()).await.or_absent()?.unwrap_or_default();
    let is_strange = |object: &&group::Group| {
        let by_aks = object.name() == MADE_BY_AKS.1
            || object.tags().keys().any(|key| key.to_lowercase().starts_with(MADE_BY_AKS.0));
        FOREIGN.iter().any(|of| of.eq_ignore_ascii_case(object.kind())) && !by_aks && !object.is_ours(call.scope)
    };
    Ok(inside.iter().filter(is_strange).map(|object| object.id().to_owned()).collect())
}

/// What is read of a network.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Vnet {
    subnets: Vec<Value>,
}

/// What lies in the tenant's subnets and in none of its resource groups: a subnet cannot go before its users.
async fn in_subnets(call: &Call<'_>) -> Result<Vec<String>> {
    let Some(vnet) = call.arm.get::<Vnet>(&api::VNET, &call.names.network_id()).await? else { return Ok(Vec::new()) };
    let own = [call.names.group().to_owned(), call.names.nodes_group()];
    let users = vnet.properties.subnets.iter().flat_map(|subnet| {
        let of = |key: &str| subnet["properties"][key].as_array().into_iter().flatten();
        of("ipConfigurations").chain(of("privateEndpoints")).filter_map(|user| user["id"].as_str())
    });
    let is_foreign =
        |id: &&str| group_of(id).is_some_and(|group| !own.iter().any(|own| own.eq_ignore_ascii_case(group)));
    Ok(users.filter(is_foreign).map(str::to_owned).collect())
}

fn level(lock: &Object<Lock>) -> &str {
    if lock.properties.level.is_empty() { "of unknown level" } else { &lock.properties.level }
}
