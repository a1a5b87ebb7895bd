//! Claims what is due, gives each claim a pass, and ends in order.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt as _;
use landlord_core::{
    Chain,
    ports::{Claim, StoreError, Wake},
};
use tokio::{
    sync::{Notify, Semaphore},
    time::{Instant, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument as _;

use crate::{
    access::AccessCache,
    boot_clock::BootClock,
    clock::ClockWatch,
    figures::EngineFigures,
    holds::Holds,
    lease::Lease,
    limits::Limits,
    observed::Observed,
    options::{EngineOptions, EnginePorts},
    pass,
    shared::Shared,
    turns::Turns,
};

/// Claims in one round trip; passes begin as soon as a round trip is over.
const CLAIM_BATCH_MAX: u32 = 64;
/// Dues are of the database's clock, which may be another machine's: nobody here sees when that one is set back.
const CLAMP_INTERVAL: Duration = Duration::from_secs(60);
/// Without a hint the store is read at least this often: another daemon, or a lost hint.
const IDLE_POLL: Duration = Duration::from_secs(1);
/// While the store can't be reached it is tried this often.
const STORE_RETRY: Duration = Duration::from_millis(500);

/// The engine, before it runs.
pub struct Engine {
    shared: Arc<Shared>,
}

/// Hints to a running engine. Clones are cheap.
#[derive(Clone)]
pub struct EngineHandle {
    shared: Arc<Shared>,
}

impl EngineHandle {
    /// What is measured of the engine.
    #[must_use]
    pub fn figures(&self) -> &EngineFigures {
        &self.shared.limits.figures
    }

    /// Measures what changes by itself: tokens, rates, who waits. For every few seconds.
    pub fn measure(&self) {
        self.shared.limits.measure();
    }
}

impl Wake for EngineHandle {
    fn wake(&self) {
        self.shared.hint.notify_one();
    }
}

impl Engine {
    /// An engine and the handle that hints it.
    #[must_use]
    pub fn new(options: EngineOptions, ports: EnginePorts) -> (Self, EngineHandle) {
        let shared = Arc::new(Shared {
            options,
            ports,
            limits: Limits::default(),
            access: AccessCache::default(),
            holds: Holds::default(),
            boot_clock: BootClock::default(),
            clock: ClockWatch::default(),
            turns: Turns::default(),
            observed: Observed::default(),
            hint: Notify::new(),
            stopping: CancellationToken::new(),
        });
        (Self { shared: Arc::clone(&shared) }, EngineHandle { shared })
    }

    /// Works until cancelled; then no call begins any more, and those under way may end until the drain deadline. The rest is
    /// dropped, and a plugin may go on with it for a while: its leases run out by themselves. Whether all of them ended.
    pub async fn run(self, stop: CancellationToken) -> bool {
        let shared = self.shared;
        let passes = TaskTracker::new();
        let slots = Arc::new(Semaphore::new(shared.options.passes_max.max(1) as usize));
        let abort = CancellationToken::new();
        recover(&shared, &stop).await;
        clamp(&shared).await;
        let (mut clamped, often) = (Instant::now(), CLAMP_INTERVAL.min(shared.options.resync_interval));
        while !stop.is_cancelled() {
            if shared.clock.jumped() || clamped.elapsed() >= often {
                clamp(&shared).await;
                clamped = Instant::now();
            }
            let wait = round(&shared, &slots, &passes, &abort).await;
            tokio::select! {
                () = stop.cancelled() => {}
                () = shared.hint.notified() => {}
                () = shared.ports.store.wait_for_hand_over() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
        shared.stopping.cancel();
        passes.close();
        let ended = timeout(shared.options.drain_deadline, passes.wait()).await.is_ok();
        if !ended {
            tracing::warn!(passes = passes.len(), "drain deadline is over; passes are dropped");
            abort.cancel();
            passes.wait().await;
        }
        ended
    }
}

async fn recover(shared: &Shared, stop: &CancellationToken) {
    while !stop.is_cancelled() {
        match shared.ports.store.recover_leases().await {
            Ok(0) => return,
            Ok(leases) => {
                tracing::info!(leases, "took over the leases of an earlier run");
                return;
            }
            Err(error) => {
                tracing::error!(error = %Chain(&error), "can't recover leases");
                tokio::time::sleep(STORE_RETRY).await;
            }
        }
    }
}

/// Nothing waits for longer than any legitimate wait: what was due by a clock that has been set back would wait for days.
async fn clamp(shared: &Shared) {
    match shared.ports.store.clamp_dues(shared.longest_wait()).await {
        Ok(0) => {}
        Ok(tenants) => {
            tracing::warn!(tenants, "were due later than anything waits, and are due now; was the clock set back?")
        }
        Err(error) => tracing::error!(error = %Chain(&error), "can't read what is due too late"),
    }
}

/// Claims what is due for the free slots; says how long nothing more will be.
async fn round(
    shared: &Arc<Shared>,
    slots: &Arc<Semaphore>,
    passes: &TaskTracker,
    abort: &CancellationToken,
) -> Duration {
    let free = u32::try_from(slots.available_permits()).unwrap_or(u32::MAX).min(CLAIM_BATCH_MAX);
    if free == 0 {
        // A pass that ends gives a hint.
        return IDLE_POLL;
    }
    let store = &shared.ports.store;
    let options = &shared.options;
    let sent = Instant::now();
    let claims = match store.claim(&options.owner, free, options.lease_ttl).await {
        Ok(claims) => claims,
        Err(error) => {
            tracing::error!(error = %Chain(&error), "can't claim work");
            return STORE_RETRY;
        }
    };
    shared.limits.figures.claimed(claims.len());
    let full = claims.len() == free as usize;
    for taken in claims.iter().filter_map(|claim| claim.taken_over.as_ref()) {
        shared.limits.take_over(taken);
    }
    for claim in claims {
        let Ok(slot) = Arc::clone(slots).try_acquire_owned() else { break };
        let (shared, abort) = (Arc::clone(shared), abort.clone());
        let lease = Lease::new(sent, options.lease_ttl);
        passes.spawn(async move {
            let (figures, began) = (&shared.limits.figures, std::time::Instant::now());
            figures.pass_begins();
            let outcome = tokio::select! {
                () = abort.cancelled() => "dropped",
                outcome = guarded_pass(&shared, &claim, &lease) => outcome,
            };
            figures.pass_ended(outcome, began.elapsed());
            drop(slot);
            shared.hint.notify_one();
        });
    }
    if full {
        return Duration::ZERO;
    }
    match store.next_due(&options.owner).await {
        Ok(next) => next.unwrap_or(IDLE_POLL).min(IDLE_POLL),
        Err(error) => {
            tracing::error!(error = %Chain(&error), "can't read what is due");
            STORE_RETRY
        }
    }
}

/// A pass whose panic costs only itself: the lease runs out and the tenant is claimed again. How it ended, for figures.
async fn guarded_pass(shared: &Arc<Shared>, claim: &Claim, lease: &Lease) -> &'static str {
    let span = tracing::info_span!(
        "pass",
        tenant.id = %claim.uid,
        operation.id = tracing::field::Empty,
        provider = tracing::field::Empty
    );
    let _turn = shared.turns.take(claim.uid).await;
    if lease.is_over() {
        // Whoever was waited for took too long: it is claimed again.
        return "late";
    }
    let pass = AssertUnwindSafe(pass::run(shared, claim, lease)).catch_unwind().instrument(span.clone());
    let ended = pass.await;
    let _entered = span.entered();
    match ended {
        Ok(Ok(())) => "ok",
        Ok(Err(StoreError::FenceLost(_))) => {
            tracing::warn!("the lease was lost; another owner goes on");
            "fence_lost"
        }
        Ok(Err(error)) => {
            tracing::error!(error = %Chain(&error), "a pass ended early");
            "error"
        }
        Err(_) => {
            tracing::error!("a pass panicked");
            "panic"
        }
    }
}
