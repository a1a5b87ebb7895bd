//! Checks that are done less often than the others: a file server locks out who is wrong too often, and a pod for each resync is
//! more than it is worth. In between what was seen counts, for exactly what it was seen of.

use std::{collections::HashMap, time::Duration};

use landlord_core::{StackName, TenantUid, revision::RevisionId};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{By, Ended, Scene, attempt, files};
use crate::check::{Account, Attempt};

/// A wrong password is tried, and a neighbour's pod started, at most this often: while it holds, or can't be tried.
const INTERVAL: Duration = Duration::from_secs(30 * 60);

/// The same where somebody asks, or it fails: once for whoever asks again and again.
const REQUESTED_INTERVAL: Duration = Duration::from_secs(60);

/// Outcomes that are remembered, some hundred bytes each: two checks of far more environments than a daemon looks after. Beyond it
/// the oldest is forgotten, and its check done once more.
const REMEMBERED_MAX: usize = 20_000;

/// What was tried: another generation or revision of the same environment is something else.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    uid: TenantUid,
    generation: i64,
    stack: Option<StackName>,
    revision: Option<RevisionId>,
    check: String,
}

impl Key {
    fn new(scene: &Scene<'_>, check: &str) -> Self {
        let target = scene.target;
        Self {
            uid: target.uid,
            generation: target.generation,
            stack: target.stack.clone(),
            revision: target.revision.clone(),
            check: check.to_owned(),
        }
    }
}

/// What each came to, and when.
#[derive(Default)]
pub(super) struct Seldom {
    seen: Mutex<HashMap<Key, (Instant, Ended)>>,
}

impl Seldom {
    pub(super) async fn wrong_password(&self, scene: &mut Scene<'_>, check: &str, account: &Account) -> Ended {
        let key = Key::new(scene, check);
        // Whoever asks: each try is counted by the file server.
        if let Some(ended) = self.recall(&key, By::Reconciling) {
            return ended;
        }
        let ended = files::wrong_password(scene, account).await;
        self.remember(key, ended)
    }

    pub(super) async fn attempt(&self, scene: &Scene<'_>, check: &str, own: &Attempt) -> Ended {
        let key = Key::new(scene, check);
        if let Some(ended) = self.recall(&key, scene.by) {
            return ended;
        }
        let ended = attempt::run(scene, own).await;
        self.remember(key, ended)
    }

    /// What it came to, if that still counts for whoever has checks run.
    fn recall(&self, key: &Key, by: By) -> Option<Ended> {
        let seen = self.seen.lock();
        let (at, ended) = seen.get(key)?;
        let age = at.elapsed();
        (age < counts(by, ended)).then(|| ended.clone().seen(age))
    }

    fn remember(&self, key: Key, ended: Ended) -> Ended {
        let mut seen = self.seen.lock();
        seen.retain(|_, (at, ended)| at.elapsed() < counts(By::Reconciling, ended));
        if seen.len() >= REMEMBERED_MAX
            && let Some(oldest) = seen.iter().min_by_key(|(_, (at, _))| *at).map(|(key, _)| key.clone())
        {
            seen.remove(&oldest);
        }
        seen.insert(key, (Instant::now(), ended.clone()));
        ended
    }
}

/// How long an outcome counts. One that failed is looked at again soon: somebody mends it.
fn counts(by: By, ended: &Ended) -> Duration {
    match (by, ended) {
        (By::Reconciling, Ended::Passed(_) | Ended::Warned { .. } | Ended::NotRun(_)) => INTERVAL,
        (By::Reconciling, Ended::Failed { .. }) | (By::Request, _) => REQUESTED_INTERVAL,
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;
    use By::{Reconciling, Request};

    fn key(generation: i64) -> Key {
        let revision = RevisionId::of_digest(&"a".repeat(64)).unwrap();
        let uid = TenantUid(uuid::Uuid::nil());
        Key { uid, generation, stack: None, revision: Some(revision), check: "attempt".into() }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_seen_counts_as_long_as_it_may() {
        let seldom = Seldom::default();
        let counts = |by: By| seldom.recall(&key(1), by).is_some();
        for ended in [Ended::Passed("p".into()), Ended::NotRun("n".into())] {
            seldom.remember(key(1), ended);
            assert!(counts(Reconciling) && counts(Request));
            advance(REQUESTED_INTERVAL).await;
            assert!(counts(Reconciling) && !counts(Request), "somebody asks");
            advance(INTERVAL - REQUESTED_INTERVAL).await;
            assert!(!counts(Reconciling));
        }
        seldom.remember(key(1), Ended::failed("f", "r"));
        assert!(counts(Reconciling) && counts(Request));
        advance(REQUESTED_INTERVAL).await;
        assert!(!counts(Reconciling) && !counts(Request), "it may be mended");
        seldom.remember(key(1), Ended::NotRun("why".into()));
        advance(Duration::from_secs(7)).await;
        assert!(matches!(seldom.recall(&key(1), Reconciling), Some(Ended::NotRun(text)) if text == "why; 7 s ago"));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_seen_says_nothing_of_what_was_never_tried() {
        let seldom = Seldom::default();
        seldom.remember(key(1), Ended::Passed("p".into()));
        let others = [
            key(2),
            Key { revision: Some(RevisionId::of_digest(&"b".repeat(64)).unwrap()), ..key(1) },
            Key { stack: Some("other".parse().unwrap()), ..key(1) },
            Key { check: "another".into(), ..key(1) },
            Key { uid: TenantUid(uuid::Uuid::from_u128(1)), ..key(1) },
        ];
        for other in others {
            assert!(seldom.recall(&other, Reconciling).is_none(), "{other:?}");
        }
        assert!(seldom.recall(&key(1), Reconciling).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_remembered_has_a_bound() {
        let seldom = Seldom::default();
        let numbered = |number: usize| key(i64::try_from(number).unwrap());
        {
            let mut seen = seldom.seen.lock();
            seen.extend((0..REMEMBERED_MAX).map(|number| {
                let at = Instant::now() + Duration::from_millis(number as u64);
                (numbered(number), (at, Ended::Passed(String::new())))
            }));
        }
        advance(Duration::from_secs(30)).await;
        seldom.remember(numbered(REMEMBERED_MAX), Ended::Passed(String::new()));
        assert_eq!(seldom.seen.lock().len(), REMEMBERED_MAX);
        assert!(seldom.recall(&numbered(0), Reconciling).is_none(), "the oldest is forgotten");
        assert!(seldom.recall(&numbered(REMEMBERED_MAX), Reconciling).is_some());
        advance(INTERVAL).await;
        seldom.remember(key(0), Ended::Passed(String::new()));
        assert_eq!(seldom.seen.lock().len(), 1, "what counts no more is forgotten");
    }
}
