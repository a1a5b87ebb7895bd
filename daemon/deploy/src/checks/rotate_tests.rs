//! Rotations against an API server that keeps one Secret and counts restarts; killed between any two writes.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use http::{Method, Response};
use http_body_util::BodyExt as _;
use kube::{Client, client::Body};
use landlord_kube::markers;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::*;
use crate::checks::{
    CheckOptions,
    tests::{Rendering, target},
};

struct Server {
    secret: Mutex<Value>,
    /// Annotations of the pods' template.
    template: Mutex<Value>,
    restarts: AtomicU32,
    /// How often it was read.
    reads: AtomicU32,
    /// Writes until it takes none any more.
    writes_left: AtomicU32,
    /// It responds to nobody.
    is_away: AtomicBool,
}

fn encoded(text: &str) -> String {
    BASE64_STANDARD.encode(text)
}

impl Server {
    fn start() -> Arc<Self> {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": { "name": "files", "namespace": "n", "labels": markers::labels(&target(), "files") },
            "data": {
                "customer-password": encoded("first"), "probe-password": encoded("probe"),
                "accounts.conf": encoded("acme: first\nprobe: probe\n"),
            },
        });
        let writes_left = AtomicU32::new(u32::MAX);
        let (secret, is_away) = (Mutex::new(secret), AtomicBool::new(false));
        let template = Mutex::new(json!({}));
        let (restarts, reads) = (AtomicU32::new(0), AtomicU32::new(0));
        Arc::new(Self { secret, template, restarts, reads, writes_left, is_away })
    }

    fn value(&self, key: &str) -> String {
        let secret = self.secret.lock();
        let text = secret["data"][key].as_str().unwrap_or_default();
        String::from_utf8(BASE64_STANDARD.decode(text).unwrap()).unwrap()
    }

    fn answer(&self, method: &Method, path: &str, body: &[u8]) -> (u16, Value) {
        if self.is_away.load(Ordering::SeqCst) {
            return (503, json!({ "kind": "Status", "status": "Failure", "code": 503, "message": "away" }));
        }
        if *method != Method::GET {
            let left = self.writes_left.load(Ordering::SeqCst);
            if left == 0 {
                return (500, json!({ "kind": "Status", "status": "Failure", "code": 500, "message": "killed" }));
            }
            self.writes_left.store(left - 1, Ordering::SeqCst);
        }
        if path.contains("/deployments/") {
            let mut template = self.template.lock();
            if *method != Method::GET {
                let patch: Value = serde_json::from_slice(body).unwrap();
                let annotations = patch["spec"]["template"]["metadata"]["annotations"].as_object().unwrap().clone();
                let known = template.as_object_mut().unwrap();
                known.extend(annotations);
                self.restarts.fetch_add(1, Ordering::SeqCst);
            }
            let template = json!({ "metadata": { "annotations": *template } });
            let spec = json!({ "selector": {}, "template": template });
            return (200, json!({ "metadata": { "name": "files" }, "spec": spec }));
        }
        if path.contains("/secrets/") {
            let mut secret = self.secret.lock();
            if *method == Method::PUT {
                *secret = serde_json::from_slice(body).unwrap();
            } else {
                self.reads.fetch_add(1, Ordering::SeqCst);
            }
            return (200, secret.clone());
        }
        (404, json!({ "kind": "Status", "status": "Failure", "code": 404, "message": "nothing", "reason": "NotFound" }))
    }

    fn clients(self: &Arc<Self>) -> ClusterClients {
        let server = Arc::clone(self);
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let server = Arc::clone(&server);
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let (status, value) = server.answer(&parts.method, parts.uri.path(), &body);
                let body = Body::from(value.to_string().into_bytes());
                Ok::<_, Infallible>(Response::builder().status(status).body(body).unwrap())
            }
        });
        let client = Client::new(service, "default");
        ClusterClients { admin: client.clone(), tenant: client }
    }
}

fn manifest(rotation: Value) -> Manifest {
    serde_json::from_value(json!({
        "apiVersion": "landlord.dev/v1", "kind": "Stack", "namespace": "n",
        "secrets": [{ "name": "files", "keys": {
            "customer-password": { "generate": 32 }, "probe-password": { "generate": 32 },
            "accounts.conf": { "template": "${customer.id}: ${customer-password}\nprobe: ${probe-password}\n" },
        } }],
        "releases": [],
        "access": [{
            "name": "files", "app": "files", "entryPoints": [], "username": "${customer.id}",
            "secret": "files", "key": "customer-password", "rotation": rotation,
        }],
    }))
    .unwrap()
}

