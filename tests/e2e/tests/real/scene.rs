//! A world with real nodes, and what to look at when something in it fails.

use std::{
    collections::BTreeSet,
    io::Write as _,
    path::PathBuf,
    process::{Command, Output},
    time::{Duration, Instant},
};

use landlord_e2e::binaries;
use landlord_test_harness::{Cli, Cloud, HostFile, TenantFile, World, WorldOptions, judge, real};
use landlord_test_kube::{Artifacts, ensure_stack, node_sockets};
use serde_json::Value;

/// 60 times faster than real time: the cloud's part takes a quarter of a minute.
const SCALE: f64 = 1.0 / 60.0;
/// Where the stack lives in a cluster of the tenant's own.
const OWN_NAMESPACE: &str = "ai-fileserver";
pub(crate) const LOOK_INTERVAL: Duration = Duration::from_secs(3);
/// Far above what it takes (two minutes): a busy machine is no failure. Beside a whole run of all tests, a node alone has waited nine
/// minutes for its images to be unpacked.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1500);

pub(crate) struct Scene {
    pub(crate) world: World,
    pub(crate) cloud: &'static Cloud,
    artifacts: Artifacts,
    started: Instant,
}

impl Scene {
    pub(crate) fn start(cloud: &'static Cloud) -> Self {
        Self::with(cloud, "")
    }

    /// One whose daemon has more configuration (TOML).
    pub(crate) fn with(cloud: &'static Cloud, more: &str) -> Self {
        let artifacts = Artifacts::ensure(&mut |line| eprintln!("{line}")).unwrap();
        ensure_stack(&mut |line| eprintln!("{line}")).unwrap();
        let options = WorldOptions {
            time_scale: SCALE,
            kubernetes: Some(artifacts.clone()),
            clouds: vec![cloud],
            real_node: true,
            extra_config: cloud.real_classes() + &real::values() + more,
            ..WorldOptions::default()
        };
        let world = World::temporary(binaries().unwrap(), &options).unwrap();
        Self { world, cloud, artifacts, started: Instant::now() }
    }

    pub(crate) fn cli(&self) -> Cli {
        self.world.cli()
    }

    pub(crate) fn say(&self, line: &str) {
        let _ = writeln!(std::io::stderr(), "{:6.1} s  {line}", self.started.elapsed().as_secs_f64());
    }

    /// Orders a tenant and waits until it is READY.
    pub(crate) fn order(&self, tenant: &TenantFile) {
        self.cli().apply(tenant).unwrap();
        self.reach(&tenant.name(), "READY");
        self.say(&format!("{} is READY", tenant.name()));
    }

    /// Orders the host cluster that shared levels live in.
    pub(crate) fn order_host(&self, host: &HostFile) {
        self.cli().apply_host(host).unwrap();
        self.reach(&host.name(), "READY");
        self.say(&format!("{} is READY", host.name()));
    }

    pub(crate) fn reach(&self, name: &str, state: &str) {
        if let Err(error) = self.cli().wait_for(name, state, PATIENCE) {
            let described = self.cli().ok(&["describe", name]).unwrap_or_default();
            panic!("{error:#}\n{described}\n{}\n{}", self.why(), self.world.log_tail(40));
        }
    }

    /// Deletes a tenant or host cluster and waits until its record is gone.
    pub(crate) fn delete(&self, name: &str) {
        self.cli().ok(&["delete", name]).unwrap();
        self.reach(name, "GONE");
        self.say(&format!("{name} is gone"));
    }

    pub(crate) fn program(&self, command: &str) -> Command {
        let mut program = Command::new(&self.artifacts.kubebox);
        program.arg(command);
        program
    }

    pub(crate) fn helm(&self) -> Command {
        Command::new(&self.artifacts.helm)
    }

    /// kubectl as the cluster's own administrator.
    pub(crate) fn kubectl(&self, tenant: &TenantFile) -> Command {
        self.as_admin(&self.cluster(tenant))
    }

    /// kubectl in a namespace of the tenant's cluster; what it printed.
    pub(crate) fn in_namespace(&self, tenant: &TenantFile, namespace: &str, arguments: &[&str]) -> String {
        self.run(self.kubectl(tenant).args(["-n", namespace]).args(arguments))
    }

    pub(crate) fn as_admin(&self, cluster: &std::path::Path) -> Command {
        let mut command = self.program("kubectl");
        command.arg("--kubeconfig").arg(cluster.join("admin.kubeconfig"));
        command
    }

    /// Folder of the cluster that a tenant lives in: its own bears its uid, a shared one is the only other one.
    pub(crate) fn cluster(&self, tenant: &TenantFile) -> PathBuf {
        let record = self.cli().tenant(&tenant.name()).unwrap().unwrap();
        let uid = judge::text(&record, "uid").replace('-', "");
        let clusters = self.world.clusters();
        // Names of clusters are shorter than that on one of the clouds: without the digit that all uids have in common.
        let names = [uid.clone(), format!("{}{}", &uid[..12], &uid[13..])];
        let is_own = |folder: &&PathBuf| names.iter().any(|name| folder.display().to_string().contains(name));
        let own = clusters.iter().find(is_own);
        own.or(clusters.last()).unwrap().clone()
    }

    /// The way into the network that the tenant's customer comes by: its own node where it has one.
    pub(crate) fn socket(&self, tenant: &TenantFile) -> PathBuf {
        node_sockets(&self.cluster(tenant)).pop().unwrap()
    }

    pub(crate) fn namespace(&self, tenant: &TenantFile) -> String {
        let record = self.cli().tenant(&tenant.name()).unwrap().unwrap();
        let shared = judge::text(&record["placement"]["isolation"], "namespace").to_owned();
        if shared.is_empty() || shared == "?" { OWN_NAMESPACE.to_owned() } else { shared }
    }

