//! Nodes beyond those that are always there, and what is known of a provider before anything is requested of it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use landlord_core::{DesiredState, Level, Operation, Stage, StageRecord, State, ports::TenantStore as _};
use landlord_provider_api::{ErrorKind, v1::ResourceKind};

use crate::{
    cloud::fails_while,
    name, no_faults,
    world::{Life, World},
};

/// Long enough for a daemon that waits for nothing to make its first calls.
const A_WHILE: Duration = Duration::from_millis(300);
const POLL: Duration = Duration::from_millis(2);

/// A cloud that scales pools itself.
fn scales(world: &World) {
    let words = ["networks", "clusters", "node-pools", "dns", "identity", "node-scaling"];
    *world.cloud.capabilities.lock() = Some(words.map(str::to_owned).to_vec());
}

async fn stage(world: &World, operation: &Operation, stage: &Stage) -> Option<StageRecord> {
    let stages = world.store.operation(operation.id).await.unwrap().stages;
    stages.into_iter().find(|record| record.stage == *stage)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_keeps_its_scaling_when_a_daemon_works_before_its_plugins_have_started() {
    let mut world = World::new(false).await;
    world.resync_interval = Duration::from_millis(100);
    scales(&world);
    let life = Life::until(None);
    world.start(Arc::clone(&life), no_faults());
    world.create_host_cluster("one", None).await;
    let tenant = name("one");
    let uid = world.create_shared(&tenant, Level::Node, false).await.uid.to_string();
    world.wait_for(&tenant, Some(State::Ready)).await;
    assert_eq!(world.cloud.most(&uid), [3]);

    world.cloud.starting.store(true, Ordering::SeqCst);
    world.start_after(&life, no_faults()).await;
    let calls = world.cloud.calls();
    let fresh = name("two");
    let created = world.create_shared(&fresh, Level::Node, false).await;
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(world.cloud.most(&uid), [3], "the pool was shrunk to the nodes that are always there");
    assert_eq!(world.cloud.effects(&created.uid.to_string()), Vec::<String>::new());
    world.cloud.starting.store(false, Ordering::SeqCst);
    world.wait_for(&fresh, Some(State::Ready)).await;
    while world.cloud.calls() < calls + 20 {
        tokio::time::sleep(POLL).await;
    }
    for uid in [&uid, &created.uid.to_string()] {
        assert_eq!(world.cloud.most(uid), [3]);
    }
    assert_eq!(world.cloud.violations(), Vec::<String>::new());
    // The daemon of before is dead, and does not end.
    world.stop_at_once();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_calls_of_a_daemon_have_their_limits() {
    let mut world = World::new(false).await;
    *world.cloud.costly.lock() = vec!["EnsureNetwork".into()];
    world.cloud.starting.store(true, Ordering::SeqCst);
    world.start(Life::until(None), no_faults());
    let orders = [world.create(&name("one")).await, world.create(&name("two")).await];
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(world.cloud.calls(), 0, "calls that nobody limits");
    world.cloud.starting.store(false, Ordering::SeqCst);
    // One has the account's only token, and the other waits for the next one.
    let waits = async |order: &Operation| {
        let failure = stage(&world, order, &Stage::Network).await.and_then(|record| record.failure);
        failure.is_some_and(|failure| failure.kind == ErrorKind::Throttled)
    };
    while !waits(&orders[0]).await && !waits(&orders[1]).await {
        tokio::time::sleep(POLL).await;
    }
    // A zone costs no token: the one that waits may have its own by now.
    let has_network = |order: &&Operation| world.cloud.objects(&order.uid.to_string()).contains(&ResourceKind::Network);
    let made = orders.iter().filter(has_network).count();
    assert!(made <= 1, "{made} networks of one token");
    world.stop_at_once();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn machines_in_a_cluster_go_when_its_cloud_comes_to_scale_pools_itself() {
    let mut world = World::new(false).await;
    world.resync_interval = Duration::from_millis(100);
    world.start(Life::until(None), no_faults());
    world.create_host_cluster("one", None).await;
    let tenant = name("one");
    let created = world.create_shared(&tenant, Level::Node, false).await;
    let uid = created.uid.to_string();
    world.wait_for(&tenant, Some(State::Ready)).await;
    assert!(world.cloud.is_scaled(&uid));
    scales(&world);
    let is_left_to_it = async || {
        let record = world.store.stage(created.uid, DesiredState::Present, &Stage::NodeScaling).await.unwrap();
        record.is_some_and(|record| record.detail.contains("the cloud scales the pool up to 3 nodes"))
    };
    while world.cloud.is_scaled(&uid) || !is_left_to_it().await {
        tokio::time::sleep(POLL).await;
    }
    world.delete(&tenant).await;
    world.wait_for(&tenant, None).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn machines_stay_as_long_as_the_removal_of_their_cluster_is_held() {
    let held = Arc::new(AtomicBool::new(true));
    let mut world = World::new(false).await;
    world.start(Life::until(None), fails_while(&held, "observe", ErrorKind::Conflict));
    let tenant = name("one");
    let uid = world.create_scaled(&tenant).await.uid.to_string();
    world.wait_for(&tenant, Some(State::Ready)).await;
    let delete = world.delete(&tenant).await;
    let is_held = async || {
        let record = stage(&world, &delete, &Stage::NodeScaling).await;
        record.and_then(|record| record.failure).is_some_and(|failure| failure.message.contains("protection"))
    };
    while world.cloud.is_scaled(&uid) && !is_held().await {
        tokio::time::sleep(POLL).await;
    }
    assert!(world.cloud.is_scaled(&uid), "machines of a cluster that stays were removed");
    held.store(false, Ordering::SeqCst);
    world.wait_for(&tenant, None).await;
    assert_eq!(world.cloud.violations(), Vec::<String>::new());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn machines_that_a_forced_removal_left_are_an_orphans_and_can_be_removed() {
    let away = Arc::new(AtomicBool::new(false));
    let mut world = World::new(false).await;
    world.start(Life::until(None), fails_while(&away, "remove_scaled_pool", ErrorKind::Transient));
    let of_host = world.create_host_cluster("one", None).await;
    let tenant = name("one");
    let created = world.create_shared(&tenant, Level::Node, false).await;
    let uid = created.uid.to_string();
    world.wait_for(&tenant, Some(State::Ready)).await;
    away.store(true, Ordering::SeqCst);
    world.force(&tenant).await;
    world.wait_for(&tenant, None).await;
    assert!(world.cloud.is_scaled(&uid));
    // And one whose record went with a copy of the store.
    let lost = uuid::Uuid::new_v4().to_string();
    world.cloud.plant_scaled(&lost, &of_host.uid.to_string());
    world.cloud.plant(&lost, &of_host.uid.to_string());

    assert_eq!(world.host_inventories("a").round().await.unwrap(), Some(0));
    let listed = world.store.orphans().await.unwrap();
    let ids = |of: &str| -> Vec<String> {
        let orphan = listed.iter().find(|orphan| orphan.uid.to_string() == of).unwrap();
        orphan.objects.iter().map(|object| object.id.clone()).collect()
    };
    assert_eq!(ids(&uid), [format!("hostClusters/one/nodepools/landlord-t-{uid}")]);
    assert_eq!(ids(&lost).len(), 2);
    away.store(false, Ordering::SeqCst);
    for orphan in &listed {
        let request = landlord_core::ports::RequestContext::of_daemon();
        let removal = world.store.delete_orphan(orphan.uid, false, request).await.unwrap();
        world.wake();
        world.wait_for(&removal.environment.unwrap().name(), None).await;
        assert!(!world.cloud.is_scaled(&orphan.uid.to_string()));
    }
    assert_eq!(
        world.cloud.objects(&of_host.uid.to_string()).iter().filter(|kind| **kind == ResourceKind::Cluster).count(),
        1
    );
    assert_eq!(world.host_inventories("a").round().await.unwrap(), Some(0));
    assert_eq!(world.store.orphans().await.unwrap(), []);
    world.stop().await;
}
