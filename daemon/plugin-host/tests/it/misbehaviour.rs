//! Plugins that misbehave: each costs its own calls and at most one restart, and nobody else
//! anything.

use std::{sync::Arc, time::Duration};

use landlord_plugin_host::{Plugin, PluginOptions};
use landlord_provider_api::{ErrorKind, Network as _, Provider as _, v1};
use serde_json::json;
use tokio::task::JoinSet;

use crate::world::{CALL_DEADLINE, World, call, network, options, pid, short};

/// Enough for the runtime's stacks and allocator arenas, far too little for the flood.
const MEMORY_MAX_MIB: u64 = 1_024;

/// One misbehaving call between calls of an innocent plugin; the next one works again.
async fn costs(action: &str, kind: ErrorKind, restarts: u64, options: PluginOptions) {
    let world = World::new();
    let innocent = world.fake("innocent", json!([]));
    call(&innocent).await.unwrap();
    let innocent_pid = pid(&innocent);
    let fault = json!({"method": "EnsureNetwork", "times": 1, "action": action});
    let plugin = world.fake_with("guilty", json!([fault]), options);
    plugin.start().await.unwrap();
    let mut guilty = JoinSet::new();
    let sent = Arc::clone(&plugin);
    guilty.spawn(async move { call(&sent).await });
    let error = loop {
        tokio::select! {
            result = guilty.join_next() => break result.unwrap().unwrap().unwrap_err(),
            result = call(&innocent) => result.unwrap(),
        }
    };
    assert_eq!(error.kind, kind, "{error}");
    call(&plugin).await.unwrap();
    let health = plugin.health();
    assert_eq!((health.healthy, health.restarts), (true, restarts), "{health:?}");
    assert_eq!(pid(&innocent), innocent_pid);
    assert_eq!(innocent.health().restarts, 0);
}

#[tokio::test]
async fn an_abort() {
    costs("abort", ErrorKind::Transient, 1, options()).await;
}

#[tokio::test]
async fn a_segfault() {
    costs("segfault", ErrorKind::Transient, 1, options()).await;
}

#[tokio::test]
async fn a_flood_of_memory() {
    let options = PluginOptions { memory_max_mib: MEMORY_MAX_MIB, ..options() };
    costs("flood", ErrorKind::Transient, 1, options).await;
}

#[tokio::test]
async fn a_hang_ends_with_the_deadline_without_a_restart() {
    costs("hang", ErrorKind::Transient, 0, short()).await;
}

#[tokio::test]
async fn a_busy_hang_is_killed() {
    costs("busy-hang", ErrorKind::Transient, 1, short()).await;
}

#[tokio::test]
async fn a_call_that_never_returns_is_killed() {
    costs("block", ErrorKind::Transient, 1, short()).await;
}

#[tokio::test]
async fn garbage_gets_a_new_process() {
    costs("garbage", ErrorKind::Internal, 1, options()).await;
}

#[tokio::test]
async fn a_panic_is_an_error_like_others() {
    costs("panic", ErrorKind::Internal, 0, options()).await;
}

#[tokio::test]
async fn typed_errors_arrive_whole() {
    let world = World::new();
    let fault = json!({
        "method": "EnsureNetwork",
        "action": {"error": {
            "kind": "THROTTLED", "message": "slow down", "code": "Throttling", "remedy": "wait",
            "retry_after_ms": 1500, "bucket": "fake/all",
        }},
    });
    let plugin = world.fake("default", json!([fault]));
    let error = call(&plugin).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Throttled);
    assert_eq!(error.message, "slow down");
    assert_eq!(error.code, "Throttling");
    assert_eq!(error.remedy, "wait");
    assert_eq!(error.retry_after, Some(Duration::from_millis(1500)));
    assert_eq!(error.bucket, "fake/all");
}

#[tokio::test]
async fn a_crash_costs_all_calls_in_flight_and_says_how() {
    let world = World::new();
    let faults = json!([
        {"method": "EnsureNetwork", "action": {"slow": {"delay_ms": 15000}}, "tenant_uid": "t2"},
        {"method": "EnsureNetwork", "action": "abort", "tenant_uid": "t3"},
    ]);
    let plugin = world.fake("default", faults);
    plugin.start().await.unwrap();
    let mut waiting = JoinSet::new();
    for _ in 0..5 {
        let plugin = Arc::clone(&plugin);
        waiting.spawn(async move { plugin.ensure_network(network("t2")).await });
    }
    // The journal of the fake is not touched by a slow call; a completed call shows that the
    // earlier ones were read, since the child reads in order.
    call(&plugin).await.unwrap();
    let error = plugin.ensure_network(network("t3")).await.unwrap_err();
    assert!(error.message.contains("SIGABRT"), "{error}");
    while let Some(result) = waiting.join_next().await {
        assert_eq!(result.unwrap().unwrap_err().kind, ErrorKind::Transient);
    }
    let health = plugin.health();
    assert!(!health.healthy && health.detail.contains("SIGABRT"), "{health:?}");
}

#[tokio::test]
async fn a_plugin_that_keeps_crashing_is_left_alone_for_a_while() {
    let world = World::new();
    let plugin = world.fake("default", json!([{"method": "EnsureNetwork", "action": "abort"}]));
    let mut refused = None;
    // The first crash costs no wait, the second one does.
    for _ in 0..3 {
        refused = Some(call(&plugin).await.unwrap_err());
    }
    let refused = refused.unwrap();
    assert_eq!(refused.kind, ErrorKind::Transient);
    let wait = refused.retry_after.expect("a refusal says when to come back");
    assert!(!refused.remedy.is_empty() && refused.message.contains("is down"), "{refused}");
    assert_eq!(plugin.health().restarts, 1, "a refused call starts nothing");
    world.script("default", json!([]));
    tokio::time::sleep(wait).await;
    call(&plugin).await.unwrap();
    assert!(plugin.health().healthy);
}

