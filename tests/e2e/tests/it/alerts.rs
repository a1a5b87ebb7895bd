//! Every alert as Prometheus raises it when its reason is caused: the shipped expressions over figures of daemons to which it
//! really happens. Only the time that each wants to see it for is shortened, since nobody waits for hours here.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use landlord_e2e::binaries;
use landlord_store_contract::{postgres::Server, proxy::Proxy};
use landlord_test_harness::{
    Replica, TenantFile, World, WorldOptions, binaries::checkout, cloud::EKS, private, process::children,
    simulator::Control,
};
use serde_json::json;

use crate::prometheus::Prometheus;

/// Far above what it takes: a busy machine is no failure.
const TIMEOUT: Duration = Duration::from_secs(180);
/// Long enough that an account which nobody has is seen waiting.
const LEASE: Duration = Duration::from_secs(15);
/// What no daemon without pods can be brought to. `daemon/engine/src/availability.rs` holds the figure to environments that do not
/// respond, and `landlord_test.yaml` the alert to the figure.
const ELSEWHERE: [&str; 1] = ["LandlordEnvironmentUnavailable"];
/// Of the webhook, made for this test.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n";
/// As the rules have it, and as it is here.
const SHORTENED: [(&str, &str); 7] = [
    ("[5m]", "[20s]"),
    ("[15m]", "[20s]"),
    ("[30m]", "[20s]"),
    ("[1h]", "[20s]"),
    ("longest_due_seconds) > 120", "longest_due_seconds) > 2"),
    ("running_seconds) > 10800", "running_seconds) > 2"),
    ("rate(landlord_rate_bucket_throttled_total[20s])) > 0.1", "rate(landlord_rate_bucket_throttled_total[20s])) > 0"),
];

/// The shipped rules, impatient; and their names.
fn impatient(folder: &Path) -> (std::path::PathBuf, BTreeSet<String>) {
    let mut text = fs::read_to_string(checkout().join("config/observability/alerts/landlord.yaml")).unwrap();
    for (shipped, here) in SHORTENED {
        assert!(text.contains(shipped), "no rule has {shipped}");
        text = text.replace(shipped, here);
    }
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().starts_with("for: ")).collect();
    let names = lines.iter().filter_map(|line| line.trim().strip_prefix("- alert: ")).map(str::to_owned).collect();
    let path = folder.join("rules.yaml");
    fs::write(&path, lines.join("\n")).unwrap();
    (path, names)
}

/// A certificate that ends in five days.
fn certificate(folder: &Path) {
    let output = Command::new("date").args(["-u", "-d", "+5 days", "+%Y %m %d"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let [year, month, day]: [u16; 3] =
        text.split_whitespace().map(|part| part.parse().unwrap()).collect::<Vec<_>>().try_into().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["localhost".into()]).unwrap();
    params.not_after = rcgen::date_time_ymd(year.into(), month.try_into().unwrap(), day.try_into().unwrap());
    let key = rcgen::KeyPair::generate().unwrap();
    fs::write(folder.join("tls.crt"), params.self_signed(&key).unwrap().pem()).unwrap();
    private(&folder.join("tls.key"), &key.serialize_pem()).unwrap();
    private(&folder.join("whsec"), SECRET).unwrap();
}

fn configuration(folder: &Path) -> String {
    format!(
        "[engine]\nlease_ttl = '{lease}s'\nretry_timeout = '12h'\n\
         [[server.listeners]]\naddress = '127.0.0.1:0'\n\
         [server.listeners.tls]\ncert_file = '{folder}/tls.crt'\nkey_file = '{folder}/tls.key'\n\
         [webhooks.deaf]\nurl = 'http://127.0.0.1:9/'\ninsecure = true\nallowed_networks = ['127.0.0.0/8']\n\
         secret_file = '{folder}/whsec'\nretry_timeout = '60s'\n",
        lease = LEASE.as_secs(),
        folder = folder.display()
    )
}

/// Daemons, the cloud, and what has fired until now.
struct Scene<'a> {
    prometheus: Prometheus,
    control: &'a Control,
    fired: BTreeSet<String>,
    ordered: usize,
}

impl Scene<'_> {
    fn see(&mut self) {
        let found = self.prometheus.get("/api/v1/alerts").unwrap_or_default();
        let firing =
            found["data"]["alerts"].as_array().into_iter().flatten().filter(|alert| alert["state"] == "firing");
        self.fired.extend(firing.filter_map(|alert| alert["labels"]["alertname"].as_str().map(str::to_owned)));
    }

    /// Until all of these have fired; what happens meanwhile is done again and again.
    fn until(&mut self, alerts: &[&str], mut meanwhile: impl FnMut()) {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            self.see();
            let missing: Vec<&&str> = alerts.iter().filter(|alert| !self.fired.contains(**alert)).collect();
            if missing.is_empty() {
                return;
            }
            assert!(Instant::now() < deadline, "{missing:?} did not fire");
            meanwhile();
            std::thread::sleep(Duration::from_millis(300));
        }
    }

    /// Until all of these have fired under a fault. More is ordered all the while: what was ordered before may call nothing any more,
    /// and of a figure that begins with its first failure only the second one is an increase.
    fn fault(&mut self, replica: &Replica, rule: &serde_json::Value, alerts: &[&str]) {
        self.control.post("faults", rule).unwrap();
        let deadline = Instant::now() + TIMEOUT;
        while !alerts.iter().all(|alert| self.fired.contains(*alert)) {
            assert!(Instant::now() < deadline, "{alerts:?} did not all fire: {:?}", self.fired);
            self.order(replica, 1);
            for _ in 0..5 {
                std::thread::sleep(Duration::from_millis(300));
                self.see();
            }
        }
        self.control.delete("faults").unwrap();
    }

    fn order(&mut self, replica: &Replica, count: usize) {
        for _ in 0..count {
            self.ordered += 1;
            let tenant = TenantFile::new("acme", &format!("t{}", self.ordered), &EKS.bare_class());
            replica.cli.apply(&tenant).unwrap();
        }
    }
}

