//! EC2: networks, addresses, interfaces, instances and volumes, as far as the project and its tests meet them.
//!
//! <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/Welcome.html>. `network` makes and removes objects (for
//! callers and for CloudFormation), `describe` lists them, `render` writes their XML. Accounts have no default VPC.

pub(crate) mod describe;
pub(crate) mod instances;
pub(crate) mod interfaces;
pub(crate) mod nat;
pub(crate) mod network;
pub(crate) mod render;
pub(crate) mod security;

use crate::kind::AwsKind;
use crate::wire::unknown_action;
use crate::xml::Xml;
use cloudsim_core::{
    call::{ApiError, Call, Params, Reply, Result},
    ctx::Ctx,
    object::{Object, Tags},
};

/// Handles a call.
///
/// # Errors
/// As EC2 words them.
pub(crate) fn handle(ctx: &mut Ctx<'_>, call: &Call) -> Result<Reply> {
    if call.action.starts_with("Describe") {
        return describe::handle(ctx, call);
    }
    let p = &call.params;
    let mut x = Xml::new();
    match call.action.as_str() {
        "CreateVpc"
        | "CreateSubnet"
        | "CreateSecurityGroup"
        | "AllocateAddress"
        | "CreateInternetGateway"
        | "CreateVolume"
        | "CreateSnapshot"
        | "CreateNetworkInterface" => return create(ctx, call),
        "RunInstances" => return instances::run(ctx, call),
        "TerminateInstances" => return instances::terminate(ctx, p),
        "DeleteVpc" => network::delete_vpc(ctx, p.text("VpcId"))?,
        "DeleteSubnet" => network::delete_subnet(ctx, p.text("SubnetId"))?,
        "DeleteSecurityGroup" => security::delete_group(ctx, p.text("GroupId"))?,
        "DeleteInternetGateway" => network::delete_internet_gateway(ctx, p.text("InternetGatewayId"))?,
        "AttachInternetGateway" => network::attach_gateway(ctx, p.text("InternetGatewayId"), p.text("VpcId"))?,
        "DetachInternetGateway" => network::detach_gateway(ctx, p.text("InternetGatewayId"), p.text("VpcId"))?,
        "ReleaseAddress" => network::release_address(ctx, p.text("AllocationId"))?,
        "DeleteNatGateway" => {
            nat::delete_nat(ctx, p.text("NatGatewayId"))?;
            x.leaf("natGatewayId", p.text("NatGatewayId"));
            return Ok(Reply::Query(x.finish()));
        }
        "DeleteNetworkInterface" => interfaces::delete_interface(ctx, p.text("NetworkInterfaceId"))?,
        "DetachNetworkInterface" => interfaces::detach_interface(ctx, p.text("AttachmentId"))?,
        "DeleteSnapshot" => network::delete_snapshot(ctx, p.text("SnapshotId"))?,
        "DeleteVolume" => network::delete_volume(ctx, p.text("VolumeId"))?,
        "AuthorizeSecurityGroupIngress" => security::change_rules(ctx, p, "ingress", true)?,
        "AuthorizeSecurityGroupEgress" => security::change_rules(ctx, p, "egress", true)?,
        "RevokeSecurityGroupIngress" => security::change_rules(ctx, p, "ingress", false)?,
        "RevokeSecurityGroupEgress" => security::change_rules(ctx, p, "egress", false)?,
        "CreateTags" => change_tags(ctx, p, true)?,
        "DeleteTags" => change_tags(ctx, p, false)?,
        "ModifyVpcAttribute" | "ModifySubnetAttribute" => {}
        _ => return Err(unknown_action(call)),
    }
    x.leaf("return", true);
    Ok(Reply::Query(x.finish()))
}

/// Tags given with `TagSpecification.N`.
fn specified_tags(p: &Params) -> Tags {
    p.items("TagSpecification").iter().flat_map(|s| s.tags("Tag")).collect()
}

