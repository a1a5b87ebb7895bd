//! A change without an etag is merged again into what another change made meanwhile.

use std::time::{Duration, Instant};

/// For how long. Of writers that meet, one gets through each time, so a crowd needs as many rounds as it has heads; and the engine,
/// whose commit is shorter than a check, wins against one on a machine that is busy. Few clients wait longer for an answer.
const MERGE_TIME: Duration = Duration::from_secs(30);
/// The first wait between two merges, doubled up to the longest. Each is up to half of it shorter, so that those who met once
/// don't meet again.
const WAIT: Duration = Duration::from_millis(5);
const WAIT_MAX: Duration = Duration::from_millis(320);

/// The merges of one change.
pub(crate) struct Merge {
    began: Instant,
    wait: Option<Duration>,
}

impl Default for Merge {
    fn default() -> Self {
        Self { began: Instant::now(), wait: None }
    }
}

impl Merge {
    /// Whether nothing was merged again yet.
    pub(crate) const fn is_first(&self) -> bool {
        self.wait.is_none()
    }

    /// Waits a moment; false, at once: it took too long.
    pub(crate) async fn again(&mut self) -> bool {
        if self.began.elapsed() >= MERGE_TIME {
            return false;
        }
        let wait = self.wait.map_or(WAIT, |before| (before * 2).min(WAIT_MAX));
        self.wait = Some(wait);
        tokio::time::sleep(wait.mul_f64(1.0 - rand::random::<f64>() / 2.0)).await;
        true
    }
}
