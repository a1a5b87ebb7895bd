//! Whether an environment answers, cheaply: its addresses take connections, its file server says that it is one, and each of its
//! web addresses answers over TLS, with a certificate that has not ended; one that has a `health_path` says there what is lacking behind
//! it. Done every minute, for all tenants; what it costs is measured by `cargo run -p
//! landlord-deploy --example probe`.
//!
//! # Guarantees
//! - Ends within [`PROBE_TIMEOUT`], reads some hundred bytes, follows no redirect, signs in to nothing.
//! - No certificate is taken for longer than an hour without being seen (`sessions`), and none that has ended.
//! - Web addresses that lead to one place share a connection (`together`); any of them begins it, as its customers do.
//! - Connects to no address that lies inside (`core::public_address`): looked at after the name was resolved, and again of the
//!   connection that was made. None is asked of a proxy either, which may be let in where its callers are not.

mod names;
mod sessions;
mod together;

use std::{
    collections::{BTreeSet, HashSet},
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use futures::future::join_all;
use http::Uri;
use ipnet::IpNet;
use landlord_core::{
    Timestamp,
    environment::Endpoint,
    ports::{NoAnswer, PROBE_TIMEOUT, Probe},
    public_address,
};
use parking_lot::Mutex;
use rustls::{
    CipherSuite, ClientConfig, NamedGroup, RootCertStore,
    client::Resumption,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use self::{
    names::{KnownNames, NAMES_MAX},
    sessions::Sessions,
};
use crate::checks::{Trust, dial};

/// A handshake across the world takes a fraction of it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// TLS sessions that are gone on with: a resumed handshake verifies no certificate, which is most of what a probe costs. As many as
/// names: where there are fewer, each look pushes out the session that another one is about to need. Each holds the server's
/// certificates and a ticket.
const SESSIONS_MAX: usize = NAMES_MAX;
/// Certificate authorities are read again after this long.
const TRUST_TTL: Duration = Duration::from_secs(10 * 60);
/// After this long if they could not be read: all looks of a second share one attempt.
const TRUST_RETRY: Duration = Duration::from_secs(10);
/// The first line of an answer is all that is read.
const LINE_BYTES_MAX: usize = 512;
/// Of one that is a failure so much more: what it says of itself is in its first lines.
const FAILURE_BYTES_MAX: usize = 2_048;
/// Of that a cause has.
const SAID_CHARS_MAX: usize = 160;

/// How environments are looked at.
#[derive(Debug, Clone, Default)]
pub struct ProbeOptions {
    /// DNS server that names are asked of; `None`: the machine's own resolver.
    pub resolver: Option<SocketAddr>,
    /// HTTP proxy (CONNECT) that public addresses are reached through; `None`: directly.
    pub proxy: Option<SocketAddr>,
    /// PEM file of certificate authorities that are trusted beside the machine's own.
    pub trusted_ca: Option<PathBuf>,
    /// Addresses that are looked at though they lie inside.
    pub allowed: Vec<IpNet>,
}

/// How web servers are judged.
#[derive(Clone)]
struct Judge {
    /// By whom, as read.
    authorities: Arc<Vec<TrustAnchor<'static>>>,
    config: Arc<ClientConfig>,
}

/// Or why nobody can be.
type KnownTrust = Result<Judge, String>;

/// Looks from the daemon's network.
pub struct WebProbe {
    options: ProbeOptions,
    names: KnownNames,
    trust: Mutex<Option<(KnownTrust, Instant)>>,
    sessions: Arc<Sessions>,
    /// Hosts that did not answer last time: none of them shares a connection, which another name could have begun for it.
    apart: Mutex<HashSet<String>>,
}

impl std::fmt::Debug for WebProbe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebProbe").field("options", &self.options).finish_non_exhaustive()
    }
}

/// One address, taken apart.
struct Place {
    name: String,
    host: String,
    port: u16,
    is_web: bool,
    /// What a web address is asked for.
    path: String,
    /// Whether its path says how it is; else it is only whether somebody answers.
    says_health: bool,
}

impl Place {
    /// Whoever asks for a password, or sends one elsewhere, answers. A path of health says so itself: 404 is a Gateway's that has lost the
    /// route to the app.
    fn is_answered_by(&self, status: u16) -> bool {
        if self.says_health { (200..300).contains(&status) } else { (100..500).contains(&status) }
    }
}

impl WebProbe {
    /// Looks at nothing yet.
    #[must_use]
    pub fn new(options: ProbeOptions) -> Self {
        let sessions = Arc::new(Sessions::new(SESSIONS_MAX));
        let names = KnownNames::new(options.resolver);
        Self { options, names, trust: Mutex::default(), sessions, apart: Mutex::default() }
    }

