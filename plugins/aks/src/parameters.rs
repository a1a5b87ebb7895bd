//! The class's parameters (`parameters_json`): what a platform engineer chooses for AKS.

use serde::Deserialize;
use serde_json::{Value, json};

use landlord_provider_sdk::cidr::Cidr;
pub(crate) use landlord_provider_sdk::parameters::{Capacity, ClassParameters};

use crate::error::{Error, invalid};

/// Kubernetes version unless set.
const KUBERNETES_VERSION: &str = "1.35";
/// Network unless set.
const VNET_CIDR: &str = "10.64.0.0/16";
/// Pods' network unless set; it exists within the cluster only.
const POD_CIDR: &str = "10.244.0.0/16";
/// Services' network unless set; it exists within the cluster only.
const SERVICE_CIDR: &str = "10.96.0.0/16";
/// Which address of the services' network the cluster's DNS has, as everywhere.
const DNS_SERVICE_INDEX: u32 = 10;
/// Machine of a pool that only runs what the cluster itself needs.
const SYSTEM_MACHINE_TYPE: &str = "Standard_D2s_v5";
/// Root disk of a node unless the pool says otherwise, GiB.
const NODE_DISK_GIB: i32 = 128;
/// Auto-upgrade channels: <https://learn.microsoft.com/azure/aks/auto-upgrade-cluster>.
pub(crate) const CHANNELS: [&str; 5] = ["none", "patch", "stable", "rapid", "node-image"];
/// Images of nodes that Cilium runs on.
pub(crate) const OS_SKUS: [&str; 2] = ["AzureLinux", "Ubuntu"];
/// Tiers of the control plane.
pub(crate) const TIERS: [&str; 3] = ["Free", "Standard", "Premium"];

/// The parameters.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Parameters {
    pub(crate) kubernetes_version: String,
    pub(crate) upgrade_channel: String,
    pub(crate) tier: String,
    pub(crate) vnet_cidr: String,
    pub(crate) pod_cidr: String,
    pub(crate) service_cidr: String,
    pub(crate) availability_zones: Vec<String>,
    pub(crate) public_access_cidrs: Option<Vec<String>>,
    pub(crate) admin_group_object_ids: Vec<String>,
    pub(crate) os_sku: String,
    pub(crate) capacity_type: Capacity,
    pub(crate) node_disk_gib: i32,
    pub(crate) system_machine_type: String,
    pub(crate) system_node_count: i32,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            kubernetes_version: KUBERNETES_VERSION.to_owned(),
            upgrade_channel: "patch".to_owned(),
            tier: "Standard".to_owned(),
            vnet_cidr: VNET_CIDR.to_owned(),
            pod_cidr: POD_CIDR.to_owned(),
            service_cidr: SERVICE_CIDR.to_owned(),
            availability_zones: Vec::new(),
            public_access_cidrs: None,
            admin_group_object_ids: Vec::new(),
            os_sku: OS_SKUS[0].to_owned(),
            capacity_type: Capacity::OnDemand,
            node_disk_gib: NODE_DISK_GIB,
            system_machine_type: SYSTEM_MACHINE_TYPE.to_owned(),
            system_node_count: 2,
        }
    }
}

impl ClassParameters for Parameters {
    fn public_access_cidrs(&mut self) -> &mut Option<Vec<String>> {
        &mut self.public_access_cidrs
    }
}

impl Parameters {
    /// The virtual network's addresses.
    ///
    /// # Errors
    /// INVALID.
    pub(crate) fn vnet(&self) -> Result<Cidr, Error> {
        self.vnet_cidr.parse().map_err(|e| invalid(format!("parameters.vnet_cidr: {e}")))
    }

    /// Address of the cluster's DNS.
    ///
    /// # Errors
    /// INVALID.
    pub(crate) fn dns_service_ip(&self) -> Result<String, Error> {
        let bad = |e: String| invalid(format!("parameters.service_cidr: {e}"));
        let cidr: Cidr = self.service_cidr.parse().map_err(bad)?;
        let single = cidr.subnet(32 - cidr.prefix(), DNS_SERVICE_INDEX);
        let single = single.ok_or_else(|| bad("is too small".to_owned()))?.to_string();
        Ok(single.trim_end_matches("/32").to_owned())
    }

