//! When a removal was last seen to be held by nothing, so that not every poll of a teardown observes the cloud again. What begins
//! to hold it meanwhile is found by the removal of the cluster itself. Lost with the process: then it is observed once more.

use std::{collections::HashMap, time::Duration};

use landlord_core::TenantUid;
use parking_lot::Mutex;
use tokio::time::Instant;

/// A removal takes minutes; who protects something in the middle of it can't count on a moment.
const KEPT: Duration = Duration::from_secs(60);

/// Removals that nothing holds, by environment.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    seen_free: Mutex<HashMap<TenantUid, Instant>>,
}

impl Holds {
    /// Whether nothing held it a moment ago.
    pub(crate) fn is_free(&self, uid: TenantUid) -> bool {
        self.seen_free.lock().get(&uid).is_some_and(|seen| seen.elapsed() < KEPT)
    }

    /// Nothing holds it now. Forgets what is too old to be used, so that it stays small.
    pub(crate) fn free(&self, uid: TenantUid) {
        let mut seen_free = self.seen_free.lock();
        seen_free.retain(|_, seen| seen.elapsed() < KEPT);
        seen_free.insert(uid, Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_was_free_is_so_for_a_moment() {
        let (holds, uid) = (Holds::default(), TenantUid(uuid::Uuid::new_v4()));
        assert!(!holds.is_free(uid));
        holds.free(uid);
        tokio::time::advance(KEPT - Duration::from_secs(1)).await;
        assert!(holds.is_free(uid) && !holds.is_free(TenantUid(uuid::Uuid::new_v4())));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!holds.is_free(uid));
    }
}
