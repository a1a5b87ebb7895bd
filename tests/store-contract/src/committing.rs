//! Fenced commits: what the engine writes, and what happens when the API wrote meanwhile.

use std::{sync::Arc, time::Duration};

use landlord_core::{
    DesiredState, OperationOutcome, Precondition, Stage, StageRecord, StageState, State,
    environment::LastReady,
    ports::{Commit, EnvironmentPatch, EventKind, EventQuery, Release, StoreError},
    stage::RemovedObject,
};

use crate::{assert_refused, fixtures::*};

pub async fn a_record_comes_back_as_it_was<S: Store>(store: Arc<S>) {
    created(&*store, "acme", "prod").await;
    let claim = claim_one(&*store).await;
    let removed = RemovedObject { r#type: "vpc".into(), id: "vpc-1".into(), name: "acme \"prod\"".into() };
    let app = Stage::App("chat".parse().unwrap());
    let mut records = vec![
        record(Stage::Network, DesiredState::Present, StageState::Failed),
        record(app, DesiredState::Present, StageState::Running),
        record(Stage::Teardown, DesiredState::Absent, StageState::Skipped),
        StageRecord { removed: vec![removed], ..record(Stage::Network, DesiredState::Absent, StageState::Done) },
    ];
    let begun = Commit { stages: records.clone(), ..Commit::default() };
    store.commit(&claim, begun).await.unwrap();
    // The second write of a record replaces the first.
    records[1].state = StageState::Done;
    records[1].checkpoint.clear();
    let ended = Commit { stages: vec![records[1].clone()], ..Commit::default() };
    store.commit(&claim, ended).await.unwrap();
    let by_key = |a: &StageRecord, b: &StageRecord| (a.desired_state, &a.stage).cmp(&(b.desired_state, &b.stage));
    let mut read = store.load(&claim).await.unwrap().stages;
    read.sort_by(by_key);
    records.sort_by(by_key);
    assert_eq!(read, records);
}

pub async fn a_change_during_a_pass_is_kept_and_due_at_once<S: Store>(store: Arc<S>) {
    created(&*store, "acme", "prod").await;
    let claim = claim_one(&*store).await;
    let work = store.load(&claim).await.unwrap();
    let acme = name("acme", "prod");
    let changed = store.change(&acme, Precondition::None, update(larger()), once()).await.unwrap();
    // The pass ends with a verdict on what is wanted no more.
    let mut stale = settle(&work, State::Ready, OperationOutcome::Ready);
    stale.stages = vec![record(Stage::Network, DesiredState::Present, StageState::Done)];
    store.commit(&claim, stale).await.unwrap();
    let tenant = store.get(&acme).await.unwrap();
    assert_eq!(tenant, changed.environment.unwrap());
    assert_eq!(store.operation(changed.operation.id).await.unwrap().outcome, None);
    // Due at once, whatever the pass returned; what it did is not forgotten.
    let again = claim_one(&*store).await;
    let work = store.load(&again).await.unwrap();
    assert_eq!((work.environment.generation, work.stages.len()), (2, 1));
    // The new claim has seen the change: its verdict counts.
    store.commit(&again, settle(&work, State::Ready, OperationOutcome::Ready)).await.unwrap();
    let tenant = store.get(&acme).await.unwrap();
    assert_eq!((tenant.status.state, tenant.status.observed_generation), (State::Ready, 2));
    assert_eq!(tenant_of(&tenant).last_ready, Some((larger(), placement())));
    assert_eq!(store.claim("a", 10, LEASE).await.unwrap(), []);
}

pub async fn an_overtaken_pass_reports_its_stages_only<S: Store>(store: Arc<S>) {
    let made = created(&*store, "acme", "prod").await;
    let claim = claim_one(&*store).await;
    let work = store.load(&claim).await.unwrap();
    store.cancel(made.operation.id, once()).await.unwrap();
    let after_seq = store.newest_event().await.unwrap();
    let mut stale = settle(&work, State::Ready, OperationOutcome::Ready);
    stale.events = vec![event(EventKind::Stage, "StageDone"), event(EventKind::Tenant, "Ready")];
    store.commit(&claim, stale).await.unwrap();
    let query = EventQuery { after_seq, limit: 10, ..EventQuery::default() };
    let events = store.events(&query).await.unwrap();
    let reasons: Vec<&str> = events.iter().map(|event| event.event.reason.as_str()).collect();
    assert_eq!(reasons, ["StageDone"]);
    assert!(store.get(&name("acme", "prod")).await.unwrap().cancel_requested);
}

pub async fn an_overtaken_removal_removes_nothing<S: Store>(store: Arc<S>) {
    created(&*store, "acme", "prod").await;
    let acme = name("acme", "prod");
    store.delete(&acme, delete()).await.unwrap();
    let claim = claim_one(&*store).await;
    let mut forced = delete();
    forced.force = true;
    store.delete(&acme, forced).await.unwrap();
    let removal = Commit { remove: true, ..Commit::default() };
    store.commit(&claim, removal).await.unwrap();
    assert!(store.get(&acme).await.unwrap().force_delete);
    make_gone(&*store).await;
}

pub async fn a_revert_is_a_new_generation<S: Store>(store: Arc<S>) {
    created(&*store, "acme", "prod").await;
    make_ready(&*store).await;
    let acme = name("acme", "prod");
    let changed = store.change(&acme, Precondition::None, update(larger()), once()).await.unwrap();
    store.cancel(changed.operation.id, once()).await.unwrap();
    let claim = claim_one(&*store).await;
    let work = store.load(&claim).await.unwrap();
    assert_eq!(tenant_of(&work.environment).last_ready, Some((spec(), placement())));
    let last_ready = Some(LastReady { spec: Some(spec()), placement: placement() });
    let turn = EnvironmentPatch { revert: last_ready, ..EnvironmentPatch::default() };
    store.commit(&claim, Commit { environment: turn, ..Commit::default() }).await.unwrap();
    let work = store.load(&claim).await.unwrap();
    assert_eq!((work.environment.generation, &tenant_of(&work.environment).spec), (3, &spec()));
    assert!(work.environment.cancel_requested);
    let mut end = settle(&work, State::Ready, OperationOutcome::Cancelled);
    end.environment.clear_cancel = true;
    store.commit(&claim, end).await.unwrap();
    let tenant = store.get(&acme).await.unwrap();
    assert_eq!((tenant.cancel_requested, tenant.status.observed_generation), (false, 3));
    let ended = store.operation(changed.operation.id).await.unwrap();
    assert_eq!(ended.outcome, Some(OperationOutcome::Cancelled));
}

pub async fn an_unwinding_turns_the_tenant<S: Store>(store: Arc<S>) {
    let made = created(&*store, "acme", "prod").await;
    store.cancel(made.operation.id, once()).await.unwrap();
    let claim = claim_one(&*store).await;
    let turn = EnvironmentPatch { desired_state: Some(DesiredState::Absent), ..EnvironmentPatch::default() };
    let stages = vec![
        record(Stage::Network, DesiredState::Present, StageState::Done),
        record(Stage::Network, DesiredState::Absent, StageState::Running),
    ];
    let commit = Commit { environment: turn, stages, release: Release::After(Duration::ZERO), ..Commit::default() };
    store.commit(&claim, commit).await.unwrap();
    let tenant = store.get(&name("acme", "prod")).await.unwrap();
    assert_eq!(tenant.desired_state, DesiredState::Absent);
    assert!(tenant.delete_time.is_some());
    // A cancelled create shows what was built and how it is taken down.
    let shown = store.operation(made.operation.id).await.unwrap().stages;
    let desired_states: Vec<DesiredState> = shown.iter().map(|stage| stage.desired_state).collect();
    assert_eq!(desired_states, [DesiredState::Present, DesiredState::Absent]);
}

pub async fn an_ended_operation_stays_as_it_ended<S: Store>(store: Arc<S>) {
    let made = created(&*store, "acme", "prod").await;
    let claim = claim_one(&*store).await;
    let work = store.load(&claim).await.unwrap();
    let mut end = settle(&work, State::Ready, OperationOutcome::Ready);
    end.release = Release::Hold;
    store.commit(&claim, end).await.unwrap();
    let ended = store.operation(made.operation.id).await.unwrap();
    let outcome = OperationOutcome::Failed { failure: failure() };
    store.commit(&claim, settle(&work, State::Failed, outcome)).await.unwrap();
    assert_eq!(store.operation(made.operation.id).await.unwrap(), ended);
}

pub async fn a_refused_commit_writes_nothing<S: Store>(store: Arc<S>) {
    created(&*store, "acme", "prod").await;
    let claim = claim_one(&*store).await;
    let before = store.load(&claim).await.unwrap();
    let events = store.newest_event().await.unwrap();
    // The last of its parts fails: there is no such operation.
    let mut commit = settle(&before, State::Ready, OperationOutcome::Ready);
    commit.operation.as_mut().unwrap().id = landlord_core::OperationId(uuid::Uuid::nil());
    commit.stages = vec![record(Stage::Network, DesiredState::Present, StageState::Done)];
    assert_refused!(store.commit(&claim, commit).await, StoreError::NotFound(_));
    let after = store.load(&claim).await.unwrap();
    assert_eq!((after.environment, after.stages), (before.environment, before.stages));
    assert_eq!(store.newest_event().await.unwrap(), events);
}

pub async fn the_etag_follows_what_a_client_can_see<S: Store>(store: Arc<S>) {
    created(&*store, "acme", "prod").await;
    let acme = name("acme", "prod");
    let claim = claim_one(&*store).await;
    let work = store.load(&claim).await.unwrap();
    let etag = work.environment.etag.clone();
    let quiet = Commit {
        stages: vec![record(Stage::Network, DesiredState::Present, StageState::Running)],
        environment: EnvironmentPatch { status: Some(work.environment.status.clone()), ..EnvironmentPatch::default() },
        ..Commit::default()
    };
    store.commit(&claim, quiet).await.unwrap();
    assert_eq!(store.get(&acme).await.unwrap().etag, etag);
    store.commit(&claim, settle(&work, State::Ready, OperationOutcome::Ready)).await.unwrap();
    assert_ne!(store.get(&acme).await.unwrap().etag, etag);
}
