//! Looks every minute whether environments answer.
//!
//! # Expected flow
//! The daemon that has the duty reads whom to look at once a beat, and looks at each tenant at its own moment of it, which its
//! uid decides. What changed is written at once; what goes on as it was, every [`KEEP_BEATS`] beats.
//!
//! # Guarantees
//! - One daemon looks. When it ends another goes on within a slot; when it is killed, within two beats. What it wrote is fenced by
//!   the duty.
//! - Who is slow or dead delays nobody: a look ends within its time, at most [`LOOKS_MAX`] are under way, and of those
//!   [`LOOKS_OF_ANSWERING`] are kept for whoever answered last time. What finds no room is counted, and looked at as soon as there is
//!   some, whoever waits longest first.
//! - A lost environment is reported once, with its cause; what its class says follows.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use landlord_core::{
    AvailabilityChange, Chain, TenantUid, WhenUnavailable,
    ports::{AvailabilityStore, Duty, NoAnswer, Probe, ProbeTarget, SeenAvailability, StoreError, Wake},
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

use crate::clock::now;

/// Tenants are spread over a beat by this many slots: with 10,000 of them some 170 are looked at in each.
const SLOTS: u32 = 60;
/// Moments of a slot at which looks begin: a dozen together cost the processor less than one after another, since it wakes up once for
/// what several are sent.
const MOMENTS: u32 = 16;
/// Looks under way: if none of 10,000 tenants answers, 167 a second for the five seconds of `PROBE_TIMEOUT` and what they wait for
/// their moment are 920, and slots are not all of one size. Each has a socket for each address, four in the stacks that are shipped.
const LOOKS_MAX: usize = 1_152;
/// Of those, kept for tenants that answered last time: they have ended within a moment, and do not wait behind any number of dead ones.
const LOOKS_OF_ANSWERING: usize = 128;
/// What goes on as it was is written so seldom: a figure of a month needs no more.
const KEEP_BEATS: u64 = 10;
/// What is not written for so many beats more is nobody's to rely on: whoever looked has ended, or is not to any more.
const FRESH_BEATS: u32 = KEEP_BEATS as u32 + 3;
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
        let help = "Looks that had to wait, since too many others were under way";
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
    /// When it was looked at last.
    looked: Option<Instant>,
    /// Not written since it was.
    is_new: bool,
}

struct Looked {
    uid: TenantUid,
    outcome: Result<(), NoAnswer>,
}

/// All that is looked at.
#[derive(Default)]
struct Watch {
    tenants: BTreeMap<TenantUid, Watched>,
    /// Looks under way, by their tasks.
    looking: HashMap<Id, TenantUid>,
    /// Who found no room in its slot, longest waiting first: looked at as soon as there is room.
    left_out: Vec<TenantUid>,
    /// Looks of this beat that the daemon could not take, and why the last one.
    not_looked: (u64, String),
    beat: u64,
    /// Whether this daemon has the duty.
    is_on_duty: bool,
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

