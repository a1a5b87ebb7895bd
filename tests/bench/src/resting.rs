//! Many tenants at rest: what a daemon that has nothing to do costs; and as many in flight, in one account, where nearly all wait.

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
/// For those in flight: as long as whoever has to wait for the account stays away at most.
const AWAY: Duration = Duration::from_secs(1820);
const PASSES: &str = "landlord_engine_pass_duration_seconds_count";
/// How long the daemon is watched.
const WATCHED: Duration = Duration::from_secs(60);

/// Tenants that are paused: nothing of them is due.
pub(crate) fn table(bed: &Bed, tenants: &[usize]) -> Result<()> {
    let server = Server::start("resting");
    say("| tenants | store | daemon RSS | processor | database | its load |\n|---|---|---|---|---|---|");
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
    ordered(world, tenants, true).await?;
    tokio::time::sleep(SETTLE).await;
    let watched = watch(world).await?;
    let size = sum(&world.metrics()?, "landlord_store_size_bytes");
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bytes")]
    Ok(format!("{} | {} | {}", watched.shown, mib(size as u64), watched.load))
}

/// Tenants that are being built in real time: minutes each, so that all are in flight at once.
pub(crate) fn flying(bed: &Bed, tenants: usize) -> Result<()> {
    say("| in flight | daemon RSS | processor | database's load | passes a second |\n|---|---|---|---|---|");
    let options = WorldOptions { time_scale: 1.0, ..WorldOptions::default() };
    let row = bed.in_world(&options, async |world| {
        world.simulator().control().lift_quotas(EKS.account)?;
        ordered(world, tenants, false).await?;
        tokio::time::sleep(AWAY).await;
        let watched = watch(world).await?;
        Ok(format!("| {tenants} | {} | {} | {:.0} |", watched.shown, watched.load, watched.passes))
    })?;
    say(&row);
    Ok(())
}

async fn ordered(world: &World, tenants: usize, paused: bool) -> Result<()> {
    let channel = client::connect(&world.socket()).await?;
    per_second(tenants, |turn| {
        let mut client = TenantServiceClient::new(channel.clone());
        async move { client.create_tenant(request(&EKS.bare_class(), &format!("r{turn}"), paused)).await.map(drop) }
    })
    .await?;
    Ok(())
}

/// What a daemon did for a while.
struct Watched {
    shown: String,
    load: String,
    passes: f64,
}

async fn watch(world: &mut World) -> Result<Watched> {
    let pid = world.daemon().context("no daemon")?.pid();
    let counters = |world: &World| -> Result<[f64; 3]> {
        let figures = world.metrics()?;
        let names =
            ["landlord_store_read_duration_seconds_count", "landlord_store_transaction_duration_seconds_count", PASSES];
        Ok(names.map(|name| sum(&figures, name)))
    };
    let (cpu, before) = (cpu_seconds(pid), counters(world)?);
    tokio::time::sleep(WATCHED).await;
    let cores = (cpu_seconds(pid) - cpu) / WATCHED.as_secs_f64();
    let after = counters(world)?;
    let [reads, writes, passes] = [0, 1, 2].map(|of| (after[of] - before[of]) / WATCHED.as_secs_f64());
    Ok(Watched {
        shown: format!("{} | {cores:.3} cores", mib(resident_bytes(pid))),
        load: format!("{reads:.1} reads, {writes:.1} transactions a second"),
        passes,
    })
}

/// A figure, whatever its labels.
fn sum(figures: &str, name: &str) -> f64 {
    let lines = figures.lines().filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{'])));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_summed_over_its_labels_and_no_other() {
        let figures = "# TYPE a counter\na_total{x=\"1\"} 2\na_total{x=\"2\"} 3\na_total_more 7\nb 4\n";
        assert_eq!((sum(figures, "a_total"), sum(figures, "b"), sum(figures, "c")), (5.0, 4.0, 0.0));
    }
}
