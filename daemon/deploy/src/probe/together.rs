//! Web addresses of an environment that lead to one place are asked over one connection, as browsers do where a certificate holds for
//! all of them (RFC 9110, section 4.3.4): of what a look costs, connections and handshakes are nearly all.
//!
//! # Guarantees
//! - What does not answer there as its own is looked at alone before it counts as lost: a server may know only the name that the
//!   connection began with.
//! - Any name may begin the connection, so that its own handshake and certificate are seen again every few minutes; whoever failed
//!   begins one of its own at each look until it answers there.
//! - A slow one keeps no other waiting for longer than [`PATIENCE`].

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use futures::future::join_all;
use rustls::{ClientConfig, client::verify_server_name, pki_types::ServerName, server::ParsedCertificate};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::client::TlsStream;

use super::{LINE_BYTES_MAX, Place, WebProbe, request, status};

/// Until whoever has not answered is asked alone: responses on one connection come one after another.
const PATIENCE: Duration = Duration::from_secs(1);
/// Of the responses before the last one: heads only.
const HEADS_BYTES_MAX: usize = 16 * 1024;

/// The places that are looked at together, by their indices; those without an address are in none. Who is to be `apart` is alone.
pub(super) fn groups(places: &[Place], found: &[BTreeSet<IpAddr>], apart: &HashSet<String>) -> Vec<Vec<usize>> {
    let mut shared: BTreeMap<(&BTreeSet<IpAddr>, u16), Vec<usize>> = BTreeMap::new();
    let (mut groups, mut last) = (Vec::new(), Vec::new());
    for (at, (place, found)) in places.iter().zip(found).enumerate().filter(|(_, (_, found))| !found.is_empty()) {
        if !place.is_web || apart.contains(&place.host) {
            groups.push(vec![at]);
        } else if place.path == "/" {
            shared.entry((found, place.port)).or_default().push(at);
        } else {
            // A body that matters comes last, and there is one last.
            last.push((at, (found, place.port)));
        }
    }
    for (at, key) in last {
        let group = shared.remove(&key).unwrap_or_default();
        groups.push(group.into_iter().chain([at]).collect());
    }
    groups.extend(shared.into_values());
    groups
}

impl WebProbe {
    /// Looks at places that lead to the same addresses; what each comes to, in their order.
    pub(super) async fn web_group(
        &self,
        places: &[&Place],
        at: &BTreeSet<IpAddr>,
        config: &Arc<ClientConfig>,
    ) -> Vec<Result<(), String>> {
        if let [place] = places {
            return vec![self.web(place, at, config).await];
        }
        let first = rand::random_range(0..places.len());
        let (stream, ip) = match self.connect(places[first], at).await {
            Ok(connected) => connected,
            Err(why) => return places.iter().map(|_| Err(why.clone())).collect(),
        };
        let mut seen: Vec<Option<Result<(), String>>> = vec![None; places.len()];
        match self.handshake(places[first], stream, config).await {
            Ok(mut stream) => asked_in_turn(&mut stream, (places, first), &mut seen).await,
            Err(why) => seen[first] = Some(Err(why)),
        }
        // One that does not answer is not waited for again.
        let at = &BTreeSet::from([ip]);
        let alone = seen.into_iter().zip(places).map(async |(seen, place)| match seen {
            Some(seen) => seen,
            None => self.web(place, at, config).await,
        });
        join_all(alone).await
    }
}

/// Asks for all of them at once, and takes the responses as they come. Who has none of its own is left out.
async fn asked_in_turn(
    stream: &mut TlsStream<TcpStream>,
    (places, first): (&[&Place], usize),
    seen: &mut [Option<Result<(), String>>],
) {
    let holds = held_for(stream, places);
    let Some(last) = (0..places.len()).rev().find(|at| holds[*at]) else { return };
    let requests: String =
        (0..=last)
            .filter(|at| holds[*at])
            .map(|at| {
                if at == last { request("GET", places[at], "close") } else { request("HEAD", places[at], "keep-alive") }
            })
            .collect();
    if stream.write_all(requests.as_bytes()).await.is_err() {
        return;
    }
    let taken = async {
        let mut come = String::new();
        for at in (0..last).filter(|at| holds[*at]) {
            let head = head(stream, &mut come).await?;
            seen[at] = is_own(places[at], status(&head)?, at == first).then_some(Ok(()));
        }
        let begun = line(stream, come).await?;
        seen[last] = is_own(places[last], status(&begun)?, last == first).then_some(Ok(()));
        Some(())
    };
    // What came until then counts.
    let _ = timeout(PATIENCE, taken).await;
}

/// For which of them the certificate holds that the connection has.
fn held_for(stream: &TlsStream<TcpStream>, places: &[&Place]) -> Vec<bool> {
    let chain = stream.get_ref().1.peer_certificates();
    let leaf = chain.and_then(<[_]>::first).and_then(|leaf| ParsedCertificate::try_from(leaf).ok());
    let holds = |place: &&Place| {
        let name = ServerName::try_from(place.host.as_str()).ok();
        leaf.as_ref().zip(name).is_some_and(|(leaf, name)| verify_server_name(leaf, &name).is_ok())
    };
    places.iter().map(holds).collect()
}

/// Whether an answer is the name's own, and none of those that a server gives for a name that it does not know there (421 Misdirected
/// Request, 404 of a proxy without such a route, 400), nor of those of a server that does not know `HEAD` (405). Of a failure the cause
/// is asked for alone.
fn is_own(place: &Place, status: u16, has_begun: bool) -> bool {
    place.is_answered_by(status)
        && !matches!(status, 100..200 | 405)
        && (has_begun || !matches!(status, 400 | 404 | 421))
}

/// The next head of a response without a body, and no interim one (RFC 9110, section 15.2); what came after it stays in `come`.
async fn head(stream: &mut TlsStream<TcpStream>, come: &mut String) -> Option<String> {
    loop {
        if let Some((head, rest)) = come.split_once("\r\n\r\n") {
            let (head, rest) = (head.to_owned(), rest.to_owned());
            *come = rest;
            match status(&head)? {
                100 | 102..200 => continue,
                _ => return head.starts_with("HTTP/1.").then_some(head),
            }
        }
        more(stream, come).await?;
    }
}

/// What came, with a whole first line in it.
async fn line(stream: &mut TlsStream<TcpStream>, mut come: String) -> Option<String> {
    while !come.contains('\n') {
        more(stream, &mut come).await?;
    }
    Some(come)
}

async fn more(stream: &mut TlsStream<TcpStream>, come: &mut String) -> Option<()> {
    let mut piece = [0; LINE_BYTES_MAX];
    let read = stream.read(&mut piece).await.ok().filter(|read| *read > 0 && come.len() < HEADS_BYTES_MAX)?;
    come.push_str(&String::from_utf8_lossy(piece.get(..read)?));
    Some(())
}
