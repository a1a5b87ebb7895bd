//! The provider against the simulated Azure. The simulator's own list of objects and journal are
//! the judge, not what the provider says.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use cloudsim::{Handle, Options, Simulator};
use common::{DOMAIN, Flow, Made, PARAMETERS, SUBSCRIPTION, neighbour, token};
use landlord_provider_api::{Cluster as _, Dns as _, ErrorKind, Identity as _, Inventory as _, v1};
use landlord_test_driver::simulated::{Facts, Foreign, Marked, Metered, Quota};
use serde_json::{Value, json};

/// A lifecycle takes about a second.
const SCALE: f64 = 0.0005;
const COMPUTE: &str = "2025-01-02";
const NETWORK: &str = "2024-05-01";
const AKS: &str = "2025-05-01";
const DNS: &str = "2018-05-01";
const RESOURCES: &str = "2021-04-01";
const LOCKS: &str = "2020-05-01";

/// What the cases of all plugins need to know.
const FACTS: Facts = Facts {
    cloud: common::CLOUD,
    account: SUBSCRIPTION,
    uid: common::UID,
    credential: || token(SUBSCRIPTION),
    // The tenant's group, the zone's, and the one that AKS makes for the nodes.
    made: &[
        ("Microsoft.Resources/resourceGroups", 3),
        ("Microsoft.Network/virtualNetworks", 1),
        ("Microsoft.Network/natGateways", 1),
        ("Microsoft.ContainerService/managedClusters", 1),
        ("Microsoft.ContainerService/managedClusters/agentPools", 1),
        ("Microsoft.Network/dnsZones", 1),
    ],
    owned: &[
        "Microsoft.ContainerService/managedClusters/agentPools",
        "Microsoft.Network/virtualNetworks",
        "Microsoft.ContainerService/managedClusters",
        "Microsoft.Network/dnsZones",
    ],
    removed: &KINDS,
    // These have no tags: they are ours by their parent, their name or their metadata.
    marked: Marked::AllBut(&["subnets", "agentpools", "recordsets", "federatedidentitycredentials", "roleassignments"]),
    holds: |made| assert_eq!(made.network.private_subnet_ids.len(), 1),
    quotas: &[
        Quota {
            stage: Metered::Network,
            name: "public-ip-addresses",
            low: 0,
            high: 50,
            words: &["Public IPv4 Addresses"],
        },
        Quota { stage: Metered::Network, name: "virtual-networks", low: 0, high: 50, words: &["Virtual Networks"] },
        Quota { stage: Metered::Cluster, name: "managed-clusters", low: 0, high: 500, words: &["Managed clusters"] },
        Quota { stage: Metered::Cluster, name: "regional-vcpus", low: 0, high: 500, words: &["Total Regional vCPUs"] },
        Quota { stage: Metered::Zone, name: "dns-zones", low: 0, high: 50, words: &["DNS zones"] },
    ],
    buckets: &[("containerservice", v1::ResourceKind::Cluster, "arm/read")],
    states_wait: true,
    held: &[(
        "Microsoft.ContainerService/managedClusters",
        &[v1::ResourceKind::Addons, v1::ResourceKind::NodePool, v1::ResourceKind::Cluster],
    )],
    other_machine_type: "Standard_E4s_v5",
    minors: ["1.33", "1.34", "1.35"],
    token_prefix: "",
    foreign: |sim, call| Box::pin(foreign(sim, call)),
    record: |zone, name| Foreign {
        method: "PUT",
        path: format!("{zone}/A/{name}?api-version={DNS}"),
        body: json!({ "properties": { "TTL": 60, "ARecords": [{ "ipv4Address": "192.0.2.9" }] } }).to_string(),
    },
    listed: |zone| Foreign { method: "GET", path: format!("{zone}/recordsets?api-version={DNS}"), body: String::new() },
};

/// A call by somebody else in the subscription.
async fn foreign(sim: &Handle, call: Foreign) -> String {
    let request = reqwest::Client::new().request(call.method.parse().unwrap(), format!("{}{}", sim.url(), call.path));
    let request = request.bearer_auth(format!("sim-{SUBSCRIPTION}-other")).header("content-type", "application/json");
    let response = request.body(call.body).send().await.unwrap();
    let (status, text) = (response.status(), response.text().await.unwrap());
    assert!(status.is_success(), "{} {}: {status} {text}", call.method, call.path);
    text
}

landlord_test_driver::every_plugin_on_its_cloud!(landlord_plugin_aks::Aks, FACTS);

struct Cloud {
    sim: Handle,
    http: reqwest::Client,
}

impl Cloud {
    async fn start() -> Self {
        Self::start_at(SCALE).await
    }

    async fn start_at(time_scale: f64) -> Self {
        let options = Options { time_scale, seed: 7, no_throttle: true, ..Options::default() };
        Self { sim: Simulator::start(options).await.unwrap(), http: reqwest::Client::new() }
    }

    async fn control(&self, method: &str, path: &str, body: Value) -> String {
        let request = self.http.request(method.parse().unwrap(), format!("{}/_sim/{path}", self.sim.url()));
        let response = request.json(&body).send().await.unwrap();
        let (status, text) = (response.status(), response.text().await.unwrap());
        assert!(status.is_success(), "{path}: {text}");
        text
    }

    async fn fault(&self, rule: Value) {
        self.control("POST", "faults", rule).await;
    }

    /// Live objects of the subscription.
    async fn objects(&self) -> Vec<Value> {
        let text = self.control("GET", &format!("objects?account={SUBSCRIPTION}"), Value::Null).await;
        serde_json::from_str::<Value>(&text).unwrap()["objects"].as_array().unwrap().clone()
    }

    async fn ids(&self) -> std::collections::BTreeSet<String> {
        self.objects().await.iter().map(|o| o["id"].as_str().unwrap_or_default().to_owned()).collect()
    }

    async fn of_type(&self, kind: &str) -> Vec<Value> {
        let of = |o: &Value| o["type"].as_str().is_some_and(|t| t.eq_ignore_ascii_case(kind));
        self.objects().await.into_iter().filter(of).collect()
    }

