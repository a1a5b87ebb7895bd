//! Real control planes for simulated clusters, by the crate `landlord-test-kube`.
//!
//! Knows no cloud: what the cluster's controllers want of the account goes
//! through [`CloudSide`]. Whatever version a cluster was ordered in, its control plane is the one that was built.

use crate::{
    dns,
    real::{Machine, Machines, pretended, stop_nodes},
};
use anyhow::Context;
use cloudsim_core::{
    cloud_side::CloudSide,
    cluster::{ClusterSpec, NodeSpec, ServiceSeen, StorageClassSeen, VolumeSeen},
    runtime::ClusterRuntime,
};
use landlord_test_kube::{
    Artifacts, Capacity, ControlPlane, ControlPlaneOptions, Node, Permit,
    cloud::{
        self, CloudBackend, CloudControllers, CloudOptions, LoadBalancerRequest, LocalVolumes, NodeTaint,
        StorageClassSpec, VolumeRequest,
    },
    node_socket,
};
use std::{
    collections::HashMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{sync::Mutex, task::JoinSet};

const GIB: u64 = 1 << 30;
/// Stopping a control plane takes at most 8 seconds; several may stop at once on a busy machine.
const STOP_PATIENCE: Duration = Duration::from_secs(60);
/// As many pods as EKS lets on most instance types.
const PODS_MAX: u32 = 110;
/// One line for each request that was served, without bodies.
const AUDIT_POLICY: &str = r#"{"apiVersion": "audit.k8s.io/v1", "kind": "Policy",
"omitStages": ["RequestReceived", "ResponseStarted"], "omitManagedFields": true, "rules": [{"level": "Metadata"}]}"#;

struct Running {
    control_plane: ControlPlane,
    /// The machines that run containers, with real machines; the first one is the others' way to the API server.
    nodes: Vec<(Machine, Node)>,
    /// Resolves the cloud's names for it.
    resolver: Option<(PathBuf, JoinSet<()>)>,
    controllers: CloudControllers,
    data_dir: PathBuf,
    _permit: Permit,
}

impl Running {
    /// Starts those machines that have to run containers and do not yet.
    async fn start_nodes(&mut self, machines: &Machines, joining: &[cloud::NodeSpec]) -> anyhow::Result<()> {
        let resolver = self.resolver.as_ref().map(|(socket, _)| socket.clone()).unwrap_or_default();
        for spec in joining {
            let present: Vec<Machine> = self.nodes.iter().map(|(machine, _)| machine.clone()).collect();
            if present.iter().any(|machine| machine.name == spec.name) {
                continue;
            }
            let Some(machine) = Machine::wanted(&present, spec) else { continue };
            let node = machines.start(&self.control_plane, &machine, resolver.clone()).await?;
            self.nodes.push((machine, node));
            self.keep_machines()?;
        }
        Ok(())
    }

    fn keep_machines(&self) -> anyhow::Result<()> {
        let all: Vec<Machine> = self.nodes.iter().map(|(machine, _)| machine.clone()).collect();
        Machine::keep(&all, &self.data_dir)
    }
}

/// Runs clusters as child processes.
pub struct KubeRuntime {
    artifacts: Artifacts,
    capacity: Capacity,
    folder: PathBuf,
    audit: bool,
    machines: Option<Arc<Machines>>,
    /// Served by UDP, with the tasks that do.
    zones: Option<(dns::Zones, JoinSet<()>)>,
    /// Keeps a temporary folder while the runtime lives.
    _temporary: Option<tempfile::TempDir>,
    running: Mutex<HashMap<String, Running>>,
}

