//! What an order costs on a real node: seconds by part, processor time and memory of pods by namespace, beside `kubectl apply` of
//! the same objects and waiting for them.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use landlord_test_harness::{TenantFile, judge};
use serde_json::Value;

use crate::scene::Scene;

/// Where the same objects are applied by hand.
const BY_HAND: &str = "by-hand";
/// Secrets that landlord makes, and charts only refer to.
const SECRETS: [&str; 3] = ["files", "vectors", "chat"];
/// What `kubectl` waits for, in the order in which parts need each other.
const WORKLOADS: [&str; 4] = ["deployment/files", "statefulset/vectors", "deployment/llm", "deployment/chat"];
/// Its releases.
const RELEASES: [&str; 4] = ["files", "vectors", "llm", "chat"];
const MIB: u64 = 1 << 20;

/// What pods have used so far.
#[derive(Debug, Clone, Copy, Default)]
struct Used {
    cpu: Duration,
    memory_bytes: u64,
}

/// Reports all of them.
pub(crate) fn report(scene: &Scene, tenant: &TenantFile) {
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
            let read = |file: &str| fs::read_to_string(group.join(file)).ok();
            let number = |file: &str| read(file).and_then(|text| text.trim().parse::<u64>().ok());
            // Of the older control groups, one of both is in each hierarchy; the newer ones have both in one.
            used.cpu += Duration::from_nanos(number("cpuacct.usage").unwrap_or_default());
            let stat = read("cpu.stat").unwrap_or_default();
            let micros = stat.lines().find_map(|line| line.strip_prefix("usage_usec ")?.parse().ok());
            used.cpu += Duration::from_micros(micros.unwrap_or_default());
            let memory = number("memory.usage_in_bytes").or_else(|| number("memory.current"));
            used.memory_bytes += memory.unwrap_or_default();
        }
    }
    all
}

/// The control groups of the pods of a cluster's nodes.
fn groups(cluster: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for node in ["node", "node-1", "node-2"] {
        let text = fs::read_to_string(cluster.join(node).join("kubelet.yaml")).unwrap_or_default();
        let configured: Value = serde_json::from_str(&text).unwrap_or_default();
        let Some(branch) = configured["cgroupRoot"].as_str() else { continue };
        for hierarchy in ["cpuacct", "memory", ""] {
            let root = Path::new("/sys/fs/cgroup").join(hierarchy).join(branch.trim_start_matches('/'));
            below(&root, &mut found);
        }
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
