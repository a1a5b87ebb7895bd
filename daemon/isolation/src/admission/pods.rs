//! Pods: where a tenant's go and what they may ask for, and that nobody else's go to a tenant's nodes.

use landlord_kube::markers::{POOL_KEY, RESERVED_PREFIX};

use super::policy::{Host, Policy, Rule, of_namespace, rule};

/// Longest a pod may take to end; databases take seconds. Beyond it a pod would outlive its tenant.
const GRACE_S_MAX: u32 = 600;
/// What the quota counts of a container.
const COUNTED: &str = "['cpu', 'memory', 'ephemeral-storage']";

/// Label and tolerations of a pod, and the tenant's pool: empty at the level NAMESPACE.
fn placement_variables() -> Vec<(&'static str, String)> {
    vec![
        ("pool", of_namespace("labels", POOL_KEY)),
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

/// Pods, and all ways to change what one does.
pub(super) const POD_RESOURCES: &[&str] = &["pods", "pods/ephemeralcontainers", "pods/resize"];

/// Where a tenant's pods go, and what no pod of a tenant may ask for.
pub(super) fn tenants(host: Host<'_>) -> Policy {
    Policy {
        name: "tenant-pods",
        group: "",
        resources: POD_RESOURCES,
        operations: &["CREATE", "UPDATE"],
        variables: placement_variables(),
        rules: placement_rules().into_iter().chain(request_rules(host)).collect(),
    }
}

/// Where a tenant's pods go.
fn placement_rules() -> Vec<Rule> {
    let own = format!(
        "t.key == '{POOL_KEY}' && variables.pool != '' && has(t.value) && t.value == variables.pool && \
         (!has(t.operator) || t.operator == 'Equal')"
    );
    vec![
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
            format!("variables.tolerations.all(t, has(t.key) && (t.key.startsWith('node.kubernetes.io/') || ({own})))"),
            "only node.kubernetes.io/ taints and the tenant's own pool may be tolerated",
        ),
        rule(affinity_is_silent(), format!("node affinity must not name {POOL_KEY}")),
        rule(
            "request.operation != 'CREATE' || !has(object.spec.nodeName) || object.spec.nodeName == ''",
            "nodeName must not be set: the scheduler chooses the node",
        ),
    ]
}

/// What no pod of a tenant may ask for.
fn request_rules(host: Host<'_>) -> Vec<Rule> {
    vec![
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
        rule(
            format!(
                "!has(object.spec.terminationGracePeriodSeconds) || \
                     object.spec.terminationGracePeriodSeconds <= {GRACE_S_MAX}"
            ),
            format!("terminationGracePeriodSeconds must not be above {GRACE_S_MAX}: a tenant's end would wait for it"),
        ),
        rule(
            format!("variables.pool != '' || ({})", only_counted_resources()),
            "on shared nodes a pod may ask for cpu, memory and ephemeral-storage only: nothing else is in the quota",
        ),
        // Pod Security sees to it from 1.34 on. The kubelet probes, from the node's network.
        rule(
            all_containers(&probes_stay_at_home()),
            "probes and lifecycle hooks must not name a host: they reach their own pod only",
        ),
    ]
}

/// Nobody else requests a tenant's nodes.
pub(super) fn others() -> Policy {
    Policy {
        name: "others-pods",
        group: "",
        resources: POD_RESOURCES,
        operations: &["CREATE", "UPDATE"],
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

/// Whether an expression on `c` holds for every container that has resources and probes.
fn all_containers(holds: &str) -> String {
    format!(
        "object.spec.containers.all(c, {holds}) && \
         (!has(object.spec.initContainers) || object.spec.initContainers.all(c, {holds}))"
    )
}

/// Devices and huge pages of shared nodes would be taken past the quota.
fn only_counted_resources() -> String {
    let of = |resources: &str| {
        let counted = |part: &str| format!("(!has({resources}.{part}) || {resources}.{part}.all(k, k in {COUNTED}))");
        format!("(!has({resources}) || ({} && {}))", counted("limits"), counted("requests"))
    };
    format!("{} && {}", of("object.spec.resources"), all_containers(&of("c.resources")))
}

fn probes_stay_at_home() -> String {
    let requested = ["livenessProbe", "readinessProbe", "startupProbe", "lifecycle.?postStart", "lifecycle.?preStop"];
    let silent = |from: &str, how: &str| format!("c.?{from}.?{how}.?host.orValue('') == ''");
    let all: Vec<String> =
        requested.iter().flat_map(|from| ["httpGet", "tcpSocket"].map(|how| silent(from, how))).collect();
    all.join(" && ")
}
