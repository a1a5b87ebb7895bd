//! The part of a call that is about nodes beyond those that are always there: made by the cloud, which scales the pool itself, or by
//! a provisioner in the cluster, which gets a NodePool.

use landlord_core::{
    DesiredState, ErrorKind, Failure, Stage,
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
    pub(super) fn node_pool_wanted(&self) -> v1::NodePoolSpec {
        let most = self.work.environment.placement.nodes_max(self.states(NODE_SCALING));
        request::node_pool(self.work, most)
    }

    /// Whether the provider says so; one of which nothing is known yet says nothing.
    fn states(&self, capability: &str) -> bool {
        let description = self.shared.ports.providers.description(&self.work.environment.placement.provider_key());
        description.is_some_and(|description| description.capabilities.iter().any(|stated| stated == capability))
    }

    /// The node pool to be checked before anything is built; `None`: the tenant has none of its own.
    pub(super) fn node_pool_checked(&self) -> Option<v1::NodePoolSpec> {
        request::has_pool(self.work).then(|| self.node_pool_wanted())
    }

    pub(super) async fn node_scaling(&self) -> Report {
        let absent = self.work.environment.desired_state == DesiredState::Absent;
        if absent {
            return match record_in(self.work, DesiredState::Present, &Stage::NodeScaling) {
                Some(_) => self.remove_scaled_pool().await,
                None => Ok(CallReport { done: true, detail: "nothing was ordered".into(), ..CallReport::default() }),
            };
        }
        let placement = &self.work.environment.placement;
        let scaling = placement.node_scaling.as_ref().ok_or_else(|| misplaced(self.stage))?;
        if scaling.is_withdrawn() {
            let report = self.remove_scaled_pool().await?;
            let detail = format!("class {} does not order it", placement.class);
            return Ok(if report.done { CallReport { skipped: true, detail, ..report } } else { report });
        }
        let provider = &placement.provider;
        // Its plugin has then led to the cluster, so what its cloud does is known.
        let kube = self.credentials().await?;
        if self.states(NODE_SCALING) {
            let most = placement.nodes_max(true);
            let detail = format!(
                "the cloud scales the pool up to {most} nodes (capability {NODE_SCALING} of provider {provider})"
            );
            return Ok(CallReport { done: true, skipped: true, detail, ..CallReport::default() });
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

    /// Nodes that a provisioner made for the tenant hold the record of its removal like its namespace.
    pub(super) async fn no_scaled_pool(&self) -> Result<Option<CallReport>, Failure> {
        if record_in(self.work, DesiredState::Present, &Stage::NodeScaling).is_none() {
            return Ok(None);
        }
        let report = self.remove_scaled_pool().await?;
        Ok((!report.done || !report.removed.is_empty()).then_some(CallReport { done: false, ..report }))
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
