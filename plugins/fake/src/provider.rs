//! The provider: each method is a fault, if one is scripted, around a change of the cloud.

use std::{collections::BTreeSet, io::Write as _, sync::Arc, time::Duration};

use async_trait::async_trait;
use landlord_provider_api::{
    Cluster, Dns, ErrorKind, Identity, Inventory, Network, NodePool, Provider, ProviderError, ProviderPlugin, v1,
};
use parking_lot::Mutex;

use crate::{
    cloud::{Cloud, Stage, Wanted},
    config::{Config, Defect},
    describe,
    fault::{self, Faults},
    lacks,
    object::Kind,
};

/// The fake provider.
#[derive(Debug)]
pub struct Fake {
    config: Config,
    cloud: Cloud,
    faults: Arc<Faults>,
    /// What this process made, for a plugin that is forgetful.
    made: Mutex<BTreeSet<(String, Kind, String)>>,
}

/// As long as a real cloud's tokens last, in its order of magnitude.
const TOKEN_LIFE: Duration = Duration::from_secs(900);

type Result<T> = std::result::Result<T, ProviderError>;

impl Fake {
    /// Carries out a call between its faults.
    async fn act<T>(
        &self,
        method: &str,
        scope: Option<&v1::Scope>,
        work: impl FnOnce(&v1::Scope) -> Result<T>,
    ) -> Result<T> {
        let missing = || ProviderError::new(ErrorKind::Invalid, format!("{method} without a scope"));
        let scope = scope.ok_or_else(missing)?;
        if let Some(action) = self.faults.take_for(method, &scope.tenant_uid, false)? {
            action.inject().await?;
        }
        let result = work(scope)?;
        if let Some(action) = self.faults.take_for(method, &scope.tenant_uid, true)? {
            action.inject().await?;
        }
        Ok(result)
    }

    async fn ensure(
        &self,
        method: &str,
        scope: Option<&v1::Scope>,
        kind: Kind,
        role: &str,
        spec: String,
    ) -> Result<v1::Progress> {
        let duration = self.config.duration(method);
        self.offered(kind)?;
        self.act(method, scope, |scope| {
            if !scope.host_cluster.is_empty() && kind.is_of_host() {
                let problem = format!("cluster {} is shared: {method} is its host's", scope.host_cluster);
                return Err(ProviderError::new(ErrorKind::Invalid, problem));
            }
            if self.config.has(Defect::MakesNothing) {
                return Ok(self.progress(Stage::Ready, Vec::new()));
            }
            let first = self.made.lock().insert((scope.tenant_uid.clone(), kind, role.to_owned()));
            let observations = !(first && self.config.has(Defect::Forgetful));
            let marked = !(kind == Kind::Cluster && self.config.has(Defect::ForgetsMarker));
            let stage = self.cloud.ensure(&Wanted { scope, kind, role, spec, duration, observations, marked })?;
            Ok(self.progress(stage, Vec::new()))
        })
        .await
    }

    fn offered(&self, kind: Kind) -> Result<()> {
        let capability = kind.capability().filter(|_| !self.config.has(Defect::MakesWhatItLacks));
        capability.map_or(Ok(()), lacks::refuse)
    }

    fn progress(&self, stage: Stage, removed: Vec<v1::OwnedObject>) -> v1::Progress {
        use v1::progress::Outcome;
        let outcome = match stage {
            Stage::Ready => Outcome::Ready(v1::Ready::default()),
            Stage::Gone => Outcome::Gone(v1::Gone {}),
            Stage::Pending(detail) => Outcome::Pending(v1::Pending {
                poll_after: Duration::from_millis(self.config.poll_after_ms).try_into().ok(),
                detail,
                ..v1::Pending::default()
            }),
        };
        v1::Progress { outcome: Some(outcome), removed }
    }
}

/// Class parameters, which may be anything but must be JSON.
fn parameters(json: String) -> Result<String> {
    let fits = json.is_empty() || serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&json).is_ok();
    fits.then_some(json).ok_or_else(|| ProviderError::new(ErrorKind::Invalid, "the parameters are no JSON object"))
}

fn is_ready(progress: &v1::Progress) -> bool {
    matches!(progress.outcome, Some(v1::progress::Outcome::Ready(_)))
}

fn uid(scope: Option<&v1::Scope>) -> &str {
    scope.map_or("", |scope| scope.tenant_uid.as_str())
}

#[async_trait]
impl Network for Fake {
    async fn ensure_network(&self, request: v1::EnsureNetworkRequest) -> Result<v1::EnsureNetworkResponse> {
        let scope = request.scope.as_ref();
        let spec = parameters(request.parameters_json)?;
        let progress = self.ensure("EnsureNetwork", scope, Kind::Network, "", spec).await?;
        let network = format!("net-{}", uid(scope));
        tracing::info!(network, "a network is ensured");
        let status = is_ready(&progress).then(|| v1::NetworkStatus {
            private_subnet_ids: vec![format!("{network}-private")],
            public_subnet_ids: vec![format!("{network}-public")],
            network_id: network,
            ..v1::NetworkStatus::default()
        });
        Ok(v1::EnsureNetworkResponse { progress: Some(progress), status })
    }
}

