//! A cluster that knows the daemon by a client certificate: our own client and Helm are admitted with it, and neither
//! arguments nor environment of Helm hold it. What a customer gets is a token all the same.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crate::support::{
    client_of,
    deployer::{DeployOptions, Deployer},
};
use k8s_openapi::api::{
    core::v1::{Namespace, Pod, Secret},
    storage::v1::StorageClass,
};
use kube::{
    Api,
    api::{ListParams, PostParams},
};
use landlord_core::{
    ErrorKind, TenantSpec, TenantUid,
    environment::SpecInput,
    isolation::{IsolationSettings, SharedTarget},
    ports::{
        Apps as _, CUSTOMER_ACCESS_MIN, DeployTarget, Isolation as _, KubeCredentials, KubeIdentity, StageProgress,
        TargetCluster,
    },
};
use landlord_test_kube::{Artifacts, ControlPlane, ControlPlaneOptions};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use serde_json::json;

const NAMESPACE: &str = "ai-fileserver";
/// On a machine that may be compiling meanwhile.
const TIMEOUT: Duration = Duration::from_secs(120);

/// An authority of clients, and an administrator's certificate with its key.
fn certificate() -> (String, String, String) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(DnType::CommonName, "clients");
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let mut client = CertificateParams::new(Vec::new()).unwrap();
    client.distinguished_name.push(DnType::OrganizationName, "system:masters");
    client.distinguished_name.push(DnType::CommonName, "landlord");
    client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate().unwrap();
    let certificate = client.signed_by(&key, &authority).unwrap();
    (authority.pem(), certificate.pem(), key.serialize_pem())
}

/// Helm behind a script that writes down arguments, environment, and the mode of the kubeconfig.
fn recorder(folder: &Path, helm: &Path) -> PathBuf {
    let path = folder.join("helm");
    let script = format!(
        "#!/bin/sh\n{{ printf '%s\\n' \"$@\"; /usr/bin/env; [ -f kubeconfig ] && /usr/bin/stat -c 'mode %a' kubeconfig; }} >> \
         '{}'\nexec '{}' \"$@\"\n",
        folder.join("recorded").display(),
        helm.display()
    );
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
    path
}

fn target(plane: &ControlPlane, certificate: &str, key: &str) -> DeployTarget {
    let spec = SpecInput { domain: "acme.example.com".into(), storage_gib: 10, ..SpecInput::default() };
    DeployTarget {
        kube: KubeCredentials {
            endpoint: plane.endpoint().into(),
            ca_pem: plane.ca_pem().into(),
            identity: KubeIdentity::ClientCertificate {
                certificate_pem: certificate.to_owned().into(),
                key_pem: key.to_owned().into(),
            },
            expire_time: None,
        },
        cluster: TargetCluster::OwnCluster,
        installation: "test".into(),
        uid: TenantUid(uuid::Uuid::from_u128(7)),
        name: "customers/acme/tenants/prod".parse().unwrap(),
        spec: TenantSpec::parse(spec).unwrap(),
        generation: 1,
        was_ready: false,
        stack: Some("ai-fileserver".parse().unwrap()),
        name_servers: Vec::new(),
        skip_checks: Vec::new(),
        checks_from: landlord_core::ChecksFrom::default(),
        revision: None,
    }
}

