//! The machines of node pools: instances in managed groups with their boot disks, their Kubernetes nodes, and the
//! firewall rules that GKE makes for a cluster.
//!
//! Rules: <https://cloud.google.com/kubernetes-engine/docs/concepts/firewall-rules>; labels of nodes:
//! <https://cloud.google.com/kubernetes-engine/docs/how-to/creating-managing-labels>.

use crate::{
    compute::{READY, checks::external_address, cidr::Range, collections, resource},
    kinds::GcpKind,
    names::{COMPUTE, amend, doc, doc_text, hash_of, labels, last, region_of, zones_of},
};
use cloudsim_core::{
    cluster::{NodeSpec, RuntimeCommand},
    ctx::Ctx,
    object::{Object, Owner, Tags},
};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashSet};

/// GKE's machine type when none is named.
pub(crate) const DEFAULT_MACHINE: &str = "e2-medium";

/// How the machines of a pool are called, without their last part: `gke-CLUSTER-POOL-HASH`. Both names are cut, so that the
/// hash, which is the pool's own, distinguishes pools whose names begin alike.
#[must_use]
pub(crate) fn base_name(cluster: &Object, pool: &str) -> String {
    let short = |text: &str| text.chars().take(20).collect::<String>().trim_end_matches('-').to_owned();
    let hash = hash_of(&format!("{}/{pool}", cluster.text("hash")));
    format!("gke-{}-{}-{hash}", short(last(&cluster.id)), short(pool))
}

/// Processors and MiB of a machine type: <https://cloud.google.com/compute/docs/general-purpose-machines>.
#[must_use]
pub(crate) fn capacity(machine: &str) -> (u32, u64) {
    let parts: Vec<&str> = machine.split('-').collect();
    match parts[..] {
        [_, "micro"] => (2, 1_024),
        [_, "small"] => (2, 2_048),
        [_, "medium"] => (2, 4_096),
        [.., "custom", cpus, mib] => (cpus.parse().unwrap_or(2), mib.parse().unwrap_or(8_192)),
        [_, family, cpus] => {
            let cpus: u32 = cpus.parse().unwrap_or(2);
            let gib = match family {
                "highmem" => 8,
                "highcpu" => 1,
                _ => 4,
            };
            (cpus, u64::from(cpus) * gib * 1_024)
        }
        _ => (2, 8_192),
    }
}

/// The live machines of a pool in a zone, by name.
fn machines(ctx: &mut Ctx<'_>, cluster: &Object, pool: &Object, zone: &str) -> Vec<Object> {
    let base = base_name(cluster, last(&pool.id));
    let start = format!("projects/{}/zones/{zone}/instances/{base}-", ctx.key.account);
    let all = ctx.scope().under(GcpKind::Instance, &start);
    all.filter(|o| o.text("pool") == pool.id).cloned().collect()
}

/// The live machines of a pool in all its region's zones.
fn all_machines(ctx: &mut Ctx<'_>, cluster: &Object, pool: &Object) -> Vec<Object> {
    let zones = zones_of(region_of(cluster.text("location")));
    zones.iter().flat_map(|zone| machines(ctx, cluster, pool, zone)).collect()
}

/// Starts or ends machines until there are `size` in each zone of the pool.
pub(crate) fn scale(ctx: &mut Ctx<'_>, cluster: &Object, pool: &Object, size: u64) {
    let zones = doc(pool, "/locations").and_then(Value::as_array).cloned().unwrap_or_default();
    let (mut started, mut ended) = (Vec::new(), Vec::new());
    for zone in zones.iter().filter_map(Value::as_str) {
        group(ctx, cluster, pool, zone, size);
        let present = machines(ctx, cluster, pool, zone);
        for _ in present.len() as u64..size {
            started.push(start(ctx, cluster, pool, zone));
        }
        ended.extend(present.into_iter().skip(usize::try_from(size).unwrap_or(usize::MAX)));
    }
    ended.extend(leave_zones(ctx, cluster, pool, &zones));
    end(ctx, cluster, &ended);
    if ctx.world.kubernetes_capacity.is_some() && !started.is_empty() {
        ctx.world.outbox.push(RuntimeCommand::AddNodes { arn: cluster.id.clone(), nodes: started });
    }
    let present = all_machines(ctx, cluster, pool).len();
    ctx.adjust(&pool.id, |o| o.set("nodes", present as u64));
}

