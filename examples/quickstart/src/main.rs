//! `cargo quickstart`: a customer's environment on a simulated cloud, from nothing to READY,
//! and with `--once` back to nothing. It only starts the real programs and calls the real
//! command line client: whatever it shows, a user can do by hand.

mod build;
mod narrate;

use std::{
    path::PathBuf,
    process::{Command, ExitCode},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use landlord_test_harness::{Cloud, World, WorldOptions, binaries::checkout, cloud};
use narrate::{say, say_block};

/// Tenant that the example file describes.
const TENANT: &str = "customers/acme/tenants/prod";
/// How often a running world is looked after.
const WATCH_INTERVAL: Duration = Duration::from_millis(200);
/// Longest READY or deletion waited for, in simulated time: the slowest of the heavy tails.
const SIMULATED_PATIENCE: Duration = Duration::from_secs(2 * 60 * 60);
/// Real work (Helm, Kubernetes) does not scale with the simulated time.
const REAL_PATIENCE: Duration = Duration::from_secs(180);

/// Brings up a customer's environment on a simulated cloud: no account, no Docker.
#[derive(Debug, Parser)]
struct Arguments {
    /// Delete the tenant once it is READY, show what was removed, and end.
    #[arg(long)]
    once: bool,
    /// Real seconds that one simulated second takes.
    #[arg(long, default_value_t = 1.0 / 60.0)]
    time_scale: f64,
    /// Seed of the simulated durations.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Provider, on its simulated cloud.
    #[arg(long, default_value = "eks", value_parser = cloud::ALL.map(|cloud| cloud.provider))]
    provider: String,
    /// Where the store, the simulated cloud and the logs live; kept for the next run.
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// Forget what earlier runs left in the data folder.
    #[arg(long)]
    fresh: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    if !(0.0001..=1.0).contains(&arguments.time_scale) {
        bail!("--time-scale must be 0.0001 to 1.0, not {}", arguments.time_scale);
    }
    let cloud = Cloud::of(&arguments.provider).context("the providers are checked")?;
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // A second signal ends at once: the kernel then ends the children.
        signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&interrupted))?;
        signal_hook::flag::register(signal, Arc::clone(&interrupted))?;
    }
    let folder = data_folder(arguments)?;
    say_block(&format!(
        "landlord quickstart: one customer's environment on a simulated {}.\n\
         Simulated time runs {:.0} times faster than real time; Kubernetes and Helm are real.\n\
         Data, logs: {}",
        cloud.title,
        1.0 / arguments.time_scale,
        folder.display()
    ));
    let (artifacts, binaries) = build::all(cloud)?;
    let options = WorldOptions {
        time_scale: arguments.time_scale,
        seed: arguments.seed,
        kubernetes: Some(artifacts),
        durable: true,
        clouds: vec![cloud],
        ..WorldOptions::default()
    };
    let world = World::start(&folder, &binaries, &options)?;
    say(&format!("simulated {} and landlordd are up", cloud.title));
    let result = show(arguments, cloud, &world, &interrupted);
    say(&format!("stopping landlordd, the simulated {} and its Kubernetes", cloud.title));
    let clean = world.stop()?;
    result?;
    if !clean {
        bail!("a process had to be killed; see the logs in {}", folder.display());
    }
    say("all processes have ended");
    Ok(())
}

fn show(arguments: &Arguments, cloud: &Cloud, world: &World, interrupted: &AtomicBool) -> Result<()> {
    let tenant_file = checkout().join("examples/tenants/acme.yaml").display().to_string();
    let patience = REAL_PATIENCE + SIMULATED_PATIENCE.mul_f64(arguments.time_scale);
    let timeout = format!("--timeout={}s", patience.as_secs());
    let started = std::time::Instant::now();
    landlord(world, interrupted, &["apply", "-f", &tenant_file])?;
    if landlord(world, interrupted, &["wait", TENANT, "--for=ready", &timeout]).is_err() {
        if interrupted.load(Ordering::Relaxed) {
            return Ok(());
        }
        let _ = landlord(world, interrupted, &["describe", TENANT]);
        bail!("the tenant did not become READY; the description above says why");
    }
    say(&format!("{TENANT} is READY after {:.1} s", started.elapsed().as_secs_f64()));
    landlord(world, interrupted, &["get", "tenants", "-o", "wide"])?;
    if arguments.once {
        return take_down(world, cloud, interrupted, &timeout);
    }
    hints(world);
    while !interrupted.load(Ordering::Relaxed) {
        std::thread::sleep(WATCH_INTERVAL);
    }
    Ok(())
}

fn take_down(world: &World, cloud: &Cloud, interrupted: &AtomicBool, timeout: &str) -> Result<()> {
    landlord(world, interrupted, &["delete", TENANT, "--wait", timeout])?;
    let left = world.simulator().control().objects(cloud.account)?;
    if left.is_empty() {
        say(&format!("the simulator says: account {} is empty", cloud.account));
        return Ok(());
    }
    for object in &left {
        say(&format!("  left: {} {}", text(object, "type"), text(object, "id")));
    }
    bail!("{} objects are left in account {}", left.len(), cloud.account);
}

fn text<'a>(object: &'a serde_json::Value, key: &str) -> &'a str {
    object[key].as_str().unwrap_or("?")
}

fn landlord(world: &World, interrupted: &AtomicBool, arguments: &[&str]) -> Result<()> {
    if interrupted.load(Ordering::Relaxed) {
        bail!("interrupted");
    }
    say(&format!("$ landlord {}", arguments.join(" ")));
    let status = Command::new(&world.binaries().landlord)
        .arg("--server")
        .arg(format!("unix://{}", world.socket().display()))
        .args(arguments)
        .status()
        .context("can't run the landlord client")?;
    if status.success() {
        return Ok(());
    }
    bail!("landlord {} ended with {status}", arguments.first().unwrap_or(&""));
}

fn hints(world: &World) {
    let client = world.binaries().landlord.display().to_string();
    say_block(&format!(
        "Try next, in another terminal:\n\
         \x20 export LANDLORD_SERVER=unix://{}\n\
         \x20 alias landlord={client}\n\
         \x20 landlord get tenants\n\
         \x20 landlord describe {TENANT}\n\
         \x20 landlord kubeconfig {TENANT} > kubeconfig && kubectl --kubeconfig kubeconfig get pods -A\n\
         \x20 landlord delete {TENANT} --wait\n\
         Ctrl-C stops everything; a second run continues from here.",
        world.socket().display()
    ));
}

fn data_folder(arguments: &Arguments) -> Result<PathBuf> {
    let folder = match &arguments.data_dir {
        Some(folder) => folder.clone(),
        None => {
            let home = std::env::var_os("XDG_STATE_HOME")
                .map(PathBuf::from)
                .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state")));
            home.context("neither XDG_STATE_HOME nor HOME is set; use --data-dir")?.join("landlord/quickstart")
        }
    };
    if arguments.fresh && folder.join("landlord.toml").is_file() {
        std::fs::remove_dir_all(&folder).with_context(|| format!("can't remove {}", folder.display()))?;
    }
    Ok(folder)
}
