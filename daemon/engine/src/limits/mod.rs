//! Limits of the clouds' APIs, kept across all tenants of an account: token buckets for each
//! (provider, account, region), and one queue for them, fair by customer and tenant.
//!
//! A call is charged what its method typically costs before it is made and what it really cost
//! afterwards, if the plugin tells. Waiting short is done here, within the pass; who would wait
//! long is told how long, keeps the place, and holds no pass meanwhile.

mod bucket;
mod queue;

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use landlord_provider_api::v1::DescribeResponse;
use parking_lot::Mutex;

pub(crate) use self::queue::{Asker, Urgency};
use self::{bucket::Bucket, queue::Queue};
use crate::{BucketFigures, ProviderOptions};

/// Longest that a call waits for tokens within its pass; beyond, the tenant is woken later.
/// Before scaling.
const WAIT_MAX: Duration = Duration::from_secs(2);
/// A place rises by one urgency for each of these that it waits, and is given up when its owner
/// is so late. Before scaling.
const STEP: Duration = Duration::from_secs(60);
/// A pass that comes back is a few round trips of the database late, at any scale.
const STEP_MIN: Duration = Duration::from_secs(3);

/// Whose limits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct LimitKey {
    pub(crate) provider: String,
    pub(crate) account: String,
    pub(crate) region: String,
}

#[derive(Debug, Default)]
struct Account {
    buckets: HashMap<String, Bucket>,
    queue: Queue,
    time_scale: f64,
}

/// The limits of all accounts.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    accounts: Mutex<HashMap<LimitKey, Account>>,
}

/// What a method takes: bucket names and costs.
pub(crate) type Costs = Vec<(String, f64)>;

impl Limits {
    /// Makes the buckets of an account known; keeps those that exist.
    pub(crate) fn learn(&self, key: &LimitKey, description: &DescribeResponse, options: &ProviderOptions) {
        let mut accounts = self.accounts.lock();
        let account = accounts.entry(key.clone()).or_default();
        account.time_scale = options.time_scale;
        for described in &description.rate_buckets {
            if account.buckets.contains_key(&described.name) {
                continue;
            }
            let own = BucketFigures { rate_per_second: described.rate_per_second, burst: described.burst };
            let figures = options.buckets.get(&described.name).copied().unwrap_or(own);
            let bucket = Bucket::new(figures, options.time_scale, Instant::now());
            account.buckets.insert(described.name.clone(), bucket);
        }
    }

    /// Waits for the tokens of a call.
    ///
    /// # Errors
    /// How long to stay away, if that is longer than a pass may wait; the place is kept.
    pub(crate) async fn acquire(&self, key: &LimitKey, asker: &Asker, costs: &Costs) -> Result<(), Duration> {
        let began = Instant::now();
        loop {
            let now = Instant::now();
            let (wait, wait_max) = {
                let mut accounts = self.accounts.lock();
                let Some(account) = accounts.get_mut(key) else { return Ok(()) };
                let step = STEP.mul_f64(account.time_scale).max(STEP_MIN);
                match account.queue.ask(&mut account.buckets, asker, costs, step, now) {
                    Ok(()) => return Ok(()),
                    Err(wait) => (wait, WAIT_MAX.mul_f64(account.time_scale)),
                }
            };
            if now - began + wait > wait_max {
                return Err(wait);
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// A call was not throttled. `used` is what it really cost; empty: the plugin does not tell.
    pub(crate) fn succeeded(&self, key: &LimitKey, costs: &Costs, used: &[(String, u32)]) {
        let mut accounts = self.accounts.lock();
        let Some(account) = accounts.get_mut(key) else { return };
        for (name, cost) in costs {
            if let Some(bucket) = account.buckets.get_mut(name) {
                bucket.succeeded();
                if !used.is_empty() {
                    bucket.take(-cost);
                }
            }
        }
        for (name, calls) in used {
            if let Some(bucket) = account.buckets.get_mut(name) {
                bucket.take(f64::from(*calls));
            }
        }
    }

    /// A call was throttled; `bucket` names the exhausted one, empty: all of the call's.
    pub(crate) fn throttled(&self, key: &LimitKey, costs: &Costs, bucket: &str, retry_after: Option<Duration>) {
        let now = Instant::now();
        let mut accounts = self.accounts.lock();
        let Some(account) = accounts.get_mut(key) else { return };
        if let Some(named) = account.buckets.get_mut(bucket) {
            named.throttled(retry_after, now);
            return;
        }
        for (name, _) in costs {
            if let Some(bucket) = account.buckets.get_mut(name) {
                bucket.throttled(retry_after, now);
            }
        }
    }
}

#[cfg(test)]
mod tests;
