//! Host clusters: what a store promises about room, and about who lives where.

use std::sync::Arc;

use futures::future::join_all;
use landlord_core::{
    Amounts, DesiredState, Environment, EnvironmentName, HostClusterId, HostSelector, Level, Measured, Observation,
    OperationOutcome, Placement, Precondition, Stage, StageRecord, StageState, State, Timestamp,
    fleet::Growth,
    ports::{
        EnvironmentQuery, EventQuery, EventScope, NewHostCluster, NewTenant, OperationQuery, Owners, Release,
        RequestContext, StoreError,
    },
};

use crate::{assert_refused, fixtures::*};

fn id(text: &str) -> HostClusterId {
    text.parse().unwrap()
}

fn host_name(text: &str) -> EnvironmentName {
    id(text).into()
}

fn new_host(text: &str, tenants_max: u32, request: RequestContext) -> NewHostCluster {
    NewHostCluster { id: id(text), spec: host_spec(tenants_max), placement: placement(), request }
}

fn selector(growth: Option<Growth>) -> HostSelector {
    HostSelector {
        provider: "fake".parse().unwrap(),
        credentials: None,
        region: "eu-central-1".into(),
        labels: [("tier".to_owned(), "gold".to_owned())].into(),
        reserve: Amounts::default(),
        growth,
    }
}

fn shared(customer: &str, tenant: &str) -> NewTenant {
    let placement =
        Placement { level: Level::Namespace, credentials: String::new(), account: String::new(), ..placement() };
    NewTenant { placement, hosts: Some(selector(None)), ..new(&name(customer, tenant), once()) }
}

pub async fn host<S: Store>(store: &S, text: &str, tenants_max: u32) -> Environment {
    store.create_host_cluster(new_host(text, tenants_max, once())).await.unwrap().environment.unwrap()
}

async fn lives_in<S: Store>(store: &S, customer: &str, tenant: &str) -> String {
    tenant_of(&store.get(&name(customer, tenant)).await.unwrap()).host.clone().unwrap().id.to_string()
}

pub async fn a_host_cluster_is_work_like_a_tenant_and_no_tenant<S: Store>(store: Arc<S>) {
    let request = keyed("host");
    let first = store.create_host_cluster(new_host("one", 3, request.clone())).await.unwrap();
    let record = first.environment.clone().unwrap();
    assert_eq!(record.name().to_string(), "hostClusters/one");
    assert_eq!(record.host_cluster().unwrap().spec, host_spec(3));
    let again = store.create_host_cluster(new_host("one", 3, request)).await.unwrap();
    assert!(again.replayed);
    assert_eq!(again.operation.id, first.operation.id);
    assert_refused!(store.create_host_cluster(new_host("one", 3, once())).await, StoreError::AlreadyExists(_));

    // Neither lists nor watches of tenants know it; it is requested by its kind and name.
    let all = EnvironmentQuery { limit: 10, ..EnvironmentQuery::default() };
    assert!(store.list(&all).await.unwrap().items.is_empty());
    let hosts = store.list(&EnvironmentQuery { owners: Owners::HostClusters, ..all.clone() }).await.unwrap();
    assert_eq!(hosts.items, std::slice::from_ref(&record));
    let events = EventQuery { limit: 10, ..EventQuery::default() };
    assert!(store.events(&events).await.unwrap().is_empty());
    let hosts = EventQuery { scope: EventScope::HostClusters, ..events.clone() };
    assert_eq!(store.events(&hosts).await.unwrap().len(), 1);
    let own = EventQuery { scope: EventScope::Environment(record.name()), ..events };
    assert_eq!(store.events(&own).await.unwrap().len(), 1);
    let of_host = OperationQuery { name: Some(record.name()), limit: 10, ..OperationQuery::default() };
    assert_eq!(store.operations(&of_host).await.unwrap().items.len(), 1);

    let claim = claim_one(&*store).await;
    let work = store.load(&claim).await.unwrap();
    assert_eq!((work.environment.name(), work.host), (record.name(), None));
}

pub async fn a_host_cluster_and_a_tenant_may_share_an_id<S: Store>(store: Arc<S>) {
    let request = keyed("same");
    store.create_host_cluster(new_host("prod", 3, request.clone())).await.unwrap();
    // Request ids of customers are not those of host clusters.
    let tenant = store.create(new(&name("prod", "prod"), request)).await.unwrap();
    assert!(!tenant.replayed);
    let hosts = EnvironmentQuery { owners: Owners::HostClusters, limit: 10, ..EnvironmentQuery::default() };
    assert_eq!(store.list(&hosts).await.unwrap().items.len(), 1);
}

