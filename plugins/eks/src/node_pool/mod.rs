//! Managed node groups, made from the launch template of the network stack.

mod removal;

pub(crate) use removal::{delete, delete_all, foreign, observe, refuse_unmarked};

use std::collections::BTreeMap;

use aws_sdk_eks::types::{
    AmiTypes, CapacityTypes, LaunchTemplateSpecification, Nodegroup, NodegroupScalingConfig, NodegroupStatus as Status,
    NodegroupUpdateConfig, Taint, TaintEffect, UpdateLabelsPayload, UpdateTaintsPayload,
};
use landlord_provider_api::v1;
use landlord_provider_sdk::versions::is_behind;

use crate::{
    action,
    aws::Clients,
    cluster,
    error::{Absent as _, Result, failed, incomplete, invalid},
    health,
    names::{self, Names},
    network,
    parameters::{Capacity, Parameters},
    progress::{self, Outcome, Sent},
    tags,
};

/// Seconds between observations.
const POLL_S: i64 = 10;

async fn find(aws: &Clients, names: &Names, name: &str) -> Result<Option<Nodegroup>> {
    let response = aws.eks.describe_nodegroup().cluster_name(names.home()).nodegroup_name(name).send().await;
    Ok(response.map_err(failed(action::DESCRIBE_NODEGROUP, name)).or_absent()?.and_then(|a| a.nodegroup))
}

/// A call of [`ensure`].
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) scope: &'a v1::Scope,
    pub(crate) parameters: &'a Parameters,
    pub(crate) network: &'a v1::NetworkStatus,
    pub(crate) cluster: &'a v1::ClusterStatus,
    pub(crate) spec: &'a v1::NodePoolSpec,
}

/// Makes the pool be as wanted.
pub(crate) async fn ensure(aws: &Clients, wanted: Wanted<'_>) -> Result<(Outcome, Option<v1::NodePoolStatus>)> {
    let names = Names::new(wanted.scope)?;
    let name = names::node_group(&wanted.spec.role)?;
    let mut network = wanted.network.clone();
    if names.is_shared() {
        refuse_own_disk(wanted, &network)?;
    } else if let Some(outcome) = fit_disk(aws, wanted, &mut network).await? {
        return Ok((outcome, None));
    }
    let pending = |detail: String| Ok((progress::pending(POLL_S, detail), None));
    let Some(group) = find(aws, &names, &name).await? else {
        create(aws, wanted, &names, &name, &network).await?;
        return pending(format!("node group {name} is being created"));
    };
    if !tags::is_ours(wanted.scope, &group.tags()) {
        return Err(tags::name_taken("node group", &name).into());
    }
    match group.status() {
        Some(Status::CreateFailed) => {
            // It never comes up; its name is freed for the next attempt.
            begin_delete(aws, &names, &name).await?;
            Err(health::node_group_failed(&group).into())
        }
        Some(Status::Degraded) => match change(aws, wanted, &names, &group, &network).await? {
            Some(sent) => Ok((sent.pending(POLL_S), None)),
            None => Err(health::node_group_failed(&group).into()),
        },
        Some(Status::Active) => match change(aws, wanted, &names, &group, &network).await? {
            Some(sent) => Ok((sent.pending(POLL_S), None)),
            None => Ok((progress::ready(), Some(status(&name, &group)))),
        },
        Some(status) => {
            let why = health::node_group(&group).map(|e| format!(" ({})", e.message)).unwrap_or_default();
            pending(format!("node group {name} is {status}{why}"))
        }
        None => Err(incomplete(action::DESCRIBE_NODEGROUP, "the status")),
    }
}

/// The launch template of a shared cluster is not the tenant's to change.
fn refuse_own_disk(wanted: Wanted<'_>, network: &v1::NetworkStatus) -> Result<()> {
    let requested = wanted.spec.disk_size_gib;
    let present = network.attributes.get("node_disk_gib").map_or("its own size", String::as_str);
    if requested == 0 || present == requested.to_string() {
        return Ok(());
    }
    Err(invalid(format!(
        "nodes in a shared cluster have its disks ({present} GiB), not {requested} GiB; leave disk_size_gib out of the class"
    )))
}

/// A pool that requests another disk than the launch template has changes the template first.
async fn fit_disk(aws: &Clients, wanted: Wanted<'_>, network: &mut v1::NetworkStatus) -> Result<Option<Outcome>> {
    let requested = wanted.spec.disk_size_gib;
    if requested == 0 || network.attributes.get("node_disk_gib") == Some(&requested.to_string()) {
        return Ok(None);
    }
    let (outcome, changed) = network::ensure_node_disk(aws, wanted.scope, wanted.parameters, requested).await?;
    match changed {
        Some(changed) => {
            *network = changed;
            Ok(None)
        }
        None => Ok(Some(outcome)),
    }
}

fn status(name: &str, group: &Nodegroup) -> v1::NodePoolStatus {
    let desired = group.scaling_config().and_then(NodegroupScalingConfig::desired_size);
    v1::NodePoolStatus { name: name.to_owned(), node_count: desired.unwrap_or_default() }
}

