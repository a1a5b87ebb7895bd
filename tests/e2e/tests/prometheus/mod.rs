//! The real Prometheus over daemons of a test: it scrapes and evaluates every second. Knows no daemon and no rule.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use landlord_test_harness::{Service, World};
use landlord_test_kube::free_port;
use serde_json::Value;

/// Far above what it takes: a busy machine is no failure.
const TIMEOUT: Duration = Duration::from_secs(180);

/// The real one, which scrapes daemons and evaluates rules every second.
pub(crate) struct Prometheus {
    base: String,
    service: Service,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    /// Starts it, and waits until it has scraped each target (`host:port`) three times, so that rates have two values.
    pub(crate) fn start(programs: &Path, rules: &Path, targets: &[String]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("prometheus.yaml");
        let text = format!(
            "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\nrule_files: ['{}']\nscrape_configs:\n  - job_name: landlord\n    \
             static_configs: [{{ targets: ['{}'] }}]\n",
            rules.display(),
            targets.join("', '")
        );
        fs::write(&config, text).unwrap();
        let base = format!("http://127.0.0.1:{}", free_port().unwrap());
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
            assert!(prometheus.service.ended().unwrap().is_none() && Instant::now() < deadline, "{log}");
            std::thread::sleep(Duration::from_millis(200));
        }
        prometheus
    }

    /// The response at a path; `None`: it has none yet.
    pub(crate) fn get(&self, path: &str) -> Option<Value> {
        let text = ureq::get(format!("{}{path}", self.base)).call().ok()?.body_mut().read_to_string().ok()?;
        serde_json::from_str(&text).ok()
    }
}

/// As part of a query of a URL.
pub(crate) fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

/// Where a world's daemon serves its figures, as `host:port`.
pub(crate) fn target(world: &World) -> String {
    let log = world.log_tail(10_000);
    let url = log.lines().rfind(|line| line.contains("figures are served")).unwrap().split_once("url=").unwrap().1;
    url.trim_start_matches("http://").trim_end_matches("/metrics").to_owned()
}
