//! The resource types: what creating and deleting each does to the world.
//!
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-template-resource-type-ref.html>; what
//! Ref and Fn::GetAtt give is each type's page there.

use super::{
    identity,
    network::{create_network, create_routing, create_security, delete_routing, permission, replace_route},
    order::{Made, Order, specified_tags},
    stack::StackResource,
    values::scalar,
};
use crate::ec2::{nat, network, security};
use crate::{durations, kind::AwsKind};
use cloudsim_core::{
    call::{ApiError, Result},
    ctx::Ctx,
    duration::Span,
    object::Object,
};
use serde_json::Value;
use std::collections::BTreeMap;

/// Types known here, and whether each needs an IAM capability.
#[must_use]
pub(crate) fn known(kind: &str) -> bool {
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
pub(crate) fn create_span(kind: &str) -> Span {
    match kind {
        k if k.starts_with("AWS::IAM::") => durations::STACK_IAM,
        "AWS::EC2::VPC" | "AWS::EC2::InternetGateway" | "AWS::EC2::EIP" => durations::STACK_SLOW_RESOURCE,
        _ => durations::STACK_RESOURCE,
    }
}

/// Makes a resource.
///
/// # Errors
/// As the service words them.
pub(crate) fn create(ctx: &mut Ctx<'_>, o: &Order<'_>) -> Result<Made> {
    match o.kind {
        k if k.starts_with("AWS::IAM::") => ctx.global(|ctx| identity::create(ctx, o)),
        "AWS::EC2::SecurityGroup" | "AWS::EC2::SecurityGroupIngress" | "AWS::EC2::SecurityGroupEgress" => {
            create_security(ctx, o)
        }
        "AWS::EC2::RouteTable" | "AWS::EC2::Route" | "AWS::EC2::SubnetRouteTableAssociation" => create_routing(ctx, o),
        _ => create_network(ctx, o),
    }
}

/// Deletes a resource and gives the time that its own lifecycle takes; what is gone already is no error.
///
/// # Errors
/// As the service words them; DependencyViolation is worth a retry.
pub(crate) fn delete(ctx: &mut Ctx<'_>, r: &StackResource) -> Result<u64> {
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
        "AWS::EC2::NatGateway" => nat::delete_nat(ctx, &physical),
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
        Err(error)
            if error.code.contains("NotFound")
                || matches!(error.code.as_str(), "NoSuchEntity" | "Gateway.NotAttached") =>
        {
            Ok(0)
        }
        other => other,
    }
}

/// Changes a resource in place: tags always, rules of security groups and policies of roles; the rest would mean a
/// replacement, which is not simulated.
///
/// # Errors
/// If the change would mean a replacement.
pub(crate) fn update(ctx: &mut Ctx<'_>, r: &StackResource, o: &Order<'_>) -> Result<()> {
    let physical = match r.kind.as_str() {
        "AWS::EC2::EIP" => r.attributes.get("AllocationId").cloned(),
        k if k.starts_with("AWS::IAM::") => r.attributes.get("Arn").cloned().or_else(|| r.physical.clone()),
        _ => r.physical.clone(),
    }
    .unwrap_or_default();
    if !differ_only_in(&r.properties, o.properties, &CHANGEABLE) {
        return Err(ApiError::new(
            "NotUpdatable",
            format!("{} would need a replacement, which is not simulated", r.logical),
        ));
    }
    if r.kind == "AWS::EC2::Route" {
        replace_route(ctx, o);
        return Ok(());
    }
    let apply = |ctx: &mut Ctx<'_>| ctx.change(&physical, |object| change(object, r, o));
    if r.kind.starts_with("AWS::IAM::") {
        ctx.global(apply)
    } else {
        apply(ctx)
    }
    Ok(())
}

/// Properties that change in place.
const CHANGEABLE: [&str; 12] = [
    "Tags",
    "GatewayId",
    "NatGatewayId",
    "SecurityGroupIngress",
    "ManagedPolicyArns",
    "AssumeRolePolicyDocument",
    "MapPublicIpOnLaunch",
    "Policies",
    "EnableDnsHostnames",
    "EnableDnsSupport",
    "LaunchTemplateData",
    "TagSpecifications",
];

fn differ_only_in(one: &Value, other: &Value, keys: &[&str]) -> bool {
    let strip = |value: &Value| {
        let mut value = value.clone();
        for key in keys {
            value.as_object_mut().map(|fields| fields.remove(*key));
        }
        value
    };
    strip(one) == strip(other)
}

/// Makes the object what its order says.
fn change(object: &mut Object, r: &StackResource, o: &Order<'_>) {
    let properties = o.properties;
    object.tags.clone_from(&o.tags);
    match AwsKind::of(object.kind) {
        Some(AwsKind::SecurityGroup) => {
            let rules = properties.get("SecurityGroupIngress").and_then(Value::as_array);
            let rules: Vec<_> = rules.into_iter().flatten().map(permission).collect();
            security::set_rules(object, "ingress", &rules);
        }
        Some(AwsKind::LaunchTemplate) => {
            let version = object.props.get("version").and_then(Value::as_u64).unwrap_or(1);
            if r.properties.get("LaunchTemplateData") != properties.get("LaunchTemplateData") {
                object.set("version", version + 1);
                object.set("data", properties.get("LaunchTemplateData").cloned().unwrap_or_default());
            }
            object.tags.extend(specified_tags(properties, "launch-template"));
        }
        Some(AwsKind::Role) => {
            object.set("policies", o.texts("ManagedPolicyArns"));
            object.set(
                "assume_role_policy",
                properties.get("AssumeRolePolicyDocument").map(ToString::to_string).unwrap_or_default(),
            );
        }
        _ => {}
    }
}

/// What Fn::GetAtt gives again after a change in place.
#[must_use]
pub(crate) fn attributes_after_update(ctx: &mut Ctx<'_>, r: &StackResource) -> BTreeMap<String, String> {
    let id = r.physical.as_deref().unwrap_or_default();
    let version = ctx
        .scope()
        .live(id)
        .filter(|o| o.kind == AwsKind::LaunchTemplate)
        .and_then(|o| o.props.get("version").cloned());
    version.map(|v| ("LatestVersionNumber".to_owned(), v.to_string())).into_iter().collect()
}
