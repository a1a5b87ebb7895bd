//! What EKS does by itself: clusters and node groups become ready and go, add-ons settle.
//!
//! A cluster becomes ACTIVE when its simulated time is over and its control plane answers, whichever is later.

use super::{addon, amend, config, doc_text, doc_texts};
use crate::{
    aws::{
        cloudformation::resources,
        ec2::{network, security},
    },
    clock::epoch_seconds,
    duration,
    object::{Kind, Object, Owner, Tags},
    runtime::{NodeSpec, RuntimeCommand},
    schedule::{EksStep, Step},
    world::Ctx,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// An endpoint that refuses connections, for clusters without Kubernetes: port 1 is never served.
const DEAD_ENDPOINT: &str = "https://127.0.0.1:1";

/// Applies one step; gives the action for the journal.
pub fn step(ctx: &mut Ctx<'_>, id: &str, step: &EksStep) -> &'static str {
    let Some(object) = ctx.scope().live(id).cloned() else { return "Stale" };
    match step {
        EksStep::ClusterReady => {
            cluster_due(ctx, &object);
            "ClusterReady"
        }
        EksStep::ClusterGone => {
            cluster_gone(ctx, &object);
            "ClusterGone"
        }
        EksStep::NodegroupReady => {
            nodegroup_ready(ctx, &object);
            "NodegroupReady"
        }
        EksStep::NodegroupGone => {
            nodegroup_gone(ctx, &object);
            "NodegroupGone"
        }
        EksStep::NodegroupScaled { update } => {
            nodegroup_scaled(ctx, &object, update);
            "NodegroupScaled"
        }
        EksStep::AddonSettled => {
            addon_settled(ctx, &object);
            "AddonSettled"
        }
        EksStep::AddonGone => {
            ctx.delete(id);
            "AddonGone"
        }
        EksStep::UpdateDone { update } => {
            ctx.change(id, |o| {
                o.state = "ACTIVE".to_owned();
                config::finish_update(o, update);
            });
            ctx.end_work("update", id);
            "UpdateDone"
        }
    }
}

fn cluster_due(ctx: &mut Ctx<'_>, object: &Object) {
    if object.state != "CREATING" {
        return;
    }
    if let Some(error) = planned_failure(ctx, "ClusterReady") {
        fail(ctx, object, "FAILED", &error.code, &error.message);
        return;
    }
    if ctx.world.kubernetes_capacity.is_none() {
        ctx.adjust(&object.id, |o| {
            o.set("endpoint", DEAD_ENDPOINT);
            o.set("ca", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n");
        });
    }
    ctx.adjust(&object.id, |o| o.set("time_is_over", true));
    activate(ctx, &object.id);
}

fn planned_failure(ctx: &mut Ctx<'_>, action: &str) -> Option<crate::faults::ErrorSpec> {
    let account = ctx.key.account.clone();
    ctx.world.faults.plan("eks", action, &account).error
}

fn fail(ctx: &mut Ctx<'_>, object: &Object, state: &str, code: &str, message: &str) {
    let issue = json!([{ "code": code, "message": message, "resourceIds": [object.name] }]);
    ctx.change(&object.id, |o| {
        o.state = state.to_owned();
        amend(o, |doc| {
            doc.insert("health".to_owned(), json!({ "issues": issue }));
        });
    });
    ctx.end_work("create", &object.id);
}

/// The control plane answers: remember where.
pub fn control_plane_started(ctx: &mut Ctx<'_>, id: &str, endpoint: &str, ca_pem: &str) {
    ctx.adjust(id, |o| {
        o.set("endpoint", endpoint);
        o.set("ca", ca_pem);
        amend(o, |doc| {
            // A restart may move an ACTIVE cluster's endpoint to another port.
            if doc.contains_key("endpoint") {
                doc.insert("endpoint".to_owned(), endpoint.into());
                doc.insert("certificateAuthority".to_owned(), json!({ "data": STANDARD.encode(ca_pem) }));
            }
        });
    });
    activate(ctx, id);
}

/// The control plane cannot be run.
pub fn control_plane_failed(ctx: &mut Ctx<'_>, id: &str, reason: &str) {
    if let Some(object) = ctx.scope().live(id).filter(|o| o.state == "CREATING").cloned() {
        fail(ctx, &object, "FAILED", "InternalFailure", reason);
    }
}

fn activate(ctx: &mut Ctx<'_>, id: &str) {
    let Some(object) = ctx.scope().live(id).cloned() else { return };
    let over = object.props.get("time_is_over").and_then(Value::as_bool).unwrap_or(false);
    if object.state != "CREATING" || !over || object.text("endpoint").is_empty() {
        return;
    }
    let (endpoint, ca) = (object.text("endpoint").to_owned(), STANDARD.encode(object.text("ca")));
    ctx.change(id, |o| {
        o.state = "ACTIVE".to_owned();
        amend(o, |doc| {
            doc.insert("endpoint".to_owned(), endpoint.into());
            doc.insert("certificateAuthority".to_owned(), json!({ "data": ca }));
        });
    });
    ctx.end_work("create", id);
}

fn cluster_gone(ctx: &mut Ctx<'_>, object: &Object) {
    let name = object.name.clone().unwrap_or_default();
    for kind in [Kind::Addon, Kind::AccessEntry, Kind::PodIdentityAssociation] {
        let children: Vec<String> =
            ctx.scope().named_under(kind, &format!("{name}/")).map(|o| o.id.clone()).collect();
        for child in children {
            ctx.delete(&child);
        }
    }
    network::service_object_gone(ctx, &object.id);
    // EKS leaves its security group behind if something else still uses it.
    let group = doc_text(object, "/resourcesVpcConfig/clusterSecurityGroupId").to_owned();
    if let Err(error) = security::delete_group(ctx, &group) {
        ctx.remark(format!("the cluster security group {group} stays: {error}"));
        ctx.adjust(&group, |o| o.owner = Owner::Customer);
    }
    ctx.delete(&object.id);
    if ctx.world.kubernetes_capacity.is_some() {
        ctx.world.outbox.push(RuntimeCommand::Stop { arn: object.id.clone() });
    }
}

fn nodegroup_ready(ctx: &mut Ctx<'_>, object: &Object) {
    if object.state != "CREATING" {
        return;
    }
    if let Some(error) = planned_failure(ctx, "NodegroupReady") {
        fail(ctx, object, "CREATE_FAILED", &error.code, &error.message);
        return;
    }
    let desired = desired_size(object);
    let present = ctx.scope().of_kind(Kind::Instance).filter(|o| o.is_live()).count() as u64;
    if ctx.within_quota("instances", present + desired.saturating_sub(1)).is_err() {
        let message = "Could not launch On-Demand Instances. VcpuLimitExceeded - You have requested more vCPU capacity than your current vCPU limit allows.";
        fail(ctx, object, "CREATE_FAILED", "AsgInstanceLaunchFailures", message);
        return;
    }
    launch(ctx, object, desired);
    ctx.change(&object.id, |o| o.state = "ACTIVE".to_owned());
    ctx.end_work("create", &object.id);
    resettle_addons(ctx, object);
}

/// Add-ons that wait for nodes settle a little after nodes joined.
fn resettle_addons(ctx: &mut Ctx<'_>, nodegroup: &Object) {
    let cluster_name = doc_text(nodegroup, "/clusterName").to_owned();
    let waiting: Vec<Object> = ctx
        .scope()
        .named_under(Kind::Addon, &format!("{cluster_name}/"))
        .filter(|o| o.props.contains_key("waits_for_nodes"))
        .cloned()
        .collect();
    for object in waiting {
        let ms = ctx.draw(duration::ADDON_CREATE, &format!("{}/nodes", object.name.as_deref().unwrap_or_default()));
        ctx.adjust(&object.id, |o| {
            o.props.remove("waits_for_nodes");
        });
        ctx.begin_work("settle", &object.id, ms);
        ctx.after(ms, Step::Eks { id: object.id, step: EksStep::AddonSettled });
    }
}

fn desired_size(object: &Object) -> u64 {
    let desired = object.props.get("doc").and_then(|d| d.pointer("/scalingConfig/desiredSize"));
    desired.and_then(Value::as_u64).unwrap_or(0)
}

/// Starts `count` instances with their interfaces and nodes.
fn launch(ctx: &mut Ctx<'_>, object: &Object, count: u64) {
    let subnets = doc_texts(object, "/subnets");
    let cluster_arn = object.text("cluster").to_owned();
    let cluster_name = doc_text(object, "/clusterName").to_owned();
    let Some(parent) = ctx.scope().live(&cluster_arn).cloned() else { return };
    let group = doc_text(&parent, "/resourcesVpcConfig/clusterSecurityGroupId").to_owned();
    let template = launch_template(ctx, object);
    let mut nodes = Vec::new();
    for n in 0..count {
        let Some(subnet) = subnets.get(usize::try_from(n).unwrap_or(0) % subnets.len().max(1)) else { return };
        let id = format!("i-{}", ctx.world.hex(17));
        let mut tags = specified(&template, "instance");
        tags.extend([
            ("eks:cluster-name".to_owned(), cluster_name.clone()),
            ("eks:nodegroup-name".to_owned(), doc_text(object, "/nodegroupName").to_owned()),
            (format!("kubernetes.io/cluster/{cluster_name}"), "owned".to_owned()),
        ]);
        let request = network::NewInterface {
            groups: vec![group.clone()],
            owner: Some(Owner::Eks),
            attached_to: id.clone(),
            ..network::NewInterface::default()
        };
        let Ok(interface) = network::create_interface(ctx, subnet, request, specified(&template, "network-interface")) else { continue };
        let Some(interface) = ctx.scope().live(&interface).cloned() else { continue };
        let address = interface.text("ip").to_owned();
        let private_dns = format!("ip-{}.{}.compute.internal", address.replace('.', "-"), ctx.key.region);
        let instance_type = doc_texts(object, "/instanceTypes").first().cloned().unwrap_or_default();
        let arn = ctx.arn("ec2", &format!("instance/{id}"));
        let mut instance = Object::new(Kind::Instance, &id, arn, ctx.now);
        instance.state = "running".to_owned();
        instance.owner = Owner::Eks;
        instance.vpc.clone_from(&interface.vpc);
        instance.tags = tags;
        let zone = interface.text("zone").to_owned();
        let instance = instance
            .with("subnet", subnet.clone())
            .with("zone", zone.clone())
            .with("ip", address)
            .with("private_dns", private_dns)
            .with("instance_type", instance_type)
            .with("nodegroup", object.id.clone());
        node_disk(ctx, object, &instance, &template);
        nodes.push(node(object, &instance, &ctx.key.region));
        ctx.create(instance);
    }
    if ctx.world.kubernetes_capacity.is_some() && !nodes.is_empty() {
        ctx.world.outbox.push(RuntimeCommand::AddNodes { arn: cluster_arn, nodes });
    }
}

/// The data of the launch template that the node group names, or nothing.
fn launch_template(ctx: &mut Ctx<'_>, object: &Object) -> Value {
    let id = doc_text(object, "/launchTemplate/id").to_owned();
    let template = ctx.scope().live(&id).cloned();
    template.and_then(|t| t.props.get("data").cloned()).unwrap_or_default()
}

fn specified(template: &Value, kind: &str) -> Tags {
    resources::specified_tags(template, kind)
}

/// A node's own disk, which goes with its instance.
fn node_disk(ctx: &mut Ctx<'_>, object: &Object, instance: &Object, template: &Value) {
    let own = template.pointer("/BlockDeviceMappings/0/Ebs/VolumeSize").and_then(Value::as_u64);
    let of_group = object.props.get("doc").and_then(|d| d["diskSize"].as_u64());
    let size_gib = own.or(of_group).unwrap_or(20);
    let tags = specified(template, "volume");
    let disk = network::create_volume(ctx, size_gib, instance.text("zone"), tags, Owner::Eks);
    ctx.adjust(&disk, |o| {
        o.state = "in-use".to_owned();
        o.name = Some(format!("{}/{}", instance.id, o.id));
        o.set("attached_to", instance.id.clone());
    });
}

/// The Kubernetes node of an instance, labelled as EKS labels it.
fn node(nodegroup: &Object, instance: &Object, region: &str) -> NodeSpec {
    let zone = instance.text("zone").to_owned();
    let instance_type = instance.text("instance_type").to_owned();
    let doc = nodegroup.props.get("doc").cloned().unwrap_or_default();
    let own = doc["labels"].as_object().into_iter().flatten();
    let mut labels: BTreeMap<String, String> =
        own.filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect();
    for (key, value) in [
        ("eks.amazonaws.com/nodegroup", doc_text(nodegroup, "/nodegroupName")),
        ("eks.amazonaws.com/capacityType", doc_text(nodegroup, "/capacityType")),
        ("topology.kubernetes.io/zone", &zone),
        ("topology.kubernetes.io/region", region),
        ("failure-domain.beta.kubernetes.io/zone", &zone),
        ("node.kubernetes.io/instance-type", &instance_type),
        ("kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", "amd64"),
        ("kubernetes.io/hostname", instance.text("private_dns")),
    ] {
        labels.insert(key.to_owned(), value.to_owned());
    }
    let taints = doc["taints"].as_array().into_iter().flatten();
    let text = |t: &Value, key: &str| t[key].as_str().unwrap_or_default().to_owned();
    let taints = taints.map(|t| (text(t, "key"), text(t, "value"), kubernetes_effect(&text(t, "effect")))).collect();
    let (cpu, memory_mib) = capacity(&instance_type);
    NodeSpec {
        name: instance.text("private_dns").to_owned(),
        provider_id: format!("aws:///{zone}/{}", instance.id),
        labels,
        taints,
        cpu,
        memory_mib,
        address: instance.text("ip").to_owned(),
        instance_type,
        zone,
    }
}

/// `NO_SCHEDULE` → `NoSchedule`.
fn kubernetes_effect(effect: &str) -> String {
    match effect {
        "NO_EXECUTE" => "NoExecute",
        "PREFER_NO_SCHEDULE" => "PreferNoSchedule",
        _ => "NoSchedule",
    }
    .to_owned()
}

/// Processors and MiB of an instance type, by family and size.
fn capacity(instance_type: &str) -> (u32, u64) {
    let (family, size) = instance_type.split_once('.').unwrap_or(("m5", "large"));
    let cpu = match size {
        "nano" | "micro" | "small" | "medium" | "large" => 2,
        "xlarge" => 4,
        other => other.trim_end_matches("xlarge").parse::<u32>().map_or(2, |n| 4 * n),
    };
    let gib_per_cpu = match (family.chars().next(), size) {
        (Some('t'), "medium") | (Some('c'), _) => 2,
        (Some('r' | 'x'), _) => 8,
        _ => 4,
    };
    (cpu, u64::from(cpu) * gib_per_cpu * 1_024)
}

fn instances_of(ctx: &mut Ctx<'_>, nodegroup: &str, cluster_name: &str) -> Vec<Object> {
    ctx.scope()
        .tagged("eks:cluster-name", cluster_name)
        .filter(|o| o.is_live() && o.text("nodegroup") == nodegroup)
        .cloned()
        .collect()
}

/// Ends instances, with their interfaces and nodes; disks attached to them come loose.
fn terminate(ctx: &mut Ctx<'_>, cluster_arn: &str, instances: &[Object]) {
    let names = instances.iter().map(|i| i.text("private_dns").to_owned()).collect();
    for instance in instances {
        network::service_object_gone(ctx, &instance.id);
        let prefix = format!("{}/", instance.id);
        let attached: Vec<Object> = ctx.scope().named_under(Kind::Volume, &prefix).cloned().collect();
        for volume in attached {
            if volume.owner == Owner::Eks {
                ctx.delete(&volume.id);
                continue;
            }
            ctx.change(&volume.id, |o| {
                o.state = "available".to_owned();
                o.name = None;
                o.set("attached_to", "");
            });
        }
        ctx.retire(&instance.id, "terminated");
    }
    if ctx.world.kubernetes_capacity.is_some() {
        ctx.world.outbox.push(RuntimeCommand::RemoveNodes { arn: cluster_arn.to_owned(), names });
    }
}

fn nodegroup_gone(ctx: &mut Ctx<'_>, object: &Object) {
    let instances = instances_of(ctx, &object.id, doc_text(object, "/clusterName"));
    terminate(ctx, object.text("cluster"), &instances);
    ctx.delete(&object.id);
}

fn nodegroup_scaled(ctx: &mut Ctx<'_>, object: &Object, update: &str) {
    let instances = instances_of(ctx, &object.id, doc_text(object, "/clusterName"));
    let (present, desired) = (instances.len() as u64, desired_size(object));
    if desired > present {
        launch(ctx, object, desired - present);
    } else {
        let excess = usize::try_from(present - desired).unwrap_or(0);
        terminate(ctx, object.text("cluster"), &instances[..excess]);
    }
    let modified = epoch_seconds(ctx.now);
    ctx.change(&object.id, |o| {
        o.state = "ACTIVE".to_owned();
        amend(o, |doc| {
            doc.insert("modifiedAt".to_owned(), json!(modified));
        });
        config::finish_update(o, update);
    });
    ctx.end_work("update", &object.id);
}

fn addon_settled(ctx: &mut Ctx<'_>, object: &Object) {
    if !matches!(object.state.as_str(), "CREATING" | "UPDATING" | "DEGRADED") {
        return;
    }
    if let Some(error) = planned_failure(ctx, "AddonSettled") {
        fail(ctx, object, "CREATE_FAILED", &error.code, &error.message);
        return;
    }
    let cluster_name = doc_text(object, "/clusterName").to_owned();
    let has_nodes = ctx
        .scope()
        .named_under(Kind::Nodegroup, &format!("{cluster_name}/"))
        .any(|n| matches!(n.state.as_str(), "ACTIVE" | "UPDATING"));
    let waits = addon::needs_nodes(doc_text(object, "/addonName")) && !has_nodes;
    let issues = if waits {
        json!([{ "code": "InsufficientNumberOfReplicas", "message": "The add-on is unhealthy because it doesn't have the desired number of replicas.", "resourceIds": [] }])
    } else {
        json!([])
    };
    ctx.change(&object.id, |o| {
        o.state = if waits { "DEGRADED" } else { "ACTIVE" }.to_owned();
        if waits {
            o.set("waits_for_nodes", true);
        }
        amend(o, |doc| {
            doc.insert("health".to_owned(), json!({ "issues": issues }));
        });
        let pending: Vec<String> = o.props.get("updates").and_then(Value::as_array).into_iter().flatten().filter_map(|u| u["id"].as_str().map(str::to_owned)).collect();
        for update in pending {
            config::finish_update(o, &update);
        }
    });
    for operation in ["create", "settle", "update"] {
        ctx.end_work(operation, &object.id);
    }
}
