//! The landlord daemon: configuration, wiring, start-up and shutdown. Everything else lives
//! in the crates that it wires.

pub mod config;
pub mod descriptors;
mod in_cluster;
mod listeners;
mod metrics;
mod plugin_check;
pub mod startup;
pub mod store;
pub mod telemetry;
mod trust;
