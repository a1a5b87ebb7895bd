//! Every AWS action that the plugin calls: the one list that the IAM policy, the rate buckets
//! and the error table are checked against. A call cannot be made without naming its action.

/// One action of one service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Action {
    /// The service's signing name.
    pub(crate) service: &'static str,
    /// The action as the API names it.
    pub(crate) name: &'static str,
    /// Prefix of the permission in IAM; mostly the service's name.
    #[cfg_attr(not(test), allow(dead_code, reason = "the IAM policy is checked against it"))]
    pub(crate) permission: &'static str,
}

impl Action {
    /// The rate bucket that a call is taken from.
    pub(crate) fn bucket(self) -> &'static str {
        let read = ["Describe", "List", "Get"].iter().any(|p| self.name.starts_with(p));
        match (self.service, read) {
            ("eks", true) => "eks/read",
            ("eks", false) => "eks/write",
            ("cloudformation", true) => "cloudformation/read",
            ("cloudformation", false) => "cloudformation/write",
            ("route53", _) => "route53/all",
            ("ec2", true) => "ec2/read",
            ("ec2", false) => "ec2/write",
            ("elasticloadbalancing", _) => "elasticloadbalancing/all",
            ("tagging", _) => "tagging/read",
            ("logs", _) => "logs/all",
            (_, _) => "sts/all",
        }
    }

    #[cfg(test)]
    /// The permission that IAM requests, as in a policy document.
    pub(crate) fn permission(self) -> String {
        format!("{}:{}", self.permission, self.name)
    }
}

macro_rules! actions {
    ($($ident:ident = $service:literal $name:literal $permission:literal;)*) => {
        $(pub(crate) const $ident: Action =
            Action { service: $service, name: $name, permission: $permission };)*
        /// All of them.
        #[cfg(test)]
        pub(crate) const ALL: &[Action] = &[$($ident),*];
    };
}

