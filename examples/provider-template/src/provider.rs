//! Which method of the contract is which object of Nimbus, what the provider is configured with, and what it says of itself.

use async_trait::async_trait;
use landlord_provider_api::{
    Cluster, Dns, Identity, Inventory, Network, NodePool, Provider, ProviderPlugin, provider,
    v1::{self, ResourceKind as Kind},
};
use landlord_provider_sdk::{
    configure::Problems,
    describe::{Tables, one_bucket, same_durations},
    endpoint,
    findings::{Findings, PoolBounds},
    progress::{Outcome, done},
    request::{is_of_host, missing, need, own_cluster},
    settings,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    cloud::{BUCKET, Object, Result},
    either::{Api, Objects},
    objects::{self, Place, checked},
};

const ENDPOINT: &str = "https://api.nimbus.example";
const REGIONS: [&str; 2] = ["north-1", "south-1"];
const MACHINES: [&str; 2] = ["nimbus.small", "nimbus.large"];
const POOL: PoolBounds<'_> = PoolBounds { nodes_max: 100, disk_gib: 10..=1_000, reserved_labels: &["nimbus.example/"] };

const TABLES: Tables<'_> = Tables {
    capabilities: &[],
    buckets: &[(BUCKET, 50.0, 100.0, "the fictional cloud's own server, examples/nimbus/server.rs (2026-11)")],
    costs: &one_bucket(BUCKET, 1.5),
    durations: &same_durations(2, 60),
};

/// Settings of the provider.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    project: String,
    #[serde(default)]
    api: Api,
}

/// The credential. It has no `Debug`, so that nothing prints it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Credential {
    token: String,
}

/// The class's parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    kubernetes_version: String,
}

fn version(parameters: &str) -> Result<String> {
    settings::parameters::<Parameters>(parameters).map(|parameters| parameters.kubernetes_version)
}

/// Where a kind of the contract is in Nimbus. There are never leftovers there: Nimbus leaves none.
fn place<'a>(scope: &'a Option<v1::Scope>, kind: Kind, pool: &'a str) -> Result<Place<'a>> {
    let (collection, role) = match kind {
        Kind::Network => ("networks", "network"),
        Kind::Cluster => ("clusters", "cluster"),
        Kind::Addons => ("addons", "addons"),
        Kind::NodePool => ("pools", pool),
        Kind::DnsZone => ("zones", "dns-zone"),
        Kind::DnsRecords => ("recordsets", "dns-records"),
        Kind::Identity => ("bindings", "identity"),
        Kind::Leftovers => ("leftovers", "none"),
        Kind::Unspecified => return Err(missing("the kind")),
    };
    Place::new(scope, collection, role)
}

/// Nimbus with one credential.
pub struct Nimbus(Objects);

impl Nimbus {
    async fn ensure(&self, scope: Option<v1::Scope>, kind: Kind, pool: &str, spec: Value, last: &[u8]) -> Result<Made> {
        let place = place(&scope, kind, pool)?;
        if is_of_host(place.scope, kind) {
            own_cluster(place.scope.clone(), "node pools")?;
        }
        self.0.ensure(&place, &spec, last).await
    }
}

type Made = (Outcome, Option<Object>);

#[async_trait]
impl Network for Nimbus {
    async fn ensure_network(&self, request: v1::EnsureNetworkRequest) -> Result<v1::EnsureNetworkResponse> {
        version(&request.parameters_json)?;
        let (outcome, made) = self.ensure(request.scope, Kind::Network, "", json!({}), &request.checkpoint).await?;
        let status = made.map(|object| v1::NetworkStatus { network_id: object.id, ..Default::default() });
        Ok(v1::EnsureNetworkResponse { progress: done(outcome), status })
    }
}

