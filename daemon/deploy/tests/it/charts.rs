//! The shipped charts by themselves: lint, every way of rendering them, and what their schemas
//! refuse. No cluster.

use crate::support::shipped::{CHARTS, EDGE, contract, helm};
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

fn merged(change: &Value) -> Value {
    let mut values = contract();
    for (key, value) in change.as_object().into_iter().flatten() {
        for (inner, value) in value.as_object().into_iter().flatten() {
            values[key][inner] = value.clone();
        }
        if !value.is_object() {
            values[key] = value.clone();
        }
    }
    values
}

#[test]
fn charts_are_clean() -> Result<()> {
    for chart in CHARTS {
        let output = helm(&["lint", "--strict"], chart, &contract())?;
        ensure!(output.status.success(), "{chart}: {}", String::from_utf8_lossy(&output.stdout));
    }
    Ok(())
}

#[test]
fn every_way_of_rendering_is_restricted() -> Result<()> {
    let placed = json!({ "nodeSelector": { "landlord.dev/tenant": "x" }, "tolerations": [{ "key": "landlord.dev/tenant", "operator": "Exists" }] });
    let cases = [
        (
            "sftpgo",
            json!({ "gateway": { "enabled": true }, "sftp": { "annotations": { "a": "b" }, "sourceRanges": ["203.0.113.0/24"] } }),
            "HTTPRoute",
        ),
        ("qdrant", placed.clone(), "landlord.dev/tenant: x"),
        ("ollama", placed.clone(), "operator: Exists"),
        ("open-webui", json!({ "gateway": { "enabled": true } }), "chat.acme.example.com"),
        (
            "files",
            json!({ "gateway": { "enabled": true }, "sftp": { "annotations": { "a": "b" }, "sourceRanges": ["203.0.113.0/24"] } }),
            "HTTPRoute",
        ),
        ("vectors", placed.clone(), "landlord.dev/tenant: x"),
        ("llm", placed, "operator: Exists"),
        ("chat", json!({ "gateway": { "enabled": true } }), "chat.acme.example.com"),
        // Figures of documents are read by the platform's Prometheus.
        ("chat", json!({}), "kubernetes.io/metadata.name: landlord-metrics }\n      ports: [{ port: metrics }]"),
        ("open-webui", json!({}), "kubernetes.io/metadata.name: landlord-metrics }\n      ports: [{ port: metrics }]"),
        (
            "chat",
            json!({ "llm": { "mode": "external", "url": "https://llm.example.com/v1", "existingSecret": "llm" } }),
            "OPENAI_API_KEY",
        ),
        (
            "open-webui",
            json!({ "llm": { "mode": "external", "url": "https://llm.example.com/v1", "existingSecret": "llm" } }),
            "OPENAI_API_KEY",
        ),
        ("sftpgo", json!({ "image": { "digest": format!("sha256:{}", "a".repeat(64)) } }), "@sha256:"),
    ];
    for (chart, change, expected) in cases {
        let output = helm(&["template", chart], chart, &merged(&change))?;
        let text = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "{chart} {change}: {}", String::from_utf8_lossy(&output.stderr));
        ensure!(text.contains(expected), "{chart} {change}: no {expected} in {text}");
        for needed in [
            "runAsNonRoot: true",
            "RuntimeDefault",
            "allowPrivilegeEscalation: false",
            "drop: [ALL]",
            "automountServiceAccountToken: false",
            "kind: NetworkPolicy",
        ] {
            ensure!(text.contains(needed), "{chart} {change}: no {needed}");
        }
    }
    for chart in ["ollama", "llm"] {
        let output = helm(&["template", chart], chart, &merged(&json!({ "mode": "external" })))?;
        ensure!(
            output.status.success() && !String::from_utf8_lossy(&output.stdout).contains("kind:"),
            "{chart}, external: nothing is made"
        );
    }
    Ok(())
}

/// Wrong passwords lock out an address: who guesses must be able to name no other's, and must not have everybody's. Of a header that
/// names addresses only the last one is the Gateway's own.
#[test]
fn who_guesses_passwords_locks_out_itself_and_nobody_else() -> Result<()> {
    let header = ["PROXY_ALLOWED", "CLIENT_IP_PROXY_HEADER", "CLIENT_IP_HEADER_DEPTH"];
    let values = ["\"10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,100.64.0.0/10\"", "X-Forwarded-For", "\"0\""];
    let of_sftpgo = ["HTTPD", "WEBDAVD"].iter().flat_map(|server| {
        header
            .iter()
            .zip(values)
            .map(move |(key, value)| format!("name: SFTPGO_{server}__BINDINGS__0__{key}, value: {value} "))
    });
    let of_copyparty = ["rproxy: -1\n", "xff-src: 10.0.0.0/8, "].map(str::to_owned);
    for (chart, needed) in [("sftpgo", of_sftpgo.collect::<Vec<_>>()), ("files", of_copyparty.to_vec())] {
        let output = helm(&["template", chart], chart, &contract())?;
        let text = String::from_utf8_lossy(&output.stdout);
        for needed in needed.iter().map(String::as_str).chain(["externalTrafficPolicy: Local\n"]) {
            ensure!(text.contains(needed), "{chart}: no {needed:?} in {text}");
        }
    }
    Ok(())
}

