//! Servers on this machine that answer as a world does: names, and files and chat by https.

use std::{
    convert::Infallible,
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, SystemTime},
};

use http::{Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Bytes, service::service_fn};
use hyper_util::rt::TokioIo;
use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use simple_dns::{Packet, PacketFlag, QTYPE, RCODE, ResourceRecord, TYPE, rdata::A};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UdpSocket},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use super::{Broken, World};

/// A name server that is both the zone's own and the one that is queried on behalf of others.
pub(super) async fn dns(world: Arc<World>, socket: UdpSocket) {
    let mut buffer = [0; 512];
    while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
        let query = Packet::parse(&buffer[..length]).unwrap();
        let recursive = query.has_flags(PacketFlag::RECURSION_DESIRED);
        let name = query.questions[0].qname.clone();
        let address = match (recursive, name.to_string()) {
            (false, _) if world.is(Broken::ZoneRecord) => Some(Ipv4Addr::new(192, 0, 2, 1)),
            (true, name) if name.ends_with("acme.example.com") && world.is(Broken::Delegation) => None,
            _ => Some(Ipv4Addr::LOCALHOST),
        };
        let of_tenant = name.to_string().ends_with("acme.example.com");
        let is_refused = of_tenant && world.is(if recursive { Broken::Lame } else { Broken::ZoneGone });
        let mut response = Packet::new_reply(query.id());
        match address {
            _ if is_refused => *response.rcode_mut() = RCODE::Refused,
            Some(address) if query.questions[0].qtype == QTYPE::TYPE(TYPE::A) => {
                let data = simple_dns::rdata::RData::A(A { address: address.into() });
                response.answers.push(ResourceRecord::new(name, simple_dns::CLASS::IN, 60, data));
            }
            Some(_) => {}
            None => *response.rcode_mut() = RCODE::NameError,
        }
        let response = response.build_bytes_vec().unwrap();
        let _ = socket.send_to(&response, from).await;
    }
}

/// An HTTP proxy that only knows CONNECT, and counts what it carries.
pub(super) async fn proxy(listener: TcpListener, carried: Arc<AtomicU32>) {
    let mut connections = JoinSet::new();
    while let Ok((mut stream, _)) = listener.accept().await {
        let carried = Arc::clone(&carried);
        connections.spawn(async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let Ok(byte) = stream.read_u8().await else { return };
                head.push(byte);
            }
            let head = String::from_utf8(head).unwrap();
            let target = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next()).unwrap();
            let Ok(mut other) = TcpStream::connect(target).await else { return };
            carried.fetch_add(1, Ordering::Relaxed);
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut stream, &mut other).await;
        });
    }
}

/// Serves WebDAV and chat by https; `ended` decides which certificate.
pub(super) async fn https(world: Arc<World>, listener: TcpListener, good: TlsAcceptor, ended: TlsAcceptor) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let acceptor = if world.is(Broken::Certificate) { ended.clone() } else { good.clone() };
        let world = Arc::clone(&world);
        connections.spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                let world = Arc::clone(&world);
                async move {
                    let (head, body) = request.into_parts();
                    let body = body.collect().await.unwrap().to_bytes().to_vec();
                    let of = |name: &str| head.headers.get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
                    let (status, text) = if of("host").starts_with("webdav.") {
                        world.webdav(head.method.as_str(), head.uri.path(), &of("authorization"), body)
                    } else {
                        let body = serde_json::from_slice(&body).unwrap_or_default();
                        let (status, value) = world.chat(head.uri.path(), &body);
                        (status, value.to_string())
                    };
                    let response = Response::builder().status(StatusCode::from_u16(status).unwrap());
                    Ok::<_, Infallible>(response.body(Full::new(Bytes::from(text))).unwrap())
                }
            });
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// A certificate for the environment's names, and who serves with it.
pub(super) fn acceptor(issuer: &CertifiedIssuer<'_, KeyPair>, ends_in_days: i64) -> TlsAcceptor {
    let names = ["webdav", "chat"].map(|record| format!("{record}.acme.example.com"));
    let mut params = CertificateParams::new(names).unwrap();
    let day = Duration::from_secs(24 * 60 * 60);
    let now = SystemTime::now();
    params.not_before = (now - day * 100).into();
    let (days, past) = (u32::try_from(ends_in_days.abs()).unwrap(), ends_in_days < 0);
    params.not_after = (if past { now - day * days } else { now + day * days }).into();
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, issuer).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap();
    TlsAcceptor::from(Arc::new(config))
}
