//! The name server of the environments' names: all lead to this machine. Names say whose they are.

use std::{net::SocketAddr, sync::Arc};

use anyhow::Result;
use simple_dns::{
    CLASS, Packet, QTYPE, ResourceRecord, TYPE,
    rdata::{A, RData},
};
use tokio::{net::UdpSocket, task::JoinSet};

use super::looks::{Kind, Looks};

/// Below this all names are; a certificate with one wildcard is for all of them.
pub(super) const DOMAIN: &str = "bench.example";
/// The entry point whose looks are counted; others are looked at beside it.
pub(super) const COUNTED: &str = "chat";
/// Longest request over UDP.
const PACKET_BYTES_MAX: usize = 512;

/// The name of an entry point.
pub(super) fn host(entry: &str, index: usize) -> String {
    format!("{entry}-t{index}.{DOMAIN}")
}

/// Entry point and environment of a name.
pub(super) fn owner(host: &str) -> Option<(&str, usize)> {
    let (entry, index) = host.strip_suffix(DOMAIN)?.strip_suffix('.')?.rsplit_once("-t")?;
    Some((entry, index.parse().ok()?))
}

/// Serves names until `tasks` is dropped.
pub(super) async fn serve(looks: &Arc<Looks>, tasks: &mut JoinSet<()>) -> Result<SocketAddr> {
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    let (address, looks) = (socket.local_addr()?, Arc::clone(looks));
    tasks.spawn(async move {
        let mut buffer = [0; PACKET_BYTES_MAX];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            if let Some(response) = buffer.get(..length).and_then(|query| response(query, &looks)) {
                // Whoever does not get it asks again.
                let _ = socket.send_to(&response, from).await;
            }
        }
    });
    Ok(address)
}

fn response(query: &[u8], looks: &Looks) -> Option<Vec<u8>> {
    let query = Packet::parse(query).ok()?;
    let question = query.questions.first()?;
    let mut response = Packet::new_reply(query.id());
    let name = question.qname.to_string();
    if let Some((entry, index)) = owner(&name)
        && question.qtype == QTYPE::TYPE(TYPE::A)
    {
        let data = RData::A(A { address: std::net::Ipv4Addr::LOCALHOST.into() });
        response.answers.push(ResourceRecord::new(question.qname.clone(), CLASS::IN, 60, data));
        // Nothing else of a look at it is seen.
        if entry == COUNTED && looks.kind(index) == Kind::Refusing {
            looks.note(index);
        }
    }
    response.build_bytes_vec().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_whose_it_is() {
        assert_eq!(owner(&host(COUNTED, 12)), Some((COUNTED, 12)));
        assert_eq!(owner("chat-t12.example.com"), None);
        assert_eq!(owner("bench.example"), None);
    }
}