#[async_trait]
impl Cluster for Fake {
    async fn ensure_cluster(&self, request: v1::EnsureClusterRequest) -> Result<v1::EnsureClusterResponse> {
        let scope = request.scope.as_ref();
        let spec = parameters(request.parameters_json)?;
        let progress = self.ensure("EnsureCluster", scope, Kind::Cluster, "", spec).await?;
        let name = format!("landlord-{}-cluster", uid(scope));
        let kube = self.config.kube.as_ref();
        let status = is_ready(&progress).then(|| v1::ClusterStatus {
            endpoint: kube.map_or_else(|| format!("https://{name}.fake.invalid"), |kube| kube.endpoint.clone()),
            ca_pem: kube.map(|kube| kube.ca_pem.clone()).unwrap_or_default(),
            kubernetes_version: "1.37".into(),
            name,
            ..v1::ClusterStatus::default()
        });
        Ok(v1::EnsureClusterResponse { progress: Some(progress), status })
    }

    async fn ensure_addons(&self, request: v1::EnsureAddonsRequest) -> Result<v1::EnsureAddonsResponse> {
        let scope = request.scope.as_ref();
        let spec = parameters(request.parameters_json)?;
        let progress = self.ensure("EnsureAddons", scope, Kind::Addons, "", spec).await?;
        Ok(v1::EnsureAddonsResponse { progress: Some(progress) })
    }

    async fn kube_access(&self, request: v1::KubeAccessRequest) -> Result<v1::KubeAccess> {
        self.act("KubeAccess", request.scope.as_ref(), |_scope| {
            let kube = self.config.kube.clone().ok_or_else(|| {
                ProviderError::new(ErrorKind::Invalid, "this fake cloud has no API server")
                    .with_remedy("set `kube` in the provider's settings, or use a class without apps")
            })?;
            Ok(v1::KubeAccess {
                endpoint: kube.endpoint,
                ca_pem: kube.ca_pem,
                token: kube.token,
                expire_time: std::time::SystemTime::now().checked_add(TOKEN_LIFE).map(Into::into),
                ..v1::KubeAccess::default()
            })
        })
        .await
    }
}

#[async_trait]
impl NodePool for Fake {
    async fn ensure_node_pool(&self, request: v1::EnsureNodePoolRequest) -> Result<v1::EnsureNodePoolResponse> {
        let scope = request.scope.as_ref();
        let pool = request.spec.unwrap_or_default();
        let wanted = format!("{} × {}", pool.node_count, pool.machine_type);
        let progress = self.ensure("EnsureNodePool", scope, Kind::NodePool, &pool.role, wanted).await?;
        let status = is_ready(&progress).then(|| v1::NodePoolStatus {
            name: format!("landlord-{}-{}", uid(scope), pool.role),
            node_count: pool.node_count,
        });
        Ok(v1::EnsureNodePoolResponse { progress: Some(progress), status })
    }
}

#[async_trait]
impl Dns for Fake {
    async fn ensure_dns_zone(&self, request: v1::EnsureDnsZoneRequest) -> Result<v1::EnsureDnsZoneResponse> {
        let scope = request.scope.as_ref();
        let domain = request.spec.unwrap_or_default().domain;
        let progress = self.ensure("EnsureDnsZone", scope, Kind::DnsZone, &domain, String::new()).await?;
        let status = is_ready(&progress).then(|| v1::DnsZoneStatus {
            zone_id: format!("zone-{}", uid(scope)),
            name_servers: vec!["ns1.fake.invalid".into(), "ns2.fake.invalid".into()],
        });
        Ok(v1::EnsureDnsZoneResponse { progress: Some(progress), status })
    }

    async fn ensure_dns_records(&self, request: v1::EnsureDnsRecordsRequest) -> Result<v1::EnsureDnsRecordsResponse> {
        let scope = request.scope.as_ref();
        let wanted = format!("{:?}", request.records);
        let progress = self.ensure("EnsureDnsRecords", scope, Kind::DnsRecords, "", wanted).await?;
        Ok(v1::EnsureDnsRecordsResponse { progress: Some(progress) })
    }
}

#[async_trait]
impl Identity for Fake {
    async fn ensure_identity(&self, request: v1::EnsureIdentityRequest) -> Result<v1::EnsureIdentityResponse> {
        let scope = request.scope.as_ref();
        let spec = parameters(request.parameters_json)?;
        let progress = self.ensure("EnsureIdentity", scope, Kind::Identity, "", spec).await?;
        Ok(v1::EnsureIdentityResponse { progress: Some(progress), status: None })
    }
}

