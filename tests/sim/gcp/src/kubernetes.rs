//! What the controllers of a cluster make in the project: load balancers for Services, disks for claims.
//!
//! Names and descriptions are those of the cloud controller manager
//! (<https://github.com/kubernetes/cloud-provider-gcp/tree/master/providers/gce>: forwarding rule, target pool and address
//! `a` + the Service's uid, firewall rules `k8s-fw-…`) and of the PD CSI driver
//! (<https://github.com/kubernetes-sigs/gcp-compute-persistent-disk-csi-driver>: disks `pvc-…`). All of it stays when
//! the cluster is deleted first, as the API's page says
//! (<https://cloud.google.com/kubernetes-engine/docs/reference/rest/v1/projects.locations.clusters/delete>); GKE may try to
//! remove some of it (<https://cloud.google.com/kubernetes-engine/docs/how-to/deleting-a-cluster>), here it never does.
//! The address is kept for as long as the load balancer, where the real controller releases it once the rule holds it.

use super::{
    compute::{
        READY,
        checks::{address_free, external_address},
        collections, resource,
    },
    durations,
    kinds::GcpKind,
    location::place,
    names::{COMPUTE, amend, doc_text, last, region_of, scope_of},
};
use crate::cloud::Gcp;
use cloudsim_core::{
    cluster::{RecordSeen, ServiceSeen, StorageClassSeen, VolumeSeen},
    ctx::Ctx,
    in_cluster::InCluster,
    object::{Object, Owner, Tags},
    scope::Scope,
};
use serde_json::{Value, json};

/// Annotations by which a Service requests an internal load balancer.
const INTERNAL: [(&str, &str); 4] = [
    ("networking.gke.io/load-balancer-type", "Internal"),
    ("networking.gke.io/load-balancer-type", "internal"),
    ("cloud.google.com/load-balancer-type", "Internal"),
    ("cloud.google.com/load-balancer-type", "internal"),
];

impl InCluster for Gcp {
    /// The classes of a new cluster: <https://cloud.google.com/kubernetes-engine/docs/concepts/persistent-volumes#storageclasses>.
    fn storage_classes(&self) -> Vec<StorageClassSeen> {
        let class = |name, parameters| StorageClassSeen {
            name,
            provisioner: DRIVER,
            parameters,
            is_default: false,
            expandable: true,
        };
        vec![
            StorageClassSeen { is_default: true, ..class("standard-rwo", &[("type", "pd-balanced")]) },
            class("premium-rwo", &[("type", "pd-ssd")]),
            StorageClassSeen { provisioner: "kubernetes.io/gce-pd", ..class("standard", &[("type", "pd-standard")]) },
        ]
    }

    fn records(&self, scope: &Scope) -> Vec<RecordSeen> {
        scope.of_kind(GcpKind::ManagedZone).filter(|zone| zone.is_live()).flat_map(crate::dns::served).collect()
    }

