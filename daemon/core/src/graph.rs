//! The graphs of work: which stages a tenant needs in a direction, and what each waits for.
//!
//! Wall time is the critical path of the cloud's own latencies, so a stage waits for what it
//! really needs and for nothing else.

use crate::{Direction, Offer, Stage, ports::ReleasePlan};

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

/// The graph for an offer. `releases` are the stack's, empty without one.
#[must_use]
pub fn graph(direction: Direction, offer: &Offer, releases: &[ReleasePlan]) -> Vec<Node> {
    match direction {
        Direction::Present => present(offer, releases),
        Direction::Absent => absent(offer),
    }
}

fn present(offer: &Offer, releases: &[ReleasePlan]) -> Vec<Node> {
    use Stage::{Addons, App, Base, Cluster, DnsRecords, DnsZone, Identity, Network, NodePool, Preflight, Verify};
    let mut nodes = vec![
        node(Preflight, []),
        node(Network, [Preflight]),
        node(DnsZone, [Preflight]),
        node(Cluster, [Network]),
        node(Addons, [Cluster]),
        node(NodePool, [Cluster]),
        node(Identity, [Cluster, DnsZone]),
    ];
    if offer.stack.is_none() {
        return nodes;
    }
    nodes.push(node(Base, [Cluster]));
    for release in releases {
        // An app needs nodes to run on, and the add-ons for its network and volumes.
        let mut after = vec![Base, NodePool, Addons];
        after.extend(release.depends_on.iter().cloned().map(App));
        nodes.push(node(App(release.app.clone()), after));
    }
    let apps: Vec<Stage> = releases.iter().map(|release| App(release.app.clone())).collect();
    nodes.push(node(DnsRecords, apps.iter().cloned().chain([DnsZone])));
    nodes.push(node(Verify, apps.into_iter().chain([DnsRecords, Identity])));
    nodes
}

fn absent(offer: &Offer) -> Vec<Node> {
    use Stage::{Addons, Cluster, DnsRecords, DnsZone, Identity, Inventory, Leftovers, Network, NodePool, Teardown};
    // Load balancers and volumes go while the controllers that made them still run.
    let first: Vec<Stage> = offer.stack.iter().map(|_| Teardown).collect();
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
