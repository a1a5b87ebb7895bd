//! The charts of the stack `ai-fileserver-pg` as real pods, from an empty node to the answer that names the customer's file.
//!
//! The charts are installed by Helm, as they are shipped, under Pod Security `restricted` with read-only root file systems;
//! the images are the same programs put together here, since no registry can be reached. Not shown: the daemon's part, the
//! Gateway, certificates, names, and network policies, which this node does not enforce.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};
use landlord_test_kube::{
    Artifacts, ControlPlane, ControlPlaneOptions, Node, NodeArtifacts, NodeOptions, images, python_env,
};
use serde_json::{Value, json};

const NAMESPACE: &str = "ai-fileserver";
/// In the order in which the stack has them.
const ROLES: [&str; 4] = ["files", "vectors", "llm", "chat"];
/// For one chart on a machine that may be compiling meanwhile.
const CHART_PATIENCE: &str = "--timeout=150s";
const DOMAIN: &str = "acme.example.com";

fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn own(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The namespace, what landlord would have generated, and a volume of the node for each claim.
fn ground(volumes: &Path) -> Value {
    let secret = |name: &str, data: Value| {
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name, "namespace": NAMESPACE }, "stringData": data,
        })
    };
    let accounts = "[accounts]\n  acme: customer-secret\n  documents: documents-secret\n  \
                    landlord-probe: probe-secret\n";
    let files = json!({ "documents-password": "documents-secret", "accounts.conf": accounts });
    let chat = json!({ "secret-key": "0123456789abcdef0123456789abcdef", "admin-password": "admin-secret", "documents-password": "documents-chat", "probe-password": "probe-chat" });
    let mut items = vec![
        json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": { "name": NAMESPACE, "labels": { "pod-security.kubernetes.io/enforce": "restricted" } },
        }),
        secret("files", files),
        secret("vectors", json!({ "password": "database-secret" })),
        secret("chat", chat),
    ];
    items.extend(ROLES.map(|role| {
        json!({
            "apiVersion": "v1", "kind": "PersistentVolume", "metadata": { "name": role },
            "spec": {
                "capacity": { "storage": "10Gi" }, "accessModes": ["ReadWriteOnce"], "storageClassName": "local",
                "persistentVolumeReclaimPolicy": "Retain",
                "claimRef": { "namespace": NAMESPACE, "name": role },
                "local": { "path": volumes.join(role) },
                "nodeAffinity": { "required": { "nodeSelectorTerms": [
                    { "matchExpressions": [{ "key": "kubernetes.io/hostname", "operator": "In", "values": ["real"] }] },
                ] } },
            },
        })
    }));
    json!({ "apiVersion": "v1", "kind": "List", "items": items })
}

/// What a class would set, and the images of this machine; requests that two processors can give.
fn values(role: &str) -> Value {
    let mut values = json!({
        "customer": { "id": "acme", "domain": DOMAIN },
        "storage": { "size": "10Gi", "className": "local" },
        "image": { "repository": format!("landlord.test/{role}"), "tag": "1" },
        "resources": { "requests": { "cpu": "50m", "memory": "64Mi" }, "limits": { "memory": "1Gi" } },
    });
    if role == "llm" {
        values["models"] = json!(["smollm2", "all-minilm"]);
    }
    if role == "chat" {
        values["image"]["readOnlyRoot"] = json!(true);
        values["extraEnv"] = json!({ "FROM_INIT_PY": "true" });
        values["files"] = json!({ "intervalSeconds": 10 });
        values["llm"] = json!({
            "chatModel": "smollm2:latest", "embeddingModel": "all-minilm", "tokensMax": 48,
            "ragTemplate": "{{CONTEXT}}\nAnswer from the text above.",
        });
    }
    values
}

struct Scene {
    folder: tempfile::TempDir,
    artifacts: Artifacts,
    control_plane: ControlPlane,
    node: Node,
}

