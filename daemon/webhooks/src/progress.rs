//! What becomes of events that a receiver takes or does not: who waits, until when, and what is given up. Values only: no clock,
//! no request, no store.

use std::{collections::BTreeMap, time::Duration};

use landlord_core::{
    CustomerId, TenantName, Timestamp,
    ports::{Event, HeldTenant, ParkedEvent, WebhookProgress, WebhookState},
};

use crate::{event::EventType, send::Failure};

/// With so many tenants held, and nothing taken since, the receiver counts as down: of events that are new one is begun with
/// each further attempt. It bounds what is tried again and again while it is down. A page that was begun may hold more.
pub(crate) const HELD_MAX: usize = 16;
/// One customer's tenants count so often at most, and of its events that are new none is begun: who is refused alone delays
/// nobody else.
pub(crate) const HELD_OF_CUSTOMER_MAX: usize = 8;
/// All tenants that are held, those among them that wait for others of their customer: some 200 KiB with each record. With as
/// many nothing new is begun.
const HELD_ALL_MAX: usize = 1_000;
/// A receiver that asks for more patience gets this much: after it, others may be alive again.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60 * 60);
/// Between two attempts of a tenant whose event was given up: one whose receiver is gone for days is not flooded.
const AFTER_PARKING: Duration = Duration::from_secs(1);
/// A place that moves over events of others is recorded this often, in events: what is read again is not delivered again.
const UNRECORDED_MAX: i64 = 1_000;
/// Longest error that is kept of an attempt.
const ERROR_CHARS_MAX: usize = 300;

/// When an event is tried again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    /// After the first attempt; doubled with each.
    pub(crate) first_backoff: Duration,
    /// Longest wait.
    pub(crate) backoff_max: Duration,
    /// An event is given up after this long.
    pub(crate) retry_timeout: Duration,
}

impl Schedule {
    /// The wait after an attempt. `jitter`: 0.0 to 1.0, spreads receivers' returns over a fifth of it.
    fn backoff(&self, attempts: u32, retry_after: Option<Duration>, jitter: f64) -> Duration {
        let doubled = 2_u32.checked_pow(attempts.saturating_sub(1)).and_then(|by| self.first_backoff.checked_mul(by));
        let wait = doubled.unwrap_or(self.backoff_max).min(self.backoff_max).mul_f64(1.0 + jitter / 5.0);
        wait.max(retry_after.unwrap_or_default().min(RETRY_AFTER_MAX))
    }
}

/// Where a webhook stands, and what changed since it was recorded.
#[derive(Debug)]
pub(crate) struct Progress {
    state: WebhookProgress,
    held: BTreeMap<TenantName, HeldTenant>,
    recorded_position: i64,
    is_changed: bool,
    /// Nothing can be sent at all, as the error says.
    is_unable: bool,
}

impl Progress {
    pub(crate) fn of(state: WebhookState) -> Self {
        let held = state.held.into_iter().map(|held| (held.tenant.clone(), held)).collect();
        Self {
            // An attempt that failed has a time since when.
            is_unable: state.failing_since.is_none() && !state.error.is_empty(),
            recorded_position: state.position,
            state: WebhookProgress {
                position: state.position,
                failing_since: state.failing_since,
                error: state.error,
                ..WebhookProgress::default()
            },
            held,
            is_changed: false,
        }
    }

    /// Every event up to here is delivered, parked, or one of a held tenant.
    pub(crate) fn position(&self) -> i64 {
        self.state.position
    }

    /// Lets tenants go whose events have all been taken: theirs that follow are read like all others.
    pub(crate) fn let_go(&mut self) {
        let position = self.state.position;
        let before = self.held.len();
        self.held.retain(|_, held| held.attempts > 0 || held.position <= position);
        self.is_changed |= before != self.held.len();
    }

    /// Whether the receiver counts as down: nothing was taken since many failed, whosever they are.
    pub(crate) fn is_full(&self) -> bool {
        let counted: usize = self.waiting_by_customer().values().map(|count| (*count).min(HELD_OF_CUSTOMER_MAX)).sum();
        self.state.failing_since.is_some() && counted >= HELD_MAX
    }

