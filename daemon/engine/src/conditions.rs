//! The tenant's state and conditions, as they follow from its records. Pure.

use landlord_core::{
    Condition, DesiredState, Failure, Stage, StageRecord, StageState, State, Timestamp, certificate,
    environment::{CUSTOMER_FROZEN, EnvironmentStatus, VERIFY_FAILED},
    ports::{CheckOutcome, CheckResult, Concern, VerifyStatus, Work},
    step::{Steady, record_in},
};

/// The provider does not respond, for this account.
const PROVIDER_DEGRADED: &str = "ProviderDegraded";
/// Addresses of the stack that lead nowhere yet, of an environment that is READY without them.
const ENDPOINTS_PENDING: &str = "EndpointsPending";
/// Checks of the stack that the environment is READY without.
const CHECKS_NOT_RUN: &str = "ChecksNotRun";
/// Checks of the stack that passed with a warning: documents that the chatbot can't read.
const CHECKS_WARN: &str = "ChecksWarn";

/// The revision of its stack or platform can't be used: nothing is done until it can.
const REVISION_UNUSABLE: &str = "RevisionUnusable";

/// A certificate can't be ordered yet: its authority gives this installation no more for now.
const CERTIFICATE_PENDING: &str = "CertificatePending";
/// Its reasons while it waits, and when it does not any more.
const CERTIFICATE_REASONS: (&str, &str) = ("LimitReached", "Ordered");

