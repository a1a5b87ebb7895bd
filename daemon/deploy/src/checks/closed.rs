//! Whether network policies keep a neighbour's pods out. Evaluated as they are in the cluster: whether its network enforces
//! them is [`attempt`](super::attempt)'s to see.

use k8s_openapi::{
    api::{
        core::v1::{Namespace, Pod, Service},
        networking::v1::{IPBlock, NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer},
    },
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};
use kube::{Api, ResourceExt as _, api::ListParams};
use landlord_core::isolation::{Cidr, PRIVATE_NETWORKS};
use landlord_kube::markers::TENANT_UID;
use std::{collections::BTreeMap, net::IpAddr};

use super::{Ended, Scene, route};
use crate::check::ServicePort;

/// Label of a namespace by which policies name it.
const NAME: &str = "kubernetes.io/metadata.name";
/// Who must do what where a policy is missing.
const REMEDY: &str =
    "see what removed or changed the namespace's NetworkPolicies; landlord applies them again with the next resync";

/// Each of the ports.
pub(super) async fn run(scene: &Scene<'_>, ports: &[ServicePort]) -> Ended {
    match judged(scene, ports).await {
        // An environment that uses a model server outside has none of its own; one that has nothing at all is not judged.
        Ok(Judged::Closed(0)) => Ended::NotRun("none of the Services that it judges has a pod".into()),
        Ok(Judged::Closed(count)) => Ended::Passed(format!("{count} ports, by evaluating the network policies")),
        Ok(Judged::Open(cause)) => Ended::failed(cause, REMEDY),
        Err(why) => Ended::failed(why, "see whether the cluster's API server responds"),
    }
}

/// What the policies come to.
enum Judged {
    /// So many ports of pods' Services, and all are closed.
    Closed(usize),
    /// The first that is open, and to whom.
    Open(String),
}

async fn judged(scene: &Scene<'_>, ports: &[ServicePort]) -> Result<Judged, String> {
    let (client, namespace) = (&scene.clients.admin, scene.namespace);
    let failed = |what: &str, error: kube::Error| format!("{what} in {namespace}: {error}");
    let policies: Api<NetworkPolicy> = Api::namespaced(client.clone(), namespace);
    let policies =
        policies.list(&ListParams::default()).await.map_err(|error| failed("listing NetworkPolicies", error))?;
    let mut neighbours = vec![[(NAME.to_owned(), "neighbour".to_owned())].into()];
    if scene.target.cluster.shared().is_some() {
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let tenants = namespaces.list(&ListParams::default().labels(TENANT_UID).limit(500)).await;
        let tenants = tenants.map_err(|error| failed("listing namespaces", error))?;
        let others = tenants.items.into_iter().filter(|other| other.name_any() != namespace);
        neighbours.extend(others.map(|other| other.metadata.labels.unwrap_or_default()));
    }
    let services: Api<Service> = Api::namespaced(client.clone(), namespace);
    let mut closed = 0;
    for ServicePort { name, port } in ports {
        let service = services.get_opt(name).await.map_err(|error| failed("reading a Service", error))?;
        let Some(spec) = service.and_then(|service| service.spec) else { continue };
        let target = route::target(&spec, *port).unwrap_or(IntOrString::Int((*port).into()));
        let pods = route::pods(client, namespace, &spec.selector.unwrap_or_default()).await?;
        closed += usize::from(!pods.is_empty());
        for pod in pods {
            let number = route::number(&pod, &target).unwrap_or(*port);
            if let Some(why) = admitted(&policies.items, &pod, number, &neighbours) {
                return Ok(Judged::Open(format!("port {port} of {name} is open to neighbours: {why}")));
            }
        }
    }
    Ok(Judged::Closed(closed))
}

/// Why a neighbour's pod is admitted to a port of a pod; `None`: it is not.
fn admitted(
    policies: &[NetworkPolicy],
    pod: &Pod,
    port: u16,
    neighbours: &[BTreeMap<String, String>],
) -> Option<String> {
    let (labels, own) = (pod.metadata.labels.clone().unwrap_or_default(), address(pod));
    let mut selecting = policies.iter().filter(|policy| {
        let spec = policy.spec.as_ref();
        let types = spec.and_then(|spec| spec.policy_types.as_ref());
        let ingress = types.is_none_or(|types| types.iter().any(|own| own == "Ingress"));
        let selector = spec.and_then(|spec| spec.pod_selector.clone()).unwrap_or_default();
        ingress && matches(&selector, &labels)
    });
    let mut any = false;
    let found = selecting.find_map(|policy| {
        any = true;
        let rules = policy.spec.as_ref().and_then(|spec| spec.ingress.as_ref()).into_iter().flatten();
        let open = rules.filter(|rule| serves(rule, pod, port)).any(|rule| lets_in(rule, neighbours, own));
        open.then(|| format!("NetworkPolicy {} lets them in", policy.name_any()))
    });
    if any { found } else { Some("no NetworkPolicy selects it".to_owned()) }
}

