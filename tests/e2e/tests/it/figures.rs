//! Alerts and dashboards as Prometheus evaluates them: the real one, on what it scraped from a daemon that built a tenant.

use std::{
    collections::BTreeSet,
    fs,
    time::{Duration, Instant},
};

use landlord_e2e::{FAST, bare_world};
use landlord_test_harness::{TenantFile, binaries::checkout, cloud::EKS};
use serde_json::Value;

use crate::prometheus::{Prometheus, escaped, target};

/// Far above what it takes: a busy machine is no failure.
const TIMEOUT: Duration = Duration::from_secs(180);

/// Metrics that only what did not happen here has: throttling, and a TLS listener.
const NOT_HERE: [&str; 11] = [
    // There is no webhook.
    "landlord_webhook_held_tenants",
    "landlord_webhook_missed_total",
    "landlord_webhook_parked_total",
    "landlord_webhook_secret_unusable",
    // There are no apps, and so no Helm.
    "landlord_helm_run_duration_seconds_bucket",
    "landlord_helm_run_duration_seconds_count",
    "landlord_helm_runs_waiting",
    "landlord_tls_certificate_expiry_seconds",
    "landlord_tls_certificate_lifetime_seconds",
    "landlord_tls_reloads_total",
    "landlord_rate_bucket_throttled_total",
    "landlord_rate_queue_deferred_total",
];

/// Alerts about what is slow, which a busy machine is for a moment: they may be about to fire here, and none of them does.
const OF_BUSY_MACHINES: [&str; 2] = ["LandlordRpcSlow", "LandlordStoreSlow"];

/// The rules, as soon as each of them was evaluated.
fn evaluated(prometheus: &Prometheus, deadline: Instant) -> Vec<Value> {
    loop {
        let found = prometheus.get("/api/v1/rules").unwrap();
        let rules = found["data"]["groups"][0]["rules"].as_array().unwrap();
        if rules.iter().all(|rule| rule["health"] != "unknown") {
            return rules.clone();
        }
        assert!(Instant::now() < deadline, "{found}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Expressions of the panels, with what Grafana puts into them.
fn panels() -> Vec<(String, String)> {
    let file = checkout().join("config/observability/dashboards/landlord.json");
    let dashboard: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let of = |panel: &Value| -> Vec<(String, String)> {
        let title = panel["title"].as_str().unwrap_or_default().to_owned();
        let targets = panel["targets"].as_array().cloned().unwrap_or_default();
        targets.iter().filter_map(|target| Some((title.clone(), target["expr"].as_str()?.to_owned()))).collect()
    };
    dashboard["panels"].as_array().unwrap().iter().flat_map(of).collect()
}

/// Names of metrics in an expression.
fn names(expression: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    expression.split(|c| !is_part(c)).filter(|word| word.starts_with("landlord_")).map(str::to_owned).collect()
}

#[test]
#[expect(clippy::print_stdout, reason = "a skip is shown")]
fn prometheus_evaluates_every_rule_and_query_on_a_real_run() {
    let programs = match landlord_test_kube::prometheus() {
        Ok(programs) => programs,
        Err(error) => {
            println!("SKIPPED: rules and queries on a real run: {error}");
            return;
        }
    };
    let world = bare_world(&EKS, FAST).unwrap();
    let tenant = TenantFile::new("acme", "t", &EKS.bare_class());
    world.cli().apply(&tenant).unwrap();
    world.cli().wait_for(&tenant.name(), "READY", TIMEOUT).unwrap();
    let target = target(&world);
    // What it says of itself, beside the figures.
    for page in ["livez", "readyz"] {
        ureq::get(format!("http://{target}/{page}")).call().unwrap();
    }
    let rules = checkout().join("config/observability/alerts/landlord.yaml");
    let prometheus = Prometheus::start(&programs, &rules, &[target]);
    let deadline = Instant::now() + TIMEOUT;
    let rules = evaluated(&prometheus, deadline);
    assert!(rules.len() > 10, "{rules:?}");
    let mut asked: BTreeSet<String> = BTreeSet::new();
    for rule in &rules {
        assert_eq!(rule["health"], "ok", "{rule}");
        // Nothing is wrong here.
        let is_of_busy_machines = OF_BUSY_MACHINES.iter().any(|name| rule["name"] == *name);
        assert!(rule["state"] == "inactive" || is_of_busy_machines && rule["state"] == "pending", "{rule}");
        asked.extend(names(rule["query"].as_str().unwrap()));
    }
    for (panel, expression) in panels() {
        let answer = prometheus.get(&format!("/api/v1/query?query={}", escaped(&expression)));
        let answer = answer.unwrap_or_else(|| panic!("{panel}: {expression}"));
        assert_eq!(answer["status"], "success", "{panel}: {expression}: {answer}");
        asked.extend(names(&expression));
    }
    // Some are sampled every 10 s, and then scraped.
    loop {
        let known = prometheus.get("/api/v1/label/__name__/values").unwrap();
        let known: BTreeSet<&str> = known["data"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        let missing: Vec<&String> =
            asked.iter().filter(|name| !known.contains(name.as_str()) && !NOT_HERE.contains(&name.as_str())).collect();
        if missing.is_empty() {
            break;
        }
        assert!(Instant::now() < deadline, "a real run has no {missing:?}");
        std::thread::sleep(Duration::from_millis(500));
    }
}