    /// Names of the nodes that its pods run on.
    pub(crate) fn nodes_of(&self, tenant: &TenantFile) -> BTreeSet<String> {
        let template = "go-template={{range .items}}{{.spec.nodeName}} {{end}}";
        let names = self.in_namespace(tenant, &self.namespace(tenant), &["get", "pods", "-o", template]);
        names.split_whitespace().map(str::to_owned).collect()
    }

    /// A key of a Secret of a tenant's stack.
    pub(crate) fn secret(&self, tenant: &TenantFile, name: &str, key: &str) -> String {
        let path = format!("go-template={{{{index .data {key:?} | base64decode}}}}");
        let namespace = self.namespace(tenant);
        self.run(self.kubectl(tenant).args(["-n", &namespace, "get", "secret", name, "-o", &path]))
    }

    /// Results of the daemon's own checks, asked for now.
    pub(crate) fn verify(&self, tenant: &TenantFile) -> Vec<Value> {
        let text = self.cli().run(&["verify", &tenant.name(), "--json"]).unwrap();
        let results: Value = serde_json::from_str(&text.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}{}\n{}", text.stdout, text.stderr, self.world.log_tail(20)));
        results["checks"].as_array().or(results.as_array()).unwrap_or_else(|| panic!("{results:#}")).clone()
    }

    /// Results of the daemon's own checks, once all pass: on a busy machine one may miss its bound, which the daemon's next run
    /// makes good.
    pub(crate) fn until_all_pass(&self, tenant: &TenantFile) -> Vec<Value> {
        let started = Instant::now();
        loop {
            let results = self.verify(tenant);
            if results.iter().all(|result| judge::text(result, "outcome") == "PASSED") {
                return results;
            }
            assert!(started.elapsed() < PATIENCE, "not all pass: {results:#?}\n{}", self.why());
            std::thread::sleep(LOOK_INTERVAL);
        }
    }

    /// The line of a tenant's description that has `part` in it, once there is one.
    pub(crate) fn until_described(&self, tenant: &TenantFile, part: &str) -> String {
        let started = Instant::now();
        loop {
            let described = self.cli().ok(&["describe", &tenant.name()]).unwrap();
            if let Some(line) = described.lines().find(|line| line.contains(part)) {
                return line.trim().to_owned();
            }
            assert!(started.elapsed() < PATIENCE, "{part} never stands in {described}\n{}", self.why());
            std::thread::sleep(LOOK_INTERVAL);
        }
    }

    /// The result of one check, once it is so: what was broken or mended takes its time to be seen.
    pub(crate) fn until(&self, tenant: &TenantFile, check: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let started = Instant::now();
        loop {
            let results = self.verify(tenant);
            let result = results.iter().find(|result| judge::text(result, "name") == check).unwrap();
            if is_so(result) {
                return result.clone();
            }
            assert!(started.elapsed() < PATIENCE, "{what}: {check} is never so: {results:#?}\n{}", self.why());
            std::thread::sleep(LOOK_INTERVAL);
        }
    }

    pub(crate) fn run(&self, command: &mut Command) -> String {
        let output = command.output().unwrap();
        let reported = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command:?}: {reported}\n{}", self.why());
        text(&output)
    }

    /// What nodes, pods, events and logs say.
    fn why(&self) -> String {
        let looks: [&[&str]; 9] = [
            &["get", "gateways,httproutes,certificates,challenges,clusterissuers", "-A", "-o", "yaml"],
            &["logs", "-n", "cert-manager", "deployment/cert-manager", "--tail=40"],
            &["logs", "-n", "envoy-gateway-system", "deployment/envoy-gateway", "--tail=40"],
            &["get", "nodes,pods,pvc,services", "-A", "-o", "wide"],
            &["get", "events", "-A", "--sort-by=.lastTimestamp"],
            &["logs", "-n", OWN_NAMESPACE, "deployment/files", "--tail=30"],
            &["logs", "-n", OWN_NAMESPACE, "deployment/chat", "-c", "chat", "--tail=40"],
            &["logs", "-n", OWN_NAMESPACE, "deployment/chat", "-c", "documents", "--tail=30"],
            &["logs", "-n", OWN_NAMESPACE, "deployment/llm", "--all-containers", "--tail=30"],
        ];
        let mut all = String::new();
        for cluster in self.world.clusters() {
            for look in &looks {
                let shown =
                    self.as_admin(&cluster).args(*look).output().map(|output| text(&output)).unwrap_or_default();
                all += &format!("--- {look:?}\n{shown}");
            }
        }
        all
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// An object without what the API server adds, to be created again.
pub(crate) fn bare(object: &mut Value) {
    for made in ["resourceVersion", "uid", "creationTimestamp", "managedFields"] {
        object["metadata"].as_object_mut().unwrap().remove(made);
    }
}

/// Sends a signal to processes of containers: from outside of them, whose first process takes none from within. Those whose command
/// line has `command` in it, and whose environment has `environment`. Whether there was one.
pub(crate) fn signal(name: &str, command: &str, environment: &str) -> bool {
    let mut any = false;
    for process in std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()) {
        let has = |file: &str, part: &str| {
            let text = std::fs::read(process.path().join(file)).unwrap_or_default();
            String::from_utf8_lossy(&text).contains(part)
        };
        if has("cmdline", command) && has("environ", environment) {
            let number = process.file_name().into_string().unwrap();
            any |= Command::new("kill").args([name, &number]).status().unwrap().success();
        }
    }
    any
}
