//! Servers that answer, refuse, stay silent, redirect inside; each is judged for its own reason. Names and URLs that lead inside, at
//! once or later: nothing there is connected to.

mod inside;
mod together;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    HandshakeKind, ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use simple_dns::{
    CLASS, Packet, QTYPE, ResourceRecord, TYPE,
    rdata::{A, AAAA, RData},
};
use std::{
    net::IpAddr,
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
};
use tokio::net::{TcpListener, UdpSocket};
use tokio_rustls::TlsAcceptor;

use super::*;

/// An authority, and the file that says whom to trust.
fn authority(folder: &Path) -> (CertifiedIssuer<'static, KeyPair>, PathBuf) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let ca = folder.join("ca.pem");
    std::fs::write(&ca, issuer.pem()).unwrap();
    (issuer, ca)
}

/// A web server that answers every request with `answer`; empty: it stays silent.
async fn web(issuer: &CertifiedIssuer<'static, KeyPair>, answer: &'static str) -> u16 {
    web_at("127.0.0.1:0", issuer, answer).await.0.port()
}

fn acceptor(issuer: &CertifiedIssuer<'static, KeyPair>, names: &[&str]) -> TlsAcceptor {
    let key = KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, issuer).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// The same at an address of its own; it counts the handshakes in which it showed its certificate.
async fn web_at(
    address: &str,
    issuer: &CertifiedIssuer<'static, KeyPair>,
    answer: &'static str,
) -> (SocketAddr, Arc<AtomicU32>, tokio::task::AbortHandle) {
    let acceptor = acceptor(issuer, &["localhost", "*.example.com"]);
    let listener = TcpListener::bind(address).await.unwrap();
    let (address, shown) = (listener.local_addr().unwrap(), Arc::new(AtomicU32::new(0)));
    let counted = Arc::clone(&shown);
    #[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
    let task = tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else { return };
            let (acceptor, counted) = (acceptor.clone(), Arc::clone(&counted));
            #[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let is_whole = stream.get_ref().1.handshake_kind() != Some(HandshakeKind::Resumed);
                counted.fetch_add(u32::from(is_whole), Ordering::SeqCst);
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).await;
                if answer.is_empty() {
                    std::future::pending::<()>().await;
                }
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    (address, shown, task.abort_handle())
}

/// A server without TLS that says one line.
async fn plain(line: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    #[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(line.as_bytes()).await;
        }
    });
    port
}

fn endpoint(scheme: &str, port: u16) -> Endpoint {
    Endpoint {
        name: scheme.into(),
        url: format!("{scheme}://acme@localhost:{port}").replace("https://acme@", "https://"),
        ..Endpoint::default()
    }
}