    async fn journal(&self) -> Vec<Value> {
        let text = self.control("GET", "journal?since=0", Value::Null).await;
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    async fn created(&self, kind: &str) -> usize {
        let lines = self.journal().await;
        let created = lines.iter().filter(|l| l["effect"] == "created");
        let objects = created.flat_map(|l| l["objects"].as_array().cloned().unwrap_or_default());
        objects.filter(|o| o["type"].as_str().is_some_and(|t| t.eq_ignore_ascii_case(kind))).count()
    }

    async fn flow(&self) -> Flow {
        common::flow(&self.sim.url(), &token(SUBSCRIPTION)).await
    }

    async fn is_empty(&self) {
        let left = self.objects().await;
        assert!(left.is_empty(), "left over: {left:#?}");
    }

    /// A call by somebody else.
    async fn foreign_call(&self, method: &'static str, path: &str, version: &str, body: Value) -> Value {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let text = foreign(&self.sim, Foreign { method, path: format!("{path}?api-version={version}"), body }).await;
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// Until an object that somebody else makes is there.
    async fn settled(&self, path: &str, version: &str) {
        for _ in 0..2_000 {
            let found = self.foreign_call("GET", path, version, Value::Null).await;
            if found["properties"]["provisioningState"] == "Succeeded" {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("{path} does not settle");
    }
}

fn name() -> String {
    format!("landlord-{}", common::UID.replace('-', ""))
}

fn group(suffix: &str) -> String {
    format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/{}{suffix}", name())
}

const KINDS: [&str; 6] = [
    "Microsoft.Resources/resourceGroups",
    "Microsoft.Network/virtualNetworks",
    "Microsoft.Network/natGateways",
    "Microsoft.ContainerService/managedClusters",
    "Microsoft.ContainerService/managedClusters/agentPools",
    "Microsoft.Network/dnsZones",
];

/// Tenants in a shared cluster.
const NEIGHBOURS: [&str; 3] = [
    "0192f0c1-2d3e-7a4b-8c5d-6e7f80910a21",
    "0192f0c1-2d3e-7a4b-8c5d-6e7f80910a22",
    "0192f0c1-2d3e-7a4b-8c5d-6e7f80910a23",
];
const POOL: &str = "Microsoft.ContainerService/managedClusters/agentPools";

fn of_pools(owned: &[v1::OwnedObject]) -> Vec<(&str, &str)> {
    let pools = owned.iter().filter(|o| o.r#type == POOL);
    pools.map(|o| (o.name.as_str(), o.tenant_uid.as_str())).collect()
}

/// What AKS calls the pool of a tenant in a shared cluster.
fn shared_pool(uid: &str) -> String {
    use sha2::Digest as _;
    let digest = sha2::Sha256::digest(format!("t-{}", uid.replace('-', "")));
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("p{}", &hex[..11])
}

#[tokio::test]
async fn tenants_in_a_shared_cluster_have_their_pools_there_and_nothing_else() {
    let cloud = Cloud::start().await;
    let host = cloud.flow().await;
    let made = host.create().await.unwrap();
    let before = cloud.ids().await;
    let at = async |uid| neighbour(&cloud.sim.url(), &token(SUBSCRIPTION), uid, &made).await;
    let ((one, at_one), (two, at_two)) = (at(NEIGHBOURS[0]).await, at(NEIGHBOURS[1]).await);
    // A cluster takes one change at a time: the other one's is waited for.
    let (first, second) = tokio::join!(one.node_pool(&at_one), two.node_pool(&at_two));
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!((first.name.clone(), first.node_count), (shared_pool(NEIGHBOURS[0]), 2));
    assert_eq!(second.name, shared_pool(NEIGHBOURS[1]));
    let pools = format!("{}/providers/Microsoft.ContainerService/managedClusters/{}/agentPools", group(""), name());
    let pool = cloud.foreign_call("GET", &format!("{pools}/{}", first.name), AKS, Value::Null).await;
    let hex = NEIGHBOURS[0].replace('-', "");
    for (pointer, value) in [
        ("/properties/nodeLabels/landlord.dev~1tenant", json!(hex)),
        ("/properties/nodeTaints/0", json!(format!("landlord.dev/tenant={hex}:NoSchedule"))),
        ("/properties/tags/landlord-tenant-uid", json!(NEIGHBOURS[0])),
        ("/properties/mode", json!("User")),
        ("/properties/vnetSubnetID", json!(made.network.private_subnet_ids[0])),
    ] {
        assert_eq!(pool.pointer(pointer), Some(&value), "{pointer}: {pool}");
    }

    // Each sees its own, and the installation all.
    let owned = one.owned().await.unwrap();
    assert_eq!(of_pools(&owned), [(first.name.as_str(), NEIGHBOURS[0])], "{owned:?}");
    assert!(owned.iter().all(|o| o.tenant_uid == NEIGHBOURS[0]), "{owned:?}");
    assert_eq!(of_pools(&host.owned().await.unwrap()), [("default", common::UID)]);
    let mut all = cloud.flow().await;
    all.scope.tenant_uid.clear();
    assert_eq!(of_pools(&all.owned().await.unwrap()).len(), 3);

    // Nothing but pools is made there, and a foreign pool of a tenant's name is left alone.
    let error = one.network().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Invalid, "{error}");
    let taken = format!("{pools}/{}", shared_pool(NEIGHBOURS[2]));
    let subnet = &made.network.private_subnet_ids[0];
    let body = json!({ "count": 1, "mode": "User", "vmSize": "Standard_D2s_v5", "vnetSubnetID": subnet });
    let body = json!({ "properties": body });
    cloud.foreign_call("PUT", &taken, AKS, body).await;
    cloud.settled(&taken, AKS).await;
    let (three, at_three) = at(NEIGHBOURS[2]).await;
    let error = three.node_pool(&at_three).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NameTaken, "{error}");
    assert_eq!(three.delete().await.unwrap(), []);

    // One goes, and takes nothing of the others along.
    let removed = one.delete().await.unwrap();
    assert_eq!(of_pools(&removed), [(first.name.as_str(), NEIGHBOURS[0])], "{removed:?}");
    assert!(removed.iter().all(|o| o.tenant_uid == NEIGHBOURS[0]), "{removed:?}");
    one.owned_is_empty().await;
    assert_eq!(host.create().await.unwrap().cluster.name, made.cluster.name);
    assert_eq!(two.node_pool(&at_two).await.unwrap(), second);
    two.delete().await.unwrap();
    cloud.foreign_call("DELETE", &taken, AKS, Value::Null).await;
    for _ in 0..2_000 {
        if cloud.ids().await == before {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let after = cloud.ids().await;
    assert!(after == before, "{:?}", after.symmetric_difference(&before));
    host.delete().await.unwrap();
    cloud.is_empty().await;
}

#[tokio::test]
async fn a_pool_in_a_shared_cluster_that_never_came_up_is_recreated() {
    let cloud = Cloud::start().await;
    let host = cloud.flow().await;
    let made = host.create().await.unwrap();
    let (one, at_one) = neighbour(&cloud.sim.url(), &token(SUBSCRIPTION), NEIGHBOURS[0], &made).await;
    cloud
        .fault(json!({ "service": "containerservice", "action": "agentPools.Ready", "kind": "error", "count": 1,
            "error": { "code": "SkuNotAvailable", "status": 409, "message": "The size is not available in the region" } }))
        .await;
    let failed = one.node_pool(&at_one).await;
    assert!(failed.is_err(), "{failed:?}");
    let (mut other, at_other) = neighbour(&cloud.sim.url(), &token(SUBSCRIPTION), NEIGHBOURS[0], &made).await;
    "Standard_D8s_v5".clone_into(&mut other.pool.machine_type);
    other.node_pool(&at_other).await.unwrap();
    let path = format!("{}/providers/Microsoft.ContainerService/managedClusters/{}/agentPools", group(""), name());
    let path = format!("{path}/{}", shared_pool(NEIGHBOURS[0]));
    let pool = cloud.foreign_call("GET", &path, AKS, Value::Null).await;
    assert_eq!(pool["properties"]["vmSize"], "Standard_D8s_v5", "{pool}");
    other.delete().await.unwrap();
    host.delete().await.unwrap();
    cloud.is_empty().await;
}

#[tokio::test]
async fn service_accounts_are_shown_what_they_need() {
    let cloud = Cloud::start().await;
    let flow = cloud.flow().await;
    let made = flow.create().await.unwrap();
    let request = v1::EnsureIdentityRequest {
        scope: Some(flow.scope.clone()),
        parameters_json: flow.parameters.clone(),
        network: Some(made.network.clone()),
        cluster: Some(made.cluster.clone()),
        zone: Some(made.zone.clone()),
    };
    let accounts = flow.provider.ensure_identity(request).await.unwrap().status.unwrap().service_accounts;
    for (account, name) in accounts.iter().zip(["external-dns", "cert-manager"]) {
        assert_eq!((account.namespace.as_str(), account.name.as_str()), (name, name));
        assert_eq!(account.pod_labels["azure.workload.identity/use"], "true");
        let path = format!("{}/providers/Microsoft.ManagedIdentity/userAssignedIdentities", group(""));
        let path = format!("{path}/{}-{name}", self::name());
        let identity = cloud.foreign_call("GET", &path, "2024-11-30", Value::Null).await;
        let client = &account.annotations["azure.workload.identity/client-id"];
        assert_eq!(identity["properties"]["clientId"], *client, "{identity}");
    }
    assert_eq!(accounts.len(), 2);
    flow.delete().await.unwrap();
    cloud.is_empty().await;
}

/// Whatever was made by whomever is in the list of what appears and who removes it.
async fn what_appears_is_documented(cloud: &Cloud) {
    let page = include_str!("../README.md").to_lowercase();
    let lines = cloud.journal().await;
    let created = lines.iter().filter(|line| line["effect"] == "created");
    let kinds = created.flat_map(|line| line["objects"].as_array().cloned().unwrap_or_default());
    let kinds: std::collections::BTreeSet<String> =
        kinds.filter_map(|object| object["type"].as_str().map(str::to_owned)).collect();
    assert!(kinds.len() > 5, "{kinds:?}");
    let missing: Vec<&String> =
        kinds.iter().filter(|kind| !page.contains(&format!("`{}`", kind.to_lowercase()))).collect();
    assert!(missing.is_empty(), "the README does not say who removes {missing:?}");
}

#[tokio::test]
async fn a_foreign_group_for_the_nodes_stops_the_cluster_and_stays() {
    let cloud = Cloud::start().await;
    let flow = cloud.flow().await;
    cloud.foreign_call("PUT", &group("-nodes"), RESOURCES, json!({ "location": "westeurope" })).await;
    let network = flow.network().await.unwrap();
    let error = flow.cluster(&network).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NameTaken, "{error}");
    flow.delete().await.unwrap();
    let left = cloud.objects().await;
    assert!(left.len() == 1 && left[0]["name"] == format!("{}-nodes", name()), "{left:#?}");
}

#[tokio::test]
async fn foreign_parts_in_our_group_are_never_touched() {
    let cloud = Cloud::start().await;
    let flow = cloud.flow().await;
    let network = flow.network().await.unwrap();
    let id = format!("{}/providers/Microsoft.ContainerService/managedClusters/{}", group(""), name());
    let body = json!({ "location": "westeurope", "identity": { "type": "SystemAssigned" }, "properties": {
        "dnsPrefix": "other", "agentPoolProfiles": [{ "name": "system", "mode": "System", "count": 1,
            "vmSize": "Standard_D2s_v5", "vnetSubnetID": network.private_subnet_ids[0] }] } });
    cloud.foreign_call("PUT", &id, AKS, body).await;
    let error = flow.cluster(&network).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NameTaken, "{error}");
    assert!(flow.delete_kind(v1::ResourceKind::Cluster).await.unwrap().is_empty());
    // The group holds what is not ours: it stays, and the error says what and whose.
    let request = v1::DeleteRequest {
        scope: Some(flow.scope.clone()),
        kind: v1::ResourceKind::Network.into(),
        ..v1::DeleteRequest::default()
    };
    let error = flow.provider.delete(request).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Conflict, "{error}");
    assert_eq!(cloud.of_type("Microsoft.ContainerService/managedClusters").await.len(), 1);
    assert_eq!(cloud.of_type("Microsoft.Network/virtualNetworks").await.len(), 1);
}

#[tokio::test]
async fn a_foreign_pool_and_zone_are_never_touched() {
    let cloud = Cloud::start().await;
    let mut flow = cloud.flow().await;
    let network = flow.network().await.unwrap();
    let cluster = flow.cluster(&network).await.unwrap();
    let made = Made { network, cluster, ..Made::default() };
    let pool = format!("{}/agentPools/extra", made.cluster.attributes["id"]);
    cloud
        .foreign_call(
            "PUT",
            &pool,
            AKS,
            json!({ "properties": { "count": 1, "vmSize": "Standard_D2s_v5", "mode": "User" } }),
        )
        .await;
    cloud.settled(&pool, AKS).await;
    flow.pool.role = "extra".to_owned();
    let error = flow.node_pool(&made).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NameTaken, "{error}");
    // Ours is the group, the zone in it is not.
    let zone = format!("{}/providers/Microsoft.Network/dnsZones/{DOMAIN}", group("-dns"));
    cloud
        .fault(json!({ "service": "dns", "action": "dnsZones.CreateOrUpdate", "kind": "lost_request", "count": 2 }))
        .await;
    let request = v1::EnsureDnsZoneRequest {
        scope: Some(flow.scope.clone()),
        spec: Some(v1::DnsZoneSpec { domain: DOMAIN.to_owned() }),
        checkpoint: Vec::new(),
    };
    assert_eq!(flow.provider.ensure_dns_zone(request).await.unwrap_err().kind, ErrorKind::Transient);
    cloud.foreign_call("PUT", &zone, DNS, json!({ "location": "global" })).await;
    let error = flow.zone().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NameTaken, "{error}");
    let request = v1::DeleteRequest {
        scope: Some(flow.scope.clone()),
        kind: v1::ResourceKind::DnsZone.into(),
        domain: DOMAIN.to_owned(),
        ..v1::DeleteRequest::default()
    };
    assert_eq!(flow.provider.delete(request).await.unwrap_err().kind, ErrorKind::Conflict);
    assert_eq!(cloud.of_type("Microsoft.Network/dnsZones").await.len(), 1);
}

