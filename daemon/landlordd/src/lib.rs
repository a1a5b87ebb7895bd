//! The landlord daemon: configuration, wiring, start-up and shutdown. Everything else lives
//! in the crates that it wires.

mod announce;
pub mod config;
pub mod descriptors;
mod figures;
mod listeners;
mod metrics;
pub mod startup;
pub mod store;
pub mod telemetry;
mod trust;
