//! Request rates: one token bucket per account, Region, service and class of calls.
//!
//! Buckets refill in simulated time, so that a client that polls at scaled intervals meets the limits that it would
//! meet in reality. Which class a call belongs to and how large its bucket is, each cloud says.

use crate::clock::{Clock, Micros};
use std::collections::HashMap;

/// Size and refill per simulated second.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    burst: f64,
    per_second: f64,
    /// Refilled at once at the start of each minute instead.
    by_minute: bool,
}

impl Rate {
    /// Up to `burst` at once, refilled by `per_second`.
    #[must_use]
    pub const fn new(burst: f64, per_second: f64) -> Self {
        Self { burst, per_second, by_minute: false }
    }

    /// `count` in each whole minute, all of them back at its start.
    #[must_use]
    pub const fn by_minute(count: f64) -> Self {
        Self { burst: count, per_second: 0.0, by_minute: true }
    }
}

#[derive(Debug)]
struct Tokens {
    left: f64,
    at: Micros,
}

/// Account, Region, service and class: whose calls share a bucket.
pub type BucketKey = (String, String, String, String);

/// All buckets.
#[derive(Debug, Default)]
pub struct Throttle {
    buckets: HashMap<BucketKey, Tokens>,
    /// Never throttles if set.
    pub off: bool,
}

impl Throttle {
    /// Takes a token; false means that the call is refused.
    pub fn admit(&mut self, clock: &Clock, now: Micros, key: BucketKey, rate: Rate) -> bool {
        if self.off {
            return true;
        }
        let tokens = self.buckets.entry(key).or_insert(Tokens { left: rate.burst, at: now });
        let minute = |at| clock.sim_ms_at(at).div_euclid(60_000);
        if rate.by_minute && minute(now) != minute(tokens.at) {
            tokens.left = rate.burst;
        }
        let elapsed_s = clock.sim_ms_between(tokens.at, now).max(0) as f64 / 1_000.0;
        tokens.left = (tokens.left + elapsed_s * rate.per_second).min(rate.burst);
        tokens.at = now;
        if tokens.left < 1.0 {
            return false;
        }
        tokens.left -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::{Rate, Throttle};
    use crate::clock::Clock;

    fn key(class: &str) -> super::BucketKey {
        ("account".to_owned(), "region".to_owned(), "service".to_owned(), class.to_owned())
    }

    #[test]
    fn a_bucket_empties_and_refills_in_simulated_time() {
        let clock = Clock::new(0.01);
        let mut throttle = Throttle::default();
        let mut call = |at| throttle.admit(&clock, at, key("GetChange"), Rate::new(5.0, 5.0));
        assert!((0..5).all(|_| call(0)));
        assert!(!call(0));
        assert!(call(clock.wall_us(1_000)), "a simulated second later there are tokens again");
    }

    #[test]
    fn rates_by_the_minute_come_back_at_its_start() {
        let clock = Clock::new(0.01);
        let start = clock.now() - clock.wall_us(u64::try_from(clock.sim_ms_at(clock.now())).expect("positive"));
        let mut throttle = Throttle::default();
        let mut call = |sim_ms| {
            let at = start + clock.wall_us(sim_ms);
            throttle.admit(&clock, at, key("read_requests"), Rate::by_minute(1_500.0))
        };
        assert!((0..1_500).all(|_| call(30_500)));
        assert!(!call(59_000), "nothing trickles in");
        assert!((0..1_500).all(|_| call(60_500)) && !call(60_500));
    }
}
