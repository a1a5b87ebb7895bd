//! Whether ten thousand environments answer, looked at every minute: what it costs the daemon, how late looks are, and whether dead
//! ones delay others. The daemon is a real one, its store is filled beforehand; the tenants' servers are this process's own, so that
//! what they cost is not the daemon's.

mod filled;
mod looks;
mod names;
mod servers;
mod verdict;

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context as _, Result, bail};
use landlord_proto::v1::tenant_service_client::TenantServiceClient;
use landlord_test_harness::{World, WorldOptions, client};

use self::{
    looks::{Looks, Window},
    servers::Servers,
    verdict::{Seen, Verdict},
};
use crate::{
    Bed,
    figures::{self, cpu_seconds},
    order, say,
};

/// How much is done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    /// Environments that are READY.
    pub(crate) tenants: usize,
    /// Looks at each, in calm and then in outage.
    pub(crate) beats: usize,
    /// Between two looks at one.
    pub(crate) interval: Duration,
    /// Whether figures are judged, too; otherwise only what does not depend on how busy the machine is.
    pub(crate) judges: bool,
}

/// How often the looks are counted meanwhile.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// Longer than any start, and than what two missed beats take to be seen.
const PATIENCE: Duration = Duration::from_secs(180);
/// Beats before the first figure: the first one meets everybody for the first time.
const BEATS_BEFORE: usize = 2;

/// Runs everything, prints tables, and fails if something was not as it must be.
pub(crate) fn run(bed: &Bed, size: Size) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let trusted_ca = folder.path().join("ca.pem");
    let looks = Arc::new(Looks::new(size.tenants));
    let mut servers = bed.runtime.block_on(Servers::start(&looks, &trusted_ca))?;
    let extra_config = format!(
        "[availability]\ninterval = '{}s'\nallowed_networks = ['127.0.0.0/8']\n\
         [deploy.checks]\nresolver = '{}'\ntrusted_ca = '{}'\n",
        size.interval.as_secs(),
        servers.resolver(),
        trusted_ca.display(),
    );
    let options = WorldOptions { extra_config, ..WorldOptions::default() };
    bed.in_world(&options, async |world| {
        world.stop_daemon()?;
        let began = Instant::now();
        filled::fill(&world.folder().join("landlord.db"), size.tenants, |index| servers.endpoints(index)).await?;
        say(&format!("{} environments are READY in the store after {:.0?}", size.tenants, began.elapsed()));
        world.start_daemon()?;
        watched(world, &looks, &mut servers, size).await
    })
}

async fn watched(world: &mut World, looks: &Looks, servers: &mut Servers, size: Size) -> Result<()> {
    let first = phase(world, looks, size, ("first", BEATS_BEFORE)).await?;
    let calm = phase(world, looks, size, ("calm", size.beats)).await?;
    let began = SystemTime::now();
    servers.begin_outage(looks);
    let outage = phase(world, looks, size, ("outage", size.beats)).await?;
    let seen = settled(world, size, began).await?;
    let late = figure(&world.metrics()?, "landlord_availability_late_total");
    let lost = figure(&world.metrics()?, "landlord_availability_lost_total");
    let verdict = Verdict { size, first, calm, outage, seen, late, lost };
    verdict.tables().iter().for_each(|line| say(line));
    let problems = verdict.problems();
    if problems.is_empty() {
        say("everything was as it must be");
        return Ok(());
    }
    bail!("{}", problems.join("\n"))
}

/// Waits until each environment was looked at so often.
async fn phase(world: &mut World, looks: &Looks, size: Size, (name, beats): (&'static str, usize)) -> Result<Phase> {
    let daemon = world.daemon().context("the daemon has ended")?;
    let (pid, from, cpu) = (daemon.pid(), Instant::now(), cpu_seconds(daemon.pid()));
    let longest = size.interval * u32::try_from(beats * 4)? + PATIENCE;
    while !looks.all_since(from, beats) {
        if from.elapsed() > longest {
            bail!("{name}: not everybody was looked at {beats} times within {longest:?}:\n{}", world.log_tail(20));
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    let took = from.elapsed();
    let cores = (cpu_seconds(pid) - cpu) / took.as_secs_f64();
    let window = looks.window(from, Instant::now(), size.interval);
    Ok(Phase { name, took, cores, rss: figures::resident_bytes(pid), window })
}

/// What was measured while everybody was looked at a few times.
struct Phase {
    name: &'static str,
    took: Duration,
    cores: f64,
    rss: u64,
    window: Window,
}

/// What the daemon says of everybody, once it is what it must be, or will not be in time.
async fn settled(world: &World, size: Size, began: SystemTime) -> Result<Vec<Seen>> {
    let mut client = TenantServiceClient::new(client::connect(&world.socket()).await?);
    let deadline = Instant::now() + size.interval * 4 + PATIENCE;
    loop {
        let tenants = order::list(&mut client).await?;
        let seen: Vec<Seen> = tenants.iter().filter_map(|tenant| Seen::of(tenant, began)).collect();
        let is_settled = seen.len() == size.tenants && seen.iter().all(Seen::is_right);
        if is_settled || Instant::now() > deadline {
            return Ok(seen);
        }
        tokio::time::sleep(size.interval / 4).await;
    }
}

/// A counter of the daemon's.
fn figure(figures: &str, name: &str) -> f64 {
    let line = figures.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|value| value.trim().parse().ok()).unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::{looks::Kind, *};

    #[test]
    fn a_counter_is_read_by_its_whole_name() {
        let figures = "# TYPE late counter\nlate_total_more 2\nlate_total 3\n";
        assert_eq!(figure(figures, "late_total"), 3.0);
        assert!(figure(figures, "late").is_nan());
    }

    #[test]
    fn each_kind_has_its_share() {
        let count = |kind| (0..1_000).filter(|index| Kind::of(*index) == kind).count();
        assert_eq!([Kind::Silent, Kind::Refusing, Kind::Slow, Kind::Healthy].map(count), [20, 20, 50, 910]);
    }
}
