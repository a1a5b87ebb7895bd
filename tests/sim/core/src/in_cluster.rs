//! What a cloud does for the controllers inside its Kubernetes clusters: load balancers for Services, disks for claims.
//!
//! What they made stays in the account when the cluster goes before its Services and claims do.

use crate::{
    cluster::{RecordSeen, ServiceSeen, StorageClassSeen, VolumeSeen},
    ctx::Ctx,
    object::Object,
    scope::Scope,
};

/// The cloud's side of the controllers of its clusters.
pub trait InCluster {
    /// The StorageClasses that its clusters come with.
    fn storage_classes(&self) -> Vec<StorageClassSeen>;
    /// Annotations, with their values, by which a Service requests an internal load balancer.
    fn internal_annotations(&self) -> &'static [(&'static str, &'static str)];
    /// Whether the annotations of a Service ask for an internal load balancer.
    fn wants_internal(&self, annotation: &dyn Fn(&str) -> Option<String>) -> bool {
        self.internal_annotations().iter().any(|(name, value)| annotation(name).is_some_and(|given| given == *value))
    }
    /// Makes a Service's load balancer; gives its address once it is active.
    fn ensure_load_balancer(&self, ctx: &mut Ctx<'_>, cluster: &Object, service: &ServiceSeen) -> Option<String>;
    /// Deletes the load balancer of the Service `uid`; true once nothing of it is left.
    fn delete_load_balancer(&self, ctx: &mut Ctx<'_>, cluster: &Object, uid: &str) -> bool;
    /// Makes a claim's disk; gives its id once the driver runs.
    fn ensure_volume(&self, ctx: &mut Ctx<'_>, cluster: &Object, volume: &VolumeSeen) -> Option<String>;
    /// The id by which the world keeps a disk that [`Self::ensure_volume`] gave.
    fn volume_key(&self, id: &str) -> String {
        id.to_owned()
    }
    /// Writes a disk's new size, in GiB.
    fn set_volume_size(&self, ctx: &mut Ctx<'_>, key: &str, size_gib: u64);
    /// Makes a disk larger; true if it exists.
    fn resize_volume(&self, ctx: &mut Ctx<'_>, id: &str, size_gib: u64) -> bool {
        let key = self.volume_key(id);
        let is_present = ctx.scope().live(&key).is_some();
        self.set_volume_size(ctx, &key, size_gib);
        is_present
    }
    /// What the zones of an account hold.
    fn records(&self, scope: &Scope) -> Vec<RecordSeen>;
    /// Detaches and deletes a disk.
    fn delete_volume(&self, ctx: &mut Ctx<'_>, id: &str);
}
