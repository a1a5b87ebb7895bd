//! What a pass writes when it ends: that the tenant rests, or goes back.

use std::time::Duration;

use landlord_core::{
    DesiredState, OperationOutcome,
    ports::{Commit, EnvironmentPatch, OperationEnd, Release, StoreError},
    step::{self, Steady, Unwind},
};

use super::{Pass, release_at};
use crate::{conditions, events};

impl Pass<'_> {
    pub(super) async fn unwind(&self, unwind: Unwind) -> Result<(), StoreError> {
        let (mut operation, mut events) = (None, Vec::new());
        let environment = match unwind {
            Unwind::Remove => {
                tracing::info!("cancelled; the work is unwound");
                EnvironmentPatch { desired_state: Some(DesiredState::Absent), ..EnvironmentPatch::default() }
            }
            Unwind::Revert(last) => {
                tracing::info!("cancelled; the work is unwound");
                EnvironmentPatch { revert: Some(last), ..EnvironmentPatch::default() }
            }
            Unwind::GiveUp(last, failure) => {
                tracing::warn!(%failure, "the new revisions are given up");
                events.push(events::given_up(&self.work, &failure));
                let id = self.work.environment.operation;
                operation = Some(OperationEnd { id, outcome: OperationOutcome::Failed { failure } });
                EnvironmentPatch { revert: Some(last), ..EnvironmentPatch::default() }
            }
        };
        let release = Release::After(Duration::ZERO);
        let commit = Commit { environment, operation, events, release, ..Commit::default() };
        self.shared.ports.store.commit(self.claim, commit).await
    }

    pub(super) async fn rest(&self, steady: Steady) -> Result<(), StoreError> {
        let status = conditions::rested(&self.work, &steady);
        let changed = status != self.work.environment.status;
        let outcome = step::operation_outcome(&self.work, &steady);
        let is_news = changed || outcome.is_some() || steady == Steady::Gone;
        let events = is_news.then(|| events::rested(&self.work, &steady)).into_iter().collect();
        let release = match &steady {
            Steady::Ready { wake_time } | Steady::Failed { wake_time, .. } => {
                release_at(wake_time.map(|time| time.since(self.work.now)))
            }
            // Time, or another configuration, may end it as well as a request.
            Steady::Paused if self.work.frozen.is_some() => Release::After(self.shared.options.resync_interval),
            Steady::Paused | Steady::Gone | Steady::Stopped => Release::UntilChanged,
        };
        let ready = matches!(steady, Steady::Ready { .. });
        let commit = Commit {
            stages: Vec::new(),
            environment: EnvironmentPatch {
                status: changed.then_some(status),
                mark_ready: ready && outcome.is_some(),
                clear_cancel: ready && self.work.environment.cancel_requested,
                ..EnvironmentPatch::default()
            },
            operation: outcome.clone().map(|outcome| OperationEnd { id: self.work.environment.operation, outcome }),
            events,
            release,
            remove: steady == Steady::Gone,
        };
        if steady == Steady::Gone {
            self.shared.access.forget(self.claim.uid);
        }
        self.shared.ports.store.commit(self.claim, commit).await?;
        if let Some(outcome) = outcome {
            let resource = self.work.environment.name().to_string();
            let failure = match outcome {
                OperationOutcome::Failed { failure } => Some(failure.to_string()),
                OperationOutcome::Cancelled => Some("cancelled".to_owned()),
                OperationOutcome::Ready | OperationOutcome::Deleted { .. } | OperationOutcome::Superseded { .. } => {
                    None
                }
            };
            landlord_trace::ended(self.work.environment.operation, "operation", resource, failure);
        }
        Ok(())
    }
}
