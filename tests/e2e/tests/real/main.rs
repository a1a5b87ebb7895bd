//! Real pods: the daemon brings the apps up on a real node, and a customer uses them. Needs root, and builds programs and
//! images first: `cargo xtask test --real` runs it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stderr, reason = "who waits for programs and images sees what is built")]

mod chat;
mod scene;

use std::{
    io::Write as _,
    time::{Duration, Instant},
};

use landlord_test_harness::{TenantFile, cloud::GKE, judge};
use scene::Scene;

/// Far above what it takes (two minutes): a busy machine is no failure.
const PATIENCE: Duration = Duration::from_secs(540);

/// Whether real pods can run; prints why where they can't.
fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        // Past the test program's capture, which keeps what a passing test prints.
        let _ =
            writeln!(std::io::stderr(), "SKIPPED: real pods: a kubelet with namespaces and control groups needs root");
    }
    root
}

#[test]
#[ignore = "takes minutes: cargo xtask test --real"]
fn the_daemon_brings_up_a_chatbot_that_answers_from_a_file_put_by_sftp() {
    if !is_root() {
        return;
    }
    let scene = Scene::start(&GKE);
    let tenant = TenantFile::new("acme", "prod", &GKE.real_class());
    let started = Instant::now();
    scene.cli().apply(&tenant).unwrap();
    scene.reach(&tenant.name(), "READY", PATIENCE);
    scene.say(&format!("READY after {:?}", started.elapsed()));
    let reported = chat::use_by_port_forward(&scene, &tenant);
    scene.say(&format!("{reported}\nanswered after {:?}", started.elapsed()));
    let reported = chat::use_by_https(&scene, &tenant);
    scene.say(&format!("{reported}\nanswered by HTTPS after {:?}", started.elapsed()));

    scene.cli().ok(&["delete", &tenant.name()]).unwrap();
    scene.reach(&tenant.name(), "GONE", PATIENCE);
    judge::account_is_empty(scene.world.simulator().control(), GKE.account).unwrap();
    assert!(scene.world.stop().unwrap(), "a process had to be killed");
}
