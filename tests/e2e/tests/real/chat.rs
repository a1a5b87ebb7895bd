//! What a customer does: puts a file by SFTP, asks the chatbot, gets an answer that names the file; and what others do, who are
//! refused.

use std::{
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::Command,
};

use landlord_test_harness::{
    TenantFile,
    real::{customer_python, customer_scripts},
};

use crate::scene::Scene;

/// How the node's proxy begins when a connection was taken.
const ACCEPTED: &[u8; 12] = b"HTTP/1.1 200";

/// In whose name `foreign.py` sends a wrong password.
const VICTIM: &str = "203.0.113.77";

fn script(name: &str) -> PathBuf {
    customer_scripts().join(name)
}

/// A script with the accounts of `account` at the addresses of `tenant`.
fn with_accounts(scene: &Scene, name: &str, tenant: &TenantFile, account: &TenantFile) -> Command {
    let mut command = Command::new(customer_python().unwrap());
    command.arg(script(name)).arg(scene.socket(tenant)).arg(&tenant.domain);
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
    let is_shared = scene.cluster(tenant) == scene.cluster(neighbour);
    let mut all = by_public_names(scene, tenant, neighbour);
    all.extend(from_a_pod(scene, tenant, neighbour, is_shared));
    if is_shared {
        all.extend(by_kubernetes(scene, tenant, neighbour));
    } else {
        all.extend(at_its_own_gateway(scene, tenant, neighbour));
        all.extend(at_the_api_server(scene, tenant, neighbour));
    }
    all
}

fn by_public_names(scene: &Scene, tenant: &TenantFile, neighbour: &TenantFile) -> Vec<(String, String)> {
    let tried = serde_json::from_str(&scene.run(&mut with_accounts(scene, "foreign.py", tenant, neighbour))).unwrap();
    // Who guesses is locked out by its own address: the file server took the wrong password for the client's that sent it, whatever
    // that one wrote.
    let log = scene.in_namespace(tenant, &scene.namespace(tenant), &["logs", "deployment/files"]);
    assert!(log.contains("invalid password"), "no wrong password is in the file server's log: {log}");
    assert!(!log.contains(VICTIM), "a client named another as itself: {log}");
    tried
}

/// The name of the tenant's chat, asked for at the Gateway of the neighbour's cluster.
fn at_its_own_gateway(scene: &Scene, tenant: &TenantFile, neighbour: &TenantFile) -> Vec<(String, String)> {
    let mut command = Command::new(customer_python().unwrap());
    command.arg(script("elsewhere.py")).arg(scene.socket(neighbour)).args([&neighbour.domain, &tenant.domain]);
    serde_json::from_str(&scene.run(&mut command)).unwrap()
}

/// From the neighbour's own file server, by pods' addresses and by names of Services.
fn from_a_pod(scene: &Scene, tenant: &TenantFile, neighbour: &TenantFile, is_shared: bool) -> Vec<(String, String)> {
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
    // In a cluster of its own the neighbour has Services of the same names, and they are its own.
    let services = [("chat", 8080), ("files", 8080), ("files-sftp", 22), ("vectors", 5432), ("llm", 11434)];
    for (service, port) in services.into_iter().filter(|_| is_shared) {
        let name = format!("{service}.{namespace}.svc.cluster.local");
        targets.push((format!("Service {service}, port {port}, by its name"), name, port));
    }
    // A port that nobody serves would prove nothing. In a namespace that is shared its own pods reach all of it; in a cluster of its
    // own each of them has what it needs only, and the node reaches all.
    if is_shared {
        for (what, outcome) in from(scene, tenant, &targets) {
            assert_eq!(outcome, "open", "the tenant's own {what}");
        }
    } else {
        for (what, host, port) in &targets {
            assert!(is_open_to_the_node(&scene.socket(tenant), &format!("{host}:{port}")), "the tenant's own {what}");
        }
    }
    from(scene, neighbour, &targets)
}

