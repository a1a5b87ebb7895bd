//! Subnets, which come alone or inside the PUT of their network.
//!
//! A PUT of a network without its subnets deletes them:
//! <https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/error-in-use-subnet> and
//! <https://github.com/Azure/azure-quickstart-templates/issues/2786>.

use super::{
    super::{
        id::{Target, leaf},
        kind::AzureKind,
        lro, references, resource,
    },
    cidr, in_use,
};
use cloudsim_core::{
    call::{ApiError, Result},
    ctx::Ctx,
    object::Object,
};
use serde_json::{Value, json};

/// The network of a subnet, in which nothing else is under way.
///
/// # Errors
/// ParentResourceNotFound, AnotherOperationInProgress.
pub(super) fn parent(ctx: &mut Ctx<'_>, target: &Target) -> Result<Object> {
    let network = resource::present(ctx, AzureKind::VirtualNetwork, &target.parent_key()).ok_or_else(|| {
        let message = format!(
            "Can not perform requested operation on nested resource. Parent resource '{}' not found.",
            target.names.first().map_or("", String::as_str)
        );
        ApiError::new("ParentResourceNotFound", message).status(404)
    })?;
    lro::check_idle(ctx, &network)?;
    for sibling in resource::children_of(ctx, &network, AzureKind::Subnet) {
        lro::check_idle(ctx, &sibling)?;
    }
    Ok(network)
}

/// The ranges of a subnet or network in a body.
fn prefixes(body: &Value) -> Vec<String> {
    let list = ["/properties/addressPrefixes", "/properties/addressSpace/addressPrefixes"]
        .iter()
        .find_map(|p| body.pointer(p).and_then(Value::as_array))
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    let single = body.pointer("/properties/addressPrefix").and_then(Value::as_str);
    list.chain(single).map(str::to_owned).collect()
}

/// Checks the ranges of one subnet against its network and its siblings.
///
/// # Errors
/// NetcfgInvalidSubnet, NetcfgSubnetRangesOverlap.
pub(super) fn check(ctx: &mut Ctx<'_>, network: &Object, id: &str, body: &Value) -> Result<()> {
    let siblings: Vec<(String, Vec<String>)> = resource::children_of(ctx, network, AzureKind::Subnet)
        .iter()
        .filter(|o| o.id != id.to_lowercase())
        .map(|o| (o.name.clone().unwrap_or_default(), prefixes(&Value::Object(resource::doc(o)))))
        .collect();
    let space = prefixes(&Value::Object(resource::doc(network)));
    check_ranges(leaf(id), &prefixes(body), &space, &siblings, network.name.as_deref().unwrap_or_default())
}

fn check_ranges(
    name: &str,
    wanted: &[String],
    space: &[String],
    siblings: &[(String, Vec<String>)],
    network: &str,
) -> Result<()> {
    let inside = |prefix: &String| space.iter().any(|s| cidr::within(prefix, s));
    if wanted.is_empty() || !wanted.iter().all(inside) {
        let message = format!("Subnet '{name}' is not valid in virtual network '{network}'.");
        return Err(ApiError::new("NetcfgInvalidSubnet", message));
    }
    let hit = siblings.iter().find(|(_, theirs)| theirs.iter().any(|t| wanted.iter().any(|w| cidr::overlap(t, w))));
    if hit.is_some() {
        let message = format!(
            "Subnet '{name}' is not valid because its IP address range overlaps with that of an existing subnet in virtual network '{network}'."
        );
        return Err(ApiError::new("NetcfgSubnetRangesOverlap", message));
    }
    Ok(())
}

/// Takes the subnets out of the body of a network, checked; those that are to go must be free.
///
/// # Errors
/// Bad ranges; a subnet in use that the body lacks.
pub(super) fn take_inline(ctx: &mut Ctx<'_>, network_id: &str, body: &mut Value) -> Result<Vec<(String, Value)>> {
    let space = prefixes(body);
    if space.is_empty() || space.iter().any(|s| cidr::range(s).is_none()) {
        let message = "The address space of the virtual network must have at least one valid prefix.";
        return Err(ApiError::new("InvalidAddressPrefixFormat", message));
    }
    let inline = body.get_mut("properties").and_then(Value::as_object_mut).and_then(|p| p.remove("subnets"));
    let mut subnets: Vec<(String, Value)> = Vec::new();
    let mut before: Vec<(String, Vec<String>)> = Vec::new();
    for subnet in inline.as_ref().and_then(Value::as_array).into_iter().flatten() {
        let name = subnet["name"].as_str().unwrap_or_default().to_owned();
        let id = format!("{network_id}/subnets/{name}");
        check_ranges(&name, &prefixes(subnet), &space, &before, leaf(network_id))?;
        references::check(ctx, AzureKind::Subnet, &id, subnet)?;
        before.push((name, prefixes(subnet)));
        subnets.push((id, subnet.clone()));
    }
    if let Some(network) = resource::present(ctx, AzureKind::VirtualNetwork, &network_id.to_lowercase()) {
        for child in resource::children_of(ctx, &network, AzureKind::Subnet) {
            if !subnets.iter().any(|(id, _)| id.to_lowercase() == child.id) {
                in_use::refuse(&child, AzureKind::Subnet)?;
            }
        }
    }
    Ok(subnets)
}

/// Makes the subnets of a network what its PUT says.
pub(super) fn replace(ctx: &mut Ctx<'_>, network: &Object, subnets: Vec<(String, Value)>) {
    for child in resource::children_of(ctx, network, AzureKind::Subnet) {
        if !subnets.iter().any(|(id, _)| id.to_lowercase() == child.id) {
            references::remove(ctx, &child.id);
        }
    }
    for (id, body) in subnets {
        let present = resource::present(ctx, AzureKind::Subnet, &id.to_lowercase());
        let mut object = match &present {
            Some(object) => object.clone(),
            None => resource::new(ctx, AzureKind::Subnet, &id, &json!({})),
        };
        resource::put_body(ctx, &mut object, &body);
        object.set("location", resource::location(network));
        if present.is_some() {
            ctx.change(&object.id, |o| *o = object.clone());
        } else {
            ctx.create(object.clone());
        }
        references::link(ctx, &object);
    }
}
