//! A breaker of one bucket: when no call gets a response, for several tenants in a row,
//! one call at a time finds out whether the provider responds again. Pure: the time is a value.

use std::{collections::BTreeSet, time::Duration};

use landlord_core::TenantUid;
use tokio::time::Instant;

/// Failures in a row, without one response between them, that are no accident any more.
const STREAK_MIN: u32 = 5;
/// A tenant that brings every call down by itself must not stop the others.
const TENANTS_MIN: usize = 2;
/// Between two trials at first, before scaling; doubles with each that fails.
const TRIAL_FIRST: Duration = Duration::from_secs(5);
/// Longest between two trials, before scaling: the end of an outage is noticed within a minute.
const TRIAL_MAX: Duration = Duration::from_secs(60);
/// An open breaker is tried at least each minute while its account is this daemon's and anything is due. One that was not tried for so
/// long, before scaling, is another daemon's to know.
const KNOWN_FOR: Duration = Duration::from_secs(10 * 60);
/// Tenants remembered of a streak; more say nothing more.
const TENANTS_MAX: usize = 8;

/// What is known of a provider's responses.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    streak: u32,
    tenants: BTreeSet<TenantUid>,
    interval: Duration,
    trial_time: Option<Instant>,
    last_error: String,
}

impl Breaker {
    /// A response came, whatever its status.
    pub(super) fn responded(&mut self) {
        *self = Self::default();
    }

    /// No response came.
    pub(super) fn failed(&mut self, tenant: TenantUid, error: &str, time_scale: f64, now: Instant) {
        self.streak = self.streak.saturating_add(1);
        if self.tenants.len() < TENANTS_MAX {
            self.tenants.insert(tenant);
        }
        error.clone_into(&mut self.last_error);
        if self.is_open() {
            let (first, most) = (TRIAL_FIRST.mul_f64(time_scale), TRIAL_MAX.mul_f64(time_scale));
            self.interval = (self.interval * 2).clamp(first, most);
            self.trial_time = Some(now + self.interval);
        }
    }

    /// Whether it is open, as far as this daemon can know.
    pub(super) fn is_seen_open(&self, time_scale: f64, now: Instant) -> bool {
        let known_for = KNOWN_FOR.mul_f64(time_scale);
        self.is_open() && self.trial_time.is_some_and(|time| now.saturating_duration_since(time) < known_for)
    }

    fn is_open(&self) -> bool {
        self.streak >= STREAK_MIN && self.tenants.len() >= TENANTS_MIN
    }

    /// How long until a call may try; zero: now.
    pub(super) fn wait(&self, now: Instant) -> Duration {
        self.trial_time.map_or(Duration::ZERO, |time| time.saturating_duration_since(now))
    }

    /// A call goes out: while open it is the trial, and the next one waits its turn.
    pub(super) fn passing(&mut self, now: Instant) {
        if self.is_open() {
            self.trial_time = Some(now + self.interval);
        }
    }

    /// The last error, while the provider is out of order.
    pub(super) fn outage(&self) -> Option<&str> {
        (self.streak >= STREAK_MIN).then_some(self.last_error.as_str())
    }
}
