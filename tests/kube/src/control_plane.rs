//! One control plane: starting it, knowing it, ending it.
//!
//! Knows nothing about clouds. State is in one folder: etcd's data, certificates, the port of the API server, logs. A
//! control plane started again on that folder is the same cluster.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::{
    Artifacts, arguments, connect,
    credentials::{Credentials, write_secret},
    error::{Error, Result},
    kubeconfig, ports,
    process::Process,
    ready,
};

/// Ready takes three to six seconds on two cores; a machine that compiles at the same time needs many times that.
const READY_TIMEOUT: Duration = Duration::from_secs(120);
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// Ports are chosen free and bound a moment later; losing that race this often in a row means something else.
const PORT_ATTEMPTS_MAX: usize = 5;
/// The API server drains its requests, which takes about a second.
const APISERVER_STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// etcd closes its files; it has no clients any more.
const ETCD_STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// How a control plane shall be.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ControlPlaneOptions {
    /// The binaries.
    pub artifacts: Artifacts,
    /// Everything is kept here; made if missing. A folder that a control plane used before makes the same cluster
    /// again (same certificate authority, token, objects, and the same endpoint if its port is still free).
    pub data_dir: PathBuf,
    /// Where the API server has bearer tokens reviewed that it does not know itself: an `http://` URL that serves
    /// `TokenReview` (`authentication.k8s.io/v1`) by POST. Responses are believed for 5 seconds.
    pub authentication_webhook: Option<String>,
    /// More arguments for the API server (`--name=value`); they win over those given here.
    pub extra_apiserver_args: Vec<String>,
    /// Whether pods are scheduled. Without it a control plane is 0.1 GB smaller.
    pub scheduler: bool,
    /// Whether nodes made by [`cloud::add_nodes`](crate::cloud::add_nodes) are alive and their pods run.
    pub kwok: bool,
    /// Whether a real node will join ([`Node::start`](crate::Node::start)). Then the API server opens connections (to
    /// kubelets, webhooks and aggregated APIs) only through that node, whose network leads nowhere else.
    pub real_node: bool,
}

impl ControlPlaneOptions {
    /// With scheduler and kwok, without webhook.
    pub fn new(artifacts: Artifacts, data_dir: impl Into<PathBuf>) -> Self {
        Self {
            artifacts,
            data_dir: data_dir.into(),
            authentication_webhook: None,
            extra_apiserver_args: Vec::new(),
            scheduler: true,
            kwok: true,
            real_node: false,
        }
    }

    /// Sets [`Self::real_node`].
    #[must_use]
    pub fn real_node(mut self) -> Self {
        self.real_node = true;
        self
    }

    /// Sets [`Self::authentication_webhook`].
    #[must_use]
    pub fn authentication_webhook(mut self, url: impl Into<String>) -> Self {
        self.authentication_webhook = Some(url.into());
        self
    }
}

/// A running control plane. Dropping it kills it at once (which its data survive); [`ControlPlane::stop`] ends it
/// in order. When this process dies in any way, the kernel kills all its parts.
#[derive(Debug)]
pub struct ControlPlane {
    data_dir: PathBuf,
    endpoint: String,
    credentials: Credentials,
    /// In the order of starting: etcd, API server, the others.
    processes: Mutex<Vec<Process>>,
}

impl ControlPlane {
    /// Starts a control plane and waits until it is ready: the API server says so and the controllers have made the
    /// service account that pods of the namespace `default` need. That takes about five seconds of processor time.
    ///
    /// Cancelling (dropping the future) kills what was started. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// A part that ends by itself ([`Error::Exited`] with the end of its log), no readiness within two minutes,
    /// unusable folder.
    pub async fn start(options: ControlPlaneOptions) -> Result<Self> {
        // Several TLS stacks may be compiled in; the first caller decides, and this is the project's.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let prepared = Prepared::new(options)?;
        let mut attempt = 1;
        loop {
            match prepared.start().await {
                Ok(control_plane) => return Ok(control_plane),
                Err(Failed { lost_port: true, error }) if attempt < PORT_ATTEMPTS_MAX => {
                    tracing::debug!(%error, attempt, "somebody else took a port; trying others");
                    attempt += 1;
                }
                Err(Failed { error, .. }) => return Err(error),
            }
        }
    }

