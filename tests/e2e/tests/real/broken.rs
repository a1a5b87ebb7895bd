//! What is broken on purpose on a real node, and mended again: the check that says so, its cause and its remedy.

use landlord_test_harness::{TenantFile, judge};
use serde_json::{Value, json};

use crate::scene::{Scene, bare, signal};

/// Something that is broken.
pub(crate) struct Case {
    /// In words.
    pub(crate) what: &'static str,
    /// The check that fails.
    pub(crate) check: &'static str,
    /// What stands in its cause and its remedy.
    pub(crate) cause: &'static str,
    pub(crate) remedy: &'static str,
    pub(crate) break_it: fn(&Scene, &TenantFile),
    pub(crate) mend_it: fn(&Scene, &TenantFile),
}

/// The model that the chatbot answers with.
const MODEL: &str = "/models/store/manifests/registry.ollama.ai/library/smollm2";

pub(crate) static CASES: [Case; 7] = [
    Case {
        what: "wrong DNS",
        check: "names",
        cause: "has 192.0.2.1 for chat.",
        remedy: "dns-records",
        break_it: |scene, tenant| record(scene, tenant, false),
        mend_it: |scene, tenant| record(scene, tenant, true),
    },
    Case {
        what: "an expired certificate",
        check: "certificates",
        // Envoy Gateway takes the listener away.
        cause: "has expired since",
        remedy: "why it is not renewed",
        break_it: expired_certificate,
        mend_it: |scene, tenant| {
            gateway(scene, tenant, &["delete", "secret", "landlord-tls"]);
            scene.in_namespace(tenant, "cert-manager", &["scale", "deployment/cert-manager", "--replicas=1"]);
        },
    },
    Case {
        what: "the file server down",
        check: "webdav",
        cause: "PUT: 503",
        remedy: "file server",
        break_it: |scene, tenant| drop(apps(scene, tenant, &["scale", "deployment/files", "--replicas=0"])),
        mend_it: |scene, tenant| {
            apps(scene, tenant, &["scale", "deployment/files", "--replicas=1"]);
            apps(scene, tenant, &["rollout", "status", "deployment/files", "--timeout=180s"]);
        },
    },
    Case {
        what: "vectors lost",
        check: "chat-answers",
        cause: "does not name probe-",
        remedy: "vectors may be lost",
        // Whatever is written goes, too, until the table is as it was.
        break_it: |scene, tenant| {
            sql(scene, tenant, "create rule lost as on insert to document_chunk do instead nothing");
            sql(scene, tenant, "delete from document_chunk");
        },
        mend_it: |scene, tenant| sql(scene, tenant, "drop rule lost on document_chunk"),
    },
    Case {
        what: "the model missing",
        check: "chat-answers",
        cause: "Model not found",
        remedy: "LLM service",
        break_it: |scene, tenant| llm(scene, tenant, &format!("mv {MODEL} {MODEL}.away")),
        mend_it: |scene, tenant| llm(scene, tenant, &format!("mv {MODEL}.away {MODEL}")),
    },
    Case {
        what: "a chat without the file",
        check: "chat-knows-the-file",
        cause: "after 90 s",
        remedy: "container `documents`",
        break_it: |_, _| documents("-STOP"),
        mend_it: |_, _| documents("-CONT"),
    },
    Case {
        what: "a NetworkPolicy removed",
        check: "neighbours",
        cause: "port 5432 of vectors is open to neighbours",
        remedy: "next resync",
        break_it: policies_removed,
        mend_it: |scene, tenant| drop(apps(scene, tenant, &["create", "-f", &policies(scene)])),
    },
];

/// One of them.
pub(crate) fn case(what: &str) -> &'static Case {
    CASES.iter().find(|case| case.what == what).unwrap()
}

fn apps(scene: &Scene, tenant: &TenantFile, arguments: &[&str]) -> String {
    scene.in_namespace(tenant, &scene.namespace(tenant), arguments)
}

fn gateway(scene: &Scene, tenant: &TenantFile, arguments: &[&str]) -> String {
    scene.in_namespace(tenant, "landlord-gateway", arguments)
}