    /// Looks until cancelled; looks under way are dropped then, and nothing is lost but them. The duty is given back.
    pub async fn run(self, stop: CancellationToken) {
        let mut looks = JoinSet::new();
        let mut slots = interval(self.options.interval / SLOTS);
        slots.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut watch, mut slot) = (Watch::default(), 0);
        loop {
            tokio::select! {
                () = stop.cancelled() => return self.give_back(&watch).await,
                _ = slots.tick() => {}
            }
            let began = Instant::now();
            // Who has not the duty asks for it in each slot: when it is given back, nobody waits for a beat.
            if (slot == 0 || !watch.is_on_duty)
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
                // A reason of the daemon's own, the same for all: logged once a beat.
                let (looks, why) = std::mem::take(&mut watch.not_looked);
                if looks > 0 {
                    tracing::warn!(looks, why, "environments were not looked at");
                }
            }
            self.look(&mut watch, slot, &mut looks);
            slot = (slot + 1) % SLOTS;
        }
    }

    /// Another daemon goes on at once. One that doesn't learn of it takes over when the lease ends.
    async fn give_back(&self, watch: &Watch) {
        if watch.is_on_duty
            && let Err(error) = self.claim(Duration::ZERO).await
        {
            tracing::warn!(error = %Chain(&error), "the duty of looking at environments is not given back; its lease ends by itself");
        }
    }

    /// Begins to look at those whose slot it is, as far as there is room.
    fn look(&self, watch: &mut Watch, slot: u32, looks: &mut JoinSet<Looked>) {
        let waiting = watch.left_out.len();
        for (place, uid) in due(watch, slot, self.options.interval).into_iter().enumerate() {
            let Some(watched) = watch.tenants.get_mut(&uid) else { continue };
            let has_missed = watched.target.availability.misses > 0;
            if looks.len() >= if has_missed { LOOKS_MAX - LOOKS_OF_ANSWERING } else { LOOKS_MAX } {
                if place >= waiting {
                    self.figures.late.inc();
                }
                watch.left_out.push(uid);
                continue;
            }
            self.figures.probes.inc();
            watched.looked = Some(Instant::now());
            let (probe, endpoints) = (Arc::clone(&self.probe), watched.target.endpoints.clone());
            // Whoever has waited waits no longer.
            let offset = if place < waiting { 0.0 } else { moment_of(uid).1 };
            let offset = (self.options.interval / SLOTS).mul_f64(offset);
            let task = looks.spawn(async move {
                tokio::time::sleep(offset).await;
                Looked { uid, outcome: probe.probe(&endpoints).await }
            });
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

    async fn claim(&self, ttl: Duration) -> Result<bool, StoreError> {
        self.store.claim_duty(Duty::Probing, &self.options.owner, ttl).await
    }

    /// Takes the duty, and reads whom to look at.
    async fn begin_beat(&self, watch: &mut Watch) -> Result<(), StoreError> {
        watch.beat += 1;
        let claimed = self.claim(self.options.interval * 2).await;
        // While nobody answers who has the duty, it is as it was: its lease says for how long.
        watch.is_on_duty = claimed?;
        if !watch.is_on_duty {
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
                None => drop(watch.tenants.insert(uid, Watched { target, looked: None, is_new: true })),
            }
        }
        let lost = watch.tenants.values().filter(|known| known.target.availability.available == Some(false)).count();
        self.figures.watched.set(i64::try_from(watch.tenants.len()).unwrap_or(i64::MAX));
        self.figures.unavailable.set(i64::try_from(lost).unwrap_or(i64::MAX));
        Ok(())
    }

    /// What follows from a look; `None`: nothing that is to be written now.
    fn seen(&self, watch: &mut Watch, looked: Looked) -> Option<SeenAvailability> {
        let is_kept_now = (watch.beat + u64::from(moment_of(looked.uid).0)).is_multiple_of(KEEP_BEATS);
        let watched = watch.tenants.get_mut(&looked.uid)?;
        let target = &mut watched.target;
        let outcome = match &looked.outcome {
            // Whoever answers, but does not do what it is for, is not available.
            Ok(()) => target.failing.as_deref().map_or(Ok(()), Err),
            Err(NoAnswer::Missed(cause)) => Err(cause.as_str()),
            Err(NoAnswer::NotLooked(why)) => {
                watch.not_looked = (watch.not_looked.0 + 1, why.clone());
                return None;
            }
        };
        let now = now();
        let (mut availability, change) = target.availability.beat(outcome, now, self.options.interval * 2);
        availability.fresh_until = now.after(self.options.interval * FRESH_BEATS);
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

/// The slot of a beat in which a tenant is looked at, and when in it, of one: hundreds of names asked for in one moment are more than a
/// name server takes in, and what it drops is asked for again a second later.
fn moment_of(uid: TenantUid) -> (u32, f64) {
    // A random UUID: its last bytes are spread evenly.
    let [.., a, b] = uid.0.into_bytes();
    let at = (u32::from(u16::from_be_bytes([a, b])) * SLOTS * MOMENTS) >> u16::BITS;
    (at / MOMENTS, f64::from(at % MOMENTS) / f64::from(MOMENTS))
}

/// Who is to be looked at: those who were left out before, and those whose slot it is, but for who is looked at already, or was just
/// now, since it had been left out.
fn due(watch: &mut Watch, slot: u32, interval: Duration) -> Vec<TenantUid> {
    let looking: BTreeSet<TenantUid> = watch.looking.values().copied().collect();
    let mut due = std::mem::take(&mut watch.left_out);
    let left_out: BTreeSet<TenantUid> = due.iter().copied().collect();
    let is_fresh = |watched: &Watched| watched.looked.is_some_and(|at| at.elapsed() < interval / 2);
    let of_slot = watch.tenants.iter().filter(|(uid, watched)| moment_of(**uid).0 == slot && !is_fresh(watched));
    due.extend(of_slot.map(|(uid, _)| *uid).filter(|uid| !looking.contains(uid) && !left_out.contains(uid)));
    due
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use async_trait::async_trait;
    use landlord_core::{
        Availability,
        environment::Endpoint,
        ports::{DutyStore, PROBE_TIMEOUT},
    };
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
        /// What the fourth tenant does not do, whether it answers or not.
        failing: Mutex<Option<String>>,
        /// All that is dead answers nobody in time.
        all_dead: AtomicBool,
        /// All but every tenth is dead.
        most_dead: AtomicBool,
        /// This daemon itself can't look.
        is_blind: AtomicBool,
    }

    fn tenants() -> Vec<TenantUid> {
        let uid =
            |n: usize| TenantUid(uuid::Uuid::from_u128((n as u128) << 64 | (n as u128).wrapping_mul(2_654_435_761)));
        let mut all: Vec<TenantUid> = (1..=TENANTS).map(uid).collect();
        all.sort();
        all
    }

    #[async_trait]
    impl DutyStore for World {
        async fn claim_duty(&self, _: Duty, owner: &str, ttl: Duration) -> Result<bool, StoreError> {
            let mut held = self.owner.lock();
            let is_ours = held.get_or_insert_with(|| owner.to_owned()) == owner;
            *held = held.take().filter(|_| !is_ours || !ttl.is_zero());
            Ok(is_ours)
        }
    }

    #[async_trait]
    impl AvailabilityStore for World {
        async fn probe_targets(&self, after: Option<TenantUid>, limit: u32) -> Result<Vec<ProbeTarget>, StoreError> {
            let all = tenants();
            let page = all.iter().enumerate().filter(|(_, uid)| after.is_none_or(|after| **uid > after));
            let target = |(index, uid): (usize, &TenantUid)| ProbeTarget {
                uid: *uid,
                name: format!("customers/acme/tenants/t-{index}").parse().unwrap(),
                endpoints: vec![Endpoint { name: format!("{index}"), ..Endpoint::default() }],
                when_unavailable: if index == 2 { WhenUnavailable::Repair } else { WhenUnavailable::Report },
                availability: self.kept.lock().get(uid).cloned().unwrap_or_default(),
                failing: (index == 3).then(|| self.failing.lock().clone()).flatten(),
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
        async fn probe(&self, endpoints: &[Endpoint]) -> Result<(), NoAnswer> {
            let index: usize = endpoints[0].name.parse().unwrap();
            self.looks.lock().entry(endpoints[0].name.clone()).or_default().push(Instant::now());
            if self.is_blind.load(Ordering::SeqCst) {
                return Err(NoAnswer::NotLooked("no authorities".into()));
            }
            if self.all_dead.load(Ordering::SeqCst) {
                tokio::time::sleep(Duration::from_secs(40)).await;
                return Err(NoAnswer::Missed("no answer".into()));
            }
            let kind = match self.most_dead.load(Ordering::SeqCst) {
                true if index.is_multiple_of(10) => 0,
                true => 2,
                false => index % 3,
            };
            match kind {
                0 => Ok(()),
                1 => {
                    tokio::time::sleep(PROBE_TIMEOUT / 2).await;
                    Ok(())
                }
                _ => {
                    tokio::time::sleep(PROBE_TIMEOUT).await;
                    Err(NoAnswer::Missed("no answer".into()))
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
        watch_every(world, owner, Duration::from_secs(60))
    }

    fn watch_every(world: &Arc<World>, owner: &str, interval: Duration) -> AvailabilityWatch {
        let options = AvailabilityOptions { owner: owner.into(), interval };
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

    /// Runs a watch for so long.
    async fn run_for(watch: AvailabilityWatch, time: Duration) {
        let stop = CancellationToken::new();
        let until = async {
            tokio::time::sleep(time).await;
            stop.cancel();
        };
        tokio::join!(watch.run(stop.clone()), until);
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_do_what_it_is_for_is_not_available() {
        let world = Arc::new(World::default());
        let fourth = tenants()[3];
        let of_fourth = |world: &World| world.kept.lock()[&fourth].clone();
        run_for(watch(&world, "one"), Duration::from_secs(130)).await;
        assert_eq!(of_fourth(&world).available, Some(true));
        assert!(of_fourth(&world).fresh_until > of_fourth(&world).beat_time);
        *world.failing.lock() = Some("chat: the model is missing".into());
        run_for(watch(&world, "one"), Duration::from_secs(190)).await;
        let lost = of_fourth(&world);
        assert_eq!((lost.available, lost.cause.as_str()), (Some(false), "chat: the model is missing"));
        *world.failing.lock() = None;
        run_for(watch(&world, "one"), Duration::from_secs(130)).await;
        assert_eq!(of_fourth(&world).available, Some(true), "back by itself");
    }

    #[tokio::test(start_paused = true)]
    async fn a_daemon_that_can_not_look_knows_nothing_and_the_duty_is_given_back() {
        let world = Arc::new(World::default());
        world.is_blind.store(true, Ordering::SeqCst);
        let begun = Instant::now();
        let (one, two) = (watch(&world, "one"), watch(&world, "two"));
        let figures = two.figures.clone();
        let (ends, stop) = (CancellationToken::new(), CancellationToken::new());
        let until = async {
            tokio::time::sleep(Duration::from_secs(150)).await;
            assert!(!world.looks.lock().is_empty() && world.kept.lock().is_empty(), "nothing is known of anybody");
            ends.cancel();
            tokio::time::sleep(Duration::from_secs(5)).await;
            assert_eq!(world.owner.lock().as_deref(), Some("two"), "it does not wait for a lease");
            assert!(figures.probes.get() > 0);
            stop.cancel();
        };
        tokio::join!(one.run(ends.clone()), two.run(stop.clone()), until);
        assert_eq!(begun.elapsed().as_secs(), 155);
    }

    #[tokio::test(start_paused = true)]
    async fn where_all_are_dead_each_has_its_turn() {
        let world = Arc::new(World::default());
        world.all_dead.store(true, Ordering::SeqCst);
        let watch = watch(&world, "one");
        let figures = watch.figures.clone();
        run_for(watch, Duration::from_secs(60 * 12)).await;
        assert!(figures.late.get() > 0, "there is no room for all");
        let looks = world.looks.lock();
        assert_eq!(looks.len(), TENANTS, "nobody is left out for ever");
        let least = looks.values().map(Vec::len).min().unwrap();
        assert!(least >= 2, "{least} looks in 12 beats");
    }

    #[tokio::test(start_paused = true)]
    async fn who_answers_waits_for_nobody_who_is_dead() {
        let world = Arc::new(World::default());
        world.most_dead.store(true, Ordering::SeqCst);
        // 300 looks a second, of which 270 take five seconds: more than there is room for.
        let interval = Duration::from_secs(10);
        let watch = watch_every(&world, "one", interval);
        let figures = watch.figures.clone();
        run_for(watch, interval * 12).await;
        assert!(figures.late.get() > 0, "there is room for all");
        let looks = world.looks.lock();
        for (name, looks) in looks.iter() {
            // Before the first beats it is not known who is dead.
            let apart = looks.windows(2).skip(3).map(|pair| pair[1] - pair[0]).max().unwrap();
            let is_dead = !name.parse::<usize>().unwrap().is_multiple_of(10);
            let most = if is_dead { interval * 3 } else { interval + interval / 10 };
            assert!(apart <= most, "{name} was looked at after {apart:?}");
        }
    }
}