    /// `https://127.0.0.1:PORT`.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The certificate authority of [`Self::endpoint`], PEM.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.credentials.ca_pem
    }

    /// The same as a file.
    #[must_use]
    pub fn ca_path(&self) -> PathBuf {
        self.credentials.path("ca.crt")
    }

    /// Port of [`Self::endpoint`].
    #[must_use]
    pub fn port(&self) -> u16 {
        self.endpoint.rsplit(':').next().and_then(|port| port.parse().ok()).unwrap_or_default()
    }

    /// Where all its files are.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Where the files of its real node with a number are, if it has it.
    #[must_use]
    pub fn node_folder(&self, number: u8) -> PathBuf {
        connect::node_folder(&self.data_dir, number)
    }

    /// Bearer token of a member of `system:masters`. It never expires.
    #[must_use]
    pub fn admin_token(&self) -> &str {
        &self.credentials.admin_token
    }

    /// A kubeconfig with [`Self::admin_token`] and nothing outside of itself.
    #[must_use]
    pub fn admin_kubeconfig_yaml(&self) -> String {
        kubeconfig::with_token(&self.endpoint, self.ca_pem(), self.admin_token())
    }

    /// The same as a file, readable by its owner only. It stays until the data folder goes.
    #[must_use]
    pub fn admin_kubeconfig_path(&self) -> PathBuf {
        admin_kubeconfig_path(&self.data_dir)
    }

    /// A client with the administrator's rights.
    ///
    /// # Errors
    /// Damaged certificate authority.
    pub fn kube_client(&self) -> Result<kube::Client> {
        ready::client(&self.endpoint, &self.credentials)
    }

    /// Process ids of all parts.
    #[must_use]
    pub fn pids(&self) -> Vec<u32> {
        self.processes.lock().iter().map(Process::pid).collect()
    }

    /// Whether all parts still run.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.processes.lock().iter_mut().all(Process::is_alive)
    }

    /// Resident memory of all parts in bytes, by name.
    #[must_use]
    pub fn resident_bytes(&self) -> Vec<(&'static str, u64)> {
        self.processes.lock().iter().map(|process| (process.part, process.resident_bytes())).collect()
    }

    /// Ends it: controllers, scheduler, kwok and API server first, then etcd, without which an API server would go
    /// on trying for minutes. Each has a bounded time, after which it is killed: 8 seconds in all, usually one.
    /// The data stay.
    pub async fn stop(self) {
        let mut processes = std::mem::take(&mut *self.processes.lock());
        // The first started, etcd, is the last to go.
        let clients = processes.split_off(1.min(processes.len()));
        end(clients, APISERVER_STOP_TIMEOUT).await;
        end(processes, ETCD_STOP_TIMEOUT).await;
    }
}

async fn end(mut processes: Vec<Process>, timeout: Duration) {
    processes.iter_mut().for_each(Process::terminate);
    futures::future::join_all(processes.iter_mut().map(|process| process.wait_or_kill(timeout))).await;
}

/// What does not change between attempts to start.
struct Prepared {
    options: ControlPlaneOptions,
    credentials: Credentials,
    logs: PathBuf,
    webhook: Option<PathBuf>,
    stages: PathBuf,
}

struct Failed {
    lost_port: bool,
    error: Error,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self { lost_port: false, error }
    }
}

