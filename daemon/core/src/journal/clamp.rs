//! Times of records against a wall clock that was set back: nothing is due later than anything waits, and nothing began in the
//! future, since a timeout that counts from there would not come.

use std::time::Duration;

use crate::{StageRecord, Timestamp};

/// Brings the times of records that were just read into what can be: due at `now` instead of later than `longest` ahead, begun
/// at `now` instead of after it.
pub fn clamp(records: &mut [StageRecord], longest: Duration, now: Timestamp) {
    let latest = now.after(longest);
    for record in records {
        if record.poll_time > latest {
            record.poll_time = now;
        }
        let began = [Some(&mut record.start_time), record.failing_since.as_mut(), record.try_time.as_mut()];
        let sent = record.sent.as_mut().map(|sent| &mut sent.since);
        for time in began.into_iter().flatten().chain(sent) {
            *time = (*time).min(now);
        }
    }
}
