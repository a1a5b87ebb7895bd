//! What holds a network resource, and in which words its deletion is refused.
//!
//! Texts as users met them: <https://github.com/hashicorp/terraform-provider-azurerm/issues/6052> (address),
//! <https://github.com/microsoft/nav-arm-templates/issues/161> (subnet),
//! <https://github.com/Azure-Samples/Copilot-Studio-with-Azure-AI-Search/issues/62> (NAT gateway).

use super::super::{kind::AzureKind, resource};
use cloudsim_core::{
    call::{ApiError, Result},
    ctx::Ctx,
    object::Object,
};

/// The configuration inside a user that names the resource.
#[must_use]
pub(super) fn configuration(user: &str) -> String {
    let lower = user.to_lowercase();
    if lower.contains("/virtualmachinescalesets/") {
        return format!("{user}/virtualMachines/0/networkInterfaces/nic/ipConfigurations/ipconfig1");
    }
    if lower.contains("/loadbalancers/") {
        return format!("{user}/frontendIPConfigurations/frontend");
    }
    user.to_owned()
}

/// Refuses to delete what something else uses.
///
/// # Errors
/// In the provider's words.
pub(super) fn check(ctx: &mut Ctx<'_>, object: &Object, kind: AzureKind) -> Result<()> {
    if kind == AzureKind::VirtualNetwork {
        for subnet in resource::children_of(ctx, object, AzureKind::Subnet) {
            refuse(&subnet, AzureKind::Subnet)?;
        }
        return Ok(());
    }
    refuse(object, kind)
}

/// Refuses if `object` has users.
///
/// # Errors
/// In the provider's words.
pub(super) fn refuse(object: &Object, kind: AzureKind) -> Result<()> {
    let users: Vec<&str> = object.texts("used_by").collect();
    let Some(first) = users.first().map(|u| configuration(u)) else {
        return Ok(());
    };
    let (id, name) = (&object.arn, object.name.as_deref().unwrap_or_default());
    let all = users.join(", ");
    let (code, message) = match kind {
        AzureKind::Subnet => (
            "InUseSubnetCannotBeDeleted",
            format!(
                "Subnet {name} is in use by {first} and cannot be deleted. In order to delete the subnet, delete all the resources within the subnet. See aka.ms/deletesubnet."
            ),
        ),
        AzureKind::NatGateway => (
            "CannotDeleteNatGatewayAssociatedToSubnet",
            format!(
                "NAT Gateway {id} is still configured on {} subnets. Remove NAT Gateway from all referenced subnets and then delete NAT Gateway.",
                users.len()
            ),
        ),
        AzureKind::PublicIpAddress => (
            "PublicIPAddressCannotBeDeleted",
            format!(
                "Public IP address {id} can not be deleted since it is still allocated to resource {first}. In order to delete the public IP, disassociate/detach the Public IP address from the resource.  To learn how to do this, see aka.ms/deletepublicip."
            ),
        ),
        AzureKind::NetworkSecurityGroup => (
            "InUseNetworkSecurityGroupCannotBeDeleted",
            format!(
                "Network security group {id} cannot be deleted because it is in use by the following resources: {all}. In order to delete the Network security group, remove the association with the resource(s). To learn how to do this, see aka.ms/deletensg."
            ),
        ),
        // <https://learn.microsoft.com/troubleshoot/azure/virtual-network/troubleshoot-failed-state>
        AzureKind::NetworkInterface => (
            "NicInUse",
            format!(
                "Network Interface {id} is used by existing resource {first}. In order to delete the network interface, it must be dissociated from the resource. To learn more, see aka.ms/deletenic."
            ),
        ),
        AzureKind::RouteTable => (
            "InUseRouteTableCannotBeDeleted",
            format!("Route table {name} is in use and cannot be deleted. It is associated with {all}."),
        ),
        _ => return Ok(()),
    };
    Err(ApiError::new(code, message))
}
