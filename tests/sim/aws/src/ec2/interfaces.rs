//! Network interfaces, which tie subnets and security groups to whatever uses them.
//!
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/requester-managed-eni.html>: those of a managed service cannot
//! be detached by a caller; they go with their owner.

use super::{existing, network::new_object};
use crate::kind::AwsKind;
use cloudsim_core::{
    call::{ApiError, Result},
    ctx::Ctx,
    object::{Object, Owner, Tags},
};
use std::{net::Ipv4Addr, ops::Range};

/// A NAT gateway or load balancer whose deletion has ended goes, with its interfaces; its addresses become free.
pub(crate) fn service_object_gone(ctx: &mut Ctx<'_>, id: &str) {
    // A load balancer is gone at once for callers; its interfaces follow, found by what they are attached to.
    remove_interfaces_of(ctx, id);
    let Some(object) = ctx.scope().get(id).cloned() else {
        return;
    };
    if object.kind == AwsKind::NatGateway {
        let allocation = object.text("allocation").to_owned();
        ctx.adjust(&allocation, |o| o.set("interface", ""));
        ctx.retire(id, "deleted");
    }
}

fn remove_interfaces_of(ctx: &mut Ctx<'_>, id: &str) {
    let prefix = format!("{id}/");
    let of_it: Vec<String> =
        ctx.scope().named_under(AwsKind::NetworkInterface, &prefix).map(|o| o.id.clone()).collect();
    for interface in of_it {
        ctx.delete(&interface);
    }
}

/// What a new interface is for.
#[derive(Debug, Default, Clone)]
pub(crate) struct NewInterface {
    /// Security groups; the VPC's default group if empty.
    pub groups: Vec<String>,
    /// As the console shows it; controllers recognise theirs by it.
    pub description: String,
    /// `interface`, `nat_gateway`, `network_load_balancer`.
    pub interface_type: String,
    /// Who made it; the customer if absent.
    pub owner: Option<Owner>,
    /// Id of what it is attached to.
    pub attached_to: String,
    /// Public address, if any.
    pub public_ip: String,
}

/// Makes an interface in a subnet.
///
/// # Errors
/// No such subnet.
pub(crate) fn create_interface(ctx: &mut Ctx<'_>, subnet: &str, request: NewInterface, tags: Tags) -> Result<String> {
    let place = existing(ctx, AwsKind::Subnet, subnet)?;
    let mut interface = new_object(ctx, AwsKind::NetworkInterface, "eni", "network-interface", tags);
    let id = interface.id.clone();
    interface.vpc.clone_from(&place.vpc);
    if !request.attached_to.is_empty() {
        // The name is the index by which interfaces are found again when what they are attached to goes.
        interface.name = Some(format!("{}/{id}", request.attached_to));
    }
    interface.owner = request.owner.unwrap_or(Owner::Customer);
    interface.state = if request.attached_to.is_empty() { "available" } else { "in-use" }.to_owned();
    let address = free_address(ctx, &place)?;
    let attachment =
        if request.attached_to.is_empty() { String::new() } else { format!("eni-attach-{}", ctx.world.hex(17)) };
    let groups = if request.groups.is_empty() && request.interface_type != "nat_gateway" {
        let vpc = place.vpc.clone().unwrap_or_default();
        ctx.scope()
            .in_vpc(&vpc)
            .filter(|o| o.owner == Owner::Default && o.kind == AwsKind::SecurityGroup)
            .map(|o| o.id.clone())
            .collect()
    } else {
        request.groups
    };
    let kind = if request.interface_type.is_empty() { "interface" } else { &request.interface_type };
    let interface = interface
        .with("subnet", subnet)
        .with("zone", place.text("zone"))
        .with("ip", address)
        .with("groups", groups)
        .with("description", request.description)
        .with("interface_type", kind)
        .with("attached_to", request.attached_to)
        .with("attachment", attachment)
        .with("public_ip", request.public_ip);
    ctx.create(interface);
    Ok(id)
}

