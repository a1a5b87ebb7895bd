//! The resource types of EC2: networks, routes, security groups, launch templates.
//!
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/AWS_EC2.html>.

use super::{
    order::{Made, Order, made, specified_tags},
    stack::StackResource,
    values::scalar,
};
use crate::ec2::{self, nat, network, security};
use crate::{arn::Arn as _, kind::AwsKind};
use cloudsim_core::{
    call::{ApiError, Result},
    ctx::Ctx,
    object::Object,
};
use serde_json::{Value, json};

/// Makes a resource of the VPC itself.
pub(super) fn create_network(ctx: &mut Ctx<'_>, o: &Order<'_>) -> Result<Made> {
    let tags = o.tags.clone();
    Ok(match o.kind {
        "AWS::EC2::VPC" => {
            let id = network::create_vpc(ctx, &o.text("CidrBlock"), tags)?;
            let group = ctx.scope().in_vpc(&id).find(|g| g.kind == AwsKind::SecurityGroup).map(|g| g.id.clone());
            made(
                &id,
                &[
                    ("VpcId", id.clone()),
                    ("CidrBlock", o.text("CidrBlock")),
                    ("DefaultSecurityGroup", group.unwrap_or_default()),
                ],
            )
        }
        "AWS::EC2::Subnet" => {
            let zone = o.text("AvailabilityZone");
            let zone = if zone.is_empty() { format!("{}a", ctx.key.region) } else { zone };
            let id = network::create_subnet(ctx, &o.text("VpcId"), &o.text("CidrBlock"), &zone, tags)?;
            let public = o.text("MapPublicIpOnLaunch") == "true";
            ctx.adjust(&id, |s| s.set("map_public", public));
            made(
                &id,
                &[
                    ("SubnetId", id.clone()),
                    ("AvailabilityZone", zone),
                    ("VpcId", o.text("VpcId")),
                    ("CidrBlock", o.text("CidrBlock")),
                ],
            )
        }
        "AWS::EC2::InternetGateway" => {
            let id = network::create_internet_gateway(ctx, tags)?;
            made(&id, &[("InternetGatewayId", id.clone())])
        }
        "AWS::EC2::VPCGatewayAttachment" => {
            let (gateway, vpc) = (o.text("InternetGatewayId"), o.text("VpcId"));
            network::attach_gateway(ctx, &gateway, &vpc)?;
            made(format!("IGW|{vpc}"), &[("AttachmentType", "IGW".to_owned()), ("gateway", gateway), ("vpc", vpc)])
        }
        "AWS::EC2::EIP" => {
            let id = network::allocate_address(ctx, tags)?;
            let ip = ctx.scope().live(&id).map(|a| a.text("public_ip").to_owned()).unwrap_or_default();
            made(&ip, &[("AllocationId", id), ("PublicIp", ip.clone())])
        }
        "AWS::EC2::NatGateway" => {
            let (id, _) = nat::create_nat(ctx, &o.text("SubnetId"), &o.text("AllocationId"), &o.name, tags)?;
            made(&id, &[("NatGatewayId", id.clone())])
        }
        "AWS::EC2::LaunchTemplate" => create_launch_template(ctx, o)?,
        "AWS::EC2::VPCEndpoint" => {
            let vpc = o.text("VpcId");
            ec2::existing(ctx, AwsKind::Vpc, &vpc)?;
            let id = format!("vpce-{}", ctx.world.hex(17));
            let arn = ctx.arn("ec2", &format!("vpc-endpoint/{id}"));
            let mut endpoint = Object::new(AwsKind::VpcEndpoint, &id, arn, ctx.now);
            endpoint.vpc = Some(vpc);
            endpoint.tags = tags;
            ctx.create(endpoint.with("service", o.text("ServiceName")));
            made(&id, &[("Id", id.clone())])
        }
        other => {
            return Err(ApiError::new("InvalidRequest", format!("{other} is not simulated")));
        }
    })
}

fn create_launch_template(ctx: &mut Ctx<'_>, o: &Order<'_>) -> Result<Made> {
    let name = o.name_or_default("LaunchTemplateName");
    if ctx.scope().named(AwsKind::LaunchTemplate, &name).is_some() {
        return Err(ApiError::new(
            "InvalidLaunchTemplateName.AlreadyExistsException",
            "Launch template name already in use.",
        ));
    }
    let present = ctx.scope().count(AwsKind::LaunchTemplate);
    ctx.within_quota("launch-templates", present).map_err(|_| {
        ApiError::new("LaunchTemplateLimitExceeded", "The maximum number of launch templates has been reached.")
    })?;
    let id = format!("lt-{}", ctx.world.hex(17));
    let arn = ctx.arn("ec2", &format!("launch-template/{id}"));
    let mut template = Object::new(AwsKind::LaunchTemplate, &id, arn, ctx.now);
    template.name = Some(name.clone());
    template.tags = o.tags.clone();
    for (key, value) in specified_tags(o.properties, "launch-template") {
        template.tags.insert(key, value);
    }
    let data = o.properties.get("LaunchTemplateData").cloned().unwrap_or_default();
    ctx.create(template.with("version", 1).with("data", data));
    let attributes = [
        ("LaunchTemplateId", id.clone()),
        ("LatestVersionNumber", "1".to_owned()),
        ("DefaultVersionNumber", "1".to_owned()),
    ];
    Ok(made(&id, &attributes))
}

