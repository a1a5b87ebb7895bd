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

fn package(form: &str, programs: &Path, out: &Path) {
    let mut command = match std::env::var_os("LANDLORD_TEST_BUILT") {
        Some(folder) => Command::new(Path::new(&folder).join("xtask")),
        None => {
            let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
            cargo.args(["run", "--quiet", "--package", "xtask", "--"]);
            cargo
        }
    };
    command.current_dir(checkout()).args(["package", form, "--fast", "--programs"]).arg(programs);
    ran(command.arg("--out").arg(out));
}

/// The one file that was made with such a name, made twice with the same bytes.
fn made_twice(form: &str, ending: &str, folder: &Path) -> PathBuf {
    let (built, first, second) = (folder.join("programs"), folder.join("first"), folder.join("second"));
    fs::create_dir(&built).unwrap();
    programs(&built);
    package(form, &built, &first);
    package(form, &built, &second);
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
        "usr/share/doc/landlord/examples/production.toml",
    ] {
        assert!(root.join(file).is_file(), "{file}");
    }
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
    let more = [
        "postgresql.passwordSecret=landlord-postgresql",
        "tls.clientCaSecret=landlord-clients",
        "secrets={eks,gke}",
        "policiesConfigMap=policies",
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

    let folder = tempfile::tempdir().unwrap();
    let cluster = ControlPlane::start(ControlPlaneOptions::new(artifacts.clone(), folder.path())).await.unwrap();
    for sets in [wanted.to_vec(), [&wanted[..], &more[..]].concat()] {
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
        assert_eq!(applied.lines().count(), 7, "{applied}");
        assert!(applied.contains("deployment.apps/landlord serverside-applied (server dry run)"), "{applied}");
    }
    let rendered = fs::read_to_string(folder.path().join("rendered.yaml")).unwrap();
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
