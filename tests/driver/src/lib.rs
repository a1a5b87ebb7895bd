//! Drives a provider as the daemon would: each stage until it is ready or gone, errors with a retry rule retried,
//! everything else reported. For the tests of plugins that are linked as crates; it knows no cloud but by the
//! facts that a plugin's tests give it.

#![expect(clippy::missing_panics_doc, clippy::missing_errors_doc, reason = "part of tests, which fail by panicking")]

mod example;
mod removal;
pub mod simulated;

use std::{
    future::Future,
    time::{Duration, Instant},
};

pub use example::Example;
use landlord_provider_api::{ErrorKind, ProviderError, ProviderPlugin, v1};
use v1::progress::Outcome;

/// No stage of a scaled-down cloud takes longer.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Domain of every tenant.
pub const DOMAIN: &str = "acme.example.com";

/// What a plugin's tests work with on its cloud.
#[derive(Debug, Clone, Copy)]
pub struct Cloud {
    /// Region.
    pub region: &'static str,
    /// Account; empty: the credential's own.
    pub account: &'static str,
    /// Machine size of the node pool.
    pub machine_type: &'static str,
    /// The class's parameters, JSON.
    pub parameters: &'static str,
}

fn labels(key: &str) -> std::collections::HashMap<String, String> {
    [(key.to_owned(), "acme".to_owned())].into()
}

impl Cloud {
    /// The scope of the tenant `uid`.
    #[must_use]
    pub fn scope(&self, uid: &str) -> v1::Scope {
        v1::Scope {
            installation: "test".to_owned(),
            tenant_uid: uid.to_owned(),
            region: self.region.to_owned(),
            account: self.account.to_owned(),
            generation: 1,
            labels: labels("landlord-customer"),
            ..v1::Scope::default()
        }
    }

    /// A node pool of two.
    #[must_use]
    pub fn pool(&self) -> v1::NodePoolSpec {
        v1::NodePoolSpec {
            role: "default".to_owned(),
            machine_type: self.machine_type.to_owned(),
            node_count: 2,
            labels: labels("tenant"),
            ..v1::NodePoolSpec::default()
        }
    }
}

/// A tenant and the provider that works for it.
#[derive(Debug)]
pub struct Flow<P> {
    /// The provider.
    pub provider: P,
    /// For whom and where.
    pub scope: v1::Scope,
    /// The class's parameters, JSON.
    pub parameters: String,
    /// Its node pool.
    pub pool: v1::NodePoolSpec,
    /// Between two observations.
    pub pause: Duration,
    /// How often each call is made.
    pub repeats: usize,
    /// Whether every checkpoint is lost.
    pub forgets: bool,
    /// Deletes are of what the daemon's records call the tenant's.
    pub recorded: bool,
}

/// What a create came to.
#[derive(Debug, Clone, Default)]
pub struct Made {
    /// Of the network.
    pub network: v1::NetworkStatus,
    /// Of the cluster.
    pub cluster: v1::ClusterStatus,
    /// Of the node pool.
    pub pool: v1::NodePoolStatus,
    /// Of the zone.
    pub zone: v1::DnsZoneStatus,
}

/// A provider that is configured.
pub async fn provider<P: ProviderPlugin>(url: &str, credential: &str, config: &str) -> P {
    let request = v1::ConfigureRequest {
        installation: "test".to_owned(),
        config_json: config.to_owned(),
        credential_json: credential.as_bytes().to_vec(),
        endpoint_override: url.to_owned(),
    };
    P::configure(request).await.expect("a valid configuration")
}

/// Two records of a zone.
#[must_use]
pub fn records(zone: &str) -> Vec<v1::DnsRecord> {
    vec![
        v1::DnsRecord {
            name: format!("files.{zone}"),
            r#type: "CNAME".to_owned(),
            ttl_seconds: 60,
            values: vec!["lb.example.net".to_owned()],
        },
        v1::DnsRecord {
            name: zone.to_owned(),
            r#type: "A".to_owned(),
            ttl_seconds: 60,
            values: vec!["192.0.2.1".to_owned()],
        },
    ]
}

fn is_retried(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Throttled | ErrorKind::Transient | ErrorKind::Conflict | ErrorKind::Capacity)
}

