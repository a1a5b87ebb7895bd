//! Every check, against servers that answer as the real ones do, and broken on purpose: each fails for its own reason, and
//! passes again when that is mended.

mod from_inside;
mod left_out;
mod neighbour;
mod runs;
mod servers;

use std::{
    collections::{BTreeMap, HashMap},
    convert::Infallible,
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    sync::{Arc, atomic::AtomicU32},
};

use http::Response;
use kube::{Client, client::Body};
use landlord_core::{
    TenantSpec,
    environment::SpecInput,
    ports::{Concern, KubeCredentials, KubeIdentity, TargetCluster},
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, UdpSocket},
    task::JoinSet,
};

use super::*;
pub(crate) use neighbour::Rendering;
use neighbour::{abandoned_job, customers_pod, stacks_pod};
use servers::{acceptor, dns, https, proxy};

/// What is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Broken {
    Nothing,
    ZoneRecord,
    Delegation,
    /// The parent zone leads to servers that have the zone no more.
    Lame,
    /// The zone's own servers have it no more.
    ZoneGone,
    Certificate,
    FileServer,
    Sftp,
    /// Files are taken, and not given back.
    SftpRead,
    SignIn,
    Documents,
    Vectors,
    Model,
    Policy,
    /// The policies are right, and nobody enforces them.
    Engine,
    /// The program that tries it.
    Program,
    /// Nobody may make policies in the namespace of checks.
    NoPolicies,
    /// SFTP is open to a customer's own networks only.
    SourceRanges,
    Passwords,
}

/// The environment's servers, and how they are now.
struct World {
    broken: Mutex<Broken>,
    files: Mutex<HashMap<String, Vec<u8>>>,
    wrong_passwords: AtomicU32,
    /// Jobs of neighbours, as they were made.
    jobs: Mutex<Vec<Value>>,
    /// What was written into the namespace of checks, in this order.
    writes: Mutex<Vec<String>>,
}

impl World {
    fn is(&self, broken: Broken) -> bool {
        *self.broken.lock() == broken
    }

    /// The file server, by WebDAV.
    fn webdav(&self, method: &str, path: &str, authorization: &str, body: Vec<u8>) -> (u16, String) {
        if self.is(Broken::FileServer) {
            return (503, "no upstream".into());
        }
        // probe:probe-secret
        if authorization != "Basic cHJvYmU6cHJvYmUtc2VjcmV0" && !self.is(Broken::Passwords) {
            self.wrong_passwords.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            return (401, String::new());
        }
        let mut files = self.files.lock();
        match method {
            "PUT" => {
                files.insert(path.to_owned(), body);
                (201, String::new())
            }
            "PROPFIND" => (207, files.keys().cloned().collect()),
            "DELETE" => (if files.remove(path).is_some() { 200 } else { 404 }, String::new()),
            _ => files.get(path).map_or((404, String::new()), |content| (200, String::from_utf8_lossy(content).into())),
        }
    }

    /// The probe that lies in the folder, and what stands in it.
    fn probe(&self) -> Option<(String, String)> {
        let files = self.files.lock();
        let (path, content) = files.iter().find(|(path, _)| path.ends_with(".txt"))?;
        Some((path.trim_start_matches('/').replace('/', " - "), String::from_utf8_lossy(content).trim().to_owned()))
    }

    /// The chatbot.
    fn chat(&self, path: &str, body: &Value) -> (u16, Value) {
        let items = |items: Value| (200, json!({ "items": items }));
        match path {
            "/api/v1/auths/signin" if self.is(Broken::SignIn) => (400, json!({ "detail": "email or password" })),
            "/api/v1/auths/signin" => (200, json!({ "token": body["password"] })),
            "/api/v1/knowledge/" => items(json!([{ "id": "k1" }])),
            "/api/v1/knowledge/k1/files" if self.is(Broken::Documents) => items(json!([])),
            "/api/v1/knowledge/k1/files" => {
                items(self.probe().map_or(json!([]), |(name, _)| json!([{ "filename": name }])))
            }
            "/api/models" if self.is(Broken::Model) => (200, json!({ "data": [] })),
            "/api/models" => (200, json!({ "data": [{ "id": "probe" }] })),
            "/api/chat/completions" => {
                let mut answer = json!({ "choices": [{ "message": { "content": "The lamp." } }] });
                if let Some((name, text)) = self.probe().filter(|_| !self.is(Broken::Vectors)) {
                    answer["choices"][0]["message"]["content"] = json!(text);
                    answer["sources"] = json!([{ "document": [text], "metadata": [{ "name": name }] }]);
                }
                (200, answer)
            }
            _ => (404, json!({})),
        }
    }