    fn internal_annotations(&self) -> &'static [(&'static str, &'static str)] {
        &INTERNAL
    }

    /// Makes the load balancer of a Service; gives its address once it is active.
    fn ensure_load_balancer(&self, ctx: &mut Ctx<'_>, cluster: &Object, service: &ServiceSeen) -> Option<String> {
        let region = region_of(cluster.text("location")).to_owned();
        let name = balancer_name(&service.uid);
        let rule = format!("projects/{}/regions/{region}/forwardingRules/{name}", ctx.key.account);
        if let Some(present) = ctx.scope().live(&rule).cloned() {
            let active = present.props.get("active_us").and_then(Value::as_i64).unwrap_or(0);
            return (ctx.now >= active).then(|| doc_text(&present, "/IPAddress").to_owned());
        }
        if !service.internal
            && let Err(error) = address_free(ctx, &region)
        {
            ctx.remark(format!("no load balancer for {}/{}: {error}", service.namespace, service.name));
            return None;
        }
        let ms = ctx.draw(durations::LOAD_BALANCER, &rule);
        make(ctx, cluster, service, &name, &region);
        let active = ctx.now + ctx.world.clock.wall_us(ms);
        ctx.adjust(&rule, |o| o.set("active_us", active));
        place(ctx, &region);
        None
    }

    /// Deletes the load balancer of a Service; true once nothing of it is left.
    fn delete_load_balancer(&self, ctx: &mut Ctx<'_>, cluster: &Object, uid: &str) -> bool {
        // Users first, then what they use.
        let order = [
            GcpKind::ForwardingRule,
            GcpKind::TargetPool,
            GcpKind::BackendService,
            GcpKind::NetworkEndpointGroup,
            GcpKind::Firewall,
            GcpKind::Address,
            GcpKind::HttpHealthCheck,
        ];
        let all = made(ctx, cluster, &order);
        let last_one = !all.iter().any(|o| !matches!(o.text("service_uid"), "") && o.text("service_uid") != uid);
        for object in &all {
            let shared = object.text("service_uid").is_empty();
            if object.text("service_uid") == uid || (shared && last_one) {
                ctx.delete(&object.id);
            }
        }
        place(ctx, region_of(cluster.text("location")));
        true
    }

    /// Makes the disk of a claim and attaches it to a node of its zone.
    fn ensure_volume(&self, ctx: &mut Ctx<'_>, cluster: &Object, volume: &VolumeSeen) -> Option<String> {
        let first = super::names::doc(cluster, "/locations").and_then(|l| l[0].as_str().map(str::to_owned));
        let zone = volume.zone.clone().or(first)?;
        let project = ctx.key.account.clone();
        let id = format!("projects/{project}/zones/{zone}/disks/{}", volume.volume);
        if ctx.scope().live(&id).is_some() {
            return Some(id);
        }
        let description = json!({
            "kubernetes.io/created-for/pv/name": volume.volume,
            "kubernetes.io/created-for/pvc/name": volume.claim,
            "kubernetes.io/created-for/pvc/namespace": volume.namespace,
            "storage.gke.io/created-by": DRIVER,
        });
        let doc = json!({ "name": volume.volume, "sizeGb": volume.size_gib.to_string(), "status": "READY",
        "description": description.to_string(),
        "type": format!("{COMPUTE}projects/{project}/zones/{zone}/diskTypes/pd-balanced") });
        let id = put(ctx, cluster, "disks", &format!("zones/{zone}"), "", doc)?;
        let mut labels = cluster.tags.clone();
        labels.extend([
            ("goog-gke-volume".to_owned(), String::new()),
            ("goog-k8s-cluster-name".to_owned(), last(&cluster.id).to_owned()),
            ("goog-k8s-cluster-location".to_owned(), cluster.text("location").to_owned()),
        ]);
        ctx.change(&id, |o| o.tags = labels);
        attach(ctx, cluster, &id, &zone);
        place(ctx, &zone);
        Some(id)
    }

    fn set_volume_size(&self, ctx: &mut Ctx<'_>, id: &str, size_gib: u64) {
        ctx.change(id, |o| {
            amend(o, |doc| {
                doc.insert("sizeGb".to_owned(), json!(size_gib.to_string()));
            });
        });
        place(ctx, last(&scope_of(id)));
    }

    /// Detaches and deletes a disk.
    fn delete_volume(&self, ctx: &mut Ctx<'_>, id: &str) {
        for machine in resource::users_of(ctx, id) {
            let link = format!("{COMPUTE}{id}");
            change_disks(ctx, &machine, |disks| disks.retain(|d| d["source"] != json!(link)));
        }
        ctx.delete(id);
        place(ctx, last(&scope_of(id)));
    }
}

const DRIVER: &str = "pd.csi.storage.gke.io";

/// `a` and the uid without dashes, at most 32 characters.
fn balancer_name(uid: &str) -> String {
    std::iter::once('a').chain(uid.chars().filter(|c| *c != '-')).take(32).collect()
}