impl KubeRuntime {
    /// A runtime whose clusters keep their data under `data_dir`, or in a temporary folder. Builds the Kubernetes
    /// binaries first if this machine has none, telling `progress`.
    ///
    /// # Errors
    /// If they cannot be built, or no folder be made.
    pub fn new(data_dir: Option<&Path>, progress: &mut dyn FnMut(&str)) -> anyhow::Result<Self> {
        let artifacts = Artifacts::ensure(progress).context("the Kubernetes binaries are missing")?;
        let temporary = match data_dir {
            Some(_) => None,
            None => Some(tempfile::tempdir().context("no temporary folder for the clusters")?),
        };
        let root = data_dir.or(temporary.as_ref().map(tempfile::TempDir::path)).unwrap_or(Path::new("."));
        let folder = root.join("clusters");
        Ok(Self {
            artifacts,
            capacity: Capacity::of_machine(),
            folder,
            audit: false,
            machines: None,
            zones: None,
            _temporary: temporary,
            running: Mutex::new(HashMap::new()),
        })
    }

    /// Has every API server write its requests to `audit.jsonl` in the cluster's folder.
    #[must_use]
    pub fn audited(mut self) -> Self {
        self.audit = true;
        self
    }

    /// Has the first machine of every cluster, and of every pool with taints, run containers.
    ///
    /// # Errors
    /// If its programs or images cannot be built.
    pub fn real(mut self, progress: &mut dyn FnMut(&str)) -> anyhow::Result<Self> {
        self.machines = Some(Arc::new(Machines::ensure(&self.folder, progress)?));
        Ok(self)
    }

    /// Answers names of the clouds' zones by UDP at `address`.
    ///
    /// # Errors
    /// An address that can't be had.
    pub fn named(mut self, address: SocketAddr) -> anyhow::Result<Self> {
        let zones = dns::Zones::default();
        let tasks =
            dns::serve_datagrams(address, zones.clone()).with_context(|| format!("cannot serve names at {address}"))?;
        self.zones = Some((zones, tasks));
        Ok(self)
    }

    fn audit(&self, data_dir: &Path) -> anyhow::Result<Vec<String>> {
        if !self.audit {
            return Ok(Vec::new());
        }
        let policy = data_dir.join("audit-policy.json");
        std::fs::write(&policy, AUDIT_POLICY).with_context(|| format!("cannot write {}", policy.display()))?;
        Ok(vec![
            format!("--audit-policy-file={}", policy.display()),
            format!("--audit-log-path={}", data_dir.join("audit.jsonl").display()),
        ])
    }
}

/// The account as the cluster's controllers ask of it.
struct Backend(CloudSide);

#[async_trait::async_trait]
impl CloudBackend for Backend {
    async fn ensure_load_balancer(&self, service: &LoadBalancerRequest) -> anyhow::Result<Option<String>> {
        let seen = ServiceSeen {
            namespace: service.namespace.clone(),
            name: service.name.clone(),
            uid: service.uid.clone(),
            ports: service.ports.iter().map(|p| p.node_port.unwrap_or(p.port)).collect(),
            front_ports: service.ports.iter().map(|p| p.port).collect(),
            internal: self.0.cloud().wants_internal(&|name| service.annotations.get(name).cloned()),
        };
        Ok(self.0.ensure_load_balancer(&seen))
    }

    async fn delete_load_balancer(&self, uid: &str) -> anyhow::Result<bool> {
        Ok(self.0.delete_load_balancer(uid))
    }

    async fn ensure_volume(&self, claim: &VolumeRequest) -> anyhow::Result<Option<String>> {
        let seen = VolumeSeen {
            volume: claim.persistent_volume.clone(),
            namespace: claim.namespace.clone(),
            claim: claim.claim.clone(),
            size_gib: claim.size_bytes.div_ceil(GIB),
            zone: claim.zone.clone(),
            parameters: claim.parameters.clone(),
        };
        Ok(self.0.ensure_volume(&seen))
    }

    async fn resize_volume(&self, volume_id: &str, size_bytes: u64) -> anyhow::Result<bool> {
        Ok(self.0.resize_volume(volume_id, size_bytes.div_ceil(GIB)))
    }

    async fn delete_volume(&self, volume_id: &str) -> anyhow::Result<bool> {
        Ok(self.0.delete_volume(volume_id))
    }
}

fn storage_class(class: &StorageClassSeen) -> StorageClassSpec {
    let mut spec = StorageClassSpec::new(class.name, class.provisioner);
    spec.is_default = class.is_default;
    spec.expandable = class.expandable;
    spec.parameters = class.parameters.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    spec
}

