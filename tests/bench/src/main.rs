//! Benchmarks that anybody can rerun, one command each: `cargo run --release -p landlord-bench -- COMMAND`. They print
//! tables and, but for `storm`, `portals` and `availability`, judge nothing: machines are shared and noisy, so compare within one run. README.md says what each measures.

mod audit;
mod availability;
mod cluster;
mod figures;
mod flow;
mod hosting;
mod interrupt;
mod lifecycle;
mod namespaces;
mod nodes;
mod order;
mod portals;
mod program;
mod replicas;
mod requests;
mod resting;
mod rivals;
mod shared;
mod storm;

use std::{io::Write as _, time::Duration};

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use landlord_test_harness::{Binaries, Cloud, World, WorldOptions, cloud};

use crate::{interrupt::Interrupt, portals::Size};

/// Lines of the daemon's log that are shown of a run that failed: some seconds of a busy one.
const LOG_LINES: usize = 100;

/// Measures landlord, beside other tools where they do the same.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// Clusters of their own: create→READY over the cloud's critical path, memory of daemon and plugin; a table for each cloud.
    Clouds {
        /// Providers, each on its simulated cloud.
        #[arg(long, value_delimiter = ',', default_value = "eks,gke,aks", value_parser = cloud::ALL.map(|cloud| cloud.provider))]
        provider: Vec<String>,
        /// Tenants in flight, one run each.
        #[arg(long, value_delimiter = ',', default_value = "1,100")]
        tenants: Vec<usize>,
        /// Real seconds that one simulated second takes.
        #[arg(long, default_value_t = 0.05)]
        time_scale: f64,
    },
    /// Level NAMESPACE with all apps on a real API server: create→READY beside kubectl and Helm with the same manifests.
    Namespaces {
        /// Tenants at once, one table line each.
        #[arg(long, value_delimiter = ',', default_value = "1,50")]
        tenants: Vec<usize>,
        /// Rounds with one tenant; more tenants have one round.
        #[arg(long, default_value_t = 5)]
        rounds: usize,
        /// Also print what happened to the last tenant of each line, and when.
        #[arg(long)]
        explain: bool,
    },
    /// Level NODE without apps: create→READY over the critical path of the cloud's node pools.
    Nodes {
        /// Tenants in flight, one run each, all on one host cluster.
        #[arg(long, value_delimiter = ',', default_value = "1,50")]
        tenants: Vec<usize>,
        /// Real seconds that one simulated second takes.
        #[arg(long, default_value_t = 0.05)]
        time_scale: f64,
        /// Also prints what happened to the slowest tenant, and when.
        #[arg(long)]
        explain: bool,
    },
    /// Many NAMESPACE tenants without apps on one host cluster: memory, calls of the API server and of the cloud, then calls at rest.
    Hosting {
        /// Tenants.
        #[arg(long, default_value_t = 1_000)]
        tenants: usize,
        /// Tenants without and with apps that are watched at rest.
        #[arg(long, default_value_t = 5)]
        resting: usize,
    },
    /// Random lives of tenants on all clouds and levels while everything is killed, stopped and throttled; judged by the clouds' journals, and fails if they hold anything against the daemon.
    Storm {
        /// How long it blows; what lives then is taken down in calm.
        #[arg(long, default_value_t = 10.0)]
        minutes: f64,
        /// Decides what is ordered and what is disturbed.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Real seconds that one simulated second takes.
        #[arg(long, default_value_t = 1.0 / 600.0)]
        time_scale: f64,
        /// Seconds after which one step of one tenant counts as stuck: more than the longest wait that a clock which is set can
        /// leave in the records (five minutes, in a cluster) and the step itself.
        #[arg(long, default_value_t = 480)]
        step_timeout_s: u64,
    },
    /// Requests per second over the unix socket.
    Requests {
        /// Requests of each kind; gets are five times as many.
        #[arg(long, default_value_t = 2_000)]
        requests: usize,
    },
    /// Several daemons on one PostgreSQL: requests per second on both stores, how soon another daemon goes on, one account's work.
    Replicas {
        /// Requests of each kind; gets are five times as many.
        #[arg(long, default_value_t = 2_000)]
        requests: usize,
        /// Ends of each kind.
        #[arg(long, default_value_t = 5)]
        rounds: usize,
        /// Tenants in flight with one, two and three daemons.
        #[arg(long, default_value_t = 1_000)]
        tenants: usize,
        /// Real seconds that one simulated second takes, for those.
        #[arg(long, default_value_t = 0.1)]
        time_scale: f64,
    },
    /// Tenants at rest: memory, processor time, size of the database on both stores.
    Resting {
        /// Tenants, one table line each.
        #[arg(long, value_delimiter = ',', default_value = "10000,100000")]
        tenants: Vec<usize>,
        /// Also so many in flight in one account, in real time; 0: none.
        #[arg(long, default_value_t = 0)]
        in_flight: usize,
    },
    /// What floods do to portals and to the daemon's memory; calls with and without TLS and token; how late webhooks are.
    Portals {
        /// Connections that do nothing.
        #[arg(long, default_value_t = 10_000)]
        idle: usize,
        /// Watches, of which a tenth never reads.
        #[arg(long, default_value_t = 1_000)]
        watchers: usize,
        /// Tenants that are ordered meanwhile.
        #[arg(long, default_value_t = 150)]
        orders: usize,
        /// Creates for each figure; gets are five times as many.
        #[arg(long, default_value_t = 2_000)]
        calls: usize,
        /// A fraction of all of it, and only what a busy machine does not change is judged.
        #[arg(long)]
        short: bool,
    },
    /// What looking every minute at environments costs the daemon, how late looks are, and whether dead ones delay others; fails if they do.
    Availability {
        /// Environments that are READY.
        #[arg(long, default_value_t = 10_000)]
        tenants: usize,
        /// Looks at each while all answer, and then while some are dead.
        #[arg(long, default_value_t = 5)]
        beats: usize,
        /// Between two looks at one, seconds.
        #[arg(long, default_value_t = 60)]
        interval_s: u64,
        /// A fraction of all of it, and only what a busy machine does not change is judged.
        #[arg(long)]
        short: bool,
    },
    /// Size of each plugin as this profile builds it.
    Sizes,
    /// The AWS flow against ministack, beside bare boto3, Ansible and CDK.
    AwsFlow {
        /// Tenants at once, one run each.
        #[arg(long, value_delimiter = ',', default_value = "1,10")]
        tenants: Vec<usize>,
    },
}

