//! `cargo quickstart`: a customer's environment on a simulated cloud, from nothing to READY,
//! and with `--once` back to nothing. It only starts the real programs and calls the real
//! command line client: whatever it shows, a user can do by hand.

mod build;
mod narrate;
mod real;
mod token;

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use landlord_test_harness::{Cloud, World, WorldOptions, binaries::checkout, cloud, real::values as real_values};
use landlord_test_kube::Artifacts;
use narrate::{say, say_block};
use token::Token;

/// Host cluster that its example file describes.
const HOST: &str = "hostcluster/shared-1";

/// Isolation level, with its example file and the tenant in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Level {
    /// A network and a cluster for the tenant alone.
    Cluster,
    /// Nodes of its own in a shared cluster.
    Node,
    /// An isolated namespace in a shared cluster.
    Namespace,
}

impl Level {
    fn tenant(self) -> &'static str {
        match self {
            Self::Cluster => "customers/acme/tenants/prod",
            Self::Node => "customers/initech/tenants/prod",
            Self::Namespace => "customers/globex/tenants/prod",
        }
    }

    fn customer(self) -> &'static str {
        match self {
            Self::Cluster => "acme",
            Self::Node => "initech",
            Self::Namespace => "globex",
        }
    }

    fn file(self) -> &'static str {
        match self {
            Self::Cluster => "examples/tenants/acme.yaml",
            Self::Node => "examples/tenants/initech-node.yaml",
            Self::Namespace => "examples/tenants/globex-namespace.yaml",
        }
    }
}

/// How often a running world is looked after.
const WATCH_INTERVAL: Duration = Duration::from_millis(200);
/// How often a client that runs is looked after, and the daemon meanwhile.
const CLIENT_INTERVAL: Duration = Duration::from_millis(20);
/// Restarts of a daemon that ended: more than anybody kills by hand to test it.
const RESTARTS_MAX: u32 = 20;
/// End of its log that is shown when it is given up.
const LOG_LINES: usize = 20;
/// Longest READY or deletion waited for, in simulated time: the slowest of the heavy tails.
const SIMULATED_TIMEOUT: Duration = Duration::from_secs(2 * 60 * 60);
/// Real work (Helm, Kubernetes) does not scale with the simulated time.
const REAL_TIMEOUT: Duration = Duration::from_secs(180);
/// More with real pods: images are imported, Python programs start, a certificate is issued.
const REAL_PODS_TIMEOUT: Duration = Duration::from_secs(600);

/// Brings up a customer's environment on a simulated cloud: no account, no Docker.
#[derive(Debug, Parser)]
struct Arguments {
    /// How much the tenant shares with others. Below `cluster`, a host cluster is ordered first.
    #[arg(long, value_enum, default_value_t = Level::Cluster)]
    level: Level,
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
    /// Real pods on a real node, used as a customer does. Needs root.
    #[arg(long)]
    real: bool,
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
    if arguments.real {
        real::announce()?;
    }
    let (artifacts, binaries) = build::all(cloud, arguments.real)?;
    let token = Token::give(&folder)?;
    let real = if arguments.real { cloud.real_classes() + &real_values() } else { String::new() };
    let options = WorldOptions {
        time_scale: arguments.time_scale,
        seed: arguments.seed,
        kubernetes: Some(artifacts.clone()),
        durable: true,
        clouds: vec![cloud],
        real_node: arguments.real,
        extra_config: token.config.clone() + &real,
        ..WorldOptions::default()
    };
    let mut world = World::start(&folder, &binaries, &options)?;
    say(&format!("simulated {} and landlordd are up", cloud.title));
    let session = Session { world: &mut world, token: &token.file, interrupted: &interrupted, restarts: 0 };
    let result = session.show(arguments, cloud, &artifacts);
    say(&format!("stopping landlordd, the simulated {} and its Kubernetes", cloud.title));
    let clean = world.stop()?;
    result?;
    if !clean {
        bail!("a process had to be killed; see the logs in {}", folder.display());
    }
    say("all processes have ended");
    Ok(())
}

/// A world as its user has it: whatever they do, the daemon is looked after.
struct Session<'a> {
    world: &'a mut World,
    /// By which every command shows whose it is.
    token: &'a Path,
    interrupted: &'a AtomicBool,
    restarts: u32,
}

