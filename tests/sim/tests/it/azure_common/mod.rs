//! An HTTP client of Resource Manager for a simulator in this process.
#![allow(dead_code, clippy::unwrap_used, reason = "shared by several test binaries; tests may unwrap")]

use cloudsim::{Handle, Options, Simulator};
use serde_json::{Value, json};
use std::time::Duration;

pub(crate) const SUBSCRIPTION: &str = "11111111-2222-4333-8444-555555555555";
pub(crate) const OTHER: &str = "99999999-2222-4333-8444-555555555555";
pub(crate) const LOCATION: &str = "westeurope";
pub(crate) const NETWORK: &str = "2024-05-01";
pub(crate) const AKS: &str = "2025-05-01";
pub(crate) const DNS: &str = "2018-05-01";
pub(crate) const RESOURCES: &str = "2021-04-01";

/// A response: status, headers, body.
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Value,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }

    /// The code of an error, with or without envelope.
    pub(crate) fn code(&self) -> &str {
        self.body["error"]["code"].as_str().or(self.body["code"].as_str()).unwrap_or_default()
    }
}

pub(crate) struct Azure {
    pub(crate) handle: Handle,
    pub(crate) http: reqwest::Client,
    pub(crate) token: String,
}

impl Azure {
    pub(crate) async fn start(time_scale: f64, throttled: bool) -> Self {
        let options = Options { time_scale, seed: 1, no_throttle: !throttled, ..Options::default() };
        let handle = Simulator::start(options).await.unwrap();
        Self { handle, http: reqwest::Client::new(), token: format!("sim-{SUBSCRIPTION}-test") }
    }

    /// A request; the error is a dropped connection.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> reqwest::Result<Response> {
        let path = path.strip_prefix("https://management.azure.com").unwrap_or(path);
        let url = format!("{}{path}", self.handle.url());
        let mut request = self.http.request(method.parse().unwrap(), url).bearer_auth(&self.token);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !body.is_null() {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = serde_json::from_str(&response.text().await?).unwrap_or(Value::Null);
        Ok(Response { status, headers, body })
    }

    pub(crate) async fn call(&self, method: &str, path: &str, body: Value) -> Response {
        self.send(method, path, &[], &body).await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.call("GET", path, Value::Null).await
    }

    /// Follows `Azure-AsyncOperation`, or `Location` where that is all there is, to the end.
    pub(crate) async fn finish(&self, response: &Response) -> Value {
        let by_status = !response.header("azure-asyncoperation").is_empty();
        let url = if by_status { response.header("azure-asyncoperation") } else { response.header("location") };
        assert!(url.starts_with("https://management.azure.com/"), "{} {url:?} {}", response.status, response.body);
        let mut pause = Duration::from_millis(5);
        for _ in 0..300 {
            let found = self.get(url).await;
            if by_status && found.body["status"] != "InProgress" {
                return found.body;
            }
            if !by_status && found.status != 202 {
                return json!({ "status": found.status, "error": found.body["error"] });
            }
            tokio::time::sleep(pause).await;
            // Hundreds of tests' clients may wait at once.
            pause = (pause * 2).min(Duration::from_millis(200));
        }
        panic!("the operation {url} does not end");
    }

    /// A PUT to its end, which must be good.
    pub(crate) async fn put(&self, path: &str, body: Value) -> Response {
        let response = self.call("PUT", path, body).await;
        assert!(matches!(response.status, 200 | 201), "{path}: {} {}", response.status, response.body);
        if !response.header("azure-asyncoperation").is_empty() {
            let end = self.finish(&response).await;
            assert_eq!(end["status"], "Succeeded", "{path}: {end}");
        }
        response
    }

    /// A DELETE to its end, which must be good.
    pub(crate) async fn delete(&self, path: &str) {
        let response = self.call("DELETE", path, Value::Null).await;
        assert!(matches!(response.status, 200 | 202 | 204), "{path}: {} {}", response.status, response.body);
        if response.status == 202 {
            let end = self.finish(&response).await;
            assert!(end["status"] == "Succeeded" || end["status"] == 200, "{path}: {end}");
        }
    }

