//! Which kinds of objects a tenant may have on a shared cluster: what its roles, its quota and the check of its charts are
//! made of.

/// A kind of object that a tenant may have.
#[derive(Debug, Clone, Copy)]
pub struct TenantKind {
    /// API group.
    pub group: &'static str,
    /// Kind.
    pub kind: &'static str,
    /// Name in paths.
    pub plural: &'static str,
    /// Whether the customer may write it; the deployer may write all.
    pub customer: bool,
}

const fn kind(group: &'static str, kind: &'static str, plural: &'static str, customer: bool) -> TenantKind {
    TenantKind { group, kind, plural, customer }
}

/// What charts for shared clusters may hold, and what the deployer may therefore write.
pub const TENANT_KINDS: [TenantKind; 14] = [
    kind("", "ConfigMap", "configmaps", true),
    kind("", "PersistentVolumeClaim", "persistentvolumeclaims", true),
    kind("", "Secret", "secrets", false),
    kind("", "Service", "services", true),
    kind("", "ServiceAccount", "serviceaccounts", false),
    kind("", "Pod", "pods", true),
    kind("apps", "Deployment", "deployments", true),
    kind("apps", "StatefulSet", "statefulsets", true),
    kind("apps", "DaemonSet", "daemonsets", true),
    kind("batch", "CronJob", "cronjobs", true),
    kind("batch", "Job", "jobs", true),
    kind("autoscaling", "HorizontalPodAutoscaler", "horizontalpodautoscalers", true),
    kind("policy", "PodDisruptionBudget", "poddisruptionbudgets", true),
    kind("gateway.networking.k8s.io", "HTTPRoute", "httproutes", true),
];

impl TenantKind {
    /// `deployments.apps`.
    #[must_use]
    pub fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.to_owned() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// Whether the quota has no figure of its own for it.
    #[must_use]
    pub fn counted_as_object(&self) -> bool {
        !["ConfigMap", "PersistentVolumeClaim", "Secret", "Service", "Pod", "HTTPRoute"].contains(&self.kind)
    }
}
