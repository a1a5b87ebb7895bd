//! Where names lead, kept for a while. Knows nothing of what is done there.
//!
//! The machine's name servers are asked by this daemon itself: its resolver would take a thread for each name, and a name whose
//! servers are silent keeps one for half a minute. A few hundred of those, and nobody's name could be looked up any more.

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::checks::{Names, Unknown};

/// Addresses of a name are looked up again after this long, or down to half of it: a name that is gone is found within it. One that
/// leads to nobody who answers is looked up at the next beat. A share of each name's own, so that not all are asked for in one beat:
/// name servers drop what comes in bursts.
const NAME_TTL: Duration = Duration::from_secs(15 * 60);
/// Names kept: 10,000 tenants have some 40,000.
pub(super) const NAMES_MAX: usize = 50_000;
/// What goes before name servers, as machines have it (nsswitch.conf(5): `hosts: files dns`).
const HOSTS: &str = "/etc/hosts";

/// Names that were looked up.
pub(super) struct KnownNames {
    names: Names,
    hosts: PathBuf,
    /// With until when.
    kept: Mutex<HashMap<String, (BTreeSet<IpAddr>, Instant)>>,
}

impl KnownNames {
    /// Asks `resolver`; `None`: whom this machine asks.
    pub(super) fn new(resolver: Option<SocketAddr>) -> Self {
        let names = Names { resolver, ..Names::default() };
        Self { names, hosts: HOSTS.into(), kept: Mutex::default() }
    }

    /// Addresses of a name, or the address itself.
    pub(super) async fn lookup(&self, host: &str) -> Result<BTreeSet<IpAddr>, String> {
        if let Some((known, until)) = self.kept.lock().get(host)
            && Instant::now() < *until
        {
            return Ok(known.clone());
        }
        let found = self.asked(host).await.map_err(|why| why.to_string())?;
        let mut kept = self.kept.lock();
        if kept.len() >= NAMES_MAX {
            // Those of tenants that are gone; without them there is room, or there are more than this daemon is for.
            kept.retain(|_, (_, until)| Instant::now() < *until);
            if kept.len() >= NAMES_MAX {
                kept.clear();
            }
        }
        let ttl = NAME_TTL.mul_f64(1.0 - rand::random::<f64>() / 2.0);
        kept.insert(host.to_owned(), (found.clone(), Instant::now() + ttl));
        Ok(found)
    }

    /// Nobody answered there: it may have moved.
    pub(super) fn forget(&self, host: &str) {
        self.kept.lock().remove(host);
    }

    async fn asked(&self, host: &str) -> Result<BTreeSet<IpAddr>, Unknown> {
        let name = host.trim_end_matches('.');
        if self.names.resolver.is_some() || !is_of_dns(name) {
            return self.names.lookup(host).await;
        }
        let found = in_hosts(&fs::read_to_string(&self.hosts).unwrap_or_default(), name);
        if !found.is_empty() {
            return Ok(found);
        }
        match self.names.at_machines_servers(name).await {
            Some(responded) => responded,
            // The machine has its names from elsewhere.
            None => self.names.lookup(host).await,
        }
    }
}

/// Whether name servers know such names: no addresses in whatever notation (no top-level domain begins with a digit), and none of the
/// machine's own.
fn is_of_dns(name: &str) -> bool {
    let top = name.rsplit_once('.').map(|(_, top)| top);
    name.parse::<IpAddr>().is_err() && top.is_some_and(|top| top.starts_with(|first: char| first.is_ascii_alphabetic()))
}

/// Addresses that hosts(5) has of a name.
fn in_hosts(text: &str, name: &str) -> BTreeSet<IpAddr> {
    let address = |line: &str| {
        let mut words = line.split('#').next()?.split_whitespace();
        let address = words.next()?.parse().ok()?;
        words.any(|own| own.trim_end_matches('.').eq_ignore_ascii_case(name)).then_some(address)
    };
    text.lines().filter_map(address).collect()
}

#[cfg(test)]
mod tests {
    use simple_dns::{
        CLASS, Packet, QTYPE, ResourceRecord, TYPE,
        rdata::{A, RData},
    };
    use tokio::{net::UdpSocket, task::JoinSet};

    use super::*;

    /// More than there are threads for.
    const SILENT: usize = 600;

    #[tokio::test]
    async fn names_whose_servers_are_silent_keep_no_other_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let (hosts, resolv_conf) = (folder.path().join("hosts"), folder.path().join("resolv.conf"));
        fs::write(&hosts, "127.0.0.1 localhost\n34.1.2.9 own.example.com # by hand\n").unwrap();
        fs::write(&resolv_conf, "nameserver 127.0.0.1\n").unwrap();
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let port = Some(server.local_addr().unwrap().port());
        let names = Names { port, resolv_conf: Some(resolv_conf), ..Names::default() };
        let names = std::sync::Arc::new(KnownNames { names, hosts, ..KnownNames::new(None) });
        let serves = async {
            let mut buffer = [0; 512];
            loop {
                let (length, from) = server.recv_from(&mut buffer).await.unwrap();
                let query = Packet::parse(&buffer[..length]).unwrap();
                let question = &query.questions[0];
                if question.qname.to_string() != "fine.example.com" {
                    continue;
                }
                let mut response = Packet::new_reply(query.id());
                if question.qtype == QTYPE::TYPE(TYPE::A) {
                    let data = RData::A(A { address: std::net::Ipv4Addr::new(34, 1, 2, 3).into() });
                    response.answers.push(ResourceRecord::new(question.qname.clone(), CLASS::IN, 60, data));
                }
                server.send_to(&response.build_bytes_vec().unwrap(), from).await.unwrap();
            }
        };
        let asks = async {
            let mut silent = JoinSet::new();
            for index in 0..SILENT {
                let names = names.clone();
                silent.spawn(async move { names.lookup(&format!("t{index}.silent.example.com")).await });
            }
            // All are under way.
            tokio::task::yield_now().await;
            let found = names.lookup("fine.example.com").await;
            assert_eq!(found, Ok(["34.1.2.3".parse().unwrap()].into()));
            assert!(silent.try_join_next().is_none(), "it was waited for one of them");
            assert_eq!(names.lookup("OWN.example.com.").await, Ok(["34.1.2.9".parse().unwrap()].into()));
        };
        tokio::select! { () = asks => {}, () = serves => {} }
    }

    #[test]
    fn what_is_no_name_of_the_internet_is_asked_of_no_server() {
        for name in ["localhost", "127.0.0.1", "127.1", "0177.0.0.1", "2130706433", "0x7f000001", "::1", "[::1]", ""] {
            assert!(!is_of_dns(name), "{name}");
        }
        for name in ["chat.acme.example.com", "acme.xn--p1ai", "7.example"] {
            assert!(is_of_dns(name), "{name}");
        }
    }
}
