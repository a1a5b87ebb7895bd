//! create→READY over the critical path of the cloud's own latencies, as the simulator gives it.

use std::time::Duration;

use anyhow::{Context as _, Result};
use landlord_test_harness::{Cloud, World, WorldOptions, process::children};

use crate::{
    Bed,
    figures::{Sample, mib, resident_bytes},
    order::{self, Ready},
    say,
};

/// The least, with room for a busy machine.
const TIMEOUT_MIN: Duration = Duration::from_secs(600);
/// In simulated time: the slowest of the heavy tails, and the account's own rates with 1,000 tenants.
const TIMEOUT: Duration = Duration::from_hours(3);

/// How long tenants may take at a time scale.
pub(crate) fn timeout(time_scale: f64) -> Duration {
    TIMEOUT.mul_f64(time_scale).max(TIMEOUT_MIN)
}

/// The table of one cloud.
pub(crate) fn table(bed: &Bed, cloud: &'static Cloud, tenants: &[usize], time_scale: f64) -> Result<()> {
    say(&format!("{}, 1 simulated second in {time_scale:.3} s", cloud.provider));
    say(
        "| tenants in flight | ratio p50 | ratio p95 | ratio max | critical path p50 | daemon RSS | plugin RSS idle | plugin RSS |",
    );
    say("|---|---|---|---|---|---|---|---|");
    for count in tenants {
        let options = WorldOptions { time_scale, clouds: vec![cloud], ..WorldOptions::default() };
        say(&bed.in_world(&options, async |world| row(world, cloud, *count, time_scale).await)?);
    }
    Ok(())
}

async fn row(world: &mut World, cloud: &Cloud, tenants: usize, time_scale: f64) -> Result<String> {
    world.simulator().control().lift_quotas(cloud.account)?;
    let mut memory = Memory::of(world)?;
    let idle = memory.plugin;
    let ready =
        order::ready(world, &cloud.bare_class(), "t", tenants, timeout(time_scale), || memory.observe()).await?;
    let Ratios { over, critical_s, .. } = ratios(world, cloud, &ready)?;
    Ok(format!(
        "| {tenants} | {:.3} | {:.3} | {:.3} | {:.1} s | {} | {} | {} |",
        over.percentile(50),
        over.percentile(95),
        over.max(),
        critical_s.percentile(50),
        mib(memory.daemon),
        mib(idle),
        mib(memory.plugin)
    ))
}

/// How long tenants took beside what their cloud alone needed.
pub(crate) struct Ratios {
    /// create→READY over the critical path.
    pub(crate) over: Sample,
    /// Critical paths in seconds.
    pub(crate) critical_s: Sample,
    /// Name of the tenant with the largest ratio.
    pub(crate) slowest: String,
}

/// Of tenants that are ready.
pub(crate) fn ratios(world: &World, cloud: &Cloud, ready: &[Ready]) -> Result<Ratios> {
    let control = world.simulator().control();
    let paths = control.get(&format!("critical-path?account={}&tag=landlord-tenant-uid", cloud.account))?;
    let mut all = Vec::new();
    let mut critical_s = Vec::new();
    for tenant in ready {
        let path_ms = paths[&tenant.uid]["create_ms"].as_f64().context("the simulator knows no critical path")?;
        all.push((tenant.took_ms / path_ms, &tenant.name));
        critical_s.push(path_ms / 1_000.0);
    }
    let slowest = all.iter().max_by(|a, b| a.0.total_cmp(&b.0)).context("no tenants")?.1.clone();
    let over = Sample::new(all.into_iter().map(|(ratio, _)| ratio).collect());
    Ok(Ratios { over, critical_s: Sample::new(critical_s), slowest })
}

/// Largest resident memory seen of the daemon and of its largest child.
pub(crate) struct Memory {
    pid: u32,
    pub(crate) daemon: u64,
    pub(crate) plugin: u64,
}

impl Memory {
    /// Of the daemon of a world, as it is now.
    pub(crate) fn of(world: &mut World) -> Result<Self> {
        let pid = world.daemon().context("no daemon")?.pid();
        let mut memory = Self { pid, daemon: 0, plugin: 0 };
        memory.observe();
        Ok(memory)
    }

    /// Observes again.
    pub(crate) fn observe(&mut self) {
        self.daemon = self.daemon.max(resident_bytes(self.pid));
        let largest = children(self.pid).into_iter().map(resident_bytes).max().unwrap_or(0);
        self.plugin = self.plugin.max(largest);
    }
}
