//! The provider against the simulated GCP. The simulator's own list of objects and journal are the
//! judge, not what the provider says.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use cloudsim::{Handle, Options, Simulator};
use common::{DOMAIN, Flow, Made, PARAMETERS, PROJECT, REGION, UID, neighbour, token};
use landlord_provider_api::{Cluster as _, Dns as _, ErrorKind, Inventory as _, Network as _, v1};
use landlord_test_driver::simulated::{Facts, Foreign, Marked, Metered, Quota};
use serde_json::{Value, json};

/// A lifecycle takes about a second.
const SCALE: f64 = 0.0005;
const NETWORK: &str = "landlord-0192f0c12d3e7a4b8c5d6e7f80910a1b";
const CLUSTER: &str = "landlord-0192f0c12d3ea4b8c5d6e7f80910a1b";
/// Types of which a tenant has exactly one.
const SINGLE: [&str; 6] = [
    "compute.googleapis.com/Network",
    "compute.googleapis.com/Subnetwork",
    "compute.googleapis.com/Router",
    "container.googleapis.com/Cluster",
    "container.googleapis.com/NodePool",
    "dns.googleapis.com/ManagedZone",
];

/// What the cases of all plugins need to know.
const FACTS: Facts = Facts {
    cloud: common::CLOUD,
    account: PROJECT,
    uid: UID,
    credential: || token(PROJECT),
    made: &[
        ("compute.googleapis.com/Network", 1),
        ("compute.googleapis.com/Subnetwork", 1),
        ("compute.googleapis.com/Router", 1),
        ("container.googleapis.com/Cluster", 1),
        ("container.googleapis.com/NodePool", 1),
        ("dns.googleapis.com/ManagedZone", 1),
        ("compute.googleapis.com/Instance", 2),
    ],
    owned: &SINGLE,
    removed: &SINGLE,
    // The others are made by Google itself.
    marked: Marked::Made,
    holds: |made| {
        assert_eq!(made.cluster.name, CLUSTER);
        assert!(made.cluster.kubernetes_version.starts_with("1.35."), "{}", made.cluster.kubernetes_version);
        assert_eq!((made.pool.name.as_str(), made.zone.name_servers.len()), ("landlord-default", 4));
    },
    quotas: &[
        Quota { stage: Metered::Network, name: "NETWORKS", low: 0, high: 5, words: &["NETWORKS"] },
        Quota { stage: Metered::Cluster, name: "CPUS", low: 4, high: 24, words: &["CPUS"] },
    ],
    buckets: &[
        ("compute", v1::ResourceKind::Network, "compute/read"),
        ("container", v1::ResourceKind::Cluster, "container/read"),
        ("dns", v1::ResourceKind::DnsZone, "dns/all"),
    ],
    states_wait: false,
    held: &[
        (
            "container.googleapis.com/Cluster",
            &[v1::ResourceKind::Addons, v1::ResourceKind::NodePool, v1::ResourceKind::Cluster],
        ),
        (
            "dns.googleapis.com/ManagedZone",
            &[v1::ResourceKind::DnsZone, v1::ResourceKind::DnsRecords, v1::ResourceKind::Identity],
        ),
    ],
    other_machine_type: "c3-standard-8",
    minors: ["1.34", "1.35", "1.37"],
    token_prefix: "ya29.",
    foreign: |sim, call| Box::pin(foreign(sim, call)),
    record: |zone, name| Foreign {
        method: "POST",
        path: dns_path(&format!("/{zone}/changes")),
        body: json!({ "additions": [
            { "name": format!("{name}.{DOMAIN}."), "type": "A", "ttl": 60, "rrdatas": ["192.0.2.9"] },
        ] })
        .to_string(),
    },
    listed: |zone| Foreign { method: "GET", path: dns_path(&format!("/{zone}/rrsets")), body: String::new() },
};

/// A call by somebody else in the project.
async fn foreign(sim: &Handle, call: Foreign) -> String {
    let request = reqwest::Client::new().request(call.method.parse().unwrap(), format!("{}{}", sim.url(), call.path));
    let request = request.bearer_auth(format!("ya29.sim-{PROJECT}.other")).header("content-type", "application/json");
    let response = request.body(call.body).send().await.unwrap();
    let (status, text) = (response.status(), response.text().await.unwrap());
    assert!(status.is_success(), "{} {}: {status} {text}", call.method, call.path);
    text
}

landlord_test_driver::every_plugin_on_its_cloud!(landlord_plugin_gke::Gke, FACTS);

struct Cloud {
    sim: Handle,
    http: reqwest::Client,
}

impl Cloud {
    async fn start() -> Self {
        let options = Options { time_scale: SCALE, seed: 7, no_throttle: true, ..Options::default() };
        Self { sim: Simulator::start(options).await.unwrap(), http: reqwest::Client::new() }
    }

    async fn get(&self, path: &str) -> String {
        self.http.get(format!("{}{path}", self.sim.url())).send().await.unwrap().text().await.unwrap()
    }

