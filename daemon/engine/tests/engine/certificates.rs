//! Tenants whose certificates an authority gives no more of for now: they wait and say why, go on by themselves, and no kill of a daemon
//! costs a place.

use std::time::{Duration, Instant};

use landlord_core::{
    EnvironmentName, Level, State,
    certificate::{OrderLimit, OrderLimits},
    ports::TenantStore as _,
};

use crate::{
    isolated::AUTHORITY,
    name, no_faults,
    world::{Life, World},
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

async fn until_it_waits(world: &World, tenant: &EnvironmentName) -> String {
    let began = Instant::now();
    loop {
        if let Some((true, message)) = pending(world, tenant).await {
            return message;
        }
        assert!(began.elapsed() < WAIT * 3, "it does not wait");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
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
    world.wait_for(&three, Some(State::Ready)).await;
    assert!(began.elapsed() >= window, "it did not wait");
    assert_eq!(pending(&world, &three).await, Some((false, String::new())));
    assert_eq!(world.cloud.violations(), Vec::<String>::new());
}
