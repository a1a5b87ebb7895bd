//! What is deployed into clusters, on real control planes and with the real Helm.

#![expect(clippy::unwrap_used, clippy::large_futures, reason = "a test fails by panicking")]

mod certificate;
mod charts;
mod checkov;
mod diff;
mod documents;
mod files;
mod gateway_owner;
mod kube_state;
mod leaving;
mod metrics_server;
mod monitoring;
mod platform;
mod shared;
mod stack;
mod support;
