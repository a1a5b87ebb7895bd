//! The rules of an environment's life, over every combination of what they depend on.

use landlord_core::{
    DesiredState, Environment, HostCluster, HostClusterSpec, Level, NodeScaling, OperationId, OperationKind, Owner,
    Placement, State, Tenant, TenantSpec, TenantUid, Timestamp,
    environment::{Adoption, HostClusterInput, LastReady, NodeCount, SpecInput, StorageSize},
    lifecycle::{self, Cancellation, Effect, Refusal, cancellation, may_unwind},
    ports::{EnvironmentPatch, ProviderKey},
};
use proptest::prelude::*;

fn spec() -> TenantSpec {
    let input = SpecInput { domain: "a.example.com".into(), storage_gib: 10, ..SpecInput::default() };
    TenantSpec::parse(input).unwrap()
}

fn placement(node_count: u32) -> Placement {
    let key = ProviderKey { provider: "cloud".parse().unwrap(), credentials: "default".into() };
    let placement =
        Placement::without_choices("small".parse().unwrap(), Level::Cluster, key, String::new(), "here".into());
    Placement { machine_type: "m".into(), node_count, ..placement }
}

/// A tenant whose newest operation is to be cancelled.
fn cancelled() -> Environment {
    let id = uuid::Uuid::nil();
    let owner = Owner::Tenant(Tenant {
        name: "customers/a/tenants/b".parse().unwrap(),
        spec: spec(),
        host: None,
        last_ready: None,
    });
    let mut environment = lifecycle::accept(TenantUid(id), owner, placement(1), OperationId(id), Timestamp(0));
    environment.status.state = State::Provisioning;
    environment.cancel_requested = true;
    environment
}

fn tenant_of(environment: &mut Environment) -> &mut Tenant {
    match &mut environment.owner {
        Owner::Tenant(tenant) => tenant,
        Owner::HostCluster(host_cluster) => panic!("{} is no tenant", host_cluster.id),
    }
}

const KINDS: [OperationKind; 4] =
    [OperationKind::Create, OperationKind::Update, OperationKind::Delete, OperationKind::Retry];

proptest! {
    #[test]
    fn only_a_running_create_of_what_is_not_protected_unwinds(
        kind in proptest::sample::select(&KINDS[..]),
        requested: bool, done: bool, protected: bool, was_ready: bool, absent: bool,
        later in 0_i64..3, operation_generation in 1_i64..3,
        storage in 10_u32..12, nodes in 0_u32..3,
    ) {
        // A record's generation only grows, and its newest operation was accepted for one that it had.
        let generation = operation_generation + later;
        let mut record = cancelled();
        record.cancel_requested = requested;
        record.desired_state = if absent { DesiredState::Absent } else { DesiredState::Present };
        record.generation = generation;
        let tenant = tenant_of(&mut record);
        tenant.spec.deletion_protection = protected;
        tenant.last_ready = was_ready.then(|| (spec(), placement(1)));
        tenant.spec.storage = StorageSize::try_from(storage).unwrap();
        tenant.spec.node_count = NodeCount::try_from(nodes).ok();
        let does = cancellation(&record, kind, done, operation_generation);
        if does == Some(Cancellation::Unwind) {
            prop_assert!(kind == OperationKind::Create && !done && !protected && !was_ready && !absent && requested);
        }
        if protected {
            prop_assert!(!may_unwind(&record, kind, done));
        }
        if let Some(Cancellation::Revert(LastReady { spec, .. })) = &does {
            let spec = spec.as_ref().unwrap();
            prop_assert!(kind == OperationKind::Update && was_ready && !done);
            prop_assert_eq!(spec.storage.gib(), storage);
            prop_assert_eq!(spec.deletion_protection, protected);
            // Once reverted, there is nothing to revert: the work goes on towards what it was.
            let mut reverted = Environment { generation: generation + 1, ..record.clone() };
            tenant_of(&mut reverted).spec = spec.clone();
            prop_assert_eq!(cancellation(&reverted, kind, done, operation_generation), None);
        }
        prop_assert_eq!(does.is_none(), !requested || absent || generation > operation_generation);
    }
}

#[test]
fn a_cancelled_retry_stops_where_it_is() {
    for protected in [true, false] {
        for last_ready in [None, Some((TenantSpec { node_count: None, ..spec() }, placement(3)))] {
            let mut record = cancelled();
            let tenant = tenant_of(&mut record);
            tenant.last_ready = last_ready;
            tenant.spec.deletion_protection = protected;
            tenant.spec.node_count = NodeCount::try_from(2).ok();
            assert_eq!(cancellation(&record, OperationKind::Retry, false, 1), Some(Cancellation::Stop));
        }
    }
}

