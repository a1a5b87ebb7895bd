//! What a policy consists of, before it becomes an object of Kubernetes.

/// A condition that holds, or the words of the refusal.
pub(super) struct Rule {
    pub(super) holds: String,
    pub(super) message: String,
}

pub(super) fn rule(holds: impl Into<String>, message: impl Into<String>) -> Rule {
    Rule { holds: holds.into(), message: message.into() }
}

/// CEL: a label or annotation (`marks`) of the request's namespace, empty without.
pub(super) fn of_namespace(marks: &str, key: &str) -> String {
    let all = format!("namespaceObject.metadata.{marks}");
    format!("has({all}) && '{key}' in {all} ? {all}['{key}'] : ''")
}

/// A policy on one kind of object, wherever it is.
pub(super) struct Policy {
    pub(super) name: &'static str,
    pub(super) group: &'static str,
    pub(super) resources: &'static [&'static str],
    pub(super) operations: &'static [&'static str],
    pub(super) variables: Vec<(&'static str, String)>,
    pub(super) rules: Vec<Rule>,
}

/// What the policies need to know of a host cluster.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Host<'a> {
    /// Name of the landlord installation; another one may share the cluster.
    pub(crate) installation: &'a str,
    /// Priority of pods that name no class: tenants get no higher one.
    pub(crate) priority_max: i64,
    /// Whether mutating policies are known.
    pub(crate) mutating: bool,
}
