//! Log lines, on standard error; traces and logs for a collector, if one is configured.

mod otlp;

use anyhow::{Context as _, Result};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use tracing_subscriber::{
    EnvFilter, Layer as _, Registry,
    filter::{LevelFilter, Targets},
    fmt,
    layer::SubscriberExt as _,
    reload,
    util::SubscriberInitExt as _,
};

pub use self::otlp::Export;
use crate::config::{Log, LogFormat, Telemetry};

/// Crates of ours begin with it. What the libraries say, the exporter's own among them, is not exported.
const OURS: &str = "landlord";

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

fn parse(filter: &str) -> Result<EnvFilter> {
    EnvFilter::try_new(filter).with_context(|| format!("log.filter {filter:?}"))
}

/// Starts logging, and exporting within the present runtime.
///
/// # Errors
/// A filter that can't be parsed; a collector that can't be.
pub fn init(log: &Log, telemetry: &Telemetry) -> Result<(LogFilter, Option<Export>)> {
    let (filter, handle) = reload::Layer::new(parse(&log.filter)?);
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines = match log.format {
        LogFormat::Text => lines.with_ansi(false).boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    let export = Export::open(telemetry)?;
    let spans = export.as_ref().map(|export| {
        let layer = tracing_opentelemetry::layer().with_tracer(export.traces.tracer(landlord_trace::SCOPE));
        layer.with_filter(Targets::new().with_target(OURS, LevelFilter::DEBUG))
    });
    let logs = export.as_ref().map(|export| {
        let layer = OpenTelemetryTracingBridge::new(&export.logs);
        layer.with_filter(Targets::new().with_target(OURS, LevelFilter::INFO))
    });
    // Each with a filter of its own: less in the log is no less in a trace.
    let subscriber = tracing_subscriber::registry().with(lines.with_filter(filter)).with(spans).with(logs);
    // A second call in one process (tests) keeps the first subscriber.
    let _ = subscriber.try_init();
    Ok((LogFilter(handle), export))
}