    /// How many events that are new may be begun. `probes`: an attempt is due anyhow, so that a receiver that takes others'
    /// events again is noticed.
    pub(crate) fn room(&self, page: usize, probes: bool) -> usize {
        match (self.held.len() >= HELD_ALL_MAX, self.is_full()) {
            (true, _) => 0,
            (false, true) => usize::from(probes),
            (false, false) => page,
        }
    }

    /// Whether a customer's events that are new wait for those that were refused.
    pub(crate) fn waits(&self, customer: &CustomerId) -> bool {
        let waiting = self.held.values().filter(|held| held.attempts > 0 && held.tenant.customer == *customer);
        waiting.count() >= HELD_OF_CUSTOMER_MAX
    }

    /// An event that is new waits, untried, for others of its customer.
    pub(crate) fn wait(&mut self, tenant: &TenantName, position: i64, now: Timestamp) {
        self.is_changed = true;
        let waits =
            || HeldTenant { error: "waits for other events of its customer".into(), ..next(tenant, position, now) };
        self.held.entry(tenant.clone()).or_insert_with(waits);
    }

    fn waiting_by_customer(&self) -> BTreeMap<&CustomerId, usize> {
        let mut counts = BTreeMap::new();
        for held in self.held.values().filter(|held| held.attempts > 0) {
            *counts.entry(&held.tenant.customer).or_default() += 1;
        }
        counts
    }

    /// Held tenants that may be tried: those that were, and of the others as many as their customer has room for.
    fn candidates(&self) -> impl Iterator<Item = &HeldTenant> {
        let mut counts = self.waiting_by_customer();
        self.held.values().filter(move |held| {
            if held.attempts > 0 {
                return true;
            }
            let count = counts.entry(&held.tenant.customer).or_default();
            *count += 1;
            *count <= HELD_OF_CUSTOMER_MAX
        })
    }

    /// Tenants whose event was tried and not taken.
    pub(crate) fn waiting(&self) -> usize {
        self.held.values().filter(|held| held.attempts > 0).count()
    }

    pub(crate) fn holds(&self, tenant: &TenantName) -> bool {
        self.held.contains_key(tenant)
    }

    /// Held tenants that are tried now.
    pub(crate) fn due(&self, now: Timestamp) -> Vec<HeldTenant> {
        self.candidates().filter(|held| held.next_time <= now).cloned().collect()
    }

    /// When the next held tenant is due.
    pub(crate) fn next_time(&self) -> Option<Timestamp> {
        self.candidates().map(|held| held.next_time).min()
    }

    /// An event was taken.
    pub(crate) fn taken(&mut self, tenant: &TenantName, position: i64, now: Timestamp) {
        self.is_changed = true;
        self.state.delivered += 1;
        self.state.error.clear();
        if let Some(held) = self.held.get_mut(tenant) {
            *held = next(tenant, position + 1, now);
        }
        // The receiver is back: nobody waits for a backoff of before.
        if self.state.failing_since.take().is_some() {
            self.held.values_mut().for_each(|held| held.next_time = held.next_time.min(now));
        }
    }

    /// An event was not taken: its tenant waits, or the event is given up.
    pub(crate) fn not_taken(
        &mut self,
        (tenant, event): (&TenantName, &Event),
        failure: &Failure,
        (now, jitter): (Timestamp, f64),
        schedule: &Schedule,
    ) {
        self.is_changed = true;
        let failing_since = *self.state.failing_since.get_or_insert(now);
        let error: String = failure.message.chars().take(ERROR_CHARS_MAX).collect();
        self.state.error.clone_from(&error);
        let position = event.seq;
        let fresh = || next(tenant, position, now);
        let mut held = self.held.remove(tenant).filter(|held| held.position == position).unwrap_or_else(fresh);
        held.attempts = held.attempts.saturating_add(1);
        // What happened while the receiver was down has failed from then on, though it is tried only now.
        let since = *held.since.get_or_insert(event.time.max(failing_since).min(now));
        held.error = error;
        if now.since(since) >= schedule.retry_timeout {
            self.state.parked.push(ParkedEvent {
                position,
                tenant: tenant.clone(),
                event_type: EventType::of(&event.event).as_str().into(),
                event_time: event.time,
                park_time: now,
                attempts: held.attempts,
                error: held.error,
            });
            held = next(tenant, position + 1, now.after(AFTER_PARKING));
        } else {
            held.next_time = now.after(schedule.backoff(held.attempts, failure.retry_after, jitter));
        }
        self.held.insert(tenant.clone(), held);
    }

