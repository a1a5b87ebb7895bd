//! Creating and deleting clusters.
//!
//! <https://cloud.google.com/kubernetes-engine/docs/reference/rest/v1/projects.locations.clusters/create>. A regional
//! cluster has its nodes in three zones, `initialNodeCount` in each
//! (<https://cloud.google.com/kubernetes-engine/docs/concepts/regional-clusters>). Deleting a cluster deletes its node
//! pools; load balancers and disks that its controllers made stay
//! (<https://cloud.google.com/kubernetes-engine/docs/reference/rest/v1/projects.locations.clusters/delete>).

use super::{
    cluster_id,
    config::{self, Place},
    enums, existing, idle, nodepool, operation,
    room::check_room,
    spoken, versions,
};
use crate::{
    compute::{self, cidr::Range, places},
    durations,
    error::{exists, invalid},
    kinds::GcpKind,
    names::{bad_label, document, is_name, is_zone, labels, region_of, relative, zones_of},
};
use cloudsim_core::{
    call::{ApiError, Call, Result},
    cluster::{ClusterSpec, RuntimeCommand},
    ctx::Ctx,
    object::Object,
};
use serde_json::{Value, json};

/// Marks a cluster that this machine cannot carry.
pub(crate) const NO_ROOM: &str = "no_room";

/// Begins to create a cluster.
///
/// # Errors
/// Name taken, bad values, network not there, quota. A lack of room shows when the operation ends.
pub(crate) fn create(ctx: &mut Ctx<'_>, call: &Call) -> Result<Value> {
    let mut request = call.json.get("cluster").cloned().unwrap_or_default();
    enums::by_name(&mut request);
    let name = request["name"].as_str().unwrap_or_default().to_owned();
    if !is_name(&name, 40) {
        return Err(invalid(format!(
            "Invalid value for field \"cluster.name\": \"{name}\". Must be a match of regex '(?:[a-z](?:[-a-z0-9]{{0,38}}[a-z0-9])?)'."
        )));
    }
    let id = format!("{}{name}", cluster_id(call));
    if ctx.scope().live(&id).is_some() {
        return Err(exists(format!("Already exists: {}.", spoken(&id))));
    }
    let tags = labels(request.get("resourceLabels"));
    if let Some(bad) = bad_label(&tags) {
        return Err(invalid(format!("Invalid field 'cluster.resource_labels': label {bad:?} is not valid.")));
    }
    let version = versions::resolve(request["initialClusterVersion"].as_str().unwrap_or_default())?;
    let pool = request.pointer("/workloadIdentityConfig/workloadPool").and_then(Value::as_str).unwrap_or_default();
    let own = format!("{}.svc.id.goog", call.var(0));
    if !pool.is_empty() && pool != own {
        return Err(invalid(format!(
            "Currently, the only supported value for cluster.workloadIdentityConfig.workloadPool is \"{own}\"."
        )));
    }
    let place = place(ctx, call, &request)?;
    let pools = first_pools(&request)?;
    limits(ctx, call, &request, &place, &pools)?;
    let folder = format!("{}-{name}", ctx.world.hex(10));
    let doc = config::describe(ctx, call, &id, &request, version, &place);
    let mut object = Object::new(GcpKind::Cluster, &id, format!("//container.googleapis.com/{id}"), ctx.now);
    object.name = Some(name.clone());
    "PROVISIONING".clone_into(&mut object.state);
    object.tags = tags;
    object.vpc = Some(place.network.clone());
    let object = object
        .with("doc", doc)
        .with("folder", folder.clone())
        .with("location", call.var(1))
        // What it uses cannot be deleted.
        .with("refs", json!([place.network, place.subnetwork]))
        .with("network", place.network)
        .with("subnetwork", place.subnetwork)
        .with("hash", ctx.world.hex(8));
    ctx.create(object.clone());
    for pool in pools {
        nodepool::put(ctx, &object, &pool, version)?;
    }
    let capacity = ctx.world.kubernetes_capacity;
    if capacity.is_some_and(|capacity| ctx.world.clusters() > capacity as u64) {
        // No room on this machine: as a zone without machines, the order is taken and fails late.
        ctx.adjust(&id, |o| o.set(NO_ROOM, true));
    } else if ctx.world.kubernetes_capacity.is_some() {
        let spec = ClusterSpec { arn: id.clone(), name, version: version.to_owned(), folder };
        ctx.world.outbox.push(RuntimeCommand::Start(spec));
    }
    let ms = ctx.draw(durations::CLUSTER_CREATE, &id);
    ctx.begin_work("create", &id, ms);
    Ok(operation::begin(ctx, call, &id, &id, "CREATE_CLUSTER", ms))
}

/// The pools that a cluster is to begin with.
fn first_pools(request: &Value) -> Result<Vec<Value>> {
    let given = request["nodePools"].as_array().cloned().unwrap_or_default();
    let count = request["initialNodeCount"].as_u64().unwrap_or(0);
    match (given.is_empty(), count) {
        (false, 0) => Ok(given),
        (false, _) => Err(invalid("Cluster.initial_node_count and Cluster.node_pools cannot be set at the same time.")),
        (true, 0) => Err(invalid("Cluster.initial_node_count must be greater than zero.")),
        (true, count) => {
            let config = request.get("nodeConfig").cloned().unwrap_or_else(|| json!({}));
            Ok(vec![json!({ "name": "default-pool", "initialNodeCount": count, "config": config })])
        }
    }
}

