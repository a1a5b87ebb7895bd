//! The names that landlord writes into clusters: labels, annotations, accounts, and its field manager. What carries them is
//! landlord's; nothing else is changed.

use std::collections::BTreeMap;

use landlord_core::{isolation::PodSecurityVersion, ports::DeployTarget};

/// Who landlord is in server-side apply.
pub const FIELD_MANAGER: &str = "landlord";
/// Label: the landlord installation that an object belongs to.
pub const INSTALLATION: &str = "landlord-installation";
/// Label: the tenant that an object belongs to.
pub const TENANT_UID: &str = "landlord-tenant-uid";
/// Label: what an object is for.
pub const ROLE: &str = "landlord-role";
/// Role of the namespace that pods of checks run in.
pub const CHECKS_ROLE: &str = "checks";
/// Key of the label and taint of a tenant's own nodes, and of the label of its namespace that names which they are.
pub const POOL_KEY: &str = "landlord.dev/tenant";
/// Label of a tenant's namespace: its isolation level. The policies know tenants' namespaces by it.
pub const LEVEL_LABEL: &str = "landlord.dev/level";
/// Label of a tenant's namespace: its customer's id, so that metrics of the cluster say whose they are.
pub const CUSTOMER_LABEL: &str = "landlord.dev/customer";
/// Annotation of a tenant's namespace: the domain that its names lie in.
pub const DOMAIN_ANNOTATION: &str = "landlord.dev/domain";
/// What the names of landlord's accounts in a tenant's namespace begin with; no pod may run as one of them.
pub const RESERVED_PREFIX: &str = "landlord-";
/// The account that releases are applied with.
pub const DEPLOYER: &str = "landlord-deployer";
/// The account that a customer's access belongs to.
pub const CUSTOMER: &str = "landlord-customer";
/// Name of a tenant's ListenerSet.
pub const LISTENERS: &str = "landlord";

/// Labels of every object of a tenant.
#[must_use]
pub fn labels(target: &DeployTarget, role: &str) -> BTreeMap<String, String> {
    [(INSTALLATION, target.installation.clone()), (TENANT_UID, target.uid.to_string()), (ROLE, role.to_owned())]
        .map(|(key, value)| (key.to_owned(), value))
        .into()
}

/// Labels of a namespace whose pods are held to `restricted`. Pinned: what a newer Kubernetes adds to it must not stop a tenant's pods
/// in an upgrade.
pub fn pod_security(version: PodSecurityVersion) -> impl Iterator<Item = (String, String)> {
    ["enforce", "audit", "warn"].into_iter().flat_map(move |mode| {
        let key = format!("pod-security.kubernetes.io/{mode}");
        [(format!("{key}-version"), version.to_string()), (key, "restricted".to_owned())]
    })
}

/// Label selector of all objects of a tenant.
#[must_use]
pub fn selector(target: &DeployTarget) -> String {
    format!("{INSTALLATION}={},{TENANT_UID}={}", target.installation, target.uid)
}

/// Label selector of an installation's objects of one role.
#[must_use]
pub fn role_selector(installation: &str, role: &str) -> String {
    format!("{INSTALLATION}={installation},{ROLE}={role}")
}

/// The namespace that an installation's checks run pods in. Kubernetes takes it where the installation's name has at most 47
/// characters.
#[must_use]
pub fn checks_namespace(installation: &str) -> String {
    format!("{RESERVED_PREFIX}{installation}-checks")
}

/// Whether an object carries this tenant's marker.
#[must_use]
pub fn is_ours(labels: Option<&BTreeMap<String, String>>, target: &DeployTarget) -> bool {
    let is = |key: &str, value: &str| labels.and_then(|labels| labels.get(key)).is_some_and(|found| found == value);
    is(INSTALLATION, &target.installation) && is(TENANT_UID, &target.uid.to_string())
}

/// Whether labels are those of a selector of the form `key=value,key=value`.
pub(crate) fn carries(labels: Option<&BTreeMap<String, String>>, selector: &str) -> bool {
    let has = |pair: &str| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        labels.and_then(|labels| labels.get(key)).is_some_and(|label| label == value)
    };
    selector.split(',').all(has)
}
