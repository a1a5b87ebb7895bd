//! What was seen, as tables, and what of it is not as it must be.

use std::time::{Duration, SystemTime};

use landlord_core::ports::PROBE_TIMEOUT;
use landlord_proto::v1::Tenant;

use super::{Phase, Size, filled, looks::Kind};
use crate::figures::{Sample, each, mib};

/// Of a core, what all looks may cost the daemon. Judged in the release profile only.
const CORES_MAX: f64 = 0.1;
/// How much later a hundredth of the looks at healthy ones may be while others are dead.
const LATER_MAX: f64 = 2.0;
/// A beat's part in which tenants are looked at together (`daemon/engine/src/availability.rs`): shorter times count as equal.
const SLOTS: u32 = 60;
/// Beats after which a dead one is not available.
const MISSES: u32 = 2;
/// Looks that a healthy one may have more than another in the same while, whose end falls between theirs.
const MORE_MAX: usize = 2;
/// Problems of one kind that are named.
const NAMED_MAX: usize = 5;

/// What the daemon says of an environment in outage.
pub(super) struct Seen {
    name: String,
    kind: Kind,
    available: Option<bool>,
    cause: String,
    /// Since when, after outage began, seconds; negative: before.
    since: f64,
}

impl Seen {
    pub(super) fn of(tenant: &Tenant, began: SystemTime) -> Option<Self> {
        let kind = Kind::of(filled::index_of(&tenant.name)?);
        let available = tenant.conditions.iter().find(|condition| condition.r#type == "Available");
        let since = available.and_then(|condition| condition.last_transition_time);
        let since = since.and_then(|time| SystemTime::try_from(time).ok()).map_or(f64::NAN, |time| {
            time.duration_since(began)
                .map_or_else(|before| -before.duration().as_secs_f64(), |after| after.as_secs_f64())
        });
        Some(Self {
            name: tenant.name.clone(),
            kind,
            available: available.map(|condition| condition.status),
            cause: available.map(|condition| condition.message.clone()).unwrap_or_default(),
            since,
        })
    }

    pub(super) fn is_right(&self) -> bool {
        self.available == Some(!self.kind.is_dead())
    }
}

pub(super) struct Verdict {
    pub(super) size: Size,
    pub(super) first: Phase,
    pub(super) calm: Phase,
    pub(super) outage: Phase,
    pub(super) seen: Vec<Seen>,
    /// Looks that had to wait, as the daemon counts them.
    pub(super) late: f64,
    /// Environments that were lost, as the daemon counts them.
    pub(super) lost: f64,
}

impl Verdict {
    fn beats(&self, phase: &Phase) -> f64 {
        phase.took.as_secs_f64() / self.size.interval.as_secs_f64()
    }

    fn slot(&self) -> Duration {
        self.size.interval / SLOTS
    }

    /// How long after outage began the dead ones were not available.
    fn noticed(&self) -> Sample {
        Sample::new(self.seen.iter().filter(|seen| seen.kind.is_dead()).map(|seen| seen.since).collect())
    }

    pub(super) fn tables(&self) -> Vec<String> {
        let interval = self.size.interval.as_secs();
        let mut lines = vec![
            format!("{} environments with 4 addresses each, looked at every {interval} s", self.size.tenants),
            "| while | beats | daemon | looks a beat | healthy late by p50 | p99 | max | others late by max | daemon RSS |"
                .into(),
            "|---|---|---|---|---|---|---|---|---|".into(),
        ];
        let phases = [
            (&self.first, "all answer, met for the first time"),
            (&self.calm, "all answer"),
            (&self.outage, "2 % silent, 2 % refuse, 5 % answer after 2 s"),
        ];
        lines.extend(phases.map(|(phase, what)| {
            let (window, beats) = (&phase.window, self.beats(phase));
            #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
            let looks = window.count as f64 / beats;
            format!(
                "| {what} | {beats:.1} | {:.3} cores | {looks:.0} | {:.2} s | {:.2} s | {:.2} s | {:.2} s | {} |",
                phase.cores,
                window.healthy.percentile(50),
                window.healthy.percentile(99),
                window.healthy.max(),
                window.others.max(),
                mib(phase.rss),
            )
        }));
        let noticed = self.noticed();
        let dead = self.seen.iter().filter(|seen| seen.kind.is_dead()).count();
        lines.push(format!(
            "{dead} dead: `Available` was false after p50 {:.1} s, max {:.1} s; the latest hundredth of looks at healthy ones was \
             {:.2} times as late as before; {} looks had to wait",
            noticed.percentile(50),
            noticed.max(),
            self.later(),
            self.late,
        ));
        lines
    }

    /// Of the latest hundredth of looks at healthy ones: in outage over in calm, where both are more than a slot.
    fn later(&self) -> f64 {
        let p99 = |phase: &Phase| phase.window.healthy.percentile(99).max(self.slot().as_secs_f64());
        p99(&self.outage) / p99(&self.calm)
    }

    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.seen.len() != self.size.tenants {
            problems.push(format!("the daemon lists {} of {} environments", self.seen.len(), self.size.tenants));
        }
        let wrong = self.seen.iter().filter(|seen| !seen.is_right());
        problems.extend(wrong.take(NAMED_MAX).map(|seen| {
            format!("{} is {:?}, and its Available is {:?}: {}", seen.name, seen.kind, seen.available, seen.cause)
        }));
        if self.late > 0.0 {
            problems.push(format!("{} looks had to wait", self.late));
        }
        for phase in [&self.calm, &self.outage] {
            let (least, most) = (phase.window.least, phase.window.most);
            if most > least + MORE_MAX {
                problems
                    .push(format!("{}: one was looked at {least} times while another was {most} times", phase.name));
            }
        }
        if self.size.judges {
            self.judge(&mut problems);
        }
        problems
    }

    /// What a busy machine changes.
    fn judge(&self, problems: &mut Vec<String>) {
        let (beat, slot) = (self.size.interval, self.slot());
        for phase in [&self.calm, &self.outage] {
            let latest = phase.window.healthy.max().max(phase.window.others.max());
            if latest > beat.as_secs_f64() {
                problems.push(format!("{}: a look was late by {latest:.1} s, which is more than a beat", phase.name));
            }
            if !cfg!(debug_assertions) && phase.cores > CORES_MAX {
                problems.push(format!("{}: looking took {:.3} cores, not {CORES_MAX}", phase.name, phase.cores));
            }
        }
        if self.later() > LATER_MAX {
            problems
                .push(format!("dead ones delay others: their latest hundredth is {:.1} times as late", self.later()));
        }
        let longest = beat * MISSES + PROBE_TIMEOUT + slot * 2;
        let noticed = self.noticed().max();
        if noticed > longest.as_secs_f64() {
            problems.push(format!("a dead one was available for {noticed:.1} s more, not {longest:?}"));
        }
        let dead = self.seen.iter().filter(|seen| seen.kind.is_dead()).count();
        if self.lost > each(dead, 1) {
            problems.push(format!("{} environments were lost, of which {dead} are dead", self.lost));
        }
    }
}
