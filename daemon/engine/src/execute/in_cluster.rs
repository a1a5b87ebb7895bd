//! The part of a call that goes to a Kubernetes API server, or only to the store: what the deploy
//! stage does, in the tenant's own cluster or in its place in a shared one.

use std::{sync::atomic::Ordering, time::Duration};

use landlord_core::{
    AppName, DesiredState, ErrorKind, Failure, LeftOut, Observation, Stage, StageState, State, Tenant,
    journal::CallReport,
    ports::{Apps, CheckResult, CloudAccount, DeployTarget, PlatformTarget, StageProgress, Verified, VerifyStatus},
    stage::RemovedObject,
    step::record_in,
};

use super::{Call, DNS, Report, misplaced, states};
use crate::request::{self, POOL_LABEL};

/// A host cluster that is not there yet is requested this often; it is an observation of the store.
const HOST_HINT: Duration = Duration::from_secs(2);
/// What leads out where a host cluster can't be left in order.
const FORCE_REMEDY: &str = "delete the host cluster with --force, which leaves there what landlord put there";

/// Name of the call by which a provider describes its costs.
const OBSERVE: &str = "Observe";

/// Load balancers and volumes go within minutes, when whatever made them is asked to.
const REMOVAL_HELD_AFTER: Duration = Duration::from_secs(15 * 60);

/// Nodes register one after another.
const NODES_HINT: Duration = Duration::from_secs(2);
/// Nodes of a pool that its cloud calls ready take pods within moments; some may be kept back for good, by a taint of
/// the operator's, and then those that are there are counted.
const NODES_TIMEOUT: Duration = Duration::from_secs(120);

