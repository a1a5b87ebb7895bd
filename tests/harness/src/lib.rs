//! Starts the real daemon, the real plugins and the simulated clouds, for end-to-end tests,
//! benchmarks and the quickstart. Knows how to start, stop and ask them; never how they work.
//!
//! Without the feature `client` the crate is small, so that the quickstart starts soon.

pub mod binaries;
pub mod cli;
#[cfg(feature = "client")]
pub mod client;
pub mod clock;
pub mod cloud;
pub mod files;
pub mod issuer;
pub mod judge;
#[cfg(feature = "client")]
pub mod observe;
pub mod process;
pub mod real;
pub mod replica;
pub mod simulator;
pub mod world;

pub use binaries::Binaries;
pub use cli::{Cli, CliOutput, HostFile, TenantFile};
pub use cloud::Cloud;
pub use files::private;
pub use issuer::Issuer;
pub use process::Service;
pub use replica::Replica;
pub use simulator::Simulator;
pub use world::{World, WorldOptions};
