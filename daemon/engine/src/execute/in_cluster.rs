//! The part of a call that goes to a Kubernetes API server, or only to the store: what the deploy
//! stage does, in the tenant's own cluster or in its place in a shared one.

use std::{sync::Arc, time::Duration};

use landlord_core::{
    AppName, Direction, ErrorKind, Failure, Stage, State,
    journal::CallReport,
    plan::record_in,
    ports::{CloudAccount, DeployTarget, Deployer, StageProgress},
};

use super::{Call, Report, misplaced};
use crate::request;

/// A host cluster that is not there yet is asked for this often; it is a look at the store.
const HOST_HINT: Duration = Duration::from_secs(2);

impl Call<'_> {
    /// The tenant's host cluster, once it can take it.
    fn host(&self) -> Report {
        let Some(host) = &self.work.host else { return Err(misplaced(self.stage)) };
        if host.usable {
            return Ok(CallReport { done: true, ..CallReport::default() });
        }
        let name = &host.host.id;
        if host.state == State::Failed {
            let problem = format!("host cluster {name} is FAILED and was never READY");
            let remedy = format!("see `landlord describe hostcluster {name}` and retry it, or delete this tenant");
            return Err(Failure::new(ErrorKind::Conflict, problem).with_remedy(remedy));
        }
        let detail = format!("waiting until host cluster {name} is READY; it is {}", host.state.as_str());
        Ok(CallReport { poll_after: HOST_HINT, detail, ..CallReport::default() })
    }

    pub(super) async fn in_cluster(&self) -> Report {
        let absent = self.work.tenant.direction == Direction::Absent;
        let first = if self.work.host.is_some() { Stage::Guardrails } else { Stage::Base };
        if absent && record_in(self.work, Direction::Present, &first).is_none() {
            return Ok(CallReport { done: true, detail: "nothing was deployed".into(), ..CallReport::default() });
        }
        if *self.stage == Stage::Host {
            return self.host();
        }
        let (deployer, target) = self.deploy().await?;
        if absent && target.place.shared().is_some() {
            // Never `teardown`: that empties the whole cluster, which is others' too.
            let (progress, removed) = self.kube(deployer.remove_namespace(&target).await)?;
            return Ok(CallReport { removed, ..stage_progress(progress) });
        }
        match self.stage {
            Stage::Guardrails => self.kube(deployer.ensure_guardrails(&target).await).map(stage_progress),
            Stage::Base => self.kube(deployer.ensure_base(&target).await).map(stage_progress),
            Stage::App(app) => self.release(&*deployer, &target, app).await,
            Stage::Verify => {
                let verified = self.kube(deployer.verify(&target).await)?;
                let mut report = stage_progress(verified.progress);
                report.status = serde_json::to_vec(&verified.endpoints).ok();
                Ok(report)
            }
            Stage::Teardown if self.work.host.is_none() => {
                let (progress, removed) = self.kube(deployer.teardown(&target).await)?;
                Ok(CallReport { removed, ..stage_progress(progress) })
            }
            other => Err(misplaced(other)),
        }
    }

    /// What identities in the cloud need in the tenant's cluster. Without a stack nothing is landlord's there.
    pub(super) async fn accounts(&self, accounts: &[CloudAccount], report: CallReport) -> Report {
        if accounts.is_empty() || self.work.tenant.offer.stack.is_none() {
            return Ok(report);
        }
        let (deployer, target) = self.deploy().await?;
        let made = self.kube(deployer.ensure_accounts(&target, accounts).await)?;
        Ok(if made == StageProgress::Done { report } else { stage_progress(made) })
    }

    async fn release(&self, deployer: &dyn Deployer, target: &DeployTarget, app: &AppName) -> Report {
        self.kube(deployer.ensure_release(target, app).await).map(stage_progress)
    }

    /// A token that is refused is not used again.
    pub(super) fn kube<T>(&self, result: Result<T, Failure>) -> Result<T, Failure> {
        if result.as_ref().is_err_and(|failure| failure.kind == ErrorKind::Auth) {
            let (uid, _) = request::access(&self.shared.options.installation, self.work, &self.scope);
            self.shared.access.forget(uid);
        }
        result
    }

    pub(super) async fn deploy(&self) -> Result<(Arc<dyn Deployer>, DeployTarget), Failure> {
        let deployer = self
            .shared
            .ports
            .deployer
            .clone()
            .ok_or_else(|| Failure::new(ErrorKind::Internal, "the daemon was started without a deploy stage"))?;
        let (uid, access) = request::access(&self.shared.options.installation, self.work, &self.scope);
        let kube = self.shared.access.get(uid, &*self.provider, access).await?;
        let target =
            request::target(&self.shared.options.installation, self.work, kube).ok_or_else(|| misplaced(self.stage))?;
        Ok((deployer, target))
    }
}

fn stage_progress(progress: StageProgress) -> CallReport {
    match progress {
        StageProgress::Done => CallReport { done: true, ..CallReport::default() },
        StageProgress::Pending { poll_after, detail } => CallReport { poll_after, detail, ..CallReport::default() },
    }
}
