//! Revisions on trial are given up when what they bring does not come up: whoever waits for pods that never start waits for ever,
//! and the tenant would never be as it was.

use std::time::Duration;

use super::{CallReport, rules::RetryRules, tried_for};
use crate::{ErrorKind, Failure, Stage, StageRecord, Timestamp};

/// A stage may take so many times as long as it is expected to.
const EXPECTED_MAX: u32 = 3;
/// An observation begins within seconds of when it is due. What was not looked at for longer (a daemon that was away, a pause) is not known to
/// have been pending meanwhile.
const UNSEEN: Duration = Duration::from_secs(60);
/// At least this long a stage may be pending while revisions are on trial, before scaling: images are pulled, and nodes come for
/// new pods.
pub const TRIAL_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// Whether it depends on what a revision brings.
fn is_of_revision(stage: &Stage) -> bool {
    // Records wait for the addresses of the revision's load balancers.
    stage.is_in_cluster() || *stage == Stage::DnsRecords
}

/// Whether the time that a stage has been pending begins again: nobody looked at it, or it waited for its turn. `begun`: when the
/// present look began; how long it takes, as checks that wait for a chatbot do, is time that was seen.
pub(super) fn was_unseen(before: &StageRecord, begun: Timestamp) -> bool {
    let throttled = before.failure.as_ref().is_some_and(|failure| failure.kind == ErrorKind::Throttled);
    throttled || begun.since(before.poll_time) > UNSEEN
}

/// Why a stage is given up that is pending for too long with revisions on trial.
pub(super) fn overdue(
    before: &StageRecord,
    report: &CallReport,
    rules: &RetryRules,
    now: Timestamp,
) -> Option<Failure> {
    let seen = is_of_revision(&before.stage) && !was_unseen(before, now.before(report.took));
    let timeout = rules.trial_timeout.filter(|_| seen)?;
    let limit = Duration::from_millis(before.expected_ms).saturating_mul(EXPECTED_MAX).max(timeout);
    let waited = tried_for(before, now);
    (waited > limit).then(|| {
        let problem = format!("not done after {} min: {}", waited.as_secs() / 60, report.detail);
        Failure::new(ErrorKind::Conflict, problem)
            .with_remedy("whoever made the new revision corrects what the message names, and has it tried again")
    })
}
