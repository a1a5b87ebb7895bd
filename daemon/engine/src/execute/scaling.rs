//! The part of a call that is about nodes beyond those that are always there: made by the cloud, which scales the pool itself, or by
//! a provisioner in the cluster, which gets a NodePool.

use landlord_core::{
    DesiredState, ErrorKind, Failure, Stage, Tenant,
    journal::CallReport,
    node_scaling::NODE_SCALING,
    ports::{PoolGrowth, ScaledPool},
    step::record_in,
};
use landlord_provider_api::v1;

use super::{
    Call, Report,
    in_cluster::{removing, stage_progress},
    misplaced,
};
use crate::request;

impl Call<'_> {
    /// The node pool wanted, which its cloud may scale.
    pub(super) async fn node_pool_wanted(&self) -> Result<v1::NodePoolSpec, Failure> {
        let most = self.work.environment.placement.nodes_max(self.offers(NODE_SCALING).await?);
        Ok(request::node_pool(self.work, most))
    }

    /// The node pool to be checked before anything is built; `None`: the tenant has none of its own.
    pub(super) async fn node_pool_checked(&self) -> Result<Option<v1::NodePoolSpec>, Failure> {
        if request::has_pool(self.work) { self.node_pool_wanted().await.map(Some) } else { Ok(None) }
    }

    pub(super) async fn node_scaling(&self) -> Report {
        let absent = self.work.environment.desired_state == DesiredState::Absent;
        if absent {
            if record_in(self.work, DesiredState::Present, &Stage::NodeScaling).is_none() {
                return Ok(CallReport { done: true, detail: "nothing was ordered".into(), ..CallReport::default() });
            }
            self.refuse_held().await?;
            return self.remove_scaled_pool().await;
        }
        let placement = &self.work.environment.placement;
        let scaling = placement.node_scaling.as_ref().ok_or_else(|| misplaced(self.stage))?;
        if scaling.is_withdrawn() {
            let report = self.remove_scaled_pool().await?;
            let detail = format!("class {} does not order it", placement.class);
            return Ok(if report.done { CallReport { skipped: true, detail, ..report } } else { report });
        }
        let provider = &placement.provider;
        let kube = self.credentials().await?;
        if self.offers(NODE_SCALING).await? {
            // Of before its plugin said so there may be a pool, whose machines would be beyond the cloud's.
            let report = self.remove_scaled_pool().await?;
            let most = placement.nodes_max(true);
            let detail = format!(
                "the cloud scales the pool up to {most} nodes (capability {NODE_SCALING} of provider {provider})"
            );
            return Ok(if report.done { CallReport { skipped: true, detail, ..report } } else { report });
        }
        let Some(karpenter) = scaling.karpenter.clone() else {
            let problem = format!("provider {provider} scales no pools (capability {NODE_SCALING})");
            let remedy =
                format!("the operator names node_scaling.karpenter in class {}, or orders no scaling", placement.class);
            return Err(Failure::new(ErrorKind::Invalid, problem).with_remedy(remedy));
        };
        let growth = PoolGrowth {
            nodes_max: scaling.nodes_max.saturating_sub(placement.node_count),
            machine_type: placement.machine_type.clone(),
            karpenter,
        };
        let made = self.shared.ports.host_clusters.ensure_scaled_pool(&kube, &self.scaled_pool(), &growth).await;
        self.kube(made).map(stage_progress)
    }

    /// Nodes that a provisioner made for the tenant hold the record of its removal like its namespace. What an orphan ordered nobody
    /// knows any more.
    pub(super) async fn no_scaled_pool(&self) -> Report {
        let is_orphan = self.work.environment.tenant().is_some_and(Tenant::is_orphan);
        if !is_orphan && record_in(self.work, DesiredState::Present, &Stage::NodeScaling).is_none() {
            return Ok(CallReport { done: true, ..CallReport::default() });
        }
        self.remove_scaled_pool().await
    }

    async fn remove_scaled_pool(&self) -> Report {
        let kube = self.credentials().await?;
        let removed = self.shared.ports.host_clusters.remove_scaled_pool(&kube, &self.scaled_pool()).await;
        self.bounded(removing(self.kube(removed)?))
    }

    fn scaled_pool(&self) -> ScaledPool {
        ScaledPool {
            installation: self.shared.options.installation.clone(),
            uid: self.work.environment.uid,
            name: format!("landlord-{}", request::pool_role(self.work)),
            label: request::pool_label(self.work),
            is_tainted: self.work.host.is_some(),
        }
    }
}
