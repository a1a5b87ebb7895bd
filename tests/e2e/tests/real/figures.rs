//! What an order costs on a real node: seconds by part, processor time of the daemon, the control plane and the pods, memory of pods by
//! namespace, beside `kubectl apply` of the same objects and waiting for them; and what an update costs.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use landlord_test_harness::{TenantFile, judge, process::children};
use serde_json::Value;

use crate::scene::{LOOK_INTERVAL, PATIENCE, Scene};

/// Where the same objects are applied by hand.
const BY_HAND: &str = "by-hand";
/// Secrets that landlord makes, and charts only refer to.
const SECRETS: [&str; 3] = ["files", "vectors", "chat"];
/// What `kubectl` waits for, in the order in which parts need each other.
const WORKLOADS: [&str; 4] = ["deployment/files", "statefulset/vectors", "deployment/llm", "deployment/chat"];
/// Its releases.
const RELEASES: [&str; 4] = ["files", "vectors", "llm", "chat"];
const MIB: u64 = 1 << 20;
/// Of the kernel's figures of processes (`sysconf(_SC_CLK_TCK)` on every Linux that a node runs on).
const TICKS_PER_SECOND: u64 = 100;
/// A value of the installation before and after it is changed: the chatbot's part of the stack is another one then.
const CHANGED: (&str, &str) = ("intervalSeconds = 10", "intervalSeconds = 12");

/// What pods have used so far.
#[derive(Debug, Clone, Copy, Default)]
struct Used {
    cpu: Duration,
    memory_bytes: u64,
}

/// Reports processor time until now, by part.
pub(crate) fn so_far(scene: &mut Scene, tenant: &TenantFile, what: &str) {
    let daemon = scene.world.daemon().map(|daemon| with_children(daemon.pid())).unwrap_or_default();
    let programs: Duration = branches(&scene.cluster(tenant)).iter().map(|branch| cpu(&branch.join("programs"))).sum();
    let pods: Duration = by_namespace(scene, tenant).into_values().map(|used| used.cpu).sum();
    let [daemon, programs, pods] = [daemon, programs, pods].map(|used| used.as_secs_f64());
    scene.say(&format!(
        "processor time until {what}: {daemon:.1} s landlordd with plugins and Helm, {programs:.1} s control plane and node, {pods:.1} s pods"
    ));
}

/// Processor time of a process, of those that it started, and of those of them that have ended.
fn with_children(process: u32) -> Duration {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // After the name, which may have spaces in it: state is the third field, the four times are 14 to 17 (proc(5)).
    let fields = text.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect::<Vec<_>>()).unwrap_or_default();
    let ticks: u64 = fields.iter().skip(11).take(4).filter_map(|field| field.parse::<u64>().ok()).sum();
    let own = Duration::from_millis(ticks * 1_000 / TICKS_PER_SECOND);
    own + children(process).into_iter().map(with_children).sum::<Duration>()
}

/// Reports all of them.
pub(crate) fn report(scene: &mut Scene, tenant: &TenantFile) {
    for line in stages(scene, tenant) {
        scene.say(&line);
    }
    for (namespace, used) in by_namespace(scene, tenant) {
        let (cpu, memory) = (used.cpu.as_secs_f64(), used.memory_bytes / MIB);
        scene.say(&format!("pods of {namespace}: {cpu:.1} s of processor time, {memory} MiB"));
    }
    let verified = Instant::now();
    let results = scene.verify(tenant);
    scene.say(&format!("verify: {:.1} s, {} results", verified.elapsed().as_secs_f64(), results.len()));
    by_hand(scene, tenant);
    update(scene, tenant);
}

/// Another value of the installation, brought to the tenant: how long it takes until it was verified.
fn update(scene: &mut Scene, tenant: &TenantFile) {
    let config = fs::read_to_string(scene.world.config()).unwrap();
    assert!(config.contains(CHANGED.0), "{config}");
    fs::write(scene.world.config(), config.replace(CHANGED.0, CHANGED.1)).unwrap();
    assert!(scene.world.stop_daemon().unwrap());
    scene.world.start_daemon().unwrap();
    let outdated = || scene.cli().ok(&["get", "tenants", "--outdated", "-o", "name"]).unwrap();
    let started = Instant::now();
    while !outdated().contains(&tenant.name()) {
        assert!(started.elapsed() < PATIENCE, "it is never outdated");
        std::thread::sleep(LOOK_INTERVAL);
    }
    let started = Instant::now();
    scene.cli().ok(&["update", &tenant.name(), "--to-current"]).unwrap();
    scene.reach(&tenant.name(), "READY");
    let took = started.elapsed().as_secs_f64();
    assert!(!outdated().contains(&tenant.name()), "it was not brought there");
    let interval = [
        "get",
        "deployment",
        "chat",
        "-o",
        "jsonpath={.spec.template.spec.containers[*].env[?(@.name==\"INTERVAL_SECONDS\")].value}",
    ];
    assert_eq!(scene.in_namespace(tenant, &scene.namespace(tenant), &interval), "12");
    scene.say(&format!("update --to-current of the chatbot, verified by use: {took:.1} s"));
    for line in stages(scene, tenant).iter().rev().take(6) {
        scene.say(&format!("of it, the last first: {line}"));
    }
}

