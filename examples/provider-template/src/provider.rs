//! Which method of the contract is which object of Nimbus, what the provider is configured with, and what it says of itself.

use async_trait::async_trait;
use landlord_provider_api::{
    Cluster, Dns, Identity, Inventory, Method, Network, NodePool, Provider, ProviderPlugin,
    v1::{self, ResourceKind as Kind},
};
use serde_json::{Map, Value, json};

use crate::{
    cloud::{BUCKET, Cloud, Object, Result},
    objects::{self, Place, checked, invalid},
};

const ENDPOINT: &str = "https://api.nimbus.example";
const REGIONS: &str = "north-1 south-1";
const MACHINES: &str = "nimbus.small nimbus.large";
const NODES: std::ops::RangeInclusive<i32> = 1..=100;

/// The one text that a JSON object must hold, and nothing else. The error names keys, never a value: it may be a secret.
fn only(what: &str, key: &str, json: &[u8]) -> Result<String> {
    let fields: Map<String, Value> = serde_json::from_slice(json).unwrap_or_default();
    let keys = fields.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    let value = fields.get(key).and_then(Value::as_str).filter(|text| fields.len() == 1 && !text.is_empty());
    value.map(str::to_owned).ok_or_else(|| invalid(format!("{what} must be {{{key:?}: \"…\"}}; its keys are: {keys}")))
}

fn version(parameters: &str) -> Result<String> {
    only("parameters", "kubernetes_version", parameters.as_bytes())
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
        Kind::Unspecified => return Err(invalid("the request names no kind")),
    };
    Place::new(scope, collection, role)
}

/// Nimbus with one credential.
pub struct Nimbus(Cloud);

impl Nimbus {
    async fn ensure(&self, scope: Option<v1::Scope>, kind: Kind, pool: &str, spec: Value) -> Result<Made> {
        objects::ensure(&self.0, &place(&scope, kind, pool)?, &spec).await
    }
}

type Made = (Option<v1::Progress>, Option<Object>);

fn need<T>(part: Option<T>, what: &str) -> Result<T> {
    part.ok_or_else(|| invalid(format!("the request lacks {what}")))
}

#[async_trait]
impl Network for Nimbus {
    async fn ensure_network(&self, request: v1::EnsureNetworkRequest) -> Result<v1::EnsureNetworkResponse> {
        version(&request.parameters_json)?;
        let (progress, made) = self.ensure(request.scope, Kind::Network, "", json!({})).await?;
        let status = made.map(|object| v1::NetworkStatus { network_id: object.id, ..Default::default() });
        Ok(v1::EnsureNetworkResponse { progress, status })
    }
}

#[async_trait]
impl Cluster for Nimbus {
    async fn ensure_cluster(&self, request: v1::EnsureClusterRequest) -> Result<v1::EnsureClusterResponse> {
        let version = version(&request.parameters_json)?;
        let network = need(request.network, "the network")?.network_id;
        let spec = json!({ "network": network, "version": version });
        let (progress, made) = self.ensure(request.scope, Kind::Cluster, "", spec).await?;
        let status = made.map(|object| v1::ClusterStatus {
            endpoint: format!("https://{}.k8s.nimbus.example", object.id),
            kubernetes_version: version,
            name: object.name,
            ..Default::default()
        });
        Ok(v1::EnsureClusterResponse { progress, status })
    }

    async fn ensure_addons(&self, request: v1::EnsureAddonsRequest) -> Result<v1::EnsureAddonsResponse> {
        let cluster = need(request.cluster, "the cluster")?.name;
        let spec = json!({ "cluster": cluster, "names": ["cni", "dns", "csi"] });
        let (progress, _) = self.ensure(request.scope, Kind::Addons, "", spec).await?;
        Ok(v1::EnsureAddonsResponse { progress })
    }

    async fn kube_access(&self, request: v1::KubeAccessRequest) -> Result<v1::KubeAccess> {
        checked(&request.scope, false)?;
        let path = format!("clusters/{}/token", need(request.cluster, "the cluster")?.name);
        let access: Map<String, Value> = self.0.call(reqwest::Method::POST, &path, None).await?;
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
        let spec = json!({ "cluster": cluster, "machine": pool.machine_type, "nodes": pool.node_count });
        let (progress, made) = self.ensure(request.scope, Kind::NodePool, &pool.role, spec).await?;
        let status = made.map(|object| v1::NodePoolStatus { name: object.name, node_count: pool.node_count });
        Ok(v1::EnsureNodePoolResponse { progress, status })
    }
}

#[async_trait]
impl Dns for Nimbus {
    async fn ensure_dns_zone(&self, request: v1::EnsureDnsZoneRequest) -> Result<v1::EnsureDnsZoneResponse> {
        let spec = json!({ "domain": need(request.spec, "the zone")?.domain });
        let (progress, made) = self.ensure(request.scope, Kind::DnsZone, "", spec).await?;
        let name_servers = vec!["ns1.nimbus.example".to_owned(), "ns2.nimbus.example".to_owned()];
        let status = made.map(|object| v1::DnsZoneStatus { zone_id: object.id, name_servers });
        Ok(v1::EnsureDnsZoneResponse { progress, status })
    }

