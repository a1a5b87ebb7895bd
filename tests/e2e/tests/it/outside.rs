//! What an order calls outside is in its trace, and there once: judged by whoever is called. API servers write down who asked them
//! for what, Helm is started through a script that counts, and webhooks come to this test.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use landlord_e2e::{FAST, binaries};
use landlord_test_harness::{TenantFile, World, WorldOptions, cloud::EKS, private};
use landlord_test_kube::Artifacts;
use opentelemetry_proto::tonic::{
    common::v1::any_value::Value as Attribute,
    trace::v1::{Span, span::SpanKind},
};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::{
    collector::Collector,
    traces::{AT_START, counted, same},
};

/// Far above what it takes: a busy machine is no failure.
const TIMEOUT: Duration = Duration::from_secs(600);
/// What requests are counted by: method and path.
type Requests = BTreeMap<String, usize>;

/// Takes every webhook; which trace each went on with.
fn receiver() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let taken = Arc::clone(&seen);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            if let Some(traceparent) = stream.ok().and_then(|stream| take(&stream)) {
                taken.lock().unwrap().push(traceparent);
            }
        }
    });
    (url, seen)
}

/// One request; the trace that it is part of.
fn take(stream: &TcpStream) -> Option<String> {
    let mut reader = BufReader::new(stream);
    let (mut length, mut traceparent) = (0, String::new());
    for line in reader.by_ref().lines() {
        let line = line.ok()?.to_lowercase();
        match line.split_once(": ") {
            Some(("content-length", value)) => length = value.parse().ok()?,
            Some(("traceparent", value)) => value.clone_into(&mut traceparent),
            Some(_) => {}
            None if line.is_empty() => break,
            None => {}
        }
    }
    reader.read_exact(&mut vec![0; length]).ok()?;
    let mut stream = stream;
    stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").ok()?;
    Some(traceparent)
}

/// Helm, and what counts its runs.
fn counting(helm: &Path, folder: &Path) -> std::path::PathBuf {
    let script = folder.join("helm");
    let text = format!("#!/bin/sh\necho \"$*\" >> {}\nexec {} \"$@\"\n", folder.join("runs").display(), helm.display());
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    script
}

fn attribute(span: &Span, key: &str) -> Option<String> {
    let found = span.attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        Attribute::StringValue(text) => Some(text.clone()),
        Attribute::IntValue(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Requests of the daemon that an API server answered, as it wrote them down. Helm's are Helm's, and a token that is refused is nobody's.
fn audited(world: &World) -> Requests {
    let mut requests = Requests::new();
    for folder in world.clusters() {
        let text = std::fs::read_to_string(folder.join("audit.jsonl")).unwrap_or_default();
        for event in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            let part = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
            if !part("/user/username").starts_with("arn:aws:") || part("/userAgent").starts_with("Helm") {
                continue;
            }
            let method = match part("/verb") {
                "get" | "list" | "watch" => "GET",
                "create" => "POST",
                "update" => "PUT",
                "patch" => "PATCH",
                "delete" | "deletecollection" => "DELETE",
                other => other,
            };
            let path = part("/requestURI").split('?').next().unwrap_or_default();
            *requests.entry(format!("{method} {path}")).or_default() += 1;
        }
    }
    requests
}

fn traced(spans: &[Span]) -> Requests {
    let mut requests = Requests::new();
    for span in spans.iter().filter(|span| span.name == "api-server") {
        let status = attribute(span, "http.response.status_code");
        if status.is_some_and(|status| status != "401") {
            let [method, path] = ["http.request.method", "url.path"].map(|key| attribute(span, key).unwrap());
            *requests.entry(format!("{method} {path}")).or_default() += 1;
        }
    }
    requests
}

#[test]
#[ignore = "a Kubernetes of its own: cargo xtask test --long"]
fn long_every_outside_call_of_an_order_with_apps_is_in_its_trace_once() {
    let (runtime, mut tasks) = (tokio::runtime::Runtime::new().unwrap(), JoinSet::new());
    let (collector, address) = runtime.block_on(Collector::start(&mut tasks));
    let (folder, (url, webhooks)) = (tempfile::tempdir().unwrap(), receiver());
    let secret = folder.path().join("whsec");
    private(&secret, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
    let mut artifacts = Artifacts::ensure(&mut |_| {}).unwrap();
    artifacts.helm = counting(&artifacts.helm, folder.path());
    let options = WorldOptions {
        time_scale: FAST * 10.0,
        clouds: vec![&EKS],
        audit: true,
        kubernetes: Some(artifacts),
        // Nobody observes it again meanwhile: what is called after the order is of no order.
        extra_config: format!(
            "[engine]\nresync_interval = '12h'\n[telemetry]\notlp_endpoint = '{address}'\n\
             [webhooks.portal]\nurl = '{url}'\ninsecure = true\nallowed_networks = ['127.0.0.0/8']\nsecret_file = '{}'\n",
            secret.display()
        ),
        ..WorldOptions::default()
    };
    let world = World::temporary(binaries().unwrap(), &options).unwrap();
    let tenant = TenantFile::new("acme", "t", &EKS.small_class());
    world.cli().apply(&tenant).unwrap();
    world.cli().wait_for(&tenant.name(), "READY", TIMEOUT).unwrap();
    let operations = world.cli().ok(&["get", "operations", &tenant.name(), "-o", "json"]).unwrap();
    let operations: Value = serde_json::from_str(&operations).unwrap();
    let trace = operations[0]["name"].as_str().unwrap().trim_start_matches("operations/").replace('-', "");
    let of = |name: &str| collector.of(&trace).into_iter().filter(|span| span.name == name).count();
    runtime.block_on(async {
        collector.span(&trace, |span| span.name == "operation").await;
        same("API servers", || (audited(&world), traced(&collector.of(&trace)))).await;
        assert!(audited(&world).values().sum::<usize>() > 50, "the API server was hardly called");
        let runs = || std::fs::read_to_string(folder.path().join("runs")).unwrap_or_default();
        same("Helm", || (runs().lines().filter(|run| !run.starts_with("version")).count(), of("helm"))).await;
        assert!(of("helm") >= 4, "{}", runs());
        same("webhooks", || {
            let seen = webhooks.lock().unwrap();
            (seen.iter().filter(|traceparent| traceparent.contains(&trace)).count(), of("webhook"))
        })
        .await;
        assert!(of("webhook") > 0 && webhooks.lock().unwrap().iter().all(|traceparent| traceparent.contains(&trace)));
        let plugin = || {
            let mut calls: BTreeMap<String, u64> = BTreeMap::new();
            for span in collector.of(&trace).into_iter().filter(|span| attribute(span, "provider").is_some()) {
                *calls.entry(span.name).or_default() += u64::from(span.kind == SpanKind::Client as i32);
            }
            calls.retain(|method, count| *count > 0 && !AT_START.contains(&method.as_str()));
            calls
        };
        same("the plugin", || (counted(&world.metrics().unwrap()), plugin())).await;
    });
}
