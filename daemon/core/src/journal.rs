//! One total function from a stage's record and the result of a call to the next record. It is
//! where the retry rules live. Pure: time and jitter are values.

use std::time::Duration;

use crate::{
    DesiredState, ErrorKind, Failure, Stage, StageRecord, StageState, Timestamp,
    stage::{Ownership, RemovedObject},
};

/// Bounds of retrying, before scaling.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryRules {
    /// Transient errors fail a stage of a create after this long without one success.
    pub retry_timeout: Duration,
    /// A delete goes on without an unreachable API server after this long.
    pub teardown_timeout: Duration,
    /// READY tenants are observed again this often.
    pub resync_interval: Duration,
    /// What a host cluster has and what is taken of it is counted this often.
    pub capacity_interval: Duration,
    /// Multiplies every duration but these two intervals; 1.0 in production.
    pub time_scale: f64,
}

impl RetryRules {
    /// How often a stage that is done is observed again.
    fn interval(&self, stage: &Stage, desired_state: DesiredState) -> Duration {
        if desired_state == DesiredState::Absent {
            return ABSENCE_CHECK.mul_f64(self.time_scale);
        }
        if *stage == Stage::Capacity { self.capacity_interval } else { self.resync_interval }
    }
}

/// Capacity comes back within the hour or the order must go elsewhere.
const CAPACITY_TIMEOUT: Duration = Duration::from_secs(30 * 60);
/// A try counts as further than every one before when it lasts so many times as long: durations of clouds scatter, and a
/// try that fails a little later than the others is one of them.
const FURTHER: f64 = 1.5;
/// First wait after a transient error; doubles with each failure of a streak.
const BACKOFF_FIRST: Duration = Duration::from_secs(1);
/// Longest wait between two tries: an outage's end is noticed within a minute.
const BACKOFF_MAX: Duration = Duration::from_secs(60);
/// Wait after throttling; the rate buckets do the real slowing down.
const THROTTLE_WAIT: Duration = Duration::from_secs(2);
/// Tries to get capacity are cheap for us and costly for the cloud.
const CAPACITY_WAIT: Duration = Duration::from_secs(60);
/// A bug does not heal by itself; a few tries ride out a half-started process.
const INTERNAL_TRIES_MAX: u32 = 5;
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
/// While later stages of a removal still run, what is done is checked again this often: an object may have come back, or
/// its marker.
const ABSENCE_CHECK: Duration = Duration::from_secs(120);
/// A removal that is held by an object without its marker checks this often whether the marker is back.
const HELD_CHECK: Duration = Duration::from_secs(30);
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
    /// What is being waited for, or what was found.
    pub detail: String,
    /// Cache of ids for the next call; `None`: unchanged.
    pub checkpoint: Option<Vec<u8>>,
    /// The stage's status; `None`: unchanged.
    pub status: Option<Vec<u8>>,
    /// What a delete removed.
    pub removed: Vec<RemovedObject>,
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
    let mut after = match result {
        Ok(report) => succeeded(before, report, rules, now),
        Err(failure) if is_only_an_observation(before, &failure) => degraded(before, failure, rules, now),
        Err(failure) => failed(before, failure, force, rules, jitter, now),
    };
    after.ownership = ownership;
    after
}

fn ownership(before: Ownership, result: &Result<CallReport, Failure>) -> Ownership {
    let kind = result.as_ref().err().map(|failure| failure.kind);
    match (before, kind) {
        (_, None) => Ownership::Ours,
        (Ownership::Unanswered, Some(ErrorKind::Throttled)) => Ownership::Unanswered,
        (Ownership::Unanswered, Some(ErrorKind::NameTaken)) => Ownership::Foreign,
        // The answer may be an error, and the object there all the same.
        (Ownership::Unanswered, Some(_)) => Ownership::Ours,
        (Ownership::Ours | Ownership::Foreign, Some(_)) => before,
    }
}

/// What is READY stays so when an observation fails. What is gone stays so only if nobody could be asked: any other error
/// of a removal tells that something is there.
fn is_only_an_observation(before: &StageRecord, failure: &Failure) -> bool {
    before.state == StageState::Done
        && (before.desired_state == DesiredState::Present
            || matches!(failure.kind, ErrorKind::Throttled | ErrorKind::Transient | ErrorKind::Internal))
}

/// Whether a removal waits for somebody to put a marker back: ours by record, and an object of its name has no marker.
#[must_use]
pub fn is_held(record: &StageRecord) -> bool {
    record.desired_state == DesiredState::Absent
        && record.state == StageState::Failed
        && record.failure.as_ref().is_some_and(|failure| failure.kind == ErrorKind::NameTaken)
}

