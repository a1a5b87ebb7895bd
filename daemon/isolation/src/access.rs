//! Tokens of the customer's account.

use std::time::Duration;

use kube::Client;
use landlord_core::{
    CustomerRole,
    ports::{CUSTOMER_ACCESS_MAX, CUSTOMER_ACCESS_MIN, DeployTarget, KubeCredentials},
};
use landlord_kube::{
    Result,
    apply::apply_all,
    markers::{CUSTOMER, selector},
    token,
};

use crate::rbac;

/// Access for the customer of a cluster of its own, in the namespace of its apps. Its role is brought to what the class says
/// first: what an earlier one gave is taken back.
pub(crate) async fn own_cluster(
    client: &Client,
    target: &DeployTarget,
    namespace: &str,
    role: CustomerRole,
    lifetime: Duration,
) -> Result<KubeCredentials> {
    apply_all(client, &rbac::own_cluster(target, namespace, role), &selector(target), false).await?;
    customer(client, &target.kube, namespace, lifetime).await
}

/// A token of the customer's account; as long as requested, within the bounds of all of them.
pub(crate) async fn customer(
    client: &Client,
    access: &KubeCredentials,
    namespace: &str,
    lifetime: Duration,
) -> Result<KubeCredentials> {
    let lifetime = lifetime.clamp(CUSTOMER_ACCESS_MIN, CUSTOMER_ACCESS_MAX);
    token::issue(client, access, namespace, CUSTOMER, lifetime).await
}
