//! The rules of an environment's life, over every combination of what they depend on.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use landlord_core::{
    Direction, Level, OperationId, OperationKind, Placement, State, Tenant, TenantSpec, TenantUid, Timestamp,
    lifecycle::{Cancellation, cancellation, may_unwind},
    environment::{EnvironmentStatus, NodeCount, SpecInput, StorageSize},
};
use proptest::prelude::*;

fn spec() -> TenantSpec {
    let input = SpecInput { domain: "a.example.com".into(), storage_gib: 10, ..SpecInput::default() };
    TenantSpec::parse(input).unwrap()
}

fn placement(node_count: u32) -> Placement {
    Placement {
        class: "small".parse().unwrap(),
        rule: String::new(),
        level: Level::Cluster,
        provider: "cloud".parse().unwrap(),
        credentials: "default".into(),
        account: String::new(),
        region: "here".into(),
        stack: None,
        machine_type: "m".into(),
        node_count,
        disk_size_gib: 0,
        parameters: serde_json::Map::new(),
        guardrails: None,
    }
}

/// A tenant whose newest operation is to be cancelled.
fn cancelled() -> Tenant {
    let id = uuid::Uuid::nil();
    Tenant {
        uid: TenantUid(id),
        name: "customers/a/tenants/b".parse().unwrap(),
        spec: spec(),
        placement: placement(1),
        host: None,
        hosting: None,
        generation: 1,
        direction: Direction::Present,
        force_delete: false,
        status: EnvironmentStatus {
            state: State::Provisioning,
            observed_generation: 0,
            conditions: Vec::new(),
            endpoints: Vec::new(),
        },
        etag: String::new(),
        operation: OperationId(id),
        cancel_requested: true,
        last_ready: None,
        create_time: Timestamp(0),
        update_time: Timestamp(0),
        delete_time: None,
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
        let mut tenant = cancelled();
        tenant.cancel_requested = requested;
        tenant.spec.deletion_protection = protected;
        tenant.last_ready = was_ready.then(|| (spec(), placement(1)));
        tenant.direction = if absent { Direction::Absent } else { Direction::Present };
        tenant.generation = generation;
        tenant.spec.storage = StorageSize::try_from(storage).unwrap();
        tenant.spec.node_count = NodeCount::try_from(nodes).ok();
        let does = cancellation(&tenant, kind, done, operation_generation);
        if does == Some(Cancellation::Unwind) {
            prop_assert!(kind == OperationKind::Create && !done && !protected && !was_ready && !absent && requested);
        }
        if protected {
            prop_assert!(!may_unwind(&tenant, kind, done));
        }
        if let Some(Cancellation::Revert(spec, _)) = &does {
            prop_assert!(kind == OperationKind::Update && was_ready && !done);
            prop_assert_eq!(spec.storage, tenant.spec.storage);
            prop_assert_eq!(spec.deletion_protection, protected);
            // Once reverted, there is nothing to revert: the work goes on towards what it was.
            let reverted = Tenant { spec: spec.clone(), generation: generation + 1, ..tenant.clone() };
            prop_assert_eq!(cancellation(&reverted, kind, done, operation_generation), None);
        }
        prop_assert_eq!(does.is_none(), !requested || absent || generation > operation_generation);
    }
}

#[test]
fn a_cancelled_retry_stops_where_it_is() {
    for protected in [true, false] {
        for last_ready in [None, Some((TenantSpec { node_count: None, ..spec() }, placement(3)))] {
            let mut tenant = Tenant { last_ready, ..cancelled() };
            tenant.spec.deletion_protection = protected;
            tenant.spec.node_count = NodeCount::try_from(2).ok();
            assert_eq!(cancellation(&tenant, OperationKind::Retry, false, 1), Some(Cancellation::Stop));
        }
    }
}

#[test]
fn a_cancelled_create_of_what_is_protected_stops_and_stays_stopped() {
    let mut tenant = cancelled();
    assert_eq!(cancellation(&tenant, OperationKind::Create, false, 1), Some(Cancellation::Unwind));
    tenant.spec.deletion_protection = true;
    assert_eq!(cancellation(&tenant, OperationKind::Create, false, 1), Some(Cancellation::Stop));
    assert_eq!(cancellation(&tenant, OperationKind::Create, true, 1), Some(Cancellation::Stop));
    // Clearing the protection afterwards does not turn the stop into a removal.
    tenant.spec.deletion_protection = false;
    assert_eq!(cancellation(&tenant, OperationKind::Create, true, 1), Some(Cancellation::Stop));
}

#[test]
fn a_cancelled_update_takes_back_what_can_be_taken_back() {
    let mut tenant = Tenant { last_ready: Some((spec(), placement(1))), generation: 2, ..cancelled() };
    tenant.spec.node_count = NodeCount::try_from(3).ok();
    tenant.spec.storage = StorageSize::try_from(20).unwrap();
    tenant.spec.deletion_protection = true;
    tenant.spec.display_name = "renamed since".into();
    let Some(Cancellation::Revert(spec, placement)) = cancellation(&tenant, OperationKind::Update, false, 2) else {
        panic!("not reverted");
    };
    assert_eq!((spec.node_count, placement.node_count), (None, 1));
    assert_eq!(spec.storage.gib(), 20, "storage can't shrink");
    assert!(spec.deletion_protection, "protection is no part of what is cancelled");
    assert_eq!(spec.display_name, "renamed since");
    // Of an update that only grew storage nothing can be taken back.
    tenant.spec.node_count = None;
    assert_eq!(cancellation(&tenant, OperationKind::Update, false, 2), Some(Cancellation::Stop));
    // Nor of one of what was never READY.
    tenant.last_ready = None;
    assert_eq!(cancellation(&tenant, OperationKind::Update, false, 2), Some(Cancellation::Stop));
}
