//! The provider against two simulated AWS made by others, moto and ministack, with boto3 as the
//! witness of what exists. Where one of them lacks a call, the test names it, proves that it is
//! still lacking, and leaves that part out.

#![expect(clippy::print_stderr, reason = "what is left out must be seen")]

use crate::common;
use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::common::{DOMAIN, Flow, Made, REGION};
use landlord_provider_api::{ErrorKind, ProviderError};
use sha2::{Digest as _, Sha256};

const REQUIREMENTS: &str = include_str!("../witness/requirements.txt");
/// Python servers need some seconds to import everything.
const START_TIMEOUT: Duration = Duration::from_secs(60);
const KEYS: &str = r#"{"kind":"static","access_key_id":"testing","secret_access_key":"testing"}"#;

/// The Python environment, made once for this content of requirements.txt.
fn python() -> PathBuf {
    let cache = std::env::var_os("LANDLORD_CACHE_DIR")
        .map_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache/landlord"), PathBuf::from);
    let mut hash = hex::encode(Sha256::digest(REQUIREMENTS));
    hash.truncate(16);
    let folder = cache.join("venvs").join(hash);
    std::fs::create_dir_all(&folder).unwrap();
    let (python, ready) = (folder.join("bin/python"), folder.join("ready"));
    // Several test processes may come at once: one makes it, the others wait.
    let lock = File::create(folder.join("lock")).unwrap();
    lock.lock().unwrap();
    if !ready.exists() {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder), "python3 with its venv module");
        let requirements = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/witness/requirements.txt");
        let mut pip = Command::new(&python);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]).arg(requirements);
        run(&mut pip, "the packages of requirements.txt");
        File::create(ready).unwrap();
    }
    python
}

fn run(command: &mut Command, what: &str) {
    let status = command.status().unwrap_or_else(|e| panic!("{what} is needed: {e}"));
    assert!(status.success(), "{what} could not be set up: {command:?} ended with {status}");
}

