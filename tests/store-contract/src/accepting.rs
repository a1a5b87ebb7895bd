//! Creates and updates: what acceptance promises.

use std::{collections::BTreeSet, sync::Arc};

use futures::future::join_all;
use landlord_core::{
    OperationKind, OperationOutcome, Precondition, State,
    environment::Endpoint,
    ports::{
        Commit, DeleteRequest, EnvironmentPatch, EnvironmentQuery, EventQuery, OperationQuery, RequestScope, StoreError,
    },
};

use crate::{assert_refused, fixtures::*};

pub async fn a_create_is_pending_with_operation_and_event<S: Store>(store: Arc<S>) {
    let acme = name("acme", "prod");
    let accepted = store.create(new(&acme, once())).await.unwrap();
    let tenant = store.get(&acme).await.unwrap();
    assert_eq!(accepted.environment.as_ref(), Some(&tenant));
    assert_eq!((tenant.status.state, tenant.generation), (State::Pending, 1));
    assert_eq!((&tenant_of(&tenant).spec, &tenant.placement), (&spec(), &placement()));
    assert_eq!(tenant.operation, accepted.operation.id);
    assert_eq!(accepted.operation.kind, OperationKind::Create);
    assert_eq!(accepted.operation.outcome, None);
    assert!(!accepted.replayed);
    assert_eq!(store.operation(tenant.operation).await.unwrap(), accepted.operation);
    let events = store.events(&EventQuery { limit: 10, ..EventQuery::default() }).await.unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!((events[0].uid, &events[0].name), (tenant.uid, &acme));
    assert_eq!(events[0].event.reason, "CreateAccepted");
    assert_eq!(store.newest_event().await.unwrap(), events[0].seq);
}

pub async fn a_replay_returns_what_the_first_made<S: Store>(store: Arc<S>) {
    let (acme, request) = (name("acme", "prod"), keyed("same"));
    assert!(store.replayed(&(&acme).into(), &request.key).await.unwrap().is_none());
    let first = store.create(new(&acme, request.clone())).await.unwrap();
    let events = store.newest_event().await.unwrap();
    let again = store.create(new(&acme, request.clone())).await.unwrap();
    assert!(again.replayed && !first.replayed);
    assert_eq!((again.operation, again.environment), (first.operation.clone(), first.environment));
    let replayed = store.replayed(&(&acme).into(), &request.key).await.unwrap().unwrap();
    assert_eq!(replayed.operation, first.operation);
    assert_eq!(store.newest_event().await.unwrap(), events);

    let request = keyed("update");
    let first = store.change(&acme, Precondition::None, update(larger()), request.clone()).await.unwrap();
    let again = store.change(&acme, Precondition::None, update(larger()), request).await.unwrap();
    assert!(again.replayed);
    assert_eq!(again.operation.id, first.operation.id);
    assert_eq!(store.get(&acme).await.unwrap().generation, 2);
}

pub async fn a_request_id_belongs_to_one_request_of_one_customer<S: Store>(store: Arc<S>) {
    let request = keyed("one");
    store.create(new(&name("acme", "prod"), request.clone())).await.unwrap();
    let mut other = request.clone();
    other.key.request_hash = "another".into();
    let refused = store.create(new(&name("acme", "test"), other.clone())).await;
    assert_refused!(refused, StoreError::RequestIdReused(_));
    let refused = store.change(&name("acme", "prod"), Precondition::None, update(larger()), other.clone()).await;
    assert_refused!(refused, StoreError::RequestIdReused(_));
    assert_refused!(
        store.replayed(&RequestScope::Customer("acme".parse().unwrap()), &other.key).await,
        StoreError::RequestIdReused(_)
    );
    assert_refused!(store.get(&name("acme", "test")).await, StoreError::NotFound(_));
    let foreign = store.create(new(&name("bolt", "prod"), request)).await.unwrap();
    assert!(!foreign.replayed);
}

pub async fn fifty_at_once_make_one_tenant<S: Store>(store: Arc<S>) {
    let (acme, request) = (name("acme", "prod"), keyed("same"));
    let calls = (0..50).map(|_| store.create(new(&acme, request.clone())));
    let responses: Vec<_> = join_all(calls).await.into_iter().map(Result::unwrap).collect();
    let operations: BTreeSet<_> = responses.iter().map(|response| response.operation.id).collect();
    assert_eq!(operations.len(), 1);
    assert_eq!(responses.iter().filter(|response| !response.replayed).count(), 1);
    let all = EnvironmentQuery { limit: 100, ..EnvironmentQuery::default() };
    assert_eq!(store.list(&all).await.unwrap().items.len(), 1);
    let all = OperationQuery { limit: 100, ..OperationQuery::default() };
    assert_eq!(store.operations(&all).await.unwrap().items.len(), 1);
}

pub async fn a_taken_name_is_refused<S: Store>(store: Arc<S>) {
    created(&*store, "acme", "prod").await;
    let refused = store.create(new(&name("acme", "prod"), keyed("new"))).await;
    assert_refused!(&refused, StoreError::AlreadyExists(_));
    assert_eq!(refusal(refused), "customers/acme/tenants/prod exists already");
}

