//! Providers over HTTP with one thing wrong each: the cases that are about it fail, and no others.

#[path = "../../../../examples/provider-template/examples/nimbus/server.rs"]
mod server;

use crate::common;
use std::{path::Path, time::Duration};

use landlord_conformance::{Config, Outcome, Report};
use serde_json::json;

/// Cases that say nothing about the defects here, and take their time.
const OTHERS: [&str; 6] = ["describe", "versions", "garbage", "configure", "validate", "name-taken"];

async fn judged(defect: &str) -> Report {
    let names = landlord_conformance::CASES.iter().map(|case| case.name);
    judged_by(defect, &names.filter(|name| !OTHERS.contains(name)).collect::<Vec<_>>()).await
}

async fn judged_by(defect: &str, only: &[&str]) -> Report {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/provider-template/conformance.toml");
    let mut config = Config::read(&path).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    config.endpoint = format!("http://{}", listener.local_addr().unwrap());
    config.provider.insert("project".into(), json!(defect));
    config.crash_every_call = false;
    // Where a defect leaves something, its lists are not late.
    config.settle_ms = 1_000;
    let options = server::Options {
        token: config.credential["token"].as_str().unwrap().to_owned(),
        making: Duration::from_millis(5),
        deleting: Duration::from_millis(5),
    };
    let mut cloud = tokio::task::JoinSet::new();
    cloud.spawn(async move { axum::serve(listener, server::router(options)).await });
    common::run("landlord_plugin_broken", config, only).await
}

async fn fails(defect: &str, expected: &[&str], says: &str) {
    let report = judged(defect).await;
    assert_eq!(report.failed(), expected, "{}", report.text());
    let first = report.cases.iter().find(|case| case.outcome == Outcome::Failed).unwrap();
    assert!(first.detail.contains(says), "{}", report.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_defect_everything_passes() {
    let report = judged("none").await;
    assert_eq!(report.count(Outcome::Passed), report.cases.len(), "{}", report.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_makes_another_object_after_a_lost_answer_is_told() {
    let expected = ["lost-request", "lost-answer", "cut-answer"];
    fails("renames-after-error", &expected, "nimbus/pools (default-x): 1 instead of 0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_does_not_adopt_is_told() {
    let report = judged("forgetful").await;
    let failed = report.failed();
    // Whether two processes at once find each other's pool is a matter of who comes first.
    let certain: Vec<&str> = failed.into_iter().filter(|name| *name != "concurrency").collect();
    assert_eq!(certain, ["adopt", "crash"], "{}", report.text());
    assert!(report.text().contains("nimbus/pools (default-x): 1 instead of 0"), "{}", report.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_hammers_a_throttled_cloud_is_told() {
    fails("hammers", &["throttling"], "while it was throttled").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_does_not_end_when_cancelled_is_told() {
    fails("deaf", &["deadlines"], "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_tells_less_or_more_than_there_is_is_told() {
    for (defect, case, says) in [
        ("nothing", "observe", "observe addons is Ready and names no object"),
        ("made-up", "observe", "which list_owned does not show"),
        ("short", "inventory", "list_owned of the installation: nimbus/pools (default): 0 instead of 1"),
    ] {
        let report = judged_by(defect, &["inventory", "observe"]).await;
        assert_eq!(report.failed(), [case], "{defect}: {}", report.text());
        assert!(report.text().contains(says), "{defect}: {}", report.text());
    }
}
