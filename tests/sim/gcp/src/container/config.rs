//! The document of a new cluster: what the request says over GKE's defaults.
//!
//! Defaults are those that the API showed for clusters made with few fields; what is given is echoed.

use super::spoken;
use crate::names::{CONTAINER, instant, last, project_number, region_of};
use cloudsim_core::{call::Call, ctx::Ctx};
use serde_json::{Map, Value, json};

/// The document that GetCluster gives while the cluster is PROVISIONING: no endpoint yet.
pub(crate) fn describe(
    ctx: &mut Ctx<'_>,
    call: &Call,
    id: &str,
    request: &Value,
    version: &str,
    place: &Place,
) -> Value {
    let mut doc = defaults(ctx, id, version, place);
    lay_over(&mut doc, request, &["nodePools", "resourceLabels", "name", "network", "subnetwork", "status"]);
    if let Some(policy) = doc.get_mut("ipAllocationPolicy").and_then(Value::as_object_mut) {
        ranges(policy);
    }
    let pods = doc["ipAllocationPolicy"]["clusterIpv4CidrBlock"].clone();
    let services = doc["ipAllocationPolicy"]["servicesIpv4CidrBlock"].clone();
    if wants_private(request) {
        doc["networkConfig"]["defaultEnablePrivateNodes"] = json!(true);
        doc["privateClusterConfig"]["enablePrivateNodes"] = json!(true);
    }
    doc["name"] = json!(last(id));
    doc["clusterIpv4Cidr"] = pods;
    doc["servicesIpv4Cidr"] = services;
    doc["location"] = json!(call.var(1));
    doc["zone"] = json!(call.var(1));
    doc
}

/// Whether a request or a cluster's document says that nodes have no external address:
/// <https://cloud.google.com/kubernetes-engine/docs/concepts/network-isolation>.
#[must_use]
pub(crate) fn wants_private(doc: &Value) -> bool {
    ["/privateClusterConfig/enablePrivateNodes", "/networkConfig/defaultEnablePrivateNodes"]
        .iter()
        .any(|p| doc.pointer(p) == Some(&json!(true)))
}

fn defaults(ctx: &mut Ctx<'_>, id: &str, version: &str, place: &Place) -> Value {
    let project = ctx.key.account.clone();
    let location = id.split('/').nth(3).unwrap_or_default();
    let host = format!("gke-{}-{}.{}.gke.goog", ctx.world.hex(32), project_number(&project), region_of(location));
    json!({
        "id": ctx.world.hex(64),
        "name": last(id),
        "selfLink": format!("{CONTAINER}{}", spoken(id)),
        "createTime": instant(ctx.now),
        "addonsConfig": {
            "gcePersistentDiskCsiDriverConfig": { "enabled": true },
            "kubernetesDashboard": { "disabled": true },
            "networkPolicyConfig": { "disabled": true },
        },
        "autopilot": {},
        "autoscaling": { "autoscalingProfile": "BALANCED" },
        "binaryAuthorization": {},
        "controlPlaneEndpointsConfig": {
            "dnsEndpointConfig": { "allowExternalTraffic": false, "endpoint": host },
            "ipEndpointsConfig": { "enabled": true, "enablePublicEndpoint": true, "globalAccess": false },
        },
        "currentMasterVersion": version,
        "currentNodeVersion": version,
        "initialClusterVersion": version,
        "databaseEncryption": { "currentState": "CURRENT_STATE_DECRYPTED", "state": "DECRYPTED" },
        "defaultMaxPodsConstraint": { "maxPodsPerNode": "110" },
        "enterpriseConfig": { "clusterTier": "STANDARD" },
        "ipAllocationPolicy": { "stackType": "IPV4", "useIpAliases": true },
        "legacyAbac": {},
        "locations": place.zones,
        "loggingConfig": { "componentConfig": { "enableComponents": ["SYSTEM_COMPONENTS", "WORKLOADS"] } },
        "loggingService": "logging.googleapis.com/kubernetes",
        "maintenancePolicy": { "resourceVersion": "e3b0c442" },
        "masterAuth": { "clientCertificateConfig": {} },
        "masterAuthorizedNetworksConfig": { "gcpPublicCidrsAccessEnabled": true },
        "monitoringService": "monitoring.googleapis.com/kubernetes",
        "network": last(&place.network),
        "networkConfig": {
            "network": place.network,
            "subnetwork": place.subnetwork,
            "serviceExternalIpsConfig": {},
        },
        "notificationConfig": { "pubsub": {} },
        "privateClusterConfig": {},
        "releaseChannel": { "channel": "REGULAR" },
        "securityPostureConfig": { "mode": "BASIC", "vulnerabilityMode": "VULNERABILITY_MODE_UNSPECIFIED" },
        "shieldedNodes": { "enabled": true },
        "subnetwork": last(&place.subnetwork),
    })
}

/// The ranges that GKE chooses where the policy names none:
/// <https://cloud.google.com/kubernetes-engine/docs/concepts/alias-ips#defaults_limits>.
fn ranges(policy: &mut Map<String, Value>) {
    for (block, old, default) in [
        ("clusterIpv4CidrBlock", "clusterIpv4Cidr", "10.112.0.0/14"),
        ("servicesIpv4CidrBlock", "servicesIpv4Cidr", "34.118.224.0/20"),
    ] {
        let given = policy.get(block).and_then(Value::as_str).unwrap_or_default();
        let chosen = if given.contains('.') { given.to_owned() } else { default.to_owned() };
        policy.insert(block.to_owned(), json!(chosen));
        policy.insert(old.to_owned(), json!(chosen));
    }
}

/// Lays a request over defaults, but for fields that it does not decide.
pub(crate) fn lay_over(doc: &mut Value, request: &Value, but: &[&str]) {
    for (key, value) in request.as_object().into_iter().flatten() {
        if value.is_null() || but.contains(&key.as_str()) {
            continue;
        }
        match (&mut doc[key.as_str()], value) {
            (present @ Value::Object(_), Value::Object(_)) => lay_over(present, value, &[]),
            (slot, _) => *slot = value.clone(),
        }
    }
}

/// Where a cluster's nodes are to be.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The network's id.
    pub network: String,
    /// The subnetwork's id.
    pub subnetwork: String,
    /// The zones of its nodes.
    pub zones: Vec<String>,
}