/// Serves the cloud's zones to the machines of a cluster.
fn resolver(data_dir: &Path, cloud: &CloudSide) -> anyhow::Result<(PathBuf, JoinSet<()>)> {
    // Beside the node's own sockets, whose path is short enough.
    let socket = node_socket(data_dir).with_file_name("dns.sock");
    let task =
        dns::serve(socket.clone(), cloud.clone()).with_context(|| format!("cannot make {}", socket.display()))?;
    Ok((socket, task))
}

async fn start_both(
    options: ControlPlaneOptions,
    volumes: Option<LocalVolumes>,
    cloud: CloudSide,
) -> anyhow::Result<(ControlPlane, CloudControllers)> {
    let control_plane = ControlPlane::start(options).await?;
    let client = control_plane.kube_client()?;
    let classes = cloud.cloud().storage_classes();
    let mut options = CloudOptions::new(classes.iter().map(storage_class).collect());
    options.local_volumes = volumes;
    let controllers = CloudControllers::start(client, Arc::new(Backend(cloud)), options).await?;
    Ok((control_plane, controllers))
}

#[async_trait::async_trait]
impl ClusterRuntime for KubeRuntime {
    fn capacity(&self) -> usize {
        self.capacity.total()
    }

    async fn start(&self, spec: &ClusterSpec, webhook_url: &str, cloud: CloudSide) -> anyhow::Result<(String, String)> {
        let permit = self.permit().await?;
        let data_dir = self.folder.join(&spec.folder);
        std::fs::create_dir_all(&data_dir).with_context(|| format!("cannot make {}", data_dir.display()))?;
        let mut options =
            ControlPlaneOptions::new(self.artifacts.clone(), &data_dir).authentication_webhook(webhook_url);
        options.extra_apiserver_args = self.audit(&data_dir)?;
        options.real_node = self.machines.is_some();
        let volumes = self.machines.as_ref().map(|machines| machines.volumes(&data_dir));
        if let Some((zones, _)) = &self.zones {
            zones.add(cloud.clone());
        }
        // The compiler cannot prove these futures Send for all lifetimes, so a blocking thread drives them.
        let here = tokio::runtime::Handle::current();
        let resolver = self.machines.as_ref().map(|_| resolver(&data_dir, &cloud)).transpose()?;
        // With the machines that it had, where it ran before.
        let (again, kept) = (self.machines.clone(), Machine::kept(&data_dir));
        let names = resolver.as_ref().map(|(socket, _)| socket.clone()).unwrap_or_default();
        let begin = move || {
            here.block_on(async {
                let (control_plane, controllers) = start_both(options, volumes, cloud).await?;
                let mut nodes = Vec::new();
                if let Some(machines) = &again {
                    for machine in kept {
                        let node = machines.start(&control_plane, &machine, names.clone()).await?;
                        nodes.push((machine, node));
                    }
                }
                anyhow::Ok((control_plane, controllers, nodes))
            })
        };
        let (control_plane, controllers, nodes) = tokio::task::spawn_blocking(begin).await??;
        let found = (control_plane.endpoint().to_owned(), control_plane.ca_pem().to_owned());
        let running = Running { control_plane, nodes, resolver, controllers, data_dir, _permit: permit };
        self.running.lock().await.insert(spec.arn.clone(), running);
        Ok(found)
    }

    async fn stop(&self, arn: &str, forget: bool) -> anyhow::Result<()> {
        let Some(running) = self.running.lock().await.remove(arn) else {
            return Ok(());
        };
        running.controllers.stop().await;
        stop_nodes(running.nodes).await?;
        running.control_plane.stop().await;
        // Who resolved names for it ends with its tasks.
        drop(running.resolver);
        if forget {
            let folder = running.data_dir;
            let gone = folder.clone();
            // A real machine's images are gigabytes.
            let removed = tokio::task::spawn_blocking(move || std::fs::remove_dir_all(gone)).await?;
            removed.with_context(|| format!("cannot remove {}", folder.display()))?;
        }
        Ok(())
    }

