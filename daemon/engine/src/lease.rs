//! How long a claim holds by this process's own clock, for those who are about to ask for an outside change.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::Instant;

/// A claim's lease. It ends here before it ends in the store, since the store counts from when it wrote.
#[derive(Debug)]
pub(crate) struct Lease {
    start: Instant,
    ttl: Duration,
    /// When it was renewed last, milliseconds after `start`.
    renewed_ms: AtomicU64,
}

impl Lease {
    /// `start`: before the claim, or its renewal, was sent.
    pub(crate) fn new(start: Instant, ttl: Duration) -> Self {
        Self { start, ttl, renewed_ms: AtomicU64::new(0) }
    }

    /// Renewed by a request that was sent at this moment.
    pub(crate) fn renewed(&self, at: Instant) {
        let after = at.saturating_duration_since(self.start).as_millis();
        self.renewed_ms.store(u64::try_from(after).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Whether another owner may work on the tenant by now.
    pub(crate) fn is_over(&self) -> bool {
        let renewed = self.start + Duration::from_millis(self.renewed_ms.load(Ordering::Relaxed));
        renewed.elapsed() >= self.ttl
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_lease_is_over_after_its_time_and_goes_on_when_renewed() {
        let second = Duration::from_secs(1);
        let lease = Lease::new(Instant::now(), 3 * second);
        tokio::time::advance(2 * second).await;
        assert!(!lease.is_over());
        lease.renewed(Instant::now());
        tokio::time::advance(2 * second).await;
        assert!(!lease.is_over());
        tokio::time::advance(second).await;
        assert!(lease.is_over());
    }
}
