//! The storm: many tenants' lives at random, on all clouds and levels, while everything that they rest on is killed, stopped,
//! throttled and lied to. Judged by the clouds' journals, never by what the daemon says of itself.
//!
//! The seed decides what is ordered and what is disturbed, in which order; when, the machine decides too.

mod api_server;
mod chaos;
mod dice;
mod life;
mod portal;
mod tally;
mod verdict;

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use landlord_test_harness::{Cloud, HostFile, World, WorldOptions, cloud};
use landlord_test_kube::Artifacts;

use self::{
    chaos::Chaos,
    dice::Dice,
    life::{Level, Slot},
    portal::Portal,
    tally::Tally,
    verdict::Watch,
};
use crate::{Bed, explain, say};

/// What is requested.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Storm {
    /// How long it blows.
    pub(crate) minutes: f64,
    /// Decides what happens.
    pub(crate) seed: u64,
    /// Real seconds that one simulated second takes.
    pub(crate) time_scale: f64,
    /// How long one tenant may take for one step, before it counts as stuck.
    pub(crate) step_timeout: Duration,
}

/// Nodes of a host cluster.
const HOST_NODES: u32 = 2;
/// A host cluster takes a quarter of a simulated hour, and a busy machine its own time.
const HOST_TIMEOUT: Duration = Duration::from_secs(600);
/// Lives at once: in each cloud one with a cluster of its own, and so many in the host cluster.
const SLOTS: [Level; 3] = [Level::Cluster, Level::Node, Level::Namespace];
/// Soon enough after a gap: an account's breaker and the engine's longest pauses are not what is tried here.
const CONFIG: &str = "[engine]\nresync_interval = '20s'\n";

/// Runs it.
///
/// # Errors
/// Everything that the journals hold against the daemon, one line each.
pub(crate) fn run(bed: &Bed, storm: Storm) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("landlord-storm-").tempdir()?;
    say(&format!("storm of {} min, seed {}: {}", storm.minutes, storm.seed, folder.path().display()));
    let result = in_folder(bed, storm, folder.path());
    if result.is_err() {
        say(&format!("logs, journal and store are kept in {}", folder.keep().display()));
    }
    result
}

fn in_folder(bed: &Bed, storm: Storm, folder: &Path) -> Result<()> {
    let classes: String = cloud::ALL.iter().map(|cloud| cloud.bare_shared_classes()).collect();
    let options = WorldOptions {
        time_scale: storm.time_scale,
        seed: storm.seed,
        kubernetes: Some(Artifacts::ensure(&mut |line| say(line))?),
        clouds: cloud::ALL.to_vec(),
        extra_config: format!("{classes}{CONFIG}"),
        movable_clock: true,
        ..WorldOptions::default()
    };
    let mut world = World::start(folder, &bed.binaries, &options)?;
    let result = bed.runtime.block_on(bed.interrupt.or(blow(&mut world, storm)));
    explain(&world, &result);
    let stopped = world.stop();
    result?;
    stopped.map(drop)
}

async fn blow(world: &mut World, storm: Storm) -> Result<()> {
    for cloud in cloud::ALL {
        world.simulator().control().lift_quotas(cloud.account)?;
        world.cli().apply_host(&host_of(cloud))?;
    }
    for cloud in cloud::ALL {
        let name = host_of(cloud).name();
        let ready = world.cli().wait_for(&name, "READY", HOST_TIMEOUT);
        ready.with_context(|| format!("no host cluster\n{}", world.log_tail(20)))?;
    }
    let hosts = api_server::of_clusters(world);
    ensure!(hosts.len() == cloud::ALL.len(), "{} API servers run for {} host clusters", hosts.len(), cloud::ALL.len());
    let tally = Arc::new(Tally::default());
    let portal = Portal::new(&world.socket());
    let watch = Watch::new(world.simulator().control().clone(), portal.clone(), Arc::clone(&tally));
    let started = Instant::now();
    let until = started + Duration::from_secs_f64(storm.minutes * 60.0);
    let mut slots = tokio::task::JoinSet::new();
    for (index, (cloud, level)) in cloud::ALL.iter().flat_map(|cloud| SLOTS.map(|level| (*cloud, level))).enumerate() {
        let slot = Slot {
            cloud,
            level,
            index,
            portal: portal.clone(),
            watch: watch.clone(),
            tally: Arc::clone(&tally),
            timeout: storm.step_timeout,
        };
        slots.spawn(slot.live(Dice::of(storm.seed, index as u64), until));
    }
    // Ends with this value.
    let mut sampler = tokio::task::JoinSet::new();
    sampler.spawn(watch.clone().sample());
    let mut chaos = Chaos::new(Dice::of(storm.seed, u64::MAX), hosts, portal);
    chaos.until(world, until).await?;
    say(&format!("calm after {:.0} s: {}", started.elapsed().as_secs_f64(), chaos.reported()));
    while let Some(ended) = slots.join_next().await {
        ended?;
    }
    drop(sampler);
    take_down(world, &tally);
    watch.close(&cloud::ALL)?;
    say(&tally.table());
    let found = tally.violations();
    found.iter().for_each(|line| say(&format!("VIOLATION {line}")));
    ensure!(found.is_empty(), "seed {}: {} violations, {}", storm.seed, found.len(), tally.verdict());
    say(&format!("seed {}: {}", storm.seed, tally.verdict()));
    Ok(())
}

fn host_of(cloud: &Cloud) -> HostFile {
    HostFile::new(&format!("shared-{}", cloud.provider), &cloud.bare_class(), HOST_NODES, 100)
}

/// The host clusters go last; one that does not is stuck.
fn take_down(world: &World, tally: &Tally) {
    let cli = world.cli();
    for cloud in cloud::ALL {
        let id = format!("shared-{}", cloud.provider);
        if let Err(error) = cli.ok(&["delete", "hostcluster", &id]) {
            tally.violation("stuck", format!("host cluster {id}: {error:#}"));
        }
    }
    for cloud in cloud::ALL {
        if let Err(error) = cli.wait_for(&host_of(cloud).name(), "GONE", HOST_TIMEOUT) {
            tally.violation("stuck", format!("{error:#}"));
        }
    }
}
