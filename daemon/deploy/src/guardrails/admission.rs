//! What a host cluster's API server refuses for the sake of its tenants, whoever asks: once for all tenants of one
//! installation. Pure.
//!
//! RBAC says who may write an object, these policies what may stand in it. They know a tenant's namespace by its
//! labels, which only the daemon may write, and fail closed. Two of them bind more than tenants: nobody else may
//! ask for a tenant's nodes by name. An operator's node agents that tolerate everything still run there.
//!
//! Validating policies exist since Kubernetes 1.30; the mutating one (1.36) only saves customers from writing down
//! where their pods go, and is left out where the API server does not know it.

use serde_json::{Value, json};

use super::{LEVEL_LABEL, POOL_KEY, RESERVED_PREFIX, Wanted};

/// Marks what belongs to the host cluster as a whole.
pub(super) const ROLE: &str = "host-guard";
const GROUP: &str = "admissionregistration.k8s.io/v1";

/// A condition that holds, or the words of the refusal.
struct Rule {
    holds: String,
    message: String,
}

fn rule(holds: impl Into<String>, message: impl Into<String>) -> Rule {
    Rule { holds: holds.into(), message: message.into() }
}

/// A policy on one kind of object.
struct Policy {
    name: &'static str,
    group: &'static str,
    resources: &'static [&'static str],
    operations: &'static [&'static str],
    /// Whether it is for tenants' namespaces, or for all others.
    tenants: bool,
    variables: Vec<(&'static str, String)>,
    rules: Vec<Rule>,
}

/// What the policies need to know of a host cluster.
#[derive(Debug, Clone, Copy)]
pub(super) struct Host<'a> {
    /// Name of the landlord installation; another one may share the cluster.
    pub(super) installation: &'a str,
    /// Priority of pods that name no class: tenants get no higher one.
    pub(super) priority_max: i64,
    /// Whether mutating policies are known.
    pub(super) mutating: bool,
}

/// Every policy with its binding.
pub(super) fn policies(host: Host<'_>) -> Vec<Wanted> {
    let validating = [pods(host), others_pods(), services(), secrets(), claims(), accounts()];
    let mut all: Vec<Wanted> = validating.iter().flat_map(|policy| validating_objects(host, policy)).collect();
    if host.mutating {
        all.extend(placing(host));
    }
    all
}

/// Name of the policy that keeps pods on their nodes; what is refused in its name proves that it is in force.
pub(super) fn pods_policy(installation: &str) -> String {
    full_name(installation, "tenant-pods")
}

fn full_name(installation: &str, name: &str) -> String {
    format!("{RESERVED_PREFIX}{installation}-{name}")
}

/// Label and tolerations of a pod, and the tenant's pool: empty at the level NAMESPACE.
fn placement_variables() -> Vec<(&'static str, String)> {
    vec![
        (
            "pool",
            format!(
                "has(namespaceObject.metadata.labels) && '{POOL_KEY}' in namespaceObject.metadata.labels \
                 ? namespaceObject.metadata.labels['{POOL_KEY}'] : ''"
            ),
        ),
        ("selector", "has(object.spec.nodeSelector) ? object.spec.nodeSelector : {}".into()),
        ("tolerations", "has(object.spec.tolerations) ? object.spec.tolerations : []".into()),
    ]
}

/// Whether no term of the node affinity names the key of tenants' nodes.
fn affinity_is_silent() -> String {
    let has_node = "!has(object.spec.affinity) || !has(object.spec.affinity.nodeAffinity)";
    let node = "object.spec.affinity.nodeAffinity";
    let silent = |term: &str| {
        format!("(!has({term}.matchExpressions) || {term}.matchExpressions.all(e, e.key != '{POOL_KEY}'))")
    };
    format!(
        "{has_node} || ((!has({node}.requiredDuringSchedulingIgnoredDuringExecution) || \
         {node}.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms.all(t, {})) && \
         (!has({node}.preferredDuringSchedulingIgnoredDuringExecution) || \
         {node}.preferredDuringSchedulingIgnoredDuringExecution.all(t, {})))",
        silent("t"),
        silent("t.preference"),
    )
}

const POD_RESOURCES: &[&str] = &["pods", "pods/ephemeralcontainers", "pods/resize"];

