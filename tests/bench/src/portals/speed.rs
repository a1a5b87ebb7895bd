//! Requests per second without TLS and token, and with them.

use anyhow::Result;
use landlord_proto::v1::{GetTenantRequest, tenant_service_client::TenantServiceClient};
use landlord_test_harness::{World, client};
use tonic::transport::Channel;

use super::{Scene, Size};
use crate::{order::request, requests::per_second, say};

/// Each figure is the best of so many, the two ways in turn: what else the machine does is in all of them.
const ROUNDS: usize = 3;
/// What TLS, token and policies may cost.
const COST_MAX_PERCENT: f64 = 15.0;

/// Lines, and what was not as it must be.
pub(super) async fn table(world: &World, scene: &Scene, size: Size, problems: &mut Vec<String>) -> Result<()> {
    let ways =
        [("Unix socket", client::connect(&world.socket()).await?, false), ("TLS, token", scene.channel().await?, true)];
    let first = scene.signed(request(&scene.class, "first", true));
    TenantServiceClient::<Channel>::new(ways[1].1.clone()).create_tenant(first).await?;
    let mut best = [[0.0_f64; 2]; 2];
    for round in 0..ROUNDS {
        for (way, (_, channel, signs)) in ways.iter().enumerate() {
            let name = |index: usize| format!("r{round}w{way}n{index}");
            let creates = per_second(size.calls, |index| {
                let mut client = TenantServiceClient::<Channel>::new(channel.clone());
                let order = request(&scene.class, &name(index), true);
                let order = if *signs { scene.signed(order) } else { tonic::Request::new(order) };
                async move { client.create_tenant(order).await.map(|_| ()) }
            });
            best[0][way] = best[0][way].max(creates.await?);
            let gets = per_second(size.calls * 5, |index| {
                let mut client = TenantServiceClient::<Channel>::new(channel.clone());
                let get = GetTenantRequest { name: format!("customers/bench/tenants/{}", name(index % size.calls)) };
                let get = if *signs { scene.signed(get) } else { tonic::Request::new(get) };
                async move { client.get_tenant(get).await.map(|_| ()) }
            });
            best[1][way] = best[1][way].max(gets.await?);
        }
    }
    say("| calls a second, 64 in flight | Unix socket | TLS, token | cost |\n|---|---|---|---|");
    for (what, [plain, signed]) in ["CreateTenant, durable and audited", "GetTenant"].iter().zip(best) {
        let cost = 100.0 * (1.0 - signed / plain);
        say(&format!("| {what} | {plain:.0} | {signed:.0} | {cost:.0} % |"));
        if size.judges && cost > COST_MAX_PERCENT {
            problems.push(format!("{what}: TLS, token and policies cost {cost:.0} %, more than {COST_MAX_PERCENT} %"));
        }
    }
    Ok(())
}
