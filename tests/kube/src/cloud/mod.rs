//! What a cloud does inside its Kubernetes clusters: nodes, load balancers, volumes.
//!
//! On a real cloud these are the cloud controller manager, the CSI driver and the node groups. Here they are
//! [`CloudControllers`] (watching Services, claims and volumes) and [`add_nodes`], which act on behalf of a
//! [`CloudBackend`]: the simulated cloud that keeps the load balancers and disks. Everything in the cluster is the real thing:
//! real finalizers, real volume binding, real scheduling.
//!
//! The module knows no provider: names of storage classes, provisioners and labels come from the caller. It holds no state of its
//! own: whatever it needs to know it reads from the cluster, so it may be stopped and started at any time. What it made in
//! the cloud stays there when a cluster ends before its Services and claims do, as on a real cloud.

mod backend;
mod context;
mod controllers;
mod event;
mod local;
mod nodes;
mod quantity;
mod services;
mod volumes;

pub use backend::{CloudBackend, LoadBalancerPort, LoadBalancerRequest, VolumeRequest};
pub use controllers::{CloudControllers, CloudOptions, StorageClassSpec};
pub use local::LocalVolumes;
pub use nodes::{NodeSpec, NodeTaint, add_nodes, remove_nodes};
pub use services::address_of;

pub(crate) use local::FAKE_NODE;