/// A server; it ends with the test.
struct Server {
    child: Child,
    url: String,
    python: PathBuf,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    async fn start(module: &str) -> Self {
        let python = python();
        let port = landlord_test_kube::free_port().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(&python);
        if module == "ministack" {
            command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../conformance/tests/ministack/serve.py"));
        } else {
            command.args(["-m", module]);
        }
        if module == "moto.server" {
            command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        }
        let child = command
            .env("GATEWAY_PORT", port.to_string())
            .env("MINISTACK_HOST", "127.0.0.1")
            .env("BIND_HOST", "127.0.0.1")
            .env("IOT_MTLS_ENABLED", "0")
            .env("MOTO_IAM_LOAD_MANAGED_POLICIES", "true")
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { child, url: format!("http://127.0.0.1:{port}"), python };
        let start = Instant::now();
        while reqwest::get(&server.url).await.is_err() {
            assert!(start.elapsed() < START_TIMEOUT, "{module} does not respond at {}", server.url);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        server
    }

    /// What boto3 sees.
    fn witness(&self) -> BTreeMap<String, Vec<String>> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/witness/witness.py");
        let output = Command::new(&self.python).arg(script).args([&self.url, REGION]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    async fn flow(&self) -> Flow {
        let mut flow = common::flow(&self.url, KEYS).await;
        flow.pause = Duration::from_millis(200);
        flow
    }
}

/// A part left out: what the server lacks must show as an error.
fn lacking<T: std::fmt::Debug>(server: &str, part: &str, why: &str, response: Result<T, ProviderError>) {
    let error = response.expect_err(&format!("{server} no longer lacks {part}: include it in the test"));
    assert!(!matches!(error.kind, ErrorKind::Auth | ErrorKind::NameTaken), "{error}");
    eprintln!("skipped with {server}: {part}, since it lacks {why}");
}

fn count(found: &BTreeMap<String, Vec<String>>, kind: &str) -> usize {
    found.get(kind).map_or(0, Vec::len)
}

/// What both have: everything but add-ons and identities, side by side with what boto3 sees.
async fn create(server: &Server, flow: &Flow) -> Made {
    let network = flow.network().await.unwrap();
    let cluster = flow.cluster(&network).await.unwrap();
    let mut made = Made { network, cluster, ..Made::default() };
    made.pool = flow.node_pool(&made).await.unwrap();
    made.zone = flow.zone().await.unwrap();
    flow.records(&made.zone, common::records(DOMAIN)).await.unwrap();
    let found = server.witness();
    for (kind, number) in [
        ("stacks", 1),
        ("vpcs", 1),
        ("subnets", 4),
        ("gateways", 1),
        ("roles", 5),
        ("clusters", 1),
        ("nodegroups", 1),
        ("zones", 1),
    ] {
        assert_eq!(count(&found, kind), number, "{kind}: {found:#?}");
    }
    for record in [format!("A {DOMAIN}."), format!("CNAME files.{DOMAIN}."), format!("TXT _landlord.{DOMAIN}.")] {
        assert!(found["records"].contains(&record), "{record}: {found:#?}");
    }
    made
}

/// Creating again must find everything and make nothing.
async fn create_again(server: &Server, flow: &Flow) {
    let before = server.witness();
    create(server, flow).await;
    assert_eq!(server.witness(), before);
}

#[tokio::test]
async fn moto() {
    let server = Server::start("moto.server").await;
    let flow = server.flow().await;
    let made = create(&server, &flow).await;
    assert_eq!(count(&server.witness(), "nats"), 1);
    create_again(&server, &flow).await;
    lacking("moto", "add-ons", "EKS CreateAddon and DescribeAddon", flow.addons(&made).await);
    lacking("moto", "identities", "EKS CreatePodIdentityAssociation", flow.identity(&made).await);
    use landlord_provider_api::v1::ResourceKind as Kind;
    for kind in [Kind::DnsRecords, Kind::NodePool, Kind::Cluster, Kind::Leftovers] {
        flow.delete_kind(kind).await.unwrap();
    }
    lacking(
        "moto",
        "deletion of the VPC with its gateways and route tables",
        "their deletion by CloudFormation DeleteStack",
        flow.delete_kind(Kind::Network).await,
    );
    flow.delete_kind(Kind::DnsZone).await.unwrap();
    let mut found = server.witness();
    for unremovable in ["vpcs", "subnets", "gateways", "nats", "addresses"] {
        found.remove(unremovable);
    }
    assert!(found.is_empty(), "left over: {found:#?}");
    // The inventory is honest about what moto left behind.
    assert!(flow.owned().await.unwrap().iter().any(|o| o.r#type == "AWS::EC2::VPC"));
}

#[tokio::test]
async fn ministack() {
    let server = Server::start("ministack").await;
    let mut flow = server.flow().await;
    lacking(
        "ministack",
        "NAT gateways",
        "AWS::EC2::NatGateway and AWS::EC2::EIP in CloudFormation",
        flow.network().await,
    );
    let addons = ["vpc-cni", "kube-proxy", "coredns", "eks-pod-identity-agent"];
    flow.parameters = serde_json::json!({
        "public_access_cidrs": ["203.0.113.0/24"], "kubernetes_version": "1.35", "nat": "none", "addons": addons,
    })
    .to_string();
    let mut made = create(&server, &flow).await;
    create_again(&server, &flow).await;
    flow.addons(&made).await.unwrap();
    flow.identity(&made).await.unwrap();
    made.zone = flow.zone().await.unwrap();
    let mut with_disks = server.flow().await;
    with_disks.parameters = flow.parameters.replace("\"vpc-cni\"", "\"vpc-cni\",\"aws-ebs-csi-driver\"");
    flow.delete().await.unwrap();
    flow.owned_is_empty().await;
    let found = server.witness();
    assert!(found.is_empty(), "left over: {found:#?}");
    // Last, since the broken response would stand in the way of every later observation.
    let network = with_disks.network().await.unwrap();
    let cluster = with_disks.cluster(&network).await.unwrap();
    let made = Made { network, cluster, ..Made::default() };
    let why = "the documented form of podIdentityAssociations in CreateAddon's response";
    lacking("ministack", "the EBS driver's identity", why, with_disks.addons(&made).await);
}