fn succeeded(before: &StageRecord, report: CallReport, rules: &RetryRules, now: Timestamp) -> StageRecord {
    let mut after = before.clone();
    after.detail = report.detail;
    if let Some(checkpoint) = report.checkpoint {
        after.checkpoint = checkpoint;
    }
    if let Some(status) = report.status {
        after.status = status;
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
        if before.state == StageState::Done {
            // Drift: the repair is work with a beginning of its own.
            after.start_time = now;
            after.failure = None;
            after.end_streak();
        }
        after.end_time = None;
        after.state = StageState::Running;
        // Waiting for a rate limit is over when a call went out.
        after.failure.take_if(|failure| failure.kind == ErrorKind::Throttled);
        // Of a teardown only an API server that can't be reached counts, and this one answered.
        let is_over = is_teardown(&after) || tried_for(&after, now) > furthest(&after).mul_f64(FURTHER);
        if after.failing_since.is_some() && is_over {
            after.failure = None;
            after.end_streak();
        }
        after.poll_time = now.after(next_poll(&after, report.poll_after, rules, now));
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
        after.failing_since = before.failing_since.or(Some(now));
        after.failures = before.failures.saturating_add(1);
        after.attempt = before.attempt.saturating_add(1);
    }
    let failing_for = after.failing_since.map_or(Duration::ZERO, |since| now.since(since));
    after.detail.clone_from(&failure.message);
    let verdict = verdict(&after, &failure, failing_for, force, rules);
    let retry_after = failure.retry_after().unwrap_or_default();
    let wait = backoff(&failure, after.failures, jitter).mul_f64(rules.time_scale).max(retry_after);
    after.poll_time = now.after(wait.max(POLL_FLOOR));
    let is_held = before.desired_state == DesiredState::Absent && failure.kind == ErrorKind::NameTaken;
    if is_held {
        after.poll_time = now.after(HELD_CHECK.mul_f64(rules.time_scale).max(POLL_FLOOR));
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
            if let Some(failure) = after.failure.as_mut().filter(|_| !is_held) {
                failure.remedy = given_up(&failure.remedy);
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

/// The remedy of a stage that gave up: what promises to go on by itself is not true any more.
fn given_up(remedy: &str) -> String {
    const PROMISES: [&str; 4] = ["again by itself", "does so by itself", "it is tried again", "nothing to do"];
    let clauses = remedy.split(';').map(str::trim).filter(|clause| !clause.is_empty());
    let kept: Vec<&str> = clauses.filter(|clause| !PROMISES.iter().any(|promise| clause.contains(promise))).collect();
    let was_promised = PROMISES.iter().any(|promise| remedy.contains(promise));
    match (was_promised, kept.is_empty()) {
        (false, false) => remedy.to_owned(),
        (true, false) => format!("{}; then retry", kept.join("; ")),
        (_, true) => "find out what keeps it from succeeding, fix it, then retry".to_owned(),
    }
}

/// Whether it takes away what only an API server can take away in order.
fn is_teardown(record: &StageRecord) -> bool {
    let platform = matches!(record.stage, Stage::Platform(_)) && record.desired_state == DesiredState::Absent;
    platform || record.stage == Stage::Teardown
}

enum Verdict {
    Retry,
    Fail,
    Skip,
}

fn verdict(record: &StageRecord, failure: &Failure, failing_for: Duration, force: bool, rules: &RetryRules) -> Verdict {
    let over = |timeout: Duration| failing_for >= timeout.mul_f64(rules.time_scale);
    if is_teardown(record) {
        // What the API server can't release any more is swept by its tags later. In a shared cluster
        // the stage `isolation` still holds the record until the namespace is known to be gone.
        let skip = force || over(rules.teardown_timeout);
        return if skip { Verdict::Skip } else { Verdict::Retry };
    }
    let deleting = record.desired_state == DesiredState::Absent;
    if record.stage == Stage::Isolation && deleting && force {
        // The user knows that the namespace may still be there, and takes that upon them.
        return Verdict::Skip;
    }
    if deleting && force && failure.kind == ErrorKind::NameTaken {
        // It is left where it is; the stage's detail names it.
        return Verdict::Skip;
    }
    let fail = match failure.kind {
        ErrorKind::Throttled => false,
        ErrorKind::Transient | ErrorKind::Conflict => !deleting && over(rules.retry_timeout),
        ErrorKind::Capacity => !deleting && over(CAPACITY_TIMEOUT),
        ErrorKind::Internal => !deleting && record.failures >= INTERNAL_TRIES_MAX,
        ErrorKind::Quota | ErrorKind::Auth | ErrorKind::Invalid | ErrorKind::NameTaken => true,
    };
    if fail { Verdict::Fail } else { Verdict::Retry }
}

/// Exponential with full jitter above one half, so that tenants that failed together do not
/// come back together.
fn backoff(failure: &Failure, failures: u32, jitter: f64) -> Duration {
    let base = match failure.kind {
        ErrorKind::Throttled => THROTTLE_WAIT,
        ErrorKind::Capacity => CAPACITY_WAIT,
        _ => BACKOFF_FIRST.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1).min(10))).min(BACKOFF_MAX),
    };
    base.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
