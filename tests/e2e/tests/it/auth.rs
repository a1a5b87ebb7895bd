//! Portals and people from other machines: TLS, tokens of a certified OpenID issuer, what the shipped policies let them do.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Stdio},
    time::{Duration, Instant},
};

use landlord_e2e::{FAST, binaries};
use landlord_test_harness::{CliOutput, Issuer, TenantFile, World, WorldOptions, cloud::EKS, private};

const NOT_FOUND: i32 = 5;
const AUTH: i32 = 7;
/// Far above what it takes: a busy machine is no failure.
const LISTENING: Duration = Duration::from_secs(60);
/// Far longer than the daemon waits before it calls an issuer for unknown keys again (10 s): a busy machine is no failure.
const NEW_KEYS: Duration = Duration::from_secs(120);

/// A daemon with a TLS listener that believes an issuer.
pub(crate) struct Scene {
    pub(crate) world: World,
    pub(crate) issuer: Issuer,
    pub(crate) address: String,
    folder: tempfile::TempDir,
}

impl Scene {
    fn start(token_ttl: Duration) -> Self {
        Self::start_with(token_ttl, "")
    }

    /// The same with more of a configuration.
    pub(crate) fn start_with(token_ttl: Duration, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let issuer = Issuer::start(folder.path(), token_ttl).unwrap();
        certificate(folder.path());
        let extra_config = format!(
            "[[server.listeners]]\naddress = '127.0.0.1:0'\n\
             [server.listeners.tls]\ncert_file = '{0}/tls.crt'\nkey_file = '{0}/tls.key'\n\
             [auth.issuers.corp]\nissuer = '{1}'\naudiences = ['landlord']\ncustomer_claim = 'customer'\n\
             [auth.issuers.corp.groups]\nportal = 'landlord:portals'\nadmin = 'landlord:operators'\n\
             user = 'landlord:customer-users'\n{more}",
            folder.path().display(),
            issuer.url()
        );
        let options = WorldOptions { time_scale: FAST, clouds: vec![&EKS], extra_config, ..WorldOptions::default() };
        let world = World::temporary(binaries().unwrap(), &options).unwrap();
        let address = format!("https://localhost:{}", Self::port(&world));
        Self { world, issuer, address, folder }
    }

