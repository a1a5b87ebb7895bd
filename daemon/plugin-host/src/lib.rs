//! Runs provider plugins in child processes and speaks to them.
//!
//! - [`mod@file`] checks a plugin's file and keeps the checked bytes.
//! - [`child`] is the process that loads them: it knows no tokio and no configuration.
//! - [`plugin`] is the daemon's end: starts the child, carries calls with a deadline, restarts
//!   it after a crash or a hang.
//! - [`mod@sandbox`] is what the child may reach; it is entered before the library is loaded.
//! - [`measure`] keeps the figures of all plugins, their own measurements too.
//! - [`host`] holds all plugins, as the core's `Providers` port.
//!
//! A crash, a hang or a flood of memory in a plugin costs the calls in flight, which the engine
//! repeats, and one restart.

mod attempts;
pub mod child;
mod connection;
mod credentials;
pub mod file;
mod frame;
pub mod host;
#[expect(unsafe_code, reason = "the plugin boundary: dlopen and calls through a C table")]
mod load;
pub mod measure;
mod options;
mod output_limits;
pub mod plugin;
mod provider;
pub mod sandbox;
mod spawn;

pub use child::run_child;
pub use credentials::CredentialSource;
pub use file::{FileError, PluginFile};
pub use host::PluginHost;
pub use measure::Measurements;
pub use options::PluginOptions;
pub use plugin::Plugin;
pub use sandbox::Sandbox;
