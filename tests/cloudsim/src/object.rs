//! What exists in a simulated account: one record per object, whatever its service.
//!
//! Services keep their own fields in `props`; this module knows only what the journal, the tagging API and the
//! dependency checks need: kind, identity, tags, the VPC and who made it.

use crate::{azure::kind::AzureKind, clock::Micros, gcp::GcpKind};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Tags of one object.
pub type Tags = BTreeMap<String, String>;

/// Every kind of object; AWS's names are CloudFormation's, other clouds have their own kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each variant is the resource type of that name")]
pub enum Kind {
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
    Gcp(GcpKind),
    Azure(AzureKind),
}

/// The kinds that are Kubernetes clusters, over all clouds.
pub const CLUSTERS: &[Kind] = &[Kind::Cluster, Kind::Gcp(GcpKind::Cluster), Kind::Azure(AzureKind::ManagedCluster)];

impl Kind {
    /// `AWS::EC2::VPC` and so on.
    #[must_use]
    pub fn type_name(self) -> &'static str {
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
            Self::Gcp(kind) => kind.type_name(),
            Self::Azure(kind) => kind.type_name(),
        }
    }

    /// `ec2:vpc` and so on: the form of the tagging API's filters, which is also how the ARN starts.
    #[must_use]
    pub fn tagging_type(self) -> &'static str {
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
            Self::Gcp(kind) => kind.type_name(),
            Self::Azure(kind) => kind.type_name(),
        }
    }

    /// Whether the tagging API's GetResources lists it: IAM roles are excluded by its documentation, and the others
    /// of IAM are seen in no Region but us-east-1.
    #[must_use]
    pub fn in_tagging_api(self) -> bool {
        !matches!(self, Self::Role | Self::ManagedPolicy | Self::InstanceProfile | Self::Gcp(_))
    }
}

/// Who made an object, hence who may remove it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Owner {
    /// A caller, directly or through CloudFormation.
    Customer,
    /// EKS: cluster security group, control-plane and node interfaces.
    Eks,
    /// A controller inside a cluster: load balancers and disks of Kubernetes.
    Kubernetes,
    /// Another service on behalf of an object, such as a NAT gateway's interface.
    Service,
    /// Comes and goes with its VPC: main route table, default security group.
    Default,
}

/// One object of an account.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Object {
    /// Its kind.
    pub kind: Kind,
    /// Unique within the scope: the EC2 id, or the ARN where there is no id.
    pub id: String,
    /// The ARN.
    pub arn: String,
    /// A name unique in the kind, where the service has one.
    pub name: Option<String>,
    /// The VPC that it lies in.
    pub vpc: Option<String>,
    /// Its tags.
    pub tags: Tags,
    /// The service's own fields.
    pub props: Map<String, Value>,
    /// `available`, `ACTIVE`, … as the service words it.
    pub state: String,
    /// When it was made.
    pub created_us: Micros,
    /// When it went, if it is only kept to be described as gone.
    pub gone_us: Option<Micros>,
    /// Who made it.
    pub owner: Owner,
}

impl Object {
    /// A new customer object in state `available`.
    #[must_use]
    pub fn new(kind: Kind, id: &str, arn: String, now: Micros) -> Self {
        Self {
            kind,
            id: id.to_owned(),
            arn,
            name: None,
            vpc: None,
            tags: Tags::new(),
            props: Map::new(),
            state: "available".to_owned(),
            created_us: now,
            gone_us: None,
            owner: Owner::Customer,
        }
    }

    /// The text property `key`, empty if absent.
    #[must_use]
    pub fn text(&self, key: &str) -> &str {
        self.props.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    /// The items of the list property `key` that are texts.
    pub fn texts(&self, key: &str) -> impl Iterator<Item = &str> {
        self.props.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
    }

    /// Sets a property.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.props.insert(key.to_owned(), value.into());
    }

    /// With a property set.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.set(key, value);
        self
    }

    /// Whether it still exists (and is not just described as gone).
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.gone_us.is_none()
    }

    /// What the journal and the control API show of it.
    #[must_use]
    pub fn summary(&self) -> ObjectRef {
        ObjectRef {
            kind: self.kind.type_name().to_owned(),
            id: self.id.clone(),
            arn: self.arn.clone(),
            name: self.name.clone().or_else(|| self.tags.get("Name").cloned()).unwrap_or_default(),
            state: self.state.clone(),
            tags: self.tags.clone(),
        }
    }
}

/// An object as the journal shows it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ObjectRef {
    /// CloudFormation's type name.
    #[serde(rename = "type")]
    pub kind: String,
    /// The id.
    pub id: String,
    /// The ARN.
    pub arn: String,
    /// The name or the `Name` tag.
    pub name: String,
    /// The state.
    pub state: String,
    /// The tags at that moment.
    pub tags: Tags,
}
