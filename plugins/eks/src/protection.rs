//! What would hold the removal of a tenant's cluster or network, looked for before anything of it is removed.
//!
//! <https://docs.aws.amazon.com/eks/latest/userguide/deletion-protection.html>,
//! <https://docs.aws.amazon.com/eks/latest/APIReference/API_DeleteCluster.html>,
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-protect-stacks.html>

use aws_sdk_eks::types::ClusterStatus;
use landlord_provider_api::v1::{self, ResourceKind as Kind};
use landlord_provider_sdk::holds::{self, Holds};

use crate::{aws::Clients, cluster, error::Result, names::Names, network, node_pool};

/// Looks, before a kind is removed, for what would stop a later one.
///
/// # Errors
/// CONFLICT, naming everything that holds the removal.
pub(crate) async fn check(aws: &Clients, scope: &v1::Scope, kind: Kind, role: &str) -> Result<()> {
    let names = Names::new(scope)?;
    if !holds::are_looked_for(kind) || names.is_shared() {
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
