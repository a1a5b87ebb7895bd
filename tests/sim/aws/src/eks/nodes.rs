//! Instances of node groups, with their interfaces, disks and Kubernetes nodes.
//!
//! <https://docs.aws.amazon.com/eks/latest/userguide/managed-node-groups.html>; launch templates:
//! <https://docs.aws.amazon.com/eks/latest/userguide/launch-templates.html>.

use super::{doc_text, doc_texts};
use crate::{arn::Arn as _, kind::AwsKind};
use crate::{
    cloudformation::order,
    ec2::{instances, interfaces, network},
};
use cloudsim_core::{
    cluster::{NodeSpec, RuntimeCommand},
    ctx::Ctx,
    object::{Object, Owner, Tags},
};
use serde_json::Value;
use std::collections::BTreeMap;

/// Starts `count` instances with their interfaces and nodes.
pub(crate) fn launch(ctx: &mut Ctx<'_>, object: &Object, count: u64) {
    let subnets = doc_texts(object, "/subnets");
    let cluster_arn = object.text("cluster").to_owned();
    let cluster_name = doc_text(object, "/clusterName").to_owned();
    let Some(parent) = ctx.scope().live(&cluster_arn).cloned() else {
        return;
    };
    let group = doc_text(&parent, "/resourcesVpcConfig/clusterSecurityGroupId").to_owned();
    let template = launch_template(ctx, object);
    let mut nodes = Vec::new();
    for n in 0..count {
        let Some(subnet) = subnets.get(usize::try_from(n).unwrap_or(0) % subnets.len().max(1)) else {
            return;
        };
        let id = format!("i-{}", ctx.world.hex(17));
        let mut tags = specified(&template, "instance");
        tags.extend([
            ("eks:cluster-name".to_owned(), cluster_name.clone()),
            ("eks:nodegroup-name".to_owned(), doc_text(object, "/nodegroupName").to_owned()),
            (format!("kubernetes.io/cluster/{cluster_name}"), "owned".to_owned()),
        ]);
        let request = interfaces::NewInterface {
            groups: vec![group.clone()],
            owner: Some(Owner::Eks),
            attached_to: id.clone(),
            ..interfaces::NewInterface::default()
        };
        let Ok(interface) =
            interfaces::create_interface(ctx, subnet, request, specified(&template, "network-interface"))
        else {
            continue;
        };
        let Some(interface) = ctx.scope().live(&interface).cloned() else {
            continue;
        };
        let address = interface.text("ip").to_owned();
        let private_dns = format!("ip-{}.{}.compute.internal", address.replace('.', "-"), ctx.key.region);
        let instance_type = doc_texts(object, "/instanceTypes").first().cloned().unwrap_or_default();
        let arn = ctx.arn("ec2", &format!("instance/{id}"));
        let mut instance = Object::new(AwsKind::Instance, &id, arn, ctx.now);
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
    order::specified_tags(template, kind)
}

/// A node's own disk, which goes with its instance.
fn node_disk(ctx: &mut Ctx<'_>, object: &Object, instance: &Object, template: &Value) {
    let own = template.pointer("/BlockDeviceMappings/0/Ebs/VolumeSize").and_then(Value::as_u64);
    let of_group = object.props.get("doc").and_then(|d| d["diskSize"].as_u64());
    let size_gib = own.or(of_group).unwrap_or(20);
    let tags = specified(template, "volume");
    let disk = network::create_volume(ctx, size_gib, instance.text("zone"), tags, Owner::Eks);
    instances::attach_root(ctx, &disk, &instance.id);
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

/// The live instances of a node group.
pub(crate) fn instances_of(ctx: &mut Ctx<'_>, nodegroup: &str, cluster_name: &str) -> Vec<Object> {
    ctx.scope()
        .tagged("eks:cluster-name", cluster_name)
        .filter(|o| o.is_live() && o.text("nodegroup") == nodegroup)
        .cloned()
        .collect()
}

/// Ends instances, with their interfaces and nodes; disks attached to them come loose.
pub(crate) fn terminate(ctx: &mut Ctx<'_>, cluster_arn: &str, instances: &[Object]) {
    let names = instances.iter().map(|i| i.text("private_dns").to_owned()).collect();
    for instance in instances {
        instances::end(ctx, &instance.id);
    }
    if ctx.world.kubernetes_capacity.is_some() {
        ctx.world.outbox.push(RuntimeCommand::RemoveNodes { arn: cluster_arn.to_owned(), names });
    }
}
