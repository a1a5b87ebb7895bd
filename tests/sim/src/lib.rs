//! Simulated clouds that speak the real wire protocols.
//!
//! Real plugins with real SDKs run against them; tests judge by their journal. What they share is `core`, each cloud is a
//! crate beside it (`aws`, `azure`, `gcp`), and this one puts them on one address and runs Kubernetes for their clusters.
//! See the README for the command, the control API and the conventions.

#[cfg(feature = "kubernetes")]
mod dns;
#[cfg(feature = "kubernetes")]
pub mod kube;
#[cfg(feature = "kubernetes")]
mod real;

pub use cloudsim_core::{Error, Handle, Options, runtime};

use cloudsim_aws::Aws;
use cloudsim_azure::Azure;
use cloudsim_core::cloud::Clouds;
use cloudsim_gcp::Gcp;
use std::sync::Arc;

/// All simulated clouds on one address.
#[derive(Debug)]
pub struct Simulator;

impl Simulator {
    /// Starts them.
    ///
    /// # Errors
    /// The address, the journal file, or the stored state.
    pub async fn start(options: Options) -> Result<Handle, Error> {
        // AWS is last: what bears no sign of another cloud is refused in its words.
        let clouds = Clouds::new(vec![Arc::new(Gcp), Arc::new(Azure)], Arc::new(Aws));
        cloudsim_core::Simulator::start(options, clouds).await
    }
}
