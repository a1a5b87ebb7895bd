//! How much of a plugin's own words the daemon passes on: a plugin that talks without end must fill neither the disk that
//! holds the daemon's log nor the store that keeps its errors.

use std::time::Instant;

use landlord_provider_api::ProviderError;
use parking_lot::Mutex;

/// Longest piece of a plugin's own output, and of a line that it logs.
pub(crate) const LINE_BYTES_MAX: usize = 4_096;
/// Lines that a process may log at once after a quiet time: a start that explains itself takes a few.
const BURST: f64 = 500.0;
/// Lines a second after that: 4 KiB each, this is some 17 GB a day at worst, and 100 lines of SDKs are plenty.
const LINES_PER_SECOND: f64 = 50.0;
/// A message stands in events, conditions and the store; the clouds' own rarely have more than 500 bytes.
const MESSAGE_BYTES_MAX: usize = 4_096;
/// Codes, names of buckets.
const CODE_BYTES_MAX: usize = 256;

/// The lines of one process, whichever way they come.
#[derive(Debug)]
pub(crate) struct Lines {
    bucket: Mutex<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    filled: Instant,
    left_out: u64,
}

impl Lines {
    pub(crate) fn new() -> Self {
        Self { bucket: Mutex::new(Bucket { tokens: BURST, filled: Instant::now(), left_out: 0 }) }
    }

    /// Whether a line may be logged now, and how many were left out before it.
    pub(crate) fn admit(&self, now: Instant) -> Option<u64> {
        let mut bucket = self.bucket.lock();
        let passed = now.saturating_duration_since(bucket.filled).as_secs_f64();
        bucket.tokens = passed.mul_add(LINES_PER_SECOND, bucket.tokens).min(BURST);
        bucket.filled = bucket.filled.max(now);
        if bucket.tokens < 1.0 {
            bucket.left_out += 1;
            return None;
        }
        bucket.tokens -= 1.0;
        Some(std::mem::take(&mut bucket.left_out))
    }
}

/// The beginning of a text, whole characters.
pub(crate) fn shorten(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

/// The same for a text that is kept.
pub(crate) fn shortened(mut text: String, bytes_max: usize) -> String {
    text.truncate(text.floor_char_boundary(bytes_max));
    text
}

/// A problem in a plugin's or a loader's own words.
pub(crate) fn problem(text: String) -> String {
    shortened(text, MESSAGE_BYTES_MAX)
}

/// An error as a plugin sent it, with texts that can be kept.
pub(crate) fn bounded(error: ProviderError) -> ProviderError {
    ProviderError {
        message: shortened(error.message, MESSAGE_BYTES_MAX),
        remedy: shortened(error.remedy, MESSAGE_BYTES_MAX),
        code: shortened(error.code, CODE_BYTES_MAX),
        bucket: shortened(error.bucket, CODE_BYTES_MAX),
        ..error
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use landlord_provider_api::ErrorKind;

    use super::*;

    #[test]
    fn a_flood_is_cut_and_counted_and_what_comes_later_is_received() {
        let lines = Lines::new();
        let start = Instant::now();
        let received = (0..100_000).filter(|_| lines.admit(start).is_some()).count();
        assert_eq!(received, 500);
        let later = start + Duration::from_secs(1);
        assert_eq!(lines.admit(later), Some(99_500), "what was left out is reported once");
        assert_eq!(lines.admit(later), Some(0));
        // An hour of silence does not earn more than a burst.
        let much_later = start + Duration::from_secs(3_600);
        assert_eq!((0..1_000).filter(|_| lines.admit(much_later).is_some()).count(), 500);
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(shorten("aé", 2), "a");
        assert_eq!(shorten("aé", 3), "aé");
        let error = ProviderError::new(ErrorKind::Internal, "é".repeat(10_000)).with_code("c".repeat(10_000));
        let bounded = bounded(error);
        assert_eq!((bounded.message.len(), bounded.code.len()), (MESSAGE_BYTES_MAX, CODE_BYTES_MAX));
    }
}
