//! The customer's account: its tokens, and in a cluster of its own its rights, which follow the class.

use std::time::Duration;

use kube::{Client, ResourceExt as _, api::DynamicObject};
use landlord_core::{
    CustomerRole,
    ports::{CUSTOMER_ACCESS_MAX, CUSTOMER_ACCESS_MIN, DeployTarget, KubeCredentials},
};
use landlord_kube::{
    Doing as _, Result,
    absent::{exactly, gone_is_fine},
    apply::apply_all,
    markers::{CUSTOMER, is_ours, selector},
    object::Wanted,
    token,
};

use crate::{admission, rbac};

/// Access for the customer of a cluster of its own, in the namespace of its apps. Its role is brought to what the class says
/// first: what an earlier one gave is taken back.
pub(crate) async fn own_cluster(
    client: &Client,
    target: &DeployTarget,
    namespace: &str,
    role: CustomerRole,
    lifetime: Duration,
) -> Result<KubeCredentials> {
    ensure_own_cluster(client, target, namespace, role).await?;
    customer(client, &target.kube, namespace, lifetime).await
}

/// Brings the customer's account in a cluster of its own to what `role` says. Without a role there is none: its tokens end with
/// it, and no pod is anybody any more that runs as it.
///
/// The account is made first and goes last, so that its presence says that something may have to go.
pub(crate) async fn ensure_own_cluster(
    client: &Client,
    target: &DeployTarget,
    namespace: &str,
    role: CustomerRole,
) -> Result<()> {
    let objects = OwnCluster::new(target, namespace, role);
    let ours = selector(target);
    match role {
        CustomerRole::None => withdraw(client, target, &objects).await,
        CustomerRole::View | CustomerRole::Edit => {
            apply_all(client, std::slice::from_ref(&objects.account), &ours, false).await?;
            // Before the rights: whoever may start pods shall not start one that outlives them.
            apply_all(client, &objects.policies, &ours, false).await?;
            apply_all(client, &objects.rights, &ours, false).await
        }
    }
}

/// What is outside of namespaces, and would stay in a cluster that is given back.
pub(crate) async fn leave_own_cluster(client: &Client, target: &DeployTarget) -> Result<()> {
    remove(client, target, admission::customer_account(target, "").iter().rev()).await
}

/// What gives the customer of a cluster of its own its rights.
struct OwnCluster {
    account: Wanted,
    policies: [Wanted; 2],
    rights: [Wanted; 2],
}

impl OwnCluster {
    fn new(target: &DeployTarget, namespace: &str, role: CustomerRole) -> Self {
        let [account, role, binding] = rbac::own_cluster(target, namespace, role);
        let policies = admission::customer_account(target, namespace);
        Self { account, policies, rights: [role, binding] }
    }
}

async fn withdraw(client: &Client, target: &DeployTarget, objects: &OwnCluster) -> Result<()> {
    if found(client, target, &objects.account).await?.is_none() {
        return Ok(());
    }
    tracing::info!(tenant.name = %target.name, "its class gives its customer no role any more: the account goes");
    // Bindings go before what they bind.
    let (rights, policies) = (objects.rights.iter().rev(), objects.policies.iter().rev());
    remove(client, target, rights.chain(policies).chain([&objects.account])).await
}

async fn remove<'a>(client: &Client, target: &DeployTarget, all: impl Iterator<Item = &'a Wanted>) -> Result<()> {
    for object in all {
        let Some(found) = found(client, target, object).await? else { continue };
        gone_is_fine(object.api(client).delete(&object.name, &exactly(found.uid())).await)
            .doing(|| format!("removing {}", object.what()))?;
    }
    Ok(())
}

/// An object by its name, if it is there and ours.
async fn found(client: &Client, target: &DeployTarget, object: &Wanted) -> Result<Option<DynamicObject>> {
    let found = object.api(client).get_opt(&object.name).await.doing(|| format!("reading {}", object.what()))?;
    Ok(found.filter(|found| is_ours(found.metadata.labels.as_ref(), target)))
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
