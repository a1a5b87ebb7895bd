//! Three tenants on one shared cluster, against the real API server: two with nodes of their own, one with a namespace
//! only. What must be refused is tried, what must work is done, and one is taken away while the others are compared
//! object by object.

mod asking;
mod attempts;
mod charts;
mod counted;
mod drift;
mod gateway;
mod network;
mod refused;
mod removal;
mod world;

use std::io::Write as _;

use crate::support;
use anyhow::{Context as _, Result};
use world::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tenants_share_a_cluster() -> Result<()> {
    let world = World::start().await?;
    let started = std::time::Instant::now();
    // It takes minutes on a busy machine: say how far it is.
    let step = |what: &'static str| {
        let _ = writeln!(std::io::stderr(), "{:4} s {what}", started.elapsed().as_secs());
        what
    };
    world.tenants_are_fenced().await.context(step("guardrails"))?;
    world.applying_again_writes_nothing().await.context(step("no-op"))?;
    world.policies_are_understood().await.context(step("policies"))?;
    for tenant in &world.tenants {
        world.apps_run(tenant).await.with_context(|| format!("apps of {}", tenant.name))?;
    }
    world.the_cluster_is_counted().await.context(step("capacity"))?;
    world.tenants_share_a_gateway().await.context(step("gateway"))?;
    world.nothing_foreign_is_reached().await.context(step("attempts"))?;
    world.unknown_accounts_are_nobody().await.context(step("strangers"))?;
    world.access_is_short().await.context(step("access"))?;
    world.operators_keep_off_tenants_nodes().await.context(step("operators"))?;
    world.devices_of_shared_nodes_are_not_taken().await.context(step("devices"))?;
    world.workloads_are_judged_by_their_pods().await.context(step("workloads"))?;
    world.floods_end_at_the_quota().await.context(step("floods"))?;
    world.customers_can_work().await.context(step("positive control"))?;
    world.networks_are_apart().await.context(step("networks"))?;
    world.charts_that_want_more_are_refused().await.context(step("charts"))?;
    world.helm_never_saw_our_token().context(step("tokens"))?;
    world.drift_is_repaired().await.context(step("drift"))?;
    world.doors_are_closed_again().await.context(step("doors"))?;
    world.calls_may_be_dropped_anywhere().await.context(step("dropped calls"))?;
    world.namespaces_not_owned_by_landlord_are_left_alone().await.context(step("name taken"))?;
    world.one_tenant_goes().await.context(step("removal"))?;
    world.a_stuck_load_balancer_is_named().await.context(step("stuck"))?;
    world.stop().await;
    Ok(())
}
