//! kill -9 of the daemon, and of its plugin, while the platform is brought up, while checks use it, and while it is removed: everything
//! becomes READY all the same, nothing that a check made is left, and the account is empty in the end.

use std::time::Instant;

use landlord_test_harness::TenantFile;

use crate::scene::{LOOK_INTERVAL, PATIENCE, Scene};

/// Stages of the platform at whose begin the daemon is killed.
const PLATFORM: [&str; 4] = ["platform/certificates", "platform/gateway-crds", "platform/gateway", "platform/edge"];
/// Stages of a removal at whose begin they are killed: the first takes the apps and the platform away.
const REMOVAL: [&str; 3] = ["teardown", "cluster", "leftovers"];
/// How names of files begin that checks put.
const PROBES: [&str; 3] = ["probe-", "webdav-", "sftp-"];

/// What a check makes, and takes away again.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Made {
    /// A file in the probe's folder.
    File,
    /// A Job that tries what is a neighbour's, or its policy.
    Attempt,
}

/// Orders a tenant; the daemon and its plugin are killed when each stage of the platform begins, when `verify` does, and the daemon
/// while checks have made something.
pub(crate) fn order(scene: &mut Scene, tenant: &TenantFile) {
    scene.cli().apply(tenant).unwrap();
    for stage in PLATFORM.into_iter().chain(["verify"]) {
        killed_in(scene, tenant, stage, 0);
    }
    scene.reach(&tenant.name(), "READY");
    let before = accounts(scene, tenant);
    for made in [Made::File, Made::Attempt] {
        while_it_is_there(scene, tenant, made);
        scene.say(&format!("the daemon was killed while there was {made:?}"));
    }
    nothing_stays(scene, tenant);
    assert_eq!(accounts(scene, tenant), before, "accounts that a killed check made");
    scene.reach(&tenant.name(), "READY");
}

/// Removes the tenant, with the same kills.
pub(crate) fn remove(scene: &mut Scene, tenant: &TenantFile) {
    let name = tenant.name();
    let before = REMOVAL.map(|stage| landlord_e2e::begun(&scene.world, &name, stage).unwrap());
    scene.cli().ok(&["delete", &name]).unwrap();
    for (stage, times) in REMOVAL.into_iter().zip(before) {
        killed_in(scene, tenant, stage, times);
    }
    scene.reach(&name, "GONE");
}

/// kill -9 of the daemon when a stage begins that did so `times` before, and of the plugin as soon as the daemon that goes on has
/// started it.
fn killed_in(scene: &mut Scene, tenant: &TenantFile, stage: &str, times: usize) {
    landlord_e2e::crash_in_stage(&mut scene.world, &tenant.name(), stage, times, PATIENCE).unwrap();
    let started = Instant::now();
    while landlord_e2e::kill_plugins(&mut scene.world).unwrap() == 0 {
        assert!(started.elapsed() < PATIENCE, "no plugin starts in {stage}");
        std::thread::sleep(LOOK_INTERVAL);
    }
    scene.say(&format!("the daemon and its plugin were killed when {stage} had begun"));
}

/// Has checks run until one of them has made something, and kills the daemon.
fn while_it_is_there(scene: &mut Scene, tenant: &TenantFile, made: Made) {
    let started = Instant::now();
    loop {
        assert!(started.elapsed() < PATIENCE, "no check makes {made:?}");
        let (cli, name) = (scene.cli(), tenant.name());
        let asked = std::thread::spawn(move || drop(cli.run(&["verify", &name])));
        while !asked.is_finished() {
            if !there(scene, tenant, made).is_empty() {
                scene.world.crash_daemon().unwrap();
                asked.join().unwrap();
                scene.world.start_daemon().unwrap();
                return;
            }
        }
    }
}

/// What checks have made and not taken away yet.
fn there(scene: &Scene, tenant: &TenantFile, made: Made) -> Vec<String> {
    let (namespace, begins): (_, &[&str]) = match made {
        Made::File => (scene.namespace(tenant), &PROBES),
        Made::Attempt => (String::new(), &["job.batch/neighbour-", "networkpolicy.networking.k8s.io/neighbour-"]),
    };
    let text = match made {
        Made::File => scene.in_namespace(tenant, &namespace, &["exec", "deployment/files", "--", "ls", "/probe"]),
        Made::Attempt => scene.run(scene.kubectl(tenant).args(["get", "jobs,networkpolicies", "-A", "-o", "name"])),
    };
    let found = text.lines().filter(|line| begins.iter().any(|begin| line.starts_with(begin)));
    found.map(str::to_owned).collect()
}

/// What a killed check left goes: the next one that begins minutes later removes it.
fn nothing_stays(scene: &Scene, tenant: &TenantFile) {
    let started = Instant::now();
    loop {
        scene.until_all_pass(tenant);
        let left: Vec<String> =
            [Made::File, Made::Attempt].iter().flat_map(|made| there(scene, tenant, *made)).collect();
        if left.is_empty() {
            return scene.say(&format!("nothing of it is left {:.0} s later", started.elapsed().as_secs_f64()));
        }
        assert!(started.elapsed() < PATIENCE, "left by a killed check: {left:?}");
        std::thread::sleep(LOOK_INTERVAL);
    }
}

/// Who may sign in to the chatbot.
fn accounts(scene: &Scene, tenant: &TenantFile) -> String {
    let script =
        "PGPASSWORD=$PASSWORD psql -h 127.0.0.1 -U webui -d webui -Atc 'select email from \"user\" order by email'";
    scene.in_namespace(tenant, &scene.namespace(tenant), &["exec", "statefulset/vectors", "--", "sh", "-c", script])
}
