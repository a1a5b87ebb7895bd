//! landlord through its public surfaces. Programs of their own: `crash`, which kills daemons by the dozen and computes all the
//! time, so that it is scheduled apart from what waits for Kubernetes; `real`, which needs root and runs when it is requested.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod adopted;
mod alerts;
mod apps;
mod auth;
mod clouds;
#[path = "../collector/mod.rs"]
mod collector;
mod daemons;
mod figures;
mod input;
mod lifecycle;
mod outside;
mod packages;
mod portals;
#[path = "../prometheus/mod.rs"]
mod prometheus;
mod records;
mod replicas;
mod revisions;
mod scaling;
mod shared;
mod shared_clouds;
mod store;
mod traces;
mod unanswered;
mod upgrades;
