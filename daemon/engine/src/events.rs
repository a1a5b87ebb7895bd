//! The events of a pass: those of its stages, and of the state that it rests in.

use landlord_core::{
    Failure, Progress, Stage, StageRecord, StageState, certificate,
    environment::EnvironmentStatus,
    ports::{Concern, EventKind, NewEvent, Work},
    step::Steady,
};

use crate::conditions::{self, failure};

fn stage_event(record: &StageRecord, reason: &str, message: String) -> NewEvent {
    NewEvent { kind: EventKind::Stage, stage: record.stage.to_string(), reason: reason.into(), message, progress: None }
}

/// The event of a new intent.
pub(crate) fn started(record: &StageRecord, progress: Option<Progress>) -> NewEvent {
    NewEvent { progress, ..stage_event(record, "StageStarted", format!("{} started", record.stage)) }
}

/// What changed between two records of a stage, if it is worth telling.
pub(crate) fn changed(before: &StageRecord, after: &StageRecord) -> Option<NewEvent> {
    let stage = &after.stage;
    let seconds = after.end_time.map_or(0.0, |end| end.since(after.start_time).as_secs_f64());
    match (before.state, after.state) {
        (StageState::Done, StageState::Done) if after.failure == before.failure => None,
        (StageState::Done, StageState::Running) => {
            let lost = if holds_data(stage) { "; data that was only there may be lost" } else { "" };
            Some(stage_event(after, "StageDrifted", format!("{stage} drifted: {}{lost}", after.detail)))
        }
        (_, StageState::Done) if after.failure.is_none() => {
            Some(stage_event(after, "StageDone", format!("{stage} done after {seconds:.1} s")))
        }
        // An observation of what still holds a removal.
        (StageState::Failed, StageState::Failed) if failure(after) == failure(before) => None,
        (_, StageState::Failed) => {
            Some(stage_event(after, "StageFailed", format!("{stage} failed: {}", failure(after))))
        }
        (_, StageState::Skipped) => Some(stage_event(after, "StageSkipped", format!("{stage} {}", after.detail))),
        // A wait of another length is no news.
        _ if after.failure.is_some() && failure(after) != failure(before) => {
            Some(stage_event(after, "StageRetrying", format!("{stage}: {}", failure(after))))
        }
        // Nor is a place that another took: until when it waits now, its condition has.
        _ if certificate::wait(before).is_some() && certificate::wait(after).is_some() => None,
        _ if after.detail != before.detail && after.state == StageState::Running => {
            Some(stage_event(after, "StageProgress", format!("{stage}: {}", after.detail)))
        }
        _ => None,
    }
}

/// Whether what drifted may have taken customers' data along.
fn holds_data(stage: &Stage) -> bool {
    matches!(stage, Stage::Cluster | Stage::NodePool | Stage::Base | Stage::Platform(_) | Stage::App(_))
}

/// The event of a resting state.
pub(crate) fn rested(work: &Work, steady: &Steady) -> NewEvent {
    let name = work.environment.name();
    let (kind, reason, message) = match steady {
        Steady::Ready { .. } => (EventKind::Tenant, "Ready", format!("{name} is READY")),
        Steady::Failed { stage, failure, .. } => {
            (EventKind::Tenant, "Failed", format!("{name} failed at {stage}: {failure}"))
        }
        Steady::Gone => (EventKind::Removed, "Removed", format!("{name} is gone; nothing is left of it")),
        Steady::Stopped => (EventKind::Tenant, "Cancelled", format!("{name} was cancelled, and stopped where it was")),
        Steady::Paused => (EventKind::Tenant, "Paused", format!("{name} is paused")),
    };
    NewEvent { kind, stage: String::new(), reason: reason.into(), message, progress: None }
}

/// The event of a concern that begins.
fn reason(concern: Concern) -> &'static str {
    match concern {
        Concern::CertificateExpiring => "CertificateExpiring",
        Concern::DiskNearlyFull => "DiskNearlyFull",
        Concern::ModelMissing => "ModelMissing",
        Concern::DocumentsRefused => "DocumentsRefused",
        Concern::DomainNotDelegated => "DomainNotDelegated",
        Concern::CheckedFromInside => "CheckedFromInside",
    }
}

/// The events of concerns that have begun.
pub(crate) fn concerns(before: &EnvironmentStatus, after: &EnvironmentStatus) -> Vec<NewEvent> {
    let begun = Concern::ALL.into_iter().filter(|concern| conditions::of_status(before, *concern).is_none());
    let events = begun.filter_map(|concern| {
        let (stage, reason) = (String::new(), reason(concern).to_owned());
        let message = conditions::of_status(after, concern)?.to_owned();
        Some(NewEvent { kind: EventKind::Tenant, stage, reason, message, progress: None })
    });
    events.collect()
}

/// The event of revisions on trial that are given up.
pub(crate) fn given_up(work: &Work, failure: &Failure) -> NewEvent {
    let message = format!("{}: {failure}", work.environment.name());
    let (stage, reason) = (String::new(), "RevisionGivenUp".into());
    NewEvent { kind: EventKind::Operation, stage, reason, message, progress: None }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use landlord_core::{
        DesiredState, Timestamp,
        certificate::{CertificateWait, LimitedBy},
        journal,
    };

    use super::*;

    /// Hundreds that wait would otherwise tell of every place that is taken.
    #[test]
    fn who_waits_on_for_a_certificate_is_news_once() {
        let intent = journal::intend(&Stage::Isolation, DesiredState::Present, 1, Duration::ZERO, None, Timestamp(0));
        let until = |until: i64| {
            let wait = CertificateWait {
                authority: "https://a".into(),
                limited_by: LimitedBy::Orders,
                ordered: 1,
                max: 1,
                window_seconds: 60,
                of: String::new(),
                until: Timestamp(until),
            };
            StageRecord { detail: wait.to_string(), status: serde_json::to_vec(&wait).unwrap(), ..intent.clone() }
        };
        assert_eq!(changed(&intent, &until(1_000)).unwrap().reason, "StageProgress");
        assert_eq!(changed(&until(1_000), &until(2_000)), None);
        let over = StageRecord { detail: "it can be ordered".into(), ..intent.clone() };
        assert_eq!(changed(&until(2_000), &over).unwrap().reason, "StageProgress");
    }
}