    pub(crate) async fn control(&self, method: &str, path: &str, body: Value) -> Value {
        let url = format!("{}/_sim/{path}", self.handle.url());
        let request = self.http.request(method.parse().unwrap(), url);
        let request = if body.is_null() { request } else { request.body(body.to_string()) };
        serde_json::from_str(&request.send().await.unwrap().text().await.unwrap()).unwrap()
    }

    pub(crate) async fn journal(&self) -> Vec<Value> {
        let url = format!("{}/_sim/journal", self.handle.url());
        let text = self.http.get(url).send().await.unwrap().text().await.unwrap();
        text.lines().map(|l| serde_json::from_str(l).unwrap()).collect()
    }

    pub(crate) async fn objects(&self) -> Vec<Value> {
        let found = self.control("GET", &format!("objects?account={SUBSCRIPTION}"), Value::Null).await;
        found["objects"].as_array().unwrap().clone()
    }

    /// A group with a network whose subnet has a NAT gateway.
    pub(crate) async fn network(&self, name: &str) -> String {
        let group = group(name);
        self.put(&format!("{group}?api-version={RESOURCES}"), json!({ "location": LOCATION })).await;
        let address = json!({ "location": LOCATION, "sku": { "name": "Standard" },
            "properties": { "publicIPAllocationMethod": "Static" } });
        self.put(&of_network(name, "publicIPAddresses/nat"), address).await;
        let nat = json!({ "location": LOCATION, "sku": { "name": "Standard" }, "properties": {
            "publicIpAddresses": [{ "id": id_of_network(name, "publicIPAddresses/nat") }] } });
        self.put(&of_network(name, "natGateways/nat"), nat).await;
        let network = json!({ "location": LOCATION, "properties": {
            "addressSpace": { "addressPrefixes": ["10.0.0.0/16"] },
            "subnets": [{ "name": "nodes", "properties": { "addressPrefix": "10.0.0.0/20",
                "natGateway": { "id": id_of_network(name, "natGateways/nat") } } }] } });
        self.put(&of_network(name, "virtualNetworks/net"), network).await;
        id_of_network(name, "virtualNetworks/net/subnets/nodes")
    }
}

pub(crate) fn group(name: &str) -> String {
    format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/{name}")
}

pub(crate) fn id_of_network(group_name: &str, path: &str) -> String {
    format!("{}/providers/Microsoft.Network/{path}", group(group_name))
}

pub(crate) fn of_network(group_name: &str, path: &str) -> String {
    format!("{}?api-version={NETWORK}", id_of_network(group_name, path))
}

pub(crate) fn of_zone(group_name: &str, path: &str) -> String {
    format!("{}?api-version={DNS}", id_of_network(group_name, path))
}

pub(crate) fn of_cluster(group_name: &str, path: &str) -> String {
    format!("{}/providers/Microsoft.ContainerService/managedClusters/{path}?api-version={AKS}", group(group_name))
}

pub(crate) fn cluster(subnet: &str) -> Value {
    json!({ "location": LOCATION, "tags": { "owner": "t-1" }, "identity": { "type": "SystemAssigned" }, "properties": {
        "dnsPrefix": "c", "kubernetesVersion": "1.35", "nodeResourceGroup": "rg-nodes", "disableLocalAccounts": true,
        "aadProfile": { "managed": true, "enableAzureRBAC": true, "tenantID": "t" },
        "networkProfile": { "networkPlugin": "azure", "networkPluginMode": "overlay", "networkDataplane": "cilium",
            "outboundType": "userAssignedNATGateway" },
        "agentPoolProfiles": [{ "name": "system", "mode": "System", "count": 2, "vmSize": "Standard_D2s_v5",
            "vnetSubnetID": subnet }] } })
}
