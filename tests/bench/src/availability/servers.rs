//! The environments' servers: web servers with certificates of an authority of their own, as an ACME one issues them, and a file
//! server's first line. All on this machine's loopback.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use anyhow::Result;
use landlord_core::environment::Endpoint;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::{
    LazyConfigAcceptor,
    rustls::{
        ServerConfig,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
        server::Acceptor,
    },
    server::TlsStream,
};

use super::{
    looks::{Kind, Looks},
    names::{self, COUNTED, DOMAIN, host},
};

/// Web addresses of an environment, as the shipped stacks have them.
const WEB: [&str; 3] = ["files", "webdav", COUNTED];
/// What a slow one takes; a look takes five seconds at most.
const SLOW: Duration = Duration::from_secs(2);
/// Of a request.
const REQUEST_BYTES_MAX: usize = 1024;
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// A web and a file server.
#[derive(Debug, Clone, Copy)]
struct Ports {
    web: SocketAddr,
    files: SocketAddr,
}

/// All servers; dropped, they are gone.
pub(super) struct Servers {
    resolver: SocketAddr,
    all: Ports,
    /// Of those that are to refuse.
    refusing: Ports,
    _tasks: JoinSet<()>,
    refusing_tasks: JoinSet<()>,
}

impl Servers {
    /// Starts them, and writes down whom to trust.
    pub(super) async fn start(looks: &Arc<Looks>, trusted_ca: &Path) -> Result<Self> {
        let config = config(trusted_ca)?;
        let (mut tasks, mut refusing_tasks) = (JoinSet::new(), JoinSet::new());
        let resolver = names::serve(looks, &mut tasks).await?;
        let all = listen(looks, &config, &mut tasks).await?;
        let refusing = listen(looks, &config, &mut refusing_tasks).await?;
        Ok(Self { resolver, all, refusing, _tasks: tasks, refusing_tasks })
    }

    pub(super) fn resolver(&self) -> SocketAddr {
        self.resolver
    }

    /// Addresses of an environment.
    pub(super) fn endpoints(&self, index: usize) -> Vec<Endpoint> {
        let ports = if Kind::of(index) == Kind::Refusing { self.refusing } else { self.all };
        let web = WEB.map(|name| (name, format!("https://{}:{}", host(name, index), ports.web.port())));
        let files = ("sftp", format!("sftp://bench@{}:{}", host("sftp", index), ports.files.port()));
        std::iter::once(files)
            .chain(web)
            .map(|(name, url)| Endpoint { name: name.into(), url, health_path: String::new() })
            .collect()
    }

    /// From now on each behaves as its kind does.
    pub(super) fn begin_outage(&mut self, looks: &Looks) {
        self.refusing_tasks = JoinSet::new();
        looks.begin_outage();
    }
}

/// A certificate for all names, with an authority in between, as issuers of the Web have; sessions are gone on with by tickets, as
/// at a Gateway.
fn config(trusted_ca: &Path) -> Result<Arc<ServerConfig>> {
    let authority = |name: &str| {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
    };
    let root = CertifiedIssuer::self_signed(authority("root of the benchmark"), KeyPair::generate()?)?;
    std::fs::write(trusted_ca, root.pem())?;
    let between = CertifiedIssuer::signed_by(authority("issuer of the benchmark"), KeyPair::generate()?, &root)?;
    let key = KeyPair::generate()?;
    let own = CertificateParams::new(vec![format!("*.{DOMAIN}")])?.signed_by(&key, &between)?;
    let chain: Vec<CertificateDer<'static>> = vec![own.der().clone(), between.der().clone()];
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = config.with_no_client_auth().with_single_cert(chain, key)?;
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    Ok(Arc::new(config))
}

async fn listen(looks: &Arc<Looks>, config: &Arc<ServerConfig>, tasks: &mut JoinSet<()>) -> Result<Ports> {
    let (web, files) = (TcpListener::bind("127.0.0.1:0").await?, TcpListener::bind("127.0.0.1:0").await?);
    let ports = Ports { web: web.local_addr()?, files: files.local_addr()? };
    let (looks, config) = (Arc::clone(looks), Arc::clone(config));
    tasks.spawn(accept(web, move |stream| serve_web(stream, Arc::clone(&looks), Arc::clone(&config))));
    tasks.spawn(accept(files, serve_files));
    Ok(ports)
}

async fn accept<F: Future<Output = ()> + Send + 'static>(listener: TcpListener, serve: impl Fn(TcpStream) -> F) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(serve(stream));
        while connections.try_join_next().is_some() {}
    }
}

async fn serve_files(mut stream: TcpStream) {
    let _ = stream.write_all(b"SSH-2.0-bench\r\n").await;
    until_closed(&mut stream).await;
}

async fn serve_web(stream: TcpStream, looks: Arc<Looks>, config: Arc<ServerConfig>) {
    let Ok(mut hello) = LazyConfigAcceptor::new(Acceptor::default(), stream).await else { return };
    let named = hello.client_hello().server_name().map(str::to_owned);
    let Some((_, index)) = named.as_deref().and_then(names::owner) else { return };
    let kind = looks.kind(index);
    if kind == Kind::Silent {
        // Whoever begins the connection, it is a look at all that is there.
        looks.note(index);
        return until_closed(&mut hello.io).await;
    }
    let Ok(mut stream) = hello.into_stream(config).await else { return };
    let mut come = String::new();
    // Requests may come together, and are answered one after another.
    while let Some(request) = request(&mut stream, &mut come).await {
        let host = request.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
        if names::owner(host).is_some_and(|(entry, _)| entry == COUNTED) {
            looks.note(index);
        }
        if kind == Kind::Slow {
            tokio::time::sleep(SLOW).await;
        }
        if stream.write_all(ANSWER).await.is_err() || request.contains("connection: close") {
            break;
        }
    }
    let _ = stream.shutdown().await;
}

/// The next request, without a body; none: the connection is over.
async fn request(stream: &mut TlsStream<TcpStream>, come: &mut String) -> Option<String> {
    loop {
        if let Some((request, rest)) = come.split_once("\r\n\r\n") {
            let (request, rest) = (request.to_owned(), rest.to_owned());
            *come = rest;
            return Some(request);
        }
        let mut piece = [0; REQUEST_BYTES_MAX];
        let read = stream.read(&mut piece).await.ok().filter(|read| *read > 0 && come.len() < REQUEST_BYTES_MAX)?;
        come.push_str(&String::from_utf8_lossy(&piece[..read]));
    }
}

/// Whoever looks closes the connection, soon or after its own time.
async fn until_closed(stream: &mut TcpStream) {
    while matches!(stream.read(&mut [0; REQUEST_BYTES_MAX]).await, Ok(1..)) {}
}
