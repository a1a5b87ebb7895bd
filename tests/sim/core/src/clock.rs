//! One clock for everything the simulator decides.
//!
//! Instants are wall-clock microseconds since the Unix epoch, so that SDKs see plausible timestamps; durations of the
//! simulated cloud are given in simulated milliseconds and shrink by the time scale. It knows nothing of what is timed.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Wall-clock microseconds since the Unix epoch.
pub type Micros = i64;

/// A monotonic clock anchored once to the wall clock.
#[derive(Debug, Clone)]
pub struct Clock {
    anchor_us: Micros,
    anchor: Instant,
    scale: f64,
}

/// The smallest scale accepted: below it a whole lifecycle is shorter than a network round trip.
pub const MIN_SCALE: f64 = 1e-6;

impl Clock {
    /// A clock on which one simulated second lasts `scale` real seconds.
    #[must_use]
    pub fn new(scale: f64) -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Self {
            anchor_us: i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX),
            anchor: Instant::now(),
            scale: scale.max(MIN_SCALE),
        }
    }

    /// Now, never going backwards.
    #[must_use]
    pub fn now(&self) -> Micros {
        self.anchor_us + i64::try_from(self.anchor.elapsed().as_micros()).unwrap_or(i64::MAX / 2)
    }

    /// How long `sim_ms` simulated milliseconds last, in wall-clock microseconds.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "durations are bounded by hours")]
    pub fn wall_us(&self, sim_ms: u64) -> Micros {
        (sim_ms as f64 * self.scale * 1_000.0).round() as Micros
    }

    /// Simulated milliseconds since this clock was made.
    #[must_use]
    pub fn sim_ms_at(&self, at: Micros) -> i64 {
        self.sim_ms_between(self.anchor_us, at)
    }

    /// Simulated milliseconds from `from` to `to`.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "durations are bounded by hours")]
    pub fn sim_ms_between(&self, from: Micros, to: Micros) -> i64 {
        ((to - from) as f64 / self.scale / 1_000.0).round() as i64
    }

    /// Real seconds per simulated second.
    #[must_use]
    pub fn scale(&self) -> f64 {
        self.scale
    }
}

/// `2026-11-24T02:00:00.123Z`, as the query and XML protocols write instants.
#[must_use]
pub fn iso8601(at: Micros) -> String {
    jiff::Timestamp::from_microsecond(at).map(|t| t.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()).unwrap_or_default()
}

/// Seconds since the epoch with a fraction, as the JSON protocols write instants.
#[must_use]
pub fn epoch_seconds(at: Micros) -> f64 {
    (at / 1_000) as f64 / 1_000.0
}