#[tokio::test]
async fn a_cluster_that_fails_late_gives_the_reason_and_is_recreated() {
    let cloud = Cloud::start().await;
    let late = |code: &str, message: &str| {
        json!({ "service": "containerservice", "action": "managedClusters.Ready", "kind": "error", "count": 1,
            "error": { "code": code, "status": 409, "message": message } })
    };
    let flow = cloud.flow().await;
    let network = flow.network().await.unwrap();
    cloud.fault(late("QuotaExceeded", "Operation results in exceeding approved standardDSv5Family Cores quota")).await;
    let error = flow.cluster(&network).await.unwrap_err();
    assert!(error.kind == ErrorKind::Quota && error.remedy.contains("vCPUs"), "{error}: {}", error.remedy);
    cloud.fault(late("AllocationFailed", "no room")).await;
    // CAPACITY is retried, and what failed while it was first made does not stay.
    flow.cluster(&network).await.unwrap();
    assert_eq!(cloud.created("Microsoft.ContainerService/managedClusters").await, 3);
    flow.delete().await.unwrap();
    flow.owned_is_empty().await;
    cloud.is_empty().await;
}

#[tokio::test]
async fn a_deletion_does_not_vouch_for_the_failed_creation_before_it() {
    let cloud = Cloud::start().await;
    let flow = cloud.flow().await;
    let network = flow.network().await.unwrap();
    cloud
        .fault(json!({ "service": "containerservice", "action": "managedClusters.Ready", "kind": "error", "count": 1,
            "error": { "code": "QuotaExceeded", "status": 409, "message": "exceeding approved Cores quota" } }))
        .await;
    let request = v1::EnsureClusterRequest {
        scope: Some(flow.scope.clone()),
        parameters_json: flow.parameters.clone(),
        network: Some(network.clone()),
        node_pool: Some(flow.pool.clone()),
        ..v1::EnsureClusterRequest::default()
    };
    let begun = flow.provider.ensure_cluster(request).await.unwrap().progress.unwrap().outcome.unwrap();
    let v1::progress::Outcome::Pending(pending) = begun else { panic!("{begun:?}") };
    let id = format!("{}/providers/Microsoft.ContainerService/managedClusters/{}", group(""), name());
    while cloud.foreign_call("GET", &id, AKS, Value::Null).await["properties"]["provisioningState"] != "Failed" {
        tokio::time::sleep(flow.pause).await;
    }
    let request = v1::DeleteRequest {
        scope: Some(flow.scope.clone()),
        kind: v1::ResourceKind::Cluster.into(),
        checkpoint: pending.checkpoint,
        ..v1::DeleteRequest::default()
    };
    flow.provider.delete(request).await.unwrap();
    flow.delete().await.unwrap();
    cloud.is_empty().await;
}

