//! What a cluster has for pods and what its pods request, as its scheduler counts. Reads only; what follows from it is
//! the domain's business.
//!
//! Sources: <https://kubernetes.io/docs/concepts/scheduling-eviction/kube-scheduler/>,
//! <https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/#resource-sharing-within-containers>,
//! <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::{
    api::core::v1::{Container, Node, Pod, PodSpec},
    apimachinery::pkg::api::resource::Quantity,
};
use kube::{Api, Client, api::ListParams};
use landlord_core::{Amounts, Measured};

use super::{pages::Pages, tenants::is_ready};
use landlord_kube::{Doing as _, Result, markers::POOL_KEY};

/// Taints that keep pods away; `PreferNoSchedule` does not.
const KEEPS_AWAY: [&str; 2] = ["NoSchedule", "NoExecute"];
/// One unit in billionths, in which quantities are read.
const ONE: u128 = 1_000_000_000;
/// A thousandth of one.
const MILLI: u128 = ONE / 1_000;
/// Of a uid without dashes.
const UID_DIGITS: usize = 32;
/// Bytes of a MiB.
const MIB: u64 = 1024 * 1024;

type Requests = BTreeMap<String, Quantity>;

/// Counts.
pub(crate) async fn measure(client: &Client, installation: &str) -> Result<Measured> {
    let mut total = Total::default();
    let nodes: Api<Node> = Api::all(client.clone());
    let mut shared = BTreeSet::new();
    let mut page = Pages::new(ListParams::default());
    while let Some(params) = page.next("nodes")? {
        let list = nodes.list(&params).await.doing(|| "listing nodes".into())?;
        page.after(list.metadata.continue_);
        for node in list.items.iter().filter(|node| takes_anybody(node)) {
            total.add_node(node);
            shared.extend(node.metadata.name.clone());
        }
    }
    let tenants = super::tenants::namespaces(client, installation).await?;
    let tenants: BTreeSet<String> = tenants.into_iter().map(|namespace| namespace.name).collect();
    let pods: Api<Pod> = Api::all(client.clone());
    let running = ListParams::default().fields("status.phase!=Succeeded,status.phase!=Failed");
    let mut page = Pages::new(running);
    while let Some(params) = page.next("pods")? {
        let list = pods.list(&params).await.doing(|| "listing pods".into())?;
        page.after(list.metadata.continue_);
        for pod in &list.items {
            let Some(spec) = pod.spec.as_ref().filter(|spec| is_on(spec, &shared)) else { continue };
            let of_tenant = pod.metadata.namespace.as_ref().is_some_and(|namespace| tenants.contains(namespace));
            total.add_pod(spec, of_tenant);
        }
    }
    Ok(total.measured())
}

/// Whether pods without tolerations may be scheduled to a node, whoever's they are.
fn takes_anybody(node: &Node) -> bool {
    let spec = node.spec.clone().unwrap_or_default();
    let label = node.metadata.labels.as_ref().and_then(|labels| labels.get(POOL_KEY));
    let own = label.is_some_and(|label| is_tenants(label));
    let kept_away = spec.taints.into_iter().flatten().any(|taint| KEEPS_AWAY.contains(&taint.effect.as_str()));
    is_ready(node) && !own && !kept_away && spec.unschedulable != Some(true)
}

