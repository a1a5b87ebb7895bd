//! NAT gateways, which take a minute or two to come and to go and hold an interface and an address meanwhile.
//!
//! <https://docs.aws.amazon.com/vpc/latest/userguide/nat-gateway-basics.html>.

use super::{
    existing,
    interfaces::{NewInterface, create_interface},
    network::new_object,
};
use crate::{durations, kind::AwsKind, step::AwsStep};
use cloudsim_core::{
    call::{ApiError, Result},
    ctx::Ctx,
    object::{Owner, Tags},
};

/// Makes a NAT gateway, available after one to two minutes. Gives the id and the duration.
///
/// # Errors
/// No such subnet or address, address in use, quota.
pub(crate) fn create_nat(
    ctx: &mut Ctx<'_>,
    subnet: &str,
    allocation: &str,
    name: &str,
    tags: Tags,
) -> Result<(String, u64)> {
    let place = existing(ctx, AwsKind::Subnet, subnet)?;
    let address = existing(ctx, AwsKind::Eip, allocation)?;
    if !address.text("interface").is_empty() {
        let message = format!("Elastic IP address [{allocation}] is already associated");
        return Err(ApiError::new("Resource.AlreadyAssociated", message));
    }
    let zone = place.text("zone").to_owned();
    let present = ctx.scope().of_kind(AwsKind::NatGateway).filter(|o| o.is_live() && o.text("zone") == zone).count();
    if ctx.within_quota("nat-gateways-per-az", present as u64).is_err() {
        let message = format!("Performing this operation would exceed the limit of NAT gateways in {zone}");
        return Err(ApiError::new("NatGatewayLimitExceeded", message));
    }
    let mut nat = new_object(ctx, AwsKind::NatGateway, "nat", "natgateway", tags);
    let id = nat.id.clone();
    let ip = address.text("public_ip").to_owned();
    let request = NewInterface {
        description: format!("Interface for NAT Gateway {id}"),
        interface_type: "nat_gateway".to_owned(),
        owner: Some(Owner::Service),
        attached_to: id.clone(),
        public_ip: ip.clone(),
        ..NewInterface::default()
    };
    let interface = create_interface(ctx, subnet, request, Tags::new())?;
    ctx.adjust(allocation, |o| o.set("interface", interface.clone()));
    nat.vpc = place.vpc;
    nat.state = "pending".to_owned();
    let nat = nat.with("subnet", subnet).with("zone", zone).with("allocation", allocation);
    ctx.create(nat.with("interface", interface));
    let ms = ctx.draw(durations::NAT_CREATE, name);
    ctx.begin_work("create", &id, ms);
    ctx.after(ms, AwsStep::SetState { id: id.clone(), state: "available".to_owned() });
    Ok((id, ms))
}

/// Begins to delete a NAT gateway; gives the duration.
///
/// # Errors
/// Not found.
pub(crate) fn delete_nat(ctx: &mut Ctx<'_>, id: &str) -> Result<u64> {
    let nat = existing(ctx, AwsKind::NatGateway, id)?;
    let ms = ctx.draw(durations::NAT_DELETE, id);
    if nat.state != "deleting" {
        ctx.change(id, |o| o.state = "deleting".to_owned());
        ctx.begin_work("delete", id, ms);
        ctx.after(ms, AwsStep::ServiceObjectGone { id: id.to_owned() });
    }
    Ok(ms)
}