#[tokio::test]
async fn each_server_is_judged_for_its_own_reason() {
    let folder = tempfile::tempdir().unwrap();
    let (issuer, ca) = authority(folder.path());
    let allowed: Vec<IpNet> = vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
    let probe = WebProbe::new(ProbeOptions { trusted_ca: Some(ca), allowed, ..ProbeOptions::default() });

    let fine = endpoint("https", web(&issuer, "HTTP/1.1 200 OK\r\n\r\n").await);
    let redirect = "HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/latest/meta-data\r\n\r\n";
    let redirects = endpoint("https", web(&issuer, redirect).await);
    let broken = endpoint("https", web(&issuer, "HTTP/1.1 502 Bad Gateway\r\n\r\n").await);
    let ssh = endpoint("sftp", plain("SSH-2.0-files\r\n").await);
    let other = endpoint("sftp", plain("220 mail\r\n").await);
    let why = async |endpoints: &[Endpoint]| match probe.probe(endpoints).await {
        Err(NoAnswer::Missed(why)) => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(probe.probe(&[fine.clone(), ssh.clone()]).await, Ok(()));
    assert_eq!(probe.probe(&[fine.clone(), ssh]).await, Ok(()), "gone on with, its certificate is known still");
    assert_eq!(probe.probe(&[redirects]).await, Ok(()), "a redirect is an answer, and is not followed");
    assert!(why(&[fine.clone(), broken.clone()]).await.contains("502"), "each of them counts");
    assert!(why(&[broken, fine.clone()]).await.contains("502"));
    assert!(why(&[fine.clone(), other]).await.contains("no SSH server"));
    assert!(why(&[endpoint("https", 9)]).await.contains("https: "));
    assert_eq!(probe.probe(&[]).await, Ok(()), "what has no address is not lost");

    // What a failure says of itself, whole or in pieces.
    let whole = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 29\r\n\r\nthe model small:1 is \u{1b}missing\n<p>";
    assert_eq!(
        why(&[endpoint("https", web(&issuer, whole).await)]).await,
        "https: it answers 503: the model small:1 is missing"
    );
    let pieces = "HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nno, 1\r\n0\r\n\r\n";
    assert_eq!(why(&[endpoint("https", web(&issuer, pieces).await)]).await, "https: it answers 503: no, 1");

    // Without leave nothing inside is asked, whatever a name leads to.
    let strict = WebProbe::new(ProbeOptions::default());
    let Err(NoAnswer::Missed(refused)) = strict.probe(std::slice::from_ref(&fine)).await else {
        panic!("it was asked")
    };
    assert!(refused.contains("loopback") && refused.contains("not asked"), "{refused}");
    // Who can't read the authorities knows nothing of anybody.
    let trusted_ca = Some(folder.path().join("is-not-there.pem"));
    let blind = WebProbe::new(ProbeOptions { trusted_ca, ..ProbeOptions::default() });
    let blind = blind.probe(&[fine]).await;
    assert!(matches!(&blind, Err(NoAnswer::NotLooked(why)) if why.contains("is-not-there.pem")), "{blind:?}");
}

#[test]
fn an_address_is_asked_for_its_health_where_it_has_one() {
    let mut chat = Endpoint { name: "chat".into(), url: "https://chat.acme.example.com".into(), ..Endpoint::default() };
    assert_eq!(place(&chat).unwrap().path, "/");
    chat.health_path = "/landlord/health".into();
    let place = place(&chat).unwrap();
    assert_eq!(
        (place.path.as_str(), place.host.as_str(), place.port),
        ("/landlord/health", "chat.acme.example.com", 443)
    );
}

#[test]
fn a_certificate_that_has_ended_is_a_miss_however_it_was_met() {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    // Without a word it ends in the year 4096.
    let chain = [certificate.der().clone()];
    assert_eq!(still_holds(Some(&chain), UnixTime::now()), Ok(()));
    let ended = still_holds(Some(&chain), at(70_000_000_000)).unwrap_err();
    assert!(ended.contains("has ended at 4096-01-01"), "{ended}");
    assert!(still_holds(None, UnixTime::now()).is_err());
}

/// A name server that gives one address for every name.
async fn names(address: IpAddr) -> SocketAddr {
    names_of(Arc::new(Mutex::new(vec![address]))).await
}

/// A name server that gives these addresses for every name, as they are at that moment.
async fn names_of(addresses: Arc<Mutex<Vec<IpAddr>>>) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let server = socket.local_addr().unwrap();
    #[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            let query = Packet::parse(&buffer[..length]).unwrap();
            let question = &query.questions[0];
            let data = |address: &IpAddr| match (*address, question.qtype) {
                (IpAddr::V4(own), QTYPE::TYPE(TYPE::A)) => Some(RData::A(A { address: own.into() })),
                (IpAddr::V6(own), QTYPE::TYPE(TYPE::AAAA)) => Some(RData::AAAA(AAAA { address: own.into() })),
                _ => None,
            };
            let found: Vec<RData<'_>> = addresses.lock().iter().filter_map(data).collect();
            let mut response = Packet::new_reply(query.id());
            let name = &question.qname;
            response
                .answers
                .extend(found.into_iter().map(|data| ResourceRecord::new(name.clone(), CLASS::IN, 60, data)));
            let response = response.build_bytes_vec().unwrap();
            let _ = socket.send_to(&response, from).await;
        }
    });
    server
}

/// What a proxy is asked for: the first line.
async fn request_line(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8_lossy(&head).lines().next().unwrap().to_owned()
}

/// A proxy that leads every address to one port of this machine, and counts.
async fn proxy(port: u16) -> (SocketAddr, Arc<AtomicU32>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, carried) = (listener.local_addr().unwrap(), Arc::new(AtomicU32::new(0)));
    let counted = Arc::clone(&carried);
    #[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let line = request_line(&mut stream).await;
            counted.fetch_add(1, Ordering::SeqCst);
            assert_eq!(line, "CONNECT 34.1.2.3:443 HTTP/1.1");
            let mut other = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut stream, &mut other).await;
        }
    });
    (address, carried)
}

