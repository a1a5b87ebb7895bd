//! The class's parameters (`parameters_json`): what a platform engineer chooses for GKE.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use landlord_provider_sdk::cidr::Cidr;
pub(crate) use landlord_provider_sdk::parameters::{Capacity, ClassParameters, Zones};

use crate::error::{Error, invalid};

/// Network unless set.
const NETWORK_CIDR: &str = "10.64.0.0/16";
/// Zones for nodes unless set: as many as GKE itself takes for a regional cluster.
const ZONES: usize = 3;
/// Boot disk of a node unless the pool says otherwise, GiB.
pub(crate) const NODE_DISK_GIB: i32 = 100;
/// Images of nodes: <https://cloud.google.com/kubernetes-engine/docs/concepts/node-images>.
pub(crate) const IMAGE_TYPES: [&str; 2] = ["COS_CONTAINERD", "UBUNTU_CONTAINERD"];
/// Types of boot disks.
pub(crate) const DISK_TYPES: [&str; 4] = ["pd-standard", "pd-balanced", "pd-ssd", "hyperdisk-balanced"];

/// How early a cluster gets new versions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Channel {
    Rapid,
    #[default]
    Regular,
    Stable,
    Extended,
}

/// The parameters.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Parameters {
    pub(crate) kubernetes_version: String,
    pub(crate) release_channel: Channel,
    pub(crate) network_cidr: String,
    pub(crate) zones: Zones,
    pub(crate) public_access_cidrs: Option<Vec<String>>,
    pub(crate) secrets_kms_key: String,
    pub(crate) node_service_account: String,
    pub(crate) image_type: String,
    pub(crate) disk_type: String,
    pub(crate) capacity_type: Capacity,
    pub(crate) node_disk_gib: i32,
    pub(crate) gateway_api: bool,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            kubernetes_version: String::new(),
            release_channel: Channel::Regular,
            network_cidr: NETWORK_CIDR.to_owned(),
            zones: Zones::Count(ZONES),
            public_access_cidrs: None,
            secrets_kms_key: String::new(),
            node_service_account: String::new(),
            image_type: IMAGE_TYPES[0].to_owned(),
            disk_type: DISK_TYPES[1].to_owned(),
            capacity_type: Capacity::OnDemand,
            node_disk_gib: NODE_DISK_GIB,
            gateway_api: true,
        }
    }
}

impl ClassParameters for Parameters {
    fn public_access_cidrs(&mut self) -> &mut Option<Vec<String>> {
        &mut self.public_access_cidrs
    }
}

impl Parameters {
    /// The network's range.
    ///
    /// # Errors
    /// INVALID.
    pub(crate) fn network(&self) -> Result<Cidr, Error> {
        self.network_cidr.parse().map_err(|e| invalid(format!("parameters.network_cidr: {e}")))
    }

    /// JSON Schema of the parameters.
    pub(crate) fn schema() -> Value {
        let default = Self::default();
        let text = |what: &str, value: &str| json!({ "type": "string", "description": what, "default": value });
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "Class parameters of the GKE provider",
            "type": "object",
            "additionalProperties": false,
            "required": ["public_access_cidrs"],
            "properties": {
                "kubernetes_version": text("Kubernetes minor version that the cluster has at least, like 1.34; empty: the release channel's default. Raised one minor at a time when the class raises it; the channel itself raises it further.", ""),
                "release_channel": { "enum": ["rapid", "regular", "stable", "extended"], "default": "regular", "description": "How early the cluster gets new versions." },
                "network_cidr": text("Range of the tenant's network, /12 to /18, private: pods get its upper half, nodes and services a sixteenth each. Cannot change for a tenant that exists.", &default.network_cidr),
                "zones": {
                    "description": "Zones for nodes: how many (1 to 3), or their names. The control plane is regional in any case. A pool takes the largest number of them that divides its size.",
                    "default": ZONES,
                    "oneOf": [
                        { "type": "integer", "minimum": 1, "maximum": 3 },
                        { "type": "array", "minItems": 1, "maxItems": 3, "items": { "type": "string" } }
                    ]
                },
                "public_access_cidrs": { "type": "array", "items": { "type": "string" }, "description": "Networks that may reach the public endpoint of the API server. Required; [] means private only, [\"0.0.0.0/0\"] everybody." },
                "secrets_kms_key": text("Cloud KMS key that encrypts Kubernetes secrets, projects/P/locations/L/keyRings/R/cryptoKeys/K; empty: Google's own key.", ""),
                "node_service_account": text("Email address of the nodes' service account, with roles/container.defaultNodeServiceAccount; empty: the project's default, narrowed by access scopes.", ""),
                "image_type": { "enum": IMAGE_TYPES, "default": default.image_type, "description": "Image of the nodes." },
                "disk_type": { "enum": DISK_TYPES, "default": default.disk_type, "description": "Type of the nodes' boot disks." },
                "capacity_type": { "enum": ["on_demand", "spot"], "default": "on_demand", "description": "How nodes are bought." },
                "node_disk_gib": { "type": "integer", "minimum": 12, "maximum": 65536, "default": default.node_disk_gib, "description": "Boot disk of a node when the pool names no size, GiB." },
                "gateway_api": { "type": "boolean", "default": true, "description": "Whether GKE installs the Gateway API and its controller." }
            }
        })
    }
}
