//! The suite itself, and the plugins of this repository held to it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod abi;
mod aks;
mod broken;
mod command;
mod common;
mod docs;
mod eks;
mod eks_ministack;
mod fake;
mod gke;