    async fn ensure_dns_records(&self, request: v1::EnsureDnsRecordsRequest) -> Result<v1::EnsureDnsRecordsResponse> {
        let record = |r: &v1::DnsRecord| json!([r.name, r.r#type, r.ttl_seconds, r.values]);
        let records: Vec<Value> = request.records.iter().map(record).collect();
        let spec = json!({ "zone": need(request.zone, "the zone")?.zone_id, "records": records });
        let (progress, _) = self.ensure(request.scope, Kind::DnsRecords, "", spec).await?;
        Ok(v1::EnsureDnsRecordsResponse { progress })
    }
}

#[async_trait]
impl Identity for Nimbus {
    async fn ensure_identity(&self, request: v1::EnsureIdentityRequest) -> Result<v1::EnsureIdentityResponse> {
        let (cluster, zone) = (need(request.cluster, "the cluster")?.name, need(request.zone, "the zone")?.zone_id);
        let spec = json!({ "cluster": cluster, "zone": zone, "service_account": "external-dns/external-dns" });
        let (progress, _) = self.ensure(request.scope, Kind::Identity, "", spec).await?;
        Ok(v1::EnsureIdentityResponse { progress, status: None })
    }
}

#[async_trait]
impl Inventory for Nimbus {
    async fn observe(&self, request: v1::ObserveRequest) -> Result<v1::ObserveResponse> {
        objects::observe(&self.0, &place(&request.scope, request.kind(), &request.role)?).await
    }

    async fn delete(&self, request: v1::DeleteRequest) -> Result<v1::DeleteResponse> {
        let place = place(&request.scope, request.kind(), &request.role)?;
        Ok(v1::DeleteResponse { progress: objects::delete(&self.0, &place, request.recorded).await? })
    }

    async fn list_owned(&self, request: v1::ListOwnedRequest) -> Result<v1::ListOwnedResponse> {
        objects::list(&self.0, checked(&request.scope, true)?, &request.page_token).await
    }
}

#[async_trait]
impl Provider for Nimbus {
    async fn describe(&self, _request: v1::DescribeRequest) -> Result<v1::DescribeResponse> {
        Ok(landlord_provider_api::provider::describe::<Self>())
    }

    async fn validate(&self, request: v1::ValidateRequest) -> Result<v1::ValidateResponse> {
        // What is absent is not wanted: a shared cluster has no zone, a tenant on its nodes no pool.
        let (pool, zone) = (request.node_pool.as_ref(), request.dns_zone.as_ref());
        let region = request.scope.unwrap_or_default().region;
        let problem = version(&request.parameters_json).err().map(|error| error.message);
        let among = |text: &str, all: &str| all.split(' ').any(|one| one == text);
        let findings = [
            ("region", !among(&region, REGIONS), format!("is none of {REGIONS}")),
            ("parameters", problem.is_some(), problem.unwrap_or_default()),
            ("machine_type", pool.is_some_and(|p| !among(&p.machine_type, MACHINES)), format!("is none of {MACHINES}")),
            ("node_count", pool.is_some_and(|p| !NODES.contains(&p.node_count)), format!("must be within {NODES:?}")),
            ("domain", zone.is_some_and(|z| !z.domain.contains('.')), "must be a domain such as acme.example".into()),
        ];
        let violation = |(field, _, description): (&str, _, _)| v1::FieldViolation { field: field.into(), description };
        Ok(v1::ValidateResponse { violations: findings.into_iter().filter(|one| one.1).map(violation).collect() })
    }
}

#[async_trait]
impl ProviderPlugin for Nimbus {
    const NAME: &'static str = "nimbus";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    fn description() -> v1::DescribeResponse {
        let seconds = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
        let schema = |key: &str| {
            let properties = json!({ key: { "type": "string" } });
            json!({ "type": "object", "additionalProperties": false, "required": [key], "properties": properties })
        };
        let source = "the fictional cloud's own server, examples/nimbus/server.rs (2026-11)".to_owned();
        let methods = || Method::ALL.iter().map(|method| method.name().to_owned());
        v1::DescribeResponse {
            name: Self::NAME.into(),
            version: Self::VERSION.into(),
            capabilities: Vec::new(),
            config_schema: schema("project").to_string(),
            parameters_schema: schema("kubernetes_version").to_string(),
            expected_durations: methods()
                .filter(|name| name.starts_with("Ensure"))
                .map(|method| v1::ExpectedDuration { method, typical: seconds(2), slow: seconds(60) })
                .collect(),
            rate_buckets: vec![v1::RateBucket { name: BUCKET.into(), rate_per_second: 50.0, burst: 100.0, source }],
            method_costs: methods()
                .filter(|name| !matches!(name.as_str(), "Describe" | "Configure" | "Validate"))
                .map(|method| v1::MethodCost { method, bucket: BUCKET.into(), cost: 1.5 })
                .collect(),
        }
    }

    async fn configure(request: v1::ConfigureRequest) -> Result<Self> {
        let project = only("settings", "project", request.config_json.as_bytes());
        let token = only("credential", "token", &request.credential_json);
        let (project, token) = match (project, token) {
            (Ok(project), Ok(token)) => (project, token),
            // All problems at once.
            (Err(one), Err(two)) => return Err(invalid(format!("{}; {}", one.message, two.message))),
            (Err(error), _) | (_, Err(error)) => return Err(error),
        };
        let endpoint = if request.endpoint_override.is_empty() { ENDPOINT } else { &request.endpoint_override };
        Cloud::new(endpoint, &project, token).map(Self)
    }
}
