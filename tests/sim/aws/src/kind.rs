//! The kinds of AWS objects, by CloudFormation's type names.

use cloudsim_core::kind::Kind;

/// Every kind of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum AwsKind {
    Vpc,
    Subnet,
    InternetGateway,
    NatGateway,
    Eip,
    RouteTable,
    SecurityGroup,
    NetworkInterface,
    VpcEndpoint,
    LaunchTemplate,
    Instance,
    Volume,
    Snapshot,
    LogGroup,
    LoadBalancer,
    TargetGroup,
    Role,
    ManagedPolicy,
    InstanceProfile,
    HostedZone,
    Stack,
    Cluster,
    Nodegroup,
    Addon,
    AccessEntry,
    PodIdentityAssociation,
}

impl AwsKind {
    /// All of them.
    pub(crate) const ALL: [Self; 26] = [
        Self::Vpc,
        Self::Subnet,
        Self::InternetGateway,
        Self::NatGateway,
        Self::Eip,
        Self::RouteTable,
        Self::SecurityGroup,
        Self::NetworkInterface,
        Self::VpcEndpoint,
        Self::LaunchTemplate,
        Self::Instance,
        Self::Volume,
        Self::Snapshot,
        Self::LogGroup,
        Self::LoadBalancer,
        Self::TargetGroup,
        Self::Role,
        Self::ManagedPolicy,
        Self::InstanceProfile,
        Self::HostedZone,
        Self::Stack,
        Self::Cluster,
        Self::Nodegroup,
        Self::Addon,
        Self::AccessEntry,
        Self::PodIdentityAssociation,
    ];

    /// The kind of an object, if it is of this cloud.
    #[must_use]
    pub(crate) fn of(kind: Kind) -> Option<Self> {
        Self::ALL.into_iter().find(|own| kind == *own)
    }

    /// `AWS::EC2::VPC` and so on.
    #[must_use]
    pub(crate) fn type_name(self) -> &'static str {
        match self {
            Self::Vpc => "AWS::EC2::VPC",
            Self::Subnet => "AWS::EC2::Subnet",
            Self::InternetGateway => "AWS::EC2::InternetGateway",
            Self::NatGateway => "AWS::EC2::NatGateway",
            Self::Eip => "AWS::EC2::EIP",
            Self::RouteTable => "AWS::EC2::RouteTable",
            Self::SecurityGroup => "AWS::EC2::SecurityGroup",
            Self::NetworkInterface => "AWS::EC2::NetworkInterface",
            Self::VpcEndpoint => "AWS::EC2::VPCEndpoint",
            Self::LaunchTemplate => "AWS::EC2::LaunchTemplate",
            Self::Instance => "AWS::EC2::Instance",
            Self::Volume => "AWS::EC2::Volume",
            Self::Snapshot => "AWS::EC2::Snapshot",
            Self::LogGroup => "AWS::Logs::LogGroup",
            Self::LoadBalancer => "AWS::ElasticLoadBalancingV2::LoadBalancer",
            Self::TargetGroup => "AWS::ElasticLoadBalancingV2::TargetGroup",
            Self::Role => "AWS::IAM::Role",
            Self::ManagedPolicy => "AWS::IAM::ManagedPolicy",
            Self::InstanceProfile => "AWS::IAM::InstanceProfile",
            Self::HostedZone => "AWS::Route53::HostedZone",
            Self::Stack => "AWS::CloudFormation::Stack",
            Self::Cluster => "AWS::EKS::Cluster",
            Self::Nodegroup => "AWS::EKS::Nodegroup",
            Self::Addon => "AWS::EKS::Addon",
            Self::AccessEntry => "AWS::EKS::AccessEntry",
            Self::PodIdentityAssociation => "AWS::EKS::PodIdentityAssociation",
        }
    }

    /// `ec2:vpc` and so on: the form of the tagging API's filters, which is also how the ARN starts.
    #[must_use]
    pub(crate) fn tagging_type(self) -> &'static str {
        match self {
            Self::Vpc => "ec2:vpc",
            Self::Subnet => "ec2:subnet",
            Self::InternetGateway => "ec2:internet-gateway",
            Self::NatGateway => "ec2:natgateway",
            Self::Eip => "ec2:elastic-ip",
            Self::RouteTable => "ec2:route-table",
            Self::SecurityGroup => "ec2:security-group",
            Self::NetworkInterface => "ec2:network-interface",
            Self::VpcEndpoint => "ec2:vpc-endpoint",
            Self::LaunchTemplate => "ec2:launch-template",
            Self::Instance => "ec2:instance",
            Self::Volume => "ec2:volume",
            Self::Snapshot => "ec2:snapshot",
            Self::LogGroup => "logs:log-group",
            Self::LoadBalancer => "elasticloadbalancing:loadbalancer",
            Self::TargetGroup => "elasticloadbalancing:targetgroup",
            Self::Role => "iam:role",
            Self::ManagedPolicy => "iam:policy",
            Self::InstanceProfile => "iam:instance-profile",
            Self::HostedZone => "route53:hostedzone",
            Self::Stack => "cloudformation:stack",
            Self::Cluster => "eks:cluster",
            Self::Nodegroup => "eks:nodegroup",
            Self::Addon => "eks:addon",
            Self::AccessEntry => "eks:access-entry",
            Self::PodIdentityAssociation => "eks:podidentityassociation",
        }
    }

    /// Whether the tagging API's GetResources lists it: IAM roles are excluded by its documentation, and the others
    /// of IAM are seen in no Region but us-east-1.
    #[must_use]
    pub(crate) fn in_tagging_api(self) -> bool {
        !matches!(self, Self::Role | Self::ManagedPolicy | Self::InstanceProfile)
    }
}

impl From<AwsKind> for Kind {
    fn from(kind: AwsKind) -> Self {
        Self::new(kind.type_name())
    }
}

impl PartialEq<AwsKind> for Kind {
    fn eq(&self, other: &AwsKind) -> bool {
        self.type_name() == other.type_name()
    }
}
