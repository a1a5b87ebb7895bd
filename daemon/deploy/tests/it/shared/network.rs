//! Who reaches whom, judged by an engine that is not ours from the policies that the API server holds: every pod of
//! every tenant to every other, and to what is around them.

use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::{
    core::v1::{Namespace, Pod},
    networking::v1::NetworkPolicy,
};
use kube::{Api, ResourceExt as _, api::ListParams};
use serde_json::{Value, json};

use super::world::{World, place};

/// Traffic in question, and whether it shall be allowed.
struct Question {
    what: String,
    source: Value,
    destination: Value,
    port: i32,
    protocol: &'static str,
    allowed: bool,
}

/// A pod as an end of traffic.
struct End {
    namespace: String,
    name: String,
    peer: Value,
    ports: Vec<i32>,
    /// Whether its tenant may have load balancers, which the internet comes through.
    balanced: bool,
}

fn outside(address: &str) -> Value {
    json!({ "IP": address })
}

fn inside(namespace: &str, labels: &Value, address: &str) -> Value {
    json!({
        "IP": address,
        "Internal": {
            "Namespace": namespace,
            "NamespaceLabels": { "kubernetes.io/metadata.name": namespace },
            "PodLabels": labels,
        },
    })
}

impl World {
    pub(crate) async fn networks_are_apart(&self) -> Result<()> {
        let ends = self.ends().await?;
        ensure!(ends.len() == 12, "{} pods", ends.len());
        let mut questions = between(&ends);
        let pairs = questions.len();
        ensure!(pairs >= 132, "{pairs} questions about pairs");
        questions.extend(ends.iter().flat_map(around));
        let responses = self.query_cyclonus(&questions).await?;
        let wrong: Vec<&str> = questions
            .iter()
            .zip(&responses)
            .filter(|(question, response)| question.allowed != **response)
            .map(|(question, _)| question.what.as_str())
            .collect();
        ensure!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), questions.len(), wrong.join("\n"));
        // The questions are of both kinds, or the engine answers everything alike.
        ensure!(responses.iter().any(|yes| *yes) && responses.iter().any(|yes| !*yes), "one response to everything");
        Ok(())
    }

    /// Every pod of every tenant, with its labels and its namespace's as they are.
    async fn ends(&self) -> Result<Vec<End>> {
        let namespaces: Api<Namespace> = Api::all(self.scene.client.clone());
        let mut ends = Vec::new();
        for tenant in &self.tenants {
            let namespace = place(tenant).namespace.as_str();
            let balanced = place(tenant).settings.load_balancers() > 0;
            let labels = namespaces.get(namespace).await?.metadata.labels;
            let pods: Api<Pod> = Api::namespaced(self.scene.client.clone(), namespace);
            for pod in pods.list(&ListParams::default()).await? {
                let ports = pod.spec.iter().flat_map(|spec| &spec.containers).flat_map(|c| c.ports.iter().flatten());
                let ports = ports.map(|port| port.container_port).collect();
                let address = pod.status.as_ref().and_then(|status| status.pod_ip.clone()).context("no address")?;
                let peer = json!({ "IP": address, "Internal": {
                    "Namespace": namespace, "NamespaceLabels": labels, "PodLabels": pod.labels() } });
                ends.push(End { namespace: namespace.to_owned(), name: pod.name_any(), peer, ports, balanced });
            }
        }
        Ok(ends)
    }

    async fn query_cyclonus(&self, questions: &[Question]) -> Result<Vec<bool>> {
        let policies: Api<NetworkPolicy> = Api::all(self.scene.client.clone());
        let items: Vec<Value> = policies
            .list(&ListParams::default())
            .await?
            .into_iter()
            .map(|policy| {
                json!({
                    "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
                    "metadata": { "name": policy.name_any(), "namespace": policy.namespace() }, "spec": policy.spec,
                })
            })
            .collect();
        ensure!(items.len() >= 15, "{} policies", items.len());
        let list = json!({ "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicyList", "items": items });
        let traffic: Vec<Value> = questions
            .iter()
            .map(|question| {
                json!({
                    "Source": question.source, "Destination": question.destination,
                    "ResolvedPort": question.port, "ResolvedPortName": "", "Protocol": question.protocol,
                })
            })
            .collect();
        let folder = self.scene.folder.path();
        let (policy_path, traffic_path) = (folder.join("policies.json"), folder.join("traffic.json"));
        std::fs::write(&policy_path, list.to_string())?;
        std::fs::write(&traffic_path, Value::Array(traffic).to_string())?;
        let binary = tokio::task::spawn_blocking(|| landlord_test_kube::cyclonus(&mut |_| {})).await??;
        let output = Command::new(binary)
            .args(["analyze", "--mode", "query-traffic", "--policy-path"])
            .arg(&policy_path)
            .arg("--traffic-path")
            .arg(&traffic_path)
            .env("HOME", folder)
            .output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8_lossy(&output.stdout);
        let responses: Vec<bool> = text
            .lines()
            .filter(|line| line.contains("IS ALLOWED?"))
            .map(|line| match (line.contains("TRUE"), line.contains("FALSE")) {
                (true, false) => Ok(true),
                (false, true) => Ok(false),
                _ => bail!("what does this mean: {line}"),
            })
            .collect::<Result<_>>()?;
        ensure!(responses.len() == questions.len(), "{} answers to {} questions", responses.len(), questions.len());
        Ok(responses)
    }
}

