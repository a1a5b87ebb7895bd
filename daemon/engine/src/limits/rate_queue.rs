//! The queue of one account: who waits for tokens, and who goes next.
//!
//! A queue is small, since whoever waits in it holds a pass. Whoever finds it full takes the place
//! of the one that would go last, or is sent away with a time to come back; those times follow
//! each other at the rate at which the queue empties, so that it never runs dry and is never
//! stormed. The order is by urgency, then by what the customer and the tenant have had
//! (start-time fair queueing, Goyal, Vin and Cheng, SIGCOMM 1996): a customer with one tenant
//! does not wait for the thousand of another. Pure: the time is a value.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use landlord_core::TenantUid;
use tokio::{sync::oneshot, time::Instant};

use super::{Costs, breaker::Breaker, bucket::Bucket};

/// Waiting calls. Each holds a pass, and an account must leave passes to the others.
pub(super) const QUEUE_MAX: usize = 16;
/// Longest absence, before scaling. Whoever comes back only to be put off again costs a claim and a commit: of ten thousand that
/// wait for one account's one write a second, ten minutes would bring 20 back each second, and most of the daemon's time would go
/// there. Half an hour of work is waiting then, so no token is left unused.
const DEFERRAL_MAX: Duration = Duration::from_secs(1800);
/// The same while a provider is out of order: the end of an outage is noticed within a minute, and all may go on then.
const OUTAGE_DEFERRAL_MAX: Duration = Duration::from_secs(600);
/// The same while a bucket is slowed by throttling: its rate recovers within a minute, and nobody who could use it would be there.
const SLOWED_DEFERRAL_MAX: Duration = Duration::from_secs(80);
/// Waiting this long raises a call by one urgency, before scaling, so that nobody starves.
const AGE_STEP: Duration = Duration::from_secs(60);
/// Customers and tenants whose share is remembered; the account is idle long before so many are.
const FLOWS_MAX: usize = 20_000;

/// What a call is for; the first goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Urgency {
    /// Takes something down, or mends what went wrong: what costs money or is broken.
    Repair,
    /// Makes or changes something.
    Change,
    /// Polls how far something is.
    Poll,
    /// Checks whether what is READY still is as ordered.
    Drift,
}

/// Whose a call is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) customer: String,
    pub(crate) tenant: TenantUid,
    pub(crate) urgency: Urgency,
}

/// Put off: come back after `wait`. `outage` is what the provider last reported, if it is out of
/// order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Deferred {
    pub(crate) wait: Duration,
    pub(crate) outage: Option<String>,
}

/// What a waiting call gets.
pub(super) type Admission = Result<(), Deferred>;

#[derive(Debug)]
struct Waiter {
    ticket: u64,
    caller: Caller,
    costs: Costs,
    result: oneshot::Sender<Admission>,
}

/// What a customer or a tenant has had: its virtual finish time.
#[derive(Debug, Default)]
struct Flow {
    finish: f64,
    /// When it was first deferred since it was last served.
    waiting_since: Option<Instant>,
}

/// The buckets of one account and who waits for them.
#[derive(Debug, Default)]
pub(super) struct RateQueue {
    pub(super) buckets: HashMap<String, Bucket>,
    pub(super) breakers: HashMap<String, Breaker>,
    pub(super) time_scale: f64,
    waiting: Vec<Waiter>,
    customers: HashMap<String, Flow>,
    tenants: HashMap<TenantUid, Flow>,
    /// Virtual times of whoever was served last.
    virtual_customer: f64,
    virtual_tenant: f64,
    tickets: u64,
    /// When the last one sent away comes back, by bucket: whoever waits for a slow one keeps nobody from a fast one.
    returns: HashMap<String, Instant>,
}

impl RateQueue {
    /// Takes a place; the response comes through the channel, perhaps at once.
    pub(super) fn enter(&mut self, caller: Caller, costs: Costs, now: Instant) -> (u64, oneshot::Receiver<Admission>) {
        let (result, admission) = oneshot::channel();
        self.tickets += 1;
        let ticket = self.tickets;
        self.tenants.entry(caller.tenant).or_default().waiting_since.get_or_insert(now);
        self.waiting.push(Waiter { ticket, caller, costs, result });
        self.serve(now);
        while self.waiting.len() > QUEUE_MAX {
            let order = self.order(now);
            let Some(last) = order.last().copied() else { break };
            self.defer(last, now);
        }
        (ticket, admission)
    }

    /// Gives a place up, as whoever is dropped does.
    pub(super) fn leave(&mut self, ticket: u64) {
        self.waiting.retain(|waiter| waiter.ticket != ticket);
    }

    /// Sends the holder of a ticket away, if it still waits.
    pub(super) fn dismiss(&mut self, ticket: u64, now: Instant) {
        if let Some(at) = self.waiting.iter().position(|waiter| waiter.ticket == ticket) {
            self.defer(at, now);
        }
    }

    /// Lets go whoever may; returns when to requeue, if anybody waits.
    pub(super) fn serve(&mut self, now: Instant) -> Option<Duration> {
        loop {
            let mut blocked: HashSet<String> = HashSet::new();
            let mut soonest: Option<Duration> = None;
            let mut next = None;
            for at in self.order(now) {
                let costs = self.waiting[at].costs.clone();
                let lacking = self.lacking(&costs, now);
                let overtakes = costs.iter().any(|(name, _)| blocked.contains(name));
                if lacking.is_empty() && !overtakes {
                    next = Some(at);
                    break;
                }
                // Nobody takes what a call before it saves up for.
                for (name, wait) in lacking {
                    soonest = Some(soonest.map_or(wait, |soonest| soonest.min(wait)));
                    blocked.insert(name);
                }
            }
            let Some(at) = next else { return soonest };
            self.grant(at, now);
        }
    }

