//! What a pass tells: events, the tenant's state and conditions.

use landlord_core::{
    Condition, Direction, Stage, StageRecord, StageState, State, Timestamp,
    environment::{Endpoint, EnvironmentStatus},
    plan::{Settle, record_in},
    ports::{EventKind, NewEvent, Work},
};

/// The provider does not answer, for this account.
const PROVIDER_DEGRADED: &str = "ProviderDegraded";

fn stage_event(record: &StageRecord, reason: &str, message: String) -> NewEvent {
    NewEvent { kind: EventKind::Stage, stage: record.stage.to_string(), reason: reason.into(), message }
}

/// The event of a new intent.
pub(crate) fn started(record: &StageRecord) -> NewEvent {
    stage_event(record, "StageStarted", format!("{} started", record.stage))
}

/// What changed between two records of a stage, if it is worth telling.
pub(crate) fn changed(before: &StageRecord, after: &StageRecord) -> Option<NewEvent> {
    let stage = &after.stage;
    let seconds = after.end_time.map_or(0.0, |end| end.since(after.start_time).as_secs_f64());
    match (before.state, after.state) {
        (StageState::Done, StageState::Done) if after.failure == before.failure => None,
        (StageState::Done, StageState::Running) => {
            Some(stage_event(after, "StageDrifted", format!("{stage} drifted: {}", after.detail)))
        }
        (_, StageState::Done) if after.failure.is_none() => {
            Some(stage_event(after, "StageDone", format!("{stage} done after {seconds:.1} s")))
        }
        // A look at what still holds a removal.
        (StageState::Failed, StageState::Failed) if failure(after) == failure(before) => None,
        (_, StageState::Failed) => {
            Some(stage_event(after, "StageFailed", format!("{stage} failed: {}", failure(after))))
        }
        (_, StageState::Skipped) => Some(stage_event(after, "StageSkipped", format!("{stage} {}", after.detail))),
        // A wait of another length is no news.
        _ if after.failure.is_some() && failure(after) != failure(before) => {
            Some(stage_event(after, "StageRetrying", format!("{stage}: {}", failure(after))))
        }
        _ if after.detail != before.detail && after.failure.is_none() => {
            Some(stage_event(after, "StageProgress", format!("{stage}: {}", after.detail)))
        }
        _ => None,
    }
}

fn failure(record: &StageRecord) -> String {
    let Some(failure) = &record.failure else { return String::new() };
    if failure.remedy.is_empty() { failure.to_string() } else { format!("{failure} (remedy: {})", failure.remedy) }
}

/// The tenant's status while it is worked on.
pub(crate) fn working(work: &Work) -> EnvironmentStatus {
    let environment = &work.environment;
    let state = environment.working_state();
    let mut status = environment.status.clone();
    status.state = state;
    set(&mut status, "Progressing", true, "Working", "work is under way", work.now);
    set(&mut status, "Paused", false, "NotPaused", "", work.now);
    if state != State::Updating {
        set(&mut status, "Ready", false, "Working", "not ready yet", work.now);
    }
    status
}

/// The status with what is known of the provider, if that is news: the condition
/// `ProviderDegraded` appears with the first trouble, and turns when it is over.
pub(crate) fn provider(work: &Work, trouble: Option<&str>, now: Timestamp) -> Option<EnvironmentStatus> {
    let told = work.environment.status.conditions.iter().find(|condition| condition.r#type == PROVIDER_DEGRADED);
    if told.is_some_and(|condition| condition.status) == trouble.is_some() {
        return None;
    }
    let mut status = work.environment.status.clone();
    match trouble {
        Some(error) => {
            let message = format!("calls are not answered; this delays and fails nothing; the last error: {error}");
            set(&mut status, PROVIDER_DEGRADED, true, "NoAnswer", &message, now);
        }
        None => set(&mut status, PROVIDER_DEGRADED, false, "Answering", "", now),
    }
    Some(status)
}

/// The tenant's status when it comes to rest.
pub(crate) fn settled(work: &Work, settle: &Settle) -> EnvironmentStatus {
    let mut status = work.environment.status.clone();
    match settle {
        Settle::Ready { .. } => {
            status.state = State::Ready;
            status.observed_generation = work.environment.generation;
            if let Some(endpoints) = endpoints(work) {
                status.endpoints = endpoints;
            }
            let trouble = work.stages.iter().find(|r| r.direction == Direction::Present && r.failure.is_some());
            match trouble {
                None => set(&mut status, "Ready", true, "AsOrdered", "as ordered, and answering", work.now),
                Some(record) => {
                    let message = format!("last look at {}: {}", record.stage, failure(record));
                    set(&mut status, "Ready", true, "LookFailed", &message, work.now);
                }
            }
            set(&mut status, "Progressing", false, "Settled", "", work.now);
            set(&mut status, "Paused", false, "NotPaused", "", work.now);
        }
        Settle::Failed { stage, failure, .. } => {
            status.state = State::Failed;
            let message = format!("{stage}: {failure}");
            set(&mut status, "Ready", false, "StageFailed", &message, work.now);
            set(&mut status, "Progressing", false, "StageFailed", &failure.remedy, work.now);
        }
        Settle::Paused => {
            set(&mut status, "Paused", true, "Asked", "no work is done until it is resumed", work.now);
            set(&mut status, "Progressing", false, "Paused", "", work.now);
        }
        Settle::Stopped => {
            status.state = State::Failed;
            let message = "its operation was cancelled, and work stopped where it was; retry, update or delete it";
            set(&mut status, "Ready", false, "Cancelled", message, work.now);
            set(&mut status, "Progressing", false, "Cancelled", message, work.now);
        }
        Settle::Gone => {}
    }
    status
}

fn endpoints(work: &Work) -> Option<Vec<Endpoint>> {
    let record = record_in(work, Direction::Present, &Stage::Verify)?;
    serde_json::from_slice(&record.status).ok()
}

/// Sets a condition; its time moves only when it turns.
fn set(status: &mut EnvironmentStatus, kind: &str, holds: bool, reason: &str, message: &str, now: Timestamp) {
    let before = status.conditions.iter().position(|condition| condition.r#type == kind);
    let transition_time = before
        .map(|index| status.conditions.remove(index))
        .filter(|condition| condition.status == holds)
        .map_or(now, |condition| condition.transition_time);
    status.conditions.push(Condition {
        r#type: kind.into(),
        status: holds,
        reason: reason.into(),
        message: message.into(),
        transition_time,
    });
    status.conditions.sort_by(|a, b| a.r#type.cmp(&b.r#type));
}

/// The event of a settled state.
pub(crate) fn settled_event(work: &Work, settle: &Settle) -> NewEvent {
    let name = work.environment.name();
    let (kind, reason, message) = match settle {
        Settle::Ready { .. } => (EventKind::Tenant, "Ready", format!("{name} is READY")),
        Settle::Failed { stage, failure, .. } => {
            (EventKind::Tenant, "Failed", format!("{name} failed at {stage}: {failure}"))
        }
        Settle::Gone => (EventKind::Removed, "Removed", format!("{name} is gone; nothing is left of it")),
        Settle::Stopped => (EventKind::Tenant, "Cancelled", format!("{name} was cancelled, and stopped where it was")),
        Settle::Paused => (EventKind::Tenant, "Paused", format!("{name} is paused")),
    };
    NewEvent { kind, stage: String::new(), reason: reason.into(), message }
}