/// Whether an address takes a connection from the tenant's node, which policies let in.
fn is_open_to_the_node(socket: &Path, target: &str) -> bool {
    let mut stream = UnixStream::connect(socket).unwrap();
    write!(stream, "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n").unwrap();
    let mut begun = [0; ACCEPTED.len()];
    stream.read_exact(&mut begun).unwrap();
    begun == *ACCEPTED
}

/// From the file server of a tenant.
fn from(scene: &Scene, tenant: &TenantFile, targets: &[(String, String, u16)]) -> Vec<(String, String)> {
    let mut tried = scene.kubectl(tenant);
    tried.args(["-n", &scene.namespace(tenant), "exec", "deployment/files", "--", "python3", "-c"]);
    tried.arg(std::fs::read_to_string(script("attempts.py")).unwrap()).arg(serde_json::to_string(targets).unwrap());
    serde_json::from_str(&scene.run(&mut tried)).unwrap()
}

/// The kubeconfig that a tenant's customer is given.
fn kubeconfig(scene: &Scene, tenant: &TenantFile) -> PathBuf {
    let path = scene.world.folder().join(format!("{}.kubeconfig", tenant.customer));
    std::fs::write(&path, scene.cli().ok(&["kubeconfig", &tenant.name(), "--for", "customer"]).unwrap()).unwrap();
    path
}

/// What became of a command of kubectl's.
fn kubectl(scene: &Scene, what: &str, kubeconfig: &Path, arguments: &[&str]) -> (String, String) {
    let mut command = scene.program("kubectl");
    let output = command.arg("--kubeconfig").arg(kubeconfig).args(arguments).output().unwrap();
    let refusal = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    (what.to_owned(), if output.status.success() { "open".to_owned() } else { refusal })
}

/// With the kubeconfig that the neighbour is given: a Secret of the tenant's, and a route for its name.
fn by_kubernetes(scene: &Scene, tenant: &TenantFile, neighbour: &TenantFile) -> Vec<(String, String)> {
    let kubeconfig = kubeconfig(scene, neighbour);
    let route = scene.world.folder().join("route.yaml");
    let text = format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata:\n  name: taken\n  namespace: {}\nspec:\n  \
         parentRefs: [{{ name: landlord, namespace: landlord-gateway }}]\n  hostnames: [chat.{}]\n",
        scene.namespace(neighbour),
        tenant.domain,
    );
    std::fs::write(&route, text).unwrap();
    let secret = ["-n", &scene.namespace(tenant), "get", "secret", "files"];
    vec![
        kubectl(scene, "a Secret of its namespace", &kubeconfig, &secret),
        kubectl(scene, "a route for its chat's name", &kubeconfig, &["create", "-f", &route.display().to_string()]),
    ]
}

/// With the neighbour's own token, at the API server of the tenant's cluster.
fn at_the_api_server(scene: &Scene, tenant: &TenantFile, neighbour: &TenantFile) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(scene.cluster(tenant).join("admin.kubeconfig")).unwrap();
    let server = text.lines().find_map(|line| line.trim().strip_prefix("server: ")).unwrap().trim_matches('"');
    // Of an account in its own cluster.
    let own = scene.namespace(neighbour);
    let token = scene.in_namespace(neighbour, &own, &["create", "token", "default"]);
    let namespace = scene.namespace(tenant);
    let (server, token) = (format!("--server={server}"), format!("--token={}", token.trim()));
    let secret = [server.as_str(), &token, "--insecure-skip-tls-verify", "-n", &namespace, "get", "secret", "files"];
    // Nothing else is in it: no certificate of anybody's.
    let empty = scene.world.folder().join("empty.kubeconfig");
    std::fs::write(&empty, "apiVersion: v1\nkind: Config\n").unwrap();
    vec![kubectl(scene, "a Secret, with its own token at the other cluster's API server", &empty, &secret)]
}
