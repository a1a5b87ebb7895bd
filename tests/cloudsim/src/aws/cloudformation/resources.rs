//! The resource types: what creating and deleting each does to the world.
//!
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-template-resource-type-ref.html>; what
//! Ref and Fn::GetAtt give is each type's page there.

use super::{identity, stack::StackResource, template::scalar};
use crate::{
    aws::{
        ec2::{network, security},
    },
    call::{AwsError, Result},
    duration::{self, Span},
    object::{Kind, Object, Tags},
    ctx::Ctx,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What to make.
#[derive(Debug)]
pub struct Order<'a> {
    /// Type.
    pub kind: &'a str,
    /// `stack/logical`, which draws its duration.
    pub name: String,
    /// Resolved properties.
    pub properties: &'a Value,
    /// All tags.
    pub tags: Tags,
    /// The physical name if none is given.
    pub default_name: String,
}

/// What was made.
#[derive(Debug, Default)]
pub struct Made {
    /// Physical id, which Ref gives.
    pub physical: String,
    /// What Fn::GetAtt gives.
    pub attributes: BTreeMap<String, String>,
}

/// Types known here, and whether each needs an IAM capability.
#[must_use]
pub fn known(kind: &str) -> bool {
    TYPES.contains(&kind)
}

const TYPES: [&str; 18] = [
    "AWS::EC2::VPC",
    "AWS::EC2::Subnet",
    "AWS::EC2::InternetGateway",
    "AWS::EC2::VPCGatewayAttachment",
    "AWS::EC2::EIP",
    "AWS::EC2::NatGateway",
    "AWS::EC2::RouteTable",
    "AWS::EC2::Route",
    "AWS::EC2::SubnetRouteTableAssociation",
    "AWS::EC2::SecurityGroup",
    "AWS::EC2::SecurityGroupIngress",
    "AWS::EC2::SecurityGroupEgress",
    "AWS::EC2::VPCEndpoint",
    "AWS::EC2::LaunchTemplate",
    "AWS::IAM::Role",
    "AWS::IAM::ManagedPolicy",
    "AWS::IAM::Policy",
    "AWS::IAM::InstanceProfile",
];

/// How long CloudFormation takes for a type, without the resource's own lifecycle.
#[must_use]
pub fn create_span(kind: &str) -> Span {
    match kind {
        k if k.starts_with("AWS::IAM::") => duration::STACK_IAM,
        "AWS::EC2::VPC" | "AWS::EC2::InternetGateway" | "AWS::EC2::EIP" => duration::STACK_SLOW_RESOURCE,
        _ => duration::STACK_RESOURCE,
    }
}

impl Order<'_> {
    /// A property as text, empty if absent.
    pub(super) fn text(&self, key: &str) -> String {
        self.properties.get(key).map(scalar).unwrap_or_default()
    }

    /// A list property as texts.
    pub(super) fn texts(&self, key: &str) -> Vec<String> {
        self.properties.get(key).and_then(Value::as_array).into_iter().flatten().map(scalar).collect()
    }

    /// The name given, or CloudFormation's own.
    pub(super) fn name_or_default(&self, key: &str) -> String {
        let given = self.text(key);
        if given.is_empty() { self.default_name.chars().take(64).collect() } else { given }
    }
}

pub(super) fn made(physical: impl Into<String>, attributes: &[(&str, String)]) -> Made {
    Made {
        physical: physical.into(),
        attributes: attributes.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect(),
    }
}

/// Makes a resource.
///
/// # Errors
/// As the service words them.
pub fn create(ctx: &mut Ctx<'_>, o: &Order<'_>) -> Result<Made> {
    match o.kind {
        k if k.starts_with("AWS::IAM::") => ctx.global(|ctx| identity::create(ctx, o)),
        "AWS::EC2::SecurityGroup" | "AWS::EC2::SecurityGroupIngress" | "AWS::EC2::SecurityGroupEgress" => create_security(ctx, o),
        "AWS::EC2::RouteTable" | "AWS::EC2::Route" | "AWS::EC2::SubnetRouteTableAssociation" => create_routing(ctx, o),
        _ => create_network(ctx, o),
    }
}

