//! Drives the provider as the daemon would: each stage until it is ready or gone, errors with
//! a retry rule retried, everything else reported.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part")]

use std::{
    future::Future,
    time::{Duration, Instant},
};

use landlord_plugin_eks::Eks;
use landlord_provider_api::{
    Cluster as _, Dns as _, ErrorKind, Identity as _, Inventory as _, Network as _, NodePool as _, ProviderError,
    ProviderPlugin as _, v1,
};
use v1::progress::Outcome;

/// No stage of a scaled-down cloud takes longer.
const PATIENCE: Duration = Duration::from_secs(120);

pub const REGION: &str = "eu-central-1";
pub const UID: &str = "0192f0c1-2d3e-7a4b-8c5d-6e7f80910a1b";
pub const DOMAIN: &str = "acme.example.com";
pub const PARAMETERS: &str = r#"{"public_access_cidrs":["203.0.113.0/24"],"kubernetes_version":"1.35"}"#;

/// A tenant and the provider that works for it.
pub struct Flow {
    pub eks: Eks,
    pub scope: v1::Scope,
    pub parameters: String,
    pub pool: v1::NodePoolSpec,
    /// Between two looks.
    pub pause: Duration,
    /// How often each call is made.
    pub repeats: usize,
    /// Stages that this cloud does not offer.
    pub skip: Vec<&'static str>,
}

/// What a create came to.
#[derive(Debug, Clone, Default)]
pub struct Made {
    pub network: v1::NetworkStatus,
    pub cluster: v1::ClusterStatus,
    pub pool: v1::NodePoolStatus,
    pub zone: v1::DnsZoneStatus,
}