/// Checks location, network, subnetwork and ranges.
fn place(ctx: &mut Ctx<'_>, call: &Call, request: &Value) -> Result<Place> {
    let (project, location) = (call.var(0), call.var(1));
    let scope = if is_zone(location) { "zones" } else { "regions" };
    places::check(&format!("{scope}/{location}"))
        .map_err(|_| invalid(format!("Location \"{location}\" does not exist.")))?;
    let region = region_of(location);
    let long = |given: &str, collection: &str, default: &str| match given {
        "" => format!("projects/{project}/{collection}/{default}"),
        name if name.contains('/') => relative(name, project),
        name => format!("projects/{project}/{collection}/{name}"),
    };
    let text = |key: &str| request[key].as_str().unwrap_or_default();
    let network = long(text("network"), "global/networks", "default");
    let subnetwork = long(text("subnetwork"), &format!("regions/{region}/subnetworks"), "default");
    let ready = |ctx: &mut Ctx<'_>, id: &str| ctx.seen(id).filter(|o| o.is_live() && o.state == compute::READY);
    if ready(ctx, &network).is_none() {
        return Err(invalid(format!("Network \"{}\" does not exist.", crate::names::last(&network))));
    }
    let subnet = ready(ctx, &subnetwork).filter(|s| s.vpc.as_deref() == Some(network.as_str()));
    let subnet = subnet.ok_or_else(|| {
        let name = crate::names::last(&subnetwork);
        invalid(format!("Subnetwork \"{name}\" does not exist in network \"{network}\"."))
    })?;
    ranges(request, &subnet)?;
    let given = request["locations"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut zones: Vec<String> = given.map(str::to_owned).collect();
    if zones.is_empty() {
        zones = if is_zone(location) { vec![location.to_owned()] } else { zones_of(region) };
    }
    if let Some(zone) = zones.iter().find(|z| region_of(z) != region) {
        return Err(invalid(format!("Location \"{zone}\" is not in region \"{region}\".")));
    }
    Ok(Place { network, subnetwork, zones })
}

/// Demands the secondary ranges that the cluster names, and ranges that are ones.
fn ranges(request: &Value, subnet: &Object) -> Result<()> {
    let policy = &request["ipAllocationPolicy"];
    let doc = document(subnet);
    let present: Vec<&str> = doc
        .get("secondaryIpRanges")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|r| r["rangeName"].as_str())
        .collect();
    for (key, word) in [("clusterSecondaryRangeName", "Pod"), ("servicesSecondaryRangeName", "Services")] {
        let name = policy[key].as_str().unwrap_or_default();
        if !name.is_empty() && !present.contains(&name) {
            return Err(invalid(format!(
                "{word} secondary range \"{name}\" does not exist in subnetwork \"{}\".",
                crate::names::last(&subnet.id)
            )));
        }
    }
    let master = request["privateClusterConfig"]["masterIpv4CidrBlock"].as_str().unwrap_or_default();
    if !master.is_empty() && Range::parse(master).is_none_or(|r| r.size() != 16) {
        return Err(invalid(format!("Invalid master ipv4 cidr block {master:?}: it must be a /28.")));
    }
    Ok(())
}

/// Quotas.
fn limits(ctx: &mut Ctx<'_>, call: &Call, request: &Value, place: &Place, pools: &[Value]) -> Result<()> {
    let region = region_of(call.var(1)).to_owned();
    let start = format!("projects/{}/locations/{region}", call.var(0));
    let here = |id: &&String| region_of(id.split('/').nth(3).unwrap_or_default()) == region;
    let present = ctx.scope().ids_under(GcpKind::Cluster, &start).filter(here).count() as u64;
    if let Err(limit) = ctx.within_quota("gke-clusters-per-region", present) {
        let message = format!("Exceeded maximum number of clusters in region {region} ({limit}).");
        return Err(ApiError::new("RESOURCE_EXHAUSTED", message).status(429));
    }
    let zones = place.zones.len() as u64;
    let nodes: u64 = pools.iter().map(|p| nodepool::initial(p) * zones).sum();
    let cpus = pools.iter().map(nodepool::cpus).max().unwrap_or(0);
    check_room(ctx, &region, nodes, cpus, config::wants_private(request))?;
    Ok(())
}

/// Begins to delete a cluster with its node pools.
///
/// # Errors
/// Not found, busy, protected.
pub(crate) fn delete(ctx: &mut Ctx<'_>, call: &Call) -> Result<Value> {
    let object = existing(ctx, call)?;
    idle(&object)?;
    let id = object.id.clone();
    ctx.change(&id, |o| "STOPPING".clone_into(&mut o.state));
    for pool in super::pools(ctx, &id) {
        ctx.adjust(&pool.id, |o| "STOPPING".clone_into(&mut o.state));
    }
    let ms = ctx.draw(durations::CLUSTER_DELETE, &id);
    ctx.begin_work("delete", &id, ms);
    Ok(operation::begin(ctx, call, &id, &id, "DELETE_CLUSTER", ms))
}
