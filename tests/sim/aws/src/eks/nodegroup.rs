//! Managed node groups.
//!
//! <https://docs.aws.amazon.com/eks/latest/APIReference/API_CreateNodegroup.html>,
//! <https://docs.aws.amazon.com/eks/latest/userguide/delete-managed-node-group.html>.

use super::{
    access, active_cluster, amend, check_role, cluster, document, fingerprint, in_use, invalid, is_replay, not_found,
    request_tags, updates,
};
use crate::{
    arn::Arn as _,
    durations,
    kind::AwsKind,
    step::{AwsStep, EksStep},
};
use cloudsim_core::{
    call::{ApiError, Call, Result},
    clock::epoch_seconds,
    ctx::Ctx,
    object::{Object, Tags},
};
use serde_json::{Value, json};

/// The node group of a cluster.
///
/// # Errors
/// ResourceNotFoundException, naming cluster or node group.
pub(crate) fn existing(ctx: &mut Ctx<'_>, cluster_name: &str, name: &str) -> Result<Object> {
    cluster(ctx, cluster_name)?;
    ctx.named(AwsKind::Nodegroup, &format!("{cluster_name}/{name}"))
        .ok_or_else(|| not_found(format!("No node group found for name: {name}.")))
}

/// Creates a node group, or gives the one that this very request made.
///
/// # Errors
/// Cluster absent or not active, name taken, bad parameters, quota.
pub(crate) fn create(ctx: &mut Ctx<'_>, call: &Call) -> Result<Value> {
    let (cluster_name, name) = (call.var(0), call.field("nodegroupName"));
    let parent = active_cluster(ctx, cluster_name)?;
    let unique = format!("{cluster_name}/{name}");
    if let Some(present) = ctx.scope().named(AwsKind::Nodegroup, &unique).cloned() {
        if is_replay(&present, call) {
            return Ok(json!({ "nodegroup": document(&present) }));
        }
        let message = format!("NodeGroup already exists with name {name} and cluster name {cluster_name}");
        return Err(in_use(message).field("clusterName", cluster_name).field("nodegroupName", name));
    }
    check(ctx, call, &parent, name)?;
    let uuid = ctx.world.uuid();
    let arn = ctx.arn("eks", &format!("nodegroup/{cluster_name}/{name}/{uuid}"));
    let doc = describe(ctx, call, &parent, &arn, &uuid);
    let mut object = Object::new(AwsKind::Nodegroup, &arn, arn.clone(), ctx.now);
    object.name = Some(unique.clone());
    object.state = "CREATING".to_owned();
    object.tags = request_tags(call);
    let object = object
        .with("doc", doc)
        .with("token", call.client_token().unwrap_or_default())
        .with("request", fingerprint(call))
        .with("cluster", parent.id.clone());
    let response = document(&object);
    ctx.create(object);
    node_role_entry(ctx, cluster_name, call.field("nodeRole"));
    let ms = ctx.draw(durations::NODEGROUP_CREATE, &unique);
    ctx.begin_work("create", &arn, ms);
    ctx.after(ms, AwsStep::Eks { id: arn, step: EksStep::NodegroupReady });
    Ok(json!({ "nodegroup": response }))
}