#[test]
fn a_cancelled_create_of_what_is_protected_stops_and_stays_stopped() {
    let mut record = cancelled();
    assert_eq!(cancellation(&record, OperationKind::Create, false, 1), Some(Cancellation::Unwind));
    tenant_of(&mut record).spec.deletion_protection = true;
    assert_eq!(cancellation(&record, OperationKind::Create, false, 1), Some(Cancellation::Stop));
    assert_eq!(cancellation(&record, OperationKind::Create, true, 1), Some(Cancellation::Stop));
    // Clearing the protection afterwards does not turn the stop into a removal.
    tenant_of(&mut record).spec.deletion_protection = false;
    assert_eq!(cancellation(&record, OperationKind::Create, true, 1), Some(Cancellation::Stop));
}

#[test]
fn a_cancelled_update_takes_back_what_can_be_taken_back() {
    let mut record = Environment { generation: 2, ..cancelled() };
    let tenant = tenant_of(&mut record);
    tenant.last_ready = Some((spec(), placement(1)));
    tenant.spec.node_count = NodeCount::try_from(3).ok();
    tenant.spec.storage = StorageSize::try_from(20).unwrap();
    tenant.spec.deletion_protection = true;
    tenant.spec.display_name = "renamed since".into();
    let Some(Cancellation::Revert(LastReady { spec: Some(spec), placement })) =
        cancellation(&record, OperationKind::Update, false, 2)
    else {
        panic!("not reverted");
    };
    assert_eq!((spec.node_count, placement.node_count), (None, 1));
    assert_eq!(spec.storage.gib(), 20, "storage can't shrink");
    assert!(spec.deletion_protection, "protection is no part of what is cancelled");
    assert_eq!(spec.display_name, "renamed since");
    // Of an update that only grew storage nothing can be taken back.
    tenant_of(&mut record).spec.node_count = None;
    assert_eq!(cancellation(&record, OperationKind::Update, false, 2), Some(Cancellation::Stop));
    // Nor of one of what was never READY.
    tenant_of(&mut record).last_ready = None;
    assert_eq!(cancellation(&record, OperationKind::Update, false, 2), Some(Cancellation::Stop));
}

#[test]
fn machines_that_were_ordered_are_not_forgotten_by_whatever_orders_none() {
    let scaled = Placement { node_scaling: Some(NodeScaling { nodes_max: 4, karpenter: None }), ..placement(1) };
    let ready = Environment { placement: scaled.clone(), ..record(State::Ready, 1) };
    let withdrawn = Some(NodeScaling::withdrawn());
    // An update on trial ordered them, and is taken back.
    let last = LastReady { spec: Some(spec()), placement: placement(1) };
    let patch = EnvironmentPatch { revert: Some(last), ..EnvironmentPatch::default() };
    let reverted = lifecycle::patched(&ready, &patch, Timestamp(3));
    assert_eq!((reverted.generation, &reverted.placement.node_scaling), (2, &withdrawn));
    let larger = TenantSpec { storage: StorageSize::try_from(20).unwrap(), ..spec() };
    let updated = lifecycle::update(&ready, larger.clone(), placement(1), operation(2)).unwrap();
    assert_eq!(updated.environment.placement.node_scaling, withdrawn);
    let renewed = lifecycle::renew(&ready, placement(1), operation(2)).unwrap();
    assert_eq!(renewed.environment.placement.node_scaling, withdrawn);
    // What is ordered is what is ordered, and who never had any has nothing to lose.
    let kept = lifecycle::update(&ready, larger.clone(), scaled.clone(), operation(2)).unwrap();
    assert_eq!(kept.environment.placement.node_scaling, scaled.node_scaling);
    let plain = lifecycle::update(&record(State::Ready, 1), larger, placement(1), operation(2)).unwrap();
    assert_eq!(plain.environment.placement.node_scaling, None);
}

/// A tenant at rest, or not.
fn record(state: State, observed_generation: i64) -> Environment {
    let mut record = Environment { cancel_requested: false, ..cancelled() };
    (record.status.state, record.status.observed_generation) = (state, observed_generation);
    record
}

fn operation(number: u128) -> OperationId {
    OperationId(uuid::Uuid::from_u128(number))
}

/// What an update of a record does: effect, whether the update's operation is the newest, generation, state.
fn updated(before: &Environment, spec: TenantSpec) -> (Effect, bool, i64, State) {
    let done = lifecycle::update(before, spec.clone(), placement(7), operation(2)).unwrap();
    let mut after = done.environment;
    assert_eq!(tenant_of(&mut after).spec, spec);
    assert_eq!(after.placement.node_count == 7, after.generation > before.generation, "a placement is of a generation");
    (done.effect, after.operation == operation(2), after.generation, after.status.state)
}