    /// All events of a held tenant before `position` are done with.
    pub(crate) fn caught_up(&mut self, tenant: &TenantName, position: i64, now: Timestamp) {
        self.is_changed = true;
        self.held.insert(tenant.clone(), next(tenant, position, now));
    }

    /// Events up to here are done with, or wait.
    pub(crate) fn advance(&mut self, position: i64) {
        self.state.position = position.max(self.state.position);
        self.is_changed |= self.state.position - self.recorded_position >= UNRECORDED_MAX;
    }

    /// The store has removed events before they were delivered.
    pub(crate) fn missed(&mut self, positions: i64) {
        self.is_changed = true;
        self.state.missed += positions.unsigned_abs();
    }

    /// Nothing can be sent at all. Whether that is new.
    pub(crate) fn unable(&mut self, error: &str) -> bool {
        let is_new = !self.is_unable || self.state.error != error;
        self.is_unable = true;
        self.is_changed |= is_new;
        error.clone_into(&mut self.state.error);
        is_new
    }

    /// Events can be sent again, or still.
    pub(crate) fn able(&mut self) {
        if std::mem::take(&mut self.is_unable) {
            self.is_changed = true;
            self.state.error.clear();
        }
    }

    /// What is to be recorded, if that is worth a write; `all`: whatever moved.
    pub(crate) fn take(&mut self, all: bool) -> Option<WebhookProgress> {
        let has_moved = self.state.position != self.recorded_position;
        if !(self.is_changed || (all && has_moved)) {
            return None;
        }
        self.is_changed = false;
        self.recorded_position = self.state.position;
        let next = WebhookProgress {
            position: self.state.position,
            failing_since: self.state.failing_since,
            error: self.state.error.clone(),
            ..WebhookProgress::default()
        };
        let held = self.held.values().cloned().collect();
        Some(WebhookProgress { held, ..std::mem::replace(&mut self.state, next) })
    }
}

/// A tenant whose events go on at a position.
fn next(tenant: &TenantName, position: i64, now: Timestamp) -> HeldTenant {
    HeldTenant { tenant: tenant.clone(), position, attempts: 0, since: None, next_time: now, error: String::new() }
}

#[cfg(test)]
mod tests {
    use landlord_core::{
        EnvironmentName,
        ports::{EventKind, NewEvent},
    };

    use super::*;

    const SCHEDULE: Schedule = Schedule {
        first_backoff: Duration::from_secs(5),
        backoff_max: Duration::from_secs(600),
        retry_timeout: Duration::from_secs(72 * 3_600),
    };

    /// `CUSTOMER/TENANT`, or a tenant of acme.
    fn tenant(id: &str) -> TenantName {
        let (customer, tenant) = id.split_once('/').unwrap_or(("acme", id));
        TenantName { customer: customer.parse().unwrap(), tenant: tenant.parse().unwrap() }
    }

    fn event(id: &str, seq: i64, time: i64) -> Event {
        let new = NewEvent {
            kind: EventKind::Tenant,
            stage: String::new(),
            reason: "Ready".into(),
            message: String::new(),
            progress: None,
        };
        let uid = "00000000-0000-4000-8000-000000000001".parse().unwrap();
        Event {
            seq,
            time: Timestamp(time),
            uid,
            operation: None,
            name: EnvironmentName::Tenant(tenant(id)),
            event: new,
        }
    }

