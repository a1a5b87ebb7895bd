//! Names as the world sees them: at the zone's own name servers, and through the parent zone.

use std::{
    collections::BTreeSet,
    fmt, fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use landlord_core::ports::Concern;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, TYPE, rdata::RData};
use tokio::{
    net::{UdpSocket, lookup_host},
    time::timeout,
};

use super::{Ended, Scene};

/// How long each question over UDP is waited for: a lost packet is sent again soon, and a server that has to ask others first has all
/// of this time, since a late response to the first question is as good.
const ASK_TIMEOUTS: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(1), Duration::from_secs(2)];
/// Longest response over UDP without extensions is 512 bytes; servers may send more.
const PACKET_BYTES_MAX: usize = 4096;
/// Name servers of a zone that are queried.
const SERVERS_MAX: usize = 4;
/// Where name servers listen.
const DNS_PORT: u16 = 53;
/// Which name servers the machine has, and how many of them its resolver asks (resolv.conf(5)).
const RESOLV_CONF: &str = "/etc/resolv.conf";
const MACHINE_SERVERS_MAX: usize = 3;

/// Why a name leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// Whoever was queried says that there is no such name, or has no address of it.
    NotThere(String),
    /// Whoever was queried refuses, or fails: a zone that is delegated to servers that have it no more.
    Refused(String),
    /// Nobody responded.
    NoResponse(String),
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotThere(why) | Self::Refused(why) | Self::NoResponse(why) => f.write_str(why),
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
    /// Which name servers the machine has; `None`: `/etc/resolv.conf`.
    pub(crate) resolv_conf: Option<PathBuf>,
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
            // The standard library has no kind for it, and the machine's resolver one for servers that refuse or fail, and for no
            // response at all: which of them it was its name servers say themselves.
            Err(error) if error.to_string().contains("Temporary failure") => {
                let why = Unknown::NoResponse(format!("{name}: {error}"));
                self.asked_again(name, why).await
            }
            Err(error) => Err(Unknown::NotThere(format!("{name}: {error}"))),
        }
    }

    /// What the machine's name servers say of a name; `why`, where none of them responds.
    async fn asked_again(&self, name: &str, why: Unknown) -> Result<BTreeSet<IpAddr>, Unknown> {
        match self.at_machines_servers(name).await {
            None | Some(Err(Unknown::NoResponse(_))) => Err(why),
            Some(responded) => responded,
        }
    }

    /// What the machine's name servers say of a name, asked without its resolver and the thread that this takes; `None`: it names none.
    pub(crate) async fn at_machines_servers(&self, name: &str) -> Option<Result<BTreeSet<IpAddr>, Unknown>> {
        let file = self.resolv_conf.as_deref().unwrap_or_else(|| Path::new(RESOLV_CONF));
        let servers = fs::read_to_string(file).unwrap_or_default();
        let mut silent = None;
        for server in name_servers(&servers) {
            let server = SocketAddr::new(server, self.port.unwrap_or(DNS_PORT));
            match addresses(server, name, true).await {
                Err(why @ Unknown::NoResponse(_)) => silent = Some(Err(why)),
                responded => return Some(responded),
            }
        }
        silent
    }
}

/// What `resolv.conf` names, as many of them as the machine's resolver asks.
fn name_servers(text: &str) -> impl Iterator<Item = IpAddr> {
    let servers = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver")?.trim().parse().ok());
    servers.take(MACHINE_SERVERS_MAX)
}

