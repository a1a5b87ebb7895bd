//! A tenant of a run: its scope, the stages that it goes through, and the requests of each. Judges nothing.

use std::collections::BTreeMap;

use landlord_plugin_host::Plugin;
use landlord_provider_api::{
    Cluster as _, Dns as _, Identity as _, Inventory as _, Network as _, NodePool as _, ProviderError, v1,
};
use serde_json::Value;
use v1::ResourceKind as Kind;

use crate::config::Config;

/// Role of the only node pool.
pub(crate) const POOL_ROLE: &str = "default";
/// The contract's words of what a plugin offers (`DescribeResponse.capabilities`).
pub(crate) const CAPABILITIES: [&str; 7] =
    ["networks", "clusters", "node-pools", "node-scaling", "dns", "identity", "adopts-clusters"];
/// An address for documentation (RFC 5737): nobody is there.
const RECORD_VALUE: &str = "192.0.2.1";
const RECORD_TTL_S: i32 = 60;

/// A stage of level `CLUSTER`, in the words of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// EnsureNetwork.
    Network,
    /// EnsureDnsZone.
    DnsZone,
    /// EnsureCluster.
    Cluster,
    /// EnsureNodePool.
    NodePool,
    /// EnsureAddons.
    Addons,
    /// EnsureIdentity.
    Identity,
    /// EnsureDnsRecords.
    DnsRecords,
}

impl Stage {
    /// All, in an order in which each has what it needs.
    pub const ALL: [Self; 7] =
        [Self::Network, Self::DnsZone, Self::Cluster, Self::NodePool, Self::Addons, Self::Identity, Self::DnsRecords];

    /// Stages that the daemon runs side by side, in order. Add-ons become ready only once there are nodes.
    pub const WAVES: [&'static [Self]; 4] = [
        &[Self::Network, Self::DnsZone],
        &[Self::Cluster],
        &[Self::NodePool, Self::Addons],
        &[Self::Identity, Self::DnsRecords],
    ];

    /// The capability without which a plugin is not requested it. A cluster, its own or one that is adopted, has every
    /// plugin.
    #[must_use]
    pub fn capability(self) -> Option<&'static str> {
        match self {
            Self::Network => Some("networks"),
            Self::NodePool => Some("node-pools"),
            Self::DnsZone | Self::DnsRecords => Some("dns"),
            Self::Identity => Some("identity"),
            Self::Cluster | Self::Addons => None,
        }
    }

    /// Its word in configurations and reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::DnsZone => "dns-zone",
            Self::Cluster => "cluster",
            Self::NodePool => "node-pool",
            Self::Addons => "addons",
            Self::Identity => "identity",
            Self::DnsRecords => "dns-records",
        }
    }

    /// What it is called in Observe and Delete.
    #[must_use]
    pub fn kind(self) -> Kind {
        match self {
            Self::Network => Kind::Network,
            Self::DnsZone => Kind::DnsZone,
            Self::Cluster => Kind::Cluster,
            Self::NodePool => Kind::NodePool,
            Self::Addons => Kind::Addons,
            Self::Identity => Kind::Identity,
            Self::DnsRecords => Kind::DnsRecords,
        }
    }
}

/// What the stages came to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Made {
    /// Of Network.
    pub network: Option<v1::NetworkStatus>,
    /// Of Cluster.
    pub cluster: Option<v1::ClusterStatus>,
    /// Of NodePool.
    pub pool: Option<v1::NodePoolStatus>,
    /// Of DnsZone.
    pub zone: Option<v1::DnsZoneStatus>,
}

impl Made {
    /// Adds the content of another response.
    pub fn merge(&mut self, other: Self) {
        self.network = other.network.or(self.network.take());
        self.cluster = other.cluster.or(self.cluster.take());
        self.pool = other.pool.or(self.pool.take());
        self.zone = other.zone.or(self.zone.take());
    }

    /// What identifies the objects; further attributes may move.
    #[must_use]
    pub fn ids(&self) -> [Option<&str>; 4] {
        [
            self.network.as_ref().map(|network| network.network_id.as_str()),
            self.cluster.as_ref().map(|cluster| cluster.name.as_str()),
            self.pool.as_ref().map(|pool| pool.name.as_str()),
            self.zone.as_ref().map(|zone| zone.zone_id.as_str()),
        ]
    }

    /// Whether a stage's status is there. Stages without one are always fine.
    #[must_use]
    pub fn reports(&self, stage: Stage) -> bool {
        match stage {
            Stage::Network => self.network.is_some(),
            Stage::Cluster => self.cluster.is_some(),
            Stage::NodePool => self.pool.is_some(),
            Stage::DnsZone => self.zone.is_some(),
            Stage::Addons | Stage::Identity | Stage::DnsRecords => true,
        }
    }
}

/// A tenant.
#[derive(Debug, Clone)]
pub struct Tenant {
    /// For whom and where.
    pub scope: v1::Scope,
    /// Its domain.
    pub domain: String,
    /// Class parameters.
    pub parameters_json: String,
    /// Its node pool.
    pub pool: v1::NodePoolSpec,
    /// What is there.
    pub made: Made,
    /// Caches handed back in the next call.
    pub checkpoints: BTreeMap<Stage, Vec<u8>>,
}

