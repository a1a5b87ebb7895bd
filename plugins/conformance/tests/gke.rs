//! The suite against the GKE provider and the simulated GCP. The cases run in groups side by side: most of the time goes by
//! in the waits that the suite makes. Together the groups are all cases.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use cloudsim::{Options, Simulator};
use landlord_conformance::{CASES, Outcome};
use serde_json::json;

/// As in the configuration: a lifecycle takes a second or two.
const SCALE: f64 = 0.0005;

const QUOTAS: [&str; 6] = ["NETWORKS", "SUBNETWORKS", "ROUTERS", "CPUS", "IN_USE_ADDRESSES", "FIREWALLS"];

const LOST: [&str; 3] = ["lost-request", "lost-answer", "cut-answer"];
const KILLED: [&str; 1] = ["crash"];
const THROTTLED: [&str; 2] = ["throttling", "deadlines"];

async fn conforms(cases: &[&str]) {
    let options = Options { time_scale: SCALE, seed: 7, no_throttle: true, ..Options::default() };
    let sim = Simulator::start(options).await.unwrap();
    let mut config = common::config("gke.toml");
    config.endpoint = sim.url();
    // A new project has room for five networks; the suite makes many tenants.
    let limits: serde_json::Map<String, serde_json::Value> =
        QUOTAS.iter().map(|quota| ((*quota).to_owned(), json!(10_000))).collect();
    let quotas = json!({ "account": config.account, "limits": limits });
    let client = reqwest::Client::new();
    let raised = client.post(format!("{}/_sim/quotas", sim.url())).json(&quotas).send().await.unwrap();
    assert!(raised.status().is_success(), "{raised:?}");
    let report = common::run("landlord_plugin_gke", config, cases).await;
    let passed: Vec<&str> =
        report.cases.iter().filter(|case| case.outcome == Outcome::Passed).map(|case| case.name.as_str()).collect();
    assert_eq!(passed, cases, "{}", report.text());
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gke_keeps_the_contract() {
    let others: Vec<&str> = CASES
        .iter()
        .map(|case| case.name)
        .filter(|name| !LOST.contains(name) && !KILLED.contains(name) && !THROTTLED.contains(name))
        .collect();
    conforms(&others).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gke_stands_calls_that_get_lost() {
    conforms(&LOST).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gke_stands_being_killed_at_each_call() {
    conforms(&KILLED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gke_stands_a_throttled_and_a_hanging_cloud() {
    conforms(&THROTTLED).await;
}