#[tokio::test]
async fn a_cluster_that_was_up_is_never_removed_for_a_failed_change() {
    let cloud = Cloud::start().await;
    let mut flow = cloud.flow().await;
    let made = flow.create().await.unwrap();
    cloud
        .fault(json!({ "service": "containerservice", "action": "managedClusters.Ready", "kind": "error", "count": 1,
            "error": { "code": "InternalOperationError", "status": 500, "message": "bad day" } }))
        .await;
    flow.parameters = PARAMETERS.replace("203.0.113.0/24", "198.51.100.0/24");
    flow.cluster(&made.network).await.unwrap();
    assert_eq!(cloud.created("Microsoft.ContainerService/managedClusters").await, 1);
    flow.delete().await.unwrap();
    cloud.is_empty().await;
}

#[tokio::test]
async fn a_group_that_cannot_be_deleted_at_once_gives_the_reason_and_goes_later() {
    let cloud = Cloud::start().await;
    let flow = cloud.flow().await;
    flow.network().await.unwrap();
    cloud
        .fault(json!({ "service": "resources", "action": "resourceGroups.Gone", "kind": "error", "count": 1,
            "error": { "code": "ResourceGroupDeletionBlocked", "status": 409, "message": "something holds it" } }))
        .await;
    let (mut checkpoint, mut reported) = (Vec::new(), Vec::new());
    loop {
        let request = v1::DeleteRequest {
            scope: Some(flow.scope.clone()),
            kind: v1::ResourceKind::Network.into(),
            checkpoint: checkpoint.clone(),
            ..v1::DeleteRequest::default()
        };
        match flow.provider.delete(request).await.map(|a| a.progress.unwrap().outcome.unwrap()) {
            Ok(v1::progress::Outcome::Gone(_)) => break,
            Ok(v1::progress::Outcome::Pending(pending)) => checkpoint = pending.checkpoint,
            Ok(other) => panic!("{other:?}"),
            Err(error) => reported.push(error),
        }
        assert!(reported.len() < 100, "{:?}", reported.last());
        tokio::time::sleep(flow.pause).await;
    }
    let first = reported.first().expect("the failure is reported");
    assert!(first.kind == ErrorKind::Conflict && first.message.contains("something holds it"), "{first}");
    assert!(!first.remedy.is_empty());
    cloud.is_empty().await;
}

