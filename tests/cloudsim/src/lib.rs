//! Simulated clouds that speak the real wire protocols.
//!
//! Real plugins with real SDKs run against it; tests judge by its journal. Today it is AWS (`aws`); another cloud is a
//! folder beside it. Everything is in one [`world::World`] behind one lock; what the cloud does by itself is a schedule
//! of steps applied at their own due times. See the README for the command, the control API and the conventions.

pub mod aws;
pub mod call;
pub mod clock;
pub mod control;
pub mod driver;
pub mod duration;
pub mod faults;
pub mod journal;
pub mod object;
pub mod persist;
pub mod quota;
pub mod runtime;
pub mod schedule;
pub mod scope;
pub mod server;
pub mod sigv4;
pub mod sim;
pub mod throttle;
pub mod world;
pub mod xml;

pub use sim::{Error, Handle, Options, Simulator};

/// The runtime that starts real control planes, with their data under `data_dir`.
///
/// # Errors
/// If the Kubernetes binaries cannot be found or built.
pub fn kube_runtime(
    _data_dir: Option<&std::path::Path>,
) -> anyhow::Result<Option<std::sync::Arc<dyn runtime::ClusterRuntime>>> {
    anyhow::bail!("this build has no Kubernetes; run with --no-kubernetes")
}