/// Whatever the daemon's own identity is, a customer's is a token of its account, good for its namespace and a while.
async fn a_customer_gets_a_token_of_its_own(deployer: &Deployer, own: &DeployTarget) {
    let uid = TenantUid(uuid::Uuid::from_u128(8));
    let place = SharedTarget::namespace(uid, IsolationSettings::default());
    let namespace = place.namespace.to_string();
    let target = DeployTarget { uid, cluster: TargetCluster::Shared(Box::new(place)), ..own.clone() };
    let requested = CUSTOMER_ACCESS_MIN;
    let early = deployer.isolation.customer_kubeconfig(&target, requested).await.unwrap_err();
    assert_eq!(early.kind, ErrorKind::Conflict, "{early:?}");
    let since = Instant::now();
    loop {
        match deployer.isolation.ensure(&target).await.unwrap() {
            StageProgress::Done => break,
            StageProgress::Pending { detail, .. } => assert!(since.elapsed() < TIMEOUT, "{detail}"),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let access = deployer.isolation.customer_kubeconfig(&target, requested).await.unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let left = access.expire_time.unwrap().0 - i64::try_from(now.as_millis()).unwrap();
    assert!((540_000..=600_000).contains(&left), "{left} ms");
    let customer = client_of(&access).unwrap();
    let pods: Api<Pod> = Api::namespaced(customer.clone(), &namespace);
    assert!(pods.list(&ListParams::default()).await.is_ok());
    let foreign: Api<Pod> = Api::namespaced(customer.clone(), NAMESPACE);
    let all: Api<Namespace> = Api::all(customer);
    for refused in [
        foreign.list(&ListParams::default()).await.map(drop).unwrap_err(),
        all.list(&ListParams::default()).await.map(drop).unwrap_err(),
    ] {
        assert!(matches!(&refused, kube::Error::Api(status) if status.code == 403), "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_certificate_lets_client_and_helm_in() {
    let folder = tempfile::tempdir().unwrap();
    let artifacts = Artifacts::ensure(&mut |line| {
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), "{line}");
    })
    .unwrap();
    let (authority, certificate, key) = certificate();
    let authority_file = folder.path().join("clients.crt");
    std::fs::write(&authority_file, authority).unwrap();
    let mut options = ControlPlaneOptions::new(artifacts.clone(), folder.path().join("cluster"));
    options.extra_apiserver_args = vec![format!("--client-ca-file={}", authority_file.display())];
    (options.scheduler, options.kwok) = (false, false);
    let plane = ControlPlane::start(options).await.unwrap();
    let admin = plane.kube_client().unwrap();
    let class = json!({
        "metadata": { "name": "disk", "annotations": { "storageclass.kubernetes.io/is-default-class": "true" } },
        "provisioner": "disk.example.com",
    });
    let classes: Api<StorageClass> = Api::all(admin.clone());
    classes.create(&PostParams::default(), &serde_json::from_value(class).unwrap()).await.unwrap();
    let deployer = Deployer::open(DeployOptions {
        stacks_dir: Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/stacks"),
        helm_path: recorder(folder.path(), &artifacts.helm),
        helm_version: ">=4.3.0, <5.0.0".into(),
        state_dir: folder.path().join("state"),
        helm_processes_max: 1,
        gateway_api_crds: None,
        removal_timeout: TIMEOUT,
    })
    .await
    .unwrap();

    // A certificate of somebody else's authority lets nobody in.
    let (_, foreign, foreign_key) = self::certificate();
    let refused = deployer.apps.ensure_base(&target(&plane, &foreign, &foreign_key)).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Auth, "{refused:?}");

    let target = target(&plane, &certificate, &key);
    let since = Instant::now();
    while deployer.apps.ensure_base(&target).await.unwrap() != StageProgress::Done {
        assert!(since.elapsed() < TIMEOUT);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // No machine is there, so it does not become ready; that Helm recorded a release shows that it was admitted.
    let app = "qdrant".parse().unwrap();
    let progress = deployer.apps.ensure_release(&target, &app).await.unwrap();
    assert!(matches!(progress, StageProgress::Pending { .. }), "{progress:?}");
    let secrets: Api<Secret> = Api::namespaced(admin, NAMESPACE);
    let records = secrets.list(&ListParams::default().labels("owner=helm,name=qdrant,status=deployed")).await.unwrap();
    assert_eq!(records.items.len(), 1);

    a_customer_gets_a_token_of_its_own(&deployer, &target).await;

    let recorded = std::fs::read_to_string(folder.path().join("recorded")).unwrap();
    assert!(recorded.contains("--kubeconfig") && recorded.contains("mode 600"), "{recorded}");
    let secret = key.lines().nth(1).unwrap();
    assert!(!recorded.contains(secret) && !recorded.contains("PRIVATE KEY"));
    plane.stop().await;
}
