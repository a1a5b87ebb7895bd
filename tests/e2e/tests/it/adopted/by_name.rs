//! A cluster of a cloud: adopted by the name that the cloud knows it by, lived in by a tenant of each shared level, and
//! given back as it was found. Judged by the simulated account, object by object, and by the cluster's own API server.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    thread,
};

use kube::config::{KubeConfigOptions, Kubeconfig};
use landlord_e2e::{FAST, kubernetes_world_of};
use landlord_test_harness::{
    Cloud, HostFile, TenantFile, World,
    cloud::{AKS, ALL, EKS, GKE},
    judge,
};
use landlord_test_kube::{differences, everything};
use serde_json::{Value, json};

use super::{reach, wait_until};

/// Resource group of the cluster that was made by hand. Its name is not the cluster's, as is usual.
const GROUP: &str = "production-rg";
const CLUSTER: &str = "production-3";
/// Versions of Resource Manager's services: groups, AKS.
const GROUPS: &str = "2021-04-01";
const CLUSTERS: &str = "2025-05-01";

/// Somebody's cluster: for its adoption it is no more than a name.
struct Theirs {
    /// As `adoption.clusterName` has it.
    name: String,
    /// What else the adoption says, as the plugin's README has it: lines of YAML.
    more: String,
    /// The tenant whose cluster it is; `None`: it was made by hand.
    somebody: Option<TenantFile>,
}

/// On all clouds side by side: Kubernetes itself checks every half a minute which kinds there are, and until then it counts
/// none of a kind that is new to it for a tenant's quota.
#[test]
fn a_cluster_is_adopted_by_its_name_in_every_cloud() {
    let classes = ALL.map(Cloud::bare_shared_classes).concat();
    let world = kubernetes_world_of(&ALL, FAST, &classes).unwrap();
    thread::scope(|scope| {
        for cloud in ALL {
            let world = &world;
            // A thread that panics is reported by its name.
            let named = thread::Builder::new().name(cloud.provider.to_owned());
            named.spawn_scoped(scope, move || adopted_lived_in_and_given_back(world, cloud)).unwrap();
        }
    });
    assert!(world.stop().unwrap(), "a process had to be killed");
}

fn adopted_lived_in_and_given_back(world: &World, cloud: &'static Cloud) {
    let cli = world.cli();
    let theirs = theirs(world, cloud);
    let observe = || (in_account(world, cloud), in_kubernetes(world, &theirs));
    let before = observe();
    let since = journal(world, cloud, 0).last().and_then(|entry| entry["seq"].as_i64()).unwrap_or(0);
    assert!(before.1.len() > 100, "{} objects", before.1.len());
    let is_as_before = |otherwise: &str| {
        let now = observe();
        for (before, now) in [(&before.0, &now.0), (&before.1, &now.1)] {
            assert_eq!(differences(before, now), Vec::<String>::new(), "{otherwise}");
        }
    };
    let host = HostFile {
        id: format!("theirs-{}", cloud.provider),
        spec: format!(
            "  region: {}\n  adoption:\n    provider: {}\n    credentials: default\n    clusterName: {}\n{}",
            cloud.regions[0], cloud.provider, theirs.name, theirs.more
        ),
    };
    cli.apply_host(&host).unwrap();
    reach(world, &host.name(), "READY");
    is_as_before("adopting changed something");
    let shown = cli.ok(&["describe", &host.name()]).unwrap();
    assert!(shown.contains(&format!("adopted, cluster {}", theirs.name)), "{shown}");

    let tenants =
        ["namespace", "node"].map(|level| TenantFile::new(cloud.provider, level, &cloud.bare_shared_class(level)));
    for tenant in &tenants {
        cli.apply(tenant).unwrap();
    }
    for tenant in &tenants {
        reach(world, &tenant.name(), "READY");
    }
    let pools = |objects: &Objects| objects.values().filter(|object| object["type"] == cloud.pool_type).count();
    assert_eq!(pools(&in_account(world, cloud)), pools(&before.0) + 1, "a tenant of level NODE has a pool");
    for tenant in &tenants {
        cli.ok(&["delete", &tenant.name()]).unwrap();
    }
    for tenant in &tenants {
        reach(world, &tenant.name(), "GONE");
    }
    let removed = cli.ok(&["delete", &host.name(), "--wait", "--timeout", "5m"]).unwrap();
    assert!(
        removed.contains("ValidatingAdmissionPolicy") && removed.contains("landlord-quickstart-tenant-pods"),
        "{removed}"
    );
    is_as_before("it is not as it was found");
    only_what_is_new_is_touched(&journal(world, cloud, since));
    away(world, cloud, &theirs);
}

/// Has somebody's cluster made.
fn theirs(world: &World, cloud: &'static Cloud) -> Theirs {
    if cloud.provider == AKS.provider {
        by_hand(world);
        return Theirs { name: format!("{GROUP}/{CLUSTER}"), more: String::new(), somebody: None };
    }
    let somebody = TenantFile::new("somebody", cloud.provider, &cloud.bare_class());
    world.cli().apply(&somebody).unwrap();
    reach(world, &somebody.name(), "READY");
    let one =
        |kind: &str, part: &str| ids(world, cloud, kind, part).pop().unwrap_or_else(|| panic!("no {kind} {part}"));
    let id = one("Cluster", "");
    let name = id.rsplit('/').next().unwrap_or_default().to_owned();
    let more = match cloud.provider {
        // The zones of its nodes are the cluster's own.
        provider if provider == GKE.provider => String::new(),
        provider if provider == EKS.provider => format!(
            "    networkId: {}\n    privateSubnetIds: [{}]\n    networkAttributes:\n      node_role_arn: {}\n      \
             launch_template_id: {}\n      launch_template_version: '1'\n",
            one("EC2::VPC", ""),
            ids(world, cloud, "EC2::Subnet", "").join(", "),
            one("IAM::Role", &format!("{name}-node")),
            one("EC2::LaunchTemplate", ""),
        ),
        other => panic!("nobody says how a cluster of {other} is adopted"),
    };
    Theirs { name, more, somebody: Some(somebody) }
}

