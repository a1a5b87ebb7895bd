//! The rules of an environment's life as total, pure functions: what a request, or a result of the engine, makes of the
//! record that it finds. Generation, state, cancellation and what becomes due are decided here and nowhere else.
//!
//! # Expected flow
//! The store reads a record in a transaction, calls one of these functions, and writes what it gets. A [`Refusal`] changes
//! nothing.
//!
//! # Guarantees
//! - A change of the record only (names, labels, protection) supersedes nothing: the operation that runs goes on. Pausing
//!   and going on take over what is unfinished, and end with it.
//! - Only a create that runs unwinds. Whatever else removes an environment is a delete, and no delete is accepted while the
//!   environment is protected.
//! - An environment that is being removed is never wanted again.
//!
//! Knows no store, no clock and no cloud: ids and times are values.

use crate::{
    Condition, DesiredState, Environment, EnvironmentKind, ErrorKind, Failure, Operation, OperationId, OperationKind,
    Owner, Placement, Precondition, State, TenantSpec, TenantUid, Timestamp,
    environment::{EnvironmentPatch, EnvironmentStatus, LastReady},
};

/// Why a request changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is on its way out.
    #[error("{0} is being deleted")]
    BeingDeleted(String),
    /// Only what is FAILED can be retried.
    #[error("{name} is {state}, not FAILED; there is nothing to retry", state = state.as_str())]
    NothingToRetry {
        /// Resource name.
        name: String,
        /// Its state.
        state: State,
    },
    /// Deletion is refused.
    #[error("{0} has deletion_protection set; clear it first")]
    Protected(String),
    /// A delete can't be cancelled.
    #[error("a delete can't be cancelled: part of the environment may be gone already")]
    NotCancellable,
    /// A host cluster has no spec that an update changes.
    #[error("{0} is a host cluster; it can't be updated")]
    NotATenant(String),
    /// Of a cluster that was there before landlord made nothing that has revisions.
    #[error("{0} was adopted: whoever made it keeps it up to date")]
    Adopted(String),
    /// The client saw an older version.
    #[error("{0} has changed since it was read; read it again and repeat the change")]
    EtagMismatch(String),
}

/// What a request makes of an environment.
#[derive(Debug, Clone, PartialEq)]
pub struct Transition {
    /// The record afterwards.
    pub environment: Environment,
    /// What else is to be done.
    pub effect: Effect,
}

/// What is to be written beside the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The record alone changed: the request's operation is done at once, and the one that runs goes on.
    Recorded {
        /// Whether the engine shall see it now.
        due: bool,
    },
    /// The request's operation takes over from the earlier one, and the environment is due.
    Work {
        /// Failed stages begin again.
        restart_failed: bool,
    },
    /// The request is handled by the operation that runs.
    Joined {
        /// Whether the record changed all the same.
        changed: bool,
    },
}

/// Refuses a request that is for another version.
///
/// # Errors
/// [`Refusal::EtagMismatch`].
pub fn check_precondition(environment: &Environment, precondition: &Precondition) -> Result<(), Refusal> {
    if precondition.holds(environment) { Ok(()) } else { Err(Refusal::EtagMismatch(environment.name().to_string())) }
}

/// A new environment, with its create accepted as `operation`.
#[must_use]
pub fn accept(
    uid: TenantUid,
    owner: Owner,
    placement: Placement,
    operation: OperationId,
    now: Timestamp,
) -> Environment {
    Environment {
        uid,
        owner,
        placement,
        generation: 1,
        desired_state: DesiredState::Present,
        force_delete: false,
        status: EnvironmentStatus {
            state: State::Pending,
            observed_generation: 0,
            conditions: Vec::new(),
            endpoints: Vec::new(),
            progress: None,
        },
        availability: None,
        etag: String::new(),
        operation,
        cancel_requested: false,
        create_time: now,
        update_time: now,
        delete_time: None,
    }
}

/// A whole new spec of a tenant, accepted as `operation`.
///
/// # Errors
/// [`Refusal::BeingDeleted`], [`Refusal::NotATenant`].
pub fn update(
    before: &Environment,
    spec: TenantSpec,
    placement: Placement,
    operation: OperationId,
) -> Result<Transition, Refusal> {
    let name = || before.name().to_string();
    if before.desired_state == DesiredState::Absent {
        return Err(Refusal::BeingDeleted(name()));
    }
    let mut environment = before.clone();
    let Owner::Tenant(tenant) = &mut environment.owner else { return Err(Refusal::NotATenant(name())) };
    let works = tenant.spec.needs_work(&spec);
    let pause_changed = tenant.spec.paused != spec.paused;
    tenant.spec = spec;
    if !works {
        // What was resolved belongs to the generation that it was resolved for.
        if pause_changed && !is_settled(before) {
            // Whoever lets work go on waits for its end, not for the record of the request.
            environment.operation = operation;
            environment.cancel_requested = false;
            return Ok(Transition { environment, effect: Effect::Work { restart_failed: false } });
        }
        return Ok(Transition { environment, effect: Effect::Recorded { due: pause_changed } });
    }
    environment.placement = placement.instead_of(&before.placement);
    environment.generation += 1;
    Ok(begin(environment, operation, false))
}

