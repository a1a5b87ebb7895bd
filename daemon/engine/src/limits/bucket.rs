//! One token bucket: additive increase, multiplicative decrease, closed while the cloud demands
//! a pause. Pure: the time is a value.

use std::time::Duration;

use tokio::time::Instant;

use crate::BucketFigures;

/// A bucket is never slowed below this part of its documented rate.
const FACTOR_MIN: f64 = 1.0 / 16.0;
/// Each throttled call halves the rate.
const FACTOR_DOWN: f64 = 0.5;
/// Each call that is not throttled gives a fiftieth back: about 50 good calls to recover.
const FACTOR_UP: f64 = 0.02;
/// One halving per burst of throttled responses, which arrive together; before scaling.
const DOWN_INTERVAL: Duration = Duration::from_millis(500);
/// What is left when a sum of fractions should have been whole.
const ROUNDING: f64 = 1e-6;

/// One bucket of one account.
#[derive(Debug)]
pub(super) struct Bucket {
    rate: f64,
    burst: f64,
    factor: f64,
    tokens: f64,
    filled: Instant,
    closed_until: Option<Instant>,
    slowed: Option<Instant>,
    down_interval: Duration,
}

impl Bucket {
    pub(super) fn new(figures: BucketFigures, time_scale: f64, now: Instant) -> Self {
        let burst = figures.burst.max(1.0);
        Self {
            rate: (figures.rate_per_second / time_scale).max(f64::MIN_POSITIVE),
            burst,
            factor: 1.0,
            tokens: burst,
            filled: now,
            closed_until: None,
            slowed: None,
            down_interval: DOWN_INTERVAL.mul_f64(time_scale),
        }
    }

    /// Others may have taken all of it until a moment: what it has is what it earned since.
    pub(super) fn emptied(&mut self, at: Instant, now: Instant) {
        let earned = now.saturating_duration_since(at).as_secs_f64() * self.rate();
        self.tokens = self.tokens(now).min(earned);
    }

    /// How long until `cost` can be taken; zero: now. A cost above the burst needs a full bucket,
    /// not an impossible one, and leaves a debt.
    pub(super) fn wait(&mut self, cost: f64, now: Instant) -> Duration {
        let earned = now.saturating_duration_since(self.filled).as_secs_f64() * self.rate();
        self.tokens = (self.tokens + earned).min(self.burst);
        self.filled = now;
        let missing = cost.min(self.burst) - self.tokens;
        let earning = if missing > ROUNDING { self.time_for(missing) } else { Duration::ZERO };
        let closed = self.closed_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
        earning.max(closed)
    }

    /// How long it takes to earn `tokens` at the present rate.
    pub(super) fn time_for(&self, tokens: f64) -> Duration {
        Duration::try_from_secs_f64(tokens / self.rate()).unwrap_or(Duration::MAX)
    }

    pub(super) fn take(&mut self, cost: f64) {
        self.tokens -= cost;
    }

    pub(super) fn succeeded(&mut self) {
        self.factor = (self.factor + FACTOR_UP).min(1.0);
    }

    pub(super) fn throttled(&mut self, retry_after: Option<Duration>, now: Instant) {
        if self.slowed.is_none_or(|at| now.duration_since(at) >= self.down_interval) {
            self.factor = (self.factor * FACTOR_DOWN).max(FACTOR_MIN);
            self.slowed = Some(now);
        }
        if let Some(pause) = retry_after {
            self.closed_until = self.closed_until.max(Some(now + pause));
        }
    }

    /// Whether throttling has slowed it, and success has not brought its rate back yet.
    pub(super) fn is_slowed(&self) -> bool {
        self.factor < 1.0
    }

    /// Tokens that are there now.
    pub(super) fn tokens(&mut self, now: Instant) -> f64 {
        self.wait(0.0, now);
        self.tokens
    }

    /// Tokens that it earns in a second.
    pub(super) fn rate(&self) -> f64 {
        self.rate * self.factor
    }
}