#[tokio::test]
async fn public_addresses_are_reached_by_the_proxy_and_nothing_inside_by_any_way() {
    let folder = tempfile::tempdir().unwrap();
    let (issuer, ca) = authority(folder.path());
    let (proxy, carried) = proxy(web(&issuer, "HTTP/1.1 200 OK\r\n\r\n").await).await;
    let look = async |leads_to: &str, proxy: Option<SocketAddr>| {
        let resolver = Some(names(leads_to.parse().unwrap()).await);
        let probe = WebProbe::new(ProbeOptions { resolver, proxy, trusted_ca: Some(ca.clone()), allowed: Vec::new() });
        let known = |name: &str, url: &str| Endpoint { name: name.into(), url: url.into(), ..Endpoint::default() };
        let web = known("chat", "https://acme.example.com");
        let files = known("files", "sftp://acme@acme.example.com:2222");
        [probe.probe(&[web]).await, probe.probe(&[files]).await]
    };
    assert_eq!(look("34.1.2.3", Some(proxy)).await[0], Ok(()));
    let public = carried.load(Ordering::SeqCst);
    assert!(public >= 1, "not by the proxy");
    let inside = [
        "127.0.0.1",
        "127.255.255.254",
        "0.0.0.0",
        "10.0.0.1",
        "100.64.0.1",
        // Where clouds answer their machines: Alibaba's, Azure's, everybody's, ECS's for tasks, Oracle's.
        "100.100.100.200",
        "168.63.129.16",
        "169.254.169.254",
        "169.254.170.2",
        "192.0.0.192",
        "172.16.0.1",
        "172.31.255.254",
        "192.0.2.1",
        "192.168.1.1",
        "198.18.0.1",
        "203.0.113.9",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fc00::1",
        // AWS's and Google's.
        "fd00:ec2::254",
        "fd20:ce::254",
        "fec0::1",
        // Of version 4 in version 6: mapped, translated in three ways, compatible, tunnelled in two.
        "::ffff:10.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::a00:1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::a00:1",
        "::ffff:0:a00:1",
        "::a00:1",
        "2002:a00:1::",
        "2002:a9fe:a9fe::",
        "2001:0:a00:1::",
        "100::1",
        "2001:db8::1",
        "ff02::1",
    ];
    for address in inside {
        for by in [None, Some(proxy)] {
            for looked in look(address, by).await {
                let Err(NoAnswer::Missed(why)) = looked else { panic!("{address} was asked: {looked:?}") };
                assert!(why.contains("not asked"), "{address} by {by:?}: {why}");
            }
        }
    }
    assert_eq!(carried.load(Ordering::SeqCst), public, "none of it reached the proxy");
}

#[tokio::test]
async fn as_many_sessions_are_gone_on_with_as_there_are_names() {
    const NAMES: u32 = 16;
    let folder = tempfile::tempdir().unwrap();
    let (issuer, ca) = authority(folder.path());
    let (server, shown, _) = web_at("127.0.0.1:0", &issuer, "HTTP/1.1 200 OK\r\n\r\n").await;
    let options = ProbeOptions {
        resolver: Some(names(server.ip()).await),
        trusted_ca: Some(ca),
        allowed: vec!["127.0.0.0/8".parse().unwrap()],
        ..ProbeOptions::default()
    };
    let probe = WebProbe { sessions: Arc::new(Sessions::new(NAMES as usize)), ..WebProbe::new(options) };
    let host = |index: u32| format!("t{index}.example.com");
    let look_at_all = async || {
        for index in 0..NAMES {
            let url = format!("https://{}:{}", host(index), server.port());
            assert_eq!(probe.probe(&[Endpoint { name: "chat".into(), url, health_path: String::new() }]).await, Ok(()));
        }
        shown.swap(0, Ordering::SeqCst)
    };
    assert_eq!(look_at_all().await, NAMES);
    assert_eq!(look_at_all().await, 0);
    // Authorities that are read again, and are the same, end no session.
    if let Some((_, at)) = &mut *probe.trust.lock() {
        *at -= TRUST_TTL;
    }
    assert_eq!(look_at_all().await, 0);
    probe.sessions.forget(&ServerName::try_from(host(7)).unwrap());
    assert_eq!(look_at_all().await, 1);
}

#[tokio::test(start_paused = true)]
async fn who_stays_silent_is_given_up_in_time() {
    let line = beginning(&mut tokio::io::empty()).await;
    assert_eq!(line, Err("it closes the connection".into()));
}
