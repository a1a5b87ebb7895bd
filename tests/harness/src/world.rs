//! A world: one simulated cloud, one daemon, their files in one folder.

use std::{
    fmt::Write as _,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use landlord_test_kube::Artifacts;

use crate::{
    Binaries, Cli, Service, Simulator,
    binaries::checkout,
    clock::Clock,
    cloud::{self, Cloud},
    process::{figures, tail},
    real,
};

/// How long the daemon may take to listen, on a busy machine.
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// Longer than the daemon's own drain deadline.
const STOP_TIMEOUT: Duration = Duration::from_secs(40);
/// Every control plane is stopped in order; each takes about a second.
const SIMULATOR_STOP_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest path of a unix socket, with room for the final NUL (unix(7)).
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// How a world shall be.
#[derive(Debug, Clone)]
pub struct WorldOptions {
    /// Simulated seconds are this many real ones.
    pub time_scale: f64,
    /// Seed of the simulator's durations and faults.
    pub seed: u64,
    /// Kubernetes for the simulated clusters; `None`: they have none, for classes without apps.
    pub kubernetes: Option<Artifacts>,
    /// Whether the simulator keeps its state over a restart.
    pub durable: bool,
    /// Clouds that the daemon has a plugin and classes for.
    pub clouds: Vec<&'static Cloud>,
    /// Whether API servers of clusters write down who called them for what.
    pub audit: bool,
    /// Whether the first machine of each cluster, and of each pool with taints, runs containers; needs root.
    pub real_node: bool,
    /// Folder of the stacks; `None`: those that are shipped.
    pub stacks_dir: Option<PathBuf>,
    /// Folder of the platforms; `None`: those that are shipped.
    pub platforms_dir: Option<PathBuf>,
    /// More TOML for the daemon's configuration.
    pub extra_config: String,
    /// PostgreSQL database of the store; empty: a file.
    pub store_url: String,
    /// Whether the daemon's wall clock can be set.
    pub movable_clock: bool,
}

impl Default for WorldOptions {
    fn default() -> Self {
        Self {
            time_scale: 1.0 / 60.0,
            seed: 1,
            kubernetes: None,
            durable: false,
            clouds: vec![&cloud::EKS],
            audit: false,
            real_node: false,
            stacks_dir: None,
            platforms_dir: None,
            extra_config: String::new(),
            store_url: String::new(),
            movable_clock: false,
        }
    }
}

/// A running world. Dropping it kills all of it; `stop` ends it in order.
#[derive(Debug)]
pub struct World {
    folder: PathBuf,
    binaries: Binaries,
    simulator: Simulator,
    daemon: Option<Service>,
    clock: Option<Clock>,
    _temporary: Option<tempfile::TempDir>,
}

impl World {
    /// A world in a temporary folder.
    ///
    /// # Errors
    /// What does not build or start, with the end of its log.
    pub fn temporary(binaries: &Binaries, options: &WorldOptions) -> Result<Self> {
        let temporary = tempfile::Builder::new().prefix("landlord-").tempdir()?;
        let mut world = Self::start(temporary.path(), binaries, options)?;
        world._temporary = Some(temporary);
        Ok(world)
    }

    /// A world in `folder`, continuing from what is there.
    ///
    /// # Errors
    /// What does not build or start, with the end of its log.
    pub fn start(folder: &Path, binaries: &Binaries, options: &WorldOptions) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("can't make {}", folder.display()))?;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
        let folder = fs::canonicalize(folder)?;
        let outside = options.real_node.then(|| real::Outside::open(&folder, clusters_in)).transpose()?;
        let mut arguments = simulator_arguments(&folder, options);
        if let Some(outside) = &outside {
            arguments.extend(["--real-node".into(), "--dns".into(), outside.resolver.to_string()]);
        }
        let simulator = Simulator::start(&binaries.cloudsim, &folder, &arguments)?;
        let clock = options.movable_clock.then(|| Clock::build(&folder)).transpose()?;
        let mut world = Self { folder, binaries: binaries.clone(), simulator, daemon: None, clock, _temporary: None };
        world.write_config(options, outside.as_ref())?;
        world.start_daemon()?;
        if options.real_node {
            real::trust(&world.folder, clusters_in);
        }
        Ok(world)
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The programs that it runs.
    #[must_use]
    pub fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    /// The same world with other programs: what is started from now on is theirs.
    #[must_use]
    pub fn with_programs(self, binaries: Binaries) -> Self {
        Self { binaries, ..self }
    }

    /// The daemon's unix socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.folder.join("landlord.sock")
    }

    /// The daemon's figures in OpenMetrics form.
    ///
    /// # Errors
    /// No response, or a log that does not report the address.
    pub fn metrics(&self) -> Result<String> {
        figures(&self.log())
    }

    fn log(&self) -> PathBuf {
        self.folder.join("landlordd.log")
    }

    /// The last lines of the daemon's log, over its restarts.
    #[must_use]
    pub fn log_tail(&self, lines: usize) -> String {
        tail(&self.log(), lines)
    }

    /// The daemon's configuration file.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.folder.join("landlord.toml")
    }

    /// The folders of the simulated clusters that have run: `admin.kubeconfig` (of the cluster's own administrator,
    /// not the cloud's), logs, and `audit.jsonl` if requested.
    #[must_use]
    pub fn clusters(&self) -> Vec<PathBuf> {
        clusters_in(&self.folder)
    }

    /// The client for its daemon.
    #[must_use]
    pub fn cli(&self) -> Cli {
        Cli::new(&self.binaries.landlord, &self.socket())
    }

    /// The simulated cloud.
    #[must_use]
    pub fn simulator(&self) -> &Simulator {
        &self.simulator
    }

    /// The daemon, unless it was crashed or stopped.
    pub fn daemon(&mut self) -> Option<&mut Service> {
        self.daemon.as_mut()
    }

    /// Starts the daemon and waits until it listens.
    ///
    /// # Errors
    /// A daemon that ends or does not listen, with the end of its log.
    pub fn start_daemon(&mut self) -> Result<()> {
        let mut arguments = vec!["--config".to_owned(), self.config().display().to_string()];
        // Until there is one: a store that is gone later is to be noticed.
        if !self.folder.join("landlord.db.mark").exists() {
            arguments.push("--create-store".to_owned());
        }
        let mut environment = self.clock.as_ref().map(|clock| clock.environment().to_vec()).unwrap_or_default();
        environment.push((cloud::AUTHORITIES.to_owned(), cloud::authorities(&self.folder).display().to_string()));
        let program = &self.binaries.landlordd;
        let mut daemon = Service::start_in("landlordd", program, &arguments, &environment, &self.log())?;
        let deadline = Instant::now() + START_TIMEOUT;
        while std::os::unix::net::UnixStream::connect(self.socket()).is_err() {
            if let Some(status) = daemon.ended()? {
                bail!("landlordd ended with {status}:\n{}", daemon.log_tail(20));
            }
            if Instant::now() > deadline {
                bail!("landlordd does not listen:\n{}", daemon.log_tail(20));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.daemon = Some(daemon);
        Ok(())
    }

    /// Has the daemon's wall clock be so many seconds ahead; 0: right.
    ///
    /// # Errors
    /// A world whose clock can't be set; the operating system's.
    pub fn set_clock(&self, seconds: i64) -> Result<()> {
        self.clock.as_ref().context("the daemon's clock can't be set: WorldOptions::movable_clock")?.set(seconds)
    }

    /// kill -9 of the daemon.
    ///
    /// # Errors
    /// The operating system's.
    pub fn crash_daemon(&mut self) -> Result<()> {
        self.daemon.take().map_or(Ok(()), Service::crash)
    }

    /// Stops the daemon in order.
    ///
    /// # Errors
    /// The operating system's.
    pub fn stop_daemon(&mut self) -> Result<bool> {
        self.daemon.take().map_or(Ok(true), |daemon| daemon.stop(STOP_TIMEOUT))
    }

    /// Stops everything in order; returns whether all ended by itself.
    ///
    /// # Errors
    /// The operating system's.
    pub fn stop(mut self) -> Result<bool> {
        let daemon = self.stop_daemon()?;
        Ok(self.simulator.stop(SIMULATOR_STOP_TIMEOUT)? && daemon)
    }

    fn write_config(&self, options: &WorldOptions, outside: Option<&real::Outside>) -> Result<()> {
        let socket = self.socket();
        if socket.as_os_str().len() > SOCKET_PATH_BYTES_MAX {
            bail!("{} is too long for a unix socket; choose a shorter folder", socket.display());
        }
        let folder = self.folder.display();
        let stacks = options.stacks_dir.clone().unwrap_or_else(|| checkout().join("config/stacks"));
        let platforms = options.platforms_dir.clone().unwrap_or_else(|| checkout().join("config/platforms"));
        let mut text = format!(
            "installation = 'quickstart'\n\
             [server]\nsocket = '{}'\nmetrics_listen = '127.0.0.1:0'\nweb_origins = ['https://portal.example.com']\n\
             [store]\npath = '{folder}/landlord.db'\nurl = '{}'\n\
             [deploy]\nstacks_dir = '{}'\nplatforms_dir = '{}'\nstate_dir = '{folder}/deploy'\n",
            socket.display(),
            options.store_url,
            stacks.display(),
            platforms.display(),
        );
        if let Some(kubernetes) = &options.kubernetes {
            let _ = write!(
                text,
                "helm_path = '{}'\ngateway_api_crds = '{}'\n",
                kubernetes.helm.display(),
                kubernetes.gateway_crds.display()
            );
        }
        if let Some(outside) = outside {
            text += &real::platform(&self.folder.join("cloud"))?;
            text += &real::checks(&self.folder, outside);
        }
        for cloud in &options.clouds {
            let plugin = self.binaries.plugin(cloud.provider)?;
            text += &cloud.config(&self.folder, plugin, &self.simulator.endpoint, options.time_scale)?;
        }
        for cloud in &options.clouds {
            text += &cloud.classes(options.kubernetes.is_some());
        }
        // Names of simulated zones lead nowhere.
        if !options.extra_config.contains("[availability]") {
            text.push_str("[availability]\nenabled = false\n");
        }
        text.push_str(&options.extra_config);
        fs::write(self.config(), text)?;
        Ok(())
    }
}

/// The folders of the simulated clusters of the world in `folder`.
fn clusters_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.join("cloud/clusters")).into_iter().flatten();
    let folders = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    folders.filter(|folder| folder.join("admin.kubeconfig").is_file()).collect()
}

fn simulator_arguments(folder: &Path, options: &WorldOptions) -> Vec<String> {
    let mut arguments = vec![
        "--time-scale".into(),
        format!("{:.6}", options.time_scale),
        "--seed".into(),
        options.seed.to_string(),
        "--journal".into(),
        folder.join("journal.jsonl").display().to_string(),
    ];
    if options.kubernetes.is_none() {
        arguments.push("--no-kubernetes".into());
    }
    if options.audit {
        arguments.push("--audit".into());
    }
    if options.durable || options.kubernetes.is_some() {
        arguments.extend(["--data-dir".into(), folder.join("cloud").display().to_string()]);
    }
    arguments
}
