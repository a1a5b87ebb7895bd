//! What EKS does by itself: clusters and node groups become ready and go, add-ons settle.
//!
//! A cluster becomes ACTIVE when its simulated time is over and its control plane responds, whichever is later.

use super::{
    addon, amend, doc_text, doc_texts,
    nodes::{instances_of, launch, terminate},
    updates,
};
use crate::ec2::{interfaces, security};
use crate::{
    durations,
    kind::AwsKind,
    step::{AwsStep, EksStep},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use cloudsim_core::{
    clock::epoch_seconds,
    cluster::RuntimeCommand,
    ctx::Ctx,
    object::{Object, Owner},
};
use serde_json::{Value, json};

/// An endpoint that refuses connections, for clusters without Kubernetes: port 1 is never served.
const DEAD_ENDPOINT: &str = "https://127.0.0.1:1";

/// Applies one step; gives the action for the journal.
pub(crate) fn step(ctx: &mut Ctx<'_>, id: &str, step: &EksStep) -> &'static str {
    let Some(object) = ctx.scope().live(id).cloned() else {
        return "Stale";
    };
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
            for identity in doc_texts(&object, "/podIdentityAssociations") {
                ctx.delete(&identity);
            }
            ctx.delete(id);
            "AddonGone"
        }
        EksStep::UpdateDone { update } => {
            ctx.change(id, |o| {
                o.state = "ACTIVE".to_owned();
                updates::finish_update(o, update);
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

fn planned_failure(ctx: &mut Ctx<'_>, action: &str) -> Option<cloudsim_core::faults::ErrorSpec> {
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

/// The control plane responds: remember where.
pub(crate) fn control_plane_started(ctx: &mut Ctx<'_>, id: &str, endpoint: &str, ca_pem: &str) {
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
pub(crate) fn control_plane_failed(ctx: &mut Ctx<'_>, id: &str, reason: &str) {
    if let Some(object) = ctx.scope().live(id).filter(|o| o.state == "CREATING").cloned() {
        fail(ctx, &object, "FAILED", "InternalFailure", reason);
    }
}

fn activate(ctx: &mut Ctx<'_>, id: &str) {
    let Some(object) = ctx.scope().live(id).cloned() else {
        return;
    };
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
    for kind in [AwsKind::Addon, AwsKind::AccessEntry, AwsKind::PodIdentityAssociation] {
        let children: Vec<String> = ctx.scope().named_under(kind, &format!("{name}/")).map(|o| o.id.clone()).collect();
        for child in children {
            ctx.delete(&child);
        }
    }
    interfaces::service_object_gone(ctx, &object.id);
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
    let present = ctx.scope().of_kind(AwsKind::Instance).filter(|o| o.is_live()).count() as u64;
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
        .named_under(AwsKind::Addon, &format!("{cluster_name}/"))
        .filter(|o| o.props.contains_key("waits_for_nodes"))
        .cloned()
        .collect();
    for object in waiting {
        let ms = ctx.draw(durations::ADDON_CREATE, &format!("{}/nodes", object.name.as_deref().unwrap_or_default()));
        ctx.adjust(&object.id, |o| {
            o.props.remove("waits_for_nodes");
        });
        ctx.begin_work("settle", &object.id, ms);
        ctx.after(ms, AwsStep::Eks { id: object.id, step: EksStep::AddonSettled });
    }
}

fn desired_size(object: &Object) -> u64 {
    let desired = object.props.get("doc").and_then(|d| d.pointer("/scalingConfig/desiredSize"));
    desired.and_then(Value::as_u64).unwrap_or(0)
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
        updates::finish_update(o, update);
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
        .named_under(AwsKind::Nodegroup, &format!("{cluster_name}/"))
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
        let pending: Vec<String> = o
            .props
            .get("updates")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|u| u["id"].as_str().map(str::to_owned))
            .collect();
        for update in pending {
            updates::finish_update(o, &update);
        }
    });
    for operation in ["create", "settle", "update"] {
        ctx.end_work(operation, &object.id);
    }
}