/// Somebody's cluster is still of use to them; they give it up, and nothing is left.
fn away(world: &World, cloud: &'static Cloud, theirs: &Theirs) {
    match &theirs.somebody {
        Some(somebody) => {
            reach(world, &somebody.name(), "READY");
            world.cli().ok(&["delete", &somebody.name(), "--wait", "--timeout", "5m"]).unwrap();
        }
        None => {
            let group = group();
            azure(world, "DELETE", &format!("{group}?api-version={GROUPS}"), &Value::Null);
            wait_until("it is gone", || in_account(world, cloud).is_empty());
        }
    }
    judge::account_is_empty(world.simulator().control(), cloud.account).unwrap();
}

fn group() -> String {
    format!("/subscriptions/{}/resourceGroups/{GROUP}", AKS.account)
}

/// An AKS cluster as `az aks create --enable-aad --enable-azure-rbac` makes it: in the network that AKS makes for it, with
/// local accounts, and without a tag.
fn by_hand(world: &World) {
    let location = AKS.regions[0];
    azure(world, "PUT", &format!("{}?api-version={GROUPS}", group()), &json!({ "location": location }));
    let properties = json!({
        "dnsPrefix": CLUSTER,
        "aadProfile": { "managed": true, "enableAzureRBAC": true },
        "agentPoolProfiles": [{ "name": "nodepool1", "mode": "System", "count": 1, "vmSize": AKS.machine_types[0] }],
    });
    let body = json!({ "location": location, "identity": { "type": "SystemAssigned" }, "properties": properties });
    let cluster = format!("{}/providers/Microsoft.ContainerService/managedClusters/{CLUSTER}", group());
    let path = format!("{cluster}?api-version={CLUSTERS}");
    let state = |response: &Value| response["properties"]["provisioningState"].clone();
    wait_until("the cluster is up", || match azure(world, "GET", &path, &Value::Null) {
        found if state(&found) == "Succeeded" => true,
        // Azure may have no room for it at first.
        found if found["error"]["code"] == "ResourceNotFound" => {
            azure(world, "PUT", &path, &body);
            false
        }
        _ => false,
    });
}

/// A call of Resource Manager by the owner of the subscription.
fn azure(world: &World, method: &str, path: &str, body: &Value) -> Value {
    let request = ureq::http::Request::builder()
        .method(method)
        .uri(format!("{}{path}", world.simulator().endpoint))
        .header("authorization", format!("Bearer sim-{}-somebody", AKS.account))
        .header("content-type", "application/json");
    let text = if body.is_null() { String::new() } else { body.to_string() };
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut response = agent.run(request.body(text).unwrap()).unwrap();
    let text = response.body_mut().read_to_string().unwrap();
    serde_json::from_str(&text).unwrap_or_default()
}

type Objects = BTreeMap<String, Value>;

/// What is in the account, by type and id.
fn in_account(world: &World, cloud: &Cloud) -> Objects {
    let all = world.simulator().control().objects(cloud.account).unwrap();
    all.into_iter().map(|o| (format!("{} {}", judge::text(&o, "type"), judge::text(&o, "id")), o)).collect()
}

fn journal(world: &World, cloud: &Cloud, since: i64) -> Vec<Value> {
    let mut entries = world.simulator().control().journal(since).unwrap();
    entries.retain(|entry| entry["account"] == cloud.account);
    entries
}

/// Nothing that was there before was changed meanwhile, not even to be changed back.
fn only_what_is_new_is_touched(journal: &[Value]) {
    let of = |effects: &[&str]| -> BTreeSet<String> {
        let entries =
            journal.iter().filter(|entry| entry["origin"] == "call" && effects.contains(&judge::text(entry, "effect")));
        let objects = entries.flat_map(|entry| entry["objects"].as_array().into_iter().flatten());
        objects.map(|object| format!("{} {}", judge::text(object, "type"), judge::text(object, "id"))).collect()
    };
    let (made, touched) = (of(&["created"]), of(&["changed", "deleted"]));
    assert!(made.iter().any(|object| touched.contains(object)), "the journal shows no life: {made:?}");
    assert_eq!(touched.difference(&made).collect::<Vec<_>>(), Vec::<&String>::new());
}

/// The ids of all objects of a type whose id or name holds a text.
fn ids(world: &World, cloud: &Cloud, kind: &str, part: &str) -> Vec<String> {
    let all = world.simulator().control().objects(cloud.account).unwrap();
    let of_kind = all.iter().filter(|object| judge::text(object, "type").ends_with(kind));
    let found = of_kind.filter(|object| object.to_string().contains(part));
    found.map(|object| judge::text(object, "id").to_owned()).collect()
}

/// What is in their cluster, as its own administrator sees it.
fn in_kubernetes(world: &World, theirs: &Theirs) -> Objects {
    let name = theirs.name.rsplit('/').next().unwrap_or_default();
    let is_theirs = |folder: &PathBuf| folder.to_string_lossy().ends_with(&format!("-{name}"));
    let folder = world.clusters().into_iter().find(is_theirs).unwrap();
    let kubeconfig = Kubeconfig::read_from(folder.join("admin.kubeconfig")).unwrap();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let options = KubeConfigOptions::default();
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap();
        let client = kube::Client::try_from(config).unwrap();
        everything(&client, &[], |_, _| false).await.unwrap()
    })
}
