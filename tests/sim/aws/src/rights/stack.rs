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

/// Service and actions, separated by spaces. An unknown type needs what nobody grants.
fn actions(kind: &str, handler: Handler) -> (&'static str, &'static str) {
    use Handler::{Create, Delete, Update};
    match (kind, handler) {
        ("AWS::EC2::VPC", Create) => (
            "ec2",
            "CreateVpc CreateTags ModifyVpcAttribute DescribeVpcs DescribeVpcAttribute DescribeNetworkAcls \
             DescribeSecurityGroups DescribeVpcEncryptionControls",
        ),
        ("AWS::EC2::VPC", Update) => ("ec2", "CreateTags DeleteTags ModifyVpcAttribute DescribeVpcAttribute"),
        ("AWS::EC2::VPC", Delete) => ("ec2", "DeleteVpc DescribeVpcs"),
        ("AWS::EC2::Subnet", Create) => {
            ("ec2", "CreateSubnet CreateTags ModifySubnetAttribute DescribeSubnets DescribeNetworkAcls")
        }
        ("AWS::EC2::Subnet", Update) => ("ec2", "CreateTags DeleteTags ModifySubnetAttribute DescribeSubnets"),
        ("AWS::EC2::Subnet", Delete) => ("ec2", "DeleteSubnet DescribeSubnets"),
        ("AWS::EC2::InternetGateway", Create) => ("ec2", "CreateInternetGateway CreateTags DescribeInternetGateways"),
        ("AWS::EC2::InternetGateway", Update) => ("ec2", "CreateTags DeleteTags"),
        ("AWS::EC2::InternetGateway", Delete) => ("ec2", "DeleteInternetGateway"),
        ("AWS::EC2::VPCGatewayAttachment", Create | Update) => {
            ("ec2", "AttachInternetGateway DescribeInternetGateways")
        }
        ("AWS::EC2::VPCGatewayAttachment", Delete) => ("ec2", "DetachInternetGateway DescribeInternetGateways"),
        ("AWS::EC2::EIP", Create) => ("ec2", "AllocateAddress CreateTags DescribeAddresses"),
        ("AWS::EC2::EIP", Update) => ("ec2", "CreateTags DeleteTags DescribeAddresses"),
        ("AWS::EC2::EIP", Delete) => ("ec2", "ReleaseAddress DisassociateAddress DescribeAddresses"),
        ("AWS::EC2::NatGateway", Create) => ("ec2", "CreateNatGateway CreateTags DescribeNatGateways"),
        ("AWS::EC2::NatGateway", Update) => ("ec2", "CreateTags DeleteTags DescribeNatGateways"),
        ("AWS::EC2::NatGateway", Delete) => ("ec2", "DeleteNatGateway DescribeNatGateways"),
        ("AWS::EC2::RouteTable", Create) => ("ec2", "CreateRouteTable CreateTags DescribeRouteTables"),
        ("AWS::EC2::RouteTable", Update) => ("ec2", "CreateTags DeleteTags DescribeRouteTables"),
        ("AWS::EC2::RouteTable", Delete) => ("ec2", "DeleteRouteTable DescribeRouteTables"),
        ("AWS::EC2::Route", Create) => ("ec2", "CreateRoute DescribeRouteTables"),
        ("AWS::EC2::Route", Update) => ("ec2", "ReplaceRoute DescribeRouteTables"),
        ("AWS::EC2::Route", Delete) => ("ec2", "DeleteRoute DescribeRouteTables"),
        ("AWS::EC2::SubnetRouteTableAssociation", Create | Update) => {
            ("ec2", "AssociateRouteTable DescribeSubnets DescribeRouteTables")
        }
        ("AWS::EC2::SubnetRouteTableAssociation", Delete) => {
            ("ec2", "DisassociateRouteTable DescribeSubnets DescribeRouteTables")
        }
        ("AWS::EC2::SecurityGroup", Create) => ("ec2", "CreateSecurityGroup CreateTags DescribeSecurityGroups"),
        ("AWS::EC2::SecurityGroup", Update) => ("ec2", "CreateTags DeleteTags DescribeSecurityGroups"),
        ("AWS::EC2::SecurityGroup", Delete) => ("ec2", "DeleteSecurityGroup DescribeSecurityGroups DescribeInstances"),
        ("AWS::EC2::LaunchTemplate", Create) => {
            ("ec2", "CreateLaunchTemplate CreateTags DescribeLaunchTemplates DescribeLaunchTemplateVersions")
        }
        ("AWS::EC2::LaunchTemplate", Update) => (
            "ec2",
            "CreateLaunchTemplateVersion ModifyLaunchTemplate CreateTags DeleteTags DescribeLaunchTemplates \
             DescribeLaunchTemplateVersions",
        ),
        ("AWS::EC2::LaunchTemplate", Delete) => ("ec2", "DeleteLaunchTemplate DescribeLaunchTemplates"),
        ("AWS::IAM::Role", Create) => (
            "iam",
            "CreateRole TagRole AttachRolePolicy PutRolePolicy GetRole GetRolePolicy ListAttachedRolePolicies ListRolePolicies",
        ),
        ("AWS::IAM::Role", Update) => (
            "iam",
            "UpdateAssumeRolePolicy AttachRolePolicy DetachRolePolicy PutRolePolicy DeleteRolePolicy TagRole UntagRole GetRole \
             GetRolePolicy ListAttachedRolePolicies ListRolePolicies",
        ),
        ("AWS::IAM::Role", Delete) => {
            ("iam", "DeleteRole DetachRolePolicy DeleteRolePolicy GetRole ListAttachedRolePolicies ListRolePolicies")
        }
        ("AWS::Logs::LogGroup", Create) => {
            ("logs", "CreateLogGroup PutRetentionPolicy TagResource DescribeLogGroups ListTagsForResource")
        }
        ("AWS::Logs::LogGroup", Update) => ("logs", "PutRetentionPolicy TagResource UntagResource DescribeLogGroups"),
        ("AWS::Logs::LogGroup", Delete) => ("logs", "DeleteLogGroup DescribeLogGroups"),
        // Types that only strangers' templates have here.
        _ => ("cloudformation", "HandleTypesThatNoPolicyIsKnownFor"),
    }
}