fn create(ctx: &mut Ctx<'_>, call: &Call) -> Result<Reply> {
    let p = &call.params;
    let tags = specified_tags(p);
    let (id, wrapper) = match call.action.as_str() {
        "CreateVpc" => (network::create_vpc(ctx, p.text("CidrBlock"), tags)?, "vpc"),
        "CreateSubnet" => {
            let zone = p.get("AvailabilityZone").map_or_else(|| format!("{}a", call.region), str::to_owned);
            (network::create_subnet(ctx, p.text("VpcId"), p.text("CidrBlock"), &zone, tags)?, "subnet")
        }
        "CreateInternetGateway" => (network::create_internet_gateway(ctx, tags)?, "internetGateway"),
        "CreateVolume" => {
            let size = p.get("Size").and_then(|s| s.parse().ok()).unwrap_or(8_u64);
            let id = network::create_volume(
                ctx,
                size,
                p.text("AvailabilityZone"),
                tags,
                cloudsim_core::object::Owner::Customer,
            );
            let mut x = Xml::new();
            if let Some(volume) = ctx.seen(&id) {
                render::volume(&mut x, &volume);
            }
            return Ok(Reply::Query(x.finish()));
        }
        "CreateSnapshot" => {
            let id = network::create_snapshot(ctx, p.text("VolumeId"), p.text("Description"), tags)?;
            let mut x = Xml::new();
            if let Some(snapshot) = ctx.seen(&id) {
                render::snapshot(&mut x, &snapshot);
            }
            return Ok(Reply::Query(x.finish()));
        }
        "CreateNetworkInterface" => {
            let groups = p.values("SecurityGroupId");
            let request = interfaces::NewInterface {
                groups,
                description: p.text("Description").to_owned(),
                ..Default::default()
            };
            (interfaces::create_interface(ctx, p.text("SubnetId"), request, tags)?, "networkInterface")
        }
        "AllocateAddress" => {
            let id = network::allocate_address(ctx, tags)?;
            let ip = ctx.seen(&id).map(|o| o.text("public_ip").to_owned()).unwrap_or_default();
            let mut x = Xml::new();
            x.leaf("publicIp", ip).leaf("domain", "vpc").leaf("allocationId", id);
            return Ok(Reply::Query(x.finish()));
        }
        _ => {
            let id =
                security::create_group(ctx, p.text("VpcId"), p.text("GroupName"), p.text("GroupDescription"), tags)?;
            let mut x = Xml::new();
            x.leaf("groupId", id).leaf("return", true);
            return Ok(Reply::Query(x.finish()));
        }
    };
    let mut x = Xml::new();
    if let Some(object) = ctx.scope().get(&id).cloned() {
        x.node(wrapper, |x| render::object(x, &object));
    }
    Ok(Reply::Query(x.finish()))
}

fn change_tags(ctx: &mut Ctx<'_>, p: &Params, add: bool) -> Result<()> {
    let tags = p.tags("Tag");
    let ids = p.values("ResourceId");
    if let Some(missing) = ids.iter().find(|id| ctx.scope().live(id).is_none()) {
        return Err(ApiError::new("InvalidID", format!("The ID '{missing}' is not valid")));
    }
    for id in ids {
        ctx.change(&id, |o| {
            for (k, v) in &tags {
                if add {
                    o.tags.insert(k.clone(), v.clone());
                } else {
                    o.tags.remove(k);
                }
            }
        });
    }
    Ok(())
}

/// The zones of a Region: three, as most have.
#[must_use]
pub(crate) fn zones(region: &str) -> Vec<String> {
    ["a", "b", "c"].iter().map(|z| format!("{region}{z}")).collect()
}

/// The error for an id that does not exist.
pub(crate) fn not_found(kind: AwsKind, id: &str) -> ApiError {
    let (code, what) = match kind {
        AwsKind::Vpc => ("InvalidVpcID.NotFound", "vpc ID"),
        AwsKind::Subnet => ("InvalidSubnetID.NotFound", "subnet ID"),
        AwsKind::InternetGateway => ("InvalidInternetGatewayID.NotFound", "internetGateway ID"),
        AwsKind::NatGateway => ("NatGatewayNotFound", "NAT gateway"),
        AwsKind::Eip => ("InvalidAllocationID.NotFound", "allocation ID"),
        AwsKind::RouteTable => ("InvalidRouteTableID.NotFound", "routeTable ID"),
        AwsKind::SecurityGroup => ("InvalidGroup.NotFound", "security group"),
        AwsKind::NetworkInterface => ("InvalidNetworkInterfaceID.NotFound", "networkInterface ID"),
        AwsKind::Instance => ("InvalidInstanceID.NotFound", "instance ID"),
        AwsKind::Volume => ("InvalidVolume.NotFound", "volume"),
        AwsKind::Snapshot => ("InvalidSnapshot.NotFound", "snapshot"),
        AwsKind::LaunchTemplate => ("InvalidLaunchTemplateId.NotFound", "launch template ID"),
        _ => ("InvalidID", "ID"),
    };
    ApiError::new(code, format!("The {what} '{id}' does not exist"))
}

/// The live object of `kind` with this id.
///
/// # Errors
/// EC2's not-found error of that kind.
pub(crate) fn existing(ctx: &mut Ctx<'_>, kind: AwsKind, id: &str) -> Result<Object> {
    let object = ctx.seen(id).filter(|o| o.kind == kind && o.is_live());
    object.ok_or_else(|| not_found(kind, id))
}
