//! GKE: clusters, node pools and their operations.
//!
//! <https://cloud.google.com/kubernetes-engine/docs/reference/rest/v1>. Each object keeps its API document in the property
//! `doc`; status and labels are the object's. One change at a time per cluster: another is refused with
//! `FAILED_PRECONDITION` ("Cluster is running incompatible operation …").

pub(crate) mod cluster;
pub(crate) mod config;
pub(crate) mod enums;
pub(crate) mod lifecycle;
pub(crate) mod nodepool;
pub(crate) mod nodes;
pub(crate) mod operation;
pub(crate) mod room;
pub(crate) mod update;
pub(crate) mod versions;

use super::{
    error::{error_info, not_found, precondition},
    kinds::GcpKind,
    names::{document, is_zone, label_fingerprint},
};
use cloudsim_core::{
    call::{Call, Reply, Result},
    ctx::Ctx,
    object::Object,
};
use serde_json::{Map, Value, json};

/// Handles a call.
///
/// # Errors
/// As GKE words them.
pub(crate) fn handle(ctx: &mut Ctx<'_>, call: &Call) -> Result<Reply> {
    let body = match call.action.as_str() {
        "CreateCluster" => cluster::create(ctx, call)?,
        "ListClusters" => list(ctx, call),
        "GetCluster" => {
            let object = existing(ctx, call)?;
            render(ctx, &object)
        }
        "DeleteCluster" => cluster::delete(ctx, call)?,
        "UpdateCluster" | "UpdateMaster" => update::cluster(ctx, call)?,
        "SetLabels" => update::set_labels(ctx, call)?,
        "GetServerConfig" => versions::server_config(),
        "ListOperations" | "GetOperation" => operation::handle(ctx, call)?,
        "CreateNodePool" => nodepool::create(ctx, call)?,
        "ListNodePools" => {
            let object = existing(ctx, call)?;
            let all = pools(ctx, &object.id).iter().map(nodepool::render).collect::<Vec<_>>();
            if all.is_empty() { json!({}) } else { json!({ "nodePools": all }) }
        }
        "GetNodePool" => nodepool::render(&nodepool::existing(ctx, call)?),
        "DeleteNodePool" => nodepool::delete(ctx, call)?,
        "UpdateNodePool" => nodepool::update(ctx, call)?,
        _ => nodepool::set(ctx, call)?,
    };
    Ok(Reply::Json(200, body))
}

/// The id of the cluster that a call is about.
#[must_use]
pub(crate) fn cluster_id(call: &Call) -> String {
    format!("projects/{}/locations/{}/clusters/{}", call.var(0), call.var(1), call.var(2))
}

/// An id as GKE's errors and links write it: zones have their own word.
#[must_use]
pub(crate) fn spoken(id: &str) -> String {
    let location = id.split('/').nth(3).unwrap_or_default();
    if is_zone(location) { id.replacen("/locations/", "/zones/", 1) } else { id.to_owned() }
}

/// The cluster that a call is about, if the call sees it.
///
/// # Errors
/// notFound.
pub(crate) fn existing(ctx: &mut Ctx<'_>, call: &Call) -> Result<Object> {
    let id = cluster_id(call);
    let found = ctx.seen(&id).filter(|o| o.is_live() && o.kind == GcpKind::Cluster);
    found.ok_or_else(|| not_found(format!("Not found: {}.", spoken(&id))))
}

/// The cluster that a call is to change.
///
/// # Errors
/// notFound, or failedPrecondition while an operation runs or it never came to run.
pub(crate) fn changeable(ctx: &mut Ctx<'_>, call: &Call) -> Result<Object> {
    let object = existing(ctx, call)?;
    idle(&object)?;
    if object.state == "ERROR" {
        return Err(precondition(format!("Cluster {} is in ERROR state.", call.var(2))));
    }
    Ok(object)
}

/// Refuses while an operation runs on the cluster.
///
/// # Errors
/// failedPrecondition.
pub(crate) fn idle(cluster: &Object) -> Result<()> {
    let running = cluster.text("operation");
    if running.is_empty() {
        return Ok(());
    }
    let name = super::names::last(running);
    let message = format!("Cluster is running incompatible operation {name}.");
    let mut details = error_info("CLUSTER_ALREADY_HAS_OPERATION", "container", json!({ "operation": name }));
    details[0]["domain"] = json!("container.googleapis.com");
    Err(precondition(message).field("details", details))
}

/// The node pools of a cluster in order of name.
pub(crate) fn pools(ctx: &mut Ctx<'_>, cluster: &str) -> Vec<Object> {
    let start = format!("{cluster}/nodePools/");
    ctx.scope().under(GcpKind::NodePool, &start).cloned().collect()
}

/// The document of a cluster as it is shown now.
pub(crate) fn render(ctx: &mut Ctx<'_>, object: &Object) -> Value {
    let mut doc = document(object);
    let pools = pools(ctx, &object.id);
    let nodes: u64 = pools.iter().map(|p| p.props.get("nodes").and_then(Value::as_u64).unwrap_or(0)).sum();
    insert(&mut doc, "status", json!(object.state));
    insert(&mut doc, "labelFingerprint", json!(label_fingerprint(&object.tags)));
    if !object.tags.is_empty() {
        insert(&mut doc, "resourceLabels", json!(object.tags));
    }
    if nodes > 0 {
        insert(&mut doc, "currentNodeCount", json!(nodes));
    }
    let shown: Vec<Value> = pools.iter().map(nodepool::render).collect();
    let groups: Vec<Value> =
        shown.iter().flat_map(|p| p["instanceGroupUrls"].as_array().cloned().unwrap_or_default()).collect();
    if !shown.is_empty() {
        insert(&mut doc, "nodePools", json!(shown));
        insert(&mut doc, "instanceGroupUrls", json!(groups));
    }
    let etag = super::names::fingerprint(&json!(doc).to_string());
    insert(&mut doc, "etag", json!(etag));
    Value::Object(doc)
}

fn insert(doc: &mut Map<String, Value>, key: &str, value: Value) {
    doc.insert(key.to_owned(), value);
}

/// All clusters of a location, `-` for all.
fn list(ctx: &mut Ctx<'_>, call: &Call) -> Value {
    let start = match call.var(1) {
        "-" => format!("projects/{}/locations/", call.var(0)),
        location => format!("projects/{}/locations/{location}/", call.var(0)),
    };
    let horizon = ctx.horizon;
    let all: Vec<Object> = ctx
        .scope()
        .under(GcpKind::Cluster, &start)
        .filter(|o| horizon.is_none_or(|h| o.created_us <= h))
        .cloned()
        .collect();
    let shown: Vec<Value> = all.iter().map(|o| render(ctx, o)).collect();
    if shown.is_empty() { json!({}) } else { json!({ "clusters": shown }) }
}
