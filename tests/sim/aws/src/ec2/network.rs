//! Making and removing VPCs and what lies in them, with EC2's dependency rules.
//!
//! "Before you can delete a VPC you must terminate or delete any resources that created a requester-managed network
//! interface in the VPC": <https://docs.aws.amazon.com/vpc/latest/userguide/delete-vpc.html>. Used alike by callers,
//! CloudFormation, EKS and load balancers.

use super::{existing, security};
use crate::{arn::Arn as _, kind::AwsKind};
use cloudsim_core::{
    call::{ApiError, Result},
    ctx::Ctx,
    object::{Object, Owner, Tags},
};

fn dependency(what: &str, id: &str) -> ApiError {
    ApiError::new("DependencyViolation", format!("The {what} '{id}' has dependencies and cannot be deleted."))
}

/// A new object of EC2 with an id of its own, not yet in the world.
pub(crate) fn new_object(ctx: &mut Ctx<'_>, kind: AwsKind, prefix: &str, resource: &str, tags: Tags) -> Object {
    let id = format!("{prefix}-{}", ctx.world.hex(17));
    let arn = ctx.arn("ec2", &format!("{resource}/{id}"));
    let mut object = Object::new(kind, &id, arn, ctx.now);
    object.tags = tags;
    object
}

/// Makes a VPC with its main route table and default security group.
///
/// # Errors
/// Bad CIDR block, or the quota.
pub(crate) fn create_vpc(ctx: &mut Ctx<'_>, cidr: &str, tags: Tags) -> Result<String> {
    let bits = cidr.split_once('/').and_then(|(_, bits)| bits.parse::<u8>().ok());
    if bits.is_none_or(|b| !(16..=28).contains(&b)) {
        return Err(ApiError::new("InvalidVpc.Range", format!("The CIDR '{cidr}' is invalid.")));
    }
    let present = ctx.scope().count(AwsKind::Vpc);
    ctx.within_quota("vpcs", present)
        .map_err(|_| ApiError::new("VpcLimitExceeded", "The maximum number of VPCs has been reached."))?;
    let mut vpc = new_object(ctx, AwsKind::Vpc, "vpc", "vpc", tags).with("cidr", cidr);
    vpc.vpc = Some(vpc.id.clone());
    let id = vpc.id.clone();
    ctx.create(vpc);
    let table = create_route_table(ctx, &id, Tags::new())?;
    ctx.adjust(&table, |o| {
        o.owner = Owner::Default;
        o.set("main", true);
    });
    let group = security::create_group(ctx, &id, "default", "default VPC security group", Tags::new())?;
    ctx.adjust(&group, |o| o.owner = Owner::Default);
    Ok(id)
}

/// Removes a VPC that holds nothing but its defaults.
///
/// # Errors
/// Not found, or DependencyViolation.
pub(crate) fn delete_vpc(ctx: &mut Ctx<'_>, id: &str) -> Result<()> {
    existing(ctx, AwsKind::Vpc, id)?;
    let inside: Vec<(String, Owner)> =
        ctx.scope().in_vpc(id).filter(|o| o.id != id).map(|o| (o.id.clone(), o.owner)).collect();
    if let Some((blocker, _)) = inside.iter().find(|(_, owner)| *owner != Owner::Default) {
        ctx.remark(format!("{id} is held by {blocker}"));
        return Err(dependency("vpc", id));
    }
    for (default, _) in inside {
        ctx.delete(&default);
    }
    ctx.delete(id);
    Ok(())
}

