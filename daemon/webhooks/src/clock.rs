//! The database's clock between two of its answers.

use std::sync::atomic::{AtomicI64, Ordering};

use landlord_core::Timestamp;
use tokio::time::Instant;

/// The database's clock, as of the last answer and what has passed since.
pub(crate) struct Clock {
    began: Instant,
    offset_ms: AtomicI64,
}

impl Clock {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self { began: Instant::now(), offset_ms: AtomicI64::new(now.0) }
    }

    pub(crate) fn set(&self, now: Timestamp) {
        self.offset_ms.fetch_add(now.0 - self.now().0, Ordering::Relaxed);
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp(self.offset_ms.load(Ordering::Relaxed)).after(self.began.elapsed())
    }
}
