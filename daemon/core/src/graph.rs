//! The graphs of work: which stages a tenant needs for a desired state, and what each waits for.
//!
//! Wall time is the critical path of the cloud's own latencies, so a stage waits for what it
//! really needs and for nothing else.

use crate::{DesiredState, EnvironmentKind, Level, Placement, Stage, ports::ReleasePlan};

/// A stage and what must be done before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Stage.
    pub stage: Stage,
    /// Stages that must be done (or skipped) first.
    pub after: Vec<Stage>,
}

fn node(stage: Stage, after: impl IntoIterator<Item = Stage>) -> Node {
    Node { stage, after: after.into_iter().collect() }
}

/// The graph for a placement. `releases` are the stack's, empty without one.
#[must_use]
pub fn graph(
    desired_state: DesiredState,
    kind: EnvironmentKind,
    placement: &Placement,
    releases: &[ReleasePlan],
) -> Vec<Node> {
    match (desired_state, kind) {
        (DesiredState::Present, EnvironmentKind::Tenant(Level::Cluster)) => own_cluster(placement, releases),
        (DesiredState::Present, EnvironmentKind::Tenant(level @ (Level::Node | Level::Namespace))) => {
            shared(level, placement, releases)
        }
        (DesiredState::Present, EnvironmentKind::HostCluster) => host(),
        (DesiredState::Present, EnvironmentKind::AdoptedHostCluster) => {
            vec![node(Stage::Cluster, []), node(Stage::Capacity, [Stage::Cluster])]
        }
        (DesiredState::Absent, EnvironmentKind::Tenant(Level::Cluster)) => own_cluster_absent(placement),
        (DesiredState::Absent, EnvironmentKind::Tenant(level @ (Level::Node | Level::Namespace))) => {
            shared_absent(level)
        }
        (DesiredState::Absent, EnvironmentKind::HostCluster) => host_absent(),
        // What landlord did not make it does not remove; what it put there for its tenants it takes back.
        (DesiredState::Absent, EnvironmentKind::AdoptedHostCluster) => vec![node(Stage::Isolation, [])],
    }
}

fn own_cluster(placement: &Placement, releases: &[ReleasePlan]) -> Vec<Node> {
    use Stage::{Addons, Base, Cluster, DnsZone, Identity, Network, NodePool, Preflight};
    let mut nodes = vec![
        node(Preflight, []),
        node(Network, [Preflight]),
        node(DnsZone, [Preflight]),
        node(Cluster, [Network]),
        node(Addons, [Cluster]),
        node(NodePool, [Cluster]),
        node(Identity, [Cluster, DnsZone]),
    ];
    if placement.stack.is_none() {
        return nodes;
    }
    nodes.push(node(Base, [Cluster]));
    // An app needs nodes to run on, and the add-ons for its network and volumes.
    apps(&mut nodes, releases, &[Base, NodePool, Addons], &[Identity]);
    nodes
}

/// The releases, the records of their entry points, and the judgement over all.
fn apps(nodes: &mut Vec<Node>, releases: &[ReleasePlan], before: &[Stage], before_verify: &[Stage]) {
    use Stage::{App, DnsRecords, DnsZone, Verify};
    for release in releases {
        let needs = release.depends_on.iter().cloned().map(App);
        nodes.push(node(App(release.app.clone()), before.iter().cloned().chain(needs)));
    }
    let apps: Vec<Stage> = releases.iter().map(|release| App(release.app.clone())).collect();
    nodes.push(node(DnsRecords, apps.iter().cloned().chain([DnsZone])));
    nodes.push(node(Verify, apps.into_iter().chain([DnsRecords]).chain(before_verify.iter().cloned())));
}

/// In a host cluster: an isolated namespace, at level NODE with nodes of its own beside it.
fn shared(level: Level, placement: &Placement, releases: &[ReleasePlan]) -> Vec<Node> {
    use Stage::{Base, DnsZone, Host, Isolation, NodePool, Preflight};
    let mut nodes =
        vec![node(Preflight, []), node(Host, [Preflight]), node(Isolation, [Host]), node(DnsZone, [Preflight])];
    let mut before = vec![Base];
    if level == Level::Node {
        nodes.push(node(NodePool, [Host]));
        before.push(NodePool);
    }
    if placement.stack.is_none() {
        return nodes;
    }
    // Nothing is put into a namespace before it is isolated.
    nodes.push(node(Base, [Isolation]));
    apps(&mut nodes, releases, &before, &[]);
    nodes
}

/// A tenant's cluster without what is a tenant's: its domain and its apps. What it has is counted when its nodes are there.
fn host() -> Vec<Node> {
    use Stage::{Addons, Capacity, Cluster, Network, NodePool, Preflight};
    vec![
        node(Preflight, []),
        node(Network, [Preflight]),
        node(Cluster, [Network]),
        node(Addons, [Cluster]),
        node(NodePool, [Cluster]),
        node(Capacity, [Addons, NodePool]),
    ]
}

fn own_cluster_absent(placement: &Placement) -> Vec<Node> {
    use Stage::{Addons, Cluster, DnsRecords, DnsZone, Identity, Inventory, Leftovers, Network, NodePool, Teardown};
    // Load balancers and volumes go while the controllers that made them still run.
    let first: Vec<Stage> = placement.stack.iter().map(|_| Teardown).collect();
    let mut nodes: Vec<Node> = first.iter().map(|stage| node(stage.clone(), [])).collect();
    nodes.extend([
        node(DnsRecords, first.clone()),
        node(DnsZone, [DnsRecords]),
        node(Identity, first.clone()),
        node(Addons, first.clone()),
        node(NodePool, first),
        node(Cluster, [NodePool, Addons, Identity]),
        node(Leftovers, [Cluster]),
        node(Network, [Leftovers]),
        node(Inventory, [Network, DnsZone]),
    ]);
    nodes
}

/// Only what is the tenant's. The namespace goes first, while its nodes and the host cluster's
/// controllers still run; an unreachable host cluster delays that and is then passed over, so that
/// nodes stop costing money. `Isolation` asks once more, and holds the record until the namespace is
/// known to be gone: what is in it is the customer's data.
fn shared_absent(level: Level) -> Vec<Node> {
    use Stage::{DnsRecords, DnsZone, Inventory, Isolation, NodePool, Teardown};
    let mut nodes = vec![node(Teardown, []), node(DnsRecords, [Teardown]), node(DnsZone, [DnsRecords])];
    let mut last = vec![Teardown];
    if level == Level::Node {
        nodes.push(node(NodePool, [Teardown]));
        last.push(NodePool);
    }
    nodes.push(node(Isolation, last));
    nodes.push(node(Inventory, [Isolation, DnsZone]));
    nodes
}

fn host_absent() -> Vec<Node> {
    use Stage::{Addons, Cluster, Inventory, Leftovers, Network, NodePool};
    vec![
        node(Addons, []),
        node(NodePool, []),
        node(Cluster, [NodePool, Addons]),
        node(Leftovers, [Cluster]),
        node(Network, [Leftovers]),
        node(Inventory, [Network]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_graph_lists_what_must_be_done_first_first() {
        // The sweep of an inventory asks in this order: it is the one order of removal.
        for nodes in [shared_absent(Level::Node), shared_absent(Level::Namespace), host_absent(), host()] {
            for (index, node) in nodes.iter().enumerate() {
                let earlier = |stage: &Stage| nodes[..index].iter().any(|node| node.stage == *stage);
                assert!(node.after.iter().all(earlier), "{} comes before what it waits for", node.stage);
            }
        }
    }
}
