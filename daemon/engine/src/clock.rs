//! Notices when the wall clock is set: times in the store are wall times, and a wait by them may become very long.

use std::time::{Duration, Instant, SystemTime};

use landlord_core::Timestamp;
use parking_lot::Mutex;

/// What the clocks of a healthy machine drift apart between two observations stays far below this.
const JUMP_MIN: Duration = Duration::from_secs(5);

/// The wall clock beside the monotonic one.
#[derive(Debug)]
pub(crate) struct ClockWatch {
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Seen {
    wall: SystemTime,
    monotonic: Instant,
    /// When the wall clock was last seen to be set.
    jump: Option<Instant>,
    /// Whether nobody acted upon that yet.
    is_news: bool,
}

/// This machine's wall clock, for what does not go by the database's: when access ends, and which month it is.
pub(crate) fn now() -> Timestamp {
    SystemTime::now().into()
}

impl Default for ClockWatch {
    fn default() -> Self {
        let seen = Seen { wall: SystemTime::now(), monotonic: Instant::now(), jump: None, is_news: false };
        Self { seen: Mutex::new(seen) }
    }
}

impl ClockWatch {
    /// Whether the wall clock was set since the last call of this.
    pub(crate) fn jumped(&self) -> bool {
        let mut seen = self.seen.lock();
        seen.observe();
        std::mem::take(&mut seen.is_news)
    }

    /// How long ago the wall clock was set, if this process has seen that: what lies further back by the wall clock may be
    /// nearer than it seems.
    pub(crate) fn since_jump(&self) -> Option<Duration> {
        let mut seen = self.seen.lock();
        seen.observe();
        seen.jump.map(|jump| jump.elapsed())
    }
}

impl Seen {
    /// Logs a clock that was set.
    fn observe(&mut self) {
        let (wall, monotonic) = (SystemTime::now(), Instant::now());
        let jump = jump(self.wall, wall, monotonic.saturating_duration_since(self.monotonic));
        (self.wall, self.monotonic) = (wall, monotonic);
        if let Some((direction, by)) = jump {
            tracing::warn!(direction, seconds = by.as_secs_f64(), "the wall clock was set");
            (self.jump, self.is_news) = (Some(monotonic), true);
        }
    }
}

/// In which direction and how far the wall clock was set while `passed` went by.
fn jump(before: SystemTime, after: SystemTime, passed: Duration) -> Option<(&'static str, Duration)> {
    let expected = before + passed;
    let jump = match after.duration_since(expected) {
        Ok(by) => ("forward", by),
        Err(error) => ("back", error.duration()),
    };
    (jump.1 >= JUMP_MIN).then_some(jump)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_is_noticed_and_a_slow_observation_is_not() {
        let (start, day, minute) = (SystemTime::UNIX_EPOCH, Duration::from_secs(86_400), Duration::from_secs(60));
        let noon = start + day;
        assert_eq!(jump(noon, noon + minute, minute), None);
        assert_eq!(jump(noon, noon + minute + Duration::from_secs(1), minute), None);
        assert_eq!(jump(noon, start + minute, minute), Some(("back", day)));
        assert_eq!(jump(start, noon + minute, minute), Some(("forward", day)));
    }
}
