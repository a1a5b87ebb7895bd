//! What a READY environment on a real node ceases to do, as its customer would notice: `Available` is false with the cause, the shipped
//! alert fires in a real Prometheus, and both end by themselves once it is mended. Times are printed, and bounded by beats.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    sync::OnceLock,
    time::{Duration, Instant, SystemTime},
};

use landlord_test_harness::{TenantFile, binaries::checkout, judge};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::{Value, json};

use crate::{
    broken,
    prometheus::{Prometheus, target},
    scene::{PATIENCE, Scene, signal},
};

/// The shortest that `availability.interval` may be; a minute as shipped.
const BEAT: Duration = Duration::from_secs(10);
/// What the daemon of these tests is configured with: resyncs are as seldom as shipped, so that none of them sees or mends anything here.
pub(crate) const CONFIG: &str = "[availability]\ninterval = '10s'\n";
/// From when something is broken until it shows: a Gateway that is given another certificate, a process that ends.
const EFFECT: Duration = Duration::from_secs(20);
/// A look ends within it.
const LOOK: Duration = Duration::from_secs(5);
/// Two beats are missed, whatever the moment at which it breaks.
const BY_LOOKS: Duration = Duration::from_secs(2 * BEAT.as_secs() + LOOK.as_secs() + EFFECT.as_secs());
/// The same of what the stack's own program finds out before it is asked (`HEALTH_SECONDS` of documents.py, and one request).
const BY_HEALTH: Duration = Duration::from_secs(20 + BY_LOOKS.as_secs());
/// The rule's own two beats, one until the figure is counted again, and a scrape.
const BY_ALERT: Duration = Duration::from_secs(3 * BEAT.as_secs() + 5);
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// Between two blows to something that gets up by itself.
const BLOW_INTERVAL: Duration = Duration::from_secs(2);
const ALERT: &str = "LandlordEnvironmentUnavailable";
/// Of the file server's volume: by HTTP it takes no file that would leave less than 1 GiB, by SFTP as many as there is room for.
const DISK: &str = "1300M";
/// What a certificate lasts that ends while it is served: the Gateway has it long before.
const LAST: Duration = Duration::from_secs(40);
/// Who vouches for it.
static ISSUER: OnceLock<CertifiedIssuer<'static, KeyPair>> = OnceLock::new();

/// Something that breaks.
struct Case {
    what: &'static str,
    /// Any of them stands in the condition's message.
    causes: &'static [&'static str],
    within: Duration,
    break_it: fn(&Scene, &TenantFile),
    /// Done again and again while it is to stay broken: Kubernetes brings it back within a beat.
    again: fn(&Scene, &TenantFile),
    mend_it: fn(&Scene, &TenantFile),
}

const CASES: [Case; 5] = [
    Case {
        what: "an app killed",
        causes: &["chat: it answers 503", "chat: it answers 500"],
        within: BY_LOOKS,
        break_it: |_, _| {},
        again: |_, tenant| {
            // It is away while it starts.
            let _ = signal("-KILL", "open_webui.main:app", &format!("https://chat.{}", tenant.domain));
        },
        mend_it: |_, _| {},
    },
    Case {
        what: "a Gateway's pod gone",
        causes: &["files: "],
        within: BY_LOOKS,
        break_it: |_, _| {},
        again: |scene, tenant| {
            let gone = ["delete", "pods", "--all", "--grace-period=0", "--force"];
            scene.in_namespace(tenant, "landlord-gateway", &gone);
        },
        mend_it: |_, _| {},
    },
    Case {
        what: "a certificate expired",
        causes: &["certificate expired", "its certificate has ended"],
        within: BY_LOOKS,
        break_it: certificate_ends,
        again: |_, _| {},
        mend_it: |scene, tenant| (broken::case("an expired certificate").mend_it)(scene, tenant),
    },
    Case {
        what: "a model removed",
        causes: &["chat: it answers 503: the LLM service: the model smollm2:latest is missing"],
        within: BY_HEALTH,
        break_it: |scene, tenant| (broken::case("the model missing").break_it)(scene, tenant),
        again: |_, _| {},
        mend_it: |scene, tenant| (broken::case("the model missing").mend_it)(scene, tenant),
    },
    Case {
        what: "a volume filled",
        causes: &["chat: it answers 503: the file server: its volume is full"],
        within: BY_HEALTH,
        // Until nothing more is taken, with little that is really written: that would delay whatever else uses this machine's disk.
        break_it: |scene, tenant| {
            let script = "i=0; while fallocate -l 50M files/fills-$i.bin; do i=$((i + 1)); done; cat /dev/zero > files/fills.bin || true";
            on_disk(scene, tenant, script);
        },
        again: |_, _| {},
        mend_it: |scene, tenant| on_disk(scene, tenant, "rm files/fills*.bin"),
    },
];

