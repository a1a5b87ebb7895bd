//! The only place that requests outside changes: one stage, one call, one report.
//!
//! Its intent is durable when it gets here. It waits for rate tokens, calls, and maps the
//! response; what to make of it is `journal::record`'s to decide.

mod certificate;
mod in_cluster;
mod pay;
mod removal;
mod scaling;

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use landlord_core::{
    DesiredState, ErrorKind, Failure, Stage,
    environment::Adoption,
    journal::CallReport,
    ports::{Claim, Work},
    stage::{FieldChange, RemovedObject},
};
use landlord_provider_api::{Provider, ProviderError, v1};
use prost::Message;
use tracing::Instrument as _;

use crate::{lease::Lease, limits::LimitKey, request, shared::Shared, timing};

/// Longest call of the deploy stage, which never waits for workloads: a Helm run on a slow API
/// server takes a minute. A call that hangs must not hold its tenant's lease for ever.
const DEPLOY_DEADLINE: Duration = Duration::from_secs(5 * 60);
/// Hint for what the API server or a load balancer shows within seconds.
const IN_CLUSTER_HINT: Duration = Duration::from_secs(1);
/// Records of a tenant follow a moved load balancer within this.
const RECORD_TTL_SECONDS: i32 = 60;
/// Capability of a provider that makes clusters.
const CLUSTERS: &str = "clusters";
/// Capability of a provider that makes zones and records.
const DNS: &str = "dns";
/// Capability of a provider that gives service accounts identities.
const IDENTITY: &str = "identity";
/// Capability of a provider whose methods only inspect the cluster that its credential leads to.
const ADOPTS: &str = "adopts-clusters";

type Report = Result<CallReport, Failure>;

/// The capability without which a provider is not requested a stage. Networks and node pools are requested always: a provider
/// that makes none returns whether what is there will do.
fn capability(stage: &Stage) -> Option<&'static str> {
    match stage {
        Stage::DnsZone | Stage::DnsRecords => Some(DNS),
        Stage::Identity => Some(IDENTITY),
        Stage::Host
        | Stage::Preflight
        | Stage::Network
        | Stage::Cluster
        | Stage::Addons
        | Stage::NodePool
        | Stage::NodeScaling
        | Stage::Isolation
        | Stage::Capacity
        | Stage::Base
        | Stage::Platform(_)
        | Stage::App(_)
        | Stage::Verify
        | Stage::Teardown
        | Stage::Leftovers
        | Stage::Inventory => None,
    }
}

/// Calls a stage once, while the lease of `claim` holds; `None`: the daemon ends, and the call is another's to make.
pub(crate) async fn call(
    shared: &Shared,
    (claim, lease): (&Claim, &Lease),
    work: &Work,
    stage: &Stage,
) -> Option<Report> {
    let environment = &work.environment;
    let key = environment.placement.provider_key();
    let provider = match shared.ports.providers.provider(&key) {
        Ok(provider) => provider,
        Err(error) => return Some(Err(error)),
    };
    let scope = request::scope(&shared.options.installation, work);
    let call = Call { shared, claim, lease, work, stage, provider, scope, refused_in_cluster: AtomicBool::new(false) };
    let Some(method) = timing::method(stage, environment.desired_state) else {
        let span = tracing::info_span!("call", tenant.id = %environment.uid, rpc.method = "kubernetes");
        let report =
            tokio::time::timeout(DEPLOY_DEADLINE, call.in_cluster().instrument(span)).await.unwrap_or_else(|_| {
                let problem = format!("{stage} did not come back within {DEPLOY_DEADLINE:?}");
                Err(Failure::new(ErrorKind::Transient, problem)
                    .with_remedy("see whether the tenant's API server responds"))
            });
        return Some(call.judge_late(call.judge_absence(report)));
    };
    let paid = match call.pay(method, stage).await {
        Ok(paid) => paid,
        Err(_) if shared.stopping.is_cancelled() => return None,
        Err(failure) => return Some(Err(failure)),
    };
    let span = tracing::info_span!("call", tenant.id = %environment.uid, rpc.method = method);
    let report = call.in_cloud().instrument(span).await;
    let report = call.judge_late(call.judge_absence(report));
    // Neither a refusal nor silence of an API server of Kubernetes says anything of the account.
    if !call.refused_in_cluster.load(Ordering::Relaxed) {
        paid.ended(report.as_ref().err());
    }
    Some(report)
}

/// Whose limits the calls of a tenant count against.
pub(crate) fn limit_key(work: &Work) -> LimitKey {
    let placement = &work.environment.placement;
    LimitKey {
        provider: placement.provider.to_string(),
        account: if placement.account.is_empty() { placement.credentials.clone() } else { placement.account.clone() },
        region: placement.region.clone(),
    }
}

struct Call<'a> {
    shared: &'a Shared,
    claim: &'a Claim,
    lease: &'a Lease,
    work: &'a Work,
    stage: &'a Stage,
    provider: Arc<dyn Provider>,
    scope: v1::Scope,
    /// Whether the failure came from an API server of Kubernetes, not from the cloud.
    refused_in_cluster: AtomicBool,
}

