//! What the controllers of a cluster make in Azure: load balancers for Services, disks for claims.
//!
//! Names and tags are those of cloud-provider-azure (<https://cloud-provider-azure.sigs.k8s.io/topics/loadbalancer/>) and of the
//! disk CSI driver (<https://learn.microsoft.com/azure/aks/azure-csi-disk-storage-provision>). They lie in the node resource
//! group and go with it; a StorageClass that names another group leaves its disks there when the cluster goes first.

use super::{aks, dns, id, kind::AzureKind, network, references, resource};
use crate::cloud::Azure;
use cloudsim_core::{
    cluster::{RecordSeen, ServiceSeen, StorageClassSeen, VolumeSeen},
    ctx::Ctx,
    in_cluster::InCluster,
    object::{Object, Owner},
    scope::Scope,
};
use serde_json::{Value, json};

/// Annotations by which a Service requests an internal load balancer.
const INTERNAL: [(&str, &str); 1] = [("service.beta.kubernetes.io/azure-load-balancer-internal", "true")];

impl InCluster for Azure {
    /// The classes of every AKS cluster: <https://learn.microsoft.com/azure/aks/concepts-storage#storage-classes>.
    fn storage_classes(&self) -> Vec<StorageClassSeen> {
        let class = |name, parameters, is_default| StorageClassSeen {
            name,
            provisioner: "disk.csi.azure.com",
            parameters,
            is_default,
            expandable: true,
        };
        vec![
            class("default", &[("skuname", "StandardSSD_LRS")], true),
            class("managed-csi", &[("skuname", "StandardSSD_LRS")], false),
            class("managed-csi-premium", &[("skuname", "Premium_LRS")], false),
        ]
    }

    fn records(&self, scope: &Scope) -> Vec<RecordSeen> {
        scope.of_kind(AzureKind::DnsRecordSet).filter(|record| record.is_live()).map(dns::served).collect()
    }

    fn internal_annotations(&self) -> &'static [(&'static str, &'static str)] {
        &INTERNAL
    }

    /// Makes the frontend of a Service, with the load balancer if it is the first; gives its address once all is ready.
    fn ensure_load_balancer(&self, ctx: &mut Ctx<'_>, cluster: &Object, service: &ServiceSeen) -> Option<String> {
        let frontend = frontend_name(&service.uid);
        let properties = if service.internal {
            internal_frontend(ctx, cluster)?
        } else {
            let address = ensure_address(ctx, cluster, service)?;
            json!({ "publicIPAddress": { "id": address.arn }, "address": resource::doc_text(&address, "/properties/ipAddress") })
        };
        let shown =
            properties["address"].as_str().or(properties["privateIPAddress"].as_str()).unwrap_or_default().to_owned();
        let entry = json!({ "name": frontend, "properties": properties });
        let balancer = balancer_id(cluster, service.internal);
        let Some(present) = resource::present(ctx, AzureKind::LoadBalancer, &balancer.to_lowercase()) else {
            let body = json!({ "location": resource::location(cluster), "tags": cluster.tags, "sku": { "name": "Standard" },
            "properties": { "frontendIPConfigurations": [entry] } });
            if let Err(error) = network::make(ctx, AzureKind::LoadBalancer, &balancer, &body, Owner::Kubernetes) {
                ctx.remark(format!("no load balancer for {}/{}: {error}", service.namespace, service.name));
            }
            return None;
        };
        let entries = frontends(&present);
        if !entries.iter().any(|f| f["name"] == frontend.as_str()) {
            let entries: Vec<Value> = entries.into_iter().chain([entry]).collect();
            set_frontends(ctx, &present, entries);
            return None;
        }
        (present.state == "Succeeded").then_some(shown)
    }

    /// Deletes the frontend of a Service, its address, and the load balancer with its last frontend; true once nothing is left.
    fn delete_load_balancer(&self, ctx: &mut Ctx<'_>, cluster: &Object, uid: &str) -> bool {
        let frontend = frontend_name(uid);
        for internal in [false, true] {
            let key = balancer_id(cluster, internal).to_lowercase();
            let Some(balancer) = resource::present(ctx, AzureKind::LoadBalancer, &key) else {
                continue;
            };
            let entries = frontends(&balancer);
            let left: Vec<Value> = entries.iter().filter(|f| f["name"] != frontend.as_str()).cloned().collect();
            if left.len() == entries.len() {
                continue;
            }
            if left.is_empty() {
                references::remove(ctx, &key);
            } else {
                set_frontends(ctx, &balancer, left);
            }
        }
        let key = address_id(cluster, uid).to_lowercase();
        match resource::present(ctx, AzureKind::PublicIpAddress, &key) {
            None => true,
            Some(address) => {
                // Busy or still used: requested again a little later.
                let _ = network::delete(ctx, &address, AzureKind::PublicIpAddress);
                false
            }
        }
    }

    /// Makes the disk of a claim and attaches it to a machine; gives its id.
    fn ensure_volume(&self, ctx: &mut Ctx<'_>, cluster: &Object, volume: &VolumeSeen) -> Option<String> {
        let subscription = id::subscription_of(&cluster.arn).unwrap_or_default();
        let wanted =
            volume.parameters.iter().find(|(k, _)| k.eq_ignore_ascii_case("resourceGroup")).map(|(_, v)| v.as_str());
        let group = match wanted {
            Some(group) => id::group_id(&subscription, group),
            None => aks::node_group_of(cluster),
        };
        ctx.scope().live(&group.to_lowercase())?;
        let disk = format!("{group}/providers/Microsoft.Compute/disks/{}", volume.volume);
        if resource::present(ctx, AzureKind::Disk, &disk.to_lowercase()).is_some() {
            return Some(disk);
        }
        let mut tags = cluster.tags.clone();
        for (key, value) in [
            ("k8s-azure-created-by", "kubernetes-azure-dd"),
            ("kubernetes.io-created-for-pv-name", &volume.volume),
            ("kubernetes.io-created-for-pvc-name", &volume.claim),
            ("kubernetes.io-created-for-pvc-namespace", &volume.namespace),
        ] {
            tags.insert(key.to_owned(), value.to_owned());
        }
        let sku = volume.parameters.get("skuname").map_or("StandardSSD_LRS", String::as_str);
        let body = json!({ "location": resource::location(cluster), "tags": tags, "sku": { "name": sku },
        "properties": { "diskSizeGB": volume.size_gib, "diskState": "Attached",
            "creationData": { "createOption": "Empty" } } });
        let mut object = resource::new(ctx, AzureKind::Disk, &disk, &body);
        object.owner = Owner::Kubernetes;
        let node_group = id::leaf(&aks::node_group_of(cluster)).to_owned();
        let set = resource::in_group(ctx, &node_group)
            .into_iter()
            .find(|o| resource::kind_of(o) == Some(AzureKind::ScaleSet))
            .map(|o| format!("{}/virtualMachines/0", o.arn));
        object.set("managed_by", set.unwrap_or_default());
        ctx.create(object);
        Some(disk)
    }

    fn volume_key(&self, id: &str) -> String {
        id.to_lowercase()
    }

    fn set_volume_size(&self, ctx: &mut Ctx<'_>, id: &str, size_gib: u64) {
        ctx.change(id, |o| resource::amend(o, |doc| doc["properties"]["diskSizeGB"] = size_gib.into()));
    }

    /// Detaches and deletes a disk.
    fn delete_volume(&self, ctx: &mut Ctx<'_>, id: &str) {
        references::remove(ctx, &id.to_lowercase());
    }
}

