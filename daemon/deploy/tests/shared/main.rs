//! Three tenants on one shared cluster, against the real API server: two with nodes of their own, one with a namespace
//! only. What must be refused is tried, what must work is done, and one is taken away while the others are compared
//! object by object.

#![expect(clippy::unwrap_used, clippy::large_futures, reason = "a test fails by panicking, and runs once")]

#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "the other test's half of it")]
mod support;
mod world;

use anyhow::{Context as _, Result, ensure};
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
    world.stop().await;
    Ok(())
}
