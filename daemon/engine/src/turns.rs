//! One pass at a time for each environment of this process. A lease is over early when the wall clock is set forward: the claim
//! that follows finds the earlier pass still at work, with calls under way, and waits until it has seen that it lost.

use std::{collections::HashMap, sync::Arc};

use landlord_core::TenantUid;
use parking_lot::Mutex;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// Whose pass it is, by environment.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    known: Mutex<HashMap<TenantUid, Arc<AsyncMutex<()>>>>,
}

/// The right to work on one environment in this process.
pub(crate) struct Turn<'a> {
    turns: &'a Turns,
    uid: TenantUid,
    taken: Option<OwnedMutexGuard<()>>,
}

impl Turns {
    /// Waits until no other pass of this process works on it. Cancelling the wait gives up the place.
    pub(crate) async fn take(&self, uid: TenantUid) -> Turn<'_> {
        let mut turn = Turn { turns: self, uid, taken: None };
        let mutex = Arc::clone(self.known.lock().entry(uid).or_default());
        turn.taken = Some(mutex.lock_owned().await);
        turn
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut known = self.turns.known.lock();
        drop(self.taken.take());
        // Nobody else holds it or waits for it.
        if known.get(&self.uid).is_some_and(|mutex| Arc::strong_count(mutex) == 1) {
            known.remove(&self.uid);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_at_a_time_and_nothing_is_kept() {
        let (turns, [one, other]) = (Turns::default(), [(); 2].map(|()| TenantUid(uuid::Uuid::new_v4())));
        let first = turns.take(one).await;
        drop(turns.take(other).await);
        let second = Duration::from_secs(1);
        assert!(tokio::time::timeout(second, turns.take(one)).await.is_err());
        drop(first);
        assert!(tokio::time::timeout(second, turns.take(one)).await.is_ok());
        assert!(turns.known.lock().is_empty());
    }
}
