//! The node resource group of a cluster, which AKS makes, fills and deletes.
//!
//! <https://learn.microsoft.com/azure/aks/faq#why-are-two-resource-groups-created-with-aks->; outbound types:
//! <https://learn.microsoft.com/azure/aks/egress-outboundtype>. Tags of the cluster are put on what is in it:
//! <https://learn.microsoft.com/azure/aks/use-tags>.

use super::{
    super::{
        id::{self, Target},
        kind::AzureKind,
        msi, network, references, resource,
    },
    names::{count_of, group_of, hash_of, name, scale_set_id},
    refuse,
};
use cloudsim_core::{
    call::Result,
    ctx::Ctx,
    object::{Object, Owner},
};
use serde_json::{Value, json};

/// Refuses a node resource group that is there already, or is the cluster's own. Words as users met them:
/// <https://github.com/hashicorp/terraform-provider-azurerm/issues/7562>, <https://github.com/Azure/azure-cli/issues/27215>.
///
/// # Errors
/// NodeResourceGroupAlreadyExists, NodeResourceGroupSameAsResourceGroup.
pub(super) fn check(ctx: &mut Ctx<'_>, target: &Target, body: &Value) -> Result<()> {
    let name = name(target, body);
    if name.eq_ignore_ascii_case(target.group()) {
        let message = format!(
            "Node resource group '{name}' is the same as ResourceGroup '{}', which is not allowed, please provide a different node resource group.",
            target.group()
        );
        return Err(refuse("NodeResourceGroupSameAsResourceGroup", message));
    }
    let key = id::group_id(&target.subscription, &name).to_lowercase();
    if ctx.scope().live(&key).is_none() {
        return Ok(());
    }
    let message = format!(
        "Node resource group '{name}' under subscription '{}' already exists, please provide a new one.",
        target.subscription
    );
    Err(refuse("NodeResourceGroupAlreadyExists", message))
}

/// Makes the group with what every cluster has in it.
///
/// # Errors
/// Quotas.
pub(super) fn make(ctx: &mut Ctx<'_>, cluster: &Object, tenant: &str) -> Result<()> {
    let group = group_of(cluster);
    let location = resource::location(cluster);
    let mut tags = cluster.tags.clone();
    tags.insert("aks-managed-cluster-name".to_owned(), cluster.name.clone().unwrap_or_default());
    tags.insert("aks-managed-cluster-rg".to_owned(), cluster.vpc.clone().unwrap_or_default());
    let body = json!({ "location": location, "tags": tags, "managedBy": cluster.arn });
    resource::create_group(ctx, &group, &body)?;
    ctx.adjust(&group.to_lowercase(), |o| o.owner = Owner::Service);
    let hash = hash_of(cluster);
    let of = |kind: &str, name: &str| format!("{group}/providers/{kind}/{name}");
    let security = of("Microsoft.Network/networkSecurityGroups", &format!("aks-agentpool-{hash}-nsg"));
    let plain = json!({ "location": location, "tags": cluster.tags });
    network::make(ctx, AzureKind::NetworkSecurityGroup, &security, &plain, Owner::Service)?;
    let kubelet = of("Microsoft.ManagedIdentity/userAssignedIdentities", &format!("{}-agentpool", leaf(cluster)));
    let identity = msi::make(ctx, &kubelet, &plain, tenant);
    ctx.adjust(&identity.id, |o| o.owner = Owner::Service);
    let field = |name: &str| resource::doc_text(&identity, &format!("/properties/{name}")).to_owned();
    let profile = json!({ "kubeletidentity": { "resourceId": identity.arn, "clientId": field("clientId"),
        "objectId": field("principalId") } });
    ctx.adjust(&cluster.id, |o| resource::amend(o, |doc| doc["properties"]["identityProfile"] = profile));
    if resource::doc_text(cluster, "/properties/networkProfile/outboundType") == "loadBalancer" {
        outbound(ctx, cluster, &group)?;
    }
    Ok(())
}

fn leaf(cluster: &Object) -> &str {
    cluster.name.as_deref().unwrap_or_default()
}