    /// All places side by side: a slow one takes nothing of another's time, and of those that share it a second.
    async fn look(&self, endpoints: &[Endpoint]) -> Result<(), NoAnswer> {
        // Before anything is connected to: without authorities nobody can be judged.
        let places: Vec<Place> = endpoints.iter().filter_map(place).collect();
        let config = match places.iter().any(|place| place.is_web) {
            true => Some(self.judge().map_err(NoAnswer::NotLooked)?.config),
            false => None,
        };
        let found = join_all(places.iter().map(|place| self.names.lookup(&place.host))).await;
        let mut seen: Vec<Result<(), String>> = found.iter().map(|found| found.clone().map(drop)).collect();
        let found: Vec<BTreeSet<IpAddr>> = found.into_iter().map(Result::unwrap_or_default).collect();
        let groups = together::groups(&places, &found, &self.apart.lock());
        let one = async |group: &Vec<usize>| -> Vec<Result<(), String>> {
            let [first, ..] = group.as_slice() else { return Vec::new() };
            let members: Vec<&Place> = group.iter().filter_map(|at| places.get(*at)).collect();
            match (&config, members.as_slice()) {
                (Some(config), [place, ..]) if place.is_web => self.web_group(&members, &found[*first], config).await,
                (_, [place, ..]) => vec![self.banner(place, &found[*first]).await],
                _ => Vec::new(),
            }
        };
        for (group, results) in groups.iter().zip(join_all(groups.iter().map(one)).await) {
            for (at, result) in group.iter().zip(results) {
                seen[*at] = result;
            }
        }
        let mut looked = Ok(());
        for (place, seen) in places.iter().zip(seen) {
            self.noted(&place.host, seen.is_ok());
            if let Err(why) = seen
                && looked.is_ok()
            {
                looked = Err(NoAnswer::Missed(format!("{}: {why}", place.name)));
            }
        }
        looked
    }

    /// What did not answer is asked for again: its name, and by a connection of its own until it answers there.
    fn noted(&self, host: &str, answers: bool) {
        let mut apart = self.apart.lock();
        if answers {
            apart.remove(host);
            return;
        }
        self.names.forget(host);
        if apart.len() >= NAMES_MAX {
            // Of tenants that are gone, for the most part.
            apart.clear();
        }
        apart.insert(host.to_owned());
    }

    async fn web(&self, place: &Place, at: &BTreeSet<IpAddr>, config: &Arc<ClientConfig>) -> Result<(), String> {
        let (stream, _) = self.connect(place, at).await?;
        let mut stream = self.handshake(place, stream, config).await?;
        let request = request("GET", place, "close");
        stream.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
        let begun = beginning(&mut stream).await?;
        judged(&mut stream, begun, place).await
    }

    async fn handshake(
        &self,
        place: &Place,
        stream: TcpStream,
        config: &Arc<ClientConfig>,
    ) -> Result<TlsStream<TcpStream>, String> {
        let name = ServerName::try_from(place.host.clone()).map_err(|error| error.to_string())?;
        let connector = TlsConnector::from(Arc::clone(config));
        let stream = connector.connect(name.clone(), stream).await.map_err(|error| format!("TLS: {error}"))?;
        // It may have been renewed since this session began.
        still_holds(stream.get_ref().1.peer_certificates(), UnixTime::now())
            .inspect_err(|_| self.sessions.forget(&name))?;
        Ok(stream)
    }

    async fn banner(&self, place: &Place, at: &BTreeSet<IpAddr>) -> Result<(), String> {
        let (mut stream, _) = self.connect(place, at).await?;
        let begun = beginning(&mut stream).await?;
        if begun.starts_with("SSH-") { Ok(()) } else { Err("no SSH server answers".into()) }
    }

    /// A connection to an address that does not lie inside, and which one it is.
    async fn connect(&self, place: &Place, at: &BTreeSet<IpAddr>) -> Result<(TcpStream, IpAddr), String> {
        let mut why = format!("{} has no address", place.host);
        for ip in at.iter().copied() {
            let address = SocketAddr::new(ip, place.port);
            if let Some(what) = public_address::refusal(ip, &self.options.allowed) {
                why = format!("{} leads to {ip}, which is {what}: it is not asked", place.host);
                continue;
            }
            match dial(address, self.options.proxy, CONNECT_TIMEOUT).await {
                Ok(stream) if self.options.proxy.is_some() => return Ok((stream, ip)),
                Ok(stream) => {
                    let peer = stream.peer_addr().map_err(|error| error.to_string())?.ip();
                    match public_address::refusal(peer, &self.options.allowed) {
                        Some(what) => why = format!("{} led to {peer}, which is {what}", place.host),
                        None => return Ok((stream, ip)),
                    }
                }
                Err(unreached) => why = unreached,
            }
        }
        Err(why)
    }

    fn judge(&self) -> KnownTrust {
        let mut trust = self.trust.lock();
        if let Some((known, at)) = &*trust
            && at.elapsed() < if known.is_ok() { TRUST_TTL } else { TRUST_RETRY }
        {
            return known.clone();
        }
        let loaded = Trust::authorities(self.options.trusted_ca.as_deref()).and_then(|read| match &*trust {
            // Sessions are gone on with under the configuration of their beginning only.
            Some((Ok(known), _)) if *known.authorities == read.roots => Ok(known.clone()),
            _ => self.judged_by(read),
        });
        *trust = Some((loaded.clone(), Instant::now()));
        loaded
    }

