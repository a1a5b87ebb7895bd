//! Real Kubernetes for tests, for the simulated clouds and for the quickstart.
//!
//! Nothing here imitates Kubernetes: etcd, the API server, the controllers, the scheduler, kwok and Helm are
//! built from their pinned Go modules (folder `kubebox`) into a cache outside the clone, and run as child
//! processes that cannot outlive their parent.
//!
//! - [`Artifacts`]: the built binaries. `Artifacts::ensure` builds them once a machine.
//! - [`ControlPlane`]: one running control plane, about 0.7 GB of memory and three to six seconds to start.
//! - [`Node`]: a real node beside kwok's pretended ones, for those who ask for it; needs root.
//! - [`Capacity`]: how many of them this machine bears.
//! - [`steps!`]: named tests that share one of them.
//! - [`free_port`]: a port for a program that will listen there.
//! - [`Offline`]: a machine without network, for whatever shall need none.
//! - [`cloud`]: what a cloud does inside its clusters (load balancers, volumes, nodes), on behalf of a
//!   [`cloud::CloudBackend`].
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use landlord_test_kube::{Artifacts, ControlPlane, ControlPlaneOptions};
//!
//! let artifacts = Artifacts::ensure(&mut |line| eprintln!("{line}"))?;
//! let cluster = ControlPlane::start(ControlPlaneOptions::new(artifacts, "/tmp/cluster")).await?;
//! let client = cluster.kube_client()?;
//! println!("{} {:?}", cluster.endpoint(), client.apiserver_version().await?);
//! cluster.stop().await;
//! # Ok(()) }
//! ```
//!
//! The crate knows no provider and nothing of the daemon. Without the feature `cluster` (on by default) only
//! [`Artifacts`], [`Capacity`], [`Offline`] and what builds a node's parts are left, which compile in seconds, so that the Go build can begin at once.

mod artifacts;
mod build;
mod capacity;
mod connect;
mod cyclonus;
mod debian;
mod error;
mod free_port;
mod go_program;
mod images;
mod kube_state_metrics;
mod metrics_server;
mod node_artifacts;
mod offline;
mod older_gateway;
mod steps;
mod venv;

#[cfg(feature = "cluster")]
mod arguments;
#[cfg(feature = "cluster")]
pub mod cloud;
#[cfg(feature = "cluster")]
mod control_plane;
#[cfg(feature = "cluster")]
mod credentials;
#[cfg(feature = "cluster")]
mod everything;
#[cfg(feature = "cluster")]
mod external_dns;
#[cfg(feature = "cluster")]
mod karpenter;
#[cfg(feature = "cluster")]
mod kubeconfig;
#[cfg(feature = "cluster")]
mod node;
#[cfg(feature = "cluster")]
mod ports;
#[cfg(feature = "cluster")]
mod process;
#[cfg(feature = "cluster")]
mod prometheus;
#[cfg(feature = "cluster")]
mod ready;

pub use artifacts::{Artifacts, cache_folder};
pub use capacity::{Capacity, Permit};
pub use connect::{NODES_MAX, forward, node_socket, node_sockets, proxy};
pub use cyclonus::cyclonus;
pub use error::{Error, Result};
pub use free_port::free_port;
pub use images::{APP_IMAGES, PLATFORM_IMAGES, ensure_stack, images, images_watched};
pub use kube_state_metrics::kube_state_metrics;
pub use metrics_server::metrics_server;
pub use node_artifacts::{NodeArtifacts, node_supported};
pub use offline::Offline;
pub use older_gateway::older_gateway_crds;
pub use steps::Steps;
pub use venv::python_env;

#[cfg(feature = "cluster")]
pub use control_plane::{ControlPlane, ControlPlaneOptions};
#[cfg(feature = "cluster")]
pub use everything::{differences, everything};
#[cfg(feature = "cluster")]
pub use external_dns::ExternalDns;
#[cfg(feature = "cluster")]
pub use karpenter::Karpenter;
#[cfg(feature = "cluster")]
pub use node::{AcmeServer, Node, NodeOptions};
#[cfg(feature = "cluster")]
pub use prometheus::prometheus;
#[cfg(feature = "cluster")]
pub use ready::client_config;
