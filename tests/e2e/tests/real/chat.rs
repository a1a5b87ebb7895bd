//! What a customer does: puts a file by SFTP, asks the chatbot, gets an answer that names the file.

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
};

use landlord_test_harness::TenantFile;
use landlord_test_kube::{node_socket, python_env};

use crate::scene::Scene;

/// Where the stack lives in a cluster of the tenant's own.
const NAMESPACE: &str = "ai-fileserver";

fn use_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../kube/tests/use")
}

/// A port of this machine that leads to a Service, as long as it lives.
struct Forward {
    port: u16,
    process: Child,
    /// It logs each connection, and ends if nobody listens.
    _reported: BufReader<ChildStdout>,
}

impl Drop for Forward {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// By the kubeconfig that `landlord kubeconfig` hands out, through the API server.
fn forward(scene: &Scene, kubeconfig: &Path, service: &str, port: u16) -> Forward {
    let mut command = Command::new(scene.kubectl().get_program());
    command.arg("kubectl").arg("--kubeconfig").arg(kubeconfig).args(["-n", NAMESPACE, "port-forward"]);
    command.arg(format!("service/{service}")).arg(format!(":{port}"));
    let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let mut reported = BufReader::new(process.stdout.take().unwrap());
    reported.read_line(&mut line).unwrap();
    // Forwarding from 127.0.0.1:41234 -> 8080
    let port = line.split("127.0.0.1:").nth(1).and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    Forward {
        port: port.unwrap_or_else(|| panic!("kubectl port-forward reported {line:?}")),
        process,
        _reported: reported,
    }
}

/// A key of a Secret of the stack.
fn secret(scene: &Scene, name: &str, key: &str) -> String {
    let path = format!("go-template={{{{index .data {key:?} | base64decode}}}}");
    scene.run(scene.kubectl().args(["-n", NAMESPACE, "get", "secret", name, "-o", &path]))
}

/// Asks at `https://chat.DOMAIN`, whose address the cloud's zone has, and gives what was seen as JSON.
pub(crate) fn use_by_https(scene: &Scene, tenant: &TenantFile) -> String {
    let socket = node_socket(&scene.cluster());
    let python = python_env(&use_folder().join("requirements.txt")).unwrap();
    let mut used = Command::new(python);
    used.arg(use_folder().join("web.py")).arg(socket).arg(&tenant.domain);
    used.env("CHAT_EMAIL", format!("admin@{}", tenant.domain));
    used.env("CHAT_PASSWORD", secret(scene, "chat", "admin-password"));
    scene.run(&mut used)
}

/// Puts a file, asks about it, and gives what was seen as JSON.
pub(crate) fn use_by_port_forward(scene: &Scene, tenant: &TenantFile) -> String {
    let kubeconfig = scene.world.folder().join("operator.kubeconfig");
    std::fs::write(&kubeconfig, scene.cli().ok(&["kubeconfig", &tenant.name()]).unwrap()).unwrap();
    let (chat, files) = (forward(scene, &kubeconfig, "chat", 8080), forward(scene, &kubeconfig, "files-sftp", 22));
    let python = python_env(&use_folder().join("requirements.txt")).unwrap();
    let mut used = Command::new(python);
    used.arg(use_folder().join("use.py")).arg(format!("http://127.0.0.1:{}", chat.port)).arg(files.port.to_string());
    used.env("FILES_USER", &tenant.customer).env("FILES_PASSWORD", secret(scene, "files", "customer-password"));
    used.env("CHAT_EMAIL", format!("admin@{}", tenant.domain))
        .env("CHAT_PASSWORD", secret(scene, "chat", "admin-password"));
    scene.run(&mut used)
}
