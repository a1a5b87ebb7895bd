//! Node pools: creating, deleting, resizing, labels and taints.
//!
//! <https://cloud.google.com/kubernetes-engine/docs/reference/rest/v1/projects.locations.clusters.nodePools>. Labels and
//! taints change on the nodes that are there
//! (<https://cloud.google.com/kubernetes-engine/docs/how-to/update-existing-nodepools>).

use super::{
    changeable, cluster_id, config::lay_over, enums, existing as existing_cluster, nodes, operation, pools,
    room::check_room, spoken, versions,
};
use crate::{
    durations,
    error::{exists, invalid, not_found},
    kinds::GcpKind,
    names::{COMPUTE, CONTAINER, amend, doc, doc_text, document, is_name, labels, region_of},
};
use cloudsim_core::{
    call::{Call, Result},
    ctx::Ctx,
    duration::Span,
    object::Object,
};
use serde_json::{Value, json};

/// The pool that a call is about.
///
/// # Errors
/// notFound: of the cluster, or of the pool.
pub(crate) fn existing(ctx: &mut Ctx<'_>, call: &Call) -> Result<Object> {
    existing_cluster(ctx, call)?;
    let id = format!("{}/nodePools/{}", cluster_id(call), call.var(3));
    let found = ctx.seen(&id).filter(Object::is_live);
    found.ok_or_else(|| not_found(format!("nodePool \"{id}\" not found")))
}

/// The document of a pool as it is shown now.
#[must_use]
pub(crate) fn render(object: &Object) -> Value {
    let mut doc = document(object);
    doc.insert("status".to_owned(), json!(object.state));
    Value::Object(doc)
}

/// Nodes of a pool in each zone.
#[must_use]
pub(crate) fn size(pool: &Object) -> u64 {
    pool.props.get("size").and_then(Value::as_u64).unwrap_or(0)
}

/// Processors of one node of a pool.
#[must_use]
pub(crate) fn cpus(pool: &Value) -> u64 {
    u64::from(nodes::capacity(pool["config"]["machineType"].as_str().unwrap_or(nodes::DEFAULT_MACHINE)).0)
}

/// Nodes that a pool is to begin with in each zone.
#[must_use]
pub(crate) fn initial(pool: &Value) -> u64 {
    pool["initialNodeCount"].as_u64().unwrap_or(0)
}

/// Puts a new pool of a cluster, without nodes yet.
///
/// # Errors
/// A bad name or version, or a name that is taken.
pub(crate) fn put(ctx: &mut Ctx<'_>, cluster: &Object, request: &Value, version: &str) -> Result<Object> {
    let name = request["name"].as_str().unwrap_or_default();
    if !is_name(name, 40) {
        return Err(invalid(format!("Invalid value for field \"node_pool.name\": \"{name}\".")));
    }
    let id = format!("{}/nodePools/{name}", cluster.id);
    if ctx.scope().live(&id).is_some() {
        return Err(exists(format!("Already exists: {}.", spoken(&id))));
    }
    let mut doc = json!({
        "config": {
            "diskSizeGb": 100,
            "diskType": "pd-balanced",
            "imageType": "COS_CONTAINERD",
            "machineType": nodes::DEFAULT_MACHINE,
            "metadata": { "disable-legacy-endpoints": "true" },
            "oauthScopes": ["https://www.googleapis.com/auth/devstorage.read_only",
                "https://www.googleapis.com/auth/logging.write", "https://www.googleapis.com/auth/monitoring"],
            "resourceLabels": { "goog-gke-node-pool-provisioning-model": "on-demand" },
            "serviceAccount": "default",
            "shieldedInstanceConfig": { "enableIntegrityMonitoring": true },
        },
        "locations": doc(cluster, "/locations"),
        "management": { "autoRepair": true, "autoUpgrade": true },
        "maxPodsConstraint": { "maxPodsPerNode": "110" },
        "name": name,
        "networkConfig": { "subnetwork": cluster.text("subnetwork") },
        "podIpv4CidrSize": 24,
        "selfLink": format!("{CONTAINER}{}", spoken(&id)),
        "upgradeSettings": { "maxSurge": 1, "strategy": "SURGE" },
        "version": version,
    });
    lay_over(&mut doc, request, &["status", "selfLink", "name", "version", "instanceGroupUrls"]);
    let zones = doc["locations"].as_array().cloned().unwrap_or_default();
    let group = nodes::base_name(cluster, name);
    let project = ctx.key.account.clone();
    let urls: Vec<String> = zones
        .iter()
        .filter_map(Value::as_str)
        .map(|z| format!("{COMPUTE}projects/{project}/zones/{z}/instanceGroupManagers/{group}-grp"))
        .collect();
    doc["instanceGroupUrls"] = json!(urls);
    let mut object = Object::new(GcpKind::NodePool, &id, format!("//container.googleapis.com/{id}"), ctx.now);
    object.name = Some(name.to_owned());
    "PROVISIONING".clone_into(&mut object.state);
    object.tags = labels(doc.pointer("/config/resourceLabels"));
    let object = object
        .with("doc", doc)
        .with("cluster", cluster.id.clone())
        .with("location", cluster.text("location"))
        .with("size", initial(request));
    ctx.create(object.clone());
    Ok(object)
}

