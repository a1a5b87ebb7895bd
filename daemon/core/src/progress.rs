//! How far an operation is: the longest way through its graph that is left, of the longest way that there was. Pure.

use std::{collections::BTreeMap, time::Duration};

use crate::{OperationId, Stage, StageRecord, StageState, Timestamp, certificate, environment::Progress, graph::Node};

/// A stage that takes longer than expected still has this part of its expected duration to go.
const OVERDUE_PART: f64 = 0.1;
/// What runs is never shown as done.
const PERCENT_MAX: u8 = 99;

/// How far `operation` is. `record` gives what is recorded of a stage in this generation, `expected` how long it takes.
#[must_use]
pub fn estimate<'a>(
    operation: OperationId,
    nodes: &[Node],
    record: impl Fn(&Stage) -> Option<&'a StageRecord>,
    expected: impl Fn(&Stage) -> Duration,
    before: Option<Progress>,
    now: Timestamp,
) -> Progress {
    let left = |stage: &Stage| {
        let expected = expected(stage);
        let Some(record) = record(stage) else { return expected };
        if let Some(wait) = certificate::wait(record) {
            // Its work has not begun.
            return wait.until.since(now) + expected;
        }
        match record.state {
            StageState::Done | StageState::Skipped => Duration::ZERO,
            StageState::Running | StageState::Failed => {
                expected.saturating_sub(now.since(record.start_time)).max(expected.mul_f64(OVERDUE_PART))
            }
        }
    };
    let (total, remaining) = (longest(nodes, &expected), longest(nodes, &left));
    let done = total.saturating_sub(remaining).as_secs_f64();
    let part = if total.is_zero() { 0.0 } else { done / total.as_secs_f64() };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 100")]
    let percent = ((part * 100.0).clamp(0.0, 100.0) as u8).min(PERCENT_MAX);
    let before = before.filter(|before| before.operation == operation).map_or(0, |before| before.percent);
    Progress { operation, percent: percent.max(before), end_time: now.after(remaining) }
}

/// The longest way through the graph.
fn longest(nodes: &[Node], lasts: &impl Fn(&Stage) -> Duration) -> Duration {
    let mut ends = BTreeMap::<&Stage, Duration>::new();
    // A graph has no circle: each round ends the nodes whose predecessors have ended.
    for _ in nodes {
        let open = nodes.iter().filter(|node| !ends.contains_key(&node.stage));
        let ended: Vec<(&Stage, Duration)> =
            open.filter_map(|node| Some((&node.stage, end(node, nodes, &ends, lasts)?))).collect();
        if ended.is_empty() {
            break;
        }
        ends.extend(ended);
    }
    ends.into_values().max().unwrap_or_default()
}

/// When a node ends, if all before it have.
fn end(
    node: &Node,
    nodes: &[Node],
    ends: &BTreeMap<&Stage, Duration>,
    lasts: &impl Fn(&Stage) -> Duration,
) -> Option<Duration> {
    let mut begin = Duration::ZERO;
    // What is not of this graph is waited for by nobody.
    for stage in node.after.iter().filter(|stage| nodes.iter().any(|other| other.stage == **stage)) {
        begin = begin.max(*ends.get(stage)?);
    }
    Some(begin + lasts(&node.stage))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DesiredState, certificate::CertificateWait, journal};

    fn node(stage: Stage, after: &[Stage]) -> Node {
        Node { stage, after: after.to_vec() }
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn progress_follows_the_longest_way_and_never_goes_back() {
        let nodes = [
            node(Stage::Verify, &[Stage::Base, Stage::DnsZone]),
            node(Stage::Base, &[Stage::Cluster]),
            node(Stage::Cluster, &[]),
            node(Stage::DnsZone, &[]),
        ];
        let expected = |stage: &Stage| match stage {
            Stage::Cluster => seconds(600),
            Stage::Base => seconds(100),
            Stage::Verify => seconds(300),
            _ => seconds(20),
        };
        let operation = OperationId(uuid::Uuid::nil());
        let record = |stage: Stage, state: StageState| {
            let intent = journal::intend(&stage, DesiredState::Present, 1, seconds(1), None, Timestamp(0));
            StageRecord { state, ..intent }
        };
        let at = |records: &[StageRecord], now: u64, before: Option<Progress>| {
            let found = |stage: &Stage| records.iter().find(|record| record.stage == *stage);
            let now = Timestamp(0).after(seconds(now));
            let estimated = estimate(operation, &nodes, found, expected, before, now);
            (estimated, estimated.end_time.since(now))
        };
        let (begun, left) = at(&[], 0, None);
        assert_eq!((begun.percent, left), (0, seconds(1_000)));
        let running = [record(Stage::Cluster, StageState::Running), record(Stage::DnsZone, StageState::Done)];
        let (half, left) = at(&running, 300, Some(begun));
        assert_eq!((half.percent, left), (30, seconds(700)));
        // Longer than expected: something is left, and what was shown stays.
        let (overdue, left) = at(&running, 4_000, Some(Progress { percent: 60, ..half }));
        assert_eq!((overdue.percent, left), (60, seconds(460)));
        // What an authority gives later begins then.
        let platform = Stage::Platform("edge".parse().unwrap());
        let waiting = [node(platform.clone(), &[])];
        let status = serde_json::to_vec(&CertificateWait::sample(Timestamp(0).after(seconds(86_400))));
        let pending = StageRecord { status: status.unwrap(), ..record(platform, StageState::Running) };
        let now = Timestamp(0).after(seconds(400));
        let estimated = estimate(operation, &waiting, |_| Some(&pending), |_| seconds(60), None, now);
        assert_eq!(estimated.end_time, Timestamp(0).after(seconds(86_460)));
        let all = [Stage::Cluster, Stage::Base, Stage::Verify, Stage::DnsZone];
        let all = all.map(|stage| record(stage, StageState::Done));
        assert_eq!(at(&all, 900, None).0.percent, PERCENT_MAX);
        let other = Progress { operation: OperationId(uuid::Uuid::max()), percent: 80, ..half };
        assert_eq!(at(&[], 0, Some(other)).0.percent, 0, "another operation's progress is not this one's");
    }
}
