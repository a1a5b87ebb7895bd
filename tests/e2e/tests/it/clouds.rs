//! Several clouds behind one daemon: tenants of different customers on all of them, and one cloud
//! that is down delays only its own.

use std::time::{Duration, Instant};

use landlord_e2e::{FAST, PATIENT, binaries};
use landlord_test_harness::{Cloud, TenantFile, World, WorldOptions, cloud, judge};
use serde_json::json;

/// Far above what it takes (seconds): a busy machine is no failure.
const TIMEOUT: Duration = Duration::from_secs(180);
/// In simulated time, at least.
const OUTAGE: Duration = Duration::from_secs(30 * 60);
fn world() -> World {
    let options = WorldOptions {
        time_scale: FAST,
        clouds: cloud::ALL.to_vec(),
        // The outage lasts until the others are READY, which on a busy machine can take long.
        extra_config: PATIENT.into(),
        ..WorldOptions::default()
    };
    World::temporary(binaries().unwrap(), &options).unwrap()
}

fn tenants(cloud: &Cloud) -> [TenantFile; 2] {
    ["acme", "globex"].map(|customer| TenantFile::new(customer, &format!("on-{}", cloud.provider), &cloud.bare_class()))
}

fn state(world: &World, name: &str) -> serde_json::Value {
    world.cli().tenant(name).unwrap().unwrap()
}

#[test]
fn a_cloud_that_is_down_delays_only_its_own_tenants() {
    let world = world();
    let (cli, control) = (world.cli(), world.simulator().control());
    let [down, up @ ..] = cloud::ALL;
    for tenant in cloud::ALL.into_iter().flat_map(tenants) {
        cli.apply(&tenant).unwrap();
    }
    // Every call to it is lost: connections break, nothing takes effect.
    control.post("faults", &json!({"kind": "lost_request", "account": down.account, "rate": 1.0})).unwrap();
    let began = Instant::now();
    for tenant in up.into_iter().flat_map(tenants) {
        cli.wait_for(&tenant.name(), "READY", TIMEOUT).unwrap();
    }
    while began.elapsed() < OUTAGE.mul_f64(FAST) {
        std::thread::sleep(Duration::from_millis(50));
    }
    for tenant in tenants(down) {
        let shown = state(&world, &tenant.name());
        assert_eq!(shown["state"], "PROVISIONING", "{shown:#}");
        let conditions = shown["conditions"].as_array().unwrap();
        let degraded = conditions.iter().find(|condition| condition["type"] == "ProviderDegraded");
        assert!(degraded.is_some_and(|condition| condition["status"] == true), "{conditions:#?}");
    }
    control.delete("faults").unwrap();
    for tenant in tenants(down) {
        cli.wait_for(&tenant.name(), "READY", TIMEOUT).unwrap();
        let shown = state(&world, &tenant.name());
        let conditions = shown["conditions"].as_array().unwrap();
        assert!(
            conditions.iter().all(|condition| condition["type"] != "ProviderDegraded" || condition["status"] == false),
            "{conditions:#?}"
        );
    }
    for tenant in cloud::ALL.into_iter().flat_map(tenants) {
        cli.ok(&["delete", &tenant.name()]).unwrap();
    }
    for tenant in cloud::ALL.into_iter().flat_map(tenants) {
        cli.wait_for(&tenant.name(), "GONE", TIMEOUT).unwrap();
    }
    for cloud in cloud::ALL {
        judge::account_is_empty(control, cloud.account).unwrap();
    }
    let journal = control.journal(0).unwrap();
    judge::nothing_made_twice(&journal, 2).unwrap();
    judge::every_single_type_occurs(&journal).unwrap();
}
