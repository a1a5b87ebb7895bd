//! The retry rules: what a failure makes of a stage, after how long, and how often it is tried or observed.

use std::time::Duration;

use crate::{DesiredState, ErrorKind, Failure, Stage, StageRecord};

/// Capacity comes back within the hour or the order must go elsewhere.
const CAPACITY_TIMEOUT: Duration = Duration::from_secs(30 * 60);
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
/// While later stages of a removal still run, what is done is checked again this often: an object may have come back, or
/// its marker.
const ABSENCE_CHECK: Duration = Duration::from_secs(120);
/// A removal that is held by an object without its marker checks this often whether the marker is back.
const HELD_CHECK: Duration = Duration::from_secs(30);
/// A removal whose provider returns INTERNAL for so long that it was reported is tried this often: its plugin may have been
/// replaced.
const INTERNAL_CHECK: Duration = Duration::from_secs(300);
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
    /// Multiplies every duration but these two intervals and the trial's; 1.0 in production.
    pub time_scale: f64,
    /// While new revisions are on trial: how long a stage may be pending at least before it is given up, scaled already. `None`:
    /// what is pending has all the time that it takes.
    pub trial_timeout: Option<Duration>,
}

impl RetryRules {
    /// How often a stage that is done is observed again.
    pub(super) fn interval(&self, stage: &Stage, desired_state: DesiredState) -> Duration {
        if desired_state == DesiredState::Absent {
            return ABSENCE_CHECK.mul_f64(self.time_scale);
        }
        if *stage == Stage::Capacity { self.capacity_interval } else { self.resync_interval }
    }
}

/// How often it is observed whether a failed removal can go on; `None`: never.
pub(super) fn held_check(failure: &Failure) -> Option<Duration> {
    match failure.kind {
        ErrorKind::NameTaken => Some(HELD_CHECK),
        ErrorKind::Internal => Some(INTERNAL_CHECK),
        ErrorKind::Throttled
        | ErrorKind::Quota
        | ErrorKind::Auth
        | ErrorKind::Invalid
        | ErrorKind::Conflict
        | ErrorKind::Capacity
        | ErrorKind::Transient => None,
    }
}

/// The remedy of a stage that gave up: what promises to go on by itself is not true any more, and somebody must do something.
pub(super) fn given_up(failure: &Failure) -> String {
    const PROMISES: [&str; 4] = ["again by itself", "does so by itself", "it is tried again", "nothing to do"];
    let remedy = &failure.remedy;
    let clauses = remedy.split(';').map(str::trim).filter(|clause| !clause.is_empty());
    let kept: Vec<&str> = clauses.filter(|clause| !PROMISES.iter().any(|promise| clause.contains(promise))).collect();
    let was_promised = PROMISES.iter().any(|promise| remedy.contains(promise));
    match (was_promised, kept.is_empty()) {
        (false, false) => remedy.clone(),
        (true, false) => format!("{}; then retry", kept.join("; ")),
        (_, true) => without_remedy(failure.kind).to_owned(),
    }
}

/// Who must do what where nothing more is known than the kind of the failure.
fn without_remedy(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Throttled => "whoever else uses the cloud account makes fewer calls; then retry",
        ErrorKind::Quota => "the cloud account's administrator has the quota raised; then retry",
        ErrorKind::Auth => "the operator corrects the provider's credentials, or their rights; then retry",
        ErrorKind::Invalid => "the operator corrects the class, or the customer the order; then retry",
        ErrorKind::Conflict => "whoever owns what is in the way removes it; then retry",
        ErrorKind::Capacity => "the customer orders another class or region, or retries later",
        ErrorKind::Transient => "the operator finds out why the cloud, or the API server, does not respond; then retry",
        ErrorKind::NameTaken => "whoever owns the object of that name removes it; then retry",
        ErrorKind::Internal => "the operator reads the plugin's messages in the log of the daemon; then retry",
    }
}

pub(super) enum Verdict {
    Retry,
    Fail,
    Skip,
}

/// Whether it takes away what only an API server can take away in order.
pub(super) fn is_teardown(record: &StageRecord) -> bool {
    let platform = matches!(record.stage, Stage::Platform(_)) && record.desired_state == DesiredState::Absent;
    let scaling = record.stage == Stage::NodeScaling && record.desired_state == DesiredState::Absent;
    platform || scaling || record.stage == Stage::Teardown
}

pub(super) fn verdict(
    record: &StageRecord,
    failure: &Failure,
    failing_for: Duration,
    force: bool,
    rules: &RetryRules,
) -> Verdict {
    let over = |timeout: Duration| failing_for >= timeout.mul_f64(rules.time_scale);
    if is_teardown(record) {
        // What the API server can't release any more is swept by its tags later. In a shared cluster
        // the stage `isolation` still holds the record until the namespace is known to be gone.
        // What is held waits for whoever holds it: the API server is there, and would be requested nothing any more.
        let held = failure.kind == ErrorKind::Conflict;
        let skip = if held { force && over(rules.teardown_timeout) } else { force || over(rules.teardown_timeout) };
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
        // A removal is worth more tries: what stays costs money.
        ErrorKind::Internal if deleting => over(rules.retry_timeout),
        ErrorKind::Internal => record.failures >= INTERNAL_TRIES_MAX,
        ErrorKind::Quota | ErrorKind::Auth | ErrorKind::Invalid | ErrorKind::NameTaken => true,
    };
    if fail { Verdict::Fail } else { Verdict::Retry }
}

/// Exponential with full jitter above one half, so that tenants that failed together do not
/// come back together.
pub(super) fn backoff(failure: &Failure, failures: u32, jitter: f64) -> Duration {
    let base = match failure.kind {
        ErrorKind::Throttled => THROTTLE_WAIT,
        ErrorKind::Capacity => CAPACITY_WAIT,
        _ => BACKOFF_FIRST.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1).min(10))).min(BACKOFF_MAX),
    };
    base.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
}