fn check(ctx: &mut Ctx<'_>, call: &Call, parent: &Object, name: &str) -> Result<()> {
    let good = !name.is_empty()
        && name.len() <= 63
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    if !good {
        return Err(invalid(format!("The node group name {name:?} is not valid")));
    }
    check_role(ctx, call.field("nodeRole"))?;
    let subnets = call.json.get("subnets").and_then(Value::as_array).cloned().unwrap_or_default();
    if subnets.is_empty() {
        return Err(invalid("Subnets must be given"));
    }
    for id in subnets.iter().filter_map(Value::as_str) {
        let in_vpc = ctx.scope().live(id).is_some_and(|s| s.vpc.as_deref() == Some(parent.text("vpc")));
        if !in_vpc {
            return Err(invalid(format!("Subnet {id} is not in the VPC of the cluster")));
        }
    }
    let groups = ctx.scope().named_under(AwsKind::Nodegroup, &format!("{}/", call.var(0))).count();
    if ctx.within_quota("nodegroups-per-cluster", groups as u64).is_err() {
        return Err(ApiError::new("ResourceLimitExceededException", "Nodegroup limit exceeded for the cluster"));
    }
    let scaling = scaling(&call.json);
    if scaling.0 > scaling.1 || scaling.1 > scaling.2 {
        return Err(invalid("Minimum capacity cannot be greater than desired size, nor desired size than maximum"));
    }
    if ctx.within_quota("nodes-per-nodegroup", scaling.1.saturating_sub(1)).is_err() {
        return Err(ApiError::new("ResourceLimitExceededException", "Nodes per node group limit exceeded"));
    }
    Ok(())
}

/// Minimum, desired and maximum size.
fn scaling(request: &Value) -> (u64, u64, u64) {
    let of = |key: &str| request.pointer(&format!("/scalingConfig/{key}")).and_then(Value::as_u64);
    let desired = of("desiredSize").or(of("minSize")).unwrap_or(2);
    (of("minSize").unwrap_or(desired.min(1)), desired, of("maxSize").unwrap_or(desired.max(2)))
}

fn describe(ctx: &mut Ctx<'_>, call: &Call, parent: &Object, arn: &str, uuid: &str) -> Value {
    let request = &call.json;
    let name = call.field("nodegroupName");
    let of = |key: &str, default: Value| request.get(key).filter(|v| !v.is_null()).cloned().unwrap_or(default);
    let (min, desired, max) = scaling(request);
    let version = super::doc_text(parent, "/version");
    json!({
        "nodegroupName": name,
        "nodegroupArn": arn,
        "clusterName": call.var(0),
        "version": of("version", json!(version)),
        "releaseVersion": of("releaseVersion", json!(format!("{version}.2-20261101"))),
        "createdAt": epoch_seconds(ctx.now),
        "modifiedAt": epoch_seconds(ctx.now),
        "status": "CREATING",
        "capacityType": of("capacityType", json!("ON_DEMAND")),
        "scalingConfig": { "minSize": min, "desiredSize": desired, "maxSize": max },
        "instanceTypes": of("instanceTypes", json!(["t3.medium"])),
        "subnets": of("subnets", json!([])),
        "amiType": of("amiType", json!("AL2023_x86_64_STANDARD")),
        "nodeRole": call.field("nodeRole"),
        "labels": of("labels", json!({})),
        "taints": of("taints", json!([])),
        "diskSize": of("diskSize", json!(20)),
        "launchTemplate": of("launchTemplate", Value::Null),
        "resources": { "autoScalingGroups": [ { "name": format!("eks-{name}-{uuid}") } ] },
        "health": { "issues": [] },
        "updateConfig": of("updateConfig", json!({"maxUnavailable": 1})),
        "nodeRepairConfig": of("nodeRepairConfig", json!({"enabled": false})),
    })
}

/// EKS itself adds the access entry of a managed node group's role.
fn node_role_entry(ctx: &mut Ctx<'_>, cluster_name: &str, role: &str) {
    if access::existing(ctx, cluster_name, role).is_err() {
        let entry = access::new_entry(ctx, cluster_name, role, "EC2_LINUX", &["system:nodes".to_owned()], Tags::new());
        ctx.create(entry);
    }
}