/// Every ordered pair of pods, on every port of the one that is called and on one that it does not have.
fn between(ends: &[End]) -> Vec<Question> {
    let mut all = Vec::new();
    for source in ends {
        for destination in ends.iter().filter(|end| end.name != source.name) {
            for port in destination.ports.iter().copied().chain([9_999]) {
                all.push(Question {
                    what: format!(
                        "{}/{} → {}/{}:{port}",
                        source.namespace, source.name, destination.namespace, destination.name
                    ),
                    source: source.peer.clone(),
                    destination: destination.peer.clone(),
                    port,
                    protocol: "TCP",
                    allowed: source.namespace == destination.namespace,
                });
            }
        }
    }
    all
}

/// What is around a tenant's pod.
fn around(end: &End) -> Vec<Question> {
    let dns = inside("kube-system", &json!({ "k8s-app": "kube-dns" }), "10.244.9.2");
    let gateway = inside("landlord-gateway", &json!({ "app": "gateway" }), "10.244.9.3");
    let foreign = inside("default", &json!({ "kubernetes.io/metadata.name": "kube-system" }), "10.244.9.4");
    // From the pod: where to, on which port, whether it may.
    let out: [(&str, Value, i32, &'static str, bool); 19] = [
        ("DNS", dns.clone(), 53, "UDP", true),
        ("DNS over TCP", dns.clone(), 53, "TCP", true),
        ("another port of kube-system", dns.clone(), 443, "TCP", false),
        ("another protocol of kube-system", dns.clone(), 53, "SCTP", false),
        ("metadata", outside("169.254.169.254"), 80, "TCP", false),
        ("metadata over IPv6", outside("fd00:ec2::254"), 80, "TCP", false),
        ("metadata of another cloud over IPv6", outside("fd20:ce::254"), 80, "TCP", false),
        ("a machine's agent", outside("168.63.129.16"), 32526, "TCP", false),
        ("DNS of the metadata address", outside("169.254.169.254"), 53, "UDP", false),
        ("a token agent beside it", outside("169.254.170.23"), 80, "TCP", true),
        ("the API server's service", outside("10.100.0.1"), 443, "TCP", false),
        ("a node", outside("10.0.3.4"), 10250, "TCP", false),
        ("a private network", outside("192.168.7.7"), 443, "TCP", false),
        ("a carrier's network", outside("100.64.0.9"), 443, "TCP", false),
        ("the internet", outside("203.0.113.7"), 443, "TCP", true),
        ("the internet over IPv6", outside("2001:db8::7"), 443, "TCP", true),
        ("the Gateway", gateway.clone(), 443, "TCP", false),
        ("a pod of nobody", foreign.clone(), 80, "TCP", false),
        ("a pod of nobody on the DNS port", foreign.clone(), 53, "UDP", false),
    ];
    let into: [(&str, Value, bool); 5] = [
        ("the Gateway", gateway, true),
        ("a pod of nobody", foreign, false),
        ("the cluster's DNS", dns, false),
        ("the internet", outside("203.0.113.7"), end.balanced),
        ("a node", outside("10.0.3.4"), false),
    ];
    let name = format!("{}/{}", end.namespace, end.name);
    let out = out.into_iter().map(|(what, destination, port, protocol, allowed)| Question {
        what: format!("{name} → {what}"),
        source: end.peer.clone(),
        destination,
        port,
        protocol,
        allowed,
    });
    let into = into.into_iter().map(|(what, source, allowed)| Question {
        what: format!("{what} → {name}"),
        source,
        destination: end.peer.clone(),
        port: end.ports.first().copied().unwrap_or(80),
        protocol: "TCP",
        allowed,
    });
    out.chain(into).collect()
}