fn create_network(ctx: &mut Ctx<'_>, o: &Order<'_>) -> Result<Made> {
    let tags = o.tags.clone();
    Ok(match o.kind {
        "AWS::EC2::VPC" => {
            let id = network::create_vpc(ctx, &o.text("CidrBlock"), tags)?;
            let group = ctx.scope().in_vpc(&id).find(|g| g.kind == Kind::SecurityGroup).map(|g| g.id.clone());
            made(&id, &[("VpcId", id.clone()), ("CidrBlock", o.text("CidrBlock")), ("DefaultSecurityGroup", group.unwrap_or_default())])
        }
        "AWS::EC2::Subnet" => {
            let zone = o.text("AvailabilityZone");
            let zone = if zone.is_empty() { format!("{}a", ctx.key.region) } else { zone };
            let id = network::create_subnet(ctx, &o.text("VpcId"), &o.text("CidrBlock"), &zone, tags)?;
            let public = o.text("MapPublicIpOnLaunch") == "true";
            ctx.adjust(&id, |s| s.set("map_public", public));
            made(&id, &[("SubnetId", id.clone()), ("AvailabilityZone", zone), ("VpcId", o.text("VpcId")), ("CidrBlock", o.text("CidrBlock"))])
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
            let (id, _) = network::create_nat(ctx, &o.text("SubnetId"), &o.text("AllocationId"), &o.name, tags)?;
            made(&id, &[("NatGatewayId", id.clone())])
        }
        "AWS::EC2::LaunchTemplate" => create_launch_template(ctx, o)?,
        "AWS::EC2::VPCEndpoint" => {
            let vpc = o.text("VpcId");
            network::existing(ctx, Kind::Vpc, &vpc)?;
            let id = format!("vpce-{}", ctx.world.hex(17));
            let arn = ctx.arn("ec2", &format!("vpc-endpoint/{id}"));
            let mut endpoint = Object::new(Kind::VpcEndpoint, &id, arn, ctx.now);
            endpoint.vpc = Some(vpc);
            endpoint.tags = tags;
            ctx.create(endpoint.with("service", o.text("ServiceName")));
            made(&id, &[("Id", id.clone())])
        }
        other => return Err(AwsError::new("InvalidRequest", format!("{other} is not simulated"))),
    })
}

fn create_launch_template(ctx: &mut Ctx<'_>, o: &Order<'_>) -> Result<Made> {
    let name = o.name_or_default("LaunchTemplateName");
    if ctx.scope().named(Kind::LaunchTemplate, &name).is_some() {
        return Err(AwsError::new("InvalidLaunchTemplateName.AlreadyExistsException", "Launch template name already in use."));
    }
    let present = ctx.scope().count(Kind::LaunchTemplate);
    ctx.within_quota("launch-templates", present).map_err(|_| {
        AwsError::new("LaunchTemplateLimitExceeded", "The maximum number of launch templates has been reached.")
    })?;
    let id = format!("lt-{}", ctx.world.hex(17));
    let arn = ctx.arn("ec2", &format!("launch-template/{id}"));
    let mut template = Object::new(Kind::LaunchTemplate, &id, arn, ctx.now);
    template.name = Some(name.clone());
    template.tags = o.tags.clone();
    for (key, value) in specified_tags(o.properties, "launch-template") {
        template.tags.insert(key, value);
    }
    let data = o.properties.get("LaunchTemplateData").cloned().unwrap_or_default();
    ctx.create(template.with("version", 1).with("data", data));
    let attributes = [("LaunchTemplateId", id.clone()), ("LatestVersionNumber", "1".to_owned()), ("DefaultVersionNumber", "1".to_owned())];
    Ok(made(&id, &attributes))
}

/// The tags that a `TagSpecifications` list gives to a kind of resource.
#[must_use]
pub fn specified_tags(holder: &Value, kind: &str) -> Tags {
    let lists = holder.get("TagSpecifications").and_then(Value::as_array).into_iter().flatten();
    let tags = lists.filter(|l| l["ResourceType"] == kind).filter_map(|l| l["Tags"].as_array()).flatten();
    tags.map(|t| (scalar(&t["Key"]), scalar(&t["Value"]))).collect()
}

