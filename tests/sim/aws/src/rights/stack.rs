//! What CloudFormation does with the caller's credentials for a resource: the permissions that each type's schema declares for its
//! handlers, without those of properties that the project's templates don't have
//! (<https://docs.aws.amazon.com/cloudformation-cli/latest/userguide/resource-type-schema.html>; `aws cloudformation describe-type`
//! shows a schema).

use crate::cloudformation::stack::Stack;
use cloudsim_core::{call::ApiError, ctx::Ctx, rights::Need};

/// A handler of a resource type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handler {
    /// Makes the resource, and reads it for what others refer to.
    Create,
    /// Changes it in place.
    Update,
    /// Deletes it.
    Delete,
}

/// Refuses what the caller of the stack's operation may not do; `role` is the name of a role that it is done to.
///
/// # Errors
/// AccessDenied.
pub(crate) fn check(
    ctx: &mut Ctx<'_>,
    stack: &Stack,
    kind: &str,
    handler: Handler,
    role: &str,
) -> Result<(), ApiError> {
    let account = stack.caller.account.clone();
    let need = |action: &str| {
        let resource = if role.is_empty() { String::new() } else { format!("arn:aws:iam::{account}:role/{role}") };
        Need::on(action, resource).with("aws:CalledVia", "cloudformation.amazonaws.com")
    };
    let (service, actions) = actions(kind, handler);
    let needs = actions.split_whitespace().map(|action| need(&format!("{service}:{action}"))).collect();
    match ctx.world.rights.missing(&stack.caller, needs) {
        None => Ok(()),
        Some(need) => {
            let code = if service == "iam" { "AccessDenied" } else { "UnauthorizedOperation" };
            Err(ApiError::new(code, super::words(&stack.caller.arn, &need)).status(403))
        }
    }
}

/// A type: its service, and what creating (with reading), updating and deleting one needs, separated by spaces.
type Row = (&'static str, &'static str, [&'static str; 3]);

const TYPES: &[Row] = &[
    (
        "AWS::EC2::VPC",
        "ec2",
        [
            "CreateVpc CreateTags ModifyVpcAttribute DescribeVpcs DescribeVpcAttribute DescribeNetworkAcls \
             DescribeSecurityGroups DescribeVpcEncryptionControls",
            "CreateTags DeleteTags ModifyVpcAttribute DescribeVpcAttribute",
            "DeleteVpc DescribeVpcs",
        ],
    ),
    (
        "AWS::EC2::Subnet",
        "ec2",
        [
            "CreateSubnet CreateTags ModifySubnetAttribute DescribeSubnets DescribeNetworkAcls",
            "CreateTags DeleteTags ModifySubnetAttribute DescribeSubnets",
            "DeleteSubnet DescribeSubnets",
        ],
    ),
    (
        "AWS::EC2::InternetGateway",
        "ec2",
        ["CreateInternetGateway CreateTags DescribeInternetGateways", "CreateTags DeleteTags", "DeleteInternetGateway"],
    ),
    (
        "AWS::EC2::VPCGatewayAttachment",
        "ec2",
        ["AttachInternetGateway DescribeInternetGateways", "", "DetachInternetGateway DescribeInternetGateways"],
    ),
    (
        "AWS::EC2::EIP",
        "ec2",
        [
            "AllocateAddress CreateTags DescribeAddresses",
            "CreateTags DeleteTags DescribeAddresses",
            "ReleaseAddress DisassociateAddress DescribeAddresses",
        ],
    ),
    (
        "AWS::EC2::NatGateway",
        "ec2",
        [
            "CreateNatGateway CreateTags DescribeNatGateways",
            "CreateTags DeleteTags DescribeNatGateways",
            "DeleteNatGateway DescribeNatGateways",
        ],
    ),
    (
        "AWS::EC2::RouteTable",
        "ec2",
        [
            "CreateRouteTable CreateTags DescribeRouteTables",
            "CreateTags DeleteTags DescribeRouteTables",
            "DeleteRouteTable DescribeRouteTables",
        ],
    ),
    (
        "AWS::EC2::Route",
        "ec2",
        ["CreateRoute DescribeRouteTables", "ReplaceRoute DescribeRouteTables", "DeleteRoute DescribeRouteTables"],
    ),
    (
        "AWS::EC2::SubnetRouteTableAssociation",
        "ec2",
        [
            "AssociateRouteTable DescribeSubnets DescribeRouteTables",
            "",
            "DisassociateRouteTable DescribeSubnets DescribeRouteTables",
        ],
    ),
    (
        "AWS::EC2::SecurityGroup",
        "ec2",
        [
            "CreateSecurityGroup CreateTags DescribeSecurityGroups",
            "CreateTags DeleteTags DescribeSecurityGroups",
            "DeleteSecurityGroup DescribeSecurityGroups DescribeInstances",
        ],
    ),
    (
        "AWS::EC2::LaunchTemplate",
        "ec2",
        [
            "CreateLaunchTemplate CreateTags DescribeLaunchTemplates DescribeLaunchTemplateVersions",
            "CreateLaunchTemplateVersion ModifyLaunchTemplate CreateTags DeleteTags DescribeLaunchTemplates \
             DescribeLaunchTemplateVersions",
            "DeleteLaunchTemplate DescribeLaunchTemplates",
        ],
    ),
    (
        "AWS::IAM::Role",
        "iam",
        [
            "CreateRole TagRole AttachRolePolicy PutRolePolicy GetRole GetRolePolicy ListAttachedRolePolicies ListRolePolicies",
            "UpdateAssumeRolePolicy AttachRolePolicy DetachRolePolicy PutRolePolicy DeleteRolePolicy TagRole UntagRole GetRole \
             GetRolePolicy ListAttachedRolePolicies ListRolePolicies",
            "DeleteRole DetachRolePolicy DeleteRolePolicy GetRole ListAttachedRolePolicies ListRolePolicies",
        ],
    ),
];

/// Service and actions, separated by spaces. An unknown type needs what nobody grants: only foreign templates have them here.
fn actions(kind: &str, handler: Handler) -> (&'static str, &'static str) {
    let row = TYPES.iter().find(|row| row.0 == kind);
    row.map_or(("cloudformation", "HandleTypesThatNoPolicyIsKnownFor"), |(_, service, [create, update, delete])| {
        let actions = match handler {
            Handler::Create => create,
            Handler::Update => update,
            Handler::Delete => delete,
        };
        (*service, *actions)
    })
}
