//! The suite against the EKS provider and ministack, a simulated AWS made by others: what this project's own simulator and
//! the plugin might both have misread. What ministack does not allow is skipped in the configuration with the reason; a
//! test sees that it still does not. Each group of cases has a ministack of its own; together they are all cases.

#![expect(clippy::print_stderr, reason = "what is left out must be seen")]

use crate::common;
use std::{
    collections::BTreeMap,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use landlord_conformance::{CASES, Config, Outcome};

/// A Python server needs some seconds to import everything.
const START_TIMEOUT: Duration = Duration::from_secs(120);

const LOST: [&str; 3] = ["lost-request", "lost-answer", "cut-answer"];
const KILLED: [&str; 1] = ["crash"];
const THROTTLED: [&str; 2] = ["throttling", "deadlines"];
const SEVERAL: [&str; 3] = ["adopt", "concurrency", "neighbours"];
/// What is not allowed, and what the case finds for it.
const LACKING: [(&str, &str); 3] = [
    ("inventory", "AWS::EKS::Cluster (cluster): 0 instead of 1"),
    ("node-pool", "UpdateNodegroupConfig of landlord-default failed: No route"),
    ("observe", "observe addons names AWS::EKS::Addon"),
];

/// A server; it ends with the test.
struct Ministack {
    child: Child,
    url: String,
    _folder: tempfile::TempDir,
}

impl Drop for Ministack {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ministack {
    async fn start() -> Self {
        let requirements = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ministack/requirements.txt");
        let python = tokio::task::spawn_blocking(move || landlord_test_kube::python_env(&requirements)).await;
        let port = landlord_test_kube::free_port().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let child = Command::new(python.unwrap().unwrap())
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ministack/serve.py"))
            .env("GATEWAY_PORT", port.to_string())
            .env("MINISTACK_HOST", "127.0.0.1")
            .env("BIND_HOST", "127.0.0.1")
            .env("IOT_MTLS_ENABLED", "0")
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { child, url: format!("http://127.0.0.1:{port}"), _folder: folder };
        let start = Instant::now();
        while reqwest::get(&server.url).await.is_err() {
            assert!(start.elapsed() < START_TIMEOUT, "ministack does not respond at {}", server.url);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        server
    }

    fn config(&self) -> Config {
        let mut config = common::config("eks-ministack.toml");
        config.endpoint.clone_from(&self.url);
        config
    }
}

/// Cases of which the configuration says nothing.
const UNCONFIGURED: [&str; 3] = ["failed-objects", "duplicates", "keys"];

async fn conforms(cases: &[&str]) {
    let server = Ministack::start().await;
    let config = server.config();
    let reasons: BTreeMap<String, String> = config.skip.iter().map(|s| (s.case.clone(), s.reason.clone())).collect();
    assert_eq!(reasons.keys().collect::<Vec<_>>(), LACKING.map(|(case, _)| case), "what is not allowed");
    let report = common::run("landlord_plugin_eks", config, cases).await;
    for case in &report.cases {
        match reasons.get(&case.name) {
            // Nothing in it fails on demand, and its names are unique.
            None if UNCONFIGURED.contains(&case.name.as_str()) => assert_eq!(case.outcome, Outcome::Skipped),
            None => assert_eq!(case.outcome, Outcome::Passed, "{}", report.text()),
            // The report says why it was left out.
            Some(reason) => {
                assert_eq!((case.outcome, &case.detail), (Outcome::Skipped, reason), "{}", report.text());
                eprintln!("SKIPPED: EKS against ministack, case {}: {reason}", case.name);
            }
        }
    }
    assert_eq!(report.cases.len(), cases.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn eks_keeps_the_contract_on_ministack() {
    let apart = [LOST.as_slice(), &KILLED, &THROTTLED, &SEVERAL].concat();
    let others = CASES.iter().map(|case| case.name).filter(|name| !apart.contains(name));
    conforms(&others.collect::<Vec<_>>()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn eks_is_many_on_ministack() {
    conforms(&SEVERAL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn eks_stands_calls_that_get_lost_on_ministack() {
    conforms(&LOST).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn eks_stands_being_killed_at_each_call_on_ministack() {
    conforms(&KILLED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn eks_stands_throttling_on_ministack() {
    conforms(&THROTTLED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ministack_lacks_it_still_lacks() {
    let server = Ministack::start().await;
    let mut config = server.config();
    config.skip.clear();
    config.settle_ms = 200;
    let report = common::run("landlord_plugin_eks", config, &LACKING.map(|(case, _)| case)).await;
    for (case, finds) in LACKING {
        let found = report.cases.iter().find(|found| found.name == case).unwrap();
        let problem = format!("ministack no longer lacks it: take the skip of {case} out of eks-ministack.toml");
        assert!(found.outcome == Outcome::Failed && found.detail.contains(finds), "{problem}\n{}", report.text());
    }
}