/// An autoscaler moves the size between the wanted number and the most; without one both are
/// the same.
fn scaling(spec: &v1::NodePoolSpec, present: Option<i32>) -> NodegroupScalingConfig {
    let least = spec.node_count.max(1);
    let most = spec.node_count_max.max(least);
    let desired = present.unwrap_or(least).clamp(least, most);
    NodegroupScalingConfig::builder().min_size(least).max_size(most).desired_size(desired).build()
}

fn taints(spec: &v1::NodePoolSpec) -> Vec<Taint> {
    let effect = |text: &str| match text {
        "NoExecute" => TaintEffect::NoExecute,
        "PreferNoSchedule" => TaintEffect::PreferNoSchedule,
        _ => TaintEffect::NoSchedule,
    };
    let build = |t: &v1::Taint| {
        let value = (!t.value.is_empty()).then(|| t.value.clone());
        Taint::builder().key(&t.key).set_value(value).effect(effect(&t.effect)).build()
    };
    spec.taints.iter().map(build).collect()
}

fn template(network: &v1::NetworkStatus) -> Result<LaunchTemplateSpecification> {
    Ok(LaunchTemplateSpecification::builder()
        .id(cluster::attribute(network, "launch_template_id")?)
        .version(cluster::attribute(network, "launch_template_version")?)
        .build())
}

/// Where nodes lie: without a way out by NAT, in the public subnets.
fn subnets(network: &v1::NetworkStatus) -> Vec<String> {
    match network.attributes.get("node_subnets").map(String::as_str) {
        Some("public") => network.public_subnet_ids.clone(),
        _ => network.private_subnet_ids.clone(),
    }
}

async fn create(
    aws: &Clients,
    wanted: Wanted<'_>,
    names: &Names,
    name: &str,
    network: &v1::NetworkStatus,
) -> Result<()> {
    let spec = wanted.spec;
    let capacity = match wanted.parameters.capacity_type {
        Capacity::OnDemand => CapacityTypes::OnDemand,
        Capacity::Spot => CapacityTypes::Spot,
    };
    let version = Some(wanted.cluster.kubernetes_version.clone()).filter(|v| !v.is_empty());
    let request = aws
        .eks
        .create_nodegroup()
        .cluster_name(names.home())
        .nodegroup_name(name)
        .node_role(cluster::attribute(network, "node_role_arn")?)
        .set_subnets(Some(subnets(network)))
        .instance_types(&spec.machine_type)
        .ami_type(AmiTypes::from(wanted.parameters.ami_type.as_str()))
        .capacity_type(capacity)
        .set_version(version)
        .launch_template(template(network)?)
        .scaling_config(scaling(spec, None))
        .update_config(NodegroupUpdateConfig::builder().max_unavailable(1).build())
        .set_labels(Some(spec.labels.clone().into_iter().collect()))
        .set_taints(Some(taints(spec)).filter(|t| !t.is_empty()))
        .client_request_token(names.token("node-pool", format_args!("{name}/{}", wanted.scope.generation)))
        .set_tags(Some(tags::all(wanted.scope, "node-pool").into_iter().collect()));
    match request.send().await.map_err(failed(action::CREATE_NODEGROUP, name)) {
        Ok(_) => Ok(()),
        // Made in the meantime: the next observation decides whether it is ours.
        Err(error) if error.code() == "ResourceInUseException" => match find(aws, names, name).await? {
            Some(_) => Ok(()),
            None => Err(error),
        },
        Err(error) => Err(error),
    }
}

/// Begins the first change that is due, and names which.
async fn change(
    aws: &Clients,
    wanted: Wanted<'_>,
    names: &Names,
    group: &Nodegroup,
    network: &v1::NetworkStatus,
) -> Result<Option<Sent>> {
    let name = group.nodegroup_name().unwrap_or_default();
    let machine = &wanted.spec.machine_type;
    if !group.instance_types().is_empty() && !group.instance_types().contains(machine) {
        let present = group.instance_types().join(", ");
        return Err(invalid(format!(
            "the machine type of node group {name} is {present} and cannot become {machine}; put the old one back or make a new tenant"
        )));
    }
    if let Some(sent) = change_config(aws, wanted, names, group, name).await? {
        return Ok(Some(sent));
    }
    let template = template(network)?;
    let present = group.launch_template().and_then(|t| t.version());
    let cluster_version = wanted.cluster.kubernetes_version.as_str();
    let older = is_behind(group.version().unwrap_or_default(), cluster_version);
    let outdated = present.is_some() && present != template.version();
    if !older && !outdated {
        return Ok(None);
    }
    let version = template.version().unwrap_or_default().to_owned();
    let request = aws
        .eks
        .update_nodegroup_version()
        .cluster_name(names.home())
        .nodegroup_name(name)
        .set_version(older.then(|| cluster_version.to_owned()))
        .client_request_token(names.token("node-pool-version", format_args!("{name}/{cluster_version}/{version}")))
        .launch_template(template);
    request.send().await.map_err(failed(action::UPDATE_NODEGROUP_VERSION, name))?;
    let mut sent = Sent::new(format!("the nodes of node group {name} are being replaced, one at a time"));
    if older {
        sent = sent.field("version", cluster_version, group.version().unwrap_or_default());
    }
    if outdated {
        sent = sent.field("launch template version", version, present.unwrap_or_default());
    }
    Ok(Some(sent))
}