/// Whether a node's label names a tenant's pool, as [`PoolLabel::of`](landlord_core::isolation::PoolLabel::of) writes it.
/// The nodes of a cluster that landlord made carry its uid there, in the spelling with dashes, and no taint.
fn is_tenants(label: &str) -> bool {
    label.len() == UID_DIGITS && label.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_on(spec: &PodSpec, nodes: &BTreeSet<String>) -> bool {
    spec.node_name.as_ref().is_some_and(|node| nodes.contains(node))
}

#[derive(Debug, Default)]
struct Sum {
    cpu_milli: u64,
    memory_bytes: u64,
    pods: u64,
}

impl Sum {
    /// Memory is rounded so that nobody gets a byte that is not there.
    fn rounded(&self, round: impl Fn(u64) -> u64) -> Amounts {
        Amounts { cpu_milli: self.cpu_milli, memory_mib: round(self.memory_bytes), pods: self.pods }
    }
}

#[derive(Debug, Default)]
struct Total {
    nodes: u32,
    allocatable: Sum,
    requested: Sum,
    by_tenants: Sum,
}

impl Total {
    fn add_node(&mut self, node: &Node) {
        let allocatable = node.status.clone().and_then(|status| status.allocatable).unwrap_or_default();
        let amount = |resource: &str, unit: u128| {
            let amount = allocatable.get(resource).and_then(|quantity| parse(&quantity.0)).unwrap_or_default();
            u64::try_from(amount / unit).unwrap_or(u64::MAX)
        };
        self.nodes += 1;
        self.allocatable.cpu_milli += amount("cpu", MILLI);
        self.allocatable.memory_bytes += amount("memory", ONE);
        self.allocatable.pods += amount("pods", ONE);
    }

    fn add_pod(&mut self, spec: &PodSpec, of_tenant: bool) {
        let (cpu_milli, memory_bytes) = (request(spec, "cpu", MILLI), request(spec, "memory", ONE));
        let all = [Some(&mut self.requested), of_tenant.then_some(&mut self.by_tenants)];
        for sum in all.into_iter().flatten() {
            sum.cpu_milli += cpu_milli;
            sum.memory_bytes += memory_bytes;
            sum.pods += 1;
        }
    }

    fn measured(&self) -> Measured {
        Measured {
            nodes: self.nodes,
            allocatable: self.allocatable.rounded(|bytes| bytes / MIB),
            requested: self.requested.rounded(|bytes| bytes.div_ceil(MIB)),
            by_tenants: self.by_tenants.rounded(|bytes| bytes.div_ceil(MIB)),
        }
    }
}

/// What a pod requests, in parts of so many billionths, rounded up as the scheduler does.
fn request(spec: &PodSpec, resource: &str, unit: u128) -> u64 {
    let of = |requests: Option<&Requests>| -> Option<u128> { parse(&requests?.get(resource)?.0) };
    let of_container = |container: &Container| -> u128 {
        of(container.resources.as_ref().and_then(|resources| resources.requests.as_ref())).unwrap_or_default()
    };
    let mut running: u128 = spec.containers.iter().map(of_container).sum();
    // Init containers run one after another, beside the sidecars that were started before them.
    let (mut sidecars, mut starting) = (0_u128, 0_u128);
    for container in spec.init_containers.iter().flatten() {
        let own = of_container(container);
        if container.restart_policy.as_deref() == Some("Always") {
            sidecars += own;
            starting = starting.max(sidecars);
        } else {
            starting = starting.max(sidecars + own);
        }
    }
    running += sidecars;
    let containers = running.max(starting);
    // Requests of the pod as a whole stand for those of its containers.
    let pod = of(spec.resources.as_ref().and_then(|resources| resources.requests.as_ref())).unwrap_or(containers);
    let all = pod + of(spec.overhead.as_ref()).unwrap_or_default();
    u64::try_from(all.div_ceil(unit)).unwrap_or(u64::MAX)
}

/// A quantity such as `250m`, `1.5Gi` or `2e3`, in billionths of its unit; the smallest part that Kubernetes knows.
/// `None`: none that pods or nodes may have.
fn parse(text: &str) -> Option<u128> {
    let number_ends = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, suffix) = text.split_at(number_ends);
    let (digits, fraction) = number.split_once('.').unwrap_or((number, ""));
    let mantissa: u128 = format!("{digits}{fraction}").parse().ok()?;
    let (binary, exponent): (u32, i32) = match suffix {
        "" => (0, 0),
        "n" => (0, -9),
        "u" => (0, -6),
        "m" => (0, -3),
        "k" => (0, 3),
        "M" => (0, 6),
        "G" => (0, 9),
        "T" => (0, 12),
        "P" => (0, 15),
        "E" => (0, 18),
        "Ki" => (10, 0),
        "Mi" => (20, 0),
        "Gi" => (30, 0),
        "Ti" => (40, 0),
        "Pi" => (50, 0),
        "Ei" => (60, 0),
        exponent => (0, exponent.strip_prefix(['e', 'E'])?.parse().ok()?),
    };
    let mantissa = mantissa.checked_mul(1_u128 << binary)?;
    let exponent = exponent.checked_add(9)?.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    let power = 10_u128.checked_pow(exponent.unsigned_abs())?;
    if exponent < 0 { Some(mantissa.div_ceil(power)) } else { mantissa.checked_mul(power) }
}

#[cfg(test)]
mod tests {
    use landlord_core::{TenantUid, isolation::PoolLabel};
    use serde_json::{Value, json};

    use super::*;

    const UID: TenantUid = TenantUid(uuid::Uuid::from_u128(0xabc));

