//! What would hold the removal of a tenant's cluster or network, searched for before anything of it is removed.
//!
//! <https://docs.aws.amazon.com/eks/latest/userguide/deletion-protection.html>,
//! <https://docs.aws.amazon.com/eks/latest/APIReference/API_DeleteCluster.html>,
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-protect-stacks.html>

use aws_sdk_eks::types::ClusterStatus;
use landlord_provider_api::v1::{self, ResourceKind as Kind};
use landlord_provider_sdk::holds::{self, Holds};

use crate::{
    action,
    aws::Clients,
    cluster,
    error::{Absent as _, Result, failed},
    leftovers,
    names::Names,
    network, node_pool,
};

/// Checks, before a kind is removed, for what would stop a later one.
///
/// # Errors
/// CONFLICT, naming everything that holds the removal.
pub(crate) async fn check(aws: &Clients, scope: &v1::Scope, kind: Kind, role: &str) -> Result<()> {
    let names = Names::new(scope)?;
    if !holds::are_searched_for(kind) || names.is_shared() {
        return Ok(());
    }
    let mut holds = Holds::default();
    let cluster = cluster::find_own(aws, scope, &names).await?;
    if let Some(cluster) = cluster.filter(|cluster| cluster.status() != Some(&ClusterStatus::Deleting)) {
        let name = names.cluster();
        if cluster.deletion_protection() == Some(true) {
            let remedy = format!("run `aws eks update-cluster-config --name {name} --no-deletion-protection`");
            holds.add(format!("EKS cluster {name} has deletion protection"), remedy);
        }
        // The pool of the request itself is judged by its own removal, also when its marker is gone.
        for group in node_pool::foreign(aws, scope, &names, role).await? {
            let what = format!("node group {group} in EKS cluster {name} is not landlord's");
            holds.add(what, "delete those node groups, or move their work to another cluster first");
        }
        // Landlord makes none.
        for profile in fargate_profiles(aws, &names).await? {
            let what = format!("Fargate profile {profile} in EKS cluster {name} is not landlord's");
            holds.add(what, format!("run `aws eks delete-fargate-profile --cluster-name {name}` for those profiles, or move their work to another cluster first"));
        }
        for interface in leftovers::foreign_interfaces(aws, scope, &names).await? {
            let what =
                format!("network interface {interface} in the VPC of {name} is neither landlord's nor its cluster's");
            holds.add(what, "remove what those network interfaces belong to (instances, functions, endpoints), or move it to another VPC");
        }
    }
    let stack = network::stack::find(aws, names.stack()).await?.filter(|stack| stack.is_ours(scope));
    if stack.is_some_and(|stack| stack.is_protected) {
        let name = names.stack();
        let remedy = format!(
            "run `aws cloudformation update-termination-protection --stack-name {name} --no-enable-termination-protection`"
        );
        holds.add(format!("CloudFormation stack {name} has termination protection"), remedy);
    }
    Ok(holds.end()?)
}

/// Fargate profiles of the cluster: EKS deletes no cluster that has one.
async fn fargate_profiles(aws: &Clients, names: &Names) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut pages = aws.eks.list_fargate_profiles().cluster_name(names.cluster()).into_paginator().items().send();
    while let Some(name) = pages.next().await {
        let name = name.map_err(failed(action::LIST_FARGATE_PROFILES, names.cluster()));
        let Some(name) = name.or_absent()? else { break };
        found.push(name);
    }
    Ok(found)
}
