//! Calls whose response, or effect, does not come as expected: creates that take effect after their removal found nothing,
//! changes that the cloud accepts and drops, keys that were replaced.

use std::{fs, time::Duration};

use landlord_e2e::{FAST, bare_world, on_every_cloud};
use landlord_test_harness::{Cloud, TenantFile, cloud::EKS, judge};
use serde_json::json;

/// Far above what it takes (seconds): a busy machine is no failure.
const TIMEOUT: Duration = Duration::from_secs(180);
/// Slow enough that a removal, which takes seconds, is over long before a late create would be given up: half a minute, since a
/// busy machine needs many seconds to start the daemon again.
const SLOW: f64 = 1.0 / 4.0;

on_every_cloud!(
    a_change_that_the_cloud_drops_fails_with_field_wanted_and_seen,
    a_create_that_takes_effect_after_its_removal_found_nothing_leaves_nothing,
);

fn a_change_that_the_cloud_drops_fails_with_field_wanted_and_seen(cloud: &'static Cloud) {
    let world = bare_world(cloud, FAST).unwrap();
    let (cli, control) = (world.cli(), world.simulator().control());
    let mut tenant = TenantFile::new("acme", "prod", &cloud.bare_class());
    cli.apply(&tenant).unwrap();
    cli.wait_for(&tenant.name(), "READY", TIMEOUT).unwrap();
    control.post("faults", &json!({"kind": "dropped", "account": cloud.account})).unwrap();
    tenant.more = "  nodeCount: 3\n".into();
    cli.apply(&tenant).unwrap();
    cli.wait_for(&tenant.name(), "FAILED", TIMEOUT).unwrap();
    let described = cli.ok(&["describe", &tenant.name()]).unwrap();
    assert!(described.contains("CONFLICT") && described.contains("does not show it"), "{described}");
    assert!(described.contains("wanted") && described.contains("seen"), "{described}");
    control.delete("faults").unwrap();
    cli.ok(&["retry", &tenant.name()]).unwrap();
    cli.wait_for(&tenant.name(), "READY", TIMEOUT).unwrap();
}

/// The call that makes the first object of a network: service and action, as the simulators name them.
fn network_create(cloud: &Cloud) -> (&'static str, &'static str) {
    match cloud.provider {
        "eks" => ("cloudformation", "CreateStack"),
        "gke" => ("compute", "networks.insert"),
        _ => ("network", "virtualNetworks.CreateOrUpdate"),
    }
}

fn a_create_that_takes_effect_after_its_removal_found_nothing_leaves_nothing(cloud: &'static Cloud) {
    let mut world = bare_world(cloud, SLOW).unwrap();
    let (service, action) = network_create(cloud);
    let rule = json!({"kind": "hold", "phase": "before", "service": service, "action": action, "count": 1});
    world.simulator().control().post("faults", &rule).unwrap();
    let tenant = TenantFile::new("acme", "prod", &cloud.bare_class());
    world.cli().apply(&tenant).unwrap();
    let held = world.simulator().control().get("holds?wait_ms=60000").unwrap();
    let id = held["holds"][0]["id"].as_u64().unwrap_or_else(|| panic!("nothing is held: {held}"));
    // The daemon is killed with the call on its way, and the next one removes the tenant.
    world.cli().ok(&["delete", &tenant.name()]).unwrap();
    world.crash_daemon().unwrap();
    world.start_daemon().unwrap();
    let since = std::time::Instant::now();
    while !world.cli().ok(&["describe", &tenant.name()]).unwrap().contains("observed once more") {
        assert!(since.elapsed() < TIMEOUT, "{}", world.cli().ok(&["describe", &tenant.name()]).unwrap());
        std::thread::sleep(Duration::from_millis(50));
    }
    let control = world.simulator().control();
    control.delete("faults").unwrap();
    control.post(&format!("holds/{id}/release"), &json!({})).unwrap();
    world.cli().wait_for(&tenant.name(), "GONE", TIMEOUT).unwrap();
    judge::account_is_empty(world.simulator().control(), cloud.account).unwrap();
}

#[test]
fn a_key_that_was_replaced_is_used_after_a_retry() {
    let world = bare_world(&EKS, FAST).unwrap();
    let (cli, control) = (world.cli(), world.simulator().control());
    let key = json!({"access_key_id": format!("AKIA{}SIM0", EKS.account), "secret_access_key": "rotated"});
    control.post("credentials", &key).unwrap();
    let tenant = TenantFile::new("acme", "prod", &EKS.bare_class());
    cli.apply(&tenant).unwrap();
    cli.wait_for(&tenant.name(), "FAILED", TIMEOUT).unwrap();
    let described = cli.ok(&["describe", &tenant.name()]).unwrap();
    assert!(described.contains("AUTH"), "{described}");
    fs::write(world.folder().join("eks-secret"), "rotated\n").unwrap();
    cli.ok(&["retry", &tenant.name()]).unwrap();
    cli.wait_for(&tenant.name(), "READY", TIMEOUT).unwrap_or_else(|error| {
        panic!("{error}:\n{}\n{}", cli.ok(&["describe", &tenant.name()]).unwrap(), world.log_tail(30))
    });
}