impl Scene {
    async fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let artifacts = Artifacts::ensure(&mut |line| say(line))?;
        let programs = NodeArtifacts::ensure(&mut |line| say(line))?;
        let archives = images(&["pause", "files", "vectors", "llm", "chat", "models"])?;
        let started = Instant::now();
        let options = ControlPlaneOptions::new(artifacts.clone(), folder.path().join("cluster")).real_node();
        let control_plane = ControlPlane::start(options).await?;
        let node = Node::start(&control_plane, &programs, &NodeOptions::new("real")).await?;
        let (models, archives) = archives.split_last().context("no images")?;
        archives.iter().try_for_each(|archive| node.import(archive))?;
        let volumes = folder.path().join("volumes");
        for role in ROLES {
            std::fs::create_dir_all(volumes.join(role))?;
        }
        let copied = Command::new("cp").arg("-r").arg(models).arg(volumes.join("llm/store")).status()?;
        ensure!(copied.success(), "the models are not copied");
        let scene = Self { folder, artifacts, control_plane, node };
        scene.write("ground.json", &ground(&volumes))?;
        scene.run(scene.kubectl().arg("apply").arg("-f").arg(scene.folder.path().join("ground.json")))?;
        say(&format!("node with images and volumes after {:?}", started.elapsed()));
        Ok(scene)
    }

    fn write(&self, name: &str, value: &Value) -> Result<PathBuf> {
        let path = self.folder.path().join(name);
        std::fs::write(&path, value.to_string())?;
        Ok(path)
    }

    fn kubectl(&self) -> Command {
        let mut command = Command::new(&self.artifacts.kubebox);
        command.arg("kubectl").arg("--kubeconfig").arg(self.control_plane.admin_kubeconfig_path());
        command.args(["-n", NAMESPACE]);
        command
    }

    fn run(&self, command: &mut Command) -> Result<String> {
        let output = command.output()?;
        let reported = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{command:?}: {reported}\n{}", self.why());
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// What pods, events and logs say, when something failed.
    fn why(&self) -> String {
        let mut reported = String::new();
        let observations: [&[&str]; 7] = [
            &["get", "pods,pvc", "-o", "wide"],
            &["get", "events", "--sort-by=.lastTimestamp"],
            &["logs", "deployment/files", "--tail=40"],
            &["logs", "statefulset/vectors", "--tail=40"],
            &["logs", "deployment/llm", "--all-containers", "--tail=40"],
            &["logs", "deployment/chat", "-c", "chat", "--tail=60"],
            &["logs", "deployment/chat", "-c", "documents", "--tail=40"],
        ];
        for observation in observations {
            if let Ok(output) = self.kubectl().args(observation).output() {
                reported += &format!("--- {observation:?}\n{}", String::from_utf8_lossy(&output.stdout));
            }
        }
        reported
    }

    fn install(&self, role: &str) -> Result<()> {
        let values = self.write(&format!("{role}.json"), &values(role))?;
        let chart = own("../../config/stacks/ai-fileserver-pg/charts").join(role);
        let mut helm = Command::new(&self.artifacts.helm);
        helm.arg("install").arg(role).arg(chart).arg("--values").arg(values);
        helm.args(["--namespace", NAMESPACE]).env("HOME", self.folder.path());
        helm.arg("--kubeconfig").arg(self.control_plane.admin_kubeconfig_path());
        self.run(&mut helm).map(drop)
    }

    fn until_ready(&self, role: &str) -> Result<()> {
        let kind = if role == "vectors" { "statefulset" } else { "deployment" };
        let observation = ["rollout", "status", &format!("{kind}/{role}"), CHART_PATIENCE];
        self.run(self.kubectl().args(observation)).map(drop)
    }

    fn forward(&self, service: &str, port: u16) -> Result<u16> {
        let observation = ["get", "service", service, "-o", "jsonpath={.spec.clusterIP}"];
        let address = self.run(self.kubectl().args(observation))?;
        Ok(self.node.forward(&format!("{address}:{port}"))?.port())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root, and builds programs and images first, which takes minutes: run it by name"]
async fn the_chatbot_answers_from_a_file_put_by_sftp() -> Result<()> {
    let scene = Scene::start().await?;
    let started = Instant::now();
    ROLES.iter().try_for_each(|role| scene.install(role))?;
    for role in ROLES {
        scene.until_ready(role)?;
        say(&format!("{role} after {:?}", started.elapsed()));
    }
    let python = python_env(&own("tests/use/requirements.txt"))?;
    let mut used = Command::new(python);
    used.arg(own("tests/use/use.py")).arg(format!("http://127.0.0.1:{}", scene.forward("chat", 8080)?));
    used.arg(scene.forward("files-sftp", 22)?.to_string());
    used.env("FILES_USER", "acme").env("FILES_PASSWORD", "customer-secret");
    used.env("CHAT_EMAIL", format!("admin@{DOMAIN}")).env("CHAT_PASSWORD", "admin-secret");
    let reported = scene.run(&mut used)?;
    say(&format!("{reported}answered after {:?}", started.elapsed()));
    let metrics = scene.run(scene.kubectl().args([
        "exec",
        "deployment/chat",
        "-c",
        "documents",
        "--",
        "wget",
        "-qO-",
        "http://127.0.0.1:9090/metrics",
    ]))?;
    ensure!(metrics.contains("landlord_documents{state=\"known\"} 1"), "{metrics}");
    let Scene { control_plane, node, folder, .. } = scene;
    node.stop()?;
    control_plane.stop().await;
    folder.close()?;
    Ok(())
}