pub async fn a_removed_name_can_be_used_again<S: Store>(store: Arc<S>) {
    let (acme, request) = (name("acme", "prod"), keyed("first"));
    let first = store.create(new(&acme, request.clone())).await.unwrap();
    let deleted = store.delete(&acme, delete()).await.unwrap();
    make_gone(&*store).await;
    assert_refused!(store.get(&acme).await, StoreError::NotFound(_));
    let second = created(&*store, "acme", "prod").await;
    let uid = |tenant: Option<landlord_core::Environment>| tenant.unwrap().uid;
    assert_ne!(uid(first.environment), uid(second.environment));
    // The first life is over, and still replays its own.
    let replay = store.create(new(&acme, request)).await.unwrap();
    assert!(replay.replayed && replay.environment.is_none());
    assert_eq!(replay.operation.id, first.operation.id);
    let ended = store.operation(deleted.operation.id).await.unwrap();
    assert_eq!(ended.outcome, Some(OperationOutcome::Deleted { removed: Vec::new() }));
}

pub async fn an_update_raises_the_generation_and_supersedes<S: Store>(store: Arc<S>) {
    let first = created(&*store, "acme", "prod").await;
    let acme = name("acme", "prod");
    let etag = first.environment.unwrap().etag;
    let changed = store.change(&acme, Precondition::of_etag(&etag), update(larger()), once()).await.unwrap();
    let tenant = changed.environment.unwrap();
    assert_eq!((tenant.generation, &tenant_of(&tenant).spec), (2, &larger()));
    assert_eq!(tenant.status.state, State::Provisioning);
    assert_ne!(tenant.etag, etag);
    assert_eq!(changed.operation.outcome, None);
    assert_eq!((changed.operation.kind, changed.operation.generation), (OperationKind::Update, 2));
    let earlier = store.operation(first.operation.id).await.unwrap();
    let by = changed.operation.id;
    assert_eq!(earlier.outcome, Some(OperationOutcome::Superseded { by }));
    make_ready(&*store).await;
    let again = landlord_core::TenantSpec { storage: 30.try_into().unwrap(), ..larger() };
    let changed = store.change(&acme, Precondition::None, update(again), once()).await.unwrap();
    assert_eq!(changed.environment.unwrap().status.state, State::Updating);
}

pub async fn an_update_of_the_record_only_ends_at_once<S: Store>(store: Arc<S>) {
    created(&*store, "acme", "prod").await;
    make_ready(&*store).await;
    let renamed = landlord_core::TenantSpec { display_name: "Acme Ltd".into(), ..spec() };
    let acme = name("acme", "prod");
    let changed = store.change(&acme, Precondition::None, update(renamed.clone()), once()).await.unwrap();
    assert_eq!(changed.operation.outcome, Some(OperationOutcome::Ready));
    let tenant = changed.environment.unwrap();
    assert_eq!((tenant.generation, tenant.status.state), (1, State::Ready));
    assert_eq!(tenant_of(&tenant).spec, renamed);
    assert_eq!(store.claim("a", 10, LEASE).await.unwrap(), []);
}

pub async fn pausing_what_is_ready_leaves_it_ready<S: Store>(store: Arc<S>) {
    created(&*store, "acme", "prod").await;
    make_ready(&*store).await;
    let paused = landlord_core::TenantSpec { paused: true, ..spec() };
    let changed = store.change(&name("acme", "prod"), Precondition::None, update(paused), once()).await.unwrap();
    assert_eq!(changed.operation.outcome, Some(OperationOutcome::Ready));
    assert_eq!(changed.environment.unwrap().status.state, State::Ready);
    // The engine shall see it, though there is nothing to build.
    claim_one(&*store).await;
}

pub async fn pausing_and_going_on_take_over_what_is_unfinished<S: Store>(store: Arc<S>) {
    let create = created(&*store, "acme", "prod").await.operation.id;
    let acme = name("acme", "prod");
    let paused = landlord_core::TenantSpec { paused: true, ..spec() };
    let pause = store.change(&acme, Precondition::None, update(paused), once()).await.unwrap().operation;
    let ended = store.operation(create).await.unwrap().outcome;
    assert_eq!((ended, &pause.outcome), (Some(OperationOutcome::Superseded { by: pause.id }), &None));
    let resume = store.change(&acme, Precondition::None, update(spec()), once()).await.unwrap();
    let ended = store.operation(pause.id).await.unwrap().outcome;
    assert_eq!(ended, Some(OperationOutcome::Superseded { by: resume.operation.id }));
    // Whoever waits for it waits for READY.
    assert_eq!(resume.operation.outcome, None);
    let tenant = resume.environment.unwrap();
    assert_eq!((tenant.generation, tenant.status.state, tenant.operation), (1, State::Pending, resume.operation.id));
    make_ready(&*store).await;
    assert_eq!(store.operation(resume.operation.id).await.unwrap().outcome, Some(OperationOutcome::Ready));
}

