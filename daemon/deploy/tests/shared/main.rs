//! Three tenants on one shared cluster, against the real API server: two with nodes of their own, one with a namespace
//! only. What must be refused is tried, what must work is done, and one is taken away while the others are compared
//! object by object.

#![expect(clippy::unwrap_used, clippy::large_futures, reason = "a test fails by panicking, and runs once")]

mod asking;
mod attempts;
mod charts;
mod drift;
mod network;
mod refused;
mod removal;
#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "the other test's half of it")]
mod support;
mod world;

use anyhow::{Context as _, Result};
use world::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tenants_share_a_cluster() -> Result<()> {
    let world = World::start().await?;
    world.tenants_are_fenced().await.context("guardrails")?;
    world.applying_again_writes_nothing().await.context("no-op")?;
    world.policies_are_understood().await.context("policies")?;
    for tenant in &world.tenants {
        world.apps_run(tenant).await.with_context(|| format!("apps of {}", tenant.name))?;
    }
    world.nothing_foreign_is_reached().await.context("attempts")?;
    world.strangers_are_nobody().await.context("strangers")?;
    world.operators_keep_off_tenants_nodes().await.context("operators")?;
    world.workloads_are_judged_by_their_pods().await.context("workloads")?;
    world.floods_end_at_the_quota().await.context("floods")?;
    world.customers_can_work().await.context("positive control")?;
    world.networks_are_apart().await.context("networks")?;
    world.drift_is_repaired().await.context("drift")?;
    world.strangers_namespaces_are_left_alone().await.context("name taken")?;
    world.charts_that_want_more_are_refused().await.context("charts")?;
    world.helm_never_saw_our_token().context("tokens")?;
    world.one_tenant_goes().await.context("removal")?;
    world.a_stuck_load_balancer_is_named().await.context("stuck")?;
    world.stop().await;
    Ok(())
}
