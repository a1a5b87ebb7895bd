//! One pass over one tenant: load, plan, record intents, call, record outcomes, release.
//!
//! A pass lasts while calls are in flight and ends when the next thing to do is to wait. What
//! the API changes meanwhile is seen at the next load: nothing new is started then, the calls
//! in flight end, and the tenant is due again at once.

use std::{collections::BTreeSet, panic::AssertUnwindSafe, time::Duration};

use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use landlord_core::{
    Direction, ErrorKind, Failure, Stage, StageRecord, StageState, Timestamp,
    journal::{self, CallReport},
    plan::{self, Calls, Plan, Settle, Turn},
    ports::{Claim, Commit, EnvironmentPatch, OperationEnd, Release, ReleasePlan, StoreError, Work},
};
use landlord_provider_api::v1::DescribeResponse;
use tokio::time::Instant;

use crate::{Shared, execute, report, timing};

/// The lease is renewed this many times in its life.
const RENEWALS_PER_TTL: u32 = 3;

struct Finished {
    stage: Stage,
    result: Result<CallReport, Failure>,
}

struct Pass<'a> {
    shared: &'a Shared,
    claim: &'a Claim,
    loaded: Instant,
    work: Work,
    releases: Vec<ReleasePlan>,
    description: Option<DescribeResponse>,
    scales: timing::Scales,
    in_flight: BTreeSet<Stage>,
}

enum Next {
    /// Calls are in flight, or something changed: plan again.
    Again,
    /// The pass is over.
    Over,
    /// Nothing to start now. Look again after this long; `None`: when a call has ended, or the API changed something.
    Wait(Option<Duration>),
}

/// Works on a claimed tenant until there is nothing to do but wait.
pub(crate) async fn run(shared: &Shared, claim: &Claim) -> Result<(), StoreError> {
    let mut pass = Pass::begin(shared, claim).await?;
    let mut calls: FuturesUnordered<BoxFuture<'_, Finished>> = FuturesUnordered::new();
    let mut lease = tokio::time::interval(shared.options.lease_ttl / RENEWALS_PER_TTL);
    lease.tick().await;
    let mut overtaken = false;
    loop {
        pass.tick();
        let next = if overtaken { Next::Wait(Some(Duration::ZERO)) } else { pass.step(&mut calls).await? };
        let wait = match next {
            Next::Over => return Ok(()),
            Next::Again => continue,
            Next::Wait(wait) if calls.is_empty() => return pass.release(release_at(wait)).await,
            // What was overtaken starts nothing more: its calls end.
            Next::Wait(wait) => wait.filter(|_| !overtaken),
        };
        tokio::select! {
            Some(finished) = calls.next() => {
                pass.finish(finished).await?;
                overtaken = overtaken || pass.reload().await?;
            }
            _ = lease.tick() => shared.ports.store.renew(claim, shared.options.lease_ttl).await?,
            () = tokio::time::sleep(wait.unwrap_or_default()), if wait.is_some() => {}
        }
    }
}

impl<'a> Pass<'a> {
    async fn begin(shared: &'a Shared, claim: &'a Claim) -> Result<Self, StoreError> {
        let work = shared.ports.store.load(claim).await?;
        let placement = &work.environment.placement;
        let key = placement.provider_key();
        let releases = match (&placement.stack, &shared.ports.deployer) {
            (Some(stack), Some(deployer)) => deployer.releases(stack).unwrap_or_else(|failure| {
                // Its apps can't be planned: Base fails with the same reason, which is shown.
                tracing::warn!(%failure, "a stack is not known any more");
                Vec::new()
            }),
            _ => Vec::new(),
        };
        Ok(Self {
            shared,
            claim,
            loaded: Instant::now(),
            description: shared.ports.providers.description(&key),
            scales: timing::Scales {
                cloud: shared.provider_options(&placement.provider).time_scale,
                in_cluster: shared.options.in_cluster_time_scale,
            },
            work,
            releases,
            in_flight: BTreeSet::new(),
        })
    }