/// Breaks one after another.
pub(crate) fn each_is_seen(scene: &Scene, tenant: &TenantFile) {
    let programs = landlord_test_kube::prometheus().unwrap();
    let prometheus = Prometheus::start(&programs, &rules(scene), &[target(&scene.world)]);
    small_disk(scene, tenant);
    for case in &CASES {
        until_whole(scene, tenant, &prometheus);
        one_is_seen(scene, tenant, &prometheus, case);
    }
}

fn one_is_seen(scene: &Scene, tenant: &TenantFile, prometheus: &Prometheus, case: &Case) {
    (case.break_it)(scene, tenant);
    let (broken_at, mut blow, mut seen_after) = (Instant::now(), None::<Instant>, None);
    let alerted_after = loop {
        if blow.is_none_or(|at| at.elapsed() > BLOW_INTERVAL) {
            (case.again)(scene, tenant);
            blow = Some(Instant::now());
        }
        let after = broken_at.elapsed();
        let is_late = match seen_after {
            None => match available(scene, tenant) {
                // What breaks it may also delay something for a moment, which is seen first; the cause stands there in time.
                Some((false, message)) if case.causes.iter().any(|cause| message.contains(cause)) => {
                    scene.say(&format!(
                        "{}: Available is false after {:.1} s: {message}",
                        case.what,
                        after.as_secs_f64()
                    ));
                    seen_after = Some(after);
                    false
                }
                Some(_) | None => after > case.within,
            },
            Some(_) if fires(prometheus) => break after,
            Some(seen_after) => after > seen_after + BY_ALERT,
        };
        assert!(!is_late, "{} is not seen after {after:?}: {}", case.what, described(scene, tenant));
        std::thread::sleep(LOOK_INTERVAL);
    };
    scene.say(&format!("{}: {ALERT} fires after {:.1} s", case.what, alerted_after.as_secs_f64()));
    let mended_at = Instant::now();
    (case.mend_it)(scene, tenant);
    until_available(scene, tenant);
    let back_after = mended_at.elapsed().as_secs_f64();
    until(scene, tenant, "the alert ends", || !fires(prometheus));
    let quiet_after = mended_at.elapsed().as_secs_f64();
    scene.say(&format!(
        "{}: back by itself {back_after:.1} s after it was mended, the alert over after {quiet_after:.1} s",
        case.what
    ));
}

/// The condition, with its message; `None`: nothing is known.
fn available(scene: &Scene, tenant: &TenantFile) -> Option<(bool, String)> {
    let record = scene.cli().tenant(&tenant.name()).unwrap().unwrap();
    let conditions = record["conditions"].as_array().unwrap();
    let condition = conditions.iter().find(|condition| condition["type"] == "Available")?;
    Some((condition["status"] == true, judge::text(condition, "message").to_owned()))
}

fn fires(prometheus: &Prometheus) -> bool {
    let found = prometheus.get("/api/v1/alerts").unwrap_or_default();
    let mut alerts = found["data"]["alerts"].as_array().into_iter().flatten();
    alerts.any(|alert: &Value| alert["labels"]["alertname"] == ALERT && alert["state"] == "firing")
}

fn until_available(scene: &Scene, tenant: &TenantFile) {
    until(scene, tenant, "it is available", || available(scene, tenant).is_some_and(|(is_so, _)| is_so));
}

/// Available, with all its checks, before the next thing breaks: what one case left must not count as what the next one causes.
fn until_whole(scene: &Scene, tenant: &TenantFile, prometheus: &Prometheus) {
    scene.until_all_pass(tenant);
    until_available(scene, tenant);
    until(scene, tenant, "no alert", || !fires(prometheus));
    scene.reach(&tenant.name(), "READY");
}

fn until(scene: &Scene, tenant: &TenantFile, what: &str, is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < PATIENCE, "never: {what}: {}", described(scene, tenant));
        std::thread::sleep(LOOK_INTERVAL);
    }
}

fn described(scene: &Scene, tenant: &TenantFile) -> String {
    scene.cli().ok(&["describe", &tenant.name()]).unwrap_or_default() + &scene.world.log_tail(20)
}

