//! How a plugin is run: the same for its process, its connection and its calls.

use std::{path::PathBuf, time::Duration};

use crate::Sandbox;

/// How a plugin is run.
#[derive(Debug, Clone)]
pub struct PluginOptions {
    /// Program that is executed with the argument `plugin-child`.
    pub program: PathBuf,
    /// Longest call.
    pub call_deadline: Duration,
    /// Calls at the same moment; more wait.
    pub calls_max: u32,
    /// Multiplies the waits between restarts, which suit a real cloud; 1.0 but for simulators.
    pub time_scale: f64,
    /// Address space of the process in MiB; 0: no limit.
    pub memory_max_mib: u64,
    /// Environment variables that the process keeps.
    pub environment: Vec<String>,
    /// What the process may reach.
    pub sandbox: Sandbox,
}