    fn stored(error: &str) -> WebhookState {
        WebhookState {
            name: "portal".into(),
            daemon: None,
            position: 10,
            failing_since: None,
            held: Vec::new(),
            delivered_count: 0,
            missed_count: 0,
            parked_count: 0,
            delivery_time: None,
            error: error.into(),
        }
    }

    fn progress() -> Progress {
        Progress::of(stored(""))
    }

    fn failure() -> Failure {
        Failure { message: "503".into(), status: Some(503), retry_after: None }
    }

    fn fail(progress: &mut Progress, event: &Event, now: i64) {
        let name = event.name.tenant().unwrap().clone();
        progress.not_taken((&name, event), &failure(), (Timestamp(now), 0.0), &SCHEDULE);
    }

    #[test]
    fn what_can_not_be_sent_at_all_is_reported_once_and_over_when_it_can() {
        let mut progress = progress();
        assert!(progress.unable("no secret") && !progress.unable("no secret"));
        assert_eq!(progress.take(false).unwrap().error, "no secret");
        assert!(progress.take(false).is_none() && progress.unable("another"));
        // Another daemon, or the same after a restart, finds it as it was left.
        let mut later = Progress::of(stored("another"));
        later.able();
        assert_eq!(later.take(false).unwrap().error, "");
        // What a receiver answered stays until it takes something.
        fail(&mut later, &event("one", 11, 0), 5);
        later.able();
        assert_eq!(later.take(false).unwrap().error, "503");
    }

    #[test]
    fn waits_double_up_to_a_bound_and_follow_the_receiver() {
        let wait =
            |attempts, after: Option<u64>| SCHEDULE.backoff(attempts, after.map(Duration::from_secs), 0.0).as_secs();
        let waits: Vec<u64> = [1, 2, 3, 7, 8, 100, u32::MAX].map(|attempts| wait(attempts, None)).into();
        assert_eq!(waits, [5, 10, 20, 320, 600, 600, 600]);
        assert_eq!((wait(1, Some(60)), wait(8, Some(60)), wait(1, Some(1_000_000))), (60, 600, 3_600));
        assert_eq!(SCHEDULE.backoff(1, None, 1.0), Duration::from_secs(6));
    }

    #[test]
    fn a_tenant_waits_alone_until_its_event_is_taken() {
        let mut progress = progress();
        fail(&mut progress, &event("a", 11, 0), 1_000);
        progress.advance(12);
        assert!(progress.holds(&tenant("a")) && !progress.is_full());
        assert_eq!((progress.due(Timestamp(5_999)), progress.next_time()), (Vec::new(), Some(Timestamp(6_000))));
        assert_eq!(progress.due(Timestamp(6_000)).len(), 1);
        progress.taken(&tenant("a"), 11, Timestamp(6_000));
        progress.let_go();
        // Its events up to 12 are looked for before it goes with the others again.
        assert!(progress.holds(&tenant("a")));
        progress.caught_up(&tenant("a"), 13, Timestamp(6_000));
        progress.let_go();
        assert!(!progress.holds(&tenant("a")));
        let recorded = progress.take(false).unwrap();
        assert_eq!((recorded.position, recorded.delivered, recorded.held.len()), (12, 1, 0));
        assert_eq!(progress.take(true), None);
    }

    #[test]
    fn the_first_success_ends_all_waits() {
        let mut progress = progress();
        for (seq, id) in (11..).zip(["a", "b"]) {
            fail(&mut progress, &event(id, seq, 0), 0);
        }
        progress.taken(&tenant("a"), 11, Timestamp(10));
        assert_eq!(progress.due(Timestamp(10)).len(), 2);
        assert_eq!(progress.take(false).unwrap().failing_since, None);
    }

