//! In a cluster of a tenant's own: nobody runs a pod as the customer's account, whose rights would then be the pod's.

use landlord_core::ports::DeployTarget;
use landlord_kube::{
    markers::{CUSTOMER, RESERVED_PREFIX, labels},
    object::Wanted,
};
use serde_json::json;

use super::GROUP;

/// The policy, and that it is in force in the namespace of the tenant's apps, where the account is.
pub(crate) fn customer_account(target: &DeployTarget, namespace: &str) -> [Wanted; 2] {
    let name = format!("{RESERVED_PREFIX}{}-{}-customer", target.installation, target.uid);
    let metadata = json!({ "name": name, "labels": labels(target, "rights") });
    let rule = json!({
        "expression": format!("!has(object.spec.serviceAccountName) || object.spec.serviceAccountName != '{CUSTOMER}'"),
        "message": format!("pods must not run as {CUSTOMER}"),
        "reason": "Forbidden",
    });
    [
        Wanted::new(json!({
            "apiVersion": GROUP, "kind": "ValidatingAdmissionPolicy", "metadata": metadata,
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {
                    "matchPolicy": "Equivalent",
                    "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": namespace } },
                    "objectSelector": {},
                    "resourceRules": [{
                        "apiGroups": [""], "apiVersions": ["*"], "resources": ["pods"], "operations": ["CREATE"],
                        "scope": "Namespaced",
                    }],
                },
                "validations": [rule],
            },
        })),
        Wanted::new(json!({
            "apiVersion": GROUP, "kind": "ValidatingAdmissionPolicyBinding", "metadata": metadata,
            "spec": { "policyName": name, "validationActions": ["Deny"] },
        })),
    ]
}
