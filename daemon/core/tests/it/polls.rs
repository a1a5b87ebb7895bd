//! When a stage is observed again: soon enough to notice what is ready, seldom enough for the provider.

use std::time::Duration;

use landlord_core::{
    DesiredState, Stage, StageRecord, Timestamp,
    journal::{self, CallReport, RetryRules},
};

const RULES: RetryRules = RetryRules {
    retry_timeout: Duration::from_secs(3_600),
    teardown_timeout: Duration::from_secs(600),
    resync_interval: Duration::from_secs(1_800),
    capacity_interval: Duration::from_secs(1_800),
    time_scale: 1.0,
    trial_timeout: None,
};

/// Inspects a stage until it has taken `takes`; gives the number of polls and how late the last one was.
fn polls(stage: &str, expected: Duration, hint: Duration, takes: Duration) -> (u32, Duration) {
    let start = Timestamp(0);
    let stage: Stage = stage.parse().unwrap();
    let mut record: StageRecord = journal::intend(&stage, DesiredState::Present, 1, expected, None, start);
    for observation in 1.. {
        let now = record.poll_time;
        if now.since(start) >= takes {
            return (observation, now.since(start).checked_sub(takes).unwrap());
        }
        let report = CallReport { poll_after: hint, ..CallReport::default() };
        record = journal::record(&record, Ok(report), false, &RULES, 0.5, now);
        assert!(record.poll_time > now, "{record:?}");
    }
    unreachable!("poll times grow")
}

#[test]
fn what_a_cluster_shows_is_noticed_within_a_sixteenth_and_two_seconds() {
    let second = Duration::from_secs(1);
    for takes_ms in [50, 900, 1_500, 2_700, 9_000, 60_000, 290_000, 900_000] {
        let takes = Duration::from_millis(takes_ms);
        let (polls, late) = polls("app/llm", 300 * second, second, takes);
        let bound = (takes / 16).clamp(Duration::from_millis(100), 2 * second);
        assert!(late <= bound + Duration::from_millis(1), "{takes_ms}: {late:?} late");
        // Less often than once a second in the long run, and never a flood at the start.
        assert!(polls <= 75 + u32::try_from(takes_ms / 2_000).unwrap(), "{takes_ms}: {polls} polls");
    }
}

#[test]
fn a_clouds_own_hint_stands() {
    let second = Duration::from_secs(1);
    // Nothing is observed before most of it has passed; then each observation is a hundredth of it.
    let (cluster, late) = polls("cluster", 600 * second, 15 * second, 600 * second);
    assert!(cluster <= 45 && late <= 6 * second, "{cluster} polls, {late:?} late");
    // A hint of moments means that the call goes on: it is followed as it is.
    let (zone, _) = polls("dns-zone", 600 * second, 2 * second, 10 * second);
    assert_eq!(zone, 6);
}
