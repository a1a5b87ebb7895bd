//! What keeps tenants of a shared cluster apart, as Kubernetes objects: observed, compared, applied.
//!
//! The leaves say what is wanted and are pure: `namespace` (namespace, limits, accounts), `network`, `rbac` and
//! `admission` (what the host cluster needs once for all its tenants). `gateway` and `listener` give the tenant its names (`served`)
//! on the shared Gateway, `certificate` and `issue` their certificate. `enforce` applies and observes whether the API server really refuses, `remove` takes a tenant away,
//! `access` issues the customer's tokens. `host_cluster` counts what a host cluster has, and takes back what is all tenants'.
//!
//! # Expected flow
//! The engine calls `ensure` until it is done, before anything of the tenant runs, and again at every resync; `remove` until
//! it is done takes the tenant away. Of the host cluster it calls `measure` at intervals, and `uninstall` when landlord goes.
//!
//! # Guarantees
//! - Done means that the API server was seen refusing what it shall refuse; the tenant's accounts get their rights only then.
//! - Each call is idempotent and may be killed anywhere. A second call that finds nothing changed writes nothing.
//! - Nothing of another tenant, another installation, the operator or anybody else is changed or removed.
//! - An admission policy is never away, not even to be recreated.
//!
//! # Assumptions
//! Other tenants of the cluster may be worked on at the same moment, by this daemon or by another installation's. The
//! cluster's network plug-in enforces NetworkPolicies.
//!
//! # Errors
//! [`Error`]; an API server's own are [`landlord_kube::Error`].
//!
//! # Example
//! It starts without a cluster and without any program; each call brings the credentials of the cluster that it is about.
//!
//! ```
//! use std::sync::Arc;
//!
//! use landlord_isolation::{IsolationOptions, KubeIsolation, REMOVAL_TIMEOUT};
//! use landlord_kube::client::Clients;
//!
//! let options = IsolationOptions { stacks: None, gateway_api_crds: None, removal_timeout: REMOVAL_TIMEOUT };
//! let isolation = KubeIsolation::new(options, Arc::new(Clients::default()));
//! // isolation.ensure(&target).await, until it is Done; then the tenant's apps may run.
//! # drop(isolation);
//! ```
//!
//! Nothing here knows Helm, a stack's charts or a cloud, and no other program is needed.

mod access;
mod admission;
mod certificate;
mod enforce;
mod error;
mod gateway;
mod host_cluster;
mod isolation;
mod issue;
mod listener;
mod marked;
mod namespace;
mod network;
mod rbac;
mod remove;
mod served;
mod solvers;

pub use error::{Error, Result};
pub use isolation::{IsolationOptions, KubeIsolation};
pub use remove::REMOVAL_TIMEOUT;
pub use served::LISTENERS_MAX;
