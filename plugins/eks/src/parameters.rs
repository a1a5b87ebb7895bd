//! The class's parameters (`parameters_json`): what a platform engineer chooses for EKS.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

use landlord_provider_sdk::cidr::Cidr;
pub(crate) use landlord_provider_sdk::parameters::{Capacity, ClassParameters, Zones};

use crate::error::{Error, invalid};

/// Kubernetes version unless set. EKS has it in standard support at this version's release.
pub(crate) const KUBERNETES_VERSION: &str = "1.36";
/// Network unless set.
const VPC_CIDR: &str = "10.64.0.0/16";
/// Root disk of a node unless the pool says otherwise, GiB.
pub(crate) const NODE_DISK_GIB: i32 = 100;
/// Days that CloudWatch Logs can keep events.
pub(crate) const RETENTION_DAYS: [i32; 22] =
    [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653];
/// How long control-plane logs are kept unless set, days.
const LOG_RETENTION_DAYS: i32 = 90;
/// Types of control-plane logs.
pub(crate) const LOG_TYPES: [&str; 5] = ["api", "audit", "authenticator", "controllerManager", "scheduler"];
/// Images that managed node groups take and that this plugin can configure.
pub(crate) const AMI_TYPES: [&str; 6] = [
    "AL2023_x86_64_STANDARD",
    "AL2023_ARM_64_STANDARD",
    "AL2023_x86_64_NVIDIA",
    "AL2023_ARM_64_NVIDIA",
    "BOTTLEROCKET_x86_64",
    "BOTTLEROCKET_ARM_64",
];

/// Add-ons of a cluster unless set. The first three are what makes a cluster of nodes.
pub(crate) const ADDONS: [&str; 5] =
    ["vpc-cni", "kube-proxy", "coredns", "eks-pod-identity-agent", "aws-ebs-csi-driver"];
/// How many of them no cluster works without.
pub(crate) const ADDONS_REQUIRED: usize = 3;

/// How the private subnets reach out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Nat {
    /// One gateway: cheaper; a lost zone takes the way out along.
    #[default]
    Single,
    /// One gateway a zone.
    PerZone,
    /// None: nodes lie in the public subnets with public addresses. For development.
    None,
}

/// The parameters.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Parameters {
    pub(crate) kubernetes_version: String,
    pub(crate) vpc_cidr: String,
    pub(crate) availability_zones: Zones,
    pub(crate) nat: Nat,
    pub(crate) public_access_cidrs: Option<Vec<String>>,
    pub(crate) control_plane_logs: Vec<String>,
    pub(crate) control_plane_log_retention_days: i32,
    pub(crate) secrets_kms_key_arn: String,
    pub(crate) admin_principal_arns: Vec<String>,
    pub(crate) ami_type: String,
    pub(crate) capacity_type: Capacity,
    pub(crate) node_disk_gib: i32,
    pub(crate) addons: Vec<String>,
    pub(crate) addon_versions: BTreeMap<String, String>,
    pub(crate) pod_identities: BTreeMap<String, String>,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            kubernetes_version: KUBERNETES_VERSION.to_owned(),
            vpc_cidr: VPC_CIDR.to_owned(),
            availability_zones: Zones::Count(2),
            nat: Nat::Single,
            public_access_cidrs: None,
            control_plane_logs: vec!["audit".to_owned(), "authenticator".to_owned()],
            control_plane_log_retention_days: LOG_RETENTION_DAYS,
            secrets_kms_key_arn: String::new(),
            admin_principal_arns: Vec::new(),
            ami_type: AMI_TYPES[0].to_owned(),
            capacity_type: Capacity::OnDemand,
            node_disk_gib: NODE_DISK_GIB,
            addons: ADDONS.map(str::to_owned).to_vec(),
            addon_versions: BTreeMap::new(),
            pod_identities: BTreeMap::new(),
        }
    }
}

impl ClassParameters for Parameters {
    fn public_access_cidrs(&mut self) -> &mut Option<Vec<String>> {
        &mut self.public_access_cidrs
    }
}

impl Parameters {
    /// The VPC's network.
    ///
    /// # Errors
    /// INVALID.
    pub(crate) fn vpc(&self) -> Result<Cidr, Error> {
        self.vpc_cidr.parse().map_err(|e| invalid(format!("parameters.vpc_cidr: {e}")))
    }

    /// JSON Schema of the parameters.
    pub(crate) fn schema() -> Value {
        let default = Self::default();
        let text = |what: &str, value: &str| json!({ "type": "string", "description": what, "default": value });
        let list = |what: &str| json!({ "type": "array", "description": what, "items": { "type": "string" } });
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "Class parameters of the EKS provider",
            "type": "object",
            "additionalProperties": false,
            "required": ["public_access_cidrs"],
            "properties": {
                "kubernetes_version": text("Kubernetes minor version. Raised one minor at a time when the class raises it; never lowered.", &default.kubernetes_version),
                "vpc_cidr": text("Network of the VPC, /16 to /20, private. Cannot change for a tenant that exists.", &default.vpc_cidr),
                "availability_zones": {
                    "description": "How many zones (2 or 3), or their names. Cannot change for a tenant that exists.",
                    "default": 2,
                    "oneOf": [
                        { "type": "integer", "minimum": 2, "maximum": 3 },
                        { "type": "array", "minItems": 2, "maxItems": 3, "items": { "type": "string" } }
                    ]
                },
                "nat": { "enum": ["single", "per_zone", "none"], "default": "single", "description": "NAT gateways: one, one a zone, or none. Without one, nodes lie in the public subnets with public addresses: for development. Cannot become or stop being none for a tenant that exists." },
                "public_access_cidrs": list("Networks that may reach the public endpoint of the API server. Required; [] means private only, [\"0.0.0.0/0\"] everybody."),
                "control_plane_logs": { "type": "array", "items": { "enum": LOG_TYPES }, "default": default.control_plane_logs, "description": "Control-plane logs sent to CloudWatch." },
                "control_plane_log_retention_days": { "enum": RETENTION_DAYS, "default": default.control_plane_log_retention_days, "description": "How long CloudWatch keeps them, days. They go with the tenant." },
                "secrets_kms_key_arn": text("KMS key that encrypts Kubernetes secrets; empty: AWS's own key.", ""),
                "admin_principal_arns": list("IAM principals that get administrator access to the cluster, besides landlord itself."),
                "ami_type": { "enum": AMI_TYPES, "default": default.ami_type, "description": "Image of the nodes; its architecture must fit the machine type." },
                "capacity_type": { "enum": ["on_demand", "spot"], "default": "on_demand", "description": "How nodes are bought." },
                "node_disk_gib": { "type": "integer", "minimum": 20, "maximum": 16384, "default": default.node_disk_gib, "description": "Root disk of a node when the pool names no size, GiB." },
                "addons": { "type": "array", "items": { "type": "string" }, "default": default.addons, "description": "EKS add-ons of the cluster, by name. vpc-cni, kube-proxy and coredns must be among them; vpc-cni enforces NetworkPolicies." },
                "addon_versions": { "type": "object", "additionalProperties": { "type": "string" }, "default": {}, "description": "Versions of EKS add-ons by name; EKS's default for the others." },
                "pod_identities": { "type": "object", "additionalProperties": { "type": "string" }, "default": {}, "description": "Roles of yours for service accounts in the cluster, by NAMESPACE/ACCOUNT, as EKS pod identity associations; the role trusts pods.eks.amazonaws.com, and its name begins with landlord-. One that is named no more goes with the cluster." }
            }
        })
    }
}