#[test]
fn an_update_that_needs_no_work_supersedes_nothing() {
    let renamed = || TenantSpec { display_name: "Acme".into(), deletion_protection: true, ..spec() };
    for (state, observed) in
        [(State::Provisioning, 0), (State::Ready, 1), (State::Updating, 1), (State::Failed, 0), (State::Failed, 1)]
    {
        let expected = (Effect::Recorded { due: false }, false, 1, state);
        assert_eq!(updated(&record(state, observed), renamed()), expected, "{state:?} {observed}");
        assert_eq!(updated(&record(state, observed), spec()), expected, "the same again: {state:?} {observed}");
    }
    // A cancellation that was requested goes on too.
    let done = lifecycle::update(&cancelled(), renamed(), placement(1), operation(2)).unwrap();
    assert!(done.environment.cancel_requested);
}

#[test]
fn pausing_and_going_on_take_over_what_is_unfinished() {
    let work = Effect::Work { restart_failed: false };
    for (state, observed, expected) in [
        (State::Provisioning, 0, work),
        (State::Failed, 0, work),
        (State::Failed, 1, work),
        (State::Ready, 1, Effect::Recorded { due: true }),
        (State::Updating, 1, Effect::Recorded { due: true }),
    ] {
        for paused in [true, false] {
            let mut before = record(state, observed);
            tenant_of(&mut before).spec.paused = !paused;
            let wanted = TenantSpec { paused, ..spec() };
            let takes_over = expected == work;
            assert_eq!(updated(&before, wanted), (expected, takes_over, 1, state), "{state:?} {observed} {paused}");
        }
    }
    let done = lifecycle::update(&cancelled(), TenantSpec { paused: true, ..spec() }, placement(1), operation(2));
    assert!(!done.unwrap().environment.cancel_requested, "the operation that was to be cancelled is over");
}

#[test]
fn an_update_that_needs_work_begins_a_generation() {
    let larger = || TenantSpec { storage: StorageSize::try_from(20).unwrap(), ..spec() };
    let mut built = record(State::Ready, 1);
    tenant_of(&mut built).last_ready = Some((spec(), placement(1)));
    let work = Effect::Work { restart_failed: false };
    assert_eq!(updated(&built, larger()), (work, true, 2, State::Updating));
    assert_eq!(updated(&record(State::Failed, 0), larger()), (work, true, 2, State::Provisioning));
    let leaving = Environment { desired_state: DesiredState::Absent, ..built };
    let refused = lifecycle::update(&leaving, larger(), placement(1), operation(2)).unwrap_err();
    assert!(matches!(refused, Refusal::BeingDeleted(_)), "{refused:?}");
}

#[test]
fn a_delete_needs_the_protection_cleared_and_is_joined_by_the_next() {
    let mut kept = record(State::Ready, 1);
    tenant_of(&mut kept).spec.deletion_protection = true;
    for force in [true, false] {
        let refused = lifecycle::delete(&kept, None, force, operation(2), Timestamp(5)).unwrap_err();
        assert!(matches!(refused, Refusal::Protected(_)), "{refused:?}");
    }
    let first = lifecycle::delete(&record(State::Ready, 1), None, false, operation(2), Timestamp(5)).unwrap();
    assert_eq!(first.effect, Effect::Work { restart_failed: true });
    let leaving = first.environment;
    assert_eq!((leaving.desired_state, leaving.status.state), (DesiredState::Absent, State::Deleting));
    assert_eq!((leaving.operation, leaving.delete_time), (operation(2), Some(Timestamp(5))));
    let running = Some(OperationKind::Delete);
    for (force, changed) in [(false, false), (true, true)] {
        let again = lifecycle::delete(&leaving, running, force, operation(3), Timestamp(9)).unwrap();
        assert_eq!(again.effect, Effect::Joined { changed });
        assert_eq!((again.environment.operation, again.environment.force_delete), (operation(2), force));
    }
    // One that has ended without removing it starts again, and knows since when.
    let again = lifecycle::delete(&leaving, None, false, operation(3), Timestamp(9)).unwrap();
    assert_eq!(again.effect, Effect::Work { restart_failed: true });
    assert_eq!((again.environment.operation, again.environment.delete_time), (operation(3), Some(Timestamp(5))));
}

/// A host cluster that is READY, or was adopted.
fn host_cluster(adoption: Option<Adoption>) -> Environment {
    let spec = HostClusterSpec::parse(HostClusterInput { adoption, ..HostClusterInput::default() }).unwrap();
    let id = uuid::Uuid::nil();
    let owner = Owner::HostCluster(HostCluster { id: "one".parse().unwrap(), spec, last_ready: None });
    let new = lifecycle::accept(TenantUid(id), owner, placement(1), operation(1), Timestamp(0));
    let mut status = new.status.clone();
    (status.state, status.observed_generation) = (State::Ready, 1);
    let patch = EnvironmentPatch { status: Some(status), mark_ready: true, ..EnvironmentPatch::default() };
    lifecycle::patched(&new, &patch, Timestamp(1))
}

