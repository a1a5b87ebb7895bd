//! The charts as they are shipped, and the real Helm to ask about them. Knows no cluster.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use anyhow::Result;
use landlord_test_kube::Artifacts;
use serde_json::{Value, json};

/// The stacks that are shipped.
pub(crate) const STACKS: [&str; 2] = ["ai-fileserver", "ai-fileserver-pg"];

/// The charts of both; no two have the same name.
pub(crate) const CHARTS: [&str; 8] = ["sftpgo", "qdrant", "ollama", "open-webui", "files", "vectors", "llm", "chat"];

/// The platform's own chart, from the folder of the stack's.
pub(crate) const EDGE: &str = "../../../platforms/standard/charts/edge";

/// The least values that a chart of a stack takes.
pub(crate) fn contract() -> Value {
    json!({ "customer": { "id": "acme", "domain": "acme.example.com" }, "storage": { "size": "10Gi" } })
}

/// The environment that the platform's charts get.
pub(crate) fn environment() -> Value {
    json!({
        "name": "customers/acme/tenants/prod", "uid": "u1", "installation": "test", "customer": "acme",
        "domain": "acme.example.com",
    })
}

/// The zone that who keeps records for apps gets.
pub(crate) fn zone() -> Value {
    json!({ "domain": "acme.example.com", "owner": "u1", "reserved": ["chat.acme.example.com"] })
}

/// What the environment and its class give a release of the platform: the least values that its chart takes.
pub(crate) fn least(chart: &str) -> Value {
    match chart {
        "edge" => json!({ "issuer": { "kind": "acme" }, "gateway": { "hosts": ["chat.acme.example.com"] } }),
        "metrics" => json!({ "environment": environment() }),
        "logs" => json!({ "environment": environment(), "store": { "url": "https://logs.example.com" } }),
        "node-classes" => json!({ "environment": environment(), "clusterName": "landlord-1" }),
        "external-dns" => json!({ "zone": zone(), "provider": "rfc2136" }),
        _ => json!({}),
    }
}

pub(crate) fn artifacts() -> Result<Artifacts> {
    // The first run on a machine builds them, which takes minutes: say so.
    Ok(Artifacts::ensure(&mut |line| {
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), "{line}");
    })?)
}

pub(crate) fn stacks() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/stacks")
}

/// Runs Helm on a chart, in a home folder of its own.
pub(crate) fn helm(arguments: &[&str], chart: &str, values: &Value) -> Result<Output> {
    let of_stack = STACKS.map(|stack| stacks().join(stack).join("charts").join(chart));
    let folder = of_stack.iter().find(|folder| folder.exists()).unwrap_or(&of_stack[0]);
    helm_in(arguments, folder, values)
}

/// The same on a chart in any folder.
pub(crate) fn helm_in(arguments: &[&str], chart: &Path, values: &Value) -> Result<Output> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("values.json");
    std::fs::write(&file, values.to_string())?;
    let output = Command::new(artifacts()?.helm)
        .args(arguments)
        .arg(chart)
        .arg("--values")
        .arg(file)
        .env("HOME", folder.path())
        .output()?;
    Ok(output)
}