actions! {
    CREATE_STACK = "cloudformation" "CreateStack" "cloudformation";
    UPDATE_STACK = "cloudformation" "UpdateStack" "cloudformation";
    DELETE_STACK = "cloudformation" "DeleteStack" "cloudformation";
    DESCRIBE_STACKS = "cloudformation" "DescribeStacks" "cloudformation";
    DESCRIBE_STACK_EVENTS = "cloudformation" "DescribeStackEvents" "cloudformation";
    CREATE_CLUSTER = "eks" "CreateCluster" "eks";
    DESCRIBE_CLUSTER = "eks" "DescribeCluster" "eks";
    UPDATE_CLUSTER_CONFIG = "eks" "UpdateClusterConfig" "eks";
    UPDATE_CLUSTER_VERSION = "eks" "UpdateClusterVersion" "eks";
    DELETE_CLUSTER = "eks" "DeleteCluster" "eks";
    CREATE_NODEGROUP = "eks" "CreateNodegroup" "eks";
    DESCRIBE_NODEGROUP = "eks" "DescribeNodegroup" "eks";
    LIST_NODEGROUPS = "eks" "ListNodegroups" "eks";
    LIST_FARGATE_PROFILES = "eks" "ListFargateProfiles" "eks";
    UPDATE_NODEGROUP_CONFIG = "eks" "UpdateNodegroupConfig" "eks";
    UPDATE_NODEGROUP_VERSION = "eks" "UpdateNodegroupVersion" "eks";
    DELETE_NODEGROUP = "eks" "DeleteNodegroup" "eks";
    CREATE_ADDON = "eks" "CreateAddon" "eks";
    DESCRIBE_ADDON = "eks" "DescribeAddon" "eks";
    LIST_ADDONS = "eks" "ListAddons" "eks";
    UPDATE_ADDON = "eks" "UpdateAddon" "eks";
    DELETE_ADDON = "eks" "DeleteAddon" "eks";
    CREATE_ACCESS_ENTRY = "eks" "CreateAccessEntry" "eks";
    DESCRIBE_ACCESS_ENTRY = "eks" "DescribeAccessEntry" "eks";
    ASSOCIATE_ACCESS_POLICY = "eks" "AssociateAccessPolicy" "eks";
    LIST_ASSOCIATED_ACCESS_POLICIES = "eks" "ListAssociatedAccessPolicies" "eks";
    CREATE_POD_IDENTITY = "eks" "CreatePodIdentityAssociation" "eks";
    DESCRIBE_POD_IDENTITY = "eks" "DescribePodIdentityAssociation" "eks";
    LIST_POD_IDENTITIES = "eks" "ListPodIdentityAssociations" "eks";
    UPDATE_POD_IDENTITY = "eks" "UpdatePodIdentityAssociation" "eks";
    DELETE_POD_IDENTITY = "eks" "DeletePodIdentityAssociation" "eks";
    CREATE_HOSTED_ZONE = "route53" "CreateHostedZone" "route53";
    GET_HOSTED_ZONE = "route53" "GetHostedZone" "route53";
    LIST_HOSTED_ZONES = "route53" "ListHostedZones" "route53";
    LIST_HOSTED_ZONES_BY_NAME = "route53" "ListHostedZonesByName" "route53";
    CHANGE_TAGS_FOR_RESOURCE = "route53" "ChangeTagsForResource" "route53";
    LIST_TAGS_FOR_RESOURCE = "route53" "ListTagsForResource" "route53";
    CHANGE_RECORD_SETS = "route53" "ChangeResourceRecordSets" "route53";
    LIST_RECORD_SETS = "route53" "ListResourceRecordSets" "route53";
    DELETE_HOSTED_ZONE = "route53" "DeleteHostedZone" "route53";
    GET_RESOURCES = "tagging" "GetResources" "tag";
    DESCRIBE_LOAD_BALANCERS = "elasticloadbalancing" "DescribeLoadBalancers" "elasticloadbalancing";
    DESCRIBE_TARGET_GROUPS = "elasticloadbalancing" "DescribeTargetGroups" "elasticloadbalancing";
    DESCRIBE_BALANCER_TAGS = "elasticloadbalancing" "DescribeTags" "elasticloadbalancing";
    DELETE_LOAD_BALANCER = "elasticloadbalancing" "DeleteLoadBalancer" "elasticloadbalancing";
    DELETE_TARGET_GROUP = "elasticloadbalancing" "DeleteTargetGroup" "elasticloadbalancing";
    DESCRIBE_AVAILABILITY_ZONES = "ec2" "DescribeAvailabilityZones" "ec2";
    DESCRIBE_VPCS = "ec2" "DescribeVpcs" "ec2";
    DESCRIBE_SUBNETS = "ec2" "DescribeSubnets" "ec2";
    DESCRIBE_INTERNET_GATEWAYS = "ec2" "DescribeInternetGateways" "ec2";
    DESCRIBE_NAT_GATEWAYS = "ec2" "DescribeNatGateways" "ec2";
    DESCRIBE_ADDRESSES = "ec2" "DescribeAddresses" "ec2";
    DESCRIBE_ROUTE_TABLES = "ec2" "DescribeRouteTables" "ec2";
    DESCRIBE_INSTANCES = "ec2" "DescribeInstances" "ec2";
    TERMINATE_INSTANCES = "ec2" "TerminateInstances" "ec2";
    DESCRIBE_LAUNCH_TEMPLATES = "ec2" "DescribeLaunchTemplates" "ec2";
    DESCRIBE_NETWORK_INTERFACES = "ec2" "DescribeNetworkInterfaces" "ec2";
    DELETE_NETWORK_INTERFACE = "ec2" "DeleteNetworkInterface" "ec2";
    DESCRIBE_SECURITY_GROUPS = "ec2" "DescribeSecurityGroups" "ec2";
    REVOKE_INGRESS = "ec2" "RevokeSecurityGroupIngress" "ec2";
    REVOKE_EGRESS = "ec2" "RevokeSecurityGroupEgress" "ec2";
    DELETE_SECURITY_GROUP = "ec2" "DeleteSecurityGroup" "ec2";
    DESCRIBE_VOLUMES = "ec2" "DescribeVolumes" "ec2";
    DELETE_VOLUME = "ec2" "DeleteVolume" "ec2";
    DESCRIBE_SNAPSHOTS = "ec2" "DescribeSnapshots" "ec2";
    DESCRIBE_LOG_GROUPS = "logs" "DescribeLogGroups" "logs";
    LIST_LOG_GROUP_TAGS = "logs" "ListTagsForResource" "logs";
    CREATE_LOG_GROUP = "logs" "CreateLogGroup" "logs";
    PUT_RETENTION_POLICY = "logs" "PutRetentionPolicy" "logs";
    DELETE_LOG_GROUP = "logs" "DeleteLogGroup" "logs";
    DELETE_SNAPSHOT = "ec2" "DeleteSnapshot" "ec2";
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::ALL;

    const POLICY: &str = include_str!("../iam-policy.json");
    /// A managed policy ends at so many characters, white space not counted.
    const POLICY_LEN_MAX: usize = 6_144;

    /// What CloudFormation does with the caller's credentials for each type of the template.
    const OF_TYPES: &[(&str, &[&str])] = &[
        (
            "AWS::EC2::VPC",
            &[
                "ec2:CreateVpc",
                "ec2:DeleteVpc",
                "ec2:ModifyVpcAttribute",
                "ec2:DescribeVpcs",
                "ec2:DescribeVpcAttribute",
            ],
        ),
        (
            "AWS::EC2::Subnet",
            &["ec2:CreateSubnet", "ec2:DeleteSubnet", "ec2:ModifySubnetAttribute", "ec2:DescribeSubnets"],
        ),
        (
            "AWS::EC2::InternetGateway",
            &["ec2:CreateInternetGateway", "ec2:DeleteInternetGateway", "ec2:DescribeInternetGateways"],
        ),
        ("AWS::EC2::VPCGatewayAttachment", &["ec2:AttachInternetGateway", "ec2:DetachInternetGateway"]),
        ("AWS::EC2::EIP", &["ec2:AllocateAddress", "ec2:ReleaseAddress", "ec2:DescribeAddresses"]),
        ("AWS::EC2::NatGateway", &["ec2:CreateNatGateway", "ec2:DeleteNatGateway", "ec2:DescribeNatGateways"]),
        ("AWS::EC2::RouteTable", &["ec2:CreateRouteTable", "ec2:DeleteRouteTable", "ec2:DescribeRouteTables"]),
        ("AWS::EC2::Route", &["ec2:CreateRoute", "ec2:DeleteRoute", "ec2:ReplaceRoute"]),
        ("AWS::EC2::SubnetRouteTableAssociation", &["ec2:AssociateRouteTable", "ec2:DisassociateRouteTable"]),
        (
            "AWS::EC2::SecurityGroup",
            &["ec2:CreateSecurityGroup", "ec2:DeleteSecurityGroup", "ec2:DescribeSecurityGroups"],
        ),
        (
            "AWS::EC2::LaunchTemplate",
            &[
                "ec2:CreateLaunchTemplate",
                "ec2:CreateLaunchTemplateVersion",
                "ec2:DeleteLaunchTemplate",
                "ec2:DescribeLaunchTemplates",
                "ec2:DescribeLaunchTemplateVersions",
            ],
        ),
        (
            "AWS::IAM::Role",
            &[
                "iam:CreateRole",
                "iam:DeleteRole",
                "iam:GetRole",
                "iam:TagRole",
                "iam:AttachRolePolicy",
                "iam:DetachRolePolicy",
                "iam:PutRolePolicy",
                "iam:DeleteRolePolicy",
                "iam:PassRole",
            ],
        ),
    ];

    fn allowed() -> BTreeSet<String> {
        let policy: serde_json::Value = serde_json::from_str(POLICY).expect("JSON");
        let statements = policy["Statement"].as_array().expect("statements");
        let actions = statements.iter().flat_map(|s| s["Action"].as_array().expect("a list of actions"));
        actions.map(|a| a.as_str().expect("text").to_owned()).collect()
    }

    fn is_allowed(allowed: &BTreeSet<String>, wanted: &str) -> bool {
        allowed.iter().any(|a| match a.strip_suffix('*') {
            Some(prefix) => wanted.starts_with(prefix),
            None => a == wanted,
        })
    }

    #[test]
    fn the_iam_policy_allows_every_action_that_is_called() {
        let allowed = allowed();
        let missing: Vec<_> = ALL.iter().map(|a| a.permission()).filter(|p| !is_allowed(&allowed, p)).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn the_iam_policy_allows_what_cloudformation_does_for_the_template() {
        let allowed = allowed();
        let template = include_str!(
            "network/snapshots/landlord_plugin_eks__network__template__tests__the_whole_template_of_two_zones.snap"
        );
        let known: BTreeMap<_, _> = OF_TYPES.iter().copied().collect();
        for part in template.split("\"Type\": \"").skip(1) {
            let kind = part.split('"').next().unwrap_or_default();
            let permissions = known.get(kind).unwrap_or_else(|| panic!("{kind}: list its permissions here"));
            let missing: Vec<_> = permissions.iter().filter(|p| !is_allowed(&allowed, p)).collect();
            assert!(missing.is_empty(), "{kind}: {missing:?}");
        }
    }

    #[test]
    fn the_iam_policy_fits_and_names_every_action() {
        let length = POLICY.chars().filter(|c| !c.is_whitespace()).count();
        assert!(length <= POLICY_LEN_MAX, "{length}");
        assert!(allowed().iter().all(|a| !a.contains('*')), "{:?}", allowed());
    }
}
