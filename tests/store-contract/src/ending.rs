//! Retry, delete, cancel: the ways out of every state.

use std::{sync::Arc, time::Duration};

use landlord_core::{
    DesiredState, OperationId, OperationKind, OperationOutcome, Precondition, Stage, StageState, State, TenantSpec,
    ports::{Change, Commit, EnvironmentPatch, Release, StoreError},
};
use uuid::Uuid;

use crate::{assert_refused, fixtures::*};

pub async fn a_retry_needs_a_failed_tenant<S: Store>(store: Arc<S>) {
    created(&*store, "acme", "prod").await;
    let refused = store.change(&name("acme", "prod"), Precondition::None, Change::Retry, once()).await;
    assert_refused!(&refused, StoreError::FailedPrecondition(_));
    assert!(refusal(refused).contains("is PENDING, not FAILED"));
}

pub async fn a_retry_starts_failed_stages_again<S: Store>(store: Arc<S>) {
    created(&*store, "acme", "prod").await;
    make_failed(&*store, Stage::Network).await;
    let acme = name("acme", "prod");
    assert_eq!(store.claim("a", 10, LEASE).await.unwrap(), []);
    let retried = store.change(&acme, Precondition::None, Change::Retry, once()).await.unwrap();
    assert_eq!(retried.operation.kind, OperationKind::Retry);
    let tenant = retried.environment.unwrap();
    assert_eq!((tenant.status.state, tenant.generation), (State::Provisioning, 1));
    let claim = claim_one(&*store).await;
    let work = store.load(&claim).await.unwrap();
    let stage = &work.stages[0];
    assert_eq!((stage.state, stage.failures, stage.failing_since), (StageState::Running, 0, None));
    assert_eq!((stage.attempt, stage.end_time), (2, None));
    assert!(stage.poll_time <= work.now);
    assert_eq!(stage.checkpoint, record(Stage::Network, DesiredState::Present, StageState::Failed).checkpoint);
    assert_eq!((work.operation_kind, work.operation_done), (OperationKind::Retry, false));
}

pub async fn a_retry_of_a_failed_unwinding_shows_the_removal<S: Store>(store: Arc<S>) {
    let made = created(&*store, "acme", "prod").await;
    store.cancel(made.operation.id, once()).await.unwrap();
    unwind(&*store).await;
    make_failed(&*store, Stage::Network).await;
    let retried = store.change(&name("acme", "prod"), Precondition::None, Change::Retry, once()).await.unwrap();
    assert_eq!(retried.environment.unwrap().status.state, State::Deleting);
    let operation = store.operation(retried.operation.id).await.unwrap();
    assert_eq!(operation.stages.len(), 1);
    assert_eq!(operation.stages[0].desired_state, DesiredState::Absent);
    let refused = store.cancel(operation.id, once()).await;
    assert_refused!(refused, StoreError::FailedPrecondition(_));
}

/// Turns the one due tenant towards absence, as the engine does with a cancelled create.
async fn unwind<S: Store>(store: &S) {
    let claim = claim_one(store).await;
    let turn = EnvironmentPatch { desired_state: Some(DesiredState::Absent), ..EnvironmentPatch::default() };
    let commit = Commit { environment: turn, release: Release::After(Duration::ZERO), ..Commit::default() };
    store.commit(&claim, commit).await.unwrap();
}

fn protected() -> TenantSpec {
    TenantSpec { deletion_protection: true, ..spec() }
}

pub async fn protection_holds_against_force<S: Store>(store: Arc<S>) {
    let acme = name("acme", "prod");
    let mut order = new(&acme, once());
    order.spec = protected();
    store.create(order).await.unwrap();
    let mut request = delete();
    request.force = true;
    assert_refused!(store.delete(&acme, request).await, StoreError::DeletionProtected(_));
    assert_eq!(store.get(&acme).await.unwrap().desired_state, DesiredState::Present);
    store.change(&acme, Precondition::None, update(spec()), once()).await.unwrap();
    store.delete(&acme, delete()).await.unwrap();
}

pub async fn what_unwinds_can_be_deleted_though_protected<S: Store>(store: Arc<S>) {
    let acme = name("acme", "prod");
    let mut order = new(&acme, once());
    order.spec = protected();
    let made = store.create(order).await.unwrap();
    // No engine turns it; a daemon of before did.
    store.cancel(made.operation.id, once()).await.unwrap();
    unwind(&*store).await;
    let mut request = delete();
    request.force = true;
    let deleted = store.delete(&acme, request).await.unwrap();
    assert!(deleted.environment.unwrap().force_delete);
    assert_eq!(deleted.operation.kind, OperationKind::Delete);
}

