//! A real node: kubelet, containerd, runc, kube-proxy and CoreDNS, with pods that are real processes.
//!
//! # Expected flow
//! A control plane is started with [`ControlPlaneOptions::real_node`](crate::ControlPlaneOptions::real_node), then
//! [`Node::start`] on it, then [`Node::import`] for each image (pods need `imagePullPolicy: IfNotPresent` or `Never`:
//! nothing can be pulled).
//!
//! # Guarantees
//! - **Nothing leaves the machine.** The node has a network namespace of its own without any interface to the outside;
//!   its default route is a bridge without ports. The API server of the cluster dials only through the node.
//! - **Nothing is left.** All its processes are in one process namespace, which the kernel ends with its first process,
//!   which ends with this process, `SIGKILL` included; mounts and interfaces go with them. [`Node::stop`] also removes
//!   its control groups; after a killed parent they stay as empty folders.
//! - **It does not starve.** It and its control plane have most of the processors when others compute, too.
//!
//! # Caveats
//! Needs root, Linux with overlayfs, nf_tables, iptables and ipset, `unshare`, `nsenter` and `ip`. The API server reaches
//! pods and kubelets through the first node of its control plane (number 0); each further one is linked with it by a cable of
//! its own, and with nothing else.
//! `NetworkPolicy` objects are enforced by kube-router's controller, within about a second of a change: a pod's first moments
//! are open, as with every such engine. What comes from the node itself is let in, probes among it.

mod cgroups;
pub(crate) mod config;
mod link;
mod outside;

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    os::unix::{fs::PermissionsExt as _, net::UnixStream},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use k8s_openapi::api::core::v1::Node as NodeObject;
use kube::{Api, Client};
use rand::RngCore as _;

use config::Files;
pub use outside::AcmeServer;

use crate::{
    ControlPlane, connect,
    error::{Error, Result},
    node_artifacts::{NodeArtifacts, node_supported},
    process::Process,
};

/// Ready takes five to ten seconds on two cores; a machine that compiles at the same time needs many times that.
const READY_PATIENCE: Duration = Duration::from_secs(600);
const OBSERVE_INTERVAL: Duration = Duration::from_millis(200);
/// Folders that programs make outside of their own, which stay empty on the machine.
const MACHINE_FOLDERS: [&str; 4] = ["/var/lib/kubelet", "/var/lib/cni", "/var/log/pods", "/var/log/containers"];

/// How a node shall be.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NodeOptions {
    /// Its name.
    pub name: String,
    /// Its number among those of its control plane: the first one's is 0, and it must run while others do.
    pub number: u8,
    /// Its labels, beside those that a kubelet gives itself.
    pub labels: BTreeMap<String, String>,
    /// Its taints from its first moment, `KEY=VALUE:EFFECT`.
    pub taints: Vec<String>,
    /// The cloud's name of the machine; empty: it has none.
    pub provider_id: String,
    /// Resolves what names outside of the cluster lead to: DNS as over TCP, on this unix socket. `None`: nothing.
    pub resolver: Option<PathBuf>,
    /// An ACME server in the node's network.
    pub acme: Option<AcmeServer>,
    /// Images (OCI layouts in tar files) that it knows before its first pod.
    pub images: Vec<PathBuf>,
}

impl NodeOptions {
    /// A node in the zone `local`.
    pub fn new(name: impl Into<String>) -> Self {
        let labels = [("topology.kubernetes.io/zone".to_owned(), "local".to_owned())].into();
        Self {
            name: name.into(),
            number: 0,
            labels,
            taints: Vec::new(),
            provider_id: String::new(),
            resolver: None,
            acme: None,
            images: Vec::new(),
        }
    }
}

/// A running node. Dropping it kills everything in it.
#[derive(Debug)]
pub struct Node {
    // In this order: the node goes before its way to the API server.
    process: Process,
    relay: Process,
    artifacts: NodeArtifacts,
    files: Files,
    cgroup: String,
}

impl Node {
    /// Starts a node of a control plane that was started with
    /// [`ControlPlaneOptions::real_node`](crate::ControlPlaneOptions::real_node), and waits until it is Ready.
    ///
    /// # Errors
    /// [`Error::NodeUnsupported`], a part that ends by itself (its log is in the node's folder), no readiness.
    pub async fn start(control_plane: &ControlPlane, artifacts: &NodeArtifacts, options: &NodeOptions) -> Result<Self> {
        node_supported()?;
        let files = Files::new(&control_plane.node_folder(options.number), options.number);
        std::fs::create_dir_all(&files.logs).map_err(Error::file("create", &files.logs))?;
        std::fs::create_dir_all(&files.sockets).map_err(Error::file("create", &files.sockets))?;
        // Whoever may open them is the node's administrator.
        std::fs::set_permissions(&files.sockets, std::fs::Permissions::from_mode(0o700))
            .map_err(Error::file("close", &files.sockets))?;
        let mut random = [0; 4];
        rand::rng().fill_bytes(&mut random);
        let cgroup = format!("landlord-node-{}", hex::encode(random));
        let (kubeconfig, ca) = (control_plane.admin_kubeconfig_path(), control_plane.ca_path());
        let _ = std::fs::remove_file(&files.images_known);
        files.write_all(artifacts, options, &kubeconfig, &ca, control_plane.port(), &cgroup)?;
        cgroups::make(&cgroup)?;
        let mut node = Self::spawn(artifacts, files, cgroup, control_plane.port())?;
        if options.number == 0 {
            cgroups::take(&node.cgroup, &control_plane.pids());
        }
        node.until_containers_can_run().await?;
        let init = node.init()?;
        if options.number > 0 {
            link::lay(control_plane.data_dir(), &node.files, init)?;
        }
        std::fs::write(node.files.folder.join(link::INIT), init.to_string())
            .map_err(Error::file("write", &node.files.folder))?;
        options.images.iter().try_for_each(|image| node.import(image))?;
        let known = &node.files.images_known;
        std::fs::write(known, "").map_err(Error::file("write", known))?;
        node.until_ready(&control_plane.kube_client()?, &options.name).await?;
        Ok(node)
    }

