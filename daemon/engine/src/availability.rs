//! Looks every minute whether environments answer.
//!
//! # Expected flow
//! The daemon that has the duty reads whom to look at once a beat, and looks at each tenant at its own second of it, which its
//! uid decides. What changed is written at once; what goes on as it was, every [`KEEP_BEATS`] beats.
//!
//! # Guarantees
//! - One daemon looks; another goes on within two beats of its end. What it wrote is fenced by the duty.
//! - Who is slow or dead delays nobody: a look ends within its time, and at most [`LOOKS_MAX`] are under way. What finds no room
//!   is left out of that beat, and counted.
//! - A lost environment is reported once, with its cause; what its class says follows.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use landlord_core::{
    AvailabilityChange, TenantUid, WhenUnavailable,
    ports::{AvailabilityStore, Probe, ProbeTarget, SeenAvailability, StoreError, Wake},
};
use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::{Registry, Unit},
};
use tokio::{
    task::{Id, JoinError, JoinSet},
    time::{Instant, interval},
};
use tokio_util::sync::CancellationToken;

use crate::{clock::now, shared::Chain};

/// Tenants are spread over a beat by this many slots: with 10,000 of them some 170 are looked at in each.
const SLOTS: u32 = 60;
/// Looks under way: if nobody answers, 170 a second for three seconds.
const LOOKS_MAX: usize = 640;
/// What goes on as it was is written so seldom: a figure of a month needs no more.
const KEEP_BEATS: u64 = 10;
/// Tenants read in one round trip.
const PAGE: u32 = 500;
/// What is written in one transaction: short, so that orders wait for nothing.
const KEPT_MAX: usize = 100;

/// How environments are looked at.
#[derive(Debug, Clone)]
pub struct AvailabilityOptions {
    /// Id of this daemon.
    pub owner: String,
    /// Between two looks at one environment.
    pub interval: Duration,
}

/// What is measured of it.
#[derive(Debug, Clone, Default)]
pub struct AvailabilityFigures {
    unavailable: Gauge,
    watched: Gauge,
    probes: Counter,
    late: Counter,
    lost: Counter,
    spent: Gauge<f64, AtomicU64>,
}

impl AvailabilityFigures {
    /// Adds them to a page.
    pub fn register(&self, registry: &mut Registry) {
        let help = "Environments that were READY and do not answer; 0 at daemons that do not look";
        registry.register("landlord_availability_unavailable", help, self.unavailable.clone());
        let help = "Environments that this daemon looks at";
        registry.register("landlord_availability_watched", help, self.watched.clone());
        registry.register("landlord_availability_probes", "Looks at environments", self.probes.clone());
        let help = "Looks that were left out, since too many others were under way";
        registry.register("landlord_availability_late", help, self.late.clone());
        registry.register("landlord_availability_lost", "Environments that ceased to answer", self.lost.clone());
        let help = "How long the last beat's reading and writing took";
        registry.register_with_unit("landlord_availability_beat", help, Unit::Seconds, self.spent.clone());
    }
}

/// Looks whether environments answer.
pub struct AvailabilityWatch {
    options: AvailabilityOptions,
    store: Arc<dyn AvailabilityStore>,
    probe: Arc<dyn Probe>,
    wake: Arc<dyn Wake>,
    figures: AvailabilityFigures,
}

impl std::fmt::Debug for AvailabilityWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AvailabilityWatch").field("options", &self.options).finish_non_exhaustive()
    }
}

/// An environment that is looked at.
struct Watched {
    target: ProbeTarget,
    /// Which of its web addresses comes next; one that did not answer is asked again.
    turn: usize,
    /// Not written since it was.
    is_new: bool,
}

struct Looked {
    uid: TenantUid,
    outcome: Result<(), String>,
}

/// All that is looked at.
#[derive(Default)]
struct Watch {
    tenants: BTreeMap<TenantUid, Watched>,
    /// Looks under way, by their tasks.
    looking: HashMap<Id, TenantUid>,
    beat: u64,
}