impl<'a> Call<'a> {
    async fn in_cloud(&self) -> Report {
        // A delete is always allowed: what was made before the provider lost a capability goes, too.
        if self.work.environment.desired_state == DesiredState::Absent {
            return self.absent().await;
        }
        if let Some(capability) = capability(self.stage)
            && !self.offers(capability).await?
        {
            let provider = &self.work.environment.placement.provider;
            let detail = format!("provider {provider} does not offer it (capability {capability})");
            return Ok(CallReport { done: true, skipped: true, detail, ..CallReport::default() });
        }
        match self.stage {
            Stage::Cluster if self.adoption().is_some() => self.adopt().await,
            Stage::Preflight => self.preflight().await,
            Stage::Network => self.network().await,
            Stage::Cluster => self.cluster().await,
            Stage::Addons => self.addons().await,
            Stage::NodePool => self.node_pool().await,
            Stage::DnsZone => self.dns_zone().await,
            Stage::Identity => self.identity().await,
            Stage::DnsRecords => self.dns_records().await,
            other => Err(misplaced(other)),
        }
    }

    fn adoption(&self) -> Option<&Adoption> {
        self.work.environment.host_cluster()?.spec.adoption.as_ref()
    }

    /// What the provider says of itself. When the daemon has just begun, its plugin may still be starting: the start is waited for, or
    /// made, and whatever stops it is the result. Without it a pool that the cloud scales would lose its scaling, and calls their limits.
    async fn description(&self) -> Result<v1::DescribeResponse, Failure> {
        match self.shared.ports.providers.description(&self.work.environment.placement.provider_key()) {
            Some(description) => Ok(description),
            None => Ok(self.provider.describe(v1::DescribeRequest {}).await?),
        }
    }

    /// Whether the provider has a capability, at whatever level.
    async fn offers(&self, capability: &str) -> Result<bool, Failure> {
        Ok(states(&self.description().await?, capability))
    }

    /// A cluster that was there before is reached, and left as it is. A provider that does nothing else checks whether it
    /// is fit, and shows which one it is, so that another cluster behind the same credential is never taken for it.
    async fn adopt(&self) -> Report {
        if self.offers(ADOPTS).await? {
            return self.cluster().await;
        }
        let mut cluster = self.adoption().map(request::adopted).unwrap_or_default();
        let request = v1::KubeAccessRequest { scope: Some(self.scope.clone()), cluster: Some(cluster.clone()) };
        let access = self.provider.kube_access(request).await?;
        cluster.endpoint = access.endpoint;
        cluster.ca_pem = access.ca_pem;
        let status = Some(cluster.encode_to_vec());
        Ok(CallReport { done: true, status, ..CallReport::default() })
    }

    async fn preflight(&self) -> Report {
        let description = self.description().await?;
        if self.work.host.is_none() && !states(&description, CLUSTERS) && !states(&description, ADOPTS) {
            let provider = &self.work.environment.placement.provider;
            return Err(Failure::new(ErrorKind::Invalid, format!("provider {provider} makes no clusters")).with_remedy(
                "the operator names a provider with the capability `clusters` in the class, or makes it one of level NODE or NAMESPACE",
            ));
        }
        let response = self
            .provider
            .validate(v1::ValidateRequest {
                scope: Some(self.scope.clone()),
                parameters_json: request::parameters(self.work),
                node_pool: request::has_pool(self.work).then(|| self.node_pool_wanted(&description)),
                dns_zone: request::dns_zone(self.work).filter(|_| states(&description, DNS)),
            })
            .await?;
        if response.violations.is_empty() {
            return Ok(CallReport { done: true, ..CallReport::default() });
        }
        let problems: Vec<String> =
            response.violations.iter().map(|v| format!("{}: {}", v.field, v.description)).collect();
        Err(Failure::new(ErrorKind::Invalid, problems.join("; "))
            .with_remedy("correct the class in the daemon's configuration, or the tenant's spec"))
    }

    async fn network(&self) -> Report {
        let response = self
            .provider
            .ensure_network(v1::EnsureNetworkRequest {
                scope: Some(self.scope.clone()),
                parameters_json: request::parameters(self.work),
                checkpoint: request::checkpoint(self.work, self.stage),
            })
            .await?;
        progress(response.progress, response.status.as_ref())
    }

    async fn cluster(&self) -> Report {
        let response = self
            .provider
            .ensure_cluster(v1::EnsureClusterRequest {
                scope: Some(self.scope.clone()),
                parameters_json: request::parameters(self.work),
                network: Some(request::status(self.work, &Stage::Network)),
                checkpoint: request::checkpoint(self.work, self.stage),
                node_pool: Some(self.node_pool_wanted(&self.description().await?)),
            })
            .await?;
        progress(response.progress, response.status.as_ref())
    }

