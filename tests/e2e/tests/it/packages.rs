//! What is installed, as who installs it meets it: the Debian package in a root of its own, the OCI image unpacked and started, the
//! Helm chart accepted by a real API server.

use std::{
    ffi::OsStr,
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use landlord_e2e::binaries;
use landlord_store_contract::{postgres::Server, proxy::Proxy};
use landlord_test_harness::binaries::checkout;
use landlord_test_kube::{Artifacts, ControlPlane, ControlPlaneOptions};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Far above what it takes: a busy machine is no failure.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The image's user.
const USER: u32 = 65_532;

fn ran(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{command:?}: {stdout}{stderr}");
    stdout.into_owned()
}

/// What a literal block of a rendered ConfigMap holds.
fn block(rendered: &str, key: &str) -> String {
    let (_, rest) = rendered.split_once(&format!("  {key}: |\n")).unwrap_or_else(|| panic!("{rendered}"));
    let lines = rest.lines().map_while(|line| line.strip_prefix("    ").or(line.is_empty().then_some("")));
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// The environment that the chart gives its containers.
fn environment(rendered: &str) -> Vec<(String, String)> {
    let (_, rest) = rendered.split_once("name: landlordd\n").unwrap_or_else(|| panic!("{rendered}"));
    let variable = |line: &str| {
        let (name, value) = line.trim().strip_prefix("- { name: ")?.split_once(", value: \"")?;
        Some((name.to_owned(), value.strip_suffix("\" }")?.to_owned()))
    };
    rest.lines().filter_map(variable).collect()
}

/// A file as the kubelet mounts a secret's for the pod's group.
fn mounted(root: &Path, file: &str, content: &str) {
    let path = root.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, content).unwrap();
    std::os::unix::fs::chown(&path, Some(0), Some(USER)).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o440)).unwrap();
}

const VALUES: &str = "
config: |
  installation = \"landlord\"
  [audit]
  signing_key_file = \"/etc/landlord/secrets/keys/audit\"
  [webhooks.portal]
  url = \"https://portal.example.com/\"
  secret_file = \"/etc/landlord/secrets/keys/webhook\"
secrets: [keys]
postgresql: { passwordSecret: landlord-postgresql }
tls: { secret: landlord-tls, clientCaSecret: landlord-clients }
";

/// The image as the chart's pods run it: with its configuration and environment, as its user, with secrets of the pod's group.
fn the_charts_pod_starts(root: &Path, inside: &dyn Fn(&str) -> Command) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = Server::start("chart");
    let proxy = runtime.block_on(Proxy::before(&server));
    let values = root.join("tmp/values.yaml");
    fs::write(&values, VALUES).unwrap();
    let mut helm = Command::new(root.join("usr/bin/helm"));
    helm.args(["template", "landlord"]).arg(checkout().join("config/packaging/chart")).arg("--values").arg(&values);
    let rendered = ran(helm.args(["--set", &format!("postgresql.url={}", proxy.url(&server.database()))]));
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["landlord.example.com".into()]).unwrap();
    let certificate = params.self_signed(&key).unwrap().pem();
    let audit = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap().serialize_pem();
    for (file, content) in [
        ("etc/landlord/landlord.toml", block(&rendered, "landlord.toml").as_str()),
        ("etc/landlord/conf.d/values.toml", &block(&rendered, "values.toml")),
        ("etc/landlord/tls/tls.crt", &certificate),
        ("etc/landlord/tls/tls.key", &key.serialize_pem()),
        ("etc/landlord/client-ca/ca.crt", &certificate),
        ("etc/landlord/postgresql/password", "secret\n"),
        ("etc/landlord/secrets/keys/audit", &audit),
        ("etc/landlord/secrets/keys/webhook", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n"),
    ] {
        mounted(root, file, content);
    }
    let environment = environment(&rendered);
    assert!(environment.iter().any(|(name, _)| name == "LANDLORDD_STORE__PASSWORD_FILE"), "{environment:?}");
    let landlordd = |arguments: &str| {
        let mut command = inside(&format!("/usr/bin/landlordd {arguments}"));
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        command
    };
    assert_eq!(ran(&mut landlordd("--check-config")), "the configuration is fine\n");
    assert!(ran(&mut landlordd("init --if-missing")).starts_with("made the store"));
    assert!(ran(&mut landlordd("migrate")).contains("already"));
    assert!(ran(&mut landlordd("begin-epoch")).contains("new epoch"));
    // What others could read is refused there, too.
    let password = root.join("etc/landlord/postgresql/password");
    std::os::unix::fs::chown(&password, Some(USER), Some(USER + 1)).unwrap();
    let refused = landlordd("migrate").output().unwrap();
    let reported = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && reported.contains("chmod 600"), "{reported}");
}

