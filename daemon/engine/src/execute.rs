//! The only place that asks for outside changes: one stage, one call, one report.
//!
//! Its intent is durable when it gets here. It waits for rate tokens, calls, and maps the
//! answer; what to make of it is `journal::record`'s to decide.

use std::{net::IpAddr, sync::Arc, time::Duration};

use landlord_core::{
    AppName, Direction, ErrorKind, Failure, Stage,
    journal::CallReport,
    plan::record_in,
    ports::{DeployTarget, Deployer, StageProgress, Work},
    stage::RemovedObject,
};
use landlord_provider_api::{Provider, ProviderError, v1};
use prost::Message;

use crate::{
    Shared,
    limits::{Away, LimitKey},
    request, timing,
};

/// Longest call of the deploy stage, which never waits for workloads: a Helm run on a slow API
/// server takes a minute. A call that hangs must not hold its tenant's lease for ever.
const DEPLOY_DEADLINE: Duration = Duration::from_secs(5 * 60);
/// Hint for what the API server or a load balancer shows within seconds.
const IN_CLUSTER_HINT: Duration = Duration::from_secs(1);
/// An inventory that is not empty is usually one that lags behind.
const INVENTORY_HINT: Duration = Duration::from_secs(2);
/// Pages of an inventory; a tenant has a few dozen objects.
const PAGES_MAX: usize = 50;
/// Records of a tenant follow a moved load balancer within this.
const RECORD_TTL_SECONDS: i32 = 60;
/// Objects named in a detail line.
const NAMED_MAX: usize = 3;
/// In which a sweep asks: dependents first.
const SWEEP_ORDER: [Stage; 8] = [
    Stage::NodePool,
    Stage::Addons,
    Stage::Identity,
    Stage::Cluster,
    Stage::Leftovers,
    Stage::Network,
    Stage::DnsRecords,
    Stage::DnsZone,
];

type Report = Result<CallReport, Failure>;

/// Calls a stage once.
pub(crate) async fn call(shared: &Shared, work: &Work, stage: &Stage) -> Report {
    let tenant = &work.tenant;
    let key = tenant.offer.provider_key();
    let provider = shared.ports.providers.provider(&key)?;
    let call = Call { shared, work, stage, provider, scope: request::scope(&shared.options.installation, work) };
    let Some(method) = timing::method(stage, tenant.direction) else {
        return tokio::time::timeout(DEPLOY_DEADLINE, call.in_cluster()).await.unwrap_or_else(|_| {
            let problem = format!("{stage} did not come back within {DEPLOY_DEADLINE:?}");
            Err(Failure::new(ErrorKind::Transient, problem).with_remedy("see whether the tenant's API server answers"))
        });
    };
    let description = shared.ports.providers.description(&key);
    let limit_key = limit_key(work);
    if let Some(description) = &description {
        let options = shared.provider_options(&tenant.offer.provider);
        shared.limits.learn(&limit_key, description, &options);
    }
    let costs = timing::costs(method, description.as_ref());
    let asker = request::asker(work, stage);
    if let Err(away) = shared.limits.acquire(&limit_key, asker.clone(), &costs).await {
        return Err(stay_away(&away));
    }
    let report = call.in_cloud().await;
    shared.limits.ended(&limit_key, &asker, &costs, report.as_ref().err());
    report
}

/// Waiting is no failure: it is told as throttling, which delays and never fails.
fn stay_away(away: &Away) -> Failure {
    let message = away.trouble.as_ref().map_or_else(
        || "waiting for the account's rate limit".to_owned(),
        |error| format!("the provider is out of order, so it is asked less often; it last said: {error}"),
    );
    let mut failure = Failure::new(ErrorKind::Throttled, message);
    failure.retry_after_ms = u64::try_from(away.wait.as_millis()).ok();
    failure
}

/// Whose limits the calls of a tenant count against.
pub(crate) fn limit_key(work: &Work) -> LimitKey {
    let offer = &work.tenant.offer;
    LimitKey {
        provider: offer.provider.to_string(),
        account: if offer.account.is_empty() { offer.credentials.clone() } else { offer.account.clone() },
        region: offer.region.clone(),
    }
}

struct Call<'a> {
    shared: &'a Shared,
    work: &'a Work,
    stage: &'a Stage,
    provider: Arc<dyn Provider>,
    scope: v1::Scope,
}

