//! Notices when the wall clock is set: times in the store are wall times, and a wait by them may become very long.

use std::time::{Duration, Instant, SystemTime};

/// What the clocks of a healthy machine drift apart between two looks stays far below this.
const JUMP_MIN: Duration = Duration::from_secs(5);

/// The wall clock beside the monotonic one.
#[derive(Debug)]
pub(crate) struct ClockWatch {
    wall: SystemTime,
    monotonic: Instant,
}

impl ClockWatch {
    pub(crate) fn start() -> Self {
        Self { wall: SystemTime::now(), monotonic: Instant::now() }
    }

    /// Whether the wall clock was set since the last look. Logs it.
    pub(crate) fn jumped(&mut self) -> bool {
        let (wall, monotonic) = (SystemTime::now(), Instant::now());
        let jump = jump(self.wall, wall, monotonic.saturating_duration_since(self.monotonic));
        *self = Self { wall, monotonic };
        let Some((direction, by)) = jump else { return false };
        tracing::warn!(direction, seconds = by.as_secs_f64(), "the wall clock was set");
        true
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
    fn a_clock_that_was_set_is_noticed_and_a_slow_look_is_not() {
        let (start, day, minute) = (SystemTime::UNIX_EPOCH, Duration::from_secs(86_400), Duration::from_secs(60));
        let noon = start + day;
        assert_eq!(jump(noon, noon + minute, minute), None);
        assert_eq!(jump(noon, noon + minute + Duration::from_secs(1), minute), None);
        assert_eq!(jump(noon, start + minute, minute), Some(("back", day)));
        assert_eq!(jump(start, noon + minute, minute), Some(("forward", day)));
    }
}