impl AvailabilityWatch {
    /// Looks at nothing yet.
    #[must_use]
    pub fn new(
        options: AvailabilityOptions,
        store: Arc<dyn AvailabilityStore>,
        probe: Arc<dyn Probe>,
        wake: Arc<dyn Wake>,
        figures: AvailabilityFigures,
    ) -> Self {
        Self { options, store, probe, wake, figures }
    }

    /// Looks until cancelled; looks under way are dropped then, and nothing is lost but them.
    pub async fn run(self, stop: CancellationToken) {
        let mut looks = JoinSet::new();
        let mut slots = interval(self.options.interval / SLOTS);
        slots.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut watch, mut slot) = (Watch::default(), 0);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = slots.tick() => {}
            }
            let began = Instant::now();
            if slot == 0
                && let Err(error) = self.begin_beat(&mut watch).await
            {
                tracing::error!(error = %Chain(&error), "which environments to look at is not known; they are as before");
            }
            let mut seen = Vec::new();
            while let Some(ended) = looks.try_join_next_with_id() {
                seen.extend(self.ended(&mut watch, ended));
            }
            if let Err(error) = self.keep(&mut watch, seen).await {
                tracing::error!(error = %Chain(&error), "what was seen of environments is not kept; it is with the next beats");
            }
            if slot == 0 {
                self.figures.spent.set(began.elapsed().as_secs_f64());
            }
            self.look(&mut watch, slot, &mut looks);
            slot = (slot + 1) % SLOTS;
        }
    }

    /// Begins to look at those whose slot it is, as far as there is room.
    fn look(&self, watch: &mut Watch, slot: u32, looks: &mut JoinSet<Looked>) {
        for uid in due(watch, slot) {
            let Some(watched) = watch.tenants.get(&uid) else { continue };
            if looks.len() >= LOOKS_MAX {
                self.figures.late.inc();
                continue;
            }
            self.figures.probes.inc();
            let (probe, endpoints) = (Arc::clone(&self.probe), watched.target.endpoints.clone());
            let turn = watched.turn;
            let task = looks.spawn(async move { Looked { uid, outcome: probe.probe(&endpoints, turn).await } });
            watch.looking.insert(task.id(), uid);
        }
    }

    /// Takes a look that has ended.
    fn ended(&self, watch: &mut Watch, ended: Result<(Id, Looked), JoinError>) -> Option<SeenAvailability> {
        match ended {
            Ok((task, looked)) => {
                watch.looking.remove(&task);
                self.seen(watch, looked)
            }
            // A panic says nothing of the environment: it is looked at again with its next slot.
            Err(error) => {
                let uid = watch.looking.remove(&error.id());
                tracing::error!(tenant.id = uid.map(tracing::field::display), %error, "a look at an environment panicked");
                None
            }
        }
    }

    /// Takes the duty, and reads whom to look at.
    async fn begin_beat(&self, watch: &mut Watch) -> Result<(), StoreError> {
        watch.beat += 1;
        if !self.store.claim_probing(&self.options.owner, self.options.interval * 2).await? {
            *watch = Watch { beat: watch.beat, ..Watch::default() };
            self.figures.watched.set(0);
            self.figures.unavailable.set(0);
            return Ok(());
        }
        let (mut found, mut after) = (BTreeMap::new(), None);
        loop {
            let page = self.store.probe_targets(after, PAGE).await?;
            // A record that can't be read is left out: a page with gaps need not be the last one.
            let Some(last) = page.last() else { break };
            after = Some(last.uid);
            found.extend(page.into_iter().map(|target| (target.uid, target)));
        }
        watch.tenants.retain(|uid, _| found.contains_key(uid));
        for (uid, target) in found {
            match watch.tenants.get_mut(&uid) {
                // What was seen here is newer than what was written.
                Some(known) => {
                    let availability = std::mem::take(&mut known.target.availability);
                    known.target = ProbeTarget { availability, ..target };
                }
                None => drop(watch.tenants.insert(uid, Watched { target, turn: 0, is_new: true })),
            }
        }
        let lost = watch.tenants.values().filter(|known| known.target.availability.available == Some(false)).count();
        self.figures.watched.set(i64::try_from(watch.tenants.len()).unwrap_or(i64::MAX));
        self.figures.unavailable.set(i64::try_from(lost).unwrap_or(i64::MAX));
        Ok(())
    }

    /// What follows from a look; `None`: nothing that is to be written now.
    fn seen(&self, watch: &mut Watch, looked: Looked) -> Option<SeenAvailability> {
        let is_kept_now = (watch.beat + u64::from(slot_of(looked.uid))).is_multiple_of(KEEP_BEATS);
        let watched = watch.tenants.get_mut(&looked.uid)?;
        let target = &mut watched.target;
        if looked.outcome.is_ok() {
            watched.turn = watched.turn.wrapping_add(1);
        }
        let outcome = looked.outcome.as_ref().copied().map_err(String::as_str);
        let (availability, change) = target.availability.beat(outcome, now(), self.options.interval * 2);
        target.availability = availability.clone();
        let repair = change == Some(AvailabilityChange::Lost) && target.when_unavailable == WhenUnavailable::Repair;
        match change {
            Some(AvailabilityChange::Lost) => {
                self.figures.lost.inc();
                tracing::warn!(tenant = %target.name, cause = availability.cause, "does not answer");
            }
            Some(AvailabilityChange::Back) => tracing::info!(tenant = %target.name, "answers again"),
            Some(AvailabilityChange::First) | None => {}
        }
        let is_written = change.is_some() || is_kept_now || watched.is_new;
        watched.is_new = false;
        is_written.then(|| SeenAvailability {
            uid: target.uid,
            name: target.name.clone(),
            availability,
            change,
            repair,
        })
    }

    async fn keep(&self, watch: &mut Watch, seen: Vec<SeenAvailability>) -> Result<(), StoreError> {
        let (mut repairs, mut failed) = (false, None);
        for some in seen.chunks(KEPT_MAX) {
            repairs |= some.iter().any(|one| one.repair);
            let kept = self.store.keep_availability(&self.options.owner, some.to_vec()).await;
            if !matches!(kept, Ok(true)) {
                // Another daemon looks, or nobody can write: the change is found again from what is written.
                for one in some.iter().filter(|one| one.change.is_some()) {
                    watch.tenants.remove(&one.uid);
                }
            }
            if let Err(error) = kept {
                failed.get_or_insert(error);
            }
        }
        if repairs {
            self.wake.wake();
        }
        failed.map_or(Ok(()), Err)
    }
}

