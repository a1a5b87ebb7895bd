//! How an environment gets more nodes than those that are always there: by its cloud's own autoscaler, or by a provisioner of nodes
//! in the cluster, which gets a NodePool. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Capability of a provider whose cloud scales the pools that it makes.
pub const NODE_SCALING: &str = "node-scaling";

/// What a class orders beyond the nodes that are always there; kept with the placement, so that a changed class reaches nobody by
/// itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeScaling {
    /// Most nodes, those that are always there among them. 0: the class orders no scaling any more, and what was made for it goes.
    pub nodes_max: u32,
    /// Who makes nodes where the cloud scales no pools itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub karpenter: Option<Karpenter>,
}

/// A NodePool of Karpenter, whose controller and node class are in the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Karpenter {
    /// What says how machines are made in this cloud.
    pub node_class: NodeClassRef,
    /// Most of each resource that its nodes have together: the bound of what they cost. `cpu` is always among them, since Karpenter
    /// counts nodes only between two batches of pods, and this for each node that it decides upon.
    pub limits: BTreeMap<String, String>,
    /// Which machines, as Karpenter's requirements; empty: of the class's `machine_type`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requirements: Vec<NodeRequirement>,
}

/// An object by group, kind and name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeClassRef {
    /// API group.
    pub group: String,
    /// Kind.
    pub kind: String,
    /// Name.
    pub name: String,
}

/// What a machine must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeRequirement {
    /// Label of nodes.
    pub key: String,
    /// `In`, `NotIn`, `Exists`, `DoesNotExist`, `Gt`, `Lt`.
    pub operator: String,
    /// Values; none for `Exists` and `DoesNotExist`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// Operators of requirements.
const OPERATORS: [&str; 6] = ["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"];
/// Those that have no values.
const VALUELESS: [&str; 2] = ["Exists", "DoesNotExist"];
/// What `nodes_max` says already.
const NODES: &str = "nodes";
const CPU: &str = "cpu";

impl NodeScaling {
    /// What is left of an order that the class does not make any more.
    #[must_use]
    pub fn withdrawn() -> Self {
        Self { nodes_max: 0, karpenter: None }
    }

    /// Whether nothing is ordered any more.
    #[must_use]
    pub fn is_withdrawn(&self) -> bool {
        self.nodes_max == 0
    }

    /// What is wrong with it, as path below itself and sentence. `always`: nodes that are there without it.
    #[must_use]
    pub fn faults(&self, always: u32) -> Vec<(String, String)> {
        let mut faults = Vec::new();
        let mut add = |at: &str, what: String| faults.push((at.to_owned(), what));
        if self.nodes_max <= always {
            add("nodes_max", format!("must be more than node_count, which is {always}"));
        }
        let Some(karpenter) = &self.karpenter else { return faults };
        let NodeClassRef { group, kind, name } = &karpenter.node_class;
        for (at, text) in [("group", group), ("kind", kind), ("name", name)] {
            if text.is_empty() {
                add(&format!("karpenter.node_class.{at}"), "must not be empty".into());
            }
        }
        if !karpenter.limits.contains_key(CPU) {
            add("karpenter.limits.cpu", "is missing; it is the bound that no batch of pods passes".into());
        }
        for (resource, amount) in &karpenter.limits {
            let at = format!("karpenter.limits.{resource}");
            if resource == NODES {
                add(&at, "is what nodes_max says; leave it out".into());
            } else if !is_quantity(amount) {
                add(&at, format!("{amount:?} is no quantity of Kubernetes, such as \"32\" or \"128Gi\""));
            }
        }
        for requirement in &karpenter.requirements {
            let NodeRequirement { key, operator, values } = requirement;
            if !OPERATORS.contains(&operator.as_str()) {
                add("karpenter.requirements", format!("{key}: the operators are {}", OPERATORS.join(", ")));
            } else if values.is_empty() != VALUELESS.contains(&operator.as_str()) {
                add(
                    "karpenter.requirements",
                    format!("{key}: {operator} and {} values don't go together", values.len()),
                );
            }
        }
        faults
    }
}

/// Digits, perhaps a fraction, and a suffix of Kubernetes; never nothing.
fn is_quantity(text: &str) -> bool {
    let number = text.trim_end_matches(|char: char| char.is_ascii_alphabetic());
    let suffix = &text[number.len()..];
    let known = ["", "m", "k", "M", "G", "T", "P", "Ki", "Mi", "Gi", "Ti", "Pi"].contains(&suffix);
    known && number.parse::<f64>().is_ok_and(|amount| amount.is_finite() && amount > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named_with_its_path() {
        let scaling = |text: &str| serde_json::from_str::<NodeScaling>(text).unwrap();
        let class = r#""node_class": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "default"}"#;
        let right = scaling(&format!(
            r#"{{"nodes_max": 6, "karpenter": {{{class}, "limits": {{"cpu": "32", "memory": "1.5Gi"}},
               "requirements": [{{"key": "a", "operator": "In", "values": ["b"]}}, {{"key": "c", "operator": "Exists"}},
                                {{"key": "d", "operator": "DoesNotExist"}}]}}}}"#
        ));
        assert_eq!(right.faults(2), []);
        let wrong = scaling(
            r#"{"nodes_max": 2, "karpenter": {"node_class": {"group": "", "kind": "K", "name": "n"},
                "limits": {"cpu": "many", "nodes": "3", "memory": "-1Gi", "pods": "inf"},
                "requirements": [{"key": "a", "operator": "Is"}, {"key": "b", "operator": "In"},
                                 {"key": "c", "operator": "Exists", "values": ["d"]}]}}"#,
        );
        let at: Vec<String> = wrong.faults(2).into_iter().map(|(at, _)| at).collect();
        let requirements = "karpenter.requirements";
        let limits = ["cpu", "memory", "nodes", "pods"].map(|resource| format!("karpenter.limits.{resource}"));
        let mut expected = vec!["nodes_max".to_owned(), "karpenter.node_class.group".into()];
        expected.extend(limits);
        expected.extend([requirements; 3].map(str::to_owned));
        assert_eq!(at, expected);
        let unbounded =
            scaling(&format!(r#"{{"nodes_max": 6, "karpenter": {{{class}, "limits": {{"memory": "1Gi"}}}}}}"#));
        assert_eq!(unbounded.faults(2)[0].0, "karpenter.limits.cpu");
    }
}
