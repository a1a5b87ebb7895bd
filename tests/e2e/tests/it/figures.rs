//! Alerts and dashboards as Prometheus evaluates them: the real one, on what it scraped from a daemon that built a tenant.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    time::{Duration, Instant},
};

use landlord_e2e::{FAST, bare_world};
use landlord_test_harness::{Service, TenantFile, binaries::checkout, cloud::EKS};
use serde_json::Value;

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
    "landlord_tls_reloads_total",
    "landlord_rate_bucket_throttled_total",
    "landlord_rate_queue_deferred_total",
];

/// Alerts about what is slow, which a busy machine is for a moment: they may be about to fire here, and none of them does.
const OF_BUSY_MACHINES: [&str; 2] = ["LandlordRpcSlow", "LandlordStoreSlow"];

/// One that the kernel gave a moment ago.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The real one, which scrapes daemons and evaluates rules every second.
pub(crate) struct Prometheus {
    base: String,
    service: Service,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    /// Starts it, and waits until it has scraped each target (`host:port`) three times, so that rates have two values.
    pub(crate) fn start(programs: &Path, rules: &Path, targets: &[String]) -> Self {
        // A port that is free may be somebody else's a moment later; no machine takes so many.
        let mut tries = (0..5).filter_map(|_| Self::on_a_free_port(programs, rules, targets));
        tries.next().expect("a port for Prometheus")
    }

    /// `None`: somebody else took the port.
    fn on_a_free_port(programs: &Path, rules: &Path, targets: &[String]) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("prometheus.yaml");
        let text = format!(
            "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\nrule_files: ['{}']\nscrape_configs:\n  - job_name: landlord\n    \
             static_configs: [{{ targets: ['{}'] }}]\n",
            rules.display(),
            targets.join("', '")
        );
        fs::write(&config, text).unwrap();
        let base = format!("http://127.0.0.1:{}", free_port());
        let arguments = [
            format!("--config.file={}", config.display()),
            format!("--storage.tsdb.path={}", folder.path().join("data").display()),
            format!("--web.listen-address={}", base.trim_start_matches("http://")),
        ];
        let log = folder.path().join("log");
        let service = Service::start("prometheus", &programs.join("prometheus"), &arguments, &log).unwrap();
        let mut prometheus = Self { base, service, _folder: folder };
        let thrice = format!("/api/v1/query?query={}", escaped("count_over_time(up{job=\"landlord\"}[1m]) >= 3"));
        let deadline = Instant::now() + TIMEOUT;
        let scraped = |found: Value| found["data"]["result"].as_array().map(Vec::len);
        while prometheus.get(&thrice).and_then(scraped) != Some(targets.len()) {
            let log = prometheus.service.log_tail(20);
            if prometheus.service.ended().unwrap().is_some() {
                assert!(log.contains("address already in use"), "{log}");
                return None;
            }
            assert!(Instant::now() < deadline, "{log}");
            std::thread::sleep(Duration::from_millis(200));
        }
        Some(prometheus)
    }

    /// The rules, as soon as each of them was evaluated.
    fn evaluated(&self, deadline: Instant) -> Vec<Value> {
        loop {
            let found = self.get("/api/v1/rules").unwrap();
            let rules = found["data"]["groups"][0]["rules"].as_array().unwrap();
            if rules.iter().all(|rule| rule["health"] != "unknown") {
                return rules.clone();
            }
            assert!(Instant::now() < deadline, "{found}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// The response at a path; `None`: it has none yet.
    pub(crate) fn get(&self, path: &str) -> Option<Value> {
        let text = ureq::get(format!("{}{path}", self.base)).call().ok()?.body_mut().read_to_string().ok()?;
        serde_json::from_str(&text).ok()
    }
}

fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
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
    let log = world.log_tail(10_000);
    let url = log.lines().rfind(|line| line.contains("figures are served")).unwrap().split_once("url=").unwrap().1;
    let target = url.trim_start_matches("http://").trim_end_matches("/metrics").to_owned();
    // What it says of itself, beside the figures.
    for page in ["livez", "readyz"] {
        ureq::get(format!("http://{target}/{page}")).call().unwrap();
    }
    let rules = checkout().join("config/observability/alerts/landlord.yaml");
    let prometheus = Prometheus::start(&programs, &rules, &[target]);
    let deadline = Instant::now() + TIMEOUT;
    let rules = prometheus.evaluated(deadline);
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