/// Begins to create a pool.
///
/// # Errors
/// Not found, busy, bad values, quota.
pub(crate) fn create(ctx: &mut Ctx<'_>, call: &Call) -> Result<Value> {
    let cluster = changeable(ctx, call)?;
    let mut request = call.json.get("nodePool").cloned().unwrap_or_default();
    enums::by_name(&mut request);
    if initial(&request) == 0 && request["autoscaling"]["enabled"] == json!(true) {
        // GKE begins an autoscaled pool without a count at its minimum, as recorded.
        let least = request["autoscaling"]["minNodeCount"].as_u64().unwrap_or(1);
        request["initialNodeCount"] = json!(least);
    }
    let present = pools(ctx, &cluster.id).len() as u64;
    if let Err(limit) = ctx.within_quota("gke-node-pools-per-cluster", present) {
        return Err(invalid(format!("Cluster has {present} node pools, the maximum is {limit}.")));
    }
    let zones = request["locations"].as_array().map(Vec::len);
    let zones = zones.or(doc(&cluster, "/locations").and_then(Value::as_array).map(Vec::len)).unwrap_or(1);
    let nodes = initial(&request) * zones as u64;
    let private = nodes::is_private(&cluster);
    check_room(ctx, region_of(cluster.text("location")), nodes, cpus(&request), private)?;
    let master = doc_text(&cluster, "/currentMasterVersion").to_owned();
    let version = match request["version"].as_str().unwrap_or_default() {
        "" | "-" => master.clone(),
        wanted => versions::resolve(wanted)?.to_owned(),
    };
    if versions::minor(&version) > versions::minor(&master) {
        return Err(invalid(format!("Node version \"{version}\" must not be newer than the master's \"{master}\".")));
    }
    let pool = put(ctx, &cluster, &request, &version)?;
    Ok(begin(ctx, call, &cluster, &pool.id, ("create", "CREATE_NODE_POOL"), durations::NODE_POOL_CREATE))
}

/// Begins work on a pool; the cluster is RECONCILING meanwhile.
fn begin(
    ctx: &mut Ctx<'_>,
    call: &Call,
    cluster: &Object,
    pool: &str,
    (work, kind): (&str, &str),
    span: Span,
) -> Value {
    ctx.adjust(&cluster.id, |o| "RECONCILING".clone_into(&mut o.state));
    let name = if work == "update" { format!("{pool}/{}", call.request_id) } else { pool.to_owned() };
    let ms = ctx.draw(span, &name);
    ctx.begin_work(work, pool, ms);
    operation::begin(ctx, call, &cluster.id, pool, kind, ms)
}

/// Begins to delete a pool.
///
/// # Errors
/// Not found, busy.
pub(crate) fn delete(ctx: &mut Ctx<'_>, call: &Call) -> Result<Value> {
    let pool = existing(ctx, call)?;
    let cluster = changeable(ctx, call)?;
    ctx.change(&pool.id, |o| "STOPPING".clone_into(&mut o.state));
    Ok(begin(ctx, call, &cluster, &pool.id, ("delete", "DELETE_NODE_POOL"), durations::NODE_POOL_DELETE))
}