/// Takes a pool out of the zones that it no longer has; gives its machines there.
fn leave_zones(ctx: &mut Ctx<'_>, cluster: &Object, pool: &Object, zones: &[Value]) -> Vec<Object> {
    let base = base_name(cluster, last(&pool.id));
    let links = zones.iter().filter_map(Value::as_str).map(|zone| {
        json!(format!("{COMPUTE}projects/{}/zones/{zone}/instanceGroupManagers/{base}-grp", ctx.key.account))
    });
    let links: Vec<Value> = links.collect();
    ctx.adjust(&pool.id, |o| {
        amend(o, |doc| {
            doc.insert("instanceGroupUrls".to_owned(), json!(links));
        });
    });
    let mut lost = Vec::new();
    for zone in zones_of(region_of(cluster.text("location"))) {
        if zones.iter().any(|z| *z == zone) {
            continue;
        }
        lost.extend(machines(ctx, cluster, pool, &zone));
        for collection in ["instanceGroupManagers", "instanceGroups"] {
            let id = format!("projects/{}/zones/{zone}/{collection}/{base}-grp", ctx.key.account);
            if ctx.scope().live(&id).is_some() {
                ctx.delete(&id);
            }
        }
    }
    lost
}

/// The managed group of a pool in a zone, and the group that it manages.
fn group(ctx: &mut Ctx<'_>, cluster: &Object, pool: &Object, zone: &str, size: u64) {
    let base = base_name(cluster, last(&pool.id));
    for collection in ["instanceGroupManagers", "instanceGroups"] {
        let id = format!("projects/{}/zones/{zone}/{collection}/{base}-grp", ctx.key.account);
        if ctx.scope().live(&id).is_none() {
            put(ctx, collection, &id, json!({ "name": format!("{base}-grp"), "baseInstanceName": base }), Tags::new());
            ctx.adjust(&id, |o| o.set("pool", pool.id.clone()));
        }
        let field = if collection == "instanceGroups" { "size" } else { "targetSize" };
        ctx.adjust(&id, |o| {
            amend(o, |doc| {
                doc.insert(field.to_owned(), json!(size));
            });
        });
    }
}

/// Puts a resource of Compute that GKE makes.
fn put(ctx: &mut Ctx<'_>, collection: &str, id: &str, doc: Value, labels: Tags) {
    let Some(collection) = collections::find(collection) else {
        return;
    };
    let doc = doc.as_object().cloned().unwrap_or_default();
    resource::create(ctx, resource::New { collection, id, doc, owner: Owner::Service, state: READY, labels });
}

fn start(ctx: &mut Ctx<'_>, cluster: &Object, pool: &Object, zone: &str) -> NodeSpec {
    let project = ctx.key.account.clone();
    let name = format!("{}-{}", base_name(cluster, last(&pool.id)), ctx.world.hex(4));
    let machine = doc_text(pool, "/config/machineType").to_owned();
    let address = node_address(ctx, cluster.text("subnetwork"));
    let mut tags = cluster.tags.clone();
    tags.extend(labels(doc(pool, "/config/resourceLabels")));
    tags.extend([
        ("goog-gke-node".to_owned(), String::new()),
        ("goog-k8s-cluster-name".to_owned(), last(&cluster.id).to_owned()),
        ("goog-k8s-cluster-location".to_owned(), cluster.text("location").to_owned()),
        ("goog-k8s-node-pool-name".to_owned(), last(&pool.id).to_owned()),
    ]);
    let disk = format!("projects/{project}/zones/{zone}/disks/{name}");
    let size = doc(pool, "/config/diskSizeGb").and_then(Value::as_u64).unwrap_or(100);
    let kind = doc_text(pool, "/config/diskType").to_owned();
    let link = |rest: String| format!("{COMPUTE}projects/{project}/zones/{zone}/{rest}");
    let disk_doc = json!({ "name": name, "sizeGb": size.to_string(), "status": "READY",
                           "type": link(format!("diskTypes/{kind}")) });
    put(ctx, "disks", &disk, disk_doc, tags.clone());
    let mut interface = json!({
        "network": format!("{COMPUTE}{}", cluster.text("network")),
        "subnetwork": format!("{COMPUTE}{}", cluster.text("subnetwork")),
        "networkIP": address,
        "name": "nic0",
    });
    if !is_private(cluster) {
        interface["accessConfigs"] = json!([{ "type": "ONE_TO_ONE_NAT", "natIP": external_address(ctx) }]);
    }
    let id = format!("projects/{project}/zones/{zone}/instances/{name}");
    let instance = json!({
        "name": name,
        "machineType": link(format!("machineTypes/{machine}")),
        "status": "RUNNING",
        "networkInterfaces": [interface],
        "disks": [{ "boot": true, "autoDelete": true, "source": format!("{COMPUTE}{disk}"), "deviceName": "persistent-disk-0" }],
        "tags": { "items": [format!("gke-{}-{}-node", last(&cluster.id), cluster.text("hash"))] },
    });
    put(ctx, "instances", &id, instance, tags);
    let cpu = capacity(&machine).0;
    ctx.adjust(&id, |o| {
        o.vpc = Some(cluster.text("network").to_owned());
        o.set("pool", pool.id.clone());
        o.set("address", address.clone());
        o.set("cpu", cpu);
    });
    node(&project, pool, &name, zone, &address)
}

