//! A cluster that no cloud knows: adopted by its kubeconfig, lived in by a tenant, and given back as it was found. The
//! cluster is a control plane of its own that no simulated cloud knows; provider, sandbox, client and Helm are the real ones.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use landlord_e2e::{ADOPTING, binaries};
use landlord_test_harness::{CliOutput, HostFile, TenantFile, World, WorldOptions, judge, private};
use landlord_test_kube::{
    Artifacts, ControlPlane, ControlPlaneOptions,
    cloud::{
        CloudBackend, CloudControllers, CloudOptions, LoadBalancerRequest, NodeSpec, StorageClassSpec, VolumeRequest,
        add_nodes,
    },
    differences, everything,
};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::runtime::Runtime;

use super::{reach, wait_until};

/// What a delete waits for an API server, and how long ours is away: 10 minutes and 15, 60 times faster than real time.
const TEARDOWN_TIMEOUT: Duration = Duration::from_secs(10);
const OUTAGE: Duration = Duration::from_secs(15);
const HOST: &str = "hostClusters/cellar";
const TENANT: &str = "customers/hooli/tenants/prod";

/// Disks of a rack: a volume is there when it is requested.
struct Rack;

#[async_trait::async_trait]
impl CloudBackend for Rack {
    async fn ensure_load_balancer(&self, service: &LoadBalancerRequest) -> anyhow::Result<Option<String>> {
        Ok(Some(format!("{}.rack.example.com", service.name)))
    }

    async fn delete_load_balancer(&self, _uid: &str) -> anyhow::Result<bool> {
        Ok(true)
    }

    async fn ensure_volume(&self, claim: &VolumeRequest) -> anyhow::Result<Option<String>> {
        Ok(Some(format!("disk-{}", claim.uid)))
    }

    async fn resize_volume(&self, _volume_id: &str, _size_bytes: u64) -> anyhow::Result<bool> {
        Ok(true)
    }

    async fn delete_volume(&self, _volume_id: &str) -> anyhow::Result<bool> {
        Ok(true)
    }
}

/// A cluster that somebody runs.
struct Cellar {
    runtime: Runtime,
    folder: tempfile::TempDir,
    artifacts: Artifacts,
    plane: ControlPlane,
    controllers: CloudControllers,
}

impl Cellar {
    fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let artifacts = Artifacts::ensure(&mut |_| {}).unwrap();
        let options = ControlPlaneOptions::new(artifacts.clone(), folder.path().join("cluster"));
        let (plane, controllers) = runtime.block_on(async {
            let plane = ControlPlane::start(options).await.unwrap();
            let client = plane.kube_client().unwrap();
            let classes = CloudOptions::new(vec![StorageClassSpec::new("rack", "rack.example.com")]);
            let backend: Arc<dyn CloudBackend> = Arc::new(Rack);
            let controllers = CloudControllers::start(client.clone(), backend, classes).await.unwrap();
            add_nodes(&client, &["one", "two", "three"].map(machine)).await.unwrap();
            (plane, controllers)
        });
        Self { runtime, folder, artifacts, plane, controllers }
    }

    fn stop(self) {
        self.runtime.block_on(async {
            self.controllers.stop().await;
            self.plane.stop().await;
        });
    }

    /// kubectl as whoever a kubeconfig is of.
    fn kubectl(&self, kubeconfig: &Path, arguments: &[&str]) -> CliOutput {
        let mut command = Command::new(&self.artifacts.kubebox);
        let output = command.arg("kubectl").arg("--kubeconfig").arg(kubeconfig).args(arguments).stdin(Stdio::null());
        let output = output.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        CliOutput {
            code: output.status.code().unwrap_or(128),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }

    fn admin(&self, arguments: &[&str]) -> String {
        let response = self.kubectl(&self.plane.admin_kubeconfig_path(), arguments);
        assert_eq!(response.code, 0, "kubectl {arguments:?}: {}", response.stderr);
        response.stdout
    }

    /// What the plugin's README has the operator type, and the kubeconfig that comes of it.
    fn credential(&self) -> PathBuf {
        self.admin(&["create", "namespace", "landlord"]);
        self.admin(&["--namespace", "landlord", "create", "serviceaccount", "landlord"]);
        let role = ["--clusterrole", "cluster-admin", "--serviceaccount", "landlord:landlord"];
        self.admin(&[&["create", "clusterrolebinding", "landlord"][..], &role].concat());
        let token = self.admin(&["--namespace", "landlord", "create", "token", "landlord", "--duration", "720h"]);
        let path = self.folder.path().join("cellar.kubeconfig");
        let of_admin = fs::read_to_string(self.plane.admin_kubeconfig_path()).unwrap();
        private(&path, &of_admin.replace(self.plane.admin_token(), token.trim())).unwrap();
        path
    }

    fn everything(&self) -> BTreeMap<String, Value> {
        self.runtime.block_on(async {
            let client = self.plane.kube_client().unwrap();
            everything(&client, &[], |_, _| false).await.unwrap()
        })
    }
}

