//! landlord through its public surfaces. `crash` is a program of its own: it kills daemons by the dozen and computes all the
//! time, so it is scheduled and bounded apart from what waits for Kubernetes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod adopted;
mod apps;
mod clouds;
mod daemons;
mod input;
mod lifecycle;
mod shared;
mod shared_clouds;
mod store;
mod unanswered;