    fn spawn(artifacts: &NodeArtifacts, files: Files, cgroup: String, api_port: u16) -> Result<Self> {
        let nodebox = artifacts.program("nodebox");
        let mut relay = Command::new(&nodebox);
        relay.arg("relay").arg(format!("unix:{}", files.apiserver.display())).arg(format!("tcp:127.0.0.1:{api_port}"));
        let relay = Process::start("relay", cgroups::within(&cgroup, &relay), &files.logs.join("relay.log"))?;
        let mut init = Command::new("unshare");
        init.args(["--net", "--mount", "--pid", "--fork", "--kill-child=KILL"]).arg(&nodebox);
        init.arg("init").arg(&files.spec);
        let mut init = cgroups::within(&cgroup, &init);
        init.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        let process = Process::start("node", init, &files.logs.join("node.log"))?;
        Ok(Self { process, relay, artifacts: artifacts.clone(), files, cgroup })
    }

    /// Waits until containerd listens: then the node's network is there.
    async fn until_containers_can_run(&mut self) -> Result<()> {
        let started = Instant::now();
        while std::os::unix::net::UnixStream::connect(&self.files.containerd).is_err() {
            self.process.check()?;
            if started.elapsed() > READY_PATIENCE {
                let waited_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
                let last = "containerd does not listen".into();
                return Err(Error::NotReady { folder: self.files.folder.clone(), waited_ms, last });
            }
            tokio::time::sleep(OBSERVE_INTERVAL).await;
        }
        Ok(())
    }

    /// The machine's id of the node's first process.
    fn init(&self) -> Result<u32> {
        link::child_of(self.process.pid())
    }

    async fn until_ready(&mut self, client: &Client, name: &str) -> Result<()> {
        let nodes: Api<NodeObject> = Api::all(client.clone());
        let started = Instant::now();
        loop {
            self.process.check()?;
            self.relay.check()?;
            let found = nodes.get_opt(name).await.map_err(Error::kubernetes("searching for the node"))?;
            let status = found.and_then(|node| node.status).unwrap_or_default();
            let ready = status.conditions.unwrap_or_default().into_iter().find(|condition| condition.type_ == "Ready");
            if ready.as_ref().is_some_and(|condition| condition.status == "True") {
                return Ok(());
            }
            if started.elapsed() > READY_PATIENCE {
                let waited_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
                let last = ready.and_then(|condition| condition.message).unwrap_or_else(|| "no node".into());
                return Err(Error::NotReady { folder: self.files.folder.clone(), waited_ms, last });
            }
            tokio::time::sleep(OBSERVE_INTERVAL).await;
        }
    }

    /// Makes an image (OCI layout in a tar file) known to the node.
    ///
    /// # Errors
    /// [`Error::Image`] with containerd's own words.
    pub fn import(&self, image: &Path) -> Result<()> {
        let mut command = Command::new(self.artifacts.program("ctr"));
        command.arg("--address").arg(&self.files.containerd).args(["--namespace", "k8s.io", "image", "import"]);
        let output = command.arg(image).output().map_err(|source| Error::Spawn { part: "ctr", source })?;
        if output.status.success() {
            return Ok(());
        }
        let output = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(Error::Image { image: image.to_owned(), output })
    }

    /// Opens a connection to a pod's, a Service's or the node's own address: `10.100.12.7:8080`.
    ///
    /// # Errors
    /// Nobody listens there, or the node has ended.
    pub fn connect(&self, target: &str) -> io::Result<UnixStream> {
        connect::open(&self.files.connect, target)
    }

    /// Leads a free port of this machine's loopback interface to such an address until this process ends.
    ///
    /// # Errors
    /// No free port.
    pub fn forward(&self, target: &str) -> io::Result<SocketAddr> {
        connect::forward(self.files.connect.clone(), target.to_owned())
    }

    /// Whether all its parts still run.
    pub fn is_alive(&mut self) -> bool {
        self.process.is_alive() && self.relay.is_alive()
    }

    /// Folder of its files; pods' logs are below `pod-logs`, its programs' below `logs`.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.files.folder
    }

    /// The branch of the machine's control groups that holds its pods.
    #[must_use]
    pub fn cgroup(&self) -> &str {
        &self.cgroup
    }

    /// Ends everything in it and removes its control groups. Its images and volumes stay in its folder.
    ///
    /// # Errors
    /// A process that cannot be killed.
    pub fn stop(mut self) -> Result<()> {
        self.process.kill();
        self.relay.kill();
        cgroups::remove(&self.cgroup)?;
        let _ = std::fs::remove_dir_all(&self.files.sockets);
        for folder in MACHINE_FOLDERS {
            // Removes what is empty and nothing else.
            let _ = std::fs::remove_dir(folder);
        }
        Ok(())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.process.kill();
        // A second time after `stop`, when there is nothing left.
        if let Err(error) = cgroups::remove(&self.cgroup) {
            tracing::warn!(%error, "a node's control groups stay");
        }
    }
}