    /// The API server.
    fn kubernetes(&self, path: &str) -> (u16, Value) {
        let secret = |key: &str, value: &str| {
            use base64::{Engine as _, prelude::BASE64_STANDARD};
            (200, json!({ "metadata": { "name": "s" }, "data": { key: BASE64_STANDARD.encode(value) } }))
        };
        let list = |items: Value| (200, json!({ "metadata": {}, "items": items }));
        match path.rsplit('/').next().unwrap_or_default() {
            "files" if path.contains("/secrets/") => secret("probe-password", "probe-secret"),
            "chat" if path.contains("/secrets/") => secret("probe-password", "chat-secret"),
            "networkpolicies" if path.contains("/landlord-test-checks/") => list(json!([])),
            "networkpolicies" if self.is(Broken::Policy) => list(json!([])),
            "networkpolicies" => {
                list(json!([{ "metadata": { "name": "default-deny" }, "spec": { "podSelector": {} } }]))
            }
            "vectors" => (
                200,
                json!({
                    "metadata": { "name": "vectors" },
                    "spec": {
                        "selector": { "app": "vectors" }, "ports": [{ "port": 5432 }], "clusterIP": "10.100.0.7",
                    },
                }),
            ),
            "sftp" if path.contains("/services/") => {
                let ranges = if self.is(Broken::SourceRanges) { json!(["198.51.100.0/24"]) } else { Value::Null };
                let spec = json!({ "selector": { "app": "vectors" }, "ports": [{ "port": 22 }] });
                let mut service = json!({ "metadata": { "name": "sftp" }, "spec": spec });
                service["spec"]["loadBalancerSourceRanges"] = ranges;
                (200, service)
            }
            "kubernetes" if path.contains("/services/") => {
                (200, json!({ "spec": { "ports": [{ "port": 443 }], "clusterIP": "10.96.0.1" } }))
            }
            "pods" if path.contains("/landlord-test-checks/") => list(json!([self.neighbour()])),
            "pods" => list(json!([customers_pod(), stacks_pod()])),
            "namespaces" => list(json!([])),
            "jobs" => list(json!([abandoned_job()])),
            _ => (404, json!({ "code": 404, "reason": "NotFound", "message": path, "status": "Failure" })),
        }
    }

    fn client(self: &Arc<Self>) -> Client {
        let world = Arc::clone(self);
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let world = Arc::clone(&world);
            async move {
                let (parts, body) = request.into_parts();
                let (method, path) = (parts.method, parts.uri.path().to_owned());
                let body = body.collect_bytes().await.unwrap_or_default();
                let (status, value) = world.written(&method, &path, &body).unwrap_or_else(|| world.kubernetes(&path));
                let body = Body::from(value.to_string().into_bytes());
                Ok::<_, Infallible>(Response::builder().status(status).body(body).unwrap())
            }
        });
        Client::new(service, "default")
    }
}

fn manifest() -> Manifest {
    let account = json!({
        "entryPoint": "webdav", "user": "probe", "password": "${files.probe-password}", "folder": "/probe",
    });
    let sftp = json!({
        "entryPoint": "sftp", "user": "probe", "password": "${files.probe-password}", "folder": "/probe",
    });
    serde_json::from_value(json!({
        "apiVersion": "landlord.dev/v1", "kind": "Stack", "namespace": "apps", "releases": [
            { "name": "vectors", "chart": "vectors", "expectedSeconds": 1, "tenantValues": ["evil"] },
        ],
        "gateway": { "name": "landlord", "namespace": "landlord-gateway" },
        "secrets": [{ "name": "files", "keys": {} }, { "name": "chat", "keys": {} }],
        "entryPoints": [
            { "record": "sftp", "service": "sftp", "endpoint": { "name": "sftp", "url": "sftp://x" } },
            { "record": "webdav", "gateway": true, "endpoint": { "name": "webdav", "url": "https://x" } },
            { "record": "chat", "gateway": true, "endpoint": { "name": "chat", "url": "https://x" } },
        ],
        "checks": [
            { "name": "wrong-password", "uses": { "wrongPassword": account } },
            { "name": "names", "uses": { "names": {} } },
            { "name": "certificates", "uses": { "certificates": { "daysMin": 7 } } },
            { "name": "sftp", "uses": { "sftp": sftp } },
            { "name": "webdav", "uses": { "webdav": account } },
            { "name": "chat", "uses": { "chat": {
                "entryPoint": "chat", "email": "p@x", "password": "${chat.probe-password}", "model": "probe",
                "files": "webdav", "knownWithinSeconds": 0, "answerWithinSeconds": 5,
            } } },
            { "name": "neighbours", "uses": { "closed": [{ "name": "vectors", "port": 5432 }] } },
            { "name": "attempt", "uses": { "attempt": {
                "ports": [{ "name": "vectors", "port": 5432 }], "imageOf": "vectors", "command": ["try"],
            } } },
        ],
    }))
    .unwrap()
}