/// The kind, and the role that distinguishes objects of this kind.
fn subject<'a>(kind: v1::ResourceKind, role: &'a str, domain: &'a str) -> Result<(Kind, &'a str)> {
    let unknown = || ProviderError::new(ErrorKind::Invalid, format!("no resource kind {kind:?}"));
    let kind = Kind::of(kind).ok_or_else(unknown)?;
    Ok(match kind {
        Kind::NodePool => (kind, role),
        Kind::DnsZone => (kind, domain),
        _ => (kind, ""),
    })
}

#[async_trait]
impl Inventory for Fake {
    async fn observe(&self, request: v1::ObserveRequest) -> Result<v1::ObserveResponse> {
        let (kind, role) = subject(request.kind(), &request.role, &request.domain)?;
        self.act("Observe", request.scope.as_ref(), |scope| {
            let (stage, objects) = self.cloud.observe(scope, kind, role)?;
            let progress = Some(self.progress(stage, Vec::new()));
            Ok(v1::ObserveResponse { progress, objects })
        })
        .await
    }

    async fn delete(&self, request: v1::DeleteRequest) -> Result<v1::DeleteResponse> {
        let (kind, role) = subject(request.kind(), &request.role, &request.domain)?;
        let method = format!("Delete{kind:?}");
        let duration = self.config.duration(&method);
        self.act(&method, request.scope.as_ref(), |scope| {
            if self.config.has(Defect::TakesTheHost) && kind == Kind::NodePool {
                self.cloud.lose_host(scope)?;
            }
            let (stage, removed) = self.cloud.delete(scope, kind, role, duration)?;
            self.made.lock().remove(&(scope.tenant_uid.clone(), kind, role.to_owned()));
            // Leftovers are never made here: to refuse their absence would leave nothing to judge.
            if request.recorded && matches!(stage, Stage::Gone) {
                self.cloud.refuse_unmarked(scope, kind, role)?;
            }
            let absent = removed.is_empty() && matches!(stage, Stage::Gone) && kind != Kind::Leftovers;
            if absent && self.config.has(Defect::AbsentIsAnError) {
                let problem = format!("there is no {} to delete", kind.word());
                return Err(ProviderError::new(ErrorKind::Invalid, problem));
            }
            Ok(v1::DeleteResponse { progress: Some(self.progress(stage, removed)) })
        })
        .await
    }

    async fn list_owned(&self, request: v1::ListOwnedRequest) -> Result<v1::ListOwnedResponse> {
        self.act("ListOwned", request.scope.as_ref(), |scope| self.cloud.list(scope, &request.page_token)).await
    }
}

#[async_trait]
impl Provider for Fake {
    async fn describe(&self, _request: v1::DescribeRequest) -> Result<v1::DescribeResponse> {
        Ok(landlord_provider_api::provider::describe::<Self>())
    }

    async fn validate(&self, request: v1::ValidateRequest) -> Result<v1::ValidateResponse> {
        self.act("Validate", request.scope.as_ref(), |scope| {
            let mut violations = Vec::new();
            let mut violated = |field: &str, description: &str| {
                let (field, description) = (field.into(), description.into());
                violations.push(v1::FieldViolation { field, description });
            };
            if scope.region.is_empty() {
                violated("region", "must not be empty");
            }
            if request.node_pool.as_ref().is_some_and(|pool| pool.node_count < 1) {
                violated("node_pool.node_count", "must be at least 1");
            }
            if request.node_pool.as_ref().is_some_and(|pool| pool.machine_type.is_empty()) {
                violated("node_pool.machine_type", "must not be empty");
            }
            if request.dns_zone.as_ref().is_some_and(|zone| !zone.domain.contains('.')) {
                violated("dns_zone.domain", "must be a domain such as acme.example");
            }
            Ok(v1::ValidateResponse { violations })
        })
        .await
    }
}

#[async_trait]
impl ProviderPlugin for Fake {
    const NAME: &'static str = "fake";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    fn description() -> v1::DescribeResponse {
        describe::description(Self::NAME, Self::VERSION)
    }

    async fn configure(request: v1::ConfigureRequest) -> Result<Self> {
        let config = Config::parse(&request.config_json)?;
        let cloud = Cloud::open(&config.state_dir)?;
        let faults = Arc::new(Faults::new(config.faults.clone(), config.faults_file.clone(), &config.state_dir));
        fault::publish(&faults);
        if let Some(action) = faults.take_for("Configure", "", false)? {
            action.inject().await?;
        }
        if config.has(Defect::PrintsCredential) {
            let credential = String::from_utf8_lossy(&request.credential_json);
            let _ = writeln!(std::io::stderr(), "configured with {credential}");
        }
        Ok(Self { config, cloud, faults, made: Mutex::default() })
    }
}