    fn judged_by(&self, read: RootCertStore) -> KnownTrust {
        let authorities = Arc::new(read.roots.clone());
        let mut config = (*Trust::of(read, provider())?.config).clone();
        config.resumption = Resumption::store(Arc::clone(&self.sessions) as _);
        Ok(Judge { authorities, config: Arc::new(config) })
    }
}

/// What costs least goes first: what a look sends and reads is no secret, now or later. A handshake hashes a dozen times, and
/// processors have instructions for SHA-256 that they lack for SHA-384, which the usual first suite has.
fn provider() -> CryptoProvider {
    let mut provider = aws_lc_rs::default_provider();
    provider.kx_groups.sort_by_key(|group| group.name() != NamedGroup::X25519);
    provider.cipher_suites.sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
    provider
}

#[async_trait]
impl Probe for WebProbe {
    async fn probe(&self, endpoints: &[Endpoint]) -> Result<(), NoAnswer> {
        let looked = timeout(PROBE_TIMEOUT, self.look(endpoints)).await;
        looked.unwrap_or_else(|_| {
            // Whichever of them it was.
            endpoints.iter().filter_map(place).for_each(|place| self.noted(&place.host, false));
            Err(NoAnswer::Missed(format!("no answer within {} s", PROBE_TIMEOUT.as_secs())))
        })
    }
}

/// Whether the server's certificate has not ended: one that is gone on with is verified by nobody else.
fn still_holds(chain: Option<&[CertificateDer<'_>]>, now: UnixTime) -> Result<(), String> {
    let leaf = chain.and_then(<[_]>::first).ok_or("it shows no certificate")?;
    let (_, certificate) =
        x509_parser::parse_x509_certificate(leaf).map_err(|error| format!("its certificate: {error}"))?;
    let end = certificate.validity().not_after.timestamp();
    if end < i64::try_from(now.as_secs()).unwrap_or(i64::MAX) {
        let end = Timestamp(end.saturating_mul(1_000));
        return Err(format!("its certificate has ended at {end}"));
    }
    Ok(())
}

/// What is not https or sftp is looked at by the checks only.
fn place(endpoint: &Endpoint) -> Option<Place> {
    let uri: Uri = endpoint.url.parse().ok()?;
    let path = if endpoint.health_path.is_empty() { "/".to_owned() } else { endpoint.health_path.clone() };
    let (is_web, usual) = match uri.scheme_str()? {
        "https" => (true, 443),
        "sftp" => (false, 22),
        _ => return None,
    };
    let port = uri.port_u16().unwrap_or(usual);
    let says_health = !endpoint.health_path.is_empty();
    Some(Place { name: endpoint.name.clone(), host: uri.host()?.to_owned(), port, is_web, path, says_health })
}

fn request(method: &str, place: &Place, connection: &str) -> String {
    let Place { path, host, .. } = place;
    format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nuser-agent: landlord\r\nconnection: {connection}\r\n\r\n")
}

/// What a response that began like this comes to.
async fn judged(stream: &mut (impl AsyncRead + Unpin), begun: String, place: &Place) -> Result<(), String> {
    match status(&begun) {
        Some(status) if place.is_answered_by(status) => Ok(()),
        Some(status) => Err(format!("it answers {status}{}", said(stream, begun).await)),
        None => Err("it answers no HTTP".into()),
    }
}

fn status(response: &str) -> Option<u16> {
    response.split(' ').nth(1)?.parse().ok()
}

/// What comes until there is a first line, and whatever came with it.
async fn beginning(stream: &mut (impl AsyncRead + Unpin)) -> Result<String, String> {
    let mut line = Vec::with_capacity(LINE_BYTES_MAX);
    let mut piece = [0; LINE_BYTES_MAX];
    while line.len() < LINE_BYTES_MAX && !line.contains(&b'\n') {
        let read = stream.read(&mut piece).await.map_err(|error| error.to_string())?;
        if read == 0 {
            break;
        }
        line.extend_from_slice(piece.get(..read).unwrap_or_default());
    }
    let text = String::from_utf8_lossy(&line);
    if text.lines().next().is_none_or(str::is_empty) {
        Err("it closes the connection".into())
    } else {
        Ok(text.into_owned())
    }
}

/// What a response of HTTP that began like this says of itself: the first line of its body, without what a terminal would obey.
async fn said(stream: &mut (impl AsyncRead + Unpin), begun: String) -> String {
    let (mut whole, mut piece) = (begun, [0; LINE_BYTES_MAX]);
    while whole.len() < FAILURE_BYTES_MAX
        && let Ok(read @ 1..) = stream.read(&mut piece).await
    {
        whole.push_str(&String::from_utf8_lossy(piece.get(..read).unwrap_or_default()));
    }
    let (head, body) = whole.split_once("\r\n\r\n").unwrap_or((&whole, ""));
    // The first line of a body in pieces is the size of the first.
    let is_in_pieces = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let line = body.lines().nth(usize::from(is_in_pieces)).unwrap_or_default();
    let line: String = line.chars().filter(|c| !c.is_control()).take(SAID_CHARS_MAX).collect();
    if line.is_empty() { line } else { format!(": {line}") }
}

#[cfg(test)]
mod tests;
