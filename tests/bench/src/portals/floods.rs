//! What floods of one peer do to others, to the daemon's memory, and what the peer gets.

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result};
use futures::{StreamExt as _, stream};
use landlord_proto::v1::{Tenant, WatchTenantsRequest, tenant_service_client::TenantServiceClient};
use tokio::{net::TcpSocket, task::JoinSet};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{ClientConfig, RootCertStore, pki_types::ServerName},
};
use tonic::{
    Code,
    codec::CompressionEncoding,
    transport::{Certificate, ClientTlsConfig, Endpoint},
};

use super::{
    Scene, Size,
    calls::{Fared, beside},
    raw::{self, Ended},
};
use crate::{figures::mib, order::request, say};

/// Watches of one connection: it may have 256.
const WATCHES_EACH: usize = 100;
/// Connections of one address: its share of a listener, less those of others on this machine.
const IDLE_EACH: usize = 900;
/// Handshakes at the same moment.
const HANDSHAKES: usize = 64;
/// What others' calls may take beside a flood, times what they take without.
const SLOWER_MAX: f64 = 2.0;
/// And while thousands shake hands: both ends of each compute, here on the same processors.
const HANDSHAKES_SLOWER_MAX: f64 = 4.0;
/// Shorter times count as equal.
const CALM_MS_MIN: f64 = 5.0;
/// Resident memory of the daemon under any of these floods, as tests/bench/README.md says.
const RSS_MAX: u64 = 512 << 20;
/// Of a message that inflates.
const INFLATED_BYTES: usize = 256 << 20;
/// A watch that is not read is cut after a minute (`daemon/grpc/src/watch`).
const CUT_AFTER: Duration = Duration::from_secs(75);
const ENHANCE_YOUR_CALM: u32 = 11;

/// Lines, and what was not as it must be.
pub(super) async fn table(scene: &Scene, size: Size, problems: &mut Vec<String>) -> Result<()> {
    let (calm, ()) = beside(scene, size.beside, async { anyhow::Ok(()) }).await?;
    let mut table = Table { calm: calm.took.percentile(99), size, problems };
    say("| flood | others' p99 | over calm | daemon RSS | the peer got |\n|---|---|---|---|---|");
    table.line(scene, "none", &calm, String::new());

    let (fared, idle) = beside(scene, size.beside, idle(scene, size.idle)).await?;
    let open = idle.iter().filter(|(_, is_closed)| !is_closed).count();
    let opened = format!("{} connections are opened, {HANDSHAKES} at a time", idle.len());
    table.bounded(scene, &opened, &fared, format!("{open} are open, GOAWAY for the rest"), HANDSHAKES_SLOWER_MAX);
    let (fared, ()) = beside(scene, size.beside, async { anyhow::Ok(()) }).await?;
    table.line(scene, &format!("{open} of them, idle"), &fared, String::new());
    drop(idle);

    let (fared, got) = beside(scene, size.beside, watchers(scene, size)).await?;
    let got = got?;
    if let Some(kept) = got.kept() {
        table.problems.push(format!("watches that are not read: {kept}"));
    }
    table.line(scene, &format!("{} watches, a tenth never reads", size.watchers), &fared, got.to_string());

    for (what, flooding) in [("rapid reset", true), ("CONTINUATION", false)] {
        let flood =
            async { if flooding { raw::rapid_reset(scene.plain).await } else { raw::continuation(scene.plain).await } };
        let (fared, ended) = beside(scene, size.beside, flood).await?;
        if ended != Ended::GoAway(ENHANCE_YOUR_CALM) {
            table.problems.push(format!("{what}: not GOAWAY with ENHANCE_YOUR_CALM, but {ended:?}"));
        }
        table.line(scene, what, &fared, format!("{ended:?}"));
    }

    let (fared, status) = beside(scene, size.beside, inflating(scene)).await?;
    if status.code() != Code::ResourceExhausted {
        table.problems.push(format!("a message that inflates: {status:?}"));
    }
    table.line(scene, "a message that inflates to 256 MiB", &fared, format!("{:?}", status.code()));
    Ok(())
}

struct Table<'a> {
    calm: f64,
    size: Size,
    problems: &'a mut Vec<String>,
}

impl Table<'_> {
    fn line(&mut self, scene: &Scene, what: &str, fared: &Fared, got: String) {
        self.bounded(scene, what, fared, got, SLOWER_MAX);
    }

    fn bounded(&mut self, scene: &Scene, what: &str, fared: &Fared, got: String, slower_max: f64) {
        let (most, rss) = (fared.took.percentile(99), scene.rss());
        let over = most / self.calm.max(CALM_MS_MIN);
        say(&format!("| {what} | {most:.1} ms | {over:.1} × | {} | {got} |", mib(rss)));
        if let Some(failed) = fared.failed.first() {
            self.problems.push(format!("{what}: {} calls of others failed: {failed}", fared.failed.len()));
        }
        if self.size.judges && over > slower_max {
            self.problems.push(format!("{what}: others' p99 is {over:.1} × as long"));
        }
        if rss == 0 || rss > RSS_MAX {
            self.problems.push(format!("{what}: the daemon has {}", mib(rss)));
        }
    }
}