pub(crate) fn target() -> DeployTarget {
    let spec = SpecInput { domain: "acme.example.com".into(), storage_gib: 1, ..SpecInput::default() };
    DeployTarget {
        kube: KubeCredentials {
            endpoint: "https://127.0.0.1:1".into(),
            ca_pem: String::new(),
            identity: KubeIdentity::Token("t".to_owned().into()),
            expire_time: None,
        },
        cluster: TargetCluster::OwnCluster,
        installation: "test".into(),
        uid: TenantUid(uuid::Uuid::nil()),
        name: "customers/acme/tenants/prod".parse().unwrap(),
        spec: TenantSpec::parse(spec).unwrap(),
        generation: 1,
        was_ready: false,
        stack: Some("s".parse().unwrap()),
        name_servers: vec!["ns1.cloud.example.".into()],
        skip_checks: Vec::new(),
        checks_from: landlord_core::ChecksFrom::default(),
        revision: None,
    }
}

/// A program in sftp's place, which does what a batch says with a folder of files, unless the server is down or lets nobody read.
const SFTP: &str = r#"#!/bin/sh
here=$(dirname "$0")
if [ -e "$here/down" ]; then echo 'Connection closed' >&2; exit 255; fi
[ "$($SSH_ASKPASS)" = probe-secret ] || exit 1
while read -r line; do
  command=${line#-}
  set -- $command
  case "$1" in
    put) cp "$2" "$here/store/$(basename "$3")" ;;
    ls) ls "$here/store" ;;
    get) if [ -e "$here/unreadable" ]; then echo 'remote open: Permission denied' >&2; false
         else cp "$here/store/$(basename "$2")" "$3"; fi ;;
    rm) rm "$here/store/$(basename "$2")" ;;
  esac || [ "$line" != "$command" ] || exit 1
done < batch
"#;

/// A running environment.
struct Lab {
    world: Arc<World>,
    checks: Checks,
    folder: tempfile::TempDir,
    servers: JoinSet<()>,
}

impl Lab {
    async fn start() -> Self {
        let world = Arc::new(World {
            broken: Mutex::new(Broken::Nothing),
            files: Mutex::default(),
            wrong_passwords: AtomicU32::new(0),
            jobs: Mutex::default(),
            writes: Mutex::default(),
        });
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        let sftp_path = folder.path().join("sftp");
        std::fs::write(&sftp_path, SFTP).unwrap();
        std::fs::create_dir(folder.path().join("store")).unwrap();
        std::fs::set_permissions(&sftp_path, std::fs::Permissions::from_mode(0o700)).unwrap();
        let web = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ssh = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let names = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let port = |address: SocketAddr| address.port();
        let ports = [
            (443, port(web.local_addr().unwrap())),
            (22, port(ssh.local_addr().unwrap())),
            (53, port(names.local_addr().unwrap())),
        ];
        let options = CheckOptions {
            from_outside: true,
            resolver: Some(names.local_addr().unwrap()),
            proxy: None,
            allowed: vec!["127.0.0.0/8".parse().unwrap()],
            trusted_ca: Some(folder.path().join("ca.pem")),
            sftp_path,
            runs: folder.path().to_owned(),
        };
        let mut servers = JoinSet::new();
        servers.spawn(dns(Arc::clone(&world), names));
        servers.spawn(https(Arc::clone(&world), web, acceptor(&issuer, 60), acceptor(&issuer, -3)));
        servers.spawn(async move { while ssh.accept().await.is_ok() {} });
        let checks = Checks { ports: ports.into(), ..Checks::new(options, Arc::new(Rendering)) };
        Self { world, checks, folder, servers }
    }

