//! Since when a Gateway serves not all names of an environment, as far as this daemon saw. Nothing that must outlive it: after a
//! restart it waits once more before it looks for the reason.

use std::{collections::HashMap, time::Duration};

use landlord_core::TenantUid;
use parking_lot::Mutex;
use tokio::time::Instant;

/// A certificate takes as long: records are everywhere within a minute, and an ACME server looks from several places. Before that an
/// unknown name says nothing, and whoever asks for it has its absence remembered by the resolver.
const PATIENCE: Duration = Duration::from_secs(3 * 60);
/// Whoever waits is seen each second to each half minute: one that was not for so long is gone, or served.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(10 * 60);

#[derive(Debug, Clone, Copy)]
struct Seen {
    first: Instant,
    last: Instant,
}

/// Whoever waits for its Gateway.
#[derive(Debug, Default)]
pub(super) struct Unserved {
    seen: Mutex<HashMap<TenantUid, Seen>>,
}

impl Unserved {
    /// It is not served now: whether that has been so for too long.
    pub(super) fn is_overdue(&self, uid: TenantUid) -> bool {
        let (now, mut seen) = (Instant::now(), self.seen.lock());
        seen.retain(|_, seen| now - seen.last < FORGOTTEN_AFTER);
        let of = seen.entry(uid).or_insert(Seen { first: now, last: now });
        of.last = now;
        now - of.first >= PATIENCE
    }

    /// It is served.
    pub(super) fn over(&self, uid: TenantUid) {
        self.seen.lock().remove(&uid);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_long_is_overdue_and_who_was_served_begins_again() {
        let (unserved, uid) = (Unserved::default(), TenantUid(uuid::Uuid::nil()));
        assert!(!unserved.is_overdue(uid));
        advance(PATIENCE).await;
        assert!(unserved.is_overdue(uid));
        unserved.over(uid);
        assert!(!unserved.is_overdue(uid));
        advance(FORGOTTEN_AFTER).await;
        assert!(!unserved.is_overdue(uid), "nobody saw it wait meanwhile");
        assert_eq!(unserved.seen.lock().len(), 1);
    }
}