/// The load balancer and address by which a cluster of outbound type `loadBalancer` reaches the world.
fn outbound(ctx: &mut Ctx<'_>, cluster: &Object, group: &str) -> Result<()> {
    let location = resource::location(cluster);
    let address = format!("{group}/providers/Microsoft.Network/publicIPAddresses/{}", ctx.world.uuid());
    let mut tags = cluster.tags.clone();
    tags.insert("aks-managed-type".to_owned(), "aks-slb-managed-outbound-ip".to_owned());
    let body = json!({ "location": location, "tags": tags, "sku": { "name": "Standard" },
        "properties": { "publicIPAllocationMethod": "Static", "publicIPAddressVersion": "IPv4" } });
    network::make(ctx, AzureKind::PublicIpAddress, &address, &body, Owner::Service)?;
    let balancer = format!("{group}/providers/Microsoft.Network/loadBalancers/kubernetes");
    let frontend = json!({ "name": id::leaf(&address), "properties": { "publicIPAddress": { "id": address } } });
    let body = json!({ "location": location, "tags": cluster.tags, "sku": { "name": "Standard" },
        "properties": { "frontendIPConfigurations": [frontend] } });
    network::make(ctx, AzureKind::LoadBalancer, &balancer, &body, Owner::Service)?;
    Ok(())
}

/// Makes the scale set of a pool: what holds its subnet from now on.
pub(super) fn make_scale_set(ctx: &mut Ctx<'_>, cluster: &Object, pool: &Object) {
    let set = scale_set_id(cluster, pool);
    if ctx.scope().live(&set.to_lowercase()).is_some() {
        return;
    }
    let subnet = match resource::doc_text(pool, "/properties/vnetSubnetID") {
        "" => own_subnet(ctx, cluster),
        given => Some(given.to_owned()),
    };
    let subnets: Vec<Value> = subnet.iter().map(|s| json!({ "id": s })).collect();
    let mut tags = cluster.tags.clone();
    tags.extend(pool.tags.clone());
    tags.insert("aks-managed-poolName".to_owned(), pool.name.clone().unwrap_or_default());
    let body = json!({ "location": resource::location(cluster), "tags": tags,
        "sku": { "name": resource::doc_text(pool, "/properties/vmSize"), "tier": "Standard",
            "capacity": count_of(pool) },
        "properties": { "subnets": subnets } });
    let mut object = resource::new(ctx, AzureKind::ScaleSet, &set, &body);
    object.owner = Owner::Service;
    "Creating".clone_into(&mut object.state);
    ctx.create(object.clone());
    references::link(ctx, &object);
}

/// The network that AKS makes for a cluster that names none.
fn own_subnet(ctx: &mut Ctx<'_>, cluster: &Object) -> Option<String> {
    let group = group_of(cluster);
    let vnet = format!("{group}/providers/Microsoft.Network/virtualNetworks/aks-vnet-{}", hash_of(cluster));
    let subnet = format!("{vnet}/subnets/aks-subnet");
    if ctx.scope().live(&subnet.to_lowercase()).is_some() {
        return Some(subnet);
    }
    let body = json!({ "location": resource::location(cluster), "tags": cluster.tags,
        "properties": { "addressSpace": { "addressPrefixes": ["10.224.0.0/12"] } } });
    network::make(ctx, AzureKind::VirtualNetwork, &vnet, &body, Owner::Service).ok()?;
    let body = json!({ "properties": { "addressPrefix": "10.224.0.0/16" } });
    network::make(ctx, AzureKind::Subnet, &subnet, &body, Owner::Service).ok()?;
    Some(subnet)
}

/// Puts the cluster's tags on what AKS made for it.
pub(super) fn retag(ctx: &mut Ctx<'_>, cluster: &Object) {
    let group = group_of(cluster).to_lowercase();
    let mut keys: Vec<String> = resource::in_group(ctx, id::leaf(&group)).into_iter().map(|o| o.id).collect();
    keys.push(group);
    for key in keys {
        let tags = cluster.tags.clone();
        ctx.adjust(&key, |o| {
            if o.owner == Owner::Service {
                o.tags.extend(tags);
            }
        });
    }
}

/// Removes the group with everything that is in it, whoever made it.
pub(super) fn remove(ctx: &mut Ctx<'_>, cluster: &Object) {
    let group = group_of(cluster).to_lowercase();
    let inside = resource::in_group(ctx, id::leaf(&group));
    // What refers to others goes first, so that nothing is left to refer to nothing.
    for object in inside.iter().filter(|o| o.texts("refs").next().is_some()) {
        references::remove(ctx, &object.id);
    }
    for object in &inside {
        references::remove(ctx, &object.id);
    }
    ctx.delete(&group);
}
