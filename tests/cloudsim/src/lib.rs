//! Simulated clouds that speak the real wire protocols.
//!
//! Real plugins with real SDKs run against it; tests judge by its journal. Each cloud is a folder (`aws`, `azure`, `gcp`)
//! behind the seam `cloud`. Everything is in one [`world::World`] behind one lock; what the cloud does by itself is a schedule
//! of steps applied at their own due times. See the README for the command, the control API and the conventions.

pub mod aws;
pub mod azure;
pub mod call;
pub mod clock;
pub mod cloud;
pub mod cloud_side;
pub mod control;
pub mod ctx;
pub mod driver;
pub mod duration;
pub mod faults;
pub mod gcp;
pub mod journal;
#[cfg(feature = "kubernetes")]
pub mod kube;
pub mod object;
pub mod persist;
pub mod quota;
pub mod runtime;
pub mod schedule;
pub mod scope;
pub mod server;
pub mod sigv4;
pub mod sim;
pub mod tag_edit;
pub mod throttle;
pub mod world;
pub mod xml;

pub use sim::{Error, Handle, Options, Simulator};
