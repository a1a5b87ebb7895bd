//! The suite against the AKS provider and the simulated Azure. The cases run in groups side by side: most of the time goes by
//! in the SDK's pauses between its two attempts. Together the groups are all cases.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use cloudsim::{Options, Simulator};
use landlord_conformance::{CASES, Outcome};

/// As in the configuration: a lifecycle takes a second or two.
const SCALE: f64 = 0.0005;

const LOST: [&str; 3] = ["lost-request", "lost-answer", "cut-answer"];
const KILLED: [&str; 1] = ["crash"];
const THROTTLED: [&str; 2] = ["throttling", "deadlines"];

async fn conforms(cases: &[&str]) {
    let options = Options { time_scale: SCALE, seed: 7, no_throttle: true, ..Options::default() };
    let sim = Simulator::start(options).await.unwrap();
    let mut config = common::config("aks.toml");
    config.endpoint = sim.url();
    let report = common::run("landlord_plugin_aks", config, cases).await;
    let passed: Vec<&str> =
        report.cases.iter().filter(|case| case.outcome == Outcome::Passed).map(|case| case.name.as_str()).collect();
    assert_eq!(passed, cases, "{}", report.text());
    sim.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aks_keeps_the_contract() {
    let others: Vec<&str> = CASES
        .iter()
        .map(|case| case.name)
        .filter(|name| !LOST.contains(name) && !KILLED.contains(name) && !THROTTLED.contains(name))
        .collect();
    conforms(&others).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aks_stands_calls_that_get_lost() {
    conforms(&LOST).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aks_stands_being_killed_at_each_call() {
    conforms(&KILLED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aks_stands_a_throttled_and_a_hanging_cloud() {
    conforms(&THROTTLED).await;
}
