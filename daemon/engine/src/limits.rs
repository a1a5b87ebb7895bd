//! Limits of the clouds' APIs, kept across all tenants of an account: a token bucket for each
//! (provider, account, region, bucket), slowed by throttling and sped up again by success
//! (additive increase, multiplicative decrease), closed while the cloud demands a pause.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use landlord_provider_api::v1::DescribeResponse;
use parking_lot::Mutex;

use crate::ProviderOptions;

/// Longest that a call waits for tokens within its pass; beyond, the tenant is woken later.
const WAIT_MAX: Duration = Duration::from_secs(2);
/// A bucket is never slowed below this part of its documented rate.
const FACTOR_MIN: f64 = 1.0 / 16.0;
/// Each throttled call halves the rate.
const FACTOR_DOWN: f64 = 0.5;
/// Each call that is not throttled gives a fiftieth back: about 50 good calls to recover.
const FACTOR_UP: f64 = 0.02;
/// One halving per burst of throttled answers, which arrive together.
const DOWN_INTERVAL: Duration = Duration::from_millis(500);

/// Whose limits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct LimitKey {
    pub(crate) provider: String,
    pub(crate) account: String,
    pub(crate) region: String,
}

#[derive(Debug)]
struct Bucket {
    rate: f64,
    burst: f64,
    factor: f64,
    tokens: f64,
    filled: Instant,
    closed_until: Option<Instant>,
    slowed: Option<Instant>,
}

impl Bucket {
    /// Takes `cost` tokens, going into debt; says how long the debt lasts.
    fn take(&mut self, cost: f64, now: Instant) -> Duration {
        let rate = self.rate * self.factor;
        let earned = now.saturating_duration_since(self.filled).as_secs_f64() * rate;
        self.tokens = (self.tokens + earned).min(self.burst);
        self.filled = now;
        self.tokens -= cost;
        let debt = if self.tokens < 0.0 { -self.tokens / rate } else { 0.0 };
        let closed = self.closed_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
        Duration::from_secs_f64(debt).max(closed)
    }

    fn give_back(&mut self, cost: f64) {
        self.tokens = (self.tokens + cost).min(self.burst);
    }
}

/// All buckets.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    buckets: Mutex<HashMap<(LimitKey, String), Bucket>>,
}

/// What a method takes: bucket names and costs.
pub(crate) type Costs = Vec<(String, f64)>;

impl Limits {
    /// Makes the buckets of an account known; keeps those that exist.
    pub(crate) fn learn(&self, key: &LimitKey, description: &DescribeResponse, options: &ProviderOptions) {
        let mut buckets = self.buckets.lock();
        for described in &description.rate_buckets {
            let entry = (key.clone(), described.name.clone());
            if buckets.contains_key(&entry) {
                continue;
            }
            let replaced = options.buckets.get(&described.name);
            let rate = replaced.map_or(described.rate_per_second, |figures| figures.rate_per_second);
            let burst = replaced.map_or(described.burst, |figures| figures.burst);
            let bucket = Bucket {
                rate: (rate / options.time_scale).max(f64::MIN_POSITIVE),
                burst: burst.max(1.0),
                factor: 1.0,
                tokens: burst.max(1.0),
                filled: Instant::now(),
                closed_until: None,
                slowed: None,
            };
            buckets.insert(entry, bucket);
        }
    }

    /// Waits for the tokens of a call.
    ///
    /// # Errors
    /// How long to stay away, if that is longer than a pass may wait; nothing was taken then.
    pub(crate) async fn acquire(&self, key: &LimitKey, costs: &Costs) -> Result<(), Duration> {
        let wait = {
            let now = Instant::now();
            let mut buckets = self.buckets.lock();
            let mut longest = Duration::ZERO;
            for (name, cost) in costs {
                if let Some(bucket) = buckets.get_mut(&(key.clone(), name.clone())) {
                    longest = longest.max(bucket.take(*cost, now));
                }
            }
            if longest > WAIT_MAX {
                for (name, cost) in costs {
                    if let Some(bucket) = buckets.get_mut(&(key.clone(), name.clone())) {
                        bucket.give_back(*cost);
                    }
                }
                return Err(longest);
            }
            longest
        };
        tokio::time::sleep(wait).await;
        Ok(())
    }

    /// A call was not throttled.
    pub(crate) fn succeeded(&self, key: &LimitKey, costs: &Costs) {
        let mut buckets = self.buckets.lock();
        for (name, _) in costs {
            if let Some(bucket) = buckets.get_mut(&(key.clone(), name.clone())) {
                bucket.factor = (bucket.factor + FACTOR_UP).min(1.0);
            }
        }
    }

    /// A call was throttled; `bucket` names the exhausted one, empty: all of the call's.
    pub(crate) fn throttled(&self, key: &LimitKey, costs: &Costs, bucket: &str, retry_after: Option<Duration>) {
        let now = Instant::now();
        let mut buckets = self.buckets.lock();
        for (name, _) in costs.iter().filter(|(name, _)| bucket.is_empty() || name == bucket) {
            if let Some(bucket) = buckets.get_mut(&(key.clone(), name.clone())) {
                let fresh = bucket.slowed.is_none_or(|at| now.duration_since(at) >= DOWN_INTERVAL);
                if fresh {
                    bucket.factor = (bucket.factor * FACTOR_DOWN).max(FACTOR_MIN);
                    bucket.slowed = Some(now);
                }
                if let Some(pause) = retry_after {
                    bucket.closed_until = Some(now + pause);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use landlord_provider_api::v1::RateBucket;

    use super::*;

    fn limits(rate: f64, burst: f64) -> (Limits, LimitKey, Costs) {
        let limits = Limits::default();
        let key = LimitKey { provider: "p".into(), account: "a".into(), region: "r".into() };
        let bucket = RateBucket { name: "b".into(), rate_per_second: rate, burst, source: String::new() };
        let description = DescribeResponse { rate_buckets: vec![bucket], ..Default::default() };
        limits.learn(&key, &description, &ProviderOptions::default());
        (limits, key, vec![("b".into(), 1.0)])
    }

    #[tokio::test]
    async fn a_burst_passes_and_a_long_wait_is_refused_without_taking() {
        let (limits, key, costs) = limits(0.1, 3.0);
        for _ in 0..3 {
            limits.acquire(&key, &costs).await.unwrap();
        }
        let first = limits.acquire(&key, &costs).await.unwrap_err();
        let second = limits.acquire(&key, &costs).await.unwrap_err();
        assert!(second <= first + Duration::from_millis(100), "a refused call took tokens");
    }

    #[tokio::test]
    async fn a_demanded_pause_closes_the_bucket() {
        let (limits, key, costs) = limits(1_000.0, 1_000.0);
        limits.throttled(&key, &costs, "", Some(Duration::from_secs(60)));
        assert!(limits.acquire(&key, &costs).await.unwrap_err() > Duration::from_secs(50));
        let other = LimitKey { account: "other".into(), ..key };
        assert!(limits.acquire(&other, &costs).await.is_ok(), "another account suffers");
    }
}
