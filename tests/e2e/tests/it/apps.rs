//! The whole way with real Kubernetes and real Helm: four apps to READY, and back to nothing.

use std::{
    io::Write as _,
    process::{Command, Stdio},
    time::Duration,
};

use landlord_e2e::{kubernetes_world, on_every_cloud};
use landlord_test_harness::{Cloud, TenantFile, World, cloud::EKS, judge, process::children};
use landlord_test_kube::Artifacts;

use crate::shared::crash_in_stage;

/// 60 times faster than real time: about 15 s for the cloud's part.
const SCALE: f64 = 1.0 / 60.0;
/// Far above what it takes (half a minute): a busy machine is no failure.
const TIMEOUT: Duration = Duration::from_secs(600);

/// kubectl with the operator's kubeconfig, as `landlord kubeconfig` gives it.
fn kubectl(world: &World, tenant: &str, arguments: &[&str], input: &str) -> String {
    let kubeconfig = world.cli().ok(&["kubeconfig", tenant]).unwrap();
    let file = world.folder().join("operator.kubeconfig");
    std::fs::write(&file, kubeconfig).unwrap();
    let artifacts = Artifacts::ensure(&mut |_| {}).unwrap();
    let mut child = Command::new(&artifacts.kubebox)
        .arg("kubectl")
        .arg("--kubeconfig")
        .arg(&file)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let shown = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "kubectl {arguments:?}: {shown}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What a customer may leave behind in a namespace of their own.
const CUSTOMERS_OWN: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: own}
---
apiVersion: v1
kind: Service
metadata: {name: extra, namespace: own}
spec: {type: LoadBalancer, selector: {app: extra}, ports: [{port: 80}]}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: extra, namespace: own}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 5Gi}}}
---
apiVersion: v1
kind: Pod
metadata: {name: extra, namespace: own, labels: {app: extra}}
spec:
  containers: [{name: c, image: registry.example.com/extra:1}]
  volumes: [{name: v, persistentVolumeClaim: {claimName: extra}}]
";

on_every_cloud!(four_apps_become_ready_and_nothing_is_left_after_delete);

fn four_apps_become_ready_and_nothing_is_left_after_delete(cloud: &'static Cloud) {
    let mut world = kubernetes_world(cloud, SCALE, "").unwrap();
    let cli = world.cli();
    let tenant = TenantFile::new("acme", "prod", &cloud.small_class());
    let name = tenant.name();
    cli.apply(&tenant).unwrap();
    // Crashes all over the deploy stage: whatever Helm was doing is taken up again.
    for stage in ["base", "app/qdrant", "app/sftpgo", "app/open-webui", "dns-records", "verify"] {
        crash_in_stage(&mut world, &name, stage);
    }
    if let Err(error) = cli.wait_for(&name, "READY", TIMEOUT) {
        panic!("{error:#}\n{}\n{}", cli.ok(&["describe", &name]).unwrap(), world.daemon().unwrap().log_tail(40));
    }
    let pods = kubectl(&world, &name, &["get", "pods", "-A", "--no-headers"], "");
    for app in ["sftpgo", "qdrant", "ollama", "open-webui"] {
        assert!(pods.lines().any(|line| line.contains(app) && line.contains("Running")), "{app}:\n{pods}");
    }
    let described = cli.ok(&["describe", &name]).unwrap();
    assert!(described.contains("sftp"), "no endpoint is shown:\n{described}");
    let control = world.simulator().control().clone();
    assert!(count(&world, cloud, cloud.balancer_type) >= 1, "no load balancer was made");
    assert!(count(&world, cloud, cloud.disk_type) >= 4, "no volumes were made");

    kubectl(&world, &name, &["apply", "-f", "-"], CUSTOMERS_OWN);
    let before = count(&world, cloud, cloud.balancer_type);
    for _ in 0..100 {
        if count(&world, cloud, cloud.balancer_type) > before {
            break;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    cli.ok(&["delete", &name]).unwrap();
    for stage in ["teardown", "leftovers"] {
        crash_in_stage(&mut world, &name, stage);
    }
    if let Err(error) = cli.wait_for(&name, "GONE", TIMEOUT) {
        panic!("{error:#}\n{}\n{}", cli.ok(&["describe", &name]).unwrap(), world.daemon().unwrap().log_tail(40));
    }
    judge::account_is_empty(&control, cloud.account).unwrap();
    judge::nothing_made_twice(&control.journal(0).unwrap(), 1).unwrap();
    assert!(world.stop().unwrap(), "a process had to be killed");
}

fn count(world: &World, cloud: &Cloud, kind: &str) -> usize {
    let objects = world.simulator().control().objects(cloud.account).unwrap();
    objects.iter().filter(|object| judge::text(object, "type").ends_with(kind)).count()
}

/// The API servers that the simulated cloud runs.
fn api_servers(simulator: u32) -> Vec<rustix::process::Pid> {
    let is_api_server = |pid: &u32| {
        std::fs::read(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|line| String::from_utf8_lossy(&line).split('\0').any(|word| word.ends_with("kube-apiserver")))
    };
    let servers = children(simulator).into_iter().filter(is_api_server);
    servers.filter_map(|pid| rustix::process::Pid::from_raw(i32::try_from(pid).ok()?)).collect()
}

#[test]
fn a_delete_goes_on_without_an_api_server_that_does_not_respond() {
    let timeout = "[engine]\nteardown_timeout = \"10s\"\n";
    let world = kubernetes_world(&EKS, SCALE, timeout).unwrap();
    let cli = world.cli();
    let tenant = TenantFile::new("acme", "prod", &EKS.small_class());
    let name = tenant.name();
    cli.apply(&tenant).unwrap();
    cli.wait_for(&name, "READY", TIMEOUT).unwrap();
    let balancers = count(&world, &EKS, EKS.balancer_type);
    assert!(balancers >= 1, "no load balancer was made, so none could be left over");
    // Stopped, not ended: connections are accepted and never get a response, the worst that a network does.
    let servers = api_servers(world.simulator().pid());
    assert_eq!(servers.len(), 1, "one cluster has one API server");
    rustix::process::kill_process(servers[0], rustix::process::Signal::STOP).unwrap();
    let removed = cli.ok(&["delete", &name, "--wait", "--timeout", "10m", "-o", "jsonl"]).unwrap();
    judge::account_is_empty(world.simulator().control(), EKS.account).unwrap();
    let events = cli.events(&name).unwrap();
    let skipped = events.iter().find(|event| judge::text(event, "reason") == "StageSkipped");
    assert!(skipped.is_some_and(|event| judge::text(event, "stage") == "teardown"), "{events:#?}");
    // What the cluster had left in the account is reported as removed.
    assert!(removed.contains("LoadBalancer") && removed.contains("AWS::EC2::Volume"), "{removed}");
}