fn pods(host: Host<'_>) -> Policy {
    let own = format!(
        "t.key == '{POOL_KEY}' && variables.pool != '' && has(t.value) && t.value == variables.pool && \
         (!has(t.operator) || t.operator == 'Equal')"
    );
    Policy {
        name: "tenant-pods",
        group: "",
        resources: POD_RESOURCES,
        operations: &["CREATE", "UPDATE"],
        tenants: true,
        variables: placement_variables(),
        rules: vec![
            rule(
                format!(
                    "variables.pool != '' ? ('{POOL_KEY}' in variables.selector && \
                     variables.selector['{POOL_KEY}'] == variables.pool) : !('{POOL_KEY}' in variables.selector)"
                ),
                format!("nodeSelector {POOL_KEY} must be the tenant's own pool, and absent where it has none"),
            ),
            rule(
                format!("variables.pool == '' || variables.tolerations.exists(t, has(t.key) && {own})"),
                format!("the taint {POOL_KEY} of the tenant's own pool must be tolerated"),
            ),
            rule(
                format!(
                    "variables.tolerations.all(t, has(t.key) && (t.key.startsWith('node.kubernetes.io/') || ({own})))"
                ),
                "only node.kubernetes.io/ taints and the tenant's own pool may be tolerated",
            ),
            rule(affinity_is_silent(), format!("node affinity must not name {POOL_KEY}")),
            rule(
                "request.operation != 'CREATE' || !has(object.spec.nodeName) || object.spec.nodeName == ''",
                "nodeName must not be set: the scheduler chooses the node",
            ),
            rule(
                format!(
                    "!has(object.spec.serviceAccountName) || !object.spec.serviceAccountName.startsWith('{RESERVED_PREFIX}')"
                ),
                format!("pods must not run as an account that begins with {RESERVED_PREFIX}"),
            ),
            // Drivers act with the node's rights, and Pod Security lets them pass.
            rule(
                "!has(object.spec.volumes) || object.spec.volumes.all(v, !has(v.csi))",
                "a pod must not ask a storage driver directly: claim a volume",
            ),
            rule(
                format!("!has(object.spec.priority) || object.spec.priority <= {}", host.priority_max),
                format!("priority must not be above {}, the cluster's default", host.priority_max),
            ),
        ],
    }
}

fn others_pods() -> Policy {
    Policy {
        name: "others-pods",
        group: "",
        resources: POD_RESOURCES,
        operations: &["CREATE", "UPDATE"],
        tenants: false,
        variables: placement_variables(),
        rules: vec![
            rule(
                format!("!('{POOL_KEY}' in variables.selector)"),
                format!("nodeSelector {POOL_KEY} is for tenants' namespaces"),
            ),
            rule(
                format!("variables.tolerations.all(t, !has(t.key) || t.key != '{POOL_KEY}')"),
                format!("the taint {POOL_KEY} may be tolerated in tenants' namespaces only"),
            ),
            rule(affinity_is_silent(), format!("node affinity must not name {POOL_KEY}")),
        ],
    }
}

fn services() -> Policy {
    Policy {
        name: "tenant-services",
        group: "",
        resources: &["services"],
        operations: &["CREATE", "UPDATE"],
        tenants: true,
        variables: Vec::new(),
        rules: vec![
            rule(
                "!has(object.spec.type) || object.spec.type in ['ClusterIP', 'LoadBalancer']",
                "the type must be ClusterIP, or LoadBalancer within the quota",
            ),
            // An address that is announced belongs to whoever announces it: CVE-2020-8554.
            rule("!has(object.spec.externalIPs) || object.spec.externalIPs.size() == 0", "externalIPs must not be set"),
        ],
    }
}

fn secrets() -> Policy {
    Policy {
        name: "tenant-secrets",
        group: "",
        resources: &["secrets"],
        operations: &["CREATE", "UPDATE"],
        tenants: true,
        variables: Vec::new(),
        rules: vec![rule(
            "!has(object.type) || object.type != 'kubernetes.io/service-account-token'",
            "a Secret must not ask for an account's token",
        )],
    }
}

