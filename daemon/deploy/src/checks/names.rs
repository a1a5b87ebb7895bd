//! Names as the world sees them: at the zone's own name servers, and through the parent zone.

use std::{
    collections::BTreeSet,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, TYPE, rdata::RData};
use tokio::{
    net::{UdpSocket, lookup_host},
    time::timeout,
};

use super::{Ended, Scene};

/// One question over UDP; a lost packet is requested again.
const ASK_TIMEOUT: Duration = Duration::from_secs(2);
const TRIES: u32 = 2;
/// Longest response over UDP without extensions is 512 bytes; servers may send more.
const PACKET_BYTES_MAX: usize = 4096;
/// Name servers of a zone that are queried.
const SERVERS_MAX: usize = 4;
/// Where name servers listen.
const DNS_PORT: u16 = 53;

/// Why a name leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// Whoever was queried says that there is no such name, or has no address of it.
    NotThere(String),
    /// Nobody responded.
    NoResponse(String),
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotThere(why) | Self::NoResponse(why) => f.write_str(why),
        }
    }
}

/// Whom names are requested from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    /// The resolver; `None`: the machine's own.
    pub(crate) resolver: Option<SocketAddr>,
    /// Where the zones' name servers listen; `None`: port 53.
    pub(crate) port: Option<u16>,
}

impl Names {
    /// Addresses of a name, or the address itself.
    pub(crate) async fn lookup(&self, name: &str) -> Result<BTreeSet<IpAddr>, Unknown> {
        if let Ok(address) = name.parse() {
            return Ok([address].into());
        }
        let name = name.trim_end_matches('.');
        if let Some(resolver) = self.resolver {
            return addresses(resolver, name, true).await;
        }
        match lookup_host((name, DNS_PORT)).await {
            Ok(found) => Ok(found.map(|address| address.ip()).collect()),
            // The standard library has no kind for it.
            Err(error) if error.to_string().contains("Temporary failure") => {
                Err(Unknown::NoResponse(format!("{name}: {error}")))
            }
            Err(error) => Err(Unknown::NotThere(format!("{name}: {error}"))),
        }
    }
}

/// Requests IPv4 and IPv6 addresses; names that an alias leads to are looked up by the server that is queried.
async fn addresses(server: SocketAddr, name: &str, recursive: bool) -> Result<BTreeSet<IpAddr>, Unknown> {
    let (mut found, mut unknown) = (BTreeSet::new(), None);
    for kind in [TYPE::A, TYPE::AAAA] {
        match ask(server, name, kind, recursive).await {
            Ok((addresses, _)) => found.extend(addresses),
            Err(why) => unknown = Some(why),
        }
    }
    match unknown {
        _ if !found.is_empty() => Ok(found),
        Some(why) => Err(why),
        None => Err(Unknown::NotThere(format!("{name} has no address at {server}"))),
    }
}

/// Addresses and aliases that a server responds with.
async fn ask(
    server: SocketAddr,
    name: &str,
    kind: TYPE,
    recursive: bool,
) -> Result<(BTreeSet<IpAddr>, BTreeSet<String>), Unknown> {
    let unusable = |error: simple_dns::SimpleDnsError| Unknown::NotThere(format!("{name}: {error}"));
    let no_response = |error: std::io::Error| Unknown::NoResponse(format!("name server {server}: {error}"));
    let id = rand::random();
    let mut query = Packet::new_query(id);
    if recursive {
        query.set_flags(PacketFlag::RECURSION_DESIRED);
    }
    let question = Name::new(name).map_err(unusable)?;
    query.questions.push(Question::new(question, QTYPE::TYPE(kind), QCLASS::CLASS(CLASS::IN), false));
    let query = query.build_bytes_vec().map_err(unusable)?;
    let local: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((local, 0)).await.map_err(no_response)?;
    socket.connect(server).await.map_err(no_response)?;
    let mut buffer = vec![0; PACKET_BYTES_MAX];
    for _ in 0..TRIES {
        socket.send(&query).await.map_err(no_response)?;
        let Ok(received) = timeout(ASK_TIMEOUT, socket.recv(&mut buffer)).await else { continue };
        let length = received.map_err(no_response)?;
        let Ok(response) = Packet::parse(buffer.get(..length).unwrap_or_default()) else { continue };
        if response.id() == id {
            return read(server, name, &response);
        }
    }
    Err(Unknown::NoResponse(format!("name server {server} does not respond")))
}