    async fn addons(&self) -> Report {
        let response = self
            .provider
            .ensure_addons(v1::EnsureAddonsRequest {
                scope: Some(self.scope.clone()),
                parameters_json: request::parameters(self.work),
                network: Some(request::status(self.work, &Stage::Network)),
                cluster: Some(request::status(self.work, &Stage::Cluster)),
                checkpoint: request::checkpoint(self.work, self.stage),
            })
            .await?;
        progress(response.progress, None::<&v1::Gone>)
    }

    async fn node_pool(&self) -> Report {
        let response = self
            .provider
            .ensure_node_pool(v1::EnsureNodePoolRequest {
                scope: Some(self.scope.clone()),
                parameters_json: request::parameters(self.work),
                network: Some(request::network(self.work)),
                cluster: Some(request::cluster(self.work)),
                spec: Some(self.node_pool_wanted(&self.description().await?)),
                checkpoint: request::checkpoint(self.work, self.stage),
            })
            .await?;
        let report = progress(response.progress, response.status.as_ref())?;
        if report.done { self.joined(report).await } else { Ok(report) }
    }

    async fn dns_zone(&self) -> Report {
        let response = self
            .provider
            .ensure_dns_zone(v1::EnsureDnsZoneRequest {
                scope: Some(self.scope.clone()),
                spec: request::dns_zone(self.work),
                checkpoint: request::checkpoint(self.work, self.stage),
            })
            .await?;
        progress(response.progress, response.status.as_ref())
    }

    async fn identity(&self) -> Report {
        let response = self
            .provider
            .ensure_identity(v1::EnsureIdentityRequest {
                scope: Some(self.scope.clone()),
                parameters_json: request::parameters(self.work),
                network: Some(request::status(self.work, &Stage::Network)),
                cluster: Some(request::status(self.work, &Stage::Cluster)),
                zone: self.offers(DNS).await?.then(|| request::status(self.work, &Stage::DnsZone)),
            })
            .await?;
        let report = progress(response.progress, response.status.as_ref())?;
        let accounts = response.status.map(request::accounts).unwrap_or_default();
        if report.done { self.accounts(&accounts, report).await } else { Ok(report) }
    }

    async fn dns_records(&self) -> Report {
        let (apps, target) = (self.apps()?, self.target().await?);
        let Some(entry_points) = self.kube(apps.entry_points(&target).await)? else {
            return Ok(CallReport {
                poll_after: IN_CLUSTER_HINT,
                detail: "waiting for the address of a load balancer".into(),
                ..CallReport::default()
            });
        };
        let record = |(name, address): (String, String)| v1::DnsRecord {
            name,
            r#type: match address.parse::<IpAddr>() {
                Ok(IpAddr::V4(_)) => "A",
                Ok(IpAddr::V6(_)) => "AAAA",
                Err(_) => "CNAME",
            }
            .into(),
            ttl_seconds: RECORD_TTL_SECONDS,
            values: vec![address],
        };
        let response = self
            .provider
            .ensure_dns_records(v1::EnsureDnsRecordsRequest {
                scope: Some(self.scope.clone()),
                zone: Some(request::status(self.work, &Stage::DnsZone)),
                records: entry_points.into_iter().map(record).collect(),
            })
            .await?;
        progress(response.progress, None::<&v1::Gone>)
    }
}

fn states(description: &v1::DescribeResponse, capability: &str) -> bool {
    description.capabilities.iter().any(|stated| stated == capability)
}

fn misplaced(stage: &Stage) -> Failure {
    Failure::new(ErrorKind::Internal, format!("stage {stage} does not belong into this plan"))
}

fn change(change: v1::FieldChange) -> FieldChange {
    FieldChange { field: change.field, wanted: change.wanted, seen: change.seen }
}

fn object(object: v1::OwnedObject) -> RemovedObject {
    RemovedObject { r#type: object.r#type, id: object.id, name: object.name }
}

fn progress<M: Message>(progress: Option<v1::Progress>, status: Option<&M>) -> Report {
    use v1::progress::Outcome;
    let silent = || ProviderError::new(ErrorKind::Internal, "the plugin returned no outcome");
    let progress = progress.ok_or_else(silent)?;
    let removed = progress.removed.into_iter().map(object).collect();
    let status = status.map(Message::encode_to_vec);
    Ok(match progress.outcome.ok_or_else(silent)? {
        Outcome::Ready(ready) => {
            CallReport { done: true, checkpoint: Some(ready.checkpoint), status, removed, ..CallReport::default() }
        }
        Outcome::Gone(_) => CallReport { done: true, removed, ..CallReport::default() },
        Outcome::Pending(pending) => CallReport {
            done: false,
            poll_after: pending.poll_after.and_then(|wait| Duration::try_from(wait).ok()).unwrap_or_default(),
            detail: pending.detail,
            changes: pending.changes.into_iter().map(change).collect(),
            checkpoint: (!pending.checkpoint.is_empty()).then_some(pending.checkpoint),
            removed,
            ..CallReport::default()
        },
    })
}
