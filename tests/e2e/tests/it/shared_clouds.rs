//! The shared levels on every cloud, with real Kubernetes and real Helm: a tenant with nodes of its own and one in a
//! isolated namespace live in one host cluster, and all of it goes again. What isolates tenants there, and the whole life
//! with a daemon that is killed at each turn, is the same for all clouds and tested on one of them.

use std::{
    collections::BTreeSet,
    process::{Command, Stdio},
    time::Duration,
};

use landlord_e2e::{kubernetes_world, on_every_cloud};
use landlord_test_harness::{Cloud, HostFile, TenantFile, World, judge};
use landlord_test_kube::Artifacts;
use serde_json::Value;

use crate::shared::crash_in_stage;

/// A host cluster takes about 5 s. Helm and Kubernetes are real and take longer.
const SCALE: f64 = 1.0 / 180.0;
/// Far above what it takes (a minute): a busy machine is no failure.
const TIMEOUT: Duration = Duration::from_secs(900);

on_every_cloud!(nodes_and_a_namespace_in_one_host_cluster);

fn nodes_and_a_namespace_in_one_host_cluster(cloud: &'static Cloud) {
    let mut world = kubernetes_world(cloud, SCALE, "").unwrap();
    let cli = world.cli();
    let host = HostFile::new("shared-1", &cloud.small_class(), 3, 2);
    let class = |level: &str| format!("{}-{level}", cloud.provider);
    let acme = TenantFile::new("acme", "prod", &class("namespace"));
    let initech = TenantFile::new("initech", "prod", &class("node"));
    cli.apply_host(&host).unwrap();
    for tenant in [&acme, &initech] {
        cli.apply(tenant).unwrap();
    }
    crash_in_stage(&mut world, &initech.name(), "node-pool");
    for name in [host.name(), acme.name(), initech.name()] {
        reach(&mut world, &name, "READY");
    }
    let [of_acme, of_initech] = [&acme, &initech].map(|tenant| uid(&world, &tenant.name()));
    its_pods_are_on_its_nodes(&world, &initech.name(), &of_initech);
    // The pool is the tenant's, the cluster is the host's, and a namespace is nobody's in the cloud.
    let pools = |uid: &str| owned_by(&world, cloud, uid).into_iter().filter(|kind| kind == cloud.pool_type).count();
    assert_eq!((pools(&of_initech), pools(&of_acme), pools(&uid(&world, &host.name()))), (1, 0, 1));

    let pods = running(&world, &acme.name(), &of_acme);
    cli.ok(&["delete", &initech.name()]).unwrap();
    reach(&mut world, &initech.name(), "GONE");
    assert_eq!(owned_by(&world, cloud, &of_initech), Vec::<String>::new());
    assert_eq!(running(&world, &acme.name(), &of_acme), pods, "deleting one tenant changed another");
    cli.ok(&["delete", &acme.name()]).unwrap();
    reach(&mut world, &acme.name(), "GONE");
    cli.ok(&["delete", "hostcluster", &host.id, "--wait", "--timeout", "15m"]).unwrap();
    judge::account_is_empty(world.simulator().control(), cloud.account).unwrap();
    let journal = world.simulator().control().journal(0).unwrap();
    judge::only_ours_is_touched(&journal).unwrap();
    judge::everything_is_marked(&journal, cloud.account).unwrap();
    assert!(world.stop().unwrap(), "a process had to be killed");
}

fn uid(world: &World, name: &str) -> String {
    judge::text(&world.cli().tenant(name).unwrap().unwrap(), "uid").to_owned()
}

/// Types of what carries the tenant's marker.
fn owned_by(world: &World, cloud: &Cloud, uid: &str) -> Vec<String> {
    let objects = world.simulator().control().objects(cloud.account).unwrap();
    let ours = objects.iter().filter(|object| object["tags"]["landlord-tenant-uid"] == uid);
    ours.map(|object| judge::text(object, "type").to_owned()).collect()
}

fn reach(world: &mut World, name: &str, state: &str) {
    let cli = world.cli();
    if let Err(error) = cli.wait_for(name, state, TIMEOUT) {
        let shown = cli.run(&["describe", name]).unwrap();
        panic!("{error:#}\n{}{}\n{}", shown.stdout, shown.stderr, world.daemon().unwrap().log_tail(40));
    }
}

/// Objects of the whole host cluster, seen by its operator.
fn seen(world: &World, tenant: &str, kind: &str) -> Vec<Value> {
    let kubeconfig = world.cli().ok(&["kubeconfig", tenant, "--for", "operator"]).unwrap();
    let file = world.folder().join("operator.kubeconfig");
    std::fs::write(&file, kubeconfig).unwrap();
    let kubebox = Artifacts::ensure(&mut |_| {}).unwrap().kubebox;
    let mut command = Command::new(&kubebox);
    command.arg("kubectl").arg("--kubeconfig").arg(&file).args(["get", kind, "-A", "-o", "json"]);
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let list: Value = serde_json::from_slice(&output.stdout).unwrap();
    list["items"].as_array().unwrap().clone()
}

fn namespace(world: &World, name: &str) -> String {
    let tenant = world.cli().tenant(name).unwrap().unwrap();
    judge::text(&tenant["placement"]["isolation"], "namespace").to_owned()
}

/// Name and uid of every pod of a tenant.
fn running(world: &World, name: &str, uid: &str) -> BTreeSet<String> {
    let space = namespace(world, name);
    let pods = seen(world, name, "pods");
    let own = pods.iter().map(|pod| &pod["metadata"]).filter(|meta| meta["namespace"] == space.as_str());
    let own: BTreeSet<String> = own.map(|meta| format!("{} {}", meta["name"], meta["uid"])).collect();
    assert!(!own.is_empty(), "the tenant {uid} has no pod in {space}");
    own
}

fn its_pods_are_on_its_nodes(world: &World, name: &str, uid: &str) {
    let label = uid.replace('-', "");
    let nodes = seen(world, name, "nodes");
    let own = nodes.iter().filter(|node| node["metadata"]["labels"]["landlord.dev/tenant"] == label.as_str());
    let own: BTreeSet<&str> = own.map(|node| judge::text(&node["metadata"], "name")).collect();
    assert_eq!(own.len(), 2, "{nodes:#?}");
    let space = namespace(world, name);
    for pod in seen(world, name, "pods") {
        let (of, node) = (judge::text(&pod["metadata"], "namespace"), judge::text(&pod["spec"], "nodeName"));
        let daemon_set = pod["metadata"]["ownerReferences"][0]["kind"] == "DaemonSet";
        assert_eq!(own.contains(node), of == space || (daemon_set && own.contains(node)), "{of} on {node}");
    }
}
