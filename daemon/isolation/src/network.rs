//! Who may talk to whom: nobody to anybody, then what is listed here. Pure.
//!
//! A tenant's accounts have no right on network policies, so these are all there are. Policies add up: none can take
//! away what another allows, which is why each says exactly whom it lets through.

use landlord_core::{
    isolation::{Cidr, SharedTarget},
    ports::DeployTarget,
};
use serde_json::{Value, json};

use crate::marked::metadata;
use landlord_kube::object::Wanted;

/// Kubernetes sets it on every namespace, and nobody else can.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";
/// Where clusters run their DNS.
const DNS_NAMESPACE: &str = "kube-system";

/// All policies of a tenant. `gateway` is the namespace of the shared Gateway's own pods.
pub(crate) fn policies(target: &DeployTarget, place: &SharedTarget, gateway: Option<&str>) -> Vec<Wanted> {
    let settings = &place.settings;
    let policy = |name: &str, spec: Value| {
        Wanted::new(json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": metadata(target, place, name, "network"),
            "spec": spec,
        }))
    };
    let everything = json!({ "podSelector": {} });
    let mut all = vec![
        policy("default-deny", json!({ "podSelector": {}, "policyTypes": ["Ingress", "Egress"] })),
        policy(
            "landlord-same-tenant",
            json!({
                "podSelector": {}, "policyTypes": ["Ingress", "Egress"],
                "ingress": [{ "from": [&everything] }], "egress": [{ "to": [&everything] }],
            }),
        ),
        policy(
            "landlord-dns",
            json!({ "podSelector": {}, "policyTypes": ["Egress"], "egress": [{
                "to": resolvers(settings.dns_cidrs()),
                "ports": [{ "port": 53, "protocol": "UDP" }, { "port": 53, "protocol": "TCP" }],
            }] }),
        ),
    ];
    if settings.internet_egress() {
        let to = everywhere_but(settings.blocked_cidrs());
        all.push(policy(
            "landlord-internet",
            json!({ "podSelector": {}, "policyTypes": ["Egress"], "egress": [{ "to": to }] }),
        ));
    }
    if let Some(gateway) = gateway {
        all.push(policy(
            "landlord-gateway",
            json!({ "podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{ "from": [in_namespace(gateway)] }] }),
        ));
    }
    if settings.load_balancers() > 0 {
        let mut from = everywhere_but(settings.blocked_cidrs());
        from.extend(settings.load_balancer_cidrs().iter().map(|cidr| json!({ "ipBlock": { "cidr": cidr } })));
        all.push(policy(
            "landlord-load-balancers",
            json!({ "podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{ "from": from }] }),
        ));
    }
    all
}

fn in_namespace(name: &str) -> Value {
    json!({ "namespaceSelector": { "matchLabels": { NAME_LABEL: name } } })
}

fn resolvers(cidrs: &[Cidr]) -> Vec<Value> {
    let blocks = cidrs.iter().map(|cidr| json!({ "ipBlock": { "cidr": cidr } }));
    std::iter::once(in_namespace(DNS_NAMESPACE)).chain(blocks).collect()
}

/// Both families' whole space without `blocked`.
fn everywhere_but(blocked: &[Cidr]) -> Vec<Value> {
    let (v4, v6): (Vec<Cidr>, Vec<Cidr>) = blocked.iter().partition(|cidr| cidr.address().is_ipv4());
    [("0.0.0.0/0", v4), ("::/0", v6)]
        .into_iter()
        .map(|(all, except)| json!({ "ipBlock": { "cidr": all, "except": except } }))
        .collect()
}
