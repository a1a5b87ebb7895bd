//! Verifying what the tagging API lists: it still lists what is gone, for minutes or, as
//! with terminated instances, for an hour.

use std::collections::BTreeMap;

use aws_sdk_resourcegroupstagging::types::ResourceTagMapping;
use landlord_provider_api::{MARKER_ROLE, MARKER_TENANT_UID, v1};

use super::Found;
use crate::{
    action::{self, Action},
    aws::Clients,
    error::{Absent as _, Result, failed},
    logs, network,
};

/// An ARN's parts that decide how to test it.
struct Arn<'a> {
    service: &'a str,
    resource: &'a str,
    /// What follows the first slash.
    rest: &'a str,
}

impl<'a> Arn<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(6, ':');
        let (_, _, service, _, _, resource) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let (resource, rest) = resource.split_once('/').unwrap_or((resource, ""));
        Some(Self { service, resource, rest })
    }
}

/// How to inspect one type of EC2: ARN type, action, filter, set, id element, CloudFormation
/// type, states in which it is as good as gone.
type Ec2Row = (&'static str, Action, &'static str, &'static str, &'static str, &'static str, &'static [&'static str]);

/// Launch templates cannot be filtered by id, and asking for an id that is gone is an error.
const BY_TAG: &str = "tag:landlord-installation";

const EC2: &[Ec2Row] = &[
    ("vpc", action::DESCRIBE_VPCS, "vpc-id", "vpcSet", "vpcId", "AWS::EC2::VPC", &[]),
    ("subnet", action::DESCRIBE_SUBNETS, "subnet-id", "subnetSet", "subnetId", "AWS::EC2::Subnet", &[]),
    (
        "internet-gateway",
        action::DESCRIBE_INTERNET_GATEWAYS,
        "internet-gateway-id",
        "internetGatewaySet",
        "internetGatewayId",
        "AWS::EC2::InternetGateway",
        &[],
    ),
    (
        "natgateway",
        action::DESCRIBE_NAT_GATEWAYS,
        "nat-gateway-id",
        "natGatewaySet",
        "natGatewayId",
        "AWS::EC2::NatGateway",
        &["deleted", "failed"],
    ),
    ("elastic-ip", action::DESCRIBE_ADDRESSES, "allocation-id", "addressesSet", "allocationId", "AWS::EC2::EIP", &[]),
    (
        "route-table",
        action::DESCRIBE_ROUTE_TABLES,
        "route-table-id",
        "routeTableSet",
        "routeTableId",
        "AWS::EC2::RouteTable",
        &[],
    ),
    (
        "security-group",
        action::DESCRIBE_SECURITY_GROUPS,
        "group-id",
        "securityGroupInfo",
        "groupId",
        "AWS::EC2::SecurityGroup",
        &[],
    ),
    (
        "network-interface",
        action::DESCRIBE_NETWORK_INTERFACES,
        "network-interface-id",
        "networkInterfaceSet",
        "networkInterfaceId",
        "AWS::EC2::NetworkInterface",
        &[],
    ),
    ("volume", action::DESCRIBE_VOLUMES, "volume-id", "volumeSet", "volumeId", "AWS::EC2::Volume", &["deleted"]),
    (
        "launch-template",
        action::DESCRIBE_LAUNCH_TEMPLATES,
        BY_TAG,
        "launchTemplates",
        "launchTemplateId",
        "AWS::EC2::LaunchTemplate",
        &[],
    ),
    (
        "instance",
        action::DESCRIBE_INSTANCES,
        "instance-id",
        "reservationSet",
        "instanceId",
        "AWS::EC2::Instance",
        &["terminated"],
    ),
];

/// Inspects each resource that the tagging API reported.
pub(super) async fn all(
    aws: &Clients,
    scope: &v1::Scope,
    mappings: &[ResourceTagMapping],
    found: &mut Found,
) -> Result<()> {
    let mut ec2: BTreeMap<&str, Vec<(&str, &ResourceTagMapping)>> = BTreeMap::new();
    for mapping in mappings {
        let Some((text, arn)) = mapping.resource_arn().and_then(|a| Some((a, Arn::parse(a)?))) else {
            continue;
        };
        let (kind, exists) = match (arn.service, arn.resource) {
            ("ec2", kind) if EC2.iter().any(|row| row.0 == kind) => {
                ec2.entry(kind).or_default().push((arn.rest, mapping));
                continue;
            }
            ("eks", kind) => (eks_type(kind), eks_exists(aws, kind, arn.rest).await?),
            ("cloudformation", "stack") => {
                ("AWS::CloudFormation::Stack", network::stack::find(aws, text).await?.is_some())
            }
            // Requested by name, and by caller reference.
            ("route53", "hostedzone") => continue,
            ("logs", "log-group:") => {
                ("AWS::Logs::LogGroup", logs::exists(aws, &format!("/{}", arn.rest.trim_end_matches(":*"))).await?)
            }
            ("elasticloadbalancing", kind) => (balancer_type(kind, arn.rest), balancer_exists(aws, kind, text).await?),
            // A type not known here cannot be inspected: better reported once too often.
            (other, _) => (other, true),
        };
        if exists {
            let object = object(scope, kind, text, mapping);
            found.entry(object.id.clone()).or_insert(object);
        }
    }
    for (kind, resources) in ec2 {
        verify_ec2(aws, scope, kind, &resources, found).await?;
    }
    Ok(())
}

async fn verify_ec2(
    aws: &Clients,
    scope: &v1::Scope,
    kind: &str,
    resources: &[(&str, &ResourceTagMapping)],
    found: &mut Found,
) -> Result<()> {
    let Some((_, action, filter, set, id_element, type_name, gone)) = EC2.iter().find(|row| row.0 == kind) else {
        return Ok(());
    };
    let ids: Vec<String> = resources.iter().map(|(id, _)| (*id).to_owned()).collect();
    let values = if *filter == BY_TAG { vec![scope.installation.clone()] } else { ids };
    let items = aws.query.describe(*action, set, &[(*filter, &values)]).await?;
    // Instances come in reservations.
    let items: Vec<_> = match *set {
        "reservationSet" => {
            items.iter().flat_map(|r| r.children("instancesSet")).flat_map(|s| s.children("item")).cloned().collect()
        }
        _ => items,
    };
    for item in items {
        let state = match item.child("instanceState") {
            Some(state) => state.text("name"),
            None => [item.text("state"), item.text("status")].into_iter().find(|s| !s.is_empty()).unwrap_or_default(),
        };
        let id = item.text(id_element);
        let Some((_, mapping)) = resources.iter().find(|(of, _)| *of == id) else {
            continue;
        };
        if !gone.contains(&state) {
            found.entry(id.to_owned()).or_insert_with(|| object(scope, type_name, id, mapping));
        }
    }
    Ok(())
}

fn eks_type(kind: &str) -> &'static str {
    match kind {
        "cluster" => "AWS::EKS::Cluster",
        "nodegroup" => "AWS::EKS::Nodegroup",
        "addon" => "AWS::EKS::Addon",
        "access-entry" => "AWS::EKS::AccessEntry",
        "podidentityassociation" => "AWS::EKS::PodIdentityAssociation",
        _ => "AWS::EKS",
    }
}

/// `cluster/name`, `nodegroup/cluster/name/uuid`, `addon/cluster/name/uuid`, …
async fn eks_exists(aws: &Clients, kind: &str, rest: &str) -> Result<bool> {
    let mut parts = rest.split('/');
    let (cluster, name) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let eks = &aws.eks;
    Ok(match kind {
        "nodegroup" => {
            let response = eks.describe_nodegroup().cluster_name(cluster).nodegroup_name(name).send().await;
            response.map(drop).map_err(failed(action::DESCRIBE_NODEGROUP, name)).or_absent()?.is_some()
        }
        "addon" => {
            let response = eks.describe_addon().cluster_name(cluster).addon_name(name).send().await;
            response.map(drop).map_err(failed(action::DESCRIBE_ADDON, name)).or_absent()?.is_some()
        }
        "podidentityassociation" => {
            let request = eks.describe_pod_identity_association().cluster_name(cluster).association_id(name);
            let response = request.send().await.map(drop);
            response.map_err(failed(action::DESCRIBE_POD_IDENTITY, name)).or_absent()?.is_some()
        }
        // Access entries and whatever comes live no longer than their cluster.
        _ => {
            let response = eks.describe_cluster().name(cluster).send().await;
            response.map(drop).map_err(failed(action::DESCRIBE_CLUSTER, cluster)).or_absent()?.is_some()
        }
    })
}

fn balancer_type(kind: &str, rest: &str) -> &'static str {
    match kind {
        "targetgroup" => "AWS::ElasticLoadBalancingV2::TargetGroup",
        // Classic ones have a name only: loadbalancer/name.
        "loadbalancer" if !rest.contains('/') => "AWS::ElasticLoadBalancing::LoadBalancer",
        _ => "AWS::ElasticLoadBalancingV2::LoadBalancer",
    }
}