fn put(ctx: &mut Ctx<'_>, cluster: &Object, collection: &str, path: &str, uid: &str, doc: Value) -> Option<String> {
    let collection = collections::find(collection)?;
    let name = doc["name"].as_str()?.to_owned();
    let id = format!("projects/{}/{path}/{}/{name}", ctx.key.account, collection.name);
    if ctx.scope().live(&id).is_none() {
        let doc = doc.as_object().cloned().unwrap_or_default();
        let new =
            resource::New { collection, id: &id, doc, owner: Owner::Kubernetes, state: READY, labels: Tags::new() };
        resource::create(ctx, new);
        ctx.adjust(&id, |o| {
            o.set("service_uid", uid);
            o.set("cluster", cluster.id.clone());
        });
    }
    Some(id)
}

fn make(ctx: &mut Ctx<'_>, cluster: &Object, service: &ServiceSeen, name: &str, region: &str) {
    let project = ctx.key.account.clone();
    let here = format!("regions/{region}");
    let address = external_address(ctx);
    let service_name = format!("{}/{}", service.namespace, service.name);
    let description = json!({ "kubernetes.io/service-name": service_name }).to_string();
    let full = json!({ "kubernetes.io/service-name": service_name, "kubernetes.io/service-ip": address }).to_string();
    let network = format!("{COMPUTE}{}", cluster.text("network"));
    let scheme = if service.internal { "INTERNAL" } else { "EXTERNAL" };
    let uid = service.uid.as_str();
    let ports: Vec<String> = service.front_ports.iter().map(ToString::to_string).collect();
    let reserved = json!({ "name": name, "address": address, "addressType": scheme, "description": description });
    let reserved = put(ctx, cluster, "addresses", &here, uid, reserved);
    let allowed = json!([{ "IPProtocol": "tcp", "ports": ports }]);
    let firewall = json!({ "name": format!("k8s-fw-{name}"), "network": network, "description": full, "allowed": allowed,
        "direction": "INGRESS", "priority": 1000, "sourceRanges": ["0.0.0.0/0"] });
    put(ctx, cluster, "firewalls", "global", uid, firewall);
    health_checks(ctx, cluster, &network);
    let mut rule = json!({ "name": name, "description": description, "IPAddress": address, "IPProtocol": "TCP",
        "loadBalancingScheme": scheme, "networkTier": "PREMIUM", "address": reserved.map(|id| format!("{COMPUTE}{id}")) });
    if service.internal {
        let groups = endpoint_groups(ctx, cluster, service, name);
        let backends: Vec<Value> = groups.iter().map(|g| json!({ "group": format!("{COMPUTE}{g}") })).collect();
        let backend = json!({ "name": name, "description": description, "loadBalancingScheme": scheme, "protocol": "TCP",
            "backends": backends });
        let backend = put(ctx, cluster, "backendServices", &here, uid, backend).unwrap_or_default();
        rule["backendService"] = json!(format!("{COMPUTE}{backend}"));
        rule["network"] = json!(network);
        rule["subnetwork"] = json!(format!("{COMPUTE}{}", cluster.text("subnetwork")));
        rule["ports"] = json!(ports);
    } else {
        let check = format!("{COMPUTE}projects/{project}/global/httpHealthChecks/{}", health_check(cluster));
        let pool = json!({ "name": name, "description": description, "sessionAffinity": "NONE", "healthChecks": [check],
            "instances": instances(ctx, cluster) });
        let pool = put(ctx, cluster, "targetPools", &here, uid, pool).unwrap_or_default();
        rule["target"] = json!(format!("{COMPUTE}{pool}"));
        rule["portRange"] = json!(format!("{0}-{0}", ports.first().cloned().unwrap_or_default()));
    }
    put(ctx, cluster, "forwardingRules", &here, uid, rule);
}

