//! What to do next for one tenant. Pure: no clock, no IO, the same input gives the same step.
//!
//! Level-triggered: it inspects what is wanted and at the records of the stages, never at how
//! things came to be so. An upgrade in the middle of a provisioning therefore needs no replay.

use std::time::Duration;

use crate::{
    DesiredState, Failure, Operation, OperationKind, OperationOutcome, Stage, StageRecord, StageState, Timestamp,
    environment::LastReady,
    graph::{Node, graph},
    journal,
    lifecycle::{self, Cancellation},
    ports::{ReleasePlan, Work},
};

/// While an operation is under way, what it has built already is inspected again only so long after its resync was due: whatever the
/// interval, no resync takes of the machine, and of an API server, what the rest of the work waits for. One that is under way for
/// hours is repaired all the same.
const UNSETTLED_RESYNC: Duration = Duration::from_secs(300);

/// What to do next.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "one lives at a time; it is never stored in bulk")]
pub enum Step {
    /// Call these stages now, then decide again; or wait.
    Call(Calls),
    /// Change the desired state before anything else: the operation was cancelled.
    Unwind(Unwind),
    /// The tenant rests in this state until someone or the resync wants something.
    Rest(Steady),
}

/// Stages to call.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Calls {
    /// Stages whose intent must be recorded first.
    pub begin: Vec<Stage>,
    /// Stages whose intent stands and that are due.
    pub due: Vec<Stage>,
    /// When the next stage is due, if none is now.
    pub wake_time: Option<Timestamp>,
}

/// How a cancelled operation is unwound.
#[derive(Debug, Clone, PartialEq)]
pub enum Unwind {
    /// A create: towards absence.
    Remove,
    /// A change of an environment that was READY: back to what it was.
    Revert(LastReady),
    /// Revisions on trial with which a stage gave up: back to those of before, and the operation fails.
    GiveUp(LastReady, Failure),
}

/// A resting state.
#[derive(Debug, Clone, PartialEq)]
pub enum Steady {
    /// As wanted. Resync at `wake_time`.
    Ready {
        /// When the first stage is due for a resync.
        wake_time: Option<Timestamp>,
    },
    /// A stage gave up.
    Failed {
        /// Which.
        stage: Stage,
        /// Why.
        failure: Failure,
        /// When it is observed again whether a removal is still held; `None`: nothing is done until Retry, Update or
        /// Delete.
        wake_time: Option<Timestamp>,
    },
    /// Nothing is left.
    Gone,
    /// Cancelled, where it was; nothing is removed. Retry, Update or Delete lead on.
    Stopped,
    /// No work while paused.
    Paused,
}

/// Decides.
#[must_use]
pub fn next_step(work: &Work, releases: &[ReleasePlan]) -> Step {
    let environment = &work.environment;
    let cancelled =
        lifecycle::cancellation(environment, work.operation_kind, work.operation_done, work.operation_generation);
    match cancelled {
        None => {}
        Some(Cancellation::Unwind) => return Step::Unwind(Unwind::Remove),
        Some(Cancellation::Revert(last)) => return Step::Unwind(Unwind::Revert(last)),
        Some(Cancellation::Stop) => return Step::Rest(Steady::Stopped),
    }
    if environment.desired_state == DesiredState::Present && (environment.is_paused() || work.frozen.is_some()) {
        return Step::Rest(Steady::Paused);
    }
    let nodes = graph(environment.desired_state, environment.kind(), &environment.placement, releases);
    if let Some((stage, failure)) = first_failure(work, &nodes) {
        if let Some(last) = before_trial(work) {
            let message =
                format!("with the new revisions {stage} failed: {}; those of before are back", failure.message);
            return Step::Unwind(Unwind::GiveUp(last, Failure { message, ..failure }));
        }
        let failure = without_way_back(work, failure);
        let held = held(work, &nodes);
        if !held.due.is_empty() {
            return Step::Call(held);
        }
        return Step::Rest(Steady::Failed { stage, failure, wake_time: held.wake_time });
    }
    if environment.desired_state == DesiredState::Absent && nodes.iter().all(|node| is_done(work, &node.stage)) {
        return Step::Rest(Steady::Gone);
    }
    let calls = calls(work, &nodes);
    if !calls.begin.is_empty() || !calls.due.is_empty() {
        return Step::Call(calls);
    }
    if !nodes.iter().all(|node| is_done(work, &node.stage)) {
        return Step::Call(calls);
    }
    Step::Rest(Steady::Ready { wake_time: calls.wake_time })
}

/// Where the environment goes back to if a stage gives up, while new revisions are on trial.
fn before_trial(work: &Work) -> Option<LastReady> {
    lifecycle::before_trial(&work.environment).filter(|_| !work.operation_done)
}

/// A failure that also says why a host cluster stays with new revisions with which it was never READY: nothing but these is an
/// update of one, and what can go back does not get here.
fn without_way_back(work: &Work, failure: Failure) -> Failure {
    let environment = &work.environment;
    let is_renewed = environment.host_cluster().is_some()
        && environment.desired_state == DesiredState::Present
        && environment.status.observed_generation != environment.generation
        && work.operation_kind == OperationKind::Update
        && work.operation_generation == environment.generation;
    if !is_renewed {
        return failure;
    }
    let message = format!(
        "{}; it was not READY as ordered before the new revisions: there is nothing to go back to",
        failure.message
    );
    Failure { message, ..failure }
}

