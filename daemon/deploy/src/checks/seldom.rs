//! Checks that are done less often than the others: a file server locks out who is wrong too often, and a pod for each resync is
//! more than it is worth. In between what was seen counts.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use landlord_core::TenantUid;
use parking_lot::Mutex;

use super::{By, Ended, Scene, attempt, files};
use crate::check::{Account, Attempt};

/// A wrong password is tried, and a neighbour's pod started, at most this often.
const INTERVAL: Duration = Duration::from_secs(30 * 60);

/// The same where somebody asks: once for whoever asks again and again.
const REQUESTED_INTERVAL: Duration = Duration::from_secs(60);

/// When each tenant's check last passed.
#[derive(Default)]
pub(super) struct Seldom {
    refused: Mutex<HashMap<TenantUid, Instant>>,
    attempted: Mutex<HashMap<TenantUid, (Instant, String)>>,
}

impl Seldom {
    pub(super) async fn wrong_password(&self, scene: &mut Scene<'_>, account: &Account) -> Ended {
        let uid = scene.target.uid;
        if let Some(at) = self.refused.lock().get(&uid).filter(|at| at.elapsed() < INTERVAL) {
            return Ended::Passed(format!("tried {} s ago", at.elapsed().as_secs()));
        }
        let ended = files::wrong_password(scene, account).await;
        let mut refused = self.refused.lock();
        refused.retain(|_, at| at.elapsed() < INTERVAL);
        if matches!(ended, Ended::Passed(_)) {
            refused.insert(uid, Instant::now());
        }
        ended
    }

    pub(super) async fn attempt(&self, scene: &Scene<'_>, own: &Attempt) -> Ended {
        let (uid, interval) = (
            scene.target.uid,
            match scene.by {
                By::Reconciling => INTERVAL,
                By::Request => REQUESTED_INTERVAL,
            },
        );
        if let Some((at, seen)) = self.attempted.lock().get(&uid).filter(|(at, _)| at.elapsed() < interval) {
            return Ended::Passed(format!("{seen}; {} s ago", at.elapsed().as_secs()));
        }
        let ended = attempt::run(scene, own).await;
        let mut attempted = self.attempted.lock();
        attempted.retain(|_, (at, _)| at.elapsed() < INTERVAL);
        if let Ended::Passed(seen) = &ended {
            attempted.insert(uid, (Instant::now(), seen.clone()));
        }
        ended
    }
}
