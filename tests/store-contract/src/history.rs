//! What a store forgets in time.

use std::{sync::Arc, time::Duration};

use landlord_core::{
    Precondition, TenantSpec,
    ports::{OperationQuery, StoreError},
};

use crate::{assert_refused, fixtures::*};

pub async fn ended_operations_are_forgotten_in_time<S: Store>(store: Arc<S>) {
    let request = keyed("first");
    let first = store.create(new(&name("acme", "prod"), request.clone())).await.unwrap().operation.id;
    make_ready(&*store).await;
    let larger = TenantSpec { storage: larger().storage, ..spec_of(&name("acme", "prod")) };
    let newest =
        store.change(&name("acme", "prod"), Precondition::None, update(larger), once()).await.unwrap().operation.id;
    make_ready(&*store).await;
    let second = created(&*store, "acme", "other").await.operation.id;
    // It has ended, and stays: it is the newest of what is there.
    assert!(store.operation(newest).await.unwrap().outcome.is_some());
    // Ended is what ended before this moment.
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(store.forget_operations(Duration::from_secs(3600), 10).await.unwrap(), 0);
    assert!(store.create(new(&name("acme", "prod"), request.clone())).await.unwrap().replayed);
    assert_eq!(store.forget_operations(Duration::ZERO, 0).await.unwrap(), 0);
    assert_eq!(store.forget_operations(Duration::ZERO, 10).await.unwrap(), 1);
    assert_refused!(store.operation(first).await, StoreError::NotFound(_));
    // With its operation the request is forgotten too.
    let again = store.create(new(&name("acme", "prod"), request)).await;
    assert_refused!(again, StoreError::AlreadyExists(_));
    let left = store.operations(&OperationQuery { limit: 10, ..OperationQuery::default() }).await.unwrap().items;
    let mut left: Vec<_> = left.into_iter().map(|operation| operation.id).collect();
    left.sort();
    let mut kept = vec![second, newest];
    kept.sort();
    assert_eq!(left, kept);
}
