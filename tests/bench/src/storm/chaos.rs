//! What disturbs the lives: everything that they rest on is killed, stopped, throttled or lied to, one after the other.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use landlord_proto::v1::WatchTenantsRequest;
use landlord_test_harness::{World, process::children};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{
    api_server::ApiServer,
    dice::Dice,
    portal::{Client, Portal},
};

/// Clients at once that read too slowly.
const SLOW_WATCHERS: usize = 3;
/// How long such a client takes for a message, and stays.
const SLOW_PAUSE: Duration = Duration::from_millis(1_500);
const SLOW_FOR: Duration = Duration::from_secs(20);

/// A disturbance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Blow {
    KillDaemon,
    KillPlugin,
    KillApiServer,
    StopDaemon,
    StopPlugin,
    StopApiServer,
    StopClouds,
    Throttle,
    LostAnswer,
    LostRequest,
    Slow,
    SlowWatchers,
    SetClock,
}

const ALL: [Blow; 15] = [
    // Twice as often as the others.
    Blow::KillDaemon,
    Blow::KillDaemon,
    Blow::KillPlugin,
    Blow::KillPlugin,
    Blow::KillApiServer,
    Blow::StopDaemon,
    Blow::StopPlugin,
    Blow::StopApiServer,
    Blow::StopClouds,
    Blow::Throttle,
    Blow::LostAnswer,
    Blow::LostRequest,
    Blow::Slow,
    Blow::SlowWatchers,
    Blow::SetClock,
];

/// How far the daemon's wall clock is set, in seconds: a leap that its watch must notice, an hour of a time zone, a day.
const JUMPS: [i64; 6] = [-86_400, -3_600, -30, 30, 3_600, 86_400];

/// Disturbs a world.
pub(crate) struct Chaos {
    dice: Dice,
    hosts: Vec<ApiServer>,
    portal: Portal,
    counts: BTreeMap<Blow, u32>,
    /// Each ends by itself, and all with this value; any response is right.
    watchers: JoinSet<()>,
}

impl Chaos {
    /// With the API servers of the host clusters.
    pub(crate) fn new(dice: Dice, hosts: Vec<ApiServer>, portal: Portal) -> Self {
        Self { dice, hosts, portal, counts: BTreeMap::new(), watchers: JoinSet::new() }
    }

    /// Disturbs until then; afterwards everything runs and responds again.
    pub(crate) async fn until(&mut self, world: &mut World, until: Instant) -> Result<()> {
        while Instant::now() < until {
            let blow = self.dice.one(&ALL).context("nothing to do")?;
            let (pause, length) = (self.dice.between(800, 4_000), self.dice.between(300, 4_000));
            tokio::time::sleep(pause.min(until.saturating_duration_since(Instant::now()))).await;
            *self.counts.entry(blow).or_default() += 1;
            self.blow(world, blow, length).await.with_context(|| format!("{blow:?}"))?;
        }
        world.simulator().control().delete("faults")?;
        Ok(())
    }

    /// How often what happened.
    pub(crate) fn reported(&self) -> String {
        let all: Vec<String> = self.counts.iter().map(|(blow, count)| format!("{count} {blow:?}")).collect();
        all.join(", ")
    }

    async fn blow(&mut self, world: &mut World, blow: Blow, length: Duration) -> Result<()> {
        let daemon = world.daemon().context("no daemon")?.pid();
        match blow {
            Blow::KillDaemon => {
                world.crash_daemon()?;
                tokio::time::sleep(length / 3).await;
                world.start_daemon()?;
            }
            Blow::KillPlugin => {
                if let Some(plugin) = self.dice.one(&children(daemon)) {
                    signal(plugin, Signal::KILL);
                }
            }
            Blow::KillApiServer => {
                let at = self.dice.one(&(0..self.hosts.len()).collect::<Vec<_>>()).context("no API server")?;
                self.hosts[at].kill();
                tokio::time::sleep(length).await;
                self.hosts[at].start_again()?;
            }
            Blow::StopDaemon => stopped(daemon, length).await,
            Blow::StopPlugin => {
                if let Some(plugin) = self.dice.one(&children(daemon)) {
                    stopped(plugin, length).await;
                }
            }
            Blow::StopApiServer => {
                let all: Vec<u32> = self.hosts.iter().map(ApiServer::pid).collect();
                stopped(self.dice.one(&all).context("no API server")?, length).await;
            }
            Blow::StopClouds => stopped(world.simulator().pid(), length).await,
            Blow::Throttle => during(world, &json!({ "kind": "throttle", "rate": 0.4 }), length * 2).await?,
            Blow::LostAnswer => during(world, &json!({ "kind": "lost_answer", "rate": 0.2 }), length * 2).await?,
            Blow::LostRequest => during(world, &json!({ "kind": "lost_request", "rate": 0.2 }), length * 2).await?,
            Blow::Slow => during(world, &json!({ "kind": "delay", "delay_ms": 700, "rate": 0.5 }), length * 2).await?,
            Blow::SetClock => {
                world.set_clock(self.dice.one(&JUMPS).context("no jump")?)?;
                tokio::time::sleep(length).await;
                world.set_clock(0)?;
            }
            Blow::SlowWatchers => {
                for _ in 0..SLOW_WATCHERS {
                    self.watchers.spawn(read_slowly(self.portal.clone()));
                }
            }
        }
        Ok(())
    }
}

fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // It may have ended by itself.
        let _ = kill_process(pid, signal);
    }
}

async fn stopped(pid: u32, length: Duration) {
    signal(pid, Signal::STOP);
    tokio::time::sleep(length).await;
    signal(pid, Signal::CONT);
}

async fn during(world: &World, rule: &Value, length: Duration) -> Result<()> {
    let control = world.simulator().control();
    control.post("faults", rule)?;
    tokio::time::sleep(length).await;
    control.delete("faults").map(drop)
}

async fn read_slowly(portal: Portal) {
    let read = async {
        let mut client = Client::new(portal.channel().await?);
        let request = WatchTenantsRequest { parent: "customers/-".into(), resume_token: "0".into() };
        let mut stream = client.watch_tenants(request).await?.into_inner();
        while stream.message().await?.is_some() {
            tokio::time::sleep(SLOW_PAUSE).await;
        }
        anyhow::Ok(())
    };
    let _ = tokio::time::timeout(SLOW_FOR, read).await;
}
