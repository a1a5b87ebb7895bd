//! Limits of the clouds' APIs, kept across all tenants of an account: token buckets and breakers
//! for each (provider, account, region), and one queue for them, fair by customer and
//! tenant.
//!
//! A short wait is spent here, within the pass. Whoever would wait long gets a time when to come
//! back and holds no pass meanwhile. Nothing here decides anything after a restart: losing it
//! costs the order of a queue, never work.

mod breaker;
mod bucket;
mod rate_queue;

use std::{collections::HashMap, time::Duration};

use landlord_core::{ErrorKind, Failure, ports::TakenOver};
use landlord_provider_api::v1::DescribeResponse;
use parking_lot::Mutex;
use tokio::time::Instant;

pub(crate) use self::rate_queue::{Caller, Deferred, Urgency};
use self::{bucket::Bucket, rate_queue::RateQueue};
pub(crate) use crate::limit_key::LimitKey;
use crate::{
    figures::EngineFigures,
    options::{BucketFigures, ProviderOptions},
};

/// Longest that a call waits for tokens within its pass, before scaling.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// Below this, coming back costs more than waiting, at any scale.
const WAIT_MIN: Duration = Duration::from_millis(500);

/// What a method takes: bucket names and costs.
pub(crate) type Costs = Vec<(String, f64)>;

/// The limits of all accounts.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    queues: Mutex<HashMap<LimitKey, RateQueue>>,
    /// Until when another daemon may have called an account; of as many as are configured.
    taken_over: Mutex<HashMap<String, Instant>>,
    pub(crate) figures: EngineFigures,
}

/// Gives the place up when the call is dropped.
struct QueueTicket<'a> {
    limits: &'a Limits,
    key: &'a LimitKey,
    ticket: u64,
}

impl Drop for QueueTicket<'_> {
    fn drop(&mut self) {
        if let Some(queue) = self.limits.queues.lock().get_mut(self.key) {
            queue.leave(self.ticket);
        }
    }
}

impl Limits {
    /// An account that another daemon has called: its buckets have what the cloud gives in the time that it was left alone, so that
    /// all daemons together take no more than one.
    pub(crate) fn take_over(&self, taken: &TakenOver) {
        let now = Instant::now();
        // Before this machine started nobody here called anything, and every bucket is full by now.
        let Some(at) = now.checked_sub(taken.free_for) else { return };
        self.taken_over.lock().insert(taken.account.clone(), at);
        for (_, queue) in self.queues.lock().iter_mut().filter(|(key, _)| key.is_of(&taken.account)) {
            queue.buckets.values_mut().for_each(|bucket| bucket.emptied(at, now));
        }
    }

    fn taken_over_at(&self, key: &LimitKey) -> Option<Instant> {
        self.taken_over.lock().iter().find(|(account, _)| key.is_of(account)).map(|(_, at)| *at)
    }

    /// Makes the buckets of an account known; keeps those that exist.
    pub(crate) fn learn(&self, key: &LimitKey, description: &DescribeResponse, options: &ProviderOptions) {
        let now = Instant::now();
        let mut queues = self.queues.lock();
        let queue = queues.entry(key.clone()).or_default();
        queue.time_scale = options.time_scale;
        for described in &description.rate_buckets {
            if queue.buckets.contains_key(&described.name) {
                continue;
            }
            let own = BucketFigures { rate_per_second: described.rate_per_second, burst: described.burst };
            let figures = options.buckets.get(&described.name).copied().unwrap_or(own);
            let mut bucket = Bucket::new(figures, options.time_scale, now);
            if let Some(at) = self.taken_over_at(key) {
                bucket.emptied(at, now);
            }
            queue.buckets.insert(described.name.clone(), bucket);
            queue.breakers.insert(described.name.clone(), breaker::Breaker::default());
        }
    }

    /// Waits for the tokens of a call.
    ///
    /// # Cancellation
    /// Dropping it gives the place up.
    ///
    /// # Errors
    /// When to come back, if that is later than a pass may wait; nothing was taken then.
    pub(crate) async fn acquire(&self, key: &LimitKey, caller: Caller, costs: &Costs) -> Result<(), Deferred> {
        let entered = Instant::now();
        let (ticket, mut admission, wait_max) = {
            let mut queues = self.queues.lock();
            let Some(queue) = queues.get_mut(key) else { return Ok(()) };
            let (ticket, admission) = queue.enter(caller, costs.clone(), entered);
            (ticket, admission, WAIT_MAX.mul_f64(queue.time_scale).max(WAIT_MIN))
        };
        let _held = QueueTicket { limits: self, key, ticket };
        loop {
            let wait = self.serve(key, ticket, entered + wait_max);
            tokio::select! {
                // A queue that is gone limits nothing.
                admission = &mut admission => {
                    let admission = admission.unwrap_or(Ok(()));
                    if admission.is_err() {
                        self.figures.deferred(key);
                    }
                    return admission;
                }
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Serves the queue; dismisses a call whose time in it is over. Returns when to requeue.
    fn serve(&self, key: &LimitKey, ticket: u64, deadline: Instant) -> Duration {
        let now = Instant::now();
        let left = deadline.saturating_duration_since(now);
        let mut queues = self.queues.lock();
        let Some(queue) = queues.get_mut(key) else { return left };
        let next = queue.serve(now);
        // Waiting for longer than the pass may is no use.
        if left.is_zero() || next.is_some_and(|next| next > left) {
            queue.dismiss(ticket, now);
        }
        next.unwrap_or(left).min(left)
    }

    /// What came of a call: slows and speeds the buckets, opens and closes the breakers.
    pub(crate) fn ended(&self, key: &LimitKey, caller: &Caller, costs: &Costs, failure: Option<&Failure>) {
        let now = Instant::now();
        let mut queues = self.queues.lock();
        let Some(queue) = queues.get_mut(key) else { return };
        for (name, _) in costs {
            if let Some(breaker) = queue.breakers.get_mut(name) {
                match failure {
                    Some(failure) if failure.kind == ErrorKind::Transient => {
                        breaker.failed(caller.tenant, &failure.message, queue.time_scale, now);
                    }
                    _ => breaker.responded(),
                }
            }
            let Some(bucket) = queue.buckets.get_mut(name) else { continue };
            match failure {
                Some(failure) if failure.kind == ErrorKind::Throttled => {
                    if failure.bucket.is_empty() || failure.bucket == *name {
                        self.figures.throttled(key, name);
                        bucket.throttled(failure.retry_after(), now);
                    }
                }
                _ => bucket.succeeded(),
            }
        }
    }

    /// Measures tokens, rates and who waits.
    pub(crate) fn measure(&self) {
        let now = Instant::now();
        for (key, queue) in self.queues.lock().iter_mut() {
            self.figures.queue(key, queue.waiting());
            for (name, bucket) in &mut queue.buckets {
                let breaker = queue.breakers.get(name);
                let is_open = breaker.is_some_and(|breaker| breaker.is_seen_open(queue.time_scale, now));
                self.figures.bucket(key, name, bucket.tokens(now), bucket.rate(), is_open);
            }
        }
    }

    /// What the provider last reported, while it is out of order for this account.
    pub(crate) fn outage(&self, key: &LimitKey) -> Option<String> {
        self.queues.lock().get(key).and_then(RateQueue::outage)
    }
}

#[cfg(test)]
mod tests;
