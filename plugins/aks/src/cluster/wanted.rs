//! The document of a new cluster: private nodes behind the NAT gateway, Azure CNI overlay with
//! Cilium, Entra for people and workloads, no local accounts.

use landlord_provider_api::v1;
use serde_json::{Value, json};

use crate::{
    error::Result,
    names::{CLUSTER_IDENTITY, Call, SYSTEM_POOL},
    network::attribute,
    node_pool::{self, Mode},
    parameters::{Capacity, Parameters},
    tags,
};

/// The networks that may reach the API server: those of the class, and the nodes' own way out,
/// which Azure adds by itself only for load balancers.
pub(super) fn ranges(parameters: &Parameters, network: &v1::NetworkStatus) -> Option<Vec<String>> {
    let mut ranges = parameters.authorized_ranges()?;
    let nat = network.attributes.get("nat_address").filter(|a| !a.is_empty());
    if let Some(address) = nat.filter(|_| !ranges.is_empty()) {
        ranges.push(format!("{address}/32"));
    }
    ranges.sort();
    ranges.dedup();
    Some(ranges)
}

/// The whole document.
pub(super) fn body(
    call: &Call<'_>,
    parameters: &Parameters,
    network: &v1::NetworkStatus,
    pool: Option<&v1::NodePoolSpec>,
) -> Result<Value> {
    let identity = attribute(network, &format!("{CLUSTER_IDENTITY}_identity_id"))?;
    let access = match ranges(parameters, network) {
        Some(ranges) => json!({ "enablePrivateCluster": false, "authorizedIPRanges": ranges }),
        None => json!({ "enablePrivateCluster": true }),
    };
    Ok(json!({
        "location": call.scope.region,
        "tags": tags::all(call.scope, "cluster"),
        "sku": { "name": "Base", "tier": parameters.tier },
        "identity": { "type": "UserAssigned", "userAssignedIdentities": { identity: {} } },
        "properties": {
            "kubernetesVersion": parameters.kubernetes_version,
            "dnsPrefix": call.names.group(),
            "nodeResourceGroup": call.names.nodes_group(),
            "enableRBAC": true,
            "disableLocalAccounts": true,
            "aadProfile": {
                "managed": true,
                "enableAzureRBAC": true,
                "adminGroupObjectIDs": parameters.admin_group_object_ids,
            },
            "oidcIssuerProfile": { "enabled": true },
            "securityProfile": { "workloadIdentity": { "enabled": true } },
            "apiServerAccessProfile": access,
            "autoUpgradeProfile": { "upgradeChannel": parameters.upgrade_channel, "nodeOSUpgradeChannel": "NodeImage" },
            "networkProfile": {
                "networkPlugin": "azure",
                "networkPluginMode": "overlay",
                "networkDataplane": "cilium",
                "networkPolicy": "cilium",
                "outboundType": "userAssignedNATGateway",
                "loadBalancerSku": "standard",
                "podCidr": parameters.pod_cidr,
                "serviceCidr": parameters.service_cidr,
                "dnsServiceIP": parameters.dns_service_ip()?,
            },
            "agentPoolProfiles": [first_pool(call, parameters, pool)?],
        },
    }))
}

/// The pool that a cluster is made with: the tenant's own where AKS takes it as a system pool,
/// else a small one beside it. <https://learn.microsoft.com/azure/aks/use-system-pools>
fn first_pool(call: &Call<'_>, parameters: &Parameters, pool: Option<&v1::NodePoolSpec>) -> Result<Value> {
    let own = pool.filter(|p| p.taints.is_empty() && parameters.capacity_type == Capacity::OnDemand);
    let system = v1::NodePoolSpec {
        role: SYSTEM_POOL.to_owned(),
        machine_type: parameters.system_machine_type.clone(),
        node_count: parameters.system_node_count,
        ..v1::NodePoolSpec::default()
    };
    let (spec, name) = match own {
        Some(own) => (own, crate::names::pool(&own.role)?),
        None => (&system, SYSTEM_POOL.to_owned()),
    };
    let mut profile = node_pool::body(call, parameters, spec, Mode::System);
    profile["name"] = json!(name);
    Ok(profile)
}

#[cfg(test)]
mod tests {
    use super::ranges;
    use crate::parameters::{ClassParameters as _, Parameters};
    use landlord_provider_api::v1::NetworkStatus;

    #[test]
    fn the_nodes_own_way_out_may_reach_the_api_server() {
        let network = NetworkStatus {
            attributes: [("nat_address".to_owned(), "198.51.100.7".to_owned())].into(),
            ..NetworkStatus::default()
        };
        let of = |text: &str| ranges(&Parameters::parse(text).expect("valid"), &network);
        assert_eq!(of(r#"{"public_access_cidrs":[]}"#), None);
        assert_eq!(of(r#"{"public_access_cidrs":["0.0.0.0/0"]}"#), Some(Vec::new()));
        let listed = of(r#"{"public_access_cidrs":["203.0.113.0/24"]}"#).expect("public");
        assert_eq!(listed, ["198.51.100.7/32", "203.0.113.0/24"]);
    }
}