pub async fn host_clusters_in_pages_each_once<S: Store>(store: Arc<S>) {
    for index in 0..5 {
        host(&*store, &format!("h{index}"), 1).await;
    }
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let query = EnvironmentQuery {
            owners: Owners::HostClusters,
            after: after.clone(),
            limit: 2,
            ..EnvironmentQuery::default()
        };
        let page = store.list(&query).await.unwrap();
        seen.extend(page.items.into_iter().map(|record| record.name().to_string()));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, (0..5).map(|index| format!("hostClusters/h{index}")).collect::<Vec<_>>());
}

pub async fn creates_at_once_never_overfill<S: Store>(store: Arc<S>) {
    host(&*store, "one", 3).await;
    host(&*store, "two", 4).await;
    let names: Vec<String> = (0..40).map(|index| format!("t{index}")).collect();
    let responses = join_all(names.iter().map(|tenant| store.create(shared("acme", tenant)))).await;
    let (placed, refused): (Vec<_>, Vec<_>) = responses.into_iter().partition(Result::is_ok);
    assert_eq!((placed.len(), refused.len()), (7, 33));
    for refusal in refused {
        let error = refusal.unwrap_err();
        assert!(matches!(error, StoreError::NoHostClusterCapacity(_)), "{error:?}");
        let message = error.to_string();
        assert!(message.contains("it is full with") && message.contains("hosts.grow"), "{message}");
    }
    let candidates = store.candidates(None).await.unwrap();
    let held: Vec<(u32, u32)> = candidates.iter().map(|c| (c.tenants, c.tenants_max)).collect();
    assert_eq!(held, [(3, 3), (4, 4)]);
}

pub async fn a_customers_tenants_are_spread_and_take_their_hosts_account<S: Store>(store: Arc<S>) {
    for text in ["one", "two", "three"] {
        host(&*store, text, 10).await;
    }
    let mut places = Vec::new();
    for tenant in ["a", "b", "c"] {
        let accepted = store.create(shared("acme", tenant)).await.unwrap().environment.unwrap();
        assert_eq!(
            (accepted.placement.credentials.as_str(), accepted.placement.account.as_str()),
            ("default", "111122223333")
        );
        places.push(lives_in(&*store, "acme", tenant).await);
    }
    places.sort();
    assert_eq!(places, ["one", "three", "two"]);
    // Another customer's first is not pushed away by them.
    store.create(shared("bolt", "a")).await.unwrap();
    let of = |customer: &str| customer.parse().unwrap();
    let counted = store.candidates(Some(&of("acme"))).await.unwrap();
    assert_eq!(counted.iter().map(|c| c.of_customer).collect::<Vec<_>>(), [1, 1, 1]);
    let inside = EnvironmentQuery {
        owners: Owners::Tenants { customer: None, host_cluster: Some(id("one")) },
        limit: 10,
        ..EnvironmentQuery::default()
    };
    let inside = store.list(&inside).await.unwrap().items;
    assert!(!inside.is_empty() && inside.iter().all(|tenant| tenant_of(tenant).host.as_ref().unwrap().id == id("one")));
}

pub async fn a_cordoned_host_cluster_takes_nobody<S: Store>(store: Arc<S>) {
    let before = host(&*store, "one", 10).await;
    let cordoned = store.cordon(&id("one"), Precondition::of_etag(&before.etag), true, once()).await.unwrap();
    assert!(cordoned.host_cluster().unwrap().spec.cordoned);
    assert_ne!(cordoned.etag, before.etag);
    assert_refused!(
        store.cordon(&id("one"), Precondition::of_etag(&before.etag), false, once()).await,
        StoreError::EtagMismatch { .. }
    );
    assert_refused!(store.create(shared("acme", "prod")).await, StoreError::NoHostClusterCapacity(_));
    assert_eq!(
        store.cordon(&id("one"), Precondition::None, true, once()).await.unwrap().etag,
        cordoned.etag,
        "nothing was changed"
    );
    store.cordon(&id("one"), Precondition::None, false, once()).await.unwrap();
    store.create(shared("acme", "prod")).await.unwrap();
    assert_refused!(store.cordon(&id("none"), Precondition::None, true, once()).await, StoreError::NotFound(_));
}

pub async fn a_host_cluster_in_use_stays<S: Store>(store: Arc<S>) {
    let record = host(&*store, "one", 10).await;
    for index in 0..7 {
        store.create(shared("acme", &format!("t{index}"))).await.unwrap();
    }
    let refused = store.delete(&record.name(), delete()).await;
    assert_refused!(&refused, StoreError::HostInUse { .. });
    let message = refusal(refused);
    assert!(message.contains("customers/acme/tenants/t0, ") && message.contains("and 2 more"), "{message}");
    // A cancelled create would unwind it, which is a removal too.
    assert_refused!(store.cancel(record.operation, once()).await, StoreError::HostInUse { .. });
    let unchanged = store.get(&record.name()).await.unwrap();
    assert_eq!((unchanged.desired_state, unchanged.cancel_requested), (DesiredState::Present, false));
}