/// The programs without what debuggers want, which is most of them; one plugin, since the others are like it.
fn programs(folder: &Path) {
    let built = binaries().unwrap();
    let plugin = built.plugin("kubernetes").unwrap();
    for program in [&built.landlordd, &built.landlord, plugin] {
        ran(Command::new("strip")
            .arg("-o")
            .arg(folder.join(program.file_name().unwrap()))
            .arg("--strip-debug")
            .arg(program));
    }
}

/// When the sources were committed, as a package's files bear it.
fn committed() -> String {
    let mut git = Command::new("git");
    ran(git.current_dir(checkout()).args(["log", "-1", "--format=%ct"])).trim().to_owned()
}

fn package(form: &str, programs: &Path, out: &Path, time: &str) {
    let mut command = match std::env::var_os("LANDLORD_TEST_BUILT") {
        Some(folder) => Command::new(Path::new(&folder).join("xtask")),
        None => {
            let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
            cargo.args(["run", "--quiet", "--package", "xtask", "--"]);
            cargo
        }
    };
    command.current_dir(checkout()).args(["package", form, "--fast", "--programs"]).arg(programs);
    ran(command.arg("--out").arg(out).env("SOURCE_DATE_EPOCH", time));
}

/// The one file that was made with such a name, made twice with the same bytes.
fn made_twice(form: &str, ending: &str, folder: &Path) -> PathBuf {
    let (built, first, second) = (folder.join("programs"), folder.join("first"), folder.join("second"));
    fs::create_dir(&built).unwrap();
    programs(&built);
    // Read once: a commit between the two is no difference of theirs.
    let time = committed();
    package(form, &built, &first, &time);
    package(form, &built, &second, &time);
    let named = |path: &PathBuf| path.to_string_lossy().ends_with(ending);
    let found = fs::read_dir(&first).unwrap().map(|entry| entry.unwrap().path()).find(named).unwrap();
    let again = second.join(found.file_name().unwrap());
    let digest = |path: &Path| Sha256::digest(fs::read(path).unwrap());
    assert_eq!(digest(&found), digest(&again), "two packages of the same programs differ");
    fs::remove_dir_all(second).unwrap();
    found
}

#[expect(clippy::print_stdout, reason = "a skip is shown")]
fn is_root(what: &str) -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        println!("SKIPPED: {what}: installing needs root");
    }
    is_root
}