/// Other revisions, and what else a class says now, for an environment that stays what it is, accepted as `operation`. They are
/// on trial: if a stage gives up, the environment goes back.
///
/// # Errors
/// [`Refusal::BeingDeleted`], [`Refusal::Adopted`].
pub fn renew(before: &Environment, placement: Placement, operation: OperationId) -> Result<Transition, Refusal> {
    let name = || before.name().to_string();
    if before.desired_state == DesiredState::Absent {
        return Err(Refusal::BeingDeleted(name()));
    }
    if before.kind() == EnvironmentKind::AdoptedHostCluster {
        return Err(Refusal::Adopted(name()));
    }
    let mut environment = before.clone();
    environment.generation += 1;
    environment.placement = placement.instead_of(&before.placement);
    // Going back would also undo an accepted change that has not been made yet. Others in place of those that are on trial are none.
    let is_on_trial = before.status.state != State::Failed && before_trial(before).is_some();
    let can_go_back = is_settled(before) || is_on_trial;
    environment.placement.revisions.trial_generation = can_go_back.then_some(environment.generation);
    Ok(begin(environment, operation, false))
}

/// Where an environment goes back to whose revisions were on trial in this generation and did not do.
#[must_use]
pub fn before_trial(environment: &Environment) -> Option<LastReady> {
    let on_trial = environment.placement.revisions.trial_generation == Some(environment.generation);
    if !on_trial || environment.desired_state == DesiredState::Absent {
        return None;
    }
    let (mut last, mut present) = (environment.last_ready()?, environment.placement.clone());
    (last.placement.revisions.trial_generation, present.revisions.trial_generation) = (None, None);
    // An earlier version's daemon, which worked on it meanwhile, kept of a host cluster only that it was READY.
    (last.placement != present).then_some(last)
}

/// Whether nothing is left to be done for what is wanted.
fn is_settled(environment: &Environment) -> bool {
    let status = &environment.status;
    status.observed_generation == environment.generation && status.state != State::Failed
}

/// Failed stages begin again, as `operation`.
///
/// # Errors
/// [`Refusal::NothingToRetry`].
pub fn retry(before: &Environment, operation: OperationId) -> Result<Transition, Refusal> {
    let state = before.status.state;
    if state != State::Failed {
        return Err(Refusal::NothingToRetry { name: before.name().to_string(), state });
    }
    Ok(begin(before.clone(), operation, true))
}

/// Removal, accepted as `operation`. `running`: kind of the operation that runs, if one does.
///
/// # Errors
/// [`Refusal::Protected`].
pub fn delete(
    before: &Environment,
    running: Option<OperationKind>,
    force: bool,
    operation: OperationId,
    now: Timestamp,
) -> Result<Transition, Refusal> {
    let present = before.desired_state == DesiredState::Present;
    // What unwinds already (a cancelled create) has nothing left to protect.
    if present && before.is_protected() {
        return Err(Refusal::Protected(before.name().to_string()));
    }
    let mut environment = before.clone();
    environment.force_delete |= force;
    if !present && running == Some(OperationKind::Delete) {
        let changed = environment.force_delete != before.force_delete;
        return Ok(Transition { environment, effect: Effect::Joined { changed } });
    }
    environment.desired_state = DesiredState::Absent;
    environment.delete_time = environment.delete_time.or(Some(now));
    // A delete that had failed starts again where it stood.
    Ok(begin(environment, operation, true))
}

/// A requested cancellation of `operation`; `None`: it changes nothing (AIP-151: it has ended, or it is being cancelled).
///
/// # Errors
/// [`Refusal::NotCancellable`].
pub fn cancel(before: Option<&Environment>, operation: &Operation) -> Result<Option<Environment>, Refusal> {
    if operation.outcome.is_some() || operation.cancel_requested {
        return Ok(None);
    }
    let worked_on = before.filter(|environment| environment.operation == operation.id);
    let Some(environment) = worked_on.filter(|environment| environment.desired_state == DesiredState::Present) else {
        return Err(Refusal::NotCancellable);
    };
    if operation.kind == OperationKind::Delete {
        return Err(Refusal::NotCancellable);
    }
    Ok(Some(Environment { cancel_requested: true, ..environment.clone() }))
}

