//! Real pods: the daemon brings the apps up on a real node, a customer uses them, and a neighbour does not. Needs root, and
//! builds programs and images first: `cargo xtask test --real` runs all of it, one after another.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stderr, reason = "who waits for programs and images sees what is built")]

mod available;
mod broken;
mod chat;
#[path = "../collector/mod.rs"]
mod collector;
mod figures;
mod handed_over;
mod killed;
mod logs;
#[path = "../prometheus/mod.rs"]
mod prometheus;
mod scene;

use std::{
    io::Write as _,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use landlord_test_harness::{
    Cloud, HostFile, TenantFile,
    cloud::{AKS, EKS, GKE},
    judge,
};
use landlord_test_kube::node_supported;
use scene::Scene;
use serde_json::Value;

/// For a cluster's nodes to end and their images to be removed; on a machine that computes much else, two nodes took more than a minute.
const GONE_PATIENCE: Duration = Duration::from_secs(300);
/// A node takes the machine's processors: one world at a time, however many threads the test program has.
static MACHINE: Mutex<()> = Mutex::new(());

/// The machine, where real pods can run; says so where they can't.
fn machine() -> Option<MutexGuard<'static, ()>> {
    if let Err(error) = node_supported() {
        // Past the test program's capture, which keeps what a passing test prints.
        let _ = writeln!(std::io::stderr(), "SKIPPED: real pods: {error}");
        return None;
    }
    Some(MACHINE.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Every check of the daemon's own passes, over the public addresses.
fn holds_from_outside(scene: &Scene, tenant: &TenantFile) {
    let results = scene.until_all_pass(tenant);
    for result in &results {
        scene.say(&format!("check {result}"));
    }
    for by_address in ["certificates", "sftp", "webdav"] {
        let result = results.iter().find(|result| judge::text(result, "name") == by_address).unwrap();
        assert!(judge::text(result, "detail").contains("from outside at"), "{result}");
    }
}

/// Nothing of the account, the zones and the processes of the machine is left.
fn nothing_is_left(scene: Scene) {
    judge::account_is_empty(scene.world.simulator().control(), scene.cloud.account).unwrap();
    let folder = scene.world.folder().display().to_string();
    // The cloud has forgotten the cluster; its node and its images take a moment more.
    let started = Instant::now();
    while !scene.world.clusters().is_empty() {
        assert!(started.elapsed() < GONE_PATIENCE, "clusters are left: {:?}", scene.world.clusters());
        std::thread::sleep(Duration::from_millis(200));
    }
    assert!(scene.world.stop().unwrap(), "a process had to be killed");
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains(&folder), "mounts are left: {mounts}");
}

/// Two customers with a cluster each, on the same cloud.
fn own_clusters(cloud: &'static Cloud) {
    let Some(_machine) = machine() else { return };
    let scene = Scene::start(cloud);
    let [acme, globex] = ["acme", "globex"].map(|name| TenantFile::new(name, "prod", &cloud.real_class()));
    scene.cli().apply(&globex).unwrap();
    scene.order(&acme);
    scene.say(&chat::answers_from_a_file(&scene, &acme));
    holds_from_outside(&scene, &acme);
    scene.order(&globex);
    refused(&scene, &acme, &globex);
    scene.cli().ok(&["delete", &globex.name()]).unwrap();
    scene.delete(&acme.name());
    scene.reach(&globex.name(), "GONE");
    nothing_is_left(scene);
}

/// A customer with a node of its own, and one in a namespace beside it.
fn own_node(cloud: &'static Cloud) {
    let Some(_machine) = machine() else { return };
    let scene = Scene::start(cloud);
    let host = HostFile::new("shared", &cloud.real_class(), 1, 2);
    scene.order_host(&host);
    let initech = TenantFile::new("initech", "prod", &cloud.real_node_class());
    let acme = TenantFile::new("acme", "prod", &cloud.real_namespace_class());
    scene.order(&initech);
    let nodes = scene.nodes_of(&initech);
    scene.say(&format!("its pods are on {nodes:?}"));
    assert_eq!(nodes.len(), 1, "{nodes:?}");
    scene.say(&chat::answers_from_a_file(&scene, &initech));
    holds_from_outside(&scene, &initech);
    proven_through_the_gateway(&scene, &initech);
    scene.order(&acme);
    assert!(
        scene.nodes_of(&acme).is_disjoint(&nodes),
        "a neighbour's pods are on the node: {:?}",
        scene.nodes_of(&acme)
    );
    refused(&scene, &initech, &acme);
    scene.delete(&initech.name());
    // Its neighbour lives on.
    holds_from_outside(&scene, &acme);
    scene.delete(&acme.name());
    scene.delete(&host.name());
    nothing_is_left(scene);
}

/// Its names are in one certificate beside the Gateway, each proven by HTTP-01, with what that took gone and nothing of it in the tenant's
/// namespace.
fn proven_through_the_gateway(scene: &Scene, tenant: &TenantFile) {
    let beside = |arguments: &[&str]| scene.in_namespace(tenant, "landlord-gateway", arguments);
    let certificate = format!("{}-listed", scene.namespace(tenant));
    let found: Value = serde_json::from_str(&beside(&["get", "certificate", &certificate, "-o", "json"])).unwrap();
    let names = found["spec"]["dnsNames"].as_array().unwrap();
    assert_eq!(names.len(), 3, "{names:?}");
    let events =
        beside(&["get", "events", "--field-selector", "reason=Presented", "-o", "jsonpath={.items[*].message}"]);
    assert!(events.matches("using HTTP-01").count() >= names.len(), "{events}");
    assert!(!events.contains("DNS-01"), "{events}");
    let solvers = ["get", "pods,services,httproutes", "-l", "acme.cert-manager.io/http01-solver=true", "-o", "name"];
    assert_eq!(beside(&solvers), "", "of its challenges");
    let own = scene.in_namespace(tenant, &scene.namespace(tenant), &["get", "certificates,challenges", "-o", "name"]);
    assert_eq!(own, "", "in the tenant's own namespace");
    scene.say(&format!("{names:?} were proven by HTTP-01"));
}

/// A cluster of the customer's own.
fn own_cluster(cloud: &'static Cloud, and: fn(&mut Scene, &TenantFile)) {
    let Some(_machine) = machine() else { return };
    let mut scene = Scene::start(cloud);
    let acme = TenantFile::new("acme", "prod", &cloud.real_class());
    scene.order(&acme);
    figures::so_far(&mut scene, &acme, "READY");
    scene.say(&chat::answers_from_a_file(&scene, &acme));
    figures::so_far(&mut scene, &acme, "the answer");
    holds_from_outside(&scene, &acme);
    and(&mut scene, &acme);
    scene.delete(&acme.name());
    nothing_is_left(scene);
}

/// The daemon is killed in each stage of the platform, and while it uses what it brought up.
fn killed_on_the_way(cloud: &'static Cloud) {
    let Some(_machine) = machine() else { return };
    let mut scene = Scene::start(cloud);
    let acme = TenantFile::new("acme", "prod", &cloud.real_class());
    killed::order(&mut scene, &acme);
    scene.say(&chat::answers_from_a_file(&scene, &acme));
    killed::remove(&mut scene, &acme);
    nothing_is_left(scene);
}

/// Each check fails for its own reason when something is broken, and passes again when that is mended.
fn broken_on_purpose(cloud: &'static Cloud) {
    let Some(_machine) = machine() else { return };
    let scene = Scene::start(cloud);
    let acme = TenantFile::new("acme", "prod", &cloud.real_class());
    scene.order(&acme);
    for case in &broken::CASES {
        (case.break_it)(&scene, &acme);
        // In its first moments something else may be seen: a connection that ends, before the Gateway says why.
        let for_its_reason = |result: &Value| {
            let text = |key: &str| judge::text(result, key);
            text("outcome") == "FAILED" && text("detail").contains(case.cause) && text("remedy").contains(case.remedy)
        };
        let result = scene.until(&acme, case.check, case.what, for_its_reason);
        scene.say(&format!("{}: {result}", case.what));
        (case.mend_it)(&scene, &acme);
        scene.until(&acme, case.check, "mended", |result| judge::text(result, "outcome") == "PASSED");
    }
    ready_is_withheld(&scene, &acme);
    holds_from_outside(&scene, &acme);
    scene.delete(&acme.name());
    nothing_is_left(scene);
}

/// What a READY environment ceases to do is seen beat by beat, with an alert, and so is that it does it again.
fn ceases_to_answer(cloud: &'static Cloud) {
    let Some(_machine) = machine() else { return };
    let scene = Scene::with(cloud, available::CONFIG);
    available::trust_issuer(&scene);
    let acme = TenantFile::new("acme", "prod", &cloud.real_class());
    scene.order(&acme);
    scene.say(&chat::answers_from_a_file(&scene, &acme));
    available::each_is_seen(&scene, &acme);
    holds_from_outside(&scene, &acme);
    scene.delete(&acme.name());
    nothing_is_left(scene);
}

/// A change of what is broken is not READY, and says why; once that is mended, it is READY by itself.
fn ready_is_withheld(scene: &Scene, tenant: &TenantFile) {
    let case = broken::case("the model missing");
    (case.break_it)(scene, tenant);
    // Any change will do: what was ordered is used before it is READY.
    let more = "  stackValues:\n    chat:\n      files:\n        intervalSeconds: 11\n".to_owned();
    let changed = TenantFile { more, ..tenant.clone() };
    scene.cli().apply(&changed).unwrap();
    let described = scene.until_described(tenant, &format!("check {} failed", case.check));
    scene.say(&described);
    let state = || judge::text(&scene.cli().tenant(&tenant.name()).unwrap().unwrap(), "state").to_owned();
    assert_eq!(state(), "UPDATING", "{described}");
    (case.mend_it)(scene, tenant);
    scene.reach(&tenant.name(), "READY");
    scene.say("READY by itself, once it was mended");
}

/// Two customers in one cluster.
fn shared_cluster(cloud: &'static Cloud) {
    let Some(_machine) = machine() else { return };
    let scene = Scene::start(cloud);
    let host = HostFile::new("shared", &cloud.real_class(), 1, 2);
    scene.order_host(&host);
    let [acme, globex] = ["acme", "globex"].map(|name| TenantFile::new(name, "prod", &cloud.real_namespace_class()));
    scene.order(&acme);
    scene.say(&chat::answers_from_a_file(&scene, &acme));
    holds_from_outside(&scene, &acme);
    scene.order(&globex);
    refused(&scene, &acme, &globex);
    logs::are_apart(&scene, &acme, &globex);
    scene.delete(&acme.name());
    // Its neighbour lives on.
    holds_from_outside(&scene, &globex);
    scene.delete(&globex.name());
    scene.delete(&host.name());
    nothing_is_left(scene);
}

/// What a neighbour tries comes to nothing; each attempt is reported with what refused it.
fn refused(scene: &Scene, tenant: &TenantFile, neighbour: &TenantFile) {
    let attempts = chat::attempts(scene, tenant, neighbour);
    assert!(attempts.len() >= 10, "{attempts:?}");
    for (what, outcome) in &attempts {
        scene.say(&format!("a neighbour tries {what}: {outcome}"));
    }
    let open: Vec<&String> = attempts.iter().filter(|(_, outcome)| outcome == "open").map(|(what, _)| what).collect();
    assert!(open.is_empty(), "open to a neighbour: {open:?}");
}

#[test]
#[ignore = "takes minutes: cargo xtask test --real"]
fn the_daemon_brings_up_a_chatbot_that_answers_from_a_file_put_by_sftp() {
    own_cluster(&GKE, |_, _| {});
}

#[test]
#[ignore = "takes minutes: cargo xtask test --real"]
fn eks_brings_up_a_chatbot_that_answers_from_a_file_put_by_sftp() {
    own_cluster(&EKS, |_, _| {});
}

#[test]
#[ignore = "takes minutes: cargo xtask test --real"]
fn a_neighbour_with_a_cluster_of_its_own_is_refused_by_name_address_gateway_and_sftp() {
    own_clusters(&GKE);
}

#[test]
#[ignore = "takes minutes: cargo xtask test --real"]
fn a_tenant_with_a_node_of_its_own_answers_and_is_closed_to_its_neighbour() {
    own_node(&AKS);
}

#[test]
#[ignore = "takes minutes: cargo xtask test --real"]
fn aks_brings_up_a_chatbot_that_answers_from_a_file_put_by_sftp() {
    own_cluster(&AKS, figures::report);
}

#[test]
#[ignore = "takes minutes: cargo xtask test --real"]
fn a_daemon_that_is_killed_in_platform_and_verify_leaves_nothing_of_its_checks() {
    killed_on_the_way(&GKE);
}

#[test]
#[ignore = "takes minutes: cargo xtask test --real"]
fn each_check_names_what_is_broken_on_a_real_node_and_passes_when_it_is_mended() {
    broken_on_purpose(&GKE);
}

#[test]
#[ignore = "takes minutes: cargo xtask test --real"]
fn a_neighbour_in_a_shared_cluster_is_refused_by_name_address_gateway_sftp_and_has_logs_of_its_own() {
    shared_cluster(&GKE);
}

#[test]
#[ignore = "takes minutes: cargo xtask test --real"]
fn what_ceases_to_answer_is_not_available_within_two_beats_and_an_alert_fires() {
    ceases_to_answer(&GKE);
}

#[test]
#[ignore = "takes minutes: cargo xtask test --real"]
fn credentials_stay_nowhere_and_a_rotation_keeps_who_is_connected() {
    handed_over::all(&EKS);
}
