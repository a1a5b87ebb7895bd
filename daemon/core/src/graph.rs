//! The graphs of work: which stages a tenant needs for a desired state, and what each waits for.
//!
//! Wall time is the critical path of the cloud's own latencies, so a stage waits for what it
//! really needs and for nothing else.

use crate::{
    DesiredState, EnvironmentKind, Level, NodeScaling, Placement, Stage,
    ports::{ReleaseOf, ReleasePlan},
};

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

/// The graph for a placement. `releases` are the platform's and the stack's, empty without them.
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
        (DesiredState::Present, EnvironmentKind::HostCluster) => host(placement, releases),
        (DesiredState::Present, EnvironmentKind::AdoptedHostCluster) => {
            vec![node(Stage::Cluster, []), node(Stage::Capacity, [Stage::Cluster])]
        }
        (DesiredState::Absent, EnvironmentKind::Tenant(Level::Cluster)) => own_cluster_absent(placement, releases),
        (DesiredState::Absent, EnvironmentKind::Tenant(level @ (Level::Node | Level::Namespace))) => {
            shared_absent(level, placement)
        }
        (DesiredState::Absent, EnvironmentKind::HostCluster) => host_absent(placement, releases),
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
    let platform = scaled_platform(&mut nodes, placement, releases, &[NodePool, Addons, Identity]);
    if placement.stack.is_none() {
        return nodes;
    }
    nodes.push(node(Base, [Cluster]));
    // An app needs nodes to run on, and the add-ons for its network and volumes.
    let before = [vec![Base, NodePool, Addons], platform].concat();
    apps(&mut nodes, releases, &before, &[Identity]);
    nodes
}

fn of(releases: &[ReleasePlan], whose: ReleaseOf) -> impl Iterator<Item = &ReleasePlan> {
    releases.iter().filter(move |release| release.of == whose)
}

/// The platform, and what makes more nodes, whose provisioner may be the platform's: it comes after the platform, and goes before
/// anything of the platform does. Returns the platform's stages.
fn scaled_platform(
    nodes: &mut Vec<Node>,
    placement: &Placement,
    releases: &[ReleasePlan],
    before: &[Stage],
) -> Vec<Stage> {
    let is_withdrawn = placement.node_scaling.as_ref().is_some_and(NodeScaling::is_withdrawn);
    let going = if is_withdrawn { scaling(nodes, placement, vec![Stage::NodePool]) } else { Vec::new() };
    let platform = platform(nodes, placement, releases, (before, &going));
    if !is_withdrawn {
        scaling(nodes, placement, [vec![Stage::NodePool], platform.clone()].concat());
    }
    platform
}

/// The releases of the platform, each after `before` and those that it depends on; those that the class does not order go backwards,
/// after `going` too. Returns their stages.
fn platform(
    nodes: &mut Vec<Node>,
    placement: &Placement,
    releases: &[ReleasePlan],
    (before, going): (&[Stage], &[Stage]),
) -> Vec<Stage> {
    let orders =
        |release: &ReleasePlan| release.part.as_ref().is_none_or(|part| placement.platform_options.orders(part));
    let own = || of(releases, ReleaseOf::Platform);
    let (ordered, withdrawn): (Vec<&ReleasePlan>, Vec<&ReleasePlan>) = own().partition(|release| orders(release));
    backwards(nodes, &withdrawn, &[before, going].concat());
    nodes.extend(ordered.iter().map(|release| node(release.stage(), before.iter().cloned().chain(release.needs()))));
    own().map(ReleasePlan::stage).collect()
}

/// The same towards absence.
fn platform_absent(nodes: &mut Vec<Node>, releases: &[ReleasePlan], before: &[Stage]) -> Vec<Stage> {
    let own: Vec<&ReleasePlan> = of(releases, ReleaseOf::Platform).collect();
    backwards(nodes, &own, before);
    own.iter().map(|release| release.stage()).collect()
}

/// Releases that go: each when those are gone that depend on it.
fn backwards(nodes: &mut Vec<Node>, releases: &[&ReleasePlan], before: &[Stage]) {
    // A plan names what a release needs before the release: backwards, each comes after what it waits for.
    for release in releases.iter().rev() {
        let users = releases.iter().filter(|user| user.depends_on.contains(&release.app)).map(|user| user.stage());
        nodes.push(node(release.stage(), before.iter().cloned().chain(users)));
    }
}

/// What makes more nodes, where the class ever ordered any.
fn scaling(nodes: &mut Vec<Node>, placement: &Placement, after: Vec<Stage>) -> Vec<Stage> {
    let ordered: Vec<Stage> = placement.node_scaling.iter().map(|_| Stage::NodeScaling).collect();
    nodes.extend(ordered.iter().map(|stage| node(stage.clone(), after.clone())));
    ordered
}