/// The node groups behind an internal load balancer, one in each zone:
/// <https://cloud.google.com/kubernetes-engine/docs/how-to/internal-load-balancing#subsetting>.
fn endpoint_groups(ctx: &mut Ctx<'_>, cluster: &Object, service: &ServiceSeen, name: &str) -> Vec<String> {
    let zones = super::names::doc(cluster, "/locations").and_then(Value::as_array).cloned().unwrap_or_default();
    let link = |id: &str| format!("{COMPUTE}{id}");
    let description = json!({ "cluster-uid": cluster.text("hash"), "namespace": service.namespace,
        "service-name": service.name, "port": "" });
    let doc = json!({ "name": format!("k8s2-{}-{}", cluster.text("hash"), &name[..8]), "description": description.to_string(),
        "networkEndpointType": "GCE_VM_IP", "network": link(cluster.text("network")),
        "subnetwork": link(cluster.text("subnetwork")) });
    let zones = zones.iter().filter_map(Value::as_str);
    zones
        .filter_map(|z| put(ctx, cluster, "networkEndpointGroups", &format!("zones/{z}"), &service.uid, doc.clone()))
        .collect()
}

fn health_check(cluster: &Object) -> String {
    format!("k8s-{}-node", cluster.text("hash"))
}

/// The health check that all load balancers of a cluster share, and the rule that lets it in.
fn health_checks(ctx: &mut Ctx<'_>, cluster: &Object, network: &str) {
    let name = health_check(cluster);
    let check = json!({ "name": name, "port": 10256, "requestPath": "/healthz" });
    put(ctx, cluster, "httpHealthChecks", "global", "", check);
    let firewall = json!({ "name": format!("{name}-http-hc"), "network": network, "direction": "INGRESS", "priority": 1000,
        "description": json!({ "kubernetes.io/cluster-id": cluster.text("hash") }).to_string(),
        "allowed": [{ "IPProtocol": "tcp", "ports": ["10256"] }], "sourceRanges": ["130.211.0.0/22"] });
    put(ctx, cluster, "firewalls", "global", "", firewall);
}

fn instances(ctx: &mut Ctx<'_>, cluster: &Object) -> Vec<String> {
    let start = format!("{}/nodePools/", cluster.id);
    let all = ctx.scope().of_kind(GcpKind::Instance);
    all.filter(|o| o.text("pool").starts_with(&start)).map(|o| format!("{COMPUTE}{}", o.id)).collect()
}

/// What the controllers of a cluster made, of these kinds.
fn made(ctx: &mut Ctx<'_>, cluster: &Object, kinds: &[GcpKind]) -> Vec<Object> {
    let mut found = Vec::new();
    for kind in kinds {
        let all = ctx.scope().of_kind(*kind);
        found.extend(all.filter(|o| o.owner == Owner::Kubernetes && o.text("cluster") == cluster.id).cloned());
    }
    found
}

/// Attaches a disk to a machine of the zone.
fn attach(ctx: &mut Ctx<'_>, cluster: &Object, disk: &str, zone: &str) {
    let start = format!("{}/nodePools/", cluster.id);
    let ours = |o: &&Object| o.text("location") == zone && o.text("pool").starts_with(&start);
    let machine = ctx.scope().of_kind(GcpKind::Instance).find(ours).map(|o| o.id.clone());
    if let Some(machine) = machine {
        let entry = json!({ "boot": false, "autoDelete": false, "source": format!("{COMPUTE}{disk}") });
        change_disks(ctx, &machine, |disks| disks.push(entry));
    }
}

fn change_disks(ctx: &mut Ctx<'_>, machine: &str, act: impl FnOnce(&mut Vec<Value>)) {
    ctx.adjust(machine, |o| {
        amend(o, |doc| {
            if let Some(disks) = doc.get_mut("disks").and_then(Value::as_array_mut) {
                act(disks);
            }
        });
        resource::refresh(o);
    });
}
