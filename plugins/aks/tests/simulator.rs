//! The provider against the simulated Azure. The simulator's own list of objects and journal are
//! the judge, not what the provider says.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use cloudsim::{Handle, Options, Simulator};
use common::{DOMAIN, Flow, Made, PARAMETERS, SUBSCRIPTION, token};
use landlord_provider_api::{Cluster as _, Dns as _, ErrorKind, Inventory as _, v1};
use serde_json::{Value, json};

/// A lifecycle takes about a second.
const SCALE: f64 = 0.0005;
const NETWORK: &str = "2024-05-01";
const AKS: &str = "2025-05-01";
const DNS: &str = "2018-05-01";
const RESOURCES: &str = "2021-04-01";

struct Cloud {
    sim: Handle,
    http: reqwest::Client,
}

impl Cloud {
    async fn start() -> Self {
        let options = Options { time_scale: SCALE, seed: 7, no_throttle: true, ..Options::default() };
        Self { sim: Simulator::start(options).await.unwrap(), http: reqwest::Client::new() }
    }

    async fn control(&self, method: &str, path: &str, body: Value) -> String {
        let request = self.http.request(method.parse().unwrap(), format!("{}/_sim/{path}", self.sim.url()));
        let answer = request.json(&body).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{path}: {text}");
        text
    }

    async fn fault(&self, rule: Value) {
        self.control("POST", "faults", rule).await;
    }

    async fn clear_faults(&self) {
        self.control("DELETE", "faults", Value::Null).await;
    }

    async fn quota(&self, name: &str, limit: u64) {
        self.control("POST", "quotas", json!({ "account": SUBSCRIPTION, "limits": { name: limit } })).await;
    }

    /// Live objects of the subscription.
    async fn objects(&self) -> Vec<Value> {
        let text = self.control("GET", &format!("objects?account={SUBSCRIPTION}"), Value::Null).await;
        serde_json::from_str::<Value>(&text).unwrap()["objects"].as_array().unwrap().clone()
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
        Flow::new(&self.sim.url(), &token(SUBSCRIPTION)).await
    }

    async fn is_empty(&self) {
        let left = self.objects().await;
        assert!(left.is_empty(), "left over: {left:#?}");
    }

    /// A call by somebody else.
    async fn stranger(&self, method: &str, path: &str, version: &str, body: Value) -> Value {
        let url = format!("{}{path}?api-version={version}", self.sim.url());
        let mut request = self.http.request(method.parse().unwrap(), url);
        request = request.bearer_auth(format!("sim-{SUBSCRIPTION}-other"));
        if !body.is_null() {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{method} {path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// Until an object that a stranger makes is there.
    async fn settled(&self, path: &str, version: &str) {
        for _ in 0..2_000 {
            let found = self.stranger("GET", path, version, Value::Null).await;
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

#[tokio::test]
async fn creates_everything_and_removes_everything() {
    let cloud = Cloud::start().await;
    let flow = cloud.flow().await;
    let made = flow.create().await.unwrap();
    assert_eq!(made.network.private_subnet_ids.len(), 1);
    assert!(made.cluster.ca_pem.contains("BEGIN CERTIFICATE"), "{}", made.cluster.ca_pem);
    assert_eq!(made.pool.node_count, 2);
    assert!(made.zone.name_servers.len() >= 2, "{:?}", made.zone);
    let owned = flow.owned().await.unwrap();
    for kind in ["Microsoft.Network/virtualNetworks", "Microsoft.ContainerService/managedClusters", "Microsoft.Network/dnsZones"] {
        assert!(owned.iter().any(|o| o.r#type.eq_ignore_ascii_case(kind)), "{kind} is not in the inventory: {owned:#?}");
    }
    for object in cloud.objects().await {
        let kind = object["type"].as_str().unwrap().to_lowercase();
        // These have no tags: they are ours by their parent, their name or their metadata.
        let untagged = ["subnets", "agentpools", "recordsets", "federatedidentitycredentials", "roleassignments"];
        let marked = object["tags"]["landlord-tenant-uid"] == common::UID;
        assert!(marked || untagged.iter().any(|t| kind.ends_with(t)), "{kind} carries no marker: {object}");
    }
    let removed = flow.delete().await.unwrap();
    for kind in KINDS {
        assert!(removed.iter().any(|o| o.r#type.eq_ignore_ascii_case(kind)), "{kind} is not reported as removed");
    }
    flow.owned_is_empty().await;
    cloud.is_empty().await;
}