fn balancer_id(cluster: &Object, internal: bool) -> String {
    let name = if internal { "kubernetes-internal" } else { "kubernetes" };
    format!("{}/providers/Microsoft.Network/loadBalancers/{name}", aks::node_group_of(cluster))
}

/// `a` and the uid without hyphens: the name of a Service's frontend.
fn frontend_name(uid: &str) -> String {
    format!("a{}", uid.replace('-', "")).chars().take(32).collect()
}

fn address_id(cluster: &Object, uid: &str) -> String {
    let group = aks::node_group_of(cluster);
    format!("{group}/providers/Microsoft.Network/publicIPAddresses/kubernetes-{}", frontend_name(uid))
}

fn frontends(balancer: &Object) -> Vec<Value> {
    let doc = resource::doc(balancer);
    doc.get("properties").and_then(|p| p["frontendIPConfigurations"].as_array().cloned()).unwrap_or_default()
}

fn set_frontends(ctx: &mut Ctx<'_>, balancer: &Object, entries: Vec<Value>) {
    let mut next = balancer.clone();
    resource::amend(&mut next, |doc| doc["properties"]["frontendIPConfigurations"] = entries.into());
    resource::touch(ctx, &mut next);
    ctx.change(&balancer.id, |o| *o = next.clone());
    references::link(ctx, &next);
}

/// The public address of a Service; `None` until it is ready.
fn ensure_address(ctx: &mut Ctx<'_>, cluster: &Object, service: &ServiceSeen) -> Option<Object> {
    let id = address_id(cluster, &service.uid);
    if let Some(present) = resource::present(ctx, AzureKind::PublicIpAddress, &id.to_lowercase()) {
        return (present.state == "Succeeded").then_some(present);
    }
    let mut tags = cluster.tags.clone();
    tags.insert("k8s-azure-cluster-name".to_owned(), "kubernetes".to_owned());
    tags.insert("k8s-azure-service".to_owned(), format!("{}/{}", service.namespace, service.name));
    let body = json!({ "location": resource::location(cluster), "tags": tags, "sku": { "name": "Standard" },
        "properties": { "publicIPAllocationMethod": "Static", "publicIPAddressVersion": "IPv4" } });
    if let Err(error) = network::make(ctx, AzureKind::PublicIpAddress, &id, &body, Owner::Kubernetes) {
        ctx.remark(format!("no address for {}/{}: {error}", service.namespace, service.name));
    }
    None
}

/// A frontend in the subnet of the cluster's first pool.
fn internal_frontend(ctx: &mut Ctx<'_>, cluster: &Object) -> Option<Value> {
    let pools = resource::children_of(ctx, cluster, AzureKind::AgentPool);
    let subnet = pools.iter().map(|p| resource::doc_text(p, "/properties/vnetSubnetID")).find(|s| !s.is_empty())?;
    let address = network::addresses::free(ctx, subnet, 1).pop()?;
    Some(json!({ "subnet": { "id": subnet }, "privateIPAddress": address }))
}
