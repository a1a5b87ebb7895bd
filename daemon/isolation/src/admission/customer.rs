//! In a cluster of a tenant's own: nobody runs a pod as the customer's account, whose rights would then be the pod's.

use landlord_core::ports::DeployTarget;
use landlord_kube::{
    markers::{CUSTOMER, labels},
    object::Wanted,
};
use serde_json::json;

use super::{
    full_name,
    policy::{Policy, rule},
    refusing,
};

/// The policy, and that it is in force in the namespace of the tenant's apps, where the account is.
pub(crate) fn customer_account(target: &DeployTarget, namespace: &str) -> [Wanted; 2] {
    let policy = Policy {
        name: "customer",
        group: "",
        resources: &["pods"],
        operations: &["CREATE"],
        variables: Vec::new(),
        rules: vec![rule(
            format!("!has(object.spec.serviceAccountName) || object.spec.serviceAccountName != '{CUSTOMER}'"),
            format!("pods must not run as {CUSTOMER}"),
        )],
    };
    let name = full_name(&target.installation, &format!("{}-{}", target.uid, policy.name));
    let metadata = json!({ "name": name, "labels": labels(target, "rights") });
    refusing(&metadata, json!({ "matchLabels": { "kubernetes.io/metadata.name": namespace } }), &policy)
}
