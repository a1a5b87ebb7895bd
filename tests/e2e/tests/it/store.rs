//! The daemon's store: never made unasked, stopped with when it is gone, and restored without building again what was deleted
//! since. Judged by the simulated cloud's journal.

use std::{
    fs,
    process::{Command, Output},
    time::{Duration, Instant},
};

use landlord_e2e::{FAST, bare_world, on_every_cloud};
use landlord_test_harness::{Cloud, TenantFile, World, cloud::EKS, judge};

/// Far above what it takes (seconds): a busy machine is no failure.
const TIMEOUT: Duration = Duration::from_secs(180);

on_every_cloud!(what_was_deleted_since_a_backup_is_not_rebuilt_and_what_was_made_since_is_reported);

fn landlordd(world: &World, arguments: &[&str]) -> Output {
    let mut command = Command::new(&world.binaries().landlordd);
    command.arg("--config").arg(world.config()).args(arguments).output().unwrap()
}

fn reported(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Waits until the daemon's log has a line with all of these.
fn logged(world: &World, parts: &[&str]) -> String {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let log = world.log_tail(10_000);
        if let Some(line) = log.lines().find(|line| parts.iter().all(|part| line.contains(part))) {
            return line.to_owned();
        }
        assert!(Instant::now() < deadline, "{parts:?} is not in the log:\n{}", world.log_tail(40));
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn ready(world: &World, tenant: &TenantFile) -> String {
    world.cli().apply(tenant).unwrap();
    let shown = world.cli().wait_for(&tenant.name(), "READY", TIMEOUT).unwrap().unwrap();
    shown["uid"].as_str().unwrap().to_owned()
}

fn what_was_deleted_since_a_backup_is_not_rebuilt_and_what_was_made_since_is_reported(cloud: &'static Cloud) {
    let mut world = bare_world(cloud, FAST).unwrap();
    let [kept, gone, late, left] =
        ["kept", "gone", "late", "left"].map(|id| TenantFile::new("acme", id, &cloud.bare_class()));
    ready(&world, &kept);
    let gone_uid = ready(&world, &gone);
    let backup = world.folder().join("backup.db");
    let copied = landlordd(&world, &["backup", backup.to_str().unwrap()]);
    assert!(copied.status.success(), "{}", reported(&copied));
    assert!(reported(&copied).contains("copied 2 environments"), "{}", reported(&copied));
    world.cli().ok(&["delete", &gone.name()]).unwrap();
    world.cli().wait_for(&gone.name(), "GONE", TIMEOUT).unwrap();
    let (late_uid, left_uid) = (ready(&world, &late), ready(&world, &left));
    let under = landlordd(&world, &["restore", backup.to_str().unwrap(), "--replace"]);
    assert!(!under.status.success() && reported(&under).contains("in use by process"), "{}", reported(&under));
    assert!(world.stop_daemon().unwrap());
    let restored = landlordd(&world, &["restore", backup.to_str().unwrap(), "--replace"]);
    assert!(restored.status.success(), "{}", reported(&restored));

    let before = world.simulator().control().journal(0).unwrap().len();
    world.start_daemon().unwrap();
    world.cli().wait_for(&gone.name(), "FAILED", TIMEOUT).unwrap();
    world.cli().wait_for(&kept.name(), "READY", TIMEOUT).unwrap();
    logged(&world, &["have no record", &late_uid, &left_uid]);
    let described = world.cli().ok(&["describe", "tenant", &gone.name()]).unwrap();
    assert!(described.contains("HeldAfterRestore"), "{described}");
    // Longer than any pass waits for its turn.
    std::thread::sleep(Duration::from_secs(3));
    let journal = world.simulator().control().journal(0).unwrap();
    let changes: Vec<_> = journal[before..]
        .iter()
        .filter(|entry| entry["origin"] == "call" && !judge::is_read(judge::text(entry, "action")))
        .filter(|entry| [&gone_uid, &late_uid, &left_uid].into_iter().any(|uid| entry.to_string().contains(uid)))
        .collect();
    assert!(changes.is_empty(), "{changes:#?}");
    take_up_again(&world, &late, &late_uid, &left_uid);
    // Deleting what is gone ends its record.
    for tenant in [&gone, &kept, &late] {
        world.cli().ok(&["delete", &tenant.name()]).unwrap();
    }
    for tenant in [&gone, &kept, &late] {
        world.cli().wait_for(&tenant.name(), "GONE", TIMEOUT).unwrap();
    }
    judge::account_is_empty(world.simulator().control(), cloud.account).unwrap();
}

/// What was made since the backup: one is taken back as it was, and nothing is built for it; the other is removed.
fn take_up_again(world: &World, late: &TenantFile, late_uid: &str, left_uid: &str) {
    let cli = world.cli();
    let listed = cli.ok(&["orphans", "-o", "json"]).unwrap();
    assert!(listed.contains(late_uid) && listed.contains(left_uid), "{listed}");
    let file = world.folder().join("late.yaml");
    fs::write(&file, late.yaml()).unwrap();
    cli.ok(&["orphans", "adopt", late_uid, "-f", file.to_str().unwrap()]).unwrap();
    let reported = cli.ok(&["orphans", "remove", left_uid, "--wait"]).unwrap();
    assert!(
        reported.contains("HostedZone") || reported.contains("anagedZone") || reported.contains("dnszones"),
        "{reported}"
    );
    let adopted = cli.wait_for(&late.name(), "READY", TIMEOUT).unwrap().unwrap();
    assert_eq!(adopted["uid"].as_str(), Some(late_uid));
    let removed = format!("customers/orphans/tenants/o-{left_uid}");
    cli.wait_for(&removed, "GONE", TIMEOUT).unwrap();
    let listed = cli.ok(&["orphans", "-o", "json"]).unwrap();
    assert!(!listed.contains(late_uid) && !listed.contains(left_uid), "{listed}");
    judge::nothing_made_twice(&world.simulator().control().journal(0).unwrap(), 4).unwrap();
}

#[test]
fn a_daemon_whose_store_is_removed_stops_and_makes_no_other() {
    let mut world = bare_world(&EKS, FAST).unwrap();
    let tenant = TenantFile::new("acme", "prod", &EKS.bare_class());
    ready(&world, &tenant);
    let store = world.folder().join("landlord.db");
    fs::rename(&store, world.folder().join("moved.db")).unwrap();
    let deadline = Instant::now() + TIMEOUT;
    let status = loop {
        if let Some(status) = world.daemon().unwrap().ended().unwrap() {
            break status;
        }
        assert!(Instant::now() < deadline, "the daemon goes on:\n{}", world.log_tail(20));
        std::thread::sleep(Duration::from_millis(50));
    };
    assert!(!status.success());
    logged(&world, &["is not there any more while the daemon has it open", "landlordd restore"]);
    for content in [None, Some("")] {
        if let Some(content) = content {
            fs::write(&store, content).unwrap();
        }
        let refused = landlordd(&world, &[]);
        assert!(
            !refused.status.success() && reported(&refused).contains("there is no store at"),
            "{}",
            reported(&refused)
        );
    }
    assert_eq!(fs::metadata(&store).unwrap().len(), 0, "a store was made unasked");
}
