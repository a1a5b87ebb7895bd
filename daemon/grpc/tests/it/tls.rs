//! The API over TLS: who may connect, and certificates that change under load.

use std::{
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::common::{Daemon, PROD, named, on_a_free_port, order};
use landlord_auth::tls::{ClientAuth, Reloader, TlsFigures, TlsFiles};
use landlord_grpc::ListenTcp;
use landlord_proto::v1::tenant_service_client::TenantServiceClient;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

/// How often the files are read here.
const INTERVAL: Duration = Duration::from_millis(10);
const ROTATIONS: usize = 20;

/// A certificate authority.
struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Ca {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A certificate for `name` and its key, in PEM.
    fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.into()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}

fn write(path: &Path, text: &str) {
    // Renamed into place, as ACME clients do.
    let beside = path.with_extension("new");
    std::fs::write(&beside, text).unwrap();
    std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::rename(beside, path).unwrap();
}

fn install(folder: &Path, (certificate, key): &(String, String)) {
    write(&folder.join("tls.crt"), certificate);
    write(&folder.join("tls.key"), key);
}

struct Served {
    daemon: Daemon,
    address: SocketAddr,
    folder: PathBuf,
    ca: Ca,
    figures: TlsFigures,
    stop: CancellationToken,
    reloads: tokio::task::JoinSet<()>,
    _folder: tempfile::TempDir,
}

impl Served {
    async fn start(client_ca: Option<(&Ca, ClientAuth)>) -> Self {
        let _folder = tempfile::tempdir().unwrap();
        let folder = _folder.path().to_owned();
        let ca = Ca::new();
        install(&folder, &ca.issue("localhost"));
        let client_ca = client_ca.map(|(ca, auth)| {
            write(&folder.join("ca.crt"), &ca.pem);
            (folder.join("ca.crt"), auth)
        });
        let files = TlsFiles { certificate: folder.join("tls.crt"), key: folder.join("tls.key"), client_ca };
        let figures = TlsFigures::default();
        let reloader = Reloader::open("test", files, figures.clone()).unwrap();
        let listener = ListenTcp { tls: Some(reloader.config()), ..on_a_free_port() };
        let address = listener.address;
        let daemon = Daemon::start_with(vec![listener]).await;
        daemon.tenants().await.create_tenant(order("acme", "prod")).await.unwrap();
        let stop = CancellationToken::new();
        let mut reloads = tokio::task::JoinSet::new();
        reloads.spawn(reloader.run(INTERVAL, stop.clone()));
        Self { daemon, address, folder, ca, figures, stop, reloads, _folder }
    }

    fn client(&self) -> ClientTlsConfig {
        ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&self.ca.pem)).domain_name("localhost")
    }

    async fn call(&self, tls: ClientTlsConfig) -> Result<(), Box<dyn std::error::Error>> {
        call(&connect(self.address, tls).await?).await
    }

    async fn reloaded(&self, outcome: bool, times: u64) {
        let done = async {
            while self.figures.reloads("test", outcome) < times {
                tokio::time::sleep(INTERVAL).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), done).await.expect("the files are not followed");
    }
}

async fn connect(address: SocketAddr, tls: ClientTlsConfig) -> Result<Channel, tonic::transport::Error> {
    Endpoint::from_shared(format!("https://{address}"))?.tls_config(tls)?.connect().await
}

async fn call(channel: &Channel) -> Result<(), Box<dyn std::error::Error>> {
    TenantServiceClient::new(channel.clone()).get_tenant(named(PROD)).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_are_rotated_under_load_without_a_dropped_call() {
    let served = Served::start(None).await;
    let over = Arc::new(AtomicBool::new(false));
    let calls = Arc::new(AtomicUsize::new(0));
    let mut load = tokio::task::JoinSet::new();
    // Connections that stay, and connections that come.
    for stays in [true, true, false, false] {
        let (over, calls, tls, address) = (over.clone(), calls.clone(), served.client(), served.address);
        load.spawn(async move {
            let mut channel = connect(address, tls.clone()).await.unwrap();
            while !over.load(Ordering::Relaxed) {
                if !stays {
                    channel = connect(address, tls.clone()).await.unwrap();
                }
                call(&channel).await.unwrap();
                calls.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    for rotation in 1..=ROTATIONS {
        let before = calls.load(Ordering::Relaxed);
        install(&served.folder, &served.ca.issue("localhost"));
        served.reloaded(true, u64::try_from(rotation).unwrap()).await;
        while calls.load(Ordering::Relaxed) < before + 8 {
            assert!(load.try_join_next().is_none(), "a call was dropped");
            tokio::time::sleep(INTERVAL).await;
        }
    }
    over.store(true, Ordering::Relaxed);
    while let Some(ended) = load.join_next().await {
        ended.expect("no call is dropped");
    }
    assert!(calls.load(Ordering::Relaxed) >= ROTATIONS * 8);
}

#[tokio::test]
async fn an_unreadable_new_pair_keeps_the_old_one() {
    let mut served = Served::start(None).await;
    served.call(served.client()).await.unwrap();
    write(&served.folder.join("tls.key"), "nothing");
    served.reloaded(false, 1).await;
    served.call(served.client()).await.unwrap();
    std::fs::remove_file(served.folder.join("tls.crt")).unwrap();
    served.reloaded(false, 2).await;
    served.call(served.client()).await.unwrap();
    // Another CA's certificate is what clients get once it can be used.
    let other = Ca::new();
    install(&served.folder, &other.issue("localhost"));
    served.reloaded(true, 1).await;
    assert!(served.call(served.client()).await.is_err());
    let trusting = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&other.pem)).domain_name("localhost");
    served.call(trusting).await.unwrap();
    served.stop.cancel();
    served.reloads.join_next().await.unwrap().unwrap();
    served.daemon.stop.cancel();
}

#[tokio::test]
async fn client_certificates_are_of_our_ca_or_refused() {
    let (ours, theirs) = (Ca::new(), Ca::new());
    let identity = |ca: &Ca| {
        let (certificate, key) = ca.issue("portal.example.com");
        Identity::from_pem(certificate, key)
    };
    for (auth, without) in [(ClientAuth::Required, false), (ClientAuth::Optional, true)] {
        let served = Served::start(Some((&ours, auth))).await;
        served.call(served.client().identity(identity(&ours))).await.unwrap();
        assert!(served.call(served.client().identity(identity(&theirs))).await.is_err(), "{auth:?}");
        assert_eq!(served.call(served.client()).await.is_ok(), without, "{auth:?}");
    }
}

#[tokio::test]
async fn a_tls_listener_speaks_nothing_else() {
    let served = Served::start(None).await;
    let plain = Endpoint::from_shared(format!("http://{}", served.address)).unwrap().connect().await;
    let refused = match plain {
        Ok(channel) => call(&channel).await.is_err(),
        Err(_) => true,
    };
    assert!(refused, "an unencrypted call was handled");
    // What is no handshake ends at once, and slow ones hold nobody.
    let mut slow = Vec::new();
    for _ in 0..50 {
        slow.push(tokio::net::TcpStream::connect(served.address).await.unwrap());
    }
    let mut noise = tokio::net::TcpStream::connect(served.address).await.unwrap();
    noise.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut response = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(5), noise.read_to_end(&mut response)).await.expect("is ended");
    assert!(!response.starts_with(b"HTTP"), "{response:?}");
    served.call(served.client()).await.unwrap();
}
