//! Lists, operations and events as clients read them.

use std::{sync::Arc, time::Duration};

use futures::FutureExt as _;
use landlord_core::{
    DesiredState, OperationId, OperationOutcome, Stage, StageState, State,
    ports::{Commit, EnvironmentQuery, EventKind, EventQuery, EventScope, OperationQuery, Owners, StoreError},
};

use crate::{assert_refused, fixtures::*};

pub async fn tenants_in_pages_each_once<S: Store>(store: Arc<S>) {
    // Not in the order of the names; a customer whose id begins with another's.
    for (customer, tenant) in [("b", "x"), ("a", "y"), ("a-b", "x"), ("a", "x"), ("c", "a")] {
        created(&*store, customer, tenant).await;
    }
    let mut query = EnvironmentQuery { limit: 2, ..EnvironmentQuery::default() };
    let (mut names, mut pages) = (Vec::new(), 0);
    loop {
        let page = store.list(&query).await.unwrap();
        pages += 1;
        assert!(page.items.len() <= 2);
        names.extend(page.items.iter().map(|tenant| tenant.name().to_string()));
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    let expected = ["a/tenants/x", "a/tenants/y", "a-b/tenants/x", "b/tenants/x", "c/tenants/a"];
    assert_eq!(names, expected.map(|name| format!("customers/{name}")));
    assert_eq!(pages, 3);
    // A page that ends exactly with the last item has no next.
    query.limit = 5;
    assert_eq!(store.list(&query).await.unwrap().next, None);
}

/// Of a customer's tenants.
fn of(customer: &str) -> Owners {
    Owners::Tenants { customer: Some(customer.parse().unwrap()), host_cluster: None }
}

pub async fn tenants_by_filter<S: Store>(store: Arc<S>) {
    created(&*store, "acme", "ready").await;
    make_ready(&*store).await;
    created(&*store, "acme", "waiting").await;
    let mut order = new(&name("bolt", "other"), once());
    order.placement.class = "small".parse().unwrap();
    order.placement.provider = "cheap".parse().unwrap();
    store.create(order).await.unwrap();
    let all = || EnvironmentQuery { limit: 10, ..EnvironmentQuery::default() };
    let cases = [
        (all(), "other ready waiting"),
        (EnvironmentQuery { owners: of("acme"), ..all() }, "ready waiting"),
        (EnvironmentQuery { owners: of("nobody"), ..all() }, ""),
        (EnvironmentQuery { states: vec![State::Ready], ..all() }, "ready"),
        (EnvironmentQuery { states: vec![State::Failed, State::Pending], ..all() }, "other waiting"),
        (EnvironmentQuery { provider: Some("cheap".parse().unwrap()), ..all() }, "other"),
        (EnvironmentQuery { class: Some("standard".parse().unwrap()), ..all() }, "ready waiting"),
        (
            EnvironmentQuery {
                class: Some("standard".parse().unwrap()),
                states: vec![State::Ready],
                owners: of("bolt"),
                ..all()
            },
            "",
        ),
    ];
    for (query, expected) in cases {
        let page = store.list(&query).await.unwrap();
        let mut names: Vec<String> = page.items.iter().map(|t| t.name().id().to_owned()).collect();
        names.sort_unstable();
        assert_eq!(names.join(" "), expected, "{query:?}");
    }
}

pub async fn operations_in_pages_newest_first<S: Store>(store: Arc<S>) {
    let mut made = Vec::new();
    for tenant in ["one", "two", "three", "four", "five"] {
        made.insert(0, created(&*store, "acme", tenant).await.operation.id);
    }
    let mut query = OperationQuery { limit: 2, ..OperationQuery::default() };
    let mut seen: Vec<OperationId> = Vec::new();
    loop {
        let page = store.operations(&query).await.unwrap();
        seen.extend(page.items.iter().map(|operation| operation.id));
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    assert_eq!(seen, made);
}

pub async fn operations_by_filter<S: Store>(store: Arc<S>) {
    let first = created(&*store, "acme", "one").await.operation.id;
    make_ready(&*store).await;
    let second = created(&*store, "acme", "two").await.operation.id;
    let third = store.delete(&name("acme", "one"), delete()).await.unwrap().operation.id;
    let all = || OperationQuery { limit: 10, ..OperationQuery::default() };
    let one = Some(name("acme", "one"));
    let cases = [
        (all(), vec![third, second, first]),
        (OperationQuery { done: Some(true), ..all() }, vec![first]),
        (OperationQuery { done: Some(false), ..all() }, vec![third, second]),
        (OperationQuery { name: one.clone(), ..all() }, vec![third, first]),
        (OperationQuery { name: one, done: Some(false), ..all() }, vec![third]),
        (OperationQuery { name: Some(name("bolt", "one")), ..all() }, vec![]),
    ];
    for (query, expected) in cases {
        let page = store.operations(&query).await.unwrap();
        let ids: Vec<_> = page.items.iter().map(|operation| operation.id).collect();
        assert_eq!(ids, expected, "{query:?}");
    }
}

pub async fn foreign_page_tokens_are_refused<S: Store>(store: Arc<S>) {
    for token in ["", "nonsense", "customers/A/tenants/b", "' OR 1 = 1 --"] {
        let after = Some(token.to_owned());
        let query = EnvironmentQuery { after: after.clone(), limit: 1, ..EnvironmentQuery::default() };
        assert_refused!(store.list(&query).await, StoreError::InvalidArgument(_));
        let query = OperationQuery { after, limit: 1, ..OperationQuery::default() };
        assert_refused!(store.operations(&query).await, StoreError::InvalidArgument(_));
    }
}

pub async fn an_operation_shows_live_stages_then_those_at_its_end<S: Store>(store: Arc<S>) {
    let made = created(&*store, "acme", "prod").await.operation.id;
    let claim = claim_one(&*store).await;
    let running = record(Stage::Network, DesiredState::Present, StageState::Running);
    let begun = Commit { stages: vec![running.clone()], ..Commit::default() };
    store.commit(&claim, begun).await.unwrap();
    assert_eq!(store.operation(made).await.unwrap().stages, [running]);

    let work = store.load(&claim).await.unwrap();
    let mut end = settle(&work, State::Ready, OperationOutcome::Ready);
    end.stages = vec![record(Stage::Network, DesiredState::Present, StageState::Done)];
    store.commit(&claim, end).await.unwrap();
    let deleted = store.delete(&name("acme", "prod"), delete()).await.unwrap().operation.id;
    let claim = claim_one(&*store).await;
    let absent = record(Stage::Network, DesiredState::Absent, StageState::Running);
    let begun = Commit { stages: vec![absent.clone()], ..Commit::default() };
    store.commit(&claim, begun).await.unwrap();

    let ended = store.operation(made).await.unwrap();
    assert_eq!((ended.outcome, ended.stages.len()), (Some(OperationOutcome::Ready), 1));
    assert_eq!(ended.stages[0].state, StageState::Done);
    assert!(ended.end_time.is_some());
    assert_eq!(store.operation(deleted).await.unwrap().stages, [absent]);
}

pub async fn events_resume_without_gap_or_repeat<S: Store>(store: Arc<S>) {
    created(&*store, "acme", "prod").await;
    let claim = claim_one(&*store).await;
    for round in 0..5 {
        let events =
            vec![event(EventKind::Stage, &format!("First{round}")), event(EventKind::Stage, &format!("Second{round}"))];
        store.commit(&claim, Commit { events, ..Commit::default() }).await.unwrap();
    }
    let all = store.events(&EventQuery { limit: 100, ..EventQuery::default() }).await.unwrap();
    assert_eq!(all.len(), 11);
    assert!(all.is_sorted_by(|a, b| a.seq < b.seq));
    let mut resumed = Vec::new();
    let mut query = EventQuery { limit: 3, ..EventQuery::default() };
    loop {
        let some = store.events(&query).await.unwrap();
        let Some(last) = some.last() else { break };
        query.after_seq = last.seq;
        resumed.extend(some);
    }
    assert_eq!(resumed, all);
    assert_eq!(store.newest_event().await.unwrap(), query.after_seq);
}

pub async fn events_by_customer_and_tenant<S: Store>(store: Arc<S>) {
    for (customer, tenant) in [("acme", "one"), ("acme", "two"), ("bolt", "one")] {
        created(&*store, customer, tenant).await;
    }
    store.delete(&name("acme", "one"), delete()).await.unwrap();
    let all = || EventQuery { limit: 10, ..EventQuery::default() };
    let acme = "acme".parse().unwrap();
    let cases = [
        (all(), 4),
        (EventQuery { scope: EventScope::Customer(acme), ..all() }, 3),
        (EventQuery { scope: EventScope::Environment(name("acme", "one")), ..all() }, 2),
        (EventQuery { scope: EventScope::Environment(name("acme", "two")), ..all() }, 1),
        (EventQuery { scope: EventScope::Environment(name("bolt", "two")), ..all() }, 0),
    ];
    for (query, expected) in cases {
        assert_eq!(store.events(&query).await.unwrap().len(), expected, "{query:?}");
    }
}

pub async fn who_waits_for_events_is_notified_of_its_own<S: Store>(store: Arc<S>) {
    created(&*store, "acme", "prod").await;
    let after_seq = store.newest_event().await.unwrap();
    let of = |customer: &str| EventQuery {
        scope: EventScope::Customer(customer.parse().unwrap()),
        after_seq,
        ..EventQuery::default()
    };
    let (acme, all) = (of("acme"), EventQuery { after_seq, ..EventQuery::default() });
    let mut waits_for_acme = std::pin::pin!(store.wait_for_event(&acme));
    assert!((&mut waits_for_acme).now_or_never().is_none());
    created(&*store, "bolt", "prod").await;
    assert!(store.wait_for_event(&all).await > after_seq);
    assert!((&mut waits_for_acme).now_or_never().is_none(), "another customer's event woke it");
    created(&*store, "acme", "test").await;
    let position = tokio::time::timeout(HOUR, waits_for_acme).await.unwrap();
    assert!(position > after_seq);
    // What is there already is not waited for.
    let earlier = EventQuery { after_seq: 0, ..of("acme") };
    tokio::time::timeout(HOUR, store.wait_for_event(&earlier)).await.unwrap();
}

pub async fn readers_that_stop_reading_hold_up_nobody<S: Store>(store: Arc<S>) {
    created(&*store, "acme", "prod").await;
    let query = EventQuery { limit: 10, ..EventQuery::default() };
    // As a stream to a client that takes nothing more: begun, and never polled again.
    let mut stuck: Vec<_> = (0..50).map(|_| Box::pin(store.events(&query))).collect();
    for read in &mut stuck {
        let _ = read.as_mut().now_or_never();
    }
    let all = EnvironmentQuery { limit: 10, ..EnvironmentQuery::default() };
    let get = store.list(&all);
    let soon = Duration::from_secs(20);
    assert_eq!(tokio::time::timeout(soon, get).await.unwrap().unwrap().items.len(), 1);
    tokio::time::timeout(soon, claim_one(&*store)).await.unwrap();
}
