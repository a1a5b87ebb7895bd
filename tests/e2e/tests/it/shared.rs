//! The levels NAMESPACE and NODE on one host cluster, with real Kubernetes and real Helm: from an
//! empty account to three tenants that live together, and back, with the daemon killed on the way.

use std::{
    collections::BTreeSet,
    process::{Command, Stdio},
    time::Duration,
};

use landlord_e2e::kubernetes_world;
use landlord_test_harness::{HostFile, TenantFile, World, cloud::EKS, judge};
use landlord_test_kube::Artifacts;
use serde_json::Value;

/// 60 times faster than real time: a host cluster takes about 15 s.
const SCALE: f64 = 1.0 / 60.0;
/// Far above what it takes (a minute or two): a busy machine is no failure.
const TIMEOUT: Duration = Duration::from_secs(900);

/// kubectl with the operator's kubeconfig of a tenant, which opens its host cluster.
pub(crate) fn kubectl(world: &World, tenant: &str, arguments: &[&str]) -> String {
    let kubeconfig = world.cli().ok(&["kubeconfig", tenant, "--for", "operator"]).unwrap();
    let file = world.folder().join("operator.kubeconfig");
    std::fs::write(&file, kubeconfig).unwrap();
    let artifacts = Artifacts::ensure(&mut |_| {}).unwrap();
    let output = Command::new(&artifacts.kubebox)
        .arg("kubectl")
        .arg("--kubeconfig")
        .arg(&file)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "kubectl {arguments:?}: {shown}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Stages of a create in the deploy stage's hands, and those of a delete.
const DEPLOY_STAGES: [&str; 8] =
    ["isolation", "base", "app/qdrant", "app/ollama", "app/sftpgo", "app/open-webui", "dns-records", "verify"];

/// kill -9 of the daemon just after it recorded that a stage begins for the first time.
pub(crate) fn crash_in_stage(world: &mut World, name: &str, stage: &str) {
    crash_in_stage_again(world, name, stage, 0);
}

/// The same when the stage began `times` before: a delete has stages of the same names as the create.
pub(crate) fn crash_in_stage_again(world: &mut World, name: &str, stage: &str, times: usize) {
    landlord_e2e::crash_in_stage(world, name, stage, times, TIMEOUT).unwrap();
}

/// How often a stage of a tenant has begun; of one that is gone, as often as can be.
pub(crate) fn begun(world: &World, name: &str, stage: &str) -> usize {
    landlord_e2e::begun(world, name, stage).unwrap()
}

fn reach(world: &mut World, name: &str, state: &str) {
    let cli = world.cli();
    if let Err(error) = cli.wait_for(name, state, TIMEOUT) {
        let shown = cli.run(&["describe", name]).unwrap();
        panic!("{error:#}\n{}{}\n{}", shown.stdout, shown.stderr, world.daemon().unwrap().log_tail(40));
    }
}

fn namespace(world: &World, name: &str) -> String {
    let tenant = world.cli().tenant(name).unwrap().unwrap();
    judge::text(&tenant["placement"]["isolation"], "namespace").to_owned()
}

/// What is in a namespace and must not change when a neighbour goes: every kind that is not made and
/// unmade by itself, by name and uid.
fn contents(world: &World, tenant: &str, namespace: &str) -> BTreeSet<String> {
    let kinds = "pods,services,deployments,statefulsets,persistentvolumeclaims,secrets,configmaps,serviceaccounts,\
                 roles,rolebindings,resourcequotas,limitranges,networkpolicies";
    let all = json(&kubectl(world, tenant, &["get", kinds, "-n", namespace, "-o", "json"]));
    let line = |object: &Value| {
        let meta = &object["metadata"];
        format!("{} {} {}", judge::text(object, "kind"), judge::text(meta, "name"), judge::text(meta, "uid"))
    };
    all["items"].as_array().unwrap().iter().map(line).collect()
}

fn owned_by(world: &World, uid: &str) -> Vec<String> {
    let objects = world.simulator().control().objects(EKS.account).unwrap();
    let ours = objects.iter().filter(|object| object["tags"]["landlord-tenant-uid"] == uid);
    ours.map(|object| judge::text(object, "type").to_owned()).collect()
}

#[test]
fn three_customers_share_a_cluster_and_leave_it_one_by_one() {
    let mut world = kubernetes_world(&EKS, SCALE, "[engine]\ncapacity_interval = '5s'\n").unwrap();
    let cli = world.cli();
    let acme = TenantFile::new("acme", "prod", "eks-namespace");
    let refused = {
        let file = world.folder().join("early.yaml");
        std::fs::write(&file, acme.yaml()).unwrap();
        cli.run(&["apply", "-f", &file.display().to_string()]).unwrap()
    };
    assert_eq!(refused.code, 8, "{refused:?}");
    assert!(refused.stderr.contains("there is no host cluster of eks") && refused.stderr.contains("hosts.grow"));

    let host = HostFile::new("shared-1", "eks-cluster-small", 6, 3);
    cli.apply_host(&host).unwrap();
    // The tenants wait until it is there.
    let globex = TenantFile::new("globex", "prod", "eks-namespace");
    let initech = TenantFile::new("initech", "prod", "eks-node");
    let all = [&acme, &globex, &initech];
    for tenant in all {
        cli.apply(tenant).unwrap();
    }
    crash_in_stage(&mut world, &acme.name(), "host");
    reach(&mut world, &host.name(), "READY");
    crash_in_stage(&mut world, &initech.name(), "node-pool");
    for stage in DEPLOY_STAGES {
        for tenant in [&acme, &initech] {
            crash_in_stage(&mut world, &tenant.name(), stage);
        }
    }
    for tenant in all {
        reach(&mut world, &tenant.name(), "READY");
    }
    they_live_together(&mut world, &host, all);
    a_neighbour_goes(&mut world, &acme, &globex);
    everybody_goes(&mut world, &host, [&globex, &initech]);
    assert!(world.stop().unwrap(), "a process had to be killed");
}

fn they_live_together(world: &mut World, host: &HostFile, all: [&TenantFile; 3]) {
    let cli = world.cli();
    let [acme, _, initech] = all;
    let described = cli.ok(&["describe", "hostcluster", &host.id]).unwrap();
    assert!(described.contains("3 of 3; takes 0 more"), "{described}");
    what_is_free_is_reported(world, host);
    for tenant in all {
        assert!(described.contains(&tenant.name()), "{described}");
    }
    let described = cli.ok(&["describe", &acme.name()]).unwrap();
    for part in ["level NAMESPACE", "Lives in:    hostClusters/shared-1", "Isolation:   namespace"] {
        assert!(described.contains(part), "{part} is not in\n{described}");
    }
    let refused = cli.run(&["delete", "hostcluster", &host.id]).unwrap();
    assert_eq!(refused.code, 6, "{refused:?}");
    assert!(refused.stderr.contains(&acme.name()) && refused.stderr.contains(&initech.name()), "{refused:?}");

    // Nodes of its own: all its pods are there, and nobody else's.
    let uid = judge::text(&cli.tenant(&initech.name()).unwrap().unwrap(), "uid").replace('-', "");
    let nodes = json(&kubectl(world, &acme.name(), &["get", "nodes", "-o", "json"]));
    let own: BTreeSet<&str> = nodes["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|node| node["metadata"]["labels"]["landlord.dev/tenant"] == uid)
        .map(|node| judge::text(&node["metadata"], "name"))
        .collect();
    assert_eq!(own.len(), 2, "{nodes:#}");
    let pods = json(&kubectl(world, &acme.name(), &["get", "pods", "-A", "-o", "json"]));
    let space = namespace(world, &initech.name());
    for pod in pods["items"].as_array().unwrap() {
        let (of, node) = (judge::text(&pod["metadata"], "namespace"), judge::text(&pod["spec"], "nodeName"));
        let daemon_set = pod["metadata"]["ownerReferences"][0]["kind"] == "DaemonSet";
        assert_eq!(own.contains(node), of == space || (daemon_set && own.contains(node)), "{of} on {node}");
    }
    // Its pool is its own, the cluster is not.
    let uid = |tenant: &TenantFile| judge::text(&cli.tenant(&tenant.name()).unwrap().unwrap(), "uid").to_owned();
    let pools = owned_by(world, &uid(initech));
    assert!(pools.iter().any(|kind| kind == "AWS::EKS::Nodegroup"), "{pools:?}");
    for tenant in all {
        let owned = owned_by(world, &uid(tenant));
        assert!(!owned.iter().any(|kind| kind == "AWS::EKS::Cluster" || kind == "AWS::EC2::VPC"), "{owned:?}");
    }
}

fn a_neighbour_goes(world: &mut World, acme: &TenantFile, globex: &TenantFile) {
    let cli = world.cli();
    let (going, staying) = (namespace(world, &acme.name()), namespace(world, &globex.name()));
    assert!(!contents(world, &globex.name(), &going).is_empty());
    let before = contents(world, &globex.name(), &staying);
    assert!(before.iter().any(|line| line.starts_with("Pod ")), "{before:?}");
    let before_delete = begun(world, &acme.name(), "isolation");
    cli.ok(&["delete", &acme.name()]).unwrap();
    crash_in_stage(world, &acme.name(), "teardown");
    crash_in_stage_again(world, &acme.name(), "isolation", before_delete);
    reach(world, &acme.name(), "GONE");
    let names = kubectl(world, &globex.name(), &["get", "namespaces", "-o", "name"]);
    assert!(!names.contains(&going) && names.contains(&staying), "{names}");
    assert_eq!(contents(world, &globex.name(), &staying), before, "deleting one tenant changed another");
    let described = cli.ok(&["describe", "hostcluster", "shared-1"]).unwrap();
    assert!(described.contains("2 of 3; takes 1 more"), "{described}");
    reach(world, &globex.name(), "READY");
}

fn everybody_goes(world: &mut World, host: &HostFile, rest: [&TenantFile; 2]) {
    let cli = world.cli();
    let uids: Vec<String> =
        rest.iter().map(|t| judge::text(&cli.tenant(&t.name()).unwrap().unwrap(), "uid").to_owned()).collect();
    let node_pools = begun(world, &rest[1].name(), "node-pool");
    for tenant in rest {
        cli.ok(&["delete", &tenant.name()]).unwrap();
    }
    crash_in_stage(world, &rest[1].name(), "teardown");
    crash_in_stage_again(world, &rest[1].name(), "node-pool", node_pools);
    for tenant in rest {
        reach(world, &tenant.name(), "GONE");
    }
    for uid in uids {
        assert_eq!(owned_by(world, &uid), Vec::<String>::new());
    }
    let record = cli.tenant(&host.name()).unwrap().unwrap();
    assert_eq!((judge::text(&record, "state"), record["tenantCount"].as_i64()), ("READY", Some(0)));
    cli.ok(&["delete", "hostcluster", &host.id, "--wait", "--timeout", "10m"]).unwrap();
    judge::account_is_empty(world.simulator().control(), EKS.account).unwrap();
    let journal = world.simulator().control().journal(0).unwrap();
    judge::only_ours_is_touched(&journal).unwrap();
    judge::everything_is_marked(&journal, EKS.account).unwrap();
}

/// The host cluster's own six nodes are counted, two tenants' pods on them, and what their quotas promise.
fn what_is_free_is_reported(world: &World, host: &HostFile) {
    let cli = world.cli();
    let number = |of: &Value| of.as_i64().or_else(|| of.as_str()?.parse().ok()).unwrap_or_default();
    for _ in 0..600 {
        let record = cli.tenant(&host.name()).unwrap().unwrap();
        let capacity = &record["capacity"];
        let cpu = |part: &str| number(&capacity[part]["cpuMilli"]);
        if capacity["nodeCount"] != 6 || cpu("requestedByTenants") == 0 {
            std::thread::sleep(Duration::from_millis(200));
            continue;
        }
        assert_eq!((cpu("reserved"), number(&capacity["reserved"]["pods"])), (2 * 4_000, 2 * 40), "{capacity:#}");
        let others = cpu("requested") - cpu("requestedByTenants");
        assert!(others >= 0 && cpu("requestedByTenants") < cpu("reserved"), "{capacity:#}");
        assert_eq!(cpu("free"), cpu("allocatable") - others - cpu("reserved"), "{capacity:#}");
        let described = cli.ok(&["describe", "hostcluster", &host.id]).unwrap();
        for part in ["6 shared nodes, counted", "reserved for tenants          8000m", "free "] {
            assert!(described.contains(part), "{part} is not in\n{described}");
        }
        return;
    }
    panic!("never counted:\n{}", cli.ok(&["describe", "hostcluster", &host.id]).unwrap());
}