#[tokio::test]
async fn leftovers_of_kubernetes_go_and_others_stay() {
    let cloud = Cloud::start().await;
    let flow = cloud.flow().await;
    flow.create().await.unwrap();
    let ours =
        json!({ "landlord-installation": "test", "landlord-tenant-uid": common::UID, "landlord-role": "cluster" });
    let mut by_disk = ours.clone();
    by_disk["kubernetes.io-created-for-pvc-name"] = json!("data");
    cloud
        .foreign_call(
            "PUT",
            &format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/shared"),
            RESOURCES,
            json!({ "location": "westeurope" }),
        )
        .await;
    let shared = |path: &str| format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/shared/providers/{path}");
    let disk = |tags: &Value| {
        json!({ "location": "westeurope", "tags": tags, "sku": { "name": "StandardSSD_LRS" },
            "properties": { "diskSizeGB": 8, "creationData": { "createOption": "Empty" } } })
    };
    let address = |tags: &Value| {
        json!({ "location": "westeurope", "tags": tags, "sku": { "name": "Standard" },
            "properties": { "publicIPAllocationMethod": "Static" } })
    };
    let by_cluster = json!({ "k8s-azure-cluster-name": name(), "k8s-azure-service": "files/web" });
    let mut another = ours.clone();
    another["landlord-tenant-uid"] = json!("0192f0c1-2d3e-7a4b-8c5d-6e7f80910a1c");
    for (path, version, body) in [
        (shared("Microsoft.Compute/disks/pvc-ours"), COMPUTE, disk(&by_disk)),
        (
            shared("Microsoft.Compute/disks/pvc-other"),
            COMPUTE,
            disk(&json!({ "k8s-azure-created-by": "kubernetes-azure-dd" })),
        ),
        (shared("Microsoft.Compute/disks/pvc-another"), COMPUTE, disk(&another)),
        (shared("Microsoft.Network/publicIPAddresses/kubernetes-a1"), NETWORK, address(&by_cluster)),
        (
            format!("{}/providers/Microsoft.Network/publicIPAddresses/kubernetes-a2", group("")),
            NETWORK,
            address(&json!({ "k8s-azure-cluster-name": "kubernetes", "k8s-azure-service": "files/web" })),
        ),
    ] {
        cloud.foreign_call("PUT", &path, version, body).await;
        cloud.settled(&path, version).await;
    }
    // The list that finds them lags behind.
    loop {
        let request = v1::ObserveRequest {
            scope: Some(flow.scope.clone()),
            kind: v1::ResourceKind::Leftovers.into(),
            ..v1::ObserveRequest::default()
        };
        if flow.provider.observe(request).await.unwrap().objects.len() >= 3 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let removed = flow.delete().await.unwrap();
    for kind in ["Microsoft.Compute/disks", "Microsoft.Network/publicIPAddresses"] {
        assert!(
            removed.iter().any(|o| o.r#type.eq_ignore_ascii_case(kind) && o.role == "leftover"),
            "{kind}: {removed:#?}"
        );
    }
    flow.owned_is_empty().await;
    let mut left: Vec<String> = cloud.objects().await.iter().map(|o| o["name"].as_str().unwrap().to_owned()).collect();
    left.sort();
    assert_eq!(left, ["pvc-another", "pvc-other", "shared"]);
    what_appears_is_documented(&cloud).await;
}

#[tokio::test]
async fn labels_of_a_pool_are_the_clouds() {
    let cloud = Cloud::start().await;
    let mut flow = cloud.flow().await;
    let made = flow.create().await.unwrap();
    flow.pool.labels = [("tenant".to_owned(), "changed".to_owned())].into_iter().collect();
    flow.node_pool(&made).await.unwrap();
    let shown = cloud
        .foreign_call("GET", &format!("{}/agentPools/default", made.cluster.attributes["id"]), AKS, Value::Null)
        .await;
    assert_eq!(shown["properties"]["nodeLabels"], json!({ "tenant": "changed" }));
    flow.delete().await.unwrap();
    cloud.is_empty().await;
}

#[tokio::test]
async fn a_pool_with_taints_comes_beside_the_systems_own() {
    let cloud = Cloud::start().await;
    let mut flow = cloud.flow().await;
    flow.pool.taints =
        vec![v1::Taint { key: "only".to_owned(), value: "acme".to_owned(), effect: "NoSchedule".to_owned() }];
    flow.pool.node_count_max = 5;
    flow.pool.disk_size_gib = 200;
    let made = flow.create().await.unwrap();
    let shown =
        cloud.foreign_call("GET", &format!("{}/agentPools", made.cluster.attributes["id"]), AKS, Value::Null).await;
    let pools = shown["value"].as_array().unwrap();
    let of = |name: &str| pools.iter().find(|p| p["name"] == name).unwrap()["properties"].clone();
    assert_eq!((pools.len(), of("system")["mode"].as_str()), (2, Some("System")));
    let own = of("default");
    assert_eq!(own["nodeTaints"], json!(["only=acme:NoSchedule"]));
    assert_eq!(
        (own["maxCount"].as_i64(), own["osDiskSizeGB"].as_i64(), own["mode"].as_str()),
        (Some(5), Some(200), Some("User"))
    );
    let removed = flow.delete_kind(v1::ResourceKind::NodePool).await.unwrap();
    assert_eq!(removed.len(), 1, "{removed:?}");
    flow.delete().await.unwrap();
    cloud.is_empty().await;
}

#[tokio::test]
async fn a_record_of_others_is_not_taken() {
    let cloud = Cloud::start().await;
    let flow = cloud.flow().await;
    let zone = flow.zone().await.unwrap();
    let other = format!("{}/A/other", zone.zone_id);
    let body = json!({ "properties": { "TTL": 60, "ARecords": [{ "ipv4Address": "192.0.2.9" }] } });
    cloud.foreign_call("PUT", &other, DNS, body).await;
    let taken = vec![v1::DnsRecord { name: format!("other.{DOMAIN}"), ..common::records(DOMAIN)[1].clone() }];
    assert_eq!(flow.records(&zone, taken).await.unwrap_err().kind, ErrorKind::NameTaken);
    flow.records(&zone, common::records(DOMAIN)).await.unwrap();
    let removed = flow.delete_kind(v1::ResourceKind::DnsRecords).await.unwrap();
    assert_eq!(removed.len(), 2, "{removed:?}");
    flow.delete_kind(v1::ResourceKind::DnsZone).await.unwrap();
    cloud.is_empty().await;
}

#[tokio::test]
async fn a_parent_zone_delegates_and_the_delegation_goes_with_the_zone() {
    let cloud = Cloud::start().await;
    let group = format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/dns");
    cloud.foreign_call("PUT", &group, RESOURCES, json!({ "location": "westeurope" })).await;
    let parent = format!("{group}/providers/Microsoft.Network/dnsZones/example.com");
    cloud.foreign_call("PUT", &parent, DNS, json!({ "location": "global" })).await;
    let mut flow = cloud.flow().await;
    let config = json!({ "parent_zones": { "example.com": parent } }).to_string();
    flow.provider = common::provider(&cloud.sim.url(), &token(SUBSCRIPTION), &config).await;
    let zone = flow.zone().await.unwrap();
    let record = cloud.foreign_call("GET", &format!("{parent}/NS/acme"), DNS, Value::Null).await;
    assert_eq!(record["properties"]["NSRecords"].as_array().unwrap().len(), zone.name_servers.len());
    flow.delete_kind(v1::ResourceKind::DnsZone).await.unwrap();
    let listed = cloud.foreign_call("GET", &format!("{parent}/recordsets"), DNS, Value::Null).await;
    assert!(!listed.to_string().contains("\"acme\""), "{listed}");
    assert_eq!(cloud.of_type("Microsoft.Network/dnsZones").await.len(), 1);
}

#[tokio::test]
async fn access_to_an_adopted_cluster_is_by_its_group_and_name() {
    let cloud = Cloud::start().await;
    let flow = cloud.flow().await;
    let network = flow.network().await.unwrap();
    let cluster = flow.cluster(&network).await.unwrap();
    // What was adopted is known by its group and name from the first response on, and not requested again.
    let both = format!("{0}/{0}", name());
    let of = |host_cluster: &str, status| {
        let scope = v1::Scope { host_cluster: host_cluster.to_owned(), ..flow.scope.clone() };
        flow.provider.kube_access(v1::KubeAccessRequest { scope: Some(scope), cluster: status })
    };
    assert_eq!(of(&both, None).await.unwrap().endpoint, cluster.endpoint);
    let calls = cloud.journal().await.len();
    let known = v1::ClusterStatus { name: both.clone(), ..cluster.clone() };
    assert_eq!(of(&both, Some(known)).await.unwrap().endpoint, cluster.endpoint);
    assert_eq!(cloud.journal().await.len(), calls);
    let error = of("production-3", None).await.unwrap_err();
    assert!(error.remedy.contains("GROUP/NAME"), "{error}");
    flow.delete().await.unwrap();
    cloud.is_empty().await;
}

#[tokio::test]
async fn another_subscription_is_an_auth_error() {
    let cloud = Cloud::start().await;
    let mut flow = cloud.flow().await;
    flow.scope.account = "99999999-2222-4333-8444-555555555555".to_owned();
    let error = flow.network().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Auth, "{error}");
    assert!(error.remedy.contains("Microsoft.Resources"), "{}", error.remedy);
}

/// Entra's several ways to a token, each as far as a zone.
#[tokio::test]
async fn every_kind_of_credential_gets_a_token() {
    let cloud = Cloud::start_at(1.0).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, format!("h.{}.s", base64(r#"{"sub":"system:serviceaccount:landlord:landlord"}"#))).unwrap();
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["landlord".to_owned()]).unwrap().self_signed(&key).unwrap();
    let pem = format!("{}{}", key.serialize_pem(), certificate.pem());
    let (tenant, client) = ("00000000-0000-0000-0000-00000000c10d", "22222222-2222-4333-8444-555555555555");
    for credential in [
        json!({ "kind": "client_secret", "tenant_id": tenant, "client_id": client, "client_secret": "test" }),
        json!({ "kind": "client_certificate", "tenant_id": tenant, "client_id": client, "certificate_pem": pem }),
        json!({ "kind": "workload_identity", "tenant_id": tenant, "client_id": client, "token_file": file }),
        json!({ "kind": "managed_identity" }),
        json!({ "kind": "managed_identity", "client_id": client }),
    ] {
        let flow = common::flow(&cloud.sim.url(), &credential.to_string()).await;
        let zone = flow.zone().await;
        assert!(zone.is_ok(), "{}: {zone:?}", credential["kind"]);
    }
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text)
}

#[tokio::test]
async fn a_wrong_secret_is_an_auth_error_without_the_secret() {
    let cloud = Cloud::start().await;
    let credential = json!({ "kind": "client_secret", "tenant_id": "00000000-0000-0000-0000-00000000c10d",
        "client_id": "22222222-2222-4333-8444-555555555555", "client_secret": "wrong-hunter2" });
    let flow = common::flow(&cloud.sim.url(), &credential.to_string()).await;
    let error = flow.zone().await.unwrap_err();
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Auth, "AADSTS7000215"), "{error}");
    assert!(error.remedy.contains("client secret") && !error.to_string().contains("hunter2"), "{error}");
}