/// UpdateNodePool: labels, taints, resource labels, version and other settings of the configuration.
///
/// # Errors
/// Not found, busy, bad values.
pub(crate) fn update(ctx: &mut Ctx<'_>, call: &Call) -> Result<Value> {
    let pool = existing(ctx, call)?;
    let cluster = changeable(ctx, call)?;
    let mut request = call.json.clone();
    enums::by_name(&mut request);
    let version = match request["nodeVersion"].as_str().unwrap_or_default() {
        "" => None,
        "-" => Some(doc_text(&cluster, "/currentMasterVersion").to_owned()),
        wanted => Some(versions::resolve(wanted)?.to_owned()),
    };
    let kind = if version.is_some() { "UPGRADE_NODES" } else { "" };
    let span = if version.is_some() { durations::NODE_POOL_CREATE } else { durations::NODE_POOL_UPDATE };
    ctx.change(&pool.id, |o| {
        "RECONCILING".clone_into(&mut o.state);
        if let Some(given) = request.pointer("/resourceLabels/labels") {
            o.tags = labels(Some(given));
        }
        amend(o, |doc| apply(doc, &request, version));
    });
    Ok(begin(ctx, call, &cluster, &pool.id, ("update", kind), span))
}

fn apply(doc: &mut serde_json::Map<String, Value>, request: &Value, version: Option<String>) {
    if let Some(version) = version {
        doc.insert("version".to_owned(), json!(version));
    }
    for key in ["locations", "upgradeSettings"] {
        if let Some(value) = request.get(key).filter(|v| !v.is_null()) {
            doc.insert(key.to_owned(), value.clone());
        }
    }
    let Some(config) = doc.get_mut("config").and_then(Value::as_object_mut) else {
        return;
    };
    // Each of these replaces what was there; wrapped ones say so even when they are empty.
    for (key, pointer) in [
        ("labels", "/labels/labels"),
        ("taints", "/taints/taints"),
        ("resourceLabels", "/resourceLabels/labels"),
        ("tags", "/tags/tags"),
    ] {
        if request.get(key).is_some_and(|v| !v.is_null()) {
            config.insert(key.to_owned(), request.pointer(pointer).cloned().unwrap_or(Value::Null));
        }
    }
    for key in ["machineType", "diskType", "diskSizeGb", "imageType", "workloadMetadataConfig"] {
        let reported = |v: &&Value| !v.is_null() && ![json!(""), json!("0"), json!(0)].contains(v);
        if let Some(value) = request.get(key).filter(reported) {
            config.insert(key.to_owned(), value.clone());
        }
    }
    config.retain(|_, v| !v.is_null());
}

/// SetNodePoolSize, SetNodePoolAutoscaling, SetNodePoolManagement.
///
/// # Errors
/// Not found, busy, quota.
pub(crate) fn set(ctx: &mut Ctx<'_>, call: &Call) -> Result<Value> {
    let pool = existing(ctx, call)?;
    let cluster = changeable(ctx, call)?;
    if call.action == "SetNodePoolSize" {
        let wanted = call.json["nodeCount"].as_u64().unwrap_or(0);
        let zones = doc(&pool, "/locations").and_then(Value::as_array).map_or(1, Vec::len) as u64;
        let more = wanted.saturating_sub(size(&pool)) * zones;
        let private = nodes::is_private(&cluster);
        check_room(ctx, region_of(cluster.text("location")), more, cpus(&render(&pool)), private)?;
        ctx.change(&pool.id, |o| {
            "RECONCILING".clone_into(&mut o.state);
            o.set("size", wanted);
        });
        let work = ("update", "SET_NODE_POOL_SIZE");
        return Ok(begin(ctx, call, &cluster, &pool.id, work, durations::NODE_POOL_RESIZE));
    }
    let (key, kind) = match call.action.as_str() {
        "SetNodePoolManagement" => ("management", "SET_NODE_POOL_MANAGEMENT"),
        _ => ("autoscaling", "UPDATE_CLUSTER"),
    };
    let value = call.json.get(key).cloned().unwrap_or_default();
    ctx.change(&pool.id, |o| {
        amend(o, |doc| {
            doc.insert(key.to_owned(), value);
        });
    });
    Ok(begin(ctx, call, &cluster, &pool.id, ("update", kind), durations::NODE_POOL_UPDATE))
}
