//! The simulated Google Cloud: GKE, Compute, Cloud DNS, IAM and OAuth, as Google's REST APIs.
//!
//! All objects of a project lie in its global scope, since networks and clusters reach over regions; the journal still
//! says where a call was for. A call's account is the project that it is for, its caller the principal.

mod auth;
mod cloud;
mod compute;
mod container;
mod critical_path;
mod dispatch;
mod dns;
mod durations;
mod error;
mod iam;
mod kinds;
mod kubernetes;
mod location;
mod names;
mod oauth;
mod principal;
mod quotas;
mod rates;
mod rights;
mod route;
mod state;
mod tag_edit;
mod wire;

pub use cloud::Gcp;
