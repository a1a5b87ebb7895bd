//! Ports to what a tenant's apps write down.

use std::time::Duration;

use async_trait::async_trait;

use super::target::DeployTarget;
use crate::{Environment, Failure};

/// Which lines.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogQuery {
    /// Of this app only; `None`: of all.
    pub app: Option<String>,
    /// Written within this time; `None`: whenever.
    pub since: Option<Duration>,
    /// At most this many of each container, the newest.
    pub tail: u32,
    /// Whether lines follow as they are written, also those of containers that start later.
    pub follow: bool,
}

/// A line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// App.
    pub app: String,
    /// Pod.
    pub pod: String,
    /// Container.
    pub container: String,
    /// When it was written, RFC 3339, with the line behind it.
    pub text: String,
}

/// Where lines go.
#[async_trait]
pub trait LogSink: Send + Sync {
    /// Takes a line, as fast as whoever reads takes it; false: nobody reads any more.
    async fn line(&self, line: LogLine) -> bool;
}

/// What apps write down, in a cluster.
#[async_trait]
pub trait AppLogs: Send + Sync + 'static {
    /// Hands lines of the tenant's own namespace to `sink`, until there are no more, nobody reads, or an hour is over. Nothing
    /// of any other namespace is read. Dropping it is safe.
    ///
    /// # Errors
    /// INVALID: the stack has no such app; else as [`Failure::kind`] says.
    async fn logs(&self, target: &DeployTarget, query: &LogQuery, sink: &dyn LogSink) -> Result<(), Failure>;
}

/// The same of a tenant, by its record.
#[async_trait]
pub trait TenantLogs: Send + Sync + 'static {
    /// As [`AppLogs::logs`].
    ///
    /// # Errors
    /// CONFLICT while there is no cluster or no stack; else as [`AppLogs::logs`].
    async fn logs(&self, tenant: &Environment, query: &LogQuery, sink: &dyn LogSink) -> Result<(), Failure>;
}