fn signal(pid: u32, name: &str) {
    assert!(Command::new("kill").args([name, &pid.to_string()]).status().unwrap().success());
}

#[test]
#[ignore = "causes everything that alerts are for: cargo xtask test --long"]
#[expect(clippy::print_stdout, reason = "a skip is shown")]
fn long_every_alert_fires_when_its_reason_is_caused() {
    let programs = match landlord_test_kube::prometheus() {
        Ok(programs) => programs,
        Err(error) => return println!("SKIPPED: alerts by their reasons: {error}"),
    };
    let (runtime, server, folder) =
        (tokio::runtime::Runtime::new().unwrap(), Server::start("alerts"), tempfile::tempdir().unwrap());
    certificate(folder.path());
    let options = WorldOptions {
        time_scale: 1.0 / 20.0,
        store_url: server.database(),
        extra_config: configuration(folder.path()),
        ..WorldOptions::default()
    };
    let mut world = World::temporary(binaries().unwrap(), &options).unwrap();
    assert!(world.stop_daemon().unwrap());
    let proxy = runtime.block_on(Proxy::before(&server));
    let ports = [(); 2].map(|()| format!("127.0.0.1:{}", landlord_test_kube::free_port().unwrap()));
    let start = |name: &str, port: &str, more: &[String]| {
        let port = format!("server.metrics_listen={port}");
        Replica::start(&world, name, &[&[port], more].concat()).unwrap()
    };
    let first = start("first", &ports[0], &[format!("store.url={}", proxy.url(&options.store_url))]);
    let (rules, names) = impatient(folder.path());
    let prometheus = Prometheus::start(&programs, &rules, &ports[..1]);
    let (control, ordered) = (world.simulator().control(), 0);
    // A network that the account has no room for is tried again in minutes, and calls nothing meanwhile.
    control.lift_quotas(EKS.account).unwrap();
    let mut scene = Scene { prometheus, control, fired: BTreeSet::new(), ordered };

    scene.until(&["LandlordCertificateEnds"], || {});
    scene.order(&first, 3);
    scene.until(&["LandlordOperationStuck", "LandlordWebhookFails"], || {});
    private(&folder.path().join("whsec"), "no secret\n").unwrap();
    scene.until(&["LandlordWebhookSecretUnusable"], || {});
    private(&folder.path().join("whsec"), SECRET).unwrap();
    scene.fault(&first, &json!({"kind": "throttle", "rate": 0.5}), &["LandlordThrottled"]);
    let denied = json!({"code": "AccessDeniedException", "status": 403, "message": "no"});
    let denied = json!({"kind": "error", "error": denied});
    scene.fault(&first, &denied, &["LandlordEnvironmentsFailed", "LandlordStagesFail"]);
    scene.fault(&first, &json!({"kind": "lost_request"}), &["LandlordProviderNotResponding"]);
    scene.order(&first, 3);
    let plugins = || children(first.service.pid()).into_iter().for_each(|child| signal(child, "-KILL"));
    scene.until(&["LandlordPluginRestarts"], plugins);
    fs::write(folder.path().join("tls.crt"), "no certificate").unwrap();
    scene.until(&["LandlordTlsReloadFails"], || {});
    proxy.silence();
    scene.until(&["LandlordStoreSilent"], || {});
    let away = ["LandlordStoreNotWritable", "LandlordRpcErrors", "LandlordRpcSlow", "LandlordStoreSlow"];
    proxy.close();
    scene.until(&away[..2], || {
        let _ = first.cli.tenant("customers/acme/tenants/t1");
    });
    proxy.open();
    scene.until(&away, || {
        let _ = first.cli.tenant("customers/acme/tenants/t1");
    });
    // Work that is taken over while it goes on, and work that waits until its daemon's lease is over.
    certificate(folder.path());
    scene.order(&first, 40);
    // Calls are under way when their daemon is paused.
    scene.control.post("faults", &json!({"kind": "delay", "delay_ms": 3_000})).unwrap();
    let second = start("second", &ports[1], &[]);
    // The other one has the work then; it is paused in turn, so that whoever is measured has it again.
    let mut pids = [first.service.pid(), second.service.pid()].into_iter().cycle();
    scene.until(&["LandlordLeasesLost"], || {
        let pid = pids.next().unwrap();
        signal(pid, "-STOP");
        std::thread::sleep(LEASE + Duration::from_secs(3));
        signal(pid, "-CONT");
        std::thread::sleep(Duration::from_secs(2));
    });
    drop(second);
    scene.until(&["LandlordWorkOverdue", "LandlordWebhookParked"], || {});
    drop(first);
    scene.until(&["LandlordDown"], || {});
    let silent: Vec<&String> = names.difference(&scene.fired).collect();
    assert_eq!(silent, ELSEWHERE, "these never fired");
}