    /// The database's clock at the load, carried on by our own.
    fn now(&self) -> Timestamp {
        self.work.now.after(self.loaded.elapsed())
    }

    fn tick(&mut self) {
        self.work.now = self.now();
        self.loaded = Instant::now();
    }

    async fn step(&mut self, calls: &mut FuturesUnordered<BoxFuture<'a, Finished>>) -> Result<Next, StoreError> {
        match plan::plan(&self.work, &self.releases) {
            Plan::Turn(turn) if calls.is_empty() => self.turn(turn).await.map(|()| Next::Over),
            Plan::Settle(settle) if calls.is_empty() => self.settle(settle).await.map(|()| Next::Over),
            Plan::Turn(_) | Plan::Settle(_) => Ok(Next::Wait(None)),
            Plan::Work(planned) => self.start(planned, calls).await,
        }
    }

    async fn start(
        &mut self,
        planned: Calls,
        calls: &mut FuturesUnordered<BoxFuture<'a, Finished>>,
    ) -> Result<Next, StoreError> {
        let direction = self.work.environment.direction;
        let intents: Vec<StageRecord> = planned.begin.iter().map(|stage| self.intent(stage, direction)).collect();
        if !intents.is_empty() {
            let status = report::working(&self.work);
            let commit = Commit {
                events: intents.iter().map(report::started).collect(),
                stages: intents.clone(),
                environment: EnvironmentPatch {
                    status: (status != self.work.environment.status).then_some(status.clone()),
                    ..EnvironmentPatch::default()
                },
                ..Commit::default()
            };
            self.shared.ports.store.commit(self.claim, commit).await?;
            self.work.environment.status = status;
            for intent in intents {
                self.put(intent);
            }
        }
        let mut started = false;
        for stage in planned.begin.into_iter().chain(planned.due) {
            if self.in_flight.insert(stage.clone()) {
                started = true;
                let (shared, work) = (self.shared, self.work.clone());
                calls.push(Box::pin(async move {
                    let call = AssertUnwindSafe(execute::call(shared, &work, &stage));
                    let result = call.catch_unwind().await.unwrap_or_else(|_| {
                        let problem = format!("{stage} panicked; this is a bug of landlord");
                        Err(Failure::new(ErrorKind::Internal, problem))
                    });
                    Finished { stage, result }
                }));
            }
        }
        if started {
            return Ok(Next::Again);
        }
        Ok(Next::Wait(planned.wake_time.map(|time| time.since(self.work.now))))
    }

    fn intent(&self, stage: &Stage, direction: Direction) -> StageRecord {
        let description = self.description.as_ref();
        let expected = match &self.work.host {
            Some(host) if *stage == Stage::Host && !host.usable => timing::host(description, self.scales),
            _ => timing::expected(stage, direction, description, &self.releases, self.scales),
        };
        let earlier = plan::record_in(&self.work, direction, stage);
        journal::intend(stage, direction, self.work.environment.generation, expected, earlier, self.work.now)
    }

    fn put(&mut self, record: StageRecord) {
        self.work.stages.retain(|old| old.direction != record.direction || old.stage != record.stage);
        self.work.stages.push(record);
    }