/// Whether new revisions are on trial: their operation has not ended, and there is something to go back to.
#[must_use]
pub fn is_on_trial(work: &Work) -> bool {
    before_trial(work).is_some()
}

/// Inspects what holds a removal, if nothing else failed: nothing is changed while it is held, and whoever puts the marker
/// back need not ask for anything else.
fn held(work: &Work, nodes: &[Node]) -> Calls {
    let failed = || {
        let records = nodes.iter().filter_map(|node| current(work, &node.stage));
        records.filter(|record| record.state == StageState::Failed)
    };
    let mut calls = Calls::default();
    if failed().all(journal::is_held) {
        failed().for_each(|record| calls.at(record, work.now));
    }
    calls
}

/// The record of a stage in the tenant's desired state.
#[must_use]
pub fn record<'a>(work: &'a Work, stage: &Stage) -> Option<&'a StageRecord> {
    record_in(work, work.environment.desired_state, stage)
}

/// The record of a stage for a desired state.
#[must_use]
pub fn record_in<'a>(work: &'a Work, desired_state: DesiredState, stage: &Stage) -> Option<&'a StageRecord> {
    work.stages.iter().find(|record| record.desired_state == desired_state && record.stage == *stage)
}

/// A record counts only for the generation that it was made for. Absence has no generations:
/// whatever the spec was, nothing of it shall be left.
#[must_use]
pub fn current<'a>(work: &'a Work, stage: &Stage) -> Option<&'a StageRecord> {
    let environment = &work.environment;
    record(work, stage).filter(|record| {
        environment.desired_state == DesiredState::Absent || record.generation == environment.generation
    })
}

fn is_done(work: &Work, stage: &Stage) -> bool {
    current(work, stage).is_some_and(|record| matches!(record.state, StageState::Done | StageState::Skipped))
}

fn first_failure(work: &Work, nodes: &[Node]) -> Option<(Stage, Failure)> {
    nodes
        .iter()
        .filter_map(|node| current(work, &node.stage))
        .filter(|record| record.state == StageState::Failed)
        .min_by_key(|record| record.end_time)
        .map(|record| {
            let failure = record
                .failure
                .clone()
                .unwrap_or_else(|| Failure::new(crate::ErrorKind::Internal, "failed without a reason; retry it"));
            (record.stage.clone(), failure)
        })
}

impl Calls {
    /// Has the stage of a record called when it is due.
    fn at(&mut self, record: &StageRecord, now: Timestamp) {
        self.at_time(record, record.poll_time, now);
    }

    fn at_time(&mut self, record: &StageRecord, time: Timestamp, now: Timestamp) {
        if time <= now {
            self.due.push(record.stage.clone());
        } else {
            self.wake_time = Some(self.wake_time.map_or(time, |earlier| earlier.min(time)));
        }
    }
}

/// While later stages of a removal run, absence is checked again; the inventory requests everything itself.
fn checks_again(work: &Work, stage: &Stage) -> bool {
    stage.is_checked_again() && record(work, &Stage::Inventory).is_none()
}

fn calls(work: &Work, nodes: &[Node]) -> Calls {
    let mut calls = Calls::default();
    let unsettled = work.environment.desired_state == DesiredState::Present
        && !work.operation_done
        && !nodes.iter().all(|node| is_done(work, &node.stage));
    for node in nodes {
        match current(work, &node.stage) {
            None => {
                if node.after.iter().all(|stage| is_done(work, stage)) {
                    calls.begin.push(node.stage.clone());
                }
            }
            Some(record) => match record.state {
                StageState::Failed | StageState::Skipped => {}
                StageState::Done
                    if work.environment.desired_state == DesiredState::Absent && !checks_again(work, &node.stage) => {}
                StageState::Done if unsettled => {
                    calls.at_time(record, record.poll_time.after(UNSETTLED_RESYNC), work.now);
                }
                StageState::Running | StageState::Done => calls.at(record, work.now),
            },
        }
    }
    calls
}

/// How the running operation ends when the tenant settles; `None`: it goes on.
#[must_use]
pub fn operation_outcome(work: &Work, settle: &Steady) -> Option<OperationOutcome> {
    if work.operation_done {
        return None;
    }
    let cancelled = work.environment.cancel_requested;
    match settle {
        Steady::Paused => None,
        Steady::Stopped => Some(OperationOutcome::Cancelled),
        Steady::Ready { .. } if cancelled => Some(OperationOutcome::Cancelled),
        Steady::Ready { .. } => Some(OperationOutcome::Ready),
        Steady::Failed { failure, .. } => Some(OperationOutcome::Failed { failure: failure.clone() }),
        Steady::Gone if cancelled => Some(OperationOutcome::Cancelled),
        Steady::Gone => Some(OperationOutcome::Deleted { removed: removed(work) }),
    }
}

/// Everything that was removed, sorted, each once.
#[must_use]
pub fn removed(work: &Work) -> Vec<crate::stage::RemovedObject> {
    let mut all: Vec<_> = work
        .stages
        .iter()
        .filter(|record| record.desired_state == DesiredState::Absent)
        .flat_map(|record| record.removed.iter().cloned())
        .collect();
    all.sort();
    all.dedup();
    all
}

/// The stages of an operation in the order of the graph, those without a record left out.
#[must_use]
pub fn ordered_stages(operation: &Operation) -> Vec<&StageRecord> {
    let mut stages: Vec<&StageRecord> = operation.stages.iter().collect();
    stages.sort_by_key(|record| (record.start_time, record.stage.clone()));
    stages
}
