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
    misplaced, states,
};
use crate::request;

impl Call<'_> {
    /// The node pool wanted of a provider that describes itself so, which its cloud may scale.
    pub(super) fn node_pool_wanted(&self, description: &v1::DescribeResponse) -> v1::NodePoolSpec {
        let placement = &self.work.environment.placement;
        let is_scaled = states(description, NODE_SCALING);
        request::node_pool(self.work, if is_scaled { placement.nodes_max() } else { placement.node_count })
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
            return self.no_pool(format!("class {} does not order it", placement.class)).await;
        }
        let provider = &placement.provider;
        if self.offers(NODE_SCALING).await? {
            // Of before its plugin said so there may be a pool, whose machines would be beyond the cloud's.
            let most = placement.nodes_max();
            return self
                .no_pool(format!(
                    "the cloud scales the pool up to {most} nodes (capability {NODE_SCALING} of provider {provider})"
                ))
                .await;
        }
        let kube = self.credentials().await?;
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

    /// No NodePool of a provisioner: skipped for this reason once there is none.
    async fn no_pool(&self, detail: String) -> Report {
        let report = self.remove_scaled_pool().await?;
        Ok(if report.done { CallReport { skipped: true, detail, ..report } } else { report })
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