#[test]
fn the_debian_package_is_installed_and_removed() {
    if !is_root("the Debian package") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let package = made_twice("deb", ".deb", folder.path());
    let root = folder.path().join("root");
    for made in ["var/lib/dpkg/info", "var/lib/dpkg/updates", "etc"] {
        fs::create_dir_all(root.join(made)).unwrap();
    }
    fs::write(root.join("var/lib/dpkg/status"), "").unwrap();
    let dpkg = |arguments: &[&OsStr]| {
        let mut command = Command::new("dpkg");
        command.arg(format!("--root={}", root.display()));
        // What it depends on is this machine's; its scripts run outside of the root, which has no shell.
        ran(command.args(["--force-depends", "--force-script-chrootless"]).args(arguments))
    };
    dpkg(&["--install".as_ref(), package.as_os_str()]);
    let users = fs::read_to_string(root.join("etc/passwd")).unwrap();
    let user = users.lines().find(|line| line.starts_with("landlord:")).unwrap_or_else(|| panic!("{users}"));
    let state = fs::metadata(root.join("var/lib/landlord")).unwrap();
    assert_eq!(state.permissions().mode() & 0o777, 0o700);
    assert_eq!(user.split(':').nth(2), Some(state.uid().to_string().as_str()), "{users}");

    // What it runs as, and what its user reads.
    let verified = Command::new("systemd-analyze")
        .arg(format!("--root={}", root.display()))
        .args(["--man=no", "verify", "landlordd.service"])
        .output()
        .unwrap();
    let reported = String::from_utf8_lossy(&verified.stderr).into_owned();
    let missing = reported.lines().find(|line| {
        line.contains("landlordd") && !line.contains("service type, ignoring") && !line.contains(".target not found")
    });
    let missing = missing.filter(|line| !line.contains("/bin/kill"));
    assert_eq!(missing, None, "{reported}");
    for file in [
        "usr/share/man/man1/landlordd.1.gz",
        "usr/share/man/man1/landlord-apply.1.gz",
        "usr/share/bash-completion/completions/landlord",
        "usr/share/landlord/stacks/ai-fileserver-pg/stack.yaml",
        "usr/share/landlord/gateway-api.yaml",
        "usr/lib/landlord/liblandlord_plugin_kubernetes.so",
        "usr/lib/landlord/SHA256SUMS",
        "usr/share/doc/landlord/examples/production.toml",
    ] {
        assert!(root.join(file).is_file(), "{file}");
    }
    // What a configuration pins.
    ran(Command::new("sha256sum")
        .args(["--check", "--strict", "SHA256SUMS"])
        .current_dir(root.join("usr/lib/landlord")));
    let stacks = root.join("usr/share/landlord/stacks");
    let checked = ran(Command::new(root.join("usr/bin/landlordd"))
        .arg("--config")
        .arg(root.join("etc/landlord/landlord.toml"))
        .args(["--check-config", "--set"])
        .arg(format!("store.path={}", root.join("var/lib/landlord/landlord.db").display()))
        .arg("--set")
        .arg(format!("deploy.stacks_dir={}", stacks.display())));
    assert_eq!(checked, "the configuration is fine\n");

    // Whatever becomes of the package, the store stays.
    fs::write(root.join("var/lib/landlord/landlord.db"), "what stands in the clouds").unwrap();
    dpkg(&["--purge".as_ref(), "landlord".as_ref()]);
    assert!(!root.join("usr/bin/landlordd").exists() && !root.join("etc/landlord/landlord.toml").exists());
    assert!(root.join("var/lib/landlord/landlord.db").is_file());
}

