//! What GKE does by itself: clusters and node pools become ready, change and go.
//!
//! A cluster becomes RUNNING when its simulated time is over and its control plane responds, whichever is later.

use super::{cluster::NO_ROOM, nodepool, nodes, operation, pools};
use crate::{
    error,
    location::place,
    names::{amend, doc, doc_text},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use cloudsim_core::{cluster::RuntimeCommand, ctx::Ctx, faults::ErrorSpec, object::Object};
use serde_json::{Value, json};

/// An endpoint that refuses connections, for clusters without Kubernetes: port 1 is never served.
const DEAD_ENDPOINT: &str = "127.0.0.1:1";
const DEAD_CA: &str = "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n";

/// The time of an operation is over; gives the action for the journal.
pub(crate) fn done(ctx: &mut Ctx<'_>, id: &str) -> &'static str {
    let Some(operation) = ctx.scope().live(id).filter(|o| o.state == "RUNNING").cloned() else {
        return "Stale";
    };
    let location = id.split('/').nth(3).unwrap_or_default().to_owned();
    let action = match operation.text("kind") {
        "CREATE_CLUSTER" => {
            cluster_due(ctx, &operation);
            "ClusterReady"
        }
        "DELETE_CLUSTER" => {
            cluster_gone(ctx, &operation);
            "ClusterGone"
        }
        "CREATE_NODE_POOL" => {
            pool_ready(ctx, &operation);
            "NodePoolReady"
        }
        "DELETE_NODE_POOL" => {
            pool_gone(ctx, &operation);
            "NodePoolGone"
        }
        _ => {
            changed(ctx, &operation);
            "UpdateDone"
        }
    };
    place(ctx, &location);
    action
}

fn planned(ctx: &mut Ctx<'_>, action: &str) -> Option<ErrorSpec> {
    let account = ctx.key.account.clone();
    let error = ctx.world.faults.plan("container", action, &account).error?;
    let code = error::canonical(&cloudsim_core::call::ApiError::new(&error.code, "").status(error.status));
    Some(ErrorSpec { code, ..error })
}

fn cluster_due(ctx: &mut Ctx<'_>, operation: &Object) {
    let id = operation.text("cluster").to_owned();
    let full = ctx.scope().live(&id).filter(|o| o.props.contains_key(NO_ROOM)).map(no_machines);
    if let Some(error) = planned(ctx, "ClusterReady").or(full) {
        fail(ctx, operation, &id, &error);
        return;
    }
    ctx.adjust(&id, |o| o.set("time_is_over", true));
    if ctx.world.kubernetes_capacity.is_none() {
        ctx.adjust(&id, |o| {
            o.set("endpoint", DEAD_ENDPOINT);
            o.set("ca", DEAD_CA);
        });
    }
    activate(ctx, &id);
}

/// Compute's words for a zone without machines:
/// <https://cloud.google.com/compute/docs/troubleshooting/troubleshooting-resource-availability>.
fn no_machines(cluster: &Object) -> ErrorSpec {
    let zone = doc(cluster, "/locations/0").and_then(Value::as_str).unwrap_or_default();
    let project = cluster.id.split('/').nth(1).unwrap_or_default();
    let message = format!(
        "Google Compute Engine: The zone 'projects/{project}/zones/{zone}' does not have enough resources available to \
         fulfill the request.  Try a different zone, or try again later."
    );
    ErrorSpec { code: "GCE_STOCKOUT".to_owned(), status: 429, message }
}

/// The cluster and its pools never came to run: it stays as ERROR until it is deleted.
fn fail(ctx: &mut Ctx<'_>, operation: &Object, id: &str, error: &ErrorSpec) {
    for pool in pools(ctx, id) {
        ctx.change(&pool.id, |o| "ERROR".clone_into(&mut o.state));
    }
    ctx.change(id, |o| {
        "ERROR".clone_into(&mut o.state);
        let condition = json!([condition(error)]);
        amend(o, |doc| {
            doc.insert("statusMessage".to_owned(), json!(error.message));
            doc.insert("conditions".to_owned(), condition);
        });
    });
    ctx.end_work("create", id);
    operation::finish(ctx, operation, Some(error));
}

/// A failure as a condition. Some have a code of GKE's own, the rest only a canonical one:
/// <https://cloud.google.com/kubernetes-engine/docs/reference/rest/v1/StatusCondition>.
fn condition(error: &ErrorSpec) -> Value {
    if operation::is_gke_code(&error.code) {
        return json!({ "code": error.code, "canonicalCode": "RESOURCE_EXHAUSTED", "message": error.message });
    }
    json!({ "canonicalCode": error.code, "message": error.message })
}

/// The control plane responds: remember where.
pub(crate) fn control_plane_started(ctx: &mut Ctx<'_>, id: &str, endpoint: &str, ca_pem: &str) {
    let endpoint = endpoint.trim_start_matches("https://").to_owned();
    ctx.adjust(id, |o| {
        o.set("endpoint", endpoint.clone());
        o.set("ca", ca_pem);
        if !doc_text(o, "/endpoint").is_empty() {
            // A restart may move a running cluster's endpoint to another port.
            show_endpoint(o);
        }
    });
    activate(ctx, id);
    place(ctx, id.split('/').nth(3).unwrap_or_default());
}

/// The control plane cannot be run.
pub(crate) fn control_plane_failed(ctx: &mut Ctx<'_>, id: &str, reason: &str) {
    let Some(object) = ctx.scope().live(id).filter(|o| o.state == "PROVISIONING").cloned() else {
        return;
    };
    if let Some(operation) = ctx.scope().live(object.text("operation")).cloned() {
        let error = ErrorSpec { code: "INTERNAL".to_owned(), status: 500, message: reason.to_owned() };
        fail(ctx, &operation, id, &error);
    }
    place(ctx, id.split('/').nth(3).unwrap_or_default());
}

fn show_endpoint(object: &mut Object) {
    let (endpoint, ca) = (object.text("endpoint").to_owned(), STANDARD.encode(object.text("ca")));
    amend(object, |doc| {
        doc.insert("endpoint".to_owned(), json!(endpoint));
        if let Some(auth) = doc.get_mut("masterAuth") {
            auth["clusterCaCertificate"] = json!(ca);
        }
        if let Some(private) = doc.get_mut("privateClusterConfig") {
            private["publicEndpoint"] = json!(endpoint);
            private["privateEndpoint"] = json!("10.0.0.2");
        }
        if let Some(ip) = doc.get_mut("controlPlaneEndpointsConfig").and_then(|c| c.get_mut("ipEndpointsConfig")) {
            ip["publicEndpoint"] = json!(endpoint);
            ip["privateEndpoint"] = json!("10.0.0.2");
        }
    });
}

fn activate(ctx: &mut Ctx<'_>, id: &str) {
    let Some(object) = ctx.scope().live(id).cloned() else {
        return;
    };
    let over = object.props.get("time_is_over").and_then(Value::as_bool).unwrap_or(false);
    if object.state != "PROVISIONING" || !over || object.text("endpoint").is_empty() {
        return;
    }
    let Some(operation) = ctx.scope().live(object.text("operation")).cloned() else {
        return;
    };
    if let Some(error) = planned(ctx, "NodePoolReady") {
        fail(ctx, &operation, id, &error);
        return;
    }
    nodes::open_firewall(ctx, &object);
    for pool in pools(ctx, id) {
        nodes::scale(ctx, &object, &pool, nodepool::size(&pool));
        ctx.change(&pool.id, |o| "RUNNING".clone_into(&mut o.state));
    }
    ctx.change(id, |o| {
        "RUNNING".clone_into(&mut o.state);
        show_endpoint(o);
    });
    ctx.end_work("create", id);
    operation::finish(ctx, &operation, None);
}

fn cluster_gone(ctx: &mut Ctx<'_>, operation: &Object) {
    let id = operation.text("cluster").to_owned();
    if let Some(error) = planned(ctx, "ClusterGone") {
        ctx.change(&id, |o| "ERROR".clone_into(&mut o.state));
        operation::finish(ctx, operation, Some(&error));
        return;
    }
    if let Some(object) = ctx.scope().live(&id).cloned() {
        for pool in pools(ctx, &id) {
            nodes::remove_all(ctx, &object, &pool);
            ctx.delete(&pool.id);
        }
        nodes::close_firewall(ctx, &object);
    }
    operation::finish(ctx, operation, None);
    ctx.delete(&id);
    if ctx.world.kubernetes_capacity.is_some() {
        ctx.world.outbox.push(RuntimeCommand::Stop { arn: id });
    }
}

fn pool_ready(ctx: &mut Ctx<'_>, operation: &Object) {
    let (cluster, id) = (operation.text("cluster").to_owned(), operation.text("target").to_owned());
    settle(ctx, &cluster);
    if let Some(error) = planned(ctx, "NodePoolReady") {
        ctx.change(&id, |o| {
            "ERROR".clone_into(&mut o.state);
            amend(o, |doc| {
                doc.insert("statusMessage".to_owned(), json!(error.message));
                doc.insert("conditions".to_owned(), json!([condition(&error)]));
            });
        });
        ctx.end_work("create", &id);
        operation::finish(ctx, operation, Some(&error));
        return;
    }
    if let (Some(parent), Some(pool)) = (ctx.scope().live(&cluster).cloned(), ctx.scope().live(&id).cloned()) {
        nodes::scale(ctx, &parent, &pool, nodepool::size(&pool));
    }
    ctx.change(&id, |o| "RUNNING".clone_into(&mut o.state));
    ctx.end_work("create", &id);
    operation::finish(ctx, operation, None);
}

fn pool_gone(ctx: &mut Ctx<'_>, operation: &Object) {
    let (cluster, id) = (operation.text("cluster").to_owned(), operation.text("target").to_owned());
    settle(ctx, &cluster);
    if let Some(error) = planned(ctx, "NodePoolGone") {
        ctx.change(&id, |o| "ERROR".clone_into(&mut o.state));
        operation::finish(ctx, operation, Some(&error));
        return;
    }
    if let (Some(parent), Some(pool)) = (ctx.scope().live(&cluster).cloned(), ctx.scope().live(&id).cloned()) {
        nodes::remove_all(ctx, &parent, &pool);
    }
    ctx.delete(&id);
    operation::finish(ctx, operation, None);
}

/// The end of a change: the cluster and the pool are RUNNING again, nodes are as the pool says now.
fn changed(ctx: &mut Ctx<'_>, operation: &Object) {
    let (cluster, target) = (operation.text("cluster").to_owned(), operation.text("target").to_owned());
    let error = planned(ctx, "UpdateDone");
    settle(ctx, &cluster);
    if error.is_none() {
        ctx.adjust(&cluster, |o| {
            if let Some(version) = o.props.remove("next_version") {
                amend(o, |doc| {
                    doc.insert("currentMasterVersion".to_owned(), version);
                });
            }
        });
    }
    if target != cluster
        && let (Some(parent), Some(pool)) = (ctx.scope().live(&cluster).cloned(), ctx.scope().live(&target).cloned())
    {
        if error.is_none() {
            nodes::scale(ctx, &parent, &pool, nodepool::size(&pool));
            nodes::relabel(ctx, &parent, &pool);
        }
        ctx.change(&target, |o| "RUNNING".clone_into(&mut o.state));
    }
    ctx.end_work("update", &target);
    operation::finish(ctx, operation, error.as_ref());
}

fn settle(ctx: &mut Ctx<'_>, cluster: &str) {
    ctx.change(cluster, |o| {
        if o.state == "RECONCILING" {
            "RUNNING".clone_into(&mut o.state);
        }
    });
}
