//! What AKS fills in where a cluster or pool says nothing.
//!
//! As in responses of <https://learn.microsoft.com/rest/api/aks/managed-clusters/get>.

use serde_json::{Map, Value, json};

/// Adds to `into` what it lacks of `from`, at any depth.
pub(super) fn fill(into: &mut Value, from: &Value) {
    let Some(from) = from.as_object() else {
        return;
    };
    if !into.is_object() {
        *into = Value::Object(Map::new());
    }
    for (key, default) in from {
        let slot = &mut into[key];
        if slot.is_null() {
            *slot = default.clone();
        } else if default.is_object() && slot.is_object() {
            fill(slot, default);
        }
    }
}

/// Properties of a cluster.
#[must_use]
pub(super) fn cluster() -> Value {
    json!({
        "powerState": { "code": "Running" },
        "enableRBAC": true,
        "supportPlan": "KubernetesOfficial",
        "maxAgentPools": 100,
        "disableLocalAccounts": false,
        "networkProfile": {
            "networkPlugin": "azure", "networkPluginMode": "overlay", "networkDataplane": "azure",
            "networkPolicy": "none", "loadBalancerSku": "standard", "outboundType": "loadBalancer",
            "podCidr": "10.244.0.0/16", "serviceCidr": "10.0.0.0/16", "dnsServiceIP": "10.0.0.10",
            "podCidrs": ["10.244.0.0/16"], "serviceCidrs": ["10.0.0.0/16"], "ipFamilies": ["IPv4"],
        },
        "servicePrincipalProfile": { "clientId": "msi" },
        "oidcIssuerProfile": { "enabled": false },
        "securityProfile": {},
        "storageProfile": {
            "diskCSIDriver": { "enabled": true }, "fileCSIDriver": { "enabled": true },
            "snapshotController": { "enabled": true },
        },
        "autoUpgradeProfile": { "nodeOSUpgradeChannel": "NodeImage" },
        "workloadAutoScalerProfile": {},
        "metricsProfile": { "costAnalysis": { "enabled": false } },
    })
}

/// Properties of an agent pool.
#[must_use]
pub(super) fn pool(version: &str) -> Value {
    json!({
        "count": 1, "vmSize": "Standard_D2s_v3", "osDiskSizeGB": 128, "osDiskType": "Managed",
        "kubeletDiskType": "OS", "maxPods": 250, "type": "VirtualMachineScaleSets", "enableAutoScaling": false,
        "powerState": { "code": "Running" }, "orchestratorVersion": version,
        "currentOrchestratorVersion": version, "enableNodePublicIP": false, "mode": "User", "osType": "Linux",
        "osSKU": "Ubuntu", "nodeImageVersion": "AKSUbuntu-2204gen2containerd-202611.03.0",
        "upgradeSettings": { "maxSurge": "10%" }, "enableFIPS": false,
    })
}

#[cfg(test)]
mod tests {
    use super::fill;
    use serde_json::json;

    #[test]
    fn only_gaps_are_filled() {
        let mut given = json!({ "a": { "b": 1 }, "list": [], "off": false });
        fill(&mut given, &json!({ "a": { "b": 2, "c": 3 }, "list": [1], "off": true, "new": 4 }));
        assert_eq!(given, json!({ "a": { "b": 1, "c": 3 }, "list": [], "off": false, "new": 4 }));
    }
}
