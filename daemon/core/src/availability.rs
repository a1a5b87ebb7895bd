//! Whether an environment that was READY answers, beat by beat: what counts as lost, since when, why, and for how much of the
//! month it answered. Pure.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// Beats in a row without an answer after which an environment counts as lost: one may be a lost packet.
pub const MISSES_MAX: u32 = 2;
/// Longest cause that is kept, in characters.
const CAUSE_CHARS_MAX: usize = 300;

/// What was seen of an environment's answers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Availability {
    /// Whether it answers; `None`: not seen yet.
    pub available: Option<bool>,
    /// Since when that is so.
    pub since: Timestamp,
    /// Why it does not answer; also of a single beat that was missed. Empty: it does.
    pub cause: String,
    /// Beats in a row without an answer.
    pub misses: u32,
    /// When it was last seen.
    pub beat_time: Timestamp,
    /// Until when this is taken for now: nobody who looks lets it grow so old.
    pub fresh_until: Timestamp,
    /// The month of the two figures below, as 202611, UTC.
    pub month: i32,
    /// For how long of it the environment answered, milliseconds.
    pub up_ms: u64,
    /// For how long it did not. What nobody looked at counts to neither.
    pub down_ms: u64,
}

/// What a beat changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AvailabilityChange {
    /// It was seen answering for the first time.
    First,
    /// It does not answer any more, for [`MISSES_MAX`] beats.
    Lost,
    /// It answers again.
    Back,
}

impl Availability {
    /// What follows from one more beat. `gap_max`: what was not looked at for longer is known of neither way.
    #[must_use]
    pub fn beat(
        &self,
        outcome: Result<(), &str>,
        now: Timestamp,
        gap_max: Duration,
    ) -> (Self, Option<AvailabilityChange>) {
        let mut after = self.clone();
        after.count(now, gap_max);
        after.beat_time = now;
        match outcome {
            Ok(()) => {
                (after.misses, after.cause) = (0, String::new());
                let change = match self.available {
                    Some(true) => return (after, None),
                    Some(false) => AvailabilityChange::Back,
                    None => AvailabilityChange::First,
                };
                (after.available, after.since) = (Some(true), now);
                (after, Some(change))
            }
            Err(cause) => {
                after.misses = self.misses.saturating_add(1);
                after.cause = cause.chars().take(CAUSE_CHARS_MAX).collect();
                if after.misses < MISSES_MAX || self.available == Some(false) {
                    return (after, None);
                }
                (after.available, after.since) = (Some(false), now);
                (after, Some(AvailabilityChange::Lost))
            }
        }
    }

    /// Counts the time since the last beat.
    fn count(&mut self, now: Timestamp, gap_max: Duration) {
        let month = month(now);
        if self.month != month {
            (self.month, self.up_ms, self.down_ms) = (month, 0, 0);
        }
        let passed = now.since(self.beat_time);
        if self.beat_time == Timestamp::default() || passed > gap_max {
            return;
        }
        let passed = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX);
        match self.available {
            Some(true) => self.up_ms = self.up_ms.saturating_add(passed),
            Some(false) => self.down_ms = self.down_ms.saturating_add(passed),
            None => {}
        }
    }

    /// Part of the month's time that was looked at in which it answered, percent; `None`: nothing was looked at.
    #[must_use]
    pub fn month_percent(&self) -> Option<f64> {
        let seen = self.up_ms.saturating_add(self.down_ms);
        #[expect(clippy::cast_precision_loss, reason = "a month has some 10^9 milliseconds")]
        (seen > 0).then(|| self.up_ms as f64 * 100.0 / seen as f64)
    }
}

/// Year and month of a time, as 202611, UTC.
fn month(time: Timestamp) -> i32 {
    // As RFC 3339 has it: 2026-11-…
    let text = time.to_string();
    let number = |range: std::ops::Range<usize>| text.get(range).and_then(|part| part.parse::<i32>().ok());
    number(0..4).unwrap_or_default() * 100 + number(5..7).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn two_missed_beats_are_a_loss_and_one_answer_is_the_end_of_it() {
        // 2026-11-30T23:50:00Z
        let (mut now, gap) = (Timestamp(1_796_082_600_000), MINUTE * 2);
        let mut availability = Availability::default();
        let mut beat = |outcome: Result<(), &str>| {
            now = now.after(MINUTE);
            let (after, change) = availability.beat(outcome, now, gap);
            availability = after.clone();
            (after, change)
        };
        assert_eq!(beat(Ok(())).1, Some(AvailabilityChange::First));
        assert_eq!(beat(Ok(())).1, None);
        let (missed, change) = beat(Err("no route"));
        assert_eq!((missed.available, missed.misses, change), (Some(true), 1, None));
        assert_eq!(beat(Ok(())).1, None, "one lost packet is no loss");
        assert_eq!(beat(Err("no route")).1, None);
        let (lost, change) = beat(Err("502"));
        assert_eq!((lost.available, lost.cause.as_str(), change), (Some(false), "502", Some(AvailabilityChange::Lost)));
        assert_eq!(beat(Err("502")).1, None, "reported once");
        let (back, change) = beat(Ok(()));
        assert_eq!((back.available, change, back.cause.as_str()), (Some(true), Some(AvailabilityChange::Back), ""));
        assert_eq!((back.month, back.up_ms, back.down_ms), (202_611, 300_000, 120_000));
        assert!(back.since > lost.since);
        // The next month begins again, and what nobody looked at counts to neither.
        let (next, _) = back.beat(Ok(()), now.after(MINUTE * 3), gap);
        assert_eq!((next.month, next.up_ms, next.down_ms, next.month_percent()), (202_612, 0, 0, None));
        let (next, _) = next.beat(Ok(()), next.beat_time.after(MINUTE), gap);
        assert_eq!(next.month_percent(), Some(100.0));
    }
}