    async fn post(&self, path: &str, body: Value) {
        let response = self.http.post(format!("{}{path}", self.sim.url())).json(&body).send().await.unwrap();
        assert!(response.status().is_success(), "{path}: {}", response.text().await.unwrap());
    }

    async fn fault(&self, rule: Value) {
        self.post("/_sim/faults", rule).await;
    }

    async fn quota(&self, name: &str, limit: u64) {
        self.post("/_sim/quotas", json!({ "account": PROJECT, "limits": { name: limit } })).await;
    }

    /// Live objects of the project.
    async fn objects(&self) -> Vec<Value> {
        let text = self.get(&format!("/_sim/objects?account={PROJECT}")).await;
        let value: Value = serde_json::from_str(&text).unwrap();
        value.as_array().or_else(|| value["objects"].as_array()).cloned().unwrap()
    }

    async fn ids(&self) -> std::collections::BTreeSet<String> {
        self.objects().await.iter().map(|o| o["id"].as_str().unwrap_or_default().to_owned()).collect()
    }

    async fn of_type(&self, kind: &str) -> Vec<Value> {
        self.objects().await.into_iter().filter(|o| o["type"] == kind).collect()
    }

    async fn journal(&self) -> Vec<Value> {
        let text = self.get("/_sim/journal?since=0").await;
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    async fn flow(&self) -> Flow {
        common::flow(&self.sim.url(), &token(PROJECT)).await
    }

    async fn is_empty(&self) {
        let left = self.objects().await;
        assert!(left.is_empty(), "left over: {left:#?}");
    }

    /// A call by somebody else in the project.
    async fn foreign_call(&self, method: &'static str, path: &str, body: Value) -> Value {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let text = foreign(&self.sim, Foreign { method, path: path.to_owned(), body }).await;
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// A Compute Engine object by somebody else; waits until it is made.
    async fn foreign(&self, collection: &str, body: Value) {
        let path = format!("/compute/v1/projects/{PROJECT}/{collection}");
        let operation = self.foreign_call("POST", &path, body).await;
        let place = collection.rsplit_once('/').unwrap().0;
        let path = format!("/compute/v1/projects/{PROJECT}/{place}/operations/{}", operation["name"].as_str().unwrap());
        for _ in 0..400 {
            if self.foreign_call("GET", &path, Value::Null).await["status"] == "DONE" {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        panic!("{path} does not end");
    }
}

fn dns_path(rest: &str) -> String {
    format!("/dns/v1/projects/{PROJECT}/managedZones{rest}")
}

#[tokio::test]
async fn the_cluster_is_private_and_hardened() {
    let cloud = Cloud::start().await;
    let flow = cloud.flow().await;
    let network = flow.network().await.unwrap();
    flow.cluster(&network).await.unwrap();
    let path = format!("/v1/projects/{PROJECT}/locations/{REGION}/clusters/{CLUSTER}");
    let cluster = cloud.foreign_call("GET", &path, Value::Null).await;
    for (pointer, value) in [
        ("/networkConfig/datapathProvider", json!("ADVANCED_DATAPATH")),
        ("/networkConfig/defaultEnablePrivateNodes", json!(true)),
        ("/workloadIdentityConfig/workloadPool", json!(format!("{PROJECT}.svc.id.goog"))),
        ("/shieldedNodes/enabled", json!(true)),
        ("/controlPlaneEndpointsConfig/ipEndpointsConfig/authorizedNetworksConfig/enabled", json!(true)),
        ("/releaseChannel/channel", json!("REGULAR")),
        ("/nodePools/0/config/workloadMetadataConfig/mode", json!("GKE_METADATA")),
        ("/nodePools/0/config/shieldedInstanceConfig/enableSecureBoot", json!(true)),
        ("/nodePools/0/config/metadata/disable-legacy-endpoints", json!("true")),
    ] {
        assert_eq!(cluster.pointer(pointer), Some(&value), "{pointer}: {cluster}");
    }
    let path = format!("/compute/v1/projects/{PROJECT}/regions/{REGION}/subnetworks/{NETWORK}");
    let subnetwork = cloud.foreign_call("GET", &path, Value::Null).await;
    assert_eq!(subnetwork["privateIpGoogleAccess"], true);
    assert_eq!(subnetwork["secondaryIpRanges"].as_array().map(Vec::len), Some(2), "{subnetwork}");
    let path = format!("/compute/v1/projects/{PROJECT}/regions/{REGION}/routers/{NETWORK}");
    let router = cloud.foreign_call("GET", &path, Value::Null).await;
    assert_eq!(router["nats"][0]["natIpAllocateOption"], "AUTO_ONLY", "{router}");
    flow.delete().await.unwrap();
    cloud.is_empty().await;
}

/// Tenants in a shared cluster: the first twelve digits, the time of their making, are the same.
const NEIGHBOURS: [&str; 3] = [
    "0192f0c1-2d3e-7a4b-8c5d-6e7f80910a21",
    "0192f0c1-2d3e-7a4b-8c5d-6e7f80910a22",
    "0192f0c1-2d3e-7a4b-8c5d-6e7f80910a23",
];

fn of_pools(owned: &[v1::OwnedObject]) -> Vec<(&str, &str)> {
    let pools = owned.iter().filter(|o| o.r#type == "container.googleapis.com/NodePool");
    pools.map(|o| (o.name.as_str(), o.tenant_uid.as_str())).collect()
}

#[tokio::test]
async fn tenants_in_a_shared_cluster_have_their_pools_there_and_nothing_else() {
    let cloud = Cloud::start().await;
    cloud.quota("CPUS", 100).await;
    let host = cloud.flow().await;
    let made = host.create().await.unwrap();
    let before = cloud.ids().await;
    let at = async |uid| neighbour(&cloud.sim.url(), &token(PROJECT), uid, &made).await;
    let ((one, at_one), (two, mut at_two)) = (at(NEIGHBOURS[0]).await, at(NEIGHBOURS[1]).await);
    // As of a cluster that was adopted without a word about its zones.
    at_two.network.attributes.remove("zones");
    // A cluster takes one change at a time: the other one's is waited for.
    let (first, second) = tokio::join!(one.node_pool(&at_one), two.node_pool(&at_two));
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!((first.name.as_str(), first.node_count), ("landlord-0192f0c12d3ea4b8c5d6e7f80910a21", 2));
    assert_ne!(first.name, second.name);
    let pools = format!("/v1/projects/{PROJECT}/locations/{REGION}/clusters/{CLUSTER}/nodePools");
    let [of_one, of_two] = [&first.name, &second.name].map(|name| format!("{pools}/{name}"));
    let zones = async |path: &str| cloud.foreign_call("GET", path, Value::Null).await["locations"].as_array().cloned();
    assert_eq!(zones(&of_one).await.unwrap(), zones(&of_two).await.unwrap());
    let pool = cloud.foreign_call("GET", &of_one, Value::Null).await;
    let hex = NEIGHBOURS[0].replace('-', "");
    for (pointer, value) in [
        ("/config/labels/landlord.dev~1tenant", json!(hex)),
        ("/config/taints/0", json!({ "key": "landlord.dev/tenant", "value": hex, "effect": "NO_SCHEDULE" })),
        ("/config/resourceLabels/landlord-tenant-uid", json!(NEIGHBOURS[0])),
        ("/config/workloadMetadataConfig/mode", json!("GKE_METADATA")),
    ] {
        assert_eq!(pool.pointer(pointer), Some(&value), "{pointer}: {pool}");
    }

    // Each sees its own, and the installation all.
    let owned = one.owned().await.unwrap();
    assert_eq!((owned.len(), of_pools(&owned)), (1, vec![(first.name.as_str(), NEIGHBOURS[0])]), "{owned:?}");
    assert_eq!(of_pools(&host.owned().await.unwrap()), [("landlord-default", UID)]);
    let mut all = cloud.flow().await;
    all.scope.tenant_uid.clear();
    assert_eq!(of_pools(&all.owned().await.unwrap()).len(), 3);

    // Nothing but pools is made there, and a foreign pool of a tenant's name is left alone.
    let error = one.network().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Invalid, "{error}");
    let taken = format!("landlord-{}{}", &NEIGHBOURS[2].replace('-', "")[..12], &NEIGHBOURS[2].replace('-', "")[13..]);
    cloud.foreign_call("POST", &pools, json!({ "nodePool": { "name": taken, "initialNodeCount": 1 } })).await;
    let (three, at_three) = at(NEIGHBOURS[2]).await;
    let error = three.node_pool(&at_three).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NameTaken, "{error}");
    assert_eq!(three.delete().await.unwrap(), []);

    // One goes, and takes nothing of the others along.
    let removed = one.delete().await.unwrap();
    assert_eq!((removed.len(), of_pools(&removed)), (1, vec![(first.name.as_str(), NEIGHBOURS[0])]), "{removed:?}");
    one.owned_is_empty().await;
    assert_eq!(host.create().await.unwrap().cluster.name, made.cluster.name);
    assert_eq!(two.node_pool(&at_two).await.unwrap(), second);
    two.delete().await.unwrap();
    cloud.foreign_call("DELETE", &format!("{pools}/{taken}"), Value::Null).await;
    for _ in 0..2_000 {
        if cloud.ids().await == before {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(cloud.ids().await, before);
    host.delete().await.unwrap();
    cloud.is_empty().await;
}

/// Whatever was made by whomever is in the list of what appears and who removes it.
async fn what_appears_is_documented(cloud: &Cloud) {
    let page = include_str!("../README.md");
    let lines = cloud.journal().await;
    let created = lines.iter().filter(|line| line["effect"] == "created");
    let kinds = created.flat_map(|line| line["objects"].as_array().cloned().unwrap_or_default());
    let kinds: std::collections::BTreeSet<String> =
        kinds.filter_map(|object| object["type"].as_str().map(str::to_owned)).collect();
    assert!(kinds.len() > 5, "{kinds:?}");
    let missing: Vec<&String> = kinds.iter().filter(|kind| !page.contains(&format!("`{kind}`"))).collect();
    assert!(missing.is_empty(), "the README does not say who removes {missing:?}");
}

#[tokio::test]
async fn a_foreign_node_pool_in_our_cluster_is_never_touched() {
    let cloud = Cloud::start().await;
    let mut flow = cloud.flow().await;
    let network = flow.network().await.unwrap();
    let cluster = flow.cluster(&network).await.unwrap();
    let made = Made { network, cluster, ..Made::default() };
    let path = format!("/v1/projects/{PROJECT}/locations/{REGION}/clusters/{CLUSTER}/nodePools");
    cloud.foreign_call("POST", &path, json!({ "nodePool": { "name": "landlord-more", "initialNodeCount": 1 } })).await;
    flow.pool.role = "more".to_owned();
    let error = flow.node_pool(&made).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NameTaken, "{error}");
    let request = v1::DeleteRequest {
        scope: Some(flow.scope.clone()),
        kind: v1::ResourceKind::NodePool.into(),
        role: "more".to_owned(),
        ..v1::DeleteRequest::default()
    };
    // By the daemon's records it is the tenant's and lost its labels: it is not gone.
    let recorded = v1::DeleteRequest { recorded: true, ..request.clone() };
    assert_eq!(flow.provider.delete(recorded).await.unwrap_err().kind, ErrorKind::NameTaken);
    let response = flow.provider.delete(request).await.unwrap();
    assert!(response.progress.unwrap().removed.is_empty());
    assert_eq!(cloud.of_type("container.googleapis.com/NodePool").await.len(), 2);
}

#[tokio::test]
async fn an_operation_that_fails_late_is_reported_once_and_recreated() {
    let cloud = Cloud::start().await;
    let flow = cloud.flow().await;
    for (action, code, message, kind) in [
        (
            "Operation:networks.insert",
            "QUOTA_EXCEEDED",
            "Quota 'NETWORKS' exceeded.  Limit: 5.0 globally.",
            ErrorKind::Quota,
        ),
        ("Operation:subnetworks.insert", "INVALID_USAGE", "Invalid IPCidrRange: overlaps.", ErrorKind::Invalid),
    ] {
        cloud
            .fault(json!({ "service": "compute", "action": action, "kind": "error", "count": 1,
                "error": { "code": code, "status": 403, "message": message } }))
            .await;
        let error = flow.network().await.unwrap_err();
        assert_eq!(error.kind, kind, "{action}: {error}");
    }
    let network = flow.network().await.unwrap();
    let mut checkpoint = Vec::new();
    for (code, message, kind) in [
        (
            "RESOURCE_EXHAUSTED",
            "ZONE_RESOURCE_POOL_EXHAUSTED: no room for e2-standard-4 in europe-west1-b",
            ErrorKind::Capacity,
        ),
        ("PERMISSION_DENIED", "Required 'compute.instances.create' permission for 'projects/p'", ErrorKind::Auth),
    ] {
        cloud
            .fault(json!({ "service": "container", "action": "ClusterReady", "kind": "error", "count": 1,
                "error": { "code": code, "status": 429, "message": message } }))
            .await;
        let error = drive(&flow, &network, &mut checkpoint).await.unwrap_err();
        assert_eq!(error.kind, kind, "{code}: {error}");
    }
    drive(&flow, &network, &mut checkpoint).await.unwrap();
    flow.delete().await.unwrap();
    flow.owned_is_empty().await;
    cloud.is_empty().await;
}

/// Requests the cluster until it is there or fails, also with what would be retried. The checkpoint
/// outlives a failure, as it does in the daemon.
async fn drive(
    flow: &Flow,
    network: &v1::NetworkStatus,
    checkpoint: &mut Vec<u8>,
) -> Result<(), landlord_provider_api::ProviderError> {
    for _ in 0..4_000 {
        let request = v1::EnsureClusterRequest {
            scope: Some(flow.scope.clone()),
            parameters_json: flow.parameters.clone(),
            network: Some(network.clone()),
            checkpoint: checkpoint.clone(),
            node_pool: Some(flow.pool.clone()),
        };
        match flow.provider.ensure_cluster(request).await {
            Err(error) if error.kind != ErrorKind::Conflict => return Err(error),
            Err(_) => {}
            Ok(response) => match response.progress.and_then(|p| p.outcome).unwrap() {
                v1::progress::Outcome::Pending(pending) if pending.checkpoint.is_empty() => {}
                v1::progress::Outcome::Pending(pending) => *checkpoint = pending.checkpoint,
                _ => return Ok(()),
            },
        }
        tokio::time::sleep(flow.pause).await;
    }
    panic!("the cluster neither comes nor fails");
}

#[tokio::test]
async fn leftovers_of_kubernetes_go_and_others_stay() {
    let cloud = Cloud::start().await;
    let flow = cloud.flow().await;
    flow.create().await.unwrap();
    let link = |rest: &str| format!("https://www.googleapis.com/compute/v1/projects/{PROJECT}/{rest}");
    let (network, region) = (link(&format!("global/networks/{NETWORK}")), format!("regions/{REGION}"));
    let balancer = "a0f1e2d3c4b5a69788776655443322110";
    let firewall = |name: &str, network: &str| json!({ "name": name, "network": network, "allowed": [{ "IPProtocol": "tcp", "ports": ["80"] }], "sourceRanges": ["0.0.0.0/0"] });
    cloud.foreign("global/httpHealthChecks", json!({ "name": "k8s-1234-node", "port": 10256 })).await;
    let pool = json!({ "name": balancer, "healthChecks": [link("global/httpHealthChecks/k8s-1234-node")] });
    cloud.foreign(&format!("{region}/targetPools"), pool).await;
    cloud.foreign(&format!("{region}/addresses"), json!({ "name": balancer })).await;
    let rule = json!({ "name": balancer, "target": link(&format!("{region}/targetPools/{balancer}")), "portRange": "80", "IPProtocol": "TCP" });
    cloud.foreign(&format!("{region}/forwardingRules"), rule).await;
    cloud.foreign("global/firewalls", firewall(&format!("k8s-fw-{balancer}"), &network)).await;
    let disk = |name: &str, cluster: &str| json!({ "name": name, "sizeGb": "8", "labels": { "goog-k8s-cluster-name": cluster } });
    let zone = format!("zones/{REGION}-b/disks");
    cloud.foreign(&zone, disk("pvc-ours", CLUSTER)).await;
    cloud.foreign(&zone, disk("pvc-theirs", "somebody-else")).await;
    cloud.foreign(&format!("{region}/addresses"), json!({ "name": "reserved-by-hand" })).await;
    let removed = flow.delete().await.unwrap();
    for kind in ["ForwardingRule", "TargetPool", "HttpHealthCheck", "Address", "Firewall", "Disk"] {
        let kind = format!("compute.googleapis.com/{kind}");
        assert!(removed.iter().any(|o| o.r#type == kind), "{kind} is not reported: {removed:#?}");
    }
    flow.owned_is_empty().await;
    let mut left: Vec<String> = cloud
        .objects()
        .await
        .iter()
        .map(|o| o["id"].as_str().unwrap().rsplit('/').next().unwrap().to_owned())
        .collect();
    left.sort();
    assert_eq!(left, ["pvc-theirs", "reserved-by-hand"]);
    what_appears_is_documented(&cloud).await;
}

#[tokio::test]
async fn a_pool_shrinks_over_its_zones_and_takes_taints() {
    let cloud = Cloud::start().await;
    let mut flow = cloud.flow().await;
    let made = flow.create().await.unwrap();
    flow.pool.node_count = 4;
    flow.pool.taints =
        vec![v1::Taint { key: "only".to_owned(), value: "acme".to_owned(), effect: "NoSchedule".to_owned() }];
    assert_eq!(flow.node_pool(&made).await.unwrap().node_count, 4);
    assert_eq!(cloud.of_type("compute.googleapis.com/Instance").await.len(), 4);
    flow.pool.node_count = 3;
    assert_eq!(flow.node_pool(&made).await.unwrap().node_count, 3, "over three zones");
    flow.pool.node_count = 1;
    assert_eq!(flow.node_pool(&made).await.unwrap().node_count, 1, "in one zone");
    assert_eq!(cloud.of_type("compute.googleapis.com/Instance").await.len(), 1);
    flow.delete().await.unwrap();
    cloud.is_empty().await;
}

#[tokio::test]
async fn a_further_pool_is_made_and_removed_by_its_role() {
    let cloud = Cloud::start().await;
    let mut flow = cloud.flow().await;
    let made = flow.create().await.unwrap();
    flow.pool = v1::NodePoolSpec {
        role: "more".to_owned(),
        node_count: 1,
        node_count_max: 3,
        disk_size_gib: 50,
        ..common::CLOUD.pool()
    };
    let pool = flow.node_pool(&made).await.unwrap();
    assert_eq!(pool.name, "landlord-more");
    let path = format!("/v1/projects/{PROJECT}/locations/{REGION}/clusters/{CLUSTER}/nodePools/landlord-more");
    let found = cloud.foreign_call("GET", &path, Value::Null).await;
    assert_eq!(found["autoscaling"]["totalMaxNodeCount"], 3, "{found}");
    assert_eq!(found["config"]["diskSizeGb"], 50, "{found}");
    flow.delete().await.unwrap();
    cloud.is_empty().await;
}

#[tokio::test]
async fn who_may_reach_a_cluster_follows_its_class() {
    let cloud = Cloud::start().await;
    let mut flow = cloud.flow().await;
    let network = flow.network().await.unwrap();
    flow.cluster(&network).await.unwrap();
    flow.parameters = PARAMETERS.replace("203.0.113.0/24", "198.51.100.0/24");
    flow.cluster(&network).await.unwrap();
    let path = format!("/v1/projects/{PROJECT}/locations/{REGION}/clusters/{CLUSTER}");
    let text = cloud.foreign_call("GET", &path, Value::Null).await.to_string();
    assert!(text.contains("198.51.100.0/24") && !text.contains("203.0.113.0/24"), "{text}");
    flow.delete().await.unwrap();
    cloud.is_empty().await;
}

#[tokio::test]
async fn a_parent_zone_delegates_and_the_delegation_goes_with_the_zone() {
    let cloud = Cloud::start().await;
    cloud
        .foreign_call("POST", &dns_path(""), json!({ "name": "parent", "dnsName": "example.com.", "description": "" }))
        .await;
    let mut flow = cloud.flow().await;
    let config = json!({ "parent_zones": { "example.com": { "zone": "parent" } } }).to_string();
    flow.provider = common::provider(&cloud.sim.url(), &token(PROJECT), &config).await;
    let zone = flow.zone().await.unwrap();
    let listed = || async { cloud.foreign_call("GET", &dns_path("/parent/rrsets"), Value::Null).await.to_string() };
    let before = listed().await;
    assert!(before.contains(&format!("\"{DOMAIN}.\"")) && before.contains(&zone.name_servers[0]), "{before}");
    flow.delete_kind(v1::ResourceKind::DnsZone).await.unwrap();
    assert!(!listed().await.contains(DOMAIN));
    assert_eq!(cloud.of_type("dns.googleapis.com/ManagedZone").await.len(), 1);
}

#[tokio::test]
async fn the_identity_is_the_clusters_right_on_its_own_zone() {
    let cloud = Cloud::start().await;
    let flow = cloud.flow().await;
    let made = flow.create().await.unwrap();
    let path = dns_path(&format!("/{}:getIamPolicy", made.zone.zone_id));
    let policy = cloud.foreign_call("POST", &path, json!({})).await.to_string();
    assert!(policy.contains("roles/dns.admin") && policy.contains(&format!("/clusters/{CLUSTER}")), "{policy}");
    let removed = flow.delete_kind(v1::ResourceKind::Identity).await.unwrap();
    assert_eq!(removed.len(), 1, "{removed:?}");
    let policy = cloud.foreign_call("POST", &path, json!({})).await.to_string();
    assert!(!policy.contains(CLUSTER), "{policy}");
    flow.delete().await.unwrap();
    cloud.is_empty().await;
}

#[tokio::test]
async fn impersonation_gives_a_token_and_another_project_is_refused() {
    let cloud = Cloud::start().await;
    let email = format!("landlord@{PROJECT}.iam.gserviceaccount.com");
    let credential = json!({ "kind": "impersonate", "service_account": email,
        "source": { "kind": "access_token", "token": format!("ya29.sim-{PROJECT}.test") } });
    let mut flow = cloud.flow().await;
    flow.provider = common::provider(&cloud.sim.url(), &credential.to_string(), "").await;
    flow.scope.account.clear();
    let network = flow.network().await.unwrap();
    assert!(network.network_id.contains(PROJECT), "the project is the account's own: {}", network.network_id);
    flow.delete_kind(v1::ResourceKind::Network).await.unwrap();
    let mut other = cloud.flow().await;
    other.provider = common::provider(&cloud.sim.url(), &token("someone-else-1"), "").await;
    let error = other.network().await.unwrap_err();
    assert!(error.kind == ErrorKind::Auth && !error.remedy.is_empty(), "{error}: {}", error.remedy);
    assert!(!format!("{error:?}").contains("ya29."), "{error:?}");
    cloud.is_empty().await;
}

#[tokio::test]
async fn a_key_is_exchanged_for_a_token_that_reports_its_end() {
    let cloud = Cloud::start().await;
    let private_key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap().serialize_pem();
    let key = json!({ "type": "service_account", "project_id": PROJECT, "private_key_id": "1", "private_key": private_key,
        "client_email": format!("landlord@{PROJECT}.iam.gserviceaccount.com"), "token_uri": "https://oauth2.googleapis.com/token" });
    // As text, which is how the daemon hands over the content of a key_file.
    let credential = json!({ "kind": "service_account_key", "key": key.to_string() });
    let mut flow = cloud.flow().await;
    flow.provider = common::provider(&cloud.sim.url(), &credential.to_string(), "").await;
    let network = flow.network().await.unwrap();
    let cluster = flow.cluster(&network).await.unwrap();
    let request = v1::KubeAccessRequest { scope: Some(flow.scope.clone()), cluster: Some(cluster) };
    let access = flow.provider.kube_access(request).await.unwrap();
    assert!(access.token.starts_with("ya29.") && !access.token.contains("sim-"), "an exchanged one: {}", access.token);
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let left = access.expire_time.unwrap().seconds - i64::try_from(now).unwrap();
    assert!((3_000..=3_600).contains(&left), "{left} s");
    flow.delete().await.unwrap();
    cloud.is_empty().await;
}

#[tokio::test]
async fn another_endpoint_or_a_bad_configuration_is_reported_at_once() {
    use landlord_provider_api::ProviderPlugin as _;
    let request = v1::ConfigureRequest {
        installation: "test".to_owned(),
        config_json: r#"{"parent_zone":{}}"#.to_owned(),
        credential_json: br#"{"kind":"hunter2"}"#.to_vec(),
        endpoint_override: "http://gcp.internal".to_owned(),
    };
    let error = landlord_plugin_gke::Gke::configure(request).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Invalid);
    for part in ["parent_zone", "credential scope", "endpoint_override"] {
        assert!(error.message.contains(part), "{error}");
    }
    assert!(!error.message.contains("hunter2"), "{error}");
    let nobody = common::provider("http://127.0.0.1:9", &token(PROJECT), "").await;
    let request = v1::EnsureNetworkRequest {
        scope: Some(common::scope(UID)),
        parameters_json: PARAMETERS.to_owned(),
        checkpoint: Vec::new(),
    };
    assert_eq!(nobody.ensure_network(request).await.unwrap_err().kind, ErrorKind::Transient);
    let request = v1::EnsureDnsZoneRequest {
        scope: Some(common::scope(UID)),
        spec: Some(v1::DnsZoneSpec { domain: DOMAIN.to_owned() }),
        checkpoint: Vec::new(),
    };
    assert_eq!(nobody.ensure_dns_zone(request).await.unwrap_err().kind, ErrorKind::Transient);
}

#[tokio::test]
async fn what_holds_a_removal_is_named_before_its_first_step() {
    let cloud = Cloud::start().await;
    let flow = cloud.flow().await;
    flow.create().await.unwrap();
    let pools = format!("/v1/projects/{PROJECT}/locations/{REGION}/clusters/{CLUSTER}/nodePools");
    cloud.foreign_call("POST", &pools, json!({ "nodePool": { "name": "customer-gpu", "initialNodeCount": 1 } })).await;
    let network = format!("projects/{PROJECT}/global/networks/{NETWORK}");
    let subnetwork = json!({ "name": "customer-net", "network": network, "ipCidrRange": "192.168.7.0/24" });
    cloud.foreign(&format!("regions/{REGION}/subnetworks"), subnetwork).await;
    let rule =
        json!({ "name": "customer-ssh", "network": network, "allowed": [{ "IPProtocol": "tcp", "ports": ["22"] }] });
    cloud.foreign("global/firewalls", rule).await;
    let zone = format!("zones/{REGION}-b/instances");
    let machine = json!({ "name": "customer-vm", "machineType": format!("zones/{REGION}-b/machineTypes/e2-small"),
        "networkInterfaces": [{ "network": network }] });
    cloud.foreign(&zone, machine).await;
    let endpoint = json!({ "name": "customer-endpoint", "network": network, "loadBalancingScheme": "INTERNAL" });
    cloud.foreign(&format!("regions/{REGION}/forwardingRules"), endpoint).await;
    let names = [
        "customer-gpu",
        "subnetwork customer-net",
        "firewall rule customer-ssh",
        "instance customer-vm",
        "forwarding rule customer-endpoint",
    ];
    flow.is_held_first(&names).await;
    for path in [
        format!("{zone}/customer-vm"),
        format!("regions/{REGION}/forwardingRules/customer-endpoint"),
        format!("regions/{REGION}/subnetworks/customer-net"),
        "global/firewalls/customer-ssh".to_owned(),
    ] {
        cloud.foreign_call("DELETE", &format!("/compute/v1/projects/{PROJECT}/{path}"), Value::Null).await;
    }
    for (kind, count) in [("Cluster", 1), ("NodePool", 2)] {
        assert_eq!(cloud.of_type(&format!("container.googleapis.com/{kind}")).await.len(), count, "{kind}");
    }
    assert_eq!(cloud.of_type("dns.googleapis.com/ManagedZone").await.len(), 1);
    let theirs = format!("{pools}/customer-gpu");
    while cloud.foreign_call("GET", &theirs, Value::Null).await["status"] != "RUNNING" {
        tokio::time::sleep(flow.pause).await;
    }
    cloud.foreign_call("DELETE", &theirs, Value::Null).await;
    while cloud.of_type("container.googleapis.com/NodePool").await.len() > 1 {
        tokio::time::sleep(flow.pause).await;
    }
    flow.delete().await.unwrap();
    cloud.is_empty().await;
    what_appears_is_documented(&cloud).await;
}

/// Somebody else's leftovers of the tenant's cluster, one of each kind and level that landlord removes.
async fn leave_one_of_each(cloud: &Cloud) {
    let mark = format!("{{\"k8sCluster\":\"/projects/1/locations/{REGION}/clusters/{CLUSTER}\"}}");
    let (region, zone) = (format!("regions/{REGION}"), format!("zones/{REGION}-b"));
    for (collection, places) in [
        ("forwardingRules", vec!["global", &region]),
        ("targetHttpProxies", vec!["global", &region]),
        ("targetHttpsProxies", vec!["global", &region]),
        ("urlMaps", vec!["global", &region]),
        ("targetPools", vec![&region]),
        ("backendServices", vec!["global", &region]),
        ("instanceGroups", vec![&zone]),
        ("networkEndpointGroups", vec![&zone]),
        ("healthChecks", vec!["global", &region]),
        ("httpHealthChecks", vec!["global"]),
        ("addresses", vec!["global", &region]),
        ("snapshots", vec!["global"]),
        ("disks", vec![&zone]),
        ("firewalls", vec!["global"]),
    ] {
        for place in places {
            let mut body = json!({ "name": "k8s-left-over", "description": mark });
            match collection {
                "disks" | "snapshots" => body["labels"] = json!({ "goog-k8s-cluster-name": CLUSTER }),
                "firewalls" => body["network"] = json!(format!("projects/{PROJECT}/global/networks/{NETWORK}")),
                _ => {}
            }
            cloud.foreign(&format!("{place}/{collection}"), body).await;
        }
    }
}

/// The provider's own token is held to the role, foreign tokens are not.
async fn hold(cloud: &Cloud, document: &str) {
    let rights = json!({ "account": PROJECT, "cloud": "gcp", "document": document, "credentials": ["*.test"] });
    cloud.post("/_sim/rights", rights).await;
}

const ROLE: &str = include_str!("../iam-role.yaml");

#[tokio::test]
async fn a_recorded_run_needs_every_right_of_the_role_and_no_other() {
    let cloud = Cloud::start().await;
    cloud.quota("CPUS", 200).await;
    hold(&cloud, ROLE).await;
    cloud
        .foreign_call("POST", &dns_path(""), json!({ "name": "parent", "dnsName": "example.com.", "description": "" }))
        .await;
    let mut flow = cloud.flow().await;
    let config = json!({ "parent_zones": { "example.com": { "zone": "parent" } } }).to_string();
    flow.provider = common::provider(&cloud.sim.url(), &token(PROJECT), &config).await;
    let made = Box::pin(flow.create()).await.unwrap();
    flow.records(&made.zone, landlord_test_driver::records(DOMAIN)[..1].to_vec()).await.unwrap();
    let mut changed = landlord_test_driver::records(DOMAIN);
    changed[0].values = vec!["elsewhere.example.net".to_owned()];
    flow.records(&made.zone, changed).await.unwrap();
    flow.parameters = PARAMETERS.replace("203.0.113.0/24", "198.51.100.0/24");
    Box::pin(flow.cluster(&made.network)).await.unwrap();
    flow.pool.node_count = 4;
    Box::pin(flow.node_pool(&made)).await.unwrap();
    let access = v1::KubeAccessRequest { scope: Some(flow.scope.clone()), cluster: Some(made.cluster.clone()) };
    flow.provider.kube_access(access).await.unwrap();
    let (one, at_one) = neighbour(&cloud.sim.url(), &token(PROJECT), NEIGHBOURS[0], &made).await;
    // Why a pool failed that does not say so itself is read from its last operation.
    cloud
        .fault(json!({ "service": "container", "action": "NodePoolReady", "kind": "error", "count": 1,
            "error": { "code": "UNAVAILABLE", "status": 503, "message": "" } }))
        .await;
    Box::pin(one.node_pool(&at_one)).await.unwrap();
    Box::pin(one.delete()).await.unwrap();
    Box::pin(leave_one_of_each(&cloud)).await;
    Box::pin(flow.owned()).await.unwrap();
    Box::pin(flow.delete()).await.unwrap();
    Box::pin(flow.owned_is_empty()).await;
    let report: Value = serde_json::from_str(&cloud.get("/_sim/rights").await).unwrap();
    assert_eq!(report[PROJECT]["missing"], json!([]));
    assert_eq!(report[PROJECT]["unused"], json!([]));
}

#[tokio::test]
async fn a_right_that_is_missing_is_named_with_its_remedy() {
    let cloud = Cloud::start().await;
    let flow = cloud.flow().await;
    for permission in ["compute.networks.create", "dns.managedZones.create"] {
        let document = ROLE.replace(&format!("  - {permission}\n"), "");
        assert_ne!(document, ROLE, "{permission}");
        hold(&cloud, &document).await;
        let error = if permission.starts_with("dns") {
            Box::pin(flow.zone()).await.unwrap_err()
        } else {
            Box::pin(flow.network()).await.unwrap_err()
        };
        assert_eq!(error.kind, ErrorKind::Auth, "{permission}: {error}");
        assert!(error.remedy.contains(permission), "{permission}: {}", error.remedy);
    }
    hold(&cloud, &ROLE.replace("  - container.clusters.create\n", "")).await;
    let network = Box::pin(flow.network()).await.unwrap();
    let error = Box::pin(flow.cluster(&network)).await.unwrap_err();
    assert!(error.kind == ErrorKind::Auth && error.remedy.contains("container.clusters.create"), "{error:?}");
}

#[tokio::test]
async fn a_policy_of_the_organization_is_named_as_such() {
    let cloud = Cloud::start().await;
    let flow = cloud.flow().await;
    let forbid = async |patterns: &[&str]| {
        cloud.post("/_sim/policies", json!({ "account": PROJECT, "forbid": patterns })).await;
    };
    forbid(&["compute.networks.create", "dns.managedZones.create", "container.clusters.create"]).await;
    for error in [flow.network().await.unwrap_err(), flow.zone().await.unwrap_err()] {
        assert_eq!(error.kind, ErrorKind::Auth, "{error}");
        assert!(error.remedy.contains("organization"), "{}", error.remedy);
    }
    forbid(&[]).await;
    flow.network().await.unwrap();
}