/// Stands between the provider and the simulator, and sends whoever follows an operation to a
/// host of its own.
async fn liar(target: String) -> (String, std::sync::Arc<std::sync::atomic::AtomicUsize>) {
    use axum::{body::Bytes, http};
    let trap = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let trapped = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let elsewhere = format!("http://{}/operations/x", trap.local_addr().unwrap());
    let counter = std::sync::Arc::clone(&trapped);
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move {
        while trap.accept().await.is_ok() {
            counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        }
    });
    let http = reqwest::Client::new();
    let app = axum::Router::new().fallback(move |request: http::Request<axum::body::Body>| {
        let (http, target, elsewhere) = (http.clone(), target.clone(), elsewhere.clone());
        async move {
            let (parts, body) = request.into_parts();
            let body: Bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
            let path = parts.uri.path_and_query().unwrap();
            let mut forward = http.request(parts.method, format!("{target}{path}"));
            for (name, value) in parts.headers.iter().filter(|(n, _)| !["host", "content-length"].contains(&n.as_str()))
            {
                forward = forward.header(name, value);
            }
            let response = forward.body(body).send().await.unwrap();
            let mut copy = http::Response::builder().status(response.status());
            for (name, value) in response.headers() {
                copy = match name.as_str() {
                    "azure-asyncoperation" | "location" => copy.header(name, &elsewhere),
                    "content-length" | "transfer-encoding" => copy,
                    _ => copy.header(name, value),
                };
            }
            copy.body(axum::body::Body::from(response.bytes().await.unwrap())).unwrap()
        }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tasks.spawn(async move { axum::serve(listener, app).await.unwrap() });
    // Both end with the test's runtime.
    tasks.detach_all();
    (url, trapped)
}

#[tokio::test]
async fn an_operation_at_a_foreign_host_is_never_followed() {
    let cloud = Cloud::start().await;
    let (url, trapped) = liar(cloud.sim.url()).await;
    let flow = common::flow(&url, &token(SUBSCRIPTION)).await;
    let made = flow.create().await.unwrap();
    // Nor is one that a checkpoint brings.
    let request = v1::EnsureClusterRequest {
        scope: Some(flow.scope.clone()),
        parameters_json: flow.parameters.clone(),
        network: Some(made.network),
        checkpoint: json!({ "operations": { "change": "https://management.azure.com.evil.example/x" } })
            .to_string()
            .into_bytes(),
        node_pool: Some(flow.pool.clone()),
    };
    flow.provider.ensure_cluster(request).await.unwrap();
    flow.delete().await.unwrap();
    cloud.is_empty().await;
    assert_eq!(trapped.load(std::sync::atomic::Ordering::SeqCst), 0, "a token went to a foreign host");
}

#[tokio::test]
async fn what_holds_a_removal_is_named_before_its_first_step() {
    let cloud = Cloud::start().await;
    let flow = cloud.flow().await;
    let made = flow.create().await.unwrap();
    let pool = format!("{}/agentPools/customergpu", made.cluster.attributes["id"]);
    let body = json!({ "properties": { "mode": "User", "count": 1, "vmSize": "Standard_D2s_v5",
        "vnetSubnetID": made.network.private_subnet_ids[0] } });
    cloud.foreign_call("PUT", &pool, AKS, body).await;
    cloud.settled(&pool, AKS).await;
    let lock = format!("{}/providers/Microsoft.Authorization/locks/keep", group(""));
    cloud.foreign_call("PUT", &lock, LOCKS, json!({ "properties": { "level": "CanNotDelete" } })).await;
    // Locks of the other groups hold as well, and so does what others put into the subnet.
    let nodes = format!("{}/providers/Microsoft.Authorization/locks/nodes", group("-nodes"));
    cloud.foreign_call("PUT", &nodes, LOCKS, json!({ "properties": { "level": "ReadOnly" } })).await;
    let theirs = format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/theirs");
    cloud.foreign_call("PUT", &theirs, RESOURCES, json!({ "location": "westeurope" })).await;
    let card = format!("{theirs}/providers/Microsoft.Network/networkInterfaces/customer-nic");
    let body = json!({ "location": "westeurope", "properties": { "ipConfigurations": [{ "name": "one",
        "properties": { "subnet": { "id": made.network.private_subnet_ids[0] } } }] } });
    cloud.foreign_call("PUT", &card, NETWORK, body).await;
    cloud.settled(&card, NETWORK).await;
    // AKS deletes the nodes' group with whatever is in it.
    let endpoint = format!("{}/providers/Microsoft.Network/privateEndpoints/customer-endpoint", group("-nodes"));
    cloud.foreign_call("DELETE", &nodes, LOCKS, Value::Null).await;
    let body =
        json!({ "location": "westeurope", "properties": { "subnet": { "id": made.network.private_subnet_ids[0] } } });
    cloud.foreign_call("PUT", &endpoint, NETWORK, body).await;
    cloud.settled(&endpoint, NETWORK).await;
    // Machines beside the scale sets: a customer's holds the removal, one that AKS made for a pool of its own does not.
    let machine = |name: &str| format!("{}/providers/Microsoft.Compute/virtualMachines/{name}", group("-nodes"));
    for (name, tags) in [("customer-vm", json!({})), ("aks-vm", json!({ "aks-managed-poolName": "system" }))] {
        let card = format!("{}/providers/Microsoft.Network/networkInterfaces/{name}-nic", group("-nodes"));
        let subnet = json!({ "subnet": { "id": made.network.private_subnet_ids[0] } });
        let body = json!({ "location": "westeurope", "tags": tags,
            "properties": { "ipConfigurations": [{ "name": "one", "properties": subnet }] } });
        cloud.foreign_call("PUT", &card, NETWORK, body).await;
        cloud.settled(&card, NETWORK).await;
        let body = json!({ "location": "westeurope", "tags": tags,
            "properties": { "networkProfile": { "networkInterfaces": [{ "id": card }] } } });
        cloud.foreign_call("PUT", &machine(name), COMPUTE, body).await;
    }
    cloud.foreign_call("PUT", &nodes, LOCKS, json!({ "properties": { "level": "ReadOnly" } })).await;
    let names = [
        "customer-endpoint",
        "customer-vm",
        "customergpu",
        "the lock keep (CanNotDelete)",
        "the lock nodes (ReadOnly)",
        "customer-nic",
    ];
    flow.is_held_first(&names).await;
    cloud.foreign_call("DELETE", &nodes, LOCKS, Value::Null).await;
    cloud.foreign_call("DELETE", &endpoint, NETWORK, Value::Null).await;
    cloud.foreign_call("DELETE", &machine("customer-vm"), COMPUTE, Value::Null).await;
    while cloud.of_type("Microsoft.Compute/virtualMachines").await.len() > 1 {
        tokio::time::sleep(flow.pause).await;
    }
    cloud.foreign_call("DELETE", &theirs, RESOURCES, Value::Null).await;
    for (kind, count) in [("managedClusters", 1), ("managedClusters/agentPools", 2)] {
        let kind = format!("Microsoft.ContainerService/{kind}");
        assert_eq!(cloud.of_type(&kind).await.len(), count, "{kind}");
    }
    cloud.foreign_call("DELETE", &lock, LOCKS, Value::Null).await;
    cloud.foreign_call("DELETE", &pool, AKS, Value::Null).await;
    while cloud.of_type("Microsoft.ContainerService/managedClusters/agentPools").await.len() > 1 {
        tokio::time::sleep(flow.pause).await;
    }
    flow.delete().await.unwrap();
    cloud.is_empty().await;
    what_appears_is_documented(&cloud).await;
}

/// The provider's own token is held to the role, foreign tokens are not.
async fn hold(cloud: &Cloud, document: &str) {
    let rights =
        json!({ "account": SUBSCRIPTION, "cloud": "azure", "document": document, "credentials": ["sim-*-test"] });
    cloud.control("POST", "rights", rights).await;
}

const ROLE: &str = include_str!("../role-definition.json");

/// Somebody else's leftovers of the tenant's cluster in another group, one of each kind that landlord removes.
async fn leave_one_of_each(cloud: &Cloud) {
    let group = format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/shared");
    cloud.foreign_call("PUT", &group, RESOURCES, json!({ "location": "westeurope" })).await;
    let tags = json!({ "k8s-azure-cluster-name": name(), "k8s-azure-service": "files/web" });
    for (kind, version) in [
        ("Microsoft.Network/loadBalancers", NETWORK),
        ("Microsoft.Network/privateEndpoints", NETWORK),
        ("Microsoft.Network/networkInterfaces", NETWORK),
        ("Microsoft.Network/publicIPAddresses", NETWORK),
        ("Microsoft.Network/networkSecurityGroups", NETWORK),
        ("Microsoft.Compute/snapshots", COMPUTE),
        ("Microsoft.Compute/disks", COMPUTE),
    ] {
        let path = format!("{group}/providers/{kind}/left-over");
        let body = json!({ "location": "westeurope", "tags": tags, "sku": { "name": "Standard" },
            "properties": { "publicIPAllocationMethod": "Static", "diskSizeGB": 8, "creationData": { "createOption": "Empty" } } });
        cloud.foreign_call("PUT", &path, version, body).await;
        cloud.settled(&path, version).await;
    }
}

#[tokio::test]
async fn a_recorded_run_needs_every_right_of_the_role_and_no_other() {
    let cloud = Cloud::start().await;
    hold(&cloud, ROLE).await;
    let group = format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/dns");
    cloud.foreign_call("PUT", &group, RESOURCES, json!({ "location": "westeurope" })).await;
    let parent = format!("{group}/providers/Microsoft.Network/dnsZones/example.com");
    cloud.foreign_call("PUT", &parent, DNS, json!({ "location": "global" })).await;
    let mut flow = cloud.flow().await;
    let config = json!({ "parent_zones": { "example.com": parent } }).to_string();
    flow.provider = common::provider(&cloud.sim.url(), &token(SUBSCRIPTION), &config).await;
    // Why a part of a network failed is read from its operation.
    cloud
        .fault(json!({ "service": "network", "action": "virtualNetworks.Ready", "kind": "error", "count": 1,
            "error": { "code": "InternalServerError", "status": 500, "message": "bad day" } }))
        .await;
    let made = Box::pin(flow.create()).await.unwrap();
    // Somebody takes the way out from the nodes' subnet: it is put back.
    let subnet = &made.network.private_subnet_ids[0];
    let body = json!({ "properties": { "addressPrefix": "10.64.0.0/18" } });
    cloud.foreign_call("PUT", subnet, NETWORK, body).await;
    cloud.settled(subnet, NETWORK).await;
    flow.network().await.unwrap();
    let mut records = common::records(DOMAIN);
    let of = |kind: &str, value: &str| v1::DnsRecord {
        name: format!("more.{DOMAIN}"),
        r#type: kind.to_owned(),
        ttl_seconds: 60,
        values: vec![value.to_owned()],
    };
    records.extend([of("AAAA", "2001:db8::1"), of("TXT", "text")]);
    flow.records(&made.zone, records).await.unwrap();
    flow.parameters = PARAMETERS.replace("203.0.113.0/24", "198.51.100.0/24");
    flow.cluster(&made.network).await.unwrap();
    flow.pool.node_count = 3;
    flow.node_pool(&made).await.unwrap();
    let access = v1::KubeAccessRequest { scope: Some(flow.scope.clone()), cluster: Some(made.cluster.clone()) };
    let access = flow.provider.kube_access(access).await.unwrap();
    // What the cluster's API server asks Azure of whoever shows it the token.
    let review = json!({ "spec": { "token": access.token } });
    let path = format!("webhook/{}", made.cluster.attributes["id"].trim_start_matches('/'));
    let review: Value = serde_json::from_str(&cloud.control("POST", &path, review).await).unwrap();
    assert_eq!(review["status"]["authenticated"], true, "{review}");
    let (one, at_one) = neighbour(&cloud.sim.url(), &token(SUBSCRIPTION), NEIGHBOURS[0], &made).await;
    one.node_pool(&at_one).await.unwrap();
    one.delete().await.unwrap();
    leave_one_of_each(&cloud).await;
    loop {
        let leftovers = v1::ResourceKind::Leftovers.into();
        let request = v1::ObserveRequest { scope: Some(flow.scope.clone()), kind: leftovers, ..Default::default() };
        if flow.provider.observe(request).await.unwrap().objects.len() >= 7 {
            break;
        }
        tokio::time::sleep(flow.pause).await;
    }
    flow.owned().await.unwrap();
    flow.delete().await.unwrap();
    flow.owned_is_empty().await;
    let report: Value = serde_json::from_str(&cloud.control("GET", "rights", Value::Null).await).unwrap();
    let report = &report[SUBSCRIPTION];
    assert_eq!(report["missing"], json!([]), "{}", report["missing_on"]);
    assert_eq!(report["unused"], json!([]));
}

#[tokio::test]
async fn a_right_that_is_missing_is_named_with_its_remedy() {
    let cloud = Cloud::start().await;
    let flow = cloud.flow().await;
    let without = |action: &str| {
        let document = ROLE.replace(&format!("\"{action}\",\n"), "");
        assert_ne!(document, ROLE, "{action}");
        document
    };
    for action in ["Microsoft.Network/natGateways/write", "Microsoft.Network/publicIPAddresses/join/action"] {
        hold(&cloud, &without(action)).await;
        let error = flow.network().await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Auth, "{action}: {error}");
        assert!(error.remedy.contains(action) && error.remedy.contains("az role definition update"), "{error:?}");
    }
    // A role of an older release: it lacks what a removal reads first.
    hold(&cloud, ROLE).await;
    flow.create().await.unwrap();
    let older = "Microsoft.Authorization/locks/read";
    hold(&cloud, &without(older)).await;
    let error = flow.delete().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Auth, "{error}");
    assert!(error.remedy.contains(older) && error.remedy.contains("az role definition update"), "{error:?}");
    hold(&cloud, ROLE).await;
    flow.delete().await.unwrap();
    cloud.is_empty().await;
}

