//! What two customers of one cluster read of their apps' logs: each its own lines and nobody else's, on over a pod's restart, and without
//! waiting for whoever takes none.

use std::{
    collections::BTreeSet,
    fs::File,
    path::PathBuf,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use landlord_test_harness::TenantFile;

use crate::scene::{LOOK_INTERVAL, PATIENCE, Scene, signal};

/// Containers into whose logs lines of known text are put.
const CONTAINERS: [(&str, &str); 5] = [
    ("deployment/files", "files"),
    ("statefulset/vectors", "vectors"),
    ("deployment/llm", "llm"),
    ("deployment/chat", "chat"),
    ("deployment/chat", "documents"),
];
/// More than what waits for a slow reader on its way (256 lines, 2 MiB of a connection, a pipe), less than a log that the kubelet starts again.
const FLOOD_BYTES: u32 = 4 << 20;
/// A line of another reader comes at once, whatever a slow one does; a node that computes takes its time.
const AT_ONCE: Duration = Duration::from_secs(20);

/// All of it, for two tenants of one cluster.
pub(crate) fn are_apart(scene: &Scene, tenant: &TenantFile, neighbour: &TenantFile) {
    each_has_its_own(scene, tenant, neighbour);
    a_restart_is_followed(scene, tenant, neighbour);
    a_slow_reader_delays_nobody(scene, tenant, neighbour);
}

/// Has a container write a line down, through what its first process writes to.
fn write(scene: &Scene, tenant: &TenantFile, (workload, container): (&str, &str), script: &str) {
    let namespace = scene.namespace(tenant);
    let script = format!("{script} > /proc/1/fd/1");
    scene.in_namespace(tenant, &namespace, &["exec", workload, "-c", container, "--", "sh", "-c", &script]);
}

fn mark(tenant: &TenantFile, what: &str) -> String {
    format!("mark-of-{}-{what}", tenant.customer)
}

fn each_has_its_own(scene: &Scene, tenant: &TenantFile, neighbour: &TenantFile) {
    for own in [tenant, neighbour] {
        for container in CONTAINERS {
            write(scene, own, container, &format!("echo {}", mark(own, container.1)));
        }
    }
    for (own, other) in [(tenant, neighbour), (neighbour, tenant)] {
        let lines = scene.cli().ok(&["logs", &own.name(), "--tail", "5000"]).unwrap();
        for (_, container) in CONTAINERS {
            assert!(
                lines.contains(&mark(own, container)),
                "{} of {} is not in its logs: {lines}",
                container,
                own.name()
            );
        }
        let foreign: Vec<&str> = lines.lines().filter(|line| line.contains(&mark(other, ""))).collect();
        assert!(foreign.is_empty(), "lines of {} in the logs of {}: {foreign:#?}", other.name(), own.name());
        // Whatever the lines say, each is of a pod of its own; a StatefulSet's have the same names everywhere.
        let pods = pods(scene, own);
        let from: BTreeSet<&str> = lines.lines().filter_map(|line| line.split('/').next()).collect();
        assert!(from.iter().all(|pod| pods.contains(*pod)), "{from:?} are not all of {pods:?}");
        scene.say(&format!("{} reads {} lines of {} pods, all its own", own.name(), lines.lines().count(), from.len()));
    }
}

fn pods(scene: &Scene, tenant: &TenantFile) -> BTreeSet<String> {
    let template = "go-template={{range .items}}{{.metadata.name}} {{end}}";
    let names = scene.in_namespace(tenant, &scene.namespace(tenant), &["get", "pods", "-o", template]);
    names.split_whitespace().map(str::to_owned).collect()
}

/// A client that follows a tenant's logs.
struct Reader {
    client: Child,
    output: PathBuf,
}

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = self.client.kill();
        let _ = self.client.wait();
    }
}

impl Reader {
    fn start(scene: &Scene, tenant: &TenantFile, name: &str, app: &str) -> Self {
        let output = scene.world.folder().join(format!("logs-{name}"));
        let mut command = scene.cli().command(&["logs", &tenant.name(), "--app", app, "-f", "--tail", "1"]);
        let client = command.stdout(File::create(&output).unwrap()).stderr(Stdio::inherit()).spawn().unwrap();
        Self { client, output }
    }

    fn lines(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.output).unwrap()).into_owned()
    }

    /// Until a line is there; how long that took.
    fn until(&mut self, part: &str, patience: Duration) -> Duration {
        let started = Instant::now();
        while !self.lines().contains(part) {
            assert!(self.client.try_wait().unwrap().is_none(), "it has ended: {}", self.lines());
            assert!(started.elapsed() < patience, "{part} never comes: {}", self.lines());
            std::thread::sleep(Duration::from_millis(200));
        }
        started.elapsed()
    }
}