impl Prepared {
    fn new(mut options: ControlPlaneOptions) -> Result<Self> {
        let made = std::fs::create_dir_all(&options.data_dir).and_then(|()| options.data_dir.canonicalize());
        options.data_dir = made.map_err(Error::file("create", &options.data_dir))?;
        let folder = &options.data_dir;
        let credentials = Credentials::ensure(&folder.join("pki"))?;
        let logs = folder.join("logs");
        std::fs::create_dir_all(&logs).map_err(Error::file("create", &logs))?;
        let webhook = options.authentication_webhook.as_ref().map(|url| {
            let path = folder.join("webhook.kubeconfig");
            write_secret(&path, &kubeconfig::for_webhook(url)).map(|()| path)
        });
        let webhook = webhook.transpose()?;
        let stages = folder.join("stages.yaml");
        let shown = Command::new(&options.artifacts.kubebox)
            .arg("stages")
            .output()
            .map_err(|source| Error::Spawn { part: "kubebox", source })?;
        std::fs::write(&stages, shown.stdout).map_err(Error::file("write", &stages))?;
        Ok(Self { options, credentials, logs, webhook, stages })
    }

    /// One attempt. Whatever was started dies with the returned error.
    async fn start(&self) -> Result<ControlPlane, Failed> {
        let folder = &self.options.data_dir;
        let artifacts = &self.options.artifacts;
        let chosen = ports::choose(folder).map_err(Error::file("find free ports for", folder))?;
        let endpoint = format!("https://127.0.0.1:{}", chosen.api);
        let kubeconfig = admin_kubeconfig_path(folder);
        let text = kubeconfig::with_token(&endpoint, &self.credentials.ca_pem, &self.credentials.admin_token);
        write_secret(&kubeconfig, &text)?;

        let mut extra = self.options.extra_apiserver_args.clone();
        if self.options.real_node {
            extra.splice(0..0, arguments::through_node(&self.credentials, folder)?);
        }
        let apiserver = arguments::apiserver(artifacts, &self.credentials, self.webhook.as_deref(), &extra, chosen);
        let mut processes = vec![
            self.part("etcd", arguments::etcd(artifacts, folder, chosen))?,
            self.part("kube-apiserver", apiserver)?,
        ];
        let client = ready::client(&endpoint, &self.credentials)?;
        self.until_ready(&mut processes, async || ready::apiserver(&client).await).await?;

        let controllers = arguments::controllers(artifacts, &self.credentials, &kubeconfig);
        processes.push(self.part("kube-controller-manager", controllers)?);
        if self.options.scheduler {
            processes.push(self.part("kube-scheduler", arguments::scheduler(artifacts, &kubeconfig))?);
        }
        if self.options.kwok {
            processes.push(self.part("kwok", arguments::kwok(artifacts, &kubeconfig, &self.stages, chosen))?);
        }
        self.until_ready(&mut processes, async || ready::controllers(&client).await).await?;
        ports::remember(folder, chosen.api);
        Ok(ControlPlane {
            data_dir: folder.clone(),
            endpoint,
            credentials: self.credentials.clone(),
            processes: Mutex::new(processes),
        })
    }

    fn part(&self, name: &'static str, command: Command) -> Result<Process> {
        Process::start(name, command, &self.logs.join(format!("{name}.log")))
    }

    /// Polls `ready` until it has nothing to object, all processes staying alive.
    async fn until_ready(
        &self,
        processes: &mut [Process],
        ready: impl AsyncFn() -> Result<(), String>,
    ) -> Result<(), Failed> {
        let started = Instant::now();
        loop {
            for process in &mut *processes {
                process.check().map_err(|error| Failed { lost_port: process.lost_its_port(), error })?;
            }
            let Err(last) = ready().await else {
                return Ok(());
            };
            if started.elapsed() > READY_TIMEOUT {
                let waited_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
                return Err(Error::NotReady { folder: self.options.data_dir.clone(), waited_ms, last }.into());
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
}

fn admin_kubeconfig_path(data_dir: &Path) -> PathBuf {
    data_dir.join("admin.kubeconfig")
}
