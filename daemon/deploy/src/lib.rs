//! The apps of a stack: brings its releases into a tenant's cluster, judges them, and takes them away again.
//!
//! Two questions are kept apart. *What* is delivered: [`stack`] reads the manifest of a stack, `render` turns it and a
//! tenant's spec into values and secrets; both are pure. *How* it is delivered: the trait `driver::Driver`, of which the pinned
//! Helm binary is one. Whether it works is judged from Kubernetes objects alone, whoever delivered them.
//!
//! # Expected flow
//! The engine calls `ensure_base`, then `ensure_release` for each release once those it depends on are done, then `verify`;
//! each again and again until it is done. On the way out `teardown` empties a cluster of the tenant's own; in a shared one the
//! namespace goes, which is `landlord-isolation`'s.
//!
//! # Guarantees
//! - Each call is idempotent and may be killed anywhere; the next one finds out what is there. None waits for workloads but
//!   `verify`, which waits for the chatbot to know a file and to answer, for at most four minutes.
//! - In a shared cluster everything is done with the rights of the tenant's own account, and a chart that wants more is refused
//!   before anything is applied.
//! - What a customer adds to its namespace never decides whether its environment is ready.
//! - Secrets are made once and never changed. No access is in an argument or an environment variable.
//!
//! # Assumptions
//! The engine's fencing token proves that nobody else works on the tenant. In a shared cluster the tenant is isolated before.
//!
//! # Errors
//! [`Error`] says what happened to what; a driver's own words are quoted from their end, where the cause stands.
//!
//! # Example
//! A stack is a folder; everything wrong with it is found when it is read, before anything is deployed.
//!
//! ```
//! use landlord_deploy::{chart::ChartMirrors, stack::Stack};
//!
//! let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/stacks/ai-fileserver");
//! let stack = Stack::load(&folder, &ChartMirrors::new())?;
//! assert!(stack.manifest.releases.iter().any(|release| !release.depends_on.is_empty()), "some wait for others");
//! # Ok::<(), landlord_deploy::Error>(())
//! ```
//!
//! The crate knows no provider: it gets an endpoint, a certificate authority and an identity.

pub mod access;
mod apply;
mod apps;
mod base;
pub mod chart;
mod chart_policy;
pub mod check;
mod checks;
mod diff;
mod driver;
mod error;
mod figures;
mod hand_over;
mod listeners;
mod logs;
mod manifest;
mod offers;
pub mod platform;
mod probe;
mod render;
mod revisions;
mod service_accounts;
pub mod stack;
mod teardown;
mod values;
mod verify;

pub use apps::{DeployOptions, StackApps};
pub use checks::CheckOptions;
pub use error::{Error, Result};
pub use figures::DeployFigures;
pub use offers::StackOffers;
pub use probe::{ProbeOptions, WebProbe};
pub use revisions::Packed;
