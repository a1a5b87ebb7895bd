//! The document of a new pool. Pure.

use landlord_provider_api::v1;
use serde_json::{Value, json};

use crate::{
    names::Call,
    parameters::{Capacity, Parameters},
    tags,
};

/// What a spot machine's owner bids: -1 is up to the price on demand.
const SPOT_PRICE: i32 = -1;
/// AKS puts this taint and label on spot nodes itself, and wants both back on every write.
pub(super) const SPOT_KEY: &str = "kubernetes.azure.com/scalesetpriority";

/// What a pool is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Also runs what the cluster itself needs; each cluster has one at least.
    System,
    /// Runs the tenant's work.
    User,
}

/// `key=value:Effect`, as AKS writes taints.
pub(super) fn taints(spec: &v1::NodePoolSpec) -> Vec<String> {
    spec.taints.iter().map(|t| format!("{}={}:{}", t.key, t.value, t.effect)).collect()
}

/// Least and most nodes.
pub(super) fn bounds(spec: &v1::NodePoolSpec) -> (i32, i32) {
    let least = spec.node_count.max(1);
    (least, spec.node_count_max.max(least))
}

/// The properties of a new pool.
pub(crate) fn body(call: &Call<'_>, parameters: &Parameters, spec: &v1::NodePoolSpec, mode: Mode) -> Value {
    let (least, most) = bounds(spec);
    let disk = if spec.disk_size_gib == 0 { parameters.node_disk_gib } else { spec.disk_size_gib };
    let mut body = json!({
        "mode": if mode == Mode::System { "System" } else { "User" },
        "type": "VirtualMachineScaleSets",
        "osType": "Linux",
        "osSKU": parameters.os_sku,
        "vmSize": spec.machine_type,
        "osDiskSizeGB": disk,
        "count": least,
        "enableAutoScaling": most > least,
        "vnetSubnetID": call.names.subnet_id(),
        "nodeLabels": spec.labels,
        "nodeTaints": taints(spec),
        "tags": tags::all(call.scope, "node-pool"),
    });
    if most > least {
        body["minCount"] = json!(least);
        body["maxCount"] = json!(most);
    }
    if !parameters.availability_zones.is_empty() {
        body["availabilityZones"] = json!(parameters.availability_zones);
    }
    if mode == Mode::User && parameters.capacity_type == Capacity::Spot {
        body["scaleSetPriority"] = json!("Spot");
        body["scaleSetEvictionPolicy"] = json!("Delete");
        body["spotMaxPrice"] = json!(SPOT_PRICE);
        body["nodeLabels"][SPOT_KEY] = json!("spot");
        if let Some(taints) = body["nodeTaints"].as_array_mut() {
            taints.push(json!(format!("{SPOT_KEY}=spot:NoSchedule")));
        }
    }
    body
}