#[async_trait]
impl Cluster for Nimbus {
    async fn ensure_cluster(&self, request: v1::EnsureClusterRequest) -> Result<v1::EnsureClusterResponse> {
        let version = version(&request.parameters_json)?;
        let network = need(request.network, "the network")?.network_id;
        let spec = json!({ "network": network, "version": version });
        let (outcome, made) = self.ensure(request.scope, Kind::Cluster, "", spec, &request.checkpoint).await?;
        let status = made.map(|object| v1::ClusterStatus {
            endpoint: format!("https://{}.k8s.nimbus.example", object.id),
            kubernetes_version: version,
            name: object.name,
            ..Default::default()
        });
        Ok(v1::EnsureClusterResponse { progress: done(outcome), status })
    }

    async fn ensure_addons(&self, request: v1::EnsureAddonsRequest) -> Result<v1::EnsureAddonsResponse> {
        let cluster = need(request.cluster, "the cluster")?.name;
        let spec = json!({ "cluster": cluster, "names": ["cni", "dns", "csi"] });
        let (outcome, _) = self.ensure(request.scope, Kind::Addons, "", spec, &request.checkpoint).await?;
        Ok(v1::EnsureAddonsResponse { progress: done(outcome) })
    }

    async fn kube_access(&self, request: v1::KubeAccessRequest) -> Result<v1::KubeAccess> {
        checked(&request.scope, false)?;
        let path = self.0.token_path(&need(request.cluster, "the cluster")?.name);
        let access: Map<String, Value> = self.0.cloud.call(reqwest::Method::POST, &path, None).await?;
        let text = |key: &str| access.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let seconds = access.get("expires_unix_s").and_then(Value::as_i64).unwrap_or_default();
        let expire_time = Some(prost_types::Timestamp { seconds, nanos: 0 });
        let (endpoint, ca_pem, token) = (text("endpoint"), text("ca_pem"), text("token"));
        Ok(v1::KubeAccess { endpoint, ca_pem, token, expire_time, ..v1::KubeAccess::default() })
    }
}

#[async_trait]
impl NodePool for Nimbus {
    async fn ensure_node_pool(&self, request: v1::EnsureNodePoolRequest) -> Result<v1::EnsureNodePoolResponse> {
        let (pool, cluster) = (need(request.spec, "the pool")?, need(request.cluster, "the cluster")?.name);
        // Labels and taints are on the nodes from their first moment: they go into the create call.
        let taints: Vec<_> = pool.taints.iter().map(|t| format!("{}={}:{}", t.key, t.value, t.effect)).collect();
        let spec = json!({
            "cluster": cluster, "machine": pool.machine_type, "disk_gib": pool.disk_size_gib,
            "nodes": pool.node_count, "nodes_max": pool.node_count_max.max(pool.node_count),
            "labels": pool.labels, "taints": taints,
        });
        let (outcome, made) = self.ensure(request.scope, Kind::NodePool, &pool.role, spec, &request.checkpoint).await?;
        let status = made.map(|object| v1::NodePoolStatus { name: object.name, node_count: pool.node_count });
        Ok(v1::EnsureNodePoolResponse { progress: done(outcome), status })
    }
}

#[async_trait]
impl Dns for Nimbus {
    async fn ensure_dns_zone(&self, request: v1::EnsureDnsZoneRequest) -> Result<v1::EnsureDnsZoneResponse> {
        let spec = json!({ "domain": need(request.spec, "the zone")?.domain });
        let (outcome, made) = self.ensure(request.scope, Kind::DnsZone, "", spec, &request.checkpoint).await?;
        let name_servers = vec!["ns1.nimbus.example".to_owned(), "ns2.nimbus.example".to_owned()];
        let status = made.map(|object| v1::DnsZoneStatus { zone_id: object.id, name_servers });
        Ok(v1::EnsureDnsZoneResponse { progress: done(outcome), status })
    }

