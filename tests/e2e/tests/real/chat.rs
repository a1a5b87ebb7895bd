//! What a customer does: puts a file by SFTP, asks the chatbot, gets an answer that names the file; and what others do, who are
//! refused.

use std::{
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use landlord_test_harness::{
    TenantFile, judge,
    real::{customer_python, customer_scripts},
};
use serde_json::{Value, json};

use crate::scene::{LOOK_INTERVAL, PATIENCE, Scene, bare};

/// How the node's proxy begins when a connection was taken.
const ACCEPTED: &[u8; 12] = b"HTTP/1.1 200";

/// For a controller to say what it makes of a route, and for a Gateway to do so.
const ROUTE_PATIENCE: Duration = Duration::from_secs(30);

/// In whose name `foreign.py` sends a wrong password.
const VICTIM: &str = "203.0.113.77";

fn script(name: &str) -> PathBuf {
    customer_scripts().join(name)
}

/// A script with the accounts of `account` at the addresses of `tenant`.
pub(crate) fn with_accounts(scene: &Scene, name: &str, tenant: &TenantFile, account: &TenantFile) -> Command {
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

/// Asks at `https://chat.DOMAIN` for what was put before.
pub(crate) fn still_answers(scene: &Scene, tenant: &TenantFile) -> String {
    scene.run(&mut with_accounts(scene, "web.py", tenant, tenant))
}

/// What became of a neighbour's attempts at `tenant`: what was tried, and what refused it.
pub(crate) fn attempts(scene: &Scene, tenant: &TenantFile, neighbour: &TenantFile) -> Vec<(String, String)> {
    let is_shared = scene.cluster(tenant) == scene.cluster(neighbour);
    let mut all = by_public_names(scene, tenant, neighbour);
    all.extend(from_a_pod(scene, tenant, neighbour, is_shared));
    if is_shared {
        all.extend(by_kubernetes(scene, tenant, neighbour));
        all.extend(by_routes(scene, tenant, neighbour));
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
    let key = format!("{}-listed", scene.namespace(tenant));
    let key = ["-n", "landlord-gateway", "get", "secret", &key];
    vec![
        kubectl(scene, "the key of its names beside the Gateway", &kubeconfig, &key),
        kubectl(scene, "a Secret of its namespace", &kubeconfig, &secret),
        kubectl(scene, "a route for its chat's name", &kubeconfig, &["create", "-f", &route.display().to_string()]),
    ]
}

/// What the Gateway itself makes of a neighbour's routes for the name of the tenant's chat, wherever they want to be attached: made by the
/// cluster's administrator, while the policy that keeps them out of the cluster at all is away. Meanwhile the name answers from the
/// tenant's file.
fn by_routes(scene: &Scene, tenant: &TenantFile, neighbour: &TenantFile) -> Vec<(String, String)> {
    let policy = without_policy(scene, tenant);
    let (own, other) = (scene.namespace(neighbour), scene.namespace(tenant));
    let parents = [
        ("at the Gateway itself", "Gateway", "landlord-gateway"),
        ("at the tenant's own listeners", "ListenerSet", other.as_str()),
        ("at its own listeners", "ListenerSet", own.as_str()),
    ];
    let mut tried = Vec::new();
    for (number, (place, kind, namespace)) in parents.into_iter().enumerate() {
        let name = format!("taken-{number}");
        let parent =
            json!({ "group": "gateway.networking.k8s.io", "kind": kind, "name": "landlord", "namespace": namespace });
        let route = json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": { "name": name, "namespace": own },
            "spec": {
                "parentRefs": [parent], "hostnames": [format!("chat.{}", tenant.domain)],
                "rules": [{ "backendRefs": [{ "name": "chat", "port": 8080 }] }],
            },
        });
        create(scene, tenant, &route);
        tried
            .push((format!("a route for its chat's name {place}, past the policy"), attached(scene, neighbour, &name)));
    }
    // Those that might have been attached are by now.
    std::thread::sleep(LOOK_INTERVAL);
    scene.say(&format!("with these routes: {}", still_answers(scene, tenant)));
    scene.in_namespace(neighbour, &own, &["delete", "httproutes", "taken-0", "taken-1", "taken-2"]);
    create(scene, tenant, &policy);
    tried
}

/// Takes the binding of the policy of routes away, and gives it.
fn without_policy(scene: &Scene, tenant: &TenantFile) -> Value {
    let kind = "validatingadmissionpolicybindings";
    let all = scene.run(scene.kubectl(tenant).args(["get", kind, "-o", "json"]));
    let all: Value = serde_json::from_str(&all).unwrap();
    let of_routes = |binding: &&Value| judge::text(&binding["metadata"], "name").ends_with("-tenant-routes");
    let mut found = all["items"].as_array().unwrap().iter().find(of_routes).unwrap().clone();
    let name = judge::text(&found["metadata"], "name").to_owned();
    scene.run(scene.kubectl(tenant).args(["delete", kind, &name]));
    bare(&mut found);
    found
}

/// As the cluster's administrator, once the API server lets it: that a policy is away takes it a moment.
fn create(scene: &Scene, tenant: &TenantFile, object: &Value) {
    let path = scene.world.folder().join("object.json");
    std::fs::write(&path, object.to_string()).unwrap();
    let started = Instant::now();
    loop {
        let output = scene.kubectl(tenant).args(["create", "-f"]).arg(&path).output().unwrap();
        if output.status.success() {
            return;
        }
        let why = String::from_utf8_lossy(&output.stderr);
        assert!(started.elapsed() < PATIENCE, "{object:#}: {why}");
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// What became of a route: `open`, or what refused it, in the controller's words.
fn attached(scene: &Scene, neighbour: &TenantFile, name: &str) -> String {
    let started = Instant::now();
    while started.elapsed() < ROUTE_PATIENCE {
        let route =
            scene.in_namespace(neighbour, &scene.namespace(neighbour), &["get", "httproute", name, "-o", "json"]);
        let route: Value = serde_json::from_str(&route).unwrap();
        let mut conditions = route["status"]["parents"][0]["conditions"].as_array().into_iter().flatten();
        if let Some(accepted) = conditions.find(|condition| condition["type"] == "Accepted") {
            let refusal = format!("{}: {}", judge::text(accepted, "reason"), judge::text(accepted, "message"));
            return if accepted["status"] == "True" { "open".to_owned() } else { refusal };
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    "no controller takes it".to_owned()
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
