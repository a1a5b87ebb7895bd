//! Changes without an etag are merged one after another, and again into what another daemon's change made meanwhile.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{Duration, Instant},
};

use landlord_core::EnvironmentName;
use tokio::sync::OwnedMutexGuard;

/// For how long a change waits for its turn, and then is merged again. Of the daemons' writers that meet, one gets through each time.
/// Few clients wait longer for an answer.
const MERGE_TIME: Duration = Duration::from_secs(30);
/// The first wait between two merges, doubled up to the longest. Each is up to half of it shorter, so that those who met once
/// don't meet again.
const WAIT: Duration = Duration::from_millis(5);
const WAIT_MAX: Duration = Duration::from_millis(320);

/// Who merges into what, in this daemon. A crowd that met at the store would check again and again what only one of it can
/// write, and whoever comes later would overtake those that wait.
#[derive(Debug, Clone, Default)]
pub struct Turns(Arc<Mutex<BTreeMap<EnvironmentName, Weak<tokio::sync::Mutex<()>>>>>);

impl Turns {
    /// Waits for the turn, in order of arrival; `None`: it took too long, and the store decides.
    pub(crate) async fn wait(&self, name: EnvironmentName) -> Option<OwnedMutexGuard<()>> {
        let turn = self.of(name);
        tokio::time::timeout(MERGE_TIME, turn.lock_owned()).await.ok()
    }

    fn of(&self, name: EnvironmentName) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = turns.get(&name).and_then(Weak::upgrade) {
            return turn;
        }
        // No more than what is under way now.
        turns.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::default();
        turns.insert(name, Arc::downgrade(&turn));
        turn
    }
}

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
