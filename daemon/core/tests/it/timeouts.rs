//! Timeout with a stage: only success ends it, or a try that gets clearly further than every one before; and the last cause
//! is there to be seen all the time.

use std::time::Duration;

use landlord_core::{
    DesiredState, ErrorKind, Failure, Stage, StageRecord, StageState, Timestamp,
    journal::{self, CallReport, RetryRules},
    stage::FieldChange,
};

const MINUTE: Duration = Duration::from_secs(60);
const RULES: RetryRules = RetryRules {
    retry_timeout: Duration::from_secs(3_600),
    teardown_timeout: Duration::from_secs(600),
    resync_interval: Duration::from_secs(1_800),
    capacity_interval: Duration::from_secs(1_800),
    time_scale: 1.0,
    trial_timeout: None,
};

fn begin(stage: Stage, desired_state: DesiredState) -> StageRecord {
    journal::intend(&stage, desired_state, 1, 10 * MINUTE, None, Timestamp(0))
}

fn pending(record: &StageRecord, now: Timestamp) -> StageRecord {
    let report = CallReport { detail: "is being made".into(), poll_after: MINUTE / 4, ..CallReport::default() };
    journal::record(record, Ok(report), false, &RULES, 0.5, now)
}

fn fails(record: &StageRecord, kind: ErrorKind, now: Timestamp) -> StageRecord {
    let failure = Failure::new(kind, "nodes do not join").with_remedy("open port 443; landlord tries again by itself");
    journal::record(record, Err(failure), false, &RULES, 0.5, now)
}

/// Every try is accepted by the cloud, is under way for a while, and fails. Gives when the stage gave up.
fn cycle(kind: ErrorKind, tries: impl Fn(u32) -> Duration) -> (StageRecord, Duration) {
    let (mut record, mut now) = (begin(Stage::NodePool, DesiredState::Present), Timestamp(0));
    for number in 0..500 {
        let end = now.after(tries(number));
        while now < end {
            record = pending(&record, now);
            let first = number == 0;
            assert!(first || record.failure.is_some(), "the cause is not to be seen in try {number}");
            now = record.poll_time.min(end).max(now.after(Duration::from_secs(1)));
        }
        record = fails(&record, kind, now);
        if record.state == StageState::Failed {
            return (record, now.since(Timestamp(0)));
        }
        now = record.poll_time;
    }
    panic!("it never gave up: {record:?}");
}

#[test]
fn what_fails_each_time_it_is_made_gives_up_within_its_timeout() {
    // One timeout, the first try before it, and the one that is under way at its end.
    for (kind, timeout) in
        [(ErrorKind::Conflict, 60), (ErrorKind::Transient, 60), (ErrorKind::Capacity, 30), (ErrorKind::Internal, 60)]
    {
        for minutes in [3, 12, 20] {
            let (record, gave_up) = cycle(kind, |_| minutes * MINUTE);
            let most = (timeout + 2 * minutes + 6) * MINUTE;
            assert!(gave_up <= most, "{kind:?} with tries of {minutes} min gave up after {gave_up:?}");
            let failure = record.failure.unwrap();
            assert_eq!(failure.remedy, "open port 443; then retry", "a stage that gave up is not tried again");
        }
    }
    // Durations scatter: a try that lasts a little longer than the others is not further.
    let (_, gave_up) = cycle(ErrorKind::Conflict, |number| 10 * MINUTE + (number % 5) * MINUTE);
    assert!(gave_up <= 90 * MINUTE, "{gave_up:?}");
}

#[test]
fn an_error_on_the_way_is_forgotten_when_the_try_gets_further() {
    let record = fails(&begin(Stage::Cluster, DesiredState::Present), ErrorKind::Transient, Timestamp(60_000));
    let early = pending(&record, Timestamp(90_000));
    assert!(early.failure.is_some() && early.failing_since == Some(Timestamp(60_000)), "{early:?}");
    let later = pending(&early, Timestamp(200_000));
    assert_eq!((later.failure, later.failing_since, later.failures), (None, None, 0));
}