/// The shipped rules, whose two minutes are two beats here, too.
fn rules(scene: &Scene) -> PathBuf {
    let text = fs::read_to_string(checkout().join("config/observability/alerts/landlord.yaml")).unwrap();
    let (before, own) = text.split_once(&format!("- alert: {ALERT}")).unwrap();
    assert!(own.split("- alert:").next().unwrap().contains("for: 2m\n"), "it wants to see it for another time: {own}");
    let path = scene.world.folder().join("rules.yaml");
    let scaled = format!("for: {}s\n", 2 * BEAT.as_secs());
    fs::write(&path, format!("{before}- alert: {ALERT}{}", own.replacen("for: 2m\n", &scaled, 1))).unwrap();
    path
}

/// What vouches for certificates of this test is trusted from the beginning: the daemon reads authorities every ten minutes.
pub(crate) fn trust_issuer(scene: &Scene) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let made = || CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let trusted = scene.world.folder().join("acme-root.pem");
    let all = fs::read_to_string(&trusted).unwrap_or_default() + &ISSUER.get_or_init(made).pem();
    fs::write(&trusted, all).unwrap();
}

/// Returns at the moment at which the served one ends. Who would renew it is stopped.
fn certificate_ends(scene: &Scene, tenant: &TenantFile) {
    scene.in_namespace(tenant, "cert-manager", &["scale", "deployment/cert-manager", "--replicas=0"]);
    let names = ["files", "webdav", "chat"].map(|record| format!("{record}.{}", tenant.domain));
    let (mut params, key) = (CertificateParams::new(names).unwrap(), KeyPair::generate().unwrap());
    let ends = SystemTime::now() + LAST;
    params.not_before = (SystemTime::now() - LAST).into();
    params.not_after = ends.into();
    let certificate = params.signed_by(&key, ISSUER.get().unwrap()).unwrap();
    let data = json!({ "stringData": { "tls.crt": certificate.pem(), "tls.key": key.serialize_pem() } });
    scene.in_namespace(tenant, "landlord-gateway", &["patch", "secret", "landlord-tls", "-p", &data.to_string()]);
    std::thread::sleep(ends.duration_since(SystemTime::now()).unwrap());
}

/// Folder of this machine that is the file server's volume.
fn volume(scene: &Scene, tenant: &TenantFile) -> String {
    let namespace = scene.namespace(tenant);
    let get = |kind: &str, name: &str, template: &str| {
        scene.in_namespace(tenant, &namespace, &["get", kind, name, "-o", &format!("go-template={{{{{template}}}}}")])
    };
    get("pv", &get("pvc", "files", ".spec.volumeName"), ".spec.local.path")
}

/// A script of the machine's in the mounts of the tenant's node.
fn in_mounts(scene: &Scene, tenant: &TenantFile, script: &str) {
    let init = fs::read_to_string(scene.cluster(tenant).join("node/init.pid")).unwrap();
    scene.run(Command::new("nsenter").args(["--target", init.trim(), "--mount", "sh", "-c", script]));
}

/// On the file server's disk, and never on this machine's: the kubelet unmounts what it finds at the volume's own path when a pod
/// goes, so the disk is found where it was mounted first.
fn on_disk(scene: &Scene, tenant: &TenantFile, script: &str) {
    let disk = volume(scene, tenant) + ".disk";
    in_mounts(scene, tenant, &format!("mountpoint --quiet '{disk}' && cd '{disk}' && {script}"));
}

/// The file server's volume, which is a folder of this machine, becomes a disk that can be filled, with what was in the folder.
fn small_disk(scene: &Scene, tenant: &TenantFile) {
    let path = volume(scene, tenant);
    // Not in memory: copyparty takes no files for a file system of which nothing is left after a restart.
    let script = format!(
        "set -eu; truncate -s {DISK} '{path}.img'; mkfs.ext4 -q -F -m 0 '{path}.img'; mkdir '{path}.disk'; \
         mount -o loop '{path}.img' '{path}.disk'; cp -a '{path}/.' '{path}.disk/'; mount --bind '{path}.disk' '{path}'"
    );
    in_mounts(scene, tenant, &script);
    // What runs has the folder open.
    let namespace = scene.namespace(tenant);
    let then = |arguments: &[&str]| scene.in_namespace(tenant, &namespace, arguments);
    then(&["delete", "pod", "-l", "app.kubernetes.io/name=files", "--timeout=120s"]);
    then(&["rollout", "status", "deployment/files", "--timeout=180s"]);
    scene.say("the file server's volume is a disk of its own");
}
