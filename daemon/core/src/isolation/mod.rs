//! What isolates a tenant that shares a cluster with others: limits, networks, identities, and its place there.
//!
//! Values only, checked when they are parsed. How they become Kubernetes objects is the deploy stage's; which host
//! cluster a tenant lives on is the engine's.

mod kinds;
mod types;

pub use kinds::{TENANT_KINDS, TenantKind};
use serde::{Deserialize, Serialize};
pub use types::{
    Cidr, CustomerGroup, InvalidIsolationSetting, ObjectName, PodSecurityVersion, PoolLabel, TenantNamespace,
};

use crate::{TenantUid, isolation::types::invalid};

/// Largest figure of a quota that is counted in units; far above any placement, far below what a Kubernetes quantity holds.
const COUNT_MAX: u32 = 1_000_000;
/// Most CIDRs of one list: a NetworkPolicy peer with some hundred exceptions slows every data plane down.
const CIDRS_MAX: usize = 64;

/// How much a tenant may take of a shared cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Quota {
    /// Processor time that pods may request together, thousandths of a core.
    pub cpu_request_milli: u32,
    /// Processor time that pods may be limited to together, thousandths of a core; 0: no limit, pods take what is idle.
    pub cpu_limit_milli: u32,
    /// Memory that pods may request together, MiB.
    pub memory_request_mib: u32,
    /// Memory that pods may be limited to together, MiB. Every container has a limit.
    pub memory_limit_mib: u32,
    /// Volumes together, GiB.
    pub storage_gib: u32,
    /// Nodes' own disks (logs, scratch space, writable layers) together, GiB.
    pub ephemeral_storage_gib: u32,
    /// Volume claims.
    pub claims: u32,
    /// Pods that have not ended.
    pub pods: u32,
    /// Services.
    pub services: u32,
    /// Secrets, Helm's records among them.
    pub secrets: u32,
    /// ConfigMaps.
    pub config_maps: u32,
    /// Objects of each other kind that a tenant's accounts may make: workloads, jobs, routes, accounts.
    pub objects: u32,
}

impl Default for Quota {
    /// Room for the shipped stack, with what an upgrade needs on top.
    fn default() -> Self {
        Self {
            cpu_request_milli: 4_000,
            cpu_limit_milli: 0,
            memory_request_mib: 12 * 1024,
            memory_limit_mib: 24 * 1024,
            storage_gib: 500,
            ephemeral_storage_gib: 64,
            claims: 20,
            pods: 40,
            services: 30,
            secrets: 100,
            config_maps: 60,
            objects: 60,
        }
    }
}

/// Where the certificate of a tenant's web addresses comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Certificate {
    /// cert-manager makes one with this cluster issuer: one a tenant, however many names it has.
    ClusterIssuer(ObjectName),
    /// The operator's own, in this Secret beside the Gateway: none a tenant, for whoever has quotas on certificates.
    Secret(ObjectName),
}

/// Which names a tenant listens for at the shared Gateway.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GatewayNames {
    /// All below its domain, `*.<domain>`: also what it makes for itself. An ACME server takes a record in its zone as proof, and
    /// nothing else.
    #[default]
    Wildcard,
    /// Those that its stack serves, one by one: an ACME server may also ask for a proof through the Gateway.
    Listed,
}

impl GatewayNames {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// The Gateway that tenants of a host cluster share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SharedGateway {
    /// Class of the Gateway, if there is none yet.
    pub class: ObjectName,
    /// Certificate of each tenant's names.
    pub certificate: Certificate,
    /// Which names these are. Not written where it is the default: a daemon of the release before knows no such key.
    #[serde(default, skip_serializing_if = "GatewayNames::is_default")]
    pub names: GatewayNames,
}

/// A Gateway by name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewayRef {
    /// Name.
    pub name: String,
    /// Namespace.
    pub namespace: String,
}

/// What isolates a tenant's namespace on a shared cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "IsolationSettingsInput", into = "IsolationSettingsInput")]
pub struct IsolationSettings(IsolationSettingsInput);

