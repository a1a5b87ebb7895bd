//! The zones of a simulated cloud by the DNS protocol: over TCP framing on a unix socket, for machines that reach nothing else,
//! and by UDP at an address of this machine, for whoever stands for the Internet.
//!
//! One server stands for all: the zones' own name servers (their names lead to it) and a resolver, which follows aliases when
//! it is asked to. Delegation from a parent zone is not looked at. <https://www.rfc-editor.org/rfc/rfc1035#section-4>

mod update;

use cloudsim_core::{cloud_side::CloudSide, cluster::RecordSeen};
use landlord_test_kube::cloud::address_of;
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{UdpSocket, UnixListener, UnixStream},
    task::JoinSet,
};
use update::Updates;

const HEADER_BYTES: usize = 12;
const CLASS_IN: u16 = 1;
/// A question that its server is to follow.
const RECURSION_DESIRED: u8 = 1;
/// Aliases that are followed one after another.
const ALIASES_MAX: usize = 8;
/// Longest question that is read by UDP.
const DATAGRAM_BYTES_MAX: usize = 1232;
/// Response, authoritative.
const RESPONSE_FLAGS: u16 = 0x8400;
const NAME_ERROR: u16 = 3;
/// Questions that are no question are answered by silence.
const QUESTION_PATIENCE: Duration = Duration::from_secs(60);
const TYPES: [(&str, u16); 5] = [("A", 1), ("NS", 2), ("CNAME", 5), ("SOA", 6), ("TXT", 16)];

/// Clouds whose zones are served by UDP. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Zones(Arc<Mutex<Vec<CloudSide>>>);

impl Zones {
    /// Serves the zones of one more cluster's cloud.
    pub(crate) fn add(&self, cloud: CloudSide) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(cloud);
    }

    fn records(&self) -> Vec<RecordSeen> {
        let clouds = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut all: Vec<RecordSeen> = Vec::new();
        for record in clouds.iter().flat_map(CloudSide::records) {
            // Clusters of one cloud see the same.
            if !all.contains(&record) {
                all.push(record);
            }
        }
        all
    }
}

/// Answers by UDP at `address`, to which name servers' names lead, until the set of its tasks is dropped.
///
/// # Errors
/// An address that can't be had.
pub(crate) fn serve_datagrams(address: SocketAddr, zones: Zones) -> std::io::Result<JoinSet<()>> {
    let socket = std::net::UdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    let socket = UdpSocket::from_std(socket)?;
    let own = match address.ip() {
        IpAddr::V4(own) => Some(own),
        IpAddr::V6(_) => None,
    };
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut question = [0; DATAGRAM_BYTES_MAX];
        loop {
            // An error is of one datagram: of an answer before, that nobody took.
            let Ok((length, from)) = socket.recv_from(&mut question).await else { continue };
            if let Some(answer) = answer(question.get(..length).unwrap_or_default(), &zones.records(), own) {
                let _ = socket.send_to(&answer, from).await;
            }
        }
    });
    Ok(tasks)
}

/// Answers on `socket` until the set of its tasks is dropped.
///
/// # Errors
/// A socket that can't be made.
pub(crate) fn serve(socket: PathBuf, cloud: CloudSide) -> std::io::Result<JoinSet<()>> {
    if let Some(folder) = socket.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let _ = std::fs::remove_file(&socket);
    let listener = UnixListener::bind(&socket)?;
    let updates = Updates::default();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let (cloud, updates) = (cloud.clone(), updates.clone());
            connections.spawn(async move {
                let _ = answer_all(stream, &cloud, &updates).await;
            });
            // Those that ended leave the set.
            while connections.try_join_next().is_some() {}
        }
    });
    Ok(tasks)
}

