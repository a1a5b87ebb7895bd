//! What a host cluster's API server refuses for the sake of its tenants, whoever sends the request: once for all tenants of one
//! installation. Pure.
//!
//! RBAC names who may write an object, these policies what may stand in it. They know a tenant's namespace by its
//! labels, which only the daemon may write, and fail closed. Two of them bind more than tenants: nobody else may
//! ask for a tenant's nodes by name. An operator's node agents that tolerate everything still run there.
//!
//! Validating policies exist since Kubernetes 1.30; the mutating one (1.36) only saves customers from writing down
//! where their pods go, and is left out where the API server does not know it.

mod customer;
mod objects;
mod pods;
mod policy;

pub(crate) use customer::customer_account;
use pods::POD_RESOURCES;
pub(crate) use policy::Host;
use policy::Policy;
use serde_json::{Value, json};

use landlord_kube::{
    markers::{LEVEL_LABEL, POOL_KEY, RESERVED_PREFIX},
    object::Wanted,
};

/// Marks what belongs to the host cluster as a whole.
pub(crate) const ROLE: &str = "host-guard";
const GROUP: &str = "admissionregistration.k8s.io/v1";

/// Every policy with its binding.
pub(crate) fn policies(host: Host<'_>) -> Vec<Wanted> {
    let [services, routes, secrets, claims, accounts] = objects::policies();
    let of_tenants = [pods::tenants(host), services, routes, secrets, claims, accounts];
    let of_tenants = of_tenants.iter().map(|policy| (tenants(host), policy));
    let refused = |(selector, policy): (Value, &Policy)| refusing(&metadata(host, policy.name), selector, policy);
    let mut all: Vec<Wanted> = of_tenants.chain([(others(), &pods::others())]).flat_map(refused).collect();
    if host.mutating {
        all.extend(placing(host));
    }
    all
}

/// Name of the policy that keeps pods on their nodes; what is refused in its name proves that it is in force.
pub(crate) fn pods_policy(installation: &str) -> String {
    full_name(installation, "tenant-pods")
}

fn full_name(installation: &str, name: &str) -> String {
    format!("{RESERVED_PREFIX}{installation}-{name}")
}

/// Namespaces of this installation's tenants.
fn tenants(host: Host<'_>) -> Value {
    json!({
        "matchLabels": { "landlord-installation": host.installation },
        "matchExpressions": [{ "key": LEVEL_LABEL, "operator": "Exists" }],
    })
}

/// Namespaces of no tenant. The cluster's own parts name no tenant's nodes; a policy must never keep a cluster from healing.
fn others() -> Value {
    json!({ "matchExpressions": [
        { "key": LEVEL_LABEL, "operator": "DoesNotExist" },
        { "key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kube-system"] },
    ] })
}

/// Writes of a policy's objects, in the namespaces of a selector.
fn constraints(selector: Value, policy: &Policy) -> Value {
    json!({
        "matchPolicy": "Equivalent",
        "namespaceSelector": selector,
        "objectSelector": {},
        "resourceRules": [{
            "apiGroups": [policy.group], "apiVersions": ["*"], "resources": policy.resources,
            "operations": policy.operations, "scope": "Namespaced",
        }],
    })
}

fn metadata(host: Host<'_>, name: &str) -> Value {
    let labels = json!({ "landlord-installation": host.installation, "landlord-role": ROLE });
    json!({ "name": full_name(host.installation, name), "labels": labels })
}

/// A policy with the binding that puts it in force.
fn in_force(kind: &str, metadata: &Value, spec: Value, mut binding: Value) -> [Wanted; 2] {
    binding["policyName"] = metadata["name"].clone();
    [
        Wanted::new(json!({ "apiVersion": GROUP, "kind": kind, "metadata": metadata, "spec": spec })),
        Wanted::new(json!({
            "apiVersion": GROUP, "kind": format!("{kind}Binding"), "metadata": metadata, "spec": binding,
        })),
    ]
}

/// Refuses what breaks a policy's rules in the namespaces of a selector.
fn refusing(metadata: &Value, selector: Value, policy: &Policy) -> [Wanted; 2] {
    let variables: Vec<Value> =
        policy.variables.iter().map(|(name, expression)| json!({ "name": name, "expression": expression })).collect();
    let validations: Vec<Value> = policy
        .rules
        .iter()
        .map(|rule| json!({ "expression": rule.holds, "message": rule.message, "reason": "Forbidden" }))
        .collect();
    let mut spec = json!({
        "failurePolicy": "Fail",
        "matchConstraints": constraints(selector, policy),
        "validations": validations,
    });
    if !variables.is_empty() {
        spec["variables"] = Value::Array(variables);
    }
    if policy.resources == POD_RESOURCES {
        // What does not change where a pod runs must pass: Kubernetes itself updates pods that are older than the policy.
        spec["matchConditions"] = json!([{
            "name": "spec-changes",
            "expression": "request.operation == 'CREATE' || object.spec != oldObject.spec",
        }]);
    }
    in_force("ValidatingAdmissionPolicy", metadata, spec, json!({ "validationActions": ["Deny"] }))
}

/// Writes into a NODE tenant's pods where they go. An override to other nodes is left as it is, and then refused.
fn placing(host: Host<'_>) -> [Wanted; 2] {
    let name = "tenant-placement";
    let toleration =
        format!("{{'key': '{POOL_KEY}', 'operator': 'Equal', 'value': variables.pool, 'effect': 'NoSchedule'}}");
    let select = format!(
        "has(object.spec.nodeSelector) ? ('{POOL_KEY}' in object.spec.nodeSelector ? [] : \
         [JSONPatch{{op: 'add', path: '/spec/nodeSelector/' + jsonpatch.escapeKey('{POOL_KEY}'), value: variables.pool}}]) : \
         [JSONPatch{{op: 'add', path: '/spec/nodeSelector', value: {{'{POOL_KEY}': variables.pool}}}}]"
    );
    let tolerate = format!(
        "has(object.spec.tolerations) ? \
         (object.spec.tolerations.exists(t, has(t.key) && t.key == '{POOL_KEY}') ? [] : \
         [JSONPatch{{op: 'add', path: '/spec/tolerations/-', value: {toleration}}}]) : \
         [JSONPatch{{op: 'add', path: '/spec/tolerations', value: [{toleration}]}}]"
    );
    let policy = Policy {
        name,
        group: "",
        resources: &["pods"],
        operations: &["CREATE"],
        variables: Vec::new(),
        rules: Vec::new(),
    };
    let mut constraints = constraints(tenants(host), &policy);
    let has_pool = json!({ "key": POOL_KEY, "operator": "Exists" });
    if let Some(expressions) = constraints["namespaceSelector"]["matchExpressions"].as_array_mut() {
        expressions.push(has_pool);
    }
    let spec = json!({
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
        "matchConstraints": constraints,
        "variables": [{ "name": "pool", "expression": format!("namespaceObject.metadata.labels['{POOL_KEY}']") }],
        "mutations": [
            { "patchType": "JSONPatch", "jsonPatch": { "expression": select } },
            { "patchType": "JSONPatch", "jsonPatch": { "expression": tolerate } },
        ],
    });
    in_force("MutatingAdmissionPolicy", &metadata(host, name), spec, json!({}))
}
