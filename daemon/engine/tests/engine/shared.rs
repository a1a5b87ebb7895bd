//! Tenants in host clusters: built and removed whatever happens, and never at a neighbour's cost.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use landlord_core::{
    EnvironmentName, Level, OperationOutcome, Stage, StageState, State,
    environment::Adoption,
    ports::{EventQuery, EventScope, StoreError, TenantStore as _},
    revision::RevisionId,
};
use landlord_provider_api::{ErrorKind, v1::ResourceKind};

use crate::{
    cloud::{Fault, Faults, fails_while},
    name, no_faults,
    world::{Life, World},
};

pub(crate) fn host(id: &str) -> EnvironmentName {
    EnvironmentName::HostCluster(id.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_fleet_grows_and_the_tenant_waits_for_it() {
    let mut world = World::new(false).await;
    world.start(Life::until(None), no_faults());
    let tenant = name("one");
    world.create_shared(&tenant, Level::Namespace, true).await;
    world.wait_for(&tenant, Some(State::Ready)).await;
    let host = world.store.get(&tenant).await.unwrap().tenant().unwrap().host.clone().unwrap();
    let record = world.store.get(&EnvironmentName::from(host.id.clone())).await.unwrap();
    assert_eq!(record.status.state, State::Ready);
    assert_eq!(world.cloud.namespaces(&host.uid.to_string()).len(), 1);
    assert_eq!(world.cloud.violations(), Vec::<String>::new());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_host_cluster_is_reported_to_those_who_wait_and_they_can_leave() {
    let faults: Faults = Arc::new(|method, _| (method == "cluster").then_some(Fault::Fails(ErrorKind::Quota)));
    let mut world = World::new(false).await;
    world.start(Life::until(None), faults);
    world.create_host_cluster("one", None).await;
    let tenant = name("one");
    let create = world.create_shared(&tenant, Level::Namespace, false).await;
    world.wait_for(&host("one"), Some(State::Failed)).await;
    let reported = loop {
        let operation = world.store.operation(create.id).await.unwrap();
        let stage = operation.stages.into_iter().find(|record| record.stage == Stage::Host);
        if let Some(failure) = stage.and_then(|record| record.failure) {
            break failure;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    // Its customer reads this, who may not know which one it is.
    assert!(
        reported.message.contains("its host cluster is FAILED") && reported.remedy.contains("retry the host cluster"),
        "{reported:?}"
    );
    world.delete(&tenant).await;
    world.wait_for(&tenant, None).await;
    world.delete(&host("one")).await;
    world.wait_for(&host("one"), None).await;
    assert_eq!(world.cloud.violations(), Vec::<String>::new());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_that_can_not_be_removed_holds_the_record_until_it_is_forced() {
    let away = Arc::new(AtomicBool::new(false));
    let faults = fails_while(&away, "remove_namespace", ErrorKind::Transient);
    let mut world = World::new(false).await;
    world.start(Life::until(None), faults);
    let of_host = world.create_host_cluster("one", None).await;
    let tenant = name("one");
    world.create_shared(&tenant, Level::Namespace, false).await;
    world.wait_for(&tenant, Some(State::Ready)).await;
    away.store(true, Ordering::SeqCst);
    let delete = world.delete(&tenant).await;
    // The delete goes on trying, and the host cluster can't be removed under it.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let operation = world.store.operation(delete.id).await.unwrap();
    assert_eq!(operation.outcome, None);
    let refused = world
        .store
        .delete(
            &host("one"),
            landlord_core::ports::DeleteRequest {
                force: true,
                precondition: landlord_core::Precondition::None,
                request: landlord_core::ports::RequestContext::of_daemon(),
            },
        )
        .await;
    assert!(matches!(refused, Err(StoreError::HostInUse { .. })), "{refused:?}");
    world.force(&tenant).await;
    world.wait_for(&tenant, None).await;
    let ended = world.store.operation(delete.id).await.unwrap();
    assert!(matches!(ended.outcome, Some(OperationOutcome::Deleted { .. })), "{ended:?}");
    let skipped = ended.stages.iter().find(|record| record.stage == Stage::Isolation).unwrap();
    assert_eq!(skipped.state, StageState::Skipped);
    // What was forced is reported, not undone.
    assert_eq!(world.cloud.namespaces(&of_host.uid.to_string()).len(), 1);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_adopted_cluster_is_never_made_nor_removed() {
    let mut world = World::new(false).await;
    let of_host = world.create_host_cluster("theirs", Some(Adoption::default())).await;
    let uid = of_host.uid.to_string();
    // It was there before.
    world.cloud.appear(&uid, ResourceKind::Cluster);
    world.start(Life::until(None), no_faults());
    let tenant = name("one");
    world.create_shared(&tenant, Level::Namespace, false).await;
    world.wait_for(&tenant, Some(State::Ready)).await;
    assert_eq!(world.cloud.namespaces(&uid).len(), 1);
    world.delete(&tenant).await;
    world.wait_for(&tenant, None).await;
    world.delete(&host("theirs")).await;
    world.wait_for(&host("theirs"), None).await;
    assert_eq!(world.cloud.objects(&uid), [ResourceKind::Cluster]);
    assert_eq!(world.cloud.violations(), Vec::<String>::new());
    world.stop().await;
}

/// A revision of a platform.
fn revision(digit: char) -> RevisionId {
    RevisionId::of_digest(&digit.to_string().repeat(64)).unwrap()
}

/// Reasons of what happened to a host cluster.
async fn reasons(world: &World, name: &EnvironmentName) -> Vec<String> {
    let query = EventQuery { scope: EventScope::Environment(name.clone()), limit: 1_000, ..EventQuery::default() };
    world.store.events(&query).await.unwrap().into_iter().map(|event| event.event.reason).collect()
}

/// This revision of a platform fails, whenever it is brought anywhere.
fn fails_with(digit: char, kind: ErrorKind) -> Faults {
    let method = format!("platform {}", revision(digit));
    Arc::new(move |called, _| (called == method).then_some(Fault::Fails(kind)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_platform_that_fails_in_a_host_cluster_is_given_up_for_the_one_before_and_its_tenants_stay_ready() {
    let mut world = World::new(false).await;
    world.start(Life::until(None), fails_with('c', ErrorKind::Invalid));
    let uid = world.create_host_cluster_with("one", revision('a')).await.uid.to_string();
    let host = host("one");
    world.wait_for(&host, Some(State::Ready)).await;
    let tenant = name("one");
    world.create_shared(&tenant, Level::Namespace, false).await;
    world.wait_for(&tenant, Some(State::Ready)).await;
    let of_tenant = world.store.get(&tenant).await.unwrap().etag;
    let installed = |world: &World| world.cloud.platforms.lock()[&uid].clone();
    assert_eq!(installed(&world), revision('a'));

    let to_b = world.renew_platform(&host, revision('b')).await.id;
    assert_eq!(world.outcome(to_b).await, OperationOutcome::Ready);
    assert_eq!(installed(&world), revision('b'));

    let to_c = world.renew_platform(&host, revision('c')).await.id;
    let outcome = world.outcome(to_c).await;
    let OperationOutcome::Failed { failure } = outcome else { panic!("{outcome:?}") };
    let message = &failure.message;
    assert!(message.contains("platform/edge failed") && message.contains("those of before are back"), "{failure}");
    world.wait_for(&host, Some(State::Ready)).await;
    let back = world.store.get(&host).await.unwrap().placement.revisions;
    assert_eq!((back.platform, back.trial_generation), (Some(revision('b')), None));
    assert_eq!(installed(&world), revision('b'));
    let reasons = reasons(&world, &host).await;
    assert_eq!(reasons.iter().filter(|reason| *reason == "RevisionGivenUp").count(), 1, "{reasons:?}");

    // Nothing of it was the tenant's.
    let seen = world.store.get(&tenant).await.unwrap();
    assert_eq!((seen.status.state, &seen.etag), (State::Ready, &of_tenant));
    assert_eq!(world.cloud.violations(), Vec::<String>::new());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_platform_on_trial_in_a_host_cluster_is_taken_back_by_who_cancels_it() {
    let mut world = World::new(false).await;
    world.start(Life::until(None), fails_with('b', ErrorKind::Transient));
    let uid = world.create_host_cluster_with("one", revision('a')).await.uid.to_string();
    let host = host("one");
    world.wait_for(&host, Some(State::Ready)).await;
    let to_b = world.renew_platform(&host, revision('b')).await.id;
    while !reasons(&world, &host).await.iter().any(|reason| reason == "StageRetrying") {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    world.cancel(to_b).await;
    assert_eq!(world.outcome(to_b).await, OperationOutcome::Cancelled);
    world.wait_for(&host, Some(State::Ready)).await;
    let back = world.store.get(&host).await.unwrap().placement.revisions;
    assert_eq!((back.platform, back.trial_generation), (Some(revision('a')), None));
    assert_eq!(world.cloud.platforms.lock()[&uid], revision('a'));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_cluster_that_was_not_ready_has_nothing_to_go_back_to_and_says_so() {
    let mut world = World::new(false).await;
    let faults: Vec<Faults> = ['a', 'b'].map(|digit| fails_with(digit, ErrorKind::Invalid)).into();
    world.start(Life::until(None), Arc::new(move |method, call| faults.iter().find_map(|fault| fault(method, call))));
    let uid = world.create_host_cluster_with("one", revision('a')).await.uid.to_string();
    let host = host("one");
    world.wait_for(&host, Some(State::Failed)).await;
    let to_b = world.renew_platform(&host, revision('b')).await.id;
    let outcome = world.outcome(to_b).await;
    let OperationOutcome::Failed { failure } = outcome else { panic!("{outcome:?}") };
    assert!(failure.message.contains("there is nothing to go back to"), "{failure}");
    let seen = world.store.get(&host).await.unwrap();
    assert_eq!((seen.status.state, seen.placement.revisions.platform), (State::Failed, Some(revision('b'))));
    // New revisions may be what mends it.
    let to_c = world.renew_platform(&host, revision('c')).await.id;
    assert_eq!(world.outcome(to_c).await, OperationOutcome::Ready);
    assert_eq!(world.cloud.platforms.lock()[&uid], revision('c'));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_host_cluster_has_is_counted_and_promised_once() {
    let mut world = World::new(false).await;
    world.capacity_interval = Duration::from_millis(100);
    world.start(Life::until(None), no_faults());
    world.create_host_cluster("one", None).await;
    world.wait_for(&host("one"), Some(State::Ready)).await;
    let first = world.store.candidates(None).await.unwrap().remove(0).observation.expect("READY, but never counted");
    assert_eq!(first.measured.allocatable.cpu_milli, 10_000);
    for tenant in ["a", "b", "c"] {
        world.create_shared(&name(tenant), Level::Namespace, false).await;
    }
    let refused = world.try_create_shared(&name("d"), Level::Namespace, false).await.unwrap_err();
    let reported = refused.to_string();
    assert!(reported.contains("one: 3000 millicores are needed and 1000 of 10000 free"), "{reported}");
    // One with nodes of its own takes nothing of it.
    world.create_shared(&name("pool"), Level::Node, false).await;
    for tenant in ["a", "b", "c", "pool"] {
        world.wait_for(&name(tenant), Some(State::Ready)).await;
    }
    // The beat: what they made of it is seen, and the host cluster is as it was.
    let seen = loop {
        let candidate = world.store.candidates(None).await.unwrap().remove(0);
        if let Some(seen) = candidate.observation.filter(|seen| seen.measured.requested.pods == 4) {
            break seen;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(seen.time > first.time);
    let record = world.store.get(&host("one")).await.unwrap();
    assert_eq!((record.status.state, record.generation), (State::Ready, 1));
    world.delete(&name("a")).await;
    world.wait_for(&name("a"), None).await;
    world.create_shared(&name("d"), Level::Namespace, false).await;
    world.wait_for(&name("d"), Some(State::Ready)).await;
    assert_eq!(world.cloud.violations(), Vec::<String>::new());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_cluster_that_can_not_be_counted_takes_tenants_by_number_and_reports_it() {
    let away = Arc::new(AtomicBool::new(true));
    let faults = fails_while(&away, "measure", ErrorKind::Transient);
    let mut world = World::new(false).await;
    world.capacity_interval = Duration::from_millis(100);
    world.start(Life::until(None), faults);
    world.create_host_cluster("one", None).await;
    world.wait_for(&host("one"), Some(State::Ready)).await;
    for tenant in ["a", "b", "c", "d"] {
        world.create_shared(&name(tenant), Level::Namespace, false).await;
    }
    let reported = async |reason: &str| loop {
        let record = world.store.get(&host("one")).await.unwrap();
        assert_eq!(record.status.state, State::Ready);
        if let Some(ready) = record.status.conditions.iter().find(|c| c.r#type == "Ready" && c.reason == reason) {
            break ready.message.clone();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(reported("ResyncFailed").await.contains("resync of capacity failed"));
    assert_eq!(world.store.candidates(None).await.unwrap()[0].observation, None);
    away.store(false, Ordering::SeqCst);
    reported("Reconciled").await;
    // Four were promised what only three can have: it is seen, and they stay.
    let seen = world.store.candidates(None).await.unwrap().remove(0);
    assert_eq!(seen.observation.unwrap().measured.free(seen.reserved).cpu_milli, 0);
    assert!(world.try_create_shared(&name("e"), Level::Namespace, false).await.is_err());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_cluster_is_counted_when_its_nodes_are_there_or_stay_away() {
    let mut world = World::new(false).await;
    // Those that may come are waited for six seconds: that it waits is seen before on a busy machine, too.
    world.time_scale = 0.05;
    world.start(Life::until(None), no_faults());
    world.cloud.miss_nodes(3);
    let order = world.create_host_cluster("one", None).await;
    let capacity = async || {
        let operation = world.store.operation(order.id).await.unwrap();
        operation.stages.into_iter().find(|record| record.stage == Stage::Capacity)
    };
    loop {
        let record = capacity().await;
        if record.is_some_and(|record| record.detail == "waiting for nodes: 0 of 1 take pods") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    world.cloud.miss_nodes(0);
    world.wait_for(&host("one"), Some(State::Ready)).await;
    assert_eq!(world.store.candidates(None).await.unwrap()[0].observation.unwrap().measured.nodes, 3);
    world.stop().await;
    // Those of another one never come: it is READY with what it has.
    let mut world = World::new(false).await;
    world.start(Life::until(None), no_faults());
    world.cloud.miss_nodes(3);
    world.create_host_cluster("two", None).await;
    world.wait_for(&host("two"), Some(State::Ready)).await;
    assert_eq!(world.store.candidates(None).await.unwrap()[0].observation.unwrap().measured.nodes, 0);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_is_done_when_its_nodes_have_joined() {
    let mut world = World::new(false).await;
    world.start(Life::until(None), no_faults());
    world.create_host_cluster("one", None).await;
    world.wait_for(&host("one"), Some(State::Ready)).await;
    // The cloud calls the pool ready, and no machine of it joins.
    world.cloud.miss_nodes(3);
    let tenant = name("one");
    let create = world.create_shared(&tenant, Level::Node, false).await;
    let seen = loop {
        let operation = world.store.operation(create.id).await.unwrap();
        let pool = operation.stages.into_iter().find(|record| record.stage == Stage::NodePool);
        if let Some(pool) = pool.filter(|record| record.detail.contains("have joined")) {
            break pool;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert!(seen.detail.starts_with("0 of 1 nodes have joined"), "{}", seen.detail);
    assert_eq!(seen.state, StageState::Running);
    assert_ne!(world.store.get(&tenant).await.unwrap().status.state, State::Ready);
    world.cloud.miss_nodes(0);
    world.wait_for(&tenant, Some(State::Ready)).await;
    assert_eq!(world.cloud.violations(), Vec::<String>::new());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_without_a_record_is_an_orphan_that_can_be_removed() {
    let mut world = World::new(false).await;
    world.start(Life::until(None), no_faults());
    let of_host = world.create_host_cluster("one", None).await;
    world.wait_for(&host("one"), Some(State::Ready)).await;
    world.create_shared(&name("one"), Level::Namespace, false).await;
    world.wait_for(&name("one"), Some(State::Ready)).await;
    let lost = uuid::Uuid::new_v4().to_string();
    world.cloud.plant(&lost, &of_host.uid.to_string());
    assert_eq!(world.host_inventories("a").round().await.unwrap(), Some(0));
    // Another daemon lists nothing until the next comparison is due.
    assert_eq!(world.host_inventories("b").round().await.unwrap(), None);
    let listed = world.store.orphans().await.unwrap();
    assert_eq!(listed.len(), 1, "who has a record is none: {listed:?}");
    assert_eq!(
        (listed[0].uid.to_string(), listed[0].objects[0].id.as_str()),
        (lost.clone(), format!("hostClusters/one/namespaces/t-{lost}").as_str())
    );
    let request = landlord_core::ports::RequestContext::of_daemon();
    let removal = world.store.delete_orphan(listed[0].uid, false, request).await.unwrap();
    world.wake();
    world.wait_for(&removal.environment.unwrap().name(), None).await;
    assert_eq!(world.cloud.namespaces(&of_host.uid.to_string()).len(), 1, "the tenant's own stays");
    assert_eq!(world.host_inventories("a").round().await.unwrap(), Some(0));
    assert_eq!(world.store.orphans().await.unwrap(), []);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_server_that_does_not_respond_is_no_outage_of_the_cloud() {
    // More than the failures in a row after which an account's outage is reported.
    const FAILURES: u32 = 7;
    let failed = Arc::new(AtomicU32::new(0));
    let script = Arc::clone(&failed);
    let faults: Faults = Arc::new(move |method, _| {
        let fails = method == "isolation" && script.fetch_add(1, Ordering::SeqCst) < FAILURES;
        fails.then_some(Fault::Fails(ErrorKind::Transient))
    });
    let mut world = World::new(false).await;
    world.start(Life::until(None), faults);
    world.create_host_cluster("one", None).await;
    let tenant = name("one");
    world.create_shared(&tenant, Level::Namespace, false).await;
    world.wait_for(&tenant, Some(State::Ready)).await;
    assert!(failed.load(Ordering::SeqCst) > FAILURES);
    let conditions = world.store.get(&tenant).await.unwrap().status.conditions;
    assert!(conditions.iter().all(|condition| condition.r#type != "ProviderDegraded"), "{conditions:?}");
    world.stop().await;
}
