//! The suite against the in-memory provider: whole, it passes; with a defect, the case that is about it fails.

use crate::common;
use crate::common::{fake, run};
use landlord_conformance::Outcome;

#[tokio::test]
async fn the_fake_provider_conforms() {
    let dir = tempfile::tempdir().unwrap();
    let report = run("landlord_plugin_fake", fake(dir.path(), &[]), &[]).await;
    assert!(report.failed().is_empty(), "{}", report.text());
    let skipped: Vec<&str> =
        report.cases.iter().filter(|case| case.outcome == Outcome::Skipped).map(|case| case.name.as_str()).collect();
    let without_http = [
        "node-pool",
        "failed-objects",
        "duplicates",
        "keys",
        "lost-request",
        "lost-answer",
        "cut-answer",
        "crash",
        "throttling",
        "deadlines",
        "name-taken",
    ];
    assert_eq!(skipped, without_http, "{}", report.text());
}

async fn fails(defect: &str, expected: &[&str], states: &str) {
    let dir = tempfile::tempdir().unwrap();
    let report = run("landlord_plugin_fake", fake(dir.path(), &[defect]), &[]).await;
    assert_eq!(report.failed(), expected, "{}", report.text());
    let first = report.cases.iter().find(|case| case.outcome == Outcome::Failed).unwrap();
    assert!(first.detail.contains(states), "{}", report.text());
}

#[tokio::test]
async fn one_that_makes_things_twice_is_reported() {
    fails("forgetful", &["adopt", "concurrency", "shared-cluster"], "fake/network (network): 2 instead of 1").await;
}

#[tokio::test]
async fn one_that_makes_nothing_proves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let report = run("landlord_plugin_fake", fake(dir.path(), &["makes-nothing"]), &[]).await;
    let failed = report.failed();
    for case in ["lifecycle", "inventory", "observe", "idempotency", "adopt", "concurrency", "neighbours"] {
        assert!(failed.contains(&case), "{case} passes with a plugin that makes nothing:\n{}", report.text());
    }
    let case = report.cases.iter().find(|case| case.name == "neighbours").unwrap();
    assert!(case.detail.contains("nothing is proved"), "{}", report.text());
}

#[tokio::test]
async fn one_that_takes_a_shared_cluster_along_is_reported() {
    fails("takes-the-host", &["shared-cluster"], "of the host after its tenants went").await;
}

#[tokio::test]
async fn one_that_completes_a_call_twice_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = fake(dir.path(), &[]);
    let fault = serde_json::json!([{"method": "Describe", "action": "twice"}]);
    config.provider.insert("faults".into(), fault);
    // All but the case that calls Describe for another reason.
    let names = landlord_conformance::CASES.iter().map(|case| case.name);
    let report =
        run("landlord_plugin_fake", config, &names.filter(|name| *name != "describe").collect::<Vec<_>>()).await;
    assert_eq!(report.failed(), ["completions"], "{}", report.text());
    assert!(report.text().contains("a second time"), "{}", report.text());
}

#[tokio::test]
async fn one_that_forgets_a_marker_is_reported() {
    fails("forgets-marker", &["inventory"], "cluster is ready and list_owned shows nothing new").await;
}

#[tokio::test]
async fn one_that_can_not_delete_what_is_absent_is_reported() {
    let expected = ["delete-absent", "lifecycle"];
    let dir = tempfile::tempdir().unwrap();
    let report = run("landlord_plugin_fake", fake(dir.path(), &["absent-is-an-error"]), &expected).await;
    assert!(report.failed().contains(&"delete-absent"), "{}", report.text());
    let case = report.cases.iter().find(|case| case.name == "delete-absent").unwrap();
    assert!(case.detail.contains("of a tenant that never was"), "{}", report.text());
}

#[tokio::test]
async fn one_that_prints_its_credential_is_reported() {
    fails("prints-credential", &["secrets"], "[the secret]").await;
}

#[tokio::test]
async fn one_that_hands_out_garbage_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = fake(dir.path(), &[]);
    let fault = serde_json::json!([{"method": "ListOwned", "action": "garbage"}]);
    config.provider.insert("faults".into(), fault);
    let report = run("landlord_plugin_fake", config, &["lifecycle"]).await;
    assert_eq!(report.failed(), ["lifecycle"], "{}", report.text());
}

#[tokio::test]
async fn a_run_that_can_not_begin_gives_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let options = common::options("landlord_plugin_fake", fake(dir.path(), &[]), &["no-such-case"]);
    let problem = landlord_conformance::run(options, |_| {}).await.unwrap_err();
    assert!(problem.contains("no-such-case") && problem.contains("delete-absent"), "{problem}");
}
