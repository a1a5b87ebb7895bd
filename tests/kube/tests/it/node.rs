//! A real node from beginning to end: pods that are processes, under the strictest level of Pod Security.

use std::{
    io::{Read as _, Write as _},
    path::Path,
    process::{Command, Output},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use landlord_test_kube::{Artifacts, ControlPlane, ControlPlaneOptions, Node, NodeArtifacts, NodeOptions, images};
use serde_json::json;

/// For anything the cluster does by itself, on a machine that may be compiling meanwhile.
const TIMEOUT: Duration = Duration::from_secs(120);
/// Exit code of what was ended since its time was over.
const TERMINATED: i32 = 143;
/// Of a program's log, in an error.
const LOG_LINES: usize = 30;

fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// A web server under Pod Security `restricted`, and a Service before it.
fn manifests(namespace: &str) -> String {
    let labels = json!({ "app": "web" });
    let objects = json!([
        {
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": { "name": namespace, "labels": { "pod-security.kubernetes.io/enforce": "restricted" } },
        },
        {
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web", "namespace": namespace },
            "spec": {
                "selector": { "matchLabels": labels },
                "template": {
                    "metadata": { "labels": labels },
                    "spec": {
                        "automountServiceAccountToken": false,
                        "terminationGracePeriodSeconds": 1,
                        "securityContext": {
                            "runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": { "type": "RuntimeDefault" },
                        },
                        "containers": [{
                            "name": "web", "image": "landlord.test/base:1", "imagePullPolicy": "Never",
                            "command": ["sh", "-c", format!("echo {namespace} > /tmp/index.html; echo started; exec busybox httpd -f -p 8080 -h /tmp")],
                            "ports": [{ "containerPort": 8080 }],
                            "readinessProbe": { "httpGet": { "port": 8080, "path": "/index.html" }, "periodSeconds": 1 },
                            "securityContext": {
                                "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                                "capabilities": { "drop": ["ALL"] },
                            },
                            "resources": { "limits": { "memory": "32Mi", "cpu": "200m" } },
                            "volumeMounts": [{ "name": "tmp", "mountPath": "/tmp" }],
                        }],
                        "volumes": [{ "name": "tmp", "emptyDir": {} }],
                    },
                },
            },
        },
        {
            "apiVersion": "v1", "kind": "Service", "metadata": { "name": "web", "namespace": namespace },
            "spec": { "selector": labels, "ports": [{ "port": 80, "targetPort": 8080 }] },
        },
    ]);
    json!({ "apiVersion": "v1", "kind": "List", "items": objects }).to_string()
}

struct Kubectl<'a>(&'a Artifacts, &'a ControlPlane);

impl Kubectl<'_> {
    fn run(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new(&self.0.kubebox);
        command.arg("kubectl").arg("--kubeconfig").arg(self.1.admin_kubeconfig_path()).args(arguments);
        command.output().context("kubectl")
    }

    fn ok(&self, arguments: &[&str]) -> Result<String> {
        let output = self.run(arguments)?;
        ensure!(output.status.success(), "kubectl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// What a machine has of a node: mounts and interfaces of its own namespaces, and control groups.
fn leftovers(folder: &Path, cgroup: &str) -> Result<Vec<String>> {
    let mounts = std::fs::read_to_string("/proc/self/mounts")?;
    let folder = folder.display().to_string();
    let mut found: Vec<String> = mounts.lines().filter(|line| line.contains(&folder)).map(str::to_owned).collect();
    for process in std::fs::read_dir("/proc")?.filter_map(|entry| entry.ok()) {
        let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains(&folder) {
            found.push(line);
        }
    }
    for hierarchy in std::fs::read_dir("/sys/fs/cgroup")?.filter_map(|entry| entry.ok()) {
        let path = hierarchy.path().join(cgroup);
        if path.exists() {
            found.push(path.display().to_string());
        }
    }
    if std::fs::read_to_string("/proc/net/dev")?.contains("pods0") {
        found.push("the pods' bridge".into());
    }
    Ok(found)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root, and builds a node's programs first, which takes minutes: run it by name"]
async fn a_restricted_pod_runs_on_a_real_node_and_nothing_is_left_of_it() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let artifacts = Artifacts::ensure(&mut |line| say(line))?;
    let programs = NodeArtifacts::ensure(&mut |line| say(line))?;
    let started = Instant::now();
    let options = ControlPlaneOptions::new(artifacts.clone(), folder.path().join("cluster")).real_node();
    let control_plane = ControlPlane::start(options).await?;
    say(&format!("control plane after {:?}", started.elapsed()));
    let node = Node::start(&control_plane, &programs, &NodeOptions::new("real")).await?;
    say(&format!("node after {:?}", started.elapsed()));
    for image in images(&["pause", "base"])? {
        node.import(&image)?;
    }
    say(&format!("images after {:?}", started.elapsed()));
    let kubectl = Kubectl(&artifacts, &control_plane);
    for namespace in ["one", "two"] {
        let path = folder.path().join(namespace);
        std::fs::write(&path, manifests(namespace))?;
        kubectl.ok(&["apply", "-f", &path.display().to_string()])?;
    }
    let timeout = format!("--timeout={}s", TIMEOUT.as_secs());
    for namespace in ["one", "two"] {
        kubectl.ok(&["-n", namespace, "rollout", "status", "deployment/web", &timeout])?;
    }
    say(&format!("pods ready after {:?}", started.elapsed()));

    // exec and logs go from the API server through the node's own network to the kubelet.
    ensure!(kubectl.ok(&["-n", "one", "logs", "deployment/web"])?.trim() == "started");
    let inside = |script: &str| kubectl.run(&["-n", "one", "exec", "deployment/web", "--", "sh", "-c", script]);
    let shown = |script: &str| Ok::<_, anyhow::Error>(String::from_utf8_lossy(&inside(script)?.stdout).into_owned());
    let status = shown("grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/self/status; id -u")?;
    for line in ["CapEff:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2", "1000"] {
        ensure!(status.contains(line), "{line} is not in\n{status}");
    }
    ensure!(!inside("touch /x")?.status.success(), "the root file system can be written");
    // By a name, a Service's address and kube-proxy's rules, into another namespace.
    let other = shown("wget -qO- http://web.two.svc.cluster.local/index.html")?;
    ensure!(other.trim() == "two", "{other:?}");
    policies_are_enforced(&kubectl, folder.path(), || {
        inside("busybox timeout 2 wget -qO- http://web.two.svc.cluster.local/index.html")
    })
    .with_context(|| log(node.folder(), "policies"))?;
    // Nothing leads outside: neither names nor addresses. 203.0.113.0/24 is nobody's.
    for outside in ["http://example.com/", "http://203.0.113.1/"] {
        ensure!(!inside(&format!("busybox timeout 3 wget -qO- {outside}"))?.status.success(), "{outside} responds");
    }
    let limit = format!("/sys/fs/cgroup/memory/{}", node.cgroup());
    if Path::new(&limit).is_dir() {
        ensure!(memory_limits(Path::new(&limit))?.contains(&(32 << 20)), "no control group has the limit");
    }

    has_its_share(node.cgroup(), &control_plane)?;

    let address = kubectl.ok(&["-n", "two", "get", "service", "web", "-o", "jsonpath={.spec.clusterIP}"])?;
    let mut stream = std::net::TcpStream::connect(node.forward(&format!("{address}:80"))?)?;
    stream.write_all(b"GET /index.html HTTP/1.0\r\n\r\n")?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    ensure!(response.ends_with("two\n"), "{response:?}");

    kubectl.ok(&["delete", "namespace", "one", "two", &timeout])?;
    let (place, cgroup) = (node.folder().to_owned(), node.cgroup().to_owned());
    say(&format!("in use until {:?}", started.elapsed()));
    node.stop()?;
    control_plane.stop().await;
    ensure!(leftovers(&place, &cgroup)?.is_empty(), "left: {:#?}", leftovers(&place, &cgroup)?);
    say(&format!("all gone after {:?}", started.elapsed()));
    Ok(())
}

/// The end of what a program of the node has written.
fn log(node: &Path, program: &str) -> String {
    let text = std::fs::read_to_string(node.join(format!("logs/{program}.log"))).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
}

/// Nobody is let in once a policy says so, and everybody when it is gone.
fn policies_are_enforced(kubectl: &Kubectl<'_>, folder: &Path, attempt: impl Fn() -> Result<Output>) -> Result<()> {
    let policy = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": { "name": "closed", "namespace": "two" },
        "spec": { "podSelector": {}, "policyTypes": ["Ingress"] },
    });
    let path = folder.join("closed");
    std::fs::write(&path, policy.to_string())?;
    for (change, open) in [("apply", false), ("delete", true)] {
        kubectl.ok(&[change, "-f", &path.display().to_string()])?;
        let started = Instant::now();
        loop {
            let output = attempt()?;
            let seen = String::from_utf8_lossy(&output.stderr);
            // A program that crashes was not refused.
            ensure!([Some(0), Some(1), Some(TERMINATED)].contains(&output.status.code()), "{}: {seen}", output.status);
            if output.status.success() == open {
                break;
            }
            ensure!(started.elapsed() < TIMEOUT, "after {change} of a policy the neighbour is as it was: {seen}");
        }
        say(&format!("{change} of a policy took {:?}", started.elapsed()));
    }
    Ok(())
}

/// The control plane and the node's programs are in the branch of its pods, which outweighs whatever else computes.
fn has_its_share(cgroup: &str, control_plane: &ControlPlane) -> Result<()> {
    let older = Path::new("/sys/fs/cgroup/cpu").join(cgroup);
    let (branch, file, usual) = if older.is_dir() {
        (older, "cpu.shares", 1024)
    } else {
        (Path::new("/sys/fs/cgroup").join(cgroup), "cpu.weight", 100)
    };
    let weight: u32 = std::fs::read_to_string(branch.join(file))?.trim().parse()?;
    ensure!(weight >= 10 * usual, "{file} of {} is {weight}", branch.display());
    let members = std::fs::read_to_string(branch.join("programs/cgroup.procs"))?;
    let members: Vec<u32> = members.lines().filter_map(|process| process.parse().ok()).collect();
    for process in control_plane.pids() {
        ensure!(members.contains(&process), "process {process} of the control plane is not among {members:?}");
    }
    let names = members.iter().filter_map(|process| std::fs::read(format!("/proc/{process}/cmdline")).ok());
    let names: String = names.map(|line| String::from_utf8_lossy(&line).replace('\0', " ") + "\n").collect();
    for program in ["containerd --config", "nodebox kubelet", "nodebox kube-proxy", "nodebox relay", "containerd-shim"]
    {
        ensure!(names.contains(program), "{program} is not in {names}");
    }
    Ok(())
}

fn memory_limits(folder: &Path) -> Result<Vec<u64>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)?.filter_map(|entry| entry.ok()) {
        if entry.file_type()?.is_dir() {
            found.extend(memory_limits(&entry.path())?);
        } else if entry.file_name() == "memory.limit_in_bytes" {
            found.extend(std::fs::read_to_string(entry.path())?.trim().parse::<u64>());
        }
    }
    Ok(found)
}
