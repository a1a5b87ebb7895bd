//! Nodes of a simulated cloud: real Node objects whose kubelet is kwok.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::json;

use super::{context::FIELD_MANAGER, local::FAKE_NODE};
use crate::error::{Error, Result};

/// A taint of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeTaint {
    /// Its key.
    pub key: String,
    /// Its value, possibly empty.
    pub value: String,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub effect: String,
}

/// A machine that joins a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSpec {
    /// Host name, the node's identity.
    pub name: String,
    /// Labels. They win over those that every node gets: host name, operating system, architecture, instance type
    /// and zone.
    pub labels: BTreeMap<String, String>,
    /// Taints.
    pub taints: Vec<NodeTaint>,
    /// The cloud's name of the machine.
    pub provider_id: String,
    /// Its type.
    pub instance_type: String,
    /// Its zone.
    pub zone: String,
    /// Its address in the network; `None`: the loopback address.
    pub address: Option<String>,
    /// Processors.
    pub cpu: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// How many pods it takes.
    pub pods_max: u32,
}

impl NodeSpec {
    /// A machine of some size in some zone, of which nothing matters but its name.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            labels: BTreeMap::new(),
            taints: Vec::new(),
            provider_id: format!("example:///zone-a/{name}"),
            instance_type: "large".to_owned(),
            zone: "zone-a".to_owned(),
            address: None,
            cpu: 8,
            memory_mib: 32_768,
            pods_max: 58,
        }
    }
}

/// Lets machines join. They are Ready a moment later. What is there already gets the labels and taints given here.
///
/// # Errors
/// The API server's.
pub async fn add_nodes(client: &Client, nodes: &[NodeSpec]) -> Result<()> {
    let api: Api<Node> = Api::all(client.clone());
    for spec in nodes {
        let node = serde_json::from_value(body(spec)).map_err(kube::Error::SerdeError);
        let made = match node {
            Ok(node) => api.create(&PostParams::default(), &node).await.map(drop),
            Err(error) => Err(error),
        };
        match made {
            Err(kube::Error::Api(status)) if status.is_already_exists() => align(&api, spec).await?,
            other => other.map_err(Error::kubernetes(format!("adding the node {}", spec.name)))?,
        }
    }
    Ok(())
}

/// Brings labels and taints of a node that is there in line; taints of Kubernetes' own stay.
async fn align(api: &Api<Node>, spec: &NodeSpec) -> Result<()> {
    let doing = || Error::kubernetes(format!("changing the node {}", spec.name));
    let present = api.get(&spec.name).await.map_err(doing())?;
    let wanted = body(spec);
    let mut labels = wanted["metadata"]["labels"].clone();
    for key in present.metadata.labels.unwrap_or_default().keys() {
        if labels.get(key).is_none() {
            // In a merge patch null removes.
            labels[key] = serde_json::Value::Null;
        }
    }
    let mut taints = wanted["spec"]["taints"].as_array().cloned().unwrap_or_default();
    let own = present.spec.and_then(|s| s.taints).unwrap_or_default();
    taints.extend(own.iter().filter(|t| t.key.starts_with("node.kubernetes.io/")).map(|t| json!(t)));
    let patch = Patch::Merge(json!({ "metadata": { "labels": labels }, "spec": { "taints": taints } }));
    let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
    api.patch(&spec.name, &parameters, &patch).await.map(drop).map_err(doing())
}

/// Lets machines leave: no new pods, the pods that are there end at once, and the node goes. What is gone already is no error.
///
/// Ending the pods here is what a node group does when it drains; left to Kubernetes alone it would take a minute.
///
/// # Errors
/// The API server's.
pub async fn remove_nodes(client: &Client, names: &[String]) -> Result<()> {
    let nodes: Api<Node> = Api::all(client.clone());
    let pods: Api<Pod> = Api::all(client.clone());
    for name in names {
        let doing = || Error::kubernetes(format!("removing the node {name}"));
        let cordon = Patch::Merge(json!({ "spec": { "unschedulable": true } }));
        let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
        absent_is_fine(nodes.patch(name, &parameters, &cordon).await).map_err(doing())?;
        let on_node = ListParams::default().fields(&format!("spec.nodeName={name}"));
        for pod in pods.list(&on_node).await.map_err(doing())? {
            let (Some(namespace), Some(pod)) = (pod.metadata.namespace, pod.metadata.name) else {
                continue;
            };
            let namespaced: Api<Pod> = Api::namespaced(client.clone(), &namespace);
            absent_is_fine(namespaced.delete(&pod, &DeleteParams::default().grace_period(0)).await).map_err(doing())?;
        }
        absent_is_fine(nodes.delete(name, &DeleteParams::default()).await).map_err(doing())?;
    }
    Ok(())
}

fn absent_is_fine<T>(result: Result<T, kube::Error>) -> Result<(), kube::Error> {
    match result {
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        other => other.map(drop),
    }
}

fn body(spec: &NodeSpec) -> serde_json::Value {
    let mut labels: BTreeMap<String, String> = [
        ("kubernetes.io/hostname", spec.name.as_str()),
        ("kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", "amd64"),
        ("node.kubernetes.io/instance-type", &spec.instance_type),
        ("topology.kubernetes.io/zone", &spec.zone),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into();
    labels.extend(spec.labels.clone());
    let taints: Vec<_> = spec
        .taints
        .iter()
        .map(|taint| json!({ "key": taint.key, "value": taint.value, "effect": taint.effect }))
        .collect();
    let resources = json!({
        "cpu": spec.cpu.to_string(),
        "memory": format!("{}Mi", spec.memory_mib),
        "pods": spec.pods_max.to_string(),
        "ephemeral-storage": "80Gi",
    });
    let mut addresses = vec![json!({ "type": "Hostname", "address": spec.name })];
    addresses.extend(spec.address.iter().map(|address| json!({ "type": "InternalIP", "address": address })));
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": { "name": spec.name, "labels": labels, "annotations": { FAKE_NODE.0: FAKE_NODE.1 } },
        "spec": { "providerID": spec.provider_id, "taints": taints },
        "status": { "capacity": resources, "allocatable": resources, "addresses": addresses },
    })
}