fn claims() -> Policy {
    Policy {
        name: "tenant-claims",
        group: "",
        resources: &["persistentvolumeclaims"],
        operations: &["CREATE"],
        tenants: true,
        variables: Vec::new(),
        rules: vec![rule(
            "!has(object.spec.volumeName) || object.spec.volumeName == ''",
            "volumeName must not be set: a claim gets a volume of its own",
        )],
    }
}

/// The deployer may write accounts, for charts have them; not those that carry rights.
fn accounts() -> Policy {
    let own = "request.userInfo.username.startsWith('system:serviceaccount:' + request.namespace + ':')";
    Policy {
        name: "tenant-accounts",
        group: "",
        resources: &["serviceaccounts", "serviceaccounts/token"],
        operations: &["CREATE", "UPDATE", "DELETE"],
        tenants: true,
        // A request for a collection has no name of its own, one for a token no named object.
        variables: vec![(
            "name",
            "request.name != '' ? request.name : (oldObject != null ? oldObject.metadata.name : object.metadata.name)"
                .into(),
        )],
        rules: vec![rule(
            format!("!({own}) || !variables.name.startsWith('{RESERVED_PREFIX}')"),
            format!("accounts that begin with {RESERVED_PREFIX} are not the tenant's"),
        )],
    }
}

/// Namespaces of this installation's tenants, or all others.
fn selector(host: Host<'_>, tenants: bool) -> Value {
    if tenants {
        json!({
            "matchLabels": { "landlord-installation": host.installation },
            "matchExpressions": [{ "key": LEVEL_LABEL, "operator": "Exists" }],
        })
    } else {
        // The cluster's own parts name no tenant's nodes; a policy must never keep a cluster from healing.
        json!({ "matchExpressions": [
            { "key": LEVEL_LABEL, "operator": "DoesNotExist" },
            { "key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kube-system"] },
        ] })
    }
}

fn constraints(host: Host<'_>, policy: &Policy) -> Value {
    json!({
        "matchPolicy": "Equivalent",
        "namespaceSelector": selector(host, policy.tenants),
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

fn validating_objects(host: Host<'_>, policy: &Policy) -> [Wanted; 2] {
    let variables: Vec<Value> =
        policy.variables.iter().map(|(name, expression)| json!({ "name": name, "expression": expression })).collect();
    let validations: Vec<Value> = policy
        .rules
        .iter()
        .map(|rule| json!({ "expression": rule.holds, "message": rule.message, "reason": "Forbidden" }))
        .collect();
    let mut spec = json!({
        "failurePolicy": "Fail",
        "matchConstraints": constraints(host, policy),
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
    let name = full_name(host.installation, policy.name);
    [
        Wanted::new(json!({
            "apiVersion": GROUP, "kind": "ValidatingAdmissionPolicy",
            "metadata": metadata(host, policy.name), "spec": spec,
        })),
        Wanted::new(json!({
            "apiVersion": GROUP, "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": metadata(host, policy.name),
            "spec": { "policyName": name, "validationActions": ["Deny"] },
        })),
    ]
}

/// Writes into a NODE tenant's pods where they go. A wish for other nodes is left as it is, and then refused.
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
        tenants: true,
        variables: Vec::new(),
        rules: Vec::new(),
    };
    let mut constraints = constraints(host, &policy);
    let has_pool = json!({ "key": POOL_KEY, "operator": "Exists" });
    if let Some(expressions) = constraints["namespaceSelector"]["matchExpressions"].as_array_mut() {
        expressions.push(has_pool);
    }
    [
        Wanted::new(json!({
            "apiVersion": GROUP, "kind": "MutatingAdmissionPolicy",
            "metadata": metadata(host, name),
            "spec": {
                "failurePolicy": "Fail",
                "reinvocationPolicy": "Never",
                "matchConstraints": constraints,
                "variables": [{
                    "name": "pool",
                    "expression": format!("namespaceObject.metadata.labels['{POOL_KEY}']"),
                }],
                "mutations": [
                    { "patchType": "JSONPatch", "jsonPatch": { "expression": select } },
                    { "patchType": "JSONPatch", "jsonPatch": { "expression": tolerate } },
                ],
            },
        })),
        Wanted::new(json!({
            "apiVersion": GROUP, "kind": "MutatingAdmissionPolicyBinding",
            "metadata": metadata(host, name),
            "spec": { "policyName": full_name(host.installation, name) },
        })),
    ]
}
