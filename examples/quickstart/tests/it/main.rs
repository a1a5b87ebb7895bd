//! The quickstart on a machine without network, once everything is built: a customer's environment from nothing to READY and back to
//! nothing, while nobody so much as tries to reach anything outside.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use landlord_test_harness::{
    Binaries, Cloud, Service,
    cloud::{AKS, EKS, GKE},
    real,
};
use landlord_test_kube::{Artifacts, Offline, ensure_stack, node_supported};

/// Far above what it takes (a minute; four with real pods): a busy machine is no failure.
const TIMEOUT: Duration = Duration::from_secs(15 * 60);
const REAL_TIMEOUT: Duration = Duration::from_secs(35 * 60);
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// What shows that the namespace is one that nobody leaves, and that its count counts.
const DIAL: &str = "import socket; socket.create_connection(('192.0.2.1', 443), 5)";

/// Everything, made while there is a network; `false`, and said: real pods can't run here.
#[expect(clippy::print_stdout, reason = "a skip is shown")]
fn is_built(cloud: &Cloud, is_real: bool) -> bool {
    if is_real {
        if let Err(error) = node_supported() {
            println!("SKIPPED: the quickstart with real pods on a machine without network: {error}");
            return false;
        }
        ensure_stack(&mut |_| {}).unwrap();
        real::customer_python().unwrap();
    }
    Artifacts::ensure(&mut |_| {}).unwrap();
    Binaries::ensure(&[cloud], &mut |_| {}).unwrap();
    true
}

#[expect(clippy::print_stdout, reason = "a skip is shown")]
fn from_nothing_to_nothing(cloud: &Cloud, is_real: bool) {
    let offline = match Offline::begin() {
        Ok(offline) => offline,
        Err(error) => return println!("SKIPPED: the quickstart on a machine without network: {error}"),
    };
    if !is_built(cloud, is_real) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut words = offline.words(folder.path());
    words.extend(
        [env!("CARGO_BIN_EXE_quickstart"), "--once", "--provider", cloud.provider, "--data-dir"].map(Into::into),
    );
    words.push(folder.path().join("data").display().to_string());
    if is_real {
        words.push("--real".to_owned());
    }
    let log = folder.path().join("log");
    let mut quickstart = Service::start("quickstart", Path::new(&words[0]), &words[1..], &log).unwrap();
    let deadline = Instant::now() + if is_real { REAL_TIMEOUT } else { TIMEOUT };
    let status = loop {
        if let Some(status) = quickstart.ended().unwrap() {
            break status;
        }
        assert!(Instant::now() < deadline, "it does not end:\n{}", quickstart.log_tail(60));
        std::thread::sleep(POLL_INTERVAL);
    };
    assert!(status.success(), "it ended with {status}:\n{}", quickstart.log_tail(60));
    let said = std::fs::read_to_string(&log).unwrap();
    assert!(said.contains(&format!("the simulator says: account {} is empty", cloud.account)), "{said}");
    let attempts = offline.attempts().unwrap();
    assert_eq!(attempts, 0, "something was dialled outside of the machine, or a name was looked up:\n{said}");
    let words = offline.words(folder.path());
    let dialled = Command::new(&words[0]).args(&words[1..]).args(["python3", "-c", DIAL]).output().unwrap();
    assert!(!dialled.status.success() && offline.attempts().unwrap() > 0, "nothing is shown: {dialled:?}");
}

#[test]
fn without_a_network_a_tenant_on_aws_comes_and_goes() {
    from_nothing_to_nothing(&EKS, false);
}

#[test]
#[ignore = "takes minutes: cargo xtask test --long"]
fn long_without_a_network_a_tenant_on_google_cloud_comes_and_goes() {
    from_nothing_to_nothing(&GKE, false);
}

#[test]
#[ignore = "takes minutes: cargo xtask test --long"]
fn long_without_a_network_a_tenant_on_azure_comes_and_goes() {
    from_nothing_to_nothing(&AKS, false);
}

#[test]
#[ignore = "real pods on a real node: cargo xtask test --long"]
fn long_without_a_network_a_chatbot_answers_from_a_file_put_by_sftp() {
    from_nothing_to_nothing(&EKS, true);
}
