//! Forwards what a plugin logs to the host. A cdylib has its own tracing statics, so the host's
//! subscriber never sees them.

use std::fmt::{self, Write as _};

use serde_json::{Map, Value};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context, layer::SubscriberExt as _};

use crate::abi::{HostTable, Slice};

tokio::task_local! {
    /// The trace of the call that is worked on, as its scope says it; empty: nobody traces.
    pub(crate) static TRACEPARENT: String;
}

struct Forward(&'static HostTable);

impl<S: Subscriber> Layer<S> for Forward {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let level = match *event.metadata().level() {
            Level::ERROR => 1,
            Level::WARN => 2,
            Level::INFO => 3,
            Level::DEBUG => 4,
            Level::TRACE => 5,
        };
        let mut fields = Fields(Map::new());
        event.record(&mut fields);
        fields.0.insert("target".into(), event.metadata().target().into());
        // What the plugin logs leads to the order that it works for.
        if let Ok(traceparent) = TRACEPARENT.try_with(Clone::clone)
            && !traceparent.is_empty()
        {
            fields.0.insert("traceparent".into(), traceparent.into());
        }
        let json = Value::Object(fields.0).to_string();
        (self.0.log)(self.0.context, level, Slice::of(json.as_bytes()));
    }
}

struct Fields(Map<String, Value>);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        let _ = write!(text, "{value:?}");
        self.0.insert(field.name().into(), text.into());
    }
}

/// Sends everything from INFO up to the host; SDKs' debug lines may hold request bodies.
pub(crate) fn forward(host: &'static HostTable) {
    let filter = tracing_subscriber::filter::LevelFilter::INFO;
    let subscriber = tracing_subscriber::registry().with(Forward(host).with_filter(filter));
    // A second instance in the same process keeps the first one's sink.
    let _ = tracing::subscriber::set_global_default(subscriber);
}