fn outcome(progress: &Option<v1::Progress>) -> Outcome {
    progress.clone().and_then(|p| p.outcome).expect("an outcome")
}

/// Repeats until the response is there; a checkpoint is handed back as the daemon does.
async fn until<P, T, F>(what: &str, flow: &Flow<P>, mut ask: impl FnMut(Vec<u8>) -> F) -> Result<T, ProviderError>
where
    F: Future<Output = Result<(Outcome, T), ProviderError>>,
{
    let start = Instant::now();
    let mut checkpoint = Vec::new();
    loop {
        // A cloud's clients have large futures: they are not kept on the stack of a test's thread.
        let shown = match Box::pin(ask(checkpoint.clone())).await {
            Ok((Outcome::Ready(_) | Outcome::Gone(_), value)) => return Ok(value),
            Ok((Outcome::Pending(pending), _)) => {
                assert!(pending.poll_after.is_some() && !pending.detail.is_empty(), "{what}: {pending:?}");
                if !flow.forgets {
                    checkpoint = pending.checkpoint;
                }
                pending.detail
            }
            Err(error) if is_retried(error.kind) => error.to_string(),
            Err(error) => return Err(error),
        };
        assert!(start.elapsed() < TIMEOUT, "{what} takes too long; last seen: {shown}");
        tokio::time::sleep(flow.pause).await;
    }
}

impl<P: ProviderPlugin> Flow<P> {
    /// What the daemon's records call the tenant's is never gone while something responds under its name without our
    /// markers. `edit` changes the markers of one object past every API: taken off, or put back.
    pub async fn is_held<F: Future<Output = ()>>(
        &mut self,
        kinds: &[v1::ResourceKind],
        mut edit: impl FnMut(bool) -> F,
    ) {
        self.recorded = true;
        edit(false).await;
        for kind in kinds {
            let what = kind.as_str_name();
            match self.delete_kind(*kind).await {
                Err(error) if error.kind == ErrorKind::NameTaken => {
                    let names_it = error.remedy.contains("landlord-tenant-uid");
                    assert!(names_it, "{what}: the remedy does not name the marker: {}", error.remedy);
                }
                other => panic!("{what} was not held: {other:?}"),
            }
        }
        edit(true).await;
        self.recorded = false;
    }

    /// The tenant `uid` on `cloud`, whose endpoint is `url`.
    pub async fn new(cloud: &Cloud, url: &str, credential: &str, uid: &str) -> Self {
        Self {
            provider: provider(url, credential, "").await,
            scope: cloud.scope(uid),
            parameters: cloud.parameters.to_owned(),
            pool: cloud.pool(),
            pause: Duration::from_millis(15),
            repeats: 1,
            forgets: false,
            recorded: false,
        }
    }

    /// The same tenant with nodes of its own in the cluster that `host` made, and what it finds there.
    #[must_use]
    pub fn in_shared(mut self, host: &Made) -> (Self, Made) {
        self.scope.host_cluster.clone_from(&host.cluster.name);
        let hex = self.scope.tenant_uid.replace('-', "");
        self.pool.role = format!("t-{hex}");
        self.pool.labels = [("landlord.dev/tenant".to_owned(), hex.clone())].into();
        let taint = v1::Taint { key: "landlord.dev/tenant".to_owned(), value: hex, effect: "NoSchedule".to_owned() };
        self.pool.taints = vec![taint];
        (self, Made { network: host.network.clone(), cluster: host.cluster.clone(), ..Made::default() })
    }

    async fn times<T, F: Future<Output = Result<T, ProviderError>>>(
        &self,
        mut call: impl FnMut() -> F,
    ) -> Result<T, ProviderError> {
        for _ in 1..self.repeats {
            // An earlier call's error may be the news that the last one no longer has.
            call().await?;
        }
        call().await
    }

    /// The network.
    pub async fn network(&self) -> Result<v1::NetworkStatus, ProviderError> {
        until("network", self, |checkpoint| async move {
            let request = v1::EnsureNetworkRequest {
                scope: Some(self.scope.clone()),
                parameters_json: self.parameters.clone(),
                checkpoint,
            };
            let response = self.times(|| self.provider.ensure_network(request.clone())).await?;
            Ok((outcome(&response.progress), response.status))
        })
        .await
        .map(|status| status.expect("a status with Ready"))
    }

