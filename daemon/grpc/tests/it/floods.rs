//! What one client does holds nobody else: slow watches, idle connections.

use crate::common;
use std::time::{Duration, Instant};

use crate::common::{Daemon, order, reason};
use landlord_core::{OperationOutcome, State, ports::TenantStore as _};
use landlord_grpc::ListenBounds;
use landlord_proto::{
    google::longrunning::{WaitOperationRequest, operations_client::OperationsClient},
    v1,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tonic::{Code, Streaming};

/// Events that wait for the slow clients. (Seven thousand are tried over a store in memory: `watch::tests`.)
const EVENTS: usize = 400;
/// Connections that say nothing.
const SILENT: usize = 1_000;
/// A list takes milliseconds; what waits for somebody else takes far longer.
const SOON: Duration = Duration::from_secs(10);
/// For what comes, or never: far above what it takes, since a busy machine is no failure.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_clients_that_read_a_message_a_second_hold_nobody() {
    let daemon = Daemon::start().await;
    let mut client = daemon.tenants().await;
    for index in 0..EVENTS {
        client.create_tenant(order("acme", &format!("t{index}"))).await.unwrap();
    }
    let mut slow = tokio::task::JoinSet::new();
    for _ in 0..5 {
        let mut watcher = daemon.tenants().await;
        slow.spawn(async move {
            let request = v1::WatchTenantsRequest { parent: "customers/-".into(), resume_token: "0".into() };
            let mut stream: Streaming<v1::WatchTenantsResponse> =
                watcher.watch_tenants(request).await.unwrap().into_inner();
            while stream.message().await.unwrap().is_some() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    for _ in 0..20 {
        let list = v1::ListTenantsRequest { parent: "customers/-".into(), ..Default::default() };
        let began = Instant::now();
        let page = client.list_tenants(list).await.unwrap().into_inner();
        assert_eq!(page.tenants.len(), 100);
        assert!(began.elapsed() < SOON, "a list took {:?}", began.elapsed());
    }
    assert!(daemon.store.newest_event().await.unwrap() >= i64::try_from(EVENTS).unwrap());
    slow.shutdown().await;
}

#[tokio::test]
async fn silent_connections_are_bounded_and_cut_while_the_socket_serves() {
    let daemon = Daemon::start_with_tcp().await;
    let address = daemon.tcp.unwrap();
    let mut silent = Vec::new();
    for _ in 0..SILENT {
        // The kernel takes them all; those beyond the listener's share are closed at once.
        if let Ok(stream) = tokio::net::TcpStream::connect(address).await {
            silent.push(stream);
        }
    }
    let began = Instant::now();
    daemon.tenants().await.create_tenant(order("acme", "prod")).await.unwrap();
    assert!(began.elapsed() < SOON, "the socket took {:?}", began.elapsed());
    // Nobody speaks, so all are cut.
    let ended = async {
        for stream in &mut silent {
            let mut bytes = Vec::new();
            let _ = stream.read_to_end(&mut bytes).await;
        }
    };
    tokio::time::timeout(PATIENCE, ended).await.expect("silent connections stay");
    // Then there is room for those who speak.
    let channel =
        tonic::transport::Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    let mut client = v1::tenant_service_client::TenantServiceClient::new(channel);
    client.get_tenant(common::named(common::PROD)).await.unwrap();
}

/// A connection that has said what HTTP/2 begins with, and says nothing more.
async fn greeted(address: std::net::SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    stream
}

/// The kinds of the frames that the daemon sends until it closes the connection.
async fn frames_until_the_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("the connection is not ended");
    let (mut kinds, mut rest) = (Vec::new(), &bytes[..]);
    while let [a, b, c, kind, _, _, _, _, _, payload @ ..] = rest {
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        kinds.push(*kind);
        rest = &payload[length..];
    }
    kinds
}

const GOAWAY: u8 = 7;

#[tokio::test]
async fn a_connection_without_a_call_is_asked_to_leave_and_none_with_one_is() {
    let idle_timeout = Duration::from_millis(500);
    let daemon = Daemon::with_bounds(ListenBounds { idle_timeout, ..ListenBounds::default() }).await;
    daemon.tenants().await.create_tenant(order("acme", "prod")).await.unwrap();
    let address = daemon.tcp.unwrap();
    let endpoint = || tonic::transport::Endpoint::from_shared(format!("http://{address}")).unwrap();
    let client = || async { v1::tenant_service_client::TenantServiceClient::new(endpoint().connect().await.unwrap()) };
    let watch = || v1::WatchTenantsRequest { parent: "customers/-".into(), resume_token: String::new() };
    let mut watching = client().await;
    let mut stream = watching.watch_tenants(watch()).await.unwrap().into_inner();
    assert!(stream.message().await.unwrap().is_some());
    let mut calling = client().await;
    calling.get_tenant(common::named(common::PROD)).await.unwrap();
    let mut idle = greeted(address).await;
    let began = Instant::now();
    assert_eq!(frames_until_the_end(&mut idle).await.iter().filter(|kind| **kind == GOAWAY).count(), 1);
    assert!(began.elapsed() >= idle_timeout);
    // A client whose connection has gone does not notice, and a watch goes on.
    calling.get_tenant(common::named(common::PROD)).await.unwrap();
    daemon.tenants().await.create_tenant(order("acme", "next")).await.unwrap();
    let message = tokio::time::timeout(PATIENCE, stream.message()).await.unwrap().unwrap();
    assert!(message.is_some_and(|message| message.event.is_some()));
}

/// The headers of a request whose message never comes.
fn begun_call() -> Vec<u8> {
    // POST, http, a path, an authority: RFC 7541, appendix A.
    let path = b"/landlord.v1.TenantService/GetTenant";
    let mut block = vec![0x83, 0x86, 0x04, u8::try_from(path.len()).unwrap()];
    block.extend(path);
    block.extend(b"\x01\x01x\x00\x0ccontent-type\x10application/grpc\x00\x02te\x08trailers");
    let mut frame = vec![0, 0, u8::try_from(block.len()).unwrap(), 1, 4, 0, 0, 0, 1];
    frame.extend(block);
    frame
}

#[tokio::test]
async fn an_old_connection_is_asked_to_leave_and_ends_with_its_last_call_or_its_grace() {
    // A busy machine opens a connection and orders a tenant within that grace.
    let (age_max, age_grace) = (Duration::from_millis(500), Duration::from_secs(5));
    let daemon = Daemon::with_bounds(ListenBounds { age_max, age_grace, ..ListenBounds::default() }).await;
    let address = daemon.tcp.unwrap();
    let mut stuck = greeted(address).await;
    let began = Instant::now();
    stuck.write_all(&begun_call()).await.unwrap();
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{address}")).unwrap();
    let channel = channel.connect().await.unwrap();
    let mut tenants = v1::tenant_service_client::TenantServiceClient::new(channel.clone());
    let operation = tenants.create_tenant(order("acme", "prod")).await.unwrap().into_inner();
    // A call that is open at the age ends as it should, and the next one takes another connection.
    let wait = WaitOperationRequest { name: operation.name, timeout: Some(age_max.mul_f32(1.6).try_into().unwrap()) };
    let waited = OperationsClient::new(channel).wait_operation(wait).await.unwrap().into_inner();
    assert!(!waited.done && began.elapsed() > age_max);
    tenants.get_tenant(common::named(common::PROD)).await.unwrap();
    let frames = frames_until_the_end(&mut stuck).await;
    assert!(frames.contains(&GOAWAY), "{frames:?}");
    assert!(began.elapsed() >= age_max + age_grace, "{:?}", began.elapsed());
}

#[tokio::test]
async fn idle_connections_make_room_and_calls_keep_their_places() {
    let bounds = ListenBounds { connections_max: 16, connections_per_address_max: 16, ..ListenBounds::default() };
    let daemon = Daemon::with_bounds(bounds).await;
    daemon.tenants().await.create_tenant(order("acme", "prod")).await.unwrap();
    let address = daemon.tcp.unwrap();
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{address}")).unwrap();
    let mut client = v1::tenant_service_client::TenantServiceClient::new(channel.connect().await.unwrap());
    let watch = v1::WatchTenantsRequest { parent: "customers/-".into(), resume_token: String::new() };
    let mut stream = client.watch_tenants(watch).await.unwrap().into_inner();
    assert!(stream.message().await.unwrap().is_some());
    let mut idle = Vec::new();
    for _ in 0..100 {
        idle.push(greeted(address).await);
        client.get_tenant(common::named(common::PROD)).await.unwrap();
    }
    // The first of them had to leave; the last is there.
    assert!(frames_until_the_end(&mut idle[0]).await.iter().filter(|kind| **kind == GOAWAY).count() <= 1);
    let last = idle.last_mut().unwrap();
    let mut bytes = vec![0; 4_096];
    while let Ok(read) = tokio::time::timeout(Duration::from_millis(300), last.read(&mut bytes)).await {
        assert!(read.unwrap() > 0, "the last connection was closed");
    }
    daemon.tenants().await.create_tenant(order("acme", "next")).await.unwrap();
    let message = tokio::time::timeout(PATIENCE, stream.message()).await.unwrap().unwrap();
    assert!(message.is_some_and(|message| message.event.is_some()));
}

#[tokio::test]
async fn a_peer_that_reads_nothing_gives_its_place_up_too() {
    let bounds = ListenBounds { connections_max: 16, connections_per_address_max: 16, ..ListenBounds::default() };
    let daemon = Daemon::with_bounds(bounds).await;
    let address = daemon.tcp.unwrap();
    let mut deaf = greeted(address).await;
    // Each PING is answered; the answers are not read, so that in the end nothing more is taken.
    let pings = [b"\0\0\x08\x06\0\0\0\0\0pingping".as_slice(); 512].concat();
    while let Ok(sent) = tokio::time::timeout(Duration::from_millis(500), deaf.write_all(&pings)).await {
        sent.unwrap();
    }
    let mut others = Vec::new();
    for _ in 0..32 {
        others.push(greeted(address).await);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let ended = async { while deaf.write_all(&pings).await.is_ok() {} };
    tokio::time::timeout(PATIENCE, ended).await.expect("a place is held that is another's");
}

#[tokio::test]
async fn host_clusters_are_watched_and_their_events_listed() {
    let daemon = Daemon::shared().await;
    let mut hosts = daemon.hosts().await;
    let watch = |name: &str| v1::WatchHostClustersRequest { name: name.into(), resume_token: "0".into() };
    let mut all = hosts.watch_host_clusters(watch("")).await.unwrap().into_inner();
    let mut one = hosts.watch_host_clusters(watch("hostClusters/one")).await.unwrap().into_inner();
    let create = |id: &str| v1::CreateHostClusterRequest {
        host_cluster_id: id.into(),
        host_cluster: Some(v1::HostCluster { tenant_class: "small".into(), tenants_max: 2, ..Default::default() }),
        ..Default::default()
    };
    hosts.create_host_cluster(create("two")).await.unwrap();
    daemon.settle(State::Ready, OperationOutcome::Ready).await;
    daemon.tenants().await.create_tenant(order("acme", "prod")).await.unwrap();
    hosts.create_host_cluster(create("one")).await.unwrap();
    let mut seen = Vec::new();
    while seen.last().is_none_or(|name| name != "hostClusters/one") {
        seen.extend(all.message().await.unwrap().unwrap().event.map(|event| event.host_cluster));
    }
    assert!(seen.iter().all(|name| name.starts_with("hostClusters/")), "{seen:?}");
    assert_eq!(seen[0], "hostClusters/two");
    let event = loop {
        if let Some(event) = one.message().await.unwrap().unwrap().event {
            break event;
        }
    };
    assert_eq!(event.host_cluster, "hostClusters/one");
    let list = v1::ListHostClusterEventsRequest { parent: "hostClusters/one".into(), ..Default::default() };
    let events = hosts.list_host_cluster_events(list).await.unwrap().into_inner().events;
    assert_eq!(events, [event]);
    daemon.stop.cancel();
    let status = loop {
        if let Err(status) = all.message().await {
            break status;
        }
    };
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "DAEMON_STOPPING"));
}