fn serves(rule: &NetworkPolicyIngressRule, pod: &Pod, port: u16) -> bool {
    let Some(ports) = rule.ports.as_ref().filter(|ports| !ports.is_empty()) else { return true };
    ports.iter().any(|own| {
        let Some(first) = &own.port else { return true };
        let first = route::number(pod, first);
        let last = own.end_port.and_then(|last| u16::try_from(last).ok()).or(first);
        first.is_some_and(|first| (first..=last.unwrap_or(first)).contains(&port))
    })
}

/// Whether a neighbour's pod may have an address of the block. Which ones they get is not known: any private one that is not left out,
/// and whatever the pod's own address is one of. A single address is surely none of them.
fn holds_pods(block: &IPBlock, own: Option<Cidr>) -> bool {
    let Ok(all) = block.cidr.parse::<Cidr>() else { return true };
    let single = if all.address().is_ipv4() { 32 } else { 128 };
    let left_out: Vec<Cidr> = block.except.iter().flatten().filter_map(|cidr| cidr.parse().ok()).collect();
    let private = PRIVATE_NETWORKS.iter().filter_map(|cidr| cidr.parse::<Cidr>().ok());
    let mut networks = private.chain(own).filter_map(|network| match network {
        network if all.contains(network) => Some(network),
        network if network.contains(all) => Some(all),
        _ => None,
    });
    all.prefix() < single && networks.any(|network| !left_out.iter().any(|without| without.contains(network)))
}

/// A pod's address, as a network of one.
fn address(pod: &Pod) -> Option<Cidr> {
    let address: IpAddr = pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok()?;
    format!("{address}/{}", if address.is_ipv4() { 32 } else { 128 }).parse().ok()
}

fn lets_in(rule: &NetworkPolicyIngressRule, neighbours: &[BTreeMap<String, String>], own: Option<Cidr>) -> bool {
    let Some(peers) = rule.from.as_ref().filter(|peers| !peers.is_empty()) else { return true };
    peers.iter().any(|peer: &NetworkPolicyPeer| match (&peer.ip_block, &peer.namespace_selector) {
        (Some(block), _) => holds_pods(block, own),
        (None, Some(selector)) => neighbours.iter().any(|labels| matches(selector, labels)),
        // Pods of the same namespace.
        (None, None) => false,
    })
}

fn matches(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    let equal = selector.match_labels.iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    let mut expressions = selector.match_expressions.iter().flatten();
    equal
        && expressions.all(|own| {
            let value = labels.get(&own.key);
            let listed = value.is_some_and(|value| own.values.iter().flatten().any(|one| one == value));
            match own.operator.as_str() {
                "In" => listed,
                "NotIn" => !listed,
                "Exists" => value.is_some(),
                "DoesNotExist" => value.is_none(),
                _ => false,
            }
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_removed_or_widened_policy_is_named() {
        let policy = |name: &str, spec: serde_json::Value| -> NetworkPolicy {
            serde_json::from_value(json!({ "metadata": { "name": name }, "spec": spec })).unwrap()
        };
        let pod: Pod = serde_json::from_value(json!({
            "metadata": { "labels": { "app": "chat" } },
            "spec": { "containers": [{ "name": "c", "ports": [{ "name": "http", "containerPort": 8080 }] }] },
        }))
        .unwrap();
        let neighbours = [[(NAME.to_owned(), "neighbour".to_owned())].into()];
        let judged = |policies: &[NetworkPolicy]| admitted(policies, &pod, 8080, &neighbours);
        let deny = policy("default-deny", json!({ "podSelector": {}, "policyTypes": ["Ingress", "Egress"] }));
        let from = |from: serde_json::Value| {
            policy(
                "chat",
                json!({ "podSelector": { "matchLabels": { "app": "chat" } }, "ingress": [
                { "from": from, "ports": [{ "port": "http" }] },
            ] }),
            )
        };
        let gateway = json!([{ "namespaceSelector": { "matchLabels": { NAME: "landlord-gateway" } } }]);
        assert_eq!(judged(&[deny.clone(), from(gateway)]), None);
        assert_eq!(judged(&[deny.clone(), from(json!([{ "podSelector": {} }]))]), None, "its own namespace");
        assert_eq!(judged(&[]).unwrap(), "no NetworkPolicy selects it");
        for open in [json!([]), json!([{ "namespaceSelector": {} }]), json!([{ "ipBlock": { "cidr": "10.0.0.0/8" } }])]
        {
            assert!(judged(&[deny.clone(), from(open.clone())]).unwrap().contains("chat lets them in"), "{open}");
        }
        let internet = |except: &[&str]| from(json!([{ "ipBlock": { "cidr": "0.0.0.0/0", "except": except } }]));
        assert_eq!(judged(&[internet(&PRIVATE_NETWORKS[..4])]), None, "load balancers and the Internet");
        assert!(judged(&[internet(&PRIVATE_NETWORKS[1..4])]).is_some(), "a network of pods is not left out");
        let public: Pod = serde_json::from_value(json!({ "status": { "podIP": "203.0.113.7" } })).unwrap();
        assert!(holds_pods(&IPBlock { cidr: "203.0.113.0/24".into(), except: None }, address(&public)));
        let other = policy("chat", json!({ "podSelector": {}, "ingress": [{ "ports": [{ "port": 22 }] }] }));
        assert_eq!(judged(&[deny, other]), None, "another port");
    }
}
