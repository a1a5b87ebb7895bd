//! Log lines, on standard error.

use anyhow::{Context as _, Result};
use tracing_subscriber::{
    EnvFilter, Layer as _, Registry, fmt, layer::SubscriberExt as _, reload, util::SubscriberInitExt as _,
};

use crate::config::{Log, LogFormat};

/// Changes what is logged.
#[derive(Debug, Clone)]
pub struct LogFilter(reload::Handle<EnvFilter, Registry>);

impl LogFilter {
    /// Logs by another filter from now on.
    ///
    /// # Errors
    /// A filter that can't be parsed; the one of before goes on.
    pub fn set(&self, filter: &str) -> Result<()> {
        self.0.reload(parse(filter)?).context("log.filter")
    }
}

/// A filter in the syntax of `EnvFilter`.
///
/// # Errors
/// What can't be parsed.
pub(crate) fn parse(filter: &str) -> Result<EnvFilter> {
    EnvFilter::try_new(filter).with_context(|| format!("log.filter {filter:?}"))
}

/// Starts logging.
///
/// # Errors
/// A filter that can't be parsed.
pub fn init(log: &Log) -> Result<LogFilter> {
    let (filter, handle) = reload::Layer::new(parse(&log.filter)?);
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines = match log.format {
        LogFormat::Text => lines.with_ansi(false).boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    // A second call in one process (tests) keeps the first subscriber.
    let _ = tracing_subscriber::registry().with(filter).with(lines).try_init();
    Ok(LogFilter(handle))
}
