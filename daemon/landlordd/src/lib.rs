//! The landlord daemon: configuration, wiring, start-up and shutdown. Everything else lives
//! in the crates that it wires.

mod announce;
mod audit;
mod availability;
mod class_drift;
pub mod config;
mod customer_labels;
pub mod descriptors;
pub mod documents;
mod ending;
mod figures;
mod in_cluster;
mod inventories;
mod listeners;
mod metrics;
mod plugin_check;
pub mod reload;
mod retention;
mod revisions;
pub mod startup;
pub mod store;
pub mod systemd;
pub mod telemetry;
mod trust;
mod webhooks;