fn machine(name: &str) -> NodeSpec {
    NodeSpec {
        provider_id: format!("rack:///{name}"),
        zone: "cellar".into(),
        cpu: 16,
        memory_mib: 65_536,
        pods_max: 110,
        ..NodeSpec::named(name)
    }
}

/// As README.md has it, with a second cluster.
fn config(cellar: &Cellar, attic: &Cellar) -> String {
    let plugin = binaries().unwrap().plugin(ADOPTING).unwrap();
    let digest: String = Sha256::digest(fs::read(plugin).unwrap()).iter().map(|byte| format!("{byte:02x}")).collect();
    let ports = [cellar, attic].map(|cluster| cluster.plane.endpoint().rsplit(':').next().unwrap().to_owned());
    format!(
        "[providers.kubernetes]\nplugin = '{}'\nsha256 = '{digest}'\nsandbox.connect_ports = [{}]\n\
         [providers.kubernetes.credentials.cellar]\nkind = 'kubeconfig'\nkubeconfig_file = '{}'\n\
         [providers.kubernetes.credentials.attic]\nkind = 'kubeconfig'\nkubeconfig_file = '{}'\n\
         [classes.cellar-namespace]\nlevel = 'NAMESPACE'\nprovider = 'kubernetes'\nregions = ['cellar']\n\
         stack = 'ai-fileserver'\nskip_checks = ['names', 'certificates', 'files', 'chat']\n[classes.cellar-namespace.hosts]\nlabels = {{ tier = 'shared' }}\n\
         [classes.attic-bare]\nlevel = 'NAMESPACE'\nprovider = 'kubernetes'\nregions = ['attic']\n\
         [engine]\nteardown_timeout = '{}s'\nresync_interval = '10s'\n",
        plugin.display(),
        ports.join(", "),
        cellar.credential().display(),
        attic.credential().display(),
        TEARDOWN_TIMEOUT.as_secs()
    )
}

fn world(cellar: &Cellar, attic: &Cellar) -> World {
    let options = WorldOptions {
        kubernetes: Some(cellar.artifacts.clone()),
        clouds: Vec::new(),
        extra_config: config(cellar, attic),
        ..WorldOptions::default()
    };
    World::temporary(binaries().unwrap(), &options).unwrap()
}

