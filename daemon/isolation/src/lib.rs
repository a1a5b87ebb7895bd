//! What keeps tenants of a shared cluster apart, as Kubernetes objects: observed, compared, applied.
//!
//! The leaves say what is wanted and are pure: `namespace` (namespace, limits, accounts), `network`, `rbac` and
//! `admission` (what the host cluster needs once for all its tenants). `gateway` and `listener` give the tenant its names on
//! the shared Gateway. `enforce` applies and looks whether the API server really refuses, `remove` takes a tenant away,
//! `access` issues the customer's tokens. `host_cluster` counts what a host cluster has, and takes back what is all tenants'.
//!
//! Nothing here knows Helm, a stack's charts or a cloud.

mod access;
mod admission;
mod enforce;
mod error;
mod gateway;
mod host_cluster;
mod isolation;
mod listener;
mod marked;
mod namespace;
mod network;
mod rbac;
mod remove;

pub use error::{Error, Result};
pub use isolation::{IsolationOptions, KubeIsolation};
pub use remove::REMOVAL_PATIENCE;