fn create_routing(ctx: &mut Ctx<'_>, o: &Order<'_>) -> Result<Made> {
    if o.kind == "AWS::EC2::RouteTable" {
        let id = network::create_route_table(ctx, &o.text("VpcId"), o.tags.clone())?;
        return Ok(made(&id, &[("RouteTableId", id.clone())]));
    }
    let table = o.text("RouteTableId");
    network::existing(ctx, Kind::RouteTable, &table)?;
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
            network::existing(ctx, Kind::NatGateway, &nat)?;
        }
        let entry = json!({ "destination": destination, "gateway": some(&gateway), "nat": some(&nat) });
        push(ctx, "routes", entry);
        return Ok(made(format!("{table}|{destination}"), &[("CidrBlock", destination)]));
    }
    let subnet = o.text("SubnetId");
    network::existing(ctx, Kind::Subnet, &subnet)?;
    let id = format!("rtbassoc-{}", ctx.world.hex(17));
    push(ctx, "associations", json!({ "id": id, "subnet": subnet }));
    Ok(made(&id, &[("Id", id.clone()), ("table", table.clone())]))
}

fn some(text: &str) -> Option<&str> {
    Some(text).filter(|t| !t.is_empty())
}

/// A permission as CloudFormation writes it.
fn permission(rule: &Value) -> security::Permission {
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

fn create_security(ctx: &mut Ctx<'_>, o: &Order<'_>) -> Result<Made> {
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
        return Ok(made(&id, &[("GroupId", id.clone()), ("Id", id.clone()), ("VpcId", o.text("VpcId")), ("GroupName", name)]));
    }
    let direction = if o.kind.ends_with("Ingress") { "ingress" } else { "egress" };
    security::add_rule(ctx, &o.text("GroupId"), direction, permission(o.properties))?;
    let id = format!("sgr-{}", ctx.world.hex(17));
    Ok(made(&id, &[("Id", id.clone())]))
}

/// Deletes a resource and gives the time that its own lifecycle takes; what is gone already is no error.
///
/// # Errors
/// As the service words them; DependencyViolation is worth a retry.
pub fn delete(ctx: &mut Ctx<'_>, r: &StackResource) -> Result<u64> {
    let physical = r.physical.clone().unwrap_or_default();
    let result = match r.kind.as_str() {
        k if k.starts_with("AWS::IAM::") => ctx.global(|ctx| identity::delete(ctx, r, &physical)).map(|()| 0),
        "AWS::EC2::VPC" => network::delete_vpc(ctx, &physical).map(|()| 0),
        "AWS::EC2::Subnet" => network::delete_subnet(ctx, &physical).map(|()| 0),
        "AWS::EC2::InternetGateway" => network::delete_internet_gateway(ctx, &physical).map(|()| 0),
        "AWS::EC2::VPCGatewayAttachment" => {
            let part = |key: &str| r.attributes.get(key).cloned().unwrap_or_default();
            network::detach_gateway(ctx, &part("gateway"), &part("vpc")).map(|()| 0)
        }
        "AWS::EC2::EIP" => {
            let id = r.attributes.get("AllocationId").cloned().unwrap_or_default();
            network::release_address(ctx, &id).map(|()| 0)
        }
        "AWS::EC2::NatGateway" => network::delete_nat(ctx, &physical),
        "AWS::EC2::SecurityGroup" => security::delete_group(ctx, &physical).map(|()| 0),
        "AWS::EC2::SecurityGroupIngress" | "AWS::EC2::SecurityGroupEgress" => {
            let direction = if r.kind.ends_with("Ingress") { "ingress" } else { "egress" };
            let group = r.properties.get("GroupId").map(scalar).unwrap_or_default();
            security::remove_rule(ctx, &group, direction, &permission(&r.properties));
            Ok(0)
        }
        "AWS::EC2::Route" | "AWS::EC2::SubnetRouteTableAssociation" => {
            delete_routing(ctx, r, &physical);
            Ok(0)
        }
        _ => {
            ctx.delete(&physical);
            Ok(0)
        }
    };
    match result {
        Err(error) if error.code.contains("NotFound") || matches!(error.code.as_str(), "NoSuchEntity" | "Gateway.NotAttached") => Ok(0),
        other => other,
    }
}