#[tokio::test]
async fn on_a_fast_simulator_a_plugin_that_keeps_crashing_is_back_sooner() {
    let world = World::new();
    let faults = json!([{"method": "EnsureNetwork", "action": "abort"}]);
    let plugin = world.fake_with("default", faults, PluginOptions { time_scale: 0.001, ..options() });
    for _ in 0..6 {
        if let Some(wait) = call(&plugin).await.unwrap_err().retry_after {
            assert!(wait <= Duration::from_millis(30), "{wait:?}");
            tokio::time::sleep(wait).await;
        }
    }
    assert!(plugin.health().restarts >= 3, "{:?}", plugin.health());
}

#[tokio::test]
async fn a_hang_while_it_is_configured() {
    let world = World::new();
    let hang = json!([{"method": "Configure", "action": "busy-hang", "times": 1}]);
    let plugin = world.fake_with("default", hang, short());
    let error = plugin.start().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Transient, "{error}");
    call(&plugin).await.unwrap();
}

#[tokio::test]
async fn settings_that_are_refused() {
    let world = World::new();
    let settings = json!({"state_dir": world.path("cloud"), "colour": "red"});
    let file = landlord_plugin_host::PluginFile::check(&crate::world::fake_library(), None).unwrap();
    let plugin = Plugin::new(crate::world::key("default"), file, crate::world::configure(&settings), options());
    let error = plugin.start().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Invalid);
    assert!(error.message.contains("colour"), "{error}");
    assert!(plugin.health().detail.contains("colour"), "{:?}", plugin.health());
}

#[tokio::test]
async fn sixty_four_calls_at_once() {
    let world = World::new();
    let slow = json!([{"method": "EnsureNetwork", "action": {"slow": {"delay_ms": 1000}}}]);
    let plugin = world.fake("default", slow);
    plugin.start().await.unwrap();
    let mut calls = JoinSet::new();
    for n in 0..64 {
        let plugin = Arc::clone(&plugin);
        calls.spawn(async move { plugin.ensure_network(network(&format!("t{n}"))).await });
    }
    let all = tokio::time::timeout(CALL_DEADLINE, calls.join_all()).await;
    // One after another they would take more than a minute.
    assert_eq!(all.unwrap().iter().filter(|result| result.is_ok()).count(), 64);
    assert_eq!(plugin.health().restarts, 0);
}

#[tokio::test]
async fn a_request_longer_than_a_frame_is_not_sent() {
    let world = World::new();
    let plugin = world.fake("default", json!([]));
    plugin.start().await.unwrap();
    let request = v1::EnsureNetworkRequest { parameters_json: "x".repeat(17 << 20), ..network("t1") };
    let error = plugin.ensure_network(request).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Invalid, "{error}");
    call(&plugin).await.unwrap();
    assert_eq!(plugin.health().restarts, 0);
}

#[tokio::test]
async fn calls_that_are_given_up_tear_no_frame() {
    let world = World::new();
    let plugin = world.fake("default", json!([]));
    plugin.start().await.unwrap();
    for _ in 0..5 {
        let request = v1::EnsureNetworkRequest { parameters_json: "x".repeat(8 << 20), ..network("t2") };
        let mut call = Box::pin(plugin.ensure_network(request));
        // Polled once: more than a socket's buffer is on its way, and most of it is not sent.
        assert!(futures::poll!(&mut call).is_pending());
    }
    call(&plugin).await.unwrap();
    assert_eq!(plugin.describe(v1::DescribeRequest {}).await.unwrap().name, "fake");
    assert_eq!(plugin.health().restarts, 0);
}

#[tokio::test]
async fn calls_that_are_given_up_do_not_pile_up_without_end() {
    let world = World::new();
    let plugin = world.fake("default", json!([]));
    plugin.start().await.unwrap();
    let long = || v1::EnsureNetworkRequest { parameters_json: "x".repeat(15 << 20), ..network("t2") };
    for _ in 0..4 {
        let mut call = Box::pin(plugin.ensure_network(long()));
        assert!(futures::poll!(&mut call).is_pending());
    }
    let mut one_more = Box::pin(plugin.ensure_network(long()));
    let std::task::Poll::Ready(Err(refused)) = futures::poll!(&mut one_more) else { panic!("more than 64 MiB wait") };
    assert_eq!(refused.kind, ErrorKind::Transient);
    assert!(plugin.health().detail.contains("read nothing any more"), "{:?}", plugin.health());
    call(&plugin).await.unwrap();
}

#[tokio::test]
async fn errors_without_end_are_cut() {
    let world = World::new();
    let texts = "é".repeat(100_000);
    let error = json!({"kind": "INVALID", "message": texts, "code": texts, "remedy": texts});
    let plugin = world.fake("default", json!([{"method": "EnsureNetwork", "action": {"error": error}}]));
    let error = call(&plugin).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Invalid);
    for (text, bytes_max) in [(&error.message, 4_096), (&error.remedy, 4_096), (&error.code, 256)] {
        assert!(text.len() == bytes_max && text.starts_with('é'), "{} bytes", text.len());
    }
}