impl Session<'_> {
    fn show(mut self, arguments: &Arguments, cloud: &Cloud, artifacts: &Artifacts) -> Result<()> {
        let file = |name: &str| example(self.world, cloud, name, arguments.real);
        let (tenant, tenant_file) = (arguments.level.tenant(), file(arguments.level.file())?);
        let host_file = file("examples/host-clusters/shared-1.yaml")?;
        let real = if arguments.real { REAL_PODS_TIMEOUT } else { REAL_TIMEOUT };
        let timeout = real + SIMULATED_TIMEOUT.mul_f64(arguments.time_scale);
        let timeout = format!("--timeout={}s", timeout.as_secs());
        self.landlord(&["whoami"])?;
        if arguments.level != Level::Cluster {
            self.landlord(&["apply", "-f", &host_file])?;
            self.landlord(&["wait", HOST, "--for=ready", &timeout])?;
        }
        let started = std::time::Instant::now();
        self.landlord(&["apply", "-f", &tenant_file])?;
        if self.landlord(&["wait", tenant, "--for=ready", &timeout]).is_err() {
            if self.interrupted.load(Ordering::Relaxed) {
                return Ok(());
            }
            let _ = self.landlord(&["describe", tenant]);
            bail!("the tenant did not become READY; the description above says why");
        }
        say(&format!("{tenant} is READY after {:.1} s", started.elapsed().as_secs_f64()));
        self.landlord(&["get", "tenants", "-o", "wide"])?;
        if arguments.level != Level::Cluster {
            self.landlord(&["describe", HOST])?;
        }
        if arguments.real {
            real::show(self.world, artifacts, arguments.level)?;
        }
        if arguments.once {
            return self.take_down(cloud, arguments.level, &timeout);
        }
        hints(self.world, self.token, tenant);
        while !self.interrupted.load(Ordering::Relaxed) {
            std::thread::sleep(WATCH_INTERVAL);
            self.look_after_daemon()?;
        }
        Ok(())
    }

    /// A daemon that ended, or was killed to see what then happens, is started again, as systemd does it.
    fn look_after_daemon(&mut self) -> Result<()> {
        let Some(daemon) = self.world.daemon() else { bail!("landlordd is not running") };
        let Some(status) = daemon.ended()? else { return Ok(()) };
        if self.interrupted.load(Ordering::Relaxed) {
            return Ok(());
        }
        if self.restarts == RESTARTS_MAX {
            bail!("landlordd ended with {status}, more than {RESTARTS_MAX} times:\n{}", daemon.log_tail(LOG_LINES));
        }
        self.restarts += 1;
        say(&format!("landlordd ended with {status}; starting it again: it goes on where it was"));
        self.world.start_daemon()
    }

    /// Runs the client, as one types it here.
    fn landlord(&mut self, arguments: &[&str]) -> Result<()> {
        if self.interrupted.load(Ordering::Relaxed) {
            bail!("interrupted");
        }
        let here = std::env::current_dir().map(|folder| format!("{}/", folder.display())).unwrap_or_default();
        let typed = arguments.iter().map(|argument| argument.strip_prefix(here.as_str()).unwrap_or(argument));
        say(&format!("$ landlord {}", typed.collect::<Vec<_>>().join(" ")));
        let mut client = Command::new(&self.world.binaries().landlord)
            .arg("--server")
            .arg(format!("unix://{}", self.world.socket().display()))
            .arg("--token-file")
            .arg(self.token)
            .args(arguments)
            .spawn()
            .context("can't run the landlord client")?;
        let status = loop {
            if let Some(status) = client.try_wait()? {
                break status;
            }
            std::thread::sleep(CLIENT_INTERVAL);
            if let Err(error) = self.look_after_daemon() {
                client.kill()?;
                client.wait()?;
                return Err(error);
            }
        };
        if status.success() {
            return Ok(());
        }
        bail!("landlord {} ended with {status}", arguments.first().unwrap_or(&""));
    }

    fn take_down(mut self, cloud: &Cloud, level: Level, timeout: &str) -> Result<()> {
        self.landlord(&["delete", level.tenant(), "--wait", timeout])?;
        if level != Level::Cluster {
            self.landlord(&["delete", HOST, "--wait", timeout])?;
        }
        let left = self.world.simulator().control().objects(cloud.account)?;
        if left.is_empty() {
            say(&format!("the simulator says: account {} is empty", cloud.account));
            return Ok(());
        }
        for object in &left {
            say(&format!("  left: {} {}", text(object, "type"), text(object, "id")));
        }
        bail!("{} objects are left in account {}", left.len(), cloud.account);
    }
}

/// An example file; for another provider than the example's, a copy of it that orders that provider's class.
fn example(world: &World, cloud: &Cloud, name: &str, real: bool) -> Result<String> {
    let path = checkout().join(name);
    let text = std::fs::read_to_string(&path).with_context(|| format!("can't read {}", path.display()))?;
    let own = format!("tenantClass: {}-", cloud.provider);
    if text.contains(&own) && !real {
        return Ok(path.display().to_string());
    }
    let file = path.file_name().context("an example has a name")?;
    let copy = world.folder().join(file);
    let text = text.replace("tenantClass: eks-", &own);
    let text = if real { with_real_classes(cloud, &text) } else { text };
    std::fs::write(&copy, text)?;
    Ok(copy.display().to_string())
}

/// An example that orders the classes whose pods are real.
fn with_real_classes(cloud: &Cloud, text: &str) -> String {
    let line = |class: &str| format!("tenantClass: {class}\n");
    let text = text.replace(&cloud.small_class(), &cloud.real_class());
    let shared = [("namespace", cloud.real_namespace_class()), ("node", cloud.real_node_class())];
    shared
        .iter()
        .fold(text, |text, (level, class)| text.replace(&line(&format!("{}-{level}", cloud.provider)), &line(class)))
}

fn text<'a>(object: &'a serde_json::Value, key: &str) -> &'a str {
    object[key].as_str().unwrap_or("?")
}

fn hints(world: &World, token: &Path, tenant: &str) {
    let client = world.binaries().landlord.display().to_string();
    say_block(&format!(
        "Try next, in another terminal:\n\
         \x20 export LANDLORD_SERVER=unix://{} LANDLORD_TOKEN_FILE={}\n\
         \x20 alias landlord={client}\n\
         \x20 landlord get tenants\n\
         \x20 landlord describe {tenant}\n\
         \x20 landlord kubeconfig {tenant} > kubeconfig && kubectl --kubeconfig kubeconfig get pods -A\n\
         \x20 landlord delete {tenant} --wait\n\
         Ctrl-C stops everything; a second run continues from here. A landlordd that you kill is started again.",
        world.socket().display(),
        token.display()
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