fn example(path: &str) -> String {
    format!("{}/../../examples/{path}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn a_cluster_that_exists_is_adopted_lived_in_and_given_back_as_it_was_found() {
    let (cellar, attic) = thread::scope(|scope| {
        let attic = scope.spawn(Cellar::start);
        (Cellar::start(), attic.join().unwrap())
    });
    let mut world = world(&cellar, &attic);
    let before = cellar.everything();
    assert!(before.len() > 100, "{} objects", before.len());
    let cli = world.cli();

    let shown = cli.ok(&["apply", "-f", &example("host-clusters/cellar.yaml")]).unwrap();
    assert!(shown.contains("hostClusters/cellar adopted"), "{shown}");
    cli.ok(&["wait", "hostclusters/cellar", "--for=ready", "--timeout=5m"]).unwrap();
    assert_eq!(differences(&before, &cellar.everything()), Vec::<String>::new(), "adopting changed something");
    let shown = cli.ok(&["describe", HOST]).unwrap();
    for part in ["kubernetes", "cellar (adopted)", "0 of 20; takes 20 more"] {
        assert!(shown.contains(part), "{part} is not in\n{shown}");
    }

    cli.ok(&["apply", "-f", &example("tenants/hooli-cellar.yaml")]).unwrap();
    // Meanwhile the first tenant of the other cluster comes: half a minute, until Kubernetes there counts kinds that are new.
    let attic_host = HostFile {
        id: "attic".into(),
        spec: "  region: attic\n  adoption: {provider: kubernetes, credentials: attic}\n".into(),
    };
    let neighbour = TenantFile::new("initech", "first", "attic-bare");
    cli.apply_host(&attic_host).unwrap();
    reach(&world, &attic_host.name(), "READY");
    cli.apply(&neighbour).unwrap();
    for name in [TENANT, &neighbour.name()] {
        reach(&world, name, "READY");
    }
    let shown = cli.ok(&["describe", TENANT]).unwrap();
    for part in ["level NAMESPACE", "Lives in:    hostClusters/cellar", "Isolation:   namespace"] {
        assert!(shown.contains(part), "{part} is not in\n{shown}");
    }
    let refused = cli.run(&["delete", HOST]).unwrap();
    assert!(refused.code == 6 && refused.stderr.contains(TENANT), "{refused:?}");
    the_customer_is_fenced(&cellar, &world);
    // A token of a month is nothing to hand out.
    let refused = cli.run(&["kubeconfig", TENANT, "--for", "operator"]).unwrap();
    assert!(refused.code != 0 && refused.stderr.contains("not handed out"), "{refused:?}");

    an_outage_delays_its_own_tenants_and_no_others(&mut world, &cellar);
    reach(&world, &neighbour.name(), "READY");
    cli.ok(&["delete", &neighbour.name()]).unwrap();
    reach(&world, TENANT, "GONE");
    reach(&world, &neighbour.name(), "GONE");
    cli.ok(&["delete", &attic_host.name(), "--wait", "--timeout", "5m"]).unwrap();
    let namespaces = cellar.admin(&["get", "namespaces,persistentvolumes", "-o", "name"]);
    assert!(!namespaces.contains("tenant-") && !namespaces.contains("persistentvolume/"), "{namespaces}");
    let shown = cellar.admin(&["get", "validatingadmissionpolicies", "-o", "name"]);
    assert!(shown.contains("landlord-quickstart-tenant-pods"), "{shown}");

    cli.ok(&["delete", HOST]).unwrap();
    world.crash_daemon().unwrap();
    world.start_daemon().unwrap();
    reach(&world, HOST, "GONE");
    assert_eq!(differences(&before, &cellar.everything()), Vec::<String>::new(), "it is not as it was found");
    assert!(world.stop().unwrap(), "a process had to be killed");
    cellar.stop();
    attic.stop();
}

/// The cellar's API server takes connections and answers none, the worst that a network does. What is to go there waits
/// and its condition says so; the attic's tenants come and go meanwhile.
fn an_outage_delays_its_own_tenants_and_no_others(world: &mut World, cellar: &Cellar) {
    let cli = world.cli();
    let api_server = rustix::process::Pid::from_raw(i32::try_from(cellar.plane.pids()[1]).unwrap()).unwrap();
    rustix::process::kill_process(api_server, rustix::process::Signal::STOP).unwrap();
    let away = Instant::now();
    cli.ok(&["delete", TENANT]).unwrap();
    let in_teardown = |reason: &str| {
        let so = |event: &Value| judge::text(event, "reason") == reason && judge::text(event, "stage") == "teardown";
        cli.events(TENANT).unwrap().iter().any(so)
    };
    // On a connection that is open a call waits for its response longer than for a new connection: the daemon dies under
    // it, and its successor finds nobody at all.
    wait_until("its teardown begins", || in_teardown("StageStarted"));
    world.crash_daemon().unwrap();
    world.start_daemon().unwrap();
    let other = TenantFile::new("initech", "prod", "attic-bare");
    cli.apply(&other).unwrap();
    reach(world, &other.name(), "READY");
    cli.ok(&["delete", &other.name(), "--wait", "--timeout", "5m"]).unwrap();
    // Nodes would be let go by now; the record stays, since customer's data may be there.
    wait_until("its teardown is passed over", || away.elapsed() >= OUTAGE && in_teardown("StageSkipped"));
    let shown = cli.ok(&["describe", TENANT]).unwrap();
    for part in ["DELETING", "skipped", "isolation"] {
        assert!(shown.contains(part), "{part} is not in\n{shown}");
    }
    // By the condition of an observation that failed, or of calls that nobody responds: which comes first is a matter of moments.
    let shown_of_outage = || {
        let shown = cli.ok(&["describe", HOST]).unwrap();
        ["last observation of", "calls get no response"].iter().any(|words| shown.contains(words))
    };
    wait_until("the operator is informed", shown_of_outage);
    rustix::process::kill_process(api_server, rustix::process::Signal::CONT).unwrap();
    wait_until("it is no longer reported", || !shown_of_outage());
}

/// The customer's access works in its namespace and nowhere else.
fn the_customer_is_fenced(cellar: &Cellar, world: &World) {
    let cli = world.cli();
    let kubeconfig = world.folder().join("customer.kubeconfig");
    fs::write(&kubeconfig, cli.ok(&["kubeconfig", TENANT, "--for", "customer"]).unwrap()).unwrap();
    let tenant = cli.tenant(TENANT).unwrap().unwrap();
    let namespace = judge::text(&tenant["placement"]["isolation"], "namespace").to_owned();
    let own = cellar.kubectl(&kubeconfig, &["get", "pods", "-o", "name"]);
    assert!(own.code == 0 && own.stdout.contains("pod/sftpgo-"), "{own:?}");
    let foreign: [&[&str]; 6] = [
        &["get", "namespaces"],
        &["get", "pods", "--all-namespaces"],
        &["get", "secrets", "-n", &namespace],
        &["label", "namespace", &namespace, "landlord.dev/level-"],
        &["delete", "resourcequota", "--all", "-n", &namespace],
        &["get", "nodes"],
    ];
    for attempt in foreign {
        let response = cellar.kubectl(&kubeconfig, attempt);
        assert!(response.code != 0 && response.stderr.contains("Forbidden"), "{attempt:?}: {response:?}");
    }
}