/// Begins to delete a node group.
///
/// # Errors
/// Not found, or busy.
pub(crate) fn delete(ctx: &mut Ctx<'_>, call: &Call) -> Result<Value> {
    let object = existing(ctx, call.var(0), call.var(1))?;
    match object.state.as_str() {
        "DELETING" => return Ok(json!({ "nodegroup": document(&object) })),
        "CREATING" | "UPDATING" => {
            let message = format!("Nodegroup {} cannot be deleted while it is {}", call.var(1), object.state);
            return Err(in_use(message).field("clusterName", call.var(0)).field("nodegroupName", call.var(1)));
        }
        _ => {}
    }
    ctx.change(&object.id, |o| o.state = "DELETING".to_owned());
    let ms = ctx.draw(durations::NODEGROUP_DELETE, object.name.as_deref().unwrap_or_default());
    ctx.begin_work("delete", &object.id, ms);
    ctx.after(ms, AwsStep::Eks { id: object.id.clone(), step: EksStep::NodegroupGone });
    Ok(json!({ "nodegroup": document(&existing(ctx, call.var(0), call.var(1))?) }))
}

/// Changes size, labels, taints or version.
///
/// # Errors
/// Not found, busy, or bad sizes.
pub(crate) fn update(ctx: &mut Ctx<'_>, call: &Call) -> Result<Value> {
    let object = existing(ctx, call.var(0), call.var(1))?;
    if object.state != "ACTIVE" && object.state != "DEGRADED" {
        return Err(in_use(format!("Nodegroup {} is {}", call.var(1), object.state)));
    }
    let request = call.json.clone();
    let mut merged = object.props.get("doc").cloned().unwrap_or_default();
    merge(&mut merged, &request);
    let (min, desired, max) = scaling(&merged);
    if min > desired || desired > max {
        return Err(invalid("Minimum capacity cannot be greater than desired size, nor desired size than maximum"));
    }
    merged["modifiedAt"] = json!(epoch_seconds(ctx.now));
    ctx.change(&object.id, |o| {
        o.state = "UPDATING".to_owned();
        amend(o, |doc| doc.clone_from(merged.as_object().unwrap_or(&serde_json::Map::new())));
    });
    let kind = if call.action == "UpdateNodegroupVersion" { "VersionUpdate" } else { "ConfigUpdate" };
    let update = updates::new_update(ctx, &object.id, kind, &request);
    let id = update["id"].as_str().unwrap_or_default().to_owned();
    let ms = ctx.draw(durations::NODEGROUP_UPDATE, &id);
    ctx.begin_work("update", &object.id, ms);
    ctx.after(ms, AwsStep::Eks { id: object.id, step: EksStep::NodegroupScaled { update: id } });
    Ok(json!({ "update": update }))
}

fn merge(doc: &mut Value, request: &Value) {
    for (key, value) in request.pointer("/scalingConfig").and_then(Value::as_object).into_iter().flatten() {
        doc["scalingConfig"][key] = value.clone();
    }
    for (key, value) in request.pointer("/labels/addOrUpdateLabels").and_then(Value::as_object).into_iter().flatten() {
        doc["labels"][key] = value.clone();
    }
    for key in request.pointer("/labels/removeLabels").and_then(Value::as_array).into_iter().flatten() {
        if let (Some(labels), Some(key)) = (doc["labels"].as_object_mut(), key.as_str()) {
            labels.remove(key);
        }
    }
    let same = |a: &Value, b: &Value| a["key"] == b["key"] && a["effect"] == b["effect"];
    let mut taints = doc["taints"].as_array().cloned().unwrap_or_default();
    for field in ["removeTaints", "addOrUpdateTaints"] {
        for taint in request.pointer(&format!("/taints/{field}")).and_then(Value::as_array).into_iter().flatten() {
            taints.retain(|t| !same(t, taint));
            if field == "addOrUpdateTaints" {
                taints.push(taint.clone());
            }
        }
    }
    doc["taints"] = json!(taints);
    if let Some(version) = request.get("version").filter(|v| !v.is_null()) {
        doc["version"] = version.clone();
    }
    // Another version of the same template: <https://docs.aws.amazon.com/eks/latest/APIReference/API_UpdateNodegroupVersion.html>.
    for (key, value) in request.pointer("/launchTemplate").and_then(Value::as_object).into_iter().flatten() {
        doc["launchTemplate"][key] = value.clone();
    }
}
