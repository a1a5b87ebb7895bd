//! What a customer does: puts a file by SFTP, asks the chatbot, gets an answer that names the file; and what others do, who are
//! refused.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use landlord_test_harness::TenantFile;
use landlord_test_kube::{node_socket, python_env};

use crate::scene::Scene;

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../kube/tests/use").join(name)
}

/// A script with the accounts of `account` at the addresses of `tenant`.
fn with_accounts(scene: &Scene, name: &str, tenant: &TenantFile, account: &TenantFile) -> Command {
    let mut command = Command::new(python_env(&script("requirements.txt")).unwrap());
    command.arg(script(name)).arg(node_socket(&scene.cluster(tenant))).arg(&tenant.domain);
    command.env("FILES_USER", &account.customer);
    command.env("FILES_PASSWORD", scene.secret(account, "files", "customer-password"));
    command.env("CHAT_EMAIL", format!("admin@{}", account.domain));
    command.env("CHAT_PASSWORD", scene.secret(account, "chat", "admin-password"));
    command
}

/// Puts a file at `sftp.DOMAIN`, asks at `https://chat.DOMAIN`, whose addresses the cloud's zone has, and gives what was seen as
/// JSON.
pub(crate) fn answers_from_a_file(scene: &Scene, tenant: &TenantFile) -> String {
    scene.run(with_accounts(scene, "web.py", tenant, tenant).arg("put"))
}

/// What became of a neighbour's attempts at `tenant`: what was tried, and what refused it.
pub(crate) fn attempts(scene: &Scene, tenant: &TenantFile, neighbour: &TenantFile) -> Vec<(String, String)> {
    let mut all = by_public_names(scene, tenant, neighbour);
    all.extend(from_a_pod(scene, tenant, neighbour));
    all.extend(by_kubernetes(scene, tenant, neighbour));
    all
}

fn by_public_names(scene: &Scene, tenant: &TenantFile, neighbour: &TenantFile) -> Vec<(String, String)> {
    serde_json::from_str(&scene.run(&mut with_accounts(scene, "foreign.py", tenant, neighbour))).unwrap()
}

/// From the neighbour's own file server, by pods' addresses and by names of Services.
fn from_a_pod(scene: &Scene, tenant: &TenantFile, neighbour: &TenantFile) -> Vec<(String, String)> {
    let namespace = scene.namespace(tenant);
    let template = "go-template={{range .items}}{{.metadata.name}} {{.status.podIP}}\
                    {{range .spec.containers}}{{range .ports}} {{.containerPort}}{{end}}{{end}}\n{{end}}";
    let pods = scene.run(scene.kubectl(tenant).args(["-n", &namespace, "get", "pods", "-o", template]));
    let mut targets: Vec<(String, String, u16)> = Vec::new();
    for line in pods.lines() {
        let mut words = line.split_whitespace();
        let (Some(name), Some(address)) = (words.next(), words.next()) else { continue };
        let ports = words.filter_map(|word| word.parse().ok());
        targets
            .extend(ports.map(|port| (format!("pod {name}, port {port}, by its address"), address.to_owned(), port)));
    }
    for (service, port) in [("chat", 8080), ("files", 8080), ("files-sftp", 22), ("vectors", 5432), ("llm", 11434)] {
        let name = format!("{service}.{namespace}.svc.cluster.local");
        targets.push((format!("Service {service}, port {port}, by its name"), name, port));
    }
    // Its own pods reach all of it: a port that nobody serves would prove nothing.
    for (what, outcome) in from(scene, tenant, &targets) {
        assert_eq!(outcome, "open", "the tenant's own {what}");
    }
    from(scene, neighbour, &targets)
}

/// From the file server of a tenant.
fn from(scene: &Scene, tenant: &TenantFile, targets: &[(String, String, u16)]) -> Vec<(String, String)> {
    let mut tried = scene.kubectl(tenant);
    tried.args(["-n", &scene.namespace(tenant), "exec", "deployment/files", "--", "python3", "-c"]);
    tried.arg(std::fs::read_to_string(script("attempts.py")).unwrap()).arg(serde_json::to_string(targets).unwrap());
    serde_json::from_str(&scene.run(&mut tried)).unwrap()
}

/// With the kubeconfig that the neighbour is given: a Secret of the tenant's, and a route for its name.
fn by_kubernetes(scene: &Scene, tenant: &TenantFile, neighbour: &TenantFile) -> Vec<(String, String)> {
    if scene.cluster(tenant) != scene.cluster(neighbour) {
        return Vec::new();
    }
    let kubeconfig = scene.world.folder().join("neighbour.kubeconfig");
    std::fs::write(&kubeconfig, scene.cli().ok(&["kubeconfig", &neighbour.name(), "--for", "customer"]).unwrap())
        .unwrap();
    let route = scene.world.folder().join("route.yaml");
    let text = format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata:\n  name: taken\n  namespace: {}\nspec:\n  \
         parentRefs: [{{ name: landlord, namespace: landlord-gateway }}]\n  hostnames: [chat.{}]\n",
        scene.namespace(neighbour),
        tenant.domain,
    );
    std::fs::write(&route, text).unwrap();
    let attempt = |what: &str, arguments: &[&str]| {
        let mut command = scene.program("kubectl");
        let output = command.arg("--kubeconfig").arg(&kubeconfig).args(arguments).output().unwrap();
        let refusal = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        (what.to_owned(), if output.status.success() { "open".to_owned() } else { refusal })
    };
    vec![
        attempt("a Secret of its namespace", &["-n", &scene.namespace(tenant), "get", "secret", "files"]),
        attempt("a route for its chat's name", &["create", "-f", &route.display().to_string()]),
    ]
}