    /// Of the TLS listener, which opens a moment after the socket.
    fn port(world: &World) -> String {
        let deadline = Instant::now() + LISTENING;
        loop {
            let log = world.log_tail(500);
            if let Some(line) = log.lines().rfind(|line| line.contains("listening with TLS")) {
                let address = line.split("address=127.0.0.1:").nth(1).unwrap();
                return address.chars().take_while(char::is_ascii_digit).collect();
            }
            assert!(Instant::now() < deadline, "no TLS listener: {log}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The client with a configuration of its own, and nothing of the test's environment.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.world.binaries().landlord);
        command.args(arguments).stdin(Stdio::null());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("LANDLORD_")) {
            command.env_remove(name);
        }
        command.env("LANDLORD_CONFIG", self.path("client.yaml")).env("XDG_STATE_HOME", self.path("state"));
        command
    }

    fn run(&self, arguments: &[&str]) -> CliOutput {
        let output = self.command(arguments).output().unwrap();
        CliOutput {
            code: output.status.code().unwrap_or(128),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    fn ca(&self) -> String {
        self.path("tls.crt").display().to_string()
    }

    fn ok(&self, arguments: &[&str]) -> String {
        let response = self.run(arguments);
        assert_eq!(response.code, 0, "{arguments:?}: {response:?}");
        response.stdout
    }

    /// A context for the TLS listener; `more`: its other flags.
    fn context(&self, name: &str, more: &[&str]) {
        let ca = self.ca();
        let arguments = ["config", "set-context", name, "--server", &self.address, "--ca-file", &ca];
        self.ok(&[&arguments, more].concat());
        self.ok(&["config", "use-context", name]);
    }
}

/// A certificate for `localhost`, which is its own CA.
fn certificate(folder: &Path) {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["localhost".into()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    fs::write(folder.join("tls.crt"), certificate.pem()).unwrap();
    private(&folder.join("tls.key"), &key.serialize_pem()).unwrap();
}

fn file(scene: &Scene, tenant: &TenantFile) -> String {
    let path = scene.path("tenant.yaml");
    fs::write(&path, tenant.yaml()).unwrap();
    path.display().to_string()
}

#[test]
fn a_portal_calls_over_tls_with_a_token_of_its_issuer() {
    let mut scene = Scene::start(Duration::from_secs(600));
    let token = scene.path("token");
    let old = scene.issuer.portal_token().unwrap();
    fs::write(&token, &old).unwrap();
    scene.context("portal", &["--token-file", &token.display().to_string()]);
    let me = scene.ok(&["whoami"]);
    assert!(me.contains("corp:portal") && me.contains("landlord:portals") && me.contains("TOKEN"), "{me}");
    // It orders, follows and removes tenants.
    let tenant = TenantFile::new("acme", "prod", "eks-cluster-bare");
    scene.ok(&["apply", "-f", &file(&scene, &tenant), "--wait"]);
    assert!(scene.ok(&["get", "acme/prod"]).contains("READY"));
    assert!(scene.ok(&["auth", "can-i", "DeleteTenant", "customers/acme/tenants/prod"]).starts_with("yes"));
    for (action, resource) in [
        ("CordonHostCluster", "hostClusters/one"),
        ("GenerateOperatorKubeconfig", "customers/acme/tenants/prod"),
        ("GetProvider", "providers/eks.main"),
    ] {
        let response = scene.run(&["auth", "can-i", action, resource]);
        assert_eq!((response.code, response.stdout.starts_with("no")), (AUTH, true), "{response:?}");
    }
    // What it may not read is not there; what it may read and not do is named.
    assert_eq!(scene.ok(&["plugins", "-o", "name"]), "");
    assert_eq!(scene.run(&["describe", "hostcluster", "one"]).code, NOT_FOUND);
    let denied = scene.run(&["kubeconfig", "acme/prod", "--for", "operator"]);
    assert_eq!(denied.code, AUTH, "{denied:?}");
    assert!(denied.stderr.contains("GenerateOperatorKubeconfig"), "{denied:?}");
    scene.ok(&["delete", "acme/prod", "--wait"]);
    // Without a token, with half of one, and without TLS nobody gets in.
    let ca = scene.ca();
    let bare = scene.run(&["--server", &scene.address, "--ca-file", &ca, "whoami"]);
    assert_eq!(bare.code, AUTH, "{bare:?}");
    fs::write(&token, &old[..old.len() - 8]).unwrap();
    assert_eq!(scene.run(&["whoami"]).code, AUTH);
    let plain = scene.address.replace("https://localhost", "http://127.0.0.1");
    assert_ne!(scene.run(&["--server", &plain, "whoami"]).code, 0);
    // An issuer with new keys: its tokens are believed soon, those of before no more.
    scene.issuer.restart().unwrap();
    fs::write(&token, scene.issuer.portal_token().unwrap()).unwrap();
    let deadline = Instant::now() + NEW_KEYS;
    while scene.run(&["whoami"]).code != 0 {
        assert!(Instant::now() < deadline, "the issuer's new keys are not found: {:?}", scene.run(&["whoami"]));
        std::thread::sleep(Duration::from_millis(500));
    }
    fs::write(&token, &old).unwrap();
    assert_eq!(scene.run(&["whoami"]).code, AUTH);
}

/// A `landlord login` that has named its page.
struct LogIn {
    child: Child,
    reported: BufReader<ChildStderr>,
    url: String,
}

impl LogIn {
    fn begin(scene: &Scene, arguments: &[&str]) -> Self {
        let mut command = scene.command(&[&["login", "--issuer", &scene.issuer.url()], arguments].concat());
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut reported = BufReader::new(child.stderr.take().unwrap());
        let url = reported.by_ref().lines().map(Result::unwrap).find(|line| line.trim().starts_with("http"));
        Self { child, reported, url: url.expect("the client names a page").trim().to_owned() }
    }

    /// Logs in there as `name`; the page and what the client reported.
    fn end(mut self, scene: &Scene, name: &str) -> String {
        let page = scene.issuer.log_in(&self.url, name).unwrap();
        let reported: Vec<String> = self.reported.lines().map(Result::unwrap).collect();
        assert!(self.child.wait().unwrap().success(), "{reported:?} {page}");
        format!("{page}{}", reported.join("\n"))
    }
}

/// Logs in as `name`, on the page that the client names; what the client reported.
fn log_in(scene: &Scene, arguments: &[&str], name: &str) -> String {
    LogIn::begin(scene, arguments).end(scene, name)
}

/// Two logins at the same moment: in two contexts each keeps its own, in one the last wins whole, and its token is renewed.
fn two_at_once(scene: &Scene) {
    let begun = ["one", "other"].map(|context| LogIn::begin(scene, &["--context", context]));
    for (login, name) in begun.into_iter().zip(["user-acme", "admin"]).rev() {
        login.end(scene, name);
    }
    for (context, name) in [("one", "corp:user-acme"), ("other", "corp:admin")] {
        let contexts = scene.ok(&["config", "get-contexts"]);
        assert!(contexts.contains(context), "{contexts}");
        assert_eq!(kept(scene, context)["issuer"], scene.issuer.url());
        scene.ok(&["config", "set-context", context, "--server", &scene.address, "--ca-file", &scene.ca()]);
        let me = scene.ok(&["--context", context, "whoami"]);
        assert!(me.contains(name), "{me}");
    }
    let (first, last) = (LogIn::begin(scene, &["--context", "one"]), LogIn::begin(scene, &["--context", "one"]));
    first.end(scene, "admin");
    last.end(scene, "user-acme");
    for _ in 0..2 {
        assert!(scene.ok(&["--context", "one", "whoami"]).contains("corp:user-acme"));
    }
}

fn kept(scene: &Scene, context: &str) -> serde_json::Value {
    let text = fs::read(scene.path(&format!("state/landlord/tokens/{context}.json"))).unwrap();
    serde_json::from_slice(&text).unwrap()
}

#[test]
fn people_log_in_with_a_browser_or_on_another_device() {
    // Half of a minute is less than the client wants to have left: it renews the token for every command.
    let mut scene = Scene::start(Duration::from_secs(30));
    scene.context("me", &[]);
    let refused = scene.run(&["whoami"]);
    assert_eq!(refused.code, AUTH, "{refused:?}");
    let page = log_in(&scene, &[], "user-acme");
    assert!(page.contains("You are logged in"), "{page}");
    let file = scene.path("state/landlord/tokens/me.json");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let first = fs::read_to_string(&file).unwrap();
    let me = scene.ok(&["whoami"]);
    assert!(me.contains("corp:user-acme") && me.contains("customers/acme"), "{me}");
    assert_ne!(fs::read_to_string(&file).unwrap(), first, "the token was not renewed");
    // A customer's own user reads what is acme's, and does nothing.
    scene.world.cli().apply(&TenantFile::new("acme", "prod", "eks-cluster-bare")).unwrap();
    scene.world.cli().apply(&TenantFile::new("globex", "prod", "eks-cluster-bare")).unwrap();
    assert_eq!(scene.ok(&["get", "tenants", "-A", "-o", "name"]).trim(), "customers/acme/tenants/prod");
    assert_eq!(scene.run(&["get", "globex/prod"]).code, NOT_FOUND);
    let denied = scene.run(&["delete", "acme/prod"]);
    assert!(denied.code == AUTH && denied.stderr.contains("DeleteTenant"), "{denied:?}");
    // Somebody else, on another device.
    let page = log_in(&scene, &["--device"], "admin");
    assert!(page.contains("Sign-in Success"), "{page}");
    assert!(scene.ok(&["whoami"]).contains("landlord:operators"));
    assert_eq!(scene.ok(&["get", "tenants", "-A", "-o", "name"]).lines().count(), 2);
    two_at_once(&scene);
    // An issuer that has forgotten them.
    scene.issuer.restart().unwrap();
    let over = scene.run(&["whoami"]);
    assert!(over.code == AUTH && over.stderr.contains("landlord login"), "{over:?}");
    scene.ok(&["logout"]);
    assert!(!file.exists());
    assert_eq!(scene.run(&["whoami"]).code, AUTH);
}
