//! The plugin host against real plugins in real child processes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod c_plugin;
mod file;
mod isolation;
mod misbehaviour;
mod sandbox;
mod traced;
mod world;
