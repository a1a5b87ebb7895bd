//! One total function from a stage's record and the result of a call to the next record. It is
//! where the retry rules live. Pure: time and jitter are values.

mod clamp;
mod rules;
mod sent;
mod trial;

use std::time::Duration;

use crate::{
    DesiredState, ErrorKind, Failure, Stage, StageRecord, StageState, Timestamp, certificate,
    stage::{FieldChange, Ownership, RemovedObject},
    time::BootTime,
};

use self::rules::{Verdict, backoff, given_up, held_check, is_teardown, verdict};
pub use self::{clamp::clamp, rules::RetryRules, trial::TRIAL_TIMEOUT};

/// A try counts as further than every one before when it lasts so many times as long: durations of clouds scatter, and a
/// try that fails a little later than the others is one of them.
const FURTHER: f64 = 1.5;
/// No cloud moves faster than this, and no loop turns faster.
const POLL_FLOOR: Duration = Duration::from_millis(20);
/// Hints below this mean "go on soon" and are followed; longer ones are only guesses.
const HINT_FOLLOWED_MAX: Duration = Duration::from_secs(3);
/// Nothing is observed before this part of its typical duration has passed.
const FIRST_POLL: f64 = 0.6;
/// Later observations follow in steps of this part of the typical duration: what is ready is noticed
/// within one per cent of the stage's time.
const POLL_STEP: f64 = 0.01;
/// What a cluster shows within moments is observed soon, then ever less often: after this part of the time that has
/// passed, so that it is noticed within so much of it.
const IN_CLUSTER_STEP: f64 = 1.0 / 16.0;
/// Pods are not scheduled and started faster than this.
const IN_CLUSTER_MIN: Duration = Duration::from_millis(100);
/// Images take minutes: then this is less than the step would be, and few requests for an API server.
const IN_CLUSTER_MAX: Duration = Duration::from_secs(2);
/// A READY tenant that is degraded is observed this much more often than a healthy one.
const DEGRADED_RESYNC_DIVISOR: u32 = 10;
/// Objects kept in a record; a tenant has a few dozen.
const REMOVED_MAX: usize = 1_000;

/// What a call gave.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CallReport {
    /// `true`: done in its desired state.
    pub done: bool,
    /// With `done`: there was nothing to do, for the reason in `detail` (a provider without DNS).
    pub skipped: bool,
    /// The provider's hint when to ask again.
    pub poll_after: Duration,
    /// Not called again before this has passed: a demand of the daemon's own, scaled already, instead of the hint.
    pub wait: Option<Duration>,
    /// When a wait for what may come late ends.
    pub late_end: Option<BootTime>,
    /// What is being waited for, or what was found.
    pub detail: String,
    /// Changes that the call sent.
    pub changes: Vec<FieldChange>,
    /// Cache of ids for the next call; `None`: unchanged.
    pub checkpoint: Option<Vec<u8>>,
    /// The stage's status; `None`: unchanged.
    pub status: Option<Vec<u8>>,
    /// What a delete removed.
    pub removed: Vec<RemovedObject>,
    /// How long the call took.
    pub took: Duration,
}

/// The intent of a stage, to be durable before its first call. `earlier` is the record of an
/// older generation, whose checkpoint and status stay useful.
#[must_use]
pub fn intend(
    stage: &Stage,
    desired_state: DesiredState,
    generation: i64,
    expected: Duration,
    earlier: Option<&StageRecord>,
    now: Timestamp,
) -> StageRecord {
    StageRecord {
        stage: stage.clone(),
        desired_state,
        generation,
        state: StageState::Running,
        attempt: 1,
        start_time: now,
        end_time: None,
        expected_ms: millis(expected),
        poll_time: now,
        detail: String::new(),
        failure: None,
        failing_since: None,
        failures: 0,
        try_time: None,
        furthest_ms: 0,
        unanswered_time: earlier.and_then(|record| record.unanswered_time),
        late_end: None,
        sent: None,
        ownership: earlier.map(|record| record.ownership).unwrap_or_default(),
        checkpoint: earlier.map(|record| record.checkpoint.clone()).unwrap_or_default(),
        status: earlier.map(|record| record.status.clone()).unwrap_or_default(),
        removed: earlier.map(|record| record.removed.clone()).unwrap_or_default(),
    }
}

/// The record after a call. `jitter` is 0 to 1.
#[must_use]
pub fn record(
    before: &StageRecord,
    result: Result<CallReport, Failure>,
    force: bool,
    rules: &RetryRules,
    jitter: f64,
    now: Timestamp,
) -> StageRecord {
    let ownership = ownership(before.ownership, &result);
    let is_unanswered = before.desired_state == DesiredState::Present && is_unanswered(&result);
    let sent = result.as_ref().ok().map(|report| sent::sent(before, &report.changes, now));
    let dropped = sent.as_ref().and_then(|sent| sent::dropped(sent.as_ref()?, rules, now));
    let mut after = match result {
        Ok(_) if let Some(failure) = dropped => given_up_at(before, failure, now),
        Ok(report) if let Some(failure) = overdue(before, &report, rules, now) => given_up_at(before, failure, now),
        Ok(report) => succeeded(before, report, rules, now),
        Err(failure) if is_only_an_observation(before, &failure) => degraded(before, failure, rules, now),
        Err(failure) => failed(before, failure, force, rules, jitter, now),
    };
    after.ownership = ownership;
    if is_unanswered {
        after.unanswered_time = Some(now);
    }
    if let Some(sent) = sent {
        after.sent = sent.filter(|_| after.state == StageState::Running);
    }
    after
}

