//! What the tenant's two accounts may do, in their namespace and nowhere else. Pure.
//!
//! Neither has a verb on namespaces, quotas, limit ranges, network policies, RBAC, tokens, or on `/status` and
//! `/finalize` of anything; neither may escalate, bind or impersonate. Both roles are namespaced and written out: no
//! aggregated or built-in role can grow under them.
//!
//! The customer has no verb on Secrets. That is not secrecy within the namespace: who may start or enter a pod reads
//! what that pod mounts, and those are the customer's own passwords. It keeps Helm's records what Helm wrote (a forged
//! record would make the deployer delete what it names) and no token can be requested through a Secret.

use landlord_core::{
    CustomerRole,
    isolation::{SharedTarget, TENANT_KINDS, TenantKind},
    ports::DeployTarget,
};
use serde_json::{Value, json};

use crate::marked::metadata;
use landlord_kube::{
    markers::{CUSTOMER, DEPLOYER, labels},
    object::Wanted,
};

const READ: [&str; 3] = ["get", "list", "watch"];
const ALL: [&str; 7] = ["get", "list", "watch", "create", "update", "patch", "delete"];

fn rule(group: &str, resources: &[&str], verbs: &[&str]) -> Value {
    json!({ "apiGroups": [group], "resources": resources, "verbs": verbs })
}

/// The rules for the kinds that `of` picks, one a group.
fn rules(of: impl Fn(&TenantKind) -> bool, verbs: &[&str]) -> Vec<Value> {
    let mut groups: Vec<&str> = TENANT_KINDS.iter().map(|kind| kind.group).collect();
    groups.dedup();
    let rule_of = |group: &str| {
        let resources: Vec<&str> =
            TENANT_KINDS.iter().filter(|kind| kind.group == group && of(kind)).map(|kind| kind.plural).collect();
        (!resources.is_empty()).then(|| rule(group, &resources, verbs))
    };
    groups.into_iter().filter_map(rule_of).collect()
}

/// What Kubernetes makes of a tenant's objects: read only.
fn read_only() -> [Value; 4] {
    [
        rule("", &["endpoints", "events", "pods/log"], &READ),
        rule("apps", &["controllerrevisions", "replicasets"], &READ),
        rule("discovery.k8s.io", &["endpointslices"], &READ),
        rule("events.k8s.io", &["events"], &READ),
    ]
}

fn deployer_rules() -> Vec<Value> {
    let mut all = rules(|_| true, &ALL);
    all.extend(read_only());
    all
}

fn customer_rules() -> Vec<Value> {
    let mut all = rules(|kind| kind.customer, &ALL);
    all.extend(read_only());
    all.extend([
        rule("", &["serviceaccounts"], &READ),
        rule("", &["pods/attach", "pods/exec", "pods/portforward"], &["create", "get"]),
        rule("", &["pods/ephemeralcontainers"], &["get", "patch", "update"]),
        rule("", &["pods/eviction"], &["create"]),
        rule("apps", &["deployments/scale", "statefulsets/scale"], &["get", "patch", "update"]),
    ]);
    all
}

/// Both accounts' roles and who has them.
pub(crate) fn roles(target: &DeployTarget, place: &SharedTarget) -> [Wanted; 4] {
    let role = |name: &str, rules: Vec<Value>| {
        Wanted::new(json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
            "metadata": metadata(target, place, name, "rights"),
            "rules": rules,
        }))
    };
    let binding = |name: &str, subjects: Vec<Value>| {
        Wanted::new(json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": metadata(target, place, name, "rights"),
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name },
            "subjects": subjects,
        }))
    };
    let account = |name: &str| json!({ "kind": "ServiceAccount", "name": name, "namespace": place.namespace });
    let mut customers = vec![account(CUSTOMER)];
    if let Some(group) = place.settings.customer_group() {
        customers.push(json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": group }));
    }
    [
        role(DEPLOYER, deployer_rules()),
        binding(DEPLOYER, vec![account(DEPLOYER)]),
        role(CUSTOMER, customer_rules()),
        binding(CUSTOMER, customers),
    ]
}

/// The same as the customer's in a shared cluster, reading only.
fn view_rules() -> Vec<Value> {
    let mut all = rules(|kind| kind.customer, &READ);
    all.extend(read_only());
    all.push(rule("", &["serviceaccounts"], &READ));
    all
}

/// The customer's account in a cluster of its own, its role in the namespace of its apps, and that it has it.
pub(crate) fn own_cluster(target: &DeployTarget, namespace: &str, role: CustomerRole) -> [Wanted; 3] {
    let rules = match role {
        CustomerRole::None => Vec::new(),
        CustomerRole::View => view_rules(),
        CustomerRole::Edit => customer_rules(),
    };
    let metadata = json!({ "name": CUSTOMER, "namespace": namespace, "labels": labels(target, "rights") });
    let account = json!({ "kind": "ServiceAccount", "name": CUSTOMER, "namespace": namespace });
    [
        Wanted::new(json!({
            "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata, "automountServiceAccountToken": false,
        })),
        Wanted::new(json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata, "rules": rules,
        })),
        Wanted::new(json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": metadata,
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": CUSTOMER },
            "subjects": [account],
        })),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_role_holds_what_must_stay_ours() {
        let never = [
            "namespaces",
            "resourcequotas",
            "limitranges",
            "networkpolicies",
            "roles",
            "rolebindings",
            "serviceaccounts/token",
            "gateways",
            "listenersets",
            "referencegrants",
            "ingresses",
            "*",
        ];
        for (who, rules) in
            [(DEPLOYER, deployer_rules()), (CUSTOMER, customer_rules()), ("a customer that reads", view_rules())]
        {
            for rule in rules {
                let words = |key: &str| -> Vec<String> { serde_json::from_value(rule[key].clone()).unwrap() };
                let (resources, verbs) = (words("resources"), words("verbs"));
                for verb in &verbs {
                    assert!(!["escalate", "bind", "impersonate", "use", "*"].contains(&verb.as_str()), "{who}: {rule}");
                }
                let writes = verbs.iter().any(|verb| !READ.contains(&verb.as_str()));
                for resource in &resources {
                    assert!(!never.contains(&resource.as_str()), "{who}: {rule}");
                    assert!(!resource.ends_with("/finalize"), "{who}: {rule}");
                    assert!(!writes || !resource.ends_with("/status"), "{who}: {rule}");
                    assert!(who == DEPLOYER || resource != "secrets", "{who}: {rule}");
                    assert!(!writes || !resource.starts_with("endpoint"), "{who}: {rule}");
                }
            }
        }
    }
}
