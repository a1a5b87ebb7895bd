//! Benchmarks that anybody can rerun: `cargo run --release -p landlord-bench`. They print
//! figures and judge nothing: machines are shared and noisy, so compare within one run.

mod flow;
mod lifecycle;
mod requests;

use std::io::Write as _;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use landlord_test_harness::{Binaries, Cloud, World, WorldOptions};

/// Measures create→READY over the cloud's critical path, memory, and requests per second.
#[derive(Debug, Parser)]
struct Arguments {
    /// Tenants in flight, one run each.
    #[arg(long, value_delimiter = ',', default_value = "1,10,100")]
    tenants: Vec<usize>,
    /// Real seconds that one simulated second takes.
    #[arg(long, default_value_t = 1.0 / 60.0)]
    time_scale: f64,
    /// Provider, on its simulated cloud.
    #[arg(long, default_value = "eks")]
    provider: String,
    /// Requests of each kind.
    #[arg(long, default_value_t = 2_000)]
    requests: usize,
    #[command(subcommand)]
    other: Option<Other>,
}

#[derive(Debug, Subcommand)]
enum Other {
    /// The AWS flow against ministack, beside bare boto3, Ansible and CDK.
    AwsFlow {
        /// Tenants at once, one run each.
        #[arg(long, value_delimiter = ',', default_value = "1,10")]
        tenants: Vec<usize>,
    },
}

pub(crate) fn say(line: &str) {
    // A closed pipe is no reason to fail.
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let cloud =
        Cloud::of(&arguments.provider).with_context(|| format!("no simulated cloud for {}", arguments.provider))?;
    let binaries = Binaries::ensure(&[cloud], &mut |_| {})?;
    if let Some(Other::AwsFlow { tenants }) = &arguments.other {
        return flow::compare(&binaries, tenants);
    }
    let options = WorldOptions { time_scale: arguments.time_scale, clouds: vec![cloud], ..WorldOptions::default() };
    let runtime = tokio::runtime::Runtime::new()?;
    say("| tenants in flight | ratio p50 | ratio max | critical path p50 | daemon RSS | plugin RSS |");
    say("|---|---|---|---|---|---|");
    for tenants in &arguments.tenants {
        // Started from this thread, which lives as long as the world does.
        let mut world = World::temporary(&binaries, &options)?;
        say(&lifecycle::row(&mut world, cloud, &runtime, *tenants, arguments.time_scale)?);
        world.stop()?;
    }
    let world = World::temporary(&binaries, &options)?;
    for line in runtime.block_on(requests::rows(&world, cloud, arguments.requests))? {
        say(&line);
    }
    world.stop()?;
    Ok(())
}
