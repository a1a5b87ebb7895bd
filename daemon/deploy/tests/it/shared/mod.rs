//! Three tenants on one shared cluster, against the real API server: two with nodes of their own, one with a namespace
//! only. What must be refused is tried, what must work is done, and one is taken away while the others are compared
//! object by object.

mod asking;
mod attempts;
mod charts;
mod counted;
mod drift;
mod gateway;
mod issuers;
mod listed;
mod network;
mod refused;
mod removal;
mod world;

use crate::support;
use anyhow::{Context as _, Result};
use world::World;

async fn apps_of_all_run(world: &World) -> Result<()> {
    for tenant in &world.tenants {
        world.apps_run(tenant).await.with_context(|| format!("apps of {}", tenant.name))?;
    }
    Ok(())
}

// In this order: what comes later stands on what the earlier ones made.
landlord_test_kube::steps! {
    world = World::start().await?;
    finally world.stop().await;
    tenants_are_isolated: world.tenants_are_isolated().await;
    applying_again_writes_nothing: world.applying_again_writes_nothing().await;
    policies_are_understood: world.policies_are_understood().await;
    apps_of_all_tenants_run: apps_of_all_run(&world).await;
    the_cluster_is_counted: world.the_cluster_is_counted().await;
    tenants_share_a_gateway: world.tenants_share_a_gateway().await;
    an_issuer_that_can_never_issue_is_named: world.an_issuer_that_can_never_issue_is_named().await;
    a_tenant_may_list_its_names: world.a_tenant_may_list_its_names().await;
    nothing_foreign_is_reached: world.nothing_foreign_is_reached().await;
    unknown_accounts_are_nobody: world.unknown_accounts_are_nobody().await;
    access_is_short: world.access_is_short().await;
    operators_keep_off_tenants_nodes: world.operators_keep_off_tenants_nodes().await;
    devices_of_shared_nodes_are_not_taken: world.devices_of_shared_nodes_are_not_taken().await;
    workloads_are_judged_by_their_pods: world.workloads_are_judged_by_their_pods().await;
    floods_end_at_the_quota: world.floods_end_at_the_quota().await;
    customers_can_work: world.customers_can_work().await;
    networks_are_apart: world.networks_are_apart().await;
    charts_that_want_more_are_refused: world.charts_that_want_more_are_refused().await;
    helm_never_saw_our_token: world.helm_never_saw_our_token();
    drift_is_repaired: world.drift_is_repaired().await;
    doors_are_closed_again: world.doors_are_closed_again().await;
    calls_may_be_dropped_anywhere: world.calls_may_be_dropped_anywhere().await;
    namespaces_not_owned_by_landlord_are_left_alone: world.namespaces_not_owned_by_landlord_are_left_alone().await;
    one_tenant_goes: world.one_tenant_goes().await;
    a_stuck_load_balancer_is_named: world.a_stuck_load_balancer_is_named().await;
}
