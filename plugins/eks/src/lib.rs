//! Amazon EKS provider for landlord: a tenant's network, cluster, nodes, zone and identities,
//! built and taken down by idempotent calls that never wait.
//!
//! The names of all objects come from the tenant's uid and every object carries the owner
//! markers, so each call finds its work again without any memory. This crate knows AWS and the
//! provider contract; it knows nothing of the daemon.

mod absence;
mod access;
mod action;
mod addons;
mod aws;
mod cluster;
mod config;
mod credentials;
mod describe;
mod dns;
mod error;
mod error_table;
mod error_words;
mod health;
mod identity;
mod inventory;
mod kube_access;
mod leftovers;
mod logs;
mod measure;
mod names;
mod network;
mod node_pool;
mod parameters;
mod pod_identity;
mod protection;
mod provider;
mod query;
mod tags;
mod validate;
mod xml;

use landlord_provider_sdk::progress;
pub use provider::Eks;

landlord_provider_api::export_provider!(Eks);
