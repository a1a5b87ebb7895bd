//! Whether a connection does anything: calls that are open, and since when there is none.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// What one connection does; shared by the connection, its place and its calls.
#[derive(Debug)]
pub(crate) struct Activity {
    accepted: Instant,
    open: AtomicUsize,
    /// When the last call ended, in milliseconds after `accepted`.
    ended_ms: AtomicU64,
    /// Cancelled when its place is needed for another.
    evicted: CancellationToken,
}

impl Activity {
    /// Of a connection that is accepted now.
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            accepted: Instant::now(),
            open: AtomicUsize::new(0),
            ended_ms: AtomicU64::new(0),
            evicted: CancellationToken::new(),
        })
    }

    /// When the connection was accepted.
    pub(super) fn accepted(&self) -> Instant {
        self.accepted
    }

    /// A call begins; it ends when what is returned is dropped.
    pub(crate) fn call(self: &Arc<Self>) -> OpenCall {
        self.open.fetch_add(1, Ordering::AcqRel);
        OpenCall(Arc::clone(self))
    }

    /// Since when no call is open; `None`: one is.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        // In this order: a call that ends in between has ended now, not when the one before it did.
        let is_idle = self.open.load(Ordering::Acquire) == 0;
        is_idle.then(|| self.accepted + Duration::from_millis(self.ended_ms.load(Ordering::Acquire)))
    }

    /// Has the connection end.
    pub(super) fn evict(&self) {
        self.evicted.cancel();
    }

    /// Cancelled when the connection must end.
    pub(super) fn evicted(&self) -> CancellationToken {
        self.evicted.clone()
    }
}

/// A call of a connection that is under way.
#[derive(Debug)]
pub(crate) struct OpenCall(Arc<Activity>);

impl Drop for OpenCall {
    fn drop(&mut self) {
        let ended = self.0.accepted.elapsed().as_millis();
        self.0.ended_ms.store(u64::try_from(ended).unwrap_or(u64::MAX), Ordering::Release);
        self.0.open.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_from_the_end_of_its_last_call() {
        let activity = Activity::new();
        assert_eq!(activity.idle_since(), Some(activity.accepted()));
        let (one, other) = (activity.call(), activity.call());
        tokio::time::advance(Duration::from_secs(5)).await;
        drop(one);
        assert_eq!(activity.idle_since(), None);
        tokio::time::advance(Duration::from_secs(5)).await;
        drop(other);
        assert_eq!(activity.idle_since(), Some(activity.accepted() + Duration::from_secs(10)));
    }
}
