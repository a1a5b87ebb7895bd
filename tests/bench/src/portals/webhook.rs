//! How late events reach a receiver that takes them at once.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use landlord_proto::v1::tenant_service_client::TenantServiceClient;
use landlord_test_harness::{World, client};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinSet,
};

use super::{Scene, Size};
use crate::{figures::Sample, order::request, say};

/// Orders a second: each is an event.
const EVENTS_PER_SECOND: u32 = 100;
/// What comes later counts as lost.
const LATEST: Duration = Duration::from_secs(60);
/// Longest request: an event has some 500 bytes.
const REQUEST_BYTES_MAX: usize = 16 << 10;

/// When events of tenants came.
type Arrivals = Arc<Mutex<HashMap<String, Instant>>>;

/// A receiver on this machine.
pub(crate) struct Receiver {
    url: String,
    arrivals: Arrivals,
    _task: JoinSet<()>,
}

impl Receiver {
    pub(super) async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/hooks", listener.local_addr()?);
        let (arrivals, mut task) = (Arrivals::default(), JoinSet::new());
        let seen = arrivals.clone();
        task.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(take(stream, seen.clone()));
            }
        });
        Ok(Self { url, arrivals, _task: task })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }
}

/// Takes every event of a connection.
async fn take(mut stream: tokio::net::TcpStream, arrivals: Arrivals) {
    let mut bytes = Vec::new();
    loop {
        let head = bytes.windows(4).position(|end| end == b"\r\n\r\n");
        let whole = head.and_then(|head| {
            let text = String::from_utf8_lossy(&bytes[..head]).to_lowercase();
            let length =
                text.lines().find_map(|line| line.strip_prefix("content-length: "))?.trim().parse::<usize>().ok()?;
            let end = head + 4 + length;
            (bytes.len() >= end).then(|| (head + 4, end))
        });
        if let Some((body, end)) = whole {
            let event: serde_json::Value = serde_json::from_slice(&bytes[body..end]).unwrap_or_default();
            if let Some(tenant) = event["subject"].as_str() {
                arrivals.lock().entry(tenant.to_owned()).or_insert_with(Instant::now);
            }
            bytes.drain(..end);
            if stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.is_err() {
                return;
            }
            continue;
        }
        if bytes.len() > REQUEST_BYTES_MAX || !matches!(stream.read_buf(&mut bytes).await, Ok(1..)) {
            return;
        }
    }
}

/// A line.
pub(super) async fn table(
    world: &World,
    scene: &Scene,
    receiver: &Receiver,
    size: Size,
    problems: &mut Vec<String>,
) -> Result<()> {
    let mut beat = tokio::time::interval(Duration::from_secs(1) / EVENTS_PER_SECOND);
    let channel = client::connect(&world.socket()).await?;
    let mut orders = JoinSet::new();
    for index in 0..size.calls.min(1_000) {
        beat.tick().await;
        let (mut client, order) =
            (TenantServiceClient::new(channel.clone()), request(&scene.class, &format!("h{index}"), true));
        orders.spawn(async move {
            client.create_tenant(order).await.map(|_| (format!("customers/bench/tenants/h{index}"), Instant::now()))
        });
    }
    let mut accepted = Vec::new();
    while let Some(order) = orders.join_next().await {
        accepted.push(order??);
    }
    let (began, all) = (Instant::now(), |name: &String| receiver.arrivals.lock().get(name).copied());
    while accepted.iter().any(|(name, _)| all(name).is_none()) {
        if began.elapsed() > LATEST {
            bail!("events have not reached the receiver within {LATEST:?}");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let lags = accepted
        .iter()
        .filter_map(|(name, at)| Some(all(name)?.saturating_duration_since(*at).as_secs_f64() * 1_000.0));
    let lags = Sample::new(lags.collect());
    say("| webhook, 100 events a second | p50 | p99 | max |\n|---|---|---|---|");
    let [half, most, max] = [lags.percentile(50), lags.percentile(99), lags.max()];
    say(&format!("| from the order's answer to the receiver | {half:.0} ms | {most:.0} ms | {max:.0} ms |"));
    if size.judges && most > 1_000.0 {
        problems.push(format!("events reach a receiver {most:.0} ms late"));
    }
    Ok(())
}
