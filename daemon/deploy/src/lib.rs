//! The app deploy stage: brings a stack of releases into a tenant's cluster, judges it, and
//! takes it away again.
//!
//! Two questions are kept apart. *What* is delivered: [`stack`] reads the manifest of a stack,
//! `render` turns it and a tenant's spec into values and secrets; both are pure. *How* it is
//! delivered: `driver` drives the pinned Helm binary, which never waits; another driver (server-side
//! apply, Flux, Argo CD) would stand beside it and use the same rendering. Whether it works is
//! judged from Kubernetes objects alone, whoever delivered them.
//!
//! Calls take no lock: the engine's fence proves that nobody else works on the tenant. Each is
//! idempotent and may be killed anywhere; the next one finds out what is there.
//!
//! The crate knows no provider: it gets an endpoint, a certificate authority and an identity.

mod apply;
mod apps;
mod base;
mod chart_policy;
mod driver;
mod error;
mod render;
mod service_accounts;
pub mod stack;
mod teardown;
mod verify;

pub use apps::{DeployOptions, StackApps};
pub use error::{Error, Result};
