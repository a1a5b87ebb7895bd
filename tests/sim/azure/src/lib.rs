//! The simulated Azure: Resource Manager with the providers that an AKS environment needs, and Entra's tokens.
//!
//! Everything is a resource with a path; `kind` names which there are, `identify` reads requests, `resource` keeps what
//! all kinds share, `lro` runs what takes time. It knows nothing of AWS. A subscription is an account; all its resources
//! lie in one scope, because ids of resources name no region.

mod aks;
mod cloud;
mod compute;
mod critical_path;
mod dispatch;
mod dns;
mod durations;
mod entra;
mod groups;
mod id;
mod identify;
mod jwt;
mod kind;
mod kubernetes;
mod listing;
mod locks;
mod lro;
mod msi;
mod network;
mod principal;
mod providers;
mod quotas;
mod references;
mod resource;
mod review;
mod rights;
mod roles;
mod shown;
mod state;
mod step;
mod steps;
mod throttle;
mod wire;

pub use cloud::Azure;
