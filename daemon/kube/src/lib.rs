//! The ground for work in Kubernetes clusters: how an API server is talked to, how objects are applied and kept as they
//! shall be, when they are ready, what carries landlord's mark, and what an API server's errors mean.
//!
//! # Expected flow
//! A caller gets a client for a cluster's credentials from [`client::Clients`], says what shall exist as
//! [`object::Wanted`], and calls [`apply::apply_all`] again and again: the first call writes, later ones read and repair.
//! [`ready`] judges what came of it, from objects alone.
//!
//! # Guarantees
//! - Every call is idempotent and may be dropped anywhere; the next one finds out what is there.
//! - An object without landlord's marker ([`markers`]) is never changed, and never removed.
//! - No token or key is in an argument, an environment variable, an error or a log.
//!
//! # Assumptions
//! The engine's fencing token proves that nobody else of this installation works on the tenant; other tenants of the same
//! cluster may be worked on at the same moment, and other installations may share it.
//!
//! # Errors
//! [`Error`] says what was being done to what; its [`Failure`](landlord_core::Failure) carries kind, remedy and
//! `retry_after`, decided by one table ([`error`]).
//!
//! # Example
//! What an API server refuses names who must do what, also where only its words are known:
//!
//! ```
//! use landlord_core::ErrorKind;
//!
//! let refused = r#"admission webhook "labels.example.com" denied the request: you must provide labels"#;
//! let (kind, remedy) = landlord_kube::error::of_message(refused).ok_or("not recognised")?;
//! assert_eq!(kind, ErrorKind::Invalid);
//! assert!(remedy.contains("whoever operates the admission webhook labels.example.com"));
//! # Ok::<(), &str>(())
//! ```
//!
//! Knows no cloud, no Helm, no stack, and not what isolates tenants.

pub mod absent;
pub mod apply;
pub mod client;
pub mod content;
mod drift;
pub mod error;
pub mod file;
pub mod gateway_api;
pub mod markers;
pub mod object;
pub mod progress;
pub mod ready;
pub mod token;
mod traced;
pub mod yaml;

pub use drift::differs;
pub use error::{Doing, Error, Result};