    /// How many calls wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The error of a provider that is out of order.
    pub(super) fn outage(&self) -> Option<String> {
        self.breakers.values().find_map(Breaker::outage).map(str::to_owned)
    }

    fn lacking(&mut self, costs: &Costs, now: Instant) -> Vec<(String, Duration)> {
        let mut lacking = Vec::new();
        for (name, cost) in costs {
            let tokens = self.buckets.get_mut(name).map_or(Duration::ZERO, |bucket| bucket.wait(*cost, now));
            let trial = self.breakers.get(name).map_or(Duration::ZERO, |breaker| breaker.wait(now));
            let wait = tokens.max(trial);
            if !wait.is_zero() {
                lacking.push((name.clone(), wait));
            }
        }
        lacking
    }

    fn grant(&mut self, at: usize, now: Instant) {
        let waiter = self.waiting.swap_remove(at);
        let mut total = 0.0;
        for (name, cost) in &waiter.costs {
            total += cost;
            if let Some(bucket) = self.buckets.get_mut(name) {
                bucket.take(*cost);
            }
            if let Some(breaker) = self.breakers.get_mut(name) {
                breaker.passing(now);
            }
        }
        self.charge(&waiter.caller, total);
        // Whoever is gone meanwhile has taken tokens for nothing: a pass was dropped.
        let _ = waiter.result.send(Ok(()));
    }

    fn charge(&mut self, caller: &Caller, cost: f64) {
        if self.customers.len() + self.tenants.len() > FLOWS_MAX {
            self.customers.clear();
            self.tenants.clear();
        }
        let customer = self.customers.entry(caller.customer.clone()).or_default();
        self.virtual_customer = customer.finish.max(self.virtual_customer);
        customer.finish = self.virtual_customer + cost;
        let tenant = self.tenants.entry(caller.tenant).or_default();
        self.virtual_tenant = tenant.finish.max(self.virtual_tenant);
        tenant.finish = self.virtual_tenant + cost;
        tenant.waiting_since = None;
    }

    fn defer(&mut self, at: usize, now: Instant) {
        let waiter = self.waiting.swap_remove(at);
        let mut back = now;
        for (name, cost) in &waiter.costs {
            back = back.max(self.turn(name, *cost, now));
        }
        let deferred = Deferred { wait: back.saturating_duration_since(now), outage: self.outage() };
        // Whoever is gone meanwhile does not come back.
        let _ = waiter.result.send(Err(deferred));
    }

    /// When the next one sent away comes back for tokens of this bucket: after those before it.
    fn turn(&mut self, name: &str, cost: f64, now: Instant) -> Instant {
        let ahead = self.waiting.iter().flat_map(|other| &other.costs);
        let ahead: f64 = ahead.filter(|(other, _)| other == name).map(|(_, cost)| cost).sum();
        let trial = self.breakers.get(name).map_or(Duration::ZERO, |breaker| breaker.wait(now));
        let is_out = self.breakers.get(name).is_some_and(|breaker| breaker.outage().is_some());
        let Some(bucket) = self.buckets.get_mut(name) else { return now + trial };
        let soonest = now + bucket.wait(0.0, now).max(bucket.time_for(ahead)).max(trial);
        let away_max = match (bucket.is_slowed(), is_out) {
            (true, _) => SLOWED_DEFERRAL_MAX,
            (false, true) => OUTAGE_DEFERRAL_MAX,
            (false, false) => DEFERRAL_MAX,
        };
        let away_max = away_max.mul_f64(self.time_scale);
        let mut back = self.returns.get(name).map_or(soonest, |last| soonest.max(*last + bucket.time_for(cost)));
        if back > soonest + away_max {
            // More than the account lets go until then: they follow each other again, among those who came before. All at the latest
            // moment would come back together, again and again.
            back = soonest + away_max / 2;
        }
        self.returns.insert(name.to_owned(), back);
        back
    }

    /// Who goes before whom.
    fn order(&self, now: Instant) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.waiting.len()).collect();
        order.sort_by(|a, b| {
            let (a, b) = (self.rank(&self.waiting[*a], now), self.rank(&self.waiting[*b], now));
            a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.total_cmp(&b.2)).then(a.3.cmp(&b.3))
        });
        order
    }

    fn rank(&self, waiter: &Waiter, now: Instant) -> (u32, f64, f64, u64) {
        let tenant = self.tenants.get(&waiter.caller.tenant);
        let waited = tenant.and_then(|flow| flow.waiting_since).map_or(Duration::ZERO, |since| now - since);
        let step = AGE_STEP.mul_f64(self.time_scale).max(Duration::from_millis(1));
        let risen = u32::try_from(waited.as_millis() / step.as_millis().max(1)).unwrap_or(u32::MAX);
        let customer = self.customers.get(&waiter.caller.customer).map_or(0.0, |flow| flow.finish);
        (
            (waiter.caller.urgency as u32).saturating_sub(risen),
            customer.max(self.virtual_customer),
            tenant.map_or(0.0, |flow| flow.finish).max(self.virtual_tenant),
            waiter.ticket,
        )
    }
}
