//! How long stages have really taken, by class: what progress is reckoned by. Kept in memory; a daemon that starts learns it from
//! the records of the environments that it works on.

use std::collections::{BTreeMap, VecDeque};

use landlord_core::{ClassName, DesiredState, Stage, StageRecord, StageState};
use parking_lot::Mutex;

/// Newest durations kept of a stage of a class: their middle one follows a cloud that became slower within a few creates.
const KEPT: usize = 15;
/// Classes and stages together; a class has some 20 stages. What is beyond is reckoned by what providers say.
const STAGES_MAX: usize = 10_000;

type Key = (ClassName, bool, Stage);

/// Durations in milliseconds.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    durations: Mutex<BTreeMap<Key, VecDeque<u64>>>,
}

fn key(class: &ClassName, desired_state: DesiredState, stage: &Stage) -> Key {
    (class.clone(), desired_state == DesiredState::Present, stage.clone())
}

fn duration_ms(record: &StageRecord) -> Option<u64> {
    let end = record.end_time.filter(|_| record.state == StageState::Done)?;
    u64::try_from(end.since(record.start_time).as_millis()).ok()
}

fn note(durations: &mut BTreeMap<Key, VecDeque<u64>>, key: Key, record: &StageRecord) {
    let Some(duration) = duration_ms(record) else { return };
    if durations.len() >= STAGES_MAX && !durations.contains_key(&key) {
        return;
    }
    let known = durations.entry(key).or_default();
    if known.len() == KEPT {
        known.pop_front();
    }
    known.push_back(duration);
}

impl Observed {
    /// A stage has just been done for the first time in its generation.
    pub(crate) fn done(&self, class: &ClassName, record: &StageRecord) {
        note(&mut self.durations.lock(), key(class, record.desired_state, &record.stage), record);
    }

    /// What the records of an environment tell of stages of which nothing is known.
    pub(crate) fn learn(&self, class: &ClassName, records: &[StageRecord]) {
        let mut durations = self.durations.lock();
        for record in records {
            let key = key(class, record.desired_state, &record.stage);
            if !durations.contains_key(&key) {
                note(&mut durations, key, record);
            }
        }
    }

    /// How long a stage takes, in milliseconds; `None`: it was not seen yet.
    pub(crate) fn typical_ms(&self, class: &ClassName, desired_state: DesiredState, stage: &Stage) -> Option<u64> {
        let durations = self.durations.lock();
        let known = durations.get(&key(class, desired_state, stage))?;
        let mut sorted: Vec<u64> = known.iter().copied().collect();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use landlord_core::{Timestamp, journal};

    use super::*;

    #[test]
    fn the_middle_of_the_newest_durations_is_typical() {
        let (observed, class): (_, ClassName) = (Observed::default(), "small".parse().unwrap());
        let done = |seconds: u64| {
            let start = Timestamp(0);
            let intent = journal::intend(&Stage::Cluster, DesiredState::Present, 1, Duration::ZERO, None, start);
            let end_time = Some(start.after(Duration::from_secs(seconds)));
            StageRecord { state: StageState::Done, start_time: start, end_time, ..intent }
        };
        let typical = || observed.typical_ms(&class, DesiredState::Present, &Stage::Cluster);
        assert_eq!(typical(), None);
        observed.learn(&class, &[done(600), done(9_000)]);
        assert_eq!(typical(), Some(600_000), "only the first of what is unknown");
        observed.done(&class, &done(700));
        observed.done(&class, &done(5_000));
        assert_eq!(typical(), Some(700_000), "one that took very long says little");
        (0..KEPT).for_each(|_| observed.done(&class, &done(800)));
        assert_eq!(typical(), Some(800_000));
        assert_eq!(observed.typical_ms(&class, DesiredState::Absent, &Stage::Cluster), None);
    }
}