/// Static keys of an account of the simulator.
pub fn keys(account: &str) -> String {
    format!(r#"{{"kind":"static","access_key_id":"AKIA{account}TEST","secret_access_key":"test"}}"#)
}

pub async fn provider(url: &str, credential: &str, config: &str) -> Eks {
    let request = v1::ConfigureRequest {
        installation: "test".to_owned(),
        config_json: config.to_owned(),
        credential_json: credential.as_bytes().to_vec(),
        endpoint_override: url.to_owned(),
    };
    Eks::configure(request).await.expect("a valid configuration")
}

pub fn scope(uid: &str) -> v1::Scope {
    v1::Scope {
        installation: "test".to_owned(),
        tenant_uid: uid.to_owned(),
        region: REGION.to_owned(),
        generation: 1,
        labels: [("landlord-customer".to_owned(), "acme".to_owned())].into_iter().collect(),
        ..v1::Scope::default()
    }
}

pub fn pool() -> v1::NodePoolSpec {
    v1::NodePoolSpec {
        role: "default".to_owned(),
        machine_type: "m7i.xlarge".to_owned(),
        node_count: 2,
        labels: [("tenant".to_owned(), "acme".to_owned())].into_iter().collect(),
        ..v1::NodePoolSpec::default()
    }
}

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

/// A tenant with nodes of its own in the cluster that `host` made.
pub async fn neighbour(url: &str, credential: &str, uid: &str, host: &Made) -> (Flow, Made) {
    let mut flow = Flow::new(url, credential).await;
    flow.scope = v1::Scope { host_cluster: host.cluster.name.clone(), ..scope(uid) };
    let hex = uid.replace('-', "");
    flow.pool.role = format!("t-{hex}");
    flow.pool.labels = [("landlord.dev/tenant".to_owned(), hex.clone())].into();
    let taint = v1::Taint { key: "landlord.dev/tenant".to_owned(), value: hex, effect: "NoSchedule".to_owned() };
    flow.pool.taints = vec![taint];
    (flow, Made { network: host.network.clone(), cluster: host.cluster.clone(), ..Made::default() })
}

/// Asks until the answer is there; a checkpoint is handed back as the daemon does.
pub async fn until<T, F>(what: &str, pause: Duration, mut ask: impl FnMut(Vec<u8>) -> F) -> Result<T, ProviderError>
where
    F: Future<Output = Result<(Outcome, T), ProviderError>>,
{
    let start = Instant::now();
    let mut checkpoint = Vec::new();
    loop {
        let said = match ask(checkpoint.clone()).await {
            Ok((Outcome::Ready(_) | Outcome::Gone(_), value)) => return Ok(value),
            Ok((Outcome::Pending(pending), _)) => {
                assert!(pending.poll_after.is_some() && !pending.detail.is_empty(), "{what}: {pending:?}");
                checkpoint = pending.checkpoint;
                pending.detail
            }
            Err(error) if is_retried(error.kind) => error.to_string(),
            Err(error) => return Err(error),
        };
        assert!(start.elapsed() < PATIENCE, "{what} takes too long; last heard: {said}");
        tokio::time::sleep(pause).await;
    }
}

impl Flow {
    pub async fn new(url: &str, credential: &str) -> Self {
        Self {
            eks: provider(url, credential, "").await,
            scope: scope(UID),
            parameters: PARAMETERS.to_owned(),
            pool: pool(),
            pause: Duration::from_millis(15),
            repeats: 1,
            skip: Vec::new(),
        }
    }

    fn skips(&self, stage: &str) -> bool {
        self.skip.contains(&stage)
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

    pub async fn network(&self) -> Result<v1::NetworkStatus, ProviderError> {
        until("network", self.pause, |checkpoint| async move {
            let request = v1::EnsureNetworkRequest {
                scope: Some(self.scope.clone()),
                parameters_json: self.parameters.clone(),
                checkpoint,
            };
            let answer = self.times(|| self.eks.ensure_network(request.clone())).await?;
            Ok((outcome(&answer.progress), answer.status))
        })
        .await
        .map(|status| status.expect("a status with Ready"))
    }

    pub async fn cluster(&self, network: &v1::NetworkStatus) -> Result<v1::ClusterStatus, ProviderError> {
        until("cluster", self.pause, |checkpoint| async move {
            let request = v1::EnsureClusterRequest {
                scope: Some(self.scope.clone()),
                parameters_json: self.parameters.clone(),
                network: Some(network.clone()),
                checkpoint,
                node_pool: Some(self.pool.clone()),
            };
            let answer = self.times(|| self.eks.ensure_cluster(request.clone())).await?;
            Ok((outcome(&answer.progress), answer.status))
        })
        .await
        .map(|status| status.expect("a status with Ready"))
    }

    pub async fn node_pool(&self, made: &Made) -> Result<v1::NodePoolStatus, ProviderError> {
        until("node pool", self.pause, |checkpoint| async move {
            let request = v1::EnsureNodePoolRequest {
                scope: Some(self.scope.clone()),
                parameters_json: self.parameters.clone(),
                network: Some(made.network.clone()),
                cluster: Some(made.cluster.clone()),
                spec: Some(self.pool.clone()),
                checkpoint,
            };
            let answer = self.times(|| self.eks.ensure_node_pool(request.clone())).await?;
            Ok((outcome(&answer.progress), answer.status))
        })
        .await
        .map(|status| status.expect("a status with Ready"))
    }

    pub async fn addons(&self, made: &Made) -> Result<(), ProviderError> {
        until("add-ons", self.pause, |checkpoint| async move {
            let request = v1::EnsureAddonsRequest {
                scope: Some(self.scope.clone()),
                parameters_json: self.parameters.clone(),
                network: Some(made.network.clone()),
                cluster: Some(made.cluster.clone()),
                checkpoint,
            };
            let answer = self.times(|| self.eks.ensure_addons(request.clone())).await?;
            Ok((outcome(&answer.progress), ()))
        })
        .await
    }

    pub async fn zone(&self) -> Result<v1::DnsZoneStatus, ProviderError> {
        until("zone", self.pause, |checkpoint| async move {
            let request = v1::EnsureDnsZoneRequest {
                scope: Some(self.scope.clone()),
                spec: Some(v1::DnsZoneSpec { domain: DOMAIN.to_owned() }),
                checkpoint,
            };
            let answer = self.times(|| self.eks.ensure_dns_zone(request.clone())).await?;
            Ok((outcome(&answer.progress), answer.status))
        })
        .await
        .map(|status| status.expect("a status with Ready"))
    }

    pub async fn records(&self, zone: &v1::DnsZoneStatus, records: Vec<v1::DnsRecord>) -> Result<(), ProviderError> {
        until("records", self.pause, |_| {
            let request = v1::EnsureDnsRecordsRequest {
                scope: Some(self.scope.clone()),
                zone: Some(zone.clone()),
                records: records.clone(),
            };
            async move {
                let answer = self.times(|| self.eks.ensure_dns_records(request.clone())).await?;
                Ok((outcome(&answer.progress), ()))
            }
        })
        .await
    }

    pub async fn identity(&self, made: &Made) -> Result<(), ProviderError> {
        until("identity", self.pause, |_| async move {
            let request = v1::EnsureIdentityRequest {
                scope: Some(self.scope.clone()),
                parameters_json: self.parameters.clone(),
                network: Some(made.network.clone()),
                cluster: Some(made.cluster.clone()),
                zone: Some(made.zone.clone()),
            };
            let answer = self.times(|| self.eks.ensure_identity(request.clone())).await?;
            Ok((outcome(&answer.progress), ()))
        })
        .await
    }

    /// The whole environment, its independent stages side by side.
    pub async fn create(&self) -> Result<Made, ProviderError> {
        let network = self.network().await?;
        let cluster = self.cluster(&network).await?;
        let mut made = Made { network, cluster, ..Made::default() };
        let addons = async { if self.skips("addons") { Ok(()) } else { self.addons(&made).await } };
        let (pool, addons, zone) = tokio::join!(self.node_pool(&made), addons, self.zone());
        addons?;
        (made.pool, made.zone) = (pool?, zone?);
        if !self.skips("identity") {
            self.identity(&made).await?;
        }
        self.records(&made.zone, records(DOMAIN)).await?;
        Ok(made)
    }

    pub async fn delete_kind(&self, kind: v1::ResourceKind) -> Result<Vec<v1::OwnedObject>, ProviderError> {
        let removed = std::sync::Mutex::new(Vec::new());
        let collected = &removed;
        until(kind.as_str_name(), self.pause, |checkpoint| async move {
            let request = v1::DeleteRequest {
                scope: Some(self.scope.clone()),
                kind: kind.into(),
                role: self.pool.role.clone(),
                domain: DOMAIN.to_owned(),
                checkpoint,
            };
            let answer = self.times(|| self.eks.delete(request.clone())).await?;
            let progress = answer.progress.clone().unwrap_or_default();
            collected.lock().expect("not poisoned").extend(progress.removed);
            Ok((outcome(&answer.progress), ()))
        })
        .await?;
        Ok(removed.into_inner().expect("not poisoned"))
    }

    /// Everything, in the order of the design; gives what was removed.
    pub async fn delete(&self) -> Result<Vec<v1::OwnedObject>, ProviderError> {
        use v1::ResourceKind as Kind;
        let mut removed = Vec::new();
        for kind in [
            Kind::DnsRecords,
            Kind::Identity,
            Kind::Addons,
            Kind::NodePool,
            Kind::Cluster,
            Kind::Leftovers,
            Kind::Network,
            Kind::DnsZone,
        ] {
            let skipped = match kind {
                Kind::Identity => self.skips("identity"),
                Kind::Addons => self.skips("addons"),
                _ => false,
            };
            if !skipped {
                removed.extend(self.delete_kind(kind).await?);
            }
        }
        Ok(removed)
    }

    /// All pages of the inventory.
    pub async fn owned(&self) -> Result<Vec<v1::OwnedObject>, ProviderError> {
        let mut all = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = v1::ListOwnedRequest { scope: Some(self.scope.clone()), page_token };
            let answer = self.eks.list_owned(request).await?;
            all.extend(answer.objects);
            page_token = answer.next_page_token;
            if page_token.is_empty() {
                return Ok(all);
            }
        }
    }

    /// Waits until the inventory is empty.
    pub async fn owned_is_empty(&self) {
        let start = Instant::now();
        loop {
            match self.owned().await {
                Ok(objects) if objects.is_empty() => return,
                Ok(objects) => assert!(start.elapsed() < PATIENCE, "left over: {objects:#?}"),
                Err(error) => assert!(is_retried(error.kind) && start.elapsed() < PATIENCE, "{error}"),
            }
            tokio::time::sleep(self.pause).await;
        }
    }
}
