//! The tenant's namespace, how much it may take, and its accounts. Pure.

use std::collections::BTreeMap;

use landlord_core::{
    isolation::{IsolationLevel, Quota, SharedTarget, TENANT_KINDS},
    ports::DeployTarget,
};
use serde_json::{Map, Value, json};

use crate::marked::metadata;
use landlord_kube::{
    markers::{self, CUSTOMER, CUSTOMER_LABEL, DEPLOYER, DOMAIN_ANNOTATION, LEVEL_LABEL, POOL_KEY},
    object::Wanted,
};

/// Name of the quota and of the limit range.
const LIMITS: &str = "landlord";
/// Name of the quota of routes.
pub(crate) const ROUTES_QUOTA: &str = "landlord-routes";
/// Quota of pods whose affinity matches other namespaces' pods: none.
const AFFINITY_QUOTA: &str = "landlord-affinity";
/// What a container gets that says nothing: a small helper's needs. The stack's own charts say what they need.
const DEFAULT_CPU_REQUEST: &str = "50m";
const DEFAULT_MEMORY_REQUEST: &str = "64Mi";
const DEFAULT_MEMORY_LIMIT: &str = "512Mi";
/// A gigabyte of logs and scratch space on the node's disk; the images of the stack unpack some hundred megabytes.
const DEFAULT_EPHEMERAL_REQUEST: &str = "64Mi";
const DEFAULT_EPHEMERAL_LIMIT: &str = "4Gi";
/// Ports that one load balancer may take on the nodes, which the API server counts along with it.
const PORTS_OF_A_LOAD_BALANCER: u32 = 4;
/// Pods that have ended stay as objects; so many for each that may run.
const ENDED_PODS_FACTOR: u32 = 3;
/// Old revisions stay as objects, as many as their workload requests (10 by default): so many for each workload there may be.
const REVISIONS_FACTOR: u32 = 6;

/// The namespace. Its labels decide what Pod Security and our policies demand.
pub(crate) fn namespace(target: &DeployTarget, place: &SharedTarget) -> Wanted {
    let mut labels = markers::labels(target, "tenant");
    labels.extend(markers::pod_security(place.settings.pod_security_version()));
    let level = match &place.isolation {
        IsolationLevel::Namespace => "namespace",
        IsolationLevel::Node { pool } => {
            labels.insert(POOL_KEY.into(), pool.to_string());
            "node"
        }
    };
    labels.insert(LEVEL_LABEL.into(), level.into());
    labels.insert(CUSTOMER_LABEL.into(), target.name.customer.to_string());
    Wanted::new(json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {
            "name": place.namespace, "labels": labels,
            "annotations": { DOMAIN_ANNOTATION: target.spec.domain.as_str() },
        },
    }))
}

/// What bounds the namespace as a whole.
pub(crate) fn quota(target: &DeployTarget, place: &SharedTarget) -> Wanted {
    let hard = hard(place.settings.quota(), place.settings.load_balancers());
    Wanted::new(json!({
        "apiVersion": "v1", "kind": "ResourceQuota",
        "metadata": metadata(target, place, LIMITS, "quota"),
        "spec": { "hard": hard },
    }))
}

/// What bounds routes, which the cluster counts only once it has noticed that it knows them.
pub(crate) fn routes_quota(target: &DeployTarget, place: &SharedTarget) -> Wanted {
    let objects = count(place.settings.quota().objects);
    Wanted::new(json!({
        "apiVersion": "v1", "kind": "ResourceQuota",
        "metadata": metadata(target, place, ROUTES_QUOTA, "quota"),
        "spec": { "hard": { "count/httproutes.gateway.networking.k8s.io": objects } },
    }))
}

/// Pods that keep away from, or close to, pods of other namespaces would decide where other tenants' pods may run.
/// <https://kubernetes.io/docs/concepts/policy/resource-quotas/#cross-namespace-pod-affinity-scope>
pub(crate) fn affinity_quota(target: &DeployTarget, place: &SharedTarget) -> Wanted {
    let crossing = json!({ "scopeName": "CrossNamespacePodAffinity", "operator": "Exists" });
    Wanted::new(json!({
        "apiVersion": "v1", "kind": "ResourceQuota",
        "metadata": metadata(target, place, AFFINITY_QUOTA, "quota"),
        "spec": { "hard": { "pods": "0" }, "scopeSelector": { "matchExpressions": [crossing] } },
    }))
}