/// Size, labels and taints.
async fn change_config(
    aws: &Clients,
    wanted: Wanted<'_>,
    names: &Names,
    group: &Nodegroup,
    name: &str,
) -> Result<Option<Sent>> {
    let present = group.scaling_config();
    let size = scaling(wanted.spec, present.and_then(NodegroupScalingConfig::desired_size));
    let same_size = present.is_none_or(|p| {
        p.min_size() == size.min_size() && p.max_size() == size.max_size() && p.desired_size() == size.desired_size()
    });
    let labels = label_changes(wanted.spec, group);
    let taints = taint_changes(wanted.spec, group);
    if same_size && labels.is_none() && taints.is_none() {
        return Ok(None);
    }
    let mut sent = Sent::new(format!("node group {name} is being changed"));
    if !same_size {
        sent = sent.field("scaling", size_text(&size), present.map(size_text).unwrap_or_default());
    }
    if labels.is_some() {
        let present: BTreeMap<_, _> = group.labels().into_iter().flatten().collect();
        sent = sent.field("labels", format!("{:?}", BTreeMap::from_iter(&wanted.spec.labels)), format!("{present:?}"));
    }
    if taints.is_some() {
        sent = sent.field("taints", taints_text(&self::taints(wanted.spec)), taints_text(group.taints()));
    }
    let request = aws
        .eks
        .update_nodegroup_config()
        .cluster_name(names.home())
        .nodegroup_name(name)
        .scaling_config(size)
        .set_labels(labels)
        .set_taints(taints);
    request.send().await.map_err(failed(action::UPDATE_NODEGROUP_CONFIG, name))?;
    Ok(Some(sent))
}

fn size_text(size: &NodegroupScalingConfig) -> String {
    let number = Option::unwrap_or_default;
    format!("{} nodes of {} to {}", number(size.desired_size()), number(size.min_size()), number(size.max_size()))
}

fn taints_text(taints: &[Taint]) -> String {
    let text = |t: &Taint| {
        let effect = t.effect().map(TaintEffect::as_str).unwrap_or_default();
        format!("{}={}:{effect}", t.key().unwrap_or_default(), t.value().unwrap_or_default())
    };
    taints.iter().map(text).collect::<Vec<_>>().join(" ")
}

fn label_changes(spec: &v1::NodePoolSpec, group: &Nodegroup) -> Option<UpdateLabelsPayload> {
    let empty = std::collections::HashMap::new();
    let present = group.labels().unwrap_or(&empty);
    let mut payload = UpdateLabelsPayload::builder();
    let mut changed = false;
    for (key, value) in spec.labels.iter().filter(|(k, v)| present.get(*k) != Some(v)) {
        payload = payload.add_or_update_labels(key, value);
        changed = true;
    }
    for key in present.keys().filter(|k| !spec.labels.contains_key(*k)) {
        payload = payload.remove_labels(key);
        changed = true;
    }
    changed.then(|| payload.build())
}

fn taint_changes(spec: &v1::NodePoolSpec, group: &Nodegroup) -> Option<UpdateTaintsPayload> {
    let (wanted, present) = (taints(spec), group.taints());
    let value = |t: &Taint| t.value().unwrap_or_default().to_owned();
    let same = |a: &Taint, b: &Taint| a.key() == b.key() && a.effect() == b.effect();
    let add: Vec<Taint> =
        wanted.iter().filter(|w| !present.iter().any(|p| same(p, w) && value(p) == value(w))).cloned().collect();
    let remove: Vec<Taint> = present.iter().filter(|p| !wanted.iter().any(|w| same(w, p))).cloned().collect();
    if add.is_empty() && remove.is_empty() {
        return None;
    }
    let payload = UpdateTaintsPayload::builder();
    let payload = payload.set_add_or_update_taints((!add.is_empty()).then_some(add));
    Some(payload.set_remove_taints((!remove.is_empty()).then_some(remove)).build())
}

/// False if the group is gone already.
async fn begin_delete(aws: &Clients, names: &Names, name: &str) -> Result<bool> {
    let request = aws.eks.delete_nodegroup().cluster_name(names.home()).nodegroup_name(name);
    match request.send().await.map_err(failed(action::DELETE_NODEGROUP, name)) {
        Ok(_) => Ok(true),
        Err(error) if error.is_absent() => Ok(false),
        Err(error) if error.is_busy() => Ok(true),
        Err(error) => Err(error),
    }
}