pub async fn a_host_cluster_that_is_leaving_takes_nobody<S: Store>(store: Arc<S>) {
    let one = host(&*store, "one", 10).await;
    let two = host(&*store, "two", 10).await;
    store.delete(&one.name(), delete()).await.unwrap();
    store.cancel(two.operation, once()).await.unwrap();
    let refused = store.create(shared("acme", "prod")).await;
    assert_refused!(&refused, StoreError::NoHostClusterCapacity(_));
    assert!(refusal(refused).contains("it is being removed"));
}

pub async fn a_tenant_that_goes_makes_room<S: Store>(store: Arc<S>) {
    host(&*store, "one", 1).await;
    let claim = claim_one(&*store).await;
    store.create(shared("acme", "first")).await.unwrap();
    assert_refused!(store.create(shared("acme", "second")).await, StoreError::NoHostClusterCapacity(_));
    store.delete(&name("acme", "first"), delete()).await.unwrap();
    // Until it is gone its namespace may still be there.
    assert_refused!(store.create(shared("acme", "second")).await, StoreError::NoHostClusterCapacity(_));
    assert_refused!(store.delete(&host_name("one"), delete()).await, StoreError::HostInUse { .. });
    make_gone(&*store).await;
    store.create(shared("acme", "second")).await.unwrap();
    drop(claim);
}

fn growth(host_clusters_max: u32) -> Growth {
    Growth { spec: host_spec(2), placement: placement(), host_clusters_max }
}

pub async fn a_full_fleet_grows_once_for_those_who_wait<S: Store>(store: Arc<S>) {
    let grown = |tenant: &str| NewTenant { hosts: Some(selector(Some(growth(2)))), ..shared("acme", tenant) };
    let names: Vec<String> = (0..6).map(|index| format!("t{index}")).collect();
    let responses = join_all(names.iter().map(|tenant| store.create(grown(tenant)))).await;
    // Two host clusters of two, and not one more.
    assert_eq!(responses.iter().filter(|response| response.is_ok()).count(), 4);
    let candidates = store.candidates(None).await.unwrap();
    assert_eq!(candidates.iter().map(|c| c.tenants).collect::<Vec<_>>(), [2, 2]);
    for candidate in &candidates {
        assert!(candidate.host.id.as_str().starts_with("standard-"), "{}", candidate.host.id);
        let record = store.get(&candidate.host.id.clone().into()).await.unwrap();
        assert_eq!((record.uid, record.status.state), (candidate.host.uid, State::Pending));
        let operation = store.operation(record.operation).await.unwrap();
        assert_eq!(operation.outcome, None);
    }
    let refused = responses.into_iter().find_map(Result::err).unwrap().to_string();
    assert!(refused.contains("2 host clusters at most"), "{refused}");
}

pub async fn a_tenants_work_shows_its_host_cluster<S: Store>(store: Arc<S>) {
    let record = host(&*store, "one", 10).await;
    let host_claim = claim_one(&*store).await;
    let tenant = store.create(shared("acme", "prod")).await.unwrap().environment.unwrap();
    let claim = claim_one(&*store).await;
    let seen = store.load(&claim).await.unwrap().host.unwrap();
    assert_eq!((seen.host.uid, seen.usable, seen.cluster.len()), (record.uid, false, 0));

    let work = store.load(&host_claim).await.unwrap();
    let mut commit = settle(&work, State::Ready, OperationOutcome::Ready);
    commit.stages = vec![self::record(Stage::Cluster, DesiredState::Present, StageState::Done)];
    store.commit(&host_claim, commit).await.unwrap();
    let seen = store.load(&claim).await.unwrap().host.unwrap();
    assert_eq!((seen.usable, seen.state, seen.cluster), (true, State::Ready, vec![8, 1]));
    assert_eq!(store.host_of(&tenant).await.unwrap().unwrap().host.uid, record.uid);
    let itself = store.host_of(&store.get(&record.name()).await.unwrap()).await.unwrap().unwrap();
    assert_eq!(itself.host.uid, record.uid);
    let own = created(&*store, "acme", "own").await.environment.unwrap();
    assert_eq!(store.host_of(&own).await.unwrap(), None);
}

fn amounts(cpu_milli: u64, memory_mib: u64, pods: u64) -> Amounts {
    Amounts { cpu_milli, memory_mib, pods }
}

/// What every tenant of these checks is promised.
const PROMISE: Amounts = Amounts { cpu_milli: 2_000, memory_mib: 1_024, pods: 10 };

fn promised(customer: &str, tenant: &str) -> NewTenant {
    NewTenant { hosts: Some(HostSelector { reserve: PROMISE, ..selector(None) }), ..shared(customer, tenant) }
}

