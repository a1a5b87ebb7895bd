//! What a plugin logs within a call carries the trace of that call.

use std::{
    fmt::Debug,
    sync::{Arc, Mutex},
};

use landlord_core::OperationId;
use landlord_provider_api::Network as _;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::SdkTracerProvider;
use serde_json::json;
use tracing::{
    Event, Instrument as _, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context, layer::SubscriberExt as _};

use crate::world::{World, network};

/// The lines of plugins, as they came.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        struct Fields(String);
        impl Visit for Fields {
            fn record_str(&mut self, field: &Field, value: &str) {
                if field.name() == "fields" {
                    self.0 = value.to_owned();
                }
            }

            fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
        }
        let mut fields = Fields(String::new());
        event.record(&mut fields);
        self.0.lock().unwrap().push(fields.0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_logs_with_the_trace_of_its_call() {
    let lines = Lines::default();
    let spans = tracing_opentelemetry::layer().with_tracer(SdkTracerProvider::builder().build().tracer("test"));
    // For the whole program: a plugin's lines are read by a task of their own.
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(spans).with(lines.clone())).unwrap();
    let world = World::new();
    let plugin = world.fake("traced", json!([]));
    let operation = OperationId(uuid::Uuid::now_v7());
    let span = tracing::info_span!("stage");
    landlord_trace::within(&span, operation);
    plugin.ensure_network(network("t1")).instrument(span).await.unwrap();
    plugin.ensure_network(network("t2")).await.unwrap();
    let seen = lines.0.lock().unwrap().clone();
    let of = |network: &str| seen.iter().find(|line| line.contains(network)).unwrap().clone();
    let trace = format!("\"traceparent\":\"00-{}-", landlord_trace::trace_id(operation));
    assert!(of("net-t1").contains(&trace), "{}", of("net-t1"));
    // A call of no operation is a trace of its own.
    assert!(!of("net-t2").contains(&trace), "{}", of("net-t2"));
}