    /// The cluster.
    pub async fn cluster(&self, network: &v1::NetworkStatus) -> Result<v1::ClusterStatus, ProviderError> {
        until("cluster", self, |checkpoint| async move {
            let request = v1::EnsureClusterRequest {
                scope: Some(self.scope.clone()),
                parameters_json: self.parameters.clone(),
                network: Some(network.clone()),
                checkpoint,
                node_pool: Some(self.pool.clone()),
            };
            let response = self.times(|| self.provider.ensure_cluster(request.clone())).await?;
            Ok((outcome(&response.progress), response.status))
        })
        .await
        .map(|status| status.expect("a status with Ready"))
    }

    /// The node pool.
    pub async fn node_pool(&self, made: &Made) -> Result<v1::NodePoolStatus, ProviderError> {
        until("node pool", self, |checkpoint| async move {
            let request = v1::EnsureNodePoolRequest {
                scope: Some(self.scope.clone()),
                parameters_json: self.parameters.clone(),
                network: Some(made.network.clone()),
                cluster: Some(made.cluster.clone()),
                spec: Some(self.pool.clone()),
                checkpoint,
            };
            let response = self.times(|| self.provider.ensure_node_pool(request.clone())).await?;
            Ok((outcome(&response.progress), response.status))
        })
        .await
        .map(|status| status.expect("a status with Ready"))
    }

    /// The add-ons.
    pub async fn addons(&self, made: &Made) -> Result<(), ProviderError> {
        until("add-ons", self, |checkpoint| async move {
            let request = v1::EnsureAddonsRequest {
                scope: Some(self.scope.clone()),
                parameters_json: self.parameters.clone(),
                network: Some(made.network.clone()),
                cluster: Some(made.cluster.clone()),
                checkpoint,
            };
            let response = self.times(|| self.provider.ensure_addons(request.clone())).await?;
            Ok((outcome(&response.progress), ()))
        })
        .await
    }

    /// The zone.
    pub async fn zone(&self) -> Result<v1::DnsZoneStatus, ProviderError> {
        until("zone", self, |checkpoint| async move {
            let request = v1::EnsureDnsZoneRequest {
                scope: Some(self.scope.clone()),
                spec: Some(v1::DnsZoneSpec { domain: DOMAIN.to_owned() }),
                checkpoint,
            };
            let response = self.times(|| self.provider.ensure_dns_zone(request.clone())).await?;
            Ok((outcome(&response.progress), response.status))
        })
        .await
        .map(|status| status.expect("a status with Ready"))
    }

    /// The records of the zone.
    pub async fn records(&self, zone: &v1::DnsZoneStatus, records: Vec<v1::DnsRecord>) -> Result<(), ProviderError> {
        until("records", self, |_| {
            let request = v1::EnsureDnsRecordsRequest {
                scope: Some(self.scope.clone()),
                zone: Some(zone.clone()),
                records: records.clone(),
            };
            async move {
                let response = self.times(|| self.provider.ensure_dns_records(request.clone())).await?;
                Ok((outcome(&response.progress), ()))
            }
        })
        .await
    }

    /// The identities.
    pub async fn identity(&self, made: &Made) -> Result<(), ProviderError> {
        until("identity", self, |_| async move {
            let request = v1::EnsureIdentityRequest {
                scope: Some(self.scope.clone()),
                parameters_json: self.parameters.clone(),
                network: Some(made.network.clone()),
                cluster: Some(made.cluster.clone()),
                zone: Some(made.zone.clone()),
            };
            let response = self.times(|| self.provider.ensure_identity(request.clone())).await?;
            Ok((outcome(&response.progress), ()))
        })
        .await
    }

    /// The whole environment, its independent stages side by side.
    pub async fn create(&self) -> Result<Made, ProviderError> {
        let network = self.network().await?;
        let cluster = self.cluster(&network).await?;
        let mut made = Made { network, cluster, ..Made::default() };
        let (pool, addons, zone) = tokio::join!(self.node_pool(&made), self.addons(&made), self.zone());
        addons?;
        (made.pool, made.zone) = (pool?, zone?);
        self.identity(&made).await?;
        self.records(&made.zone, records(DOMAIN)).await?;
        Ok(made)
    }
}
