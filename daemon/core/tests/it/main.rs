//! Tests of the domain by its public types: no IO, no clock.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod hosts;
mod lifecycle;
mod polls;
mod step;
mod timeouts;
