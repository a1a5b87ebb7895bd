//! Creates without a response that take effect when their removal has found nothing: no record goes before they would be
//! seen.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use landlord_core::{Level, OperationId, ports::TenantStore as _};
use landlord_provider_api::{ErrorKind, v1::ResourceKind};

use crate::{
    cloud::{Fault, Faults, Late, fails_while},
    name,
    world::{Life, World},
};

/// What may take effect late may do so for six seconds: a removal's first look comes before that on a busy machine, too.
const TIME_SCALE: f64 = 0.05;

/// A world in which that is so.
async fn world() -> World {
    let mut world = World::new(false).await;
    world.time_scale = TIME_SCALE;
    world
}

/// No call of this method reaches the cloud, and none has a response.
fn unreachable(stage: &'static str) -> Faults {
    Arc::new(move |method, _| (method == stage).then_some(Fault::Fails(ErrorKind::Transient)))
}

/// Waits until an order's stage has failed, which is recorded.
async fn fails(world: &World, id: OperationId) {
    while world.store.operation(id).await.unwrap().stages.iter().all(|stage| stage.failure.is_none()) {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_create_that_takes_effect_after_its_removal_found_nothing_is_removed() {
    for (stage, kind) in [("network", ResourceKind::Network), ("cluster", ResourceKind::Cluster)] {
        let mut world = world().await;
        world.start(Life::until(None), unreachable(stage));
        let tenant = name("one");
        let created = world.create(&tenant).await;
        let uid = created.uid.to_string();
        fails(&world, created.id).await;
        world.cloud.comes_late(Late::Object(uid.clone(), kind));
        let delete = world.delete(&tenant).await;
        world.wait_for(&tenant, None).await;
        assert!(world.cloud.has_come_late());
        assert_eq!(world.cloud.objects(&uid), Vec::new(), "{stage}");
        let outcome = world.store.operation(delete.id).await.unwrap().outcome;
        assert!(format!("{outcome:?}").contains(&format!("{kind:?}")), "{outcome:?}");
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_create_that_a_kill_left_without_a_response_is_removed_too() {
    let mut world = world().await;
    let life = Life::until(None);
    world.start(Arc::clone(&life), Arc::new(|method, _| (method == "network").then_some(Fault::Hangs)));
    let tenant = name("one");
    let created = world.create(&tenant).await;
    let uid = created.uid.to_string();
    while world
        .store
        .operation(created.id)
        .await
        .unwrap()
        .stages
        .iter()
        .all(|stage| stage.stage.to_string() != "network")
    {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    world.cloud.comes_late(Late::Object(uid.clone(), ResourceKind::Network));
    world.delete(&tenant).await;
    world.start_after(&life, Arc::new(|_, _| None)).await;
    world.wait_for(&tenant, None).await;
    assert!(world.cloud.has_come_late());
    assert_eq!(world.cloud.objects(&uid), Vec::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_that_comes_late_is_removed_too() {
    let mut world = world().await;
    world.start(Life::until(None), unreachable("isolation"));
    let host = world.create_host_cluster("shared-1", None).await.uid.to_string();
    world.wait_for(&crate::shared::host("shared-1"), Some(landlord_core::State::Ready)).await;
    let tenant = name("one");
    let created = world.create_shared(&tenant, Level::Namespace, false).await;
    let uid = created.uid.to_string();
    fails(&world, created.id).await;
    world.cloud.comes_late(Late::Namespace(uid.clone(), host.clone()));
    world.delete(&tenant).await;
    world.wait_for(&tenant, None).await;
    assert!(world.cloud.has_come_late());
    assert_eq!(world.cloud.namespaces(&host), Vec::<String>::new());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_of_machines_that_comes_late_is_removed_too() {
    let mut world = world().await;
    world.start(Life::until(None), unreachable("node-scaling"));
    let host = world.create_host_cluster("shared-1", None).await.uid.to_string();
    world.wait_for(&crate::shared::host("shared-1"), Some(landlord_core::State::Ready)).await;
    let tenant = name("one");
    let created = world.create_shared(&tenant, Level::Node, false).await;
    let uid = created.uid.to_string();
    fails(&world, created.id).await;
    world.cloud.comes_late(Late::Machines(uid.clone(), host.clone()));
    world.delete(&tenant).await;
    world.wait_for(&tenant, None).await;
    assert!(world.cloud.has_come_late());
    assert!(!world.cloud.is_scaled(&uid));
    assert_eq!(world.cloud.violations(), Vec::<String>::new());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removal_that_is_reported_goes_on_when_the_provider_is_well_again() {
    let broken = Arc::new(AtomicBool::new(true));
    let mut world = World::new(false).await;
    let faults = fails_while(&broken, "delete", ErrorKind::Internal);
    world.retry_timeout = Duration::from_secs(30);
    world.start(Life::until(None), faults);
    let tenant = name("one");
    world.create(&tenant).await;
    world.wait_for(&tenant, Some(landlord_core::State::Ready)).await;
    world.delete(&tenant).await;
    world.wait_for(&tenant, Some(landlord_core::State::Failed)).await;
    broken.store(false, Ordering::SeqCst);
    world.wait_for(&tenant, None).await;
    world.stop().await;
}