pub async fn an_update_of_the_record_supersedes_nothing<S: Store>(store: Arc<S>) {
    let create = created(&*store, "acme", "prod").await.operation.id;
    let acme = name("acme", "prod");
    let claim = claim_one(&*store).await;
    let renamed = landlord_core::TenantSpec { display_name: "Acme Ltd".into(), ..spec() };
    let changed = store.change(&acme, Precondition::None, update(renamed.clone()), once()).await.unwrap();
    assert_eq!(changed.operation.outcome, Some(OperationOutcome::Ready));
    let tenant = changed.environment.unwrap();
    assert_eq!((tenant.operation, &tenant_of(&tenant).spec), (create, &renamed));
    assert_eq!(store.operation(create).await.unwrap().outcome, None);
    // The engine's work goes on, and its create ends with it.
    let work = store.load(&claim).await.unwrap();
    assert_eq!((work.operation_kind, work.operation_done), (OperationKind::Create, false));
    store
        .commit(
            &claim,
            landlord_core::ports::Commit {
                release: landlord_core::ports::Release::After(std::time::Duration::ZERO),
                ..Default::default()
            },
        )
        .await
        .unwrap();
    make_ready(&*store).await;
    assert_eq!(store.operation(create).await.unwrap().outcome, Some(OperationOutcome::Ready));
    let tenant = store.get(&acme).await.unwrap();
    assert_eq!((tenant_of(&tenant).spec.clone(), tenant.status.state), (renamed, State::Ready));
}

pub async fn an_update_of_the_record_keeps_the_offer<S: Store>(store: Arc<S>) {
    created(&*store, "acme", "prod").await;
    let acme = name("acme", "prod");
    let placement = landlord_core::Placement { machine_type: "m7i.large".into(), ..placement() };
    let renamed = landlord_core::TenantSpec { display_name: "Acme Ltd".into(), ..spec() };
    let change = landlord_core::ports::Change::Update { spec: renamed, placement: placement.clone() };
    store.change(&acme, Precondition::None, change, once()).await.unwrap();
    assert_eq!(store.get(&acme).await.unwrap().placement.machine_type, "m6i.large");
    let change = landlord_core::ports::Change::Update { spec: larger(), placement };
    store.change(&acme, Precondition::None, change, once()).await.unwrap();
    assert_eq!(store.get(&acme).await.unwrap().placement.machine_type, "m7i.large");
}

pub async fn an_old_etag_changes_nothing<S: Store>(store: Arc<S>) {
    let etag = created(&*store, "acme", "prod").await.environment.unwrap().etag;
    let acme = name("acme", "prod");
    store.change(&acme, Precondition::of_etag(&etag), update(larger()), once()).await.unwrap();
    let before = store.get(&acme).await.unwrap();
    let refused = store.change(&acme, Precondition::of_etag(&etag), update(spec()), once()).await;
    assert_refused!(refused, StoreError::EtagMismatch { .. });
    let mut request = delete();
    request.precondition = Precondition::Etag(etag);
    assert_refused!(store.delete(&acme, request).await, StoreError::EtagMismatch { .. });
    assert_eq!(store.get(&acme).await.unwrap(), before);
}

pub async fn what_the_engine_records_is_no_other_order<S: Store>(store: Arc<S>) {
    created(&*store, "acme", "prod").await;
    let acme = name("acme", "prod");
    let read = store.get(&acme).await.unwrap();
    let claim = claim_one(&*store).await;
    let mut status = store.load(&claim).await.unwrap().environment.status;
    let (name, url) = ("chat".into(), "https://chat.acme.example.com".into());
    status.endpoints.push(Endpoint { name, url, ..Endpoint::default() });
    let patch = EnvironmentPatch { status: Some(status), ..EnvironmentPatch::default() };
    store.commit(&claim, Commit { environment: patch, ..Commit::default() }).await.unwrap();
    assert_ne!(store.get(&acme).await.unwrap().etag, read.etag);
    // What was merged into the earlier record is right in this one too, and what was ordered since is not overwritten.
    let merged = || store.change(&acme, Precondition::same_order(&read), update(larger()), once());
    merged().await.unwrap();
    let before = store.get(&acme).await.unwrap();
    assert_refused!(merged().await, StoreError::EtagMismatch { .. });
    let stale = DeleteRequest { precondition: Precondition::same_order(&read), ..delete() };
    assert_refused!(store.delete(&acme, stale).await, StoreError::EtagMismatch { .. });
    assert_eq!(store.get(&acme).await.unwrap(), before);
}

pub async fn updates_at_once_with_one_etag_let_one_through<S: Store>(store: Arc<S>) {
    let etag = created(&*store, "acme", "prod").await.environment.unwrap().etag;
    let acme = name("acme", "prod");
    let calls = (0..20).map(|_| store.change(&acme, Precondition::of_etag(&etag), update(larger()), once()));
    let responses = join_all(calls).await;
    assert_eq!(responses.iter().filter(|response| response.is_ok()).count(), 1);
    assert_eq!(store.get(&acme).await.unwrap().generation, 2);
}