/// Requests IPv4 and IPv6 addresses; names that an alias leads to are looked up by the server that is queried.
async fn addresses(server: SocketAddr, name: &str, recursive: bool) -> Result<BTreeSet<IpAddr>, Unknown> {
    let (mut found, mut unknown) = (BTreeSet::new(), None);
    // Both at once: one that is not answered takes all the time that there is.
    let of = |kind| ask(server, name, kind, recursive);
    let (v4, v6) = tokio::join!(of(TYPE::A), of(TYPE::AAAA));
    for responded in [v4, v6] {
        match responded {
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
    for patience in ASK_TIMEOUTS {
        socket.send(&query).await.map_err(no_response)?;
        let Ok(received) = timeout(patience, socket.recv(&mut buffer)).await else { continue };
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
        other => return Err(Unknown::Refused(format!("name server {server} returns {other:?} for {name}"))),
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
    let mut notes = BTreeSet::new();
    let mut unseen = BTreeSet::new();
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
        match through_parent(scene, &name, address).await {
            Ok(None) => {}
            Ok(Some(why)) => drop(unseen.insert(why)),
            Err(failed) => return failed,
        }
    }
    if !unseen.is_empty() {
        let why = unseen.into_iter().chain(notes).collect::<Vec<_>>().join("; ");
        // Whoever was READY keeps it while this machine's resolver is down; who is not is READY when somebody saw its names.
        return if scene.outside_only && !scene.target.was_ready {
            Ended::failed(why, "see why this machine resolves no names, or name a DNS server in deploy.checks.resolver")
        } else {
            Ended::NotRun(why)
        };
    }
    let detail = format!("{} names", scene.addresses.len());
    Ended::Passed(std::iter::once(detail).chain(notes).collect::<Vec<_>>().join("; "))
}

/// Whether a name leads to its address from the root down, as everybody asks; why that could not be seen, where nobody responds.
async fn through_parent(scene: &Scene<'_>, name: &str, address: &str) -> Result<Option<String>, Ended> {
    let (domain, servers) = (scene.target.spec.domain.as_str(), &scene.target.name_servers);
    let not_delegated = |cause: String| {
        let remedy = match servers.is_empty() {
            true => format!("delegate {domain} to its zone, in its parent zone"),
            false => format!("in the parent zone of {domain}, set its NS records to {}", servers.join(", ")),
        };
        Err(Ended::failed(cause, remedy).about(Concern::DomainNotDelegated))
    };
    let expected = match scene.names.lookup(address).await {
        Ok(expected) => expected,
        // The daemon's own resolver: nothing is known of the name.
        Err(Unknown::NoResponse(why)) => return Ok(Some(format!("not looked up from here: {why}"))),
        Err(why @ (Unknown::NotThere(_) | Unknown::Refused(_))) => {
            let cause = format!("the load balancer's name: {why}");
            return Err(Ended::failed(cause, "see whether the load balancer exists"));
        }
    };
    match scene.names.lookup(name).await {
        Ok(found) if !found.is_disjoint(&expected) => Ok(None),
        Ok(found) => not_delegated(format!("{name} leads to {}, not to {address}", list(&found))),
        Err(Unknown::NoResponse(why)) => Ok(Some(format!("not looked up through its parent zone: {why}"))),
        Err(why @ (Unknown::NotThere(_) | Unknown::Refused(_))) => {
            not_delegated(format!("through its parent zone {why}"))
        }
    }
}

/// What the zone's own servers say; a note where none of them can be queried from here. One that fails is one of several; where none
/// has the zone, it is not there.
async fn at_own_servers(scene: &Scene<'_>, name: &str, address: &str) -> Result<Option<String>, String> {
    let port = scene.names.port.unwrap_or(DNS_PORT);
    let mut unreachable = "the zone's name servers are not known".to_owned();
    let (mut requested, mut refused) = (false, None);
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
            Err(Unknown::Refused(why)) => refused = Some(why),
            Err(Unknown::NoResponse(why)) => unreachable = why,
        }
    }
    match refused {
        Some(why) if !requested => return Err(format!("the zone's own servers do not have it: {why}")),
        Some(why) => return Ok(Some(why)),
        None => {}
    }
    Ok((!requested).then(|| format!("the zone's own servers were not queried: {unreachable}")))
}

fn list(addresses: &BTreeSet<IpAddr>) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The machine's own resolver has one word for servers that refuse and for servers that are silent.
    #[tokio::test]
    async fn what_refuses_is_another_matter_than_what_is_silent_by_the_machines_name_servers() {
        let folder = tempfile::tempdir().unwrap();
        let resolv_conf = folder.path().join("resolv.conf");
        std::fs::write(&resolv_conf, "search example.com\nnameserver 127.0.0.1\noptions timeout:1\n").unwrap();
        let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let refusing = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let (quiet, port) = (silent.local_addr().unwrap().port(), refusing.local_addr().unwrap().port());
        let answers = async {
            let mut buffer = [0; 512];
            loop {
                let (length, from) = refusing.recv_from(&mut buffer).await.unwrap();
                let mut response = Packet::new_reply(Packet::parse(&buffer[..length]).unwrap().id());
                *response.rcode_mut() = RCODE::ServerFailure;
                refusing.send_to(&response.build_bytes_vec().unwrap(), from).await.unwrap();
            }
        };
        let asked = async |port: u16| {
            let names = Names { port: Some(port), resolv_conf: Some(resolv_conf.clone()), ..Names::default() };
            names.asked_again("chat.acme.example.com", Unknown::NoResponse("temporary".into())).await.unwrap_err()
        };
        let refused = tokio::select! { refused = asked(port) => refused, () = answers => unreachable!() };
        assert!(matches!(&refused, Unknown::Refused(why) if why.contains("ServerFailure")), "{refused:?}");
        assert_eq!(asked(quiet).await, Unknown::NoResponse("temporary".into()));
    }

    #[test]
    fn the_machines_name_servers_are_read_as_its_resolver_does() {
        let text = "# comment\nnameserver 10.0.0.2\n nameserver\tfd00::2 \nnameserver x\nnameserver 10.0.0.3\nnameserver 10.0.0.4\n";
        let servers: Vec<String> = name_servers(text).map(|server| server.to_string()).collect();
        assert_eq!(servers, ["10.0.0.2", "fd00::2", "10.0.0.3"]);
    }
}