fn overdue(before: &StageRecord, report: &CallReport, rules: &RetryRules, now: Timestamp) -> Option<Failure> {
    // What drifted begins again with this observation.
    let is_pending = !report.done && before.state == StageState::Running;
    is_pending.then(|| trial::overdue(before, report, rules, now)).flatten()
}

/// Whether a call may have begun something, and nobody knows.
fn is_unanswered(result: &Result<CallReport, Failure>) -> bool {
    let kind = result.as_ref().err().map(|failure| failure.kind);
    matches!(kind, Some(ErrorKind::Transient | ErrorKind::Internal))
}

/// A stage that goes no further until somebody acts.
fn given_up_at(before: &StageRecord, failure: Failure, now: Timestamp) -> StageRecord {
    let mut after = before.clone();
    after.state = StageState::Failed;
    after.end_time = Some(now);
    after.poll_time = now;
    after.detail.clone_from(&failure.message);
    after.failing_since = before.failing_since.or(Some(now));
    after.failures = before.failures.saturating_add(1);
    after.failure = Some(failure);
    after
}

fn ownership(before: Ownership, result: &Result<CallReport, Failure>) -> Ownership {
    let kind = result.as_ref().err().map(|failure| failure.kind);
    match (before, kind) {
        (_, None) => Ownership::Ours,
        (Ownership::Unanswered, Some(ErrorKind::Throttled)) => Ownership::Unanswered,
        (Ownership::Unanswered, Some(ErrorKind::NameTaken)) => Ownership::Foreign,
        // The response may be an error, and the object there all the same.
        (Ownership::Unanswered, Some(_)) => Ownership::Ours,
        (Ownership::Ours | Ownership::Foreign, Some(_)) => before,
    }
}

/// What is READY stays so when an observation fails. What is gone stays so only if nobody could be reached: any other error
/// of a removal reports that something is there.
fn is_only_an_observation(before: &StageRecord, failure: &Failure) -> bool {
    before.state == StageState::Done
        && (before.desired_state == DesiredState::Present
            || matches!(failure.kind, ErrorKind::Throttled | ErrorKind::Transient | ErrorKind::Internal))
}

/// Whether a removal that was reported as FAILED goes on by itself when what keeps it is over: somebody puts a marker back
/// (ours by record, and an object of its name has none), or a provider that only returned INTERNAL is replaced.
#[must_use]
pub fn is_held(record: &StageRecord) -> bool {
    record.desired_state == DesiredState::Absent
        && record.state == StageState::Failed
        && record.failure.as_ref().is_some_and(|failure| held_check(failure).is_some())
}

fn succeeded(before: &StageRecord, report: CallReport, rules: &RetryRules, now: Timestamp) -> StageRecord {
    let mut after = before.clone();
    after.detail = report.detail;
    after.late_end = report.late_end;
    if let Some(checkpoint) = report.checkpoint {
        after.checkpoint = checkpoint;
    }
    if let Some(status) = report.status {
        after.status = status;
    }
    if certificate::wait(before).is_some() && certificate::wait(&after).is_none() {
        // Days may have passed in which nothing was done: its work begins now.
        after.start_time = now.before(report.took);
    }
    for object in report.removed {
        if after.removed.len() < REMOVED_MAX && !after.removed.contains(&object) {
            after.removed.push(object);
        }
    }
    if report.done {
        after.failure = None;
        after.end_streak();
        after.try_time = None;
        after.furthest_ms = 0;
        if before.state != StageState::Done {
            after.end_time = Some(now);
        }
        after.state = if report.skipped { StageState::Skipped } else { StageState::Done };
        after.poll_time = now.after(rules.interval(&after.stage, after.desired_state));
    } else {
        let begun = now.before(report.took);
        if before.state == StageState::Done {
            // Drift: the repair is work with a beginning of its own.
            after.start_time = now;
            after.failure = None;
            after.end_streak();
        }
        after.end_time = None;
        after.state = StageState::Running;
        if rules.trial_timeout.is_some() && before.state == StageState::Running && trial::was_unseen(before, begun) {
            after.try_time = Some(now);
        }
        // Waiting for a rate limit is over when a call went out.
        after.failure.take_if(|failure| failure.kind == ErrorKind::Throttled);
        // Of a teardown only an API server that can't be reached counts, and this one responded.
        let is_over = is_teardown(&after) || tried_for(&after, now) > furthest(&after).mul_f64(FURTHER);
        if after.failing_since.is_some() && is_over {
            after.failure = None;
            after.end_streak();
        }
        let wait = report.wait.unwrap_or_else(|| next_poll(&after, report.poll_after, rules, now));
        after.poll_time = now.after(wait.max(POLL_FLOOR));
    }
    after
}

