//! The `cloudsim` command: simulated clouds on one local address.

use anyhow::Context;
use clap::Parser;
use cloudsim::{Options, Simulator, runtime::ClusterRuntime};
use std::{io::Write, net::SocketAddr, path::PathBuf, sync::Arc};

/// Simulated clouds for tests and demonstrations. Point any SDK's endpoint at its address.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    /// Address to listen on; port 0 picks a free one, which is printed.
    #[arg(long, default_value = "127.0.0.1:0", env = "CLOUDSIM_LISTEN")]
    listen: SocketAddr,
    /// Real seconds per simulated second; 1 is real time, 0.0167 a minute a second.
    #[arg(long, default_value_t = 1.0 / 60.0)]
    time_scale: f64,
    /// Decides durations, ids and which calls a fault rate hits.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Append every journal line to this file.
    #[arg(long)]
    journal: Option<PathBuf>,
    /// Clusters get an endpoint that does not respond.
    #[arg(long)]
    no_kubernetes: bool,
    /// Keep the state (and the clusters' data) in this folder and continue from it.
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Refuse calls only by fault rules, never for their rate.
    #[arg(long)]
    no_throttle: bool,
    /// API servers of clusters write who requested what, a JSON line a request, to `audit.jsonl` in their data folder.
    #[arg(long)]
    audit: bool,
    /// The first machine of every cluster, and of each pool with taints, runs containers. Needs root; builds programs and images first.
    #[arg(long)]
    real_node: bool,
    /// Answer names of the clouds' zones by UDP at this address. Their name servers' names lead to it: resolvers expect port 53.
    #[arg(long, value_name = "ADDRESS:PORT")]
    dns: Option<SocketAddr>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into()))
        .with_writer(std::io::stderr)
        .init();
    let arguments = Arguments::parse();
    let runtime = if arguments.no_kubernetes { None } else { Some(kubernetes(&arguments)?) };
    let handle = Simulator::start(Options {
        listen: Some(arguments.listen),
        time_scale: arguments.time_scale,
        seed: arguments.seed,
        journal: arguments.journal,
        data_dir: arguments.data_dir,
        runtime,
        no_throttle: arguments.no_throttle,
    })
    .await?;
    writeln!(std::io::stdout(), "cloudsim listens on {}", handle.url()).context("standard output is closed")?;
    wait_for_signal().await?;
    handle.stop().await;
    Ok(())
}

#[cfg(feature = "kubernetes")]
fn kubernetes(arguments: &Arguments) -> anyhow::Result<Arc<dyn ClusterRuntime>> {
    let mut stderr = std::io::stderr();
    // What is printed while building matters only to whoever watches.
    let mut progress = |line: &str| drop(writeln!(stderr, "{line}"));
    let runtime = cloudsim::kube::KubeRuntime::new(arguments.data_dir.as_deref(), &mut progress)?;
    let runtime = if arguments.real_node { runtime.real(&mut progress)? } else { runtime };
    let runtime = match arguments.dns {
        Some(address) => runtime.named(address)?,
        None => runtime,
    };
    Ok(Arc::new(if arguments.audit { runtime.audited() } else { runtime }))
}

#[cfg(not(feature = "kubernetes"))]
fn kubernetes(_: &Arguments) -> anyhow::Result<Arc<dyn ClusterRuntime>> {
    anyhow::bail!("this build has no Kubernetes: add --no-kubernetes, or build with the feature `kubernetes`")
}

async fn wait_for_signal() -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("signals cannot be received")?;
    tokio::select! {
        _ = terminate.recv() => {}
        result = tokio::signal::ctrl_c() => result.context("signals cannot be received")?,
    }
    Ok(())
}