/// An environment of which its cloud holds nothing, though the record says that it was built: it is left alone until somebody
/// says what is right. `None`: it is being removed anyway, or failed already.
#[must_use]
pub fn hold(before: &Environment, now: Timestamp) -> Option<(Environment, Failure)> {
    if before.desired_state == DesiredState::Absent || before.status.state == State::Failed {
        return None;
    }
    let failure = Failure::new(
        ErrorKind::Conflict,
        "the store goes on from a copy, and the cloud holds nothing of this environment: it may have been deleted since",
    )
    .with_remedy("delete it if it was deleted; retry to rebuild it");
    let mut after = before.clone();
    after.status.state = State::Failed;
    let message = format!("{}; {}", failure.message, failure.remedy);
    for kind in ["Progressing", "Ready"] {
        after.status.conditions.retain(|condition| condition.r#type != kind);
        after.status.conditions.push(Condition {
            r#type: kind.to_owned(),
            status: false,
            reason: HELD.to_owned(),
            message: message.clone(),
            transition_time: now,
        });
    }
    after.status.conditions.sort_by(|a, b| a.r#type.cmp(&b.r#type));
    Some((after, failure))
}

/// Reason of an environment that is held.
pub const HELD: &str = "HeldAfterRestore";

/// The record after a commit of the engine.
#[must_use]
pub fn patched(before: &Environment, patch: &EnvironmentPatch, now: Timestamp) -> Environment {
    let mut after = before.clone();
    if let Some(status) = &patch.status {
        after.status = status.clone();
    }
    if let Some(desired_state) = patch.desired_state {
        after.desired_state = desired_state;
    }
    after.delete_time = match after.desired_state {
        DesiredState::Absent => Some(after.delete_time.unwrap_or(now)),
        DesiredState::Present => None,
    };
    after.cancel_requested &= !patch.clear_cancel;
    if patch.mark_ready {
        // The trial is over: what fails from now on says nothing of the revisions.
        after.placement.revisions.trial_generation = None;
        let placement = after.placement.clone();
        match &mut after.owner {
            Owner::Tenant(tenant) => tenant.last_ready = Some((tenant.spec.clone(), placement)),
            Owner::HostCluster(host_cluster) => host_cluster.last_ready = Some(placement),
        }
    }
    if let Some(LastReady { spec, placement }) = &patch.revert {
        if let (Owner::Tenant(tenant), Some(spec)) = (&mut after.owner, spec) {
            tenant.spec = spec.clone();
        }
        after.placement = placement.clone().instead_of(&before.placement);
        after.generation += 1;
    }
    after
}

/// Work begins for an operation, whatever was requested before.
fn begin(mut environment: Environment, operation: OperationId, restart_failed: bool) -> Transition {
    environment.operation = operation;
    environment.cancel_requested = false;
    environment.status.state = environment.working_state();
    Transition { environment, effect: Effect::Work { restart_failed } }
}

/// What a requested cancellation does.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "one lives at a time; it is never stored in bulk")]
pub enum Cancellation {
    /// A create that runs: what it made is removed again.
    Unwind,
    /// An update of an environment that was READY: back to this, as far as that is possible.
    Revert(LastReady),
    /// Anything else: work stops where it is. Nothing is removed. Retry, Update or Delete lead on.
    Stop,
}

/// What the cancellation that was requested of an environment's newest operation does; `None`: none was requested, or
/// it was acted upon already.
///
/// Only a create that runs unwinds, and only if the environment is not protected: whatever was built by an earlier operation,
/// or is protected, is removed by a delete alone.
///
/// `operation_generation`: the generation for which the operation was accepted. A tenant beyond it was reverted.
#[must_use]
pub fn cancellation(
    environment: &Environment,
    kind: OperationKind,
    operation_done: bool,
    operation_generation: i64,
) -> Option<Cancellation> {
    if !environment.cancel_requested
        || environment.desired_state == DesiredState::Absent
        || environment.generation > operation_generation
    {
        return None;
    }
    if may_unwind(environment, kind, operation_done) {
        return Some(Cancellation::Unwind);
    }
    let running_update = (kind, operation_done) == (OperationKind::Update, false);
    let earlier = before_trial(environment).or_else(|| before_update(environment)).filter(|_| running_update);
    Some(earlier.map_or(Cancellation::Stop, Cancellation::Revert))
}

/// What an update of a tenant's spec is taken back to; `None`: nothing of it can be.
fn before_update(environment: &Environment) -> Option<LastReady> {
    let (tenant, last) = (environment.tenant()?, environment.last_ready()?);
    let differs = last.spec.as_ref().is_some_and(|spec| tenant.spec.needs_work(spec));
    differs.then_some(last)
}

/// Whether cancelling a tenant's newest operation would remove the environment.
#[must_use]
pub fn may_unwind(environment: &Environment, kind: OperationKind, operation_done: bool) -> bool {
    kind == OperationKind::Create
        && !operation_done
        && environment.desired_state == DesiredState::Present
        && !environment.was_ready()
        && !environment.is_protected()
}