fn read(
    server: SocketAddr,
    name: &str,
    response: &Packet<'_>,
) -> Result<(BTreeSet<IpAddr>, BTreeSet<String>), Unknown> {
    match response.rcode() {
        RCODE::NoError => {}
        RCODE::NameError => return Err(Unknown::NotThere(format!("{server} knows no name {name}"))),
        other => return Err(Unknown::NoResponse(format!("name server {server} returns {other:?} for {name}"))),
    }
    let (mut found, mut aliases) = (BTreeSet::new(), BTreeSet::new());
    for record in &response.answers {
        match &record.rdata {
            RData::A(own) => drop(found.insert(IpAddr::from(Ipv4Addr::from(own.address)))),
            RData::AAAA(own) => drop(found.insert(IpAddr::from(Ipv6Addr::from(own.address)))),
            RData::CNAME(own) => drop(aliases.insert(own.0.to_string())),
            _ => {}
        }
    }
    Ok((found, aliases))
}

/// Each entry point's name.
pub(super) async fn run(scene: &Scene<'_>) -> Ended {
    if !scene.options.from_outside {
        return Ended::NotRun("deploy.checks.from_outside is false: names are not requested".into());
    }
    if scene.addresses.is_empty() {
        return Ended::NotRun("no name has an address".into());
    }
    let domain = scene.target.spec.domain.as_str();
    let servers = &scene.target.name_servers;
    let mut notes = BTreeSet::new();
    for (record, address) in &scene.addresses {
        let name = format!("{record}.{domain}");
        match at_own_servers(scene, &name, address).await {
            Ok(None) => {}
            Ok(Some(note)) => drop(notes.insert(note)),
            Err(cause) => {
                let remedy = "see the stage dns-records; whoever changed the zone by hand must undo it";
                return Ended::failed(cause, remedy);
            }
        }
        let parent = || match servers.is_empty() {
            true => format!("delegate {domain} to its zone, in its parent zone"),
            false => format!("in the parent zone of {domain}, set its NS records to {}", servers.join(", ")),
        };
        let expected = match scene.names.lookup(address).await {
            Ok(expected) => expected,
            // The daemon's own resolver: nothing is known of the name.
            Err(Unknown::NoResponse(why)) => {
                notes.insert(format!("not looked up from here: {why}"));
                continue;
            }
            Err(why) => {
                return Ended::failed(
                    format!("the load balancer's name: {why}"),
                    "see whether the load balancer exists",
                );
            }
        };
        match scene.names.lookup(&name).await {
            Ok(found) if !found.is_disjoint(&expected) => {}
            Ok(found) => {
                let cause = format!("{name} leads to {}, not to {address}", list(&found));
                return Ended::failed(cause, parent());
            }
            Err(Unknown::NoResponse(why)) => {
                notes.insert(format!("not looked up through its parent zone: {why}"));
            }
            Err(why) => return Ended::failed(format!("through its parent zone {why}"), parent()),
        }
    }
    let detail = format!("{} names", scene.addresses.len());
    Ended::Passed(std::iter::once(detail).chain(notes).collect::<Vec<_>>().join("; "))
}

/// What the zone's own servers say; a note where none of them can be queried from here.
async fn at_own_servers(scene: &Scene<'_>, name: &str, address: &str) -> Result<Option<String>, String> {
    let port = scene.names.port.unwrap_or(DNS_PORT);
    let mut unreachable = "the zone's name servers are not known".to_owned();
    let mut requested = false;
    for server in scene.target.name_servers.iter().take(SERVERS_MAX) {
        let ip = match scene.names.lookup(server).await {
            Ok(found) => found.into_iter().next(),
            Err(why) => {
                unreachable = why.to_string();
                None
            }
        };
        let Some(ip) = ip else { continue };
        let kind = match address.parse() {
            Ok(IpAddr::V4(_)) => TYPE::A,
            Ok(IpAddr::V6(_)) => TYPE::AAAA,
            Err(_) => TYPE::CNAME,
        };
        match ask(SocketAddr::new(ip, port), name, kind, false).await {
            Ok((found, aliases)) => {
                requested = true;
                let own = address.trim_end_matches('.');
                let same = found.iter().any(|ip| ip.to_string() == own)
                    || aliases.iter().any(|alias| alias.trim_end_matches('.').eq_ignore_ascii_case(own));
                if !same {
                    let seen: Vec<String> = found.iter().map(ToString::to_string).chain(aliases).collect();
                    let seen = if seen.is_empty() { "nothing".to_owned() } else { seen.join(", ") };
                    return Err(format!("the zone's own server {server} has {seen} for {name}, not {address}"));
                }
            }
            Err(Unknown::NotThere(why)) => return Err(format!("the zone's own server {server}: {why}")),
            Err(Unknown::NoResponse(why)) => unreachable = why,
        }
    }
    Ok((!requested).then(|| format!("the zone's own servers were not queried: {unreachable}")))
}

fn list(addresses: &BTreeSet<IpAddr>) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