/// Whether the nodes of a cluster have no external address.
#[must_use]
pub(crate) fn is_private(cluster: &Object) -> bool {
    cluster.props.get("doc").is_some_and(super::config::wants_private)
}

/// An address of the subnetwork that no machine has.
fn node_address(ctx: &mut Ctx<'_>, subnetwork: &str) -> String {
    let Some(range) = ctx.scope().live(subnetwork).and_then(|s| Range::parse(doc_text(s, "/ipCidrRange"))) else {
        return "10.128.0.2".to_owned();
    };
    let in_it = |o: &&Object| o.is_live() && o.texts("refs").any(|r| r == subnetwork);
    let machines = ctx.scope().of_kind(GcpKind::Instance).filter(in_it);
    let taken: HashSet<String> = machines.map(|o| o.text("address").to_owned()).collect();
    let _ = ctx.world.hex(1);
    // Two addresses at either end are Google's own: https://cloud.google.com/vpc/docs/subnets#unusable-ip-addresses-in-every-subnet
    let usable = range.size().saturating_sub(4).max(1);
    let start = u32::try_from(ctx.world.ids % u64::from(usable)).unwrap_or(0);
    let all = (0..usable).map(|n| range.address(2 + (start + n) % usable));
    all.into_iter().find(|address| !taken.contains(address)).unwrap_or_else(|| range.address(2))
}

/// The Kubernetes node of a machine, labelled as GKE labels it.
fn node(project: &str, pool: &Object, name: &str, zone: &str, address: &str) -> NodeSpec {
    let machine = doc_text(pool, "/config/machineType").to_owned();
    let region = region_of(zone).to_owned();
    let mut all: BTreeMap<String, String> = labels(doc(pool, "/config/labels"));
    for (key, value) in [
        ("cloud.google.com/gke-nodepool", last(&pool.id)),
        ("cloud.google.com/gke-boot-disk", doc_text(pool, "/config/diskType")),
        ("cloud.google.com/gke-container-runtime", "containerd"),
        ("cloud.google.com/gke-os-distribution", "cos"),
        ("cloud.google.com/machine-family", machine.split('-').next().unwrap_or_default()),
        ("topology.gke.io/zone", zone),
        ("topology.kubernetes.io/zone", zone),
        ("topology.kubernetes.io/region", &region),
        ("failure-domain.beta.kubernetes.io/zone", zone),
        ("failure-domain.beta.kubernetes.io/region", &region),
        ("node.kubernetes.io/instance-type", &machine),
        ("beta.kubernetes.io/instance-type", &machine),
        ("kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", "amd64"),
        ("kubernetes.io/hostname", name),
    ] {
        all.insert(key.to_owned(), value.to_owned());
    }
    if doc_text(pool, "/config/workloadMetadataConfig/mode") == "GKE_METADATA" {
        all.insert("iam.gke.io/gke-metadata-server-enabled".to_owned(), "true".to_owned());
    }
    let text = |t: &Value, key: &str| t[key].as_str().unwrap_or_default().to_owned();
    let taints = doc(pool, "/config/taints").and_then(Value::as_array).cloned().unwrap_or_default();
    let taints = taints.iter().map(|t| (text(t, "key"), text(t, "value"), effect(&text(t, "effect")))).collect();
    let (cpu, memory_mib) = capacity(&machine);
    NodeSpec {
        name: name.to_owned(),
        provider_id: format!("gce://{project}/{zone}/{name}"),
        labels: all,
        taints,
        cpu,
        memory_mib,
        address: address.to_owned(),
        instance_type: machine,
        zone: zone.to_owned(),
    }
}

