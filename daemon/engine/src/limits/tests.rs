//! Fairness, urgency, settling, and pauses. Times are those of the queue's own answers.

use landlord_core::{Stage, TenantUid};
use landlord_provider_api::v1::RateBucket;

use super::*;

fn limits(rate: f64, burst: f64) -> (Limits, LimitKey, Costs) {
    let limits = Limits::default();
    let key = LimitKey { provider: "p".into(), account: "a".into(), region: "r".into() };
    let bucket = RateBucket { name: "b".into(), rate_per_second: rate, burst, source: String::new() };
    let description = DescribeResponse { rate_buckets: vec![bucket], ..Default::default() };
    limits.learn(&key, &description, &ProviderOptions::default());
    (limits, key, vec![("b".into(), 1.0)])
}

fn asker(customer: &str, urgency: Urgency) -> Asker {
    let tenant = TenantUid(uuid::Uuid::new_v4());
    Asker { customer: customer.into(), tenant, stage: Stage::Network, urgency }
}

fn change(customer: &str) -> Asker {
    asker(customer, Urgency::Change)
}

/// Empties a bucket that earns one token in ten seconds.
async fn empty() -> (Limits, LimitKey, Costs) {
    let (limits, key, costs) = limits(0.1, 3.0);
    for _ in 0..3 {
        limits.acquire(&key, &change("first"), &costs).await.unwrap();
    }
    (limits, key, costs)
}

/// Whole tokens of the bucket that a place waits for.
fn turns(wait: Duration) -> u64 {
    (wait.as_secs_f64() / 10.0).ceil() as u64
}

#[tokio::test]
async fn a_burst_passes_and_later_ones_queue_in_order() {
    let (limits, key, costs) = empty().await;
    let (one, two) = (change("a"), change("b"));
    let first = limits.acquire(&key, &one, &costs).await.unwrap_err();
    let second = limits.acquire(&key, &two, &costs).await.unwrap_err();
    assert_eq!((turns(first), turns(second)), (1, 2));
    let again = limits.acquire(&key, &one, &costs).await.unwrap_err();
    assert_eq!(turns(again), 1, "asking again cost the place");
}

#[tokio::test]
async fn a_customer_with_many_tenants_does_not_hold_up_another() {
    let (limits, key, costs) = limits(0.1, 1.0);
    for _ in 0..20 {
        let _ = limits.acquire(&key, &change("big"), &costs).await;
    }
    let wait = limits.acquire(&key, &change("small"), &costs).await.unwrap_err();
    assert_eq!(turns(wait), 1, "the small customer waits behind the big one");
}

#[tokio::test]
async fn a_delete_goes_before_a_change_before_a_poll_before_a_look() {
    let (limits, key, costs) = empty().await;
    for (urgency, turn) in [(Urgency::Drift, 1), (Urgency::Poll, 1), (Urgency::Change, 1), (Urgency::Repair, 1)] {
        let wait = limits.acquire(&key, &asker("a", urgency), &costs).await.unwrap_err();
        assert_eq!(turns(wait), turn, "{urgency:?}");
    }
    let late = limits.acquire(&key, &asker("b", Urgency::Drift), &costs).await.unwrap_err();
    assert_eq!(turns(late), 5);
}

#[tokio::test]
async fn what_a_call_really_cost_counts() {
    let (limits, key, costs) = limits(0.1, 10.0);
    let dear: Costs = vec![("b".into(), 10.0)];
    limits.acquire(&key, &change("a"), &dear).await.unwrap();
    limits.succeeded(&key, &dear, &[("b".into(), 9)]);
    limits.acquire(&key, &change("a"), &costs).await.unwrap();
    limits.succeeded(&key, &costs, &[("b".into(), 3)]);
    let wait = limits.acquire(&key, &change("a"), &costs).await.unwrap_err();
    assert_eq!(turns(wait), 3, "two too many, and one");
}

#[tokio::test]
async fn a_demanded_pause_closes_the_bucket_of_that_account() {
    let (limits, key, costs) = limits(1_000.0, 1_000.0);
    limits.throttled(&key, &costs, "", Some(Duration::from_secs(60)));
    limits.throttled(&key, &costs, "", Some(Duration::from_secs(1)));
    assert!(limits.acquire(&key, &change("a"), &costs).await.unwrap_err() > Duration::from_secs(50));
    let other = LimitKey { account: "other".into(), ..key };
    assert!(limits.acquire(&other, &change("a"), &costs).await.is_ok(), "another account suffers");
}