#[tokio::test]
async fn a_policy_of_the_organization_is_named_as_such() {
    let cloud = Cloud::start().await;
    let flow = cloud.flow().await;
    let forbid = json!({ "account": SUBSCRIPTION, "forbid": ["Microsoft.Network/natGateways/write"] });
    cloud.control("POST", "policies", forbid).await;
    let error = flow.network().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Auth, "{error}");
    assert!(error.remedy.contains("Azure Policy"), "{}", error.remedy);
    cloud.control("POST", "policies", json!({ "account": SUBSCRIPTION, "forbid": [] })).await;
    flow.network().await.unwrap();
}

#[tokio::test]
async fn a_pool_runs_its_old_version_until_its_upgrade_has_ended() {
    let cloud = Cloud::start().await;
    let mut flow = cloud.flow().await;
    let made = flow.create().await.unwrap();
    flow.parameters = PARAMETERS.replace("1.34", "1.35");
    flow.cluster(&made.network).await.unwrap();
    let path = format!("{}/agentPools/default", made.cluster.attributes["id"]);
    let runs = async || {
        let pool = cloud.foreign_call("GET", &path, AKS, Value::Null).await;
        pool["properties"]["currentOrchestratorVersion"].as_str().unwrap().to_owned()
    };
    assert!(runs().await.starts_with("1.34."), "the control plane alone was upgraded");
    let cluster = flow.cluster(&made.network).await.unwrap();
    flow.node_pool(&Made { cluster, ..made.clone() }).await.unwrap();
    assert!(runs().await.starts_with("1.35."));
    // A client of an older version of the API: no entity tag, and absent members instead of nulls.
    let older = cloud.foreign_call("GET", &path, "2023-11-01", Value::Null).await;
    assert!(older.get("eTag").is_none() && !older.to_string().contains("null"), "{older}");
    let network = cloud.foreign_call("GET", &made.network.network_id, "2021-05-01", Value::Null).await;
    assert!(!network.to_string().contains("null"), "{network}");
}