/// `NO_SCHEDULE` → `NoSchedule`.
fn effect(effect: &str) -> String {
    match effect {
        "NO_EXECUTE" => "NoExecute",
        "PREFER_NO_SCHEDULE" => "PreferNoSchedule",
        _ => "NoSchedule",
    }
    .to_owned()
}

/// Brings labels and taints of the nodes that are there in line with the pool.
pub(crate) fn relabel(ctx: &mut Ctx<'_>, cluster: &Object, pool: &Object) {
    if ctx.world.kubernetes_capacity.is_none() {
        return;
    }
    let project = ctx.key.account.clone();
    let nodes: Vec<NodeSpec> = all_machines(ctx, cluster, pool)
        .iter()
        .map(|m| node(&project, pool, last(&m.id), m.text("location"), m.text("address")))
        .collect();
    if !nodes.is_empty() {
        ctx.world.outbox.push(RuntimeCommand::AddNodes { arn: cluster.id.clone(), nodes });
    }
}

/// Ends machines with their boot disks and nodes; other disks come loose.
fn end(ctx: &mut Ctx<'_>, cluster: &Object, machines: &[Object]) {
    let names: Vec<String> = machines.iter().map(|m| last(&m.id).to_owned()).collect();
    for machine in machines {
        ctx.delete(&machine.id);
        ctx.delete(&machine.id.replacen("/instances/", "/disks/", 1));
    }
    if ctx.world.kubernetes_capacity.is_some() && !names.is_empty() {
        ctx.world.outbox.push(RuntimeCommand::RemoveNodes { arn: cluster.id.clone(), names });
    }
}

/// Ends all machines of a pool, with its groups.
pub(crate) fn remove_all(ctx: &mut Ctx<'_>, cluster: &Object, pool: &Object) {
    let all = all_machines(ctx, cluster, pool);
    end(ctx, cluster, &all);
    let base = base_name(cluster, last(&pool.id));
    let project = ctx.key.account.clone();
    let groups = zones_of(region_of(cluster.text("location"))).into_iter().flat_map(|zone| {
        ["instanceGroupManagers", "instanceGroups"].map(|c| format!("projects/{project}/zones/{zone}/{c}/{base}-grp"))
    });
    for group in groups {
        ctx.delete(&group);
    }
}

fn rules(cluster: &Object) -> Vec<String> {
    let base = format!("gke-{}-{}", last(&cluster.id).chars().take(40).collect::<String>(), cluster.text("hash"));
    ["all", "vms", "inkubelet", "exkubelet"].iter().map(|r| format!("{base}-{r}")).collect()
}

/// Makes the firewall rules of a cluster.
pub(crate) fn open_firewall(ctx: &mut Ctx<'_>, cluster: &Object) {
    let project = ctx.key.account.clone();
    let node_tag = format!("gke-{}-{}-node", last(&cluster.id), cluster.text("hash"));
    for name in rules(cluster) {
        let mut doc: Map<String, Value> = Map::new();
        doc.insert("name".to_owned(), json!(name));
        doc.insert("network".to_owned(), json!(format!("{COMPUTE}{}", cluster.text("network"))));
        doc.insert("direction".to_owned(), json!("INGRESS"));
        doc.insert("priority".to_owned(), json!(1000));
        doc.insert("targetTags".to_owned(), json!([node_tag]));
        doc.insert("sourceRanges".to_owned(), json!([doc_text(cluster, "/clusterIpv4Cidr")]));
        doc.insert("allowed".to_owned(), json!([{ "IPProtocol": "tcp" }, { "IPProtocol": "udp" }]));
        put(ctx, "firewalls", &format!("projects/{project}/global/firewalls/{name}"), Value::Object(doc), Tags::new());
    }
}

/// Removes the firewall rules of a cluster.
pub(crate) fn close_firewall(ctx: &mut Ctx<'_>, cluster: &Object) {
    let project = ctx.key.account.clone();
    for name in rules(cluster) {
        ctx.delete(&format!("projects/{project}/global/firewalls/{name}"));
    }
}
