//! The account, as the controllers inside one cluster see it: load balancers for Services, disks for claims.
//!
//! The runtime hands it to whatever watches the cluster. Every call takes the world's lock for a moment and never waits.

use crate::{
    cloud::Cloud,
    cluster::{RecordSeen, ServiceSeen, VolumeSeen},
    ctx::Ctx,
    object::Object,
    shared::Shared,
};
use std::sync::Arc;

/// The cloud's side of one cluster.
#[derive(Debug, Clone)]
pub struct CloudSide {
    shared: Arc<Shared>,
    arn: String,
}

impl CloudSide {
    /// For the cluster `arn`.
    #[must_use]
    pub fn new(shared: Arc<Shared>, arn: &str) -> Self {
        Self { shared, arn: arn.to_owned() }
    }

    /// The cloud that the cluster is in.
    #[must_use]
    pub fn cloud(&self) -> &dyn Cloud {
        self.shared.clouds.of_cluster(&self.arn)
    }

    /// What the zones of the cloud hold, whoever's they are: names are public.
    #[must_use]
    pub fn records(&self) -> Vec<RecordSeen> {
        let world = self.shared.world.lock();
        world.scopes.values().flat_map(|scope| self.cloud().records(scope)).collect()
    }

    /// Makes a Service's load balancer; gives its address once it is active.
    #[must_use]
    pub fn ensure_load_balancer(&self, service: &ServiceSeen) -> Option<String> {
        self.act(|ctx, cluster| self.cloud().ensure_load_balancer(ctx, cluster, service)).flatten()
    }

    /// Deletes the load balancer of the Service `uid`; true once nothing of it is left.
    #[must_use]
    pub fn delete_load_balancer(&self, uid: &str) -> bool {
        self.act(|ctx, cluster| self.cloud().delete_load_balancer(ctx, cluster, uid)).unwrap_or(false)
    }

    /// Makes a claim's disk; gives its id once the driver runs.
    #[must_use]
    pub fn ensure_volume(&self, volume: &VolumeSeen) -> Option<String> {
        self.act(|ctx, cluster| self.cloud().ensure_volume(ctx, cluster, volume)).flatten()
    }

    /// Makes a disk larger; true once it is.
    #[must_use]
    pub fn resize_volume(&self, id: &str, size_gib: u64) -> bool {
        self.act(|ctx, _| self.cloud().resize_volume(ctx, id, size_gib)).unwrap_or(false)
    }

    /// Deletes a disk; true once it is gone.
    #[must_use]
    pub fn delete_volume(&self, id: &str) -> bool {
        self.act(|ctx, _| self.cloud().delete_volume(ctx, id)).is_some()
    }

    /// Acts if the cluster is in service; what controllers of a cluster under deletion made stays.
    fn act<T>(&self, act: impl FnOnce(&mut Ctx<'_>, &Object) -> T) -> Option<T> {
        let mut result = None;
        self.shared.in_cluster(&self.arn, "kubernetes", "CloudControllers", |ctx| {
            let cluster = ctx.scope().live(&self.arn).cloned();
            if let Some(cluster) = cluster.filter(|c| self.cloud().in_service(c)) {
                result = Some(act(ctx, &cluster));
            }
        });
        result
    }
}
