//! When each environment was looked at, as its own servers saw it, and how late that was against its own beat.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::figures::Sample;

/// How an environment's servers behave once the outage begins; until then all are healthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Answers at once.
    Healthy,
    /// Answers after some seconds.
    Slow,
    /// Takes connections and says nothing.
    Silent,
    /// Takes no connections.
    Refusing,
}

impl Kind {
    /// Of a hundred, two are silent, two refuse, five are slow.
    pub(super) fn of(index: usize) -> Self {
        match index % 100 {
            0..2 => Self::Silent,
            2..4 => Self::Refusing,
            4..9 => Self::Slow,
            _ => Self::Healthy,
        }
    }

    /// Whether it counts as not available in outage.
    pub(super) fn is_dead(self) -> bool {
        matches!(self, Self::Silent | Self::Refusing)
    }
}

/// All looks so far.
pub(super) struct Looks {
    seen: Vec<Mutex<Vec<Instant>>>,
    is_outage: AtomicBool,
}

impl Looks {
    pub(super) fn new(tenants: usize) -> Self {
        Self { seen: (0..tenants).map(|_| Mutex::default()).collect(), is_outage: AtomicBool::new(false) }
    }

    /// How this one behaves now.
    pub(super) fn kind(&self, index: usize) -> Kind {
        if self.is_outage.load(Ordering::SeqCst) { Kind::of(index) } else { Kind::Healthy }
    }

    /// It was looked at.
    pub(super) fn note(&self, index: usize) {
        if let Some(seen) = self.seen.get(index) {
            seen.lock().push(Instant::now());
        }
    }

    /// From now on everybody behaves as its kind does. A look at one that refuses is seen by the name server, once the daemon has
    /// forgotten its address, so its looks are counted again.
    pub(super) fn begin_outage(&self) {
        self.is_outage.store(true, Ordering::SeqCst);
        let refusing = self.seen.iter().enumerate().filter(|(index, _)| Kind::of(*index) == Kind::Refusing);
        refusing.for_each(|(_, seen)| seen.lock().clear());
    }

    /// Whether everybody whose looks are seen was looked at so often since then.
    pub(super) fn all_since(&self, from: Instant, beats: usize) -> bool {
        let of = |index: usize, seen: &Mutex<Vec<Instant>>| {
            self.kind(index) == Kind::Refusing || seen.lock().iter().filter(|at| **at >= from).count() >= beats
        };
        self.seen.iter().enumerate().all(|(index, seen)| of(index, seen))
    }

    /// What was seen in a while.
    pub(super) fn window(&self, from: Instant, to: Instant, interval: Duration) -> Window {
        let (mut count, mut healthy, mut dead) = (0, Vec::new(), Vec::new());
        let (mut least, mut most) = (usize::MAX, 0);
        for (index, seen) in self.seen.iter().enumerate() {
            let seen = seen.lock();
            let own = seen.iter().filter(|at| (from..=to).contains(*at)).count();
            count += own;
            let late = lateness(&seen, (from, to), interval);
            if Kind::of(index) == Kind::Healthy {
                (least, most) = (least.min(own), most.max(own));
                healthy.extend(late);
            } else {
                dead.extend(late);
            }
        }
        let (healthy, others) = (Sample::new(healthy), Sample::new(dead));
        Window { count, least, most, healthy, others }
    }
}

/// What was seen in a while.
pub(super) struct Window {
    /// Looks at all of them.
    pub(super) count: usize,
    /// Looks at the healthy one that was looked at most seldom, and at the one most often.
    pub(super) least: usize,
    pub(super) most: usize,
    /// How late looks at the healthy ones were, seconds.
    pub(super) healthy: Sample,
    /// And at those that are slow or dead in outage.
    pub(super) others: Sample,
}

/// How late each look of a while was, in seconds: after a beat since the one before. What is due at the end of it counts as well.
fn lateness(seen: &[Instant], (from, to): (Instant, Instant), interval: Duration) -> Vec<f64> {
    let over = |gap: Duration| gap.saturating_sub(interval).as_secs_f64();
    let pairs = seen.windows(2).filter(|pair| (from..=to).contains(&pair[1]));
    let mut late: Vec<f64> = pairs.map(|pair| over(pair[1] - pair[0])).collect();
    if let Some(last) = seen.iter().rev().find(|at| **at <= to)
        && to - *last > interval
    {
        late.push(over(to - *last));
    }
    late
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_is_late_by_what_is_more_than_a_beat() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let late = |seen: &[u64], from: u64, to: u64| {
            let seen: Vec<Instant> = seen.iter().map(|seconds| at(*seconds)).collect();
            lateness(&seen, (at(from), at(to)), Duration::from_secs(60))
        };
        assert_eq!(late(&[0, 60, 125, 180], 30, 200), [0.0, 5.0, 0.0]);
        assert_eq!(late(&[0, 60, 125, 180], 130, 200), [0.0]);
        // One that does not come is late, too.
        assert_eq!(late(&[0, 60], 30, 150), [0.0, 30.0]);
    }

    #[test]
    fn in_outage_those_that_refuse_are_waited_for_by_nobody() {
        let (looks, from) = (Looks::new(4), Instant::now());
        assert!(!looks.all_since(from, 1));
        (0..4).for_each(|index| looks.note(index));
        assert!(looks.all_since(from, 1) && !looks.all_since(from, 2));
        looks.begin_outage();
        assert_eq!((looks.kind(1), looks.kind(2)), (Kind::Silent, Kind::Refusing));
        [0, 1].into_iter().for_each(|index| looks.note(index));
        assert!(looks.all_since(from, 2));
        assert_eq!(looks.window(from, Instant::now(), Duration::from_secs(60)).count, 4);
    }
}
