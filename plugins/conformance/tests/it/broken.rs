//! Providers over HTTP with one thing wrong each: the cases that are about it fail, and no others.

#[path = "../../../../examples/provider-template/examples/nimbus/server.rs"]
mod server;

use crate::common;
use std::{path::Path, time::Duration};

use landlord_conformance::{Config, Outcome, Report};
use serde_json::json;

/// Cases that say nothing about the defects here, and take their time; the last three need the cloud's other API.
const OTHERS: [&str; 9] =
    ["describe", "versions", "garbage", "configure", "validate", "name-taken", "failed-objects", "duplicates", "keys"];

async fn judged(defect: &str) -> Report {
    let names = landlord_conformance::CASES.iter().map(|case| case.name);
    judged_by(defect, &names.filter(|name| !OTHERS.contains(name)).collect::<Vec<_>>()).await
}

async fn judged_by(defect: &str, only: &[&str]) -> Report {
    judged_with("conformance.toml", defect, only, |_| {}).await
}

async fn judged_with(file: &str, defect: &str, only: &[&str], change: impl FnOnce(&mut Config)) -> Report {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/provider-template").join(file);
    let mut config = Config::read(&path).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    config.endpoint = format!("http://{}", listener.local_addr().unwrap());
    config.provider.insert("project".into(), json!(defect));
    config.crash_every_call = false;
    // Where a defect leaves something, its lists are not late.
    config.settle_ms = 1_000;
    // Whoever is not landlord works in the same project.
    for duplicate in &mut config.duplicate {
        duplicate.plant.url = duplicate.plant.url.replace("/conformance/", &format!("/{defect}/"));
    }
    change(&mut config);
    let options = server::Options {
        token: config.credential["token"].as_str().unwrap().to_owned(),
        making: Duration::from_millis(5),
        deleting: Duration::from_millis(5),
    };
    let mut cloud = tokio::task::JoinSet::new();
    cloud.spawn(async move { axum::serve(listener, server::router(options)).await });
    common::run("landlord_plugin_broken", config, only).await
}

async fn fails(defect: &str, expected: &[&str], states: &str) {
    let report = judged(defect).await;
    assert_eq!(report.failed(), expected, "{}", report.text());
    let first = report.cases.iter().find(|case| case.outcome == Outcome::Failed).unwrap();
    assert!(first.detail.contains(states), "{}", report.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_defect_everything_passes() {
    let report = judged("none").await;
    assert_eq!(report.count(Outcome::Passed), report.cases.len(), "{}", report.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_makes_another_object_after_a_lost_response_is_reported() {
    let expected = ["lost-request", "lost-answer", "cut-answer"];
    fails("renames-after-error", &expected, "nimbus/pools (default-x): 1 instead of 0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_does_not_adopt_is_reported() {
    let report = judged("forgetful").await;
    let failed = report.failed();
    // Whether two processes at once find each other's pool is a matter of who comes first.
    let certain: Vec<&str> = failed.into_iter().filter(|name| *name != "concurrency").collect();
    assert_eq!(certain, ["adopt", "shared-cluster", "crash"], "{}", report.text());
    assert!(report.text().contains("nimbus/pools (default-x): 1 instead of 0"), "{}", report.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_hammers_a_throttled_cloud_is_reported() {
    fails("hammers", &["throttling"], "while it was throttled").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_does_not_end_when_cancelled_is_reported() {
    fails("deaf", &["deadlines"], "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_reports_less_or_more_than_there_is_is_reported() {
    for (defect, case, states) in [
        ("nothing", "observe", "observe addons is Ready and names no object"),
        ("made-up", "observe", "which list_owned does not show"),
        ("short", "inventory", "list_owned of the installation: nimbus/pools (default): 0 instead of 1"),
    ] {
        let report = judged_by(defect, &["inventory", "observe"]).await;
        assert_eq!(report.failed(), [case], "{defect}: {}", report.text());
        assert!(report.text().contains(states), "{defect}: {}", report.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_drops_taints_is_reported() {
    fails("drops-taints", &["node-pool"], "the taint \"conformance.example/only\"").await;
}

const WITH_IDS: [&str; 8] =
    ["lifecycle", "inventory", "observe", "adopt", "delete-midway", "failed-objects", "duplicates", "keys"];

#[tokio::test(flavor = "multi_thread")]
async fn one_that_buries_failures_is_reported() {
    let short = |config: &mut Config| config.stage_timeout_s = 5;
    let report = judged_with("conformance-ids.toml", "buries", &WITH_IDS, short).await;
    assert_eq!(report.failed(), ["failed-objects"], "{}", report.text());
    assert!(report.text().contains("its failure was never reported"), "{}", report.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_carries_no_key_is_reported() {
    // Where the key is searched for there is none.
    let elsewhere = |config: &mut Config| config.outside.key[0].field = "clientToken".into();
    let report = judged_with("conformance-ids.toml", "none", &WITH_IDS, elsewhere).await;
    assert_eq!(report.failed(), ["keys"], "{}", report.text());
    assert!(report.text().contains("carries no idempotency key"), "{}", report.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_leaves_a_twin_is_reported() {
    // The first API's provider searches for one name only.
    let twin = |config: &mut Config| {
        config.stage_timeout_s = 3;
        let plant = landlord_conformance::config::Hook {
            method: "PUT".into(),
            url: "{endpoint}/v1/projects/twin/networks/landlord-{uid}-twin".into(),
            headers: [
                ("content-type".to_owned(), "application/json".to_owned()),
                ("authorization".to_owned(), "Bearer nimbus-token-5d0f82b1".to_owned()),
            ]
            .into(),
            body: r#"{"labels": {"landlord-installation": "{installation}", "landlord-tenant-uid": "{uid}",
                "landlord-role": "network"}, "spec": {}}"#
                .into(),
            ..landlord_conformance::config::Hook::default()
        };
        config.duplicate = vec![landlord_conformance::config::Duplicate { stage: "network".into(), plant }];
    };
    let report = judged_with("conformance.toml", "twin", &["lifecycle", "duplicates"], twin).await;
    assert_eq!(report.failed(), ["duplicates"], "{}", report.text());
    assert!(report.text().contains("beside its twin"), "{}", report.text());
}
