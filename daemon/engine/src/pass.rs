//! One pass over one tenant: load, decide, record intents, call, record outcomes, release.
//!
//! A pass lasts while calls are in flight and ends when the next thing to do is to wait. What
//! the API changes meanwhile is seen at the next load: nothing new is started then, the calls
//! in flight end, and the tenant is due again at once.

mod finish;
mod rest;

use std::{collections::BTreeSet, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use landlord_core::{
    DesiredState, ErrorKind, Failure, Progress, Stage, StageRecord, Timestamp,
    journal::{self, CallReport},
    ports::{Claim, Commit, EnvironmentPatch, Release, ReleasePlan, StoreError, Work},
    step::{self, Calls, Step},
};
use landlord_provider_api::v1::DescribeResponse;
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::{conditions, events, execute, lease::Lease, planned, progress::Reckoning, shared::Shared, timing};

/// The lease is renewed this many times in its life.
const RENEWALS_PER_TTL: u32 = 3;

struct Finished {
    stage: Stage,
    /// None: the call never went out.
    result: Option<Result<CallReport, Failure>>,
}

struct Pass<'a> {
    shared: &'a Shared,
    claim: &'a Claim,
    lease: &'a Lease,
    loaded: Instant,
    work: Work,
    releases: Vec<ReleasePlan>,
    /// Why these are not known; `None`: these are all.
    unplanned: Option<Failure>,
    description: Option<DescribeResponse>,
    scales: timing::Scales,
    in_flight: BTreeSet<Stage>,
}

enum Next {
    /// Calls are in flight, or something changed: decide again.
    Again,
    /// The pass is over.
    Over,
    /// Nothing to start now. Requeue after this long; `None`: when a call has ended, or the API changed something.
    Wait(Option<Duration>),
}

/// Works on a claimed tenant until there is nothing to do but wait.
pub(crate) async fn run(shared: &Shared, claim: &Claim, held: &Lease) -> Result<(), StoreError> {
    let mut pass = Pass::begin(shared, claim, held).await?;
    if let Some(wait) = pass.unplanned.as_ref().map(planned::wait) {
        return pass.revision_seen(Release::After(wait)).await;
    }
    pass.revision_seen(Release::Hold).await?;
    let mut calls: FuturesUnordered<BoxFuture<'_, Finished>> = FuturesUnordered::new();
    let mut lease = tokio::time::interval(shared.options.lease_ttl / RENEWALS_PER_TTL);
    lease.tick().await;
    let mut overtaken = false;
    loop {
        pass.tick();
        let over = overtaken || shared.stopping.is_cancelled();
        let next = if over { Next::Wait(Some(Duration::ZERO)) } else { pass.step(&mut calls).await? };
        let wait = match next {
            Next::Over => return Ok(()),
            Next::Again => continue,
            Next::Wait(wait) if calls.is_empty() => return pass.release(release_at(wait)).await,
            // What was overtaken, or ends with its daemon, starts nothing more: its calls end.
            Next::Wait(wait) => wait.filter(|wait| !over && !wait.is_zero()),
        };
        tokio::select! {
            // The lease first: a daemon that was stopped for longer than it holds learns so before any of its calls goes on.
            biased;
            _ = lease.tick() => pass.renew().await?,
            Some(finished) = calls.next() => {
                let is_last = calls.is_empty() && !over;
                if pass.finish(finished, is_last).await? {
                    return Ok(());
                }
                overtaken = overtaken || pass.reload().await?;
            }
            () = tokio::time::sleep(wait.unwrap_or_default()), if wait.is_some() => {}
        }
    }
}

impl<'a> Pass<'a> {
    async fn begin(shared: &'a Shared, claim: &'a Claim, lease: &'a Lease) -> Result<Self, StoreError> {
        let mut work = shared.ports.store.load(claim).await?;
        journal::clamp(&mut work.stages, shared.longest_wait(), work.now);
        shared.observed.learn(&work.environment.placement.class, &work.stages);
        let span = tracing::Span::current();
        span.record("operation.id", tracing::field::display(work.environment.operation));
        span.record("provider", tracing::field::display(&work.environment.placement.provider));
        let placement = &work.environment.placement;
        let key = placement.provider_key();
        let releases =
            shared.ports.apps.as_deref().map_or_else(|| Ok(Vec::new()), |apps| planned::releases(apps, placement));
        // A removal that removes no release can go on without knowing any.
        let environment = &work.environment;
        let needs_none = environment.desired_state == DesiredState::Absent
            && (placement.level.is_shared() || environment.force_delete);
        let unplanned = releases.as_ref().err().cloned().filter(|_| !needs_none);
        Ok(Self {
            shared,
            claim,
            lease,
            loaded: Instant::now(),
            description: shared.ports.providers.description(&key),
            scales: shared.scales(&placement.provider),
            work,
            releases: releases.unwrap_or_default(),
            unplanned,
            in_flight: BTreeSet::new(),
        })
    }

    /// Has the tenant show whether its revision can be used. One that is only not read yet is nothing to show.
    async fn revision_seen(&mut self, release: Release) -> Result<(), StoreError> {
        let before = self.work.environment.status.clone();
        let status = match &self.unplanned {
            Some(failure) if failure.kind == ErrorKind::Transient => before,
            unusable => conditions::revision(before, unusable.as_ref(), self.work.now),
        };
        let changed = status != self.work.environment.status;
        if !changed && matches!(release, Release::Hold) {
            return Ok(());
        }
        let environment = EnvironmentPatch { status: changed.then(|| status.clone()), ..EnvironmentPatch::default() };
        self.shared.ports.store.commit(self.claim, Commit { environment, release, ..Commit::default() }).await?;
        self.work.environment.status = status;
        Ok(())
    }

