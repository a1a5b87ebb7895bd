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
        subnet["properties"]["ipConfigurations"].as_array().into_iter().flatten().filter_map(|user| user["id"].as_str())
    });
    let is_foreign =
        |id: &&str| group_of(id).is_some_and(|group| !own.iter().any(|own| own.eq_ignore_ascii_case(group)));
    Ok(users.filter(is_foreign).map(str::to_owned).collect())
}

fn level(lock: &Object<Lock>) -> &str {
    if lock.properties.level.is_empty() { "of unknown level" } else { &lock.properties.level }
}
