//! The XML of each EC2 object, as its Describe call gives it.

use super::security;
use crate::kind::AwsKind;
use crate::xml::Xml;
use cloudsim_core::{
    clock::iso8601,
    object::{Object, Owner},
};
use serde_json::Value;

/// Writes the fields of any EC2 object.
pub(crate) fn object(x: &mut Xml, o: &Object) {
    let vpc = o.vpc.as_deref().unwrap_or_default();
    match AwsKind::of(o.kind) {
        Some(AwsKind::Vpc) => {
            x.leaf("vpcId", &o.id).leaf("cidrBlock", o.text("cidr")).leaf("state", &o.state);
            x.leaf("isDefault", false).leaf("instanceTenancy", "default").leaf("ownerId", owner_id(o));
        }
        Some(AwsKind::Subnet) => subnet(x, o, vpc),
        Some(AwsKind::NetworkInterface) => interface(x, o, vpc),
        Some(AwsKind::SecurityGroup) => group(x, o, vpc),
        Some(AwsKind::Volume) => return volume(x, o),
        Some(AwsKind::Snapshot) => return snapshot(x, o),
        Some(AwsKind::Eip) => {
            x.leaf("allocationId", &o.id).leaf("publicIp", o.text("public_ip")).leaf("domain", "vpc");
            if !o.text("interface").is_empty() {
                x.leaf("networkInterfaceId", o.text("interface"));
                x.leaf("associationId", o.id.replace("eipalloc", "eipassoc"));
            }
        }
        Some(AwsKind::NatGateway) => {
            x.leaf("natGatewayId", &o.id).leaf("vpcId", vpc).leaf("subnetId", o.text("subnet")).leaf("state", &o.state);
            x.leaf("createTime", iso8601(o.created_us)).leaf_opt("deleteTime", o.gone_us.map(iso8601));
            x.leaf("connectivityType", "public");
            x.node("natGatewayAddressSet", |x| {
                x.node("item", |x| {
                    x.leaf("allocationId", o.text("allocation")).leaf("networkInterfaceId", o.text("interface"));
                });
            });
        }
        Some(AwsKind::InternetGateway) => {
            x.leaf("internetGatewayId", &o.id).leaf("ownerId", owner_id(o));
            x.list("attachmentSet", "item", o.vpc.iter(), |x, vpc| {
                x.leaf("vpcId", vpc).leaf("state", "available");
            });
        }
        Some(AwsKind::RouteTable) => route_table(x, o, vpc),
        Some(AwsKind::Instance) => return instance(x, o, vpc),
        Some(AwsKind::LaunchTemplate) => {
            x.leaf("launchTemplateId", &o.id).leaf("launchTemplateName", o.name.as_deref().unwrap_or_default());
            let version = o.props.get("version").and_then(Value::as_u64).unwrap_or(1);
            x.leaf("defaultVersionNumber", 1).leaf("latestVersionNumber", version);
            x.leaf("createTime", iso8601(o.created_us));
        }
        _ => {
            x.leaf("vpcEndpointId", &o.id).leaf("vpcId", vpc).leaf("state", &o.state);
            x.leaf("serviceName", o.text("service"));
        }
    }
    tag_set(x, o);
}

fn tag_set(x: &mut Xml, o: &Object) {
    x.tags("tagSet", "item", ("key", "value"), &o.tags);
}

/// The account in an ARN.
#[must_use]
pub(crate) fn owner_id(o: &Object) -> &str {
    o.arn.split(':').nth(4).unwrap_or_default()
}

fn subnet(x: &mut Xml, o: &Object, vpc: &str) {
    x.leaf("subnetId", &o.id).leaf("subnetArn", &o.arn).leaf("vpcId", vpc).leaf("state", &o.state);
    x.leaf("cidrBlock", o.text("cidr")).leaf("availabilityZone", o.text("zone")).leaf("availableIpAddressCount", 200);
    x.leaf("defaultForAz", false).leaf("ownerId", owner_id(o));
    x.leaf("mapPublicIpOnLaunch", o.props.get("map_public").and_then(Value::as_bool).unwrap_or(false));
}

fn interface(x: &mut Xml, o: &Object, vpc: &str) {
    x.leaf("networkInterfaceId", &o.id).leaf("subnetId", o.text("subnet")).leaf("vpcId", vpc);
    x.leaf("availabilityZone", o.text("zone")).leaf("description", o.text("description"));
    x.leaf("ownerId", owner_id(o)).leaf("status", &o.state).leaf("interfaceType", o.text("interface_type"));
    x.leaf("requesterManaged", !matches!(o.owner, Owner::Customer)).leaf("privateIpAddress", o.text("ip"));
    x.list("groupSet", "item", o.texts("groups"), |x, g| {
        x.leaf("groupId", g);
    });
    let attached_to = o.text("attached_to");
    if !attached_to.is_empty() {
        x.node("attachment", |x| {
            x.leaf("attachmentId", o.text("attachment")).leaf("status", "attached");
            if attached_to.starts_with("i-") {
                x.leaf("instanceId", attached_to).leaf("instanceOwnerId", owner_id(o));
            } else {
                x.leaf("instanceOwnerId", "amazon-aws");
            }
        });
    }
    if !o.text("public_ip").is_empty() {
        x.node("association", |x| {
            x.leaf("publicIp", o.text("public_ip"));
        });
    }
}

