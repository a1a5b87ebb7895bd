//! Fairness, urgency, bounds, pauses and breakers, on a paused clock.

use std::{collections::HashMap, sync::Arc, time::Duration};

use landlord_core::{ErrorKind, Failure, TenantUid, ports::TakenOver};
use landlord_provider_api::v1::{DescribeResponse, RateBucket};
use parking_lot::Mutex;
use tokio::{task::JoinSet, time::Instant};

use super::{Caller, Costs, LimitKey, Limits, Urgency, rate_queue::QUEUE_MAX};
use crate::ProviderOptions;

fn key() -> LimitKey {
    LimitKey { provider: "p".into(), account: "a".into(), region: "r".into() }
}

fn limits(rate: f64, burst: f64) -> (Arc<Limits>, Costs) {
    let limits = Limits::default();
    let bucket = RateBucket { name: "b".into(), rate_per_second: rate, burst, source: String::new() };
    let description = DescribeResponse { rate_buckets: vec![bucket], ..Default::default() };
    limits.learn(&key(), &description, &ProviderOptions::default());
    (Arc::new(limits), vec![("b".into(), 1.0)])
}

fn caller(customer: &str, urgency: Urgency) -> Caller {
    Caller { customer: customer.into(), tenant: TenantUid(uuid::Uuid::new_v4()), urgency }
}

fn failure(kind: ErrorKind) -> Failure {
    Failure::new(kind, "scripted")
}