    async fn run(&self, broken: Broken, target: &DeployTarget) -> BTreeMap<String, CheckResult> {
        self.run_of(broken, target, Extent::All).await
    }

    async fn run_of(&self, broken: Broken, target: &DeployTarget, extent: Extent<'_>) -> BTreeMap<String, CheckResult> {
        *self.world.broken.lock() = broken;
        let sftp_is =
            [("down", matches!(broken, Broken::Sftp | Broken::FileServer)), ("unreadable", broken == Broken::SftpRead)];
        for (file, is_so) in sftp_is.map(|(name, is_so)| (self.folder.path().join(name), is_so)) {
            if is_so { std::fs::write(&file, "").unwrap() } else { drop(std::fs::remove_file(&file)) }
        }
        let client = self.world.client();
        let clients = ClusterClients { admin: client.clone(), tenant: client };
        let addresses = ["sftp", "webdav", "chat"].map(|record| (record.to_owned(), "127.0.0.1".to_owned()));
        let stack = Stack::of(manifest());
        let run = self.checks.run((By::Reconciling, extent), &clients, target, &stack, addresses.into());
        let results = run.await.unwrap().unwrap();
        let left = self.world.files.lock().keys().cloned().collect::<Vec<_>>();
        assert!(broken == Broken::FileServer || left.is_empty(), "{broken:?} leaves {left:?}");
        let put: Vec<_> = std::fs::read_dir(self.folder.path().join("store")).unwrap().collect();
        assert!(put.is_empty(), "{broken:?} leaves {put:?}");
        results.into_iter().map(|result| (result.name.clone(), result)).collect()
    }

    async fn all_pass(&self) {
        let results = self.run(Broken::Nothing, &target()).await;
        assert_eq!(results.len(), 10);
        for result in results.values() {
            assert_eq!(result.outcome, CheckOutcome::Passed, "{result:?}");
        }
    }
}

/// What is broken, the failing check, its cause and its remedy.
const CASES: [(Broken, &str, &str, &str); 15] = [
    (Broken::ZoneRecord, "names", "ns1.cloud.example. has 192.0.2.1", "dns-records"),
    (Broken::Delegation, "names", "knows no name", "set its NS records to ns1.cloud.example."),
    (Broken::Lame, "names", "returns Refused for", "set its NS records to ns1.cloud.example."),
    (Broken::ZoneGone, "names", "own servers do not have it", "dns-records"),
    (Broken::Certificate, "certificates", "expired", "why it is not renewed"),
    (Broken::FileServer, "webdav", "503 no upstream", "file server"),
    (Broken::Sftp, "sftp", "Connection closed", "file server"),
    (Broken::SftpRead, "sftp", "has not the content that was put: remote open: Permission denied", "file server"),
    (Broken::SignIn, "chat-signs-in", "email or password", "container `documents`"),
    (Broken::Documents, "chat-knows-the-file", "is not known to the chatbot", "container `documents`"),
    (Broken::Vectors, "chat-answers", "does not name probe-", "vectors may be lost"),
    (Broken::Model, "chat-answers", "offers no model \"probe\"", "the stack's models"),
    (Broken::Policy, "neighbours", "no NetworkPolicy selects it", "next resync"),
    (Broken::Engine, "attempt", "by the address of pod vectors-0", "switch its policy engine on"),
    (Broken::Passwords, "wrong-password", "returns 207 to a wrong password", "accounts"),
];

#[tokio::test]
async fn each_check_fails_for_its_own_reason_and_passes_when_mended() {
    let mut lab = Lab::start().await;
    for (broken, check, cause, remedy) in CASES {
        // What was seen a while ago would count.
        lab.checks.seldom = Seldom::default();
        let results = lab.run(broken, &target()).await;
        let found = &results[check];
        assert_eq!(found.outcome, CheckOutcome::Failed, "{broken:?}: {results:#?}");
        let is_delegation = matches!(broken, Broken::Delegation | Broken::Lame);
        assert_eq!(found.concern == Some(Concern::DomainNotDelegated), is_delegation, "{broken:?}: {found:?}");
        assert!(found.detail.contains(cause) && found.remedy.contains(remedy), "{broken:?}: {found:?}");
        let reported = CheckResult::summary(&results.into_values().collect::<Vec<_>>());
        assert!(!reported.contains("-secret"), "a password is shown: {reported}");
    }
    // The last failure would count for a minute.
    lab.checks.seldom = Seldom::default();
    lab.all_pass().await;
    lab.servers.shutdown().await;
}
