//! The engine on a real store, against a cloud that judges it: killed at every boundary, refused,
//! throttled, panicking, overtaken by its users, and beside a second engine.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod certificates;
mod cloud;
mod following;
mod isolated;
mod late;
mod scaling;
mod shared;
mod sweeps;
mod world;

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::{StreamExt as _, stream};
use landlord_core::{
    EnvironmentName, OperationOutcome, State,
    ports::{DaemonStore as _, TenantStore as _},
};
use landlord_provider_api::{ErrorKind, v1::ResourceKind};
use tokio_util::sync::CancellationToken;

use crate::{
    cloud::{Fault, Faults, fails_while},
    world::{Life, World},
};

/// Lifecycles side by side: each mostly waits.
const WORLDS: usize = 12;
/// Random lifecycles of one run.
const SEEDS: u64 = 100;

fn name(tenant: &str) -> EnvironmentName {
    format!("customers/a/tenants/{tenant}").parse().unwrap()
}

fn no_faults() -> Faults {
    Arc::new(|_, _| None)
}

/// Create, READY, delete, gone, with a restart if the first life ends; says how many boundaries
/// the first life passed.
async fn lifecycle(life: Arc<Life>, faults: Faults) -> u64 {
    let mut world = World::new(false).await;
    world.start(Arc::clone(&life), Arc::clone(&faults));
    let tenant = name("one");
    let created = world.create(&tenant).await;
    let mut restarted = false;
    for step in 0..2 {
        let wanted = if step == 0 { Some(State::Ready) } else { None };
        if step == 1 {
            world.delete(&tenant).await;
        }
        let over = tokio::select! {
            () = world.wait_for(&tenant, wanted) => false,
            () = life.ended(), if !restarted => true,
        };
        if over {
            restarted = true;
            world.start_after(&life, Arc::clone(&faults)).await;
            world.wait_for(&tenant, wanted).await;
        }
    }
    assert_eq!(world.cloud.violations(), Vec::<String>::new());
    assert_eq!(world.cloud.objects(&created.uid.to_string()), Vec::new());
    life.steps()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_any_boundary_changes_nothing_in_the_end() {
    let boundaries = lifecycle(Life::until(None), no_faults()).await;
    assert!(boundaries > 40, "{boundaries} boundaries are too few to be the whole life");
    stream::iter(0..boundaries)
        .for_each_concurrent(WORLDS, |boundary| async move {
            lifecycle(Life::until(Some(boundary)), no_faults()).await;
        })
        .await;
}

/// A third of all calls goes wrong in some way that passes.
fn random_faults(seed: u64) -> Faults {
    Arc::new(move |method, call| {
        let mut hasher = DefaultHasher::new();
        (seed, method, call).hash(&mut hasher);
        match hasher.finish() % 15 {
            0 => Some(Fault::Fails(ErrorKind::Throttled)),
            1 => Some(Fault::Fails(ErrorKind::Transient)),
            2 => Some(Fault::Fails(ErrorKind::Conflict)),
            3 | 4 => Some(Fault::Lost),
            _ => None,
        }
    })
}

/// Half of all calls are throttled, in no order: of every other one, a pass of two calls would always meet its second one.
fn throttles_half() -> Faults {
    Arc::new(|_, call| {
        let mut hasher = DefaultHasher::new();
        call.hash(&mut hasher);
        hasher.finish().is_multiple_of(2).then_some(Fault::Fails(ErrorKind::Throttled))
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_faults_and_a_kill_only_delay() {
    stream::iter(0..SEEDS)
        .for_each_concurrent(WORLDS, |seed| async move {
            lifecycle(Life::until(Some(seed)), random_faults(seed)).await;
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn throttling_of_half_of_all_calls_fails_nothing() {
    lifecycle(Life::until(None), throttles_half()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_costs_one_attempt() {
    let faults: Faults = Arc::new(|_, call| (call == 5).then_some(Fault::Panics));
    lifecycle(Life::until(None), faults).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_engines_share_the_work_and_never_a_tenant() {
    let mut world = World::new(true).await;
    world.start(Life::until(None), random_faults(1));
    world.start(Life::until(None), random_faults(2));
    let names: Vec<EnvironmentName> = (0..12).map(|index| name(&format!("t{index}"))).collect();
    let mut uids = Vec::new();
    for name in &names {
        uids.push(world.create(name).await.uid);
    }
    for name in &names {
        world.wait_for(name, Some(State::Ready)).await;
        world.delete(name).await;
    }
    for name in &names {
        world.wait_for(name, None).await;
    }
    assert_eq!(world.cloud.violations(), Vec::<String>::new());
    assert!(uids.iter().all(|uid| world.cloud.objects(&uid.to_string()).is_empty()));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exhausted_quota_fails_and_a_retry_goes_on_from_there() {
    let exhausted = Arc::new(AtomicBool::new(true));
    let faults = fails_while(&exhausted, "node-pool", ErrorKind::Quota);
    let mut world = World::new(false).await;
    world.start(Life::until(None), faults);
    let tenant = name("one");
    let create = world.create(&tenant).await;
    world.wait_for(&tenant, Some(State::Failed)).await;
    let operation = world.store.operation(create.id).await.unwrap();
    let Some(OperationOutcome::Failed { failure }) = operation.outcome else { panic!("{:?}", operation.outcome) };
    assert_eq!(failure.kind, ErrorKind::Quota);
    exhausted.store(false, Ordering::SeqCst);
    world.retry(&tenant).await;
    world.wait_for(&tenant, Some(State::Ready)).await;
    assert_eq!(world.cloud.violations(), Vec::<String>::new());
    world.stop().await;
}

/// Starts a create whose cluster never gets ready, and waits until it is at that.
async fn stuck_create() -> (World, EnvironmentName, landlord_core::Operation) {
    let faults: Faults = Arc::new(|method, _| (method == "cluster").then_some(Fault::Lost));
    let mut world = World::new(false).await;
    world.start(Life::until(None), faults);
    let tenant = name("one");
    let create = world.create(&tenant).await;
    let uid = create.uid.to_string();
    while !world.cloud.objects(&uid).contains(&ResourceKind::Cluster) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    (world, tenant, create)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delete_amid_a_create_leaves_nothing_and_names_what_went() {
    let (world, tenant, create) = stuck_create().await;
    let delete = world.delete(&tenant).await;
    world.wait_for(&tenant, None).await;
    assert_eq!(world.cloud.objects(&create.uid.to_string()), Vec::new());
    let outcome = world.store.operation(delete.id).await.unwrap().outcome;
    let Some(OperationOutcome::Deleted { removed }) = outcome else { panic!("{outcome:?}") };
    let types: Vec<&str> = removed.iter().map(|object| object.r#type.as_str()).collect();
    assert_eq!(types, ["Cluster", "DnsZone", "Network"]);
    let outcome = world.store.operation(create.id).await.unwrap().outcome;
    assert_eq!(outcome, Some(OperationOutcome::Superseded { by: delete.id }));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_create_unwinds() {
    let (world, tenant, create) = stuck_create().await;
    world.cancel(create.id).await;
    world.wait_for(&tenant, None).await;
    assert_eq!(world.cloud.objects(&create.uid.to_string()), Vec::new());
    let outcome = world.store.operation(create.id).await.unwrap().outcome;
    assert_eq!(outcome, Some(OperationOutcome::Cancelled));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_retry_stops_where_it_is() {
    let exhausted = Arc::new(AtomicBool::new(true));
    let script = Arc::clone(&exhausted);
    let faults: Faults = Arc::new(move |method, _| match (method, script.load(Ordering::SeqCst)) {
        ("node-pool", true) => Some(Fault::Fails(ErrorKind::Quota)),
        // The retry is on its way for as long as the test needs.
        ("node-pool", false) => Some(Fault::Lost),
        _ => None,
    });
    let mut world = World::new(false).await;
    world.start(Life::until(None), faults);
    let tenant = name("one");
    let create = world.create(&tenant).await;
    world.wait_for(&tenant, Some(State::Failed)).await;
    let objects = world.cloud.objects(&create.uid.to_string());
    assert!(objects.contains(&ResourceKind::Cluster));
    exhausted.store(false, Ordering::SeqCst);
    let retry = world.retry(&tenant).await;
    world.cancel(retry.id).await;
    world.wait_for(&tenant, Some(State::Failed)).await;
    let outcome = world.store.operation(retry.id).await.unwrap().outcome;
    assert_eq!(outcome, Some(OperationOutcome::Cancelled));
    // It stays so, whatever wakes the engine.
    world.wake();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let after = world.cloud.objects(&create.uid.to_string());
    assert!(objects.iter().all(|object| after.contains(object)), "{objects:?} became {after:?}");
    assert_eq!(world.store.get(&tenant).await.unwrap().status.state, State::Failed);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_appears_late_goes_too() {
    let faults: Faults = Arc::new(|method, _| (method == "list").then_some(Fault::Fails(ErrorKind::Transient)));
    let mut world = World::new(false).await;
    let life = Life::until(None);
    world.start(Arc::clone(&life), faults);
    let tenant = name("one");
    let uid = world.create(&tenant).await.uid.to_string();
    world.wait_for(&tenant, Some(State::Ready)).await;
    world.delete(&tenant).await;
    while !world.cloud.objects(&uid).is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Only the inventory is left to do, and it can't be done yet.
    world.cloud.appear(&uid, ResourceKind::Network);
    world.cloud.appear(&uid, ResourceKind::Cluster);
    world.cloud.appear(&uid, ResourceKind::NodePool);
    world.start_after(&life, no_faults()).await;
    world.wait_for(&tenant, None).await;
    assert_eq!(world.cloud.objects(&uid), Vec::new());
}

/// A tenant that was READY, and whose cluster lost its marker before it is deleted.
async fn unmarked() -> (World, EnvironmentName, String) {
    let mut world = World::new(false).await;
    world.start(Life::until(None), no_faults());
    let tenant = name("one");
    let uid = world.create(&tenant).await.uid.to_string();
    world.wait_for(&tenant, Some(State::Ready)).await;
    world.cloud.mark(&uid, ResourceKind::Cluster, false);
    world.delete(&tenant).await;
    (world, tenant, uid)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_lost_its_marker_holds_the_removal_until_it_is_back() {
    let (world, tenant, uid) = unmarked().await;
    world.wait_for(&tenant, Some(State::Failed)).await;
    let held = world.store.get(&tenant).await.unwrap();
    let reported = held.status.conditions.iter().find(|condition| condition.r#type == "Progressing").unwrap();
    assert!(!reported.status && reported.message.contains("put the marker back"), "{reported:?}");
    assert!(world.cloud.objects(&uid).contains(&ResourceKind::Cluster), "{:?}", world.cloud.objects(&uid));
    assert!(world.cloud.objects(&uid).contains(&ResourceKind::Network), "what stands below it went first");
    // The mend is enough: nobody has to ask for a retry.
    world.cloud.mark(&uid, ResourceKind::Cluster, true);
    world.wait_for(&tenant, None).await;
    assert_eq!(world.cloud.objects(&uid), Vec::new());
    assert_eq!(world.cloud.violations(), Vec::<String>::new());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forced_removal_leaves_what_lost_its_marker_and_the_parts_of_it() {
    let mut world = World::new(false).await;
    world.start(Life::until(None), no_faults());
    let tenant = name("one");
    let uid = world.create(&tenant).await.uid.to_string();
    world.wait_for(&tenant, Some(State::Ready)).await;
    // As a stack whose tags were replaced: what it made is still found by its own.
    world.cloud.mark_parts(&uid, ResourceKind::Network);
    world.cloud.mark(&uid, ResourceKind::Network, false);
    world.delete(&tenant).await;
    world.wait_for(&tenant, Some(State::Failed)).await;
    let operation = world.force(&tenant).await;
    world.wait_for(&tenant, None).await;
    assert_eq!(world.cloud.objects(&uid), [ResourceKind::Network], "nothing else is left");
    let operation = world.store.operation(operation.id).await.unwrap();
    let inventory = operation.stages.iter().find(|stage| stage.stage == landlord_core::Stage::Inventory).unwrap();
    assert!(inventory.detail.contains("left where they are"), "{inventory:?}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_finishes_a_held_removal() {
    let (world, tenant, uid) = unmarked().await;
    world.wait_for(&tenant, Some(State::Failed)).await;
    world.cloud.mark(&uid, ResourceKind::Cluster, true);
    world.retry(&tenant).await;
    world.wait_for(&tenant, None).await;
    assert_eq!(world.cloud.objects(&uid), Vec::new());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_back_while_a_removal_runs_is_removed_again() {
    // The network can't go while something is in it that its stage does not know of.
    let mut world = World::new(false).await;
    world.start(Life::until(None), no_faults());
    let tenant = name("one");
    let uid = world.create(&tenant).await.uid.to_string();
    world.wait_for(&tenant, Some(State::Ready)).await;
    let held = Arc::clone(&world.cloud);
    held.mark(&uid, ResourceKind::Network, false);
    world.delete(&tenant).await;
    world.wait_for(&tenant, Some(State::Failed)).await;
    assert_eq!(held.objects(&uid), vec![ResourceKind::Network]);
    held.appear(&uid, ResourceKind::Cluster);
    held.appear(&uid, ResourceKind::NodePool);
    held.mark(&uid, ResourceKind::Network, true);
    world.wait_for(&tenant, None).await;
    assert_eq!(held.objects(&uid), Vec::new());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_ends_begins_no_further_call() {
    let mut world = World::new(true).await;
    let (stop, calls) = (CancellationToken::new(), Arc::new(Mutex::new(Vec::<String>::new())));
    let faults: Faults = {
        let (stop, calls) = (stop.clone(), Arc::clone(&calls));
        Arc::new(move |method, _| {
            calls.lock().unwrap().push(method.to_owned());
            // In the middle of this call, which has an end of its own.
            if method == "network" {
                stop.cancel();
            }
            None
        })
    };
    world.start_until(stop, Life::until(None), faults);
    let tenant = name("one");
    world.create(&tenant).await;
    world.ended().await;
    let began = calls.lock().unwrap().clone();
    assert_eq!(began.iter().filter(|method| *method == "network").count(), 1, "{began:?}");
    assert!(!began.iter().any(|method| method == "cluster"), "{began:?}");
    // What it gives back is another's at once.
    world.store.leave("owner-0").await.unwrap();
    world.start(Life::until(None), no_faults());
    world.wait_for(&tenant, Some(State::Ready)).await;
    assert_eq!(world.cloud.violations(), Vec::<String>::new());
    world.stop().await;
}
