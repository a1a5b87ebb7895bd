//! The simulated clouds over their wire protocols.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod azure_behaviour;
mod azure_common;
mod azure_flow;
mod behaviour;
mod common;
mod gcp;