    async fn renew(&self) -> Result<(), StoreError> {
        let sent = Instant::now();
        self.shared.ports.store.renew(self.claim, self.shared.options.lease_ttl).await?;
        self.lease.renewed(sent);
        Ok(())
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
        match step::next_step(&self.work, &self.releases) {
            Step::Unwind(unwind) if calls.is_empty() => self.unwind(unwind).await.map(|()| Next::Over),
            Step::Rest(steady) if calls.is_empty() => self.rest(steady).await.map(|()| Next::Over),
            Step::Unwind(_) | Step::Rest(_) => Ok(Next::Wait(None)),
            Step::Call(planned) => self.start(planned, calls).await,
        }
    }

    async fn start(
        &mut self,
        planned: Calls,
        calls: &mut FuturesUnordered<BoxFuture<'a, Finished>>,
    ) -> Result<Next, StoreError> {
        let desired_state = self.work.environment.desired_state;
        let intents: Vec<StageRecord> = planned.begin.iter().map(|stage| self.intent(stage, desired_state)).collect();
        let mut status =
            if intents.is_empty() { conditions::followed(&self.work) } else { conditions::working(&self.work) };
        if !intents.is_empty() {
            status.progress = self.progress(&self.work);
        }
        let changed = status != self.work.environment.status;
        if changed || !intents.is_empty() {
            let commit = Commit {
                events: intents.iter().map(|intent| events::started(intent, status.progress)).collect(),
                stages: intents.clone(),
                environment: EnvironmentPatch {
                    status: changed.then(|| status.clone()),
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
        // One copy for all calls that begin now.
        let mut copy: Option<Arc<Work>> = None;
        let mut started = false;
        for stage in planned.begin.into_iter().chain(planned.due) {
            if self.in_flight.insert(stage.clone()) {
                started = true;
                let work = Arc::clone(copy.get_or_insert_with(|| Arc::new(self.work.clone())));
                let (shared, held, span) = (self.shared, (self.claim, self.lease), self.stage_span(&stage));
                let call = async move {
                    let began = Instant::now();
                    let call = AssertUnwindSafe(execute::call(shared, held, &work, &stage));
                    let result = call.catch_unwind().await.unwrap_or_else(|_| {
                        let problem = format!("{stage} panicked; this is a bug of landlord");
                        Some(Err(Failure::new(ErrorKind::Internal, problem)))
                    });
                    let result =
                        result.map(|result| result.map(|report| CallReport { took: began.elapsed(), ..report }));
                    Finished { stage, result }
                };
                calls.push(Box::pin(call.instrument(span)));
            }
        }
        if started {
            return Ok(Next::Again);
        }
        Ok(Next::Wait(planned.wake_time.map(|time| time.since(self.work.now))))
    }

    /// How far the operation is, by the records as they are now.
    fn progress(&self, work: &Work) -> Option<Progress> {
        let (observed, description) = (&self.shared.observed, self.description.as_ref());
        Reckoning { observed, releases: &self.releases, description, scales: self.scales }.of(work)
    }

    /// One field follows a tenant through the whole log: `tenant.id`.
    fn stage_span(&self, stage: &Stage) -> tracing::Span {
        let attempt = step::record(&self.work, stage).map_or(1, |record| record.attempt);
        let span = tracing::info_span!(
            "stage",
            tenant.id = %self.claim.uid,
            operation.id = %self.work.environment.operation,
            provider = %self.work.environment.placement.provider,
            step = %stage,
            attempt
        );
        // Of the operation's trace, whichever pass it is in.
        landlord_trace::within(&span, self.work.environment.operation);
        span
    }

    fn intent(&self, stage: &Stage, desired_state: DesiredState) -> StageRecord {
        let description = self.description.as_ref();
        let expected = match &self.work.host {
            Some(host) if *stage == Stage::Host && !host.usable => timing::host(description, self.scales),
            _ => timing::expected(stage, desired_state, description, &self.releases, self.scales),
        };
        let earlier = step::record_in(&self.work, desired_state, stage);
        journal::intend(stage, desired_state, self.work.environment.generation, expected, earlier, self.work.now)
    }

    fn put(&mut self, record: StageRecord) {
        self.work.stages.retain(|old| old.desired_state != record.desired_state || old.stage != record.stage);
        self.work.stages.push(record);
    }

    /// Loads again; returns whether the API changed what is wanted.
    async fn reload(&mut self) -> Result<bool, StoreError> {
        let work = self.shared.ports.store.load(self.claim).await?;
        let (old, new) = (&self.work.environment, &work.environment);
        let overtaken = old.operation != new.operation
            || old.generation != new.generation
            || old.desired_state != new.desired_state
            || old.cancel_requested != new.cancel_requested
            || old.is_paused() != new.is_paused()
            || self.work.frozen != work.frozen
            || old.force_delete != new.force_delete;
        if !overtaken {
            self.work = work;
            journal::clamp(&mut self.work.stages, self.shared.longest_wait(), self.work.now);
            self.loaded = Instant::now();
        }
        Ok(overtaken)
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