/// Makes a subnet.
///
/// # Errors
/// No such VPC, block taken or outside, quota.
pub(crate) fn create_subnet(ctx: &mut Ctx<'_>, vpc: &str, cidr: &str, zone: &str, tags: Tags) -> Result<String> {
    existing(ctx, AwsKind::Vpc, vpc)?;
    if !super::zones(&ctx.key.region).iter().any(|z| z == zone) {
        let message = format!("Value ({zone}) for parameter availabilityZone is invalid.");
        return Err(ApiError::new("InvalidParameterValue", message));
    }
    let taken: Vec<String> =
        ctx.scope().in_vpc(vpc).filter(|o| o.kind == AwsKind::Subnet).map(|o| o.text("cidr").to_owned()).collect();
    if taken.iter().any(|t| t == cidr) {
        return Err(ApiError::new(
            "InvalidSubnet.Conflict",
            format!("The CIDR '{cidr}' conflicts with another subnet"),
        ));
    }
    if ctx.within_quota("subnets-per-vpc", taken.len() as u64).is_err() {
        return Err(ApiError::new("SubnetLimitExceeded", "The maximum number of subnets has been reached."));
    }
    let mut subnet = new_object(ctx, AwsKind::Subnet, "subnet", "subnet", tags).with("cidr", cidr).with("zone", zone);
    subnet.vpc = Some(vpc.to_owned());
    let id = subnet.id.clone();
    ctx.create(subnet);
    Ok(id)
}

/// Removes a subnet without interfaces.
///
/// # Errors
/// Not found, or DependencyViolation.
pub(crate) fn delete_subnet(ctx: &mut Ctx<'_>, id: &str) -> Result<()> {
    let subnet = existing(ctx, AwsKind::Subnet, id)?;
    let vpc = subnet.vpc.unwrap_or_default();
    let blocker = ctx
        .scope()
        .in_vpc(&vpc)
        .find(|o| {
            [AwsKind::NetworkInterface, AwsKind::NatGateway].iter().any(|kind| o.kind == *kind)
                && o.text("subnet") == id
        })
        .map(|o| o.id.clone());
    if let Some(blocker) = blocker {
        ctx.remark(format!("{id} is held by {blocker}"));
        return Err(dependency("subnet", id));
    }
    ctx.delete(id);
    Ok(())
}

/// Makes an internet gateway.
///
/// # Errors
/// The quota.
pub(crate) fn create_internet_gateway(ctx: &mut Ctx<'_>, tags: Tags) -> Result<String> {
    let present = ctx.scope().count(AwsKind::InternetGateway);
    ctx.within_quota("internet-gateways", present).map_err(|_| {
        ApiError::new("InternetGatewayLimitExceeded", "The maximum number of internet gateways has been reached.")
    })?;
    let gateway = new_object(ctx, AwsKind::InternetGateway, "igw", "internet-gateway", tags);
    let id = gateway.id.clone();
    ctx.create(gateway);
    Ok(id)
}

/// Removes a detached internet gateway.
///
/// # Errors
/// Not found, or attached.
pub(crate) fn delete_internet_gateway(ctx: &mut Ctx<'_>, id: &str) -> Result<()> {
    if existing(ctx, AwsKind::InternetGateway, id)?.vpc.is_some() {
        return Err(dependency("internetGateway", id));
    }
    ctx.delete(id);
    Ok(())
}

/// Attaches an internet gateway.
///
/// # Errors
/// Not found, or attached elsewhere.
pub(crate) fn attach_gateway(ctx: &mut Ctx<'_>, id: &str, vpc: &str) -> Result<()> {
    existing(ctx, AwsKind::Vpc, vpc)?;
    if existing(ctx, AwsKind::InternetGateway, id)?.vpc.is_some() {
        let message = format!("resource {id} is already attached to network {vpc}");
        return Err(ApiError::new("Resource.AlreadyAssociated", message));
    }
    ctx.change(id, |o| o.vpc = Some(vpc.to_owned()));
    Ok(())
}

/// Detaches an internet gateway; refused while the VPC has public addresses in use.
///
/// # Errors
/// Not found, not attached, or DependencyViolation.
pub(crate) fn detach_gateway(ctx: &mut Ctx<'_>, id: &str, vpc: &str) -> Result<()> {
    if existing(ctx, AwsKind::InternetGateway, id)?.vpc.as_deref() != Some(vpc) {
        return Err(ApiError::new("Gateway.NotAttached", format!("resource {id} is not attached to network {vpc}")));
    }
    let mapped = ctx.scope().in_vpc(vpc).find(|o| !o.text("public_ip").is_empty()).map(|o| o.id.clone());
    if let Some(blocker) = mapped {
        ctx.remark(format!("{vpc} is held by {blocker}"));
        let message = format!(
            "Network {vpc} has some mapped public address(es). Please unmap those public address(es) before detaching the gateway."
        );
        return Err(ApiError::new("DependencyViolation", message));
    }
    ctx.change(id, |o| o.vpc = None);
    Ok(())
}