    async fn finish(&mut self, finished: Finished) -> Result<(), StoreError> {
        self.in_flight.remove(&finished.stage);
        let Some(before) = plan::record(&self.work, &finished.stage).cloned() else {
            return Ok(());
        };
        let rules = self.shared.rules(self.scales.of(&finished.stage, self.work.environment.direction));
        let now = self.now();
        let force = self.work.environment.force_delete;
        let after = journal::record(&before, finished.result, force, &rules, rand::random(), now);
        let events: Vec<_> = report::changed(&before, &after).into_iter().collect();
        for event in &events {
            tracing::info!(
                tenant.uid = %self.claim.uid, tenant.name = %self.work.environment.name(),
                step = %after.stage, attempt = after.attempt, "{}", event.message
            );
        }
        let mut resumed = false;
        let trouble = self.shared.limits.trouble(&execute::limit_key(&self.work));
        if before.state == StageState::Failed && after.state != StageState::Failed {
            self.work.environment.status = report::working(&self.work);
            resumed = true;
        }
        let status = report::provider(&self.work, trouble.as_deref(), now)
            .or_else(|| resumed.then(|| self.work.environment.status.clone()));
        let environment = EnvironmentPatch { status: status.clone(), ..EnvironmentPatch::default() };
        let commit = Commit { stages: vec![after.clone()], environment, events, ..Commit::default() };
        self.shared.ports.store.commit(self.claim, commit).await?;
        if let Some(status) = status {
            self.work.environment.status = status;
        }
        self.put(after);
        Ok(())
    }

    /// Loads anew; says whether the API changed what is wanted.
    async fn reload(&mut self) -> Result<bool, StoreError> {
        let work = self.shared.ports.store.load(self.claim).await?;
        let (old, new) = (&self.work.environment, &work.environment);
        let overtaken = old.operation != new.operation
            || old.generation != new.generation
            || old.direction != new.direction
            || old.cancel_requested != new.cancel_requested
            || old.is_paused() != new.is_paused()
            || old.force_delete != new.force_delete;
        if !overtaken {
            self.work = work;
            self.loaded = Instant::now();
        }
        Ok(overtaken)
    }

    async fn turn(&self, turn: Turn) -> Result<(), StoreError> {
        tracing::info!(tenant.uid = %self.claim.uid, "cancelled; the work turns");
        let environment = match turn {
            Turn::Unwind => EnvironmentPatch { direction: Some(Direction::Absent), ..EnvironmentPatch::default() },
            Turn::Revert(spec, placement) => {
                EnvironmentPatch { revert: Some((spec, placement)), ..EnvironmentPatch::default() }
            }
        };
        let release = Release::After(Duration::ZERO);
        let commit = Commit { environment, release, ..Commit::default() };
        self.shared.ports.store.commit(self.claim, commit).await
    }

    async fn settle(&self, settle: Settle) -> Result<(), StoreError> {
        let status = report::settled(&self.work, &settle);
        let changed = status != self.work.environment.status;
        let outcome = plan::operation_outcome(&self.work, &settle);
        let told = changed || outcome.is_some() || settle == Settle::Gone;
        let release = match &settle {
            Settle::Ready { wake_time } | Settle::Failed { wake_time, .. } => {
                release_at(wake_time.map(|time| time.since(self.work.now)))
            }
            Settle::Paused | Settle::Gone | Settle::Stopped => Release::UntilChanged,
        };
        let ready = matches!(settle, Settle::Ready { .. });
        let commit = Commit {
            stages: Vec::new(),
            environment: EnvironmentPatch {
                status: changed.then_some(status),
                mark_ready: ready && outcome.is_some(),
                clear_cancel: ready && self.work.environment.cancel_requested,
                ..EnvironmentPatch::default()
            },
            operation: outcome.map(|outcome| OperationEnd { id: self.work.environment.operation, outcome }),
            events: told.then(|| report::settled_event(&self.work, &settle)).into_iter().collect(),
            release,
            remove: settle == Settle::Gone,
        };
        if settle == Settle::Gone {
            self.shared.access.forget(self.claim.uid);
        }
        self.shared.ports.store.commit(self.claim, commit).await
    }

    async fn release(&self, release: Release) -> Result<(), StoreError> {
        let commit = Commit { release, ..Commit::default() };
        self.shared.ports.store.commit(self.claim, commit).await
    }
}

/// Due after `wait`; `None`: nothing is scheduled.
fn release_at(wait: Option<Duration>) -> Release {
    wait.map_or(Release::UntilChanged, Release::After)
}
