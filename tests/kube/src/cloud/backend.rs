//! The seam to the simulated cloud.

use std::collections::BTreeMap;

/// A port of a load balancer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadBalancerPort {
    /// Its name, if it has one.
    pub name: Option<String>,
    /// The port that clients connect to.
    pub port: i32,
    /// The port of the nodes that is behind it.
    pub node_port: Option<i32>,
    /// `TCP` or `UDP`.
    pub protocol: String,
}

/// A Service of type LoadBalancer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadBalancerRequest {
    /// Namespace of the Service.
    pub namespace: String,
    /// Name of the Service.
    pub name: String,
    /// Uid of the Service: the load balancer's identity.
    pub uid: String,
    /// Annotations of the Service, in which users say what they want of the cloud.
    pub annotations: BTreeMap<String, String>,
    /// Its ports.
    pub ports: Vec<LoadBalancerPort>,
}

/// A claim that wants a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeRequest {
    /// Namespace of the claim.
    pub namespace: String,
    /// Name of the claim.
    pub claim: String,
    /// Uid of the claim: the volume's identity.
    pub uid: String,
    /// Name that the PersistentVolume will have.
    pub persistent_volume: String,
    /// Size in bytes, whole GiB.
    pub size_bytes: u64,
    /// Name of the StorageClass.
    pub storage_class: String,
    /// Its parameters.
    pub parameters: BTreeMap<String, String>,
    /// Where the volume has to be: the zone of the node that was chosen for its pod, if one was.
    pub zone: Option<String>,
}

/// The simulated cloud, as its controllers in a cluster see it.
///
/// Every method is idempotent, quick, and never waits: what takes time returns "not yet" and is requested again after
/// [`CloudOptions::poll_interval`](super::CloudOptions::poll_interval), or sooner when the cluster changes. Errors are shown as Events on the object and tried
/// again. Calls for one cluster come from two tasks, one for load balancers and one for volumes.
#[async_trait::async_trait]
pub trait CloudBackend: Send + Sync + 'static {
    /// Makes the load balancer of a Service, or brings it to what the Service says now. `None`: it has no address yet.
    async fn ensure_load_balancer(&self, service: &LoadBalancerRequest) -> anyhow::Result<Option<String>>;

    /// Deletes the load balancer of the Service `uid`. `true`: it is gone, or never was; only then may the Service go.
    async fn delete_load_balancer(&self, uid: &str) -> anyhow::Result<bool>;

    /// Makes the volume of a claim. `None`: not usable yet; otherwise the volume's id.
    async fn ensure_volume(&self, claim: &VolumeRequest) -> anyhow::Result<Option<String>>;

    /// Makes a volume larger. `true`: it is.
    async fn resize_volume(&self, volume_id: &str, size_bytes: u64) -> anyhow::Result<bool>;

    /// Deletes a volume. `true`: it is gone, or never was.
    async fn delete_volume(&self, volume_id: &str) -> anyhow::Result<bool>;
}