/// [`IsolationSettings`] as written in a configuration; becomes one by `TryFrom`, which checks them together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IsolationSettingsInput {
    /// How much it may take.
    pub quota: Quota,
    /// Services of type `LoadBalancer`. 0: none, and the stack's own are not made.
    pub load_balancers: u32,
    /// Where load balancers' traffic and health checks come from besides the internet: their subnets.
    pub load_balancer_cidrs: Vec<Cidr>,
    /// Whether pods may open connections to the internet.
    pub internet_egress: bool,
    /// Whether all private networks are among what they may not reach even so: pods, services, nodes and VPC of the host
    /// cluster. Without, `blocked_cidrs` must name these.
    pub block_private_networks: bool,
    /// What else they may not reach. The clouds' metadata addresses are always added.
    pub blocked_cidrs: Vec<Cidr>,
    /// Where names are resolved besides the pods of `kube-system`: a node-local cache such as `169.254.20.10/32`.
    pub dns_cidrs: Vec<Cidr>,
    /// The customer's people; they get the rights of the customer's account.
    pub customer_group: Option<CustomerGroup>,
    /// Version of Pod Security `restricted`.
    pub pod_security_version: PodSecurityVersion,
    /// The shared Gateway; absent: the operator's own, which must let tenants' routes in.
    pub gateway: Option<SharedGateway>,
}

/// Private networks: RFC 1918, RFC 6598 (carriers and clouds' pods), RFC 4193.
pub const PRIVATE_NETWORKS: [&str; 5] = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"];
/// Where clouds serve machines' credentials. Not the whole link-local range: DNS caches and token agents live there.
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html>,
/// <https://cloud.google.com/compute/docs/metadata/querying-metadata>,
/// <https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16>.
/// The last four are those of smaller clouds, and the link itself, on which a node responds to its pods.
const METADATA: [&str; 8] = [
    "169.254.169.254/32",
    "fd00:ec2::254/128",
    "fd20:ce::254/128",
    "168.63.129.16/32",
    "100.100.100.200/32",
    "169.254.42.42/32",
    "169.254.0.23/32",
    "fe80::/10",
];

fn known(cidrs: &[&str]) -> Vec<Cidr> {
    cidrs.iter().filter_map(|text| text.parse().ok()).collect()
}

impl Default for IsolationSettingsInput {
    fn default() -> Self {
        Self {
            quota: Quota::default(),
            load_balancers: 0,
            load_balancer_cidrs: Vec::new(),
            internet_egress: true,
            block_private_networks: true,
            blocked_cidrs: Vec::new(),
            dns_cidrs: Vec::new(),
            customer_group: None,
            pod_security_version: PodSecurityVersion::default(),
            gateway: None,
        }
    }
}

impl Default for IsolationSettings {
    fn default() -> Self {
        Self(IsolationSettingsInput::default()).with_blocked()
    }
}

impl TryFrom<IsolationSettingsInput> for IsolationSettings {
    type Error = InvalidIsolationSetting;

    fn try_from(input: IsolationSettingsInput) -> Result<Self, InvalidIsolationSetting> {
        let quota = &input.quota;
        let needed = [
            ("cpu_request_milli", quota.cpu_request_milli),
            ("memory_request_mib", quota.memory_request_mib),
            ("memory_limit_mib", quota.memory_limit_mib),
            ("ephemeral_storage_gib", quota.ephemeral_storage_gib),
            ("pods", quota.pods),
        ];
        for (what, value) in needed {
            if value == 0 {
                return Err(invalid(what, "0", "must be at least 1: nothing could run"));
            }
        }
        let counts = [
            ("claims", quota.claims),
            ("pods", quota.pods),
            ("services", quota.services),
            ("secrets", quota.secrets),
            ("config_maps", quota.config_maps),
            ("objects", quota.objects),
            ("storage_gib", quota.storage_gib),
            ("ephemeral_storage_gib", quota.ephemeral_storage_gib),
            ("load_balancers", input.load_balancers),
        ];
        for (what, value) in counts {
            if value > COUNT_MAX {
                return Err(invalid(what, &value.to_string(), "must be at most 1000000"));
            }
        }
        if quota.memory_request_mib > quota.memory_limit_mib {
            let value = quota.memory_request_mib.to_string();
            return Err(invalid("memory_request_mib", &value, "must not be above memory_limit_mib"));
        }
        for (what, cidrs) in [
            ("blocked_cidrs", &input.blocked_cidrs),
            ("load_balancer_cidrs", &input.load_balancer_cidrs),
            ("dns_cidrs", &input.dns_cidrs),
        ] {
            if cidrs.len() > CIDRS_MAX {
                return Err(invalid(what, &cidrs.len().to_string(), "must be at most 64"));
            }
        }
        if let Some(all) = input.blocked_cidrs.iter().find(|cidr| cidr.prefix() == 0) {
            let problem = "blocks every address: set internet_egress to false instead";
            return Err(invalid("blocked_cidrs", &all.to_string(), problem));
        }
        Ok(Self(input).with_blocked())
    }
}

