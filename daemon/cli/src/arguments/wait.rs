//! `wait`.

use std::time::Duration;

use clap::Args;

/// `wait`.
#[derive(Debug, Args)]
pub struct Wait {
    /// Tenant, hostcluster/NAME, or operations/ID.
    #[arg(value_name = "TENANT|OPERATION")]
    pub name: String,
    /// `ready`, `deleted`, `done` (an operation), or `condition=TYPE`.
    #[arg(long = "for", default_value = "ready")]
    pub goal: String,
    /// Longest wait.
    #[arg(long, default_value = "2h", value_parser = super::duration)]
    pub timeout: Duration,
}
