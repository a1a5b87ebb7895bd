//! What is measured of webhooks, as OpenMetrics. Webhooks are few and named by the operator; no figure says anything of a tenant.

use std::{sync::atomic::AtomicU64, time::Duration};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

/// From a receiver in the same cluster to the longest timeout, in seconds.
const DELIVERY_SECONDS: [f64; 8] = [0.005, 0.025, 0.1, 0.25, 1.0, 5.0, 15.0, 30.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Webhook {
    webhook: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    webhook: String,
    outcome: &'static str,
}

/// The figures of all webhooks that this daemon delivers; clones share them.
#[derive(Debug, Clone)]
pub struct WebhookFigures {
    attempts: Family<Outcome, Counter>,
    durations: Family<Webhook, Histogram, fn() -> Histogram>,
    parked: Family<Webhook, Counter>,
    missed: Family<Webhook, Counter>,
    held: Family<Webhook, Gauge>,
    lag: Family<Webhook, Gauge<f64, AtomicU64>>,
    secret_unusable: Family<Webhook, Gauge>,
}

impl Default for WebhookFigures {
    fn default() -> Self {
        Self {
            attempts: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(DELIVERY_SECONDS)),
            parked: Family::default(),
            missed: Family::default(),
            held: Family::default(),
            lag: Family::default(),
            secret_unusable: Family::default(),
        }
    }
}

impl WebhookFigures {
    /// Has a page show them.
    pub fn register(&self, registry: &mut Registry) {
        let attempts = "Requests to receivers, by what came of them";
        registry.register("landlord_webhook_attempts", attempts, self.attempts.clone());
        let durations = "How long receivers took to answer";
        let name = "landlord_webhook_attempt_duration";
        registry.register_with_unit(name, durations, Unit::Seconds, self.durations.clone());
        registry.register("landlord_webhook_parked", "Events that were given up", self.parked.clone());
        let missed = "Events of the installation that were removed before a webhook had come to them";
        registry.register("landlord_webhook_missed", missed, self.missed.clone());
        let held = "Tenants whose events wait for another attempt";
        registry.register("landlord_webhook_held_tenants", held, self.held.clone());
        let secret = "1 while the webhook's secret can't be used, so that its events wait";
        registry.register("landlord_webhook_secret_unusable", secret, self.secret_unusable.clone());
        let lag = "How old the event was that was delivered last";
        registry.register_with_unit("landlord_webhook_lag", lag, Unit::Seconds, self.lag.clone());
    }

    /// A webhook that this daemon may deliver. What alerts want to see increase is counted from 0 on: of a figure that begins at the
    /// events which were missed while no daemon ran, nobody would see it.
    pub(crate) fn begun(&self, webhook: &str) {
        let labels = Webhook { webhook: webhook.into() };
        drop(self.parked.get_or_create(&labels));
        drop(self.missed.get_or_create(&labels));
    }

    /// Whether the webhook's secret can be used.
    pub(crate) fn secret(&self, webhook: &str, usable: bool) {
        self.secret_unusable.get_or_create(&Webhook { webhook: webhook.into() }).set(i64::from(!usable));
    }

    pub(crate) fn attempted(&self, webhook: &str, delivered: bool, duration: Duration) {
        let outcome = if delivered { "delivered" } else { "failed" };
        self.attempts.get_or_create(&Outcome { webhook: webhook.into(), outcome }).inc();
        self.durations.get_or_create(&Webhook { webhook: webhook.into() }).observe(duration.as_secs_f64());
    }

    pub(crate) fn delivered(&self, webhook: &str, lag: Duration) {
        self.lag.get_or_create(&Webhook { webhook: webhook.into() }).set(lag.as_secs_f64());
    }

    pub(crate) fn recorded(&self, webhook: &str, parked: usize, missed: u64, held: usize) {
        let labels = Webhook { webhook: webhook.into() };
        self.parked.get_or_create(&labels).inc_by(u64::try_from(parked).unwrap_or(u64::MAX));
        self.missed.get_or_create(&labels).inc_by(missed);
        self.held.get_or_create(&labels).set(i64::try_from(held).unwrap_or(i64::MAX));
    }

    /// Another daemon delivers it: what waits is that one's to show.
    pub(crate) fn left(&self, webhook: &str) {
        let labels = Webhook { webhook: webhook.into() };
        self.held.remove(&labels);
        self.lag.remove(&labels);
        self.secret_unusable.remove(&labels);
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;

    #[test]
    fn what_is_given_up_is_counted_from_the_start() {
        let (figures, mut registry, mut page) = (WebhookFigures::default(), Registry::default(), String::new());
        figures.register(&mut registry);
        figures.begun("crm");
        encode(&mut page, &registry).unwrap();
        for figure in ["parked", "missed"] {
            let line = format!("landlord_webhook_{figure}_total{{webhook=\"crm\"}} 0");
            assert!(page.contains(&line), "{page}");
        }
    }
}
