//! The metadata of objects in a tenant's namespace. Pure.

use landlord_core::{isolation::SharedTarget, ports::DeployTarget};
use landlord_kube::markers;
use serde_json::{Value, json};

/// Metadata of an object of ours in the tenant's namespace.
pub(crate) fn metadata(target: &DeployTarget, place: &SharedTarget, name: &str, role: &str) -> Value {
    json!({ "name": name, "namespace": place.namespace, "labels": markers::labels(target, role) })
}