    async fn ensure_dns_records(&self, request: v1::EnsureDnsRecordsRequest) -> Result<v1::EnsureDnsRecordsResponse> {
        let record = |r: &v1::DnsRecord| json!([r.name, r.r#type, r.ttl_seconds, r.values]);
        let records: Vec<Value> = request.records.iter().map(record).collect();
        let spec = json!({ "zone": need(request.zone, "the zone")?.zone_id, "records": records });
        let (outcome, _) = self.ensure(request.scope, Kind::DnsRecords, "", spec, &[]).await?;
        Ok(v1::EnsureDnsRecordsResponse { progress: done(outcome) })
    }
}

/// A cloud without identities of service accounts says `impl lacks::Identity for Nimbus {}` instead.
#[async_trait]
impl Identity for Nimbus {
    async fn ensure_identity(&self, request: v1::EnsureIdentityRequest) -> Result<v1::EnsureIdentityResponse> {
        let (cluster, zone) = (need(request.cluster, "the cluster")?.name, need(request.zone, "the zone")?.zone_id);
        let spec = json!({ "cluster": cluster, "zone": zone, "service_account": "external-dns/external-dns" });
        let (outcome, _) = self.ensure(request.scope, Kind::Identity, "", spec, &[]).await?;
        Ok(v1::EnsureIdentityResponse { progress: done(outcome), status: None })
    }
}

#[async_trait]
impl Inventory for Nimbus {
    async fn observe(&self, request: v1::ObserveRequest) -> Result<v1::ObserveResponse> {
        self.0.observe(&place(&request.scope, request.kind(), &request.role)?).await
    }

    async fn delete(&self, request: v1::DeleteRequest) -> Result<v1::DeleteResponse> {
        let place = place(&request.scope, request.kind(), &request.role)?;
        Ok(v1::DeleteResponse { progress: Some(self.0.delete(&place, request.recorded).await?) })
    }

    async fn list_owned(&self, request: v1::ListOwnedRequest) -> Result<v1::ListOwnedResponse> {
        objects::list(&self.0.cloud, checked(&request.scope, true)?, &request.page_token).await
    }
}

#[async_trait]
impl Provider for Nimbus {
    async fn describe(&self, _request: v1::DescribeRequest) -> Result<v1::DescribeResponse> {
        Ok(provider::describe::<Self>())
    }

    async fn validate(&self, request: v1::ValidateRequest) -> Result<v1::ValidateResponse> {
        let mut findings = Findings::default();
        findings.one_of("region", &request.scope.unwrap_or_default().region, &REGIONS);
        if let Err(error) = version(&request.parameters_json) {
            findings.add("parameters", error.message);
        }
        // What is absent is not wanted: a shared cluster has no zone, a tenant on its nodes no pool.
        if let Some(pool) = &request.node_pool {
            findings.one_of("machine_type", &pool.machine_type, &MACHINES);
            findings.pool(pool, &POOL);
        }
        if let Some(zone) = &request.dns_zone {
            findings.domain(&zone.domain);
        }
        Ok(v1::ValidateResponse { violations: findings.into_violations() })
    }
}

#[async_trait]
impl ProviderPlugin for Nimbus {
    const NAME: &'static str = "nimbus";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    fn description() -> v1::DescribeResponse {
        let schema = |key: &str, properties: Value| {
            json!({ "type": "object", "additionalProperties": false, "required": [key], "properties": properties })
                .to_string()
        };
        let settings = json!({ "project": { "type": "string" }, "api": { "enum": ["names", "ids"] } });
        let parameters = json!({ "kubernetes_version": { "type": "string" } });
        let (settings, parameters) = (schema("project", settings), schema("kubernetes_version", parameters));
        TABLES.describe(Self::NAME, Self::VERSION, settings, parameters)
    }

    async fn configure(request: v1::ConfigureRequest) -> Result<Self> {
        let mut problems = Problems::default();
        let settings = problems.keep(settings::parse::<Settings>(&request.config_json));
        let remedy = "the credential is {\"token\": \"…\"}";
        let credential = problems.keep(settings::credential::<Credential>(&request.credential_json, remedy));
        let endpoint = problems.keep(endpoint::check(&request, endpoint::Path::Allowed));
        let (Some(settings), Some(credential), Some(endpoint)) = (settings, credential, endpoint) else {
            return Err(problems.into_error());
        };
        let endpoint = endpoint.as_ref().map_or_else(|| ENDPOINT.to_owned(), endpoint::base);
        Objects::new(settings.api, &endpoint, &settings.project, credential.token).map(Self)
    }
}