async fn answer_all(mut stream: UnixStream, cloud: &CloudSide, updates: &Updates) -> std::io::Result<()> {
    loop {
        let length = tokio::time::timeout(QUESTION_PATIENCE, stream.read_u16()).await??;
        let mut question = vec![0; usize::from(length)];
        stream.read_exact(&mut question).await?;
        let answered = updates.answer(&question);
        let all = || [cloud.records(), updates.records()].concat();
        let Some(answer) = answered.or_else(|| answer(&question, &all(), None)) else { return Ok(()) };
        stream.write_u16(u16::try_from(answer.len()).unwrap_or(u16::MAX)).await?;
        stream.write_all(&answer).await?;
    }
}

/// The answer to a message with one question; `None`: it is none. `own`: the address of whoever answers.
fn answer(message: &[u8], records: &[RecordSeen], own: Option<Ipv4Addr>) -> Option<Vec<u8>> {
    let (name, end) = read_name(message, HEADER_BYTES)?;
    let question = message.get(HEADER_BYTES..end + 4)?;
    let kind = u16::from_be_bytes(message.get(end..end + 2)?.try_into().ok()?);
    let follows = message.get(2)? & RECURSION_DESIRED != 0;
    let (mut body, mut count, mut known) = (Vec::new(), 0_u16, false);
    let mut at = Some(name);
    for _ in 0..ALIASES_MAX {
        let Some(name) = at.take() else { break };
        let of_name = of_name(&name, records, own);
        known |= !of_name.is_empty();
        for record in &of_name {
            let Some((_, own_kind)) = TYPES.iter().find(|(name, _)| *name == record.kind) else { continue };
            let is_alias = record.kind == "CNAME";
            if !is_alias && *own_kind != kind {
                continue;
            }
            for value in &record.values {
                let Some(data) = data(&record.kind, value) else { continue };
                append(&mut body, &name, *own_kind, record.ttl_seconds, &data)?;
                count += 1;
                if is_alias && *own_kind != kind && follows {
                    at = Some(value.trim_end_matches('.').to_lowercase());
                }
            }
        }
    }
    let code = if known { 0 } else { NAME_ERROR };
    let mut all = message.get(..2)?.to_vec();
    for field in [RESPONSE_FLAGS | code, 1, count, 0, 0] {
        all.extend(field.to_be_bytes());
    }
    all.extend(question);
    all.extend(body);
    Some(all)
}

/// One record of an answer; `None`: it is too long.
fn append(body: &mut Vec<u8>, owner: &str, kind: u16, ttl_seconds: u32, data: &[u8]) -> Option<()> {
    body.extend(name(owner));
    body.extend(kind.to_be_bytes());
    body.extend(CLASS_IN.to_be_bytes());
    body.extend(ttl_seconds.to_be_bytes());
    body.extend(u16::try_from(data.len()).ok()?.to_be_bytes());
    body.extend(data);
    Some(())
}

/// The records of a name, those among them that no zone here has: of load balancers and name servers.
fn of_name(name: &str, records: &[RecordSeen], own: Option<Ipv4Addr>) -> Vec<RecordSeen> {
    let mut found: Vec<RecordSeen> = records.iter().filter(|record| record.name == name).cloned().collect();
    found.extend(balancer(name, records));
    let serves = |record: &RecordSeen| record.kind == "NS" && leads_to(record, name);
    if let Some(own) = own.filter(|_| found.is_empty() && records.iter().any(serves)) {
        found.push(address(name, own));
    }
    found
}

fn leads_to(record: &RecordSeen, name: &str) -> bool {
    record.values.iter().any(|value| value.trim_end_matches('.').eq_ignore_ascii_case(name))
}

fn address(name: &str, address: Ipv4Addr) -> RecordSeen {
    RecordSeen { name: name.to_owned(), kind: "A".to_owned(), ttl_seconds: 60, values: vec![address.to_string()] }
}

