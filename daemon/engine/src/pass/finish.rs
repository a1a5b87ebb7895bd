//! What a pass writes when a call has ended.

use landlord_core::{
    StageState, certificate, journal,
    ports::{Commit, EnvironmentPatch, Release, StoreError},
    step::{self, Step},
};

use super::{Finished, Pass, release_at};
use crate::{conditions, events, execute};

impl Pass<'_> {
    /// Records what a call came to, with the conditions and events that follow. After the last call in flight the claim may be
    /// given back by the same transaction: then the pass is over, which it returns.
    pub(super) async fn finish(&mut self, finished: Finished, is_last: bool) -> Result<bool, StoreError> {
        self.in_flight.remove(&finished.stage);
        let Some(result) = finished.result else { return Ok(false) };
        let Some(before) = step::record(&self.work, &finished.stage).cloned() else {
            return Ok(false);
        };
        let scale = self.scales.of(&finished.stage, self.work.environment.desired_state);
        let rules = self.shared.rules(scale, step::is_on_trial(&self.work));
        let now = self.now();
        let force = self.work.environment.force_delete;
        let after = journal::record(&before, result, force, &rules, rand::random(), now);
        self.shared.limits.figures.stage(&self.work.environment, &before, &after);
        let mut events: Vec<_> = events::changed(&before, &after).into_iter().collect();
        if before.state == StageState::Running && before.end_time.is_none() {
            self.shared.observed.done(&self.work.environment.placement.class, &after);
        }
        self.stage_span(&after.stage).in_scope(|| {
            for event in &events {
                tracing::info!(tenant.name = %self.work.environment.name(), "{}", event.message);
            }
        });
        let (before_state, waited) = (before.state, certificate::wait(&before));
        self.put(after.clone());
        self.work.now = now;
        let outage = self.shared.limits.outage(&execute::limit_key(&self.work));
        let status = conditions::provider(conditions::followed(&self.work), outage.as_deref(), now);
        let mut status = conditions::checked(status, &self.work, &after);
        events.extend(events::concerns(&self.work.environment.status, &status));
        if before_state != after.state || waited != certificate::wait(&after) {
            status.progress = self.progress(&self.work);
        }
        events.iter_mut().for_each(|event| event.progress = status.progress);
        let changed = status != self.work.environment.status;
        let environment = EnvironmentPatch { status: changed.then(|| status.clone()), ..EnvironmentPatch::default() };
        self.work.environment.status = status;
        let release = if is_last { self.over() } else { Release::Hold };
        let commit = Commit { stages: vec![after], environment, events, release, ..Commit::default() };
        self.shared.ports.store.commit(self.claim, commit).await?;
        Ok(release != Release::Hold)
    }

    /// When the tenant is due again, if nothing is left to do until then: most calls only ask how far something is, or are put off
    /// by their account's rate. What the API changed meanwhile the store sees, and has it due at once. A host cluster is loaded
    /// again first, since tenants that are placed there have it counted sooner.
    fn over(&self) -> Release {
        if self.work.environment.tenant().is_none() || self.shared.stopping.is_cancelled() {
            return Release::Hold;
        }
        match step::next_step(&self.work, &self.releases) {
            Step::Call(calls)
                if calls.begin.is_empty()
                    && calls.due.is_empty()
                    && conditions::followed(&self.work) == self.work.environment.status =>
            {
                release_at(calls.wake_time.map(|time| time.since(self.work.now)))
            }
            Step::Call(_) | Step::Rest(_) | Step::Unwind(_) => Release::Hold,
        }
    }
}