#[test]
fn waiting_for_a_rate_limit_hides_no_cause() {
    let record = fails(&begin(Stage::Cluster, DesiredState::Present), ErrorKind::Capacity, Timestamp(60_000));
    let throttled = fails(&record, ErrorKind::Throttled, Timestamp(70_000));
    assert_eq!(throttled.failure.unwrap().kind, ErrorKind::Capacity);
    // By itself it is reported, and gone when a call went out.
    let throttled = fails(&begin(Stage::Cluster, DesiredState::Present), ErrorKind::Throttled, Timestamp(1_000));
    assert!(throttled.failure.is_some());
    assert_eq!(pending(&throttled, Timestamp(5_000)).failure, None);
}

#[test]
fn of_a_teardown_only_an_api_server_that_is_away_counts() {
    let mut record = begin(Stage::Teardown, DesiredState::Absent);
    for minute in 0..60_i64 {
        let now = Timestamp(minute * 60_000);
        record = if minute % 2 == 0 { fails(&record, ErrorKind::Transient, now) } else { pending(&record, now) };
        assert_eq!(record.state, StageState::Running, "skipped at minute {minute}, though it responds");
    }
}

#[test]
fn a_teardown_waits_as_long_as_somebody_holds_it() {
    let mut record = begin(Stage::Teardown, DesiredState::Absent);
    for minute in 0..60_i64 {
        record = fails(&record, ErrorKind::Conflict, Timestamp(minute * 60_000));
        assert_eq!(
            record.state,
            StageState::Running,
            "skipped at minute {minute}, though only somebody's lock is in its way"
        );
    }
    // The hour does not count against an API server that is away for a moment afterwards.
    record = fails(&record, ErrorKind::Transient, Timestamp(60 * 60_000));
    assert_eq!(record.state, StageState::Running);
    record = fails(&record, ErrorKind::Transient, Timestamp(70 * 60_000));
    assert_eq!(record.state, StageState::Skipped);
}

#[test]
fn a_removal_that_only_meets_internal_errors_is_reported_and_goes_on_by_itself() {
    let mut record = begin(Stage::Network, DesiredState::Absent);
    let mut now = Timestamp(0);
    while record.state != StageState::Failed {
        assert!(now.since(Timestamp(0)) < 2 * RULES.retry_timeout, "it is never reported");
        record = fails(&record, ErrorKind::Internal, now);
        now = record.poll_time;
    }
    assert!(now.since(Timestamp(0)) >= RULES.retry_timeout, "{record:?}");
    let remedy = record.failure.as_ref().map(|failure| failure.remedy.clone()).unwrap_or_default();
    assert!(!remedy.contains("again by itself"), "{remedy}");
    assert!(journal::is_held(&record), "it is observed whether it can go on");
    record = fails(&record, ErrorKind::Internal, now);
    assert_eq!(record.state, StageState::Failed);
    let gone = CallReport { done: true, ..CallReport::default() };
    record = journal::record(&record, Ok(gone), false, &RULES, 0.5, record.poll_time);
    assert_eq!((record.state, record.failure), (StageState::Done, None));
}

#[test]
fn a_change_that_is_accepted_and_dropped_fails_with_field_wanted_and_seen() {
    let change = |wanted: &str| FieldChange { field: "node count".into(), wanted: wanted.into(), seen: "2".into() };
    let sends = |record: &StageRecord, wanted: &str, now| {
        let report = CallReport { changes: vec![change(wanted)], ..CallReport::default() };
        journal::record(record, Ok(report), false, &RULES, 0.5, now)
    };
    let mut record = begin(Stage::NodePool, DesiredState::Present);
    let mut now = Timestamp(0);
    // Another change starts again, and waiting for one is no repetition.
    record = sends(&record, "4", now);
    for repeat in 0..4 {
        record = sends(&record, "3", now);
        assert_eq!(record.state, StageState::Running, "after {repeat} repeats within moments: a cloud may lag");
        record = pending(&record, now.after(Duration::from_secs(5)));
        now = now.after(Duration::from_secs(10));
    }
    record = sends(&record, "3", now.after(2 * MINUTE));
    let failure = record.failure.clone().unwrap();
    assert_eq!((record.state, failure.kind), (StageState::Failed, ErrorKind::Conflict));
    assert!(failure.message.contains("node count: wanted 3, seen 2"), "{failure}");
    assert!(!failure.remedy.is_empty() && record.sent.is_none(), "{record:?}");
}

