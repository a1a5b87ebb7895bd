//! Webhooks: one daemon delivers each, from a place in the events that no lost claim moves.

use std::{sync::Arc, time::Duration};

use landlord_core::{
    Timestamp,
    ports::{HeldTenant, PARKED_MAX, ParkedEvent, StoreError, WebhookProgress, WebhookStore},
};

use crate::{assert_refused, fixtures::*};

fn parked(position: i64) -> ParkedEvent {
    ParkedEvent {
        position,
        tenant: name("acme", "prod").tenant().unwrap().clone(),
        event_type: "dev.landlord.tenant.ready".into(),
        event_time: Timestamp(1),
        park_time: Timestamp(2),
        attempts: 3,
        error: "503".into(),
    }
}

pub async fn a_webhook_is_delivered_by_one_daemon<S: Store + WebhookStore>(store: Arc<S>) {
    created(&*store, "acme", "prod").await;
    let first = store.claim_webhook("portal", "a", LEASE).await.unwrap().unwrap();
    // What was before it is not delivered.
    assert_eq!(first.state.position, store.newest_event().await.unwrap());
    assert_eq!(first.state.daemon.as_deref(), Some("a"));
    assert_eq!(store.claim_webhook("portal", "b", LEASE).await.unwrap(), None);
    assert!(store.claim_webhook("other", "b", LEASE).await.unwrap().is_some());
    assert!(store.renew_webhook(&first.claim, Duration::ZERO).await.unwrap().is_some());
    tokio::time::sleep(Duration::from_millis(5)).await;
    // The lease is over: another goes on, and the first writes nothing any more.
    let second = store.claim_webhook("portal", "b", LEASE).await.unwrap().unwrap();
    assert!(second.claim.fence > first.claim.fence);
    assert_eq!(store.renew_webhook(&first.claim, LEASE).await.unwrap(), None);
    assert!(!store.record_webhook(&first.claim, WebhookProgress::default()).await.unwrap());
    store.release_webhook(&first.claim).await.unwrap();
    assert_eq!(store.claim_webhook("portal", "c", LEASE).await.unwrap(), None);
    store.release_webhook(&second.claim).await.unwrap();
    assert!(store.claim_webhook("portal", "c", LEASE).await.unwrap().is_some());
}

pub async fn a_webhook_goes_on_where_it_was<S: Store + WebhookStore>(store: Arc<S>) {
    let claimed = store.claim_webhook("portal", "a", LEASE).await.unwrap().unwrap();
    let held = HeldTenant {
        tenant: name("acme", "prod").tenant().unwrap().clone(),
        position: 4,
        attempts: 2,
        since: Some(Timestamp(7)),
        next_time: Timestamp(9),
        error: "503".into(),
    };
    let progress = WebhookProgress {
        position: 5,
        failing_since: Some(Timestamp(7)),
        held: vec![held.clone()],
        delivered: 3,
        missed: 2,
        parked: vec![parked(3)],
        error: "503".into(),
    };
    assert!(store.record_webhook(&claimed.claim, progress.clone()).await.unwrap());
    let again = WebhookProgress { parked: vec![parked(3), parked(4)], ..progress };
    assert!(store.record_webhook(&claimed.claim, again).await.unwrap());
    let [state] = store.webhooks().await.unwrap().try_into().unwrap();
    assert_eq!((state.position, state.delivered_count, state.missed_count, state.parked_count), (5, 6, 4, 2));
    assert_eq!((state.held, state.failing_since), (vec![held], Some(Timestamp(7))));
    assert!(state.delivery_time.is_some());
    assert_eq!(store.parked_events("portal", 10).await.unwrap(), [parked(4), parked(3)]);
    let many = (10..10 + i64::from(PARKED_MAX)).map(parked).collect();
    assert!(
        store.record_webhook(&claimed.claim, WebhookProgress { parked: many, ..Default::default() }).await.unwrap()
    );
    let [state] = store.webhooks().await.unwrap().try_into().unwrap();
    assert_eq!(state.parked_count, u64::from(PARKED_MAX));
    assert!(!store.parked_events("portal", 2_000).await.unwrap().contains(&parked(4)));
}

pub async fn a_replay_ends_the_claim_and_what_waits<S: Store + WebhookStore>(store: Arc<S>) {
    assert_refused!(store.replay_webhook("portal", 1).await, StoreError::NotFound(_));
    let claimed = store.claim_webhook("portal", "a", LEASE).await.unwrap().unwrap();
    let progress = WebhookProgress { position: 9, parked: vec![parked(3), parked(6)], ..Default::default() };
    assert!(store.record_webhook(&claimed.claim, progress.clone()).await.unwrap());
    store.replay_webhook("portal", 4).await.unwrap();
    assert!(!store.record_webhook(&claimed.claim, progress).await.unwrap());
    let claimed = store.claim_webhook("portal", "b", LEASE).await.unwrap().unwrap();
    assert_eq!(claimed.state.position, 4);
    assert_eq!(store.parked_events("portal", 10).await.unwrap(), [parked(3)]);
}

pub async fn a_replay_skips_nothing<S: Store + WebhookStore>(store: Arc<S>) {
    let claimed = store.claim_webhook("portal", "a", LEASE).await.unwrap().unwrap();
    let waits = |tenant: &str, position: i64| HeldTenant {
        tenant: name("acme", tenant).tenant().unwrap().clone(),
        position,
        attempts: 7,
        since: Some(Timestamp(7)),
        next_time: Timestamp(i64::MAX / 2),
        error: "503".into(),
    };
    let held = vec![waits("early", 2), waits("at", 4), waits("late", 6)];
    let progress = WebhookProgress { position: 9, held, parked: vec![parked(3)], ..Default::default() };
    assert!(store.record_webhook(&claimed.claim, progress).await.unwrap());
    // From ahead of its place nothing can be replayed: what lies between was not sent yet.
    store.replay_webhook("portal", 100).await.unwrap();
    let state = store.claim_webhook("portal", "b", LEASE).await.unwrap().unwrap().state;
    assert_eq!((state.position, state.held.len()), (9, 3));
    assert_eq!(store.parked_events("portal", 10).await.unwrap(), [parked(3)]);
    // Whoever waits for an event before the new place goes on waiting for it, as if it had not been tried.
    store.replay_webhook("portal", 4).await.unwrap();
    let claimed = store.claim_webhook("portal", "c", LEASE).await.unwrap().unwrap();
    assert_eq!(claimed.state.position, 4);
    let positions: Vec<i64> = claimed.state.held.iter().map(|held| held.position).collect();
    assert_eq!(positions, [2, 4]);
    for held in claimed.state.held {
        assert_eq!((held.attempts, held.since, held.error.as_str()), (0, None, "503"));
        assert!(held.next_time <= claimed.now);
    }
}