fn checks() -> Checks {
    let options = CheckOptions {
        from_outside: false,
        proxy: None,
        allowed: Vec::new(),
        resolver: None,
        trusted_ca: None,
        sftp_path: "/usr/bin/sftp".into(),
        runs: std::env::temp_dir(),
    };
    Checks::new(options, Arc::new(Rendering))
}

async fn rotated(server: &Arc<Server>, manifest: &Manifest, id: &str) -> Result<()> {
    reaching(server, manifest, id).await.0
}

/// The same, with how far it got.
async fn reaching(server: &Arc<Server>, manifest: &Manifest, id: &str) -> (Result<()>, RotationReached) {
    let mut reached = RotationReached::Nothing;
    let ended = rotate(&checks(), &server.clients(), &target(), manifest, ("files", id), &mut reached).await;
    (ended, reached)
}

#[tokio::test]
async fn a_failed_rotation_says_which_value_is_in_place() {
    use RotationReached::{Nothing, OldInPlace, Unknown};
    let manifest = manifest(json!({ "restart": ["files"] }));
    let away = Server::start();
    away.is_away.store(true, Ordering::SeqCst);
    let (ended, reached) = reaching(&away, &manifest, "r1").await;
    assert_eq!((ended.is_err(), reached), (true, Nothing), "nothing could be read");
    // The first write makes the new value, the second has it take the old one's place, then pods start again.
    for (writes, wanted) in [(0, OldInPlace), (1, Unknown), (2, Unknown)] {
        let server = Server::start();
        server.writes_left.store(writes, Ordering::SeqCst);
        let (ended, reached) = reaching(&server, &manifest, "r1").await;
        assert_eq!((ended.is_err(), reached), (true, wanted), "after {writes} writes");
        // Going on, nobody knows before it has ended.
        server.writes_left.store(0, Ordering::SeqCst);
        let (ended, reached) = reaching(&server, &manifest, "r1").await;
        let wanted = if writes == 0 { OldInPlace } else { Unknown };
        assert_eq!((ended.is_err(), reached), (true, wanted), "again, after {writes} writes");
    }
}

#[tokio::test]
async fn a_rotation_changes_the_secret_and_what_was_made_of_it() {
    let (server, manifest) = (Server::start(), manifest(json!({ "restart": ["files"] })));
    rotated(&server, &manifest, "r1").await.unwrap();
    let new = server.value("customer-password");
    assert!(new.len() == 32 && new != "first");
    assert_eq!(server.value("accounts.conf"), format!("acme: {new}\nprobe: probe\n"));
    assert!(server.secret.lock()["data"].get("customer-password.next").is_none());
    assert_eq!(server.restarts.load(Ordering::SeqCst), 1);
    // Repeated it makes no further value; another one does.
    rotated(&server, &manifest, "r1").await.unwrap();
    assert_eq!(server.value("customer-password"), new);
    rotated(&server, &manifest, "r2").await.unwrap();
    assert_ne!(server.value("customer-password"), new);
    let mut reached = RotationReached::Nothing;
    let none = rotate(&checks(), &server.clients(), &target(), &manifest, ("chat", "r1"), &mut reached).await;
    assert_eq!(reached, RotationReached::Nothing);
    let none = none.unwrap_err();
    assert!(none.to_string().contains("it has: files"), "{none}");
}

#[tokio::test]
async fn a_killed_rotation_goes_on_with_the_value_that_it_made() {
    for writes in 0..3 {
        let (server, manifest) = (Server::start(), manifest(json!({ "restart": ["files"] })));
        server.writes_left.store(writes, Ordering::SeqCst);
        rotated(&server, &manifest, "r1").await.unwrap_err();
        let made = [server.value("customer-password.next"), server.value("customer-password")];
        server.writes_left.store(u32::MAX, Ordering::SeqCst);
        rotated(&server, &manifest, "r1").await.unwrap();
        let new = server.value("customer-password");
        assert!(new != "first" && server.restarts.load(Ordering::SeqCst) == 1, "after {writes} writes");
        assert!(writes == 0 || made.contains(&new), "after {writes} writes there is one new value");
    }
}

/// As the next resync, or who reads it, goes on.
async fn finished(server: &Arc<Server>, manifest: &Manifest, quiet: Duration) -> bool {
    let (clients, of) = (server.clients(), (&manifest.access[0], quiet));
    finish(&checks(), &clients, &target(), manifest, of, &mut Read::new()).await.unwrap()
}

