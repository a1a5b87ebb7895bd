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
    ports::{Claim, Commit, OperationEnd, ReleasePlan, StoreError, TenantPatch, Work},
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
    /// Nothing to start now; look again after this long.
    Wait(Duration),
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
        let next = if overtaken { Next::Wait(Duration::ZERO) } else { pass.step(&mut calls).await? };
        let wait = match next {
            Next::Over => return Ok(()),
            Next::Again => continue,
            Next::Wait(wait) if calls.is_empty() => return pass.release(wait).await,
            Next::Wait(wait) => wait,
        };
        let look_again = !overtaken && !wait.is_zero();
        tokio::select! {
            Some(finished) = calls.next() => {
                pass.finish(finished).await?;
                overtaken = overtaken || pass.reload().await?;
            }
            _ = lease.tick() => shared.ports.store.renew(claim, shared.options.lease_ttl).await?,
            () = tokio::time::sleep(wait), if look_again => {}
        }
    }
}

impl<'a> Pass<'a> {
    async fn begin(shared: &'a Shared, claim: &'a Claim) -> Result<Self, StoreError> {
        let work = shared.ports.store.load(claim).await?;
        let offer = &work.tenant.offer;
        let key = offer.provider_key();
        let releases = match (&offer.stack, &shared.ports.deployer) {
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
                cloud: shared.provider_options(&offer.provider).time_scale,
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
            Plan::Turn(_) | Plan::Settle(_) => Ok(Next::Wait(Duration::ZERO)),
            Plan::Work(planned) => self.start(planned, calls).await,
        }
    }

    async fn start(
        &mut self,
        planned: Calls,
        calls: &mut FuturesUnordered<BoxFuture<'a, Finished>>,
    ) -> Result<Next, StoreError> {
        let direction = self.work.tenant.direction;
        let intents: Vec<StageRecord> = planned.begin.iter().map(|stage| self.intent(stage, direction)).collect();
        if !intents.is_empty() {
            let status = report::working(&self.work);
            let commit = Commit {
                events: intents.iter().map(report::started).collect(),
                stages: intents.clone(),
                tenant: TenantPatch {
                    status: (status != self.work.tenant.status).then_some(status.clone()),
                    ..TenantPatch::default()
                },
                ..Commit::default()
            };
            self.shared.ports.store.commit(self.claim, commit).await?;
            self.work.tenant.status = status;
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
        let wake = planned.wake_time.map_or(Duration::MAX, |time| time.since(self.work.now));
        Ok(Next::Wait(if wake == Duration::MAX && !calls.is_empty() { Duration::ZERO } else { wake }))
    }

    fn intent(&self, stage: &Stage, direction: Direction) -> StageRecord {
        let description = self.description.as_ref();
        let expected = match &self.work.host {
            Some(host) if *stage == Stage::Host && !host.usable => timing::host(description, self.scales),
            _ => timing::expected(stage, direction, description, &self.releases, self.scales),
        };
        let earlier = plan::record_in(&self.work, direction, stage);
        journal::intend(stage, direction, self.work.tenant.generation, expected, earlier, self.work.now)
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
        let rules = self.shared.rules(self.scales.of(&finished.stage, self.work.tenant.direction));
        let now = self.now();
        let force = self.work.tenant.force_delete;
        let after = journal::record(&before, finished.result, force, &rules, rand::random(), now);
        let events: Vec<_> = report::changed(&before, &after).into_iter().collect();
        for event in &events {
            tracing::info!(
                tenant.uid = %self.claim.uid, tenant.name = %self.work.tenant.name,
                step = %after.stage, attempt = after.attempt, "{}", event.message
            );
        }
        let mut resumed = false;
        let trouble = self.shared.limits.trouble(&execute::limit_key(&self.work));
        if before.state == StageState::Failed && after.state != StageState::Failed {
            self.work.tenant.status = report::working(&self.work);
            resumed = true;
        }
        let status = report::provider(&self.work, trouble.as_deref(), now)
            .or_else(|| resumed.then(|| self.work.tenant.status.clone()));
        let tenant = TenantPatch { status: status.clone(), ..TenantPatch::default() };
        let commit = Commit { stages: vec![after.clone()], tenant, events, ..Commit::default() };
        self.shared.ports.store.commit(self.claim, commit).await?;
        if let Some(status) = status {
            self.work.tenant.status = status;
        }
        self.put(after);
        Ok(())
    }

    /// Loads anew; says whether the API changed what is wanted.
    async fn reload(&mut self) -> Result<bool, StoreError> {
        let work = self.shared.ports.store.load(self.claim).await?;
        let (old, new) = (&self.work.tenant, &work.tenant);
        let overtaken = old.operation != new.operation
            || old.generation != new.generation
            || old.direction != new.direction
            || old.cancel_requested != new.cancel_requested
            || old.spec.paused != new.spec.paused
            || old.force_delete != new.force_delete;
        if !overtaken {
            self.work = work;
            self.loaded = Instant::now();
        }
        Ok(overtaken)
    }

    async fn turn(&self, turn: Turn) -> Result<(), StoreError> {
        tracing::info!(tenant.uid = %self.claim.uid, "cancelled; the work turns");
        let tenant = match turn {
            Turn::Unwind => TenantPatch { direction: Some(Direction::Absent), ..TenantPatch::default() },
            Turn::Revert(spec, offer) => TenantPatch { revert: Some((spec, offer)), ..TenantPatch::default() },
        };
        let commit = Commit { tenant, release_after: Some(Duration::ZERO), ..Commit::default() };
        self.shared.ports.store.commit(self.claim, commit).await
    }

    async fn settle(&self, settle: Settle) -> Result<(), StoreError> {
        let status = report::settled(&self.work, &settle);
        let changed = status != self.work.tenant.status;
        let outcome = plan::operation_outcome(&self.work, &settle);
        let told = changed || outcome.is_some() || settle == Settle::Gone;
        let release_after = match &settle {
            Settle::Ready { wake_time } => wake_time.map_or(Duration::MAX, |time| time.since(self.work.now)),
            Settle::Failed { wake_time: Some(time), .. } => time.since(self.work.now),
            Settle::Failed { wake_time: None, .. } | Settle::Paused | Settle::Gone | Settle::Stopped => Duration::MAX,
        };
        let ready = matches!(settle, Settle::Ready { .. });
        let commit = Commit {
            stages: Vec::new(),
            tenant: TenantPatch {
                status: changed.then_some(status),
                mark_ready: ready && outcome.is_some(),
                clear_cancel: ready && self.work.tenant.cancel_requested,
                ..TenantPatch::default()
            },
            operation: outcome.map(|outcome| OperationEnd { id: self.work.tenant.operation, outcome }),
            events: told.then(|| report::settled_event(&self.work, &settle)).into_iter().collect(),
            release_after: Some(release_after),
            remove: settle == Settle::Gone,
        };
        if settle == Settle::Gone {
            self.shared.access.forget(self.claim.uid);
        }
        self.shared.ports.store.commit(self.claim, commit).await
    }

    async fn release(&self, wait: Duration) -> Result<(), StoreError> {
        let commit = Commit { release_after: Some(wait), ..Commit::default() };
        self.shared.ports.store.commit(self.claim, commit).await
    }
}