/// The releases, the records of their entry points, and the judgement over all.
fn apps(nodes: &mut Vec<Node>, releases: &[ReleasePlan], before: &[Stage], before_verify: &[Stage]) {
    use Stage::{DnsRecords, DnsZone, Verify};
    for release in of(releases, ReleaseOf::Stack) {
        nodes.push(node(release.stage(), before.iter().cloned().chain(release.needs())));
    }
    let apps: Vec<Stage> = of(releases, ReleaseOf::Stack).map(ReleasePlan::stage).collect();
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
        scaling(&mut nodes, placement, vec![Host]);
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
fn host(placement: &Placement, releases: &[ReleasePlan]) -> Vec<Node> {
    use Stage::{Addons, Capacity, Cluster, Network, NodePool, Preflight};
    let mut nodes = vec![
        node(Preflight, []),
        node(Network, [Preflight]),
        node(Cluster, [Network]),
        node(Addons, [Cluster]),
        node(NodePool, [Cluster]),
    ];
    let platform = scaled_platform(&mut nodes, placement, releases, &[Addons, NodePool]);
    // What the platform takes is no tenant's.
    nodes.push(node(Capacity, [vec![Addons, NodePool], platform].concat()));
    nodes
}

fn own_cluster_absent(placement: &Placement, releases: &[ReleasePlan]) -> Vec<Node> {
    use Stage::{Addons, Cluster, DnsRecords, DnsZone, Identity, Inventory, Leftovers, Network, NodePool, Teardown};
    // Load balancers and volumes go while the controllers that made them still run.
    let first: Vec<Stage> = placement.stack.iter().map(|_| Teardown).collect();
    let mut nodes: Vec<Node> = first.iter().map(|stage| node(stage.clone(), [])).collect();
    nodes.extend([node(DnsRecords, first.clone()), node(DnsZone, [DnsRecords])]);
    // Nodes that were made in between go while their provisioner works, which may be the platform's.
    let first = [first.clone(), scaling(&mut nodes, placement, first)].concat();
    // The platform's controllers work until the apps' load balancers and volumes are gone.
    let platform = platform_absent(&mut nodes, releases, &first);
    let last = [first, platform].concat();
    nodes.extend([
        node(Identity, last.clone()),
        node(Addons, last.clone()),
        node(NodePool, last),
        node(Cluster, [NodePool, Addons, Identity]),
        node(Leftovers, [Cluster]),
        node(Network, [Leftovers]),
        node(Inventory, [Network, DnsZone]),
    ]);
    nodes
}

/// Only what is the tenant's. The namespace goes first, while its nodes and the host cluster's
/// controllers still run; an unreachable host cluster delays that and is then passed over, so that
/// nodes stop costing money. `Isolation` checks once more, and holds the record until the namespace is
/// known to be gone: what is in it is the customer's data.
fn shared_absent(level: Level, placement: &Placement) -> Vec<Node> {
    use Stage::{DnsRecords, DnsZone, Inventory, Isolation, NodePool, Teardown};
    let mut nodes = vec![node(Teardown, []), node(DnsRecords, [Teardown]), node(DnsZone, [DnsRecords])];
    let mut last = vec![Teardown];
    if level == Level::Node {
        let scaling = scaling(&mut nodes, placement, vec![Teardown]);
        nodes.push(node(NodePool, [vec![Teardown], scaling.clone()].concat()));
        last.extend(scaling);
        last.push(NodePool);
    }
    nodes.push(node(Isolation, last));
    nodes.push(node(Inventory, [Isolation, DnsZone]));
    nodes
}

fn host_absent(placement: &Placement, releases: &[ReleasePlan]) -> Vec<Node> {
    use Stage::{Addons, Cluster, Inventory, Leftovers, Network, NodePool};
    let mut nodes = Vec::new();
    let scaling = scaling(&mut nodes, placement, Vec::new());
    let platform = platform_absent(&mut nodes, releases, &scaling);
    let last = [scaling, platform].concat();
    nodes.extend([
        node(Addons, last.clone()),
        node(NodePool, last),
        node(Cluster, [NodePool, Addons]),
        node(Leftovers, [Cluster]),
        node(Network, [Leftovers]),
        node(Inventory, [Network]),
    ]);
    nodes
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Certificates and a gateway, and what needs both.
    fn releases() -> Vec<ReleasePlan> {
        let release = |app: &str, needs: &[&str]| ReleasePlan {
            of: ReleaseOf::Platform,
            app: app.parse().unwrap(),
            depends_on: needs.iter().map(|app| app.parse().unwrap()).collect(),
            expected: Duration::from_secs(60),
            part: None,
        };
        vec![release("certificates", &[]), release("gateway", &[]), release("edge", &["certificates", "gateway"])]
    }

    fn placement(scaled: bool) -> Placement {
        let key = crate::placement::ProviderKey { provider: "sky".parse().unwrap(), credentials: "main".into() };
        let class = "small".parse().unwrap();
        let placement = Placement::without_choices(class, Level::Cluster, key, String::new(), "here".into());
        Placement { node_scaling: scaled.then(crate::NodeScaling::withdrawn), ..placement }
    }

    fn after(nodes: &[Node], stage: &str) -> Vec<String> {
        let found = nodes.iter().find(|node| node.stage.to_string() == stage).unwrap();
        found.after.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn nodes_made_in_between_go_after_the_apps_and_before_their_provisioner_and_the_pool() {
        let platform = ["platform/certificates", "platform/gateway", "platform/edge"];
        for absent in [own_cluster_absent(&placement(true), &releases()), host_absent(&placement(true), &releases())] {
            assert!(after(&absent, "platform/edge").contains(&"node-scaling".to_owned()));
            assert!(after(&absent, "node-pool").contains(&"node-scaling".to_owned()));
        }
        let absent = shared_absent(Level::Node, &placement(true));
        assert_eq!(after(&absent, "node-scaling"), ["teardown"]);
        assert_eq!(after(&absent, "node-pool"), ["teardown", "node-scaling"]);
        assert_eq!(after(&absent, "isolation"), ["teardown", "node-scaling", "node-pool"]);
        let ordered = NodeScaling { nodes_max: 3, ..NodeScaling::withdrawn() };
        let present = own_cluster(&Placement { node_scaling: Some(ordered), ..placement(true) }, &releases());
        assert_eq!(after(&present, "node-scaling"), [&["node-pool"][..], &platform].concat());
        assert_eq!(after(&shared(Level::Node, &placement(true), &[]), "node-scaling"), ["host"]);
    }

    #[test]
    fn machines_that_are_not_ordered_any_more_go_before_their_provisioner_and_that_before_its_definitions() {
        let part = |name: &str, is_default| {
            Some(crate::PlatformPart { name: name.parse().unwrap(), is_default, capability: None, needs_zone: false })
        };
        let mut plan = releases();
        for (app, needs) in
            [("definitions", None), ("controller", Some("definitions")), ("classes", Some("controller"))]
        {
            plan.push(ReleasePlan {
                app: app.parse().unwrap(),
                depends_on: needs.iter().map(|app| app.parse().unwrap()).collect(),
                part: part("node-scaling", false),
                ..plan[0].clone()
            });
        }
        for nodes in [own_cluster(&placement(true), &plan), host(&placement(true), &plan)] {
            let waits = |stage: &str, other: &str| after(&nodes, stage).contains(&other.to_owned());
            assert_eq!(after(&nodes, "node-scaling"), ["node-pool"]);
            for release in ["definitions", "controller", "classes"] {
                assert!(waits(&format!("platform/{release}"), "node-scaling"), "{release}");
            }
            assert!(waits("platform/definitions", "platform/controller"));
            assert!(waits("platform/controller", "platform/classes"));
            assert!(!waits("platform/controller", "platform/definitions"));
            // What stays is not held by what goes.
            assert!(!waits("platform/gateway", "node-scaling") && waits("platform/edge", "platform/gateway"));
        }
        // Where the part is ordered all is as it was.
        let parts = [("node-scaling".parse().unwrap(), true)].into();
        let options = crate::PlatformOptions { parts, ..Default::default() };
        let ordered = Placement { platform_options: options, ..placement(false) };
        assert!(after(&host(&ordered, &plan), "platform/controller").contains(&"platform/definitions".to_owned()));
    }

    #[test]
    fn a_platform_goes_backwards_before_the_nodes() {
        let nodes = host_absent(&placement(false), &releases());
        assert_eq!(after(&nodes, "platform/edge"), Vec::<String>::new());
        assert_eq!(after(&nodes, "platform/gateway"), ["platform/edge"]);
        assert_eq!(after(&nodes, "node-pool"), ["platform/certificates", "platform/gateway", "platform/edge"]);
    }

    #[test]
    fn a_graph_lists_what_must_be_done_first_first() {
        // The sweep of an inventory goes in this order: it is the one order of removal.
        let placements = [placement(false), placement(true)];
        for nodes in placements.iter().flat_map(|placement| {
            [
                shared_absent(Level::Node, placement),
                shared_absent(Level::Namespace, placement),
                host_absent(placement, &releases()),
                host(placement, &releases()),
                own_cluster(placement, &releases()),
            ]
        }) {
            for (index, node) in nodes.iter().enumerate() {
                let earlier = |stage: &Stage| nodes[..index].iter().any(|node| node.stage == *stage);
                assert!(node.after.iter().all(earlier), "{} comes before what it waits for", node.stage);
            }
        }
    }
}