impl Call<'_> {
    /// The tenant's host cluster, once it can take it.
    fn host(&self) -> Report {
        let Some(host) = &self.work.host else { return Err(misplaced(self.stage)) };
        if host.usable {
            return Ok(CallReport { done: true, ..CallReport::default() });
        }
        // Host clusters have names for those who may read them; these texts reach the tenant's customer.
        if host.state == State::Failed {
            let problem = "its host cluster is FAILED and was never READY";
            let remedy = "have an operator retry the host cluster (`landlord describe tenant` names it to those who may \
                          read it), or delete this tenant";
            return Err(Failure::new(ErrorKind::Conflict, problem).with_remedy(remedy));
        }
        let detail = format!("waiting until its host cluster is READY; it is {}", host.state.as_str());
        Ok(CallReport { poll_after: HOST_HINT, detail, ..CallReport::default() })
    }

    pub(super) async fn in_cluster(&self) -> Report {
        if *self.stage == Stage::Capacity {
            return self.capacity().await;
        }
        if *self.stage == Stage::NodeScaling {
            return self.node_scaling().await;
        }
        if let Stage::Platform(release) = self.stage {
            return self.platform(release).await;
        }
        if self.work.environment.host_cluster().is_some() {
            return self.uninstall().await;
        }
        let absent = self.work.environment.desired_state == DesiredState::Absent;
        let first = if self.work.host.is_some() { Stage::Isolation } else { Stage::Base };
        if absent && record_in(self.work, DesiredState::Present, &first).is_none() {
            let is_orphan = self.work.environment.tenant().is_some_and(Tenant::is_orphan);
            if is_orphan {
                // of what was built for it there is no record: what would hold its removal is named first all the same.
                self.refuse_held().await?;
            }
            if is_orphan && self.work.host.is_some() {
                return self.leave_host(&self.target().await?).await;
            }
            if self.work.host.is_some() && *self.stage == Stage::Isolation {
                return self.no_scaled_pool().await;
            }
            return Ok(CallReport { done: true, detail: "nothing was deployed".into(), ..CallReport::default() });
        }
        if *self.stage == Stage::Host {
            return self.host();
        }
        self.refuse_held().await?;
        let target = self.target().await?;
        if absent && target.cluster.shared().is_some() {
            return self.leave_host(&target).await;
        }
        match self.stage {
            Stage::Isolation => self.isolation(&target).await,
            Stage::Base => self.base(&target).await,
            Stage::App(app) => self.kube(self.apps()?.ensure_release(&target, app).await).map(stage_progress),
            Stage::Verify => {
                let verified = self.kube(self.apps()?.verify(&target).await)?;
                let mut report = stage_progress(verified.progress);
                if report.done {
                    let checks = Some(CheckResult::summary(&verified.checks)).filter(|checks| !checks.is_empty());
                    report.detail = verified.pending.iter().cloned().chain(checks).collect::<Vec<_>>().join("; ");
                }
                // Checks sign in, put files and ask a model: what they wait is a demand, not a hint.
                if !report.done && !verified.checks.is_empty() {
                    report.wait = Some(report.poll_after.mul_f64(self.shared.options.in_cluster_time_scale));
                }
                let Verified { endpoints, pending, checks, .. } = verified;
                report.status = serde_json::to_vec(&VerifyStatus { endpoints, pending, checks }).ok();
                Ok(report)
            }
            Stage::Teardown if self.work.host.is_none() => self.teardown(&target).await,
            other => Err(misplaced(other)),
        }
    }

    /// What the apps stand on; in a cluster of its own also its customer's account, so that a role that the class withdraws is
    /// taken back.
    async fn base(&self, target: &DeployTarget) -> Report {
        let report = stage_progress(self.kube(self.apps()?.ensure_base(target).await)?);
        if !report.done || target.cluster.shared().is_some() {
            return Ok(report);
        }
        let role = self.work.environment.placement.service.customer_role;
        self.kube(self.shared.ports.isolation.ensure_customer(target, role).await)?;
        Ok(report)
    }

    /// Empties a cluster of a tenant's own.
    async fn teardown(&self, target: &DeployTarget) -> Report {
        let report = removing(self.kube(self.apps()?.teardown(target).await)?);
        if !report.done {
            return Ok(report);
        }
        let left = removing(self.kube(self.shared.ports.isolation.remove(target).await)?);
        Ok(CallReport { removed: [report.removed, left.removed].concat(), ..left })
    }

    /// Takes away what a tenant has in a host cluster: its namespace, and after that the machines that were made for its pods. Never
    /// `teardown`: that empties the whole cluster, which is others' too.
    async fn leave_host(&self, target: &DeployTarget) -> Report {
        let report = removing(self.kube(self.shared.ports.isolation.remove(target).await)?);
        if *self.stage != Stage::Isolation || !report.done {
            return Ok(report);
        }
        if !report.removed.is_empty() {
            // What went is recorded first.
            return Ok(CallReport { done: false, ..report });
        }
        self.no_scaled_pool().await
    }

    /// What is removed in a cluster of its own is gone for good: what would hold the removal of the cluster itself is named
    /// before that. Once something of it is gone there is nothing left to spare.
    pub(super) async fn refuse_held(&self) -> Result<(), Failure> {
        let absent = self.work.environment.desired_state == DesiredState::Absent;
        if !absent || self.work.host.is_some() || self.adoption().is_some() {
            return Ok(());
        }
        if record_in(self.work, DesiredState::Absent, self.stage).is_some_and(|record| !record.removed.is_empty()) {
            return Ok(());
        }
        let uid = self.work.environment.uid;
        if self.shared.holds.is_free(uid) {
            return Ok(());
        }
        let paid = self.pay(OBSERVE, self.stage).await?;
        let request = request::for_removal(self.work, self.scope.clone());
        let observed = self.provider.observe(request).await.map(drop).map_err(Failure::from);
        paid.ended(observed.as_ref().err());
        if observed.is_ok() {
            self.shared.holds.free(uid);
        }
        observed
    }

    /// One release of the platform of a cluster that landlord makes.
    async fn platform(&self, release: &AppName) -> Report {
        let absent = self.work.environment.desired_state == DesiredState::Absent;
        if absent && record_in(self.work, DesiredState::Present, self.stage).is_none() {
            return Ok(CallReport { done: true, detail: "it was not installed".into(), ..CallReport::default() });
        }
        self.refuse_held().await?;
        let installation = &self.shared.options.installation;
        let kube = self.credentials().await?;
        let target = request::platform(installation, self.work, kube).ok_or_else(|| misplaced(self.stage))?;
        if absent {
            return self.bounded(removing(self.kube(self.apps()?.remove_platform(&target, release).await)?));
        }
        let Some(left_out) = self.left_out(&target, release).await? else {
            let apps = self.apps()?;
            let made = async { self.kube(apps.ensure_platform(&target, release).await).map(stage_progress) };
            return self.ordering(apps.platform_certificate(&target, release)?, made).await;
        };
        let (detail, removed) = match left_out {
            LeftOut::NotOrdered => {
                let report = removing(self.kube(self.apps()?.withdraw_platform(&target, release).await)?);
                if !report.done {
                    return Ok(report);
                }
                (format!("class {} does not order it", self.work.environment.placement.class), report.removed)
            }
            LeftOut::NoZone => {
                let detail =
                    "it works in the zone of one tenant, and this cluster is for many, or its provider keeps no zones";
                (detail.to_owned(), Vec::new())
            }
            // One that landlord installed before stays: two of them in turn would leave nobody with any.
            LeftOut::Brought { capability } => {
                let provider = &self.work.environment.placement.provider;
                (format!("the cloud brings it (capability {capability} of provider {provider})"), Vec::new())
            }
        };
        Ok(CallReport { done: true, skipped: true, detail, removed, ..CallReport::default() })
    }

    /// Why a release is not installed; `None`: it is.
    async fn left_out(&self, target: &PlatformTarget, release: &AppName) -> Result<Option<LeftOut>, Failure> {
        let releases = self.apps()?.platform(&target.platform, target.revision.as_ref())?;
        let part = releases.into_iter().find(|plan| plan.app == *release).and_then(|plan| plan.part);
        let options = &self.work.environment.placement.platform_options;
        let Some(part) = part else { return Ok(None) };
        let description = self.description().await?;
        let has_zone = target.domain.is_some() && states(&description, DNS);
        Ok(options.left_out(&part, has_zone, |capability| states(&description, capability)))
    }

    /// What a removal waits for and nobody has asked to go may stay for ever: it is reported, and held by it.
    pub(super) fn bounded(&self, report: CallReport) -> Report {
        let record = record_in(self.work, DesiredState::Absent, self.stage);
        let waited = record.map_or(Duration::ZERO, |record| self.work.now.since(record.start_time));
        let limit = REMOVAL_HELD_AFTER.mul_f64(self.shared.options.in_cluster_time_scale);
        if report.done || !report.removed.is_empty() || waited < limit {
            return Ok(report);
        }
        let problem = format!("for {} minutes: {}", waited.as_secs() / 60, report.detail);
        Err(Failure::new(ErrorKind::Conflict, problem).with_remedy(
            "whoever made what the message names removes it, or the operator deletes with --force, which leaves it to the end of \
             the cluster; landlord tries again by itself",
        ))
    }

    /// Counts what a host cluster has. One that can't be counted takes tenants by their number only: so the first count
    /// keeps nobody waiting, and of a later one that fails is in the condition `Ready`.
    async fn capacity(&self) -> Report {
        let observation = match self.measure().await {
            Ok(observation) => observation,
            Err(failure) => {
                let record = record_in(self.work, DesiredState::Present, self.stage);
                if record.is_some_and(|record| record.state == StageState::Done) {
                    return Err(failure);
                }
                let detail = format!("not counted yet: {failure}");
                return Ok(CallReport { done: true, detail, ..CallReport::default() });
            }
        };
        let (nodes, ordered) = (observation.measured.nodes, self.work.environment.placement.node_count);
        if nodes < ordered && self.nodes_may_come() {
            let detail = format!("waiting for nodes: {nodes} of {ordered} take pods");
            return Ok(CallReport { poll_after: NODES_HINT, detail, ..CallReport::default() });
        }
        let status = serde_json::to_vec(&observation).ok();
        Ok(CallReport { done: true, status, ..CallReport::default() })
    }

    /// A first count without all nodes would turn tenants away until the next one.
    fn nodes_may_come(&self) -> bool {
        let timeout = NODES_TIMEOUT.mul_f64(self.shared.options.in_cluster_time_scale);
        let record = record_in(self.work, DesiredState::Present, self.stage);
        let first = record.filter(|record| record.state == StageState::Running);
        first.is_some_and(|record| self.work.now.since(record.start_time) < timeout)
    }

    async fn measure(&self) -> Result<Observation, Failure> {
        let installation = &self.shared.options.installation;
        let kube = self.credentials().await?;
        let measured = self.kube(self.shared.ports.host_clusters.measure(&kube, installation).await)?;
        Ok(Observation { time: self.work.now, measured })
    }

    pub(super) fn apps(&self) -> Result<&dyn Apps, Failure> {
        let apps = self.shared.ports.apps.as_deref();
        apps.ok_or_else(|| Failure::new(ErrorKind::Internal, "the daemon was started without stacks: no class has one"))
    }

    /// An adopted host cluster is given back as it was found.
    async fn uninstall(&self) -> Report {
        let reached = record_in(self.work, DesiredState::Present, &Stage::Cluster);
        let reached = reached.is_some_and(|record| !record.status.is_empty());
        if !reached {
            return Ok(CallReport { done: true, detail: "nothing was put there".into(), ..CallReport::default() });
        }
        let installation = &self.shared.options.installation;
        let left = match self.credentials().await {
            Ok(kube) => self.kube(self.shared.ports.host_clusters.uninstall(&kube, installation).await),
            Err(failure) => Err(failure),
        };
        let left = left.map_err(|mut failure| {
            let separator = if failure.remedy.is_empty() { "" } else { "; or " };
            failure.remedy = format!("{}{separator}{FORCE_REMEDY}", failure.remedy);
            failure
        })?;
        let mut report = CallReport { removed: left.removed, ..stage_progress(left.progress) };
        if report.done && !left.kept.is_empty() {
            report.detail = format!("left there, since others use it: {}", left.kept.join("; "));
        }
        Ok(report)
    }

    /// What identities in the cloud need in the tenant's cluster. Without a stack nothing is landlord's there.
    pub(super) async fn accounts(&self, accounts: &[CloudAccount], report: CallReport) -> Report {
        if accounts.is_empty() || self.work.environment.placement.stack.is_none() {
            return Ok(report);
        }
        let target = self.target().await?;
        let made = self.kube(self.apps()?.ensure_accounts(&target, accounts).await)?;
        Ok(if made == StageProgress::Done { report } else { stage_progress(made) })
    }

    /// What its cloud calls ready are machines: a pool is done when so many of them have joined the cluster. Of a cluster of its
    /// own without a stack nothing is landlord's, and nobody looks into it; a host cluster's own nodes `capacity` counts.
    pub(super) async fn joined(&self, report: CallReport) -> Report {
        let placement = &self.work.environment.placement;
        let is_tenants = self.work.environment.tenant().is_some();
        if !is_tenants || self.work.host.is_none() && placement.stack.is_none() {
            return Ok(report);
        }
        let kube = self.credentials().await?;
        let pool = request::pool_label(self.work);
        let joined = self.kube(self.shared.ports.host_clusters.joined(&kube, &pool).await)?;
        let ordered = placement.node_count;
        if joined >= ordered {
            return Ok(report);
        }
        let detail = format!(
            "{joined} of {ordered} nodes have joined and are Ready ({POOL_LABEL}={pool}); if it lasts, the operator sees in the \
             cloud's console why a machine does not boot or reach the API server"
        );
        Ok(CallReport { done: false, poll_after: NODES_HINT, detail, ..report })
    }

    /// A token that is refused is not used again.
    pub(super) fn kube<T>(&self, result: Result<T, Failure>) -> Result<T, Failure> {
        if result.is_err() {
            self.refused_in_cluster.store(true, Ordering::Relaxed);
        }
        if result.as_ref().is_err_and(|failure| failure.kind == ErrorKind::Auth) {
            let (uid, _) = request::access(&self.shared.options.installation, self.work, &self.scope);
            self.shared.access.forget(uid);
            self.shared.ports.providers.renew_credentials(&self.work.environment.placement.provider_key());
        }
        result
    }

    /// Access to the cluster that the environment is in.
    pub(super) async fn credentials(&self) -> Result<landlord_core::ports::KubeCredentials, Failure> {
        let (uid, access) = request::access(&self.shared.options.installation, self.work, &self.scope);
        self.shared.access.get(uid, &*self.provider, access).await
    }

    /// What the stages in a cluster work on.
    pub(super) async fn target(&self) -> Result<DeployTarget, Failure> {
        let kube = self.credentials().await?;
        request::target(&self.shared.options.installation, self.work, kube).ok_or_else(|| misplaced(self.stage))
    }
}

/// A removal in a cluster, with what it took away.
pub(super) fn removing((progress, removed): (StageProgress, Vec<RemovedObject>)) -> CallReport {
    CallReport { removed, ..stage_progress(progress) }
}

pub(super) fn stage_progress(progress: StageProgress) -> CallReport {
    match progress {
        StageProgress::Done => CallReport { done: true, ..CallReport::default() },
        StageProgress::Pending { poll_after, detail } => CallReport { poll_after, detail, ..CallReport::default() },
    }
}
