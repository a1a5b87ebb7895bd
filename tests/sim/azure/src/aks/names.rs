//! What follows from a cluster and its pools: names of what AKS makes for them, numbers of machines.

use crate::{
    id::{self, Target},
    principal, resource,
};
use cloudsim_core::object::Object;
use serde_json::Value;

/// The name that a cluster's node resource group has or would get.
#[must_use]
pub(super) fn name(target: &Target, body: &Value) -> String {
    let location = resource::normal(body["location"].as_str().unwrap_or_default());
    match body.pointer("/properties/nodeResourceGroup").and_then(Value::as_str) {
        Some(name) if !name.is_empty() => name.to_owned(),
        _ => {
            let name: String = format!("MC_{}_{}_{location}", target.group(), target.name()).chars().take(80).collect();
            name
        }
    }
}

/// The id of a cluster's node resource group.
#[must_use]
pub(crate) fn group_of(cluster: &Object) -> String {
    let subscription = id::subscription_of(&cluster.arn).unwrap_or_default();
    id::group_id(&subscription, resource::doc_text(cluster, "/properties/nodeResourceGroup"))
}

/// Eight digits that are in the names of everything of a cluster.
#[must_use]
pub(super) fn hash_of(cluster: &Object) -> String {
    let number = principal::guid_of(&cluster.id).bytes().fold(7_u64, |n, b| n * 31 % 89_999_999 + u64::from(b));
    format!("{:08}", 10_000_000 + number % 89_999_999)
}

/// The id of a pool's scale set.
#[must_use]
pub(super) fn scale_set_id(cluster: &Object, pool: &Object) -> String {
    let name = pool.name.as_deref().unwrap_or_default();
    format!(
        "{}/providers/Microsoft.Compute/virtualMachineScaleSets/aks-{name}-{}-vmss",
        group_of(cluster),
        hash_of(cluster)
    )
}

/// Machines that a pool is to have.
#[must_use]
pub(super) fn count_of(pool: &Object) -> u64 {
    pool.props.get("doc").and_then(|d| d.pointer("/properties/count")).and_then(Value::as_u64).unwrap_or(0)
}