/// Makes the one host cluster that is due READY and seen with so much.
async fn counted<S: Store>(store: &S, allocatable: Amounts) {
    let claim = claim_one(store).await;
    let work = store.load(&claim).await.unwrap();
    let mut commit = settle(&work, State::Ready, OperationOutcome::Ready);
    let measured = Measured { nodes: 1, allocatable, ..Measured::default() };
    let status = serde_json::to_vec(&Observation { time: work.now, measured }).unwrap();
    let poll_time = work.now.after(HOUR);
    let record = record(Stage::Capacity, DesiredState::Present, StageState::Done);
    commit.stages = vec![StageRecord { status, poll_time, ..record }];
    commit.release = Release::After(HOUR);
    store.commit(&claim, commit).await.unwrap();
}

pub async fn what_is_promised_is_gone_until_the_record_is<S: Store>(store: Arc<S>) {
    host(&*store, "one", 10).await;
    // Nothing was counted yet, so only tenants are: this is promised too.
    let early = store.create(promised("acme", "early")).await;
    assert!(early.is_ok(), "{early:?}");
    let before = store.candidates(None).await.unwrap().remove(0);
    assert_eq!((before.observation, before.reserved), (None, PROMISE));
    store.delete(&name("acme", "early"), delete()).await.unwrap();
    // Deletes go first.
    let claims = store.claim("a", 1, LEASE).await.unwrap();
    let work = store.load(&claims[0]).await.unwrap();
    let mut commit = settle(&work, State::Deleting, OperationOutcome::Deleted { removed: Vec::new() });
    commit.remove = true;
    store.commit(&claims[0], commit).await.unwrap();

    counted(&*store, amounts(5_000, 8_192, 100)).await;
    store.create(promised("acme", "a")).await.unwrap();
    store.create(promised("bolt", "b")).await.unwrap();
    let seen = store.candidates(None).await.unwrap().remove(0);
    assert_eq!(seen.reserved, PROMISE.plus(PROMISE));
    assert_eq!(seen.observation.unwrap().measured.allocatable, amounts(5_000, 8_192, 100));
    let refused = store.create(promised("acme", "c")).await;
    assert_refused!(&refused, StoreError::NoHostClusterCapacity(_));
    let message = refusal(refused);
    assert!(message.contains("one: 2000 millicores are needed and 1000 of 5000 free"), "{message}");
    // One that brings its own nodes fits.
    store.create(NewTenant { hosts: Some(selector(None)), ..shared("acme", "pool") }).await.unwrap();
    // What is being removed may still be there.
    store.delete(&name("acme", "a"), delete()).await.unwrap();
    assert_refused!(store.create(promised("acme", "c")).await, StoreError::NoHostClusterCapacity(_));
    let claims = store.claim("a", 1, LEASE).await.unwrap();
    let work = store.load(&claims[0]).await.unwrap();
    assert_eq!(work.environment.name(), name("acme", "a"));
    let mut commit = settle(&work, State::Deleting, OperationOutcome::Deleted { removed: Vec::new() });
    commit.remove = true;
    store.commit(&claims[0], commit).await.unwrap();
    store.create(promised("acme", "c")).await.unwrap();
}

pub async fn creates_at_once_never_promise_what_is_not_there<S: Store>(store: Arc<S>) {
    host(&*store, "one", 100).await;
    counted(&*store, amounts(9_000, 8_192, 100)).await;
    let names: Vec<String> = (0..20).map(|index| format!("t{index}")).collect();
    let responses = join_all(names.iter().map(|tenant| store.create(promised("acme", tenant)))).await;
    assert_eq!(responses.iter().filter(|response| response.is_ok()).count(), 4);
    assert_eq!(store.candidates(None).await.unwrap().remove(0).reserved, amounts(8_000, 4_096, 40));
}

pub async fn a_placement_has_the_host_cluster_inspected<S: Store>(store: Arc<S>) {
    let record = host(&*store, "one", 100).await;
    counted(&*store, amounts(9_000, 8_192, 100)).await;
    let due = store.next_due("a").await.unwrap().unwrap();
    assert!(due > HOUR / 2, "{due:?}");
    store.create(promised("acme", "a")).await.unwrap();
    claim_one(&*store).await;
    // Only the host cluster is left, and not for long.
    let due = store.next_due("a").await.unwrap().unwrap();
    assert!(due < HOUR / 60, "{due:?}");
    // Its other stages and its version are as they were.
    let after = store.get(&record.name()).await.unwrap();
    assert_eq!(after.status.state, State::Ready);
    let seen = store.candidates(None).await.unwrap().remove(0).observation.unwrap();
    assert!(seen.time > Timestamp(0));
}
