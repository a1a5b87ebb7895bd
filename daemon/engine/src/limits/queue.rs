//! Who comes next when an account's calls have to wait: by urgency, then the customer that was
//! served longest ago, then the tenant. A place in the queue outlives the pass that asked for
//! it, so that a tenant that is sent away does not come back to the end.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use landlord_core::{Stage, TenantUid};

use super::{Costs, bucket::Bucket};

/// Tenants whose last grant is remembered. Past it all start anew, which costs one round of
/// fairness and bounds the memory.
const REMEMBERED_MAX: usize = 20_000;

/// What a call is for; the first comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Urgency {
    /// Takes something down, or tries again what went wrong: what costs money or is broken.
    Repair,
    /// Makes or changes something.
    Change,
    /// Asks how far something is.
    Poll,
    /// Looks at what is READY.
    Drift,
}

/// Of whom a call is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asker {
    pub(crate) customer: String,
    pub(crate) tenant: TenantUid,
    pub(crate) stage: Stage,
    pub(crate) urgency: Urgency,
}

#[derive(Debug)]
struct Place {
    asker: Asker,
    costs: Costs,
    since: Instant,
    granted: bool,
    /// When it is expected back at the latest.
    kept_until: Instant,
}

impl Place {
    fn is_of(&self, asker: &Asker) -> bool {
        self.asker.tenant == asker.tenant && self.asker.stage == asker.stage
    }
}

/// The queue of one account.
#[derive(Debug, Default)]
pub(super) struct Queue {
    places: Vec<Place>,
    /// Number of the last grant of a customer and of a tenant.
    customers: HashMap<String, u64>,
    tenants: HashMap<TenantUid, u64>,
    grants: u64,
}

impl Queue {
    /// Asks for a call's tokens; `Err`: the expected wait. `step` is how long a place waits to
    /// rise by one urgency, so that nobody starves, and how late its owner may come.
    pub(super) fn ask(
        &mut self,
        buckets: &mut HashMap<String, Bucket>,
        asker: &Asker,
        costs: &Costs,
        step: Duration,
        now: Instant,
    ) -> Result<(), Duration> {
        self.expire(buckets, now);
        let known = self.places.iter_mut().find(|place| place.is_of(asker));
        if let Some(place) = known {
            place.asker.urgency = asker.urgency;
        } else {
            let (asker, costs) = (asker.clone(), costs.clone());
            self.places.push(Place { asker, costs, since: now, granted: false, kept_until: now + step });
        }
        let wait = self.serve(buckets, asker, step, now);
        if wait.is_zero() {
            self.places.retain(|place| !place.is_of(asker));
            if self.tenants.len() > REMEMBERED_MAX {
                self.customers.clear();
                self.tenants.clear();
            }
            return Ok(());
        }
        Err(wait)
    }

    /// Grants what the buckets hold, in order; says how long the asker waits.
    fn serve(
        &mut self,
        buckets: &mut HashMap<String, Bucket>,
        asker: &Asker,
        step: Duration,
        now: Instant,
    ) -> Duration {
        let mut ahead: HashMap<String, f64> = HashMap::new();
        let mut own_wait = Duration::ZERO;
        let mut order: Vec<usize> = (0..self.places.len()).filter(|i| !self.places[*i].granted).collect();
        self.sort(&mut order, step, now);
        let mut at = 0;
        while let Some(next) = order.get(at).copied() {
            at += 1;
            let place = &mut self.places[next];
            let mut wait = Duration::ZERO;
            for (name, cost) in &place.costs {
                if let Some(bucket) = buckets.get_mut(name) {
                    wait = wait.max(bucket.wait(ahead.get(name).copied().unwrap_or(0.0), *cost, now));
                }
            }
            if !wait.is_zero() {
                for (name, cost) in &place.costs {
                    *ahead.entry(name.clone()).or_default() += cost;
                }
                if place.is_of(asker) {
                    own_wait = wait;
                    place.kept_until = now + wait + step;
                }
                continue;
            }
            for (name, cost) in &place.costs {
                if let Some(bucket) = buckets.get_mut(name) {
                    bucket.take(*cost);
                }
            }
            place.granted = true;
            place.kept_until = now + step;
            self.grants += 1;
            self.customers.insert(place.asker.customer.clone(), self.grants);
            self.tenants.insert(place.asker.tenant, self.grants);
            // A grant moves its customer back.
            self.sort(&mut order[at..], step, now);
        }
        own_wait
    }

    fn sort(&self, order: &mut [usize], step: Duration, now: Instant) {
        order.sort_by_cached_key(|at| self.rank(&self.places[*at], step, now));
    }

    fn rank(&self, place: &Place, step: Duration, now: Instant) -> (u32, u64, u64, Instant) {
        let waited = now.saturating_duration_since(place.since).as_secs_f64() / step.as_secs_f64().max(0.001);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small positive number")]
        let risen = waited.min(4.0) as u32;
        (
            (place.asker.urgency as u32).saturating_sub(risen),
            self.customers.get(&place.asker.customer).copied().unwrap_or(0),
            self.tenants.get(&place.asker.tenant).copied().unwrap_or(0),
            place.since,
        )
    }

    /// Drops the places of those who did not come back.
    fn expire(&mut self, buckets: &mut HashMap<String, Bucket>, now: Instant) {
        self.places.retain(|place| {
            let kept = place.kept_until > now;
            if !kept && place.granted {
                for (name, cost) in &place.costs {
                    if let Some(bucket) = buckets.get_mut(name) {
                        bucket.take(-cost);
                    }
                }
            }
            kept
        });
    }
}
