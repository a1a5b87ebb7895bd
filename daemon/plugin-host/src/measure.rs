//! What is measured about plugins, and what they measure themselves, as OpenMetrics.
//!
//! A plugin's log line with the fields `metric` and `value` is a measurement of its own: the last value is kept. Knows
//! neither how plugins run nor who reads the figures.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use landlord_core::ports::ProviderKey;
use landlord_provider_api::Method;
use parking_lot::Mutex;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

/// Distinct measurements that one plugin may have: enough for a dashboard, too few to flood the daemon's memory.
const OWN_MAX: usize = 64;
/// Longest name of one.
const NAME_LEN_MAX: usize = 80;
/// From a call that only reads the plugin's memory to the longest deadline, in seconds.
const CALL_BUCKETS: [f64; 10] = [0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    plugin: String,
    method: &'static str,
    outcome: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MethodLabels {
    plugin: String,
    method: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PluginLabels {
    plugin: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, EncodeLabelSet)]
struct OwnLabels {
    plugin: String,
    metric: String,
}

type Seconds = Family<MethodLabels, Histogram, fn() -> Histogram>;

/// The figures of all plugins; clones share them.
#[derive(Debug, Clone)]
pub struct Measurements {
    calls: Family<CallLabels, Counter>,
    seconds: Seconds,
    starts: Family<PluginLabels, Counter>,
    own: Family<OwnLabels, Gauge<f64, AtomicU64>>,
    known: Arc<Mutex<BTreeSet<OwnLabels>>>,
}

impl Default for Measurements {
    fn default() -> Self {
        Self {
            calls: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(CALL_BUCKETS)),
            starts: Family::default(),
            own: Family::default(),
            known: Arc::default(),
        }
    }
}

impl Measurements {
    /// Makes the figures part of what `registry` shows.
    pub fn register(&self, registry: &mut Registry) {
        let calls = "Calls of plugins by method and outcome (ok, or the kind of error)";
        registry.register("landlord_plugin_calls", calls, self.calls.clone());
        let seconds = "Time from the request to the plugin's response";
        registry.register_with_unit("landlord_plugin_call_duration", seconds, Unit::Seconds, self.seconds.clone());
        registry.register("landlord_plugin_starts", "Starts of a plugin's process", self.starts.clone());
        let own = "Last value of what a plugin measures itself";
        registry.register("landlord_plugin_measurement", own, self.own.clone());
    }

    pub(crate) fn called(&self, key: &ProviderKey, method: Method, outcome: &str, took: Duration) {
        let (plugin, method) = (key.to_string(), method.name());
        self.seconds.get_or_create(&MethodLabels { plugin: plugin.clone(), method }).observe(took.as_secs_f64());
        self.calls.get_or_create(&CallLabels { plugin, method, outcome: outcome.to_owned() }).inc();
    }

    pub(crate) fn started(&self, key: &ProviderKey) {
        self.starts.get_or_create(&PluginLabels { plugin: key.to_string() }).inc();
    }

    /// Keeps a plugin's own measurement; `false` if it has too many or the name is no name.
    pub(crate) fn own(&self, key: &ProviderKey, metric: &str, value: f64) -> bool {
        let named = !metric.is_empty()
            && metric.len() <= NAME_LEN_MAX
            && metric.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'/' | b'-'));
        if !named || !value.is_finite() {
            return false;
        }
        let labels = OwnLabels { plugin: key.to_string(), metric: metric.to_owned() };
        let mut known = self.known.lock();
        if !known.contains(&labels) {
            if known.iter().filter(|other| other.plugin == labels.plugin).count() >= OWN_MAX {
                return false;
            }
            known.insert(labels.clone());
        }
        self.own.get_or_create(&labels).set(value);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::{Measurements, OWN_MAX};
    use landlord_core::ports::ProviderKey;
    use landlord_provider_api::Method;
    use prometheus_client::{encoding::text::encode, registry::Registry};
    use std::time::Duration;

    fn key() -> ProviderKey {
        ProviderKey { provider: "fake".parse().unwrap(), credentials: "default".into() }
    }

    #[test]
    fn figures_are_shown_and_a_plugin_cannot_flood_them() {
        let measurements = Measurements::default();
        let mut registry = Registry::default();
        measurements.register(&mut registry);
        measurements.called(&key(), Method::EnsureCluster, "ok", Duration::from_millis(3));
        measurements.started(&key());
        assert!((0..OWN_MAX).all(|i| measurements.own(&key(), &format!("queue-{i}"), 1.0)));
        assert!(!measurements.own(&key(), "one-more", 1.0), "too many");
        assert!(measurements.own(&key(), "queue-0", 7.5), "a known one may change");
        assert!(!measurements.own(&key(), "two words", 1.0));
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for line in [
            r#"landlord_plugin_calls_total{plugin="fake/default",method="EnsureCluster",outcome="ok"} 1"#,
            r#"landlord_plugin_starts_total{plugin="fake/default"} 1"#,
            r#"landlord_plugin_measurement{plugin="fake/default",metric="queue-0"} 7.5"#,
        ] {
            assert!(text.contains(line), "no {line} in\n{text}");
        }
    }
}