#[test]
fn a_host_cluster_on_trial_goes_back_to_what_was_ready_and_to_nothing_else() {
    let other = || Placement { skip_checks: vec!["names".into()], ..placement(1) };
    let ready = host_cluster(None);
    assert!(ready.was_ready() && lifecycle::before_trial(&ready).is_none());
    let renewed = lifecycle::renew(&ready, other(), operation(2)).unwrap();
    assert_eq!(renewed.effect, Effect::Work { restart_failed: false });
    let on_trial = renewed.environment;
    assert_eq!((on_trial.generation, on_trial.status.state), (2, State::Updating));
    assert_eq!(on_trial.placement.revisions.trial_generation, Some(2));
    let back = LastReady { spec: None, placement: placement(1) };
    assert_eq!(lifecycle::before_trial(&on_trial), Some(back.clone()));
    // Others in place of those on trial go back to the same.
    let again = Placement { skip_checks: vec!["certificates".into()], ..placement(1) };
    let again = lifecycle::renew(&on_trial, again, operation(3)).unwrap().environment;
    assert_eq!((again.generation, again.placement.revisions.trial_generation), (3, Some(3)));
    assert_eq!(lifecycle::before_trial(&again), Some(back.clone()));
    // Whoever cancels it has it taken back, too.
    let cancelled = Environment { cancel_requested: true, ..on_trial.clone() };
    assert_eq!(cancellation(&cancelled, OperationKind::Update, false, 2), Some(Cancellation::Revert(back.clone())));
    let patch = EnvironmentPatch { revert: Some(back), ..EnvironmentPatch::default() };
    let reverted = lifecycle::patched(&on_trial, &patch, Timestamp(3));
    assert_eq!((reverted.generation, &reverted.placement), (3, &placement(1)));
    assert_eq!(lifecycle::before_trial(&reverted), None);
    // Once it was READY with them there is nothing to go back from.
    let mark = EnvironmentPatch { mark_ready: true, ..EnvironmentPatch::default() };
    let kept = lifecycle::patched(&on_trial, &mark, Timestamp(3));
    assert_eq!((kept.last_ready().unwrap().placement, lifecycle::before_trial(&kept)), (other(), None));
    // What was not READY as ordered has nothing to go back to, nor has what an earlier version kept nothing of.
    let failed = {
        let mut failed = ready.clone();
        failed.status.state = State::Failed;
        lifecycle::renew(&failed, other(), operation(2)).unwrap().environment
    };
    assert_eq!(lifecycle::before_trial(&failed), None);
    let stopped = Environment { cancel_requested: true, ..failed };
    assert_eq!(cancellation(&stopped, OperationKind::Update, false, 2), Some(Cancellation::Stop));
    let mut forgotten = on_trial.clone();
    let present = forgotten.placement.clone();
    let Owner::HostCluster(host) = &mut forgotten.owner else { panic!("a tenant") };
    host.last_ready = Some(present);
    assert_eq!(lifecycle::before_trial(&forgotten), None);
}

#[test]
fn what_was_adopted_or_goes_gets_no_other_revisions() {
    let refused = lifecycle::renew(&host_cluster(Some(Adoption::default())), placement(2), operation(2)).unwrap_err();
    assert!(matches!(refused, Refusal::Adopted(_)), "{refused:?}");
    let leaving = Environment { desired_state: DesiredState::Absent, ..host_cluster(None) };
    let refused = lifecycle::renew(&leaving, placement(2), operation(2)).unwrap_err();
    assert!(matches!(refused, Refusal::BeingDeleted(_)), "{refused:?}");
    let refused = lifecycle::update(&host_cluster(None), spec(), placement(2), operation(2)).unwrap_err();
    assert!(matches!(refused, Refusal::NotATenant(_)), "{refused:?}");
}

#[test]
fn only_what_failed_is_retried() {
    for state in [State::Pending, State::Provisioning, State::Ready, State::Updating, State::Deleting] {
        let refused = lifecycle::retry(&record(state, 0), operation(2)).unwrap_err();
        assert!(matches!(refused, Refusal::NothingToRetry { .. }), "{refused:?}");
    }
    let retried = lifecycle::retry(&record(State::Failed, 0), operation(2)).unwrap();
    assert_eq!(retried.effect, Effect::Work { restart_failed: true });
    assert_eq!((retried.environment.generation, retried.environment.status.state), (1, State::Provisioning));
}
