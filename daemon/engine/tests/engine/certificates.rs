//! Tenants whose certificates an authority gives no more of for now: they wait and say why, go on by themselves, and no kill of a daemon
//! costs a place.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use landlord_core::{
    EnvironmentName, Level, Precondition, Stage, StageRecord, State, TenantSpec,
    certificate::{self, OrderLimit, OrderLimits},
    ports::{Change, TenantStore as _},
};

use crate::{
    isolated::AUTHORITY,
    name, no_faults,
    world::{Life, World, request},
};

/// Until its place is free somebody waits at least so long: longer than it takes to see that, on a busy machine.
const WAIT: Duration = Duration::from_secs(20);
/// Longer than it takes to build two tenants there, and to remove one.
const WINDOW: Duration = Duration::from_secs(600);

/// What the condition of a tenant says; `None`: it has none.
async fn pending(world: &World, tenant: &EnvironmentName) -> Option<(bool, String)> {
    let status = world.store.get(tenant).await.unwrap().status;
    let found = status.conditions.into_iter().find(|condition| condition.r#type == "CertificatePending");
    found.map(|condition| (condition.status, condition.message))
}

/// Waits until the condition is as wanted.
async fn until(
    world: &World,
    tenant: &EnvironmentName,
    wanted: impl Fn(Option<&(bool, String)>) -> bool,
) -> Option<(bool, String)> {
    let began = Instant::now();
    loop {
        let found = pending(world, tenant).await;
        if wanted(found.as_ref()) {
            return found;
        }
        assert!(began.elapsed() < WAIT * 3, "it stays {found:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn until_it_waits(world: &World, tenant: &EnvironmentName) -> String {
    until(world, tenant, |pending| pending.is_some_and(|(holds, _)| *holds)).await.unwrap().1
}

async fn isolation(world: &World, tenant: &EnvironmentName) -> StageRecord {
    let operation = world.store.get(tenant).await.unwrap().operation;
    let stages = world.store.operation(operation).await.unwrap().stages;
    stages.into_iter().find(|record| record.stage == Stage::Isolation).unwrap()
}

async fn pause(world: &World, tenant: &EnvironmentName, paused: bool) {
    let found = world.store.get(tenant).await.unwrap();
    let (placement, spec) = (found.placement.clone(), found.tenant().unwrap().spec.clone());
    let change = Change::Update { spec: TenantSpec { paused, ..spec }, placement };
    world.store.change(tenant, Precondition::None, change, request()).await.unwrap();
    world.wake();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_finds_no_place_for_its_certificate_waits_says_so_and_goes_on_by_itself() {
    let mut world = World::new(false).await;
    let limited = |window: Duration| {
        let [none, two] = [0, 2].map(|max| OrderLimit { max, window });
        let limits = OrderLimits { orders: none, registered_domain: two, same_names: none };
        [(AUTHORITY.to_owned(), limits)].into()
    };
    world.certificate_limits = limited(WINDOW);
    let life = Life::until(None);
    world.start(life.clone(), no_faults());
    let [one, two, three] = ["one", "two", "three"].map(name);
    let began = Instant::now();
    for (tenant, grow) in [(&one, true), (&two, false)] {
        world.create_shared(tenant, Level::Namespace, grow).await;
        world.wait_for(tenant, Some(State::Ready)).await;
        assert_eq!(pending(&world, tenant).await, None);
    }
    // Whoever observes them after a kill takes no second place; who goes gives none back.
    let life = world.start_after(&life, no_faults()).await;
    world.delete(&two).await;
    world.wait_for(&two, None).await;
    // From here on places are taken for as long as it was until now, and a while.
    let window = began.elapsed() + WAIT;
    world.certificate_limits = limited(window);
    world.start_after(&life, no_faults()).await;
    world.create_shared(&three, Level::Namespace, false).await;
    let message = until_it_waits(&world, &three).await;
    for part in [AUTHORITY, "2 for names within example.com", "acme_limits", "by itself"] {
        assert!(message.contains(part), "{part} is not in {message}");
    }
    let host = world.store.get(&three).await.unwrap().tenant().unwrap().host.clone().unwrap();
    assert_eq!(world.cloud.namespaces(&host.uid.to_string()).len(), 1, "it was built before its place");
    let wait = certificate::wait(&isolation(&world, &three).await).unwrap();
    let progress = world.store.get(&three).await.unwrap().status.progress.unwrap();
    assert!(progress.end_time >= wait.until, "{progress:?} {wait:?}");
    // Who is paused waits for nothing; resumed it does.
    pause(&world, &three, true).await;
    until(&world, &three, |pending| pending.is_none()).await;
    pause(&world, &three, false).await;
    until_it_waits(&world, &three).await;
    world.wait_for(&three, Some(State::Ready)).await;
    let built = isolation(&world, &three).await;
    assert!(built.start_time >= wait.until, "the wait counts as work: {built:?}");
    assert!(began.elapsed() >= window, "it did not wait");
    assert_eq!(pending(&world, &three).await, Some((false, String::new())));
    assert_eq!(world.cloud.violations(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_works_for_its_customer_is_kept_apart_also_without_an_issuer() {
    let mut world = World::new(false).await;
    world.resync_interval = Duration::from_millis(300);
    world.start(Life::until(None), no_faults());
    let [one, two] = ["one", "two"].map(name);
    let uid = world.create_shared(&one, Level::Namespace, true).await.uid.to_string();
    world.wait_for(&one, Some(State::Ready)).await;
    let host = world.store.get(&one).await.unwrap().tenant().unwrap().host.clone().unwrap().uid.to_string();
    world.cloud.issues_nothing.store(true, Ordering::SeqCst);
    assert!(world.cloud.remove_namespace(&uid));
    let began = Instant::now();
    while world.cloud.namespaces(&host).is_empty() {
        assert!(began.elapsed() < WINDOW, "nothing keeps it apart");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    loop {
        let status = world.store.get(&one).await.unwrap().status;
        let ready = status.conditions.iter().find(|condition| condition.r#type == "Ready").unwrap();
        if ready.reason == "ResyncFailed" && ready.message.contains("there is no issuer") {
            break;
        }
        assert!(began.elapsed() < WINDOW, "nobody is notified: {ready:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Nothing is made of who is new.
    let new = world.create_shared(&two, Level::Namespace, false).await;
    while world.store.operation(new.id).await.unwrap().stages.iter().all(|stage| stage.failure.is_none()) {
        assert!(began.elapsed() < WINDOW, "it does not fail");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(world.cloud.namespaces(&host), [uid]);
    world.stop().await;
}