impl From<IsolationSettings> for IsolationSettingsInput {
    fn from(settings: IsolationSettings) -> Self {
        settings.0
    }
}

impl IsolationSettings {
    /// How much the tenant may take.
    #[must_use]
    pub fn quota(&self) -> &Quota {
        &self.0.quota
    }

    /// Most Services of type `LoadBalancer`.
    #[must_use]
    pub fn load_balancers(&self) -> u32 {
        self.0.load_balancers
    }

    /// Subnets of load balancers.
    #[must_use]
    pub fn load_balancer_cidrs(&self) -> &[Cidr] {
        &self.0.load_balancer_cidrs
    }

    /// Whether pods may open connections to the internet.
    #[must_use]
    pub fn internet_egress(&self) -> bool {
        self.0.internet_egress
    }

    /// What pods never reach, sorted, without blocks that lie in another one. Metadata addresses are among them.
    #[must_use]
    pub fn blocked_cidrs(&self) -> &[Cidr] {
        &self.0.blocked_cidrs
    }

    /// Where names are resolved besides the pods of `kube-system`.
    #[must_use]
    pub fn dns_cidrs(&self) -> &[Cidr] {
        &self.0.dns_cidrs
    }

    /// The customer's people.
    #[must_use]
    pub fn customer_group(&self) -> Option<&CustomerGroup> {
        self.0.customer_group.as_ref()
    }

    /// Version of Pod Security `restricted`.
    #[must_use]
    pub fn pod_security_version(&self) -> PodSecurityVersion {
        self.0.pod_security_version
    }

    /// The shared Gateway that landlord keeps.
    #[must_use]
    pub fn gateway(&self) -> Option<&SharedGateway> {
        self.0.gateway.as_ref()
    }

    fn with_blocked(mut self) -> Self {
        let mut all = std::mem::take(&mut self.0.blocked_cidrs);
        all.extend(known(&METADATA));
        if self.0.block_private_networks {
            all.extend(known(&PRIVATE_NETWORKS));
        }
        // The larger block comes first, so that what lies in it is dropped.
        all.sort_by_key(|cidr| (cidr.address().is_ipv6(), cidr.prefix(), cidr.address()));
        for cidr in all {
            if !self.0.blocked_cidrs.iter().any(|larger| larger.contains(cidr)) {
                self.0.blocked_cidrs.push(cidr);
            }
        }
        self.0.blocked_cidrs.sort();
        self
    }
}

/// How a tenant is kept apart on a shared cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case", tag = "level")]
pub enum IsolationLevel {
    /// An isolated namespace; its pods share nodes with other tenants'.
    Namespace,
    /// The same, and nodes of its own.
    Node {
        /// Label and taint of those nodes.
        pool: PoolLabel,
    },
}

/// Where a tenant lives on a shared cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SharedTarget {
    /// Its namespace, which holds everything of it.
    pub namespace: TenantNamespace,
    /// How it is kept apart.
    pub isolation: IsolationLevel,
    /// What isolates it.
    #[serde(default)]
    pub settings: IsolationSettings,
}

impl SharedTarget {
    /// At the level NAMESPACE.
    #[must_use]
    pub fn namespace(uid: TenantUid, settings: IsolationSettings) -> Self {
        Self { namespace: TenantNamespace::of(uid), isolation: IsolationLevel::Namespace, settings }
    }

    /// At the level NODE, on the pool that is labelled with the tenant's uid.
    #[must_use]
    pub fn node(uid: TenantUid, settings: IsolationSettings) -> Self {
        let isolation = IsolationLevel::Node { pool: PoolLabel::of(uid) };
        Self { namespace: TenantNamespace::of(uid), isolation, settings }
    }

