//! The portals of `examples/`, made from `proto/` as shipped, against a daemon with TLS, an OpenID issuer and webhooks.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use landlord_test_harness::{binaries::checkout, private};
use landlord_test_kube::{cache_folder, python_env};
use sha2::{Digest as _, Sha256};

use crate::auth::Scene;

/// As the harness configures it.
const ORIGIN: &str = "https://portal.example.com";
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const CLASS: &str = "eks-cluster-bare";
/// Where `cargo xtask setup` has it. Some registries lack its packages of other platforms, without which `npm ci` refuses.
const BUF: &str = "buf-1.59.0/node_modules/.bin/buf";

fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}\n{stdout}\n{stderr}");
    stdout.into_owned()
}

/// A folder of the checkout, with all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (name, path) = (entry.file_name(), entry.path());
        // Of whoever worked there by hand.
        if ["node_modules", "gen", ".venv"].iter().any(|made| name == *made) {
            continue;
        }
        if path.is_dir() {
            copy(&path, &to.join(name));
        } else {
            fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

/// The TypeScript portal with what it needs, made once for a lock file; its sources are always those of the checkout.
fn node_modules() -> PathBuf {
    let source = checkout().join("examples/portal-typescript");
    let lock = fs::read(source.join("package-lock.json")).unwrap();
    let folder = cache_folder().unwrap().join("portals").join(hex::encode(&Sha256::digest(lock)[..8]));
    fs::create_dir_all(&folder).unwrap();
    let held = fs::File::create(folder.with_extension("lock")).unwrap();
    held.lock().unwrap();
    let done = folder.join("installed");
    if !done.is_file() {
        for file in ["package.json", "package-lock.json"] {
            fs::copy(source.join(file), folder.join(file)).unwrap();
        }
        run(Command::new("npm").current_dir(&folder).args(["ci", "--no-audit", "--no-fund", "--loglevel=error"]));
        fs::write(&done, "").unwrap();
    }
    folder.join("node_modules")
}

/// A copy of an example, so that nothing is made in the checkout.
fn example(scene: &Scene, name: &str) -> PathBuf {
    let folder = scene.path("examples").join(name);
    copy(&checkout().join("examples").join(name), &folder);
    folder
}

fn generate(folder: &Path, modules: &Path, more: &[&str]) {
    let proto = checkout().join("proto");
    let path = std::env::var("PATH").unwrap_or_default();
    let mut buf = Command::new(cache_folder().unwrap().join(BUF));
    buf.current_dir(folder).env("PATH", format!("{}:{path}", modules.join(".bin").display()));
    buf.args(["generate", "--timeout", "10m"]).arg(&proto).arg("--path").arg(proto.join("landlord/v1"));
    if !more.is_empty() {
        buf.arg("--path").arg(proto.join("google/rpc/error_details.proto")).args(more);
    }
    run(&mut buf);
}

/// What a portal gets by its environment; it orders the tenant `id` of acme.
fn portal(scene: &Scene, command: &mut Command, webhook_port: u16, id: &str) -> String {
    command
        .args(["acme", id, CLASS])
        .env("LANDLORD_SERVER", scene.address.trim_start_matches("https://"))
        .env("LANDLORD_CA_FILE", scene.path("tls.crt"))
        .env("TOKEN_URL", format!("{}/token", scene.issuer.url()))
        .env("CLIENT_ID", "portal")
        .env("CLIENT_SECRET_FILE", scene.path("client-secret"))
        .env("WEBHOOK_SECRET_FILE", scene.path("whsec"))
        .env("WEBHOOK_PORT", webhook_port.to_string())
        .env("ORIGIN", ORIGIN);
    run(command)
}

/// What every portal says; `by_webhook`: those that get webhooks.
fn judge(said: &str, by_webhook: bool) {
    let mut expected = vec!["refused FIELD_VIOLATIONS ", "ordered once true\n", "Ready by watch, resumed\n"];
    if by_webhook {
        expected.extend(["dev.landlord.tenant.ready by webhook\n", "READY with token 2\n"]);
    }
    let said = said.replace("ordered once True", "ordered once true");
    for line in expected {
        assert!(said.contains(line), "{line:?} is not in:\n{said}");
    }
    for field in ["domain", "storage_gib", "tenant_id"] {
        assert!(said.lines().any(|line| line.starts_with("refused") && line.contains(field)), "{field}: {said}");
    }
}

#[test]
fn portals_in_three_languages_and_a_page_order_follow_and_verify() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("whsec");
    private(&secret, SECRET).unwrap();
    // One receiver after the other: each portal listens there while it runs.
    let port = landlord_test_kube::free_port().unwrap();
    let more = format!(
        "[webhooks.portal]\nurl = 'http://127.0.0.1:{port}/'\ninsecure = true\n\
         allowed_networks = ['127.0.0.0/8']\nsecret_file = '{}'\n",
        secret.display()
    );
    let scene = Scene::start_with(Duration::from_secs(600), &more);
    private(&scene.path("whsec"), SECRET).unwrap();
    private(&scene.path("client-secret"), "portal-secret").unwrap();

    let python = example(&scene, "portal-python");
    let interpreter = python_env(&python.join("requirements.txt")).unwrap();
    run(Command::new(&interpreter)
        .arg(python.join("generate.py"))
        .arg(checkout().join("proto"))
        .arg(python.join("gen")));
    judge(&portal(&scene, Command::new(&interpreter).arg(python.join("portal.py")), port, "python"), true);

    let modules = node_modules();
    let typescript = example(&scene, "portal-typescript");
    std::os::unix::fs::symlink(&modules, typescript.join("node_modules")).unwrap();
    generate(&typescript, &modules, &["--include-imports"]);
    run(Command::new(modules.join(".bin/tsc")).arg("--noEmit").current_dir(&typescript));
    let tsx = |script: &str| {
        let mut command = Command::new(modules.join(".bin/tsx"));
        command.arg(typescript.join("src").join(script)).current_dir(&typescript);
        command
    };
    judge(&portal(&scene, &mut tsx("portal.ts"), port, "node"), true);
    let page = portal(&scene, &mut tsx("page-in-node.ts"), port, "page");
    judge(&page, false);
    assert!(page.contains("another origin: ") && !page.contains("let in"), "{page}");

    let go = example(&scene, "portal-go");
    generate(&go, &modules, &[]);
    run(Command::new("go").args(["build", "-o", "portal", "."]).current_dir(&go));
    judge(&portal(&scene, &mut Command::new(go.join("portal")), port, "go"), true);

    // What was sent while nobody listened has arrived with the next portal, or waits for one.
    let shown = scene.world.cli().ok(&["webhooks", "show", "portal"]).unwrap();
    assert!(shown.contains("Parked:    0") && shown.contains("Missed:    0"), "{shown}");
}