/// Allocates an Elastic IP address.
///
/// # Errors
/// The quota.
pub(crate) fn allocate_address(ctx: &mut Ctx<'_>, tags: Tags) -> Result<String> {
    let present = ctx.scope().count(AwsKind::Eip);
    ctx.within_quota("eips", present)
        .map_err(|_| ApiError::new("AddressLimitExceeded", "The maximum number of addresses has been reached."))?;
    let ip = public_ip(ctx);
    let address = new_object(ctx, AwsKind::Eip, "eipalloc", "elastic-ip", tags).with("public_ip", ip);
    let id = address.id.clone();
    ctx.create(address);
    Ok(id)
}

fn public_ip(ctx: &mut Ctx<'_>) -> String {
    let h = hex::decode(ctx.world.hex(4)).unwrap_or_default();
    // TEST-NET-3's neighbourhood in shape only: addresses never leave the simulator.
    format!("52.{}.{}.{}", h[0], h[1], 1 + ctx.world.ids % 250)
}

/// Releases an address that is not in use.
///
/// # Errors
/// Not found, or in use.
pub(crate) fn release_address(ctx: &mut Ctx<'_>, id: &str) -> Result<()> {
    let address = existing(ctx, AwsKind::Eip, id)?;
    if !address.text("interface").is_empty() {
        let message = format!("Address {} is in use.", address.text("public_ip"));
        return Err(ApiError::new("InvalidIPAddress.InUse", message));
    }
    ctx.delete(id);
    Ok(())
}

/// Makes a route table.
///
/// # Errors
/// No such VPC.
pub(crate) fn create_route_table(ctx: &mut Ctx<'_>, vpc: &str, tags: Tags) -> Result<String> {
    existing(ctx, AwsKind::Vpc, vpc)?;
    let mut table = new_object(ctx, AwsKind::RouteTable, "rtb", "route-table", tags);
    table.vpc = Some(vpc.to_owned());
    let id = table.id.clone();
    ctx.create(table.with("routes", Vec::<String>::new()).with("associations", Vec::<String>::new()));
    Ok(id)
}

/// Makes a disk.
pub(crate) fn create_volume(ctx: &mut Ctx<'_>, size_gib: u64, zone: &str, tags: Tags, owner: Owner) -> String {
    let mut volume = new_object(ctx, AwsKind::Volume, "vol", "volume", tags);
    volume.owner = owner;
    let id = volume.id.clone();
    ctx.create(volume.with("size", size_gib).with("zone", zone));
    id
}

/// Removes a disk that is not attached.
///
/// # Errors
/// Not found, or in use.
pub(crate) fn delete_volume(ctx: &mut Ctx<'_>, id: &str) -> Result<()> {
    let volume = existing(ctx, AwsKind::Volume, id)?;
    if volume.state == "in-use" {
        let message = format!("Volume {id} is currently attached to {}", volume.text("attached_to"));
        return Err(ApiError::new("VolumeInUse", message));
    }
    ctx.delete(id);
    Ok(())
}

/// Makes a snapshot of a disk, complete at once.
///
/// # Errors
/// No such disk.
pub(crate) fn create_snapshot(ctx: &mut Ctx<'_>, volume: &str, description: &str, tags: Tags) -> Result<String> {
    let size = existing(ctx, AwsKind::Volume, volume)?.props.get("size").cloned().unwrap_or_default();
    let mut snapshot = new_object(ctx, AwsKind::Snapshot, "snap", "snapshot", tags);
    "completed".clone_into(&mut snapshot.state);
    let id = snapshot.id.clone();
    ctx.create(snapshot.with("volume", volume).with("description", description).with("size", size));
    Ok(id)
}

/// Removes a snapshot.
///
/// # Errors
/// Not found.
pub(crate) fn delete_snapshot(ctx: &mut Ctx<'_>, id: &str) -> Result<()> {
    existing(ctx, AwsKind::Snapshot, id)?;
    ctx.delete(id);
    Ok(())
}
