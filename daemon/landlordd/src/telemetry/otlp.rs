//! Traces and logs to a collector, by OTLP over gRPC. A collector that is away or slow costs nobody anything: what does not fit
//! into the queues is dropped.

use std::time::Duration;

use anyhow::{Context as _, Result};
use landlord_auth::small_file;
use opentelemetry::{KeyValue, global};
use opentelemetry_otlp::{LogExporter, SpanExporter, WithExportConfig as _, WithTonicConfig as _};
use opentelemetry_sdk::{
    Resource,
    logs::{BatchConfigBuilder as LogBatches, BatchLogProcessor, SdkLoggerProvider},
    trace::{BatchConfigBuilder as SpanBatches, BatchSpanProcessor, Sampler, SdkTracerProvider},
};
use tonic::transport::{Certificate, ClientTlsConfig};

use crate::config::Telemetry;

/// One batch is given up after this long.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);
/// Spans, and log lines, that wait: some seconds of a busy daemon, 10 MB at most.
const QUEUE_MAX: usize = 8_192;
/// Of them in one message.
const BATCH_MAX: usize = 512;
/// Batches are sent this often at least.
const INTERVAL: Duration = Duration::from_secs(2);

/// What is exported by.
#[derive(Debug)]
pub struct Export {
    pub(super) traces: SdkTracerProvider,
    pub(super) logs: SdkLoggerProvider,
}

impl Export {
    /// `None`: no collector is configured. Within a runtime, by which it is sent.
    pub(super) fn open(telemetry: &Telemetry) -> Result<Option<Self>> {
        if telemetry.otlp_endpoint.is_empty() {
            return Ok(None);
        }
        let tls = tls(telemetry)?;
        let failed = "telemetry.otlp_endpoint can't be used";
        let mut spans = SpanExporter::builder().with_tonic().with_endpoint(&telemetry.otlp_endpoint);
        let mut lines = LogExporter::builder().with_tonic().with_endpoint(&telemetry.otlp_endpoint);
        if let Some(tls) = tls {
            spans = spans.with_tls_config(tls.clone());
            lines = lines.with_tls_config(tls);
        }
        let spans = spans.with_timeout(EXPORT_TIMEOUT).build().context(failed)?;
        let lines = lines.with_timeout(EXPORT_TIMEOUT).build().context(failed)?;
        let resource = Resource::builder()
            .with_service_name("landlordd")
            .with_attributes([
                KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
                KeyValue::new("service.instance.id", uuid::Uuid::new_v4().to_string()),
            ])
            .build();
        let batches = SpanBatches::default()
            .with_max_queue_size(QUEUE_MAX)
            .with_max_export_batch_size(BATCH_MAX)
            .with_scheduled_delay(INTERVAL)
            .build();
        let traces = SdkTracerProvider::builder()
            .with_span_processor(BatchSpanProcessor::builder(spans).with_batch_config(batches).build())
            .with_id_generator(landlord_trace::Ids::default())
            // What belongs to a caller's trace, or to an operation's, goes with it.
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(telemetry.requests_ratio))))
            .with_resource(resource.clone())
            .build();
        let batches = LogBatches::default()
            .with_max_queue_size(QUEUE_MAX)
            .with_max_export_batch_size(BATCH_MAX)
            .with_scheduled_delay(INTERVAL)
            .build();
        let logs = SdkLoggerProvider::builder()
            .with_log_processor(BatchLogProcessor::builder(lines).with_batch_config(batches).build())
            .with_resource(resource)
            .build();
        global::set_tracer_provider(traces.clone());
        Ok(Some(Self { traces, logs }))
    }

    /// Sends what waits; waits for it no longer than one batch may take. Not within a task of the runtime.
    pub fn end(self) {
        for ended in
            [self.traces.shutdown_with_timeout(EXPORT_TIMEOUT), self.logs.shutdown_with_timeout(EXPORT_TIMEOUT)]
        {
            if let Err(error) = ended {
                tracing::warn!(%error, "the last traces or logs did not reach the collector");
            }
        }
    }
}

fn tls(telemetry: &Telemetry) -> Result<Option<ClientTlsConfig>> {
    if !telemetry.otlp_endpoint.starts_with("https:") {
        return Ok(None);
    }
    let path = &telemetry.otlp_ca_file;
    if path.as_os_str().is_empty() {
        return Ok(Some(ClientTlsConfig::new().with_native_roots()));
    }
    let read = small_file::read(path, small_file::CA_BYTES_MAX);
    let (pem, _) = read.with_context(|| format!("telemetry.otlp_ca_file: can't read {}", path.display()))?;
    Ok(Some(ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_holds_no_cas_is_not_read_to_its_end() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(2 << 20).unwrap();
        let telemetry = Telemetry {
            otlp_endpoint: "https://localhost:4317".into(),
            otlp_ca_file: file.path().to_owned(),
            ..Telemetry::default()
        };
        let refused = format!("{:#}", tls(&telemetry).unwrap_err());
        assert!(refused.contains("telemetry.otlp_ca_file") && refused.contains("more than 1048576"), "{refused}");
    }
}
