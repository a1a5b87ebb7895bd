//! Traces: one for each operation, however many passes, restarts and daemons it takes, and one for each request.
//!
//! The trace of an operation has the operation's own id, which is a UUID and so as long as a trace's. Nothing has to be stored or
//! handed over for that: whoever works on the operation knows where its spans belong.
//!
//! Where nothing is exported, all of it costs nothing and does nothing. Knows neither exporter nor collector.

use std::{cell::Cell, collections::HashMap, time::SystemTime};

use landlord_core::OperationId;
use opentelemetry::{
    Context, KeyValue, SpanId, TraceFlags, TraceId, global,
    propagation::{Extractor, TextMapPropagator as _},
    trace::{Span as _, SpanContext, SpanKind, Status, TraceContextExt as _, TraceState, Tracer as _},
};
use opentelemetry_sdk::{
    propagation::TraceContextPropagator,
    trace::{IdGenerator, RandomIdGenerator},
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// Name of the header, <https://www.w3.org/TR/trace-context/#traceparent-header>.
pub const TRACEPARENT: &str = "traceparent";
/// By which spans say who made them.
pub const SCOPE: &str = "landlordd";

thread_local! {
    /// Of the span that is made next, if it is an operation's own.
    static NEXT: Cell<Option<(TraceId, SpanId)>> = const { Cell::new(None) };
}

/// Gives ids at random, but for an operation's own span.
#[derive(Debug, Clone, Default)]
pub struct Ids(RandomIdGenerator);

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        NEXT.get().map_or_else(|| self.0.new_trace_id(), |(trace, _)| trace)
    }

    fn new_span_id(&self) -> SpanId {
        NEXT.get().map_or_else(|| self.0.new_span_id(), |(_, span)| span)
    }
}

fn ids(operation: OperationId) -> (TraceId, SpanId) {
    let bytes = operation.0.into_bytes();
    // Of a UUID of version 7 these are the random ones.
    let [.., a, b, c, d, e, f, g, h] = bytes;
    (TraceId::from_bytes(bytes), SpanId::from_bytes([a, b, c, d, e, f, g, h]))
}

/// Id of an operation's trace: 32 hexadecimal digits.
#[must_use]
pub fn trace_id(operation: OperationId) -> String {
    ids(operation).0.to_string()
}

fn context(operation: OperationId) -> SpanContext {
    let (trace, span) = ids(operation);
    SpanContext::new(trace, span, TraceFlags::SAMPLED, true, TraceState::default())
}

/// Makes a span that was not entered yet a part of an operation's trace.
pub fn within(span: &Span, operation: OperationId) {
    // It fails where nothing is exported.
    let _ = span.set_parent(Context::new().with_remote_span_context(context(operation)));
}

/// Links the present span with an operation that it began.
pub fn link(operation: OperationId) {
    Span::current().add_link(context(operation));
}

/// Makes a span that was not entered yet a part of its caller's trace, by the header that the caller sent.
pub fn from_caller(span: &Span, traceparent: Option<&str>) {
    struct Header<'a>(&'a str);
    impl Extractor for Header<'_> {
        fn get(&self, key: &str) -> Option<&str> {
            (key == TRACEPARENT).then_some(self.0)
        }

        fn keys(&self) -> Vec<&str> {
            vec![TRACEPARENT]
        }
    }
    if let Some(traceparent) = traceparent {
        let _ =
            span.set_parent(TraceContextPropagator::new().extract_with_context(&Context::new(), &Header(traceparent)));
    }
}

/// The header for whoever is called from the present span; `None`: nothing is exported.
#[must_use]
pub fn traceparent() -> Option<String> {
    let mut headers: HashMap<String, String> = HashMap::new();
    TraceContextPropagator::new().inject_context(&Span::current().context(), &mut headers);
    headers.remove(TRACEPARENT)
}

/// The header for whoever is notified of an operation, whose trace it then goes on.
#[must_use]
pub fn traceparent_of(operation: OperationId) -> String {
    let (trace, span) = ids(operation);
    format!("00-{trace}-{span}-01")
}

/// Id of the present trace; `None`: nothing is exported.
#[must_use]
pub fn present() -> Option<String> {
    let context = Span::current().context();
    let span = context.span();
    let context = span.span_context();
    context.is_valid().then(|| context.trace_id().to_string())
}

/// Closes an operation's trace by the span that all others are below, from when it was accepted until now.
pub fn ended(operation: OperationId, name: &'static str, resource: String, failure: Option<String>) {
    let accepted = operation.0.get_timestamp().map(|time| {
        let (seconds, nanos) = time.to_unix();
        SystemTime::UNIX_EPOCH + std::time::Duration::new(seconds, nanos)
    });
    let tracer = global::tracer(SCOPE);
    let mut builder = tracer
        .span_builder(name)
        .with_kind(SpanKind::Internal)
        .with_attributes([KeyValue::new("operation.id", operation.to_string()), KeyValue::new("resource", resource)]);
    if let Some(accepted) = accepted {
        builder = builder.with_start_time(accepted);
    }
    NEXT.set(Some(ids(operation)));
    let mut span = tracer.build_with_context(builder, &Context::new());
    NEXT.set(None);
    if let Some(failure) = failure {
        span.set_status(Status::error(failure));
    }
    span.end();
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tracing_subscriber::layer::SubscriberExt as _;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn an_operations_spans_are_in_the_trace_of_its_id() {
        let provider = SdkTracerProvider::builder().with_id_generator(Ids::default()).build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer(SCOPE));
        let operation = OperationId(Uuid::now_v7());
        let trace = operation.0.simple().to_string();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let span = tracing::info_span!("stage");
            within(&span, operation);
            span.in_scope(|| assert_eq!(present().as_deref(), Some(trace.as_str())));
            // A caller's own trace.
            let span = tracing::info_span!("request");
            let header = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
            from_caller(&span, Some(header));
            span.in_scope(|| {
                assert_eq!(present().as_deref(), Some("0af7651916cd43dd8448eb211c80319c"));
                let given = traceparent().unwrap_or_default();
                assert!(given.starts_with("00-0af7651916cd43dd8448eb211c80319c-") && given != header, "{given}");
            });
        });
        assert!(traceparent_of(operation).starts_with(&format!("00-{trace}-")));
        assert_eq!((trace_id(operation), present(), traceparent()), (trace, None, None));
    }
}
