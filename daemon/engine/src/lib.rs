//! The reconciling engine: claims what is due, decides by a pure function, calls providers and the deploy stage, records,
//! and asks to be woken.
//!
//! # Expected flow
//! [`Engine::run`] claims tenants (`engine.rs`) and gives each a pass (`pass.rs`). A pass loads the record, asks
//! `core::step` what to do, records the intent of every stage before its first call, runs independent stages side by side,
//! and commits each outcome as it comes. It ends when there is nothing to do but wait. `execute.rs` alone asks for outside
//! changes, after `limits` let the call go.
//!
//! # Guarantees
//! - An intent is durable before the first call for it; every write is fenced by the claim.
//! - Status and conditions follow the records at every write (`conditions.rs`); what changed is an event once (`events.rs`).
//! - A killed pass, a lost lease or a panic costs calls that are repeated, never work.
//! - One tenant's trouble delays nobody beyond a fair share of the account's rate.
//! - Nothing waits for longer than the longest legitimate wait, whatever happens to the wall clock (`clock.rs`).
//!
//! # Assumptions
//! Calls are idempotent and return soon; a hint may be lost, the store decides what is due.
//!
//! # Errors
//! None leave [`Engine::run`]: what fails is recorded with the stage, or logged and tried again.
//!
//! It knows no SQL, no gRPC and no provider by name.

mod access;
mod clock;
mod cluster_access;
mod conditions;
mod engine;
mod events;
mod execute;
mod figures;
mod inventories;
mod limits;
mod options;
mod pass;
mod request;
mod shared;
mod timing;

pub use cluster_access::ClusterAccess;
pub use engine::{Engine, EngineHandle};
pub use figures::EngineFigures;
pub use inventories::Inventories;
pub use options::{BucketFigures, EngineOptions, EnginePorts, ProviderOptions};