/// Of `portals --short`: seconds on two cores.
const SHORT: Size =
    Size { idle: 400, watchers: 60, orders: 20, calls: 60, beside: Duration::from_millis(300), judges: false };

/// Of `availability --short`: a minute or two. The shortest interval that the daemon takes.
const FEW: availability::Size =
    availability::Size { tenants: 200, beats: 2, interval: Duration::from_secs(10), judges: false };

pub(crate) fn say(line: &str) {
    // A closed pipe is no reason to fail.
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// What every benchmark works with.
pub(crate) struct Bed {
    pub(crate) binaries: Binaries,
    pub(crate) runtime: tokio::runtime::Runtime,
    pub(crate) interrupt: Interrupt,
}

impl Bed {
    fn new(clouds: &[&Cloud]) -> Result<Self> {
        let binaries = Binaries::ensure(clouds, &mut |_| {})?;
        // After the build, which Ctrl-C ends by itself.
        let interrupt = Interrupt::listen()?;
        Ok(Self { binaries, runtime: tokio::runtime::Runtime::new()?, interrupt })
    }

    /// Runs `work` in a world that is stopped in order whatever comes of it. Worlds start from this thread, which lives
    /// as long as they do.
    pub(crate) fn in_world<T>(
        &self,
        options: &WorldOptions,
        work: impl AsyncFnOnce(&mut World) -> Result<T>,
    ) -> Result<T> {
        let mut world = World::temporary(&self.binaries, options)?;
        let result = self.runtime.block_on(self.interrupt.or(work(&mut world)));
        explain(&world, &result);
        let stopped = world.stop();
        let result = result?;
        stopped?;
        Ok(result)
    }
}

/// Shows what the daemon said last, if something failed.
pub(crate) fn explain<T>(world: &World, result: &Result<T>) {
    if result.is_err() {
        say(&format!("The daemon's last lines:\n{}", world.log_tail(LOG_LINES)));
    }
}

fn main() -> Result<()> {
    let profile = if cfg!(debug_assertions) { "dev" } else { "release" };
    match Arguments::parse().bench {
        Bench::Clouds { provider, tenants, time_scale } => {
            let clouds: Vec<&Cloud> = provider.iter().filter_map(|provider| Cloud::of(provider)).collect();
            let bed = Bed::new(&clouds)?;
            clouds.into_iter().try_for_each(|cloud| lifecycle::table(&bed, cloud, &tenants, time_scale))
        }
        Bench::Namespaces { tenants, rounds, explain } => {
            namespaces::table(&Bed::new(&[&cloud::EKS])?, &tenants, rounds, explain)
        }
        Bench::Nodes { tenants, time_scale, explain } => {
            nodes::table(&Bed::new(&[&cloud::EKS])?, &tenants, time_scale, explain)
        }
        Bench::Hosting { tenants, resting } => hosting::tables(&Bed::new(&[&cloud::EKS])?, tenants, resting),
        Bench::Storm { minutes, seed, time_scale, step_timeout_s } => storm::run(
            &Bed::new(&cloud::ALL)?,
            storm::Storm { minutes, seed, time_scale, step_timeout: Duration::from_secs(step_timeout_s) },
        ),
        Bench::Requests { requests } => {
            let bed = Bed::new(&[&cloud::EKS])?;
            let lines = bed
                .in_world(&WorldOptions::default(), async |world| requests::rows(world, &cloud::EKS, requests).await)?;
            lines.iter().for_each(|line| say(line));
            Ok(())
        }
        Bench::Replicas { requests, rounds, tenants, time_scale } => {
            let bed = Bed::new(&[&cloud::EKS])?;
            if requests > 0 {
                replicas::stores(&bed, requests)?;
            }
            if rounds > 0 {
                replicas::take_over(&bed, rounds)?;
            }
            if tenants > 0 { replicas::in_flight(&bed, tenants, time_scale) } else { Ok(()) }
        }
        Bench::Resting { tenants, in_flight } => {
            let bed = Bed::new(&[&cloud::EKS])?;
            // `--tenants 0`: only those in flight.
            let tenants: Vec<usize> = tenants.into_iter().filter(|count| *count > 0).collect();
            if !tenants.is_empty() {
                resting::table(&bed, &tenants)?;
            }
            if in_flight > 0 { resting::flying(&bed, in_flight) } else { Ok(()) }
        }
        Bench::Portals { short: true, .. } => portals::run(&Bed::new(&[&cloud::EKS])?, SHORT),
        Bench::Portals { idle, watchers, orders, calls, short: false } => {
            let beside = Duration::from_secs(5);
            portals::run(&Bed::new(&[&cloud::EKS])?, Size { idle, watchers, orders, calls, beside, judges: true })
        }
        Bench::Availability { short: true, .. } => availability::run(&Bed::new(&[&cloud::EKS])?, FEW),
        Bench::Availability { tenants, beats, interval_s, short: false } => {
            let interval = Duration::from_secs(interval_s);
            let size = availability::Size { tenants, beats, interval, judges: true };
            availability::run(&Bed::new(&[&cloud::EKS])?, size)
        }
        Bench::Sizes => sizes(&Binaries::ensure(&cloud::ALL, &mut |_| {})?, profile),
        Bench::AwsFlow { tenants } => flow::compare(&Binaries::ensure(&[&cloud::EKS], &mut |_| {})?, &tenants),
    }
}

fn sizes(binaries: &Binaries, profile: &str) -> Result<()> {
    say(&format!("| plugin | size ({profile} profile) |\n|---|---|"));
    for (provider, path) in &binaries.plugins {
        let bytes = std::fs::metadata(path).with_context(|| format!("can't read {}", path.display()))?.len();
        say(&format!("| {provider} | {} |", figures::mib(bytes)));
    }
    Ok(())
}
