//! Two daemons on one PostgreSQL: an account's environments are driven by one of them, and by the other after kill -9. Judged by
//! the simulated cloud's journal.

use std::time::{Duration, Instant};

use landlord_e2e::binaries;
use landlord_store_contract::postgres::Server;
use landlord_test_harness::{Cli, Replica, TenantFile, World, WorldOptions, cloud::EKS, judge};

/// Far above what it takes: a busy machine is no failure.
const TIMEOUT: Duration = Duration::from_secs(180);
/// A daemon on a busy machine renews it in time: one that does not loses its work, and rightly so.
const LEASE: Duration = Duration::from_secs(6);
/// A create takes some seconds, so that it can be cut in two.
const TIME_SCALE: f64 = 1.0 / 200.0;

/// An orderly end hands its leases over: the other daemon checks every second, and its plugin makes a call. A busy machine takes its
/// time for that; a lease, here of ten minutes, it is not.
const HAND_OVER: Duration = Duration::from_secs(60);

/// A second daemon of the same configuration.
fn second(world: &World) -> Replica {
    Replica::start(world, "second", &[]).unwrap()
}

fn daemons(cli: &Cli) -> Vec<serde_json::Value> {
    let text = cli.ok(&["get", "daemons", "-o", "json"]).unwrap();
    let shown: serde_json::Value = serde_json::from_str(&text).unwrap();
    shown.as_array().unwrap_or_else(|| panic!("{text}")).clone()
}

#[test]
#[expect(clippy::print_stdout, reason = "the figure is shown")]
fn a_daemon_that_ends_in_order_hands_its_work_over_at_once() {
    let server = Server::start("handover");
    // With a lease that nobody waits for in a test.
    let options = WorldOptions {
        time_scale: TIME_SCALE,
        store_url: server.database(),
        extra_config: "\n[engine]\nlease_ttl = '10m'\n".into(),
        ..WorldOptions::default()
    };
    let mut world = World::temporary(binaries().unwrap(), &options).unwrap();
    let tenant = TenantFile::new("acme", "t", &EKS.bare_class());
    world.cli().apply(&tenant).unwrap();
    world.cli().wait_for(&tenant.name(), "PROVISIONING", TIMEOUT).unwrap();
    let second = second(&world);
    assert!(!second.works().unwrap());
    assert!(world.stop_daemon().unwrap());
    let ended = Instant::now();
    while !second.works().unwrap() {
        assert!(ended.elapsed() < HAND_OVER, "nobody took over");
        std::thread::sleep(Duration::from_millis(20));
    }
    println!("taken over after {:?}", ended.elapsed());
    let shown = daemons(&second.cli);
    assert_eq!(shown.len(), 1, "{shown:?}");
    second.cli.wait_for(&tenant.name(), "READY", TIMEOUT).unwrap();
}