/// A reader of both goes on: with another pod in the place of one that is deleted, and with a container that starts again in its pod.
fn a_restart_is_followed(scene: &Scene, tenant: &TenantFile, neighbour: &TenantFile) {
    let namespace = scene.namespace(tenant);
    let (files, documents) = (("deployment/files", "files"), ("deployment/chat", "documents"));
    let mut of_files = Reader::start(scene, tenant, "files", "files");
    let mut of_chat = Reader::start(scene, tenant, "chat", "chat");
    let say = |container: (&str, &str), what: &str| {
        write(scene, tenant, container, &format!("echo {}", mark(tenant, what)));
        write(scene, neighbour, container, &format!("echo {}", mark(neighbour, what)));
    };
    // A line of before it begins might be the last one, which it shows.
    std::thread::sleep(LOOK_INTERVAL);
    say(files, "before");
    say(documents, "before");
    of_files.until(&mark(tenant, "before"), AT_ONCE);
    of_chat.until(&mark(tenant, "before"), AT_ONCE);
    scene.in_namespace(tenant, &namespace, &["delete", "pod", "-l", "app.kubernetes.io/name=files", "--timeout=120s"]);
    scene.in_namespace(tenant, &namespace, &["rollout", "status", "deployment/files", "--timeout=180s"]);
    let restarts = || {
        let template = "go-template={{range .items}}{{range .status.containerStatuses}}{{if and (eq .name \"documents\") .ready}}\
                        {{.restartCount}}{{end}}{{end}}{{end}}";
        scene.in_namespace(tenant, &namespace, &["get", "pods", "-l", "app.kubernetes.io/name=chat", "-o", template])
    };
    let before = restarts();
    let email = format!("CHAT_EMAIL=landlord-documents@{}", tenant.domain);
    assert!(signal("-KILL", "/etc/landlord/documents.py", &email), "nobody brings documents");
    let started = Instant::now();
    while [before.as_str(), ""].contains(&restarts().as_str()) {
        assert!(started.elapsed() < PATIENCE, "the container never starts again");
        std::thread::sleep(LOOK_INTERVAL);
    }
    say(files, "after");
    say(documents, "after");
    for (reader, what) in [(&mut of_files, "another pod"), (&mut of_chat, "a container that started again")] {
        let took = reader.until(&mark(tenant, "after"), PATIENCE);
        let lines = reader.lines();
        let times = |what: &str| lines.matches(&mark(tenant, what)).count();
        assert_eq!((times("before"), times("after")), (1, 1), "each once: {lines}");
        assert!(!lines.contains(&mark(neighbour, "")), "{lines}");
        scene.say(&format!("who follows goes on with {what} {:.1} s after its line", took.as_secs_f64()));
    }
}

/// One who takes no line holds up neither the app, nor another reader of it, nor its neighbour's; and learns that it was cut.
fn a_slow_reader_delays_nobody(scene: &Scene, tenant: &TenantFile, neighbour: &TenantFile) {
    let files = ("deployment/files", "files");
    let mut command = scene.cli().command(&["logs", &tenant.name(), "--app", "files", "-f", "--tail", "1"]);
    let mut slow = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut quick = Reader::start(scene, tenant, "quick", "files");
    let mut others = Reader::start(scene, neighbour, "others", "files");
    std::thread::sleep(LOOK_INTERVAL);
    let started = Instant::now();
    write(
        scene,
        tenant,
        files,
        &format!("yes {} | head -c {FLOOD_BYTES}", mark(tenant, "flood-of-many-lines-of-one-app")),
    );
    let written = started.elapsed().as_secs_f64();
    write(scene, tenant, files, &format!("echo {}", mark(tenant, "last")));
    write(scene, neighbour, files, &format!("echo {}", mark(neighbour, "last")));
    let of_neighbour = others.until(&mark(neighbour, "last"), AT_ONCE).as_secs_f64();
    let of_quick = quick.until(&mark(tenant, "last"), PATIENCE).as_secs_f64();
    assert!(!others.lines().contains(&mark(tenant, "")));
    scene.say(&format!(
        "a reader takes none of {} MiB: they were written in {written:.1} s, its neighbour has its line after {of_neighbour:.1} s, \
         another reader of the same all of them after {of_quick:.1} s",
        FLOOD_BYTES >> 20
    ));
    // It is cut by then, and takes what had been on its way.
    std::thread::sleep(Duration::from_secs(75).saturating_sub(started.elapsed()));
    let mut taken = slow.stdout.take().unwrap();
    let drained = std::thread::spawn(move || std::io::copy(&mut taken, &mut std::io::sink()).unwrap());
    let cut = Instant::now();
    while slow.try_wait().unwrap().is_none() {
        assert!(cut.elapsed() < AT_ONCE, "a reader that takes nothing is never cut");
        std::thread::sleep(Duration::from_millis(100));
    }
    let output = slow.wait_with_output().unwrap();
    let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    assert!(!output.status.success() && why.contains("takes no lines"), "{}: {why}", output.status);
    let bytes = drained.join().unwrap();
    assert!(bytes < u64::from(FLOOD_BYTES), "{bytes} bytes waited for it");
    scene.say(&format!("it had {bytes} bytes, and is cut: {why}"));
}