/// Makes a route table, a route or an association.
pub(super) fn create_routing(ctx: &mut Ctx<'_>, o: &Order<'_>) -> Result<Made> {
    if o.kind == "AWS::EC2::RouteTable" {
        let id = network::create_route_table(ctx, &o.text("VpcId"), o.tags.clone())?;
        return Ok(made(&id, &[("RouteTableId", id.clone())]));
    }
    let table = o.text("RouteTableId");
    ec2::existing(ctx, AwsKind::RouteTable, &table)?;
    let push = |ctx: &mut Ctx<'_>, key: &str, entry: Value| {
        ctx.change(&table, |t| {
            if let Some(list) = t.props.get_mut(key).and_then(Value::as_array_mut) {
                list.push(entry);
            }
        });
    };
    if o.kind == "AWS::EC2::Route" {
        let destination = o.text("DestinationCidrBlock");
        let (gateway, nat) = (o.text("GatewayId"), o.text("NatGatewayId"));
        if !nat.is_empty() {
            ec2::existing(ctx, AwsKind::NatGateway, &nat)?;
        }
        let entry = json!({ "destination": destination, "gateway": some(&gateway), "nat": some(&nat) });
        push(ctx, "routes", entry);
        return Ok(made(format!("{table}|{destination}"), &[("CidrBlock", destination)]));
    }
    let subnet = o.text("SubnetId");
    ec2::existing(ctx, AwsKind::Subnet, &subnet)?;
    let id = format!("rtbassoc-{}", ctx.world.hex(17));
    push(ctx, "associations", json!({ "id": id, "subnet": subnet }));
    Ok(made(&id, &[("Id", id.clone()), ("table", table.clone())]))
}

/// Gives a route another target.
pub(super) fn replace_route(ctx: &mut Ctx<'_>, o: &Order<'_>) {
    let (destination, gateway, nat) = (o.text("DestinationCidrBlock"), o.text("GatewayId"), o.text("NatGatewayId"));
    ctx.change(&o.text("RouteTableId"), |table| {
        let routes = table.props.get_mut("routes").and_then(Value::as_array_mut);
        for route in routes.into_iter().flatten().filter(|route| route["destination"] == destination.as_str()) {
            *route = json!({ "destination": destination, "gateway": some(&gateway), "nat": some(&nat) });
        }
    });
}

fn some(text: &str) -> Option<&str> {
    Some(text).filter(|t| !t.is_empty())
}

/// A permission as CloudFormation writes it.
pub(super) fn permission(rule: &Value) -> security::Permission {
    let port = |key: &str| rule.get(key).and_then(|v| scalar(v).parse().ok());
    let list = |keys: &[&str]| keys.iter().filter_map(|k| rule.get(*k)).map(scalar).filter(|v| !v.is_empty()).collect();
    security::Permission {
        protocol: rule.get("IpProtocol").map(scalar).unwrap_or_default(),
        from: port("FromPort"),
        to: port("ToPort"),
        cidrs: list(&["CidrIp", "CidrIpv6"]),
        groups: list(&["SourceSecurityGroupId", "DestinationSecurityGroupId"]),
    }
}

/// Makes a security group or a rule.
pub(super) fn create_security(ctx: &mut Ctx<'_>, o: &Order<'_>) -> Result<Made> {
    if o.kind == "AWS::EC2::SecurityGroup" {
        let name = o.name_or_default("GroupName");
        let id = security::create_group(ctx, &o.text("VpcId"), &name, &o.text("GroupDescription"), o.tags.clone())?;
        for (key, direction) in [("SecurityGroupIngress", "ingress"), ("SecurityGroupEgress", "egress")] {
            for rule in o.properties.get(key).and_then(Value::as_array).into_iter().flatten() {
                let rule = permission(rule);
                ctx.adjust(&id, |g| {
                    let mut rules = security::rules(g, direction);
                    rules.push(rule);
                    security::set_rules(g, direction, &rules);
                });
            }
        }
        return Ok(made(
            &id,
            &[("GroupId", id.clone()), ("Id", id.clone()), ("VpcId", o.text("VpcId")), ("GroupName", name)],
        ));
    }
    let direction = if o.kind.ends_with("Ingress") { "ingress" } else { "egress" };
    security::add_rule(ctx, &o.text("GroupId"), direction, permission(o.properties))?;
    let id = format!("sgr-{}", ctx.world.hex(17));
    Ok(made(&id, &[("Id", id.clone())]))
}

/// Takes a route or an association out of its table.
pub(super) fn delete_routing(ctx: &mut Ctx<'_>, r: &StackResource, physical: &str) {
    let table = r.properties.get("RouteTableId").map(scalar).unwrap_or_default();
    let destination = r.properties.get("DestinationCidrBlock").map(scalar);
    ctx.change(&table, |t| {
        for (key, field, value) in
            [("routes", "destination", destination.as_deref()), ("associations", "id", Some(physical))]
        {
            if let Some(list) = t.props.get_mut(key).and_then(Value::as_array_mut) {
                list.retain(|e| value.is_none() || e[field].as_str() != value);
            }
        }
    });
}