    async fn add_nodes(&self, arn: &str, nodes: &[NodeSpec]) -> anyhow::Result<()> {
        let Some(client) = self.client(arn).await? else {
            return Ok(());
        };
        let mut nodes: Vec<cloud::NodeSpec> = nodes.iter().map(node).collect();
        if let Some(machines) = &self.machines {
            let real = self.real_nodes(arn, machines.clone(), &nodes).await?;
            let shown = |spec: cloud::NodeSpec| if real.contains(&spec.name) { spec } else { pretended(spec) };
            nodes = nodes.into_iter().map(shown).collect();
        }
        Ok(cloud::add_nodes(&client, &nodes).await?)
    }

    async fn remove_nodes(&self, arn: &str, names: &[String]) -> anyhow::Result<()> {
        let Some(client) = self.client(arn).await? else {
            return Ok(());
        };
        cloud::remove_nodes(&client, names).await?;
        let left = {
            let mut running = self.running.lock().await;
            let Some(running) = running.get_mut(arn) else { return Ok(()) };
            let left: Vec<_> = running.nodes.extract_if(.., |(machine, _)| names.contains(&machine.name)).collect();
            if !left.is_empty() {
                running.keep_machines()?;
            }
            left
        };
        stop_nodes(left).await
    }

    async fn shutdown(&self) {
        let all: Vec<String> = self.running.lock().await.keys().cloned().collect();
        let stops = all.iter().map(|arn| self.stop(arn, false));
        for result in futures::future::join_all(stops).await {
            if let Err(error) = result {
                tracing::warn!(error = format!("{error:#}"), "a control plane did not stop in order");
            }
        }
    }
}

impl KubeRuntime {
    /// The right to run one more; waits while a deleted cluster still stops.
    async fn permit(&self) -> anyhow::Result<Permit> {
        let deadline = tokio::time::Instant::now() + STOP_PATIENCE;
        loop {
            if let Some(permit) = self.capacity.try_acquire() {
                return Ok(permit);
            }
            if tokio::time::Instant::now() > deadline {
                anyhow::bail!("this machine's memory does not carry another control plane");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Names of the machines that run containers; those among `joining` that have to are started.
    async fn real_nodes(
        &self,
        arn: &str,
        machines: Arc<Machines>,
        joining: &[cloud::NodeSpec],
    ) -> anyhow::Result<Vec<String>> {
        // A cluster's commands come one after another: nobody misses it meanwhile.
        let Some(cluster) = self.running.lock().await.remove(arn) else {
            return Ok(Vec::new());
        };
        let (here, joining) = (tokio::runtime::Handle::current(), joining.to_vec());
        let begin = move || {
            let mut cluster = cluster;
            let started = here.block_on(cluster.start_nodes(&machines, &joining));
            (started, cluster)
        };
        let (started, cluster) = tokio::task::spawn_blocking(begin).await?;
        let names = cluster.nodes.iter().map(|(machine, _)| machine.name.clone()).collect();
        self.running.lock().await.insert(arn.to_owned(), cluster);
        started.map(|()| names)
    }

    async fn client(&self, arn: &str) -> anyhow::Result<Option<kube::Client>> {
        let running = self.running.lock().await;
        Ok(running.get(arn).map(|r| r.control_plane.kube_client()).transpose()?)
    }
}

fn node(spec: &NodeSpec) -> cloud::NodeSpec {
    let taint = |(key, value, effect): &(String, String, String)| NodeTaint {
        key: key.clone(),
        value: value.clone(),
        effect: effect.clone(),
    };
    cloud::NodeSpec {
        name: spec.name.clone(),
        labels: spec.labels.clone(),
        taints: spec.taints.iter().map(taint).collect(),
        provider_id: spec.provider_id.clone(),
        instance_type: spec.instance_type.clone(),
        zone: spec.zone.clone(),
        address: Some(spec.address.clone()),
        cpu: spec.cpu,
        memory_mib: spec.memory_mib,
        pods_max: PODS_MAX,
    }
}
