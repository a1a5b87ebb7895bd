//! How long this process has waited for creates that may still take effect. The records have wall times: whenever the wall clock
//! is set they say nothing of how long ago a call went out, and the whole wait would begin again. What this process has waited
//! itself it knows by the monotonic clock. Lost with the process: then the records decide again.

use std::{collections::HashMap, time::Duration};

use landlord_core::{OperationId, Stage, TenantUid};
use parking_lot::Mutex;
use tokio::time::Instant;

/// Longer than any such wait; older ones belong to operations that another daemon took over, or that ended.
const KEPT: Duration = Duration::from_secs(600);

/// One wait of one removal.
type Key = (TenantUid, OperationId, Stage);

/// The ends of the waits that are under way.
#[derive(Debug, Default)]
pub(crate) struct LateWaits {
    ends: Mutex<HashMap<Key, Instant>>,
}

impl LateWaits {
    /// What is left of a wait: what the records say now, but never beyond the end that they gave when it began.
    pub(crate) fn left(&self, key: Key, by_records: Option<Duration>) -> Option<Duration> {
        let mut ends = self.ends.lock();
        let Some(by_records) = by_records else {
            ends.remove(&key);
            return None;
        };
        let now = Instant::now();
        ends.retain(|_, end| now.saturating_duration_since(*end) < KEPT);
        let end = *ends.entry(key).or_insert(now + by_records);
        Some(end.saturating_duration_since(now).min(by_records)).filter(|left| !left.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_set_again_and_again_does_not_restart_a_wait() {
        let (waits, effect) = (LateWaits::default(), Duration::from_secs(120));
        let key = (TenantUid(uuid::Uuid::new_v4()), OperationId(uuid::Uuid::now_v7()), Stage::Isolation);
        assert_eq!(waits.left(key.clone(), Some(effect)), Some(effect));
        for waited in [30, 60, 90] {
            tokio::time::advance(Duration::from_secs(30)).await;
            assert_eq!(waits.left(key.clone(), Some(effect)), Some(effect - Duration::from_secs(waited)));
        }
        tokio::time::advance(Duration::from_secs(30)).await;
        assert_eq!(waits.left(key.clone(), Some(effect)), None);
        assert_eq!(waits.left(key.clone(), None), None);
        assert_eq!(waits.left(key, Some(effect)), Some(effect), "the next removal waits again");
    }
}
