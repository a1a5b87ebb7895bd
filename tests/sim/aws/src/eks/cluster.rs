//! Creating and deleting clusters.
//!
//! <https://docs.aws.amazon.com/eks/latest/APIReference/API_CreateCluster.html>,
//! <https://docs.aws.amazon.com/eks/latest/APIReference/API_DeleteCluster.html>; what EKS puts into the VPC:
//! <https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html> and
//! <https://docs.aws.amazon.com/eks/latest/userguide/sec-group-reqs.html>.

use super::{access, amend, check_role, cluster, document, fingerprint, in_use, invalid, is_replay, request_tags};
use crate::ec2::{interfaces, security};
use crate::{
    arn::Arn as _,
    durations,
    kind::AwsKind,
    step::{AwsStep, EksStep},
};
use cloudsim_core::{
    call::{ApiError, Call, Result},
    clock::epoch_seconds,
    cluster::{ClusterSpec, RuntimeCommand},
    ctx::Ctx,
    object::{Object, Owner, Tags},
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Kubernetes versions on offer, newest first.
pub(crate) const VERSIONS: [&str; 6] = ["1.37", "1.36", "1.35", "1.34", "1.33", "1.32"];
const DEFAULT_VERSION: &str = "1.36";
/// Control-plane interfaces that EKS puts into the subnets.
const CONTROL_PLANE_INTERFACES: usize = 2;

/// Creates a cluster, or gives the one that this very request made.
///
/// # Errors
/// Name taken, bad parameters, quota, capacity.
pub(crate) fn create(ctx: &mut Ctx<'_>, call: &Call) -> Result<Value> {
    let name = call.field("name");
    if let Some(present) = ctx.scope().named(AwsKind::Cluster, name).cloned() {
        if is_replay(&present, call) {
            return Ok(json!({ "cluster": document(&present) }));
        }
        let message = format!("Cluster already exists with name: {name}");
        return Err(in_use(message).field("clusterName", name));
    }
    let vpc = check(ctx, call, name)?;
    let arn = ctx.arn("eks", &format!("cluster/{name}"));
    let group = cluster_security_group(ctx, name, &vpc)?;
    let doc = describe(ctx, call, &arn, &vpc, &group);
    let mut object = Object::new(AwsKind::Cluster, &arn, arn.clone(), ctx.now);
    object.name = Some(name.to_owned());
    object.state = "CREATING".to_owned();
    object.tags = request_tags(call);
    let folder = format!("{}-{}", &ctx.world.hex(10), name);
    let object = object
        .with("doc", doc)
        .with("token", call.client_token().unwrap_or_default())
        .with("request", fingerprint(call))
        .with("vpc", vpc)
        .with("creator", call.caller.arn.clone())
        .with("folder", folder.clone());
    let response = document(&object);
    let version = super::doc_text(&object, "/version").to_owned();
    let ms = ctx.draw(durations::CLUSTER_CREATE, name);
    ctx.create(object);
    for subnet in subnets(call).into_iter().take(CONTROL_PLANE_INTERFACES) {
        let request = interfaces::NewInterface {
            groups: vec![group.clone()],
            description: format!("Amazon EKS {name}"),
            owner: Some(Owner::Eks),
            attached_to: arn.clone(),
            ..interfaces::NewInterface::default()
        };
        interfaces::create_interface(ctx, &subnet, request, Tags::new())?;
    }
    if ctx.world.kubernetes_capacity.is_some() {
        let spec = ClusterSpec { arn: arn.clone(), name: name.to_owned(), version, folder };
        ctx.world.outbox.push(RuntimeCommand::Start(spec));
    }
    crate::logs::written_by_eks(ctx, name, &call.json["logging"]);
    bootstrap_access(ctx, call, &arn, name);
    ctx.begin_work("create", &arn, ms);
    ctx.after(ms, AwsStep::Eks { id: arn, step: EksStep::ClusterReady });
    Ok(json!({ "cluster": response }))
}

fn subnets(call: &Call) -> Vec<String> {
    let list = call.json.pointer("/resourcesVpcConfig/subnetIds").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Checks the request and gives the VPC.
fn check(ctx: &mut Ctx<'_>, call: &Call, name: &str) -> Result<String> {
    let good = !name.is_empty()
        && name.len() <= 100
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    if !good {
        return Err(invalid(format!("The cluster name {name:?} must match ^[0-9A-Za-z][A-Za-z0-9-_]*$")));
    }
    let version = call.json.get("version").and_then(Value::as_str).unwrap_or(DEFAULT_VERSION);
    if !VERSIONS.contains(&version) {
        return Err(invalid(format!("unsupported Kubernetes version {version}")));
    }
    check_role(ctx, call.field("roleArn"))?;
    let (mut zones, mut vpcs) = (BTreeSet::new(), BTreeSet::new());
    for id in subnets(call) {
        let subnet = ctx.seen(&id).filter(|o| o.kind == AwsKind::Subnet && o.is_live());
        let subnet = subnet.ok_or_else(|| invalid(format!("The subnet ID '{id}' does not exist")))?;
        zones.insert(subnet.text("zone").to_owned());
        vpcs.extend(subnet.vpc);
    }
    if zones.len() < 2 {
        return Err(invalid("Subnets specified must be in at least two different AZs"));
    }
    let [vpc] = &vpcs.into_iter().collect::<Vec<_>>()[..] else {
        return Err(invalid("Subnets provided must belong to the same VPC"));
    };
    let present = ctx.scope().count(AwsKind::Cluster);
    if let Err(limit) = ctx.within_quota("clusters", present) {
        let message = format!("Cluster limit exceeded for account ({limit})");
        return Err(ApiError::new("ResourceLimitExceededException", message));
    }
    check_capacity(ctx, name, &zones)?;
    Ok(vpc.clone())
}

/// Refuses what the machine cannot carry, in the words of
/// <https://docs.aws.amazon.com/eks/latest/userguide/troubleshooting.html#ICE>.
fn check_capacity(ctx: &mut Ctx<'_>, name: &str, zones: &BTreeSet<String>) -> Result<()> {
    let Some(capacity) = ctx.world.kubernetes_capacity else {
        return Ok(());
    };
    let running = ctx.world.clusters();
    if running < capacity as u64 {
        return Ok(());
    }
    let zone = zones.first().cloned().unwrap_or_default();
    let message = format!(
        "Cannot create cluster '{name}' because {zone}, the targeted Availability Zone, does not currently have sufficient capacity to support the cluster."
    );
    Err(ApiError::new("UnsupportedAvailabilityZoneException", message).field("validZones", json!([])))
}

fn cluster_security_group(ctx: &mut Ctx<'_>, name: &str, vpc: &str) -> Result<String> {
    let number: u64 = u64::from_str_radix(&ctx.world.hex(8), 16).unwrap_or(0);
    let group_name = format!("eks-cluster-sg-{name}-{number}");
    let tags = Tags::from([
        ("Name".to_owned(), group_name.clone()),
        (format!("kubernetes.io/cluster/{name}"), "owned".to_owned()),
        ("aws:eks:cluster-name".to_owned(), name.to_owned()),
    ]);
    let description = "EKS created security group applied to ENI that is attached to EKS Control Plane master nodes, as well as any managed workloads.";
    let id = security::create_group(ctx, vpc, &group_name, description, tags)?;
    ctx.adjust(&id, |o| o.owner = Owner::Eks);
    Ok(id)
}

/// The document that DescribeCluster gives while the cluster is CREATING: no endpoint yet.
fn describe(ctx: &mut Ctx<'_>, call: &Call, arn: &str, vpc: &str, group: &str) -> Value {
    let request = &call.json;
    let oidc = ctx.world.hex(32).to_uppercase();
    let of = |pointer: &str, default: Value| request.pointer(pointer).cloned().unwrap_or(default);
    json!({
        "name": call.field("name"),
        "arn": arn,
        "createdAt": epoch_seconds(ctx.now),
        "version": of("/version", json!(DEFAULT_VERSION)),
        "roleArn": call.field("roleArn"),
        "resourcesVpcConfig": {
            "subnetIds": subnets(call),
            "securityGroupIds": of("/resourcesVpcConfig/securityGroupIds", json!([])),
            "clusterSecurityGroupId": group,
            "vpcId": vpc,
            "endpointPublicAccess": of("/resourcesVpcConfig/endpointPublicAccess", json!(true)),
            "endpointPrivateAccess": of("/resourcesVpcConfig/endpointPrivateAccess", json!(false)),
            "publicAccessCidrs": of("/resourcesVpcConfig/publicAccessCidrs", json!(["0.0.0.0/0"])),
        },
        "kubernetesNetworkConfig": {
            "serviceIpv4Cidr": of("/kubernetesNetworkConfig/serviceIpv4Cidr", json!("172.20.0.0/16")),
            "ipFamily": of("/kubernetesNetworkConfig/ipFamily", json!("ipv4")),
        },
        "logging": of("/logging", json!({"clusterLogging": [{"enabled": false,
            "types": ["api", "audit", "authenticator", "controllerManager", "scheduler"]}]})),
        "identity": { "oidc": { "issuer": format!("https://oidc.eks.{}.amazonaws.com/id/{oidc}", call.region) } },
        "status": "CREATING",
        "certificateAuthority": {},
        "clientRequestToken": call.client_token(),
        "platformVersion": "eks.1",
        "encryptionConfig": of("/encryptionConfig", json!([])),
        "health": { "issues": [] },
        "accessConfig": {
            "authenticationMode": of("/accessConfig/authenticationMode", json!("CONFIG_MAP")),
            "bootstrapClusterCreatorAdminPermissions":
                of("/accessConfig/bootstrapClusterCreatorAdminPermissions", json!(true)),
        },
        "upgradePolicy": of("/upgradePolicy", json!({"supportType": "EXTENDED"})),
        "deletionProtection": of("/deletionProtection", json!(false)),
    })
}

/// The creator becomes administrator unless the request says otherwise:
/// <https://docs.aws.amazon.com/eks/latest/userguide/access-entries.html>.
fn bootstrap_access(ctx: &mut Ctx<'_>, call: &Call, arn: &str, name: &str) {
    let wanted = call.json.pointer("/accessConfig/bootstrapClusterCreatorAdminPermissions");
    if wanted.and_then(Value::as_bool).unwrap_or(true) {
        let principal = access::principal_of(&call.caller.arn);
        let entry = access::new_entry(ctx, name, &principal, "STANDARD", &[], Tags::new());
        let policies =
            json!([access::policy_document(access::CLUSTER_ADMIN_POLICY, &json!({"type": "cluster"}), ctx.now)]);
        ctx.create(entry.with("policies", policies));
    }
    tracing::debug!(cluster = arn, "cluster creation begins");
}

/// Begins to delete a cluster.
///
/// # Errors
/// Not found; node groups attached; still creating; protected.
pub(crate) fn delete(ctx: &mut Ctx<'_>, call: &Call) -> Result<Value> {
    let name = call.var(0);
    let object = cluster(ctx, name)?;
    let attached = ctx.scope().named_under(AwsKind::Nodegroup, &format!("{name}/")).next().is_some();
    if attached {
        return Err(in_use("Cluster has nodegroups attached").field("clusterName", name));
    }
    if ctx.scope().named_under(AwsKind::FargateProfile, &format!("{name}/")).next().is_some() {
        return Err(in_use("Cluster has Fargate profiles attached").field("clusterName", name));
    }
    match object.state.as_str() {
        "CREATING" | "UPDATING" | "PENDING" => {
            let message = format!("Cannot delete because cluster {name} currently has an operation in progress");
            return Err(in_use(message).field("clusterName", name));
        }
        "DELETING" => return Ok(json!({ "cluster": document(&object) })),
        _ => {}
    }
    if object.props.get("doc").and_then(|d| d.get("deletionProtection")) == Some(&json!(true)) {
        let message = format!("Cluster {name} has deletion protection enabled");
        return Err(ApiError::new("InvalidRequestException", message));
    }
    ctx.change(&object.id, |o| {
        o.state = "DELETING".to_owned();
        amend(o, |doc| {
            doc.insert("deletionProtection".to_owned(), json!(false));
        });
    });
    let ms = ctx.draw(durations::CLUSTER_DELETE, name);
    ctx.begin_work("delete", &object.id, ms);
    ctx.after(ms, AwsStep::Eks { id: object.id.clone(), step: EksStep::ClusterGone });
    Ok(json!({ "cluster": document(&cluster(ctx, name)?) }))
}

/// DescribeClusterVersions.
pub(crate) fn versions() -> Value {
    let all: Vec<Value> = VERSIONS
        .iter()
        .map(|v| {
            json!({ "clusterVersion": v, "clusterType": "eks", "defaultVersion": *v == DEFAULT_VERSION,
                    "defaultPlatformVersion": "eks.1", "status": "standard-support",
                    "versionStatus": "STANDARD_SUPPORT", "kubernetesPatchVersion": format!("{v}.2") })
        })
        .collect();
    json!({ "clusterVersions": all })
}
