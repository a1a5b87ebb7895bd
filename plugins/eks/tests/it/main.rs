//! The provider against the simulated AWS, and against others' servers with boto3 as the witness.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
mod rights;
mod simulator;
mod witness;