    /// The label and taint of the tenant's own nodes, if it has any.
    #[must_use]
    pub fn pool(&self) -> Option<&PoolLabel> {
        match &self.isolation {
            IsolationLevel::Namespace => None,
            IsolationLevel::Node { pool } => Some(pool),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(value: serde_json::Value) -> Result<IsolationSettings, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    #[test]
    fn an_empty_input_is_the_default_and_survives_a_round_trip() {
        let parsed = parse(json!({})).unwrap();
        assert_eq!(parsed, IsolationSettings::default());
        assert_eq!(parse(serde_json::to_value(&parsed).unwrap()).unwrap(), parsed);
        assert_eq!((parsed.load_balancers(), parsed.internet_egress()), (0, true));
    }

    #[test]
    fn metadata_is_always_blocked_once() {
        let blocked =
            |value| -> Vec<String> { parse(value).unwrap().blocked_cidrs().iter().map(ToString::to_string).collect() };
        let default = blocked(json!({}));
        assert!(default.contains(&"169.254.169.254/32".to_owned()), "{default:?}");
        assert!(default.contains(&"fc00::/7".to_owned()) && !default.contains(&"fd00:ec2::254/128".to_owned()));
        // What is named comes on top.
        let wider = blocked(json!({ "blocked_cidrs": ["10.1.0.0/16", "203.0.113.0/24"] }));
        assert!(wider.contains(&"203.0.113.0/24".to_owned()) && wider.contains(&"10.0.0.0/8".to_owned()), "{wider:?}");
        assert!(!wider.contains(&"10.1.0.0/16".to_owned()), "{wider:?}");
        let bare = blocked(json!({ "block_private_networks": false }));
        assert!(bare.contains(&"fd00:ec2::254/128".to_owned()) && bare.contains(&"fe80::/10".to_owned()), "{bare:?}");
        assert!(!bare.contains(&"10.0.0.0/8".to_owned()), "{bare:?}");
    }

    #[test]
    fn what_can_not_be_is_refused() {
        let cases = [
            (json!({ "nope": 1 }), "nope"),
            (json!({ "quota": { "nope": 1 } }), "nope"),
            (json!({ "quota": { "pods": 0 } }), "nothing could run"),
            (json!({ "quota": { "memory_request_mib": 9, "memory_limit_mib": 8 } }), "above memory_limit_mib"),
            (json!({ "quota": { "claims": 1_000_001 } }), "at most 1000000"),
            (json!({ "blocked_cidrs": ["0.0.0.0/0"] }), "internet_egress"),
            (json!({ "blocked_cidrs": ["10.0.0.1/8"] }), "bits set"),
            (json!({ "customer_group": "system:masters" }), "own groups"),
            (json!({ "pod_security_version": "latest" }), "pinned"),
            (json!({ "gateway": { "class": "A" , "certificate": { "secret": "a" } } }), "Kubernetes names"),
            (json!({ "gateway": { "class": "a" , "certificate": { "magic": "a" } } }), "magic"),
            (
                json!({ "gateway": { "class": "a" , "certificate": { "secret": "a" }, "names": "some" } }),
                "unknown variant `some`, expected `wildcard` or `listed`",
            ),
        ];
        for (case, part) in cases {
            let message = parse(case.clone()).unwrap_err();
            assert!(message.contains(part), "{case}: {message}");
        }
    }

    #[test]
    fn names_of_the_gateway_are_a_wildcard_unless_a_class_lists_them() {
        let with = |names: Option<&str>| {
            let mut gateway = json!({ "class": "a", "certificate": { "secret": "b" } });
            if let Some(names) = names {
                gateway["names"] = json!(names);
            }
            let settings: IsolationSettings = serde_json::from_value(json!({ "gateway": gateway })).unwrap();
            let written = serde_json::to_value(&settings).unwrap()["gateway"]["names"].clone();
            (settings.gateway().unwrap().names, written)
        };
        assert_eq!(with(None), (GatewayNames::Wildcard, json!(null)));
        assert_eq!(with(Some("wildcard")), (GatewayNames::Wildcard, json!(null)));
        assert_eq!(with(Some("listed")), (GatewayNames::Listed, json!("listed")));
    }

    #[test]
    fn a_place_is_stored_and_read() {
        let uid = TenantUid(uuid::Uuid::from_u128(7));
        let place = SharedTarget::node(uid, IsolationSettings::default());
        let text = serde_json::to_value(&place).unwrap();
        assert_eq!(text["isolation"], json!({ "level": "node", "pool": "00000000000000000000000000000007" }));
        assert_eq!(serde_json::from_value::<SharedTarget>(text).unwrap(), place);
        assert_eq!(SharedTarget::namespace(uid, IsolationSettings::default()).pool(), None);
    }
}
