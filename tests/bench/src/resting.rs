//! Many tenants at rest: what a daemon that has nothing to do costs.

use std::time::Duration;

use anyhow::{Context as _, Result};
use landlord_proto::v1::tenant_service_client::TenantServiceClient;
use landlord_store_contract::postgres::Server;
use landlord_test_harness::{World, WorldOptions, client, cloud::EKS};

use crate::{
    Bed,
    figures::{cpu_seconds, mib, resident_bytes},
    order::request,
    requests::per_second,
    say,
};

/// For what the orders themselves left to do.
const SETTLE: Duration = Duration::from_secs(20);
/// How long the daemon is watched.
const WATCHED: Duration = Duration::from_secs(60);

/// Tenants that are paused: nothing of them is due.
pub(crate) fn table(bed: &Bed, tenants: &[usize]) -> Result<()> {
    let server = Server::start("resting");
    say("| tenants | store | daemon RSS | processor | database |\n|---|---|---|---|---|");
    for count in tenants {
        for (store, store_url) in [("SQLite", String::new()), ("PostgreSQL", server.database())] {
            let options = WorldOptions { store_url, ..WorldOptions::default() };
            let row = bed.in_world(&options, async |world| rest(world, *count).await)?;
            say(&format!("| {count} | {store} | {row} |"));
        }
    }
    Ok(())
}

async fn rest(world: &mut World, tenants: usize) -> Result<String> {
    let channel = client::connect(&world.socket()).await?;
    per_second(tenants, |turn| {
        let mut client = TenantServiceClient::new(channel.clone());
        async move { client.create_tenant(request(&EKS.bare_class(), &format!("r{turn}"), true)).await.map(drop) }
    })
    .await?;
    tokio::time::sleep(SETTLE).await;
    let pid = world.daemon().context("no daemon")?.pid();
    let before = cpu_seconds(pid);
    tokio::time::sleep(WATCHED).await;
    let cores = (cpu_seconds(pid) - before) / WATCHED.as_secs_f64();
    let figures = world.metrics()?;
    let size = figures.lines().find_map(|line| line.strip_prefix("landlord_store_size_bytes ")?.parse::<u64>().ok());
    let size = size.context("the figures have no size of the store")?;
    Ok(format!("{} | {cores:.3} cores | {}", mib(resident_bytes(pid)), mib(size)))
}