/// Quantities in Kubernetes' canonical form, so that what is read back is what was written.
fn hard(quota: &Quota, load_balancers: u32) -> Map<String, Value> {
    let gib = |gib: u32| binary(u64::from(gib) << 10);
    let mut hard: BTreeMap<String, String> = [
        ("requests.cpu", milli(quota.cpu_request_milli)),
        ("requests.memory", binary(quota.memory_request_mib.into())),
        ("limits.memory", binary(quota.memory_limit_mib.into())),
        ("requests.storage", gib(quota.storage_gib)),
        ("requests.ephemeral-storage", gib(quota.ephemeral_storage_gib)),
        ("limits.ephemeral-storage", gib(quota.ephemeral_storage_gib)),
        ("persistentvolumeclaims", count(quota.claims)),
        ("pods", count(quota.pods)),
        ("count/pods", count(quota.pods.saturating_mul(ENDED_PODS_FACTOR))),
        ("services", count(quota.services)),
        // The pods' policy forbids the type NodePort; these are the ports that load balancers bring along.
        ("services.nodeports", count(load_balancers.saturating_mul(PORTS_OF_A_LOAD_BALANCER))),
        ("services.loadbalancers", count(load_balancers)),
        ("secrets", count(quota.secrets)),
        ("configmaps", count(quota.config_maps)),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into();
    if quota.cpu_limit_milli > 0 {
        hard.insert("limits.cpu".into(), milli(quota.cpu_limit_milli));
    }
    for kind in TENANT_KINDS.iter().filter(|kind| kind.counted_as_object()) {
        hard.insert(format!("count/{}", kind.qualified()), count(quota.objects));
    }
    for kind in ["replicasets.apps", "controllerrevisions.apps"] {
        hard.insert(format!("count/{kind}"), count(quota.objects.saturating_mul(REVISIONS_FACTOR)));
    }
    hard.into_iter().map(|(key, value)| (key, Value::String(value))).collect()
}

/// Thousands as Kubernetes writes them: `1000` is `1k`.
fn count(units: u32) -> String {
    let mut units = units;
    for suffix in ["", "k", "M"] {
        if units == 0 || !units.is_multiple_of(1000) {
            return format!("{units}{suffix}");
        }
        units /= 1000;
    }
    format!("{units}G")
}

/// Thousandths of a core as Kubernetes writes them.
fn milli(milli: u32) -> String {
    if milli.is_multiple_of(1000) { count(milli / 1000) } else { format!("{milli}m") }
}

/// Mebibytes as Kubernetes writes them: in the largest unit that divides.
fn binary(mib: u64) -> String {
    let mut amount = mib;
    if amount == 0 {
        return "0".into();
    }
    for suffix in ["Mi", "Gi", "Ti"] {
        if !amount.is_multiple_of(1024) {
            return format!("{amount}{suffix}");
        }
        amount /= 1024;
    }
    format!("{amount}Pi")
}

/// What a container gets that says nothing: a quota refuses pods without requests and limits.
pub(crate) fn limits(target: &DeployTarget, place: &SharedTarget) -> Wanted {
    let mut default = json!({ "memory": DEFAULT_MEMORY_LIMIT, "ephemeral-storage": DEFAULT_EPHEMERAL_LIMIT });
    let cpu_limit = place.settings.quota().cpu_limit_milli;
    if cpu_limit > 0 {
        // An eighth of all: a container that needs more states it.
        default["cpu"] = Value::String(milli((cpu_limit / 8).max(100)));
    }
    Wanted::new(json!({
        "apiVersion": "v1", "kind": "LimitRange",
        "metadata": metadata(target, place, LIMITS, "limits"),
        "spec": { "limits": [{
            "type": "Container",
            "default": default,
            "defaultRequest": {
                "cpu": DEFAULT_CPU_REQUEST,
                "memory": DEFAULT_MEMORY_REQUEST,
                "ephemeral-storage": DEFAULT_EPHEMERAL_REQUEST,
            },
        }] },
    }))
}

/// The accounts: Kubernetes' own for pods that name none, and ours. None hands its token to pods.
pub(crate) fn accounts(target: &DeployTarget, place: &SharedTarget) -> [Wanted; 3] {
    ["default", DEPLOYER, CUSTOMER].map(|name| {
        Wanted::new(json!({
            "apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": metadata(target, place, name, "account"),
            "automountServiceAccountToken": false,
        }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_canonical() {
        assert_eq!((milli(1_500).as_str(), milli(4_000).as_str(), milli(0).as_str()), ("1500m", "4", "0"));
        assert_eq!((binary(512).as_str(), binary(2_048).as_str(), binary(0).as_str()), ("512Mi", "2Gi", "0"));
        assert_eq!((binary(1 << 20).as_str(), binary(1 << 30).as_str()), ("1Ti", "1Pi"));
        assert_eq!((count(1_000).as_str(), count(1_001).as_str(), count(1_000_000).as_str()), ("1k", "1001", "1M"));
    }

    #[test]
    fn load_balancers_bring_their_ports() {
        let none = hard(&Quota::default(), 0);
        assert_eq!((&none["services.loadbalancers"], &none["services.nodeports"]), (&json!("0"), &json!("0")));
        assert!(!none.contains_key("limits.cpu"));
        let two = hard(&Quota { cpu_limit_milli: 9_000, ..Quota::default() }, 2);
        assert_eq!((&two["services.nodeports"], &two["limits.cpu"]), (&json!("8"), &json!("9")));
        assert_eq!(two["count/deployments.apps"], json!("60"));
    }
}