impl Call<'_> {
    async fn in_cloud(&self) -> Report {
        if self.work.tenant.direction == Direction::Absent {
            return self.absent().await;
        }
        match self.stage {
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

    async fn preflight(&self) -> Report {
        let answer = self
            .provider
            .validate(v1::ValidateRequest {
                scope: Some(self.scope.clone()),
                parameters_json: request::parameters(self.work),
                node_pool: Some(request::node_pool(self.work)),
                dns_zone: Some(request::dns_zone(self.work)),
            })
            .await?;
        if answer.violations.is_empty() {
            return Ok(CallReport { done: true, ..CallReport::default() });
        }
        let problems: Vec<String> =
            answer.violations.iter().map(|v| format!("{}: {}", v.field, v.description)).collect();
        Err(Failure::new(ErrorKind::Invalid, problems.join("; "))
            .with_remedy("correct the class in the daemon's configuration, or the tenant's spec"))
    }

    async fn network(&self) -> Report {
        let answer = self
            .provider
            .ensure_network(v1::EnsureNetworkRequest {
                scope: Some(self.scope.clone()),
                parameters_json: request::parameters(self.work),
                checkpoint: request::checkpoint(self.work, self.stage),
            })
            .await?;
        progress(answer.progress, answer.status.as_ref())
    }

    async fn cluster(&self) -> Report {
        let answer = self
            .provider
            .ensure_cluster(v1::EnsureClusterRequest {
                scope: Some(self.scope.clone()),
                parameters_json: request::parameters(self.work),
                network: Some(request::status(self.work, &Stage::Network)),
                checkpoint: request::checkpoint(self.work, self.stage),
                node_pool: Some(request::node_pool(self.work)),
            })
            .await?;
        progress(answer.progress, answer.status.as_ref())
    }

    async fn addons(&self) -> Report {
        let answer = self
            .provider
            .ensure_addons(v1::EnsureAddonsRequest {
                scope: Some(self.scope.clone()),
                parameters_json: request::parameters(self.work),
                network: Some(request::status(self.work, &Stage::Network)),
                cluster: Some(request::status(self.work, &Stage::Cluster)),
                checkpoint: request::checkpoint(self.work, self.stage),
            })
            .await?;
        progress(answer.progress, None::<&v1::Gone>)
    }

    async fn node_pool(&self) -> Report {
        let answer = self
            .provider
            .ensure_node_pool(v1::EnsureNodePoolRequest {
                scope: Some(self.scope.clone()),
                parameters_json: request::parameters(self.work),
                network: Some(request::status(self.work, &Stage::Network)),
                cluster: Some(request::status(self.work, &Stage::Cluster)),
                spec: Some(request::node_pool(self.work)),
                checkpoint: request::checkpoint(self.work, self.stage),
            })
            .await?;
        progress(answer.progress, answer.status.as_ref())
    }

    async fn dns_zone(&self) -> Report {
        let answer = self
            .provider
            .ensure_dns_zone(v1::EnsureDnsZoneRequest {
                scope: Some(self.scope.clone()),
                spec: Some(request::dns_zone(self.work)),
                checkpoint: request::checkpoint(self.work, self.stage),
            })
            .await?;
        progress(answer.progress, answer.status.as_ref())
    }

    async fn identity(&self) -> Report {
        let answer = self
            .provider
            .ensure_identity(v1::EnsureIdentityRequest {
                scope: Some(self.scope.clone()),
                parameters_json: request::parameters(self.work),
                network: Some(request::status(self.work, &Stage::Network)),
                cluster: Some(request::status(self.work, &Stage::Cluster)),
                zone: Some(request::status(self.work, &Stage::DnsZone)),
            })
            .await?;
        progress(answer.progress, None::<&v1::Gone>)
    }

    async fn dns_records(&self) -> Report {
        let (deployer, target) = self.deploy().await?;
        let Some(entry_points) = self.kube(deployer.entry_points(&target).await)? else {
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
        let answer = self
            .provider
            .ensure_dns_records(v1::EnsureDnsRecordsRequest {
                scope: Some(self.scope.clone()),
                zone: Some(request::status(self.work, &Stage::DnsZone)),
                records: entry_points.into_iter().map(record).collect(),
            })
            .await?;
        progress(answer.progress, None::<&v1::Gone>)
    }

    async fn absent(&self) -> Report {
        if *self.stage == Stage::Inventory {
            return self.inventory().await;
        }
        let Some(delete) = request::delete(self.work, self.scope.clone(), self.stage) else {
            return Err(misplaced(self.stage));
        };
        let answer = self.provider.delete(delete).await?;
        progress(answer.progress, None::<&v1::Gone>)
    }

    /// Empty, or what is still listed, which is asked to go once more.
    async fn inventory(&self) -> Report {
        let mut left = Vec::new();
        let mut page_token = String::new();
        for _ in 0..PAGES_MAX {
            let page =
                self.provider.list_owned(v1::ListOwnedRequest { scope: Some(self.scope.clone()), page_token }).await?;
            left.extend(page.objects);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        if left.is_empty() {
            return Ok(CallReport { done: true, ..CallReport::default() });
        }
        let removed = self.sweep().await?;
        let names: Vec<&str> = left.iter().take(NAMED_MAX).map(|object| object.id.as_str()).collect();
        Ok(CallReport {
            poll_after: INVENTORY_HINT,
            detail: format!("{} objects are still listed: {}, …", left.len(), names.join(", ")),
            removed,
            ..CallReport::default()
        })
    }

    /// Asks everything to go once more: a create whose answer was lost may take effect after its
    /// delete found nothing. What is still in use goes in a later round.
    async fn sweep(&self) -> Result<Vec<RemovedObject>, Failure> {
        let mut removed = Vec::new();
        for stage in SWEEP_ORDER {
            let Some(delete) = request::delete(self.work, self.scope.clone(), &stage) else { continue };
            match self.provider.delete(delete).await {
                Ok(answer) => removed.extend(answer.progress.into_iter().flat_map(|p| p.removed).map(object)),
                Err(error) if error.kind == ErrorKind::Conflict => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(removed)
    }

    async fn in_cluster(&self) -> Report {
        if *self.stage == Stage::Teardown && record_in(self.work, Direction::Present, &Stage::Base).is_none() {
            return Ok(CallReport { done: true, detail: "nothing was deployed".into(), ..CallReport::default() });
        }
        let (deployer, target) = self.deploy().await?;
        match self.stage {
            Stage::Base => self.kube(deployer.ensure_base(&target).await).map(stage_progress),
            Stage::App(app) => self.release(&*deployer, &target, app).await,
            Stage::Verify => {
                let verified = self.kube(deployer.verify(&target).await)?;
                let mut report = stage_progress(verified.progress);
                report.status = serde_json::to_vec(&verified.endpoints).ok();
                Ok(report)
            }
            Stage::Teardown => {
                let (progress, removed) = self.kube(deployer.teardown(&target).await)?;
                Ok(CallReport { removed, ..stage_progress(progress) })
            }
            other => Err(misplaced(other)),
        }
    }

    async fn release(&self, deployer: &dyn Deployer, target: &DeployTarget, app: &AppName) -> Report {
        self.kube(deployer.ensure_release(target, app).await).map(stage_progress)
    }

    /// A token that is refused is not used again.
    fn kube<T>(&self, result: Result<T, Failure>) -> Result<T, Failure> {
        if result.as_ref().is_err_and(|failure| failure.kind == ErrorKind::Auth) {
            self.shared.access.forget(self.work.tenant.uid);
        }
        result
    }

    async fn deploy(&self) -> Result<(Arc<dyn Deployer>, DeployTarget), Failure> {
        let deployer = self
            .shared
            .ports
            .deployer
            .clone()
            .ok_or_else(|| Failure::new(ErrorKind::Internal, "the daemon was started without a deploy stage"))?;
        let access = v1::KubeAccessRequest {
            scope: Some(self.scope.clone()),
            cluster: Some(request::status(self.work, &Stage::Cluster)),
        };
        let kube = self.shared.access.get(self.work.tenant.uid, &*self.provider, access).await?;
        let target =
            request::target(&self.shared.options.installation, self.work, kube).ok_or_else(|| misplaced(self.stage))?;
        Ok((deployer, target))
    }
}

fn misplaced(stage: &Stage) -> Failure {
    Failure::new(ErrorKind::Internal, format!("stage {stage} does not belong into this plan"))
}

fn object(object: v1::OwnedObject) -> RemovedObject {
    RemovedObject { r#type: object.r#type, id: object.id, name: object.name }
}

fn stage_progress(progress: StageProgress) -> CallReport {
    match progress {
        StageProgress::Done => CallReport { done: true, ..CallReport::default() },
        StageProgress::Pending { poll_after, detail } => CallReport { poll_after, detail, ..CallReport::default() },
    }
}

fn progress<M: Message>(progress: Option<v1::Progress>, status: Option<&M>) -> Report {
    use v1::progress::Outcome;
    let silent = || ProviderError::new(ErrorKind::Internal, "the plugin answered without an outcome");
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
            checkpoint: (!pending.checkpoint.is_empty()).then_some(pending.checkpoint),
            status: None,
            removed,
        },
    })
}