    /// The networks that may reach the API server, in Azure's terms: `None` is a private
    /// cluster, an empty list is everybody.
    pub(crate) fn authorized_ranges(&self) -> Option<Vec<String>> {
        let cidrs = self.public_access_cidrs.clone().unwrap_or_default();
        match cidrs.as_slice() {
            [] => None,
            all if all.iter().any(|c| c == "0.0.0.0/0") => Some(Vec::new()),
            _ => Some(cidrs),
        }
    }

    /// JSON Schema of the parameters.
    pub(crate) fn schema() -> Value {
        let default = Self::default();
        let text = |what: &str, value: &str| json!({ "type": "string", "description": what, "default": value });
        let list = |what: &str| json!({ "type": "array", "description": what, "items": { "type": "string" } });
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "Class parameters of the AKS provider",
            "type": "object",
            "additionalProperties": false,
            "required": ["public_access_cidrs"],
            "properties": {
                "kubernetes_version": text("Kubernetes minor version; AKS takes its newest patch. Raised one minor at a time when the class raises it; never lowered.", &default.kubernetes_version),
                "upgrade_channel": { "enum": CHANNELS, "default": default.upgrade_channel, "description": "What AKS upgrades by itself." },
                "tier": { "enum": TIERS, "default": default.tier, "description": "Tier of the control plane; Free has no uptime promise." },
                "vnet_cidr": text("Addresses of the virtual network, /12 to /22, private; nodes lie in its first quarter. Cannot change for a tenant that exists.", &default.vnet_cidr),
                "pod_cidr": text("Pods' addresses, within the cluster only. Cannot change for a tenant that exists.", &default.pod_cidr),
                "service_cidr": text("Services' addresses, within the cluster only, /12 to /24. Cannot change for a tenant that exists.", &default.service_cidr),
                "availability_zones": list("Zones of the nodes, like [\"1\", \"2\", \"3\"]; [] leaves it to Azure. Cannot change for a pool that exists."),
                "public_access_cidrs": list("Networks that may reach the API server. Required; [] means a private cluster, which landlord must be able to reach, [\"0.0.0.0/0\"] everybody. Cannot become or stop being [] for a tenant that exists."),
                "admin_group_object_ids": list("Entra groups that administer the cluster, besides whom Azure RBAC lets."),
                "os_sku": { "enum": OS_SKUS, "default": default.os_sku, "description": "Image of the nodes. Cannot change for a pool that exists." },
                "capacity_type": { "enum": ["on_demand", "spot"], "default": "on_demand", "description": "How the nodes of further pools are bought; the cluster's first pool is on demand always." },
                "node_disk_gib": { "type": "integer", "minimum": 30, "maximum": 2048, "default": default.node_disk_gib, "description": "Root disk of a node when the pool names no size, GiB." },
                "system_machine_type": text("Machine of the pool that only runs what the cluster itself needs. Made only where the tenant's own pool cannot be the cluster's first: when it has taints or is spot.", &default.system_machine_type),
                "system_node_count": { "type": "integer", "minimum": 1, "maximum": 100, "default": default.system_node_count, "description": "Nodes of that pool." }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{ClassParameters as _, Parameters};

    #[test]
    fn the_dns_address_is_the_tenth() {
        assert_eq!(Parameters::default().dns_service_ip().expect("an address"), "10.96.0.10");
    }

    #[test]
    fn access_is_private_open_or_listed() {
        let ranges = |text: &str| Parameters::parse(text).expect("valid").authorized_ranges();
        assert_eq!(ranges(r#"{"public_access_cidrs":[]}"#), None);
        assert_eq!(ranges(r#"{"public_access_cidrs":["0.0.0.0/0"]}"#), Some(Vec::new()));
        assert_eq!(ranges(r#"{"public_access_cidrs":["192.0.2.0/24"]}"#), Some(vec!["192.0.2.0/24".to_owned()]));
    }
}
