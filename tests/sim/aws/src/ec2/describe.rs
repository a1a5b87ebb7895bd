//! The Describe calls: ids, filters, pages.
//!
//! <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/Query-Requests.html>; filter values may hold `*`.

use super::{not_found, render, zones};
use crate::kind::AwsKind;
use crate::{wire::unknown_action, xml::Xml};
use cloudsim_core::{
    call::{ApiError, Call, Params, Reply, Result},
    ctx::Ctx,
    faults::glob,
    object::Object,
};
use std::collections::BTreeMap;

struct Listing {
    kind: AwsKind,
    set: &'static str,
    ids: &'static str,
}

fn listing(action: &str) -> Option<Listing> {
    let (kind, set, ids) = match action {
        "DescribeVpcs" => (AwsKind::Vpc, "vpcSet", "VpcId"),
        "DescribeSubnets" => (AwsKind::Subnet, "subnetSet", "SubnetId"),
        "DescribeNetworkInterfaces" => (AwsKind::NetworkInterface, "networkInterfaceSet", "NetworkInterfaceId"),
        "DescribeSecurityGroups" => (AwsKind::SecurityGroup, "securityGroupInfo", "GroupId"),
        "DescribeVolumes" => (AwsKind::Volume, "volumeSet", "VolumeId"),
        "DescribeSnapshots" => (AwsKind::Snapshot, "snapshotSet", "SnapshotId"),
        "DescribeAddresses" => (AwsKind::Eip, "addressesSet", "AllocationId"),
        "DescribeNatGateways" => (AwsKind::NatGateway, "natGatewaySet", "NatGatewayId"),
        "DescribeInternetGateways" => (AwsKind::InternetGateway, "internetGatewaySet", "InternetGatewayId"),
        "DescribeRouteTables" => (AwsKind::RouteTable, "routeTableSet", "RouteTableId"),
        "DescribeInstances" => (AwsKind::Instance, "reservationSet", "InstanceId"),
        "DescribeLaunchTemplates" => (AwsKind::LaunchTemplate, "launchTemplates", "LaunchTemplateId"),
        "DescribeVpcEndpoints" => (AwsKind::VpcEndpoint, "vpcEndpointSet", "VpcEndpointId"),
        _ => return None,
    };
    Some(Listing { kind, set, ids })
}

/// Serves a Describe call.
///
/// # Errors
/// Unknown ids, unknown filters.
pub(crate) fn handle(ctx: &mut Ctx<'_>, call: &Call) -> Result<Reply> {
    let mut x = Xml::new();
    if call.action == "DescribeAvailabilityZones" {
        availability_zones(&mut x, &call.region);
        return Ok(Reply::Query(x.finish()));
    }
    let Some(listing) = listing(&call.action) else {
        return Err(unknown_action(call));
    };
    let (found, next) = select(ctx, &call.params, &listing)?;
    x.node(listing.set, |x| {
        for object in &found {
            x.node("item", |x| render::object(x, object));
        }
    });
    x.leaf_opt("nextToken", next);
    Ok(Reply::Query(x.finish()))
}

fn availability_zones(x: &mut Xml, region: &str) {
    x.list("availabilityZoneInfo", "item", zones(region).iter().enumerate(), |x, (i, zone)| {
        x.leaf("zoneName", zone).leaf("zoneState", "available").leaf("regionName", region);
        x.leaf("zoneId", format!("{}-az{}", short_region(region), i + 1)).leaf("zoneType", "availability-zone");
        x.leaf("optInStatus", "opt-in-not-required");
    });
}

/// `eu-west-1` → `euw1`, `ap-southeast-2` → `apse2`: how zone ids begin.
fn short_region(region: &str) -> String {
    let shorten = |part: &str| match part {
        "northeast" => "ne".to_owned(),
        "northwest" => "nw".to_owned(),
        "southeast" => "se".to_owned(),
        "southwest" => "sw".to_owned(),
        "north" | "south" | "east" | "west" | "central" => part[..1].to_owned(),
        other => other.to_owned(),
    };
    region.split('-').map(shorten).collect()
}

type Filters = BTreeMap<String, Vec<String>>;

fn filters(p: &Params) -> Filters {
    p.items("Filter").iter().map(|f| (f.text("Name").to_owned(), f.values("Value"))).collect()
}

