//! Azure Kubernetes Service provider for landlord: a tenant's network, cluster, nodes, zone and
//! identities, built and taken down by idempotent calls that never wait.
//!
//! The names of all objects come from the tenant's uid and every object carries the owner
//! markers, so each call finds its work again without any memory. Azure Resource Manager
//! overwrites silently, so each write is preceded by an observation and a comparison. This crate knows
//! Azure and the provider contract; it knows nothing of the daemon.

mod absence;
mod addons;
mod api;
mod arm;
mod certificate;
mod cluster;
mod config;
mod credentials;
mod describe;
mod dns;
mod error;
mod error_table;
mod error_words;
mod first_provisioning;
mod group;
mod identity;
mod inventory;
mod kube_access;
mod leftovers;
mod names;
mod network;
mod node_pool;
mod object;
mod operation;
mod parameters;
mod protection;
mod provider;
mod remedies;
mod roles;
mod tags;
mod transport;
mod validate;

use landlord_provider_sdk::progress;
pub use provider::Aks;

landlord_provider_api::export_provider!(Aks);