/// When each stage began and how long it took, by the daemon's own events.
fn stages(scene: &Scene, tenant: &TenantFile) -> Vec<String> {
    let events = scene.cli().events(&tenant.name()).unwrap();
    let done = |event: &&Value| judge::text(event, "reason") == "StageDone";
    let line = |event: &Value| format!("stage {}", judge::text(event, "message"));
    events.iter().filter(done).map(line).collect()
}

/// What the pods of each namespace of the tenant's cluster have used.
fn by_namespace(scene: &Scene, tenant: &TenantFile) -> BTreeMap<String, Used> {
    let template = "go-template={{range .items}}{{.metadata.uid}} {{.metadata.namespace}}\n{{end}}";
    let pods = scene.run(scene.kubectl(tenant).args(["get", "pods", "-A", "-o", template]));
    let groups = groups(&scene.cluster(tenant));
    let mut all: BTreeMap<String, Used> = BTreeMap::new();
    for (uid, namespace) in pods.lines().filter_map(|line| line.split_once(' ')) {
        let used = all.entry(namespace.to_owned()).or_default();
        let of_pod = groups.iter().filter(|group| group.ends_with(format!("pod{uid}")));
        for group in of_pod {
            used.cpu += cpu(group);
            let number = |file: &str| fs::read_to_string(group.join(file)).ok()?.trim().parse::<u64>().ok();
            let memory = number("memory.usage_in_bytes").or_else(|| number("memory.current"));
            used.memory_bytes += memory.unwrap_or_default();
        }
    }
    all
}

/// Processor time of a control group.
fn cpu(group: &Path) -> Duration {
    let read = |file: &str| fs::read_to_string(group.join(file)).unwrap_or_default();
    // Of the older control groups, one of both is in each hierarchy; the newer ones have both in one.
    let nanos = read("cpuacct.usage").trim().parse().unwrap_or_default();
    let stat = read("cpu.stat");
    let micros = stat.lines().find_map(|line| line.strip_prefix("usage_usec ")?.parse().ok());
    Duration::from_nanos(nanos) + Duration::from_micros(micros.unwrap_or_default())
}

/// The control groups of the pods of a cluster's nodes.
fn groups(cluster: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    branches(cluster).iter().for_each(|branch| below(branch, &mut found));
    found
}

/// The branches of control groups of a cluster's nodes, in each hierarchy that counts.
fn branches(cluster: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for node in ["node", "node-1", "node-2"] {
        let text = fs::read_to_string(cluster.join(node).join("kubelet.yaml")).unwrap_or_default();
        let configured: Value = serde_json::from_str(&text).unwrap_or_default();
        let Some(branch) = configured["cgroupRoot"].as_str() else { continue };
        let branch = branch.trim_start_matches('/');
        found.extend(
            ["cpuacct", "memory", ""].map(|hierarchy| Path::new("/sys/fs/cgroup").join(hierarchy).join(branch)),
        );
    }
    found
}

fn below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().filter_map(|entry| entry.ok()) {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.push(entry.path());
            below(&entry.path(), found);
        }
    }
}

/// Applies what landlord has applied into another namespace, by `kubectl`, and waits for it.
fn by_hand(scene: &Scene, tenant: &TenantFile) {
    let namespace = scene.namespace(tenant);
    scene.run(scene.kubectl(tenant).args(["create", "namespace", BY_HAND]));
    for name in SECRETS {
        let text = scene.in_namespace(tenant, &namespace, &["get", "secret", name, "-o", "json"]);
        let secret: Value = serde_json::from_str(&text).unwrap();
        let own = serde_json::json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name }, "data": secret["data"] });
        apply(scene, tenant, &own.to_string());
    }
    let all: Vec<String> = RELEASES.iter().flat_map(|release| objects(scene, tenant, &namespace, release)).collect();
    let started = Instant::now();
    apply(scene, tenant, &all.join("\n---\n"));
    for workload in WORKLOADS {
        scene.in_namespace(tenant, BY_HAND, &["rollout", "status", workload, "--timeout=600s"]);
    }
    let waited = started.elapsed().as_secs_f64();
    let used = by_namespace(scene, tenant).remove(BY_HAND).unwrap_or_default();
    let (cpu, memory) = (used.cpu.as_secs_f64(), used.memory_bytes / MIB);
    scene.say(&format!(
        "kubectl apply of the same {} objects and waiting: {waited:.1} s, {cpu:.1} s of processor time, {memory} MiB",
        all.len()
    ));
    scene.run(scene.kubectl(tenant).args(["delete", "namespace", BY_HAND, "--timeout=300s"]));
}

/// What a release consists of, without its routes, whose names only one namespace can have.
fn objects(scene: &Scene, tenant: &TenantFile, namespace: &str, release: &str) -> Vec<String> {
    let mut helm = scene.helm();
    helm.args(["get", "manifest", release, "--namespace", namespace]);
    helm.arg("--kubeconfig").arg(scene.cluster(tenant).join("admin.kubeconfig"));
    let text = scene.run(&mut helm);
    let mine = |object: &&str| object.contains("kind:") && !object.contains("kind: HTTPRoute");
    text.split("\n---").filter(mine).map(|object| object.replace(namespace, BY_HAND)).collect()
}

fn apply(scene: &Scene, tenant: &TenantFile, text: &str) {
    let path = scene.world.folder().join("by-hand.yaml");
    fs::write(&path, text).unwrap();
    scene.in_namespace(tenant, BY_HAND, &["apply", "-f", &path.display().to_string()]);
}