/// The second of a beat in which a tenant is looked at.
fn slot_of(uid: TenantUid) -> u32 {
    // A random UUID: its last bytes are spread evenly.
    let [.., a, b] = uid.0.into_bytes();
    u32::from(u16::from_be_bytes([a, b])) % SLOTS
}

/// Who is looked at in a slot, and is not already.
fn due(watch: &Watch, slot: u32) -> Vec<TenantUid> {
    let looking: BTreeSet<TenantUid> = watch.looking.values().copied().collect();
    let of_slot = watch.tenants.keys().filter(|uid| slot_of(**uid) == slot && !looking.contains(uid));
    of_slot.copied().collect()
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use landlord_core::{Availability, environment::Endpoint, ports::PROBE_TIMEOUT};
    use parking_lot::Mutex;

    use super::*;

    const TENANTS: usize = 3_000;

    /// A store of tenants, every third of which is slow and every third dead.
    #[derive(Default)]
    struct World {
        kept: Mutex<BTreeMap<TenantUid, Availability>>,
        changes: Mutex<Vec<(TenantUid, AvailabilityChange, bool)>>,
        looks: Mutex<BTreeMap<String, Vec<Instant>>>,
        owner: Mutex<Option<String>>,
        woken: Mutex<usize>,
    }

    fn tenants() -> Vec<TenantUid> {
        let uid =
            |n: usize| TenantUid(uuid::Uuid::from_u128((n as u128) << 64 | (n as u128).wrapping_mul(2_654_435_761)));
        let mut all: Vec<TenantUid> = (1..=TENANTS).map(uid).collect();
        all.sort();
        all
    }

    #[async_trait]
    impl AvailabilityStore for World {
        async fn claim_probing(&self, owner: &str, _: Duration) -> Result<bool, StoreError> {
            Ok(self.owner.lock().get_or_insert_with(|| owner.to_owned()) == owner)
        }

        async fn probe_targets(&self, after: Option<TenantUid>, limit: u32) -> Result<Vec<ProbeTarget>, StoreError> {
            let all = tenants();
            let page = all.iter().enumerate().filter(|(_, uid)| after.is_none_or(|after| **uid > after));
            let target = |(index, uid): (usize, &TenantUid)| ProbeTarget {
                uid: *uid,
                name: format!("customers/acme/tenants/t-{index}").parse().unwrap(),
                endpoints: vec![Endpoint { name: format!("{index}"), url: String::new() }],
                when_unavailable: if index == 2 { WhenUnavailable::Repair } else { WhenUnavailable::Report },
                availability: self.kept.lock().get(uid).cloned().unwrap_or_default(),
            };
            Ok(page.take(limit as usize).map(target).collect())
        }

        async fn keep_availability(&self, owner: &str, seen: Vec<SeenAvailability>) -> Result<bool, StoreError> {
            if self.owner.lock().as_deref() != Some(owner) {
                return Ok(false);
            }
            for one in seen {
                self.changes.lock().extend(one.change.map(|change| (one.uid, change, one.repair)));
                self.kept.lock().insert(one.uid, one.availability);
            }
            Ok(true)
        }
    }

    #[async_trait]
    impl Probe for World {
        async fn probe(&self, endpoints: &[Endpoint], _: usize) -> Result<(), String> {
            let index: usize = endpoints[0].name.parse().unwrap();
            self.looks.lock().entry(endpoints[0].name.clone()).or_default().push(Instant::now());
            match index % 3 {
                0 => Ok(()),
                1 => {
                    tokio::time::sleep(PROBE_TIMEOUT / 2).await;
                    Ok(())
                }
                _ => {
                    tokio::time::sleep(PROBE_TIMEOUT).await;
                    Err("no answer".into())
                }
            }
        }
    }

    impl Wake for World {
        fn wake(&self) {
            *self.woken.lock() += 1;
        }
    }

    fn watch(world: &Arc<World>, owner: &str) -> AvailabilityWatch {
        let options = AvailabilityOptions { owner: owner.into(), interval: Duration::from_secs(60) };
        AvailabilityWatch::new(options, world.clone(), world.clone(), world.clone(), AvailabilityFigures::default())
    }

    #[tokio::test(start_paused = true)]
    async fn the_dead_and_slow_delay_nobody_and_are_reported_once() {
        let world = Arc::new(World::default());
        let stop = CancellationToken::new();
        let (one, two) = (watch(&world, "one"), watch(&world, "two"));
        let (figures, idle) = (one.figures.clone(), two.figures.clone());
        let until = async {
            tokio::time::sleep(Duration::from_secs(60 * 4)).await;
            stop.cancel();
        };
        tokio::join!(one.run(stop.clone()), two.run(stop.clone()), until);
        assert_eq!(idle.probes.get(), 0, "one daemon looks");
        assert_eq!((figures.watched.get(), figures.late.get()), (i64::try_from(TENANTS).unwrap(), 0));
        for (name, looks) in world.looks.lock().iter() {
            assert!(looks.len() >= 3, "{name}: {looks:?}");
            for pair in looks.windows(2) {
                let apart = pair[1] - pair[0];
                assert!((55..=65).contains(&apart.as_secs()), "{name} was looked at after {apart:?}");
            }
        }
        let lost: Vec<_> =
            world.changes.lock().iter().filter(|(_, change, _)| *change == AvailabilityChange::Lost).copied().collect();
        let uids: BTreeSet<TenantUid> = lost.iter().map(|(uid, ..)| *uid).collect();
        assert_eq!((uids.len(), lost.len()), (TENANTS / 3, TENANTS / 3), "each is reported once");
        assert_eq!(lost.iter().filter(|(_, _, repair)| *repair).count(), 1, "the class of one wants it repaired");
        assert_eq!(*world.woken.lock(), 1);
    }
}