#[tokio::test]
async fn credentials_of_one_secret_are_looked_at_together() {
    let server = Server::start();
    let mut manifest = manifest(json!({ "restart": ["files"] }));
    let mut probe = manifest.access[0].clone();
    (probe.name, probe.key) = ("probe".into(), "probe-password".into());
    manifest.access.push(probe);
    let all = async || {
        let (clients, mut read, mut ended) = (server.clients(), Read::new(), Vec::new());
        for credential in &manifest.access {
            let of = (credential, Duration::ZERO);
            ended.push(finish(&checks(), &clients, &target(), &manifest, of, &mut read).await.unwrap());
        }
        ended
    };
    assert_eq!((all().await, server.reads.load(Ordering::SeqCst)), (vec![false, false], 1));
    // Both were killed: each is ended on what the other has left there.
    for name in ["files", "probe"] {
        server.writes_left.store(1, Ordering::SeqCst);
        let mut reached = RotationReached::Nothing;
        let by = (name, "r1");
        rotate(&checks(), &server.clients(), &target(), &manifest, by, &mut reached).await.unwrap_err();
    }
    server.writes_left.store(u32::MAX, Ordering::SeqCst);
    assert_eq!(all().await, [true, true]);
    let (files, probe) = (server.value("customer-password"), server.value("probe-password"));
    assert!(files != "first" && probe != "probe");
    assert_eq!(server.value("accounts.conf"), format!("acme: {files}\nprobe: {probe}\n"));
    assert_eq!(all().await, [false, false]);
}

#[tokio::test]
async fn a_rotation_that_nobody_repeats_is_ended_all_the_same() {
    for writes in 0..3 {
        let (server, manifest) = (Server::start(), manifest(json!({ "restart": ["files"] })));
        assert!(!finished(&server, &manifest, Duration::ZERO).await, "nobody has rotated it");
        server.writes_left.store(writes, Ordering::SeqCst);
        rotated(&server, &manifest, "r1").await.unwrap_err();
        server.writes_left.store(u32::MAX, Ordering::SeqCst);
        let written = json!([{ "manager": "landlord", "time": k8s_openapi::jiff::Timestamp::now().to_string() }]);
        server.secret.lock()["metadata"]["managedFields"] = written;
        assert!(!finished(&server, &manifest, Duration::from_secs(300)).await, "it may be under way");
        server.secret.lock()["metadata"]["managedFields"][0]["time"] = json!("2026-01-01T00:00:00Z");
        assert_eq!(finished(&server, &manifest, Duration::from_secs(300)).await, writes > 0, "after {writes} writes");
        let is_new = server.value("customer-password") != "first";
        let restarts = server.restarts.load(Ordering::SeqCst);
        assert_eq!((is_new, restarts), (writes > 0, u32::from(writes > 0)), "after {writes} writes");
        assert!(
            !finished(&server, &manifest, Duration::ZERO).await && server.restarts.load(Ordering::SeqCst) == restarts
        );
    }
    // Pods that were restarted by an earlier landlord run with it, and so do those of a Deployment that was made since.
    let (server, manifest) = (Server::start(), manifest(json!({ "restart": ["files"] })));
    rotated(&server, &manifest, "r1").await.unwrap();
    *server.template.lock() = json!({ CREDENTIALS: "customer-password-r1" });
    assert!(!finished(&server, &manifest, Duration::ZERO).await);
    *server.template.lock() = json!({ CREDENTIALS: "customer-password-r0" });
    assert!(finished(&server, &manifest, Duration::ZERO).await);
}

#[tokio::test]
async fn what_the_app_does_not_take_leaves_the_old_one() {
    let request = json!({
        "service": { "name": "files", "port": 8080 }, "status": 200, "json": { "password": "${old}" },
        "remedy": "see the log",
    });
    let manifest = manifest(json!({ "requests": [request], "proof": [request] }));
    let server = Server::start();
    let (refused, reached) = reaching(&server, &manifest, "r1").await;
    let refused = refused.unwrap_err();
    assert_eq!(reached, RotationReached::OldInPlace, "nobody was there to be asked");
    let text = refused.to_string();
    assert!(matches!(refused, Error::NotRotated { .. }) && text.contains("still works"), "{text}");
    assert_eq!(server.value("customer-password"), "first");
    assert!(!text.contains(&server.value("customer-password.next")), "{text}");
    // It has failed and is not under way: nobody goes on who was not asked to.
    assert!(!finished(&server, &manifest, Duration::ZERO).await && server.value("customer-password") == "first");
}