impl StageRecord {
    fn end_streak(&mut self) {
        self.failing_since = None;
        self.failures = 0;
    }
}

/// How long the present try has been under way.
fn tried_for(record: &StageRecord, now: Timestamp) -> Duration {
    now.since(record.try_time.unwrap_or(record.start_time))
}

fn furthest(record: &StageRecord) -> Duration {
    Duration::from_millis(record.furthest_ms)
}

fn next_poll(record: &StageRecord, hint: Duration, rules: &RetryRules, now: Timestamp) -> Duration {
    let expected = Duration::from_millis(record.expected_ms);
    let elapsed = now.since(record.start_time);
    let first = expected.mul_f64(FIRST_POLL);
    let planned = if elapsed < first { first.saturating_sub(elapsed) } else { expected.mul_f64(POLL_STEP) };
    let hinted = hint.mul_f64(rules.time_scale);
    if hint > HINT_FOLLOWED_MAX || hint.is_zero() {
        return planned.max(POLL_FLOOR);
    }
    if record.stage.is_in_cluster() {
        let [least, most] = [IN_CLUSTER_MIN, IN_CLUSTER_MAX].map(|wait| wait.mul_f64(rules.time_scale));
        return elapsed.mul_f64(IN_CLUSTER_STEP).clamp(least, most).max(POLL_FLOOR);
    }
    planned.min(hinted).max(POLL_FLOOR)
}

/// An observation of what is READY failed: it stays READY, and is observed again sooner.
fn degraded(before: &StageRecord, failure: Failure, rules: &RetryRules, now: Timestamp) -> StageRecord {
    let mut after = before.clone();
    after.failing_since = before.failing_since.or(Some(now));
    after.failures = before.failures.saturating_add(1);
    after.failure = Some(failure);
    let soon = rules.resync_interval / DEGRADED_RESYNC_DIVISOR;
    after.poll_time = now.after(rules.interval(&after.stage, after.desired_state).min(soon));
    after
}

fn failed(
    before: &StageRecord,
    failure: Failure,
    force: bool,
    rules: &RetryRules,
    jitter: f64,
    now: Timestamp,
) -> StageRecord {
    let mut after = before.clone();
    // Being throttled is waiting, not failing: it must not use up the timeout for what fails after it.
    if failure.kind != ErrorKind::Throttled {
        after.furthest_ms = before.furthest_ms.max(millis(tried_for(before, now)));
        after.try_time = Some(now);
        // The time in which somebody held a teardown does not count against the API server.
        let was_held = is_teardown(before)
            && before.failure.as_ref().is_some_and(|last| last.kind == ErrorKind::Conflict)
            && failure.kind != ErrorKind::Conflict;
        after.failing_since = before.failing_since.filter(|_| !was_held).or(Some(now));
        after.failures = before.failures.saturating_add(1);
        after.attempt = before.attempt.saturating_add(1);
    }
    let failing_for = after.failing_since.map_or(Duration::ZERO, |since| now.since(since));
    after.detail.clone_from(&failure.message);
    let verdict = verdict(&after, &failure, failing_for, force, rules);
    let retry_after = failure.retry_after().unwrap_or_default();
    let wait = backoff(&failure, after.failures, jitter).mul_f64(rules.time_scale).max(retry_after);
    after.poll_time = now.after(wait.max(POLL_FLOOR));
    let is_failed = matches!(verdict, Verdict::Fail);
    let held = held_check(&failure).filter(|_| is_failed && before.desired_state == DesiredState::Absent);
    if let Some(check) = held {
        after.poll_time = now.after(check.mul_f64(rules.time_scale).max(POLL_FLOOR));
    }
    let is_only_waiting = failure.kind == ErrorKind::Throttled
        && before.failure.as_ref().is_some_and(|last| last.kind != ErrorKind::Throttled);
    if !is_only_waiting {
        after.failure = Some(failure);
    }
    match verdict {
        // Also what was done: something is there.
        Verdict::Retry => {
            after.state = StageState::Running;
            after.end_time = None;
        }
        Verdict::Fail => {
            after.state = StageState::Failed;
            after.end_time = Some(now);
            // A taken name is searched for again while a removal is held by it: its remedy may say so.
            let promises = |failure: &&mut Failure| failure.kind != ErrorKind::NameTaken || failure.remedy.is_empty();
            if let Some(failure) = after.failure.as_mut().filter(promises) {
                failure.remedy = given_up(failure);
            }
        }
        Verdict::Skip => {
            after.state = StageState::Skipped;
            after.end_time = Some(now);
            after.detail = format!("skipped: {}", after.detail);
        }
    }
    after
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