#[test]
fn two_daemons_share_a_database_and_no_work() {
    let server = Server::start("daemons");
    let options = WorldOptions {
        time_scale: TIME_SCALE,
        store_url: server.database(),
        extra_config: format!("\n[engine]\nlease_ttl = '{}s'\n", LEASE.as_secs()),
        ..WorldOptions::default()
    };
    let mut world = World::temporary(binaries().unwrap(), &options).unwrap();
    let tenants: Vec<TenantFile> =
        (0..4).map(|turn| TenantFile::new("acme", &format!("t{turn}"), &EKS.bare_class())).collect();
    // The first works in the account; only then the second comes.
    world.cli().apply(&tenants[0]).unwrap();
    world.cli().wait_for(&tenants[0].name(), "PROVISIONING", TIMEOUT).unwrap();
    let second = second(&world);
    // Whichever gets the request accepts, and one of them works.
    second.cli.apply(&tenants[1]).unwrap();
    world.cli().apply(&tenants[2]).unwrap();
    second.cli.wait_for(&tenants[1].name(), "PROVISIONING", TIMEOUT).unwrap();
    let began = Instant::now();
    while !world.metrics().unwrap().contains("method=\"Ensure") {
        assert!(began.elapsed() < TIMEOUT, "nobody works");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(!second.works().unwrap(), "both daemons call one account");

    // Whichever gets the request knows both, and which of them works.
    let shown = daemons(&second.cli);
    assert_eq!(shown.len(), 2, "{shown:?}");
    assert_eq!(shown.iter().filter(|daemon| daemon["accountLeaseCount"] == 1).count(), 1, "{shown:?}");
    let answering = shown.iter().find(|daemon| daemon["answering"] == true).unwrap();
    assert_eq!((&answering["accountLeaseCount"], &answering["environmentLeaseCount"]), (&0.into(), &0.into()));

    world.crash_daemon().unwrap();
    let killed = Instant::now();
    second.cli.apply(&tenants[3]).unwrap();
    while !second.works().unwrap() {
        assert!(killed.elapsed() < LEASE + TIMEOUT, "nobody took over");
        std::thread::sleep(Duration::from_millis(50));
    }
    let took = killed.elapsed();
    // It was renewed in each third of its time, or a little later.
    assert!(took > LEASE / 4, "taken over after {took:?}, while the lease ran");
    for tenant in &tenants {
        second.cli.wait_for(&tenant.name(), "READY", TIMEOUT).unwrap();
    }
    // The first comes back and finds the account taken; what it is requested is done all the same.
    world.start_daemon().unwrap();
    for tenant in &tenants {
        world.cli().ok(&["delete", &tenant.name()]).unwrap();
    }
    for tenant in &tenants {
        world.cli().wait_for(&tenant.name(), "GONE", TIMEOUT).unwrap();
    }
    let control = world.simulator().control();
    judge::account_is_empty(control, EKS.account).unwrap();
    let journal = control.journal(0).unwrap();
    judge::nothing_made_twice(&journal, tenants.len()).unwrap();
    judge::everything_is_marked(&journal, EKS.account).unwrap();
}

/// Keys of one account, one for each daemon: by them the cloud's journal distinguishes the daemons.
fn key(daemon: usize) -> String {
    format!("AKIA{}SIM{daemon}", EKS.account)
}

fn calls_of(journal: &[serde_json::Value], daemon: usize, after: i64) -> Vec<&serde_json::Value> {
    let key = key(daemon);
    let is_its = |entry: &&serde_json::Value| entry["access_key"] == *key && entry["origin"] == "call";
    journal.iter().filter(is_its).filter(|entry| entry["seq"].as_i64().unwrap() > after).collect()
}

fn signal(replica: &Replica, name: &str) {
    let pid = replica.service.pid().to_string();
    assert!(std::process::Command::new("kill").args([name, &pid]).status().unwrap().success());
}

/// A daemon is stopped for longer than its lease, in the middle of its work, and goes on where it was: by then the work is another's,
/// and the cloud hears nothing more from it. Its plugin's process is not stopped: what it was sent before has its end.
#[expect(clippy::print_stdout, reason = "the figure is shown")]
fn paused(rounds: usize) {
    let server = Server::start("paused");
    // Calls wait for their turn, so that at every moment some are about to go out.
    let scarce = "[providers.eks.rate_buckets.\"cloudformation/read\"]\nrate_per_second = 0.5\nburst = 1.0\n";
    let options = WorldOptions {
        time_scale: 1.0 / 20.0,
        store_url: server.database(),
        extra_config: format!("\n[engine]\nlease_ttl = '{}s'\n{scarce}", LEASE.as_secs()),
        ..WorldOptions::default()
    };
    let mut world = World::temporary(binaries().unwrap(), &options).unwrap();
    assert!(world.stop_daemon().unwrap());
    // A network that the account has no room for is rolled back and tried again, which is no second one.
    world.simulator().control().lift_quotas(EKS.account).unwrap();
    let start = |daemon: usize| {
        let own = format!("providers.eks.credentials.default.access_key_id={}", key(daemon));
        Replica::start(&world, &format!("r{daemon}"), &[own]).unwrap()
    };
    let replicas = [start(0), start(1)];
    let journal = || world.simulator().control().journal(0).unwrap();
    let last = |journal: &[serde_json::Value]| journal.last().map_or(0, |entry| entry["seq"].as_i64().unwrap());
    let mut tenants = 0;
    let mut order = |replica: &Replica, count: usize| {
        for turn in tenants..tenants + count {
            replica.cli.apply(&TenantFile::new("acme", &format!("t{turn}"), &EKS.bare_class())).unwrap();
        }
        tenants += count;
        tenants
    };
    order(&replicas[0], 40);
    let wait_for_calls = |daemon: usize, after: i64| {
        let began = Instant::now();
        while calls_of(&journal(), daemon, after).is_empty() {
            assert!(began.elapsed() < TIMEOUT, "daemon {daemon} calls nothing");
            std::thread::sleep(Duration::from_millis(50));
        }
        began.elapsed()
    };
    let is_called_by = |daemon: usize| !calls_of(&journal(), daemon, 0).is_empty();
    while !is_called_by(0) && !is_called_by(1) {
        std::thread::sleep(Duration::from_millis(50));
    }
    let mut owner = usize::from(is_called_by(1));
    for round in 0..rounds {
        let other = 1 - owner;
        if round > 0 {
            // Networks, whose calls wait for their turn: those of before may be done with them.
            order(&replicas[other], 20);
        }
        let before = last(&journal());
        signal(&replicas[owner], "-STOP");
        let took = wait_for_calls(other, before);
        println!("daemon {owner} paused: taken over after {took:?}");
        std::thread::sleep(LEASE);
        let resumed = last(&journal());
        signal(&replicas[owner], "-CONT");
        // Whatever waited in it has come up by then; the other one is at work all the while, or nothing is shown.
        std::thread::sleep(LEASE);
        wait_for_calls(other, resumed);
        let seen = journal();
        let late = calls_of(&seen, owner, resumed);
        assert!(late.is_empty(), "{} calls of a daemon that was paused: {:#?}", late.len(), late.first());
        owner = other;
    }
    let seen = journal();
    judge::nothing_made_twice(&seen, order(&replicas[0], 0)).unwrap();
    judge::never_two_at_once(&seen).unwrap();
}

#[test]
fn a_paused_daemon_calls_nothing_any_more_in_the_cloud() {
    paused(1);
}

#[test]
#[ignore = "takes minutes: cargo xtask test --long"]
fn long_daemons_that_are_paused_in_turn_call_nothing_any_more() {
    paused(6);
}
