//! The zones of a simulated cloud by the DNS protocol, as their name servers would respond: over TCP framing on a unix socket,
//! for machines that reach nothing else.
//!
//! Only what a resolver requires of an authoritative server: one question, the records of its name, `CNAME` followed by the client
//! itself. <https://www.rfc-editor.org/rfc/rfc1035#section-4>

use cloudsim_core::{cloud_side::CloudSide, cluster::RecordSeen};
use landlord_test_kube::cloud::address_of;
use std::{net::Ipv4Addr, path::PathBuf, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
    task::JoinSet,
};

const HEADER_BYTES: usize = 12;
const CLASS_IN: u16 = 1;
/// Response, authoritative.
const RESPONSE_FLAGS: u16 = 0x8400;
const NAME_ERROR: u16 = 3;
/// Questions that are no question are answered by silence.
const QUESTION_PATIENCE: Duration = Duration::from_secs(60);
const TYPES: [(&str, u16); 5] = [("A", 1), ("NS", 2), ("CNAME", 5), ("SOA", 6), ("TXT", 16)];

/// Serves on `socket` until the set of its tasks is dropped.
///
/// # Errors
/// A socket that can't be made.
pub(crate) fn serve(socket: PathBuf, cloud: CloudSide) -> std::io::Result<JoinSet<()>> {
    if let Some(folder) = socket.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let _ = std::fs::remove_file(&socket);
    let listener = UnixListener::bind(&socket)?;
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let cloud = cloud.clone();
            connections.spawn(async move {
                let _ = respond_all(stream, &cloud).await;
            });
            // Those that ended leave the set.
            while connections.try_join_next().is_some() {}
        }
    });
    Ok(tasks)
}

async fn respond_all(mut stream: UnixStream, cloud: &CloudSide) -> std::io::Result<()> {
    loop {
        let length = tokio::time::timeout(QUESTION_PATIENCE, stream.read_u16()).await??;
        let mut question = vec![0; usize::from(length)];
        stream.read_exact(&mut question).await?;
        let Some(response) = respond(&question, &cloud.records()) else { return Ok(()) };
        stream.write_u16(u16::try_from(response.len()).unwrap_or(u16::MAX)).await?;
        stream.write_all(&response).await?;
    }
}

/// The answer to a message with one question; `None`: it is none.
fn respond(message: &[u8], records: &[RecordSeen]) -> Option<Vec<u8>> {
    let (name, end) = read_name(message)?;
    let question = message.get(HEADER_BYTES..end + 4)?;
    let kind = u16::from_be_bytes(message.get(end..end + 2)?.try_into().ok()?);
    let balancer = balancer(&name, records);
    let of_name: Vec<&RecordSeen> = records.iter().filter(|record| record.name == name).chain(&balancer).collect();
    let requested = |record: &&&RecordSeen| record.kind == "CNAME" || TYPES.contains(&(record.kind.as_str(), kind));
    let mut body = Vec::new();
    let mut count = 0_u16;
    for record in of_name.iter().filter(requested) {
        let Some((_, kind)) = TYPES.iter().find(|(name, _)| *name == record.kind) else { continue };
        for value in &record.values {
            let Some(data) = data(&record.kind, value) else { continue };
            // A pointer to the question's name.
            body.extend([0xC0, HEADER_BYTES as u8]);
            body.extend(kind.to_be_bytes());
            body.extend(CLASS_IN.to_be_bytes());
            body.extend(record.ttl_seconds.to_be_bytes());
            body.extend(u16::try_from(data.len()).ok()?.to_be_bytes());
            body.extend(data);
            count += 1;
        }
    }
    let code = if of_name.is_empty() { NAME_ERROR } else { 0 };
    let mut all = message.get(..2)?.to_vec();
    for field in [RESPONSE_FLAGS | code, 1, count, 0, 0] {
        all.extend(field.to_be_bytes());
    }
    all.extend(question);
    all.extend(body);
    Some(all)
}

/// The address of a load balancer that has a name: what a record leads to, and no zone here has.
fn balancer(name: &str, records: &[RecordSeen]) -> Option<RecordSeen> {
    let leads = |record: &RecordSeen| {
        let is_target = |value: &String| value.trim_end_matches('.').eq_ignore_ascii_case(name);
        record.kind == "CNAME" && record.values.iter().any(is_target)
    };
    if records.iter().any(|record| record.name == name) || !records.iter().any(leads) {
        return None;
    }
    let values = vec![address_of(name).to_string()];
    Some(RecordSeen { name: name.to_owned(), kind: "A".to_owned(), ttl_seconds: 60, values })
}

/// The name of the question in lower case, without the final dot, and where it ends.
fn read_name(message: &[u8]) -> Option<(String, usize)> {
    let mut labels: Vec<String> = Vec::new();
    let mut at = HEADER_BYTES;
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
        let reported = respond(&question("Chat.acme.example.com", 1), &records).unwrap_or_default();
        assert_eq!(&reported[..8], [7, 9, 0x84, 0, 0, 1, 0, 1]);
        assert_eq!(&reported[reported.len() - 4..], [34, 64, 0, 7]);
        let none = respond(&question("chat.acme.example.com", 28), &records).unwrap_or_default();
        assert_eq!((none[3], none[7]), (0, 0), "the name is known, it has no such record");
        let alias = [RecordSeen { values: vec!["lb.example.net.".into()], ..record("CNAME", "") }];
        let reported = respond(&question("lb.example.net", 1), &alias).unwrap_or_default();
        assert_eq!(
            (reported[3], reported[7], reported[reported.len() - 4]),
            (0, 1, 198),
            "the name of a load balancer"
        );
        let unknown = respond(&question("nope.example.com", 1), &records).unwrap_or_default();
        assert_eq!(unknown[3], 3);
        assert_eq!(respond(&[0; 4], &records), None);
    }
}