async fn balancer_exists(aws: &Clients, kind: &str, arn: &str) -> Result<bool> {
    let balancers = &aws.balancers;
    Ok(match kind {
        "targetgroup" => {
            let response = balancers.describe_target_groups().target_group_arns(arn).send().await;
            response.map(drop).map_err(failed(action::DESCRIBE_TARGET_GROUPS, arn)).or_absent()?.is_some()
        }
        "loadbalancer" if arn.matches('/').count() > 1 => {
            let response = balancers.describe_load_balancers().load_balancer_arns(arn).send().await;
            response.map(drop).map_err(failed(action::DESCRIBE_LOAD_BALANCERS, arn)).or_absent()?.is_some()
        }
        _ => true,
    })
}

fn object(scope: &v1::Scope, kind: &str, id: &str, mapping: &ResourceTagMapping) -> v1::OwnedObject {
    let tag = |key: &str| {
        let found = mapping.tags().iter().find(|t| t.key() == key);
        found.map(|t| t.value().to_owned()).unwrap_or_default()
    };
    v1::OwnedObject {
        r#type: kind.to_owned(),
        id: id.to_owned(),
        name: tag("Name"),
        role: tag(MARKER_ROLE),
        tenant_uid: tag(MARKER_TENANT_UID),
        region: scope.region.clone(),
    }
}