    #[test]
    fn quantities_are_read_as_kubernetes_writes_them() {
        let cases = [
            ("0", Some(0)),
            ("250m", Some(250_000_000)),
            ("0.2", Some(200_000_000)),
            ("1.5", Some(1_500_000_000)),
            ("100n", Some(100)),
            ("2k", Some(2_000 * ONE)),
            ("64Mi", Some(67_108_864 * ONE)),
            ("1.5Gi", Some(1_610_612_736 * ONE)),
            ("1E", Some(1_000_000_000_000_000_000 * ONE)),
            ("2e3", Some(2_000 * ONE)),
            ("5E-1", Some(ONE / 2)),
            // Below what Kubernetes knows: rounded up, as it does.
            ("0.0000000001", Some(1)),
            ("Mi", None),
            ("1Zi", None),
            ("-1", None),
            ("1e99999", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    fn requests(cpu: &str, memory: &str) -> Value {
        json!({ "name": "c", "resources": { "requests": { "cpu": cpu, "memory": memory } } })
    }

    fn sidecar(cpu: &str, memory: &str) -> Value {
        let mut container = requests(cpu, memory);
        container["restartPolicy"] = json!("Always");
        container
    }

    #[test]
    fn a_pod_requests_what_the_scheduler_counts() {
        let cases = [
            (json!({ "containers": [requests("100m", "64Mi"), requests("0.2", "64Mi")] }), 300, 128),
            (json!({ "containers": [{ "name": "c" }] }), 0, 0),
            // A large init container counts alone, a small one not at all.
            (json!({ "initContainers": [requests("1", "1Mi")], "containers": [requests("100m", "64Mi")] }), 1_000, 64),
            // Sidecars run on beside the containers, and beside the init containers after them.
            (json!({ "initContainers": [sidecar("100m", "10Mi")], "containers": [requests("100m", "64Mi")] }), 200, 74),
            (
                json!({ "initContainers": [sidecar("100m", "10Mi"), requests("1", "1Mi")],
                    "containers": [requests("100m", "64Mi")] }),
                1_100,
                74,
            ),
            (
                json!({ "initContainers": [requests("1", "1Mi"), sidecar("100m", "10Mi")],
                    "containers": [requests("100m", "64Mi")] }),
                1_000,
                74,
            ),
            (json!({ "overhead": { "cpu": "50m" }, "containers": [requests("100m", "64Mi")] }), 150, 64),
            (
                json!({ "resources": { "requests": { "cpu": "2" } }, "containers": [requests("100m", "64Mi")] }),
                2_000,
                64,
            ),
        ];
        for (spec, cpu_milli, memory_mib) in cases {
            let parsed: PodSpec = serde_json::from_value(spec.clone()).unwrap();
            let found = (request(&parsed, "cpu", MILLI), request(&parsed, "memory", ONE) / MIB);
            assert_eq!(found, (cpu_milli, memory_mib), "{spec}");
        }
    }

    #[test]
    fn only_nodes_for_anybody_count() {
        let node = |change: &dyn Fn(&mut Value)| {
            let mut node = json!({ "metadata": { "name": "n" }, "spec": {}, "status": {
                "conditions": [{ "type": "Ready", "status": "True" }],
                "allocatable": { "cpu": "3920m", "memory": "1025Ki", "pods": "29" } } });
            change(&mut node);
            serde_json::from_value::<Node>(node).unwrap()
        };
        let plain = node(&|_| {});
        assert!(takes_anybody(&plain));
        let others: [&dyn Fn(&mut Value); 5] = [
            &|node| node["spec"]["unschedulable"] = json!(true),
            &|node| node["status"]["conditions"][0]["status"] = json!("Unknown"),
            &|node| node["metadata"]["labels"] = json!({ "landlord.dev/tenant": PoolLabel::of(UID).as_str() }),
            &|node| node["spec"]["taints"] = json!([{ "key": "k", "effect": "NoSchedule" }]),
            &|node| node["spec"]["taints"] = json!([{ "key": "k", "effect": "NoExecute" }]),
        ];
        for change in others {
            assert!(!takes_anybody(&node(change)));
        }
        let ours = |node: &mut Value| node["metadata"]["labels"] = json!({ "landlord.dev/tenant": UID.to_string() });
        assert!(takes_anybody(&node(&ours)), "a host cluster's own node");
        let reluctant =
            |node: &mut Value| node["spec"]["taints"] = json!([{ "key": "k", "effect": "PreferNoSchedule" }]);
        assert!(takes_anybody(&node(&reluctant)));
        let mut total = Total::default();
        total.add_node(&plain);
        total.add_node(&plain);
        // Half a MiB a node is two halves together.
        assert_eq!(total.measured().allocatable, Amounts { cpu_milli: 7_840, memory_mib: 2, pods: 58 });
    }
}
