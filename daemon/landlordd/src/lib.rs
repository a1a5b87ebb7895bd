//! The landlord daemon: configuration, wiring, start-up and shutdown. Everything else lives
//! in the crates that it wires.

mod announce;
mod class_drift;
pub mod config;
pub mod descriptors;
mod figures;
mod in_cluster;
mod listeners;
mod metrics;
mod plugin_check;
mod retention;
pub mod startup;
pub mod store;
pub mod telemetry;
mod trust;
mod webhooks;