/// The address of a load balancer that has a name: what a record leads to, and no zone here has.
fn balancer(name: &str, records: &[RecordSeen]) -> Option<RecordSeen> {
    let leads = |record: &RecordSeen| record.kind == "CNAME" && leads_to(record, name);
    if records.iter().any(|record| record.name == name) || !records.iter().any(leads) {
        return None;
    }
    Some(address(name, address_of(name)))
}

/// The name that begins there in lower case, without the final dot, and where it ends.
fn read_name(message: &[u8], mut at: usize) -> Option<(String, usize)> {
    let mut labels: Vec<String> = Vec::new();
    loop {
        let length = usize::from(*message.get(at)?);
        at += 1;
        if length == 0 {
            return Some((labels.join("."), at));
        }
        labels.push(String::from_utf8_lossy(message.get(at..at + length)?).to_lowercase());
        at += length;
    }
}

fn data(kind: &str, value: &str) -> Option<Vec<u8>> {
    match kind {
        "A" => Some(value.parse::<Ipv4Addr>().ok()?.octets().to_vec()),
        "CNAME" | "NS" => Some(name(value)),
        "TXT" => {
            let text = value.trim_matches('"');
            let mut data = vec![u8::try_from(text.len()).ok()?];
            data.extend(text.as_bytes());
            Some(data)
        }
        // Two names and five numbers.
        "SOA" => {
            let mut words = value.split_whitespace();
            let mut data = [name(words.next()?), name(words.next()?)].concat();
            for _ in 0..5 {
                data.extend(words.next()?.parse::<u32>().ok()?.to_be_bytes());
            }
            Some(data)
        }
        _ => None,
    }
}

fn name(text: &str) -> Vec<u8> {
    let mut all = Vec::new();
    for label in text.trim_end_matches('.').split('.') {
        all.push(u8::try_from(label.len()).unwrap_or(0));
        all.extend(label.as_bytes());
    }
    all.push(0);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(name_text: &str, kind: u16) -> Vec<u8> {
        let mut message = vec![7, 9, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        message.extend(name(name_text));
        message.extend(kind.to_be_bytes());
        message.extend(CLASS_IN.to_be_bytes());
        message
    }

    #[test]
    fn what_a_zone_holds_is_handled() {
        let record = |kind: &str, value: &str| RecordSeen {
            name: "chat.acme.example.com".into(),
            kind: kind.into(),
            ttl_seconds: 60,
            values: vec![value.into()],
        };
        let records = [record("A", "34.64.0.7"), record("TXT", "\"owner\"")];
        let asked = |name: &str, kind: u16, records: &[RecordSeen]| {
            answer(&question(name, kind), records, Some(Ipv4Addr::new(127, 0, 0, 9))).unwrap_or_default()
        };
        let response = asked("Chat.acme.example.com", 1, &records);
        assert_eq!(&response[..8], [7, 9, 0x84, 0, 0, 1, 0, 1]);
        assert_eq!(&response[response.len() - 4..], [34, 64, 0, 7]);
        let none = asked("chat.acme.example.com", 28, &records);
        assert_eq!((none[3], none[7]), (0, 0), "the name is known, it has no such record");
        let alias = [RecordSeen { values: vec!["lb.example.net.".into()], ..record("CNAME", "") }];
        let response = asked("lb.example.net", 1, &alias);
        assert_eq!(
            (response[3], response[7], response[response.len() - 4]),
            (0, 1, 198),
            "the name of a load balancer"
        );
        let response = asked("chat.acme.example.com", 1, &alias);
        assert_eq!((response[7], response[response.len() - 4]), (2, 198), "an alias is followed for whoever asks that");
        let zone = [record("NS", "ns1.cloud.example.")];
        let response = asked("ns1.cloud.example", 1, &zone);
        assert_eq!(&response[response.len() - 4..], [127, 0, 0, 9], "a name server's name leads to whoever answers");
        let unknown = asked("nope.example.com", 1, &records);
        assert_eq!(unknown[3], 3);
        assert_eq!(answer(&[0; 4], &records, None), None);
    }
}