/// Lets everybody come back at the time given until served; gives the order in which they were.
async fn served(limits: &Arc<Limits>, costs: &Costs, callers: Vec<(Caller, &'static str)>) -> Vec<&'static str> {
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = JoinSet::new();
    for (caller, name) in callers {
        let (limits, costs, order) = (Arc::clone(limits), costs.clone(), Arc::clone(&order));
        tasks.spawn(async move {
            while let Err(deferred) = limits.acquire(&key(), caller.clone(), &costs).await {
                tokio::time::sleep(deferred.wait).await;
            }
            order.lock().push(name);
        });
        // As they would come: one after the other.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    while tasks.join_next().await.is_some() {}
    order.lock().clone()
}

#[tokio::test(start_paused = true)]
async fn a_burst_passes_and_the_rest_goes_at_the_rate() {
    let (limits, costs) = limits(2.0, 3.0);
    let started = Instant::now();
    let callers = (0..203).map(|_| (caller("acme", Urgency::Change), "x")).collect();
    assert_eq!(served(&limits, &costs, callers).await.len(), 203);
    let took = started.elapsed().as_secs_f64();
    // 200 beyond the burst at 2 a second; whoever was sent away leaves no token unused for long.
    assert!((99.0..115.0).contains(&took), "{took} s");
}

/// How many calls go out at once.
async fn at_once(limits: &Limits, costs: &Costs) -> usize {
    let mut count = 0;
    while matches!(
        tokio::time::timeout(Duration::ZERO, limits.acquire(&key(), caller("acme", Urgency::Change), costs)).await,
        Ok(Ok(()))
    ) {
        count += 1;
    }
    count
}

#[tokio::test(start_paused = true)]
async fn an_account_that_is_taken_over_has_what_it_earned_since_it_was_left() {
    let taken = |free_for| TakenOver { account: "p/a".into(), free_for };
    let description = |burst| DescribeResponse {
        rate_buckets: vec![RateBucket { name: "b".into(), rate_per_second: 2.0, burst, source: String::new() }],
        ..Default::default()
    };
    let costs: Costs = vec![("b".into(), 1.0)];
    tokio::time::advance(Duration::from_secs(3600)).await;
    for (free_for, expected) in [(0, 0), (3, 6), (60, 10)] {
        // Before its buckets are known, and after.
        let limits = Limits::default();
        limits.take_over(&taken(Duration::from_secs(free_for)));
        limits.learn(&key(), &description(10.0), &ProviderOptions::default());
        assert_eq!(at_once(&limits, &costs).await, expected);
        let limits = Limits::default();
        limits.learn(&key(), &description(10.0), &ProviderOptions::default());
        limits.take_over(&taken(Duration::from_secs(free_for)));
        assert_eq!(at_once(&limits, &costs).await, expected);
    }
    // Another's stays full.
    let limits = Limits::default();
    limits.learn(&key(), &description(10.0), &ProviderOptions::default());
    limits.take_over(&TakenOver { account: "p/b".into(), free_for: Duration::ZERO });
    assert_eq!(at_once(&limits, &costs).await, 10);
}

#[tokio::test(start_paused = true)]
async fn a_customer_with_one_tenant_does_not_wait_for_the_many_of_another() {
    let (limits, costs) = limits(1.0, 1.0);
    let mut callers: Vec<_> = (0..60).map(|_| (caller("many", Urgency::Change), "many")).collect();
    callers.push((caller("one", Urgency::Change), "one"));
    let order = served(&limits, &costs, callers).await;
    let place = order.iter().position(|name| *name == "one").unwrap();
    assert!(place <= 3, "served as number {place}");
}

#[tokio::test(start_paused = true)]
async fn a_delete_goes_before_new_work_polling_and_drift() {
    let (limits, costs) = limits(1.0, 1.0);
    let mut callers = vec![(caller("c", Urgency::Change), "first")];
    for (urgency, name) in
        [(Urgency::Drift, "drift"), (Urgency::Poll, "poll"), (Urgency::Change, "change"), (Urgency::Repair, "repair")]
    {
        callers.push((caller("c", urgency), name));
    }
    assert_eq!(served(&limits, &costs, callers).await, ["first", "repair", "change", "poll", "drift"]);
}

#[tokio::test(start_paused = true)]
async fn what_waits_long_rises_so_that_nobody_starves() {
    let (limits, costs) = limits(1.0, 1.0);
    let order = Arc::new(Mutex::new(None));
    let mut tasks = JoinSet::new();
    let (their_limits, their_costs, reported) = (Arc::clone(&limits), costs.clone(), Arc::clone(&order));
    tasks.spawn(async move {
        let drift = caller("c", Urgency::Drift);
        while let Err(deferred) = their_limits.acquire(&key(), drift.clone(), &their_costs).await {
            tokio::time::sleep(deferred.wait).await;
        }
        *reported.lock() = Some(Instant::now());
    });
    let started = Instant::now();
    // Deletes without end, each from a tenant of its own: two a second where one a second passes.
    for _ in 0..1_200 {
        let (limits, costs) = (Arc::clone(&limits), costs.clone());
        tasks.spawn(async move {
            let repair = caller("c", Urgency::Repair);
            let _ = limits.acquire(&key(), repair, &costs).await;
        });
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let served = order.lock().expect("starved for ten minutes");
    assert!(served - started < Duration::from_secs(400), "{:?}", served - started);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_in_a_pass_for_what_comes_late() {
    let (limits, costs) = limits(0.001, 1.0);
    limits.acquire(&key(), caller("c", Urgency::Change), &costs).await.unwrap();
    let mut tasks = JoinSet::new();
    for _ in 0..10 * QUEUE_MAX {
        let (limits, costs) = (Arc::clone(&limits), costs.clone());
        tasks.spawn(async move { limits.acquire(&key(), caller("c", Urgency::Change), &costs).await });
    }
    let mut deferred = 0;
    while let Some(result) = tasks.join_next().await {
        deferred += usize::from(result.unwrap().is_err());
    }
    // A token comes after a thousand seconds: nobody's pass waits so long.
    assert_eq!(deferred, 10 * QUEUE_MAX);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_come_back_a_few_at_a_time_and_leave_no_token_unused() {
    const CALLERS: u64 = 10_000;
    let (limits, costs) = limits(10.0, 10.0);
    let (started, returns) = (Instant::now(), Arc::new(Mutex::new(HashMap::<u64, u64>::new())));
    let mut tasks = JoinSet::new();
    for _ in 0..CALLERS {
        let (limits, costs, returns) = (Arc::clone(&limits), costs.clone(), Arc::clone(&returns));
        tasks.spawn(async move {
            let caller = caller("c", Urgency::Change);
            while let Err(deferred) = limits.acquire(&key(), caller.clone(), &costs).await {
                let second = (started.elapsed() + deferred.wait).as_secs();
                *returns.lock().entry(second).or_default() += 1;
                tokio::time::sleep(deferred.wait).await;
            }
        });
        // Within a minute, as portals order them.
        tokio::time::sleep(Duration::from_millis(6)).await;
    }
    while tasks.join_next().await.is_some() {}
    let took = started.elapsed().as_secs();
    assert!((990..1_100).contains(&took), "{took} s");
    let returns = returns.lock();
    let (most, all) = (returns.values().max().copied().unwrap(), returns.values().sum::<u64>());
    assert!(most <= 40, "{most} in one second");
    assert!(all < 3 * CALLERS, "{all} returns");
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_a_slow_bucket_keeps_nobody_from_a_fast_one() {
    let limits = Limits::default();
    let rates = [("slow", 0.01), ("fast", 10.0)];
    let rate_buckets = rates.map(|(name, rate)| RateBucket {
        name: name.into(),
        rate_per_second: rate,
        burst: 1.0,
        source: String::new(),
    });
    let description = DescribeResponse { rate_buckets: rate_buckets.into(), ..Default::default() };
    limits.learn(&key(), &description, &ProviderOptions::default());
    let waits = async |name: &str| {
        let (key, costs): (_, Costs) = (key(), vec![(name.into(), 1.0)]);
        let calls = (0..200).map(|_| limits.acquire(&key, caller("c", Urgency::Change), &costs));
        let results = futures::future::join_all(calls).await;
        results.into_iter().filter_map(Result::err).map(|deferred| deferred.wait.as_secs()).max().unwrap()
    };
    let slow = waits("slow").await;
    assert!((900..=1_900).contains(&slow), "{slow} s");
    let fast = waits("fast").await;
    assert!((5..=25).contains(&fast), "{fast} s");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_leaves_its_place_and_takes_nothing() {
    let (limits, costs) = limits(1.0, 1.0);
    limits.acquire(&key(), caller("c", Urgency::Change), &costs).await.unwrap();
    for _ in 0..100 {
        let (key, dropped) = (key(), caller("c", Urgency::Repair));
        let waiting = limits.acquire(&key, dropped, &costs);
        assert!(tokio::time::timeout(Duration::from_millis(1), waiting).await.is_err());
    }
    let started = Instant::now();
    limits.acquire(&key(), caller("c", Urgency::Drift), &costs).await.unwrap();
    assert!(started.elapsed() <= Duration::from_secs(1), "a place of the dropped is still served");
}

#[tokio::test(start_paused = true)]
async fn a_demanded_pause_closes_the_bucket_of_that_account_only() {
    let (limits, costs) = limits(1_000.0, 1_000.0);
    let me = caller("c", Urgency::Change);
    let mut throttled = failure(ErrorKind::Throttled);
    throttled.retry_after_ms = Some(60_000);
    limits.ended(&key(), &me, &costs, Some(&throttled));
    let deferred = limits.acquire(&key(), me.clone(), &costs).await.unwrap_err();
    assert!(deferred.wait > Duration::from_secs(50), "{deferred:?}");
    let other = LimitKey { account: "other".into(), ..key() };
    assert!(limits.acquire(&other, me, &costs).await.is_ok(), "another account suffers");
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_responds_to_nobody_is_tried_by_one_call_at_a_time() {
    let (limits, costs) = limits(1_000.0, 1_000.0);
    let (a, b) = (caller("a", Urgency::Change), caller("b", Urgency::Change));
    for _ in 0..10 {
        limits.ended(&key(), &a, &costs, Some(&failure(ErrorKind::Transient)));
    }
    assert!(limits.outage(&key()).is_some(), "a streak is reported");
    assert!(limits.acquire(&key(), b.clone(), &costs).await.is_ok(), "one tenant alone stops the others");
    limits.ended(&key(), &b, &costs, Some(&failure(ErrorKind::Transient)));
    let opened = Instant::now();
    assert!(limits.acquire(&key(), a.clone(), &costs).await.is_ok(), "the trial");
    assert!(opened.elapsed() >= Duration::from_secs(5), "tried again after {:?}", opened.elapsed());
    assert!(limits.acquire(&key(), b.clone(), &costs).await.is_ok(), "the next trial");
    assert!(opened.elapsed() >= Duration::from_secs(10), "two trials at once");
    for _ in 0..3 {
        limits.ended(&key(), &a, &costs, Some(&failure(ErrorKind::Transient)));
    }
    let deferred = limits.acquire(&key(), b.clone(), &costs).await.unwrap_err();
    assert!(deferred.outage.is_some_and(|error| error == "scripted"), "the reason is reported");
    limits.ended(&key(), &a, &costs, None);
    assert!(limits.outage(&key()).is_none());
    let closed = Instant::now();
    for _ in 0..50 {
        assert!(limits.acquire(&key(), b.clone(), &costs).await.is_ok(), "closed again");
    }
    assert!(closed.elapsed() < Duration::from_millis(100));
}

#[tokio::test(start_paused = true)]
async fn a_breaker_is_shown_open_while_it_stops_calls_and_is_tried() {
    let (limits, costs) = limits(1_000.0, 1_000.0);
    let shown = || {
        limits.measure();
        let mut text = String::new();
        let mut registry = prometheus_client::registry::Registry::default();
        limits.figures.register(&mut registry);
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let line = text.lines().find(|line| line.starts_with("landlord_rate_bucket_breaker_open{")).unwrap();
        line.ends_with(" 1")
    };
    let (a, b) = (caller("a", Urgency::Change), caller("b", Urgency::Change));
    for _ in 0..10 {
        limits.ended(&key(), &a, &costs, Some(&failure(ErrorKind::Transient)));
    }
    assert!(!shown(), "one tenant alone stops nobody");
    limits.ended(&key(), &b, &costs, Some(&failure(ErrorKind::Transient)));
    assert!(shown());
    // Tried all the while, by calls that fail.
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_secs(60)).await;
        limits.ended(&key(), &a, &costs, Some(&failure(ErrorKind::Transient)));
        assert!(shown());
    }
    // The account is another daemon's now.
    tokio::time::sleep(Duration::from_secs(12 * 60)).await;
    assert!(!shown(), "nobody knows");
}
