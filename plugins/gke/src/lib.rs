//! Google Kubernetes Engine provider for landlord: a tenant's network, cluster, nodes, zone and
//! identities, built and taken down by idempotent calls that never wait.
//!
//! The names of all objects come from the tenant's uid and every object carries the owner
//! markers, so each call finds its work again without any memory. This crate knows Google Cloud
//! and the provider contract; it knows nothing of the daemon.

mod absence;
mod action;
mod addons;
mod cluster;
mod compute;
mod config;
mod credentials;
mod describe;
mod dns;
mod error;
mod error_table;
mod google;
mod identity;
mod inventory;
mod kube_access;
mod leftovers;
mod markers;
mod names;
mod network;
mod node_pool;
mod operation;
mod parameters;
mod protection;
mod provider;
mod rest;
mod token;
mod validate;

use landlord_provider_sdk::progress;
pub use provider::Gke;

landlord_provider_api::export_provider!(Gke);