impl Tenant {
    /// A tenant that was never there before.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let uid = uuid::Uuid::now_v7().to_string();
        // The end of a v7 UUID is the random part.
        let label = format!("t{}", &uid[uid.len() - 12..]);
        let labels = [("landlord-customer".to_owned(), "conformance".to_owned())].into();
        Self {
            domain: format!("{label}.{}", config.domain.trim_end_matches('.')),
            scope: v1::Scope {
                installation: config.installation.clone(),
                tenant_uid: uid,
                region: config.region.clone(),
                account: config.account.clone(),
                labels,
                generation: 1,
                ..v1::Scope::default()
            },
            parameters_json: Value::Object(config.parameters.clone()).to_string(),
            pool: v1::NodePoolSpec {
                role: POOL_ROLE.into(),
                machine_type: config.node_pool.machine_type.clone(),
                node_count: config.node_pool.node_count,
                ..v1::NodePoolSpec::default()
            },
            made: Made::default(),
            checkpoints: BTreeMap::new(),
        }
    }

    /// The same tenant as a daemon sees it that has lost everything but the order.
    #[must_use]
    pub fn forgotten(&self) -> Self {
        Self { made: Made::default(), checkpoints: BTreeMap::new(), ..self.clone() }
    }

    fn records(&self) -> Vec<v1::DnsRecord> {
        let record = |name: String| v1::DnsRecord {
            name,
            r#type: "A".into(),
            ttl_seconds: RECORD_TTL_S,
            values: vec![RECORD_VALUE.into()],
        };
        vec![record(self.domain.clone()), record(format!("files.{}", self.domain))]
    }

    /// One call of a stage.
    ///
    /// # Errors
    /// The provider's.
    pub async fn ensure(&self, plugin: &Plugin, stage: Stage) -> Result<(v1::Progress, Made), ProviderError> {
        let scope = Some(self.scope.clone());
        let parameters_json = self.parameters_json.clone();
        let checkpoint = self.checkpoints.get(&stage).cloned().unwrap_or_default();
        let (network, cluster, zone) = (self.made.network.clone(), self.made.cluster.clone(), self.made.zone.clone());
        let mut made = Made::default();
        let progress = match stage {
            Stage::Network => {
                let request = v1::EnsureNetworkRequest { scope, parameters_json, checkpoint };
                let response = plugin.ensure_network(request).await?;
                made.network = response.status;
                response.progress
            }
            Stage::Cluster => {
                let node_pool = Some(self.pool.clone());
                let request = v1::EnsureClusterRequest { scope, parameters_json, network, checkpoint, node_pool };
                let response = plugin.ensure_cluster(request).await?;
                made.cluster = response.status;
                response.progress
            }
            Stage::NodePool => {
                let spec = Some(self.pool.clone());
                let request = v1::EnsureNodePoolRequest { scope, parameters_json, network, cluster, spec, checkpoint };
                let response = plugin.ensure_node_pool(request).await?;
                made.pool = response.status;
                response.progress
            }
            Stage::Addons => {
                let request = v1::EnsureAddonsRequest { scope, parameters_json, network, cluster, checkpoint };
                plugin.ensure_addons(request).await?.progress
            }
            Stage::DnsZone => {
                let spec = Some(v1::DnsZoneSpec { domain: self.domain.clone() });
                let response = plugin.ensure_dns_zone(v1::EnsureDnsZoneRequest { scope, spec, checkpoint }).await?;
                made.zone = response.status;
                response.progress
            }
            Stage::DnsRecords => {
                let request = v1::EnsureDnsRecordsRequest { scope, zone, records: self.records() };
                plugin.ensure_dns_records(request).await?.progress
            }
            Stage::Identity => {
                let request = v1::EnsureIdentityRequest { scope, parameters_json, network, cluster, zone };
                plugin.ensure_identity(request).await?.progress
            }
        };
        Ok((progress.unwrap_or_default(), made))
    }

    /// One call of Delete.
    ///
    /// # Errors
    /// The provider's.
    pub async fn delete(&self, plugin: &Plugin, kind: Kind) -> Result<v1::Progress, ProviderError> {
        self.delete_as(plugin, kind, false).await
    }

    /// The same of what the daemon's records call the tenant's, whatever it is marked with.
    ///
    /// # Errors
    /// The provider's.
    pub async fn delete_recorded(&self, plugin: &Plugin, kind: Kind) -> Result<v1::Progress, ProviderError> {
        self.delete_as(plugin, kind, true).await
    }

    async fn delete_as(&self, plugin: &Plugin, kind: Kind, recorded: bool) -> Result<v1::Progress, ProviderError> {
        let request = v1::DeleteRequest {
            scope: Some(self.scope.clone()),
            kind: kind.into(),
            role: self.pool.role.clone(),
            domain: self.domain.clone(),
            checkpoint: Vec::new(),
            recorded,
        };
        Ok(plugin.delete(request).await?.progress.unwrap_or_default())
    }

    /// One call of Observe.
    ///
    /// # Errors
    /// The provider's.
    pub async fn observe(&self, plugin: &Plugin, kind: Kind) -> Result<v1::ObserveResponse, ProviderError> {
        let request = v1::ObserveRequest {
            scope: Some(self.scope.clone()),
            kind: kind.into(),
            role: self.pool.role.clone(),
            domain: self.domain.clone(),
            ..v1::ObserveRequest::default()
        };
        plugin.observe(request).await
    }

    /// Access to its API server.
    ///
    /// # Errors
    /// The provider's.
    pub async fn kube_access(&self, plugin: &Plugin) -> Result<v1::KubeAccess, ProviderError> {
        let request = v1::KubeAccessRequest { scope: Some(self.scope.clone()), cluster: self.made.cluster.clone() };
        plugin.kube_access(request).await
    }
}
