//! An in-memory provider with scripted faults, for testing the daemon and the plugin boundary.
//!
//! It behaves as the contract requires of every provider: idempotent, quick, markers on every
//! object, absent is gone. Its cloud is a folder ([`config::Config::state_dir`]), so that it
//! outlives the plugin's process; `journal.jsonl` in it lists every effect, for tests to judge
//! by. Faults come from the configuration or from a file that is read at every call; see
//! [`fault::Fault`].
//!
//! What it offers can be less than everything: see [`lacks`].
//!
//! It knows no other cloud and nothing of the daemon.

pub mod cloud;
pub mod config;
mod describe;
mod entry;
pub mod fault;
pub mod lacks;
mod object;
mod provider;

pub use entry::landlord_plugin;
pub use provider::Fake;