/// An address of the subnet that no interface has. The first four and the last are AWS's own:
/// <https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html>. Nodes are named after theirs.
///
/// # Errors
/// The subnet is full.
fn free_address(ctx: &mut Ctx<'_>, subnet: &Object) -> Result<String> {
    let vpc = subnet.vpc.clone().unwrap_or_default();
    let usable = addresses(subnet.text("cidr"));
    let count = u64::from(usable.end.saturating_sub(usable.start));
    // Spread by the ids given so far, so that an address that became free is not taken again at once.
    let spread = u32::try_from(ctx.world.ids % count.max(1)).unwrap_or(0);
    let in_order = (usable.start + spread..usable.end).chain(usable.start..usable.start + spread);
    // The first is nearly always free: nothing is collected for it.
    let scope = ctx.scope();
    let is_taken = |address: &str| {
        let mut interfaces = scope.in_vpc(&vpc).filter(|o| o.kind == AwsKind::NetworkInterface);
        interfaces.any(|o| o.text("ip") == address && o.text("subnet") == subnet.id)
    };
    let free = in_order.map(|bits| Ipv4Addr::from(bits).to_string()).find(|address| !is_taken(address));
    free.filter(|_| count > 0).ok_or_else(|| {
        let message = format!("There are not enough free addresses in subnet '{}' to satisfy the request.", subnet.id);
        ApiError::new("InsufficientFreeAddressesInSubnet", message)
    })
}

/// The addresses of a block that can be had; none if it is too small or no block.
fn addresses(cidr: &str) -> Range<u32> {
    let parsed = cidr.split_once('/').and_then(|(base, bits)| {
        let base = u32::from(base.parse::<Ipv4Addr>().ok()?);
        let size = 1_u32.checked_shl(32_u32.checked_sub(bits.parse().ok()?)?)?;
        Some(base + 4..base.checked_add(size.checked_sub(1)?)?)
    });
    parsed.unwrap_or(0..0)
}

/// Removes an interface that is not attached.
///
/// # Errors
/// Not found, or in use.
pub(crate) fn delete_interface(ctx: &mut Ctx<'_>, id: &str) -> Result<()> {
    let interface = existing(ctx, AwsKind::NetworkInterface, id)?;
    if interface.state == "in-use" {
        let message = format!("Network interface '{id}' is currently in use.");
        return Err(ApiError::new("InvalidParameterValue", message));
    }
    ctx.delete(id);
    Ok(())
}

/// Detaches an interface that a customer or EKS attached; those of managed services are refused.
///
/// # Errors
/// Not found, or not permitted.
pub(crate) fn detach_interface(ctx: &mut Ctx<'_>, attachment: &str) -> Result<()> {
    let found = ctx.scope().of_kind(AwsKind::NetworkInterface).find(|o| o.text("attachment") == attachment).cloned();
    let Some(interface) = found else {
        let message = format!("The attachment '{attachment}' does not exist");
        return Err(ApiError::new("InvalidAttachmentID.NotFound", message));
    };
    if matches!(interface.owner, Owner::Service | Owner::Eks) && !interface.text("attached_to").starts_with("i-") {
        let message = "You do not have permission to access the specified resource.";
        return Err(ApiError::new("AuthFailure", message));
    }
    ctx.change(&interface.id, |o| {
        o.state = "available".to_owned();
        o.name = None;
        o.set("attached_to", "");
        o.set("attachment", "");
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::addresses;

    #[test]
    fn five_addresses_of_a_block_are_not_to_be_had() {
        assert_eq!(addresses("10.0.0.0/24").len(), 251);
        assert_eq!(addresses("10.0.0.0/28").len(), 11);
        assert!(
            addresses("10.0.0.0/31").is_empty() && addresses("x").is_empty() && addresses("10.0.0.0/33").is_empty()
        );
    }
}