fn delete_routing(ctx: &mut Ctx<'_>, r: &StackResource, physical: &str) {
    let table = r.properties.get("RouteTableId").map(scalar).unwrap_or_default();
    let destination = r.properties.get("DestinationCidrBlock").map(scalar);
    ctx.change(&table, |t| {
        for (key, field, value) in [("routes", "destination", destination.as_deref()), ("associations", "id", Some(physical))] {
            if let Some(list) = t.props.get_mut(key).and_then(Value::as_array_mut) {
                list.retain(|e| value.is_none() || e[field].as_str() != value);
            }
        }
    });
}

/// Changes a resource in place: tags always, rules of security groups and policies of roles; the rest would mean a
/// replacement, which is not simulated.
///
/// # Errors
/// If the change would mean a replacement.
pub fn update(ctx: &mut Ctx<'_>, r: &StackResource, o: &Order<'_>) -> Result<()> {
    let physical = match r.kind.as_str() {
        "AWS::EC2::EIP" => r.attributes.get("AllocationId").cloned(),
        k if k.starts_with("AWS::IAM::") => r.attributes.get("Arn").cloned().or_else(|| r.physical.clone()),
        _ => r.physical.clone(),
    }
    .unwrap_or_default();
    let same_but = |keys: &[&str]| {
        let strip = |v: &Value| {
            let mut v = v.clone();
            for key in keys {
                v.as_object_mut().map(|fields| fields.remove(*key));
            }
            v
        };
        strip(&r.properties) == strip(o.properties)
    };
    if !same_but(&["Tags", "SecurityGroupIngress", "ManagedPolicyArns", "AssumeRolePolicyDocument", "MapPublicIpOnLaunch", "Policies", "EnableDnsHostnames", "EnableDnsSupport", "LaunchTemplateData", "TagSpecifications"]) {
        return Err(AwsError::new("NotUpdatable", format!("{} would need a replacement, which is not simulated", r.logical)));
    }
    let (tags, properties) = (o.tags.clone(), o.properties.clone());
    let policies = o.texts("ManagedPolicyArns");
    let apply = |ctx: &mut Ctx<'_>| {
        ctx.change(&physical, |object| {
            object.tags = tags;
            match object.kind {
                Kind::SecurityGroup => {
                    let rules = properties.get("SecurityGroupIngress").and_then(Value::as_array);
                    let rules: Vec<_> = rules.into_iter().flatten().map(permission).collect();
                    security::set_rules(object, "ingress", &rules);
                }
                Kind::LaunchTemplate => {
                    let version = object.props.get("version").and_then(Value::as_u64).unwrap_or(1);
                    if r.properties.get("LaunchTemplateData") != properties.get("LaunchTemplateData") {
                        object.set("version", version + 1);
                        object.set("data", properties.get("LaunchTemplateData").cloned().unwrap_or_default());
                    }
                    object.tags.extend(specified_tags(&properties, "launch-template"));
                }
                Kind::Role => {
                    object.set("policies", policies);
                    object.set("assume_role_policy", properties.get("AssumeRolePolicyDocument").map(ToString::to_string).unwrap_or_default());
                }
                _ => {}
            }
        });
    };
    if r.kind.starts_with("AWS::IAM::") { ctx.global(apply) } else { apply(ctx) }
    Ok(())
}

/// What Fn::GetAtt gives anew after a change in place.
#[must_use]
pub fn attributes_after_update(ctx: &mut Ctx<'_>, r: &StackResource) -> BTreeMap<String, String> {
    let id = r.physical.as_deref().unwrap_or_default();
    let version = ctx.scope().live(id).filter(|o| o.kind == Kind::LaunchTemplate).and_then(|o| o.props.get("version").cloned());
    version.map(|v| ("LatestVersionNumber".to_owned(), v.to_string())).into_iter().collect()
}
