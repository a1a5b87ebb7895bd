//! Requests per second without TLS and token, and with them: all ways in turn, in short blocks, so that what else the machine does
//! is in all of them.

use std::time::Instant;

use anyhow::Result;
use landlord_proto::v1::{GetTenantRequest, tenant_service_client::TenantServiceClient};
use landlord_test_harness::{World, client};
use tonic::{Request, transport::Channel};

use super::{Scene, Size};
use crate::{
    figures::{Sample, cpu_seconds, each},
    order::request,
    requests::per_second,
    say,
};

/// Blocks of each way: short ones, since what else a machine does comes and goes within a second, and many, since it comes often.
const ROUNDS: usize = 60;
/// Gets for each create.
const GETS_EACH: usize = 5;
/// What TLS and a token may cost. Policies decide about the caller of a Unix socket, too: they are in what is compared with.
const COST_MAX_PERCENT: f64 = 15.0;

/// How calls come; the first is what the others are compared with.
struct Way {
    channel: Channel,
    signs: bool,
}

impl Way {
    fn request<M>(&self, scene: &Scene, message: M) -> Request<M> {
        if self.signs { scene.signed(message) } else { Request::new(message) }
    }

    /// Tenants `name` of a block.
    async fn creates(&self, scene: &Scene, count: usize, name: impl Fn(usize) -> String) -> Result<Spent> {
        let call = |index: usize| {
            let mut client = TenantServiceClient::<Channel>::new(self.channel.clone());
            let order = self.request(scene, request(&scene.class, &name(index), true));
            async move { client.create_tenant(order).await.map(|_| ()) }
        };
        spent(scene, count, per_second(count, call)).await
    }

    async fn gets(&self, scene: &Scene, count: usize, name: impl Fn(usize) -> String) -> Result<Spent> {
        let call = |index: usize| {
            let mut client = TenantServiceClient::<Channel>::new(self.channel.clone());
            let name = format!("customers/bench/tenants/{}", name(index));
            let get = self.request(scene, GetTenantRequest { name });
            async move { client.get_tenant(get).await.map(|_| ()) }
        };
        spent(scene, count, per_second(count, call)).await
    }
}

/// Of one block.
#[derive(Debug, Clone, Copy)]
struct Spent {
    /// Of the clock, for each call.
    seconds: f64,
    /// Of the daemon's processor, for each call.
    processor_seconds: f64,
}

async fn spent(scene: &Scene, count: usize, calls: impl Future<Output = Result<f64>>) -> Result<Spent> {
    let (began, before) = (Instant::now(), cpu_seconds(scene.pid));
    calls.await?;
    let each = 1.0 / each(count, 1);
    Ok(Spent {
        seconds: began.elapsed().as_secs_f64() * each,
        processor_seconds: (cpu_seconds(scene.pid) - before) * each,
    })
}

/// Blocks of one kind of call, by way.
#[derive(Debug, Default)]
struct Blocks([Vec<Spent>; 4]);

impl Blocks {
    fn seconds(&self, way: usize) -> f64 {
        Sample::new(self.0[way].iter().map(|spent| spent.seconds).collect()).percentile(50)
    }

    /// The kernel counts in hundredths of a second, as long as a block: only their mean says something.
    fn processor_seconds(&self, way: usize) -> f64 {
        self.0[way].iter().map(|spent| spent.processor_seconds).sum::<f64>() / each(ROUNDS, 1)
    }

    /// Percent of the calls a second that a way costs, block by block: what disturbs one disturbs the one beside it.
    fn cost_percent(&self, way: usize) -> f64 {
        let pairs = self.0[0].iter().zip(&self.0[way]);
        let kept = Sample::new(pairs.map(|(plain, signed)| plain.seconds / signed.seconds).collect());
        100.0 * (1.0 - kept.percentile(50))
    }
}

/// Lines, and what was not as it must be.
pub(super) async fn table(world: &World, scene: &Scene, size: Size, problems: &mut Vec<String>) -> Result<()> {
    let path = world.socket();
    let socket = || client::connect(&path);
    let ways = [
        Way { channel: socket().await?, signs: false },
        Way { channel: socket().await?, signs: true },
        Way { channel: scene.channel_without_tls().await?, signs: true },
        Way { channel: scene.channel().await?, signs: true },
    ];
    let first = scene.signed(request(&scene.class, "first", true));
    TenantServiceClient::<Channel>::new(ways[3].channel.clone()).create_tenant(first).await?;
    let (mut creates, mut gets) = (Blocks::default(), Blocks::default());
    let count = size.calls.div_ceil(ROUNDS);
    for round in 0..ROUNDS {
        // Forwards and backwards in turn: what grows meanwhile, as the store does, grows for all.
        for place in 0..ways.len() {
            let way = if round % 2 == 0 { place } else { ways.len() - 1 - place };
            let name = |index: usize| format!("r{round}w{way}n{index}");
            creates.0[way].push(ways[way].creates(scene, count, name).await?);
            let gotten = |index: usize| name(index % count);
            gets.0[way].push(ways[way].gets(scene, count * GETS_EACH, gotten).await?);
        }
    }
    say(
        "| 64 in flight | Unix socket | with a token | TCP, token | TLS, token | TLS and token cost |\n|---|---|---|---|---|---|",
    );
    for (what, blocks) in [("CreateTenant, durable and audited", &creates), ("GetTenant", &gets)] {
        let [a, b, c, d] = [0, 1, 2, 3].map(|way| 1.0 / blocks.seconds(way));
        let cost = blocks.cost_percent(3);
        say(&format!("| {what}, calls a second | {a:.0} | {b:.0} | {c:.0} | {d:.0} | {cost:.0} % |"));
        let [a, b, c, d] = [0, 1, 2, 3].map(|way| 1e6 * blocks.processor_seconds(way));
        say(&format!("| {what}, processor time of the daemon | {a:.0} µs | {b:.0} µs | {c:.0} µs | {d:.0} µs | |"));
        if size.judges && cost > COST_MAX_PERCENT {
            problems.push(format!("{what}: TLS and token cost {cost:.0} %, more than {COST_MAX_PERCENT} %"));
        }
    }
    Ok(())
}