/// The tenant's status while it is worked on, by its records as they are now.
pub(crate) fn working(work: &Work) -> EnvironmentStatus {
    let environment = &work.environment;
    let state = environment.working_state();
    let mut status = environment.status.clone();
    status.state = state;
    let (reason, message) = match retrying(work) {
        Some(record) => ("Retrying", format!("{}, attempt {}: {}", record.stage, record.attempt, failure(record))),
        None => ("Working", "work is under way".to_owned()),
    };
    set(&mut status, "Progressing", true, reason, &message, work.now);
    set(&mut status, "Paused", false, "NotPaused", "", work.now);
    if environment.desired_state == DesiredState::Absent {
        // What is taken away leads nowhere, and waits for no address.
        status.endpoints.clear();
        status
            .conditions
            .retain(|condition| ![ENDPOINTS_PENDING, CERTIFICATE_PENDING].contains(&condition.r#type.as_str()));
    }
    let missing = drifted(work);
    if state != State::Updating {
        set(&mut status, "Ready", false, "Working", "not ready yet", work.now);
    } else if !missing.is_empty() {
        set(&mut status, "Ready", false, "Drifted", &missing.join("; "), work.now);
    } else if status.conditions.iter().any(|c| c.r#type == "Ready" && !c.status) {
        // What an earlier failure left there is not what is so now.
        set(&mut status, "Ready", false, "Working", "not ready yet", work.now);
    }
    status
}

/// The stage whose failure lasts longest, if any is tried again.
fn retrying(work: &Work) -> Option<&StageRecord> {
    let live = work.stages.iter().filter(|record| record.desired_state == work.environment.desired_state);
    let failing = live.filter(|record| record.state == StageState::Running && record.failing_since.is_some());
    failing.min_by_key(|record| record.failing_since)
}

/// What is missing or different of what was READY in this very generation.
fn drifted(work: &Work) -> Vec<String> {
    let environment = &work.environment;
    if environment.desired_state == DesiredState::Absent
        || environment.status.observed_generation != environment.generation
    {
        return Vec::new();
    }
    let open = work.stages.iter().filter(|record| {
        record.desired_state == DesiredState::Present
            && record.generation == environment.generation
            && matches!(record.state, StageState::Running | StageState::Failed)
    });
    open.map(|record| format!("{}: {}", record.stage, record.detail)).collect()
}

/// The status that follows from the records after one of them changed: nothing while observations of what is READY find it so.
pub(crate) fn followed(work: &Work) -> EnvironmentStatus {
    let environment = &work.environment;
    let rests = matches!(environment.status.state, State::Ready | State::Failed);
    let works = work.stages.iter().any(|record| {
        let current = environment.desired_state == DesiredState::Absent || record.generation == environment.generation;
        current && record.desired_state == environment.desired_state && record.state == StageState::Running
    });
    if rests && !works { environment.status.clone() } else { working(work) }
}

/// A status with what is known of the provider: the condition `ProviderDegraded` appears with the first error, and turns
/// when calls are handled again.
pub(crate) fn provider(mut status: EnvironmentStatus, error: Option<&str>, now: Timestamp) -> EnvironmentStatus {
    let known = status.conditions.iter().find(|condition| condition.r#type == PROVIDER_DEGRADED);
    if known.is_some_and(|condition| condition.status) == error.is_some() {
        return status;
    }
    match error {
        Some(error) => {
            let message = format!("calls get no response; this delays and fails nothing; the last error: {error}");
            set(&mut status, PROVIDER_DEGRADED, true, "NoResponse", &message, now);
        }
        None => set(&mut status, PROVIDER_DEGRADED, false, "Responding", "", now),
    }
    status
}

/// A status with why the revision that it runs can't be used, and who must do what; `None`: it can. There from the first such
/// failure on.
pub(crate) fn revision(mut status: EnvironmentStatus, failure: Option<&Failure>, now: Timestamp) -> EnvironmentStatus {
    let messages: Vec<String> =
        failure.map(|failure| format!("{}; {}", failure.message, failure.remedy)).into_iter().collect();
    set_while_any(&mut status, REVISION_UNUSABLE, ("Unusable", "Loaded"), &messages, now);
    status
}

/// The tenant's status when it comes to rest.
pub(crate) fn rested(work: &Work, steady: &Steady) -> EnvironmentStatus {
    let mut status = work.environment.status.clone();
    status.progress = None;
    if !matches!(steady, Steady::Ready { .. }) {
        // Nobody looks for a place for it now.
        status.conditions.retain(|condition| condition.r#type != CERTIFICATE_PENDING || !condition.status);
    }
    match steady {
        Steady::Ready { .. } => {
            status.state = State::Ready;
            // Also if what it is now orders none.
            set_while_any(&mut status, CERTIFICATE_PENDING, CERTIFICATE_REASONS, &[], work.now);
            status.observed_generation = work.environment.generation;
            let verified = verified(work);
            if let Some(verified) = &verified {
                status.endpoints.clone_from(&verified.endpoints);
            }
            let degraded = work.stages.iter().find(|r| r.desired_state == DesiredState::Present && r.failure.is_some());
            match degraded {
                None => set(&mut status, "Ready", true, "Reconciled", "as ordered, and answering", work.now),
                Some(record) => {
                    let message = format!("the last resync of {} failed: {}", record.stage, failure(record));
                    set(&mut status, "Ready", true, "ResyncFailed", &message, work.now);
                }
            }
            set(&mut status, "Progressing", false, "Settled", "", work.now);
            set(&mut status, "Paused", false, "NotPaused", "", work.now);
            if let Some(verified) = verified {
                of_endpoints(&mut status, &verified.pending, work.now);
                of_checks(&mut status, &verified.checks, work.now);
            }
        }
        Steady::Failed { stage, failure, .. } => {
            status.state = State::Failed;
            let message = format!("{stage}: {failure}");
            set(&mut status, "Ready", false, "StageFailed", &message, work.now);
            set(&mut status, "Progressing", false, "StageFailed", &failure.remedy, work.now);
            set(&mut status, "Paused", false, "NotPaused", "", work.now);
        }
        Steady::Paused => {
            let (reason, why) = match &work.frozen {
                Some(why) => (CUSTOMER_FROZEN, format!("{why}; nothing is changed but by a delete")),
                None => ("PausedByUser", "no work is done until it is resumed".to_owned()),
            };
            set(&mut status, "Paused", true, reason, &why, work.now);
            set(&mut status, "Progressing", false, "Paused", "", work.now);
        }
        Steady::Stopped => {
            status.state = State::Failed;
            let message = "its operation was cancelled, and work stopped where it was; retry, update or delete it";
            set(&mut status, "Ready", false, "Cancelled", message, work.now);
            set(&mut status, "Progressing", false, "Cancelled", message, work.now);
        }
        Steady::Gone => {}
    }
    status
}

/// A record's last failure with its remedy.
pub(crate) fn failure(record: &StageRecord) -> String {
    let Some(failure) = &record.failure else { return String::new() };
    if failure.remedy.is_empty() { failure.to_string() } else { format!("{failure} (remedy: {})", failure.remedy) }
}

/// What is kept of the stage `verify`; `None`: there is no stack.
fn verified(work: &Work) -> Option<VerifyStatus> {
    let record = record_in(work, DesiredState::Present, &Stage::Verify)?;
    serde_json::from_slice(&record.status).ok()
}

/// READY without an address is said, with each cause.
fn of_endpoints(status: &mut EnvironmentStatus, pending: &[String], now: Timestamp) {
    match pending.join("; ").as_str() {
        "" => set(status, ENDPOINTS_PENDING, false, "Reachable", "", now),
        why => set(status, ENDPOINTS_PENDING, true, "NoAddress", why, now),
    }
}

/// A status with what the checks of one run found that somebody must act on: also while the environment is not READY for it, or
/// nobody would learn what keeps it so. Until they were run, what they had found is as it was.
pub(crate) fn checked(mut status: EnvironmentStatus, work: &Work, record: &StageRecord) -> EnvironmentStatus {
    if record.desired_state != DesiredState::Present {
        return status;
    }
    if certificate::is_ordered_by(&record.stage) {
        let waits = certificate::waits(&work.stages, work.environment.generation);
        set_while_any(&mut status, CERTIFICATE_PENDING, CERTIFICATE_REASONS, &waits, work.now);
    }
    if record.stage != Stage::Verify {
        return status;
    }
    let found = serde_json::from_slice::<VerifyStatus>(&record.status).unwrap_or_default();
    if !found.checks.is_empty() || record.state == StageState::Done {
        of_concerns(&mut status, &found.checks, work.now);
    }
    of_verify(&mut status, work, record, &found.checks);
    status
}

/// What was READY in this very generation and does not pass any more, with why. A certificate that ends soon serves still, and
/// one that has ended is seen by whoever looks.
fn of_verify(status: &mut EnvironmentStatus, work: &Work, record: &StageRecord, checks: &[CheckResult]) {
    let (reasons, now) = (("Failing", "Passed"), work.now);
    let was_ready = work.environment.status.observed_generation == work.environment.generation;
    match record.state {
        StageState::Done | StageState::Skipped => set_while_any(status, VERIFY_FAILED, reasons, &[], now),
        StageState::Running if was_ready && record.failure.is_none() => {
            let failed = checks.iter().filter(|check| check.outcome == CheckOutcome::Failed);
            let unused = failed.filter(|check| check.concern != Some(Concern::CertificateExpiring));
            let mut unused: Vec<&CheckResult> = unused.collect();
            // What somebody must act on comes first: whoever keeps this as a cause keeps its beginning.
            unused.sort_by_key(|check| check.concern.is_none());
            let mut causes: Vec<String> = unused.into_iter().map(with_remedy).collect();
            // Nothing that was looked at is wrong, or nothing was: the stage waits for something else.
            if checks.iter().all(|check| check.outcome != CheckOutcome::Failed) {
                causes.push(record.detail.clone());
            }
            set_while_any(status, VERIFY_FAILED, reasons, &causes, now);
        }
        StageState::Running | StageState::Failed => {}
    }
}

/// Fewer checks than the stack has are never run silently, and no warning is lost.
fn of_checks(status: &mut EnvironmentStatus, checks: &[CheckResult], now: Timestamp) {
    let not_run = checks.iter().filter(|check| check.outcome == CheckOutcome::NotRun);
    let not_run: Vec<String> = not_run.map(|check| format!("{}: {}", check.name, check.detail)).collect();
    set_while_any(status, CHECKS_NOT_RUN, ("LeftOut", "AllRun"), &not_run, now);
    let warned = checks.iter().filter(|check| check.outcome == CheckOutcome::Passed && !check.remedy.is_empty());
    let warned: Vec<String> = warned.map(with_remedy).collect();
    set_while_any(status, CHECKS_WARN, ("Warned", "NothingToTell"), &warned, now);
}

fn with_remedy(check: &CheckResult) -> String {
    format!("{}: {}; {}", check.name, check.detail, check.remedy)
}

/// Each concern of the checks is a condition, from the first time on. A check that was not run says nothing of what it had found.
fn of_concerns(status: &mut EnvironmentStatus, checks: &[CheckResult], now: Timestamp) {
    for concern in Concern::ALL {
        let found = checks.iter().filter(|check| check.concern == Some(concern));
        let found: Vec<String> = found.map(with_remedy).collect();
        let (kind, (some, none), holds) = of_concern(concern);
        let before = status.conditions.iter().find(|condition| condition.r#type == kind);
        let is_unknown = before.is_some_and(|condition| {
            let not_run = |check: &&CheckResult| check.outcome == CheckOutcome::NotRun;
            let mut not_run = checks.iter().filter(not_run);
            condition.status == holds
                && not_run.any(|check| condition.message.starts_with(&format!("{}: ", check.name)))
        });
        if !found.is_empty() {
            set(status, kind, holds, some, &found.join("; "), now);
        } else if before.is_some() && !is_unknown {
            set(status, kind, !holds, none, "", now);
        }
    }
}

/// What a status says of a concern while there is something to report.
pub(crate) fn of_status(status: &EnvironmentStatus, concern: Concern) -> Option<&str> {
    let (kind, _, holds) = of_concern(concern);
    let found = status.conditions.iter().find(|condition| condition.r#type == kind && condition.status == holds);
    found.map(|condition| condition.message.as_str())
}

/// The condition of a concern: its type, its reasons while there is something to report and when it is over, and its status while
/// there is.
fn of_concern(concern: Concern) -> (&'static str, (&'static str, &'static str), bool) {
    match concern {
        Concern::CertificateExpiring => ("CertificateExpiring", ("EndsSoon", "Renewed"), true),
        Concern::DiskNearlyFull => ("DiskNearlyFull", ("LittleRoom", "Room"), true),
        Concern::ModelMissing => ("ModelMissing", ("NotOffered", "Offered"), true),
        Concern::DocumentsRefused => ("DocumentsRefused", ("Refused", "AllRead"), true),
        Concern::DomainNotDelegated => ("DomainDelegated", ("NotDelegated", "Delegated"), false),
        Concern::CheckedFromInside => ("CheckedFromInside", ("NotReached", "Reached"), true),
    }
}

/// A condition that holds while there is something to report, and is not there before the first time. Reasons: some, none.
fn set_while_any(
    status: &mut EnvironmentStatus,
    kind: &str,
    (some, none): (&str, &str),
    messages: &[String],
    now: Timestamp,
) {
    if !messages.is_empty() {
        set(status, kind, true, some, &messages.join("; "), now);
    } else if status.conditions.iter().any(|condition| condition.r#type == kind) {
        set(status, kind, false, none, "", now);
    }
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn ready() -> EnvironmentStatus {
        EnvironmentStatus {
            state: State::Ready,
            observed_generation: 1,
            conditions: Vec::new(),
            endpoints: Vec::new(),
            progress: None,
        }
    }

    fn holds(status: &EnvironmentStatus, kind: &str) -> Option<(bool, String)> {
        status.conditions.iter().find(|c| c.r#type == kind).map(|c| (c.status, c.message.clone()))
    }

    #[test]
    fn an_address_that_leads_nowhere_is_a_condition_with_its_cause() {
        let mut status = ready();
        let pending = ["chat: the Gateway has no address".to_owned(), "sftp: no endpoint is ready".to_owned()];
        of_endpoints(&mut status, &pending, Timestamp(1));
        assert_eq!(holds(&status, ENDPOINTS_PENDING), Some((true, pending.join("; "))));
        of_endpoints(&mut status, &[], Timestamp(2));
        assert_eq!(holds(&status, ENDPOINTS_PENDING), Some((false, String::new())));
    }

    #[test]
    fn checks_left_out_and_warnings_are_conditions_until_there_are_none() {
        let check = |outcome, detail: &str, remedy: &str| CheckResult {
            name: "documents".into(),
            outcome,
            detail: detail.into(),
            remedy: remedy.into(),
            duration: Duration::ZERO,
            concern: None,
        };
        let mut status = ready();
        of_checks(&mut status, &[check(CheckOutcome::Passed, "", "")], Timestamp(1));
        assert!(status.conditions.is_empty(), "nothing to report: {:?}", status.conditions);
        let checks = [
            check(CheckOutcome::NotRun, "the class orders it to be left out", ""),
            check(CheckOutcome::Passed, "1 refused", "inform the customer"),
        ];
        of_checks(&mut status, &checks, Timestamp(2));
        let left_out = "documents: the class orders it to be left out".to_owned();
        assert_eq!(holds(&status, CHECKS_NOT_RUN), Some((true, left_out)));
        assert_eq!(holds(&status, CHECKS_WARN), Some((true, "documents: 1 refused; inform the customer".to_owned())));
        of_checks(&mut status, &[check(CheckOutcome::Passed, "", "")], Timestamp(3));
        assert_eq!(holds(&status, CHECKS_NOT_RUN), Some((false, String::new())));
        assert_eq!(holds(&status, CHECKS_WARN), Some((false, String::new())));
    }

    /// Nobody who waits for READY learns what to do otherwise.
    #[test]
    fn a_domain_that_is_not_delegated_is_shown_while_it_is_waited_for_and_stays_while_nobody_knows() {
        let check = |outcome, detail: &str, concern| CheckResult {
            name: "names".into(),
            outcome,
            detail: detail.into(),
            remedy: "set its NS records to ns1.cloud.example.".into(),
            duration: Duration::ZERO,
            concern,
        };
        let mut status = ready();
        let failed = check(CheckOutcome::Failed, "knows no name", Some(Concern::DomainNotDelegated));
        of_concerns(&mut status, &[failed], Timestamp(1));
        let message = "names: knows no name; set its NS records to ns1.cloud.example.".to_owned();
        assert_eq!(holds(&status, "DomainDelegated"), Some((false, message.clone())));
        of_concerns(&mut status, &[check(CheckOutcome::NotRun, "nobody responds", None)], Timestamp(2));
        assert_eq!(holds(&status, "DomainDelegated"), Some((false, message)));
        of_concerns(&mut status, &[check(CheckOutcome::Passed, "3 names", None)], Timestamp(3));
        assert_eq!(holds(&status, "DomainDelegated"), Some((true, String::new())));
    }

    #[test]
    fn each_concern_is_a_condition_and_an_event_when_it_begins() {
        let rested = ready();
        for concern in Concern::ALL {
            let check = |concern| CheckResult {
                name: "certificates".into(),
                outcome: CheckOutcome::Passed,
                detail: "the first ends in 12 days".into(),
                remedy: "see why".into(),
                duration: Duration::ZERO,
                concern,
            };
            let (kind, _, holds) = of_concern(concern);
            let (mut begun, mut over) = (rested.clone(), rested.clone());
            of_concerns(&mut begun, &[check(Some(concern))], Timestamp(1));
            let events = crate::events::concerns(&rested, &begun);
            assert_eq!(events.len(), 1, "{events:?}");
            assert_eq!(events[0].reason, format!("{concern:?}"));
            assert_eq!(events[0].message, "certificates: the first ends in 12 days; see why");
            over.conditions.clone_from(&begun.conditions);
            of_concerns(&mut over, &[check(Some(concern))], Timestamp(2));
            assert!(crate::events::concerns(&begun, &over).is_empty(), "an event once");
            of_concerns(&mut over, &[check(None)], Timestamp(3));
            assert!(over.conditions.iter().any(|condition| condition.r#type == kind && condition.status != holds));
            assert!(crate::events::concerns(&begun, &over).is_empty());
        }
    }
}