pub async fn a_delete_supersedes_and_is_final<S: Store>(store: Arc<S>) {
    let made = created(&*store, "acme", "prod").await;
    let acme = name("acme", "prod");
    let deleted = store.delete(&acme, delete()).await.unwrap();
    let tenant = deleted.environment.unwrap();
    assert_eq!((tenant.desired_state, tenant.status.state), (DesiredState::Absent, State::Deleting));
    assert!(tenant.delete_time.is_some());
    let by = deleted.operation.id;
    let earlier = store.operation(made.operation.id).await.unwrap();
    assert_eq!(earlier.outcome, Some(OperationOutcome::Superseded { by }));
    let refused = store.change(&acme, Precondition::None, update(larger()), once()).await;
    assert_eq!(refusal(refused), "customers/acme/tenants/prod is being deleted");
}

pub async fn deleting_twice_is_one_operation<S: Store>(store: Arc<S>) {
    created(&*store, "acme", "prod").await;
    let acme = name("acme", "prod");
    let first = store.delete(&acme, delete()).await.unwrap();
    let mut forced = delete();
    forced.force = true;
    let second = store.delete(&acme, forced).await.unwrap();
    assert_eq!(second.operation.id, first.operation.id);
    assert!(!second.replayed);
    assert!(second.environment.unwrap().force_delete);
    // A later call without force takes nothing back.
    store.delete(&acme, delete()).await.unwrap();
    assert!(store.get(&acme).await.unwrap().force_delete);
}

pub async fn a_failed_delete_begins_again<S: Store>(store: Arc<S>) {
    created(&*store, "acme", "prod").await;
    let acme = name("acme", "prod");
    let first = store.delete(&acme, delete()).await.unwrap();
    make_failed(&*store, Stage::Cluster).await;
    let second = store.delete(&acme, delete()).await.unwrap();
    assert_ne!(second.operation.id, first.operation.id);
    assert_eq!(second.environment.unwrap().status.state, State::Deleting);
    let operation = store.operation(second.operation.id).await.unwrap();
    assert_eq!(operation.stages[0].state, StageState::Running);
    let ended = store.operation(first.operation.id).await.unwrap();
    assert_eq!(ended.stages[0].state, StageState::Failed);
}

pub async fn what_is_unknown_is_not_found<S: Store>(store: Arc<S>) {
    let nobody = name("acme", "nobody");
    assert_refused!(store.get(&nobody).await, StoreError::NotFound(_));
    assert_refused!(store.delete(&nobody, delete()).await, StoreError::NotFound(_));
    let changed = store.change(&nobody, Precondition::None, Change::Retry, once()).await;
    assert_refused!(changed, StoreError::NotFound(_));
    let id = OperationId(Uuid::nil());
    assert_refused!(store.operation(id).await, StoreError::NotFound(_));
    assert_refused!(store.cancel(id, once()).await, StoreError::NotFound(_));
}

pub async fn a_cancel_reaches_the_engine_once<S: Store>(store: Arc<S>) {
    let made = created(&*store, "acme", "prod").await;
    store.cancel(made.operation.id, once()).await.unwrap();
    let newest = store.newest_event().await.unwrap();
    store.cancel(made.operation.id, once()).await.unwrap();
    assert_eq!(store.newest_event().await.unwrap(), newest);
    let claim = claim_one(&*store).await;
    let work = store.load(&claim).await.unwrap();
    assert!(work.environment.cancel_requested);
    assert!(store.operation(made.operation.id).await.unwrap().cancel_requested);
    let commit = settle(&work, State::Ready, OperationOutcome::Cancelled);
    store.commit(&claim, commit).await.unwrap();
    // What has ended can't be cancelled, and asking is no error.
    store.cancel(made.operation.id, once()).await.unwrap();
    assert_eq!(store.newest_event().await.unwrap(), newest);
}

pub async fn a_delete_cannot_be_cancelled<S: Store>(store: Arc<S>) {
    created(&*store, "acme", "prod").await;
    let deleted = store.delete(&name("acme", "prod"), delete()).await.unwrap();
    let refused = store.cancel(deleted.operation.id, once()).await;
    assert_refused!(refused, StoreError::FailedPrecondition(_));
    assert!(!store.operation(deleted.operation.id).await.unwrap().cancel_requested);
}