/// Envoy itself ends a request after 15 seconds: a large upload, a long answer of a chatbot. Also of a host cluster, whose shared
/// Gateway is not the chart's.
#[test]
fn a_request_through_the_gateway_lasts_as_long_as_somebody_speaks() -> Result<()> {
    for hosts in [json!([]), json!(["chat.acme.example.com"])] {
        let output = helm(&["template", "edge"], EDGE, &json!({ "gateway": { "hosts": hosts } }))?;
        let text = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "{hosts}: {}", String::from_utf8_lossy(&output.stderr));
        for needed in ["requestReceivedTimeout: 0s", "requestTimeout: 0s"] {
            ensure!(text.contains(needed), "{hosts}: no {needed} in {text}");
        }
        // Without a bound on silence of its own Envoy Gateway lifts it with that on requests: who opens some and leaves them holds
        // the apps' connections for ever.
        for needed in ["streamIdleTimeout: 15m", "requestHeadersReceivedTimeout: 30s"] {
            ensure!(text.contains(needed), "{hosts}: no {needed} in {text}");
        }
        ensure!(text.matches("streamIdleTimeout: 15m").count() == 2, "of listeners and of routes: {text}");
    }
    for timeouts in [json!({ "silence": "0s" }), json!({ "silence": "15" }), json!({ "headers": "0s" })] {
        let output = helm(&["template", "edge"], EDGE, &json!({ "timeouts": timeouts }))?;
        ensure!(!output.status.success(), "took {timeouts}");
    }
    Ok(())
}

/// Whoever types a name into a browser is sent to https, also where the Gateway is not the chart's own: a host cluster's is made with
/// the first tenant.
#[test]
fn port_80_leads_to_https_in_clusters_of_one_and_of_many() -> Result<()> {
    for (hosts, gateways) in [(json!([]), 0), (json!(["chat.acme.example.com"]), 1)] {
        let output = helm(&["template", "edge"], EDGE, &json!({ "gateway": { "hosts": hosts } }))?;
        let objects = landlord_kube::yaml::documents(&String::from_utf8(output.stdout)?).map_err(anyhow::Error::msg)?;
        ensure!(
            objects.iter().filter(|object| object["kind"] == "Gateway").count() == gateways,
            "{hosts}: {objects:?}"
        );
        let route = objects.iter().find(|object| object["kind"] == "HTTPRoute").context("no route")?;
        ensure!(route["spec"]["parentRefs"][0]["sectionName"] == "http", "{hosts}: {route}");
        let filter = &route["spec"]["rules"][0]["filters"][0];
        ensure!(filter["requestRedirect"]["scheme"] == "https", "{hosts}: {route}");
    }
    Ok(())
}

/// A class that has its cloud's Gateway serve it gets nothing of Envoy Gateway's, whose kinds are not known there.
#[test]
fn the_edge_stands_on_a_gateway_class_that_is_there() -> Result<()> {
    let gateway = json!({ "hosts": ["chat.acme.example.com"], "className": "gke-l7-global-external-managed" });
    let acme = json!({ "kind": "acme", "acme": { "email": "ops@example.com" } });
    let output = helm(&["template", "edge"], EDGE, &json!({ "gateway": gateway, "issuer": acme }))?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let objects = landlord_kube::yaml::documents(&String::from_utf8(output.stdout)?).map_err(anyhow::Error::msg)?;
    let mut kinds: Vec<&str> = objects.iter().filter_map(|object| object["kind"].as_str()).collect();
    kinds.sort_unstable();
    ensure!(kinds == ["ClusterIssuer", "Gateway", "HTTPRoute"], "{kinds:?}");
    let made = objects.iter().find(|object| object["kind"] == "Gateway").context("no Gateway")?;
    ensure!(made["spec"]["gatewayClassName"] == "gke-l7-global-external-managed", "{made}");
    Ok(())
}

#[test]
fn schemas_refuse_what_is_invalid() -> Result<()> {
    let cases = [
        ("sftpgo", json!({ "storage": { "size": "0Gi" } })),
        ("sftpgo", json!({ "storage": { "size": "10" } })),
        ("sftpgo", json!({ "customer": { "id": "../acme" } })),
        ("sftpgo", json!({ "customer": { "domain": "acme" } })),
        ("sftpgo", json!({ "nope": 1 })),
        ("qdrant", json!({ "image": { "tag": "latest" } })),
        ("qdrant", json!({ "storage": { "nope": 1 } })),
        ("ollama", json!({ "mode": "cloud" })),
        ("ollama", json!({ "models": ["a b; rm"] })),
        ("open-webui", json!({ "llm": { "mode": "external", "url": "http://plain.example.com" } })),
        ("open-webui", json!({ "llm": { "mode": "external" } })),
        ("open-webui", json!({ "files": { "intervalSeconds": 0 } })),
        ("files", json!({ "storage": { "size": "0Gi" } })),
        ("files", json!({ "customer": { "id": "../acme" } })),
        ("files", json!({ "nope": 1 })),
        ("vectors", json!({ "image": { "tag": "latest" } })),
        ("llm", json!({ "mode": "cloud" })),
        ("llm", json!({ "models": ["a b; rm"] })),
        ("chat", json!({ "llm": { "mode": "external" } })),
        ("chat", json!({ "files": { "intervalSeconds": 0 } })),
    ];
    for (chart, change) in cases {
        let output = helm(&["template", chart], chart, &merged(&change))?;
        ensure!(!output.status.success(), "{chart} took {change}");
    }
    for chart in CHARTS {
        ensure!(!helm(&["template", chart], chart, &json!({}))?.status.success(), "{chart} needs the contract");
    }
    Ok(())
}