/// All kinds, one after another: a new one does not compile until it is here.
fn next(kind: ErrorKind) -> Option<ErrorKind> {
    Some(match kind {
        ErrorKind::Throttled => ErrorKind::Quota,
        ErrorKind::Quota => ErrorKind::Auth,
        ErrorKind::Auth => ErrorKind::Invalid,
        ErrorKind::Invalid => ErrorKind::Conflict,
        ErrorKind::Conflict => ErrorKind::Capacity,
        ErrorKind::Capacity => ErrorKind::Transient,
        ErrorKind::Transient => ErrorKind::NameTaken,
        ErrorKind::NameTaken => ErrorKind::Internal,
        ErrorKind::Internal => return None,
    })
}

#[test]
fn whatever_failed_names_who_must_do_what_and_promises_nothing() {
    const PROMISES: [&str; 3] = ["nothing to do", "by itself", "tried again"];
    for kind in std::iter::successors(Some(ErrorKind::Throttled), |kind| next(*kind)) {
        for remedy in ["", "nothing to do: it is tried again", "landlord tries again by itself"] {
            for desired_state in [DesiredState::Present, DesiredState::Absent] {
                let (mut record, mut now) = (begin(Stage::Cluster, desired_state), Timestamp(0));
                for _ in 0..2_000 {
                    let failure = Failure::new(kind, "it failed").with_remedy(remedy);
                    record = journal::record(&record, Err(failure), false, &RULES, 0.5, now);
                    now = record.poll_time;
                }
                // What never fails is shown with its cause, and tried again.
                let failure = record.failure.unwrap();
                let reported = kind != ErrorKind::NameTaken || remedy.is_empty();
                if record.state == StageState::Failed && reported {
                    assert!(!failure.remedy.is_empty(), "{kind:?} {desired_state:?} {remedy:?}");
                    let promise = PROMISES.iter().find(|promise| failure.remedy.contains(**promise));
                    assert_eq!(promise, None, "{kind:?} {desired_state:?}: {}", failure.remedy);
                } else {
                    assert_eq!(failure.message, "it failed");
                }
            }
        }
    }
}

#[test]
fn a_clock_that_was_set_back_delays_neither_a_due_time_nor_a_timeout() {
    let day = Duration::from_secs(86_400);
    let tomorrow = Timestamp(0).after(day);
    let failing = fails(&begin(Stage::Cluster, DesiredState::Present), ErrorKind::Transient, tomorrow);
    let mut records = [StageRecord { start_time: tomorrow, ..failing }];
    let now = Timestamp(1_000);
    journal::clamp(&mut records, 60 * MINUTE, now);
    let record = &records[0];
    assert_eq!((record.poll_time, record.start_time), (now, now));
    assert_eq!((record.failing_since, record.try_time), (Some(now), Some(now)));
    // From now on its timeout counts, and not from tomorrow.
    let given_up = fails(record, ErrorKind::Transient, now.after(61 * MINUTE));
    assert_eq!(given_up.state, StageState::Failed);
    let mut sane = [fails(&begin(Stage::Cluster, DesiredState::Present), ErrorKind::Transient, Timestamp(0))];
    let before = sane[0].clone();
    journal::clamp(&mut sane, 60 * MINUTE, now);
    assert_eq!(sane[0], before);
}
