//! Provider for landlord that adopts a cluster which exists already: k3s, kind, on-premises, or
//! one that another tool made.
//!
//! The credential scope is a kubeconfig, and leads to one cluster. Network and cluster are looked
//! at and never made or removed; machines are counted and never bought; there is no DNS and no
//! identity. This crate knows Kubernetes and the provider contract; it knows nothing of the daemon
//! and of no cloud.

mod access;
mod config;
mod credentials;
mod describe;
mod error;
mod expiry;
mod files;
mod inventory;
mod kubeconfig;
mod nodes;
mod observation;
mod provider;
mod session;

pub use provider::Kubernetes;

landlord_provider_api::export_provider!(Kubernetes);