/// The address that the zone has for the chat: a wrong one, or the right one again.
fn record(scene: &Scene, tenant: &TenantFile, right: bool) {
    let call = |path: &str, body: Option<&Value>| -> Value {
        let url = format!("{}/dns/v1/projects/{}{path}", scene.world.simulator().endpoint, scene.cloud.account);
        let token = format!("Bearer ya29.sim-{}.operator", scene.cloud.account);
        let answer = match body {
            None => ureq::get(&url).header("authorization", token).call(),
            Some(body) => ureq::post(&url).header("authorization", token).send_json(body),
        };
        let text = answer.unwrap_or_else(|error| panic!("{url}: {error}")).body_mut().read_to_string().unwrap();
        serde_json::from_str(&text).unwrap()
    };
    let zones = call("/managedZones", None);
    let of_tenant = |zone: &&Value| judge::text(zone, "dnsName") == format!("{}.", tenant.domain);
    let zone = zones["managedZones"].as_array().unwrap().iter().find(of_tenant).unwrap();
    let zone = judge::text(zone, "name");
    let name = |record: &str| format!("{record}.{}.", tenant.domain);
    let records = call(&format!("/managedZones/{zone}/rrsets"), None);
    let of_name = |wanted: &str| {
        let records = records["rrsets"].as_array().unwrap().iter();
        records.clone().find(|set| set["name"] == name(wanted) && set["type"] == "A").unwrap().clone()
    };
    let (found, mut wanted) = (of_name("chat"), of_name("chat"));
    wanted["rrdatas"] = if right { of_name("webdav")["rrdatas"].clone() } else { json!(["192.0.2.1"]) };
    let change = json!({ "deletions": [found], "additions": [wanted] });
    call(&format!("/managedZones/{zone}/changes"), Some(&change));
}

/// One that ended, of the right names; who would renew it is stopped.
fn expired_certificate(scene: &Scene, tenant: &TenantFile) {
    scene.in_namespace(tenant, "cert-manager", &["scale", "deployment/cert-manager", "--replicas=0"]);
    let names = ["files", "webdav", "chat"].map(|record| format!("{record}.{}", tenant.domain));
    let mut of_issuer = rcgen::CertificateParams::default();
    of_issuer.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let issuer = rcgen::CertifiedIssuer::self_signed(of_issuer, rcgen::KeyPair::generate().unwrap()).unwrap();
    let mut params = rcgen::CertificateParams::new(names).unwrap();
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2020, 3, 31);
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    // Trusted, so that its end is all that is wrong with it.
    let trusted = scene.world.folder().join("acme-root.pem");
    let all = std::fs::read_to_string(&trusted).unwrap() + &issuer.pem();
    std::fs::write(&trusted, all).unwrap();
    let data = json!({ "stringData": { "tls.crt": certificate.pem(), "tls.key": key.serialize_pem() } });
    gateway(scene, tenant, &["patch", "secret", "landlord-tls", "-p", &data.to_string()]);
}

fn policies(scene: &Scene) -> String {
    scene.world.folder().join("policies.json").display().to_string()
}

/// The database's own, and the one that closes what has none; they are kept in a file.
fn policies_removed(scene: &Scene, tenant: &TenantFile) {
    let names = ["default-deny", "vectors"];
    let found = apps(scene, tenant, &[&["get", "networkpolicy", "-o", "json"][..], &names[..]].concat());
    let mut found: Value = serde_json::from_str(&found).unwrap();
    found["items"].as_array_mut().unwrap().iter_mut().for_each(bare);
    std::fs::write(policies(scene), found.to_string()).unwrap();
    apps(scene, tenant, &[&["delete", "networkpolicy"][..], &names[..]].concat());
}

fn sql(scene: &Scene, tenant: &TenantFile, statement: &str) {
    let script = format!("PGPASSWORD=$PASSWORD psql -h 127.0.0.1 -U webui -d webui -c '{statement}'");
    apps(scene, tenant, &["exec", "statefulset/vectors", "--", "sh", "-c", &script]);
}

fn llm(scene: &Scene, tenant: &TenantFile, script: &str) {
    apps(scene, tenant, &["exec", "deployment/llm", "--", "sh", "-c", script]);
}

/// Stops the program that brings documents, or lets it go on.
fn documents(name: &str) {
    assert!(signal(name, "/etc/landlord/documents.py", ""), "nobody brings documents");
}