fn group(x: &mut Xml, o: &Object, vpc: &str) {
    x.leaf("groupId", &o.id).leaf("groupName", o.text("group_name")).leaf("groupDescription", o.text("description"));
    x.leaf("vpcId", vpc).leaf("ownerId", owner_id(o)).leaf("securityGroupArn", &o.arn);
    for (name, direction) in [("ipPermissions", "ingress"), ("ipPermissionsEgress", "egress")] {
        x.list(name, "item", security::rules(o, direction), |x, rule| {
            x.leaf("ipProtocol", rule.protocol).leaf_opt("fromPort", rule.from).leaf_opt("toPort", rule.to);
            x.list("ipRanges", "item", rule.cidrs, |x, cidr| {
                x.leaf("cidrIp", cidr);
            });
            x.list("groups", "item", rule.groups, |x, group| {
                x.leaf("groupId", group).leaf("userId", owner_id(o));
            });
        });
    }
}

fn route_table(x: &mut Xml, o: &Object, vpc: &str) {
    x.leaf("routeTableId", &o.id).leaf("vpcId", vpc).leaf("ownerId", owner_id(o));
    let items = |key: &str| o.props.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let text = |v: &Value, key: &str| v.get(key).and_then(Value::as_str).map(str::to_owned);
    x.list("routeSet", "item", items("routes"), |x, route| {
        x.leaf_opt("destinationCidrBlock", text(&route, "destination")).leaf_opt("gatewayId", text(&route, "gateway"));
        x.leaf_opt("natGatewayId", text(&route, "nat")).leaf("state", "active");
    });
    x.list("associationSet", "item", items("associations"), |x, association| {
        x.leaf_opt("routeTableAssociationId", text(&association, "id")).leaf("routeTableId", &o.id);
        x.leaf_opt("subnetId", text(&association, "subnet")).leaf("main", false);
    });
}

/// Writes a volume, which CreateVolume gives without a wrapper.
pub(crate) fn volume(x: &mut Xml, o: &Object) {
    x.leaf("volumeId", &o.id).leaf("size", o.props.get("size").and_then(Value::as_u64).unwrap_or(0));
    x.leaf("availabilityZone", o.text("zone")).leaf("status", &o.state).leaf("createTime", iso8601(o.created_us));
    x.leaf("volumeType", "gp3").leaf("encrypted", false);
    let attached: Vec<&str> = Some(o.text("attached_to")).filter(|a| !a.is_empty()).into_iter().collect();
    x.list("attachmentSet", "item", attached, |x, instance| {
        x.leaf("volumeId", &o.id).leaf("instanceId", instance).leaf("status", "attached");
    });
    tag_set(x, o);
}

/// Writes a snapshot, which CreateSnapshot gives without a wrapper.
pub(crate) fn snapshot(x: &mut Xml, o: &Object) {
    x.leaf("snapshotId", &o.id).leaf("volumeId", o.text("volume")).leaf("status", &o.state).leaf("progress", "100%");
    x.leaf("startTime", iso8601(o.created_us)).leaf("ownerId", owner_id(o)).leaf("description", o.text("description"));
    x.leaf("volumeSize", o.props.get("size").and_then(Value::as_u64).unwrap_or(0)).leaf("encrypted", false);
    tag_set(x, o);
}

fn instance(x: &mut Xml, o: &Object, vpc: &str) {
    x.leaf("reservationId", o.id.replace("i-", "r-")).leaf("ownerId", owner_id(o));
    x.node("instancesSet", |x| {
        x.node("item", |x| {
            x.leaf("instanceId", &o.id).leaf("instanceType", o.text("instance_type")).leaf("vpcId", vpc);
            x.node("instanceState", |x| {
                let code = match o.state.as_str() {
                    "pending" => 0,
                    "running" => 16,
                    "shutting-down" => 32,
                    _ => 48,
                };
                x.leaf("code", code).leaf("name", &o.state);
            });
            x.leaf("subnetId", o.text("subnet")).leaf("privateIpAddress", o.text("ip"));
            x.leaf("privateDnsName", o.text("private_dns")).leaf("launchTime", iso8601(o.created_us));
            x.node("placement", |x| {
                x.leaf("availabilityZone", o.text("zone"));
            });
            tag_set(x, o);
        });
    });
}