/// Runs the package's script as dpkg does on a machine with systemd, of which only a shell and programs that write down how they are
/// called are there; gives their calls and what the operator reads. `check`: how the new daemon's check of its configuration ends.
fn configured(check: u8) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    let (programs, calls) = (folder.path().join("programs"), folder.path().join("calls"));
    fs::create_dir(&programs).unwrap();
    for (program, line) in [
        ("systemctl", "exit 0".to_owned()),
        ("systemd-sysusers", "exit 0".to_owned()),
        ("sed", "echo 0:0".to_owned()),
        ("runuser", format!("exit {check}")),
    ] {
        let path = programs.join(program);
        fs::write(&path, format!("#!/bin/sh\necho {program} \"$@\" >> {}\n{line}\n", calls.display())).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let line = format!(
        "mount -t tmpfs none /run && mkdir -p /run/systemd/system && mount -t tmpfs none /var/lib && \
         PATH={}:$PATH exec sh {} configure 0.0.9",
        programs.display(),
        checkout().join("config/packaging/debian/postinst").display()
    );
    let output = Command::new("unshare").args(["--mount", "sh", "-c", &line]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    (fs::read_to_string(calls).unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn an_upgrade_restarts_no_daemon_that_would_refuse_its_configuration() {
    if !is_root("the Debian package's script") {
        return;
    }
    let checked = "runuser -u landlord -- timeout 120 /usr/bin/landlordd --check-config";
    let (calls, shown) = configured(0);
    assert!(
        calls.contains(checked) && calls.contains("try-restart landlordd.service") && shown.is_empty(),
        "{calls}{shown}"
    );
    let (calls, shown) = configured(1);
    assert!(calls.contains(checked) && !calls.contains("restart"), "{calls}");
    assert!(
        shown.contains("NOT restarted") && shown.contains("SHA256SUMS") && shown.contains("systemctl restart"),
        "{shown}"
    );
}

/// A process that ends with this value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_image_is_whole_and_starts() {
    if !is_root("the OCI image") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let archive = made_twice("oci", ".oci.tar", folder.path());
    let layout = folder.path().join("layout");
    fs::create_dir(&layout).unwrap();
    ran(Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(&layout));
    // Every blob is what its digest says, from the index to the layers.
    let blob = |descriptor: &Value| {
        let digest = descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap().to_owned();
        let path = layout.join("blobs/sha256").join(&digest);
        let bytes = fs::read(&path).unwrap();
        assert_eq!(bytes.len() as u64, descriptor["size"].as_u64().unwrap());
        let found = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(found, digest);
        path
    };
    let read = |path: PathBuf| -> Value { serde_json::from_slice(&fs::read(path).unwrap()).unwrap() };
    let index = read(layout.join("index.json"));
    let manifest = read(blob(&index["manifests"][0]));
    let config = read(blob(&manifest["config"]));
    assert_eq!(config["config"]["User"], format!("{USER}:{USER}"));
    let root = folder.path().join("root");
    fs::create_dir(&root).unwrap();
    for layer in manifest["layers"].as_array().unwrap() {
        ran(Command::new("tar").arg("-xpf").arg(blob(layer)).arg("-C").arg(&root));
    }
    let listed = read(root.join("usr/share/doc/landlord/sbom.spdx.json"));
    let packages = listed["packages"].as_array().unwrap();
    assert!(packages.len() > 300, "{}", packages.len());
    assert!(
        packages.iter().any(|package| package["name"] == "tokio")
            && packages.iter().any(|p| p["name"] == "/usr/bin/helm")
    );

    // As a container: nothing but the image, its user, folders that everybody may write as Kubernetes makes them.
    fs::create_dir(root.join("proc")).unwrap();
    for folder in ["run/landlord", "var/lib/landlord"] {
        fs::set_permissions(root.join(folder), fs::Permissions::from_mode(0o777)).unwrap();
    }
    let inside = |line: &str| {
        let mut command = Command::new("unshare");
        let line = format!(
            "mount -t proc proc {root}/proc && exec chroot --userspec={USER}:{USER} {root} {line}",
            root = root.display()
        );
        command
            .args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-c", &line])
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command
    };
    assert!(ran(&mut inside("/usr/bin/helm version --short")).starts_with("v4."));
    let log = folder.path().join("log");
    let mut daemon = inside("/usr/bin/landlordd --create-store --set store.path=/var/lib/landlord/own/landlord.db");
    // Where nobody else writes, as the daemon wants it for a file.
    let own = root.join("var/lib/landlord/own");
    fs::create_dir(&own).unwrap();
    std::os::unix::fs::chown(&own, Some(USER), Some(USER)).unwrap();
    fs::set_permissions(root.join("var/lib/landlord"), fs::Permissions::from_mode(0o755)).unwrap();
    let _daemon = Running(daemon.stdout(Stdio::null()).stderr(fs::File::create(&log).unwrap()).spawn().unwrap());
    let deadline = Instant::now() + TIMEOUT;
    while std::os::unix::net::UnixStream::connect(root.join("run/landlord/landlord.sock")).is_err() {
        assert!(Instant::now() < deadline, "{}", fs::read_to_string(&log).unwrap());
        std::thread::sleep(Duration::from_millis(50));
    }
    // It is in the store a moment after it serves.
    loop {
        let shown = ran(&mut inside("/usr/bin/landlord get daemons -o json"));
        let daemons: Value = serde_json::from_str(&shown).unwrap();
        if daemons.as_array().unwrap().len() == 1 {
            break;
        }
        assert!(Instant::now() < deadline, "{shown}");
        std::thread::sleep(Duration::from_millis(200));
    }
    the_charts_pod_starts(&root, &inside);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chart_is_what_an_api_server_accepts() {
    let artifacts = Artifacts::ensure(&mut |_| {}).unwrap();
    let chart = checkout().join("config/packaging/chart");
    let template = |sets: &[&str]| {
        let mut command = Command::new(&artifacts.helm);
        command.args(["template", "landlord", "--namespace", "default"]).arg(&chart);
        command.args(sets.iter().flat_map(|set| ["--set", set]));
        command.output().unwrap()
    };
    // What must be said is asked for, and what is not known is refused.
    let reported = String::from_utf8_lossy(&template(&["tls.secret=t"]).stderr).into_owned();
    assert!(reported.contains("/postgresql/url"), "{reported}");
    let wanted = ["postgresql.url=postgres://landlord@db/landlord", "tls.secret=landlord-tls"];
    let reported = template(&[&wanted[..], &["replica=3"]].concat());
    assert!(
        !reported.status.success() && String::from_utf8_lossy(&reported.stderr).contains("replica"),
        "{reported:?}"
    );
    // What is exported is removed from the database: no pod's own folder may be its place.
    let exporting = [&wanted[..], &["config=[audit]\nexport_dir = \"/var/lib/landlord/audit\"\n"]].concat();
    let refused = template(&exporting);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("auditExport.claim"), "{refused:?}");
    assert!(template(&[&exporting[..], &["auditExport.claim=audit"]].concat()).status.success());
    let more = [
        "postgresql.passwordSecret=landlord-postgresql",
        "tls.clientCaSecret=landlord-clients",
        "secrets={eks,gke}",
        "policiesConfigMap=policies",
        "auditExport.claim=audit",
        "service.annotations.a=b",
        "serviceAccount.annotations.a=b",
        "networkPolicy.clients[0].podSelector.matchLabels.app=portal",
        "clusterIssuer.url=https://kubernetes.default.svc.cluster.local",
        "clusterIssuer.groups.system:serviceaccount:portal:portal=landlord:portals",
    ];
    let monitored =
        template(&[&wanted[..], &["serviceMonitor.enabled=true", "serviceMonitor.labels.release=p"]].concat());
    let monitored = String::from_utf8_lossy(&monitored.stdout).into_owned();
    assert!(monitored.contains("kind: ServiceMonitor") && monitored.contains("release: p"), "{monitored}");
    // The alerts know the job `landlord`, and no Service's variable is taken for a key.
    assert!(monitored.contains("jobLabel: app.kubernetes.io/name"), "{monitored}");
    assert!(
        monitored.contains("app.kubernetes.io/name: landlord\n") && monitored.contains("enableServiceLinks: false")
    );
    // Only pods of the first installation make a store; a restore's Job is made by itself.
    let made = |more: &[&str]| {
        let rendered = template(&[&wanted[..], more].concat());
        String::from_utf8_lossy(&rendered.stdout).contains("args: [init, --if-missing]")
    };
    assert!(made(&[]) && made(&["init=always"]) && !made(&["init=never"]));

    let folder = tempfile::tempdir().unwrap();
    let cluster = ControlPlane::start(ControlPlaneOptions::new(artifacts.clone(), folder.path())).await.unwrap();
    for (sets, objects) in [
        (wanted.to_vec(), 7),
        ([&wanted[..], &more[..]].concat(), 7),
        ([&wanted[..], &["beginEpoch=2026-11-30"]].concat(), 8),
    ] {
        let rendered = template(&sets);
        assert!(rendered.status.success(), "{}", String::from_utf8_lossy(&rendered.stderr));
        let file = folder.path().join("rendered.yaml");
        fs::write(&file, rendered.stdout).unwrap();
        // Strict: a field that the API server does not know is an error.
        let applied = ran(Command::new(&artifacts.kubebox)
            .args(["kubectl", "apply", "--server-side", "--dry-run=server", "--validate=strict", "--kubeconfig"])
            .arg(cluster.admin_kubeconfig_path())
            .arg("--filename")
            .arg(&file));
        assert_eq!(applied.lines().count(), objects, "{applied}");
        assert!(applied.contains("deployment.apps/landlord serverside-applied (server dry run)"), "{applied}");
    }
    let rendered = String::from_utf8(template(&[&wanted[..], &more[..]].concat()).stdout).unwrap();
    let in_chart = rendered.split("[auth.issuers.cluster]").nth(1).unwrap();
    assert!(in_chart.contains("\"system:serviceaccount:portal:portal\" = \"landlord:portals\""), "{in_chart}");
    assert!(rendered.contains("- serviceAccountToken: { path: token, expirationSeconds: 3600 }"), "{rendered}");
    a_service_account_calls(&artifacts, &cluster, folder.path());
    cluster.stop().await;
}

/// A pod's token of now is a caller, though the API server shows its keys to known callers only: the daemon shows the token of its
/// own service account.
fn a_service_account_calls(artifacts: &Artifacts, cluster: &ControlPlane, folder: &Path) {
    let kubectl = |arguments: &[&str]| {
        let kubeconfig = cluster.admin_kubeconfig_path();
        ran(Command::new(&artifacts.kubebox).args(["kubectl", "--kubeconfig"]).arg(kubeconfig).args(arguments))
    };
    for (account, token, more) in [("landlord", "own-token", &[][..]), ("portal", "token", &["--audience=landlord"])] {
        kubectl(&["create", "serviceaccount", account]);
        fs::write(folder.join(token), kubectl(&[&["create", "token", account], more].concat())).unwrap();
    }
    let (built, at) = (binaries().unwrap(), folder.display());
    for (case, bearer, expected) in [
        ("anonymous", String::new(), "its issuer can't be reached"),
        ("known", format!("bearer_file = '{at}/own-token'\n"), "cluster:system:serviceaccount:default:portal"),
    ] {
        let socket = folder.join(format!("{case}.sock"));
        let config = format!(
            "installation = '{case}'\n[server]\nsocket = '{}'\n[store]\npath = '{at}/{case}/landlord.db'\n\
             [deploy]\nstate_dir = '{at}/{case}/deploy'\n[auth.issuers.cluster]\nissuer = '{}'\nca_file = '{}'\n\
             audiences = ['landlord']\ngroups_claim = 'sub'\n{bearer}",
            socket.display(),
            cluster.endpoint(),
            cluster.ca_path().display()
        );
        fs::create_dir(folder.join(case)).unwrap();
        let file = folder.join(format!("{case}.toml"));
        fs::write(&file, config).unwrap();
        let log = folder.join(format!("{case}.log"));
        let mut daemon = Command::new(&built.landlordd);
        daemon.args(["--create-store", "--config"]).arg(&file).stdout(Stdio::null());
        let _daemon = Running(daemon.stderr(fs::File::create(&log).unwrap()).spawn().unwrap());
        let deadline = Instant::now() + TIMEOUT;
        let reported = loop {
            let mut whoami = Command::new(&built.landlord);
            whoami.args(["--server", &format!("unix://{}", socket.display()), "--token-file"]);
            let Output { stdout, stderr, .. } = whoami.arg(folder.join("token")).arg("whoami").output().unwrap();
            let both = String::from_utf8([stdout, stderr].concat()).unwrap();
            if both.contains(expected) || Instant::now() > deadline {
                break both;
            }
            std::thread::sleep(Duration::from_millis(100));
        };
        let log = fs::read_to_string(&log).unwrap();
        assert!(reported.contains(expected), "{case}: {reported}\n{log}");
        assert_eq!(log.contains("bearer_file"), case == "anonymous", "the log names the remedy: {log}");
    }
}