/// Connections that have greeted and do nothing, each with whether it was closed.
async fn idle(scene: &Scene, count: usize) -> Result<Vec<(TlsStream<tokio::net::TcpStream>, bool)>> {
    let mut roots = RootCertStore::empty();
    let certificates = tonic_certificates(&scene.certificate)?;
    certificates.into_iter().try_for_each(|certificate| roots.add(certificate))?;
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let connector = TlsConnector::from(Arc::new(config));
    let connect = |index: usize| {
        let (connector, address) = (connector.clone(), scene.tls);
        async move {
            let socket = TcpSocket::new_v4()?;
            // Peers of many addresses: one has only its share.
            let last = u8::try_from(2 + index / IDLE_EACH).unwrap_or(u8::MAX);
            socket.bind(SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0)))?;
            let stream = socket.connect(address).await?;
            let mut stream = connector.connect(ServerName::try_from("localhost")?, stream).await?;
            raw::greet(&mut stream).await?;
            anyhow::Ok(stream)
        }
    };
    let mut connected = stream::iter(0..count).map(connect).buffer_unordered(HANDSHAKES);
    let mut streams = Vec::with_capacity(count);
    while let Some(stream) = connected.next().await {
        // Who comes while it is made room for others may have to go at once.
        if let Ok(stream) = stream {
            streams.push((stream, false));
        }
    }
    stream::iter(&mut streams)
        .for_each_concurrent(HANDSHAKES, async |(stream, is_closed)| *is_closed = raw::is_closed(stream).await)
        .await;
    Ok(streams)
}

fn tonic_certificates(pem: &str) -> Result<Vec<tokio_rustls::rustls::pki_types::CertificateDer<'static>>> {
    use tokio_rustls::rustls::pki_types::{CertificateDer, pem::PemObject as _};
    CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().context("the certificate is none")
}

/// What watches got.
struct Watched {
    /// Events that those which read have seen.
    read: usize,
    /// Of those that never read: how many ended with a status, and how many there are; `None`: that was not waited for.
    cut: Option<(usize, usize)>,
}

impl Watched {
    /// Which of those that never read hold the daemon's memory still.
    fn kept(&self) -> Option<String> {
        let (cut, all) = self.cut.filter(|(cut, all)| cut < all)?;
        Some(format!("only {cut} of {all} were ended with ABORTED"))
    }
}

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((cut, all)) = self.cut {
            write!(f, "ABORTED: {cut} of {all}; ")?;
        }
        write!(f, "the others {} events", self.read)
    }
}

/// Watches, of which a tenth never reads, while tenants are ordered. What they got.
async fn watchers(scene: &Scene, size: Size) -> Result<Result<Watched>> {
    let seen = Arc::new(AtomicUsize::new(0));
    let (mut reading, mut stuck) = (JoinSet::new(), Vec::new());
    let watch = || scene.signed(WatchTenantsRequest { parent: "customers/-".into(), resume_token: String::new() });
    let never = size.watchers / 10;
    for index in 0..size.watchers.div_ceil(WATCHES_EACH) {
        let of_this = WATCHES_EACH.min(size.watchers - index * WATCHES_EACH);
        let never_reads = index * WATCHES_EACH < never;
        let channel = if never_reads { narrow(scene).await? } else { scene.channel().await? };
        let mut client = TenantServiceClient::new(channel);
        for place in 0..of_this {
            let mut stream = client.watch_tenants(watch()).await?.into_inner();
            if index * WATCHES_EACH + place < never {
                stuck.push(stream);
                continue;
            }
            let seen = seen.clone();
            reading.spawn(async move {
                while let Ok(Some(message)) = stream.message().await {
                    seen.fetch_add(usize::from(message.event.is_some()), Ordering::Relaxed);
                }
            });
        }
    }
    let mut client = TenantServiceClient::new(scene.channel().await?);
    for index in 0..size.orders {
        client.create_tenant(scene.signed(request(&scene.class, &format!("f{index}"), true))).await?;
    }
    let expected = size.orders * (size.watchers - never);
    let began = std::time::Instant::now();
    while seen.load(Ordering::Relaxed) < expected && began.elapsed() < CUT_AFTER {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let read = seen.load(Ordering::Relaxed);
    if read < expected {
        return Ok(Err(anyhow::anyhow!("the watches that read have seen {read} of {expected} events")));
    }
    if !size.judges {
        return Ok(Ok(Watched { read, cut: None }));
    }
    tokio::time::sleep(CUT_AFTER).await;
    let mut cut = 0;
    for stream in &mut stuck {
        let end = async {
            loop {
                match stream.message().await {
                    Ok(Some(_)) => {}
                    Ok(None) => return false,
                    Err(status) => return status.code() == Code::Aborted,
                }
            }
        };
        cut += usize::from(tokio::time::timeout(CUT_AFTER, end).await.unwrap_or(false));
    }
    Ok(Ok(Watched { read, cut: Some((cut, stuck.len())) }))
}

/// A connection whose streams take little that is not read.
async fn narrow(scene: &Scene) -> Result<tonic::transport::Channel> {
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&scene.certificate)).domain_name("localhost");
    let endpoint = Endpoint::from_shared(format!("https://localhost:{}", scene.tls.port()))?;
    Ok(endpoint.tls_config(tls)?.initial_stream_window_size(1_024).connect().await?)
}

/// A message of which little is left when it is compressed.
async fn inflating(scene: &Scene) -> Result<tonic::Status> {
    let client = TenantServiceClient::new(scene.channel().await?);
    let mut client = client.send_compressed(CompressionEncoding::Gzip);
    let mut order = request(&scene.class, "inflated", true);
    order.tenant.get_or_insert_with(Tenant::default).display_name = "x".repeat(INFLATED_BYTES);
    match client.create_tenant(scene.signed(order)).await {
        Ok(_) => Ok(tonic::Status::ok("it was taken")),
        Err(status) => Ok(status),
    }
}
