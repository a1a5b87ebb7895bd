//! What is measured of the engine, as OpenMetrics: claims, passes, stages, and the rate limits of accounts. No figure says
//! anything of a single tenant. Knows not who reads them.

use std::{sync::atomic::AtomicU64, time::Duration};

use landlord_core::{DesiredState, Environment, StageRecord, StageState};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

use crate::limit_key::LimitKey;

/// From a pass that only checks to the longest that waits for calls, in seconds.
const PASS_SECONDS: [f64; 9] = [0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 30.0, 60.0, 300.0];
/// From a stage that finds everything there to the slowest cluster of a cloud, in seconds.
const STAGE_SECONDS: [f64; 10] = [0.5, 2.0, 10.0, 30.0, 60.0, 180.0, 600.0, 1_200.0, 2_400.0, 7_200.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StageLabels {
    provider: String,
    level: &'static str,
    stage: String,
    desired_state: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueueLabels {
    provider: String,
    account: String,
    region: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BucketLabels {
    provider: String,
    account: String,
    region: String,
    bucket: String,
}

type Seconds<L> = Family<L, Histogram, fn() -> Histogram>;
type Numbers<L> = Family<L, Gauge<f64, AtomicU64>>;

/// The figures of an engine; clones share them.
#[derive(Debug, Clone)]
pub struct EngineFigures {
    claims: Counter,
    passes: Seconds<OutcomeLabels>,
    running: Gauge,
    stages: Seconds<StageLabels>,
    fences_lost: Counter,
    tokens: Numbers<BucketLabels>,
    rate: Numbers<BucketLabels>,
    breaker_open: Family<BucketLabels, Gauge>,
    throttled: Family<BucketLabels, Counter>,
    waiting: Family<QueueLabels, Gauge>,
    deferred: Family<QueueLabels, Counter>,
}

impl Default for EngineFigures {
    fn default() -> Self {
        Self {
            claims: Counter::default(),
            passes: Family::new_with_constructor(|| Histogram::new(PASS_SECONDS)),
            running: Gauge::default(),
            stages: Family::new_with_constructor(|| Histogram::new(STAGE_SECONDS)),
            fences_lost: Counter::default(),
            tokens: Family::default(),
            rate: Family::default(),
            breaker_open: Family::default(),
            throttled: Family::default(),
            waiting: Family::default(),
            deferred: Family::default(),
        }
    }
}

impl EngineFigures {
    /// Makes the figures part of what `registry` shows.
    pub fn register(&self, registry: &mut Registry) {
        let claims = "Tenants and host clusters that were claimed";
        registry.register("landlord_engine_claims", claims, self.claims.clone());
        let passes = "Time of a pass over a claimed environment, by outcome (ok, fence_lost, error, panic, dropped)";
        registry.register_with_unit("landlord_engine_pass_duration", passes, Unit::Seconds, self.passes.clone());
        let running = "Passes under way";
        registry.register("landlord_engine_passes_running", running, self.running.clone());
        let stages = "Time of a stage from its intent to its end, by provider, level, desired state and outcome";
        registry.register_with_unit("landlord_engine_stage_duration", stages, Unit::Seconds, self.stages.clone());
        let fences = "Leases that were lost while their pass ran: another daemon goes on";
        registry.register("landlord_engine_fences_lost", fences, self.fences_lost.clone());
        let tokens = "Tokens in a rate bucket of a cloud account; below zero: a debt";
        registry.register("landlord_rate_bucket_tokens", tokens, self.tokens.clone());
        let rate = "Tokens that a bucket earns in a second now: less than configured after throttling";
        registry.register("landlord_rate_bucket_tokens_per_second", rate, self.rate.clone());
        let breaker = "1: calls get no response, and one at a time tries whether they do again";
        registry.register("landlord_rate_bucket_breaker_open", breaker, self.breaker_open.clone());
        let throttled = "Calls that the cloud throttled";
        registry.register("landlord_rate_bucket_throttled", throttled, self.throttled.clone());
        let waiting = "Calls that wait for tokens of an account";
        registry.register("landlord_rate_queue_waiting", waiting, self.waiting.clone());
        let deferred = "Calls that were sent away to come back later, since the queue was full or the wait too long";
        registry.register("landlord_rate_queue_deferred", deferred, self.deferred.clone());
    }

    pub(crate) fn claimed(&self, claims: usize) {
        self.claims.inc_by(claims as u64);
    }

    pub(crate) fn pass_begins(&self) {
        self.running.inc();
    }

    pub(crate) fn pass_ended(&self, outcome: &'static str, took: Duration) {
        self.running.dec();
        self.passes.get_or_create(&OutcomeLabels { outcome }).observe(took.as_secs_f64());
        if outcome == "fence_lost" {
            self.fences_lost.inc();
        }
    }

    /// Counts a stage that came to an end by this record.
    pub(crate) fn stage(&self, environment: &Environment, before: &StageRecord, after: &StageRecord) {
        let outcome = match after.state {
            StageState::Running => return,
            StageState::Done => "done",
            StageState::Failed => "failed",
            StageState::Skipped => "skipped",
        };
        // An observation of what is done already is no stage that ends.
        if before.state != StageState::Running {
            return;
        }
        let placement = &environment.placement;
        let labels = StageLabels {
            provider: placement.provider.to_string(),
            level: placement.level.as_str(),
            stage: after.stage.to_string(),
            desired_state: match after.desired_state {
                DesiredState::Present => "present",
                DesiredState::Absent => "absent",
            },
            outcome,
        };
        let took = after.end_time.unwrap_or(after.start_time).since(after.start_time);
        self.stages.get_or_create(&labels).observe(took.as_secs_f64());
    }

    pub(crate) fn throttled(&self, key: &LimitKey, bucket: &str) {
        self.throttled.get_or_create(&bucket_labels(key, bucket)).inc();
    }

    pub(crate) fn deferred(&self, key: &LimitKey) {
        self.deferred.get_or_create(&queue_labels(key)).inc();
    }

    pub(crate) fn queue(&self, key: &LimitKey, waiting: usize) {
        let gauge = self.waiting.get_or_create(&queue_labels(key));
        gauge.set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }

    pub(crate) fn bucket(&self, key: &LimitKey, bucket: &str, tokens: f64, rate: f64, is_open: bool) {
        let labels = bucket_labels(key, bucket);
        self.tokens.get_or_create(&labels).set(tokens);
        self.rate.get_or_create(&labels).set(rate);
        self.breaker_open.get_or_create(&labels).set(i64::from(is_open));
        // Shown from the first moment on, so that the first throttling is a change.
        drop(self.throttled.get_or_create(&labels));
    }
}

fn queue_labels(key: &LimitKey) -> QueueLabels {
    QueueLabels { provider: key.provider.clone(), account: key.account.clone(), region: key.region.clone() }
}

fn bucket_labels(key: &LimitKey, bucket: &str) -> BucketLabels {
    let QueueLabels { provider, account, region } = queue_labels(key);
    BucketLabels { provider, account, region, bucket: bucket.to_owned() }
}