    #[test]
    fn what_is_not_taken_in_time_is_parked_and_the_next_goes_on() {
        let mut progress = progress();
        let hour = 3_600 * 1_000;
        fail(&mut progress, &event("a", 11, 0), 0);
        fail(&mut progress, &event("a", 11, 0), 72 * hour - 1);
        assert!(progress.take(false).unwrap().parked.is_empty());
        fail(&mut progress, &event("a", 11, 0), 72 * hour);
        let [parked] = progress.take(false).unwrap().parked.try_into().unwrap();
        assert_eq!((parked.position, parked.attempts), (11, 3));
        // One that happened ten hours later has been failing since then, though it is tried only now.
        fail(&mut progress, &event("a", 12, 10 * hour), 73 * hour);
        let recorded = progress.take(false).unwrap();
        assert_eq!((recorded.parked.len(), recorded.held[0].since), (0, Some(Timestamp(10 * hour))));
        fail(&mut progress, &event("a", 12, 10 * hour), 82 * hour);
        assert_eq!(progress.take(false).unwrap().parked.len(), 1);
    }

    #[test]
    fn an_event_that_fails_alone_gets_the_whole_time() {
        let mut progress = progress();
        // It is old, as after a replay; the receiver takes others.
        fail(&mut progress, &event("a", 11, 0), 400 * 3_600 * 1_000);
        let recorded = progress.take(false).unwrap();
        assert_eq!((recorded.parked.len(), recorded.held.len()), (0, 1));
    }

    #[test]
    fn a_receiver_that_is_down_holds_a_bounded_number() {
        let mut progress = progress();
        for index in 0..HELD_MAX {
            assert!(!progress.is_full());
            fail(&mut progress, &event(&format!("c{}/t{index}", index % 4), 11 + index as i64, 0), 0);
        }
        assert!(progress.is_full());
        // Nothing new, but for one with each further attempt.
        assert_eq!((progress.room(50, false), progress.room(50, true)), (0, 1));
        progress.taken(&tenant("c0/t0"), 11, Timestamp(9));
        assert!(!progress.is_full());
        assert_eq!(progress.room(50, false), 50);
    }

    #[test]
    fn a_customer_that_is_refused_delays_itself_only() {
        let mut progress = progress();
        for index in 0..40 {
            let event = event(&format!("bad/t{index:02}"), 11 + index, 0);
            let tenant = event.name.tenant().unwrap().clone();
            let waits = progress.waits(&tenant.customer);
            assert_eq!(waits, index >= HELD_OF_CUSTOMER_MAX as i64);
            if waits {
                progress.wait(&tenant, event.seq, Timestamp(0));
            } else {
                fail(&mut progress, &event, 0);
            }
        }
        assert!(!progress.is_full() && !progress.waits(&"good".parse().unwrap()));
        assert_eq!((progress.room(50, false), progress.held.len()), (50, 40));
        // Only those that were tried are tried again, after their wait.
        assert_eq!((progress.due(Timestamp(4_999)).len(), progress.next_time()), (0, Some(Timestamp(5_000))));
        assert_eq!(progress.due(Timestamp(5_000)).len(), HELD_OF_CUSTOMER_MAX);
        // The receiver takes them again: the others follow, a few at a time and each from its first event on.
        for index in 0..8 {
            progress.taken(&tenant(&format!("bad/t{index:02}")), 11 + index, Timestamp(6_000));
            progress.caught_up(&tenant(&format!("bad/t{index:02}")), 51, Timestamp(6_000));
        }
        progress.advance(50);
        progress.let_go();
        assert_eq!(progress.held.len(), 32);
        let due = progress.due(Timestamp(6_000));
        assert_eq!((due.len(), due[0].tenant.to_string(), due[0].position), (8, tenant("bad/t08").to_string(), 19));
    }

    #[test]
    fn held_tenants_are_bounded() {
        let mut progress = progress();
        for index in 0..HELD_ALL_MAX {
            assert_eq!(progress.room(50, false), 50);
            progress.wait(&tenant(&format!("bad/t{index}")), 11, Timestamp(0));
        }
        assert_eq!(progress.room(50, true), 0);
    }

    #[test]
    fn a_place_that_moves_over_others_events_is_written_now_and_then() {
        let mut progress = progress();
        progress.advance(500);
        assert_eq!(progress.take(false), None);
        progress.advance(10 + UNRECORDED_MAX);
        assert_eq!(progress.take(false).unwrap().position, 1_010);
        progress.advance(1_011);
        assert_eq!(progress.take(true).unwrap().position, 1_011);
    }
}