fn select(ctx: &mut Ctx<'_>, p: &Params, listing: &Listing) -> Result<(Vec<Object>, Option<String>)> {
    let ids = p.values(listing.ids);
    let filters = filters(p);
    for id in &ids {
        let found = ctx.seen(id).is_some_and(|o| o.kind == listing.kind);
        if !found {
            return Err(not_found(listing.kind, id));
        }
    }
    let after = p.text("NextToken").to_owned();
    let limit = p.get("MaxResults").and_then(|m| m.parse().ok()).unwrap_or(usize::MAX).clamp(1, 1_000);
    let horizon = ctx.horizon;
    let mut found = Vec::new();
    for object in candidates(ctx, listing.kind, &ids, &filters) {
        let visible = horizon.is_none_or(|h| object.created_us <= h);
        if !visible || object.id <= after || !matches_all(&object, &filters)? {
            continue;
        }
        if found.len() == limit {
            let next = found.last().map(|o: &Object| o.id.clone());
            return Ok((found, next));
        }
        found.push(object);
    }
    Ok((found, None))
}

/// Objects worth testing, in order of id, by the most selective index at hand.
fn candidates(ctx: &mut Ctx<'_>, kind: AwsKind, ids: &[String], filters: &Filters) -> Vec<Object> {
    let scope = ctx.scope();
    let exact = |values: &Vec<String>| values.len() == 1 && !values[0].contains(['*', '?']);
    let mut found: Vec<Object> = if !ids.is_empty() {
        ids.iter().filter_map(|id| scope.get(id)).cloned().collect()
    } else if let Some(vpc) = filters.get("vpc-id").filter(|v| exact(v) && kind != AwsKind::NatGateway) {
        scope.in_vpc(&vpc[0]).filter(|o| o.kind == kind).cloned().collect()
    } else if let Some((key, values)) = filters.iter().find(|(k, v)| k.starts_with("tag:") && exact(v)) {
        scope.tagged(&key[4..], &values[0]).filter(|o| o.kind == kind).cloned().collect()
    } else {
        scope.of_kind(kind).cloned().collect()
    };
    found.sort_by(|a, b| a.id.cmp(&b.id));
    found
}

fn matches_all(object: &Object, filters: &Filters) -> Result<bool> {
    for (name, wanted) in filters {
        let values = values_of(object, name)
            .ok_or_else(|| ApiError::new("InvalidParameterValue", format!("The filter '{name}' is invalid")))?;
        if !wanted.iter().any(|w| values.iter().any(|v| glob(w, v))) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The values of an object that the filter `name` inspects; `None` if there is no such filter.
fn values_of(o: &Object, name: &str) -> Option<Vec<String>> {
    if let Some(key) = name.strip_prefix("tag:") {
        return Some(o.tags.get(key).cloned().into_iter().collect());
    }
    let text = |key: &str| Some(vec![o.text(key).to_owned()]);
    match name {
        "tag-key" => Some(o.tags.keys().cloned().collect()),
        "tag-value" => Some(o.tags.values().cloned().collect()),
        "vpc-id" | "attachment.vpc-id" => Some(o.vpc.clone().into_iter().collect()),
        "state" | "status" | "instance-state-name" | "vpc-endpoint-state" => Some(vec![o.state.clone()]),
        "subnet-id" if o.kind == AwsKind::Subnet => Some(vec![o.id.clone()]),
        "subnet-id" => text("subnet"),
        "availability-zone" => text("zone"),
        "cidr" | "cidr-block" => text("cidr"),
        "group-id" if o.kind == AwsKind::SecurityGroup => Some(vec![o.id.clone()]),
        "group-id" | "instance.group-id" => Some(o.texts("groups").map(str::to_owned).collect()),
        "group-name" => text("group_name"),
        "launch-template-name" => Some(o.name.clone().into_iter().collect()),
        "description" => text("description"),
        "interface-type" => text("interface_type"),
        "private-ip-address" => text("ip"),
        "attachment.instance-id" => text("attached_to"),
        "attachment.attachment-id" => text("attachment"),
        "attachment.status" => {
            Some(vec![if o.text("attachment").is_empty() { "detached" } else { "attached" }.to_owned()])
        }
        "requester-managed" => Some(vec![(o.owner != cloudsim_core::object::Owner::Customer).to_string()]),
        "public-ip" => text("public_ip"),
        "allocation-id"
        | "network-interface-id"
        | "snapshot-id"
        | "nat-gateway-id"
        | "internet-gateway-id"
        | "route-table-id"
        | "instance-id" => Some(vec![o.id.clone()]),
        "volume-id" if o.kind == AwsKind::Snapshot => text("volume"),
        "volume-id" => Some(vec![o.id.clone()]),
        "instance-type" => text("instance_type"),
        "private-dns-name" => text("private_dns"),
        "size" => Some(vec![o.props.get("size").map(ToString::to_string).unwrap_or_default()]),
        "is-default" | "isDefault" | "default-for-az" => Some(vec!["false".to_owned()]),
        _ => None,
    }
}
