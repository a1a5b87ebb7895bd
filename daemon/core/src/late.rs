//! Creates that had no response: what they began may take effect after a removal found nothing.
//!
//! A removal that is done then is observed a second time, once nothing of the kind can come any more. Which creates those
//! are follows from the records: the ones that ended without a response, and those that were on their way when the removal
//! began. Pure: the time is a value.

use std::time::Duration;

use crate::{DesiredState, Stage, StageRecord, StageState, Timestamp, ports::Work, time::BootTime};

/// A request that a cloud or an API server has taken in takes effect within this, or never: clients and load balancers give
/// requests up after a minute.
const LATE_EFFECT: Duration = Duration::from_secs(120);

/// What is left of a wait: what the records say, but never beyond the end that they gave when it began. The records have wall
/// times: each time the clock is set they would begin the whole wait again, and a daemon that is killed forgets what it waited.
#[must_use]
pub fn left(by_records: Option<Duration>, end: Option<&BootTime>, now: Option<&BootTime>) -> Option<Duration> {
    let by_records = by_records?;
    let left = match (end, now) {
        (Some(end), Some(now)) if end.boot == now.boot => end.since.saturating_sub(now.since).min(by_records),
        _ => by_records,
    };
    (!left.is_zero()).then_some(left)
}

/// How long a removal that found nothing must wait before it is observed for the last time; `None`: nothing can come late.
/// `Inventory` waits for the provider's objects, `Isolation` for what landlord makes in a host cluster. `since_jump`: how long ago
/// the wall clock was set, as far as that was noticed.
#[must_use]
pub fn wait(work: &Work, stage: &Stage, time_scale: f64, since_jump: Option<Duration>) -> Option<Duration> {
    let makes: fn(&Stage) -> bool = match stage {
        Stage::Inventory => |stage| stage.resource().is_some(),
        Stage::Isolation => |stage| matches!(stage, Stage::Isolation | Stage::NodeScaling),
        Stage::Host
        | Stage::Preflight
        | Stage::Network
        | Stage::Cluster
        | Stage::Addons
        | Stage::NodePool
        | Stage::NodeScaling
        | Stage::DnsZone
        | Stage::Identity
        | Stage::Capacity
        | Stage::Base
        | Stage::Platform(_)
        | Stage::App(_)
        | Stage::DnsRecords
        | Stage::Verify
        | Stage::Teardown
        | Stage::Leftovers => return None,
    };
    let removal = work.stages.iter().filter(|record| record.desired_state == DesiredState::Absent);
    let removal_start = removal.map(|record| record.start_time).min()?;
    let creates = work.stages.iter().filter(|record| record.desired_state == DesiredState::Present);
    let last =
        creates.filter(|record| makes(&record.stage)).filter_map(|record| unanswered(record, removal_start)).max()?;
    // A clock that was ahead when the call went out keeps nobody for longer than the effect itself may take.
    let effect = LATE_EFFECT.mul_f64(time_scale);
    // When the wall clock was set a moment ago, it says nothing of how long ago the call went out.
    let unsure = since_jump.map_or(Duration::ZERO, |since| effect.saturating_sub(since));
    let left = last.after(effect).since(work.now).max(unsure).min(effect);
    (!left.is_zero()).then_some(left)
}

/// When the last call of a stage that had no response may have gone out. One that was under way when the removal began has
/// none: its daemon may have been killed.
fn unanswered(record: &StageRecord, removal_start: Timestamp) -> Option<Timestamp> {
    let under_way = (record.state == StageState::Running).then_some(removal_start);
    record.unanswered_time.max(under_way)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_goes_on_whatever_the_wall_clock_shows_and_begins_again_on_another_machine() {
        let effect = Duration::from_secs(120);
        let at = |boot: &str, seconds| BootTime { boot: boot.into(), since: Duration::from_secs(seconds) };
        let end = at("a", 1_000).after(effect);
        assert_eq!(left(Some(effect), None, Some(&at("a", 1_000))), Some(effect), "it begins");
        // The records say each time that it has just begun: the clock was set back.
        assert_eq!(left(Some(effect), Some(&end), Some(&at("a", 1_030))), Some(Duration::from_secs(90)));
        assert_eq!(left(Some(effect), Some(&end), Some(&at("a", 1_120))), None);
        assert_eq!(left(Some(effect), Some(&end), Some(&at("b", 5_000))), Some(effect), "nobody knows");
        assert_eq!(left(Some(effect), Some(&end), None), Some(effect), "no such clock here");
        assert_eq!(left(None, Some(&end), Some(&at("a", 1_030))), None, "nothing can come");
    }
}
